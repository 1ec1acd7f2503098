//! Runs in an object store, from outside: what is told of a store that refuses, by exit code, and that no secret is told.
//! A stand-in answers as S3 does; `tests/object_store.sh` does whole runs against a server.
#![cfg(feature = "train")]

mod http;

use std::io::{BufReader, Write};
use std::net::TcpListener;
use std::process::Command;

use insta::assert_snapshot;

/// A store that gives every request the same answer.
fn refusing(status: u16, code: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>as ordered</Message></Error>");
    let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            if http::read(BufReader::new(&stream)).is_some() {
                stream.write_all(answer.as_bytes()).ok();
            }
        }
    });
    url
}

const KEYS: [(&str, &str); 3] =
    [("AWS_ACCESS_KEY_ID", "id-hidden"), ("AWS_SECRET_ACCESS_KEY", "hidden"), ("AWS_ALLOW_HTTP", "true")];

/// What `fraudml cell` says and how it ends.
fn told(url: &str, environment: &[(&str, &str)]) -> String {
    let cache = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_fraudml"));
    for (name, _) in std::env::vars() {
        if ["AWS_", "GOOGLE_", "AZURE_"].iter().any(|of| name.starts_with(of)) {
            command.env_remove(name);
        }
    }
    command.args(["cell", "--run", url, "--shard", "0/1", "--no-progress"]).env("NO_COLOR", "1");
    command.env("FRAUDML_CACHE", cache.path()).envs(environment.iter().copied());
    let output = command.output().expect("it runs");
    let text = String::from_utf8([output.stdout, output.stderr].concat()).expect("UTF-8");
    assert!(!text.contains("hidden"), "{text}");
    format!("exit code {}\n{text}", output.status.code().unwrap_or(-1))
}

#[test]
fn what_a_store_refuses_is_told_by_exit_code() {
    let refusals = [
        (404, "NoSuchBucket"),
        (403, "AccessDenied"),
        (403, "InvalidAccessKeyId"),
        (400, "ExpiredToken"),
        (403, "RequestTimeTooSkewed"),
        (404, "NoSuchKey"),
    ];
    let refusal = |(status, code): (u16, &str)| {
        let endpoint = refusing(status, code);
        let environment = [&KEYS[..], &[("AWS_ENDPOINT_URL", &endpoint)]].concat();
        format!("# {status} {code}\n{}", told("s3://bucket/run", &environment))
    };
    let mut all: Vec<String> = refusals.into_iter().map(refusal).collect();
    let away = "http://127.0.0.1:1";
    let plain = [KEYS[0], KEYS[1], ("AWS_ENDPOINT_URL", away)];
    all.push(format!("# plain http\n{}", told("s3://bucket/run", &plain)));
    all.push(format!("# away\n{}", told("s3://bucket/run", &[&plain[..], &[KEYS[2]]].concat())));
    let no_role = [("AWS_METADATA_ENDPOINT", away), KEYS[2]];
    all.push(format!("# no credentials\n{}", told("s3://bucket/run", &no_role)));
    all.push(format!("# no account\n{}", told("az://container/run", &[])));
    for url in ["s3://id:hidden@bucket/run", "s3://bucket", "ftp://bucket/run"] {
        let text = told(url, &KEYS);
        all.push(format!("# {}\n{text}", url.replace("id:hidden@", "..@")));
    }
    assert_snapshot!(all.join("\n"));
}

//! Runs and tables in an object store, from outside: what is told of a store that refuses, by exit code, and that no secret is
//! told.
//! A stand-in answers as S3 does; `tests/object_store.sh` does whole runs against a server.
#![cfg(feature = "train")]

mod http;

use std::io::{BufReader, Write};
use std::net::TcpListener;
use std::process::Command;

use insta::assert_snapshot;

/// A store that answers as it is told to.
fn store(answer: impl Fn(&http::Request) -> String + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            if let Some(request) = http::read(BufReader::new(&stream)) {
                stream.write_all(answer(&request).as_bytes()).ok();
            }
        }
    });
    url
}

fn answer(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

fn refusal(status: u16, code: &str) -> String {
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>as ordered</Message></Error>");
    answer(status, &body)
}

/// A store that gives every request the same answer.
fn refusing(status: u16, code: &str) -> String {
    let refusal = refusal(status, code);
    store(move |_| refusal.clone())
}

/// A store that lists one object and answers to any other request in one way.
fn listing(status: u16, code: &str) -> String {
    let object = "<Key>t/a.parquet</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag>\
                  <Size>5</Size>";
    let listed =
        format!("<ListBucketResult><IsTruncated>false</IsTruncated><Contents>{object}</Contents></ListBucketResult>");
    let (listed, refusal) = (answer(200, &listed), refusal(status, code));
    store(move |request| match request.target.contains("list-type=2") {
        true => listed.clone(),
        // Only who names the object that was listed can be told that it is another by now.
        false if request.headers.get("if-match").map(String::as_str) == Some("\"e\"") => refusal.clone(),
        false => answer(500, "expected `If-Match`"),
    })
}

const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/configs/creditcard.yaml");
const KEYS: [(&str, &str); 3] =
    [("AWS_ACCESS_KEY_ID", "id-hidden"), ("AWS_SECRET_ACCESS_KEY", "hidden"), ("AWS_ALLOW_HTTP", "true")];

/// What `fraudml cell` says and how it ends.
fn told(url: &str, environment: &[(&str, &str)]) -> String {
    said(&["cell", "--run", url, "--shard", "0/1"], environment)
}

/// What `fraudml eda` says of a table, and how it ends.
fn told_of_table(url: &str, environment: &[(&str, &str)]) -> String {
    let table = format!("data.tables.0.path={url}");
    said(&["eda", "--config", CONFIG, "--set", &table], environment)
}

fn said(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let cache = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_fraudml"));
    for (name, _) in std::env::vars() {
        if ["AWS_", "GOOGLE_", "AZURE_"].iter().any(|of| name.starts_with(of)) {
            command.env_remove(name);
        }
    }
    command.args(arguments).arg("--no-progress").env("NO_COLOR", "1").current_dir(cache.path());
    command.env("FRAUDML_CACHE", cache.path()).env("TMPDIR", cache.path()).envs(environment.iter().copied());
    let output = command.output().expect("it runs");
    let text = String::from_utf8([output.stdout, output.stderr].concat()).expect("UTF-8");
    assert!(!text.contains("hidden"), "{text}");
    assert_eq!(std::fs::read_dir(cache.path()).expect("a folder").count(), 0, "something is left behind: {text}");
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

#[test]
fn what_a_store_refuses_of_a_table_is_told_by_exit_code() {
    let table = "s3://bucket/t/*.parquet";
    let with = |endpoint: &str| told_of_table(table, &[&KEYS[..], &[("AWS_ENDPOINT_URL", endpoint)]].concat());
    let mut all = Vec::new();
    for (status, code) in [(404, "NoSuchBucket"), (403, "AccessDenied")] {
        all.push(format!("# {status} {code}\n{}", with(&refusing(status, code))));
    }
    for (status, code) in [(412, "PreconditionFailed"), (404, "NoSuchKey"), (404, "NoSuchBucket")] {
        all.push(format!("# listed, then {status} {code}\n{}", with(&listing(status, code))));
    }
    let empty = store(|_| answer(200, "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"));
    all.push(format!("# nothing listed\n{}", with(&empty)));
    let away = "http://127.0.0.1:1";
    all.push(format!("# away\n{}", with(away)));
    all.push(format!("# no credentials\n{}", told_of_table(table, &[("AWS_METADATA_ENDPOINT", away), KEYS[2]])));
    for url in ["s3://id:hidden@bucket/x.csv", "s3://bucket/x.csv?sig=hidden", "s3://bucket", "https://bucket/x.csv"] {
        let shown = url.replace("id:hidden@", "..@").replace("hidden", "..");
        all.push(format!("# {shown}\n{}", told_of_table(url, &KEYS)));
    }
    let config = "configs/creditcard.yaml";
    assert_snapshot!(all.join("\n").replace(CONFIG, config));
}

//! What a Ray head is asked for: one package that it may have already, one job, a token; and what is told when it refuses.
//! A stand-in answers as Ray's Jobs REST API does; `tests/ray.sh` gives a grid to real ones.
#![cfg(feature = "train")]

mod http;
mod tool;

use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use http::Request;
use serde_json::{Value as Json, json};

const TOKEN: &str = "a-token-hidden";

#[derive(Default)]
struct Head {
    /// Without one it is open.
    token: Option<&'static str>,
    packages: Vec<String>,
    requests: Vec<Request>,
}

fn start(token: Option<&'static str>) -> (String, Arc<Mutex<Head>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let head = Arc::new(Mutex::new(Head { token, ..Head::default() }));
    let shared = Arc::clone(&head);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let head = Arc::clone(&shared);
            std::thread::spawn(move || while answer(&stream, &head).is_some() {});
        }
    });
    (url, head)
}

fn answer(mut stream: &TcpStream, head: &Mutex<Head>) -> Option<()> {
    let request = http::read(BufReader::new(stream))?;
    let mut head = head.lock().unwrap();
    let wanted = head.token.map(|token| format!("Bearer {token}"));
    let (status, body) = match (request.method.as_str(), request.target.as_str()) {
        _ if wanted.is_some() && request.headers.get("authorization") != wanted.as_ref() => (401, json!("no token")),
        ("GET", "/api/jobs/") => (200, json!([])),
        ("GET", package) if head.packages.iter().any(|known| known == package) => (200, json!({})),
        ("PUT", package) if package.starts_with("/api/packages/gcs/_ray_pkg_") => {
            head.packages.push(package.to_owned());
            (200, json!({}))
        }
        ("POST", "/api/jobs/") => (200, json!({ "job_id": "raysubmit_1", "submission_id": "raysubmit_1" })),
        _ => (404, json!("nothing")),
    };
    head.requests.push(request);
    let text = body.to_string();
    let head =
        format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", text.len());
    stream.write_all([head.as_bytes(), text.as_bytes()].concat().as_slice()).ok()
}

/// A planned run of a few rows.
fn planned() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let row = |at: usize| format!("{at},{},{}", usize::from(at.is_multiple_of(5)), at * 37 % 101);
    let rows = format!("id,fraud,a\n{}\n", (0..60).map(row).collect::<Vec<_>>().join("\n"));
    let config = "name: tiny\ndata: { tables: [ { path: d.csv } ], target: fraud, id: id }\nsplit: { folds: 2 }\n\
                  imbalance: [ raw ]\nmodels: { random-forest: { trees: 2 } }\n";
    write(&folder.path().join("d.csv"), &rows);
    write(&folder.path().join("c.yaml"), config);
    tool::ok(folder.path(), &["plan", "--config", "c.yaml", "--quiet"]);
    folder
}

#[expect(clippy::disallowed_methods, reason = "a test may leave half a file behind")]
fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("it can be written");
}

fn submit(folder: &Path, url: &str, token: Option<&str>) -> (i32, String) {
    let mut command = Command::new(tool::FRAUDML);
    command.args([
        "submit",
        "--run",
        "tiny",
        "--engine",
        "ray",
        "--shards",
        "3",
        "--cores",
        "1",
        "--address",
        url,
        "--go",
    ]);
    command.current_dir(folder).env("NO_COLOR", "1").env_remove("RAY_AUTH_TOKEN");
    let output = command.envs(token.map(|token| ("RAY_AUTH_TOKEN", token))).output().expect("it runs");
    let text = String::from_utf8([output.stdout, output.stderr].concat()).expect("UTF-8");
    assert!(!text.contains("hidden"), "{text}");
    (output.status.code().unwrap_or(-1), text)
}

#[test]
fn one_package_and_one_job_are_sent() {
    let (folder, (url, head)) = (planned(), start(Some(TOKEN)));
    for _ in 0..2 {
        let (code, told) = submit(folder.path(), &url, Some(TOKEN));
        assert!(code == 0 && told.contains("raysubmit_1") && !told.contains("from whoever"), "{told}");
    }
    let head = head.lock().unwrap();
    let lines: Vec<String> =
        head.requests.iter().map(|request| format!("{} {}", request.method, request.target)).collect();
    let package = &head.packages[0];
    let expected = [
        "GET /api/jobs/".to_owned(),
        format!("GET {package}"),
        format!("PUT {package}"),
        "POST /api/jobs/".to_owned(),
        "GET /api/jobs/".to_owned(),
        // The second time it is there.
        format!("GET {package}"),
        "POST /api/jobs/".to_owned(),
    ];
    assert_eq!(lines, expected);
    let zip = &head.requests[2].body;
    assert!(zip.starts_with(b"PK\x03\x04") && zip.len() > 1_000_000, "{} bytes", zip.len());
    let job: Json = serde_json::from_slice(&head.requests[3].body).unwrap();
    let name = package.trim_start_matches("/api/packages/gcs/");
    assert_eq!(job["runtime_env"], json!({ "working_dir": format!("gcs://{name}") }));
    let run = job["metadata"]["fraudml_run"].as_str().unwrap();
    let at = std::fs::canonicalize(folder.path().join("experiments").join(run)).unwrap();
    let entrypoint = job["entrypoint"].as_str().unwrap();
    assert!(entrypoint.starts_with(&format!("python driver.py '{}' 3 1 ", at.display())), "{entrypoint}");
}

#[test]
fn an_open_head_is_named_and_refusals_are_told_apart() {
    let folder = planned();
    let (url, _head) = start(None);
    let (code, told) = submit(folder.path(), &url, None);
    assert!(code == 0 && told.contains("takes jobs from whoever reaches it"), "{told}");
    let (url, _head) = start(Some(TOKEN));
    for token in [None, Some("another-hidden")] {
        let (code, told) = submit(folder.path(), &url, token);
        assert!(code == 2 && told.contains("wants a token"), "{told}");
    }
    let (code, told) = submit(folder.path(), "http://127.0.0.1:1", None);
    assert!(code == 75 && told.contains("no connection"), "{told}");
    let (code, told) = submit(folder.path(), "ray://127.0.0.1:1", None);
    assert!(code == 2 && told.contains("expected the address"), "{told}");
}

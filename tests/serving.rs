//! The runner's process against OpenWhisk's contract, over real sockets.
#![allow(clippy::disallowed_methods)]

mod tiny;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fraudml::serving::protocol::SENTINEL;

/// The runner as a process, its streams in files.
struct Runner {
    child: Child,
    address: SocketAddr,
    folder: PathBuf,
}

impl Runner {
    fn start(name: &str) -> Runner {
        let folder = tiny::written(name);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let stream = |name: &str| Stdio::from(std::fs::File::create(folder.join(name)).unwrap());
        let child = Command::new(env!("CARGO_BIN_EXE_fraudml-action"))
            .args(["--bundle".as_ref(), folder.as_os_str(), "--host=127.0.0.1".as_ref()])
            .env("PORT", port.to_string())
            .stdout(stream("stdout"))
            .stderr(stream("stderr"))
            .spawn()
            .unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(5), "the runner must listen at once");
            std::thread::sleep(Duration::from_millis(1));
        }
        Runner { child, address, folder }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    fn post(&self, path: &str, body: &str) -> (u16, String) {
        let mut stream = self.connect();
        stream.write_all(request(path, body, "close").as_bytes()).unwrap();
        let answer = response(&mut stream);
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "closed as asked");
        answer
    }

    fn sentinels(&self) -> [usize; 2] {
        ["stdout", "stderr"].map(|name| lines(&self.folder.join(name)).iter().filter(|line| *line == SENTINEL).count())
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap().success());
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

fn request(path: &str, body: &str, connection: &str) -> String {
    let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nConnection: {connection}");
    format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Reads one response by its Content-Length, which it must have.
fn response(stream: &mut TcpStream) -> (u16, String) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    assert!(!head.contains("transfer-encoding"), "{head}");
    let length = head.split("content-length: ").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    (head[9..12].parse().unwrap(), String::from_utf8(body).unwrap())
}

const GOOD: &str = r#"{"value":{"TransactionID":1,"amt":5}}"#;
const BAD: &str = r#"{"value":{"amt":"five"}}"#;

#[test]
fn the_runner_keeps_the_contract_over_sockets() {
    let runner = Runner::start("contract");
    assert_eq!(runner.post("/init", "{}").0, 200);
    assert_eq!(runner.sentinels(), [0, 0], "none after init");
    let good = runner.post("/run", GOOD);
    assert!(good.0 == 200 && good.1.contains("\"score\""));
    assert_eq!(runner.sentinels(), [1, 1], "in the log before the answer is complete");
    assert!(runner.post("/run", BAD).1.contains("\"field\":\"amt\""));
    assert_eq!(runner.post("/run", GOOD), good, "works after a bad record");
    assert_eq!(runner.post("/run", r#"{"value":"A"}"#).0, 404);
    assert_eq!(runner.sentinels(), [4, 4]);
    assert_eq!(runner.post("/init", "{}").0, 403);
    assert_eq!(runner.sentinels(), [4, 4], "none after a refused init");
    let printed = lines(&runner.folder.join("stderr"));
    assert_eq!(
        printed.iter().filter(|line| *line != SENTINEL).collect::<Vec<_>>(),
        ["Cannot initialize the action more than once."]
    );
    assert!(lines(&runner.folder.join("stdout")).iter().all(|line| line == SENTINEL));
}

#[test]
fn requests_may_come_in_pieces_one_after_another_or_together() {
    let runner = Runner::start("pieces");
    let mut stream = runner.connect();
    for _ in 0..2 {
        for piece in request("/run", GOOD, "keep-alive").as_bytes().chunks(7) {
            stream.write_all(piece).unwrap();
            stream.flush().unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(response(&mut stream).0, 200);
    }
    let two = request("/run", GOOD, "keep-alive").repeat(2);
    stream.write_all(two.as_bytes()).unwrap();
    assert_eq!(response(&mut stream), response(&mut stream));
    let mut old = runner.connect();
    old.write_all(format!("POST /run HTTP/1.0\r\nContent-Length: {}\r\n\r\n{GOOD}", GOOD.len()).as_bytes()).unwrap();
    assert_eq!(response(&mut old).0, 200);
    let mut chunked = runner.connect();
    let head = "POST /run HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    chunked.write_all(format!("{head}{:x}\r\n{GOOD}\r\n0\r\n\r\n", GOOD.len()).as_bytes()).unwrap();
    assert_eq!(response(&mut chunked).0, 200);
    assert_eq!(runner.sentinels(), [6, 6]);
}

#[test]
fn large_bodies_pass_and_too_large_ones_are_told_so() {
    let runner = Runner::start("large");
    let (status, body) = runner.post("/run", &format!(r#"{{"value":{{"amt":1,"arg":"{}"}}}}"#, "a".repeat(1_048_561)));
    assert!(status == 200 && body.contains("score"));
    let (status, body) = runner.post("/run", &"x".repeat(5 << 20));
    // 200, for any other status would cost OpenWhisk's warm container.
    assert!(status == 200 && body.contains("\"statusCode\":413") && body.contains("4 MiB"), "{body}");
    assert_eq!(runner.sentinels(), [2, 2]);
    assert_eq!(runner.post("/run", GOOD).0, 200);
}

#[test]
fn parallel_runs_have_their_own_answers_and_whole_sentinels() {
    let runner = Runner::start("parallel");
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let runner = &runner;
            scope.spawn(move || {
                for at in 0..10 {
                    let id = worker * 100 + at;
                    let (status, body) =
                        runner.post("/run", &format!(r#"{{"value":{{"TransactionID":{id},"amt":1}}}}"#));
                    assert!(status == 200 && body.contains(&format!(r#"{{"id":{id},"#)), "{body}");
                }
            });
        }
    });
    assert_eq!(runner.sentinels(), [80, 80]);
    assert_eq!(lines(&runner.folder.join("stdout")).len() + lines(&runner.folder.join("stderr")).len(), 160);
}

#[test]
fn signals_end_it_at_once() {
    for (signal, code) in [("-TERM", 0), ("-INT", 130)] {
        let mut runner = Runner::start(&format!("signal{signal}"));
        let _idle = runner.connect();
        let begun = Instant::now();
        runner.signal(signal);
        assert_eq!(runner.child.wait().unwrap().code(), Some(code));
        assert!(begun.elapsed() < Duration::from_secs(2));
    }
}

#[test]
fn usage_errors_exit_with_2() {
    for arguments in
        [&["--port", "x"][..], &["--stage", "niam"], &["--host", "localhost.invalid"], &["--what", "x"], &["--port"]]
    {
        let output = Command::new(env!("CARGO_BIN_EXE_fraudml-action")).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: "));
    }
}

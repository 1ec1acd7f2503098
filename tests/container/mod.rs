//! The action as something that listens: a process of the runner, or (with `FRAUDML_TEST_IMAGE`) a container of that image
//! under the invoker's own flags. Its tests hold for both.
#![allow(dead_code, clippy::disallowed_methods)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fraudml::serving::protocol::SENTINEL;

use super::tiny;

pub fn image() -> Option<String> {
    std::env::var("FRAUDML_TEST_IMAGE").ok().filter(|image| !image.is_empty())
}

pub struct Container {
    kind: Kind,
    pub address: SocketAddr,
    /// From the start of the process, or of `docker run`, until it listened.
    pub listening_after: Duration,
}

enum Kind {
    /// Its streams are files in the folder.
    Process {
        child: Child,
        folder: PathBuf,
    },
    Docker {
        id: String,
    },
}

impl Container {
    /// `name` is the test's own, `env` what the platform sets at the start.
    pub fn start(name: &str, env: &[(&str, &str)]) -> Container {
        let begun = Instant::now();
        let (kind, address) = match image() {
            Some(image) => docker_run(&image, env),
            None => process(name, env),
        };
        let mut container = Container { kind, address, listening_after: Duration::ZERO };
        while TcpStream::connect(address).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(15), "it must listen at once");
            std::thread::sleep(Duration::from_micros(200));
        }
        container.listening_after = begun.elapsed();
        container
    }

    pub fn is_process(&self) -> bool {
        matches!(self.kind, Kind::Process { .. })
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    }

    pub fn post(&self, path: &str, body: &str) -> (u16, String) {
        let mut stream = self.connect();
        stream.write_all(request("POST", path, body, "close").as_bytes()).unwrap();
        let (status, _, body) = response(&mut stream);
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "closed as asked");
        (status, body)
    }

    pub fn get(&self, path: &str) -> (u16, String, String) {
        let mut stream = self.connect();
        stream.write_all(request("GET", path, "", "close").as_bytes()).unwrap();
        response(&mut stream)
    }

    /// Standard output and standard error so far.
    pub fn streams(&self) -> [String; 2] {
        match &self.kind {
            Kind::Process { folder, .. } => {
                ["stdout", "stderr"].map(|name| std::fs::read_to_string(folder.join(name)).unwrap())
            }
            Kind::Docker { id } => {
                let output = Command::new("docker").args(["logs", id]).output().unwrap();
                [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap())
            }
        }
    }

    pub fn sentinels(&self) -> [usize; 2] {
        self.streams().map(|text| text.lines().filter(|line| *line == SENTINEL).count())
    }

    /// What was printed beside sentinels.
    pub fn printed(&self) -> [Vec<String>; 2] {
        self.streams().map(|text| text.lines().filter(|line| *line != SENTINEL).map(str::to_owned).collect())
    }

    pub fn signal(&self, name: &str) {
        match &self.kind {
            Kind::Process { child, .. } => {
                ok(Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]))
            }
            Kind::Docker { id } => ok(Command::new("docker").args(["kill", "-s", name, id])),
        };
    }

    /// Waits for the end; the exit code.
    pub fn ended(&mut self) -> Option<i32> {
        match &mut self.kind {
            Kind::Process { child, .. } => child.wait().unwrap().code(),
            Kind::Docker { id } => ok(Command::new("docker").args(["wait", id])).trim().parse().ok(),
        }
    }

    /// As the platform does with an idle container.
    pub fn pause(&self, paused: bool) {
        match &self.kind {
            Kind::Process { .. } => self.signal(if paused { "STOP" } else { "CONT" }),
            Kind::Docker { id } => {
                drop(ok(Command::new("docker").args([if paused { "pause" } else { "unpause" }, id])))
            }
        }
    }

    /// Resident bytes of the process.
    pub fn resident(&self) -> Option<u64> {
        let Kind::Process { child, .. } = &self.kind else { return None };
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", child.id())).ok()?;
        statm.split(' ').nth(1)?.parse::<u64>().ok().map(|pages| pages * 4096)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        match &mut self.kind {
            Kind::Process { child, .. } => {
                let _ = child.kill();
                let _ = child.wait();
            }
            Kind::Docker { id } => drop(Command::new("docker").args(["rm", "-f", id]).output()),
        }
    }
}

fn ok(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn process(name: &str, env: &[(&str, &str)]) -> (Kind, SocketAddr) {
    let folder = tiny::written(name);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let stream = |name: &str| Stdio::from(std::fs::File::create(folder.join(name)).unwrap());
    let child = Command::new(env!("CARGO_BIN_EXE_fraudml-action"))
        .args(["--bundle".as_ref(), folder.as_os_str(), "--host=127.0.0.1".as_ref()])
        .env("PORT", port.to_string())
        .envs(env.iter().copied())
        .stdout(stream("stdout"))
        .stderr(stream("stderr"))
        .spawn()
        .unwrap();
    (Kind::Process { child, folder }, SocketAddr::from(([127, 0, 0, 1], port)))
}

/// The flags are those of OpenWhisk's `DockerContainer.scala`, and a file system that nobody can write.
fn docker_run(image: &str, env: &[(&str, &str)]) -> (Kind, SocketAddr) {
    let flags = "run -d --cpu-shares 256 --memory 128m --memory-swap 128m --network bridge --cap-drop NET_RAW \
                 --cap-drop NET_ADMIN --ulimit nofile=1024:1024 --pids-limit 1024 --log-driver json-file --read-only";
    let env = env.iter().flat_map(|(name, value)| ["-e".to_owned(), format!("{name}={value}")]);
    let id = ok(Command::new("docker").args(flags.split_whitespace()).args(env).arg(image)).trim().to_owned();
    let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    let ip = ok(Command::new("docker").args(["inspect", "-f", format, &id]));
    (Kind::Docker { id }, SocketAddr::new(ip.trim().parse().unwrap(), 8080))
}

pub fn request(method: &str, path: &str, body: &str, connection: &str) -> String {
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nConnection: {connection}");
    format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Reads one response by its Content-Length, which it must have; status, head, body.
pub fn response(stream: &mut TcpStream) -> (u16, String, String) {
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
    let status = head[9..12].parse().unwrap();
    assert_ne!(status, 503, "it would mean `I am shutting down`");
    (status, head, String::from_utf8(body).unwrap())
}

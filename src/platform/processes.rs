//! The actions of a local platform: each a process of the runner, started when it is first needed, initialised once.
//!
//! In: the runner's bytes, a bundle folder. Out: answers of `/run`. The processes listen on loopback and end with the
//! value that owns them. What they write to standard error goes to a function, line by line, without sentinels.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::activation::{Outcome, Verdict, of_run};
use super::client::{Client, Reach};
use super::clock::epoch_ms;
use crate::scoring::stage::Stage;
use crate::serving::protocol::SENTINEL;
use crate::training::error::{Error, Result, io_reason};

/// Of `/init` and of `/run`, each.
pub const LIMIT_MS: u64 = 60_000;

const START_TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(1);

/// Where a line of an action's standard error goes: stage, line.
pub type Log = dyn Fn(Stage, &str) + Send + Sync;

/// A runner on disk and what it serves.
pub struct Program {
    /// Keeps the file.
    _folder: tempfile::TempDir,
    path: PathBuf,
    bundle: PathBuf,
    reasons: usize,
    log: Arc<Log>,
}

impl Program {
    pub fn new(runner: &[u8], bundle: &Path, reasons: usize, log: Arc<Log>) -> Result<Program> {
        let failed =
            |error: std::io::Error| Error::failed(format!("the runner can't be written: {}", io_reason(&error)));
        let folder = tempfile::Builder::new().prefix("fraudml-").tempdir().map_err(failed)?;
        let path = folder.path().join("fraudml-action");
        let write = || {
            let mut file = std::fs::OpenOptions::new().create_new(true).write(true).open(&path)?;
            file.write_all(runner)?;
            file.set_permissions(std::fs::Permissions::from_mode(0o755))
        };
        write().map_err(failed)?;
        let bundle = bundle.canonicalize().map_err(failed)?;
        Ok(Program { _folder: folder, path, bundle, reasons, log })
    }
}

/// One action.
pub struct Process {
    stage: Stage,
    running: Mutex<Option<Arc<Running>>>,
    client: Client,
}

struct Running {
    child: Mutex<Child>,
    address: SocketAddr,
}

impl Drop for Running {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// What `/run` came to.
pub struct Ran {
    pub outcome: Outcome,
    /// A cold start's milliseconds: process, `/init`.
    pub init_ms: Option<u64>,
}

impl Process {
    pub fn new(stage: Stage) -> Process {
        let client = Client::new(Reach::Loopback, Duration::from_millis(LIMIT_MS));
        Process { stage, running: Mutex::new(None), client }
    }

    /// Ends the process, whoever waits for it; the next run starts another.
    pub fn stop(&self) {
        if let Some(running) = self.running.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let mut child = running.child.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Runs the action on an input, from a cold start if need be.
    pub fn run(&self, program: &Program, context: &Json, value: &Json) -> Ran {
        let (running, init_ms) = match self.running(program, context) {
            Ok(running) => running,
            Err(outcome) => return Ran { outcome, init_ms: None },
        };
        let mut body = context.clone();
        body["value"] = value.clone();
        body["deadline"] = json!((epoch_ms() + LIMIT_MS).to_string());
        let url = format!("http://{}/run", running.address);
        let answer = self.client.post_json(&url, body.to_string().as_bytes());
        let outcome = of_run(answer.as_ref().map(|answer| (answer.status, answer.body.as_slice())), LIMIT_MS);
        if !outcome.keeps_container() {
            self.stop();
        }
        Ran { outcome, init_ms }
    }

    fn running(&self, program: &Program, context: &Json) -> std::result::Result<(Arc<Running>, Option<u64>), Outcome> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(warm) = running.as_ref() {
            let mut child = warm.child.lock().unwrap_or_else(PoisonError::into_inner);
            if matches!(child.try_wait(), Ok(None)) {
                return Ok((Arc::clone(warm), None));
            }
        }
        let begun = Instant::now();
        let started =
            start(program, self.stage).map_err(|error| Outcome::failed(Verdict::WhiskError, error.message))?;
        let env = json!({ "__OW_NAMESPACE": context["namespace"], "__OW_ACTION_NAME": context["action_name"] });
        let body = json!({ "value": { "name": self.stage.as_str(), "main": self.stage.as_str(), "binary": false, "env": env } });
        let url = format!("http://{}/init", started.address);
        match self.client.post_json(&url, body.to_string().as_bytes()) {
            Ok(answer) if answer.status == 200 => {}
            Ok(answer) => return Err(of_run(Ok((answer.status, &answer.body)), LIMIT_MS)),
            Err(_) => {
                let message = "The action did not initialize and exited unexpectedly.";
                return Err(Outcome::failed(Verdict::DeveloperError, message));
            }
        }
        let started = Arc::new(started);
        *running = Some(Arc::clone(&started));
        Ok((started, Some(begun.elapsed().as_millis() as u64)))
    }
}

/// Starts the runner on a free port and waits until it listens.
fn start(program: &Program, stage: Stage) -> Result<Running> {
    let failed = |error: std::io::Error| Error::failed(format!("the runner does not start: {}", io_reason(&error)));
    // Somebody else may take the port in between: then the child ends, and another port is tried.
    for _ in 0..3 {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let address = free.map_err(failed)?;
        let mut child = Command::new(&program.path)
            .args(["--host=127.0.0.1".into(), format!("--port={}", address.port())])
            .arg(format!("--reasons={}", program.reasons))
            .arg("--bundle")
            .arg(&program.bundle)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        if let Some(stderr) = child.stderr.take() {
            let log = Arc::clone(&program.log);
            std::thread::spawn(move || {
                let lines = BufReader::new(stderr).lines().map_while(std::result::Result::ok);
                lines.filter(|line| line != SENTINEL).for_each(|line| log(stage, &line));
            });
        }
        let begun = Instant::now();
        let mut running = Running { child: Mutex::new(child), address };
        while begun.elapsed() < START_TIMEOUT {
            if TcpStream::connect(address).is_ok() {
                return Ok(running);
            }
            let child = running.child.get_mut().unwrap_or_else(PoisonError::into_inner);
            if !matches!(child.try_wait(), Ok(None)) {
                break;
            }
            std::thread::sleep(POLL);
        }
    }
    Err(Error::failed("the runner does not listen").hint("what it said stands above"))
}

//! What can be called: a platform's actions, a runner of its own, an image under Docker; and how each is called.
//!
//! In: a URL or an image. Out: [`Call`]s by name (`transform`, `encode`, `predict`, `pipeline`, `score`), each of one or
//! more steps, where a step's answer is the next one's input.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::client::{Answer, Client, Fault, Reach};
use super::local::SCORE;
use crate::scoring::stage::Stage;
use crate::training::error::{Error, Result};

/// No answer takes longer: the platform gives up a blocking call after a minute.
const TIMEOUT: Duration = Duration::from_secs(65);

/// How long a container may take to listen.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Where OpenWhisk is, and who calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    pub url: String,
    /// `uuid:key`.
    pub auth: Option<String>,
}

/// One thing to call.
#[derive(Debug, Clone)]
pub struct Call {
    pub name: &'static str,
    steps: Vec<String>,
    /// Whether a step wants its input as `{"value": ..}`.
    wrapped: bool,
    auth: Option<String>,
    client: Client,
}

impl Call {
    /// Sends an input through all steps; `Err` is what went wrong in words.
    pub fn send(&self, input: &[u8]) -> std::result::Result<Vec<u8>, String> {
        let mut value = input.to_vec();
        for step in &self.steps {
            let answer = self.post(step, &value).map_err(|fault| format!("`{step}`: {fault}"))?;
            if answer.status != 200 || answer.body.starts_with(b"{\"error\"") {
                let text: String = answer.text().chars().take(300).collect();
                return Err(format!("`{step}`: answered {} {text}", answer.status));
            }
            value = answer.body;
        }
        Ok(value)
    }

    fn post(&self, url: &str, value: &[u8]) -> std::result::Result<Answer, Fault> {
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(self.auth.as_deref().map(|auth| ("authorization", auth)));
        let wrapped = if self.wrapped { [b"{\"value\":", value, b"}"].concat() } else { Vec::new() };
        self.client.send("POST", url, &headers, Some(if self.wrapped { &wrapped } else { value }))
    }
}

fn call(name: &'static str, steps: Vec<String>, wrapped: bool, auth: Option<String>, reach: Reach) -> Call {
    Call { name, steps, wrapped, auth, client: Client::new(reach, TIMEOUT) }
}

/// No proxy of the environment stands between this machine and itself.
pub fn reach_of(url: &str) -> Reach {
    let host = url.split("://").last().unwrap_or_default();
    match ["127.", "localhost", "[::1]"].iter().any(|local| host.starts_with(local)) {
        true => Reach::Loopback,
        false => Reach::Network,
    }
}

/// The actions, the fused one and the sequence of a package on a platform.
pub fn platform_calls(access: &Access, package: &str) -> Vec<Call> {
    let auth = access.auth.as_deref().map(basic);
    let url = access.url.trim_end_matches('/');
    let names = Stage::ALL.map(Stage::as_str).into_iter().chain([SCORE]);
    let calls = names.map(|name| {
        let step = format!("{url}/api/v1/namespaces/_/actions/{package}/{name}?blocking=true&result=true");
        call(name, vec![step], false, auth.clone(), reach_of(url))
    });
    calls.collect()
}

/// A runner that is asked directly; its stage is its own, `/score` is always the pipeline.
pub fn runner_calls(url: &str) -> Vec<Call> {
    vec![call("pipeline", vec![format!("{}/score", url.trim_end_matches('/'))], false, None, reach_of(url))]
}

/// Whether a URL is a runner's, not a platform's: it knows its bundle.
pub fn is_runner(url: &str) -> bool {
    let client = Client::new(reach_of(url), TIMEOUT);
    let health = client.get(&format!("{}/healthz", url.trim_end_matches('/')));
    health.is_ok_and(|answer| answer.json()["bundle"].is_string())
}

pub fn basic(auth: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(auth))
}

/// Containers of an image, one per stage, removed with the value.
pub struct Containers {
    ids: Vec<String>,
    urls: Vec<(Stage, String)>,
}

impl Drop for Containers {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "-f"]).args(&self.ids).output();
    }
}

impl Containers {
    pub fn none() -> Containers {
        Containers { ids: Vec::new(), urls: Vec::new() }
    }

    /// `docker run` with the invoker's flags to the first answer; its milliseconds.
    pub fn start(&mut self, image: &str, stage: Stage, input: &[u8]) -> Result<f64> {
        let begun = Instant::now();
        let flags = "-d --cpu-shares 256 --memory 256m --memory-swap 256m --cap-drop NET_RAW --cap-drop NET_ADMIN \
                     --ulimit nofile=1024:1024 --pids-limit 1024 --read-only -p 127.0.0.1:0:8080";
        let env = format!("FRAUDML_STAGE={}", stage.as_str());
        let started = docker(&["run"], flags.split_whitespace().chain(["-e", &env, image]))?;
        let id = started.trim().to_owned();
        self.ids.push(id.clone());
        let format = "{{(index (index .NetworkSettings.Ports \"8080/tcp\") 0).HostPort}}";
        let port = docker(&["inspect", "-f", format], [id.as_str()])?;
        let url = format!("http://127.0.0.1:{}", port.trim());
        let client = Client::new(Reach::Loopback, TIMEOUT);
        let body = json!({ "value": { "name": stage.as_str(), "main": stage.as_str(), "binary": false } }).to_string();
        while let Err(fault) = client.post_json(&format!("{url}/init"), body.as_bytes()) {
            if begun.elapsed() > START_TIMEOUT {
                return Err(Error::failed(format!("a container of `{image}` does not listen: {fault}")));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.urls.push((stage, url));
        self.call(stage.as_str(), &[stage]).send(input).map_err(Error::failed)?;
        Ok(begun.elapsed().as_secs_f64() * 1e3)
    }

    /// All stages alone, and the sequence.
    pub fn calls(&self) -> Vec<Call> {
        let one = |stage: Stage| self.call(stage.as_str(), &[stage]);
        let sequence = self.call(SCORE, &[Stage::Transform, Stage::Encode, Stage::Predict]);
        Stage::ALL.into_iter().map(one).chain([sequence]).collect()
    }

    fn call(&self, name: &'static str, stages: &[Stage]) -> Call {
        let url =
            |stage: &Stage| self.urls.iter().find(|(known, _)| known == stage).map(|(_, url)| format!("{url}/run"));
        call(name, stages.iter().filter_map(url).collect(), true, None, Reach::Loopback)
    }
}

fn docker<'a>(first: &[&'a str], rest: impl IntoIterator<Item = &'a str>) -> Result<String> {
    let output = Command::new("docker").args(first).args(rest).output();
    let output = output.map_err(|error| {
        Error::failed(format!("`docker` can't be run: {}", crate::training::error::io_reason(&error)))
            .hint("install Docker, or measure the local platform: leave out --image")
    })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Error::failed(format!("`docker {}`: {}", first.join(" "), said.trim())));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What each call is sent for a raw record: the answer of the stage before it.
pub fn input_of<'a>(name: &str, raw: &'a Json, transformed: &'a Json, encoded: &'a Json) -> &'a Json {
    match Stage::from_name(name) {
        Some(Stage::Encode) => transformed,
        Some(Stage::Predict) => encoded,
        _ => raw,
    }
}

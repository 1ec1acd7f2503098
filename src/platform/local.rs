//! OpenWhisk on this machine: four actions as processes, the sequence over three of them, REST, web actions, one route.
//!
//! In: requests as clients of OpenWhisk send them. Out: answers as the platform gives them, for what scoring needs:
//! invoke (blocking or not, `result=true`), list and get actions, activations, web actions, `POST /<package>/score`.
//! Any credentials are taken. Sequences: the result of a stage is the whole input of the next, and the first result with
//! a key `error` ends it (`SequenceActions.scala`). The last activations are kept. Limit: nothing can be deployed to it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde_json::{Value as Json, json};

use super::activation::{Activation, MAX_PAYLOAD_BYTES, Outcome, Verdict};
use super::clock::epoch_ms;
use super::processes::{LIMIT_MS, Process, Program, Ran};
use super::web::{self, Extension};
use crate::scoring::bundle::sha256_hex;
use crate::scoring::stage::Stage;
use crate::serving::protocol::{Asked, Reply};

pub const NAMESPACE: &str = "guest";
/// The sequence.
pub const SCORE: &str = "score";
const SEQUENCE: [Stage; 3] = [Stage::Transform, Stage::Encode, Stage::Predict];

/// Records that can still be asked for.
const KEPT: usize = 1000;

pub struct Platform {
    package: String,
    program: Program,
    processes: BTreeMap<Stage, Process>,
    history: Mutex<VecDeque<Activation>>,
    n_activations: AtomicU64,
}

/// What can be invoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Action(Stage),
    Sequence,
}

impl Target {
    fn name(self) -> &'static str {
        match self {
            Target::Action(stage) => stage.as_str(),
            Target::Sequence => SCORE,
        }
    }
}

impl Platform {
    pub fn new(package: String, program: Program) -> Platform {
        let processes = Stage::ALL.into_iter().map(|stage| (stage, Process::new(stage))).collect();
        Platform { package, program, processes, history: Mutex::default(), n_activations: AtomicU64::new(0) }
    }

    /// Ends all processes, so that the next invocations start cold.
    pub fn cool(&self) {
        self.processes.values().for_each(Process::stop);
    }

    pub fn reply(self: &Arc<Self>, asked: Asked) -> Reply {
        let (path, query) = asked.target.split_once('?').unwrap_or((asked.target, ""));
        let path = path.replace("%2F", "/").replace("%2f", "/");
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        match (asked.method, &parts[..]) {
            (_, ["api", "v1", "web", namespace, package, name, ..]) => {
                let rest = &path[path.find(name).map_or(0, |at| at + name.len())..];
                self.web(asked, namespace, package, name, rest)
            }
            ("GET", ["api", "v1", "namespaces"]) => Reply::new(200, json!([NAMESPACE]).to_string()),
            (method, ["api", "v1", "namespaces", namespace, rest @ ..]) if is_ours(namespace) => {
                self.rest(method, rest, query, asked.body)
            }
            ("GET" | "HEAD", ["healthz"]) => Reply::new(200, json!({ "status": "ok" }).to_string()),
            (_, [package, name]) if *package == self.package && *name == SCORE => {
                self.web(asked, NAMESPACE, package, "score.json", "")
            }
            _ => missing(),
        }
    }

    fn rest(self: &Arc<Self>, method: &str, parts: &[&str], query: &str, body: &[u8]) -> Reply {
        let ok = |json: Json| Reply::new(200, json.to_string());
        let targets = || Stage::ALL.map(Target::Action).into_iter().chain([Target::Sequence]);
        match (method, parts) {
            ("GET", ["actions"]) => ok(targets().map(|target| self.about(target)).collect()),
            ("GET", ["packages"]) => ok(json!([{ "namespace": NAMESPACE, "name": self.package, "publish": false }])),
            ("GET", ["activations"]) => ok(self.kept().iter().rev().map(|kept| kept.record(NAMESPACE)).collect()),
            ("GET", ["activations", id, what @ ..]) => {
                let Some(record) = self.kept().iter().find(|kept| kept.id == *id).map(|kept| kept.record(NAMESPACE))
                else {
                    return missing();
                };
                match what {
                    [] => ok(record),
                    ["result"] => ok(record["response"].clone()),
                    ["logs"] => ok(json!({ "logs": record["logs"] })),
                    _ => missing(),
                }
            }
            (method, ["actions", name @ ..]) => match (method, self.target(name)) {
                ("GET", Some(target)) => ok(self.about(target)),
                ("POST", Some(target)) => self.invoke_by_rest(target, query, body),
                (_, Some(_)) => refused(405, "the local platform runs one bundle: nothing can be deployed to it"),
                (_, None) => missing(),
            },
            _ => missing(),
        }
    }

    fn target(&self, name: &[&str]) -> Option<Target> {
        let [package, name] = name else { return None };
        let stage = Stage::from_name(name).map(Target::Action);
        stage.or((*name == SCORE).then_some(Target::Sequence)).filter(|_| *package == self.package)
    }

    fn about(&self, target: Target) -> Json {
        let component = |stage: Stage| format!("/{NAMESPACE}/{}/{}", self.package, stage.as_str());
        let exec = match target {
            Target::Action(stage) => json!({ "kind": "blackbox", "main": stage.as_str(), "binary": false }),
            Target::Sequence => json!({ "kind": "sequence", "components": SEQUENCE.map(component) }),
        };
        json!({
            "namespace": format!("{NAMESPACE}/{}", self.package),
            "name": target.name(),
            "version": "0.0.1",
            "publish": false,
            "exec": exec,
            "limits": { "timeout": LIMIT_MS, "memory": 256, "logs": 1, "concurrency": 1 },
            "annotations": [{ "key": "web-export", "value": target == Target::Sequence }],
        })
    }

    fn invoke_by_rest(self: &Arc<Self>, target: Target, query: &str, body: &[u8]) -> Reply {
        let is_on = |name: &str| query.split('&').any(|pair| pair == format!("{name}=true"));
        let input = match body.trim_ascii() {
            too_large if too_large.len() > MAX_PAYLOAD_BYTES => {
                let (found, limit) = (body.len(), MAX_PAYLOAD_BYTES);
                return refused(413, &format!("Request larger than allowed: {found} > {limit} bytes."));
            }
            b"" => json!({}),
            body => match serde_json::from_slice::<Json>(body) {
                Ok(input @ Json::Object(_)) => input,
                _ => return refused(400, "The request content was malformed:\nObject expected"),
            },
        };
        let id = self.new_id();
        if !is_on("blocking") {
            let (platform, own_id) = (Arc::clone(self), id.clone());
            std::thread::spawn(move || platform.invoke(target, own_id, input));
            return accepted(&id);
        }
        let begun = Instant::now();
        let activation = self.invoke(target, id.clone(), input);
        if begun.elapsed().as_millis() as u64 > LIMIT_MS {
            return accepted(&id);
        }
        let body = match is_on("result") {
            true => activation.outcome.result.clone(),
            false => activation.record(NAMESPACE),
        };
        named(Reply::new(activation.outcome.verdict.http_status(), body.to_string()), &id)
    }

    /// Of the sequence alone: a web-exported sequence needs no exported components.
    fn web(&self, asked: Asked, namespace: &str, package: &str, name: &str, rest: &str) -> Reply {
        let (name, extension) = match name.split_once('.') {
            None | Some((_, "http")) => (name.trim_end_matches(".http"), Extension::Http),
            Some((name, "json")) => (name, Extension::Json),
            Some(_) => return refused(406, "the local platform knows the extensions .json and .http"),
        };
        if !is_ours(namespace) || self.target(&[package, name]) != Some(Target::Sequence) {
            return missing();
        }
        let cross_origin = |reply: Reply| {
            let headers = [
                ("access-control-allow-origin", "*"),
                ("access-control-allow-methods", "OPTIONS, GET, DELETE, POST, PUT, HEAD, PATCH"),
                (
                    "access-control-allow-headers",
                    "Authorization, Origin, X-Requested-With, Content-Type, Accept, User-Agent",
                ),
            ];
            let headers = headers.into_iter().map(|(name, value)| (name, value.to_owned()));
            Reply { headers: reply.headers.iter().cloned().chain(headers).collect(), ..reply }
        };
        if asked.method == "OPTIONS" {
            return cross_origin(Reply::new(200, ""));
        }
        if asked.body.len() > MAX_PAYLOAD_BYTES {
            return cross_origin(refused(413, "Request larger than allowed."));
        }
        let id = self.new_id();
        let activation = self.invoke(Target::Sequence, id.clone(), web::input(asked, rest));
        cross_origin(named(web::reply(&activation.outcome, extension), &id))
    }

    fn invoke(&self, target: Target, id: String, input: Json) -> Activation {
        let activation = match target {
            Target::Action(stage) => self.run(stage, id, &input, None),
            Target::Sequence => self.run_sequence(id, input),
        };
        self.keep(activation.clone());
        activation
    }

    fn run(&self, stage: Stage, id: String, input: &Json, cause: Option<&str>) -> Activation {
        let action = format!("{}/{}", self.package, stage.as_str());
        let context = json!({
            "namespace": NAMESPACE,
            "action_name": format!("/{NAMESPACE}/{action}"),
            "action_version": "0.0.1",
            "activation_id": id,
            "transaction_id": id,
        });
        let start_ms = epoch_ms();
        let Ran { outcome, init_ms } = match self.processes.get(&stage) {
            Some(process) => process.run(&self.program, &context, input),
            None => Ran { outcome: Outcome::failed(Verdict::WhiskError, "no such action"), init_ms: None },
        };
        let (end_ms, cause) = (epoch_ms(), cause.map(str::to_owned));
        Activation { id, action, start_ms, end_ms, init_ms, wait_ms: 0, cause, components: Vec::new(), outcome }
    }

    fn run_sequence(&self, id: String, mut input: Json) -> Activation {
        let (start_ms, mut duration, mut components, mut init_ms) = (epoch_ms(), 0, Vec::new(), None);
        let mut outcome = Outcome { verdict: Verdict::Success, result: Json::Null };
        for stage in SEQUENCE {
            let ran = self.run(stage, self.new_id(), &input, Some(&id));
            duration += ran.end_ms.saturating_sub(ran.start_ms);
            components.push(ran.id.clone());
            init_ms = ran.init_ms.map(|ms| ms + init_ms.unwrap_or(0)).or(init_ms);
            outcome = ran.outcome.clone();
            self.keep(ran);
            if outcome.ends_sequence() {
                break;
            }
            input = outcome.result.clone();
        }
        let (action, end_ms) = (format!("{}/{SCORE}", self.package), start_ms + duration);
        Activation { id, action, start_ms, end_ms, init_ms, wait_ms: 0, cause: None, components, outcome }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, VecDeque<Activation>> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, activation: Activation) {
        let mut kept = self.kept();
        kept.push_back(activation);
        if kept.len() > KEPT {
            kept.pop_front();
        }
    }

    fn new_id(&self) -> String {
        let count = self.n_activations.fetch_add(1, Ordering::Relaxed);
        sha256_hex(format!("{} {} {count}", epoch_ms(), std::process::id()).as_bytes())[..32].to_owned()
    }
}

fn is_ours(namespace: &str) -> bool {
    namespace == "_" || namespace == NAMESPACE
}

fn refused(status: u16, message: &str) -> Reply {
    Reply::new(status, json!({ "error": message, "code": "local" }).to_string())
}

fn missing() -> Reply {
    refused(404, "The requested resource does not exist.")
}

fn accepted(id: &str) -> Reply {
    named(Reply::new(202, json!({ "activationId": id }).to_string()), id)
}

fn named(mut reply: Reply, id: &str) -> Reply {
    reply.headers.push(("x-openwhisk-activation-id", id.to_owned()));
    reply
}

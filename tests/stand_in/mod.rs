//! A small stand-in for OpenWhisk's REST API: entities that are put, got and deleted, with the refusals of the real one.
//!
//! Rules (apache/openwhisk, controller): an action needs its package, a sequence its components, a rule trigger and action; a
//! second PUT needs `overwrite=true`; a package that holds actions is not deleted. Faults can be ordered.
#![allow(dead_code, clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::http::{Request, read};

/// `uuid:key`, and the same in base64.
pub const AUTH: &str = "23bc46b1-71f6-4ed5-8c54-816aa4f8c502:secret";

/// What happens instead of an answer.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    Status(u16),
    /// Nothing comes for so long.
    Silence(Duration),
    /// The connection is closed.
    Cut,
}

#[derive(Default)]
pub struct State {
    /// `actions/pkg/name` and so on.
    pub entities: BTreeMap<String, Json>,
    /// `METHOD path`, of all requests.
    pub requests: Vec<String>,
    /// To the next requests whose line contains the text.
    pub faults: Vec<(String, Fault)>,
    pub limits: Json,
}

pub struct StandIn {
    pub url: String,
    pub state: Arc<Mutex<State>>,
}

impl StandIn {
    pub fn start() -> StandIn {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    pub fn on(listener: TcpListener) -> StandIn {
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || while answer(&stream, &state).is_some() {});
            }
        });
        StandIn { url, state }
    }

    pub fn names(&self) -> Vec<String> {
        self.state.lock().unwrap().entities.keys().cloned().collect()
    }

    pub fn entity(&self, name: &str) -> Json {
        self.state.lock().unwrap().entities.get(name).cloned().unwrap_or_default()
    }

    pub fn order(&self, line: &str, fault: Fault, times: usize) {
        self.state.lock().unwrap().faults.extend((0..times).map(|_| (line.to_owned(), fault)));
    }

    pub fn n_requests(&self, part: &str) -> usize {
        self.state.lock().unwrap().requests.iter().filter(|line| line.contains(part)).count()
    }
}

/// One request of a connection; `None` ends it.
fn answer(mut stream: &TcpStream, state: &Mutex<State>) -> Option<()> {
    let Request { method, target, headers, body } = read(BufReader::new(stream))?;
    let line = format!("{method} {target}");
    let fault = {
        let mut state = state.lock().unwrap();
        state.requests.push(line.clone());
        let at = state.faults.iter().position(|(part, _)| line.contains(part));
        at.map(|at| state.faults.remove(at).1)
    };
    let (status, json) = match fault {
        Some(Fault::Cut) => return None,
        Some(Fault::Silence(time)) => {
            std::thread::sleep(time);
            return None;
        }
        Some(Fault::Status(status)) => (status, json!({ "error": "ordered", "code": "1" })),
        None => respond(&method, &target, &headers, &body, &mut state.lock().unwrap()),
    };
    let text = json.to_string();
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: keep-alive\r\n\r\n",
        text.len()
    );
    stream.write_all([head.as_bytes(), text.as_bytes()].concat().as_slice()).ok()
}

fn respond(
    method: &str,
    target: &str,
    headers: &BTreeMap<String, String>,
    body: &[u8],
    state: &mut State,
) -> (u16, Json) {
    use base64::Engine as _;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = path.replace("%2F", "/");
    let refused = |status: u16, why: &str| (status, json!({ "error": why, "code": "x" }));
    if path == "/" {
        return (200, state.limits["host"].clone());
    }
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    if parts[..5.min(parts.len())] == ["api", "v1", "web", "whisk.system", "apimgmt"] {
        return route(method, parts.last().unwrap().trim_end_matches(".http"), query, body, state);
    }
    let expected = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(AUTH));
    if headers.get("authorization") != Some(&expected) {
        return refused(401, "The supplied authentication is invalid");
    }
    if body.len() > 50 << 20 {
        return refused(413, "The request content was too large");
    }
    match &parts[..] {
        ["api", "v1", "namespaces"] => (200, json!(["guest"])),
        ["api", "v1", "namespaces", _, "limits"] => (200, state.limits["own"].clone()),
        ["api", "v1", "namespaces", _, kind] => {
            let prefix = format!("{kind}/");
            (
                200,
                state
                    .entities
                    .iter()
                    .filter(|(name, _)| name.starts_with(&prefix))
                    .map(|(_, json)| json.clone())
                    .collect(),
            )
        }
        ["api", "v1", "namespaces", _, kind, name @ ..] => {
            let name = name.join("/");
            let key = format!("{kind}/{name}");
            match (method, state.entities.get(&key).cloned()) {
                ("PUT", found) => put(kind, &name, query.contains("overwrite=true"), found, body, state),
                (_, None) => refused(404, "The requested resource does not exist."),
                ("DELETE", Some(entity)) => {
                    let held = format!("actions/{name}/");
                    if *kind == "packages" && state.entities.keys().any(|name| name.starts_with(&held)) {
                        return refused(
                            409,
                            "Package not empty (contains 1 entity). Set force param or delete package contents.",
                        );
                    }
                    state.entities.remove(&key);
                    (200, entity)
                }
                ("POST", Some(_)) => (202, json!({ "activationId": "00000000000000000000000000000001" })),
                (_, Some(entity)) => (200, entity),
            }
        }
        _ => refused(404, "The requested resource does not exist."),
    }
}

fn put(kind: &str, name: &str, overwrite: bool, found: Option<Json>, body: &[u8], state: &mut State) -> (u16, Json) {
    let refused = |status: u16, why: &str| (status, json!({ "error": why, "code": "x" }));
    let Ok(Json::Object(mut entity)) = serde_json::from_slice::<Json>(body) else {
        return refused(400, "The request content was malformed:\nObject expected");
    };
    if found.is_some() && !overwrite {
        return refused(409, "resource already exists");
    }
    if let (true, Some((package, _))) = (kind == "actions", name.split_once('/'))
        && !state.entities.contains_key(&format!("packages/{package}"))
    {
        return refused(404, "The requested resource does not exist.");
    }
    let local = |path: &str| path.trim_start_matches("/_/").trim_start_matches("/guest/").to_owned();
    let exec = entity.get("exec").cloned().unwrap_or_default();
    for component in exec["components"].as_array().into_iter().flatten().filter_map(Json::as_str) {
        if !component.starts_with('/') || !state.entities.contains_key(&format!("actions/{}", local(component))) {
            return refused(400, "Sequence component does not exist.");
        }
    }
    if kind == "actions" && !exec["kind"].is_string() {
        return refused(400, "The request content was malformed:\n'kind' must be a string");
    }
    for (key, kind) in [("trigger", "triggers"), ("action", "actions")] {
        if let Some(target) = entity.get(key).and_then(Json::as_str)
            && !state.entities.contains_key(&format!("{kind}/{}", local(target)))
        {
            return refused(400, "trigger or action does not exist");
        }
    }
    let version = found.map_or(1, |found| found["number"].as_u64().unwrap_or(0) + 1);
    let package = name.split_once('/').map_or(String::new(), |(package, _)| format!("/{package}"));
    entity.insert("namespace".into(), json!(format!("guest{package}")));
    entity.insert("number".into(), json!(version));
    entity.insert("version".into(), json!(format!("0.0.{version}")));
    entity.insert("name".into(), json!(name.rsplit('/').next()));
    state.entities.insert(format!("{kind}/{name}"), Json::Object(entity.clone()));
    (200, Json::Object(entity))
}

/// The API gateway's management action.
fn route(method: &str, what: &str, query: &str, body: &[u8], state: &mut State) -> (u16, Json) {
    let base = query.split('&').find_map(|pair| pair.strip_prefix("basepath=")).unwrap_or_default().replace("%2F", "/");
    match (method, what) {
        ("POST", "createApi") => {
            let Ok(body) = serde_json::from_slice::<Json>(body) else { return (400, json!({ "error": "no JSON" })) };
            let doc = &body["apidoc"];
            let Some(base) = doc["gatewayBasePath"].as_str() else { return (400, json!({ "error": "no base path" })) };
            state.entities.insert(format!("routes{base}"), doc.clone());
            (200, json!({ "gwApiUrl": format!("http://gateway{base}"), "id": doc["id"] }))
        }
        ("GET", "getApi") => (200, json!({ "apis": [] })),
        ("DELETE", "deleteApi") => match state.entities.remove(&format!("routes{base}")) {
            Some(_) => (200, json!({})),
            None => (404, json!({ "error": "API not found" })),
        },
        _ => (404, json!({ "error": "no such route" })),
    }
}

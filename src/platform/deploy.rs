//! Deploys a package through OpenWhisk's REST API: package, actions, sequence, web export, route; and takes it down again.
//!
//! In: what is deployed and where. Out: one line per step, or an error that says what to do. Every step may be repeated:
//! entities are overwritten, and what is gone already counts as taken down. Busy and absent hosts are tried again, with
//! growing waits. Sources: OpenWhisk's `docs/rest_api.md`, controller `Actions.scala`, `apimgmt` as its clients call it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value as Json, json};

use super::client::{Answer, Client, Fault, Reach};
use super::local::SCORE;
use super::target::{Access, basic};
use crate::scoring::stage::Stage;
use crate::training::error::{Error, Result};
use crate::training::package::openwhisk::TIMEOUT_MS;

const TIMEOUT: Duration = Duration::from_secs(60);

/// Waits before another attempt.
const WAITS: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(5)];

/// The longest that a host may ask us to wait.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// What the actions run.
#[derive(Debug, Clone, PartialEq)]
pub enum Code {
    Image(String),
    /// A zip per stage, and the kind of the stock runtime.
    Zips {
        kind: String,
        zips: Vec<(Stage, Vec<u8>)>,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Deployment {
    pub package: String,
    pub code: Code,
    pub memory_mb: u32,
    pub trigger: Option<String>,
    /// Whether the API gateway gets a route `/<package>/score`.
    pub with_route: bool,
}

/// One request and what it is for.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub what: String,
    pub method: &'static str,
    /// Below the API host.
    pub path: String,
    pub body: Option<Json>,
}

impl Step {
    fn new(what: impl Into<String>, method: &'static str, path: impl Into<String>, body: Option<Json>) -> Step {
        Step { what: what.into(), method, path: path.into(), body }
    }

    /// For people: the request without the code in it.
    pub fn shown(&self) -> Json {
        let mut body = self.body.clone().unwrap_or_default();
        if let Some(code) = body.pointer_mut("/exec/code") {
            *code = json!(format!("<{} bytes of base64>", code.as_str().map_or(0, str::len)));
        }
        if let Some(key) = body.pointer_mut("/apidoc/action/authkey") {
            *key = json!("<the key>");
        }
        json!({ "what": self.what, "method": self.method, "path": self.path, "body": body })
    }
}

/// The steps that deploy; `namespace` is the key's own, `access` is named in the route.
pub fn deploy_steps(deployment: &Deployment, namespace: &str, access: &Access) -> Vec<Step> {
    let Deployment { package, memory_mb, .. } = deployment;
    let entity = |kind: &str, name: &str| format!("/api/v1/namespaces/_/{kind}/{name}?overwrite=true");
    let mut steps = vec![Step::new(
        format!("package {package}"),
        "PUT",
        entity("packages", package),
        Some(json!({ "namespace": "_", "name": package })),
    )];
    for stage in Stage::ALL {
        let name = stage.as_str();
        let exec = match &deployment.code {
            Code::Image(image) => json!({ "kind": "blackbox", "image": image, "main": name }),
            Code::Zips { kind, zips } => {
                let zip = zips.iter().find(|(of, _)| *of == stage).map(|(_, zip)| zip.as_slice());
                json!({ "kind": kind, "code": BASE64.encode(zip.unwrap_or_default()), "binary": true })
            }
        };
        let body = json!({
            "namespace": "_",
            "name": name,
            "exec": exec,
            "limits": { "timeout": TIMEOUT_MS, "memory": memory_mb, "logs": 1, "concurrency": 1 },
            "annotations": [{ "key": "provide-api-key", "value": false }],
        });
        steps.push(Step::new(
            format!("action {package}/{name}"),
            "PUT",
            entity("actions", &format!("{package}/{name}")),
            Some(body),
        ));
    }
    let components = ["transform", "encode", "predict"].map(|stage| format!("/_/{package}/{stage}"));
    let body = json!({
        "namespace": "_",
        "name": SCORE,
        "exec": { "kind": "sequence", "components": components },
        "annotations": [
            { "key": "web-export", "value": true },
            { "key": "raw-http", "value": false },
            { "key": "final", "value": true },
        ],
    });
    let sequence = format!("{package}/{SCORE}");
    steps.push(Step::new(format!("sequence {sequence}"), "PUT", entity("actions", &sequence), Some(body)));
    if let Some(trigger) = &deployment.trigger {
        let rule = rule(package, trigger);
        let body = json!({ "namespace": "_", "name": trigger });
        steps.push(Step::new(format!("trigger {trigger}"), "PUT", entity("triggers", trigger), Some(body)));
        let body = json!({
            "namespace": "_",
            "name": rule,
            "status": "active",
            "trigger": format!("/_/{trigger}"),
            "action": format!("/_/{sequence}"),
        });
        steps.push(Step::new(format!("rule {rule}"), "PUT", entity("rules", &rule), Some(body)));
    }
    if deployment.with_route {
        steps.push(route(package, namespace, access));
    }
    steps
}

/// The API gateway's route, as `wsk api create` and the npm client ask for it.
fn route(package: &str, namespace: &str, access: &Access) -> Step {
    let url = access.url.trim_end_matches('/');
    let key = access.auth.clone().unwrap_or_default();
    let user = key.split(':').next().unwrap_or_default();
    let path = format!(
        "/api/v1/web/whisk.system/apimgmt/createApi?responsetype=json&accesstoken=DUMMY+TOKEN&spaceguid={user}"
    );
    let body = json!({ "apidoc": {
        "namespace": namespace,
        "gatewayBasePath": format!("/{package}"),
        "gatewayPath": format!("/{SCORE}"),
        "gatewayMethod": "POST",
        "id": format!("API:{namespace}:/{package}"),
        "apiName": package,
        "action": {
            "name": format!("{package}/{SCORE}"),
            "namespace": namespace,
            "backendMethod": "POST",
            "backendUrl": format!("{url}/api/v1/web/{namespace}/{package}/{SCORE}.json"),
            "authkey": key,
        },
    } });
    Step::new(format!("route POST /{package}/{SCORE}"), "POST", path, Some(body))
}

fn rule(package: &str, trigger: &str) -> String {
    format!("{package}-{trigger}")
}

/// The steps that take it down, in the order in which nothing hangs loose.
pub fn undeploy_steps(package: &str, trigger: Option<&str>, with_route: bool, access: &Access) -> Vec<Step> {
    let entity = |kind: &str, name: &str| format!("/api/v1/namespaces/_/{kind}/{name}");
    let mut steps = Vec::new();
    if with_route {
        let user = access.auth.as_deref().unwrap_or_default().split(':').next().unwrap_or_default();
        let path = format!(
            "/api/v1/web/whisk.system/apimgmt/deleteApi?responsetype=json&accesstoken=DUMMY+TOKEN&spaceguid={user}\
             &basepath=/{package}&relpath=/{SCORE}&operation=POST&force=true"
        );
        steps.push(Step::new(format!("route POST /{package}/{SCORE}"), "DELETE", path, None));
    }
    if let Some(trigger) = trigger {
        let rule = rule(package, trigger);
        steps.push(Step::new(format!("rule {rule}"), "DELETE", entity("rules", &rule), None));
        steps.push(Step::new(format!("trigger {trigger}"), "DELETE", entity("triggers", trigger), None));
    }
    for name in [SCORE].into_iter().chain(Stage::ALL.map(Stage::as_str)) {
        let name = format!("{package}/{name}");
        steps.push(Step::new(format!("action {name}"), "DELETE", entity("actions", &name), None));
    }
    steps.push(Step::new(format!("package {package}"), "DELETE", entity("packages", package), None));
    steps
}

/// An API host, and how patient we are with it.
pub struct Host {
    access: Access,
    client: Client,
    waits: Vec<Duration>,
}

impl Host {
    pub fn new(access: Access, insecure: bool) -> Host {
        let reach = if insecure { Reach::Insecure } else { super::target::reach_of(&access.url) };
        Host { access, client: Client::new(reach, TIMEOUT), waits: WAITS.to_vec() }
    }

    /// The same with other waits between attempts.
    pub fn with_waits(self, waits: Vec<Duration>, timeout: Duration) -> Host {
        Host { waits, client: Client::new(super::target::reach_of(&self.access.url), timeout), ..self }
    }

    /// The namespace of the key; the first question, so that a wrong host or key is told before anything is changed.
    pub fn namespace(&self) -> Result<String> {
        let answer = self.ask("GET", "/api/v1/namespaces", None)?;
        self.checked("the namespace", &answer)?;
        let namespaces = answer.json();
        namespaces[0].as_str().map(str::to_owned).ok_or_else(|| {
            Error::permanent(format!("`{}` does not answer as OpenWhisk does", self.access.url))
                .hint("name the API host: `wsk property get --apihost` shows it")
        })
    }

    /// What would be refused later is refused now: memory, time limit, kind, by the host's and the namespace's limits.
    pub fn check_limits(&self, deployment: &Deployment) -> Result<()> {
        // Hosts of old know one of the two or none: what is not said is not a limit.
        let host = self.ask("GET", "/", None).map(|answer| answer.json()).unwrap_or_default();
        let own = self.ask("GET", "/api/v1/namespaces/_/limits", None).map(|answer| answer.json()).unwrap_or_default();
        let megabytes = |value: &Json| value.as_u64().map(|value| if value > 1 << 20 { value >> 20 } else { value });
        let memory = u64::from(deployment.memory_mb);
        let most = [megabytes(&own["maxActionMemory"]), megabytes(&host["limits"]["max_action_memory"])];
        if let Some(most) = most.into_iter().flatten().min().filter(|&most| memory > most) {
            return Err(Error::permanent(format!("the actions need {memory} MB, the limit there is {most} MB"))
                .hint("ask the operator for more, or make the model smaller: `limits.max_model_mb`"));
        }
        let most = host["limits"]["max_action_duration"].as_u64();
        if let Some(most) = most.filter(|&most| u64::from(TIMEOUT_MS) > most) {
            return Err(Error::permanent(format!(
                "the actions' time limit is {TIMEOUT_MS} ms, the limit there {most} ms"
            )));
        }
        let kind = match &deployment.code {
            Code::Image(_) => "blackbox",
            Code::Zips { kind, .. } => kind,
        };
        let allowed = own["allowedKinds"].as_array().filter(|kinds| !kinds.is_empty());
        if let Some(allowed) = allowed.filter(|kinds| !kinds.iter().any(|allowed| allowed == kind)) {
            let names: Vec<&str> = allowed.iter().filter_map(Json::as_str).collect();
            let message = format!("kind `{kind}` is not allowed in this namespace: {}", names.join(", "));
            return Err(Error::permanent(message).hint("choose another with `--zip KIND`"));
        }
        let sequence = own["maxSequenceLength"].as_u64().or(host["limits"]["sequence_length"].as_u64());
        match sequence.filter(|&most| most < 3) {
            Some(most) => Err(Error::permanent(format!("the sequence has 3 actions, the limit there is {most}"))),
            None => Ok(()),
        }
    }

    /// One step of deploying; the version that the entity has now, if it has one.
    pub fn put(&self, step: &Step) -> Result<Option<String>> {
        let answer = self.ask(step.method, &step.path, step.body.as_ref())?;
        self.checked(&step.what, &answer)?;
        Ok(answer.json()["version"].as_str().map(str::to_owned))
    }

    /// One step of taking down; whether anything was there.
    pub fn delete(&self, step: &Step) -> Result<bool> {
        let answer = self.ask(step.method, &step.path, step.body.as_ref())?;
        if answer.status == 404 {
            return Ok(false);
        }
        self.checked(&step.what, &answer)?;
        Ok(true)
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Json>) -> Result<Answer> {
        let url = format!("{}{path}", self.access.url.trim_end_matches('/'));
        let auth = self.access.auth.as_deref().map(basic);
        let mut headers: Vec<(&str, &str)> = auth.as_deref().map(|auth| ("authorization", auth)).into_iter().collect();
        headers.extend(body.map(|_| ("content-type", "application/json")));
        let text = body.map(Json::to_string);
        for wait in self.waits.iter().map(Some).chain([None]) {
            let answer = self.client.send(method, &url, &headers, text.as_deref().map(str::as_bytes));
            match (answer, wait) {
                (Ok(answer), Some(&wait)) if matches!(answer.status, 429 | 502..=504) => {
                    let asked = answer.header("retry-after").and_then(|seconds| seconds.parse().ok());
                    std::thread::sleep(asked.map_or(wait, Duration::from_secs).min(MAX_WAIT));
                }
                (Ok(answer), _) => return Ok(answer),
                (Err(fault), Some(&wait)) if fault.is_transient() => std::thread::sleep(wait),
                (Err(fault), _) => return Err(self.fault(&fault)),
            }
        }
        Err(self.fault(&Fault::TimedOut))
    }

    fn fault(&self, fault: &Fault) -> Error {
        let message = format!("`{}`: {fault}", self.access.url);
        match fault.is_transient() {
            true => Error::transient(message).hint("is that the API host, and is it up? every step may be repeated"),
            false => Error::permanent(message),
        }
    }

    fn checked(&self, what: &str, answer: &Answer) -> Result<()> {
        if answer.is_success() {
            return Ok(());
        }
        let said = answer.json();
        let said = said["error"].as_str().map_or_else(|| answer.text().chars().take(300).collect(), str::to_owned);
        let message = format!("{what}: `{}` answered {}: {}", self.access.url, answer.status, said.trim());
        Err(match answer.status {
            401 => Error::permanent(message).hint("the key is not known there: OW_AUTH, ~/.wskprops or --auth-file"),
            403 => Error::permanent(message).hint("the key may not do that there"),
            404 => Error::permanent(message).hint("an entity it needs is missing, or the API gateway is: `--no-route`"),
            409 => Error::permanent(message)
                .hint("something else has that name, or somebody deploys at the same time: choose another --package, or run it again"),
            413 => Error::permanent(message).hint("the code is above the platform's limit of 48 MB as text: deploy the image"),
            429 => Error::transient(message).hint("the namespace's limit of requests a minute is reached: run it again later"),
            408 | 500.. => Error::transient(message).hint("run it again: every step may be repeated"),
            _ => Error::permanent(message),
        })
    }
}

//! OpenWhisk's action contract without the sockets: a request in, a reply and what to print out.
//!
//! `POST /init` loads the bundle and picks the stage, `POST /run` answers with it; `POST /score` (the pipeline for plain
//! HTTP clients) and `GET /healthz` stand beside them. Wrong data is answered 200 with `{"error": ..}`, because the
//! platform destroys the container of anything else; 503 would mean "shutting down" and is never used. Whoever sends a
//! reply of `/run` prints [`SENTINEL`] on both streams first.

use std::sync::{Mutex, OnceLock, PoisonError};

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value as Json, json};

use super::stage::{Failure, Stage};
use crate::scoring::error::ScoringError;
use crate::scoring::scorer::Scorer;

/// The line that ends an activation's log.
pub const SENTINEL: &str = "XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX";

/// The platform's payload limit and room for the envelope around it.
pub const MAX_BODY_BYTES: usize = 4 << 20;

const INIT_TWICE: &str = "Cannot initialize the action more than once.";
const NOT_AN_OBJECT: &str = "The action did not receive a dictionary or array as an argument.";

/// What to send, and what to print before it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    /// Always JSON.
    pub body: String,
    /// A line for standard error; never anything out of a record.
    pub log: Option<String>,
    /// Whether an activation ended: the sentinel goes to both streams.
    pub ends_activation: bool,
}

impl Reply {
    fn new(status: u16, body: impl Into<String>) -> Reply {
        Reply { status, body: body.into(), log: None, ends_activation: false }
    }

    fn refused(status: u16, message: &str) -> Reply {
        Reply::new(status, json!({ "error": message }).to_string())
    }

    fn logged(mut self, line: impl Into<String>) -> Reply {
        self.log = Some(line.into());
        self
    }

    /// A refusal that never looked at the body: too large, too slow, broken.
    pub fn unread(path: &str, status: u16, message: &str) -> Reply {
        let error = ScoringError::new(message);
        match path {
            // Anything but 200 would cost OpenWhisk's warm container; the error says the status.
            "/run" => Reply { ends_activation: true, ..Reply::new(200, Failure { status, error }.to_json()) },
            _ => Reply::refused(status, message),
        }
    }
}

type Load = dyn Fn() -> Result<Scorer, ScoringError> + Send + Sync;

/// One action: a bundle that is loaded when it is first needed, and a stage.
pub struct Action {
    load: Box<Load>,
    scorer: OnceLock<Result<Scorer, ScoringError>>,
    /// The stage of the environment or the command line.
    preset: Option<Stage>,
    initialised: Mutex<Option<Init>>,
}

/// What a successful `/init` said about the stage.
#[derive(Debug, Clone, Copy, Default)]
struct Init {
    main: Option<Stage>,
    action: Option<Stage>,
}

#[derive(Deserialize, Default)]
struct InitBody {
    #[serde(default)]
    value: Json,
}

/// All else in the request (deadline, ids, keys) is context that scoring has no use for.
#[derive(Deserialize, Default)]
struct RunBody<'a> {
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    #[serde(default)]
    action_name: Json,
}

impl Action {
    pub fn new(
        preset: Option<Stage>,
        load: impl Fn() -> Result<Scorer, ScoringError> + Send + Sync + 'static,
    ) -> Action {
        Action { load: Box::new(load), scorer: OnceLock::new(), preset, initialised: Mutex::new(None) }
    }

    pub fn reply(&self, method: &str, path: &str, body: &[u8]) -> Reply {
        match (method, path) {
            ("POST", "/init") => self.init(body),
            ("POST", "/run") => Reply { ends_activation: true, ..self.run(body) },
            ("POST", "/score") => self.score(body),
            ("GET" | "HEAD", "/healthz") => self.health(),
            (_, "/init" | "/run" | "/score" | "/healthz") => Reply::refused(405, "method not allowed"),
            _ => Reply::refused(404, "no such path: expected `/init`, `/run`, `/score` or `/healthz`"),
        }
    }

    fn init(&self, body: &[u8]) -> Reply {
        let mut initialised = self.initialised.lock().unwrap_or_else(PoisonError::into_inner);
        if initialised.is_some() {
            return Reply::refused(403, INIT_TWICE).logged(INIT_TWICE);
        }
        let Ok(body) = object::<InitBody>(body) else {
            return Reply::refused(400, "the body of `/init` is not a JSON object");
        };
        let text = |pointer: &str| body.value.pointer(pointer).and_then(Json::as_str).unwrap_or_default();
        let main = match Stage::named(text("/main")) {
            Ok(main) => main,
            Err(error) => return Reply::refused(400, &error.message),
        };
        if let Err(error) = self.scorer() {
            return broken(error);
        }
        *initialised = Some(Init { main, action: Stage::of_action(text("/env/__OW_ACTION_NAME")) });
        Reply::new(200, "{\"ok\":true}")
    }

    /// Also serves an action that was never initialised: a plain `docker run` needs no ceremony.
    fn run(&self, body: &[u8]) -> Reply {
        let Ok(body) = object::<RunBody>(body) else {
            return Reply::refused(400, "the body of `/run` is not a JSON object");
        };
        let value = body.value.map_or("{}", RawValue::get);
        let value = if value == "null" { "{}" } else { value };
        if !value.starts_with(['{', '[']) {
            return Reply::refused(404, NOT_AN_OBJECT);
        }
        let stage = self.stage(body.action_name.as_str().unwrap_or_default());
        match self.scorer() {
            Err(error) => broken(error),
            Ok(scorer) => match stage.answer(scorer, value) {
                Ok(answer) => Reply::new(200, answer),
                Err(failure) => Reply::new(200, failure.to_json()),
            },
        }
    }

    /// `main` of `/init`, else the environment, else the action's own name, else the pipeline.
    fn stage(&self, action_name: &str) -> Stage {
        let init = self.initialised.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or_default();
        let named = init.main.or(self.preset).or(init.action);
        named.or_else(|| Stage::of_action(action_name)).unwrap_or(Stage::Pipeline)
    }

    fn score(&self, body: &[u8]) -> Reply {
        let value = std::str::from_utf8(body).unwrap_or_default().trim();
        if !value.starts_with(['{', '[']) {
            return Reply::refused(400, "the body of `/score` is not a JSON object or array");
        }
        match self.scorer() {
            Err(error) => broken(error),
            Ok(scorer) => match Stage::Pipeline.answer(scorer, value) {
                Ok(answer) => Reply::new(200, answer),
                Err(failure) => Reply::new(failure.status, failure.to_json()),
            },
        }
    }

    /// Loads what is not loaded yet, so that whoever waits for health finds the first request warm.
    fn health(&self) -> Reply {
        match self.scorer() {
            Err(error) => broken(error),
            Ok(scorer) => {
                let manifest = &scorer.bundle().manifest;
                Reply::new(200, json!({ "status": "ok", "bundle": manifest.id, "model": manifest.model }).to_string())
            }
        }
    }

    /// The loaded bundle; whoever comes first loads it, the others wait.
    fn scorer(&self) -> Result<&Scorer, &ScoringError> {
        self.scorer.get_or_init(|| (self.load)()).as_ref()
    }
}

/// The image itself is unusable: 502, as the platform's own runtimes answer it.
fn broken(error: &ScoringError) -> Reply {
    let hint = error.hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
    Reply::refused(502, &error.message).logged(format!("error: {}{hint}", error.message))
}

/// Reads a request's body; an empty one and `null` count as `{}`. Serde would take an array for a struct too.
fn object<'a, T: Deserialize<'a> + Default>(body: &'a [u8]) -> Result<T, ()> {
    match body.trim_ascii() {
        b"" | b"null" => Ok(T::default()),
        body if body.starts_with(b"{") => serde_json::from_slice(body).map_err(drop),
        _ => Err(()),
    }
}

//! OpenWhisk's action contract without the sockets: a request in, a reply and what to print out.
//!
//! `POST /init` loads the bundle and picks the stage, `POST /run` answers with it; `POST /score` (the pipeline for plain
//! HTTP clients), `GET /healthz`, `/metrics` and `/schema` stand beside them. Wrong data is answered 200 with `{"error": ..}`, because the
//! platform destroys the container of anything else; 503 would mean "shutting down" and is never used. Whoever sends a
//! reply of `/run` prints [`SENTINEL`] on both streams first.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value as Json, json};

use super::metrics::Metrics;
use super::stage::{Answer, Failure, Stage, Tally, Wishes};
use super::web::CORRELATION_HEADERS;
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
    pub body: String,
    pub content_type: &'static str,
    pub headers: Vec<(&'static str, String)>,
    /// A line for standard error; never anything out of a record.
    pub log: Option<String>,
    /// Whether an activation ended: the sentinel goes to both streams.
    pub ends_activation: bool,
}

impl Reply {
    /// A body of JSON.
    pub fn new(status: u16, body: impl Into<String>) -> Reply {
        Reply {
            status,
            body: body.into(),
            content_type: "application/json",
            headers: Vec::new(),
            log: None,
            ends_activation: false,
        }
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
        match path {
            // Anything but 200 would cost OpenWhisk's warm container; the error says the status.
            "/run" => Reply { ends_activation: true, ..Reply::new(200, Failure::of(status, message).to_json()) },
            _ => Reply::refused(status, message),
        }
    }
}

type Load = dyn Fn() -> Result<Scorer, ScoringError> + Send + Sync;

/// One action: a bundle that is loaded when it is first needed, and a stage.
pub struct Action {
    load: Box<Load>,
    scorer: OnceLock<Result<Scorer, ScoringError>>,
    /// What the environment or the command line says.
    preset: Preset,
    initialised: Mutex<Option<Init>>,
    metrics: Metrics,
}

/// What is settled before any request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Preset {
    pub stage: Option<Stage>,
    /// Reasons per score, at most.
    pub reasons: usize,
}

/// More reasons than this are nobody's wish.
pub const MAX_REASONS: usize = 100;

/// How many reasons somebody asked for; empty is none.
pub fn reasons_named(text: &str) -> Result<usize, String> {
    match text.trim() {
        "" => Ok(0),
        text => text
            .parse()
            .ok()
            .filter(|&reasons| reasons <= MAX_REASONS)
            .ok_or_else(|| format!("reasons: expected a number up to {MAX_REASONS}, found `{text:.60}`")),
    }
}

/// A request that was read whole.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    pub method: &'a str,
    /// Path, and query if there is one.
    pub target: &'a str,
    pub headers: Headers<'a>,
    pub body: &'a [u8],
}

/// A request's headers by lower-case name; what is not text is left out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Headers<'a>(pub Option<&'a hyper::HeaderMap>);

impl<'a> Headers<'a> {
    pub fn get(self, name: &str) -> Option<&'a str> {
        self.0?.get(name)?.to_str().ok()
    }

    pub fn all(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.into_iter().flatten().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
    }
}

/// What a successful `/init` said.
#[derive(Debug, Clone, Copy, Default)]
struct Init {
    main: Option<Stage>,
    action: Option<Stage>,
    reasons: Option<usize>,
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
        Self::with_preset(Preset { stage: preset, reasons: 0 }, load)
    }

    pub fn with_preset(
        preset: Preset,
        load: impl Fn() -> Result<Scorer, ScoringError> + Send + Sync + 'static,
    ) -> Action {
        let (scorer, initialised, metrics) = (OnceLock::new(), Mutex::new(None), Metrics::default());
        Action { load: Box::new(load), scorer, preset, initialised, metrics }
    }

    /// A request without headers that matter.
    pub fn reply(&self, method: &str, target: &str, body: &[u8]) -> Reply {
        self.answer(Asked { method, target, headers: Headers::default(), body })
    }

    pub fn answer(&self, asked: Asked) -> Reply {
        let begun = Instant::now();
        let (path, query) = asked.target.split_once('?').unwrap_or((asked.target, ""));
        let reply = match (asked.method, path) {
            ("POST", "/init") => self.init(asked.body),
            ("POST", "/run") => Reply { ends_activation: true, ..self.run(asked.body) },
            ("POST", "/score") => self.score(asked, query),
            ("GET" | "HEAD", "/healthz") => self.health(),
            ("GET" | "HEAD", "/schema") => self.schema(),
            ("GET" | "HEAD", "/metrics") => self.metrics(),
            (_, "/init" | "/run" | "/score" | "/healthz" | "/schema" | "/metrics") => {
                Reply::refused(405, "method not allowed")
            }
            _ => Reply::refused(
                404,
                "no such path: expected `/init`, `/run`, `/score`, `/healthz`, `/metrics` or `/schema`",
            ),
        };
        self.metrics.count(path, reply.status, begun.elapsed());
        reply
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
        let reasons = match reasons_named(text("/env/FRAUDML_REASONS")) {
            Ok(reasons) => Some(reasons).filter(|_| body.value.pointer("/env/FRAUDML_REASONS").is_some()),
            Err(message) => return Reply::refused(400, &message),
        };
        let scorer = match self.scorer() {
            Err(error) => return broken(error),
            Ok(scorer) => scorer,
        };
        // What every answer would fail at is said once, now.
        if reasons.unwrap_or(self.preset.reasons) > 0
            && let Err(error) = scorer.reasons(&vec![0.0; scorer.bundle().manifest.features.len()], 1)
        {
            return broken(&error);
        }
        let action = Stage::of_action(text("/env/__OW_ACTION_NAME"));
        *initialised = Some(Init { main, action, reasons });
        Reply::new(200, "{\"ok\":true}")
    }

    /// Also serves an action that was never initialised: a plain `docker run` needs no ceremony.
    fn run(&self, body: &[u8]) -> Reply {
        let answered = self.run_in_one_pass(body).unwrap_or_else(|| self.run_step_by_step(body));
        // The container is well and stays warm, whatever the record was.
        answered.unwrap_or_else(|failure| Reply::new(200, failure.to_json()))
    }

    /// Raw records inside a plain envelope; `None` for all else.
    fn run_in_one_pass(&self, body: &[u8]) -> Option<Result<Reply, Failure>> {
        let init = self.init_said();
        if self.settled_stage(init).is_some_and(|stage| !stage.reads_raw()) {
            return None;
        }
        let body = std::str::from_utf8(body).ok().filter(|body| !body.contains("\"__ow_"))?;
        let scorer = self.scorer().ok()?;
        let (input, action_name) = scorer.names().read_envelope(body)?;
        let stage = self.stage(init, action_name.as_ref().and_then(Json::as_str).unwrap_or_default());
        let wishes = self.wishes(init);
        stage.reads_raw().then(|| self.counted(stage.answer_read(scorer, input, &wishes)))
    }

    fn run_step_by_step(&self, body: &[u8]) -> Result<Reply, Failure> {
        let Ok(body) = object::<RunBody>(body) else {
            return Ok(Reply::refused(400, "the body of `/run` is not a JSON object"));
        };
        let value = body.value.map_or("{}", RawValue::get);
        let value = if value == "null" { "{}" } else { value };
        if !value.starts_with(['{', '[']) {
            return Ok(Reply::refused(404, NOT_AN_OBJECT));
        }
        let init = self.init_said();
        let stage = self.stage(init, body.action_name.as_str().unwrap_or_default());
        self.scored(stage, value, &self.wishes(init))
    }

    fn init_said(&self) -> Init {
        self.initialised.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or_default()
    }

    fn wishes(&self, init: Init) -> Wishes {
        Wishes { reasons: init.reasons.unwrap_or(self.preset.reasons), correlation_id: None }
    }

    fn scored(&self, stage: Stage, value: &str, wishes: &Wishes) -> Result<Reply, Failure> {
        let scorer = match self.scorer() {
            Err(error) => return Ok(broken(error)),
            Ok(scorer) => scorer,
        };
        self.counted(stage.answer(scorer, value, wishes))
    }

    fn counted(&self, answer: Result<Answer, Failure>) -> Result<Reply, Failure> {
        self.metrics.count_records(match &answer {
            Ok(answer) => answer.tally,
            Err(_) => Tally { refused: 1, ..Tally::default() },
        });
        answer.map(|answer| Reply::new(200, answer.text))
    }

    /// `main` of `/init`, else the environment, else the action's own name, else the pipeline.
    fn stage(&self, init: Init, action_name: &str) -> Stage {
        self.settled_stage(init).or_else(|| Stage::of_action(action_name)).unwrap_or(Stage::Pipeline)
    }

    /// The stage, whatever a request says.
    fn settled_stage(&self, init: Init) -> Option<Stage> {
        init.main.or(self.preset.stage).or(init.action)
    }

    fn score(&self, asked: Asked, query: &str) -> Reply {
        let value = std::str::from_utf8(asked.body).unwrap_or_default().trim();
        if !value.starts_with(['{', '[']) {
            return Reply::refused(400, "the body of `/score` is not a JSON object or array");
        }
        let wanted = query.split('&').find_map(|pair| pair.strip_prefix("reasons="));
        let reasons = match wanted.map_or(Ok(self.preset.reasons), reasons_named) {
            Ok(reasons) => reasons,
            Err(message) => return Reply::refused(400, &message),
        };
        let correlation_id = CORRELATION_HEADERS.iter().find_map(|name| asked.headers.get(name)).map(Json::from);
        let wishes = Wishes { reasons, correlation_id };
        self.scored(Stage::Pipeline, value, &wishes)
            .unwrap_or_else(|failure| Reply::new(failure.status, failure.to_json()))
    }

    /// What a record may hold, and what is answered to it.
    fn schema(&self) -> Reply {
        match self.scorer() {
            Err(error) => broken(error),
            Ok(scorer) => {
                let manifest = &scorer.bundle().manifest;
                let body = json!({
                    "bundle": manifest.id,
                    "model": manifest.model,
                    "id": manifest.schema.id,
                    "columns": manifest.schema.columns,
                    "features": manifest.features,
                    "calibration": manifest.calibration,
                    "policy": manifest.policy,
                });
                Reply::new(200, body.to_string())
            }
        }
    }

    /// Never loads anything: a scrape is no reason to start.
    fn metrics(&self) -> Reply {
        let manifest = self.scorer.get().and_then(|scorer| Some(&scorer.as_ref().ok()?.bundle().manifest));
        let about = manifest.map(|manifest| {
            [("bundle", manifest.id.as_str()), ("name", &manifest.name), ("model", manifest.model.as_str())]
        });
        let text = self.metrics.text(about.as_ref().map_or(&[], |about| about));
        Reply { content_type: "text/plain; version=0.0.4; charset=utf-8", ..Reply::new(200, text) }
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

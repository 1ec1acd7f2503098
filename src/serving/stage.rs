//! What an action answers to the `value` of a request: one stage of the pipeline, or all three fused.
//!
//! In: JSON text, a record or a batch of them. Out: JSON text, below OpenWhisk's limit of 1 MiB, or a [`Failure`]. A batch
//! is `{"records": [..]}`, `{"results": [..]}` of the stage before, or a bare array, answered by `{"results": [..]}`; a
//! record that is refused leaves its error in its place and later stages pass it on. Numbers go from text straight into
//! their final type, so that no step widens an f32.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::scoring::error::ScoringError;
use crate::scoring::scorer::Scorer;
pub use crate::scoring::stage::Stage;

/// OpenWhisk cuts longer results off and hands the torso to the caller.
pub const MAX_RESULT_BYTES: usize = 1 << 20;

/// Messages are for people; they never carry a document back.
const MAX_MESSAGE_CHARS: usize = 300;

impl Stage {
    /// Whether the input is another stage's answer; a raw record may well have a column named `error`.
    fn follows_another(self) -> bool {
        matches!(self, Stage::Encode | Stage::Predict)
    }

    /// Answers a `value`: the text of a JSON object without a top-level `error`.
    pub fn answer(self, scorer: &Scorer, value: &str) -> Result<String, Failure> {
        let unwrapped = web_body(value)?;
        let value = unwrapped.as_deref().unwrap_or(value).trim_start();
        let answer = match batch(value)? {
            Some(records) => self.answer_batch(scorer, &records)?,
            None => self.answer_one(scorer, value)?,
        };
        if answer.len() > MAX_RESULT_BYTES { Err(Failure::too_large()) } else { Ok(answer) }
    }

    fn answer_batch(self, scorer: &Scorer, records: &[&RawValue]) -> Result<String, Failure> {
        let mut results = String::from("{\"results\":[");
        for (at, record) in records.iter().enumerate() {
            if at > 0 {
                results.push(',');
            }
            match self.answer_one(scorer, record.get()) {
                _ if self.follows_another() && failed_before(record.get()) => results.push_str(record.get()),
                Ok(answer) => results.push_str(&answer),
                Err(failure) => results.push_str(&failure.to_json()),
            }
            if results.len() > MAX_RESULT_BYTES {
                return Err(Failure::too_large());
            }
        }
        results.push_str("]}");
        Ok(results)
    }

    fn answer_one(self, scorer: &Scorer, record: &str) -> Result<String, Failure> {
        if !record.starts_with('{') {
            return Err(Failure::record("a record is a JSON object"));
        }
        match self {
            Stage::Transform => written(&scorer.transform(&typed(self, record)?)?),
            Stage::Encode => written(&scorer.encode(&typed(self, record)?)?),
            Stage::Predict => written(&scorer.predict(&typed(self, record)?)?),
            Stage::Pipeline => written(&scorer.pipeline(&typed(self, record)?)?),
        }
    }
}

/// Why a request was not answered; in JSON always `{"error": {..}}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub status: u16,
    pub error: ScoringError,
}

impl Failure {
    /// The caller's data are wrong.
    pub fn record(message: impl Into<String>) -> Failure {
        Failure { status: 400, error: ScoringError::new(message) }
    }

    fn too_large() -> Failure {
        let message = format!("the result would be larger than {MAX_RESULT_BYTES} bytes");
        Failure { status: 413, error: ScoringError::new(message).hint("send fewer records at once") }
    }

    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Body {
            status_code: u16,
            message: String,
            #[serde(skip_serializing_if = "Option::is_none")]
            field: Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            hint: Option<String>,
        }
        #[derive(Serialize)]
        struct Envelope {
            error: Body,
        }
        let cut = |text: &str| text.chars().take(MAX_MESSAGE_CHARS).collect::<String>();
        let message = cut(&self.error.message);
        let (field, hint) = (self.error.field.as_deref().map(cut), self.error.hint.as_deref().map(cut));
        let envelope = Envelope { error: Body { status_code: self.status, message, field, hint } };
        serde_json::to_string(&envelope).unwrap_or_else(|_| "{\"error\":{\"statusCode\":500}}".into())
    }
}

impl From<ScoringError> for Failure {
    fn from(error: ScoringError) -> Failure {
        Failure { status: 400, error }
    }
}

fn typed<T: DeserializeOwned>(stage: Stage, record: &str) -> Result<T, Failure> {
    serde_json::from_str(record)
        .map_err(|error| Failure::record(format!("the input of `{}` can't be read: {error}", stage.as_str())))
}

fn written(answer: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(answer).map_err(|error| Failure { status: 500, error: ScoringError::new(error.to_string()) })
}

/// The records of a batch; `None` for a single record. A key that holds no array is a column like any other.
fn batch(value: &str) -> Result<Option<Vec<&RawValue>>, Failure> {
    #[derive(Deserialize)]
    struct Batch<'a> {
        #[serde(borrow)]
        records: Option<&'a RawValue>,
        #[serde(borrow)]
        results: Option<&'a RawValue>,
    }
    let unreadable = |error: serde_json::Error| Failure::record(format!("the input can't be read: {error}"));
    if value.starts_with('[') {
        return serde_json::from_str(value).map(Some).map_err(unreadable);
    }
    let Batch { records, results } = serde_json::from_str(value).map_err(unreadable)?;
    let list = records.or(results).filter(|list| list.get().starts_with('['));
    list.map(|list| serde_json::from_str(list.get()).map_err(unreadable)).transpose()
}

/// Whether an earlier stage refused this item.
fn failed_before(item: &str) -> bool {
    #[derive(Deserialize)]
    struct Item<'a> {
        #[serde(borrow)]
        error: Option<&'a RawValue>,
    }
    item.starts_with('{') && serde_json::from_str::<Item>(item).is_ok_and(|item| item.error.is_some())
}

/// The body of a raw web request, which OpenWhisk hands over as text or, for binary types and JSON, in base64.
fn web_body(value: &str) -> Result<Option<String>, Failure> {
    #[derive(Deserialize)]
    struct Web {
        #[serde(default)]
        __ow_body: serde_json::Value,
    }
    if !value.trim_start().starts_with('{') || !value.contains("__ow_body") {
        return Ok(None);
    }
    let web: Web = serde_json::from_str(value).map_err(|_| Failure::record("the input can't be read"))?;
    let body = web.__ow_body.as_str().unwrap_or_default().trim();
    if body.is_empty() {
        return Ok(None);
    }
    let json = |text: &str| text.starts_with('{') || text.starts_with('[');
    let decoded = match json(body) {
        true => Some(body.to_owned()),
        false => BASE64.decode(body).ok().and_then(|bytes| String::from_utf8(bytes).ok()),
    };
    let refused = || ScoringError::new("the request body is not a JSON object or array").field("__ow_body");
    decoded.map(|text| text.trim().to_owned()).filter(|text| json(text)).map(Some).ok_or_else(|| refused().into())
}

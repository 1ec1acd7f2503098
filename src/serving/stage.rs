//! What an action answers to the `value` of a request: one stage of the pipeline, or all three fused.
//!
//! In: JSON text, a record or a batch of them. Out: JSON text, below OpenWhisk's limit of 1 MiB, or a [`Failure`]. A batch
//! is `{"records": [..]}`, `{"results": [..]}` of the stage before, or a bare array, answered by `{"results": [..]}`; a
//! record that is refused leaves its error in its place and later stages pass it on. The caller's correlation id (key
//! `correlation_id`, or a header) comes back in every answer, so that it reaches the last stage of a sequence. Numbers go
//! from text straight into their final type, so that no step widens an f32.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use serde_json::value::RawValue;

use super::web::Web;
use crate::scoring::error::ScoringError;
use crate::scoring::input::{Input, Records};
use crate::scoring::scorer::{Encoded, Prediction, PreparedRecord, Scorer};
pub use crate::scoring::stage::Stage;

/// OpenWhisk cuts longer results off and hands the torso to the caller.
pub const MAX_RESULT_BYTES: usize = 1 << 20;

/// Messages are for people; they never carry a document back.
const MAX_MESSAGE_CHARS: usize = 300;

/// A longer correlation id is not carried along.
const MAX_CORRELATION_CHARS: usize = 200;

/// What the caller may ask for beside the score.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// Reasons per score, at most.
    pub reasons: usize,
    /// From a header of the request; the value's own key goes before it.
    pub correlation_id: Option<Json>,
}

/// What became of the records of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub fraudulent: u64,
    pub authorised: u64,
    /// Handed to the next stage.
    pub prepared: u64,
    pub refused: u64,
}

/// The text of a JSON object without a top-level `error`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub text: String,
    pub tally: Tally,
}

impl Stage {
    /// Answers a `value`.
    pub fn answer(self, scorer: &Scorer, value: &str, wishes: &Wishes) -> Result<Answer, Failure> {
        let web = Web::read(value)?;
        let is_web = web.is_some();
        let Web { value: inner, correlation_id } = web.unwrap_or_default();
        let value = inner.as_deref().unwrap_or(value).trim_start();
        let mut writer = Writer::new(wishes.reasons, wishes.correlation_id.clone().or(correlation_id));
        let answered = match self {
            Stage::Transform | Stage::Pipeline => {
                raw(scorer, value).and_then(|input| self.answer_raw(scorer, input, &mut writer))
            }
            Stage::Encode | Stage::Predict => self.answer_stage(scorer, value, &mut writer),
        };
        writer.finish(answered, is_web)
    }

    /// Whether its input are raw records.
    pub fn reads_raw(self) -> bool {
        matches!(self, Stage::Transform | Stage::Pipeline)
    }

    /// Answers raw records that were read by [`crate::scoring::input::Names::read_envelope`].
    pub fn answer_read(self, scorer: &Scorer, input: Input, wishes: &Wishes) -> Result<Answer, Failure> {
        let mut writer = Writer::new(wishes.reasons, wishes.correlation_id.clone());
        let answered = self.answer_raw(scorer, input, &mut writer);
        writer.finish(answered, false)
    }

    /// From raw records.
    fn answer_raw(self, scorer: &Scorer, input: Input, writer: &mut Writer) -> Result<(), Failure> {
        writer.correlation_id = input.correlation_id.or(writer.correlation_id.take());
        match (self, input.records) {
            (Stage::Transform, Records::One(record)) => writer.prepared(&scorer.transform_record(record?)),
            (Stage::Transform, Records::Batch(records)) => {
                writer.batch(records, |writer, record| writer.prepared(&scorer.transform_record(record?)))
            }
            (_, Records::One(record)) => {
                let prepared = scorer.prepare(record?);
                writer.scored(scorer, scorer.decide_one(&prepared), &prepared.vector)
            }
            (_, Records::Batch(records)) => {
                let items = records.into_iter().map(|record| match record {
                    Ok(record) => Item::Ready(scorer.prepare(record)),
                    Err(error) => Item::Refused(error.into()),
                });
                writer.scored_batch(scorer, items.collect())
            }
        }
    }

    /// From another stage's answer; a raw record may well have a column named `error`, such an answer has none.
    fn answer_stage(self, scorer: &Scorer, value: &str, writer: &mut Writer) -> Result<(), Failure> {
        let Envelope { list, correlation_id } = envelope(value)?;
        writer.correlation_id = correlation_id.or(writer.correlation_id.take());
        let prepared = |record: &str| {
            let encoded: Encoded = typed(self, record)?;
            scorer.check_vector(&encoded)?;
            Ok::<_, Failure>(PreparedRecord::of(encoded))
        };
        match (self, list) {
            (Stage::Encode, None) => writer.prepared(&scorer.encode(&typed(self, value)?)?),
            (Stage::Encode, Some(records)) => {
                let records = records.iter().map(|record| record.get()).collect();
                writer.batch(records, |writer, record| match failed_before(record) {
                    true => writer.passed_on(record),
                    false => writer.prepared(&scorer.encode(&typed(self, record)?)?),
                })
            }
            (_, None) => {
                let prepared = prepared(value)?;
                writer.scored(scorer, scorer.decide_one(&prepared), &prepared.vector)
            }
            (_, Some(records)) => {
                let records = records.into_iter().map(RawValue::get);
                let item = |record| match failed_before(record) {
                    true => Item::PassedOn(record),
                    false => Item::of(prepared(record)),
                };
                writer.scored_batch(scorer, records.map(item).collect())
            }
        }
    }
}

fn raw(scorer: &Scorer, value: &str) -> Result<Input, Failure> {
    match value.starts_with(['{', '[']) {
        true => scorer.names().read(value).map_err(unreadable),
        false => Err(Failure::record("a record is a JSON object")),
    }
}

/// An item of a batch that is to be scored.
enum Item<'a> {
    /// Refused by an earlier stage.
    PassedOn(&'a str),
    Refused(Failure),
    Ready(PreparedRecord),
}

impl<'a> Item<'a> {
    fn of(prepared: Result<PreparedRecord, Failure>) -> Item<'a> {
        prepared.map_or_else(Item::Refused, Item::Ready)
    }
}

/// Answers, one after another.
struct Writer {
    correlation_id: Option<Json>,
    reasons: usize,
    text: String,
    tally: Tally,
}

impl Writer {
    fn new(reasons: usize, correlation_id: Option<Json>) -> Writer {
        Writer { correlation_id, reasons, text: String::new(), tally: Tally::default() }
    }

    /// What was written, with the correlation id.
    fn finish(self, answered: Result<(), Failure>, is_web: bool) -> Result<Answer, Failure> {
        let correlation_id = self.correlation_id.filter(is_short);
        match answered {
            Ok(()) => {
                let text = correlation_id.iter().fold(self.text, |text, id| with_key(text, "correlation_id", id));
                if text.len() > MAX_RESULT_BYTES {
                    return Err(Failure { correlation_id, is_web, ..Failure::too_large() });
                }
                Ok(Answer { text, tally: self.tally })
            }
            Err(failure) => Err(Failure { correlation_id, is_web, ..failure }),
        }
    }

    fn prepared(&mut self, answer: &impl Serialize) -> Result<(), Failure> {
        self.text.push_str(&written(answer)?);
        self.tally.prepared += 1;
        Ok(())
    }

    fn passed_on(&mut self, record: &str) -> Result<(), Failure> {
        self.text.push_str(record);
        self.tally.refused += 1;
        Ok(())
    }

    fn scored(
        &mut self,
        scorer: &Scorer,
        prediction: Result<Prediction, ScoringError>,
        vector: &[f32],
    ) -> Result<(), Failure> {
        let prediction = prediction?;
        let mut text = written(&prediction)?;
        if self.reasons > 0 {
            text = with_key(text, "reasons", &scorer.reasons(vector, self.reasons)?);
        }
        self.text.push_str(&text);
        match prediction.is_fraud {
            true => self.tally.fraudulent += 1,
            false => self.tally.authorised += 1,
        }
        Ok(())
    }

    /// `{"results": [..]}`, an error in the place of what is refused.
    fn batch<T>(
        &mut self,
        items: Vec<T>,
        mut answer: impl FnMut(&mut Writer, T) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.text.push_str("{\"results\":[");
        for (at, item) in items.into_iter().enumerate() {
            if at > 0 {
                self.text.push(',');
            }
            if let Err(failure) = answer(self, item) {
                self.text.push_str(&failure.to_json());
                self.tally.refused += 1;
            }
            if self.text.len() > MAX_RESULT_BYTES {
                return Err(Failure::too_large());
            }
        }
        self.text.push_str("]}");
        Ok(())
    }

    /// Scores all that can be scored together, which is faster and gives the same bits.
    fn scored_batch(&mut self, scorer: &Scorer, items: Vec<Item>) -> Result<(), Failure> {
        let ready =
            items.iter().filter_map(|item| if let Item::Ready(prepared) = item { Some(prepared) } else { None });
        let mut predictions = scorer.decide_all(&ready.collect::<Vec<_>>()).into_iter();
        self.batch(items, |writer, item| match item {
            Item::PassedOn(record) => writer.passed_on(record),
            Item::Refused(failure) => Err(failure),
            Item::Ready(prepared) => match predictions.next() {
                Some(prediction) => writer.scored(scorer, prediction, &prepared.vector),
                None => Err(Failure::of(500, "a prediction is missing, which is a bug")),
            },
        })
    }
}

/// Why a request was not answered; in JSON always `{"error": {..}}`.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    pub status: u16,
    pub error: ScoringError,
    pub correlation_id: Option<Json>,
    /// A web action's caller gets status and body from the error itself.
    pub is_web: bool,
}

impl Failure {
    pub fn of(status: u16, message: impl Into<String>) -> Failure {
        Failure { status, error: ScoringError::new(message), correlation_id: None, is_web: false }
    }

    /// The caller's data are wrong.
    pub fn record(message: impl Into<String>) -> Failure {
        Failure::of(400, message)
    }

    fn too_large() -> Failure {
        let mut failure = Failure::of(413, format!("the result would be larger than {MAX_RESULT_BYTES} bytes"));
        failure.error = failure.error.hint("send fewer records at once");
        failure
    }

    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Content<'a> {
            message: String,
            #[serde(skip_serializing_if = "Option::is_none")]
            field: Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            hint: Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            correlation_id: &'a Option<Json>,
        }
        #[derive(Serialize)]
        struct Body<'a> {
            #[serde(rename = "statusCode")]
            status_code: u16,
            #[serde(flatten)]
            content: &'a Content<'a>,
            #[serde(skip_serializing_if = "Option::is_none")]
            headers: Option<Json>,
            #[serde(skip_serializing_if = "Option::is_none")]
            body: Option<Envelope<&'a Content<'a>>>,
        }
        #[derive(Serialize)]
        struct Envelope<T> {
            error: T,
        }
        let cut = |text: &str| text.chars().take(MAX_MESSAGE_CHARS).collect::<String>();
        let content = Content {
            message: cut(&self.error.message),
            field: self.error.field.as_deref().map(cut),
            hint: self.error.hint.as_deref().map(cut),
            correlation_id: &self.correlation_id,
        };
        let headers = self.is_web.then(|| serde_json::json!({ "content-type": "application/json" }));
        let body = self.is_web.then_some(Envelope { error: &content });
        let envelope = Envelope { error: Body { status_code: self.status, content: &content, headers, body } };
        serde_json::to_string(&envelope).unwrap_or_else(|_| "{\"error\":{\"statusCode\":500}}".into())
    }
}

impl From<ScoringError> for Failure {
    fn from(error: ScoringError) -> Failure {
        Failure { status: 400, error, correlation_id: None, is_web: false }
    }
}

fn is_short(id: &Json) -> bool {
    match id {
        Json::String(text) => !text.is_empty() && text.chars().count() <= MAX_CORRELATION_CHARS,
        Json::Number(_) => true,
        _ => false,
    }
}

/// Adds a key to the text of an object that has at least one.
fn with_key(mut object: String, key: &str, value: &impl Serialize) -> String {
    if let Ok(value) = serde_json::to_string(value)
        && object.pop() == Some('}')
    {
        object.push_str(&format!(",\"{key}\":{value}}}"));
    }
    object
}

fn unreadable(error: serde_json::Error) -> Failure {
    Failure::record(format!("the input can't be read: {error}"))
}

fn typed<T: DeserializeOwned>(stage: Stage, record: &str) -> Result<T, Failure> {
    if !record.starts_with('{') {
        return Err(Failure::record("a record is a JSON object"));
    }
    serde_json::from_str(record)
        .map_err(|error| Failure::record(format!("the input of `{}` can't be read: {error}", stage.as_str())))
}

fn written(answer: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(answer).map_err(|error| Failure::of(500, error.to_string()))
}

/// What stands around another stage's answers.
struct Envelope<'a> {
    list: Option<Vec<&'a RawValue>>,
    correlation_id: Option<Json>,
}

fn envelope(value: &str) -> Result<Envelope<'_>, Failure> {
    #[derive(Deserialize)]
    struct Fields<'a> {
        #[serde(borrow)]
        records: Option<&'a RawValue>,
        #[serde(borrow)]
        results: Option<&'a RawValue>,
        correlation_id: Option<Json>,
    }
    if value.starts_with('[') {
        let list = serde_json::from_str(value).map_err(unreadable)?;
        return Ok(Envelope { list: Some(list), correlation_id: None });
    }
    let Fields { records, results, correlation_id } = serde_json::from_str(value).map_err(unreadable)?;
    let list = records.or(results).filter(|list| list.get().starts_with('['));
    let list = list.map(|list| serde_json::from_str(list.get()).map_err(unreadable)).transpose()?;
    Ok(Envelope { list, correlation_id })
}

/// Whether an earlier stage refused this item.
fn failed_before(item: &str) -> bool {
    #[derive(Deserialize)]
    struct Fields<'a> {
        #[serde(borrow)]
        error: Option<&'a RawValue>,
    }
    item.starts_with('{') && serde_json::from_str::<Fields>(item).is_ok_and(|item| item.error.is_some())
}

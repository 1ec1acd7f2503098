//! Online equals offline: real rows through the stages, the sequence and the fused action, against `fraudml predict`.
//!
//! In: calls, records as they are sent, the answers that the offline path gives. Out: how many were compared, and the
//! first differences. Scores are compared as text: an f32 is written as its shortest round-trip text on both sides, so
//! equal texts are equal bits.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json, json};

use super::target::Call;
use crate::scoring::record::parse_number;
use crate::training::error::{Error, Result, io_reason};

/// Differences that are told.
const MOST_TOLD: usize = 10;

/// Rows of one request where batches are sent.
const BATCH: usize = 50;

/// What one row must be answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    pub id: String,
    pub score: f32,
    pub is_fraud: bool,
}

#[derive(Debug, Clone, Serialize, Default)]
pub struct Parity {
    pub rows: usize,
    /// Answers that were compared, over all ways.
    pub compared: usize,
    pub different: usize,
    /// The ways rows were sent.
    pub ways: Vec<String>,
    pub first_differences: Vec<String>,
}

#[derive(Deserialize)]
struct Scored<'a> {
    #[serde(borrow)]
    score: &'a RawValue,
    is_fraud: bool,
}

impl Parity {
    fn compare(&mut self, way: &str, expected: &Expected, answer: &str) {
        self.compared += 1;
        let wanted = (serde_json::to_string(&expected.score).unwrap_or_default(), expected.is_fraud);
        let difference = match serde_json::from_str::<Scored>(answer) {
            Ok(scored) if (scored.score.get(), scored.is_fraud) == (wanted.0.as_str(), wanted.1) => return,
            Ok(scored) => format!("score {}", scored.score.get()),
            Err(_) => answer.chars().take(200).collect(),
        };
        self.differs(format!("{way}, id {}: expected score {}, found {difference}", expected.id, wanted.0));
    }

    fn differs(&mut self, what: String) {
        self.different += 1;
        if self.first_differences.len() < MOST_TOLD {
            self.first_differences.push(what);
        }
    }
}

/// Sends every record every way: stage by stage, through the sequence, fused, and fused in batches.
pub fn parity(calls: &[Call], records: &[String], expected: &[Expected]) -> Result<Parity> {
    if records.len() != expected.len() {
        let (online, offline) = (records.len(), expected.len());
        return Err(Error::permanent(format!("{online} records to send, but {offline} offline scores")));
    }
    let named = |name: &str| calls.iter().find(|call| call.name == name);
    let chain: Vec<&Call> = ["transform", "encode", "predict"].into_iter().filter_map(named).collect();
    let mut ways: Vec<(&str, Vec<&Call>)> = Vec::new();
    if chain.len() == 3 {
        ways.push(("transform, encode, predict", chain));
    }
    ways.extend(["score", "pipeline"].into_iter().filter_map(|name| Some((name, vec![named(name)?]))));
    let mut parity = Parity { rows: records.len(), ..Parity::default() };
    for (way, calls) in &ways {
        parity.ways.push((*way).to_owned());
        for (record, expected) in records.iter().zip(expected) {
            match through(calls, record) {
                Ok(answer) => parity.compare(way, expected, &answer),
                Err(why) => parity.differs(format!("{way}, id {}: {why}", expected.id)),
            }
        }
        let way = format!("{way}, in batches");
        for (records, expected) in records.chunks(BATCH).zip(expected.chunks(BATCH)) {
            match through(calls, &format!("{{\"records\":[{}]}}", records.join(","))) {
                Ok(answer) => compare_batch(&mut parity, &way, expected, &answer),
                Err(why) => parity.differs(format!("{way}: {why}")),
            }
        }
        parity.ways.push(way);
    }
    Ok(parity)
}

fn through(calls: &[&Call], record: &str) -> std::result::Result<String, String> {
    let answer = calls.iter().try_fold(record.as_bytes().to_vec(), |value, call| call.send(&value))?;
    String::from_utf8(answer).map_err(|_| "the answer is not UTF-8".to_owned())
}

fn compare_batch(parity: &mut Parity, way: &str, expected: &[Expected], answer: &str) {
    #[derive(Deserialize)]
    struct Results<'a> {
        #[serde(borrow)]
        results: Vec<&'a RawValue>,
    }
    match serde_json::from_str::<Results>(answer) {
        Ok(Results { results }) if results.len() == expected.len() => {
            results.iter().zip(expected).for_each(|(item, expected)| parity.compare(way, expected, item.get()));
        }
        _ => parity.differs(format!("{way}: expected {} results", expected.len())),
    }
}

/// Rows of CSV files as they are sent: numbers as numbers in every second row, as texts (like a form's) in the others. Rows of
/// further files belong to those of the first that have the same id.
pub fn records_of_csv(paths: &[&Path], id: Option<&str>, most: usize) -> Result<Vec<String>> {
    let Some((first, others)) = paths.split_first() else { return Ok(Vec::new()) };
    let mut records = Vec::new();
    for_each_row(first, |row| {
        records.push(row);
        records.len() < most
    })?;
    if let Some(id) = id.filter(|_| !others.is_empty()) {
        let by_id: BTreeMap<String, usize> =
            records.iter().enumerate().filter_map(|(at, row)| Some((row.get(id)?.clone(), at))).collect();
        for path in others {
            for_each_row(path, |row| {
                if let Some(&at) = row.get(id).and_then(|id| by_id.get(id)) {
                    records[at].extend(row);
                }
                true
            })?;
        }
    }
    let as_sent = |(at, row): (usize, BTreeMap<String, String>)| {
        let cell = |text: String| match parse_number(&text) {
            // A number that JSON writes the same way; the rest travels as the text it is.
            Some(number) if at % 2 == 1 && is_exact(&text, number) => json!(number),
            _ => json!(text),
        };
        let record: Map<String, Json> = row.into_iter().map(|(name, text)| (name, cell(text))).collect();
        Json::Object(record).to_string()
    };
    Ok(records.into_iter().enumerate().map(as_sent).collect())
}

/// Hands out the rows of a CSV file by column, until no more are wanted.
fn for_each_row(path: &Path, mut take: impl FnMut(BTreeMap<String, String>) -> bool) -> Result<()> {
    let failed = |why: String| Error::permanent(format!("`{}`: {why}", path.display()));
    let file = std::fs::File::open(path).map_err(|error| failed(io_reason(&error)))?;
    let reader: Box<dyn Read> = match path.extension().is_some_and(|extension| extension == "zst") {
        true => Box::new(zstd::stream::read::Decoder::new(file).map_err(|error| failed(io_reason(&error)))?),
        false => Box::new(file),
    };
    let mut reader = csv::Reader::from_reader(reader);
    let header = reader.headers().map_err(|error| failed(error.to_string()))?.clone();
    for row in reader.records() {
        let row = row.map_err(|error| failed(error.to_string()))?;
        if !take(header.iter().zip(row.iter()).map(|(name, text)| (name.to_owned(), text.to_owned())).collect()) {
            break;
        }
    }
    Ok(())
}

/// Whether a number's text is one that comes back as it was: an id of 20 digits does not.
fn is_exact(text: &str, number: f64) -> bool {
    number.abs() < 9e15 || !text.bytes().all(|byte| byte.is_ascii_digit())
}

//! Freeze: the winner's existing final fit becomes a bundle. Nothing is trained here.
//!
//! In: the stored bytes of the final fit, the calibration, the operating point, raw test rows for golden records. Out: the
//! files of the bundle, already loaded once and replayed, so that a bundle that would refuse to start is never written.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::error::{Error, Result};
use super::evaluate::{LeaderboardRow, OperatingPoint, Selection};
use super::rows::HeldOutRows;
use super::run_dir::FrozenFit;
use super::table_file::Scores;
use crate::scoring::bundle::{Bundle, GOLDEN, Golden, MANIFEST, MODEL, Manifest, PREPROCESSOR, sha256_hex};
use crate::scoring::calibration::Calibration;
use crate::scoring::model::{Classifier, Model, ModelKind};
use crate::scoring::preprocessor::Preprocessor;
use crate::scoring::record::Value;
use crate::scoring::schema::Schema;
use crate::scoring::scorer::Scorer;

/// Golden records taken from the test rows, evenly over their order.
const N_GOLDEN: usize = 10;

/// All that a bundle is made of.
pub struct Freezing<'a> {
    pub name: &'a str,
    pub run_id: &'a str,
    pub schema: &'a Schema,
    pub selection: &'a Selection,
    pub kind: ModelKind,
    pub row: &'a LeaderboardRow,
    pub calibration: &'a Calibration,
    pub operating_point: &'a OperatingPoint,
    pub fit: FrozenFit,
    pub test: &'a HeldOutRows,
    pub test_scores: &'a Scores,
}

/// The bundle's id and files. Error: the frozen bits do not give the scores of the final fit.
pub fn freeze(from: &Freezing) -> Result<(String, BTreeMap<String, Vec<u8>>)> {
    let preprocessor = Preprocessor::from_bytes(&from.fit.preprocessor)?;
    let features = preprocessor.feature_names().to_vec();
    let model = Model::from_bytes(from.kind, features.len(), &from.fit.model)?;
    let unsealed = Manifest {
        format: Manifest::FORMAT,
        id: String::new(),
        name: from.name.to_owned(),
        run: from.run_id.to_owned(),
        schema: from.schema.clone(),
        features,
        model: from.kind,
        case: from.selection.case.clone(),
        protocol: from.selection.protocol.clone(),
        calibration: from.calibration.clone(),
        threshold: from.operating_point.threshold,
        policy: from.operating_point.policy.clone(),
        metrics: metrics(from.row)?,
        files: BTreeMap::new(),
    };
    let draft = Bundle {
        manifest: unsealed.clone(),
        preprocessor,
        model,
        golden: Golden { records: Vec::new() },
        policy: None,
    };
    let golden = to_json(&golden(&Scorer::new(draft)?, from)?)?;
    let mut files = BTreeMap::from([
        (PREPROCESSOR.to_owned(), from.fit.preprocessor.clone()),
        (MODEL.to_owned(), from.fit.model.clone()),
        (GOLDEN.to_owned(), golden),
    ]);
    let hashes = files.iter().map(|(name, bytes)| (name.clone(), sha256_hex(bytes))).collect();
    let manifest = Manifest { files: hashes, ..unsealed }.seal();
    files.insert(MANIFEST.to_owned(), manifest.to_bytes());
    Scorer::new(Bundle::from_files(&files)?)?;
    Ok((manifest.id, files))
}

fn metrics(row: &LeaderboardRow) -> Result<BTreeMap<String, Json>> {
    serde_json::from_value(to_value(&row.test)?).map_err(|error| Error::failed(format!("metrics: {error}")))
}

fn to_value(value: &impl serde::Serialize) -> Result<Json> {
    serde_json::to_value(value).map_err(|error| Error::failed(error.to_string()))
}

fn to_json(golden: &Golden) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(golden).map_err(|error| Error::failed(error.to_string()))
}

/// Golden records, each proven to give the score that the final fit gave to the same test row. The raw bits are compared
/// first: a calibration that pools scores would hide a difference.
fn golden(scorer: &Scorer, from: &Freezing) -> Result<Golden> {
    let n_rows = from.test.n_rows();
    let mut records = Vec::new();
    for at in (0..N_GOLDEN.min(n_rows)).map(|at| at * n_rows / N_GOLDEN.min(n_rows)) {
        let golden = scorer.golden(raw_record(from, at))?;
        let vector = scorer.encode(&scorer.transform(&golden.record)?)?.vector;
        let raw = from.test_scores.scores[at];
        same_bits(at, "model", scorer.bundle().model.score_row(&vector), raw)?;
        same_bits(at, "calibration", scorer.pipeline(&golden.record)?.score, from.calibration.apply(raw))?;
        records.push(golden);
    }
    Ok(Golden { records })
}

fn same_bits(at: usize, what: &str, online: f32, offline: f32) -> Result<()> {
    if online.to_bits() == offline.to_bits() {
        return Ok(());
    }
    Err(Error::failed(format!("test row {at}: the frozen {what} scores {online}, the fitted one {offline}"))
        .hint("the online and the offline score must be the same bits: please report this"))
}

/// The raw row as a caller would send it: missing cells left out.
fn raw_record(from: &Freezing, at: usize) -> Map<String, Json> {
    let row = from.test.rows()[at] as usize;
    let mut record = Map::new();
    if let Some(id) = &from.schema.id {
        record.insert(id.clone(), Json::String(from.test_scores.row_ids[at].clone()));
    }
    for (name, cells) in from.test.table().columns() {
        match cells.value(row) {
            Value::Missing => {}
            Value::Number(number) => drop(record.insert(name.to_owned(), Json::from(number))),
            Value::Text(text) => drop(record.insert(name.to_owned(), Json::String(text))),
        }
    }
    record
}

//! Batch scoring with a bundle: raw CSV rows or JSON lines in, one line per row out.
//!
//! The table goes through the very functions that answer a request, so every score has the bits of the online one.

use std::path::Path;

use serde_json::{Map, Value as Json};

use super::error::{Error, Result};
use super::fit::score_rows;
use super::progress::Progress;
use super::read::{Unlabelled, read_unlabelled};
use super::run::csv_field;
use crate::scoring::scorer::{Prediction, Scorer};

/// One scored row, with its id as the file spells it.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ScoredRow {
    pub id: String,
    pub score: f32,
    pub is_fraud: bool,
}

impl From<&Prediction> for ScoredRow {
    fn from(answer: &Prediction) -> ScoredRow {
        let id = match &answer.id {
            Json::String(text) => text.clone(),
            Json::Null => String::new(),
            other => other.to_string(),
        };
        ScoredRow { id, score: answer.score, is_fraud: answer.is_fraud }
    }
}

/// Scores the rows of CSV files: the first holds the rows, the others are left-joined to it by the id column.
pub fn predict_csv(scorer: &Scorer, paths: &[&Path], progress: &dyn Progress) -> Result<Vec<ScoredRow>> {
    let bundle = scorer.bundle();
    let Unlabelled { table, ids } = read_unlabelled(paths, &bundle.manifest.schema, progress)?;
    let rows: Vec<u32> = (0..table.n_rows() as u32).collect();
    let mut scored = Vec::with_capacity(rows.len());
    // Blocks, so that a large file needs its table and little more.
    let columns = bundle.preprocessor.bind(&table)?;
    for block in rows.chunks(65_536) {
        let scores = score_rows(&bundle.model, &columns, block);
        if let Some(at) = scores.iter().position(|score| !score.is_finite()) {
            let id = ids.get(block[at] as usize);
            return Err(Error::permanent(format!("row with id `{id}`: the numbers overflow in the model")));
        }
        scored.extend(block.iter().zip(scores).map(|(&row, score)| ScoredRow {
            id: ids.get(row as usize).into_owned(),
            score,
            is_fraud: scorer.is_fraud(score),
        }));
    }
    Ok(scored)
}

/// `id,score,is_fraud` with a header; a score is its shortest round-trip text.
pub fn to_csv(rows: &[ScoredRow]) -> String {
    let mut csv = String::from("id,score,is_fraud\n");
    for row in rows {
        // The very text of the online answer: `0.0`, where Rust would print `0`.
        let score = serde_json::to_string(&row.score).unwrap_or_default();
        csv.push_str(&format!("{},{score},{}\n", csv_field(&row.id), u8::from(row.is_fraud)));
    }
    csv
}

/// One JSON object per line.
pub fn to_json_lines(rows: &[impl serde::Serialize]) -> String {
    rows.iter().filter_map(|row| serde_json::to_string(row).ok()).map(|line| line + "\n").collect()
}

/// Scores JSON lines, one raw record each; the answer of the pipeline per line.
pub fn predict_json_lines(scorer: &Scorer, text: &str, name: &str) -> Result<Vec<Prediction>> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let score = |(at, line): (usize, &str)| {
        let place = |what: String| Error::permanent(format!("`{name}`, line {}: {what}", at + 1));
        let record: Map<String, Json> = match serde_json::from_str(line) {
            Ok(Json::Object(record)) => record,
            Ok(_) => return Err(place("expected a JSON object".into())),
            Err(error) => return Err(place(format!("expected a JSON object: {error}"))),
        };
        scorer.pipeline(&record).map_err(|error| place(error.message))
    };
    lines.map(score).collect()
}

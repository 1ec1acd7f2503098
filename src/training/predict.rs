//! Batch scoring with a bundle: raw CSV rows or JSON lines in, one line per row out, with reasons where they are asked for.
//!
//! The table goes through the very functions that answer a request, so every score has the bits of the online one. The
//! reasons of a row are the features that moved its raw score up most, by path attribution or by TreeSHAP; ties by the
//! order of features. Contributions add up to the raw score; the score that stands beside them is the calibrated one.

use std::path::Path;

use rayon::prelude::*;
use serde_json::{Map, Value as Json};

use super::error::{Error, Result};
use super::fit::score_rows;
use super::progress::Progress;
use super::read::{Unlabelled, read_unlabelled};
use super::run::csv_field;
use crate::scoring::error::ScoringError;
use crate::scoring::matrix::FeatureMatrix;
use crate::scoring::model::Model;
use crate::scoring::model::forest::{Forest, TreeShap};
use crate::scoring::reasons::{Reason, raising};
use crate::scoring::scorer::{Prediction, Scorer};

/// How contributions are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribution {
    /// Along the paths of the row: cheap.
    Path,
    /// Shapley values: about a millisecond per tree and row.
    Shap,
}

/// How many reasons per row, and how they are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WantedReasons {
    pub n: usize,
    pub by: Attribution,
}

/// Finds the reasons of prepared rows.
pub struct Explainer<'a> {
    forest: &'a Forest,
    shap: Option<TreeShap<'a>>,
    names: &'a [String],
    n: usize,
}

impl<'a> Explainer<'a> {
    /// Only forests of this version's bundles know what a feature contributed.
    pub fn new(scorer: &'a Scorer, wanted: WantedReasons) -> Result<Self> {
        let bundle = scorer.bundle();
        let Model::Forest(forest) = &bundle.model else {
            let found = bundle.manifest.model.as_str();
            return Err(Error::permanent(format!("reasons need a forest: the bundle's model is `{found}`"))
                .hint("leave out --reasons, or name another bundle"));
        };
        let shap = (wanted.by == Attribution::Shap).then(|| TreeShap::new(forest)).transpose()?;
        let explainer = Self { forest, shap, names: &bundle.manifest.features, n: wanted.n };
        // A forest that holds no values is refused before any row is read.
        explainer.contributions(&vec![0.0; explainer.names.len()], &mut vec![0.0; explainer.names.len()])?;
        Ok(explainer)
    }

    fn contributions(&self, row: &[f32], contributions: &mut [f64]) -> std::result::Result<f64, ScoringError> {
        match &self.shap {
            Some(shap) => shap.explain(row, contributions),
            None => self.forest.path_contributions(row, contributions),
        }
    }

    /// At most `n` features that raised the raw score, the largest contribution first.
    fn reasons(&self, row: &[f32], contributions: &mut [f64]) -> Result<Vec<Reason>> {
        self.contributions(row, contributions)?;
        Ok(raising(self.names, contributions, self.n))
    }

    /// The reasons of all rows of a matrix, on all threads.
    fn reasons_of_all(&self, matrix: &FeatureMatrix) -> Result<Vec<Vec<Reason>>> {
        let rows = matrix.values().par_chunks(matrix.n_features());
        rows.map_init(|| vec![0.0; matrix.n_features()], |scratch, row| self.reasons(row, scratch)).collect()
    }
}

/// One scored row, with its id as the file spells it.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ScoredRow {
    pub id: String,
    pub score: f32,
    pub is_fraud: bool,
    /// Absent unless asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasons: Option<Vec<Reason>>,
}

/// The pipeline's answer to one record.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Answer {
    #[serde(flatten)]
    pub prediction: Prediction,
    /// Absent unless asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasons: Option<Vec<Reason>>,
}

impl From<&Answer> for ScoredRow {
    fn from(Answer { prediction, reasons }: &Answer) -> ScoredRow {
        let id = match &prediction.id {
            Json::String(text) => text.clone(),
            Json::Null => String::new(),
            other => other.to_string(),
        };
        ScoredRow { id, score: prediction.score, is_fraud: prediction.is_fraud, reasons: reasons.clone() }
    }
}

/// Scores the rows of CSV files: the first holds the rows, the others are left-joined to it by the id column.
pub fn predict_csv(
    scorer: &Scorer,
    explainer: Option<&Explainer>,
    paths: &[&Path],
    progress: &dyn Progress,
) -> Result<Vec<ScoredRow>> {
    let bundle = scorer.bundle();
    let Unlabelled { table, ids } = read_unlabelled(paths, &bundle.manifest.schema, progress)?;
    let rows: Vec<u32> = (0..table.n_rows() as u32).collect();
    let mut scored = Vec::with_capacity(rows.len());
    // Blocks, so that a large file needs its table and little more.
    let columns = bundle.preprocessor.bind(&table)?;
    for block in rows.chunks(65_536) {
        let raw = score_rows(&bundle.model, &columns, block);
        if let Some(at) = raw.iter().position(|score| !score.is_finite()) {
            let id = ids.get(block[at] as usize);
            return Err(Error::permanent(format!("row with id `{id}`: the numbers overflow in the model")));
        }
        let explain = |explainer: &Explainer| explainer.reasons_of_all(&columns.matrix(block));
        let mut reasons = explainer.map(explain).transpose()?.map(Vec::into_iter);
        scored.extend(block.iter().zip(raw).map(|(&row, raw)| {
            let score = scorer.calibrated(raw);
            ScoredRow {
                id: ids.get(row as usize).into_owned(),
                score,
                is_fraud: scorer.is_fraud(score),
                reasons: reasons.as_mut().and_then(Iterator::next),
            }
        }));
    }
    Ok(scored)
}

/// `id,score,is_fraud` with a header, and `reasons` (`name:contribution;..`) where rows have them; a number is its
/// shortest round-trip text.
pub fn to_csv(rows: &[ScoredRow], with_reasons: bool) -> String {
    let mut csv = format!("id,score,is_fraud{}\n", if with_reasons { ",reasons" } else { "" });
    for row in rows {
        csv.push_str(&format!("{},{},{}", csv_field(&row.id), online_text(row.score), u8::from(row.is_fraud)));
        if with_reasons {
            let reasons = row.reasons.iter().flatten();
            let texts = reasons.map(|reason| format!("{}:{}", reason.feature, online_text(reason.contribution)));
            csv.push(',');
            csv.push_str(&csv_field(&texts.collect::<Vec<String>>().join(";")));
        }
        csv.push('\n');
    }
    csv
}

/// The very text of the online answer: `0.0`, where Rust would print `0`.
fn online_text(number: f32) -> String {
    serde_json::to_string(&number).unwrap_or_default()
}

/// One JSON object per line.
pub fn to_json_lines(rows: &[impl serde::Serialize]) -> String {
    rows.iter().filter_map(|row| serde_json::to_string(row).ok()).map(|line| line + "\n").collect()
}

/// Scores JSON lines, one raw record each; the answer of the pipeline per line.
pub fn predict_json_lines(
    scorer: &Scorer,
    explainer: Option<&Explainer>,
    text: &str,
    name: &str,
) -> Result<Vec<Answer>> {
    let mut scratch = vec![0.0; scorer.bundle().manifest.features.len()];
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let answer = |(at, line): (usize, &str)| {
        let place = |what: String| {
            Error::permanent(format!("`{name}`, line {}: {what}", at + 1))
                .hint("one JSON object a line: column name -> number, text or null, as in the bundle's `golden.json`")
        };
        let record: Map<String, Json> = match serde_json::from_str(line) {
            Ok(Json::Object(record)) => record,
            Ok(_) => return Err(place("expected a JSON object".into())),
            Err(error) => return Err(place(format!("expected a JSON object: {error}"))),
        };
        let wrong = |error: ScoringError| place(error.message);
        let prediction = scorer.pipeline(&record).map_err(wrong)?;
        let Some(explainer) = explainer else {
            return Ok(Answer { prediction, reasons: None });
        };
        let encoded = scorer.transform(&record).and_then(|transformed| scorer.encode(&transformed)).map_err(wrong)?;
        Ok(Answer { prediction, reasons: Some(explainer.reasons(&encoded.vector, &mut scratch)?) })
    };
    lines.map(answer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scoring::bundle::Bundle;
    use crate::scoring::model::forest::ForestBuilder;
    use crate::training::progress::Silent;

    /// A bundle over `amount` and `card` with a model of our own.
    fn scorer(model: Model) -> Scorer {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/bundle_of_leaf_values");
        let mut bundle = Bundle::load(&folder).expect("bundle");
        assert_eq!(bundle.manifest.features, ["amount", "card"]);
        bundle.model = model;
        bundle.golden.records.clear();
        Scorer::new(bundle).expect("scorer")
    }

    /// Half of all samples are frauds: of those whose amount is missing none, of the others three quarters. The card
    /// says nothing.
    fn forest() -> Forest {
        let mut builder = ForestBuilder::new(2).unwrap();
        builder.begin_tree().unwrap();
        builder.split(0, f32::INFINITY, false).unwrap();
        builder.split(1, f32::INFINITY, true).unwrap();
        builder.leaf_counts([10, 30]).unwrap();
        builder.leaf_counts([0, 0]).unwrap();
        builder.leaf_counts([20, 0]).unwrap();
        builder.build().unwrap()
    }

    const WANTED: [WantedReasons; 2] =
        [WantedReasons { n: 2, by: Attribution::Path }, WantedReasons { n: 2, by: Attribution::Shap }];

    #[test]
    fn reasons_are_what_raised_the_score() {
        let scorer = scorer(Model::Forest(forest()));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.csv");
        let rows = "id,time,amount,card\n1,5,12.5,visa\n2,6,,visa\n";
        crate::training::run_dir::write_atomic(&path, rows.as_bytes()).unwrap();
        let lines =
            "{\"id\": 1, \"amount\": 12.5, \"card\": \"visa\"}\n{\"id\": 2, \"amount\": null, \"card\": \"visa\"}\n";
        for wanted in WANTED {
            let explainer = Explainer::new(&scorer, wanted).unwrap();
            let table = predict_csv(&scorer, Some(&explainer), &[&path], &Silent).unwrap();
            // The root's value is 30 of 60; a known amount adds 0.25, a missing one takes 0.5 and is no reason.
            assert_eq!(to_csv(&table, true), "id,score,is_fraud,reasons\n1,0.75,0,amount:0.25\n2,0.0,0,\n");
            let answers = predict_json_lines(&scorer, Some(&explainer), lines, "rows.jsonl").unwrap();
            let text = to_json_lines(&answers);
            assert!(
                text.lines().next().unwrap().ends_with("\"reasons\":[{\"feature\":\"amount\",\"contribution\":0.25}]}")
            );
            assert!(text.lines().nth(1).unwrap().ends_with("\"reasons\":[]}"), "{text}");
            assert_eq!(answers.iter().map(ScoredRow::from).collect::<Vec<_>>(), table);
        }
        let plain = predict_json_lines(&scorer, None, lines, "rows.jsonl").unwrap();
        let online = serde_json::to_string(&plain[0].prediction).unwrap();
        assert_eq!(to_json_lines(&plain[..1]), online + "\n", "without reasons the online answer, byte for byte");
    }

    #[test]
    fn only_forests_that_know_their_nodes_give_reasons() {
        use crate::scoring::model::logistic::Logistic;
        let mut builder = ForestBuilder::new(2).unwrap();
        builder.begin_tree().unwrap();
        builder.leaf(0.5).unwrap();
        let old = Model::Forest(builder.build().unwrap());
        let other = Model::Logistic(Logistic { coefficients: vec![1.0, 1.0], intercept: 0.0 });
        for (model, expected) in [(old, "this bundle holds no node values"), (other, "reasons need a forest")] {
            let scorer = scorer(model);
            for wanted in WANTED {
                let error = Explainer::new(&scorer, wanted).map(drop).unwrap_err();
                assert!(error.message.starts_with(expected) && error.hint.is_some(), "{error:?}");
            }
        }
    }
}

//! Why the winner scores as it does: partial dependence of its most important features, and its most costly errors with
//! reason codes. In: a frozen final fit, its test rows and their scores; out: `explanation.json`.
//!
//! Partial dependence (Friedman 2001): the mean calibrated score of a sample of test rows if all of them had one value of
//! the feature, at quantiles of its prepared values; named by the raw cell of a row that has it, where a raw column has the
//! feature's name. Limit: where features go together, it looks at rows that do not exist.
//!
//! Errors are told by id, score, amount and reasons; raw columns only where the config names them. Reasons of a false alarm
//! are the features that raised the raw score most, those of a miss the ones that lowered it most (path attribution,
//! forests only).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::permutation::stratified;
use super::{Importance, Permuting};
use crate::scoring::calibration::Calibration;
use crate::scoring::matrix::FeatureMatrix;
use crate::scoring::model::{Classifier, Model};
use crate::scoring::preprocessor::Preprocessor;
use crate::scoring::reasons::raising;
use crate::scoring::record::Value;
use crate::training::config::CostMatrix;
use crate::training::error::Result;
use crate::training::evaluate::RowFacts;
use crate::training::rows::HeldOutRows;
use crate::training::seed::Seed;

const N_FEATURES: usize = 6;
const N_POINTS: usize = 12;
const N_ROWS: usize = 1000;
const N_ERRORS: usize = 10;
const N_REASONS: usize = 3;

/// `explanation.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    pub format: u32,
    /// Key of the final fit, and the threshold that makes an error of a row.
    pub cell: String,
    pub threshold: f32,
    pub dependence: Vec<PartialDependence>,
    /// Rows of the sample that dependence is a mean over.
    pub n_rows: usize,
    pub misses: Vec<CostlyError>,
    pub false_alarms: Vec<CostlyError>,
    /// Why errors have no reasons.
    pub reasons_undefined: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartialDependence {
    pub feature: String,
    pub points: Vec<DependencePoint>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DependencePoint {
    /// The raw cell, or the prepared value where there is none.
    pub value: String,
    pub prepared: f32,
    /// Calibrated.
    pub mean_score: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CostlyError {
    pub id: String,
    /// Calibrated.
    pub score: f32,
    pub amount: Option<f64>,
    pub cost: f64,
    pub reasons: Vec<(String, f32)>,
    /// Raw cells that the config asks for.
    pub columns: BTreeMap<String, String>,
}

/// What is explained.
pub struct Explaining<'a> {
    pub from: Permuting<'a>,
    pub importance: &'a Importance,
    pub calibration: &'a Calibration,
    pub threshold: f32,
    pub costs: CostMatrix,
    pub show_columns: &'a [String],
    /// Of the test rows, in their order.
    pub ids: &'a [String],
    /// Raw.
    pub scores: &'a [f32],
    pub facts: &'a RowFacts,
}

pub fn explain(asked: &Explaining, seed: Seed) -> Result<Explanation> {
    let fit = asked.from.fit;
    let preprocessor = Preprocessor::from_bytes(&fit.preprocessor)?;
    let model = Model::from_bytes(asked.from.kind, preprocessor.n_features(), &fit.model)?;
    let labels = asked.from.test.labels();
    let places = stratified(&labels, N_ROWS, seed);
    let rows: Vec<u32> = places.iter().map(|&place| asked.from.test.rows()[place]).collect();
    let matrix = preprocessor.apply(asked.from.test.table(), &rows)?;
    let features = most_important(asked.importance);
    let dependence = features.iter().filter_map(|name| {
        let feature = matrix.names().iter().position(|known| known == name)?;
        Some(asked.dependence(&model, &matrix, feature, &rows))
    });
    let dependence = dependence.collect();
    let errors = |wanted: u8| asked.errors(&model, &preprocessor, &labels, wanted);
    let forest = matches!(model, Model::Forest(_));
    Ok(Explanation {
        format: 1,
        cell: asked.from.cell.to_owned(),
        threshold: asked.threshold,
        dependence,
        n_rows: rows.len(),
        misses: errors(1)?,
        false_alarms: errors(0)?,
        reasons_undefined: (!forest)
            .then(|| format!("reasons need a forest, the winner is `{}`", asked.from.kind.as_str())),
    })
}

/// By what shuffling them costs, else by their share of the splits' gains; equal ones by name.
fn most_important(importance: &Importance) -> Vec<String> {
    let mut sizes: Vec<(f64, &String)> = match &importance.permutation {
        Some(found) => {
            found.features.iter().map(|(name, drop)| (drop.average_precision.mean.unwrap_or(0.0), name)).collect()
        }
        None => importance.impurity.iter().map(|(name, &share)| (share, name)).collect(),
    };
    sizes.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    sizes.into_iter().take(N_FEATURES).map(|(_, name)| name.clone()).collect()
}

impl Explaining<'_> {
    fn dependence(&self, model: &Model, matrix: &FeatureMatrix, feature: usize, rows: &[u32]) -> PartialDependence {
        let name = &matrix.names()[feature];
        let mut values: Vec<(f32, u32)> = matrix.rows().map(|row| row[feature]).zip(rows.iter().copied()).collect();
        values.retain(|(value, _)| !value.is_nan());
        values.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let mut distinct = values.clone();
        distinct.dedup_by_key(|value| value.0);
        // Few values stand as they are, many at the quantiles of the rows.
        let from = if distinct.len() <= N_POINTS { distinct } else { values };
        let last = from.len().saturating_sub(1);
        let n_points = from.len().min(N_POINTS);
        let place = |point: usize| if n_points > 1 { point * last / (n_points - 1) } else { 0 };
        let mut points: Vec<(f32, u32)> = (0..n_points).map(|point| from[place(point)]).collect();
        points.dedup_by_key(|point| point.0);
        let raw = self.from.test.table().column(name);
        let mean = |prepared: f32| {
            let mut all = matrix.values().to_vec();
            all[feature..].iter_mut().step_by(matrix.n_features()).for_each(|value| *value = prepared);
            let scores = model.score(&FeatureMatrix::new(matrix.names().clone(), all));
            scores.iter().map(|&raw| f64::from(self.calibration.apply(raw))).sum::<f64>() / scores.len().max(1) as f64
        };
        let point = |(prepared, row): (f32, u32)| DependencePoint {
            value: raw.map_or_else(|| prepared.to_string(), |cells| text(cells.value(row as usize))),
            prepared,
            mean_score: mean(prepared),
        };
        PartialDependence { feature: name.clone(), points: points.into_iter().map(point).collect() }
    }

    /// Misses (frauds below the threshold) or false alarms, the most costly first; equal ones by amount, then by how far
    /// the score is on the wrong side.
    fn errors(
        &self,
        model: &Model,
        preprocessor: &Preprocessor,
        labels: &[u8],
        wanted: u8,
    ) -> Result<Vec<CostlyError>> {
        let amounts = self.facts.money().ok();
        let score = |row: usize| self.calibration.apply(self.scores[row]);
        let amount = |row: usize| amounts.map(|amounts| amounts[row]);
        let cost = |row: usize| self.costs.of(wanted, wanted == 0, amount(row).unwrap_or(0.0));
        let mut wrong: Vec<usize> = (0..labels.len())
            .filter(|&row| labels[row] == wanted && (score(row) >= self.threshold) == (wanted == 0))
            .collect();
        let side = if wanted == 1 { 1.0 } else { -1.0 };
        let key = |row: usize| (cost(row), amount(row).unwrap_or(0.0), -side * f64::from(score(row)));
        wrong.sort_by(|&a, &b| {
            let (a, b) = (key(a), key(b));
            b.0.total_cmp(&a.0).then(b.1.total_cmp(&a.1)).then(b.2.total_cmp(&a.2))
        });
        wrong.truncate(N_ERRORS);
        let test = self.from.test;
        let rows: Vec<u32> = wrong.iter().map(|&row| test.rows()[row]).collect();
        let matrix = preprocessor.apply(test.table(), &rows)?;
        let explained = wrong.iter().zip(matrix.rows()).map(|(&row, vector)| {
            Ok(CostlyError {
                id: self.ids[row].clone(),
                score: score(row),
                amount: amount(row),
                cost: cost(row),
                reasons: reasons(model, matrix.names(), vector, wanted)?,
                columns: self.shown(test, test.rows()[row]),
            })
        });
        explained.collect()
    }

    fn shown(&self, test: &HeldOutRows, row: u32) -> BTreeMap<String, String> {
        let cell = |name: &String| Some((name.clone(), text(test.table().column(name)?.value(row as usize))));
        self.show_columns.iter().filter_map(cell).collect()
    }
}

fn reasons(model: &Model, names: &[String], vector: &[f32], wanted: u8) -> Result<Vec<(String, f32)>> {
    let Model::Forest(forest) = model else { return Ok(Vec::new()) };
    let mut contributions = vec![0.0; vector.len()];
    forest.path_contributions(vector, &mut contributions)?;
    if wanted == 1 {
        contributions.iter_mut().for_each(|contribution| *contribution = -*contribution);
    }
    let side = if wanted == 1 { -1.0 } else { 1.0 };
    let found = raising(names, &contributions, N_REASONS).into_iter();
    Ok(found.map(|reason| (reason.feature, side * reason.contribution)).collect())
}

fn text(value: Value) -> String {
    match value {
        Value::Missing => "(missing)".into(),
        Value::Number(number) => number.to_string(),
        Value::Text(text) => text,
    }
}

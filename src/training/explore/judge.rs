//! A small forest that tells two sets of rows apart, for adversarial validation.
//!
//! In: a dataset whose labels are the two sets. Out: its AUC on rows it did not see, and the columns it goes by. At most
//! 20,000 rows of each set, evenly over their order; every second one is held out.

use std::sync::Arc;

use crate::scoring::model::Model;
use crate::scoring::preprocessor::TextCase;
use crate::training::config::{
    DataConfig, EncodeConfig, ForestConfig, ImputeCategorical, ImputeNumeric, MissingColumns, PreprocessConfig, Recipe,
    ScaleKind, Target,
};
use crate::training::error::Result;
use crate::training::evaluate::measure;
use crate::training::fit::forest::{SplitKind, grow};
use crate::training::fit::score_rows;
use crate::training::mapped::Storage;
use crate::training::prepare::prepare;
use crate::training::progress::Silent;
use crate::training::rows::{Dataset, HeldOutRows, TrainRows};
use crate::training::seed::Seed;

const MOST_ROWS: usize = 20_000;
const MOST_DRIVERS: usize = 10;

/// How well two groups of rows are told apart (AUC; none where nothing could be fitted), and by which columns most.
pub(super) type ToldApart = (Option<f64>, Vec<(String, f64)>);

pub(super) fn told_apart(dataset: &Arc<Dataset>, a: &[u32], b: &[u32]) -> Result<ToldApart> {
    let sample =
        |rows: &[u32]| -> Vec<u32> { rows.iter().copied().step_by(rows.len().div_ceil(MOST_ROWS).max(1)).collect() };
    let mut rows = [sample(a), sample(b)].concat();
    rows.sort_unstable();
    let every_second = |first: usize| rows.iter().copied().skip(first).step_by(2).collect::<Vec<u32>>();
    let (train, held_out) =
        (TrainRows::new(dataset.clone(), every_second(0)), HeldOutRows::new(dataset.clone(), every_second(1)));
    let data = DataConfig {
        tables: Vec::new(),
        target: Target { column: String::new(), positive: String::new() },
        id: None,
        time: None,
        amount: None,
        group: None,
        missing_columns: MissingColumns::Refuse,
        unknown_keys: Default::default(),
        columns: Vec::new(),
    };
    let preprocess = PreprocessConfig {
        missing_above: None,
        drop_constant: true,
        correlated_above: None,
        duplicates: false,
        inconsistent: false,
        most_important: None,
        impute_numeric: ImputeNumeric::None,
        impute_categorical: ImputeCategorical::Constant("missing".into()),
        indicators: false,
        text_case: TextCase::Keep,
        encode: EncodeConfig::Label,
        scale: ScaleKind::None,
        reduce: Vec::new(),
    };
    let recipe = Recipe { data: &data, features: &[], preprocess: &preprocess };
    let seed = Seed::new(0).derive("adversarial validation", 0);
    let prepared = prepare(&recipe, &train, &held_out, &Storage::in_memory(), seed)?;
    let forest =
        ForestConfig { trees: 30, max_depth: Some(10), min_samples_leaf: 10, bins: 63, ..ForestConfig::RANDOM_FOREST };
    let grown = grow(&forest, SplitKind::Best, &prepared.train, seed, &Silent)?;
    let (columns, rows) = prepared.held_out.columns();
    let names = columns.names();
    let scores = score_rows(&Model::Forest(grown.forest), columns, rows);
    let mut drivers: Vec<(String, f64)> = names.iter().cloned().zip(grown.impurity_importance).collect();
    drivers.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    drivers.truncate(MOST_DRIVERS);
    Ok((measure(&prepared.held_out.labels, &scores).auc, drivers))
}

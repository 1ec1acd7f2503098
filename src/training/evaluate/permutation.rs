//! Permutation importance (Breiman 2001; Fisher et al. 2019) of a final fit, of any kind: what AUC and average precision
//! lose on test rows when one column is shuffled among them. In: the frozen fit and the test rows; out: per feature the
//! mean drop over the repeats and its standard deviation.
//!
//! At most `rows` test rows, drawn by class and in their order. Each shuffle has a seed of its own, labelled by the
//! column's name and the repeat, and is measured on one thread: the bytes do not follow the thread count, nor which
//! other columns there are. A column that no tree of a forest splits on loses nothing, without work. Columns that tell
//! the same stand in for each other: both may lose little.

use std::collections::BTreeMap;

use rand::seq::SliceRandom;
use rayon::prelude::*;

use super::{ColumnDrop, FigureDrop, Metrics, PermutationImportance, measure};
use crate::scoring::matrix::FeatureMatrix;
use crate::scoring::model::{Classifier, Model, ModelKind};
use crate::scoring::preprocessor::Preprocessor;
use crate::training::config::ImportanceConfig;
use crate::training::error::{Error, Result};
use crate::training::progress::{Progress, Unit};
use crate::training::rows::HeldOutRows;
use crate::training::run_dir::FrozenFit;
use crate::training::seed::Seed;

/// Rows scored together: one block is copied to change one column.
const BLOCK_ROWS: usize = 1024;

/// A final fit and the rows to measure it on.
pub struct Permuting<'a> {
    /// Key of its cell.
    pub cell: &'a str,
    pub kind: ModelKind,
    pub fit: &'a FrozenFit,
    pub test: &'a HeldOutRows,
}

pub fn permutation_importance(
    from: &Permuting,
    asked: ImportanceConfig,
    seed: Seed,
    progress: &dyn Progress,
) -> Result<PermutationImportance> {
    let preprocessor = Preprocessor::from_bytes(&from.fit.preprocessor)?;
    let model = Model::from_bytes(from.kind, preprocessor.n_features(), &from.fit.model)?;
    let labels = from.test.labels();
    let sample = stratified(&labels, asked.rows, seed.derive("sample", 0));
    let rows: Vec<u32> = sample.iter().map(|&at| from.test.rows()[at]).collect();
    let labels: Vec<u8> = sample.iter().map(|&at| labels[at]).collect();
    let matrix = preprocessor.apply(from.test.table(), &rows)?;
    let base = measure(&labels, &model.score(&matrix));
    let features = shuffle_columns(&model, &matrix, &labels, &base, asked.repeats, seed, progress)?;
    Ok(PermutationImportance {
        format: 1,
        cell: from.cell.to_owned(),
        asked,
        n_rows: base.n_rows,
        n_positives: base.n_positives,
        auc: base.auc,
        average_precision: base.average_precision,
        features,
    })
}

/// Ascending places of at most `n_wanted` rows, with the share of positives of all of them, and at least one of each
/// class that is there.
pub(super) fn stratified(labels: &[u8], n_wanted: usize, seed: Seed) -> Vec<usize> {
    if labels.len() <= n_wanted {
        return (0..labels.len()).collect();
    }
    let n_positives = labels.iter().filter(|&&label| label == 1).count();
    let n_negatives = labels.len() - n_positives;
    let share = (n_wanted as f64 * n_positives as f64 / labels.len() as f64).round() as usize;
    let n_positives = share.clamp(n_positives.min(1), n_wanted - n_negatives.min(1)).min(n_positives);
    let mut sample = Vec::with_capacity(n_wanted);
    for (class, n_of_class) in [(1, n_positives), (0, n_wanted - n_positives)] {
        let mut rows: Vec<usize> = (0..labels.len()).filter(|&row| labels[row] == class).collect();
        rows.shuffle(&mut seed.derive("class", u64::from(class)).rng());
        sample.extend(rows.into_iter().take(n_of_class));
    }
    sample.sort_unstable();
    sample
}

fn shuffle_columns(
    model: &Model,
    matrix: &FeatureMatrix,
    labels: &[u8],
    base: &Metrics,
    repeats: usize,
    seed: Seed,
    progress: &dyn Progress,
) -> Result<BTreeMap<String, ColumnDrop>> {
    let used = match model {
        Model::Forest(forest) => forest.used_features(),
        _ => vec![true; matrix.n_features()],
    };
    let shuffles: Vec<(usize, usize)> = (0..matrix.n_features())
        .filter(|&feature| used[feature])
        .flat_map(|feature| (0..repeats).map(move |repeat| (feature, repeat)))
        .collect();
    let n_rows = matrix.n_rows() as u64;
    progress.begin(Unit::Rows, "permutation importance", n_rows * shuffles.len() as u64);
    let measured = shuffles.par_iter().map(|&(feature, repeat)| {
        if progress.interrupted() {
            return Err(Error::interrupted());
        }
        let seed = seed.derive(&format!("column {}", matrix.names()[feature]), repeat as u64);
        let found = measure(labels, &score_shuffled(model, matrix, feature, seed));
        progress.advance(Unit::Rows, n_rows);
        Ok(found)
    });
    let measured = measured.collect::<Result<Vec<Metrics>>>();
    progress.end(Unit::Rows);
    let mut features: BTreeMap<String, ColumnDrop> =
        matrix.names().iter().map(|name| (name.clone(), ColumnDrop::default())).collect();
    for (found, of_feature) in measured?.chunks(repeats).zip(shuffles.chunks(repeats)) {
        let name = matrix.names()[of_feature[0].0].clone();
        let auc = drop_of(base.auc, found.iter().map(|found| found.auc));
        let average_precision = drop_of(base.average_precision, found.iter().map(|found| found.average_precision));
        features.insert(name, ColumnDrop { average_precision, auc });
    }
    Ok(features)
}

/// The scores of all rows with one column shuffled among them.
fn score_shuffled(model: &Model, matrix: &FeatureMatrix, feature: usize, seed: Seed) -> Vec<f32> {
    let width = matrix.n_features();
    let mut shuffled: Vec<f32> = matrix.rows().map(|row| row[feature]).collect();
    shuffled.shuffle(&mut seed.rng());
    let mut scores = Vec::with_capacity(shuffled.len());
    for (block, column) in matrix.values().chunks(BLOCK_ROWS * width).zip(shuffled.chunks(BLOCK_ROWS)) {
        let mut values = block.to_vec();
        values[feature..].iter_mut().step_by(width).zip(column).for_each(|(value, &other)| *value = other);
        scores.extend(model.score(&FeatureMatrix::new(matrix.names().clone(), values)));
    }
    scores
}

/// Mean drop, and the standard deviation (over n - 1) of more than one.
fn drop_of(base: Option<f64>, shuffled: impl Iterator<Item = Option<f64>>) -> FigureDrop {
    let drops: Option<Vec<f64>> = shuffled.map(|figure| Some(base? - figure?)).collect();
    let Some(drops) = drops.filter(|drops| !drops.is_empty()) else {
        return FigureDrop { mean: None, deviation: None };
    };
    let n = drops.len() as f64;
    let mean = drops.iter().sum::<f64>() / n;
    let squares: f64 = drops.iter().map(|drop| (drop - mean) * (drop - mean)).sum();
    FigureDrop { mean: Some(mean), deviation: (drops.len() > 1).then(|| (squares / (n - 1.0)).sqrt()) }
}

#[cfg(test)]
mod tests;

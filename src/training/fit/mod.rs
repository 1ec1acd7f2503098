//! Fit: a training set becomes a model. Only a [`TrainingSet`] can be learned from.

mod consistency;
pub mod features;
pub mod forest;
pub mod gram;
pub mod logistic;
pub mod mlp;
#[cfg(test)]
mod oracle;
mod pca;
pub mod preprocessor;
pub mod selection;

use rayon::prelude::*;

use super::config::{ForestConfig, ModelConfig};
use super::error::Result;
use super::progress::Progress;
use super::rows::TrainingSet;
use super::seed::Seed;
use crate::scoring::matrix::FeatureMatrix;
use crate::scoring::model::{Classifier, Model};
use crate::scoring::preprocessor::PreparedColumns;

/// Anything that learns a model from a training set.
pub trait Learner {
    fn fit(&self, set: &TrainingSet, seed: Seed, progress: &dyn Progress) -> Result<Fitted>;
}

/// A model and what is worth keeping of its training.
#[derive(Debug)]
pub struct Fitted {
    pub model: Model,
    /// Mean training loss per epoch; empty where there are no epochs.
    pub losses: Vec<f64>,
    /// Early stopping's view of its epochs.
    pub watched: Option<mlp::WatchedCurves>,
    /// Share of each feature in the decrease of impurity; empty for all but forests.
    pub impurity_importance: Vec<f64>,
    /// Per row of the set's matrix, the score of the trees that did not draw it, NaN where all did; empty unless a
    /// forest was asked for it.
    pub out_of_bag: Vec<f32>,
}

impl Fitted {
    fn of(model: Model) -> Fitted {
        Fitted { model, losses: Vec::new(), watched: None, impurity_importance: Vec::new(), out_of_bag: Vec::new() }
    }
}

impl From<forest::Grown> for Fitted {
    fn from(grown: forest::Grown) -> Fitted {
        let forest::Grown { forest, impurity_importance, out_of_bag } = grown;
        Fitted { impurity_importance, out_of_bag, ..Fitted::of(Model::Forest(forest)) }
    }
}

impl ModelConfig {
    /// If it is a forest: which, and how its trees are split.
    pub fn forest(&self) -> Option<(&ForestConfig, forest::SplitKind)> {
        match self {
            ModelConfig::RandomForest(config) => Some((config, forest::SplitKind::Best)),
            ModelConfig::ExtraTrees(config) => Some((config, forest::SplitKind::Random)),
            ModelConfig::Mlp(_) | ModelConfig::Logistic => None,
        }
    }
}

impl Learner for ModelConfig {
    fn fit(&self, set: &TrainingSet, seed: Seed, progress: &dyn Progress) -> Result<Fitted> {
        Ok(match self {
            ModelConfig::RandomForest(config) => {
                forest::grow(config, forest::SplitKind::Best, set, seed, progress)?.into()
            }
            ModelConfig::ExtraTrees(config) => {
                forest::grow(config, forest::SplitKind::Random, set, seed, progress)?.into()
            }
            ModelConfig::Mlp(config) => {
                let mlp::Trained { mlp, losses, watched } = mlp::train(config, set, seed, progress)?;
                Fitted { losses, watched, ..Fitted::of(Model::Mlp(mlp)) }
            }
            ModelConfig::Logistic => Fitted::of(Model::Logistic(logistic::train(set, progress)?)),
        })
    }
}

/// Rows per task: enough work to share out, little enough to copy.
const ROWS_PER_TASK: usize = 4096;

/// The raw scores of all rows on all threads; the bits are those of one thread.
pub fn score_parallel(model: &Model, matrix: &FeatureMatrix) -> Vec<f32> {
    let blocks = matrix.values().par_chunks(ROWS_PER_TASK * matrix.n_features());
    let scores: Vec<Vec<f32>> =
        blocks.map(|block| model.score(&FeatureMatrix::new(matrix.names().clone(), block.to_vec()))).collect();
    scores.concat()
}

/// The raw scores of rows that are prepared block by block; the bits are those of a matrix of all.
pub fn score_rows(model: &Model, columns: &PreparedColumns, rows: &[u32]) -> Vec<f32> {
    let blocks = rows.par_chunks(ROWS_PER_TASK).map(|rows| model.score(&columns.matrix(rows)));
    blocks.collect::<Vec<Vec<f32>>>().concat()
}

/// The raw scores of a set's distinct rows.
pub fn score_set(model: &Model, set: &TrainingSet) -> Vec<f32> {
    match (set.made_matrix(), set.columns()) {
        (None, Some((columns, rows))) => score_rows(model, columns, rows),
        _ => score_parallel(model, set.matrix()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scoring::model::logistic::Logistic;

    #[test]
    fn blocks_come_back_in_order() {
        let names: Vec<String> = ["a".into(), "b".into()].into();
        for n_rows in [0, 1, ROWS_PER_TASK, 3 * ROWS_PER_TASK + 5] {
            let values = (0..2 * n_rows).map(|at| (at % 977) as f32 / 500.0).collect();
            let matrix = FeatureMatrix::new(names.clone().into(), values);
            let model = Model::Logistic(Logistic { coefficients: vec![1.0, -0.5], intercept: 0.1 });
            assert_eq!(score_parallel(&model, &matrix), model.score(&matrix));
        }
    }
}

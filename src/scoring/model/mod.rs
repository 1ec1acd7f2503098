//! Fitted models as flat arrays: what a bundle holds and a score needs.
//!
//! In: a prepared row (`n_features` f32). Out: the raw score, the probability of fraud in [0, 1] as f32. A batch gives
//! the same bits as its rows one by one. Stored as `model.safetensors`; loading treats the bytes as hostile.

pub mod forest;
pub mod logistic;
pub mod mlp;
pub mod tensors;

use serde::{Deserialize, Serialize};

use super::error::ScoringError;
use super::matrix::FeatureMatrix;
use forest::Forest;
use logistic::Logistic;
use mlp::Mlp;

/// Anything that scores a prepared row.
pub trait Classifier: Sync {
    fn n_features(&self) -> usize;

    /// The raw score of one row of `n_features` values: the probability of the positive class.
    fn score_row(&self, row: &[f32]) -> f32;

    /// The raw scores of all rows, in order.
    fn score(&self, matrix: &FeatureMatrix) -> Vec<f32> {
        matrix.rows().map(|row| self.score_row(row)).collect()
    }
}

/// The kinds of models, by the names used in configs and results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelKind {
    RandomForest,
    ExtraTrees,
    Mlp,
    /// The baseline row: never selected, never a bundle.
    Logistic,
}

impl ModelKind {
    pub const ALL: [ModelKind; 4] =
        [ModelKind::RandomForest, ModelKind::ExtraTrees, ModelKind::Mlp, ModelKind::Logistic];

    pub fn as_str(self) -> &'static str {
        match self {
            ModelKind::RandomForest => "random-forest",
            ModelKind::ExtraTrees => "extra-trees",
            ModelKind::Mlp => "mlp",
            ModelKind::Logistic => "logistic",
        }
    }
}

/// A fitted model.
#[derive(Debug, Clone, PartialEq)]
pub enum Model {
    Forest(Forest),
    Mlp(Mlp),
    Logistic(Logistic),
}

impl Classifier for Model {
    fn n_features(&self) -> usize {
        match self {
            Model::Forest(forest) => forest.n_features(),
            Model::Mlp(mlp) => mlp.n_features(),
            Model::Logistic(logistic) => logistic.n_features(),
        }
    }

    fn score_row(&self, row: &[f32]) -> f32 {
        match self {
            Model::Forest(forest) => forest.score_row(row),
            Model::Mlp(mlp) => mlp.score_row(row),
            Model::Logistic(logistic) => logistic.score_row(row),
        }
    }

    fn score(&self, matrix: &FeatureMatrix) -> Vec<f32> {
        match self {
            Model::Forest(forest) => forest.score(matrix),
            Model::Mlp(mlp) => mlp.score(matrix),
            Model::Logistic(logistic) => logistic.score(matrix),
        }
    }
}

impl Model {
    /// The bytes of `model.safetensors`; the same model gives the same bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Model::Forest(forest) => forest.to_bytes(),
            Model::Mlp(mlp) => mlp.to_bytes(),
            Model::Logistic(logistic) => logistic.to_bytes(),
        }
    }

    /// Reads `model.safetensors` of a model of this kind over `n_features` features. The bytes are hostile: every
    /// count, index and value is checked, and whatever loads can score any row without a panic.
    pub fn from_bytes(kind: ModelKind, n_features: usize, bytes: &[u8]) -> Result<Model, ScoringError> {
        match kind {
            ModelKind::RandomForest | ModelKind::ExtraTrees => Forest::from_bytes(n_features, bytes).map(Model::Forest),
            ModelKind::Mlp => Mlp::from_bytes(n_features, bytes).map(Model::Mlp),
            ModelKind::Logistic => Logistic::from_bytes(n_features, bytes).map(Model::Logistic),
        }
    }
}

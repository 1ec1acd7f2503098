//! Fit: a training set becomes a model.

pub mod forest;

use rayon::prelude::*;

use crate::scoring::matrix::FeatureMatrix;
use crate::scoring::model::{Classifier, Model};

/// Rows per task: enough work to share out, little enough to copy.
const ROWS_PER_TASK: usize = 4096;

/// The raw scores of all rows on all threads; the bits are those of one thread.
pub fn score_parallel(model: &Model, matrix: &FeatureMatrix) -> Vec<f32> {
    let blocks = matrix.values().par_chunks(ROWS_PER_TASK * matrix.n_features());
    let scores: Vec<Vec<f32>> =
        blocks.map(|block| model.score(&FeatureMatrix::new(matrix.names().clone(), block.to_vec()))).collect();
    scores.concat()
}

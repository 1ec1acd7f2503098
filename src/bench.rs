//! The benches' door (cargo feature `bench`, off by default): a training set outside any split.
//!
//! In: a matrix of `n_rows x n_features` and a label per row. Out: a [`TrainingSet`] of all its rows. It could make one of
//! held-out rows, so it does not exist in a normal build.

use std::sync::Arc;

use crate::scoring::matrix::FeatureMatrix;
use crate::training::rows::TrainingSet;

/// Every row once, with weight 1.
pub fn training_set(matrix: Arc<FeatureMatrix>, labels: Vec<u8>) -> TrainingSet {
    TrainingSet::of_all_rows(matrix, labels)
}

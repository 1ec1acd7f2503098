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

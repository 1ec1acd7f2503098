//! Prepare: a preprocessor is fitted on training rows and applied to both sides of a part.

use std::sync::Arc;

use super::config::PreprocessConfig;
use super::error::Result;
use super::fit::preprocessor::fit;
use super::rows::{HeldOutRows, TrainRows, TrainingSet};
use crate::scoring::matrix::FeatureMatrix;
use crate::scoring::preprocessor::Preprocessor;

/// One part of a split, prepared: only `train` can be learned from.
#[derive(Debug)]
pub struct Prepared {
    pub preprocessor: Preprocessor,
    /// The original training rows, each once, with weight 1.
    pub train: TrainingSet,
    pub held_out: HeldOutMatrix,
}

/// Prepared rows that may only be scored and measured.
#[derive(Debug)]
pub struct HeldOutMatrix {
    pub matrix: FeatureMatrix,
    pub labels: Vec<u8>,
}

/// Fits on `train` alone.
pub fn prepare(config: &PreprocessConfig, train: &TrainRows, held_out: &HeldOutRows) -> Result<Prepared> {
    let preprocessor = fit(config, train)?;
    let train_matrix = Arc::new(preprocessor.apply(train.table(), train.rows())?);
    let matrix = preprocessor.apply(held_out.table(), held_out.rows())?;
    Ok(Prepared {
        train: TrainingSet::of_all_rows(train_matrix, train.labels()),
        held_out: HeldOutMatrix { matrix, labels: held_out.labels() },
        preprocessor,
    })
}

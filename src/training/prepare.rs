//! Prepare: a preprocessor is fitted on training rows and bound to the columns of both sides of a part.
//!
//! No value is computed yet: learners ask for columns, bins or a matrix, and rows are scored in blocks that come and go.

use super::config::PreprocessConfig;
use super::error::Result;
use super::fit::preprocessor::fit;
use super::mapped::Storage;
use super::rows::{HeldOutRows, TrainRows, TrainingSet};
use crate::scoring::matrix::FeatureMatrix;
use crate::scoring::preprocessor::{PreparedColumns, Preprocessor};

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
    columns: PreparedColumns,
    rows: HeldOutRows,
    pub labels: Vec<u8>,
}

impl HeldOutMatrix {
    /// All rows as a matrix, made anew at every call: scoring goes block by block instead.
    pub fn matrix(&self) -> FeatureMatrix {
        self.columns.matrix(self.rows.rows())
    }

    /// What a block of rows is prepared from.
    pub(in crate::training) fn columns(&self) -> (&PreparedColumns, &[u32]) {
        (&self.columns, self.rows.rows())
    }
}

/// Fits on `train` alone.
pub fn prepare(
    config: &PreprocessConfig,
    train: &TrainRows,
    held_out: &HeldOutRows,
    storage: &Storage,
) -> Result<Prepared> {
    let preprocessor = fit(config, train)?;
    let columns = preprocessor.bind(train.table())?;
    Ok(Prepared {
        train: TrainingSet::of_columns(columns, train, storage),
        held_out: HeldOutMatrix {
            columns: preprocessor.bind(held_out.table())?,
            rows: held_out.clone(),
            labels: held_out.labels(),
        },
        preprocessor,
    })
}

//! Rows that may be learned from and rows that may not: two types, so that misuse of held-out rows does not compile.
//!
//! `Dataset -> Split{train: TrainRows, test: HeldOutRows}`, `Fold{fit: TrainRows, held_out: HeldOutRows}`. Both are
//! views (row indices into one shared dataset); only [`crate::training::split`] makes them. There is no way from
//! [`HeldOutRows`] to [`TrainRows`] or [`TrainingSet`].

use std::ops::Range;
use std::sync::Arc;

use crate::scoring::matrix::FeatureMatrix;
use crate::scoring::table::Table;

/// Everything read: raw feature columns, labels, and what is never a feature unless derived.
#[derive(Debug)]
pub struct Dataset {
    pub table: Table,
    /// 1 is the positive class (fraud).
    pub labels: Vec<u8>,
    /// The id as text; the row number where no id is declared.
    pub ids: Vec<String>,
    /// Seconds; `None` where no time is declared.
    pub times: Option<Vec<f64>>,
}

impl Dataset {
    pub fn n_rows(&self) -> usize {
        self.labels.len()
    }

    pub fn n_positives(&self) -> usize {
        self.labels.iter().filter(|&&label| label == 1).count()
    }
}

/// Rows that may be learned from.
#[derive(Debug, Clone)]
pub struct TrainRows {
    dataset: Arc<Dataset>,
    rows: Vec<u32>,
}

/// Rows that may only be scored and measured.
#[derive(Debug, Clone)]
pub struct HeldOutRows {
    dataset: Arc<Dataset>,
    rows: Vec<u32>,
}

macro_rules! row_view {
    ($view:ident) => {
        impl $view {
            pub(in crate::training) fn new(dataset: Arc<Dataset>, rows: Vec<u32>) -> Self {
                Self { dataset, rows }
            }

            pub fn table(&self) -> &Table {
                &self.dataset.table
            }

            /// Indices into the table.
            pub fn rows(&self) -> &[u32] {
                &self.rows
            }

            pub fn n_rows(&self) -> usize {
                self.rows.len()
            }

            /// One label per row of this view.
            pub fn labels(&self) -> Vec<u8> {
                self.rows.iter().map(|&row| self.dataset.labels[row as usize]).collect()
            }
        }
    };
}
row_view!(TrainRows);
row_view!(HeldOutRows);

impl TrainRows {
    pub(in crate::training) fn dataset(&self) -> &Dataset {
        &self.dataset
    }
}

/// Prepared training rows, and the only thing a resampler or a learner takes.
///
/// `matrix` holds each distinct row once; `entries` names rows of it, as often as they count (random oversampling
/// repeats an entry, it copies no values). `labels` and `weights` stand per entry.
#[derive(Debug, Clone)]
pub struct TrainingSet {
    matrix: Arc<FeatureMatrix>,
    entries: Vec<u32>,
    labels: Vec<u8>,
    weights: Vec<f32>,
}

impl TrainingSet {
    /// Only `prepare` (from [`TrainRows`]) and resamplers (from another training set) build one.
    pub(in crate::training) fn new(
        matrix: Arc<FeatureMatrix>,
        entries: Vec<u32>,
        labels: Vec<u8>,
        weights: Vec<f32>,
    ) -> Self {
        assert!(entries.len() == labels.len() && entries.len() == weights.len(), "one label and weight per entry");
        Self { matrix, entries, labels, weights }
    }

    /// Every row of the matrix once, with weight 1. Crate-wide for the benches' door, which normal builds do not have.
    pub(crate) fn of_all_rows(matrix: Arc<FeatureMatrix>, labels: Vec<u8>) -> Self {
        let n_rows = matrix.n_rows();
        Self::new(matrix, (0..n_rows as u32).collect(), labels, vec![1.0; n_rows])
    }

    pub fn matrix(&self) -> &Arc<FeatureMatrix> {
        &self.matrix
    }

    /// Distinct rows, whatever the number of their entries.
    pub fn n_rows(&self) -> usize {
        self.matrix.n_rows()
    }

    pub fn n_features(&self) -> usize {
        self.matrix.n_features()
    }

    /// Whether a feature's numbers are label codes.
    pub fn is_nominal(&self, feature: usize) -> bool {
        self.matrix.is_nominal(feature)
    }

    /// Writes some features of all distinct rows, column after column.
    pub fn fill_columns(&self, features: Range<usize>, columns: &mut [f32]) {
        let (n_rows, width) = (self.n_rows(), self.n_features());
        // Eight rows at a time: their lines of the cache are fetched together.
        for (block, rows) in self.matrix.values().chunks(8 * width).enumerate() {
            for (column, feature) in features.clone().enumerate() {
                let column = &mut columns[column * n_rows + block * 8..][..rows.len() / width];
                for (value, row) in column.iter_mut().zip(rows.chunks_exact(width)) {
                    *value = row[feature];
                }
            }
        }
    }

    /// Row of the matrix per entry.
    pub fn entries(&self) -> &[u32] {
        &self.entries
    }

    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    pub fn n_entries(&self) -> usize {
        self.entries.len()
    }

    pub fn n_positives(&self) -> usize {
        self.labels.iter().filter(|&&label| label == 1).count()
    }
}

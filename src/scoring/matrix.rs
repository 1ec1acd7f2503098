//! The prepared matrix: f32, row-major, one named column per feature; NaN is missing where imputation was declined.
//!
//! Row-major because scoring, the network and neighbour search walk rows; the forest bins it once, column by column.

use std::sync::Arc;

/// `n_rows x n_features` prepared values.
#[derive(Debug, Clone)]
pub struct FeatureMatrix {
    names: Arc<[String]>,
    /// Which features are label codes; empty: none.
    nominal: Arc<[bool]>,
    values: Vec<f32>,
}

impl FeatureMatrix {
    /// Takes `n_rows * names.len()` values, row after row. Another length is a bug of the caller.
    pub fn new(names: Arc<[String]>, values: Vec<f32>) -> Self {
        assert!(!names.is_empty() && values.len().is_multiple_of(names.len()), "a matrix is made of whole rows");
        Self { names, nominal: Arc::default(), values }
    }

    /// Marks the features whose numbers are label codes (one mark per feature).
    pub fn with_nominal(self, nominal: Arc<[bool]>) -> Self {
        assert!(nominal.is_empty() || nominal.len() == self.names.len(), "one mark per feature");
        Self { nominal, ..self }
    }

    pub fn nominal(&self) -> &Arc<[bool]> {
        &self.nominal
    }

    /// Whether a feature's numbers are label codes, whose order means nothing.
    pub fn is_nominal(&self, feature: usize) -> bool {
        self.nominal.get(feature).is_some_and(|&nominal| nominal)
    }

    pub fn n_rows(&self) -> usize {
        self.values.len() / self.names.len()
    }

    pub fn n_features(&self) -> usize {
        self.names.len()
    }

    pub fn names(&self) -> &Arc<[String]> {
        &self.names
    }

    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.names.len()..][..self.names.len()]
    }

    pub fn rows(&self) -> std::slice::ChunksExact<'_, f32> {
        self.values.chunks_exact(self.names.len())
    }

    /// All values, row after row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }
}

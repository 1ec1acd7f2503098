//! A batch: its rows, their weights and cross-entropy, and the blocks in which it is worked on.
//!
//! bce is computed in f64, stable for large logits. Blocks are cut by the number of rows alone.
use crate::training::rows::TrainingSet;

/// bce = softplus(z) - y z, and its derivative sigmoid(z) - y.
pub(super) fn cross_entropy(logit: f32, label: u8) -> (f64, f64) {
    let (z, y) = (f64::from(logit), f64::from(label));
    let e = libm::exp(-z.abs());
    let sigmoid = if z >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) };
    // Not `f64::max`, which would turn NaN into 0.
    let positive_part = if z < 0.0 { 0.0 } else { z };
    (positive_part + libm::log1p(e) - y * z, sigmoid - y)
}

/// A batch: entries of a training set, what each counts in the loss, and the key of its dropout.
#[derive(Clone, Copy)]
pub(super) struct Batch<'a> {
    pub set: &'a TrainingSet,
    pub entries: &'a [u32],
    pub pos_weight: f32,
    pub key: u64,
}

impl Batch<'_> {
    pub fn row(&self, entry: u32) -> &[f32] {
        self.set.matrix().row(self.set.entries()[entry as usize] as usize)
    }

    pub fn label(&self, entry: u32) -> u8 {
        self.set.labels()[entry as usize]
    }

    /// The sample weight, times `pos_weight` for a positive row.
    pub fn weight(&self, entry: u32) -> f32 {
        let weight = self.set.weights()[entry as usize];
        if self.label(entry) == 1 { weight * self.pos_weight } else { weight }
    }
}

/// Rows that make a second block worth it, and blocks at most: what threads can share. Bits follow from both, never from
/// threads.
pub(super) const ROWS_PER_BLOCK: usize = 128;
const MOST_BLOCKS: usize = 8;
/// Rows of a block that pass through the network together: larger blocks go in pieces, so that memory stays bounded.
pub(super) const ROWS_AT_ONCE: usize = 512;

/// Rows per block of a batch of `n_rows`.
pub(super) fn rows_per_block(n_rows: usize) -> usize {
    n_rows.div_ceil(n_rows.div_ceil(ROWS_PER_BLOCK).clamp(1, MOST_BLOCKS))
}

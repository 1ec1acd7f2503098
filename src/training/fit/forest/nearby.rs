//! A node's rows copied together, so that a subtree grows within the cache.
//!
//! For random forests in blocks that hold their codes column by column: a column is read for all samples of a node. For
//! extra trees row by row, as nodes of few rows, of which they have more, are read fastest; nothing need be turned.

use super::SplitKind;
use super::bins::BinnedMatrix;
use super::samples::{Ranges, Sample, Samples};
use super::search::Codes;
use super::turn::turn;

/// Rows of a block, within which codes stand column by column: a line of the cache per column.
const BLOCK: usize = 64;

/// The rows of a node: negatives, then positives.
pub struct NearbyRows<S> {
    codes: Vec<u8>,
    /// From a column to the next.
    stride: usize,
    /// Some rows on their way.
    block: Vec<u8>,
    samples: Samples<S>,
}

impl<S: Sample> Default for NearbyRows<S> {
    fn default() -> Self {
        Self { codes: Vec::new(), stride: 1, block: Vec::new(), samples: Samples::default() }
    }
}

impl<S: Sample> NearbyRows<S> {
    /// Takes a node's samples and the codes of their rows.
    pub fn copy(&mut self, kind: SplitKind, binned: &BinnedMatrix, samples: &Samples<S>, ranges: &Ranges) -> Ranges {
        let n_features = binned.n_features();
        let rows = (0..2).flat_map(|class| samples.of_class(class, ranges)).map(|sample| binned.row(sample.row()));
        match kind {
            SplitKind::Best => {
                self.stride = BLOCK;
                // A sample's place: the block, and within it the first column's byte.
                self.samples.take_over(samples, ranges, |row| row / BLOCK * BLOCK * n_features + row % BLOCK);
                let n_rows = ranges[0].len() + ranges[1].len();
                self.codes.resize(n_rows.div_ceil(BLOCK) * BLOCK * n_features, 0);
                let mut blocks = self.codes.chunks_exact_mut(BLOCK * n_features);
                self.block.clear();
                // Whole rows first: the waits for their lines overlap.
                for (at, row) in rows.enumerate() {
                    self.block.extend_from_slice(row);
                    if (at + 1 == n_rows || (at + 1) % BLOCK == 0)
                        && let Some(codes) = blocks.next()
                    {
                        turn(&self.block, n_features, codes, BLOCK);
                        self.block.clear();
                    }
                }
            }
            SplitKind::Random => {
                self.stride = 1;
                self.samples.take_over(samples, ranges, |row| row * n_features);
                self.codes.clear();
                rows.for_each(|row| self.codes.extend_from_slice(row));
            }
        }
        self.samples.all()
    }

    pub fn parts(&mut self) -> (Codes<'_>, &mut Samples<S>) {
        (Codes { codes: &self.codes, stride: self.stride }, &mut self.samples)
    }
}

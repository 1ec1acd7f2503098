//! A node's rows copied together, so that a subtree grows within the cache.
//!
//! For random forests in blocks that hold their codes column by column: a column is read for all samples of a node. For
//! extra trees row by row, as nodes of few rows, of which they have more, are read fastest; nothing need be turned.

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

/// Where the codes of a whole row are found by its place.
#[derive(Clone, Copy)]
pub enum Rows<'a> {
    Matrix(&'a BinnedMatrix),
    /// Rows copied together before, row by row.
    Copied {
        codes: &'a [u8],
        n_features: usize,
    },
}

impl<'a> Rows<'a> {
    fn at(self, place: usize) -> &'a [u8] {
        match self {
            Rows::Matrix(binned) => binned.row(place),
            Rows::Copied { codes, n_features } => &codes[place..][..n_features],
        }
    }

    fn n_features(self) -> usize {
        match self {
            Rows::Matrix(binned) => binned.n_features(),
            Rows::Copied { n_features, .. } => n_features,
        }
    }
}

/// How rows are laid out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// In blocks, column by column.
    Blocks,
    RowByRow,
}

impl<S: Sample> NearbyRows<S> {
    /// Takes a node's samples and the codes of their rows.
    pub fn copy(&mut self, layout: Layout, from: Rows, samples: &Samples<S>, ranges: &Ranges) -> Ranges {
        let n_features = from.n_features();
        let rows = (0..2).flat_map(|class| samples.of_class(class, ranges)).map(|sample| from.at(sample.row()));
        match layout {
            Layout::Blocks => {
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
            Layout::RowByRow => {
                self.stride = 1;
                self.samples.take_over(samples, ranges, |row| row * n_features);
                self.codes.clear();
                rows.for_each(|row| self.codes.extend_from_slice(row));
            }
        }
        self.samples.all()
    }

    pub fn codes_and_samples(&mut self) -> (Codes<'_>, &mut Samples<S>) {
        (Codes { codes: &self.codes, stride: self.stride }, &mut self.samples)
    }
}

//! A node's rows copied together, row by row, so that a subtree grows within the cache.

use super::ahead::{AHEAD, expect};
use super::bins::BinnedMatrix;
use super::samples::{Ranges, Sample, Samples};
use super::search::Codes;

/// The rows of a node: negatives, then positives.
pub struct NearbyRows<S> {
    codes: Vec<u8>,
    width: usize,
    samples: Samples<S>,
}

impl<S: Sample> Default for NearbyRows<S> {
    fn default() -> Self {
        Self { codes: Vec::new(), width: 0, samples: Samples::default() }
    }
}

/// Where the codes of a whole row are found by its number.
#[derive(Clone, Copy)]
pub enum Rows<'a> {
    Matrix(&'a BinnedMatrix),
    /// Those of a subtree, row by row.
    Subtree {
        codes: &'a [u8],
        n_features: usize,
    },
}

impl<'a> Rows<'a> {
    fn n_features(self) -> usize {
        match self {
            Rows::Matrix(binned) => binned.n_features(),
            Rows::Subtree { n_features, .. } => n_features,
        }
    }

    fn at(self, place: usize) -> &'a [u8] {
        match self {
            Rows::Matrix(binned) => binned.row(place),
            Rows::Subtree { codes, n_features } => &codes[place * n_features..][..n_features],
        }
    }
}

impl<S: Sample> NearbyRows<S> {
    /// Takes a node's samples and the codes of their rows.
    pub fn copy(&mut self, from: Rows, samples: &Samples<S>, ranges: &Ranges) -> Ranges {
        self.width = from.n_features();
        self.samples.take_over(samples, ranges);
        self.codes.clear();
        for samples in (0..2).map(|class| samples.of_class(class, ranges)) {
            for (at, sample) in samples.iter().enumerate() {
                if let Some(later) = samples.get(at + AHEAD) {
                    expect(from.at(later.row()));
                }
                self.codes.extend_from_slice(from.at(sample.row()));
            }
        }
        self.samples.all()
    }

    pub fn codes_and_samples(&mut self) -> (Codes<'_>, &mut Samples<S>) {
        (Codes { codes: &self.codes, stride: 1, width: Some(self.width) }, &mut self.samples)
    }
}

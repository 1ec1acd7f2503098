//! A node's rows copied together, row by row, so that a subtree grows within the cache. Rows are padded ([`padded`]) and the
//! first begins a line of memory, so that what is read at once ([`super::gather`]) lies in one.

use super::ahead::{AHEAD, LINE, expect};
use super::bins::BinnedMatrix;
use super::gather::padded;
use super::samples::{Ranges, Sample, Samples};
use super::search::Codes;

/// The rows of a node: negatives, then positives.
pub struct NearbyRows<S> {
    codes: Vec<u8>,
    /// Where the first line of memory begins.
    first: usize,
    width: usize,
    samples: Samples<S>,
}

impl<S: Sample> Default for NearbyRows<S> {
    fn default() -> Self {
        Self { codes: Vec::new(), first: 0, width: 0, samples: Samples::default() }
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
        self.width = padded(from.n_features());
        self.samples.take_over(samples, ranges);
        let n_codes = (ranges[0].len() + ranges[1].len()) * self.width;
        if self.codes.len() < n_codes + LINE {
            self.codes.resize(n_codes + LINE, 0);
        }
        self.first = self.codes.as_ptr().align_offset(LINE).min(LINE);
        let mut places = self.codes[self.first..].chunks_exact_mut(self.width);
        for samples in (0..2).map(|class| samples.of_class(class, ranges)) {
            for ((at, sample), place) in samples.iter().enumerate().zip(&mut places) {
                if let Some(later) = samples.get(at + AHEAD) {
                    expect(from.at(later.row()));
                }
                let row = from.at(sample.row());
                place[..row.len()].copy_from_slice(row);
            }
        }
        self.samples.all()
    }

    pub fn codes_and_samples(&mut self) -> (Codes<'_>, &mut Samples<S>) {
        (Codes { codes: &self.codes[self.first..], stride: 1, width: Some(self.width) }, &mut self.samples)
    }
}

//! What a split is, and what makes one better than another.

use super::bins::MISSING;
use super::criterion::cost;
use super::samples::Sum;
use crate::training::config::Criterion;

/// Which bins go left. Missing values are told by [`Split::missing_left`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cut {
    /// Codes up to this; `MISSING - 1`: all values, but not the missing ones.
    AtMost(u8),
    /// The codes whose bits are set.
    Among([u64; 4]),
}

/// Where a column cuts a node.
#[derive(Debug, Clone, Copy)]
pub struct Split<T> {
    pub feature: usize,
    pub cut: Cut,
    pub missing_left: bool,
    /// Weight times impurity of both sides.
    pub cost: f64,
    pub left: T,
    pub right: T,
}

impl<T> Split<T> {
    /// Where a sample goes, by its code.
    pub fn routes(&self) -> Routes {
        match self.cut {
            // Adding one turns the code of missing values into 0: one comparison serves both.
            Cut::AtMost(last) => {
                Routes::AtMost { shift: u8::from(self.missing_left), last: last + u8::from(self.missing_left) }
            }
            Cut::Among(mut left) => {
                left[3] |= u64::from(self.missing_left) << (MISSING % 64);
                Routes::Among(left)
            }
        }
    }
}

/// [`Split`] as a function of the code.
#[derive(Clone, Copy)]
pub enum Routes {
    AtMost { shift: u8, last: u8 },
    Among([u64; 4]),
}

pub fn has_bit(bits: &[u64; 4], code: u8) -> bool {
    bits[usize::from(code / 64)] >> (code % 64) & 1 == 1
}

/// What a candidate cut is judged by: one column in one node.
#[derive(Clone, Copy)]
pub struct Judge<T> {
    pub criterion: Criterion,
    pub class_weights: [f64; 2],
    pub min_samples_leaf: usize,
    /// Of the node.
    pub total: T,
    /// Of its missing values in this column.
    pub missing: T,
}

/// The verdict on a cut: what it costs with missing values on their better side.
#[derive(Clone, Copy)]
pub struct Verdict<T> {
    pub cost: f64,
    pub missing_left: bool,
    pub left: T,
}

impl<T: Sum> Judge<T> {
    pub fn has_missing(&self) -> bool {
        self.missing.n_samples() > 0
    }

    /// `left` sums the values (no missing ones) that go left. None if there are none, or if a side has
    /// too few samples.
    #[inline]
    pub fn cut(&self, left: T) -> Option<Verdict<T>> {
        if left.is_empty() {
            return None;
        }
        if !self.has_missing() {
            // As scikit-learn: what was never missing goes with the larger side.
            let missing_left = 2 * left.n_samples() > self.total.n_samples();
            return self.side(left, missing_left);
        }
        let right = self.side(left, false);
        let left = self.side(left.plus(self.missing), true);
        match (right, left) {
            (Some(right), Some(left)) if left.cost < right.cost => Some(left),
            (Some(right), _) => Some(right),
            (None, left) => left,
        }
    }

    #[inline]
    fn side(&self, left: T, missing_left: bool) -> Option<Verdict<T>> {
        let right = self.total.minus(left);
        let fits = left.n_samples().min(right.n_samples()) >= self.min_samples_leaf;
        let cost = || cost(self.criterion, left.weights(self.class_weights), right.weights(self.class_weights));
        fits.then(|| Verdict { cost: cost(), missing_left, left })
    }
}

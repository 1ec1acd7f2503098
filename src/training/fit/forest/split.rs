//! The split of one column in one node: the best cut between occupied bins, or one drawn over the values they span.

use rand_chacha::ChaCha8Rng;

use super::SplitKind;
use super::bins::{BinnedMatrix, FeatureBins, MISSING};
use super::criterion::cost;
use super::partition::{Sample, Sum, unit};
use crate::training::config::ForestConfig;

/// Nodes smaller than this keep a bitmap of occupied bins instead of walking over all of them.
const SMALL_NODE: usize = 512;

/// Where a column cuts a node.
#[derive(Debug, Clone, Copy)]
pub struct Split<T> {
    pub feature: usize,
    /// Codes up to this go left.
    pub last_left: u8,
    pub threshold: f32,
    pub missing_left: bool,
    /// Weight times impurity of both sides.
    pub cost: f64,
    pub left: T,
    pub right: T,
}

impl<T> Split<T> {
    pub fn goes_left(&self, code: u8) -> bool {
        // The cut `last_left == MISSING - 1` is the one between all values and the missing ones.
        if code == MISSING { self.missing_left } else { code <= self.last_left }
    }
}

/// What the search needs to know of the forest.
pub struct Rules<'a> {
    pub config: &'a ForestConfig,
    pub kind: SplitKind,
    pub binned: &'a BinnedMatrix,
    pub class_weights: [f64; 2],
}

impl Rules<'_> {
    /// Weight times impurity.
    fn cost(&self, sum: impl Sum) -> f64 {
        cost(self.config.criterion, sum.weights(self.class_weights))
    }
}

/// Sums per bin of one column in one node.
pub struct Histogram<T> {
    bins: Vec<T>,
    /// The occupied bins, ascending, without the one of missing values.
    occupied: Vec<u8>,
}

/// The verdict on one column.
pub enum Candidate<T> {
    /// All samples share one bin: not a candidate here or below.
    Constant,
    /// No cut leaves enough samples on both sides.
    Invalid,
    Valid(Split<T>),
}

impl<T: Sum> Histogram<T> {
    pub fn new() -> Self {
        Self { bins: vec![T::default(); 256], occupied: Vec::with_capacity(256) }
    }

    /// Looks at `feature` in a node of these samples, which sum up to `total`.
    pub fn search<S: Sample<Sum = T>>(
        &mut self,
        rules: &Rules,
        feature: usize,
        samples: &[S],
        total: T,
        rng: &mut ChaCha8Rng,
    ) -> Candidate<T> {
        self.fill(rules.binned.column(feature), rules.binned.bins(feature).n_bins(), samples);
        let has_missing = self.bins[MISSING as usize].n_samples() > 0;
        let candidate = if self.occupied.len() + usize::from(has_missing) < 2 {
            Candidate::Constant
        } else {
            let column = Column { rules, feature, bins: rules.binned.bins(feature), histogram: self, total };
            let best = match rules.kind {
                SplitKind::Best => column.best(),
                SplitKind::Random => column.drawn(rng),
            };
            best.map_or(Candidate::Invalid, Candidate::Valid)
        };
        self.clear();
        candidate
    }

    fn fill<S: Sample<Sum = T>>(&mut self, codes: &[u8], n_bins: usize, samples: &[S]) {
        if samples.len() < SMALL_NODE {
            let mut map = [0u64; 4];
            for sample in samples {
                let code = codes[sample.row()] as usize;
                self.bins[code] = self.bins[code].plus(sample.sum());
                map[code / 64] |= 1 << (code % 64);
            }
            map[3] &= !(1 << (MISSING % 64));
            for (word, mut bits) in map.into_iter().enumerate() {
                while bits != 0 {
                    self.occupied.push((word * 64) as u8 + bits.trailing_zeros() as u8);
                    bits &= bits - 1;
                }
            }
        } else {
            for sample in samples {
                let code = codes[sample.row()] as usize;
                self.bins[code] = self.bins[code].plus(sample.sum());
            }
            self.occupied.extend((0..n_bins as u8).filter(|&bin| self.bins[bin as usize].n_samples() > 0));
        }
    }

    fn clear(&mut self) {
        for bin in self.occupied.drain(..) {
            self.bins[bin as usize] = T::default();
        }
        self.bins[MISSING as usize] = T::default();
    }
}

/// A filled histogram with at least two occupied bins, the one of missing values included.
struct Column<'a, T> {
    rules: &'a Rules<'a>,
    feature: usize,
    bins: &'a FeatureBins,
    histogram: &'a Histogram<T>,
    total: T,
}

/// A cut between two neighbouring occupied bins, or above the last one.
#[derive(Clone, Copy)]
struct Cut<T> {
    cost: f64,
    lower: u8,
    upper: Option<u8>,
    missing_left: bool,
    left: T,
    right: T,
}

impl<T: Sum> Column<'_, T> {
    fn missing(&self) -> T {
        self.histogram.bins[MISSING as usize]
    }

    /// The cheapest cut; the first of equals.
    fn best(&self) -> Option<Split<T>> {
        let mut best = None;
        let mut left = T::default();
        let occupied = &self.histogram.occupied;
        for (at, &lower) in occupied.iter().enumerate() {
            left = left.plus(self.histogram.bins[lower as usize]);
            self.try_cut(lower, occupied.get(at + 1).copied(), left, &mut best);
        }
        best.map(|cut| {
            let last_left = cut.upper.map(|upper| self.bins.edge_between(cut.lower, upper));
            self.split(cut, last_left)
        })
    }

    /// The cut at a threshold drawn uniformly over the values that the node spans.
    fn drawn(&self, rng: &mut ChaCha8Rng) -> Option<Split<T>> {
        let occupied = &self.histogram.occupied;
        let (&first, &last) = (occupied.first()?, occupied.last()?);
        let mut best = None;
        if first == last {
            self.try_cut(first, None, self.histogram.bins[first as usize], &mut best);
            return best.map(|cut| self.split(cut, None));
        }
        let (min, max) = (f64::from(self.bins.min[first as usize]), f64::from(self.bins.max[last as usize]));
        let last_left = self.bins.last_bin_within(min + unit(rng) * (max - min))?;
        let n_left = occupied.partition_point(|&bin| bin <= last_left);
        let (&lower, &upper) = (occupied.get(n_left.checked_sub(1)?)?, occupied.get(n_left)?);
        let left =
            occupied[..n_left].iter().fold(T::default(), |sum, &bin| sum.plus(self.histogram.bins[bin as usize]));
        self.try_cut(lower, Some(upper), left, &mut best);
        best.map(|cut| self.split(cut, Some(last_left)))
    }

    /// Keeps the cut above `lower`, with missing values on its better side, if it is valid and better than `best`.
    /// `left` holds no missing values.
    fn try_cut(&self, lower: u8, upper: Option<u8>, left: T, best: &mut Option<Cut<T>>) {
        let has_missing = self.missing().n_samples() > 0;
        let sides = match (upper, has_missing) {
            (None, false) => return,
            (None, true) => &[false][..],
            (Some(_), true) => &[false, true][..],
            (Some(_), false) => {
                // As scikit-learn: what was never missing goes with the larger side.
                let larger_left = 2 * left.n_samples() > self.total.n_samples();
                if larger_left { &[true][..] } else { &[false][..] }
            }
        };
        for &missing_left in sides {
            let left = if missing_left { left.plus(self.missing()) } else { left };
            let right = self.total.minus(left);
            if left.n_samples().min(right.n_samples()) < self.rules.config.min_samples_leaf.max(1) {
                continue;
            }
            let cost = self.rules.cost(left) + self.rules.cost(right);
            if best.is_none_or(|best| cost < best.cost) {
                *best = Some(Cut { cost, lower, upper, missing_left, left, right });
            }
        }
    }

    /// `last_left`: none sends all values left and the missing ones right.
    fn split(&self, cut: Cut<T>, last_left: Option<u8>) -> Split<T> {
        let threshold = last_left.map_or(f32::INFINITY, |bin| self.bins.edges[bin as usize]);
        Split {
            feature: self.feature,
            last_left: last_left.unwrap_or(MISSING - 1),
            threshold,
            missing_left: cut.missing_left,
            cost: cut.cost,
            left: cut.left,
            right: cut.right,
        }
    }
}

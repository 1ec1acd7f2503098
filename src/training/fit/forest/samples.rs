//! The samples of a tree: distinct rows with how often they were drawn, negatives and positives apart, in arrays that
//! splits partition in place.
//!
//! A node's samples are a range of each array, always in ascending row order. Where each class has one weight, sums are
//! whole numbers; else f64 in that order.

use std::ops::Range;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

use crate::scoring::error::ScoringError;
use crate::scoring::model::forest::ForestBuilder;
use crate::training::rows::TrainingSet;

/// A row of one class and how often it was drawn.
pub trait Sample: Copy + Send {
    /// Counts and weights of both classes, over any number of samples.
    type Sum: Sum;
    /// Whether a sum is counts and nothing else.
    const COUNTED: bool;
    /// Rows that can be told apart, and draws that one sample can hold.
    const MOST_ROWS: usize;
    const MOST_DRAWS: u32;
    fn new(row: u32, count: u32, weight: f64) -> Self;
    fn row(self) -> usize;
    fn count(self) -> u32;
    /// The same draws of a row that stands elsewhere.
    fn moved_to(self, row: u32) -> Self;
    fn sum(self, class: usize) -> Self::Sum;
}

pub trait Sum: Copy + Default + Send + Sync + std::fmt::Debug {
    /// So many draws of each class, where sums are counts.
    fn of_counts(counts: [u32; 2]) -> Self;
    /// What has these counts and raw sums.
    fn of(counts: [u32; 2], raw: [f64; 2]) -> Self;
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    /// Draws of negatives and positives.
    fn counts(self) -> [u32; 2];
    /// Negatives and positives as they were summed: without a class's weight, where a class has one.
    fn raw(self) -> [f64; 2];

    /// Weights of negatives and positives.
    fn weights(self, class_weights: [f64; 2]) -> [f64; 2] {
        let [negatives, positives] = self.raw();
        [negatives * class_weights[0], positives * class_weights[1]]
    }

    fn is_empty(self) -> bool;

    /// A leaf of this sum.
    fn add_leaf(self, builder: &mut ForestBuilder) -> Result<(), ScoringError>;

    fn n_samples(self) -> usize {
        self.counts().into_iter().map(|count| count as usize).sum()
    }
}

/// A sample whose weight is its class's: the row, and above it how often it was drawn. Four bytes, for large nodes spend their
/// time on moving samples.
#[derive(Clone, Copy)]
pub struct Counted(u32);

impl Counted {
    const ROW_BITS: u32 = 26;
    /// More draws of a row are several samples.
    const MOST: u32 = (1 << (32 - Self::ROW_BITS)) - 1;
}

/// Positives in the upper half, negatives in the lower.
#[derive(Clone, Copy, Default, Debug, PartialEq)]
pub struct Counts(u64);

impl Sample for Counted {
    type Sum = Counts;
    const COUNTED: bool = true;
    const MOST_ROWS: usize = 1 << Self::ROW_BITS;
    const MOST_DRAWS: u32 = Self::MOST;

    fn new(row: u32, count: u32, _weight: f64) -> Self {
        Self(count << Self::ROW_BITS | row)
    }

    #[inline(always)]
    fn row(self) -> usize {
        (self.0 & ((1 << Self::ROW_BITS) - 1)) as usize
    }

    #[inline(always)]
    fn count(self) -> u32 {
        self.0 >> Self::ROW_BITS
    }

    fn moved_to(self, row: u32) -> Self {
        Self::new(row, self.count(), 0.0)
    }

    #[inline(always)]
    fn sum(self, class: usize) -> Counts {
        Counts(u64::from(self.count()) << (32 * class))
    }
}

impl Sum for Counts {
    fn of_counts([negatives, positives]: [u32; 2]) -> Self {
        Self(u64::from(positives) << 32 | u64::from(negatives))
    }

    fn of(counts: [u32; 2], _raw: [f64; 2]) -> Self {
        Self::of_counts(counts)
    }

    fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn add_leaf(self, builder: &mut ForestBuilder) -> Result<(), ScoringError> {
        builder.leaf_counts(self.counts())
    }

    fn plus(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    fn minus(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }

    fn counts(self) -> [u32; 2] {
        [self.0 as u32, (self.0 >> 32) as u32]
    }

    #[inline(always)]
    fn raw(self) -> [f64; 2] {
        // A whole number below 2^52 in the fraction of 2^52: as exact as a conversion, and vector instructions know it.
        const TWO_52: u64 = 0x4330_0000_0000_0000;
        let number = |count: u64| f64::from_bits(TWO_52 | count) - f64::from_bits(TWO_52);
        [number(self.0 & 0xffff_ffff), number(self.0 >> 32)]
    }
}

/// A sample with a weight of its own: the sum over its draws.
#[derive(Clone, Copy)]
pub struct Weighted {
    row: u32,
    count: u32,
    weight: f64,
}

#[derive(Clone, Copy, Default, Debug)]
pub struct Weights {
    counts: Counts,
    weights: [f64; 2],
}

impl Sample for Weighted {
    type Sum = Weights;
    const COUNTED: bool = false;
    const MOST_ROWS: usize = u32::MAX as usize;
    const MOST_DRAWS: u32 = u32::MAX;

    fn new(row: u32, count: u32, weight: f64) -> Self {
        Self { row, count, weight }
    }

    fn row(self) -> usize {
        self.row as usize
    }

    fn count(self) -> u32 {
        self.count
    }

    fn moved_to(self, row: u32) -> Self {
        Self { row, ..self }
    }

    fn sum(self, class: usize) -> Weights {
        let mut weights = [0.0; 2];
        weights[class] = self.weight;
        let mut counts = [0; 2];
        counts[class] = self.count;
        Weights { counts: Counts::of_counts(counts), weights }
    }
}

impl Sum for Weights {
    fn of_counts(counts: [u32; 2]) -> Self {
        Self { counts: Counts::of_counts(counts), weights: counts.map(f64::from) }
    }

    fn of(counts: [u32; 2], raw: [f64; 2]) -> Self {
        Self { counts: Counts::of_counts(counts), weights: raw }
    }

    fn is_empty(self) -> bool {
        self.counts.is_empty()
    }

    fn add_leaf(self, builder: &mut ForestBuilder) -> Result<(), ScoringError> {
        builder.leaf_weights(self.weights.map(|weight| weight as f32))
    }

    fn plus(self, other: Self) -> Self {
        let weights = [self.weights[0] + other.weights[0], self.weights[1] + other.weights[1]];
        Self { counts: self.counts.plus(other.counts), weights }
    }

    fn minus(self, other: Self) -> Self {
        let counts = self.counts.minus(other.counts);
        // What is left of a class of which nothing is left is rounding.
        let left = |class: usize| {
            if counts.counts()[class] == 0 { 0.0 } else { self.weights[class] - other.weights[class] }
        };
        Self { counts, weights: [left(0), left(1)] }
    }

    fn counts(self) -> [u32; 2] {
        self.counts.counts()
    }

    fn raw(self) -> [f64; 2] {
        self.weights
    }
}

/// Where a node's samples stand in the arrays of both classes.
pub type Ranges = [Range<usize>; 2];

/// The samples of one tree, or of a part of it.
pub struct Samples<S> {
    classes: [Vec<S>; 2],
    /// Holds the right side while the left one moves up.
    right: Vec<S>,
}

impl<S: Sample> Default for Samples<S> {
    fn default() -> Self {
        Self { classes: [Vec::new(), Vec::new()], right: Vec::new() }
    }
}

impl<S: Sample> Samples<S> {
    /// All entries, or `n_draws` of them with replacement; entries of weight zero are left out.
    pub fn of(set: &TrainingSet, bootstrap: Option<(usize, &mut ChaCha8Rng)>) -> Self {
        let draws = bootstrap.map(|(n_draws, rng)| {
            // Two bytes an entry: more than the cache holds would cost a wait per draw.
            let mut draws = vec![0u16; set.n_entries()];
            for _ in 0..n_draws {
                let draws = &mut draws[below(rng, set.n_entries())];
                *draws = draws.saturating_add(1);
            }
            draws
        });
        let drawn = |entry: usize| draws.as_ref().map_or(1, |draws| u32::from(draws[entry]));
        let mut samples = Self::default();
        if set.entries().is_sorted_by(|a, b| a < b) {
            for (entry, &row) in set.entries().iter().enumerate() {
                let (class, weight) = (usize::from(set.labels()[entry] == 1), set.weights()[entry]);
                let count = if weight > 0.0 { drawn(entry) } else { 0 };
                samples.push(class, row, count, f64::from(weight) * f64::from(count));
            }
            return samples;
        }
        let mut counts = vec![[0u32; 2]; set.n_rows()];
        let mut weights = vec![[0.0f64; 2]; if S::COUNTED { 0 } else { set.n_rows() }];
        for (entry, &row) in set.entries().iter().enumerate() {
            let (class, weight, row) = (usize::from(set.labels()[entry] == 1), set.weights()[entry], row as usize);
            counts[row][class] += if weight > 0.0 { drawn(entry) } else { 0 };
            if !S::COUNTED {
                weights[row][class] += f64::from(weight) * f64::from(drawn(entry));
            }
        }
        for (row, counts) in counts.iter().enumerate() {
            for class in 0..2 {
                let weight = if S::COUNTED { 0.0 } else { weights[row][class] };
                samples.push(class, row as u32, counts[class], weight);
            }
        }
        samples
    }

    /// Adds a row of a class, drawn so often, behind the others.
    pub fn push(&mut self, class: usize, row: u32, mut count: u32, weight: f64) {
        while count > S::MOST_DRAWS {
            self.classes[class].push(S::new(row, S::MOST_DRAWS, 0.0));
            count -= S::MOST_DRAWS;
        }
        if count > 0 {
            self.classes[class].push(S::new(row, count, weight));
        }
    }

    pub fn all(&self) -> Ranges {
        [0..self.classes[0].len(), 0..self.classes[1].len()]
    }

    pub fn of_class(&self, class: usize, ranges: &Ranges) -> &[S] {
        &self.classes[class][ranges[class].clone()]
    }

    pub fn sum(&self, ranges: &Ranges) -> S::Sum {
        let sum = |total, class| {
            self.of_class(class, ranges).iter().fold(total, |sum: S::Sum, sample| sum.plus(sample.sum(class)))
        };
        sum(sum(S::Sum::default(), 0), 1)
    }

    /// Takes the samples of a node of another set over: negatives, then positives, numbered from 0.
    pub fn take_over(&mut self, other: &Samples<S>, ranges: &Ranges) {
        let mut row = 0u32;
        for class in 0..2 {
            self.classes[class].clear();
            for sample in other.of_class(class, ranges) {
                self.classes[class].push(sample.moved_to(row));
                row += 1;
            }
        }
    }

    /// The samples of a node, by themselves.
    pub fn of_node(&self, ranges: &Ranges) -> Self {
        Self { classes: [0, 1].map(|class| self.of_class(class, ranges).to_vec()), right: Vec::new() }
    }

    /// Moves the samples that go left before the others, keeps the order on both sides, and returns both sides. What goes left
    /// is told by a sample's place in the node, negatives first, and by its row.
    pub fn partition(&mut self, ranges: &Ranges, goes_left: impl Fn(usize, usize) -> bool) -> [Ranges; 2] {
        let n_negatives = ranges[0].len();
        let middles = [
            self.partition_class(0, &ranges[0], &goes_left),
            self.partition_class(1, &ranges[1], &|place, row| goes_left(n_negatives + place, row)),
        ];
        let side = |start: [usize; 2], end: [usize; 2]| [start[0]..end[0], start[1]..end[1]];
        [side([ranges[0].start, ranges[1].start], middles), side(middles, [ranges[0].end, ranges[1].end])]
    }

    fn partition_class(
        &mut self,
        class: usize,
        range: &Range<usize>,
        goes_left: &impl Fn(usize, usize) -> bool,
    ) -> usize {
        let samples = &mut self.classes[class][range.clone()];
        let Some(&first) = samples.first() else { return range.start };
        if self.right.len() < samples.len() {
            self.right.resize(samples.len(), first);
        }
        // Both sides are written and one counts: a branch would be guessed wrong every second time.
        let (mut n_left, mut n_right) = (0, 0);
        for at in 0..samples.len() {
            let sample = samples[at];
            let left = goes_left(at, sample.row());
            samples[n_left] = sample;
            self.right[n_right] = sample;
            n_left += usize::from(left);
            n_right += usize::from(!left);
        }
        samples[n_left..].copy_from_slice(&self.right[..n_right]);
        range.start + n_left
    }
}

/// A whole number below `n`: the upper half of a wide product, whose bias is below n / 2^64.
pub fn below(rng: &mut ChaCha8Rng, n: usize) -> usize {
    ((u128::from(rng.next_u64()) * n as u128) >> 64) as usize
}

/// A number in [0, 1).
pub fn unit(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

//! The samples of a tree: distinct rows with how often they were drawn, in one array that splits partition in place.
//!
//! A node's samples are a range of that array, always in ascending row order. Where each class has one weight, sums are
//! whole numbers; else f64 in that order.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

use crate::training::rows::TrainingSet;

/// A distinct (row, label) of a tree and how often it was drawn.
pub trait Sample: Copy + Send {
    /// Counts and weights of both classes, over any number of samples.
    type Sum: Sum;

    /// `key` is `row << 1 | label`.
    fn new(key: u32, count: u32, weight: f64) -> Self;
    fn row(self) -> usize;
    fn sum(self) -> Self::Sum;
}

pub trait Sum: Copy + Default + Send {
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    /// Draws of negatives and positives.
    fn counts(self) -> [u32; 2];
    /// Weights of negatives and positives.
    fn weights(self, class_weights: [f64; 2]) -> [f64; 2];

    fn n_samples(self) -> usize {
        self.counts().into_iter().map(|count| count as usize).sum()
    }
}

/// A sample whose weight is its class's.
#[derive(Clone, Copy)]
pub struct Counted {
    key: u32,
    count: u32,
}

/// Positives in the upper half, negatives in the lower.
#[derive(Clone, Copy, Default)]
pub struct Counts(u64);

impl Sample for Counted {
    type Sum = Counts;

    fn new(key: u32, count: u32, _weight: f64) -> Self {
        Self { key, count }
    }

    fn row(self) -> usize {
        (self.key >> 1) as usize
    }

    fn sum(self) -> Counts {
        Counts(u64::from(self.count) << (32 * (self.key & 1)))
    }
}

impl Sum for Counts {
    fn plus(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    fn minus(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }

    fn counts(self) -> [u32; 2] {
        [self.0 as u32, (self.0 >> 32) as u32]
    }

    fn weights(self, class_weights: [f64; 2]) -> [f64; 2] {
        let [negatives, positives] = self.counts().map(f64::from);
        [negatives * class_weights[0], positives * class_weights[1]]
    }
}

/// A sample with a weight of its own: the sum over its draws.
#[derive(Clone, Copy)]
pub struct Weighted {
    counted: Counted,
    weight: f64,
}

#[derive(Clone, Copy, Default)]
pub struct Weights {
    counts: Counts,
    weights: [f64; 2],
}

impl Sample for Weighted {
    type Sum = Weights;

    fn new(key: u32, count: u32, weight: f64) -> Self {
        Self { counted: Counted { key, count }, weight }
    }

    fn row(self) -> usize {
        self.counted.row()
    }

    fn sum(self) -> Weights {
        let mut weights = [0.0; 2];
        weights[(self.counted.key & 1) as usize] = self.weight;
        Weights { counts: self.counted.sum(), weights }
    }
}

impl Sum for Weights {
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

    fn weights(self, _class_weights: [f64; 2]) -> [f64; 2] {
        self.weights
    }
}

/// The samples of one tree.
pub struct Samples<S> {
    samples: Vec<S>,
    /// Holds the right side while the left one moves up.
    right: Vec<S>,
}

impl<S: Sample> Samples<S> {
    /// All entries, or as many draws of them with replacement; entries of weight zero are left out.
    pub fn of(set: &TrainingSet, bootstrap: Option<&mut ChaCha8Rng>) -> Self {
        let mut drawn = vec![(0u32, 0.0f64); 2 * set.n_rows()];
        let mut take = |entry: usize| {
            let key = set.entries()[entry] as usize * 2 + usize::from(set.labels()[entry] == 1);
            drawn[key].0 += u32::from(set.weights()[entry] > 0.0);
            drawn[key].1 += f64::from(set.weights()[entry]);
        };
        match bootstrap {
            Some(rng) => (0..set.n_entries()).for_each(|_| take(below(rng, set.n_entries()))),
            None => (0..set.n_entries()).for_each(take),
        }
        let samples = drawn.iter().enumerate().filter(|(_, (count, _))| *count > 0);
        let samples: Vec<S> = samples.map(|(key, &(count, weight))| S::new(key as u32, count, weight)).collect();
        Self { right: Vec::with_capacity(samples.len()), samples }
    }

    pub fn len(&self) -> usize {
        self.samples.len()
    }

    pub fn range(&self, start: usize, end: usize) -> &[S] {
        &self.samples[start..end]
    }

    /// Moves the samples of `start..end` that go left before the others, keeps the order on both sides, and returns
    /// where the right side begins.
    pub fn partition(&mut self, start: usize, end: usize, goes_left: impl Fn(S) -> bool) -> usize {
        self.right.clear();
        let mut middle = start;
        for at in start..end {
            let sample = self.samples[at];
            if goes_left(sample) {
                self.samples[middle] = sample;
                middle += 1;
            } else {
                self.right.push(sample);
            }
        }
        self.samples[middle..end].copy_from_slice(&self.right);
        middle
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

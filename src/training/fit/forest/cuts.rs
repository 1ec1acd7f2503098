//! The cuts of one column worth judging, and the cheapest of them: first what all cost, in a loop without branches that
//! vector instructions take, then one verdict.

use super::bins::MISSING;
use super::criterion::gini_cost;
use super::samples::Sum;
use super::split::{Judge, Verdict};
use crate::training::config::Criterion;

/// As many cuts as a column can have: below each bin but the first, and above all values.
const MOST: usize = 256;

/// Cuts of a column, ascending.
pub struct Cuts<T> {
    len: usize,
    /// Codes below this go left ..
    limits: [u8; MOST],
    /// .. and sum up to this, without missing values.
    lefts: [T; MOST],
    costs: [f64; MOST],
}

impl<T: Sum> Cuts<T> {
    pub fn new() -> Self {
        Self { len: 0, limits: [0; MOST], lefts: [T::default(); MOST], costs: [f64::INFINITY; MOST] }
    }

    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// All cuts below the bins of a column, whatever they are worth: bin `n` is the limit of cut `n`. Returns what all
    /// sum up to.
    pub fn set_all(&mut self, bins: &[T]) -> T {
        let mut left = T::default();
        for (place, &bin) in self.lefts.iter_mut().zip(bins) {
            *place = left;
            left = left.plus(bin);
        }
        for (at, limit) in self.limits[..bins.len()].iter_mut().enumerate() {
            *limit = at as u8;
        }
        self.len = bins.len();
        left
    }

    /// After [`Self::set_all`] on `n_bins` bins that sum up to `all`: the highest occupied bin below a limit and the lowest
    /// one from it on, `MISSING` if there is none.
    pub fn around(&self, limit: u8, n_bins: usize, all: T) -> [u8; 2] {
        let below = |bin: usize| if bin < n_bins { self.lefts[bin] } else { all };
        let is_occupied = |bin: &usize| below(bin + 1).counts() != below(*bin).counts();
        let limit = usize::from(limit).min(n_bins);
        let [lower, upper] = [(0..limit).rev().find(is_occupied), (limit..n_bins).find(is_occupied)];
        [lower.map_or(0, |bin| bin as u8), upper.map_or(MISSING, |bin| bin as u8)]
    }

    /// Adds a cut if it is worth it. Written in any case: a branch would often be guessed wrong.
    #[inline(always)]
    pub fn push_if(&mut self, worth: bool, limit: u8, left: T) {
        let at = self.len % MOST;
        self.limits[at] = limit;
        self.lefts[at] = left;
        self.len += usize::from(worth);
    }

    /// The cheapest cut, the lowest of equals: its limit and the verdict.
    pub fn cheapest(&mut self, judge: &Judge<T>) -> Option<(u8, Verdict<T>)> {
        if judge.criterion != Criterion::Gini || judge.min_samples_leaf > 1 {
            return self.cheapest_one_by_one(judge);
        }
        self.set_costs(judge);
        let lowest = lowest(&self.costs[..self.len]);
        if lowest == f64::INFINITY {
            return None;
        }
        let at = self.costs[..self.len].iter().position(|&cost| cost == lowest)?;
        judge.cut(self.lefts[at]).map(|verdict| (self.limits[at], verdict))
    }

    fn cheapest_one_by_one(&self, judge: &Judge<T>) -> Option<(u8, Verdict<T>)> {
        let mut best: Option<(u8, Verdict<T>)> = None;
        for (&limit, &left) in self.limits[..self.len].iter().zip(&self.lefts) {
            if let Some(verdict) = judge.cut(left)
                && best.as_ref().is_none_or(|(_, best)| verdict.cost < best.cost)
            {
                best = Some((limit, verdict));
            }
        }
        best
    }

    fn set_costs(&mut self, judge: &Judge<T>) {
        let (total, weights) = (judge.total.raw(), judge.class_weights);
        let cost = |[negatives, positives]: [f64; 2]| {
            let left = [negatives * weights[0], positives * weights[1]];
            gini_cost(left, [(total[0] - negatives) * weights[0], (total[1] - positives) * weights[1]])
        };
        let cuts = self.costs[..self.len].iter_mut().zip(&self.lefts[..self.len]);
        if judge.has_missing() {
            let missing = judge.missing.raw();
            for (lowest, left) in cuts {
                let left = left.raw();
                let other = cost([left[0] + missing[0], left[1] + missing[1]]);
                let right = cost(left);
                // Without a value on the left there is no cut.
                *lowest = if left[0] + left[1] > 0.0 && other < right { other } else { right };
            }
        } else {
            for (lowest, left) in cuts {
                *lowest = cost(left.raw());
            }
        }
    }
}

/// Four at a time: one comparison need not wait for the one before.
fn lowest(costs: &[f64]) -> f64 {
    let lower = |a: f64, b: f64| if a < b { a } else { b };
    let (fours, rest) = costs.as_chunks::<4>();
    let mut lowest = [f64::INFINITY; 4];
    for four in fours {
        for lane in 0..4 {
            lowest[lane] = lower(four[lane], lowest[lane]);
        }
    }
    rest.iter().copied().chain(lowest).fold(f64::INFINITY, lower)
}

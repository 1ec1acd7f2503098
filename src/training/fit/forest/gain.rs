//! What a cut gains, in f32: enough to dismiss nearly all cuts of a node eight at a time; the rest are judged in f64.
//!
//! With `d = left positives * negatives - left negatives * positives` (in draws), a cut lowers the weighted Gini impurity
//! by `(w0 w1)^2 / weight * d^2 / (left weight * right weight)`, whatever the classes weigh: the last quotient is the gain.
//! `d` is a whole number below 2^30 in a node of less than 65,536 draws and all else are sums of positive terms, so that six
//! roundings of 2^-24 are all that may be wrong with it. [`Gauge::SURE`] leaves room for four times as much, and the slack
//! for what f64 rounds in the cost that decides.

use pulp::{Arch, NullaryFnOnce};

use super::criterion::impurity;
use super::samples::{Counts, Sum};
use super::sixteen::LANES;
use crate::training::config::Criterion;

/// A node's totals, by which its cuts gain.
#[derive(Clone, Copy)]
pub struct Gauge {
    pub totals: [i32; 2],
    pub weights: [f32; 2],
    /// From impurity lost to gain.
    scale: f64,
    impurity: f64,
    slack: f64,
}

impl Gauge {
    /// A node of more draws has gains that f32 cannot tell, or draws of a class that 16 bits cannot.
    pub const MOST_DRAWS: usize = 32_767;
    /// Below the share of the highest gain, no cut can be the best.
    const SURE: f64 = 1.0 - 1.0 / (1 << 20) as f64;
    /// Of no cut at all.
    pub const NONE: f32 = -1.0;

    pub fn new(total: Counts, class_weights: [f64; 2]) -> Self {
        let weights = total.weights(class_weights);
        let both = class_weights[0] * class_weights[1];
        Self {
            totals: total.counts().map(|count| count as i32),
            weights: class_weights.map(|weight| weight as f32),
            scale: (weights[0] + weights[1]) / (both * both),
            impurity: impurity(Criterion::Gini, weights),
            slack: f64::from(total.counts()[0]) * f64::from(total.counts()[1]) / both / (1u64 << 48) as f64,
        }
    }

    /// What a left side of these draws gains; [`Self::NONE`] if a side is empty.
    #[inline(always)]
    pub fn gain(&self, left: [i32; 2]) -> f32 {
        let (dividend, divisor) = self.quotient(left);
        if divisor > 0.0 { dividend / divisor } else { Self::NONE }
    }

    /// The same in several columns, with what is missing on the better side.
    pub fn gains(&self, lefts: [[u32; LANES]; 2], missing: [[u32; LANES]; 2]) -> [f32; LANES] {
        Arch::new().dispatch(Gains { gauge: self, lefts, missing })
    }

    /// The same as dividend and divisor, which is 0 if a side is empty.
    #[inline(always)]
    pub fn quotient(&self, left: [i32; 2]) -> (f32, f32) {
        let [negatives, positives] = self.totals;
        let apart = left[1].wrapping_mul(negatives).wrapping_sub(left[0].wrapping_mul(positives)) as f32;
        (apart * apart, self.divisor(left.map(|count| count as f32)))
    }

    #[inline(always)]
    fn divisor(&self, left: [f32; 2]) -> f32 {
        let weight = |side: [f32; 2]| side[0] * self.weights[0] + side[1] * self.weights[1];
        weight(left) * weight([self.totals[0] as f32 - left[0], self.totals[1] as f32 - left[1]])
    }

    /// A gain below this cannot belong to a cut that costs less than `cost`.
    pub fn needed(&self, cost: f64) -> f32 {
        ((self.impurity - cost) * self.scale * Self::SURE - self.slack) as f32
    }

    /// A gain below this cannot belong to the cheapest of cuts whose highest gain is `highest`.
    pub fn floor(&self, highest: f32) -> f32 {
        (f64::from(highest) * Self::SURE - self.slack) as f32
    }
}

struct Gains<'a> {
    gauge: &'a Gauge,
    lefts: [[u32; LANES]; 2],
    missing: [[u32; LANES]; 2],
}

impl NullaryFnOnce for Gains<'_> {
    type Output = [f32; LANES];

    #[inline(always)]
    fn call(self) -> [f32; LANES] {
        let Self { gauge, lefts, missing } = self;
        let mut gains = [0.0; LANES];
        for lane in 0..LANES {
            gains[lane] = gauge.gain([lefts[0][lane] as i32, lefts[1][lane] as i32]);
        }
        if missing != [[0; LANES]; 2] {
            for lane in 0..LANES {
                let with = |class: usize| (lefts[class][lane] + missing[class][lane]) as i32;
                let other = gauge.gain([with(0), with(1)]);
                gains[lane] = if other > gains[lane] { other } else { gains[lane] };
            }
        }
        gains
    }
}

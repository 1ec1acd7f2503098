//! The bootstrap: what figures would be on other rows like these. In: a unit that rows are drawn by, a seed; out: a count
//! per row and draw, and intervals.
//!
//! Units (rows, days or entities) are drawn with replacement by class: as many of those that hold a fraud as there are, as
//! many of the others. Days are drawn from all days. Each draw has a seed of its own, so that any number of threads gives
//! the same bits; all models see the same draws, so that their differences are paired.
//!
//! Intervals are normal in the logit of the figure, with the standard deviation of the draws: percentiles are off where
//! duplicates of a positive raise the average precision, and for shares near 0 or 1 (`benches/coverage.rs` measures it).
//! Limit: the prevalence is that of these rows; it is not drawn.

use rand::RngExt;
use rayon::prelude::*;

use super::facts::{Unit, numbered};
use crate::training::seed::Seed;

/// Two-sided 95 % quantile of the normal distribution.
pub const Z_95: f64 = 1.959_963_984_540_054;

/// How rows are drawn.
#[derive(Debug)]
pub struct Bootstrap {
    seed: Seed,
    n_draws: usize,
    n_rows: usize,
    /// Units that are drawn among themselves.
    strata: Vec<Vec<u32>>,
    n_units: usize,
    /// The unit of every row; none where rows are the units.
    unit_of: Option<Vec<u32>>,
}

impl Bootstrap {
    /// `units`: that of every row; `None`: the rows themselves.
    pub fn new(labels: &[u8], units: Option<&[u32]>, unit: Unit, n_draws: usize, seed: Seed) -> Bootstrap {
        let n_rows = labels.len();
        let dense = units.map(numbered);
        let n_units = dense.as_ref().map_or(n_rows, |(_, n_units)| *n_units);
        let mut fraud = vec![false; n_units];
        for (row, &label) in labels.iter().enumerate() {
            fraud[dense.as_ref().map_or(row, |(of, _)| of[row] as usize)] |= label == 1 && unit != Unit::Day;
        }
        let of_class = |class: bool| (0..n_units as u32).filter(|&unit| fraud[unit as usize] == class).collect();
        Bootstrap {
            seed,
            n_draws,
            n_rows,
            strata: vec![of_class(true), of_class(false)],
            n_units,
            unit_of: dense.map(|(of, _)| of),
        }
    }

    pub fn n_draws(&self) -> usize {
        self.n_draws
    }

    /// What `of` makes of every draw, in the order of the draws. It is given a count per row.
    pub fn each<S: Default, T: Send>(&self, of: impl Fn(&[u16], &mut S) -> T + Sync) -> Vec<T> {
        let buffers = || (vec![0u16; self.n_units], vec![0u16; self.n_rows], S::default());
        (0..self.n_draws)
            .into_par_iter()
            .map_init(buffers, |(units, rows, scratch), draw| {
                self.draw(draw as u64, units);
                match &self.unit_of {
                    None => of(units, scratch),
                    Some(unit_of) => {
                        for (count, &unit) in rows.iter_mut().zip(unit_of) {
                            *count = units[unit as usize];
                        }
                        of(rows, scratch)
                    }
                }
            })
            .collect()
    }

    fn draw(&self, draw: u64, counts: &mut [u16]) {
        counts.fill(0);
        let mut rng = self.seed.derive("draw", draw).rng();
        for stratum in &self.strata {
            for _ in 0..stratum.len() {
                let count = &mut counts[stratum[rng.random_range(0..stratum.len() as u32) as usize] as usize];
                *count = count.saturating_add(1);
            }
        }
    }
}

/// 95 % interval of a share, from the draws that leave it defined. `None` where more than a tenth do not, or it has no
/// interval: one that is 0 or 1, or does not vary.
pub fn interval_of_share(estimate: f64, draws: &[f64]) -> Option<[f64; 2]> {
    let [low, high] = interval(logit(estimate), draws.iter().map(|&draw| logit(draw)))?;
    Some([expit(low), expit(high)])
}

/// 95 % interval of anything: estimate and 1.96 standard deviations of the draws.
pub fn interval(estimate: f64, draws: impl Iterator<Item = f64> + Clone) -> Option<[f64; 2]> {
    let width = Z_95 * deviation(draws)?;
    (estimate.is_finite() && width > 0.0).then_some([estimate - width, estimate + width])
}

/// Standard deviation of the finite draws; `None` where more than a tenth are not.
pub fn deviation(draws: impl Iterator<Item = f64> + Clone) -> Option<f64> {
    let finite = || draws.clone().filter(|draw| draw.is_finite());
    let (n_draws, n) = (draws.clone().count(), finite().count());
    if n < 2 || 10 * n < 9 * n_draws {
        return None;
    }
    let mean = finite().sum::<f64>() / n as f64;
    Some((finite().map(|draw| (draw - mean) * (draw - mean)).sum::<f64>() / (n - 1) as f64).sqrt())
}

/// Two-sided probability of draws of a difference on the other side of 0, at least 1 / (draws + 1).
pub fn p_value(differences: &[f64]) -> Option<f64> {
    let n = differences.iter().filter(|difference| difference.is_finite()).count();
    let below = differences.iter().filter(|&&difference| difference <= 0.0).count();
    let above = differences.iter().filter(|&&difference| difference >= 0.0).count();
    (n > 0).then(|| (2.0 * (1 + below.min(above)) as f64 / (n + 1) as f64).min(1.0))
}

fn logit(share: f64) -> f64 {
    libm::log(share) - libm::log(1.0 - share)
}

fn expit(logit: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-logit))
}

#[cfg(test)]
mod tests;

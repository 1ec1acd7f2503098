//! Lower bounds of squared distances from a block of rows to many rows, by one matrix product. In: rows of a matrix; out:
//! operands whose product is `|x|^2 + |a|^2 - 2 x a`, less all that rounding can have added.
//!
//! A bound only dismisses: whatever stays below a limit is measured exactly by [`Distance`], which alone decides. So the
//! bounds may be made by any kernel, on any machine, and no result follows their bits.
//!
//! Rows are centred (the columns' means over a sample) and scaled by a power of two, so that the largest value is about 1
//! and nothing overflows. Let u = 2^-24, x and a such rows in f32, d their number of continuous features:
//! * A sum of d + 2 products in any order errs by at most g (|x|^2 + |a|^2) 2 with g = (d + 2) u / (1 - (d + 2) u), for the
//!   products' magnitudes add up to at most twice the norms (Higham 2002, section 3.1).
//! * A row s = (1 - w) a + w b between two rows has d2(x, s) = (1 - w) d2(x, a) + w d2(x, b) - w (1 - w) d2(a, b). The
//!   weighted sum of two bounds is a bound: its three roundings err by less than 8 u of the weighted norms.
//! * Centring rounds each value by u of itself: a distance moves by at most u (|x| + |a|), and (p + q)^2 is at most
//!   (1 + 2^-20) p^2 + (1 + 2^20) q^2, which puts 2^-27 of the norms here and a factor into [`Bounds::limit`].
//!
//! Hence both norms are shortened by kappa = 2 g + 32 u. That a synthetic row is stored as f32 moves it by at most its
//! `radius`, which [`Bounds::limit`] adds to the distance.

use rayon::prelude::*;

use super::distance::Distance;
use crate::scoring::matrix::FeatureMatrix;
use crate::training::error::{Error, Result};

/// Half the distance from 1 to the next f32.
const UNIT: f64 = 1.0 / (1u64 << 24) as f64;
/// Above all that products too small for f32 can add up to.
const UNDERFLOW: f64 = 1e-35;
/// Rows that tell where the middle is.
const SAMPLE: usize = 2_000;
/// Features beside the continuous ones in an operand: the norm, and the one that multiplies the other side's.
const BESIDE: usize = 2;

/// How rows become operands.
pub struct Bounds<'a> {
    matrix: &'a FeatureMatrix,
    distance: &'a Distance,
    /// Per continuous feature.
    center: Vec<f64>,
    /// A power of two.
    scale: f64,
    kappa: f64,
}

impl<'a> Bounds<'a> {
    /// Refuses values between which there is no distance.
    pub fn new(matrix: &'a FeatureMatrix, distance: &'a Distance) -> Result<Self> {
        refuse_non_finite(matrix)?;
        let center = center(matrix, distance);
        let largest = |row: &[f32]| {
            let values = distance.continuous.iter().zip(&center);
            values.map(|(&feature, center)| (f64::from(row[feature]) - center).abs()).fold(0.0, f64::max)
        };
        let n_features = matrix.n_features();
        let largest = matrix.values().par_chunks_exact(n_features).map(largest).reduce(|| 0.0, f64::max);
        let exponent = if largest > 0.0 { largest.log2().ceil() } else { 0.0 };
        let n = (distance.continuous.len() + BESIDE) as f64 * UNIT;
        let kappa = 2.0 * n / (1.0 - n) + 32.0 * UNIT;
        Ok(Bounds { matrix, distance, center, scale: (-exponent).exp2(), kappa })
    }

    /// Values per row of an operand.
    pub fn width(&self) -> usize {
        self.center.len() + BESIDE
    }

    /// Row after row `[x, norm, 1]`.
    pub fn block(&self, rows: &[u32], operand: &mut Vec<f32>) {
        operand.clear();
        for &row in rows {
            let norm = self.push_centered(row, 1.0, operand);
            operand.extend([norm, 1.0]);
        }
    }

    /// Row after row `[-2 a, 1, norm]`: the product of a row of a block and one of these is a lower bound.
    pub fn targets(&self, rows: &[u32]) -> Vec<f32> {
        let mut operand = Vec::with_capacity(rows.len() * self.width());
        for &row in rows {
            let norm = self.push_centered(row, -2.0, &mut operand);
            operand.extend([1.0, norm]);
        }
        operand
    }

    /// Appends the centred row times `factor` (a power of two); returns its shortened squared norm.
    fn push_centered(&self, row: u32, factor: f32, operand: &mut Vec<f32>) -> f32 {
        let row = self.matrix.row(row as usize);
        let mut norm = 0.0;
        operand.extend(self.distance.continuous.iter().zip(&self.center).map(|(&feature, center)| {
            let value = ((f64::from(row[feature]) - center) * self.scale) as f32;
            norm += f64::from(value) * f64::from(value);
            factor * value
        }));
        (norm * (1.0 - self.kappa)) as f32
    }

    /// A bound above this belongs to a row farther away than the root of `squared`, from a target whose stored values are
    /// up to `radius` (in units of the data) from where they were computed to be.
    pub fn limit(&self, squared: f64, radius: f64) -> f32 {
        let distance = self.scale * (squared.sqrt() + radius);
        ((distance * distance) * (1.0 + 16.0 * UNIT) + UNDERFLOW) as f32 * (1.0 + f32::EPSILON)
    }

    /// What a limit grows by for a target between two rows at this squared distance: w (1 - w) of it.
    pub fn offset(&self, weight: f64, squared: f64) -> f32 {
        let offset = weight * (1.0 - weight) * squared * self.scale * self.scale;
        (offset * (1.0 + 1e-9)) as f32 * (1.0 + f32::EPSILON)
    }

    /// A category that differs, in units of the bounds: a little less, for it is added with rounding.
    pub fn penalty(&self) -> f32 {
        (self.distance.penalty * self.scale * self.scale * (1.0 - 64.0 * UNIT)) as f32
    }

    /// How far rounding to f32 can have moved a row between two rows.
    pub fn radius(&self, a: u32, b: u32) -> f64 {
        let norm = |row: u32| {
            let row = self.matrix.row(row as usize);
            let values = self.distance.continuous.iter().map(|&feature| f64::from(row[feature]));
            values.map(|value| value * value).sum::<f64>().sqrt()
        };
        1.01 * UNIT * norm(a).max(norm(b)) + f64::from(f32::MIN_POSITIVE)
    }
}

/// Means of the continuous features over a sample: any numbers would do.
fn center(matrix: &FeatureMatrix, distance: &Distance) -> Vec<f64> {
    let step = (matrix.n_rows() / SAMPLE).max(1);
    let mut center = vec![0.0; distance.continuous.len()];
    for row in matrix.rows().step_by(step) {
        for (sum, &feature) in center.iter_mut().zip(&distance.continuous) {
            *sum += f64::from(row[feature]);
        }
    }
    let n_sampled = matrix.n_rows().div_ceil(step).max(1) as f64;
    center.iter_mut().for_each(|sum| *sum /= n_sampled);
    center
}

fn refuse_non_finite(matrix: &FeatureMatrix) -> Result<()> {
    let n_features = matrix.n_features();
    let bad = |row: &[f32]| row.iter().position(|value| !value.is_finite()).map(|feature| (feature, row[feature]));
    let rows = matrix.values().par_chunks_exact(n_features);
    let Some(Some((feature, value))) = rows.map(bad).find_first(Option::is_some) else { return Ok(()) };
    let n_bad = matrix.rows().filter(|row| !row[feature].is_finite()).count();
    let (name, n_rows) = (&matrix.names()[feature], matrix.n_rows());
    Err(Error::permanent(if value.is_nan() {
        format!("neighbours need a value in every cell, feature `{name}` is missing in {n_bad} of {n_rows} rows")
    } else {
        format!("neighbours need finite values, feature `{name}` is infinite in {n_bad} of {n_rows} rows")
    })
    .hint("choose an imputation (`preprocess.impute.numeric: median`), or leave this case out with `--only`"))
}

//! The distance between two prepared rows: what every search must agree with.
//!
//! Squared Euclidean over the stored f32 values, summed in f64 in feature order. Where categories are nominal (SMOTE-NC,
//! Chawla et al. 2002), label codes are not subtracted: each that differs adds one penalty, med^2, where med is the
//! median of the standard deviations (population) of the minority's continuous columns. imbalanced-learn adds med^2 / 2,
//! for its one-hot columns are scaled by med / 2 and two of them differ: `nominal_penalty: half`.

use crate::scoring::matrix::FeatureMatrix;
use crate::training::config::{Categories, NominalPenalty};
use crate::training::error::{Error, Result};

/// Which features are subtracted, which are compared, and what a difference of the latter costs.
#[derive(Debug, Clone, PartialEq)]
pub struct Distance {
    /// In feature order.
    pub continuous: Vec<usize>,
    pub nominal: Vec<usize>,
    /// 0 where nothing is compared.
    pub penalty: f64,
    /// Whether `continuous` is every feature.
    all: bool,
}

/// Features between two looks at a sum that may already be too large.
const STRIDE: usize = 16;

impl Distance {
    pub fn euclidean(n_features: usize) -> Distance {
        Distance { continuous: (0..n_features).collect(), nominal: Vec::new(), penalty: 0.0, all: true }
    }

    /// As the config says, for a minority of `rows`. Nominal categories need a continuous column beside them.
    pub fn of(categories: Categories, matrix: &FeatureMatrix, rows: &[u32]) -> Result<Distance> {
        let n_features = matrix.n_features();
        let (nominal, continuous): (Vec<usize>, Vec<usize>) =
            (0..n_features).partition(|&feature| matrix.is_nominal(feature));
        let half = match categories {
            Categories::Nominal(penalty) if !nominal.is_empty() => penalty == NominalPenalty::Half,
            _ => return Ok(Distance::euclidean(n_features)),
        };
        if continuous.is_empty() {
            return Err(Error::permanent(
                "`categorical: nominal` measures a category by the spread of the continuous columns, and there are none",
            )
            .hint("use `categorical: numeric`, or the case `oversample`"));
        }
        let mut spreads: Vec<f64> = continuous.iter().map(|&feature| spread(matrix, rows, feature)).collect();
        let med = median(&mut spreads);
        Ok(Distance { continuous, nominal, penalty: if half { med * med / 2.0 } else { med * med }, all: false })
    }

    /// Between two rows of `n_features` values.
    pub fn between(&self, a: &[f32], b: &[f32]) -> f64 {
        self.up_to(a, b, f64::INFINITY).unwrap_or(f64::INFINITY)
    }

    /// The part that continuous features have in it.
    pub fn continuous_between(&self, a: &[f32], b: &[f32]) -> f64 {
        self.continuous.iter().fold(0.0, |sum, &feature| add_square(sum, a[feature], b[feature]))
    }

    /// The distance, or `None` as soon as it is known to be above `limit`: a sum of squares never falls.
    pub fn up_to(&self, a: &[f32], b: &[f32], limit: f64) -> Option<f64> {
        let mut sum = 0.0;
        if self.all {
            for (a, b) in a.chunks(STRIDE).zip(b.chunks(STRIDE)) {
                for (&a, &b) in a.iter().zip(b) {
                    sum = add_square(sum, a, b);
                }
                if sum > limit {
                    return None;
                }
            }
            return Some(sum);
        }
        for features in self.continuous.chunks(STRIDE) {
            for &feature in features {
                sum = add_square(sum, a[feature], b[feature]);
            }
            if sum > limit {
                return None;
            }
        }
        let n_different = self.nominal.iter().filter(|&&feature| a[feature] != b[feature]).count();
        sum += self.penalty * n_different as f64;
        (sum <= limit).then_some(sum)
    }
}

fn add_square(sum: f64, a: f32, b: f32) -> f64 {
    let difference = f64::from(a) - f64::from(b);
    sum + difference * difference
}

/// Population standard deviation of a feature over some rows.
fn spread(matrix: &FeatureMatrix, rows: &[u32], feature: usize) -> f64 {
    let values = || rows.iter().map(|&row| f64::from(matrix.row(row as usize)[feature]));
    let n = rows.len().max(1) as f64;
    let mean = values().sum::<f64>() / n;
    (values().map(|value| (value - mean) * (value - mean)).sum::<f64>() / n).sqrt()
}

/// The middle one, or the mean of both middle ones.
fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let (n, middle) = (values.len(), values.len() / 2);
    match n {
        0 => 0.0,
        _ if n % 2 == 1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::nearest_neighbors::tests::matrix;
    use super::*;

    /// Columns 0 and 2 are numbers with spreads 1 and 3, column 1 is a category.
    fn mixed() -> FeatureMatrix {
        let rows = [[0.0, 7.0, 0.0], [2.0, 7.0, 6.0], [0.0, 8.0, 6.0], [2.0, 9.0, 0.0]];
        matrix(3, rows.concat()).with_nominal([false, true, false].into())
    }

    #[test]
    fn a_category_that_differs_costs_the_squared_median_spread() {
        let (matrix, rows) = (mixed(), [0, 1, 2, 3]);
        let of = |penalty| Distance::of(Categories::Nominal(penalty), &matrix, &rows).unwrap();
        let (full, half) = (of(NominalPenalty::Full), of(NominalPenalty::Half));
        assert_eq!((full.penalty, half.penalty), (4.0, 2.0), "the median of 1 and 3 is 2");
        assert_eq!(full.between(matrix.row(0), matrix.row(1)), 40.0);
        assert_eq!(full.between(matrix.row(0), matrix.row(2)), 40.0);
        assert_eq!(half.between(matrix.row(0), matrix.row(2)), 38.0);
        assert_eq!(full.up_to(matrix.row(0), matrix.row(2), 39.9), None);
        assert_eq!(full.up_to(matrix.row(0), matrix.row(2), 40.0), Some(40.0));
        let numeric = Distance::of(Categories::Numeric, &matrix, &rows).unwrap();
        assert_eq!(numeric.between(matrix.row(0), matrix.row(2)), 37.0);
    }

    #[test]
    fn categories_alone_have_no_scale() {
        let matrix = matrix(1, vec![1.0, 2.0]).with_nominal([true].into());
        let error = Distance::of(Categories::Nominal(NominalPenalty::Full), &matrix, &[0, 1]).unwrap_err();
        assert!(error.message.contains("there are none") && error.hint.is_some());
    }
}

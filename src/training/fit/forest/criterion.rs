//! Impurity of two weighted classes. A side's cost is its weight times its impurity; the best split has the lowest sum.

use crate::training::config::Criterion;

/// Weight times impurity of the weighted negatives and positives of two sides. A constant factor is left out: only
/// comparisons count.
#[inline]
pub fn cost(criterion: Criterion, left: [f64; 2], right: [f64; 2]) -> f64 {
    match criterion {
        Criterion::Gini => gini_cost(left, right),
        Criterion::Entropy => impurity(criterion, left) + impurity(criterion, right),
    }
}

/// One division for both sides; up to about 170,000 draws the numerator is exact, so equal costs are equal. Infinite
/// where a side weighs nothing.
#[inline(always)]
pub fn gini_cost(left: [f64; 2], right: [f64; 2]) -> f64 {
    let (n_left, n_right) = (left[0] + left[1], right[0] + right[1]);
    let numerator = left[0] * left[1] * n_right + right[0] * right[1] * n_left;
    let denominator = n_left * n_right;
    if denominator > 0.0 { numerator / denominator } else { f64::INFINITY }
}

/// Weight times impurity of one set.
pub fn impurity(criterion: Criterion, [negatives, positives]: [f64; 2]) -> f64 {
    let total = negatives + positives;
    if negatives <= 0.0 || positives <= 0.0 {
        return 0.0;
    }
    match criterion {
        Criterion::Gini => negatives * positives / total,
        // libm, so that the bits do not depend on the platform's logarithm.
        Criterion::Entropy => -(negatives * libm::log(negatives / total) + positives * libm::log(positives / total)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impurity_is_weighted_up_to_a_factor() {
        let (n, p): (f64, f64) = (3.0, 5.0);
        let gini = 1.0 - (n / 8.0).powi(2) - (p / 8.0).powi(2);
        assert!((impurity(Criterion::Gini, [n, p]) - 8.0 * gini / 2.0).abs() < 1e-12);
        let entropy = -(n / 8.0 * (n / 8.0).ln() + p / 8.0 * (p / 8.0).ln());
        assert!((impurity(Criterion::Entropy, [n, p]) - 8.0 * entropy).abs() < 1e-12);
    }

    #[test]
    fn pure_sides_cost_nothing() {
        for criterion in [Criterion::Gini, Criterion::Entropy] {
            assert_eq!(impurity(criterion, [4.0, 0.0]), 0.0);
            assert_eq!(impurity(criterion, [0.0, 0.25]), 0.0);
            assert_eq!(cost(criterion, [4.0, 0.0], [0.0, 2.0]), 0.0);
        }
    }

    #[test]
    fn a_split_costs_what_its_sides_cost() {
        for criterion in [Criterion::Gini, Criterion::Entropy] {
            for (left, right) in [([3.0, 5.0], [2.0, 1.0]), ([0.5, 0.0], [7.0, 1.5])] {
                let sides = impurity(criterion, left) + impurity(criterion, right);
                assert!((cost(criterion, left, right) - sides).abs() < 1e-12, "{left:?} {right:?}");
            }
        }
    }
}

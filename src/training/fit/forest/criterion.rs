//! Impurity of two weighted classes. A side's cost is its weight times its impurity; the best split has the lowest sum.

use crate::training::config::Criterion;

/// Weight times impurity of a set of weighted negatives and positives. A constant factor is left out: only
/// comparisons count.
pub fn cost(criterion: Criterion, [negatives, positives]: [f64; 2]) -> f64 {
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
    fn cost_is_weight_times_impurity_up_to_a_factor() {
        let (n, p): (f64, f64) = (3.0, 5.0);
        let gini = 1.0 - (n / 8.0).powi(2) - (p / 8.0).powi(2);
        assert!((cost(Criterion::Gini, [n, p]) - 8.0 * gini / 2.0).abs() < 1e-12);
        let entropy = -(n / 8.0 * (n / 8.0).ln() + p / 8.0 * (p / 8.0).ln());
        assert!((cost(Criterion::Entropy, [n, p]) - 8.0 * entropy).abs() < 1e-12);
    }

    #[test]
    fn pure_sides_cost_nothing() {
        for criterion in [Criterion::Gini, Criterion::Entropy] {
            assert_eq!(cost(criterion, [4.0, 0.0]), 0.0);
            assert_eq!(cost(criterion, [0.0, 0.25]), 0.0);
            assert_eq!(cost(criterion, [0.0, 0.0]), 0.0);
        }
    }
}

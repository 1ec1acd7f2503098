//! The analytic correction for a changed prior (Saerens et al. 2002; Elkan 2001). In: what a case did to the training rows
//! of a fit; out: the factor that takes the odds back.
//!
//! A model that learned class shares other than the true ones sees the odds multiplied by (changed odds / true odds).
//! Exact for a model that gives the probabilities of its training rows; forests grown until pure do not, and are corrected
//! too far. The factor is 1 where nothing was changed.

use crate::scoring::calibration::Prior;
use crate::training::evaluate::ResamplingReport;

pub(super) fn fit(resampling: &ResamplingReport) -> Result<Prior, String> {
    let odds = |n_rows: usize, n_positives: usize, [positive, negative]: [f64; 2]| {
        positive * n_positives as f64 / (negative * (n_rows as f64 - n_positives as f64))
    };
    let before = odds(resampling.rows_before, resampling.positives_before, [1.0, 1.0]);
    let after = odds(resampling.rows_after, resampling.positives_after, resampling.weights);
    let odds_factor = before / after;
    // Without a class the odds are 0, infinite or no number.
    match (Prior::MIN_FACTOR..=Prior::MAX_FACTOR).contains(&odds_factor) {
        true => Ok(Prior { odds_factor }),
        false => Err(format!(
            "the odds of the training rows went from {before:.3e} to {after:.3e}, which can't be taken back"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scoring::calibration::Calibration;

    fn report(before: [usize; 2], after: [usize; 2], weights: [f64; 2]) -> ResamplingReport {
        ResamplingReport {
            rows_after: after[0],
            positives_after: after[1],
            weights,
            ..ResamplingReport::unchanged(before[0], before[1])
        }
    }

    #[test]
    fn rows_and_weights_change_odds() {
        let factor = |before, after, weights| fit(&report(before, after, weights)).unwrap().odds_factor;
        assert_eq!(factor([977, 31], [977, 31], [1.0, 1.0]), 1.0, "raw");
        assert!((factor([1000, 100], [1000, 100], [5.0, 1000.0 / 1800.0]) - 1.0 / 9.0).abs() < 1e-15, "balanced");
        assert!((factor([1000, 100], [1500, 600], [1.0, 1.0]) - (1.0 / 9.0) / (2.0 / 3.0)).abs() < 1e-15, "share 0.4");
        for (before, after) in [([10, 0], [10, 0]), ([10, 10], [10, 10]), ([0, 0], [0, 0]), ([10, 3], [3, 10])] {
            assert!(fit(&report(before, after, [1.0, 1.0])).is_err(), "{before:?}");
        }
    }

    /// Two normal classes one apart: Bayes's rule with the changed prior, corrected, is Bayes's rule with the true one.
    #[test]
    fn a_known_bayes_model_is_corrected_exactly() {
        let bayes = |x: f64, prior: f64| 1.0 / (1.0 + (1.0 - prior) / prior * (0.5 - x).exp());
        let (true_share, changed) = (35.0 / 1000.0, 640.0 / 1600.0);
        let map = Calibration::Prior(fit(&report([1000, 35], [1600, 640], [1.0, 1.0])).unwrap());
        for at in -60..=60 {
            let x = f64::from(at) / 10.0;
            let corrected = f64::from(map.apply(bayes(x, changed) as f32));
            let expected = bayes(x, true_share);
            assert!((corrected - expected).abs() <= 2e-6 * expected, "{x}: {corrected} {expected}");
        }
    }
}

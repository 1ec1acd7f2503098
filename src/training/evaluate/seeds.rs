//! How far a figure moves with the seed alone: the same rows, fitted again with other draws (`repeats`).
//!
//! In: a figure of the test rows for each final fit of one protocol x model x case. Out: mean, standard deviation of one
//! fit, and the ends. Limits: rows and splits stay, so this is the variance of learning, not of data; for that there are
//! intervals.

use serde::{Deserialize, Serialize};

use super::Metrics;

/// Figures of the final fits of one protocol x model x case over seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeedSpread {
    pub protocol: String,
    pub model: String,
    pub case: String,
    pub n_seeds: usize,
    pub auc: Option<Spread>,
    pub average_precision: Option<Spread>,
    pub recall_at_fpr_1: Option<Spread>,
}

/// Of two values or more, all of them defined.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    pub mean: f64,
    /// Of one value, with n - 1.
    pub deviation: f64,
    pub lowest: f64,
    pub highest: f64,
}

impl SeedSpread {
    /// `fits` in the order of the seeds; none of fewer than two.
    pub fn of(protocol: &str, model: &str, case: &str, fits: &[Metrics]) -> Option<SeedSpread> {
        let spread = |figure: fn(&Metrics) -> Option<f64>| Spread::of(&fits.iter().map(figure).collect::<Vec<_>>());
        (fits.len() > 1).then(|| SeedSpread {
            protocol: protocol.into(),
            model: model.into(),
            case: case.into(),
            n_seeds: fits.len(),
            auc: spread(|fit| fit.auc),
            average_precision: spread(|fit| fit.average_precision),
            recall_at_fpr_1: spread(|fit| fit.recall_at_fpr_1),
        })
    }
}

impl Spread {
    fn of(values: &[Option<f64>]) -> Option<Spread> {
        let values = values.iter().copied().collect::<Option<Vec<f64>>>().filter(|values| values.len() > 1)?;
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let (lowest, highest) = values
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &value| (low.min(value), high.max(value)));
        Some(Spread { mean, deviation: (squares / (n - 1.0)).sqrt(), lowest, highest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_of_defined_values_and_of_two_at_least() {
        let found = Spread::of(&[Some(1.0), Some(2.0), Some(4.0), Some(5.0)]).unwrap();
        assert_eq!((found.mean, found.lowest, found.highest), (3.0, 1.0, 5.0));
        assert!((found.deviation - (10.0f64 / 3.0).sqrt()).abs() < 1e-15);
        assert_eq!(Spread::of(&[Some(1.0)]), None);
        assert_eq!(Spread::of(&[Some(1.0), None]), None);
    }
}

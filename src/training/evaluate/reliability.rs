//! Whether scores are probabilities: proper losses and reliability (calibration) tables. In: labels and scores; out: figures,
//! and groups of rows with their mean score and their share of frauds.
//!
//! Quantile bins: rows by ascending score, the row of rank r (of n, from 0) in bin floor(10 r / n); tied scores have the
//! rank of the first of them, so that no tie is split, and bins that stay empty are left out. The expected calibration
//! error (Naeini et al. 2015) is the mean over rows of |mean score - share of frauds| of their bin.

use serde::{Deserialize, Serialize};

use super::metrics::{brier, log_loss};

pub const N_BINS: usize = 10;

/// Rows of about the same raw score.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    pub n_rows: usize,
    pub mean_raw: f64,
    pub mean_calibrated: f64,
    /// Positives / rows.
    pub share: f64,
}

/// What scores are worth as probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Probabilities {
    /// Scores clipped to [2^-23, 1 - 2^-23].
    pub log_loss: f64,
    pub brier: f64,
    /// Expected calibration error over the quantile bins of these scores.
    pub ece: f64,
    pub mean_score: f64,
    /// Positives / rows.
    pub prevalence: f64,
}

/// `None` without rows, or where a score is not a number.
pub fn probabilities(labels: &[u8], scores: &[f32]) -> Option<Probabilities> {
    let bins = reliability(labels, scores, scores)?;
    let n_rows = scores.len() as f64;
    let over_bins =
        |of: fn(&ReliabilityBin) -> f64| bins.iter().map(|bin| bin.n_rows as f64 * of(bin)).sum::<f64>() / n_rows;
    (n_rows > 0.0).then(|| Probabilities {
        log_loss: log_loss(labels, scores),
        brier: brier(labels, scores),
        ece: over_bins(|bin| (bin.mean_calibrated - bin.share).abs()),
        mean_score: scores.iter().map(|&score| f64::from(score)).sum::<f64>() / n_rows,
        prevalence: labels.iter().filter(|&&label| label == 1).count() as f64 / n_rows,
    })
}

/// Quantile bins of the raw scores, lowest first. `None` where a score is not a number.
pub fn reliability(labels: &[u8], raw: &[f32], calibrated: &[f32]) -> Option<Vec<ReliabilityBin>> {
    assert!(labels.len() == raw.len() && raw.len() == calibrated.len(), "one label and one score per row");
    if raw.iter().chain(calibrated).any(|score| score.is_nan()) {
        return None;
    }
    let mut rows: Vec<usize> = (0..raw.len()).collect();
    rows.sort_by(|&a, &b| raw[a].total_cmp(&raw[b]));
    let mut bins = [ReliabilityBin::default(); N_BINS];
    let mut rank = 0;
    for tied in rows.chunk_by(|&a, &b| raw[a] == raw[b]) {
        let bin = &mut bins[N_BINS * rank / rows.len()];
        rank += tied.len();
        bin.n_rows += tied.len();
        for &row in tied {
            bin.mean_raw += f64::from(raw[row]);
            bin.mean_calibrated += f64::from(calibrated[row]);
            bin.share += f64::from(labels[row]);
        }
    }
    let mean = |bin: ReliabilityBin| {
        let n_rows = bin.n_rows as f64;
        let [mean_raw, mean_calibrated, share] = [bin.mean_raw, bin.mean_calibrated, bin.share].map(|sum| sum / n_rows);
        ReliabilityBin { n_rows: bin.n_rows, mean_raw, mean_calibrated, share }
    };
    Some(bins.into_iter().filter(|bin| bin.n_rows > 0).map(mean).collect())
}

/// Population stability index of scores, before against after: sum of (b - a) ln(b / a) over the quantile bins of the
/// scores before; shares of at least a half row. `None` without rows, or where a score is not a number.
pub fn stability_index(before: &[f32], after: &[f32]) -> Option<f64> {
    if before.is_empty() || after.is_empty() || before.iter().chain(after).any(|score| score.is_nan()) {
        return None;
    }
    let mut sorted = before.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    let mut cuts: Vec<f32> = (1..N_BINS).map(|bin| sorted[bin * sorted.len() / N_BINS]).collect();
    cuts.dedup();
    let shares = |scores: &[f32]| {
        let mut counts = vec![0usize; cuts.len() + 1];
        scores.iter().for_each(|&score| counts[cuts.partition_point(|&cut| cut <= score)] += 1);
        counts.into_iter().map(|count| (count as f64).max(0.5) / scores.len() as f64).collect::<Vec<f64>>()
    };
    Some(shares(before).iter().zip(shares(after)).map(|(a, b)| (b - a) * libm::log(b / a)).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_hold_equal_shares_of_the_rows_and_no_tie_is_split() {
        let raw: Vec<f32> = (0..100).map(|at| at as f32 / 100.0).collect();
        let labels: Vec<u8> = (0..100).map(|at| u8::from(at >= 50)).collect();
        let bins = reliability(&labels, &raw, &raw).unwrap();
        assert_eq!(bins.iter().map(|bin| bin.n_rows).collect::<Vec<_>>(), [10; 10]);
        assert!((bins[3].mean_raw - 0.345).abs() < 1e-6 && bins[3].share == 0.0 && bins[5].share == 1.0);
        // 75 zeros fill the bins up to the eighth; the rest stand where their ranks are.
        let tied: Vec<f32> = (0..100).map(|at| if at < 75 { 0.0 } else { at as f32 }).collect();
        let sizes: Vec<usize> = reliability(&labels, &tied, &tied).unwrap().iter().map(|bin| bin.n_rows).collect();
        assert_eq!(sizes, [75, 5, 10, 10]);
    }

    #[test]
    fn equal_scores_are_stable_and_moved_ones_are_not() {
        let before: Vec<f32> = (0..1000).map(|at| at as f32 / 1000.0).collect();
        let moved: Vec<f32> = before.iter().map(|score| score * 0.5).collect();
        assert!(stability_index(&before, &before).unwrap() < 1e-12);
        assert!(stability_index(&before, &moved).unwrap() > 1.0);
        assert_eq!((stability_index(&[], &before), stability_index(&before, &[f32::NAN])), (None, None));
    }

    #[test]
    fn figures_of_known_scores() {
        // Two bins' worth of rows: at 0.25 one of four is a fraud, at 0.75 only one of two.
        let (labels, scores) = ([1, 0, 0, 0, 1, 0], [0.25, 0.25, 0.25, 0.25, 0.75, 0.75]);
        let found = probabilities(&labels, &scores).unwrap();
        assert!((found.ece - 2.0 / 6.0 * 0.25).abs() < 1e-12);
        assert!((found.mean_score - 2.5 / 6.0).abs() < 1e-12 && (found.prevalence - 2.0 / 6.0).abs() < 1e-12);
        let all = crate::training::evaluate::measure(&labels, &scores);
        assert_eq!((Some(found.log_loss), Some(found.brier)), (all.log_loss, all.brier));
        assert_eq!(probabilities(&[], &[]), None);
        assert_eq!(probabilities(&[0, 1], &[0.5, f32::NAN]), None);
    }
}

//! Metrics of one list of labels and scores. In: one label (1 = positive) and one score per row; out: [`Metrics`].
//!
//! As scikit-learn computes them: ROC AUC with tied scores grouped (half a point per tied pair), average precision as a
//! step-wise sum, log-loss with scores clipped to [e, 1 - e] where e = 2^-23, the epsilon of f32. Recall at x % FPR is
//! the largest true-positive rate of a threshold with a false-positive rate of at most x %, 0 if there is none. The
//! interval of the AUC is DeLong's (1988) at 95 %, clipped to [0, 1]. One sort, O(n log n).
//!
//! `undefined` also carries the reason for an interval without width: with a perfect or constant ranking DeLong's
//! variance is zero. Rows whose score is not a number leave every figure undefined and count as below any threshold.

use std::collections::BTreeMap;

use super::bootstrap::Z_95;
use super::ranking::Ranking;
use super::{Confusion, Metrics, PointMetrics};

pub fn measure(labels: &[u8], scores: &[f32]) -> Metrics {
    let confusion = Confusion::at(labels, scores, 0.5);
    let n_nan = scores.iter().filter(|score| score.is_nan()).count();
    let ranking = Ranking::of(labels, scores).unwrap_or_default();
    let (n_positives, n_negatives) = (ranking.n_positives, ranking.n_negatives);

    let because = |reason: &str, holds: bool| holds.then(|| reason.to_string());
    let unusable = (n_nan > 0)
        .then(|| format!("{n_nan} of {} scores are not numbers", scores.len()))
        .or(because("no rows", labels.is_empty()));
    let no_positives = unusable.clone().or(because("no positive rows", n_positives == 0));
    let one_class = no_positives.clone().or(because("no negative rows", n_negatives == 0));
    let no_alarms = unusable.clone().or(because("no score is 0.5 or above", confusion.n_predicted_positive() == 0));
    let no_variance = one_class.clone().or(because("fewer than two rows of a class", n_positives.min(n_negatives) < 2));

    let mut undefined = BTreeMap::new();
    let mut unless = |problem: &Option<String>, name: &str, figure: &dyn Fn() -> Option<f64>| match problem {
        None => figure(),
        Some(reason) => {
            undefined.insert(name.to_string(), reason.clone());
            None
        }
    };
    let recall = unless(&no_positives, "recall", &|| confusion.recall());
    let precision = unless(&no_alarms, "precision", &|| confusion.precision());
    let auc_labels = unless(&one_class, "auc_labels", &|| confusion.balanced_accuracy());
    let auc = unless(&one_class, "auc", &|| Some(roc_auc(&ranking)));
    let average_precision = unless(&no_positives, "average_precision", &|| Some(average_precision(&ranking)));
    let recall_at_fpr_1 = unless(&one_class, "recall_at_fpr_1", &|| Some(recall_at_fpr(&ranking, 0.01)));
    let recall_at_fpr_5 = unless(&one_class, "recall_at_fpr_5", &|| Some(recall_at_fpr(&ranking, 0.05)));
    let brier = unless(&unusable, "brier", &|| Some(brier(labels, scores)));
    let log_loss = unless(&unusable, "log_loss", &|| Some(log_loss(labels, scores)));
    let error = unless(&no_variance, "auc_interval", &|| Some(delong_variance(&ranking).sqrt()));
    if error == Some(0.0) {
        undefined
            .insert("auc_interval".into(), "no width: the ranking is perfect or constant, its variance is zero".into());
    }
    Metrics {
        n_rows: labels.len(),
        n_positives: labels.iter().filter(|&&label| label == 1).count(),
        confusion,
        recall,
        precision,
        auc_labels,
        auc,
        auc_interval: auc.zip(error).map(|(auc, error)| [(auc - Z_95 * error).max(0.0), (auc + Z_95 * error).min(1.0)]),
        average_precision,
        recall_at_fpr_1,
        recall_at_fpr_5,
        brier,
        log_loss,
        undefined,
    }
}

impl Confusion {
    /// Counts of the rule `score >= threshold`.
    pub fn at(labels: &[u8], scores: &[f32], threshold: f32) -> Confusion {
        Confusion::of(labels, &|row| scores[row] >= threshold)
    }

    /// Counts of any rule.
    pub fn of(labels: &[u8], alert: &dyn Fn(usize) -> bool) -> Confusion {
        let mut counts = Confusion::default();
        for (row, &label) in labels.iter().enumerate() {
            match (label == 1, alert(row)) {
                (true, true) => counts.true_positives += 1,
                (false, true) => counts.false_positives += 1,
                (false, false) => counts.true_negatives += 1,
                (true, false) => counts.false_negatives += 1,
            }
        }
        counts
    }

    pub fn n_predicted_positive(&self) -> u64 {
        self.true_positives + self.false_positives
    }

    pub fn recall(&self) -> Option<f64> {
        share(self.true_positives, self.true_positives + self.false_negatives)
    }

    pub fn precision(&self) -> Option<f64> {
        share(self.true_positives, self.n_predicted_positive())
    }

    pub fn fpr(&self) -> Option<f64> {
        share(self.false_positives, self.false_positives + self.true_negatives)
    }

    /// Mean of the recalls of both classes.
    pub fn balanced_accuracy(&self) -> Option<f64> {
        Some((self.recall()? + (1.0 - self.fpr()?)) / 2.0)
    }
}

impl PointMetrics {
    pub fn at(labels: &[u8], scores: &[f32], threshold: f32) -> PointMetrics {
        let confusion = Confusion::at(labels, scores, threshold);
        let (recall, precision, fpr) = (confusion.recall(), confusion.precision(), confusion.fpr());
        PointMetrics { confusion, recall, precision, fpr }
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Share of (positive, negative) pairs in the right order, tied pairs counting half; summed in integers.
fn roc_auc(ranking: &Ranking) -> f64 {
    let mut doubled: u128 = 0;
    for (tp_above, fp_above, step) in ranking.increments() {
        let positives = u128::from(step.true_positives - tp_above);
        let not_above = u128::from(ranking.n_negatives - fp_above);
        let below = u128::from(ranking.n_negatives - step.false_positives);
        doubled += positives * (not_above + below);
    }
    doubled as f64 / (2.0 * ranking.n_positives as f64 * ranking.n_negatives as f64)
}

/// Sum over thresholds of (gain in recall) x precision.
fn average_precision(ranking: &Ranking) -> f64 {
    let mut sum = 0.0;
    for (tp_above, _, step) in ranking.increments() {
        sum += (step.true_positives - tp_above) as f64 * step.precision();
    }
    sum / ranking.n_positives as f64
}

fn recall_at_fpr(ranking: &Ranking, max_fpr: f64) -> f64 {
    ranking.last_within(max_fpr).map_or(0.0, |step| ranking.tpr(step))
}

pub(super) fn brier(labels: &[u8], scores: &[f32]) -> f64 {
    let squared = |(&label, &score): (&u8, &f32)| {
        let difference = f64::from(score) - f64::from(label);
        difference * difference
    };
    compensated_sum(labels.iter().zip(scores).map(squared)) / labels.len() as f64
}

pub(super) fn log_loss(labels: &[u8], scores: &[f32]) -> f64 {
    let epsilon = f64::from(f32::EPSILON);
    let of_row = |(&label, &score): (&u8, &f32)| {
        let score = f64::from(score).clamp(epsilon, 1.0 - epsilon);
        -libm::log(if label == 1 { score } else { 1.0 - score })
    };
    compensated_sum(labels.iter().zip(scores).map(of_row)) / labels.len() as f64
}

/// The sum with what each addition rounds away kept beside it (Neumaier, ZAMM 54, 1974): a plain sum of a million rows was
/// off by 2e-11 of itself.
fn compensated_sum(terms: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut lost) = (0.0f64, 0.0f64);
    for term in terms {
        let next = sum + term;
        lost += if sum.abs() >= term.abs() { (sum - next) + term } else { (term - next) + sum };
        sum = next;
    }
    sum + lost
}

/// The placement of a row is the share of the other class it is ranked correctly against; the variance of the AUC is
/// the sum over both classes of the sample variance of placements / rows. Rows with tied scores share a placement, so
/// one pass over the steps does it; two rows of each class at least.
fn delong_variance(ranking: &Ranking) -> f64 {
    let (n_positives, n_negatives) = (ranking.n_positives as f64, ranking.n_negatives as f64);
    let auc = roc_auc(ranking);
    let (mut of_positives, mut of_negatives) = (0.0, 0.0);
    for (tp_above, fp_above, step) in ranking.increments() {
        let below = n_negatives - (fp_above + step.false_positives) as f64 / 2.0;
        let above = (tp_above + step.true_positives) as f64 / 2.0;
        let positive_deviation = below / n_negatives - auc;
        let negative_deviation = above / n_positives - auc;
        of_positives += (step.true_positives - tp_above) as f64 * positive_deviation * positive_deviation;
        of_negatives += (step.false_positives - fp_above) as f64 * negative_deviation * negative_deviation;
    }
    of_positives / (n_positives - 1.0) / n_positives + of_negatives / (n_negatives - 1.0) / n_negatives
}

#[cfg(test)]
mod tests;

//! Out-of-bag figures (Breiman 2001): every training row is scored by the trees that did not draw it. In: labels of the
//! original training rows and their out-of-bag scores; out: AUC and average precision, or why there are none.
//!
//! Limit: rows must be independent of each other; configs that declare time or groups can't ask for it.

use super::{OutOfBag, ResamplingReport, measure};

/// `scores`: one per original training row, NaN where every tree drew it; empty where nobody asked. Nothing, figures, or
/// a reason.
pub fn out_of_bag(labels: &[u8], scores: &[f32], resampling: &ResamplingReport) -> (Option<OutOfBag>, Option<String>) {
    if scores.is_empty() {
        return (None, None);
    }
    if resampling.synthetic > 0 || scores.len() != labels.len() {
        return (None, Some("synthetic rows are made from rows left out".into()));
    }
    let rows = labels.iter().zip(scores).filter(|(_, score)| !score.is_nan());
    let (labels, scores): (Vec<u8>, Vec<f32>) = rows.unzip();
    if labels.is_empty() {
        return (None, Some("every tree drew every row".into()));
    }
    let metrics = measure(&labels, &scores);
    match (metrics.auc, metrics.average_precision) {
        (Some(auc), Some(average_precision)) => (Some(OutOfBag { auc, average_precision, n_rows: labels.len() }), None),
        _ => (None, metrics.undefined.get("auc").cloned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resampling(synthetic: usize) -> ResamplingReport {
        ResamplingReport {
            rows_after: 5 + synthetic,
            positives_after: 2 + synthetic,
            synthetic,
            ..ResamplingReport::unchanged(5, 2)
        }
    }

    #[test]
    fn rows_that_every_tree_drew_do_not_count() {
        let scores = [0.2, 0.9, f32::NAN, 0.4, 0.3];
        let (found, reason) = out_of_bag(&[0, 1, 1, 0, 1], &scores, &resampling(0));
        // Of the pairs (0.9, 0.2), (0.9, 0.4), (0.3, 0.2), (0.3, 0.4) the last is in the wrong order.
        let expected = OutOfBag { auc: 0.75, average_precision: 0.5 + 0.5 * 2.0 / 3.0, n_rows: 4 };
        assert_eq!((found, reason), (Some(expected), None));
    }

    #[test]
    fn what_cannot_be_measured_says_why() {
        assert_eq!(out_of_bag(&[0, 1], &[], &resampling(0)), (None, None));
        let why = |labels: &[u8], scores: &[f32], synthetic| {
            let (found, reason) = out_of_bag(labels, scores, &resampling(synthetic));
            assert_eq!(found, None);
            reason.unwrap()
        };
        assert_eq!(why(&[0, 1], &[0.1, 0.2, 0.3], 1), "synthetic rows are made from rows left out");
        assert_eq!(why(&[0, 1], &[f32::NAN; 2], 0), "every tree drew every row");
        assert_eq!(why(&[0, 1], &[0.1, f32::NAN], 0), "no positive rows");
    }
}

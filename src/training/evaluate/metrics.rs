//! Stand-in.
use std::collections::BTreeMap;
use super::{Confusion, Metrics};
pub fn measure(labels: &[u8], scores: &[f32]) -> Metrics {
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let n_pos = labels.iter().filter(|&&l| l == 1).count() as f64;
    let n_neg = labels.len() as f64 - n_pos;
    let (mut tp, mut fp, mut auc, mut ap, mut r1, mut r5) = (0.0, 0.0, 0.0, 0.0, 0.0f64, 0.0f64);
    let mut at = 0;
    while at < order.len() {
        let (tp0, fp0) = (tp, fp);
        let score = scores[order[at]];
        while at < order.len() && scores[order[at]] == score {
            if labels[order[at]] == 1 { tp += 1.0 } else { fp += 1.0 }
            at += 1;
        }
        auc += (fp - fp0) * (tp + tp0) / 2.0;
        ap += (tp - tp0) / n_pos * tp / (tp + fp);
        if fp / n_neg <= 0.01 { r1 = tp / n_pos }
        if fp / n_neg <= 0.05 { r5 = tp / n_pos }
    }
    let c = labels.iter().zip(scores).fold(Confusion::default(), |mut c, (&l, &s)| {
        match (l, s >= 0.5) { (1, true) => c.true_positives += 1, (0, true) => c.false_positives += 1, (0, false) => c.true_negatives += 1, _ => c.false_negatives += 1 }
        c
    });
    let recall = c.true_positives as f64 / n_pos;
    Metrics { n_rows: labels.len(), n_positives: n_pos as usize, confusion: c, recall: Some(recall), precision: None, auc_labels: Some((recall + c.true_negatives as f64 / n_neg) / 2.0), auc: Some(auc / n_pos / n_neg), auc_interval: None, average_precision: Some(ap), recall_at_fpr_1: Some(r1), recall_at_fpr_5: Some(r5), brier: None, log_loss: None, undefined: BTreeMap::new() }
}

//! Against pair counts, figures of scikit-learn, and the cases other libraries get wrong.

use proptest::prelude::*;

use super::*;

fn close(found: Option<f64>, expected: f64) {
    let found = found.expect("defined");
    assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
}

/// (positive, negative) pairs in order + half of the tied ones.
fn psi(positive: f32, negative: f32) -> f64 {
    if positive > negative { 1.0 } else { f64::from(u8::from(positive == negative)) / 2.0 }
}

fn by_class(labels: &[u8], scores: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let of = |class| labels.iter().zip(scores).filter(|&(&label, _)| label == class).map(|(_, &score)| score).collect();
    (of(1), of(0))
}

fn variance(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() as f64 - 1.0)
}

/// Recall and precision of every threshold among the scores, highest first.
fn sweep(labels: &[u8], scores: &[f32]) -> Vec<Confusion> {
    let mut thresholds = scores.to_vec();
    thresholds.sort_by(|a, b| b.total_cmp(a));
    thresholds.dedup();
    thresholds.iter().map(|&threshold| Confusion::at(labels, scores, threshold)).collect()
}

proptest! {
    #[test]
    fn equals_the_definitions(rows in prop::collection::vec((any::<bool>(), 0u8..12), 1..80)) {
        let labels: Vec<u8> = rows.iter().map(|row| u8::from(row.0)).collect();
        let scores: Vec<f32> = rows.iter().map(|row| f32::from(row.1) / 11.0).collect();
        let metrics = measure(&labels, &scores);
        let (positives, negatives) = by_class(&labels, &scores);
        let near = |a: f64, b: f64| (a - b).abs() < 1e-12;

        let both = !positives.is_empty() && !negatives.is_empty();
        prop_assert_eq!(metrics.auc.is_some(), both);
        prop_assert_eq!(metrics.undefined.contains_key("auc"), !both);
        if both {
            let of_positive: Vec<f64> = positives.iter().map(|&p| negatives.iter().map(|&n| psi(p, n)).sum::<f64>() / negatives.len() as f64).collect();
            let of_negative: Vec<f64> = negatives.iter().map(|&n| positives.iter().map(|&p| psi(p, n)).sum::<f64>() / positives.len() as f64).collect();
            let auc = of_positive.iter().sum::<f64>() / positives.len() as f64;
            prop_assert!(near(metrics.auc.unwrap(), auc));
            let slow = sweep(&labels, &scores);
            for (max_fpr, found) in [(0.01, metrics.recall_at_fpr_1), (0.05, metrics.recall_at_fpr_5)] {
                let within = slow.iter().filter(|counts| counts.fpr().unwrap() <= max_fpr);
                prop_assert_eq!(found.unwrap(), within.map(|counts| counts.recall().unwrap()).fold(0.0, f64::max));
            }
            prop_assert_eq!(metrics.auc_interval.is_some(), positives.len() > 1 && negatives.len() > 1);
            if let Some([low, high]) = metrics.auc_interval {
                let error = (variance(&of_positive) / positives.len() as f64 + variance(&of_negative) / negatives.len() as f64).sqrt();
                prop_assert!((low - (auc - Z_95 * error).max(0.0)).abs() < 1e-9);
                prop_assert!((high - (auc + Z_95 * error).min(1.0)).abs() < 1e-9);
            }
        }
        if !positives.is_empty() {
            let mut recall_above = 0.0;
            let mut average_precision = 0.0;
            for counts in sweep(&labels, &scores) {
                average_precision += (counts.recall().unwrap() - recall_above) * counts.precision().unwrap();
                recall_above = counts.recall().unwrap();
            }
            prop_assert!(near(metrics.average_precision.unwrap(), average_precision));
        }
        let counts = metrics.confusion;
        prop_assert_eq!(counts.true_positives as usize, positives.iter().filter(|&&score| score >= 0.5).count());
        prop_assert_eq!(counts.true_negatives as usize, negatives.iter().filter(|&&score| score < 0.5).count());
        prop_assert_eq!(metrics.n_rows as u64, counts.true_positives + counts.false_positives + counts.true_negatives + counts.false_negatives);
    }
}

/// Figures of scikit-learn 1.9.1; the interval from the O(positives x negatives) definition in numpy.
#[test]
fn equals_scikit_learn_with_ties() {
    let labels = [1, 0, 0, 1, 0, 1, 0, 0, 1, 0, 1, 0];
    let scores = [0.9, 0.9, 0.8, 0.8, 0.8, 0.7, 0.5, 0.5, 0.5, 0.25, 0.125, 0.0];
    let metrics = measure(&labels, &scores);
    close(metrics.auc, 0.5571428571428572);
    close(metrics.average_precision, 0.45979797979797976);
    close(metrics.brier, 0.3173437501986823);
    close(metrics.log_loss, 0.8877670927670165);
    close(metrics.recall, 0.8);
    close(metrics.precision, 0.4444444444444444);
    close(metrics.auc_labels, 0.5428571428571429);
    close(metrics.recall_at_fpr_5, 0.0);
    close(metrics.auc_interval.map(|ends| ends[0]), 0.20260553358893207);
    close(metrics.auc_interval.map(|ends| ends[1]), 0.9116801806967822);
}

#[test]
fn equals_scikit_learn_on_4000_rows() {
    let labels: Vec<u8> = (0..4000u64).map(|row| u8::from(row % 23 == 0)).collect();
    let hash = |row: u64| ((row * 2_654_435_761) % (1 << 32)) >> 20;
    let score = |row: u64| (hash(row) / 2 * 2 + u64::from(labels[row as usize]) * 1024) as f32 / 8192.0;
    let metrics = measure(&labels, &(0..4000).map(score).collect::<Vec<f32>>());
    close(metrics.auc, 0.7120533434276066);
    close(metrics.average_precision, 0.317086098936917);
    close(metrics.brier, 0.09783567275106907);
    close(metrics.log_loss, 0.3405601035009503);
    close(metrics.recall_at_fpr_1, 0.2471264367816092);
    close(metrics.recall_at_fpr_5, 0.29310344827586204);
    close(metrics.recall, 0.2413793103448276);
    close(metrics.precision, 1.0);
    close(metrics.auc_labels, 0.6206896551724138);
    close(metrics.auc_interval.map(|ends| ends[0]), 0.6738333278693466);
    close(metrics.auc_interval.map(|ends| ends[1]), 0.7502733589858667);
}

#[test]
fn what_is_not_defined_is_none_with_its_reason() {
    close(measure(&[1, 0, 0], &[0.5, 0.5, 0.1]).auc, 0.75);

    let constant = measure(&[1, 0, 1, 0], &[0.3; 4]);
    assert_eq!((constant.auc, constant.auc_interval), (Some(0.5), Some([0.5, 0.5])));
    assert!(constant.undefined["auc_interval"].contains("no width"));
    assert_eq!(constant.undefined["precision"], "no score is 0.5 or above");
    assert_eq!(constant.precision, None);

    let perfect = measure(&[1, 1, 0, 0], &[0.9, 0.8, 0.2, 0.1]);
    assert_eq!((perfect.auc, perfect.auc_interval), (Some(1.0), Some([1.0, 1.0])));
    assert!(perfect.undefined["auc_interval"].contains("no width"));

    let negatives = measure(&[0, 0], &[0.9, 0.1]);
    assert_eq!((negatives.recall, negatives.auc, negatives.average_precision), (None, None, None));
    assert_eq!(negatives.undefined["auc"], "no positive rows");
    assert_eq!(negatives.precision, Some(0.0));
    assert!(negatives.brier.is_some());
    let positives = measure(&[1, 1], &[0.9, 0.1]);
    assert_eq!((positives.recall, positives.auc, positives.average_precision), (Some(0.5), None, Some(1.0)));
    assert_eq!(positives.undefined["auc_labels"], "no negative rows");

    let single = measure(&[1, 0, 0], &[0.9, 0.2, 0.1]);
    assert_eq!(single.undefined["auc_interval"], "fewer than two rows of a class");
    assert_eq!((single.auc, single.auc_interval), (Some(1.0), None));

    let empty = measure(&[], &[]);
    assert_eq!((empty.brier, empty.undefined["log_loss"].as_str()), (None, "no rows"));
    let broken = measure(&[1, 0], &[f32::NAN, 0.1]);
    assert_eq!((broken.auc, broken.recall, broken.brier), (None, None, None));
    assert_eq!(broken.undefined["recall"], "1 of 2 scores are not numbers");
    assert_eq!(broken.n_positives, 1);
}

#[test]
fn certain_and_wrong_costs_a_finite_log_loss() {
    let metrics = measure(&[1, 0], &[0.0, 1.0]);
    close(metrics.log_loss, -(2.0f64.powi(-23)).ln());
    close(metrics.brier, 1.0);
}

/// Large counts overflow 32 bits and wear down sums: the interval stays ordered, narrow and inside [0, 1].
#[test]
fn a_million_rows_with_ties() {
    let n = 1_000_000u64;
    let labels: Vec<u8> = (0..n).map(|row| u8::from(row % 2 == 0)).collect();
    let score = |row: u64| ((row * 2_654_435_761) % (1 << 32) / 4096) as f32 / (1 << 20) as f32;
    let scores: Vec<f32> = (0..n).map(|row| (score(row) + f32::from(labels[row as usize])) / 2.0).collect();
    let metrics = measure(&labels, &scores);
    let (auc, [low, high]) = (metrics.auc.unwrap(), metrics.auc_interval.unwrap());
    assert!(0.999 < auc && auc <= 1.0 && low <= auc && auc <= high && high <= 1.0, "{low} {auc} {high}");
    let even: Vec<f32> = (0..n).map(score).collect();
    let metrics = measure(&labels, &even);
    let (auc, [low, high]) = (metrics.auc.unwrap(), metrics.auc_interval.unwrap());
    assert!((auc - 0.5).abs() < 0.003 && (high - low) > 0.001 && (high - low) < 0.003, "{low} {auc} {high}");
}

//! Figures over several lists of rows: means over folds, over-fitting, and the optimism gap between protocols.

use std::collections::BTreeMap;

use super::assessment::HeadlineRow;
use super::bootstrap::Z_95;
use super::{LeaderboardRow, Metrics, OptimismGap, Overfit};

/// A gap in recall above this is flagged.
const OVERFIT_GAP: f64 = 0.10;

/// Means by metric name; `None` where any fold leaves the metric undefined, or there is no fold.
pub fn mean_over_folds(folds: &[Metrics]) -> BTreeMap<String, Option<f64>> {
    type Figure = fn(&Metrics) -> Option<f64>;
    let metrics: [(&str, Figure); 9] = [
        ("recall", |fold| fold.recall),
        ("precision", |fold| fold.precision),
        ("auc", |fold| fold.auc),
        ("auc_labels", |fold| fold.auc_labels),
        ("average_precision", |fold| fold.average_precision),
        ("recall_at_fpr_1", |fold| fold.recall_at_fpr_1),
        ("recall_at_fpr_5", |fold| fold.recall_at_fpr_5),
        ("brier", |fold| fold.brier),
        ("log_loss", |fold| fold.log_loss),
    ];
    metrics.map(|(name, of)| (name.to_string(), mean(folds.iter().map(of)))).into()
}

/// Mean training recall (original rows) minus mean validation recall.
pub fn overfit(train_recalls: &[Option<f64>], validation_recalls: &[Option<f64>]) -> Overfit {
    let train_recall = mean(train_recalls.iter().copied());
    let validation_recall = mean(validation_recalls.iter().copied());
    let gap = train_recall.zip(validation_recall).map(|(train, validation)| train - validation);
    Overfit { train_recall, validation_recall, gap, flagged: gap.is_some_and(|gap| gap > OVERFIT_GAP) }
}

/// For every row of the random protocol that has a temporal counterpart, in row order. `headline` tells how much average
/// precision varies.
pub fn optimism(rows: &[LeaderboardRow], headline: &[HeadlineRow]) -> Vec<OptimismGap> {
    let random = rows.iter().filter(|row| row.protocol == "random");
    let pairs = random.filter_map(|random| {
        let same = |row: &&LeaderboardRow| row.model == random.model && row.case == random.case;
        Some((random, rows.iter().filter(|row| row.protocol == "temporal").find(same)?))
    });
    let deviation = |row: &LeaderboardRow| {
        let same = |of: &&HeadlineRow| of.protocol == row.protocol && of.model == row.model && of.case == row.case;
        let of_precision = headline.iter().find(same)?.average_precision_deviation?;
        Some(of_precision * row.test.n_rows as f64 / row.test.n_positives as f64)
    };
    pairs.map(|(a, b)| gap(a, &a.test, &b.test, deviation(a).zip(deviation(b)))).collect()
}

/// `deviations`: of the lift, under each protocol.
fn gap(row: &LeaderboardRow, random: &Metrics, temporal: &Metrics, deviations: Option<(f64, f64)>) -> OptimismGap {
    let difference = |a: Option<f64>, b: Option<f64>| a.zip(b).map(|(a, b)| a - b);
    let auc_gap = difference(random.auc, temporal.auc);
    let widths = half_width(random).zip(half_width(temporal));
    let (lift_random, lift_temporal) = (lift(random), lift(temporal));
    OptimismGap {
        model: row.model.clone(),
        case: row.case.clone(),
        auc_random: random.auc,
        auc_temporal: temporal.auc,
        auc_gap,
        auc_gap_interval: auc_gap.zip(widths).map(|(gap, (a, b))| {
            let width = (a * a + b * b).sqrt();
            [gap - width, gap + width]
        }),
        lift_random,
        lift_temporal,
        lift_gap: difference(lift_random, lift_temporal),
        lift_gap_interval: difference(lift_random, lift_temporal).zip(deviations).map(|(gap, (a, b))| {
            let width = Z_95 * (a * a + b * b).sqrt();
            [gap - width, gap + width]
        }),
    }
}

/// Half of the interval of the AUC; the side that was not clipped at 0 or 1 tells.
fn half_width(metrics: &Metrics) -> Option<f64> {
    let (auc, [low, high]) = metrics.auc.zip(metrics.auc_interval)?;
    Some((auc - low).max(high - auc))
}

/// Average precision over prevalence.
fn lift(metrics: &Metrics) -> Option<f64> {
    metrics.average_precision.map(|ap| ap * metrics.n_rows as f64 / metrics.n_positives as f64)
}

fn mean(values: impl ExactSizeIterator<Item = Option<f64>>) -> Option<f64> {
    let n = values.len();
    let sum = values.sum::<Option<f64>>()?;
    (n > 0).then(|| sum / n as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::evaluate::measure;

    fn row(protocol: &str, case: &str, test: Metrics) -> LeaderboardRow {
        let overfit = overfit(&[], &[]);
        LeaderboardRow {
            protocol: protocol.into(),
            model: "mlp".into(),
            case: case.into(),
            test,
            validation: Vec::new(),
            validation_mean: BTreeMap::new(),
            overfit,
            resampling: Vec::new(),
            model_bytes: None,
            over_limit: false,
            out_of_bag: None,
            out_of_bag_undefined: None,
        }
    }

    #[test]
    fn one_undefined_fold_leaves_the_mean_undefined() {
        let a = measure(&[0, 1, 0, 1], &[0.1, 0.9, 0.2, 0.4]);
        let b = measure(&[0, 1, 0, 1], &[0.1, 0.9, 0.6, 0.7]);
        let means = mean_over_folds(&[a.clone(), b]);
        assert_eq!(means["recall"], Some(0.75));
        assert_eq!(means["auc"], Some(1.0));
        assert_eq!(means.len(), 9);
        let one_class = measure(&[0, 0], &[0.1, 0.2]);
        let means = mean_over_folds(&[a, one_class]);
        assert_eq!((means["recall"], means["auc"]), (None, None));
        assert!(means["brier"].is_some());
        assert!(mean_over_folds(&[]).values().all(Option::is_none));
    }

    #[test]
    fn overfitting_is_flagged_above_a_tenth() {
        let found = overfit(&[Some(1.0), Some(0.9)], &[Some(0.7), Some(0.8)]);
        assert!((found.gap.unwrap() - 0.2).abs() < 1e-12 && found.flagged);
        assert!(!overfit(&[Some(0.75)], &[Some(0.7)]).flagged);
        let undefined = overfit(&[Some(0.8), None], &[Some(0.7)]);
        assert_eq!((undefined.train_recall, undefined.gap, undefined.flagged), (None, None, false));
    }

    #[test]
    fn the_gap_is_random_minus_temporal() {
        let labels = [0, 1, 0, 1, 0, 1, 0, 0];
        let random = measure(&labels, &[0.1, 0.9, 0.2, 0.8, 0.7, 0.6, 0.3, 0.2]);
        let temporal = measure(&labels, &[0.6, 0.9, 0.2, 0.5, 0.7, 0.6, 0.3, 0.2]);
        let rows = [
            row("random", "raw", random.clone()),
            row("random", "oversample", random.clone()),
            row("temporal", "raw", temporal.clone()),
        ];
        let gaps = optimism(&rows, &[]);
        assert_eq!(gaps.len(), 1);
        let gap = &gaps[0];
        assert_eq!(gap.auc_gap, Some(random.auc.unwrap() - temporal.auc.unwrap()));
        // The upper ends are clipped at 1; the lower ends tell the width.
        let width = |m: &Metrics| m.auc.unwrap() - m.auc_interval.unwrap()[0];
        let expected = width(&random).hypot(width(&temporal));
        let [low, high] = gap.auc_gap_interval.unwrap();
        assert!((high - low - 2.0 * expected).abs() < 1e-12);
        assert_eq!(gap.lift_random, Some(random.average_precision.unwrap() * 8.0 / 3.0));
    }
}

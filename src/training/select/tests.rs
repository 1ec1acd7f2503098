//! Ties, undefined figures, and that test rows change nothing.

use proptest::prelude::*;

use super::*;
use crate::training::config::Protocol;
use crate::training::evaluate::{measure, overfit};

const BY_RECALL: SelectConfig = SelectConfig { by: SelectBy::Recall, protocol: Protocol::Temporal };

fn row(protocol: &str, model: &str, case: &str, means: [Option<f64>; 3]) -> LeaderboardRow {
    let [recall, average_precision, auc] = means;
    let means = [("recall", recall), ("average_precision", average_precision), ("auc", auc)];
    LeaderboardRow {
        protocol: protocol.into(),
        model: model.into(),
        case: case.into(),
        test: measure(&[0, 1], &[0.1, 0.9]),
        validation: Vec::new(),
        validation_mean: means.map(|(name, mean)| (name.to_string(), mean)).into(),
        overfit: overfit(&[], &[]),
        resampling: Vec::new(),
        model_bytes: None,
        over_limit: false,
        out_of_bag: None,
        out_of_bag_undefined: None,
    }
}

fn winner(rows: &[LeaderboardRow]) -> (String, String, String) {
    let found = select(rows, BY_RECALL, LimitsConfig::default()).unwrap();
    (found.model, found.case, found.reason)
}

#[test]
fn the_highest_mean_under_the_protocol_wins() {
    let rows = [
        row("random", "mlp", "raw", [Some(0.99), Some(0.9), Some(0.9)]),
        row("temporal", "logistic", "raw", [Some(0.98), Some(0.9), Some(0.9)]),
        row("temporal", "random-forest", "raw", [Some(0.4), Some(0.9), Some(0.9)]),
        row("temporal", "mlp", "oversample", [Some(0.612345), Some(0.5), Some(0.8)]),
        row("temporal", "mlp", "raw", [None, Some(0.9), Some(0.9)]),
    ];
    let (model, case, reason) = winner(&rows);
    assert_eq!((model.as_str(), case.as_str()), ("mlp", "oversample"));
    assert_eq!(
        reason,
        "mlp with oversample has the highest mean recall over the temporal folds, 0.6123; next is random-forest with \
         raw, 0.4000. Test rows were not used."
    );
}

#[test]
fn ties_go_by_average_precision_then_auc_then_model_then_case() {
    let same = |ap, auc| [Some(0.5), ap, auc];
    let by_ap = [
        row("temporal", "random-forest", "raw", same(None, Some(0.9))),
        row("temporal", "mlp", "raw", same(Some(0.3), None)),
    ];
    let (model, _, reason) = winner(&by_ap);
    assert_eq!(model, "mlp");
    assert!(reason.contains("mean average_precision decided, 0.3000 against undefined"), "{reason}");
    let by_auc = [
        row("temporal", "random-forest", "raw", same(Some(0.3), Some(0.7))),
        row("temporal", "extra-trees", "raw", same(Some(0.3), Some(0.8))),
    ];
    let (model, _, reason) = winner(&by_auc);
    assert_eq!(model, "extra-trees");
    assert!(reason.contains("mean auc decided, 0.8000 against 0.7000"), "{reason}");
    let by_order = [
        row("temporal", "wide", "raw", same(None, None)),
        row("temporal", "mlp", "raw", same(None, None)),
        row("temporal", "extra-trees", "smote-tomek", same(None, None)),
        row("temporal", "extra-trees", "class-weights", same(None, None)),
    ];
    let (model, case, reason) = winner(&by_order);
    assert_eq!((model.as_str(), case.as_str()), ("extra-trees", "smote-tomek"));
    assert!(reason.contains("the order of cases decided"), "{reason}");
    assert!(winner(&by_order[..3]).2.contains("the order of models decided"));
}

#[test]
fn figures_that_look_equal_are_told_apart() {
    let rows = [
        row("temporal", "mlp", "raw", [Some(0.50001), None, None]),
        row("temporal", "extra-trees", "raw", [Some(0.50002), None, None]),
    ];
    let (model, _, reason) = winner(&rows);
    assert_eq!(model, "extra-trees");
    assert!(reason.contains("0.50002; next is mlp with raw, 0.50001"), "{reason}");
}

/// Rows of these sizes and recalls, marked by the limit.
fn sized(max_model_mb: Option<f64>) -> (Vec<LeaderboardRow>, LimitsConfig) {
    let limits = LimitsConfig { max_model_mb, memory_budget: None };
    let rows =
        [("mlp", "raw", 0.7, 9_000_001), ("random-forest", "raw", 0.6, 9_000_000), ("extra-trees", "raw", 0.5, 40)];
    let sized = rows.map(|(model, case, recall, bytes)| {
        let row = row("temporal", model, case, [Some(recall), None, None]);
        LeaderboardRow { model_bytes: Some(bytes), over_limit: !limits.allow(Some(bytes)), ..row }
    });
    (sized.to_vec(), limits)
}

#[test]
fn models_over_the_limit_are_not_selected_however_good() {
    let of = |limit| {
        let (rows, limits) = sized(limit);
        select(&rows, BY_RECALL, limits)
    };
    assert_eq!(of(None).unwrap().model, "mlp");
    assert_eq!(of(Some(9.000_001)).unwrap().model, "mlp", "the limit itself fits");
    let found = of(Some(9.0)).unwrap();
    assert_eq!((found.model.as_str(), found.value), ("random-forest", 0.6));
    assert_eq!(
        found.reason,
        "random-forest with raw has the highest mean recall over the temporal folds among the models within the limit, \
         0.6000; next is extra-trees with raw, 0.5000. Test rows were not used. mlp with raw has 0.7000, but its model takes \
         9.000001 MB and the limit is 9 MB."
    );
    // What is too large and would not have won is not talked about.
    let (mut rows, limits) = sized(Some(9.0));
    rows[0].validation_mean.insert("recall".into(), Some(0.1));
    assert!(!select(&rows, BY_RECALL, limits).unwrap().reason.contains("mlp"));
}

#[test]
fn where_none_fits_the_smallest_candidate_is_named() {
    let (mut rows, limits) = sized(Some(0.000_039));
    let mut smaller = row("temporal", "logistic", "raw", [Some(0.9), None, None]);
    (smaller.model_bytes, smaller.over_limit) = (Some(39), true);
    rows.push(smaller);
    let error = select(&rows, BY_RECALL, limits).unwrap_err();
    assert_eq!(
        error.message,
        "no model can be selected: none fits `limits.max_model_mb` of 0.000039; the smallest is extra-trees with raw, \
         0.00004 MB"
    );
    assert!(error.hint.unwrap().contains("finished fits are kept"));
    assert!(!limits.allow(None) && LimitsConfig::default().allow(None), "an unknown size fits no limit");
}

#[test]
fn no_candidate_is_an_error() {
    let rows = [row("temporal", "mlp", "raw", [None; 3]), row("temporal", "logistic", "raw", [Some(1.0); 3])];
    let error = select(&rows, BY_RECALL, LimitsConfig::default()).unwrap_err();
    assert!(error.message.contains("`recall`") && error.hint.is_some(), "{error}");
}

#[test]
fn test_rows_decide_nothing() {
    let mut rows = vec![
        row("temporal", "mlp", "raw", [Some(0.5), None, None]),
        row("temporal", "extra-trees", "raw", [Some(0.6), None, None]),
    ];
    let before = select(&rows, BY_RECALL, LimitsConfig::default()).unwrap();
    rows[1].test = measure(&[0, 1], &[0.9, 0.1]);
    let after = select(&rows, BY_RECALL, LimitsConfig::default()).unwrap();
    assert_eq!(before, after);
    let oof = OutOfFold::new(vec![0, 1, 0, 1], vec![0.1, 0.9, 0.4, 0.3]);
    let point = |test| operating_point(ThresholdPolicy::MaxFpr(0.0), &oof, &test).unwrap();
    let (a, b) = (point(TestScores::new(vec![0, 1], vec![0.95, 0.2])), point(TestScores::new(vec![0], vec![0.1])));
    assert_eq!((a.threshold, &a.out_of_fold), (b.threshold, &b.out_of_fold));
    assert_eq!(a.policy, serde_json::json!({"max_fpr": 0.0}));
    assert_eq!((a.threshold, a.out_of_fold.recall, a.test.fpr, a.test.recall), (0.9, Some(0.5), Some(1.0), Some(0.0)));
}

proptest! {
    #[test]
    fn the_threshold_is_the_lowest_score_within_the_limit(
        rows in prop::collection::vec((any::<bool>(), 0u8..20), 1..60),
        max_fpr in prop::sample::select(vec![0.0, 0.01, 0.1, 0.5, 1.0]),
    ) {
        let labels: Vec<u8> = rows.iter().map(|row| u8::from(row.0)).collect();
        prop_assume!(labels.contains(&0));
        let scores: Vec<f32> = rows.iter().map(|row| f32::from(row.1) / 19.0).collect();
        let fpr = |threshold| PointMetrics::at(&labels, &scores, threshold).fpr.unwrap();
        let found = choose_threshold(ThresholdPolicy::MaxFpr(max_fpr), &OutOfFold::new(labels.clone(), scores.clone())).unwrap();
        let within: Vec<f32> = scores.iter().copied().filter(|&score| fpr(score) <= max_fpr).collect();
        let highest = scores.iter().copied().fold(0.0, f32::max);
        prop_assert!(fpr(found) <= max_fpr);
        prop_assert_eq!(found, within.into_iter().reduce(f32::min).unwrap_or(highest.next_up()));
    }
}

#[test]
fn scores_without_a_rate_are_refused() {
    let choose = |labels, scores| choose_threshold(ThresholdPolicy::MaxFpr(0.01), &OutOfFold::new(labels, scores));
    assert!(choose(vec![1, 1], vec![0.1, 0.2]).is_err());
    assert!(choose(vec![], vec![]).is_err());
    assert!(choose(vec![0, 1], vec![f32::NAN, 0.2]).is_err());
}

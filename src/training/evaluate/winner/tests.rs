//! Known rows: what a threshold finds, costs and treats unequally.

use super::*;
use crate::training::evaluate::{Attribute, RowFacts, Unit};
use crate::training::seed::Seed;

/// 400 rows, every fifth a fraud; frauds of level `b` score low. Amounts of 10, each tenth row 1000.
fn rows() -> (Vec<u8>, Vec<f32>, RowFacts) {
    let labels: Vec<u8> = (0..400).map(|row| u8::from(row % 5 == 0)).collect();
    let codes: Vec<u32> = (0..400).map(|row| u32::from(row % 10 == 0) + 2 * u32::from(row >= 390)).collect();
    let scores: Vec<f32> = (0..400)
        .map(|row| match (row % 5 == 0, codes[row] == 1) {
            (true, false) => 0.8,
            (true, true) => {
                if row % 20 == 0 {
                    0.6
                } else {
                    0.2
                }
            }
            (false, _) => {
                if row % 50 == 1 {
                    0.7
                } else {
                    0.01
                }
            }
        })
        .collect();
    let facts = RowFacts {
        days: Some((0..400).map(|row| row / 40).collect()),
        amounts: Some((0..400).map(|row| if row % 10 == 0 { 1000.0 } else { 10.0 }).collect()),
        attributes: vec![Attribute {
            name: "kind".into(),
            levels: ["a", "b", "c", "d"].map(String::from).into(),
            codes,
        }],
        ..RowFacts::default()
    };
    (labels, scores, facts)
}

fn with<T>(threshold: f32, look: impl Fn(&Winner) -> T) -> T {
    let (labels, scores, facts) = rows();
    let out_of_fold = OutOfFold::new(labels.clone(), scores.clone()).with_facts(facts.clone());
    let test = TestScores::new(labels.clone(), scores).with_facts(facts);
    let bootstrap = Bootstrap::new(&labels, None, Unit::Row, 1000, Seed::new(1));
    look(&Winner { out_of_fold: &out_of_fold, test: &test, threshold, bootstrap: &bootstrap })
}

#[test]
fn a_point_with_intervals() {
    let found = with(0.5, |winner| winner.point());
    assert_eq!((found.recall.value, found.fpr.value), (Some(61.0 / 80.0), Some(8.0 / 320.0)));
    assert_eq!((found.precision.value, found.alerts_per_day.value, found.n_days), (Some(61.0 / 69.0), Some(6.9), 10));
    // 21 of the 40 frauds of 1000 and all 40 of 10.
    assert_eq!(found.value_detection_rate.value, Some((21.0 * 1000.0 + 400.0) / 40_400.0));
    for estimate in [found.recall, found.precision, found.fpr, found.alerts_per_day, found.value_detection_rate] {
        let [low, high] = estimate.interval.unwrap();
        assert!(low < estimate.value.unwrap() && estimate.value.unwrap() < high, "{estimate:?}");
    }
    let none = with(0.9, |winner| winner.point());
    assert_eq!((none.recall.value, none.recall.interval, none.precision), (Some(0.0), None, Estimate::default()));
}

#[test]
fn money_is_saved_by_amounts() {
    let costs = CostMatrix { missed_share: 1.0, review: 5.0, friction: 1.0 };
    let money = with(0.5, |winner| winner.money(costs)).unwrap();
    assert_eq!((money.fraud, money.rules[0].cost, money.rules[0].saving.value), (40_400.0, 40_400.0, Some(0.0)));
    // 69 alerts at 5, 8 false ones at 1 more, 19 missed at 1000.
    assert_eq!(money.rules[1].cost, 69.0 * 5.0 + 8.0 + 19.0 * 1000.0);
    assert_eq!(money.rules[1].saving.value, Some(40_400.0 - 19_353.0));
    assert_eq!(money.rules[2].threshold, Some(0.2));
    assert!(money.rules[3].cost <= money.rules[2].cost && money.gain_of_amounts.value.unwrap() >= 0.0);
    assert_eq!(money.curve[0].alerts, 0);
}

#[test]
fn subgroups_are_told_apart_and_guarded() {
    let found = with(0.5, |winner| winner.subgroups());
    let of = |level: &str| found.iter().find(|group| group.level == level).unwrap();
    assert_eq!((of("a").recall.value, of("b").recall.value), (Some(1.0), Some(20.0 / 39.0)));
    assert!(of("b").too_few && of("b").fpr == Estimate::default(), "only frauds");
    assert!(of("c").too_few && of("c").recall == Estimate::default() && of("c").n_rows == 9);
    let Some([low, high]) = of("b").recall.interval else { panic!("{:?}", of("b")) };
    // Wilson's interval of 20 in 39.
    assert!((low - 0.3618).abs() < 1e-3 && (high - 0.6614).abs() < 1e-3, "{low} {high}");
}

#[test]
fn weeks_of_both_sides() {
    let (length, periods) = with(0.5, |winner| winner.periods());
    let shape: Vec<(&str, u32, u32, usize)> =
        periods.iter().map(|at| (at.rows.as_str(), at.first_day, at.last_day, at.metrics.n_rows)).collect();
    assert_eq!(length, 7);
    assert_eq!(
        shape,
        [("out-of-fold", 0, 6, 280), ("out-of-fold", 7, 13, 120), ("test", 0, 6, 280), ("test", 7, 13, 120)]
    );
}

#[test]
fn curves_keep_their_ends() {
    let steps: Vec<u32> = (0..100_000).collect();
    let thin = thinned(&steps);
    assert!(thin.len() <= CURVE_POINTS && thin.len() > 100 && thin[0] == 0 && thin[thin.len() - 1] == 99_999);
    let [out_of_fold, test] = with(0.5, |winner| winner.thresholds());
    assert_eq!(out_of_fold, test);
    assert_eq!(test.last().map(|step| (step.recall, step.fpr, step.alerts_per_day)), Some((1.0, 1.0, 40.0)));
}

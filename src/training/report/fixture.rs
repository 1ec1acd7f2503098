//! Reports for tests: `full` (the whole grid, plausible figures), `small` (exact figures), `hostile` (names that attack
//! every format), `forest` (a forest wins, and tells all it can), `empty`.

use std::collections::BTreeMap;

use serde_json::json;

use super::{Curves, LossCurve, Provenance, RunReport};
use crate::scoring::calibration::{Calibration, Isotonic, Method};
use crate::training::calibrate::{CalibrationReport, Candidate};
use crate::training::config::{CalibrateConfig, CostMatrix, ImportanceConfig, WatchBy};
use crate::training::evaluate::{
    Assessment, Attribute, Bootstrap, Closeness, ColumnDrop, Confusion, CostlyError, DependencePoint, Explanation,
    FigureDrop, Importance, Leaderboard, LeaderboardRow, Metrics, OperatingPoint, OptimismGap, OutOfBag, Overfit,
    PartialDependence, PermutationImportance, PointMetrics, Probabilities, ReliabilityBin, ResamplingReport, RowFacts,
    Sample, Scored, Selection, Unit, Winner,
};
use crate::training::fit::mlp::WatchedCurves;
use crate::training::read::Fingerprint;
use crate::training::seed::Seed;
use crate::training::select::{OutOfFold, TestScores};

const N: usize = 118_108;
const POSITIVES: usize = 4_133;

fn metrics(n_rows: usize, n_positives: usize, recall: f64, fpr: f64, auc: f64, ap: f64) -> Metrics {
    let (positives, negatives) = (n_positives as f64, (n_rows - n_positives) as f64);
    let true_positives = (recall * positives).round() as u64;
    let false_positives = (fpr * negatives).round() as u64;
    Metrics {
        n_rows,
        n_positives,
        confusion: Confusion {
            true_positives,
            false_positives,
            true_negatives: (n_rows - n_positives) as u64 - false_positives,
            false_negatives: n_positives as u64 - true_positives,
        },
        recall: Some(recall),
        precision: Some(true_positives as f64 / (true_positives + false_positives) as f64),
        auc_labels: Some((recall + 1.0 - fpr) / 2.0),
        auc: Some(auc),
        auc_interval: Some([auc - 0.006, auc + 0.006]),
        average_precision: Some(ap),
        recall_at_fpr_1: Some((ap * 0.9).min(1.0)),
        recall_at_fpr_5: Some((auc - 0.15).min(1.0)),
        brier: Some(0.022),
        log_loss: Some(0.09),
        undefined: BTreeMap::new(),
    }
}

fn undefined(n_rows: usize) -> Metrics {
    let reason = || "only one class among the rows".to_string();
    let names = ["auc", "auc_labels", "average_precision", "recall"];
    Metrics {
        recall: None,
        precision: None,
        auc_labels: None,
        auc: None,
        auc_interval: None,
        average_precision: None,
        recall_at_fpr_1: None,
        recall_at_fpr_5: None,
        brier: None,
        log_loss: None,
        undefined: names.map(|name| (name.to_string(), reason())).into(),
        ..metrics(n_rows, 0, 0.0, 0.0, 0.5, 0.0)
    }
}

fn fits(case: &str, folds: usize) -> Vec<ResamplingReport> {
    (0..=folds)
        .map(|fold| {
            let rows = if fold == folds { 472_432 } else { 377_945 + fold };
            let positives = rows * 35 / 1000;
            let added = if matches!(case, "oversample" | "smote-tomek") { rows * 57 / 100 } else { 0 };
            let links = if case == "smote-tomek" { 1_204 + fold } else { 0 };
            ResamplingReport {
                rows_before: rows,
                positives_before: positives,
                rows_after: rows + added - 2 * links,
                positives_after: positives + added - links,
                share_before: 0.035,
                share_after: if added > 0 { 0.4 } else { 0.035 },
                synthetic: if case == "smote-tomek" { added } else { 0 },
                duplicates: if case == "oversample" { added } else { 0 },
                neighbors: (case == "smote-tomek").then_some(5),
                closeness: (case == "smote-tomek").then_some(Closeness {
                    measured: added,
                    quantiles: [0.4, 2.25, 9.5, 31.0],
                    nearest_is_majority: 0.0125,
                }),
                links,
                removed_majority: links,
                removed_minority: links,
                weights: if case == "class-weights" { [14.29, 0.52] } else { [1.0, 1.0] },
            }
        })
        .collect()
}

fn row(protocol: &str, model: &str, case: &str, test: Metrics) -> LeaderboardRow {
    let mean = |value: Option<f64>| value.map(|value| value - 0.01);
    let validation_mean = BTreeMap::from([
        ("recall".to_string(), mean(test.recall)),
        ("auc".to_string(), mean(test.auc)),
        ("auc_labels".to_string(), mean(test.auc_labels)),
        ("average_precision".to_string(), mean(test.average_precision)),
    ]);
    let train = test.recall.map(|recall| (recall + if model.contains("trees") { 0.35 } else { 0.05 }).min(1.0));
    let held_out = mean(test.recall);
    let gap = train.zip(held_out).map(|(train, held_out)| train - held_out);
    LeaderboardRow {
        protocol: protocol.into(),
        model: model.into(),
        case: case.into(),
        validation: vec![test.clone(); 5],
        test,
        validation_mean,
        overfit: Overfit {
            train_recall: train,
            validation_recall: held_out,
            gap,
            flagged: gap.is_some_and(|gap| gap > 0.1),
        },
        resampling: fits(case, 5),
        model_bytes: Some(if model == "mlp" { 123_456_789 } else { 12_345_678 }),
        over_limit: false,
        out_of_bag: None,
        out_of_bag_undefined: None,
    }
}

const CASES: [&str; 4] = ["raw", "class-weights", "oversample", "smote-tomek"];

/// Three models and the baseline, four cases, two protocols; `mlp` x `class-weights` wins under `temporal`.
pub(super) fn full() -> RunReport {
    let mut rows = Vec::new();
    let mut curves = Vec::new();
    for (protocol, loss) in [("random", 0.0), ("temporal", 0.05)] {
        for (m, model) in ["logistic", "random-forest", "extra-trees", "mlp"].into_iter().enumerate() {
            let cases = if model == "logistic" { &CASES[..2] } else { &CASES[..] };
            for (c, case) in cases.iter().enumerate() {
                let (m, c) = (m as f64, c as f64);
                let auc = 0.82 + 0.03 * m - 0.006 * c - loss;
                let ap = 0.31 + 0.08 * m - 0.02 * c - 2.0 * loss;
                let recall = 0.30 + 0.07 * m + 0.09 * c - loss;
                rows.push(row(protocol, model, case, metrics(N, POSITIVES, recall, 0.004 + 0.02 * c, auc, ap)));
                curves.push(curve(protocol, model, case, auc, ap));
            }
        }
    }
    let optimism = rows
        .iter()
        .filter(|row| row.protocol == "random")
        .map(|row| OptimismGap {
            model: row.model.clone(),
            case: row.case.clone(),
            auc_random: row.test.auc,
            auc_temporal: row.test.auc.map(|auc| auc - 0.05),
            auc_gap: Some(0.05),
            auc_gap_interval: Some([0.0415, 0.0585]),
            lift_random: Some(14.2),
            lift_temporal: Some(11.4),
            lift_gap: Some(2.8),
            lift_gap_interval: Some([1.9, 3.7]),
        })
        .collect();
    RunReport {
        name: "ieee-cis".into(),
        run_id: "ieee-cis-1f0c92ab".into(),
        bundle_id: Some("9b1d77c2e0aa4f31".into()),
        n_rows: 590_540,
        n_positives: 20_663,
        leaderboard: Leaderboard { format: 1, rows },
        optimism,
        selection: Selection {
            protocol: "temporal".into(),
            by: "average-precision".into(),
            model: "mlp".into(),
            case: "class-weights".into(),
            value: 0.42,
            reason: "Average precision 0.420 over 5 folds; the runner-up, mlp with oversample, has 0.400.".into(),
        },
        calibration: calibration(),
        operating_point: operating_point(),
        max_model_mb: None,
        importance: Importance::default(),
        assessment: Assessment::default(),
        explanation: None,
        provenance: Provenance::default(),
        seeds: Vec::new(),
        curves,
    }
}

/// The full grid, in which the networks are too large and extra trees win; 40 columns, both importances, out-of-bag rows.
pub(super) fn forest() -> RunReport {
    let mut report = full();
    report.max_model_mb = Some(100.0);
    (report.selection.model, report.selection.case) = ("extra-trees".into(), "oversample".into());
    for row in &mut report.leaderboard.rows {
        row.over_limit = row.model == "mlp";
        if row.model == "extra-trees" && row.case == "oversample" {
            row.out_of_bag = Some(OutOfBag { auc: 0.91, average_precision: 0.52, n_rows: 472_001 });
        }
    }
    let names: Vec<String> = (1..=40).map(|at| format!("{}{at}", ["C", "V", "id_"][at % 3])).collect();
    let shares: Vec<f64> = (0..40).map(|at| 0.9f64.powi((at * 7) % 40)).collect();
    let sum: f64 = shares.iter().sum();
    let drop = |share: f64| {
        let mean = 0.2 * share - 0.01;
        let figure = |mean: f64| FigureDrop { mean: Some(mean), deviation: Some(0.1 * mean.abs()) };
        ColumnDrop { average_precision: figure(mean), auc: figure(0.5 * mean) }
    };
    report.importance = Importance {
        impurity: names.iter().cloned().zip(shares.iter().map(|share| share / sum)).collect(),
        permutation: Some(PermutationImportance {
            format: 1,
            cell: "0f".into(),
            asked: ImportanceConfig { permutation: true, ..ImportanceConfig::default() },
            n_rows: 10_000,
            n_positives: 350,
            auc: Some(0.9),
            average_precision: Some(0.5),
            features: names.into_iter().zip(shares.into_iter().map(drop)).collect(),
        }),
    };
    assess(&mut report);
    report
}

/// Measured on 600 made rows of 20 days, for every row of the leaderboard.
fn assess(report: &mut RunReport) {
    let noise = |row: usize, salt: usize| ((row * 7919 + salt * 104_729) % 1009) as f32 / 1009.0;
    let labels: Vec<u8> = (0..600).map(|row| u8::from(row % 8 == 0)).collect();
    let scores = |salt: usize| -> Vec<f32> {
        let told = |row: usize| if row.is_multiple_of(8) && !row.is_multiple_of(3) { 0.4 } else { 0.0 };
        (0..600).map(|row| 0.6 * noise(row, salt) + told(row)).collect()
    };
    let facts = RowFacts {
        days: Some((0..600).map(|row| row / 30).collect()),
        amounts: Some((0..600).map(|row| f64::from(noise(row, 90)) * 300.0).collect()),
        groups: Some((0..600).map(|row| row % 170).collect()),
        attributes: vec![Attribute {
            name: "<b>kind|".into(),
            levels: ["a", "b"].map(String::from).into(),
            codes: (0..600).map(|row| u32::from(row % 5 > 2)).collect(),
        }],
    };
    let unit = Unit::Group;
    let bootstrap = Bootstrap::new(&labels, facts.units(unit), unit, 1000, Seed::new(1));
    let out_of_fold = OutOfFold::new(labels.clone(), scores(77)).with_facts(facts.clone());
    let test = TestScores::new(labels.clone(), scores(78)).with_facts(facts.clone());
    let winner = Winner { out_of_fold: &out_of_fold, test: &test, threshold: 0.6, bootstrap: &bootstrap };
    let [thresholds, thresholds_test] = winner.thresholds();
    let (days_per_period, periods) = winner.periods();
    report.assessment = Assessment {
        by: Some(unit),
        draws: 1000,
        alerts_per_day: 3,
        headline: Vec::new(),
        differences: Vec::new(),
        point: winner.point(),
        thresholds,
        thresholds_test,
        money: winner.money(CostMatrix::default()).ok(),
        money_undefined: None,
        subgroups: winner.subgroups(),
        periods,
        days_per_period,
    };
    for protocol in ["random", "temporal"] {
        let rows = report.leaderboard.rows.iter().enumerate().filter(|(_, row)| row.protocol == protocol);
        let scored = |(at, row): (usize, &LeaderboardRow)| Scored {
            model: row.model.clone(),
            case: row.case.clone(),
            scores: scores(at),
        };
        let models: Vec<Scored> = rows.map(scored).collect();
        let sample = Sample { protocol, labels: &labels, facts: &facts, bootstrap: &bootstrap, unit, k: 3 };
        let (headline, differences) = sample.compare(&models);
        report.assessment.headline.extend(headline);
        report.assessment.differences.extend(differences);
    }
    report.explanation = Some(explanation());
    report.provenance = Provenance {
        version: "0.1.0".into(),
        inputs: vec![Fingerprint {
            path: "data/a|b.csv".into(),
            sha256: "0f".repeat(32),
            rows: 600,
            columns: 9,
            bytes: 5000,
        }],
        target_copies: Some(vec!["<i>copy".into()]),
        score_drift: Some(0.12),
        prevalences: Some([0.035, 0.031]),
        ..Provenance::default()
    };
}

fn explanation() -> Explanation {
    let point = |at: usize| DependencePoint {
        value: (at * at).to_string(),
        prepared: at as f32,
        mean_score: 0.02 + 0.01 * at as f64,
    };
    let dependence =
        |feature: &str| PartialDependence { feature: feature.into(), points: (0..12).map(point).collect() };
    let named = PartialDependence {
        feature: "card|".into(),
        points: ["visa", "<amex>"]
            .iter()
            .enumerate()
            .map(|(at, name)| DependencePoint { value: (*name).into(), ..point(at) })
            .collect(),
    };
    let error = |at: usize| CostlyError {
        id: format!("id|{at}"),
        score: 0.01 * at as f32,
        amount: Some(1000.0 / (at + 1) as f64),
        cost: 1000.0 / (at + 1) as f64,
        reasons: vec![("C1".into(), -0.2), ("V2".into(), -0.1)],
        columns: [("card".to_owned(), "<visa>".to_owned())].into(),
    };
    Explanation {
        format: 1,
        cell: "0f".into(),
        threshold: 0.6,
        dependence: vec![dependence("C1"), named, dependence("V2")],
        n_rows: 1000,
        misses: (0..10).map(error).collect(),
        false_alarms: Vec::new(),
        reasons_undefined: None,
    }
}

/// `isotonic` is best, `platt` has none.
fn calibration() -> CalibrationReport {
    let figures = |log_loss: f64, mean_score: f64| {
        Some(Probabilities {
            log_loss,
            brier: 0.3 * log_loss,
            ece: (mean_score - 0.035).abs(),
            mean_score,
            prevalence: 0.035,
        })
    };
    let candidate = |method, figures| Candidate { method, figures, unavailable: None };
    let bin = |at: usize| {
        let share = 0.001 * 2f64.powi(at as i32);
        ReliabilityBin { n_rows: N / 10, mean_raw: 0.1 * at as f64, mean_calibrated: 1.1 * share, share }
    };
    CalibrationReport {
        asked: CalibrateConfig::Auto,
        method: Method::Isotonic,
        map: Calibration::Isotonic(Isotonic { scores: vec![0.1, 0.9], probabilities: vec![0.001, 0.8] }),
        candidates: vec![
            candidate(Method::None, figures(0.21, 0.31)),
            candidate(Method::Prior, figures(0.12, 0.02)),
            Candidate { unavailable: Some("the slope is negative".into()), ..candidate(Method::Platt, None) },
            candidate(Method::Isotonic, figures(0.0912, 0.0352)),
        ],
        out_of_fold: (0..10).map(bin).collect(),
        test: (3..10).map(bin).collect(),
        test_raw: figures(0.22, 0.32),
        test_calibrated: figures(0.0999, 0.038),
    }
}

fn operating_point() -> OperatingPoint {
    let point = |positives: u64, negatives: u64, recall: f64, fpr: f64| {
        let true_positives = (recall * positives as f64).round() as u64;
        let false_positives = (fpr * negatives as f64).round() as u64;
        PointMetrics {
            confusion: Confusion {
                true_positives,
                false_positives,
                true_negatives: negatives - false_positives,
                false_negatives: positives - true_positives,
            },
            recall: Some(recall),
            precision: Some(true_positives as f64 / (true_positives + false_positives) as f64),
            fpr: Some(fpr),
        }
    };
    OperatingPoint {
        policy: json!({ "max_fpr": 0.01 }),
        threshold: 0.731_25,
        out_of_fold: point(13_800, 379_000, 0.452, 0.01),
        test: point(POSITIVES as u64, (N - POSITIVES) as u64, 0.421, 0.0118),
    }
}

/// ROC of a power law with this area; precision falls so that the picture looks like fraud.
fn curve(protocol: &str, model: &str, case: &str, auc: f64, ap: f64) -> Curves {
    let power = (1.0 - auc) / auc;
    let steps = || (0..=5000).map(|step| f64::from(step) / 5000.0);
    Curves {
        protocol: protocol.into(),
        model: model.into(),
        case: case.into(),
        roc: steps().map(|x| [x.powi(3), x.powf(3.0 * power)]).collect(),
        pr: steps().map(|x| [x, 0.035 + 0.9 * (1.0 - x).powf(0.93 / ap - 1.0)]).collect(),
    }
}

pub(super) fn losses() -> Vec<LossCurve> {
    let curve = |protocol: &str, case: &str, level: f64| LossCurve {
        protocol: protocol.into(),
        model: "mlp".into(),
        case: case.into(),
        losses: (0..90).map(|epoch| level + 0.12 * (-f64::from(epoch) / 12.0).exp()).collect(),
        watched: None,
    };
    let cases = || CASES.iter().zip([0.07, 0.32, 0.21, 0.24]);
    ["random", "temporal"]
        .iter()
        .flat_map(|&protocol| cases().map(move |(case, level)| curve(protocol, case, level)))
        .collect()
}

/// Few rows with exact figures, out of order; an undefined cell, a custom name, no curves.
pub(super) fn small() -> RunReport {
    let simple = |recall, fpr, auc, ap| metrics(400, 20, recall, fpr, auc, ap);
    let mut half = simple(0.75, 0.01, 0.0, 0.0);
    (half.auc, half.auc_interval, half.average_precision) = (None, None, None);
    let rows = vec![
        row("temporal", "random-forest", "raw", simple(0.25, 0.01, 0.8, 0.3)),
        row("random", "logistic", "raw", undefined(400)),
        row("random", "mine, \"b\"", "raw", simple(0.5, 0.01, 0.9, 0.6)),
        row("random", "extra-trees", "smote-tomek", half),
        row("random", "random-forest", "raw", simple(0.5, 0.01, 0.9, 0.6)),
    ];
    let mut report = full();
    report.leaderboard.rows = rows;
    report.curves.clear();
    report.optimism.clear();
    (report.selection.model, report.selection.case) = ("random-forest".into(), "raw".into());
    report
}

/// The full grid under names that attack HTML, Markdown, SVG and terminals, with figures that are not numbers.
pub(super) fn hostile() -> RunReport {
    let mut report = full();
    let model = "<script>alert(1)</script>\"'&|`\u{1b}[2J\u{202e}\u{0}\n| --- |".to_string();
    let case = "\"><img src=x onerror=alert(2)>".repeat(20);
    for row in report.leaderboard.rows.iter_mut().filter(|row| row.model == "mlp") {
        row.model.clone_from(&model);
        row.case.insert_str(0, &case);
        row.test.auc = Some(f64::NAN);
        row.test.recall = Some(f64::INFINITY);
        row.test.undefined.insert("auc".into(), "</td><script>".into());
    }
    for curve in report.curves.iter_mut().filter(|curve| curve.model == "mlp") {
        curve.model.clone_from(&model);
        curve.case.insert_str(0, &case);
        curve.roc[7] = [f64::NAN, f64::INFINITY];
    }
    report.name.clone_from(&model);
    report.run_id.clone_from(&model);
    report.selection.model.clone_from(&model);
    report.selection.case = format!("{case}class-weights");
    report.selection.reason.push_str(&model);
    report.operating_point.threshold = f32::NAN;
    report.operating_point.policy = json!(model);
    assess(&mut report);
    report
}

/// Nothing ran.
pub(super) fn empty() -> RunReport {
    let nothing = || PointMetrics { confusion: Confusion::default(), recall: None, precision: None, fpr: None };
    RunReport {
        name: String::new(),
        run_id: String::new(),
        bundle_id: None,
        n_rows: 0,
        n_positives: 0,
        leaderboard: Leaderboard { format: 1, rows: Vec::new() },
        optimism: Vec::new(),
        selection: Selection {
            protocol: String::new(),
            by: String::new(),
            model: String::new(),
            case: String::new(),
            value: f64::NAN,
            reason: String::new(),
        },
        calibration: CalibrationReport::default(),
        operating_point: OperatingPoint {
            policy: serde_json::Value::Null,
            threshold: 0.5,
            out_of_fold: nothing(),
            test: nothing(),
        },
        max_model_mb: None,
        importance: Importance::default(),
        assessment: Assessment::default(),
        explanation: None,
        provenance: Provenance::default(),
        seeds: Vec::new(),
        curves: Vec::new(),
    }
}

/// As `losses`, with rows set aside.
pub(super) fn watched() -> Vec<LossCurve> {
    let see = |curve: LossCurve| {
        let seen = WatchedCurves {
            n_rows: 9_448,
            n_positives: 330,
            by: WatchBy::AveragePrecision,
            losses: (0..40).map(|epoch| curve.losses[epoch] + 0.0002 * (epoch as f64 - 20.0).powi(2)).collect(),
            average_precision: (0..40).map(|epoch| Some(0.6 - 0.0008 * (f64::from(epoch) - 29.0).powi(2))).collect(),
            best_epoch: 30,
        };
        LossCurve { losses: curve.losses[..40].to_vec(), watched: Some(seen), ..curve }
    };
    losses().into_iter().map(see).collect()
}

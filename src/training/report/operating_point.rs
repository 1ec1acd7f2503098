//! Section 4: the threshold, what chose it, what it does on the test rows, and what others would.

use super::RunReport;
use super::table::{Block, Section, Table, decimals, figure, percent, percent_estimate};
use crate::scoring::bundle::Policy;
use crate::training::evaluate::{Estimate, PointEstimates, PointMetrics, ThresholdStep};

pub(super) fn section(report: &RunReport) -> Section {
    let point = &report.operating_point;
    let mut table = Table::new(&["rows", "recall", "precision", "FPR", "TP", "FP", "TN", "FN"], 1);
    table.rows = vec![measured("out-of-fold", &point.out_of_fold), measured("test", &point.test)];
    let text = format!(
        "A record is fraud if its calibrated score is at least {}. Policy: {}. The threshold was chosen on out-of-fold \
         scores; the test rows only measure it. `fraudml threshold` plans another one without training.",
        point.threshold,
        policy(&point.policy)
    );
    let mut blocks = vec![Block::Text(text), Block::Table(table)];
    blocks.extend(estimates(&report.assessment.point));
    blocks.push(Block::Plot("confusion_matrix"));
    if !report.assessment.thresholds.is_empty() {
        blocks.push(Block::Heading("Other thresholds, out-of-fold rows".into()));
        blocks.push(Block::Table(threshold_table(&report.assessment.thresholds, 12)));
        blocks.push(Block::Plot("thresholds"));
    }
    blocks.extend(["roc", "precision_recall"].map(Block::Plot));
    Section { id: "operating-point", title: "Operating point".into(), blocks }
}

fn estimates(point: &PointEstimates) -> Vec<Block> {
    if *point == PointEstimates::default() {
        return Vec::new();
    }
    let mut table = Table::new(&["on the test rows", "95 % interval"], 1);
    table.rows = estimate_rows(point);
    vec![Block::Heading("Measured again on the test rows".into()), Block::Table(table)]
}

fn estimate_rows(point: &PointEstimates) -> Vec<Vec<String>> {
    let row = |name: &str, text: String| vec![name.to_owned(), text];
    let alerts = |estimate: Estimate| {
        let interval = estimate.interval.map_or(String::new(), |[low, high]| format!(" ({low:.1} to {high:.1})"));
        format!("{}{interval}", decimals(estimate.value, 1))
    };
    vec![
        row("recall %", percent_estimate(point.recall)),
        row("precision %", percent_estimate(point.precision)),
        row("false-positive rate %", percent_estimate(point.fpr)),
        row("alerts per day", alerts(point.alerts_per_day)),
        row("share of the fraud's amount found %", percent_estimate(point.value_detection_rate)),
    ]
}

/// A policy and what it does, for a terminal.
pub fn point_text(policy: &Policy, point: &PointEstimates) -> String {
    let mut table = Table::new(&["on the test rows", "95 % interval"], 1);
    table.rows = estimate_rows(point);
    format!(
        "Threshold {} by {}, chosen on out-of-fold scores\n\n{}",
        policy.threshold,
        self::policy(&policy.policy),
        table.text(100)
    )
}

/// About so many of the steps, evenly.
pub(super) fn threshold_table(steps: &[ThresholdStep], n: usize) -> Table {
    let columns = ["threshold", "recall %", "precision %", "FPR %", "alerts\nper day"];
    let mut table = Table::new(&columns, 1);
    let last = steps.len().saturating_sub(1);
    let mut places: Vec<usize> =
        (0..n.min(steps.len())).map(|at| at * last / n.min(steps.len()).max(2).saturating_sub(1)).collect();
    places.dedup();
    table.rows = places
        .into_iter()
        .map(|at| &steps[at.min(last)])
        .map(|step| {
            vec![
                format!("{:.5}", step.threshold),
                percent(Some(step.recall)),
                percent(Some(step.precision)),
                decimals(Some(100.0 * step.fpr), 2),
                decimals(Some(step.alerts_per_day), 1),
            ]
        })
        .collect();
    table
}

fn measured(rows: &str, point: &PointMetrics) -> Vec<String> {
    let counts = &point.confusion;
    let mut cells = vec![rows.into(), figure(point.recall), figure(point.precision), decimals(point.fpr, 4)];
    cells.extend(
        [counts.true_positives, counts.false_positives, counts.true_negatives, counts.false_negatives]
            .map(|count| count.to_string()),
    );
    cells
}

/// `{"max_fpr": 0.01}` as `max_fpr 0.01`, `{"cost": {..}}` as its parts.
pub(super) fn policy(policy: &serde_json::Value) -> String {
    let parts = |object: &serde_json::Map<String, serde_json::Value>| {
        object.iter().map(|(key, value)| format!("{key} {value}")).collect::<Vec<String>>().join(", ")
    };
    match policy.as_object() {
        Some(object) => {
            let part = |(key, value): (&String, &serde_json::Value)| match value.as_object() {
                Some(inner) => format!("{key} ({})", parts(inner)),
                None => format!("{key} {value}"),
            };
            object.iter().map(part).collect::<Vec<String>>().join(", ")
        }
        None => policy.to_string(),
    }
}

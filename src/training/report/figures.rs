//! The figures behind every plot, as a table for who can't see it or wants to read it exactly. In: the report and the loss
//! curves; out: the table of a plot by its name.

use super::operating_point::threshold_table;
use super::table::{Table, count, decimals, figure, money, percent};
use super::{LossCurve, RunReport, importance, table1, validation, why};
use crate::training::evaluate::{LeaderboardRow, ReliabilityBin};

/// Points of a curve that stand in its table.
const POINTS: usize = 11;

pub(super) fn behind(report: &RunReport, losses: &[LossCurve], name: &str) -> Option<Table> {
    let table = match name {
        "fig3a" | "fig3c" | "fig3e" => figure3(report, "recall %", |row| row.test.recall, |row| row.recall),
        "fig3b" | "fig3d" | "fig3f" => {
            figure3(report, "AUC of labels %", |row| row.test.auc_labels, |row| row.auc_labels)
        }
        "roc" => curves(report, ["false-positive rate", "recall"], |curve| &curve.roc),
        "precision_recall" => curves(report, ["recall", "precision"], |curve| &curve.pr),
        "confusion_matrix" => confusion(report),
        "losses" => of_losses(losses, "loss", |curve| curve.losses.clone()),
        "watched" => of_losses(losses, "average precision, set aside", |curve| {
            let seen = curve.watched.iter().flat_map(|seen| &seen.average_precision);
            seen.map(|value| value.unwrap_or(f64::NAN)).collect()
        }),
        "importance" => importance::shown(report),
        "thresholds" => threshold_table(&report.assessment.thresholds, 40),
        "savings" => savings(report)?,
        "reliability" => reliability(report),
        "periods" => validation::period_table(report),
        "dependence" => why::dependence_table(report),
        _ => return None,
    };
    (!table.rows.is_empty()).then_some(table)
}

fn figure3(
    report: &RunReport,
    title: &'static str,
    here: fn(&LeaderboardRow) -> Option<f64>,
    paper: fn(&table1::PaperRow) -> f64,
) -> Table {
    let mut table = Table::new(&["model", "case", title, "paper"], 2);
    let protocol = report.papers_protocol().unwrap_or("random");
    for row in table1::rows(&report.leaderboard, protocol) {
        let of_paper = table1::paper(&row.model, &row.case).map(paper);
        table.rows.push(vec![row.model.clone(), row.case.clone(), percent(here(row)), percent(of_paper)]);
    }
    table
}

fn curves(report: &RunReport, axes: [&'static str; 2], points: fn(&super::Curves) -> &Vec<[f64; 2]>) -> Table {
    let mut table = Table::new(&["model", "case", axes[0], axes[1]], 2);
    for curve in report.curves.iter().filter(|curve| curve.protocol == report.selection.protocol) {
        let points = points(curve);
        let last = points.len().saturating_sub(1);
        for at in (0..POINTS.min(points.len())).map(|at| at * last / (POINTS - 1)) {
            let [x, y] = points[at].map(|value| figure(Some(value)));
            table.rows.push(vec![curve.model.clone(), curve.case.clone(), x, y]);
        }
    }
    table
}

fn confusion(report: &RunReport) -> Table {
    let counts = &report.operating_point.test.confusion;
    let mut table = Table::new(&["actual", "alert: fraud", "authorised"], 1);
    table.rows = vec![
        vec!["fraud".into(), counts.true_positives.to_string(), counts.false_negatives.to_string()],
        vec!["authorised".into(), counts.false_positives.to_string(), counts.true_negatives.to_string()],
    ];
    table
}

fn of_losses(losses: &[LossCurve], title: &'static str, values: fn(&LossCurve) -> Vec<f64>) -> Table {
    let mut table = Table::new(&["protocol", "model", "case", "epoch", title], 3);
    for curve in losses {
        let values = values(curve);
        let last = values.len().saturating_sub(1);
        let mut epochs: Vec<usize> = (0..POINTS.min(values.len())).map(|at| at * last / (POINTS - 1)).collect();
        epochs.dedup();
        for epoch in epochs {
            let names = [curve.protocol.clone(), curve.model.clone(), curve.case.clone()];
            let figures = [(epoch + 1).to_string(), decimals(Some(values[epoch]), 4)];
            table.rows.push(names.into_iter().chain(figures).collect());
        }
    }
    table
}

fn savings(report: &RunReport) -> Option<Table> {
    let found = report.assessment.money.as_ref()?;
    let none = found.curve.first()?.cost;
    let mut table = Table::new(&["threshold", "alerts", "found amount", "cost", "saving"], 1);
    let shown = found.curve.iter().step_by((found.curve.len() / 40).max(1));
    table.rows = shown
        .map(|at| {
            let alerts = count(usize::try_from(at.alerts).unwrap_or(usize::MAX));
            vec![format!("{:.5}", at.threshold), alerts, money(at.caught), money(at.cost), money(none - at.cost)]
        })
        .collect();
    Some(table)
}

fn reliability(report: &RunReport) -> Table {
    let mut table = Table::new(&["rows", "bin", "mean raw\nscore", "mean calibrated\nscore", "share of\nfraud"], 2);
    for (rows, bins) in [("out-of-fold", &report.calibration.out_of_fold), ("test", &report.calibration.test)] {
        let line = |(at, bin): (usize, &ReliabilityBin)| {
            let shares = [bin.mean_raw, bin.mean_calibrated, bin.share].map(|share| decimals(Some(share), 5));
            [rows.to_owned(), (at + 1).to_string()].into_iter().chain(shares).collect()
        };
        table.rows.extend(bins.iter().enumerate().map(line));
    }
    table
}

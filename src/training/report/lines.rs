//! Line plots of the winner: thresholds, savings, reliability, time, partial dependence. In: the report; out: a drawing, or
//! none where nothing was measured.

use super::RunReport;
use super::curves::{Axes, Line, Panel, SHARES, draw_each};
use super::drawing::Drawing;
use crate::training::evaluate::{PartialDependence, Period, ReliabilityBin, ThresholdStep};

fn line(index: usize, name: &str, dashed: bool, points: impl Iterator<Item = [f64; 2]>) -> Line {
    let points = points.filter(|point| point.iter().all(|value| value.is_finite())).collect();
    Line { index, name: name.to_owned(), points, dashed }
}

fn panel(title: &str, lines: Vec<Line>) -> Panel {
    Panel {
        title: title.to_owned(),
        lines: lines.into_iter().filter(|line| line.points.len() > 1).collect(),
        reference: None,
        marked: None,
    }
}

/// From 0 (or what lies below it) to what is highest, and a bit.
fn range(values: impl Iterator<Item = f64> + Clone) -> [f64; 2] {
    let low = values.clone().fold(0.0, f64::min);
    let high = values.fold(low, f64::max);
    [low, if high > low { high + 0.04 * (high - low) } else { low + 1.0 }]
}

fn spread<'a>(lines: impl Iterator<Item = &'a Line> + Clone, axis: usize) -> [f64; 2] {
    range(lines.flat_map(|line| &line.points).map(move |point| point[axis]))
}

type Figure = fn(&ThresholdStep) -> f64;

pub(super) fn thresholds(report: &RunReport, title: &str) -> Option<Drawing> {
    let sides = [(&report.assessment.thresholds, "out-of-fold"), (&report.assessment.thresholds_test, "test")];
    let of = |figures: &[(&str, Figure)]| -> Vec<Line> {
        let mut lines = Vec::new();
        for (index, (name, figure)) in figures.iter().enumerate() {
            for (steps, rows) in sides {
                let points = steps.iter().map(|step| [f64::from(step.threshold), figure(step)]);
                lines.push(line(index, &format!("{name}, {rows}"), rows == "test", points));
            }
        }
        lines
    };
    let shares =
        panel("Precision and recall", of(&[("recall", |step| step.recall), ("precision", |step| step.precision)]));
    // All rows are alerts at the lowest thresholds, which nobody plans: the axis ends at a tenth of them.
    let mut alerts = panel("Alerts per day", of(&[("alerts", |step| step.alerts_per_day)]));
    let most = alerts.lines.iter().flat_map(|line| &line.points).map(|point| point[1]).fold(0.0, f64::max) / 10.0;
    alerts.lines.iter_mut().for_each(|line| line.points.retain(|point| point[1] <= most));
    alerts.lines.retain(|line| line.points.len() > 1);
    let x = spread(shares.lines.iter(), 0);
    if shares.lines.is_empty() {
        return None;
    }
    let axes = [
        Axes { x, y: SHARES, labels: ["threshold (calibrated score)", "share"] },
        Axes { x, y: [0.0, most.max(1e-9)], labels: ["threshold (calibrated score)", "alerts per day"] },
    ];
    Some(draw_each(title, &[(&shares, &axes[0]), (&alerts, &axes[1])]))
}

pub(super) fn savings(report: &RunReport, title: &str) -> Option<Drawing> {
    let found = report.assessment.money.as_ref()?;
    let none = found.curve.first()?.cost;
    let best = found.curve.iter().reduce(|best, at| if at.cost < best.cost { at } else { best })?;
    // Beyond a few times the best number of alerts the curve only falls.
    let most = (4 * best.alerts).max(found.curve.get(1)?.alerts).max(10);
    let points = found.curve.iter().filter(|at| at.alerts <= most).map(|at| [at.alerts as f64, none - at.cost]);
    let mut all = panel("Against no alerts, test rows", vec![line(0, "score >= threshold", false, points)]);
    let chosen = found.rules.get(1)?;
    let alerts = chosen.confusion.n_predicted_positive() as f64;
    if alerts <= most as f64 {
        all.marked = chosen.saving.value.map(|saving| ([alerts, saving], "the chosen threshold".to_owned()));
    }
    let axes = Axes {
        x: range([most as f64].into_iter()),
        y: spread(all.lines.iter(), 1),
        labels: ["alerts in the test rows", "saving (unit of the amount)"],
    };
    (!all.lines.is_empty()).then(|| draw_each(title, &[(&all, &axes)]))
}

pub(super) fn reliability(report: &RunReport, title: &str) -> Option<Drawing> {
    let calibration = &report.calibration;
    let of = |name: &str, bins: &[ReliabilityBin]| {
        let mut panel = panel(
            name,
            vec![
                line(0, "calibrated", false, bins.iter().map(|bin| [bin.mean_calibrated, bin.share])),
                line(1, "raw", true, bins.iter().map(|bin| [bin.mean_raw, bin.share])),
            ],
        );
        let ends = |axis: usize| spread(panel.lines.iter(), axis)[1];
        let axes = Axes { x: [0.0, ends(0)], y: [0.0, ends(1)], labels: ["mean score of the bin", "share of fraud"] };
        let corner = ends(0).min(ends(1));
        panel.reference = Some([[0.0, 0.0], [corner, corner]]);
        (panel, axes)
    };
    let panels = [of("Out-of-fold rows", &calibration.out_of_fold), of("Test rows", &calibration.test)];
    let drawn: Vec<(&Panel, &Axes)> =
        panels.iter().filter(|(panel, _)| !panel.lines.is_empty()).map(|(panel, axes)| (panel, axes)).collect();
    (!drawn.is_empty()).then(|| draw_each(&format!("{title} (dashed line: score = share of fraud)"), &drawn))
}

pub(super) fn periods(report: &RunReport, title: &str) -> Option<Drawing> {
    let periods = &report.assessment.periods;
    let middle = |period: &Period| f64::from(period.first_day) / 2.0 + f64::from(period.last_day) / 2.0;
    let of = |index: usize, name: &str, figure: fn(&Period) -> Option<f64>| {
        ["out-of-fold", "test"].map(|rows| {
            let of_rows = periods.iter().filter(move |period| period.rows == rows);
            let points = of_rows.map(|period| [middle(period), figure(period).unwrap_or(f64::NAN)]);
            line(index, &format!("{name}, {rows}"), rows == "test", points)
        })
    };
    let lines = [
        of(0, "AUC", |period| period.metrics.auc),
        of(1, "average precision", |period| period.metrics.average_precision),
        of(2, "recall", |period| period.recall),
    ];
    let all = panel("Calibrated score", lines.into_iter().flatten().collect());
    let days = || all.lines.iter().flat_map(|line| &line.points).map(|point| point[0]);
    let (first, last) = (days().fold(f64::INFINITY, f64::min), days().fold(f64::NEG_INFINITY, f64::max));
    let axes = Axes { x: [first, last], y: SHARES, labels: ["day of the data", "figure"] };
    (first < last).then(|| draw_each(title, &[(&all, &axes)]))
}

pub(super) fn dependence(report: &RunReport, title: &str) -> Option<Drawing> {
    let found = report.explanation.as_ref()?;
    let of = |dependence: &PartialDependence| {
        let numbers: Option<Vec<f64>> = dependence.points.iter().map(|point| point.value.parse().ok()).collect();
        let named = numbers.is_some();
        let x = numbers.unwrap_or_else(|| (1..=dependence.points.len()).map(|at| at as f64).collect());
        let points = x.iter().zip(&dependence.points).map(|(&x, point)| [x, point.mean_score]);
        let panel = panel(&dependence.feature, vec![line(0, "mean score", false, points)]);
        let (low, high) =
            (x.iter().copied().fold(f64::INFINITY, f64::min), x.iter().copied().fold(f64::NEG_INFINITY, f64::max));
        let label = if named { "value" } else { "value, in the order of the table" };
        (panel, Axes { x: [low, high], y: [0.0, 1.0], labels: [label, "mean score"] })
    };
    let mut panels: Vec<(Panel, Axes)> = found.dependence.iter().map(of).collect();
    panels.retain(|(panel, axes)| !panel.lines.is_empty() && axes.x[0] < axes.x[1]);
    let y = spread(panels.iter().flat_map(|(panel, _)| &panel.lines), 1);
    panels.iter_mut().for_each(|(_, axes)| axes.y = y);
    let drawn: Vec<(&Panel, &Axes)> = panels.iter().map(|(panel, axes)| (panel, axes)).collect();
    (!drawn.is_empty()).then(|| draw_each(title, &drawn))
}

//! ROC, precision-recall and loss curves: one panel per model, one line per case.
//!
//! In: points of the final fits. Out: a drawing; cases keep colour and symbol over all panels. Long curves are thinned to
//! a thousandth of the axis, which no eye sees.

use super::axes::{Frame, ticks};
use super::drawing::{Align, Drawing, GRID, INK, PAPER, SOFT, color, shorten, text_width};
use super::plots::not_run;
use super::table::figure;
use super::{Curves, LossCurve, RunReport, distinct, table1};

const PANEL: [f64; 2] = [600.0, 560.0];
/// Height of a legend that leaves a panel of that size room for its curves.
const USUAL_LEGEND: f64 = 200.0;
const HEAD: f64 = 60.0;
const EM: f64 = 17.0;

pub(super) struct Panel {
    pub title: String,
    pub lines: Vec<Line>,
    /// A dashed reference from..to in data coordinates.
    pub reference: Option<[[f64; 2]; 2]>,
    /// The chosen threshold.
    pub marked: Option<([f64; 2], String)>,
}

pub(super) struct Line {
    /// Colour and symbol.
    pub index: usize,
    pub name: String,
    pub points: Vec<[f64; 2]>,
    pub dashed: bool,
}

#[derive(Clone, Copy)]
pub(super) struct Axes {
    pub x: [f64; 2],
    pub y: [f64; 2],
    pub labels: [&'static str; 2],
}

const EPOCH: &str = "epoch";
pub(super) const SHARES: [f64; 2] = [0.0, 1.0];

pub(super) fn roc(report: &RunReport, title: &str) -> Drawing {
    let axes = Axes { x: SHARES, y: SHARES, labels: ["false-positive rate", "true-positive rate (recall)"] };
    let point = &report.operating_point.test;
    let chosen = point.fpr.zip(point.recall).map(|(fpr, recall)| [fpr, recall]);
    let panels = panels(report, |curve| &curve.roc, "auc", chosen, |_| Some([[0.0, 0.0], [1.0, 1.0]]));
    draw(&heading(report, title, "AUC of scores"), &panels, &axes)
}

pub(super) fn precision_recall(report: &RunReport, title: &str) -> Drawing {
    let axes = Axes { x: SHARES, y: SHARES, labels: ["recall", "precision"] };
    let point = &report.operating_point.test;
    let chosen = point.recall.zip(point.precision).map(|(recall, precision)| [recall, precision]);
    let level = |model: &str| {
        let row = report
            .leaderboard
            .rows
            .iter()
            .find(|row| row.protocol == report.selection.protocol && row.model == model && row.test.n_rows > 0)?;
        let share = row.test.n_positives as f64 / row.test.n_rows as f64;
        Some([[0.0, share], [1.0, share]])
    };
    let panels = panels(report, |curve| &curve.pr, "average_precision", chosen, level);
    draw(&heading(report, title, "average precision; dashed: share of fraud"), &panels, &axes)
}

fn heading(report: &RunReport, title: &str, note: &str) -> String {
    format!("{title}, {} protocol, test rows ({note})", report.selection.protocol)
}

fn panels(
    report: &RunReport,
    points: impl Fn(&Curves) -> &Vec<[f64; 2]>,
    metric: &str,
    chosen: Option<[f64; 2]>,
    reference: impl Fn(&str) -> Option<[[f64; 2]; 2]>,
) -> Vec<Panel> {
    let protocol = &report.selection.protocol;
    let rows = table1::rows(&report.leaderboard, protocol);
    let cases = distinct(rows.iter().map(|row| row.case.as_str()));
    let drawn = |model: &str, case: &str| {
        let same = |curve: &&Curves| &curve.protocol == protocol && curve.model == model && curve.case == case;
        report.curves.iter().find(same).map(|curve| thin(points(curve))).filter(|points| points.len() > 1)
    };
    let mut panels = Vec::new();
    for model in distinct(rows.iter().map(|row| row.model.as_str())) {
        let mut lines = Vec::new();
        for row in rows.iter().filter(|row| row.model == model) {
            let Some(points) = drawn(model, &row.case) else { continue };
            let value = if metric == "auc" { row.test.auc } else { row.test.average_precision };
            let index = cases.iter().position(|&case| case == row.case).unwrap_or(0);
            lines.push(Line { index, name: format!("{} {}", row.case, figure(value)), points, dashed: false });
        }
        let finite = chosen.filter(|point| point.iter().all(|value| value.is_finite()));
        let label = format!("threshold {}", report.operating_point.threshold);
        let marked = finite.filter(|_| report.selection.model == model).map(|point| (point, label));
        if !lines.is_empty() {
            panels.push(Panel { title: model.into(), lines, reference: reference(model), marked });
        }
    }
    panels
}

pub(super) fn losses(losses: &[LossCurve], title: &str) -> Drawing {
    let lines = |curve: &LossCurve, index: usize| {
        let own =
            Line { index, name: curve.case.clone(), points: by_epoch(curve.losses.iter().copied()), dashed: false };
        let seen = curve.watched.iter().map(|seen| Line {
            index,
            name: format!("{}, set aside", curve.case),
            points: by_epoch(seen.losses.iter().copied()),
            dashed: true,
        });
        [own].into_iter().chain(seen).collect()
    };
    let panels = panels_by_model(losses, &lines);
    let top = panels.iter().flat_map(|panel| &panel.lines).flat_map(|line| &line.points).map(|point| point[1]);
    let top = top.fold(0.0, f64::max);
    let y = [0.0, if top > 0.0 { top * 1.05 } else { 1.0 }];
    draw(&format!("{title} of the final fits"), &panels, &epochs(losses, y, "mean binary cross-entropy"))
}

/// What early stopping looked at; nothing where it was off.
pub(super) fn watched(losses: &[LossCurve], title: &str) -> Option<Drawing> {
    let lines = |curve: &LossCurve, index: usize| {
        let seen = curve.watched.iter().map(|seen| Line {
            index,
            name: format!("{}, best epoch {}", curve.case, seen.best_epoch),
            points: by_epoch(seen.average_precision.iter().map(|value| value.unwrap_or(f64::NAN))),
            dashed: false,
        });
        seen.collect()
    };
    let panels = panels_by_model(losses, &lines);
    let axes = epochs(losses, SHARES, "average precision");
    (!panels.is_empty()).then(|| draw(&format!("{title}, final fits"), &panels, &axes))
}

fn epochs(losses: &[LossCurve], y: [f64; 2], label: &'static str) -> Axes {
    let most = losses.iter().map(|curve| curve.losses.len()).max().unwrap_or(0);
    Axes { x: [1.0, most.max(2) as f64], y, labels: [EPOCH, label] }
}

/// A panel per model and protocol that has lines.
fn panels_by_model(losses: &[LossCurve], lines: &dyn Fn(&LossCurve, usize) -> Vec<Line>) -> Vec<Panel> {
    let cases = distinct(losses.iter().map(|curve| curve.case.as_str()));
    let key = |curve: &LossCurve| format!("{}, {} protocol", curve.model, curve.protocol);
    let keys: Vec<String> = losses.iter().map(key).collect();
    let index = |curve: &LossCurve| cases.iter().position(|&case| case == curve.case).unwrap_or(0);
    let panel = |name: &str| Panel {
        title: name.into(),
        lines: losses.iter().filter(|curve| key(curve) == name).flat_map(|curve| lines(curve, index(curve))).collect(),
        reference: None,
        marked: None,
    };
    let panels = distinct(keys.iter().map(String::as_str)).into_iter().map(panel);
    panels.filter(|panel| !panel.lines.is_empty()).collect()
}

/// Epochs count from 1; what is not finite goes.
fn by_epoch(values: impl Iterator<Item = f64>) -> Vec<[f64; 2]> {
    let points = values.enumerate().map(|(epoch, value)| [epoch as f64 + 1.0, value]);
    points.filter(|point| point[1].is_finite()).collect()
}

fn draw(title: &str, panels: &[Panel], axes: &Axes) -> Drawing {
    let panels: Vec<(&Panel, &Axes)> = panels.iter().map(|panel| (panel, axes)).collect();
    draw_each(title, &panels)
}

/// Panels in two columns, each with its axes.
pub(super) fn draw_each(title: &str, panels: &[(&Panel, &Axes)]) -> Drawing {
    let columns = panels.len().clamp(1, 2);
    let width = PANEL[0] * columns.max(2) as f64;
    if panels.is_empty() {
        return not_run(width, HEAD + PANEL[1], title);
    }
    let room = width / columns as f64;
    // Legends of many models make panels taller; the room for curves stays.
    let tallest = panels.iter().map(|(panel, _)| legend_height(&panel.lines));
    let height = PANEL[1] + (tallest.fold(0.0, f64::max) - USUAL_LEGEND).max(0.0);
    let mut drawing = Drawing::new(width, HEAD + height * panels.len().div_ceil(columns) as f64);
    drawing.text([28.0, 34.0], &shorten(title, 22.0, width - 56.0), 22.0, INK, Align::Left);
    for (index, (panel, axes)) in panels.iter().enumerate() {
        let corner = [room * (index % columns) as f64, HEAD + height * (index / columns) as f64];
        draw_panel(&mut drawing, panel, axes, corner, [room, height]);
    }
    drawing
}

fn draw_panel(drawing: &mut Drawing, panel: &Panel, axes: &Axes, [left, top]: [f64; 2], [width, height]: [f64; 2]) {
    let title = shorten(&panel.title, 19.0, width - 110.0);
    drawing.text([left + 92.0, top + 22.0], &title, 19.0, INK, Align::Left);
    let legend = legend(drawing, &panel.lines, [left + 92.0, top + 50.0], width - 120.0);
    let frame = Frame {
        left: left + 92.0,
        top: top + 50.0 + legend,
        right: left + width - 28.0,
        bottom: top + height - 66.0,
        x: axes.x,
        y: axes.y,
    };
    frame.y_axis(drawing, &ticks(axes.y[0], axes.y[1], 5), axes.labels[1], EM);
    let whole_epochs = |tick: &(f64, String)| axes.labels[0] != EPOCH || tick.0.fract() == 0.0;
    let x_ticks: Vec<_> = ticks(axes.x[0], axes.x[1], 5).into_iter().filter(whole_epochs).collect();
    frame.x_axis(drawing, &x_ticks, axes.labels[0], EM);
    if let Some([from, to]) = panel.reference {
        drawing.dashes(frame.at(from[0], from[1]), frame.at(to[0], to[1]), SOFT, 1.5);
    }
    for line in &panel.lines {
        let points: Vec<[f64; 2]> = line.points.iter().map(|point| frame.at(point[0], point[1])).collect();
        stroke(drawing, points, line);
    }
    for (slot, line) in panel.lines.iter().enumerate() {
        let points: Vec<[f64; 2]> = line.points.iter().map(|point| frame.at(point[0], point[1])).collect();
        // Each case has its own phase, so that symbols of close lines do not cover each other.
        for at in along(&points, 110.0, 30.0 + 27.0 * slot as f64) {
            drawing.symbol(at, line.index, 5.5, color(line.index));
        }
    }
    frame.border(drawing);
    if let Some((point, label)) = &panel.marked {
        chosen(drawing, &frame, frame.at(point[0], point[1]), label);
    }
}

fn stroke(drawing: &mut Drawing, points: Vec<[f64; 2]>, line: &Line) {
    if !line.dashed {
        return drawing.line(points, color(line.index), 2.5);
    }
    for at in along(&points, 12.0, 0.0).chunks_exact(2) {
        drawing.line(at.to_vec(), color(line.index), 2.0);
    }
}

/// A cross-hair ring at the chosen threshold, its label on the side with more room.
fn chosen(drawing: &mut Drawing, frame: &Frame, at: [f64; 2], label: &str) {
    drawing.symbol(at, 0, 10.0, INK);
    drawing.symbol(at, 0, 7.0, PAPER);
    drawing.symbol(at, 0, 3.0, INK);
    let wide = text_width(label, EM) + 12.0;
    let to_right = at[0] + 18.0 + wide < frame.right;
    let from = if to_right { at[0] + 16.0 } else { at[0] - 16.0 - wide };
    let y = (at[1] + 16.0).clamp(frame.top + EM, frame.bottom - EM);
    drawing.fill([from - 1.0, y - EM * 0.8 - 1.0], [from + wide + 1.0, y + EM * 0.8 + 1.0], GRID);
    drawing.fill([from, y - EM * 0.8], [from + wide, y + EM * 0.8], PAPER);
    drawing.text([from + 6.0, y], label, EM, INK, Align::Left);
}

/// Two columns of symbol and name; returns its height.
fn legend(drawing: &mut Drawing, lines: &[Line], [left, top]: [f64; 2], width: f64) -> f64 {
    let column = width / 2.0;
    for (index, line) in lines.iter().enumerate() {
        let x = left + column * (index % 2) as f64;
        let y = top + 26.0 * (index / 2) as f64;
        stroke(drawing, vec![[x, y], [x + 30.0, y]], line);
        drawing.symbol([x + 15.0, y], line.index, 5.5, color(line.index));
        drawing.text([x + 38.0, y], &shorten(&line.name, EM, column - 46.0), EM, INK, Align::Left);
    }
    legend_height(lines)
}

fn legend_height(lines: &[Line]) -> f64 {
    26.0 * lines.len().div_ceil(2) as f64 + 6.0
}

/// Points every `step` pixels along a path, the first after `phase`.
fn along(path: &[[f64; 2]], step: f64, phase: f64) -> Vec<[f64; 2]> {
    let (mut found, mut next, mut walked) = (Vec::new(), phase, 0.0);
    for ends in path.windows(2) {
        let length = (ends[1][0] - ends[0][0]).hypot(ends[1][1] - ends[0][1]);
        while length > 0.0 && next <= walked + length {
            let share = (next - walked) / length;
            found.push([0, 1].map(|axis| ends[0][axis] + share * (ends[1][axis] - ends[0][axis])));
            next += step;
        }
        walked += length;
    }
    found
}

/// Points of a curve in the unit square that differ from the last kept one by a thousandth; first and last stay, what
/// is not finite goes.
pub(super) fn thin(points: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let mut kept: Vec<[f64; 2]> = Vec::new();
    let mut last = None;
    for &point in points.iter().filter(|point| point.iter().all(|value| value.is_finite())) {
        last = Some(point);
        let far = |other: &[f64; 2]| (point[0] - other[0]).abs() >= 1e-3 || (point[1] - other[1]).abs() >= 1e-3;
        if kept.last().is_none_or(far) {
            kept.push(point);
        }
    }
    if let Some(point) = last.filter(|point| kept.last() != Some(point)) {
        kept.push(point);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_the_ends_and_stays_within_a_thousandth() {
        let curve: Vec<[f64; 2]> = (0..=100_000).map(|i| f64::from(i) / 1e5).map(|x| [x, x.sqrt()]).collect();
        let thinned = thin(&curve);
        assert!(thinned.len() <= 2001 && thinned.len() > 500, "{}", thinned.len());
        assert_eq!((thinned[0], thinned[thinned.len() - 1]), ([0.0, 0.0], [1.0, 1.0]));
        for ends in thinned.windows(2) {
            assert!(ends[1][0] - ends[0][0] < 1.1e-3 && ends[1][1] - ends[0][1] < 4e-3);
        }
        assert_eq!(thin(&[[f64::NAN, 0.0]]), Vec::<[f64; 2]>::new());
    }

    #[test]
    fn hundreds_of_models_have_room() {
        let line = |index: usize| Line {
            index,
            name: format!("m{index}"),
            points: vec![[0.0, 0.0], [1.0, 1.0]],
            dashed: false,
        };
        let marked = Some(([0.5, 0.01], "threshold".to_owned()));
        let panel = Panel { title: "random".into(), lines: (0..400).map(line).collect(), reference: None, marked };
        let axes = Axes { x: SHARES, y: SHARES, labels: ["x", "y"] };
        let svg = String::from_utf8(draw("ROC", &[panel], &axes).svg().unwrap()).unwrap();
        assert!(svg.contains("m399"));
    }

    #[test]
    fn symbols_stand_at_equal_steps() {
        let at = along(&[[0.0, 0.0], [10.0, 0.0], [10.0, 10.0]], 6.0, 3.0);
        assert_eq!(at, [[3.0, 0.0], [9.0, 0.0], [10.0, 5.0]]);
    }
}

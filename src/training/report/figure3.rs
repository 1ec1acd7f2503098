//! Figure 3 of the paper, a to f: recall and AUC as bars per model and case, and as factor plots over the cases.
//!
//! In: the rows of the paper's protocol (random if it ran), labels at 0.5 on the test rows; the paper's own values as
//! ticks across the bars. Limit: models are told apart by name: `mlp` in it is an MLP, `logistic` the baseline, any other
//! a forest.

use super::axes::{Frame, ticks};
use super::drawing::{Align, Drawing, INK, ON_LIGHT, PAPER, SOFT, color, shorten, text_width};
use super::plots::not_run;
use super::table::percent;
use super::{RunReport, distinct, table1};
use crate::training::evaluate::LeaderboardRow;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 600.0;
const EM: f64 = 22.0;
const TITLE_EM: f64 = 25.0;

#[derive(Clone, Copy, PartialEq)]
enum Measure {
    Recall,
    AucLabels,
}

impl Measure {
    fn label(self) -> &'static str {
        match self {
            Measure::Recall => "recall (%)",
            Measure::AucLabels => "AUC of labels (%)",
        }
    }

    fn here(self, row: &LeaderboardRow) -> Option<f64> {
        match self {
            Measure::Recall => row.test.recall,
            Measure::AucLabels => row.test.auc_labels,
        }
        .filter(|value| value.is_finite())
    }

    fn paper(self, row: &LeaderboardRow) -> Option<f64> {
        let paper = table1::paper(&row.model, &row.case)?;
        Some(match self {
            Measure::Recall => paper.recall,
            Measure::AucLabels => paper.auc_labels,
        })
    }
}

pub(super) fn figure3(report: &RunReport, name: &str, title: &str) -> Drawing {
    let protocol = report.papers_protocol().unwrap_or("random");
    let title = format!("{title}, {protocol} protocol, test rows");
    let measure = if matches!(name, "fig3a" | "fig3c" | "fig3e") { Measure::Recall } else { Measure::AucLabels };
    let keep: fn(&str) -> bool = match name {
        "fig3a" | "fig3b" => |model| !model.contains("mlp") && model != "logistic",
        "fig3c" | "fig3d" => |model| model.contains("mlp"),
        _ => |_| true,
    };
    let all = table1::rows(&report.leaderboard, protocol);
    let rows: Vec<&LeaderboardRow> = all.iter().copied().filter(|row| keep(&row.model)).collect();
    let grid = Grid {
        cases: distinct(rows.iter().map(|row| row.case.as_str())),
        models: distinct(rows.iter().map(|row| row.model.as_str())),
        every_model: distinct(all.iter().map(|row| row.model.as_str())),
        rows,
        measure,
    };
    if grid.rows.is_empty() {
        not_run(WIDTH, HEIGHT, &title)
    } else if matches!(name, "fig3e" | "fig3f") {
        grid.factors(&title)
    } else {
        grid.bars(&title)
    }
}

struct Grid<'a> {
    rows: Vec<&'a LeaderboardRow>,
    cases: Vec<&'a str>,
    models: Vec<&'a str>,
    /// Gives a model the same colour in all six figures.
    every_model: Vec<&'a str>,
    measure: Measure,
}

impl Grid<'_> {
    fn row(&self, model: &str, case: &str) -> Option<&LeaderboardRow> {
        self.rows.iter().copied().find(|row| row.model == model && row.case == case)
    }

    fn index(&self, model: &str) -> usize {
        self.every_model.iter().position(|&name| name == model).unwrap_or(0)
    }

    /// Title, legend and axes; a place of width 1 per case.
    fn frame(&self, drawing: &mut Drawing, title: &str, [top, right]: [f64; 2], y: [f64; 2]) -> Frame {
        drawing.text([28.0, 32.0], &shorten(title, TITLE_EM, WIDTH - 56.0), TITLE_EM, INK, Align::Left);
        let x = [0.0, self.cases.len() as f64];
        let frame = Frame { left: 104.0, top, right, bottom: HEIGHT - 84.0, x, y };
        frame.y_axis(drawing, &ticks(y[0], y[1], 5), self.measure.label(), EM);
        let room = (right - frame.left) / self.cases.len() as f64 - 10.0;
        for (place, case) in self.cases.iter().enumerate() {
            let at = frame.at(place as f64 + 0.5, y[0]);
            drawing.text([at[0], at[1] + 26.0], &shorten(case, EM, room), EM, INK, Align::Center);
        }
        drawing.text([(frame.left + right) / 2.0, HEIGHT - 20.0], "case", EM, SOFT, Align::Center);
        frame
    }

    fn bars(&self, title: &str) -> Drawing {
        let mut drawing = Drawing::new(WIDTH, HEIGHT);
        let frame = self.frame(&mut drawing, title, [112.0, WIDTH - 28.0], [0.0, 100.0]);
        let width = 0.78 / self.models.len() as f64;
        let mut paper_shown = false;
        for (place, case) in self.cases.iter().enumerate() {
            for (slot, model) in self.models.iter().enumerate() {
                let Some(row) = self.row(model, case) else { continue };
                let from = place as f64 + 0.11 + width * slot as f64;
                paper_shown |= self.bar(&mut drawing, &frame, row, [from + 0.01, from + width - 0.01]);
            }
        }
        frame.border(&mut drawing);
        self.bar_legend(&mut drawing, paper_shown);
        drawing
    }

    /// Returns whether the paper has a value for it.
    fn bar(&self, drawing: &mut Drawing, frame: &Frame, row: &LeaderboardRow, x: [f64; 2]) -> bool {
        let index = self.index(&row.model);
        let here = self.measure.here(row);
        let height = 100.0 * here.unwrap_or(0.0);
        let [from, to] = [frame.at(x[0], height), frame.at(x[1], 0.0)];
        let middle = (from[0] + to[0]) / 2.0;
        if here.is_some() {
            drawing.fill(from, to, color(index));
        }
        let text = percent(here);
        let em = (EM * (to[0] - from[0] - 4.0) / text_width(&text, EM)).min(EM);
        if em >= 8.0 {
            // Inside at the foot: above the bar it would meet the paper's tick.
            let inside = to[1] - from[1] > 2.0 * em;
            let y = if inside { to[1] - em } else { from[1] - em };
            drawing.text([middle, y], &text, em, if inside { on(index) } else { INK }, Align::Center);
        }
        let Some(paper) = self.measure.paper(row) else { return false };
        let y = frame.at(x[0], 100.0 * paper)[1];
        drawing.line(vec![[from[0], y], [to[0], y]], PAPER, 7.0);
        drawing.line(vec![[from[0], y], [to[0], y]], INK, 3.0);
        true
    }

    fn bar_legend(&self, drawing: &mut Drawing, paper: bool) {
        let (mut x, y) = (104.0, 76.0);
        let room = (WIDTH - 300.0) / self.models.len() as f64 - 50.0;
        for model in &self.models {
            let name = shorten(model, EM, room.max(30.0));
            drawing.fill([x, y - 8.0], [x + 20.0, y + 8.0], color(self.index(model)));
            drawing.text([x + 28.0, y], &name, EM, INK, Align::Left);
            x += 28.0 + text_width(&name, EM) + 28.0;
        }
        if paper {
            drawing.line(vec![[x, y], [x + 26.0, y]], INK, 3.0);
            drawing.text([x + 34.0, y], "paper, Table I", EM, INK, Align::Left);
        }
    }

    fn factors(&self, title: &str) -> Drawing {
        let mut drawing = Drawing::new(WIDTH, HEIGHT);
        let names: Vec<String> = self.models.iter().map(|model| shorten(model, EM, 210.0)).collect();
        let room = names.iter().map(|name| text_width(name, EM)).fold(0.0, f64::max);
        let frame = self.frame(&mut drawing, title, [76.0, WIDTH - 40.0 - room], self.range());
        let mut ends = Vec::new();
        for (slot, model) in self.models.iter().enumerate() {
            let index = self.index(model);
            let points = self.line(&mut drawing, &frame, model);
            for &at in &points {
                drawing.symbol(at, index, 7.0, color(index));
            }
            if let Some(last) = points.last() {
                ends.push((last[1], slot, *last));
            }
        }
        frame.border(&mut drawing);
        ends.sort_by(|a, b| a.0.total_cmp(&b.0));
        let ys = spread(&ends.iter().map(|end| end.0).collect::<Vec<_>>(), EM * 1.25, [frame.top, frame.bottom]);
        for ((_, slot, last), y) in ends.into_iter().zip(ys) {
            let index = self.index(self.models[slot]);
            let x = frame.right - 6.0;
            drawing.dashes([last[0] + 14.0, last[1]], [x, y], color(index), 1.0);
            drawing.text([x + 6.0, y], &names[slot], EM, INK, Align::Left);
        }
        drawing
    }

    /// Draws the line of a model, broken where a case is missing, and returns its points.
    fn line(&self, drawing: &mut Drawing, frame: &Frame, model: &str) -> Vec<[f64; 2]> {
        let (mut all, mut run) = (Vec::new(), Vec::new());
        for (place, case) in self.cases.iter().enumerate() {
            match self.row(model, case).and_then(|row| self.measure.here(row)) {
                Some(value) => run.push(frame.at(place as f64 + 0.5, 100.0 * value)),
                None => {
                    drawing.line(run.clone(), color(self.index(model)), 3.0);
                    all.append(&mut run);
                }
            }
        }
        drawing.line(run.clone(), color(self.index(model)), 3.0);
        all.append(&mut run);
        all
    }

    /// Whole tens around the values, with room for a symbol.
    fn range(&self) -> [f64; 2] {
        let values: Vec<f64> =
            self.rows.iter().filter_map(|row| self.measure.here(row)).map(|value| 100.0 * value).collect();
        let low = values.iter().copied().fold(100.0, f64::min);
        let high = values.iter().copied().fold(0.0, f64::max);
        if values.is_empty() {
            return [0.0, 100.0];
        }
        let low = ((low / 10.0 - 0.2).floor() * 10.0).clamp(0.0, 90.0);
        [low, ((high / 10.0 + 0.2).ceil() * 10.0).clamp(low + 10.0, 100.0)]
    }
}

/// Ink that reads on a bar of this colour.
fn on(index: usize) -> plotters::style::RGBColor {
    let fill = color(index);
    let light = 0.299 * f64::from(fill.0) + 0.587 * f64::from(fill.1) + 0.114 * f64::from(fill.2);
    if light > 125.0 { ON_LIGHT } else { PAPER }
}

/// Sorted heights moved apart to at least `gap`, kept in `range` while they fit.
pub(super) fn spread(sorted: &[f64], gap: f64, range: [f64; 2]) -> Vec<f64> {
    let mut ys = sorted.to_vec();
    for index in 1..ys.len() {
        ys[index] = ys[index].max(ys[index - 1] + gap);
    }
    let mut limit = range[1];
    for y in ys.iter_mut().rev() {
        *y = y.min(limit);
        limit = *y - gap;
    }
    ys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_move_apart() {
        assert_eq!(spread(&[10.0, 11.0, 50.0], 20.0, [0.0, 100.0]), [10.0, 30.0, 50.0]);
        assert_eq!(spread(&[90.0, 95.0], 20.0, [0.0, 100.0]), [80.0, 100.0]);
        assert_eq!(spread(&[], 20.0, [0.0, 100.0]), Vec::<f64>::new());
    }
}

//! What the winner looks at: its columns by impurity importance, and what shuffling them costs, as table and as bars.
//!
//! In: the report's importance. Out: a section with the twenty largest, and a drawing of them; nothing to draw where
//! nothing was measured. Limit: without impurity importance (other models than forests) the order is that of the drop in
//! average precision.

use super::axes::{Frame, ticks};
use super::drawing::{Align, Drawing, INK, SOFT, color, shorten, text_width};
use super::table::{Block, Section, Table, count, decimals, figure};
use super::{RunReport, why};
use crate::training::evaluate::{ColumnDrop, FigureDrop};

/// Columns shown.
const N_SHOWN: usize = 20;

/// One column of the data.
struct Ranked<'a> {
    name: &'a str,
    impurity: Option<f64>,
    permutation: Option<&'a ColumnDrop>,
}

/// The largest first; equal ones by name.
fn ranked(report: &RunReport) -> Vec<Ranked<'_>> {
    let impurity = &report.importance.impurity;
    let drops = report.importance.permutation.as_ref().map(|permutation| &permutation.features);
    let mut ranked: Vec<(f64, Ranked)> = Vec::new();
    for (name, &share) in impurity {
        let permutation = drops.and_then(|drops| drops.get(name));
        ranked.push((share, Ranked { name, impurity: Some(share), permutation }));
    }
    if impurity.is_empty() {
        for (name, drop) in drops.into_iter().flatten() {
            let size = drop.average_precision.mean.unwrap_or(f64::NAN);
            ranked.push((size, Ranked { name, impurity: None, permutation: Some(drop) }));
        }
    }
    // Stable: the maps are in the order of the names. What is no number is last.
    let size = |size: f64| if size.is_nan() { f64::NEG_INFINITY } else { size };
    ranked.sort_by(|(a, _), (b, _)| size(*b).total_cmp(&size(*a)));
    ranked.into_iter().map(|(_, ranked)| ranked).collect()
}

pub(super) fn section(report: &RunReport) -> Section {
    let (title, id) = ("Why: what the model looks at".into(), "importance");
    let ranked = ranked(report);
    if ranked.is_empty() {
        let text = "Not measured: forests alone keep an impurity importance; `importance: { permutation: true }` measures \
                    any model on test rows.";
        let mut blocks = vec![Block::Text(text.into())];
        blocks.extend(why::blocks(report));
        return Section { id, title, blocks };
    }
    let mut blocks = vec![Block::Text(how_to_read(report)), Block::Table(table(&ranked))];
    if ranked.len() > N_SHOWN {
        let rest: Option<f64> = ranked[N_SHOWN..].iter().map(|column| column.impurity).sum();
        let rest =
            rest.map_or(String::new(), |rest| format!(", the others share {} %", decimals(Some(100.0 * rest), 1)));
        blocks.push(Block::Text(format!("The {N_SHOWN} largest of {} columns{rest}.", count(ranked.len()))));
    }
    blocks.push(Block::Plot("importance"));
    blocks.extend(why::blocks(report));
    Section { id, title, blocks }
}

fn how_to_read(report: &RunReport) -> String {
    let mut text = Vec::new();
    if !report.importance.impurity.is_empty() {
        text.push(
            "Impurity importance is a column's share of all that the splits of the final fit gained on training rows; it \
             favours columns with many values and is split among columns that tell the same (Strobl et al. 2007)."
                .to_owned(),
        );
    }
    if let Some(found) = &report.importance.permutation {
        let repeats = if found.asked.repeats == 1 { "shuffle" } else { "shuffles" };
        text.push(format!(
            "Permutation importance is what average precision ({} as it is) and AUC ({}) drop by when the column is \
             shuffled among {} test rows (mean and standard deviation of {} {repeats}); little is lost where other columns \
             tell the same.",
            figure(found.average_precision),
            figure(found.auc),
            count(found.n_rows),
            found.asked.repeats,
        ));
    }
    text.join(" ")
}

/// The table of the section.
pub(super) fn shown(report: &RunReport) -> Table {
    table(&ranked(report))
}

fn table(ranked: &[Ranked]) -> Table {
    let mut columns = vec!["column"];
    if ranked.iter().any(|column| column.impurity.is_some()) {
        columns.push("impurity\n%");
    }
    let permuted = ranked.iter().any(|column| column.permutation.is_some());
    if permuted {
        columns.extend(["drop in\naverage precision", "standard\ndeviation", "drop in\nAUC", "standard\ndeviation"]);
    }
    let mut table = Table::new(&columns, 1);
    for column in ranked.iter().take(N_SHOWN) {
        let mut row = vec![column.name.to_owned()];
        row.extend(column.impurity.map(|share| decimals(Some(100.0 * share), 2)));
        if permuted {
            let drops = |drop: FigureDrop| [drop.mean, drop.deviation].map(|figure| decimals(figure, 4));
            let of = |pick: fn(&ColumnDrop) -> FigureDrop| {
                column.permutation.map_or(["-".into(), "-".into()], |drop| drops(pick(drop)))
            };
            row.extend(of(|drop| drop.average_precision));
            row.extend(of(|drop| drop.auc));
        }
        table.rows.push(row);
    }
    table
}

const WIDTH: f64 = 1200.0;
const EM: f64 = 17.0;
const ROW: f64 = 30.0;
const HEAD: f64 = 104.0;
const FOOT: f64 = 70.0;
/// The names of the columns stand left of this.
const NAMES: f64 = 270.0;

/// A panel of bars: one per column, and how sure it is.
struct Panel {
    title: &'static str,
    axis: &'static str,
    color: usize,
    bars: Vec<(f64, Option<f64>)>,
}

/// The same columns as the table; `None` where nothing was measured.
pub(super) fn drawing(report: &RunReport, title: &str) -> Option<Drawing> {
    let ranked: Vec<Ranked> = ranked(report).into_iter().take(N_SHOWN).collect();
    let panels = panels(&ranked);
    if panels.is_empty() {
        return None;
    }
    let height = HEAD + ROW * ranked.len() as f64 + FOOT;
    let mut drawing = Drawing::new(WIDTH, height);
    let chosen = &report.selection;
    let title = format!("{title}: {}, {}, {} protocol", chosen.model, chosen.case, chosen.protocol);
    drawing.text([28.0, 34.0], &shorten(&title, 22.0, WIDTH - 56.0), 22.0, INK, Align::Left);
    for (slot, column) in ranked.iter().enumerate() {
        let y = HEAD + ROW * (slot as f64 + 0.5);
        drawing.text([NAMES - 12.0, y], &shorten(column.name, EM, NAMES - 40.0), EM, INK, Align::Right);
    }
    let room = (WIDTH - NAMES - 28.0) / panels.len() as f64;
    for (index, panel) in panels.iter().enumerate() {
        let left = NAMES + room * index as f64 + if index > 0 { 24.0 } else { 0.0 };
        draw_panel(&mut drawing, panel, [left, NAMES + room * (index + 1) as f64 - 12.0]);
    }
    Some(drawing)
}

fn panels(ranked: &[Ranked]) -> Vec<Panel> {
    let finite = |value: f64| Some(value).filter(|value| value.is_finite());
    let mut panels = Vec::new();
    if ranked.iter().any(|column| column.impurity.is_some()) {
        let bars = ranked.iter().map(|column| (column.impurity.and_then(finite).unwrap_or(0.0) * 100.0, None));
        let (title, axis) = ("Impurity importance", "share (%)");
        panels.push(Panel { title, axis, color: 0, bars: bars.collect() });
    }
    if ranked.iter().any(|column| column.permutation.is_some()) {
        let bars = ranked.iter().map(|column| {
            let drop = column.permutation.copied().unwrap_or_default().average_precision;
            (drop.mean.and_then(finite).unwrap_or(0.0), drop.deviation.and_then(finite))
        });
        let (title, axis) = ("Permutation importance", "drop in average precision");
        panels.push(Panel { title, axis, color: 1, bars: bars.collect() });
    }
    panels
}

fn draw_panel(drawing: &mut Drawing, panel: &Panel, [left, right]: [f64; 2]) {
    let ends = |side: f64| panel.bars.iter().map(move |(value, deviation)| value + side * deviation.unwrap_or(0.0));
    let (low, high) = (ends(-1.0).fold(0.0, f64::min), ends(1.0).fold(0.0, f64::max));
    let n = panel.bars.len() as f64;
    // Room for the figure beside the longest bar.
    let span = if high > low { (high - low) * 1.18 } else { 1.0 };
    let bottom = HEAD + ROW * n;
    let frame = Frame { left, top: HEAD, right, bottom, x: [low, low + span], y: [0.0, n] };
    drawing.text([left, HEAD - 26.0], panel.title, 19.0, INK, Align::Left);
    frame.x_axis(drawing, &ticks(low, low + span, 4), panel.axis, EM);
    for (slot, &(value, deviation)) in panel.bars.iter().enumerate() {
        let y = HEAD + ROW * (slot as f64 + 0.5);
        let [x, zero] = [value, 0.0].map(|at| frame.at(at, 0.0)[0]);
        drawing.fill([zero.min(x), y - 0.32 * ROW], [zero.max(x), y + 0.32 * ROW], color(panel.color));
        let mut end = zero.max(x);
        if let Some(deviation) = deviation.filter(|&deviation| deviation > 0.0) {
            let [from, to] = [value - deviation, value + deviation].map(|at| frame.at(at, 0.0)[0]);
            drawing.line(vec![[from, y], [to, y]], INK, 2.0);
            for x in [from, to] {
                drawing.line(vec![[x, y - 5.0], [x, y + 5.0]], INK, 2.0);
            }
            end = end.max(to);
        }
        let places = if panel.color == 0 { 1 } else { 4 };
        let text = decimals(Some(value), places);
        if end + 8.0 + text_width(&text, EM) <= right + 12.0 {
            drawing.text([end + 8.0, y], &text, EM, SOFT, Align::Left);
        }
    }
    let zero = frame.at(0.0, 0.0)[0];
    drawing.line(vec![[zero, HEAD], [zero, bottom]], SOFT, 1.5);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::report::fixture;

    fn rows(report: &RunReport) -> Vec<Vec<String>> {
        let blocks = section(report).blocks;
        let table =
            blocks.into_iter().find_map(|block| if let Block::Table(table) = block { Some(table) } else { None });
        table.map(|table| table.rows).unwrap_or_default()
    }

    fn text(report: &RunReport) -> String {
        let texts = section(report).blocks.into_iter().filter_map(|block| match block {
            Block::Text(text) => Some(text),
            _ => None,
        });
        texts.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_twenty_largest_by_impurity_with_permutation_beside() {
        let report = fixture::forest();
        let rows = rows(&report);
        assert_eq!(rows.len(), 20);
        let share = |row: &Vec<String>| row[1].parse::<f64>().unwrap();
        assert!(rows.is_sorted_by(|a, b| share(a) >= share(b)));
        let mut all: Vec<(f64, &String)> =
            report.importance.impurity.iter().map(|(name, &share)| (share, name)).collect();
        all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
        assert_eq!(
            rows.iter().map(|row| &row[0]).collect::<Vec<_>>(),
            all.iter().take(20).map(|(_, name)| *name).collect::<Vec<_>>()
        );
        let drop = report.importance.permutation.as_ref().unwrap().features[&rows[0][0]].auc.mean.unwrap();
        assert_eq!(rows[0][4], format!("{drop:.4}"));
        let rest: f64 = all[20..].iter().map(|(share, _)| share).sum();
        let said = text(&report);
        assert!(said.contains(&format!("of 40 columns, the others share {:.1} %.", 100.0 * rest)), "{said}");
        assert!(said.contains("Strobl et al. 2007") && said.contains("3 shuffles"), "{said}");
    }

    #[test]
    fn each_kind_stands_alone_and_nothing_says_so() {
        let mut report = fixture::forest();
        report.importance.permutation = None;
        assert!(rows(&report).iter().all(|row| row.len() == 2) && !text(&report).contains("shuffled"));
        let mut report = fixture::forest();
        report.importance.impurity.clear();
        let rows = rows(&report);
        assert!(rows.iter().all(|row| row.len() == 5) && !text(&report).contains("Strobl"));
        assert!(rows.is_sorted_by(|a, b| a[1].parse::<f64>().unwrap() >= b[1].parse::<f64>().unwrap()));
        let report = fixture::small();
        assert!(text(&report).starts_with("Not measured") && drawing(&report, "x").is_none());
    }

    #[test]
    fn figures_that_are_no_numbers_and_hostile_names_are_drawn() {
        let mut report = fixture::forest();
        report.importance.impurity.insert("<svg>\u{0}\n|".repeat(40), f64::NAN);
        report.importance.impurity.insert("infinite".into(), f64::INFINITY);
        for drop in report.importance.permutation.as_mut().unwrap().features.values_mut() {
            drop.average_precision = FigureDrop { mean: Some(f64::NAN), deviation: Some(f64::INFINITY) };
            drop.auc = FigureDrop { mean: None, deviation: None };
        }
        let svg = String::from_utf8(drawing(&report, "x").unwrap().svg().unwrap()).unwrap();
        assert!(!svg.contains("NaN") && !svg.contains("inf<") && svg.matches("<svg").count() == 1, "{svg}");
        assert!(rows(&report).iter().any(|row| row[2..] == ["-", "-", "-", "-"]));
    }
}

//! Section 8: what each case did to the training rows of each fold.

use super::table::{Block, Section, Table, count, decimals};
use super::{RunReport, protocols, table1};
use crate::training::evaluate::{LeaderboardRow, ResamplingReport};

/// What each case did to the training rows of each fit. Models that were given the same rows share the lines.
pub(super) fn section(report: &RunReport) -> Section {
    let columns = [
        "case",
        "models",
        "fit",
        "rows\nbefore",
        "fraud %\nbefore",
        "rows\nafter",
        "fraud %\nafter",
        "synthetic",
        "duplicates",
        "Tomek\nlinks",
        "removed",
        "weights\nfraud : rest",
        "k",
        "to majority\nleast",
        "to majority\n5 %",
        "to majority\n50 %",
        "to majority\n95 %",
        "majority\nnearest %",
    ];
    // What only synthetic rows fill is left out where there are none.
    let has_synthetic = report.leaderboard.rows.iter().flat_map(|row| &row.resampling).any(|fit| fit.synthetic > 0);
    let columns = if has_synthetic { &columns[..] } else { &columns[..OF_ANY_CASE] };
    let mut blocks = Vec::new();
    for protocol in protocols(&report.leaderboard) {
        let mut table = Table::new(columns, 3);
        for (case, models, fits) in shared_fits(&table1::rows(&report.leaderboard, protocol)) {
            for (index, fit) in fits.iter().enumerate() {
                let name = if index + 1 == fits.len() { "final".into() } else { format!("fold {}", index + 1) };
                let mut line = fit_line(case, &models, name, fit);
                line.truncate(columns.len());
                table.rows.push(line);
            }
        }
        if !table.rows.is_empty() {
            blocks.push(Block::Heading(format!("Protocol {protocol}")));
            blocks.push(Block::Table(table));
        }
    }
    if blocks.is_empty() {
        blocks.push(Block::Text("Nothing was trained.".into()));
    }
    let fits = report.leaderboard.rows.iter().flat_map(|row| &row.resampling);
    if fits.clone().any(|fit| fit.closeness.is_some()) {
        blocks.push(Block::Text(CLOSENESS.into()));
    }
    Section { id: "resampling", title: "What resampling did".into(), blocks }
}

/// Columns up to the weights.
const OF_ANY_CASE: usize = 12;

/// What the last columns are, and of how many rows.
const CLOSENESS: &str = "k: neighbours that a synthetic row can lead to. To majority: distance from synthetic rows to \
    their nearest majority row, in the prepared space, the smallest and three quantiles. Majority nearest: share of the \
    synthetic rows whose nearest row of all is a majority row. Both are of all synthetic rows where Tomek links are looked \
    for, else of the first 2,000.";

type SharedFits<'a> = (&'a str, String, &'a [ResamplingReport]);

fn shared_fits<'a>(rows: &[&'a LeaderboardRow]) -> Vec<SharedFits<'a>> {
    let mut groups: Vec<(&str, Vec<&str>, &[ResamplingReport])> = Vec::new();
    for row in rows {
        match groups.iter_mut().find(|group| group.0 == row.case && group.2 == row.resampling.as_slice()) {
            Some(group) => group.1.push(&row.model),
            None => groups.push((&row.case, vec![&row.model], &row.resampling)),
        }
    }
    let of_case = |case: &str| rows.iter().filter(|row| row.case == case).count();
    groups
        .into_iter()
        .map(|(case, models, fits)| {
            let all = models.len() == of_case(case);
            (case, if all { "all".into() } else { models.join(", ") }, fits)
        })
        .collect()
}

fn fit_line(case: &str, models: &str, name: String, fit: &ResamplingReport) -> Vec<String> {
    let share = |share: f64| decimals(Some(100.0 * share), 2);
    let closeness = fit.closeness.as_ref();
    let mut cells = vec![
        case.into(),
        models.into(),
        name,
        count(fit.rows_before),
        share(fit.share_before),
        count(fit.rows_after),
        share(fit.share_after),
        count(fit.synthetic),
        count(fit.duplicates),
        count(fit.links),
        count(fit.removed_majority + fit.removed_minority),
        format!("{} : {}", decimals(Some(fit.weights[0]), 2), decimals(Some(fit.weights[1]), 2)),
        fit.neighbors.map_or_else(|| "-".into(), |k| k.to_string()),
    ];
    cells.extend((0..4).map(|at| decimals(closeness.map(|closeness| closeness.quantiles[at]), 3)));
    cells.push(decimals(closeness.map(|closeness| 100.0 * closeness.nearest_is_majority), 2));
    cells
}

//! Section 9, second part: partial dependence of the most important features, and the most costly errors with reasons.

use super::RunReport;
use super::table::{Block, Table, count, decimals, money};
use crate::training::evaluate::{CostlyError, Explanation};

pub(super) fn blocks(report: &RunReport) -> Vec<Block> {
    let Some(found) = &report.explanation else {
        return vec![Block::Text(
            "Partial dependence and costly errors are not kept for this winner at this threshold: `fraudml train` makes \
             them, finished fits are kept."
                .into(),
        )];
    };
    let mut blocks = Vec::new();
    if !found.dependence.is_empty() {
        blocks.push(Block::Heading("Partial dependence".into()));
        blocks.push(Block::Text(format!(
            "The mean calibrated score of {} test rows if all of them had one value of the feature. Where features go \
             together, such rows do not exist.",
            count(found.n_rows)
        )));
        blocks.push(Block::Plot("dependence"));
    }
    blocks.extend(errors("The most costly misses", &found.misses, "No fraud of the test rows is missed."));
    blocks.extend(errors("The most costly false alarms", &found.false_alarms, "No alert of the test rows is false."));
    blocks.push(Block::Text(reading(found)));
    blocks
}

fn reading(found: &Explanation) -> String {
    let reasons = match &found.reasons_undefined {
        Some(reason) => format!("No reasons: {reason}."),
        None => {
            "Reasons: the features that lowered a miss's raw score most, or raised a false alarm's, along the paths of \
                 the trees."
                .into()
        }
    };
    format!("{reasons} Raw columns are shown where `evaluate.show_columns` names them.")
}

fn errors(heading: &str, errors: &[CostlyError], none: &str) -> Vec<Block> {
    let mut blocks = vec![Block::Heading(heading.to_owned())];
    if errors.is_empty() {
        blocks.push(Block::Text(none.to_owned()));
        return blocks;
    }
    let with_columns = errors.iter().any(|error| !error.columns.is_empty());
    let mut columns = vec!["id", "score", "amount", "cost", "reasons"];
    if with_columns {
        columns.push("columns");
    }
    let mut table = Table::new(&columns, 1);
    for error in errors {
        let reasons = error.reasons.iter().map(|(feature, size)| format!("{feature} {size:+.3}"));
        let mut row = vec![
            error.id.clone(),
            decimals(Some(f64::from(error.score)), 5),
            error.amount.map_or("-".into(), money),
            money(error.cost),
            reasons.collect::<Vec<String>>().join(", "),
        ];
        if with_columns {
            let shown = error.columns.iter().map(|(name, value)| format!("{name} {value}"));
            row.push(shown.collect::<Vec<String>>().join(", "));
        }
        table.rows.push(row);
    }
    blocks.push(Block::Table(table));
    blocks
}

/// What the drawing of partial dependence shows.
pub(super) fn dependence_table(report: &RunReport) -> Table {
    let mut table = Table::new(&["feature", "value", "mean score"], 2);
    for dependence in report.explanation.iter().flat_map(|found| &found.dependence) {
        for point in &dependence.points {
            table.rows.push(vec![dependence.feature.clone(), point.value.clone(), decimals(Some(point.mean_score), 5)]);
        }
    }
    table
}

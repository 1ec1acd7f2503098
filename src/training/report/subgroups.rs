//! Section 10: the winner's decisions for each level of the declared attributes.

use super::RunReport;
use super::cells::yes;
use super::table::{Block, Section, Table, count, percent, percent_estimate};
use crate::training::evaluate::Subgroup;

pub(super) fn section(report: &RunReport) -> Section {
    let found = &report.assessment.subgroups;
    let blocks = if found.is_empty() {
        vec![Block::Text("Not measured: name columns in `evaluate.subgroups`.".into())]
    } else {
        let mut blocks = vec![Block::Table(table(found))];
        blocks.extend(worst(found));
        blocks.push(Block::Text(
            "Test rows at the chosen threshold, with Wilson intervals. Too few: fewer than 20 frauds or 20 other rows; \
             what they would measure is left out. The worst slice is one of many: its figure looks worse than it will be."
                .into(),
        ));
        blocks
    };
    Section { id: "subgroups", title: "Subgroups".into(), blocks }
}

fn table(found: &[Subgroup]) -> Table {
    let columns =
        ["attribute", "level", "rows", "frauds", "recall %", "false-positive\nrate %", "alert\nrate %", "too few"];
    let mut table = Table::new(&columns, 2);
    table.rows = found
        .iter()
        .map(|group| {
            vec![
                group.attribute.clone(),
                group.level.clone(),
                count(group.n_rows),
                count(group.n_positives),
                percent_estimate(group.recall),
                percent_estimate(group.fpr),
                percent_estimate(group.alert_rate),
                yes(group.too_few),
            ]
        })
        .collect();
    table
}

/// The lowest recall that is measured.
fn worst(found: &[Subgroup]) -> Option<Block> {
    let measured = found.iter().filter(|group| !group.too_few);
    let group = measured.min_by(|a, b| {
        let recall = |group: &Subgroup| group.recall.value.unwrap_or(f64::INFINITY);
        recall(a).total_cmp(&recall(b))
    })?;
    Some(Block::Text(format!(
        "Worst slice: {} {}, of whose {} frauds {} % are found.",
        group.attribute,
        group.level,
        count(group.n_positives),
        percent(group.recall.value)
    )))
}

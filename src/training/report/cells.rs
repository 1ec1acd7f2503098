//! Every protocol, model and case on the test rows, and why a figure is not defined.

use std::collections::BTreeMap;

use super::table::{Block, Table, figure, interval, megabytes};
use super::{RunReport, protocols, table1};
use crate::training::evaluate::LeaderboardRow;

/// Every protocol, model and case on the test rows.
pub(super) fn cells(report: &RunReport) -> Vec<Block> {
    let columns = [
        "model",
        "case",
        "recall",
        "AUC of\nlabels",
        "AUC of\nscores",
        "95 % interval\nof AUC",
        "avg.\nprec.",
        "TP",
        "FP",
        "TN",
        "FN",
        "1 %\nFPR",
        "5 %\nFPR",
        "over-\nfit",
        "size\nMB",
    ];
    let mut blocks = Vec::new();
    for protocol in protocols(&report.leaderboard) {
        let mut table = Table::new(&columns, 2);
        for row in table1::rows(&report.leaderboard, protocol) {
            if report.is_winner(row) {
                table.marked = Some(table.rows.len());
            }
            table.rows.push(cell(row));
        }
        blocks.push(Block::Heading(format!("Protocol {protocol}")));
        blocks.push(Block::Table(table));
    }
    blocks.push(Block::Text(
        "The final fit on the test rows. Recall, AUC of labels (balanced accuracy) and TP, FP, TN, FN at 0.5 on the raw \
         score; 1 % and 5 % FPR: largest recall at that false-positive rate; over-fit: recall on training rows above \
         that of the folds by more than 0.10; size: the frozen model in 1,000,000 bytes, `!` above `limits.max_model_mb`."
            .into(),
    ));
    blocks.extend(footnotes(report));
    blocks
}

fn cell(row: &LeaderboardRow) -> Vec<String> {
    let (test, counts) = (&row.test, &row.test.confusion);
    vec![
        row.model.clone(),
        row.case.clone(),
        figure(test.recall),
        figure(test.auc_labels),
        figure(test.auc),
        interval(test.auc_interval).replace(" to ", "-"),
        figure(test.average_precision),
        counts.true_positives.to_string(),
        counts.false_positives.to_string(),
        counts.true_negatives.to_string(),
        counts.false_negatives.to_string(),
        figure(test.recall_at_fpr_1),
        figure(test.recall_at_fpr_5),
        yes(row.overfit.flagged),
        format!("{}{}", megabytes(row.model_bytes), if row.over_limit { "!" } else { "" }),
    ]
}

/// Why figures are `-`: the same reason once, with the cells it holds for.
fn footnotes(report: &RunReport) -> Option<Block> {
    let mut reasons: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    for row in &report.leaderboard.rows {
        for (name, reason) in &row.test.undefined {
            let cell = format!("{} {} {}", row.protocol, row.model, row.case);
            reasons.entry((name, reason)).or_default().push(cell);
        }
    }
    let all = report.leaderboard.rows.len();
    let notes: Vec<String> = reasons
        .into_iter()
        .map(|((name, reason), cells)| {
            let cells = if cells.len() == all { "every cell".into() } else { cells.join(", ") };
            format!("`-` {name}: {reason} ({cells})")
        })
        .collect();
    (!notes.is_empty()).then_some(Block::List(notes))
}

pub(super) fn yes(flagged: bool) -> String {
    if flagged { "yes" } else { "no" }.into()
}

//! Section 3: what the figures are worth for the future: the optimism gap, figures per fold and per week, over-fitting.

use super::cells::yes;
use super::table::{Block, Section, Table, count, decimals, figure, interval, percent};
use super::{RunReport, protocols, table1};
use crate::training::evaluate::{LeaderboardRow, Period};

pub(super) fn section(report: &RunReport) -> Section {
    let mut blocks = vec![Block::Text(
        "The random protocol mixes past and future; the temporal one tests on the last rows alone, as production will."
            .into(),
    )];
    blocks.extend(optimism(report));
    blocks.extend(folds(report));
    blocks.extend(periods(report));
    blocks.extend(overfitting(report));
    Section { id: "validation", title: "Honest validation".into(), blocks }
}

fn optimism(report: &RunReport) -> Vec<Block> {
    let heading = Block::Heading("Optimism gap: random minus temporal".into());
    if report.optimism.is_empty() {
        let text = "Not measured: it needs the same model and case under both protocols.".into();
        return vec![heading, Block::Text(text)];
    }
    let columns = [
        "model",
        "case",
        "AUC\nrandom",
        "AUC\ntemporal",
        "AUC\ngap",
        "95 % interval\nof the gap",
        "lift\nrandom",
        "lift\ntemporal",
        "lift\ngap",
        "95 % interval\nof the lift gap",
    ];
    let mut table = Table::new(&columns, 2);
    for gap in &report.optimism {
        if gap.model == report.selection.model && gap.case == report.selection.case {
            table.marked = Some(table.rows.len());
        }
        table.rows.push(vec![
            gap.model.clone(),
            gap.case.clone(),
            figure(gap.auc_random),
            figure(gap.auc_temporal),
            figure(gap.auc_gap),
            interval(gap.auc_gap_interval),
            decimals(gap.lift_random, 1),
            decimals(gap.lift_temporal, 1),
            decimals(gap.lift_gap, 1),
            gap.lift_gap_interval.map_or("-".into(), |[low, high]| format!("{low:.1} to {high:.1}")),
        ]);
    }
    let text = "How much a random split flatters: models meet the future, which only the temporal protocol holds out. \
                Lift: average precision over the share of fraud."
        .into();
    vec![heading, Block::Table(table), Block::Text(text)]
}

/// The winner's model and case on each fold, under every protocol.
fn folds(report: &RunReport) -> Vec<Block> {
    let mut table = Table::new(
        &["protocol", "rows", "number", "frauds", "AUC of\nscores", "average\nprecision", "recall % at\n1 % FPR"],
        2,
    );
    for protocol in protocols(&report.leaderboard) {
        let same = |row: &&&LeaderboardRow| row.model == report.selection.model && row.case == report.selection.case;
        let rows = table1::rows(&report.leaderboard, protocol);
        let Some(row) = rows.iter().find(same) else { continue };
        let parts = row.validation.iter().enumerate().map(|(at, fold)| (format!("fold {}", at + 1), fold));
        for (name, metrics) in parts.chain([("test".to_owned(), &row.test)]) {
            table.rows.push(vec![
                protocol.to_owned(),
                name,
                count(metrics.n_rows),
                count(metrics.n_positives),
                figure(metrics.auc),
                figure(metrics.average_precision),
                percent(metrics.recall_at_fpr_1),
            ]);
        }
    }
    if table.rows.is_empty() {
        return Vec::new();
    }
    vec![Block::Heading("The winner per fold".into()), Block::Table(table)]
}

/// The winner over time.
fn periods(report: &RunReport) -> Vec<Block> {
    let assessment = &report.assessment;
    if assessment.periods.is_empty() {
        return Vec::new();
    }
    let heading = match assessment.days_per_period {
        7 => "The winner per week".to_owned(),
        days => format!("The winner per {days} days"),
    };
    let text = "Days count from the first day of the data. Recall and precision at the chosen threshold; few frauds make \
                a week's figures jump.";
    vec![Block::Heading(heading), Block::Table(period_table(report)), Block::Plot("periods"), Block::Text(text.into())]
}

pub(super) fn period_table(report: &RunReport) -> Table {
    let columns =
        ["rows", "days", "number", "frauds", "AUC of\nscores", "average\nprecision", "recall %", "precision %"];
    let mut table = Table::new(&columns, 2);
    let line = |period: &Period| {
        vec![
            period.rows.clone(),
            format!("{} to {}", period.first_day, period.last_day),
            count(period.metrics.n_rows),
            count(period.metrics.n_positives),
            figure(period.metrics.auc),
            figure(period.metrics.average_precision),
            percent(period.recall),
            percent(period.precision),
        ]
    };
    table.rows = report.assessment.periods.iter().map(line).collect();
    table
}

fn overfitting(report: &RunReport) -> Vec<Block> {
    let columns =
        ["protocol", "model", "case", "recall on\ntraining rows", "recall on\nheld-out rows", "gap", "over-\nfitting"];
    let mut table = Table::new(&columns, 3);
    for protocol in protocols(&report.leaderboard) {
        for row in table1::rows(&report.leaderboard, protocol) {
            table.rows.push(vec![
                row.protocol.clone(),
                row.model.clone(),
                row.case.clone(),
                figure(row.overfit.train_recall),
                figure(row.overfit.validation_recall),
                figure(row.overfit.gap),
                yes(row.overfit.flagged),
            ]);
        }
    }
    if table.rows.is_empty() {
        return Vec::new();
    }
    let text = "Means over the folds at 0.5 on the raw score; training rows are the original ones. Flagged above 0.10.";
    let mut blocks = vec![Block::Heading("Over-fitting".into()), Block::Table(table), Block::Text(text.into())];
    blocks.extend(["losses", "watched"].map(Block::Plot));
    blocks
}

//! Section 1: what was run, what won and why, and the headline figures with their intervals.

use super::advice::advice;
use super::table::{
    Block, Section, Table, count, decimals, figure, figure_estimate, interval, megabytes, percent, percent_estimate,
};
use super::{RunReport, table1};
use crate::training::evaluate::{Estimate, HeadlineRow, OptimismGap};

pub(super) fn section(report: &RunReport) -> Section {
    let mut blocks = vec![Block::Text(sentences(report))];
    blocks.extend(figures(report));
    blocks.extend(selection(report));
    blocks.extend(too_large(report));
    blocks.extend(out_of_bag(report));
    let advice = advice(report);
    if !advice.is_empty() {
        blocks.push(Block::Heading("Advice".into()));
        blocks.push(Block::List(advice));
    }
    Section { id: "headline", title: "Headline".into(), blocks }
}

/// The run in a few sentences.
pub(super) fn sentences(report: &RunReport) -> String {
    let chosen = &report.selection;
    let point = &report.operating_point;
    let share = (report.n_rows > 0).then(|| report.n_positives as f64 / report.n_rows as f64);
    let mut sentences = vec![
        format!(
            "Run {}: {} rows, {} of them fraud ({} %).",
            report.run_id,
            count(report.n_rows),
            count(report.n_positives),
            decimals(share.map(|share| 100.0 * share), 2)
        ),
        format!("Selected under the {} protocol: {}, {}.", chosen.protocol, chosen.model, chosen.case),
        format!(
            "At threshold {} it finds {} % of the fraud in the test rows with a false-positive rate of {} %; {} % of its \
             alerts are fraud.",
            point.threshold,
            percent(point.test.recall),
            decimals(point.test.fpr.map(|fpr| 100.0 * fpr), 2),
            percent(point.test.precision)
        ),
    ];
    let same = |gap: &&OptimismGap| gap.model == chosen.model && gap.case == chosen.case;
    if let Some(gap) = report.optimism.iter().find(same).filter(|gap| gap.auc_gap.is_some()) {
        sentences.push(format!(
            "Optimism gap: the random protocol shows an AUC {} higher than the temporal one (95 % interval {}).",
            figure(gap.auc_gap),
            interval(gap.auc_gap_interval)
        ));
    }
    sentences.push(match &report.bundle_id {
        Some(bundle) => format!("Bundle: {bundle}."),
        None => "No bundle was frozen.".into(),
    });
    sentences.join(" ")
}

/// Every model of the protocol that selects, on its test rows.
fn figures(report: &RunReport) -> Vec<Block> {
    let assessment = &report.assessment;
    let protocol = &report.selection.protocol;
    let k = assessment.alerts_per_day;
    let rows: Vec<&HeadlineRow> = table1::rows(&report.leaderboard, protocol)
        .into_iter()
        .filter_map(|row| {
            let same = |of: &&HeadlineRow| of.protocol == row.protocol && of.model == row.model && of.case == row.case;
            assessment.headline.iter().find(same)
        })
        .collect();
    let Some(test) = report.winner().map(|row| &row.test).filter(|_| !rows.is_empty()) else { return Vec::new() };
    let columns = [
        "model",
        "case",
        "average precision\n(95 % interval)",
        "ROC AUC\n(95 % interval)",
        "recall % at\n1 % FPR",
        "recall % at\n5 % FPR",
        "precision %\nat k",
        "recall %\nat k",
        "card precision %\nat k",
    ];
    let mut table = Table::new(&columns, 2);
    for row in rows {
        if row.model == report.selection.model && row.case == report.selection.case {
            table.marked = Some(table.rows.len());
        }
        let of = |name: &str| row.figures.get(name).copied().unwrap_or_default();
        let share = |name: &str| percent_estimate(of(name));
        table.rows.push(vec![
            row.model.clone(),
            row.case.clone(),
            figure_estimate(of("average_precision")),
            figure_estimate(of("auc")),
            share("recall_at_fpr_1"),
            share("recall_at_fpr_5"),
            share("precision_at_k"),
            share("recall_at_k"),
            share("card_precision_at_k"),
        ]);
    }
    let share = (test.n_rows > 0).then(|| test.n_positives as f64 / test.n_rows as f64);
    let drawn = assessment.by.map_or("row", |unit| unit.as_str());
    let days =
        if report.assessment.point.n_days > 1 { "day" } else { "test set (no time is declared, or it is one day)" };
    let text = format!(
        "Prevalence of the test rows: {} % ({} frauds of {} rows); a model that guesses has that average precision. k: {} \
         alerts per {days}; precision at k is the share of frauds among them, recall at k the share of all frauds that they \
         hold, card precision the share of compromised cards among the k cards of the highest score. Intervals: {} draws by \
         {drawn}, normal in the logit; \"-\": not defined, or no interval where a figure is 0 or 1.",
        decimals(share.map(|share| 100.0 * share), 2),
        count(test.n_positives),
        count(test.n_rows),
        count(k),
        count(assessment.draws),
    );
    vec![
        Block::Heading(format!("Final fits on the test rows, {protocol} protocol")),
        Block::Table(table),
        Block::Text(text),
    ]
}

/// The winner, why, and the folds' figures that chose it.
fn selection(report: &RunReport) -> Vec<Block> {
    let chosen = &report.selection;
    let text = format!(
        "{}, {} by {} {} over the folds of the {} protocol. {}",
        chosen.model,
        chosen.case,
        chosen.by,
        figure(Some(chosen.value)),
        chosen.protocol,
        chosen.reason
    );
    let mut blocks = vec![Block::Heading("Selection".into()), Block::Text(text)];
    let columns = ["model", "case", "recall", "AUC of\nlabels", "AUC of\nscores", "average\nprecision"];
    let mut table = Table::new(&columns, 2);
    for row in table1::rows(&report.leaderboard, &chosen.protocol) {
        if report.is_winner(row) {
            table.marked = Some(table.rows.len());
        }
        let mean = |name: &str| figure(row.validation_mean.get(name).copied().flatten());
        let names = [row.model.clone(), row.case.clone()];
        let means = ["recall", "auc_labels", "auc", "average_precision"].map(mean);
        table.rows.push(names.into_iter().chain(means).collect());
    }
    if !table.rows.is_empty() {
        blocks.push(Block::Heading("Means over the held-out rows of the folds".into()));
        blocks.push(Block::Table(table));
    }
    blocks
}

/// Which models the limit kept from being selected.
fn too_large(report: &RunReport) -> Option<Block> {
    let limit = report.max_model_mb?;
    let rows = table1::rows(&report.leaderboard, &report.selection.protocol);
    let rows = rows.into_iter().filter(|row| row.over_limit && row.model != "logistic");
    let names: Vec<String> =
        rows.map(|row| format!("{} with {} ({} MB)", row.model, row.case, megabytes(row.model_bytes))).collect();
    let text = match names.is_empty() {
        true => format!("Every model fits the limit of {limit} MB."),
        false => format!("Above the limit of {limit} MB, and so not selected: {}.", names.join(", ")),
    };
    Some(Block::Text(text))
}

/// The winner on three kinds of rows that it did not learn from, if out-of-bag rows are one of them.
fn out_of_bag(report: &RunReport) -> Vec<Block> {
    let Some(row) = report.winner().filter(|row| row.out_of_bag.is_some() || row.out_of_bag_undefined.is_some()) else {
        return Vec::new();
    };
    let line = |rows: &str, n_rows: usize, auc: Option<f64>, average_precision: Option<f64>| {
        vec![rows.to_owned(), count(n_rows), figure(auc), figure(average_precision)]
    };
    let mean = |name: &str| row.validation_mean.get(name).copied().flatten();
    let found = row.out_of_bag;
    let mut table = Table::new(&["rows", "number", "AUC of\nscores", "average\nprecision"], 1);
    table.rows = vec![
        line(
            "held out of the folds, mean",
            row.validation.iter().map(|fold| fold.n_rows).sum(),
            mean("auc"),
            mean("average_precision"),
        ),
        line(
            "out-of-bag, final fit",
            found.map_or(0, |found| found.n_rows),
            found.map(|found| found.auc),
            found.map(|found| found.average_precision),
        ),
        line("test, final fit", row.test.n_rows, row.test.auc, row.test.average_precision),
    ];
    let note = match &row.out_of_bag_undefined {
        Some(reason) => format!("No out-of-bag figures: {reason}."),
        None => "Out-of-bag: each training row scored by the trees that did not draw it.".into(),
    };
    let heading = "The winner on rows it did not learn from".into();
    vec![Block::Heading(heading), Block::Table(table), Block::Text(note)]
}

/// The headline estimate of the winner.
pub(super) fn of_winner(report: &RunReport, name: &str) -> Estimate {
    let chosen = &report.selection;
    let same =
        |row: &&HeadlineRow| row.protocol == chosen.protocol && row.model == chosen.model && row.case == chosen.case;
    report.assessment.headline.iter().find(same).and_then(|row| row.figures.get(name).copied()).unwrap_or_default()
}

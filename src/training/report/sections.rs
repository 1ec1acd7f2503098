//! What a report says: one function per section, each from the same figures, none of them tied to a format.
//!
//! In: the report. Out: sections of text and tables; pages choose the order.

use std::collections::BTreeMap;

use super::advice::advice;
use super::table::{Block, Section, Table, count, decimals, figure, interval, megabytes, percent};
use super::{RunReport, protocols, table1};
use crate::training::evaluate::{LeaderboardRow, OptimismGap, PointMetrics, ResamplingReport};

/// The run in three sentences.
pub(super) fn headline(report: &RunReport) -> Section {
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
    Section { id: "headline", title: report.name.clone(), blocks: vec![Block::Text(sentences.join(" "))] }
}

/// The winner, why, and the folds' figures that chose it; then advice, if any.
pub(super) fn selection(report: &RunReport) -> Section {
    let chosen = &report.selection;
    let mut blocks = vec![Block::Text(format!(
        "{}, {} by {} {} over the folds of the {} protocol. {}",
        chosen.model,
        chosen.case,
        chosen.by,
        figure(Some(chosen.value)),
        chosen.protocol,
        chosen.reason
    ))];
    let columns = [
        "model",
        "case",
        "recall",
        "AUC of\nlabels",
        "AUC of\nscores",
        "average\nprecision",
        "recall on\ntraining rows",
        "gap",
        "over-\nfitting",
    ];
    let mut table = Table::new(&columns, 2);
    for row in table1::rows(&report.leaderboard, &chosen.protocol) {
        if report.is_winner(row) {
            table.marked = Some(table.rows.len());
        }
        let mean = |name: &str| figure(row.validation_mean.get(name).copied().flatten());
        table.rows.push(vec![
            row.model.clone(),
            row.case.clone(),
            mean("recall"),
            mean("auc_labels"),
            mean("auc"),
            mean("average_precision"),
            figure(row.overfit.train_recall),
            figure(row.overfit.gap),
            yes(row.overfit.flagged),
        ]);
    }
    if !table.rows.is_empty() {
        blocks.push(Block::Heading("Means over the held-out rows of the folds".into()));
        blocks.push(Block::Table(table));
    }
    blocks.extend(too_large(report));
    blocks.extend(out_of_bag(report));
    let advice = advice(report);
    if !advice.is_empty() {
        blocks.push(Block::Heading("Advice".into()));
        blocks.push(Block::List(advice));
    }
    Section { id: "selection", title: "Selection".into(), blocks }
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

pub(super) fn table1(report: &RunReport) -> Section {
    let mut blocks = Vec::new();
    for protocol in protocols(&report.leaderboard) {
        blocks.push(Block::Heading(format!("Protocol {protocol}")));
        blocks.push(Block::Table(table1::table(report, protocol)));
    }
    blocks.push(Block::Text(format!(
        "Labels at 0.5 on the test rows. The paper's numbers: {}. They were measured on IEEE-CIS data, random split.",
        table1::SOURCE
    )));
    Section { id: "table1", title: "Table I, with the paper's numbers beside it".into(), blocks }
}

/// Every protocol, model and case on the test rows.
pub(super) fn cells(report: &RunReport) -> Section {
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
    Section { id: "cells", title: "All cells".into(), blocks }
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

pub(super) fn optimism(report: &RunReport) -> Section {
    let title = "Optimism gap: random minus temporal".into();
    if report.optimism.is_empty() {
        let text = "Not measured: it needs the same model and case under both protocols.".into();
        return Section { id: "optimism", title, blocks: vec![Block::Text(text)] };
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
        ]);
    }
    let text = "How much a random split flatters: models meet the future, which only the temporal protocol holds out. \
                Lift: average precision over the share of fraud."
        .into();
    Section { id: "optimism", title, blocks: vec![Block::Table(table), Block::Text(text)] }
}

pub(super) fn operating_point(report: &RunReport) -> Section {
    let point = &report.operating_point;
    let mut table = Table::new(&["rows", "recall", "precision", "FPR", "TP", "FP", "TN", "FN"], 1);
    table.rows = vec![measured("out-of-fold", &point.out_of_fold), measured("test", &point.test)];
    let text = format!(
        "A record is fraud if its calibrated score is at least {}. Policy: {}. The threshold was chosen on out-of-fold \
         scores; the test rows only measure it.",
        point.threshold,
        policy(&point.policy)
    );
    let blocks = vec![Block::Text(text), Block::Table(table)];
    Section { id: "operating-point", title: "Operating point".into(), blocks }
}

fn measured(rows: &str, point: &PointMetrics) -> Vec<String> {
    let counts = &point.confusion;
    let mut cells = vec![rows.into(), figure(point.recall), figure(point.precision), decimals(point.fpr, 4)];
    cells.extend(
        [counts.true_positives, counts.false_positives, counts.true_negatives, counts.false_negatives]
            .map(|count| count.to_string()),
    );
    cells
}

/// `{"max_fpr": 0.01}` as `max_fpr 0.01`.
fn policy(policy: &serde_json::Value) -> String {
    match policy.as_object() {
        Some(object) => object.iter().map(|(key, value)| format!("{key} {value}")).collect::<Vec<_>>().join(", "),
        None => policy.to_string(),
    }
}

/// What each case did to the training rows of each fit. Models that were given the same rows share the lines.
pub(super) fn resampling(report: &RunReport) -> Section {
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
    let mut blocks = Vec::new();
    for protocol in protocols(&report.leaderboard) {
        let mut table = Table::new(&columns, 3);
        for (case, models, fits) in shared_fits(&table1::rows(&report.leaderboard, protocol)) {
            for (index, fit) in fits.iter().enumerate() {
                let name = if index + 1 == fits.len() { "final".into() } else { format!("fold {}", index + 1) };
                table.rows.push(fit_line(case, &models, name, fit));
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
    Section { id: "resampling", title: "What each case did to the training rows".into(), blocks }
}

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

fn yes(flagged: bool) -> String {
    if flagged { "yes" } else { "no" }.into()
}

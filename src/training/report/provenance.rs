//! Section 11: what the figures rest on: data, splits, guards against leaks, drift, version, seed. And the model card.

use super::headline::of_winner;
use super::operating_point::policy;
use super::table::{Block, Section, Table, count, decimals, figure, figure_estimate, markdown, percent_estimate};
use super::{RunReport, protocols};

pub(super) fn section(report: &RunReport) -> Section {
    let from = &report.provenance;
    let mut blocks = vec![Block::List(facts(report))];
    if !from.inputs.is_empty() {
        let mut table = Table::new(&["file", "rows", "columns", "SHA-256"], 1);
        table.rows = from
            .inputs
            .iter()
            .map(|file| vec![file.path.clone(), count(file.rows), count(file.columns), file.sha256.clone()])
            .collect();
        blocks.extend([Block::Heading("Inputs".into()), Block::Table(table)]);
    }
    blocks.push(Block::Heading("Guards against leaks".into()));
    blocks.push(Block::List(guards(report)));
    blocks.extend(drift(report));
    if !from.dropped.is_empty() {
        let mut table = Table::new(&["protocol", "columns left out", "why"], 1);
        table.rows = from.dropped.iter().map(|dropped| dropped.to_vec()).collect();
        blocks.extend([Block::Heading("Columns that the preparation left out".into()), Block::Table(table)]);
    }
    blocks.push(Block::Text(
        "Times and memory per cell stand in `times.csv` beside this page, the model card in `model_card.md`: figures here \
         are the same bytes for any number of threads."
            .into(),
    ));
    Section { id: "provenance", title: "Data and provenance".into(), blocks }
}

fn facts(report: &RunReport) -> Vec<String> {
    let from = &report.provenance;
    let mut facts = vec![
        format!("run {}, fraudml {}, seed {}", report.run_id, from.version, from.seed),
        format!("{} cells; processor features {}", count(from.n_cells), or_none(&from.cpu_features.join(", "))),
    ];
    facts.extend(from.splits.iter().map(|(protocol, hash)| format!("split {protocol}: SHA-256 {hash}")));
    facts.extend(report.bundle_id.iter().map(|bundle| format!("bundle {bundle}")));
    facts.extend(from.left_out.iter().map(|left| format!("left out while reading: {left}")));
    facts
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

fn guards(report: &RunReport) -> Vec<String> {
    let from = &report.provenance;
    let mut guards = vec![
        "preparation, resampling and selection of columns are fitted on the training rows of each fold alone"
            .to_owned(),
        "the winner is chosen by the folds, calibration and threshold by out-of-fold scores; test rows are scored once"
            .into(),
        "id, target and time are no features".into(),
    ];
    guards.push(match &from.target_copies {
        None => "columns that copy the target were not looked for: `fraudml train` writes `eda.json`".into(),
        Some(copies) if copies.is_empty() => "no column alone tells the target apart (AUC of 0.99 or more)".into(),
        Some(copies) => format!("columns that nearly are the target (AUC of 0.99 or more): {}", copies.join(", ")),
    });
    guards
}

fn drift(report: &RunReport) -> Vec<Block> {
    let from = &report.provenance;
    let (Some(index), Some([fraud_before, fraud_after])) = (from.score_drift, from.prevalences) else {
        return Vec::new();
    };
    let verdict = match index {
        ..0.1 => "little",
        ..0.25 => "some",
        _ => "much",
    };
    let text = format!(
        "From the out-of-fold rows to the test rows the winner's raw score drifts {verdict}: population stability index {} \
         over ten quantile bins (below 0.1 little, from 0.25 much). Share of fraud: {} % out of fold, {} % in the test rows.",
        figure(Some(index)),
        decimals(Some(100.0 * fraud_before), 2),
        decimals(Some(100.0 * fraud_after), 2)
    );
    vec![Block::Heading("Drift".into()), Block::Text(text)]
}

/// `model_card.md` (after Mitchell et al. 2019).
pub fn model_card(report: &RunReport) -> String {
    let from = &report.provenance;
    let chosen = &report.selection;
    let point = &report.assessment.point;
    let line = |name: &str, text: String| format!("* **{name}**: {}\n", markdown(&text));
    let mut card = format!("# Model card: {}\n\n## Model\n", markdown(&report.name));
    card += &line("kind", format!("{}, case {}", chosen.model, chosen.case));
    card += &line("bundle", report.bundle_id.clone().unwrap_or("none".into()));
    card += &line("made by", format!("fraudml {}, run {}, seed {}", from.version, report.run_id, from.seed));
    card += &line("chosen by", chosen.reason.clone());
    card += "\n## Intended use\nScores single transactions for fraud and raises an alarm above a threshold; a person decides. \
             It is not made to judge persons, nor for other kinds of transactions than those it was trained on.\n\n## Data\n";
    card += &line("rows", format!("{}, {} of them fraud", count(report.n_rows), count(report.n_positives)));
    for file in &from.inputs {
        card += &line("input", format!("{}: {} rows, SHA-256 {}", file.path, count(file.rows), file.sha256));
    }
    card += &format!("\n## Figures, test rows, {} protocol (95 % intervals)\n", markdown(&chosen.protocol));
    card += &line("average precision", figure_estimate(of_winner(report, "average_precision")));
    card += &line("ROC AUC", figure_estimate(of_winner(report, "auc")));
    card +=
        &line("recall at 1 % false positives", format!("{} %", percent_estimate(of_winner(report, "recall_at_fpr_1"))));
    let threshold = report.operating_point.threshold;
    card += &line("threshold", format!("{threshold} by {}", policy(&report.operating_point.policy)));
    card += &line("recall there", format!("{} %", percent_estimate(point.recall)));
    card += &line("precision there", format!("{} %", percent_estimate(point.precision)));
    card += &line("calibration", report.calibration.method.as_str().to_owned());
    card += "\n## Subgroups\n";
    let measured: Vec<_> = report.assessment.subgroups.iter().filter(|group| !group.too_few).collect();
    if measured.is_empty() {
        card += "Not measured.\n";
    }
    for group in measured {
        let text = format!(
            "recall {} %, false-positive rate {} %",
            percent_estimate(group.recall),
            percent_estimate(group.fpr)
        );
        card += &line(&markdown(&format!("{} {}", group.attribute, group.level)), text);
    }
    card += "\n## Limits\nFigures hold for rows like the test rows. ";
    card += match protocols(&report.leaderboard).contains(&"temporal") {
        true => "The temporal protocol tests on the last rows alone; what comes later may drift further.\n",
        false => "No temporal protocol ran: figures of the random one flatter a model that will meet the future.\n",
    };
    card
}

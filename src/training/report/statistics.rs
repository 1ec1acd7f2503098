//! Section 7: which differences between models are real.

use super::table::{Block, Section, Table, count, decimals, p_value};
use super::{RunReport, protocols};
use crate::training::evaluate::{Compared, Difference, Spread};

/// Below it a difference is called real.
const LEVEL: f64 = 0.05;

pub(super) fn section(report: &RunReport) -> Section {
    let assessment = &report.assessment;
    let mut blocks = Vec::new();
    for protocol in protocols(&report.leaderboard) {
        let pairs: Vec<&Compared> = assessment.differences.iter().filter(|pair| pair.protocol == protocol).collect();
        blocks.extend(of_protocol(report, protocol, &pairs));
    }
    let seeds = over_seeds(report);
    if blocks.is_empty() {
        blocks.push(Block::Text("Nothing to compare: one model was measured.".into()));
    } else {
        blocks.push(Block::Text(how(report)));
    }
    blocks.extend(seeds);
    Section { id: "statistics", title: "Statistics".into(), blocks }
}

/// The winner's model and case against all others on the same test rows.
fn of_protocol(report: &RunReport, protocol: &str, pairs: &[&Compared]) -> Vec<Block> {
    let chosen = [report.selection.model.clone(), report.selection.case.clone()];
    let columns = [
        "against",
        "case",
        "AUC difference\n(95 % interval)",
        "p, adjusted",
        "average precision difference\n(95 % interval)",
        "p, adjusted",
        "real",
    ];
    let mut table = Table::new(&columns, 2);
    for pair in pairs {
        let (other, sign) = match (pair.first == chosen, pair.second == chosen) {
            (true, _) => (&pair.second, 1.0),
            (_, true) => (&pair.first, -1.0),
            _ => continue,
        };
        let real: Vec<&str> = [("AUC", pair.auc_adjusted), ("average precision", pair.average_precision_adjusted)]
            .into_iter()
            .filter(|(_, p)| is_real(*p))
            .map(|(name, _)| name)
            .collect();
        table.rows.push(vec![
            other[0].clone(),
            other[1].clone(),
            difference(pair.auc, sign),
            p_value(pair.auc_adjusted),
            difference(pair.average_precision, sign),
            p_value(pair.average_precision_adjusted),
            if real.is_empty() { "no".into() } else { real.join(", ") },
        ]);
    }
    if table.rows.is_empty() {
        return Vec::new();
    }
    let n_real = |of: fn(&Compared) -> Option<f64>| pairs.iter().filter(|pair| is_real(of(pair))).count();
    let text = format!(
        "Of all {} pairs of models under this protocol {} differ in AUC and {} in average precision.",
        count(pairs.len()),
        count(n_real(|pair| pair.auc_adjusted)),
        count(n_real(|pair| pair.average_precision_adjusted)),
    );
    let heading = format!("Protocol {protocol}: {}, {} minus the others", chosen[0], chosen[1]);
    vec![Block::Heading(heading), Block::Table(table), Block::Text(text)]
}

fn is_real(p: Option<f64>) -> bool {
    p.is_some_and(|p| p < LEVEL)
}

fn difference(found: Option<Difference>, sign: f64) -> String {
    let Some(found) = found else { return "-".into() };
    let signed = |value: f64| format!("{value:+.4}");
    let value = signed(sign * found.difference);
    match found.interval {
        Some([low, high]) => {
            let [low, high] = if sign < 0.0 { [-high, -low] } else { [low, high] };
            format!("{value} ({} to {})", signed(low), signed(high))
        }
        None => format!("{value} (degenerate)"),
    }
}

/// Final fits with other seeds on the same rows.
fn over_seeds(report: &RunReport) -> Vec<Block> {
    let Some(first) = report.seeds.first() else {
        let one = "One seed ran, so the variance between seeds is not known (`repeats` runs final fits with several).";
        return vec![Block::Text(one.into())];
    };
    let columns = ["protocol", "model", "case", "AUC", "average precision", "recall at 1 % FPR"];
    let mut table = Table::new(&columns, 3);
    for found in &report.seeds {
        let [protocol, model, case] = [&found.protocol, &found.model, &found.case].map(String::clone);
        let [auc, precision, recall] = [found.auc, found.average_precision, found.recall_at_fpr_1].map(spread);
        table.rows.push(vec![protocol, model, case, auc, precision, recall]);
    }
    let text = format!(
        "Final fits with {} seeds on the same rows: mean, standard deviation of one fit, and the ends. The first seed is the \
         one of all other sections; selection looks at no other. Differences below a few of these deviations are luck.",
        count(first.n_seeds)
    );
    vec![Block::Heading("Between seeds".into()), Block::Table(table), Block::Text(text)]
}

fn spread(found: Option<Spread>) -> String {
    found.map_or("-".into(), |Spread { mean, deviation, lowest, highest }| {
        format!("{mean:.3} ± {deviation:.3} ({lowest:.3} to {highest:.3})")
    })
}

fn how(report: &RunReport) -> String {
    let assessment = &report.assessment;
    let unit = assessment.by.map_or("row", |unit| unit.as_str());
    let by_group = if unit == "group" { ", by group (Obuchowski)" } else { "" };
    format!(
        "AUC: DeLong on the common test rows{by_group}. Average precision: {} bootstrap draws by {unit}, the same for all \
         models, smallest p {}. p-values are adjusted for all pairs of the protocol (Holm); real: below {LEVEL}. Degenerate: \
         equal rankings, or an AUC of 0 or 1, have no variance.",
        count(assessment.draws),
        decimals(Some(2.0 / (assessment.draws + 1) as f64), 4),
    )
}

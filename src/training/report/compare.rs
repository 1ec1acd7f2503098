//! Several runs on the same data on one page: `comparison.{html,md,json}`.
//!
//! In: reports of runs whose inputs and test rows are the same (who calls has checked it). Out: the winners side by side,
//! and every model of every run. Limit: runs are compared by their intervals; tests of differences stand in the report of
//! a run, whose models share their draws.

use std::collections::BTreeMap;

use serde::Serialize;

use super::headline::of_winner;
use super::html::page;
use super::markdown::section_md;
use super::operating_point::policy;
use super::table::{Block, Section, Table, figure, figure_estimate, markdown, money, percent, percent_estimate};
use super::terminal::section_text;
use super::{RunReport, protocols, table1, to_json};
use crate::training::error::Result;
use crate::training::evaluate::{HeadlineRow, Leaderboard, OperatingPoint, OptimismGap, Selection};

fn sections(reports: &[RunReport]) -> Vec<Section> {
    vec![winners(reports), points(reports), models(reports)]
}

/// The highest average precision is marked.
fn winners(reports: &[RunReport]) -> Section {
    let columns = [
        "run",
        "winner",
        "protocol",
        "average precision\n(95 % interval)",
        "ROC AUC\n(95 % interval)",
        "recall % at\n1 % FPR",
        "precision %\nat k",
        "optimism\ngap (AUC)",
    ];
    let mut table = Table::new(&columns, 2);
    let mut best = f64::NEG_INFINITY;
    for report in reports {
        let of = |name: &str| of_winner(report, name);
        let precision = of("average_precision").value.unwrap_or(f64::NEG_INFINITY);
        if precision > best {
            (best, table.marked) = (precision, Some(table.rows.len()));
        }
        let chosen = &report.selection;
        let same = |gap: &&OptimismGap| gap.model == chosen.model && gap.case == chosen.case;
        table.rows.push(vec![
            report.run_id.clone(),
            format!("{}, {}", chosen.model, chosen.case),
            chosen.protocol.clone(),
            figure_estimate(of("average_precision")),
            figure_estimate(of("auc")),
            percent_estimate(of("recall_at_fpr_1")),
            percent_estimate(of("precision_at_k")),
            figure(report.optimism.iter().find(same).and_then(|gap| gap.auc_gap)),
        ]);
    }
    let text = "Each run's winner on its test rows. Intervals that overlap widely tell no difference; choosing among runs by \
                these rows makes the best look better than it is.";
    Section { id: "winners", title: "Winners".into(), blocks: vec![Block::Table(table), Block::Text(text.into())] }
}

fn points(reports: &[RunReport]) -> Section {
    let columns = [
        "run",
        "policy",
        "threshold",
        "recall %",
        "precision %",
        "FPR %",
        "alerts\nper day",
        "cost",
        "amount\nfound %",
    ];
    let mut table = Table::new(&columns, 2);
    for report in reports {
        let point = &report.assessment.point;
        let rule = report.assessment.money.as_ref().and_then(|found| found.rules.get(1));
        table.rows.push(vec![
            report.run_id.clone(),
            policy(&report.operating_point.policy),
            report.operating_point.threshold.to_string(),
            percent_estimate(point.recall),
            percent_estimate(point.precision),
            percent_estimate(point.fpr),
            figure(point.alerts_per_day.value),
            rule.map_or("-".into(), |rule| money(rule.cost)),
            percent_estimate(point.value_detection_rate),
        ]);
    }
    Section { id: "points", title: "Operating points, test rows".into(), blocks: vec![Block::Table(table)] }
}

fn models(reports: &[RunReport]) -> Section {
    let columns =
        ["protocol", "model", "case", "run", "recall %", "AUC of\nlabels %", "AUC of\nscores", "average\nprecision"];
    let mut table = Table::new(&columns, 4);
    let mut lines: BTreeMap<(usize, String, String), Vec<Vec<String>>> = BTreeMap::new();
    for report in reports {
        for (at, protocol) in protocols(&report.leaderboard).into_iter().enumerate() {
            for row in table1::rows(&report.leaderboard, protocol) {
                let names = [protocol.to_owned(), row.model.clone(), row.case.clone(), report.run_id.clone()];
                let figures = [
                    percent(row.test.recall),
                    percent(row.test.auc_labels),
                    figure(row.test.auc),
                    figure(row.test.average_precision),
                ];
                let line = names.into_iter().chain(figures).collect();
                lines.entry((at, row.model.clone(), row.case.clone())).or_default().push(line);
            }
        }
    }
    table.rows = lines.into_values().flatten().collect();
    Section { id: "models", title: "All models, test rows".into(), blocks: vec![Block::Table(table)] }
}

/// `comparison.{html,md,json}`, by name.
pub fn compare_files(reports: &[RunReport]) -> Result<BTreeMap<String, Vec<u8>>> {
    #[derive(Serialize)]
    struct Document<'a> {
        format: u32,
        runs: Vec<Line<'a>>,
    }
    #[derive(Serialize)]
    struct Line<'a> {
        run: &'a str,
        selection: &'a Selection,
        operating_point: &'a OperatingPoint,
        headline: &'a [HeadlineRow],
        leaderboard: &'a Leaderboard,
    }
    let runs = reports
        .iter()
        .map(|report| Line {
            run: &report.run_id,
            selection: &report.selection,
            operating_point: &report.operating_point,
            headline: &report.assessment.headline,
            leaderboard: &report.leaderboard,
        })
        .collect();
    let json = to_json(&Document { format: 1, runs })?;
    let sections = sections(reports);
    let names: Vec<&str> = reports.iter().map(|report| report.run_id.as_str()).collect();
    let title = format!("{} runs compared", reports.len());
    let above = format!("<p>{}</p>\n", super::table::html(&names.join(", ")));
    let mut text = format!("# {title}\n\n{}\n", markdown(&names.join(", ")));
    for section in &sections {
        text += &format!("\n{}", section_md(section, "##", &BTreeMap::new()));
    }
    let html = page(&title, "fraudml comparison", &above, &sections, &|_| String::new());
    let files = [("comparison.html", html), ("comparison.md", text), ("comparison.json", json)];
    Ok(files.map(|(name, text)| (name.to_owned(), text.into_bytes())).into())
}

pub fn compare_terminal(reports: &[RunReport], width: usize) -> String {
    let texts: Vec<String> = sections(reports).iter().map(|section| section_text(section, width.max(40))).collect();
    texts.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::report::fixture;

    #[test]
    fn runs_stand_side_by_side() {
        let mut other = fixture::forest();
        other.run_id = "other-00000000".into();
        let reports = [fixture::full(), other, fixture::hostile()];
        let files = compare_files(&reports).unwrap();
        let html = String::from_utf8(files["comparison.html"].clone()).unwrap();
        assert!(!html.contains("<script") && html.contains("other-00000000") && html.contains("3 runs compared"));
        let json: serde_json::Value = serde_json::from_slice(&files["comparison.json"]).unwrap();
        assert_eq!(json["runs"].as_array().map(Vec::len), Some(3));
        let text = compare_terminal(&reports, 120);
        assert!(text.contains("extra-trees, oversample") && text.contains("All models"), "{text}");
    }
}

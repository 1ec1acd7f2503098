//! Report: a finished run becomes tables for people and machines, plots and one HTML page. Pure: structs in, strings and
//! bytes out; who calls writes them.
//!
//! Every page is built from the same eleven sections ([`contents`]), so that terminal, Markdown and HTML say the same in
//! the same order. Figures that are not defined are `-` with a footnote. Names come from configs: every renderer cleans and
//! escapes them. A part of the grid that did not run is left out of tables and says "not run" in plots.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::training::calibrate::CalibrationReport;
use crate::training::error::{Error, Result};
use crate::training::evaluate::{
    Assessment, Explanation, HEADLINE, Importance, Leaderboard, LeaderboardRow, Metrics, OperatingPoint, OptimismGap,
    SeedSpread, Selection,
};
use crate::training::fit::mlp::WatchedCurves;
use crate::training::read::Fingerprint;

mod advice;
mod axes;
mod calibration;
mod cells;
mod compare;
mod contents;
mod curves;
mod drawing;
mod eda;
mod figure3;
pub mod figure4;
mod figures;
mod files;
mod headline;
mod html;
mod importance;
mod leaderboard;
mod lines;
mod markdown;
mod money;
mod operating_point;
mod plots;
mod provenance;
mod resampling;
mod statistics;
mod subgroups;
mod table;
mod table1;
mod terminal;
mod validation;
mod why;

#[cfg(test)]
mod fixture;

pub use compare::{compare_files, compare_terminal};
pub use eda::eda_html;
pub use files::{files, times_csv};
pub use html::report_html;
pub use leaderboard::leaderboard_csv;
pub use markdown::report_md;
pub use operating_point::point_text;
pub use plots::plots;
pub use provenance::model_card;
pub use table1::{table1_csv, table1_json, table1_md};
pub use terminal::terminal;

/// One final fit on the test rows. `roc`: [false-positive rate, true-positive rate], `pr`: [recall, precision], in the
/// order of the thresholds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curves {
    pub protocol: String,
    pub model: String,
    pub case: String,
    pub roc: Vec<[f64; 2]>,
    pub pr: Vec<[f64; 2]>,
}

/// Loss per epoch of one final fit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LossCurve {
    pub protocol: String,
    pub model: String,
    pub case: String,
    /// Of the training rows, while they were trained on.
    pub losses: Vec<f64>,
    /// What early stopping saw on rows set aside.
    #[serde(default)]
    pub watched: Option<WatchedCurves>,
}

/// All that a report shows of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    pub name: String,
    pub run_id: String,
    pub bundle_id: Option<String>,
    pub n_rows: usize,
    pub n_positives: usize,
    pub leaderboard: Leaderboard,
    pub optimism: Vec<OptimismGap>,
    pub selection: Selection,
    #[serde(default)]
    pub calibration: CalibrationReport,
    pub operating_point: OperatingPoint,
    /// `limits.max_model_mb`.
    #[serde(default)]
    pub max_model_mb: Option<f64>,
    /// Of the winner.
    #[serde(default)]
    pub importance: Importance,
    /// Intervals, differences, money, subgroups.
    #[serde(default)]
    pub assessment: Assessment,
    /// Partial dependence and the most costly errors, where `train` kept them.
    #[serde(default)]
    pub explanation: Option<Explanation>,
    #[serde(default)]
    pub provenance: Provenance,
    /// Where final fits ran with several seeds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seeds: Vec<SeedSpread>,
    pub curves: Vec<Curves>,
}

/// What the figures rest on. No times: they differ from run to run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    pub version: String,
    pub seed: u64,
    pub inputs: Vec<Fingerprint>,
    /// SHA-256 of `splits/<protocol>.csv`.
    pub splits: BTreeMap<String, String>,
    pub cpu_features: Vec<String>,
    pub n_cells: usize,
    /// What reading left out.
    pub left_out: Vec<String>,
    /// Protocol, columns, reason.
    pub dropped: Vec<[String; 3]>,
    /// Columns whose AUC alone is 0.99 or more; `None` where nobody looked.
    pub target_copies: Option<Vec<String>>,
    /// Population stability index of the winner's raw score, out-of-fold against test rows.
    pub score_drift: Option<f64>,
    /// Share of fraud out of fold and in the test rows.
    pub prevalences: Option<[f64; 2]>,
}

impl RunReport {
    /// The selected row, if the leaderboard has it.
    pub fn winner(&self) -> Option<&LeaderboardRow> {
        self.leaderboard.rows.iter().find(|row| self.is_winner(row))
    }

    /// The winner's figures that a gate can ask for: larger is better.
    pub fn gated(&self) -> Vec<(String, Option<f64>)> {
        let test = self.winner().map(|row| &row.test);
        let of = |figure: fn(&Metrics) -> Option<f64>| test.and_then(figure);
        let headline = HEADLINE.iter().map(|name| ((*name).to_owned(), headline::of_winner(self, name).value));
        let point = &self.assessment.point;
        let more = [
            ("recall", of(|test| test.recall)),
            ("precision", of(|test| test.precision)),
            ("auc_labels", of(|test| test.auc_labels)),
            ("recall_at_threshold", point.recall.value),
            ("precision_at_threshold", point.precision.value),
            ("value_detection_rate", point.value_detection_rate.value),
        ];
        headline.chain(more.map(|(name, figure)| (name.to_owned(), figure))).collect()
    }

    fn is_winner(&self, row: &LeaderboardRow) -> bool {
        row.protocol == self.selection.protocol && row.model == self.selection.model && row.case == self.selection.case
    }

    /// The paper's protocol if it ran, else the first: what Figure 3 and Table I show first.
    fn papers_protocol(&self) -> Option<&str> {
        protocols(&self.leaderboard).into_iter().next()
    }
}

/// `random` first, `temporal` second, others as they come.
fn protocols(board: &Leaderboard) -> Vec<&str> {
    let mut found = distinct(board.rows.iter().map(|row| row.protocol.as_str()));
    found.sort_by_key(|&protocol| match protocol {
        "random" => 0,
        "temporal" => 1,
        _ => 2,
    });
    found
}

/// In order of first appearance.
fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut found = Vec::new();
    for name in names {
        if !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

/// `report.json`: the whole report. Curves are thinned to what a plot can show; the scores of each cell are exact.
pub fn report_json(report: &RunReport) -> Result<String> {
    #[derive(Serialize)]
    struct Document<'a> {
        format: u32,
        #[serde(flatten)]
        report: &'a RunReport,
        advice: Vec<String>,
    }
    let mut thinned = report.clone();
    for curve in &mut thinned.curves {
        curve.roc = curves::thin(&curve.roc);
        curve.pr = curves::thin(&curve.pr);
    }
    let document = Document { format: 1, report: &thinned, advice: advice::advice(report) };
    to_json(&document)
}

fn to_json(document: &impl Serialize) -> Result<String> {
    let mut text = serde_json::to_string_pretty(document)
        .map_err(|error| Error::failed(format!("cannot write the report as JSON: {error}")))?;
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_reads_back_and_curves_are_thinned() {
        let report = fixture::full();
        let text = report_json(&report).unwrap();
        let back: RunReport = serde_json::from_str(&text).unwrap();
        assert_eq!(back.leaderboard, report.leaderboard);
        assert_eq!(back.selection, report.selection);
        assert!(back.curves[0].roc.len() < report.curves[0].roc.len());
        assert!(text.starts_with("{\n  \"format\": 1,"));
    }

    #[test]
    fn reports_with_nothing_in_them_are_written() {
        let report = fixture::empty();
        assert!(report_json(&report).is_ok());
        assert!(terminal(&report, 120).contains("Selection"));
        assert!(terminal(&report, 0).contains("Selection"));
        let plots = plots(&report, &[]).unwrap();
        assert!(report_md(&report, &plots).contains("### Selection"));
        assert!(report_html(&report, &[], &plots).contains("not run"));
        assert_eq!(table1_csv(&report.leaderboard).unwrap().lines().count(), 1);
        assert!(table1_md(&report).starts_with("# Table I\n"));
    }
}

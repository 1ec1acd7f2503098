//! Table I of a run, with the paper's own numbers beside it.
//!
//! In: the leaderboard. Out: per protocol the rows that ran, the paper's twelve in the paper's order, then others, then
//! the logistic baseline. Shares between 0 and 1 in CSV and JSON, per cent for people. Source of the constants:
//! E. Paraskevoulakou, D. Kyriazis, "Leveraging the serverless paradigm for realizing machine learning pipelines across
//! the edge-cloud continuum" (2021), Table I. The paper's "AUC" is that of the thresholded labels, which is balanced
//! accuracy at 0.5: compare it with `auc_labels`. Limit: the paper's rows are told by name, and its data are IEEE-CIS.

use serde::Serialize;

use super::table::{Block, Section, Table, percent};
use super::{RunReport, cells, protocols, to_json};
use crate::training::error::{Error, Result};
use crate::training::evaluate::{Leaderboard, LeaderboardRow};

pub(super) const SOURCE: &str = "Paraskevoulakou and Kyriazis (2021), Table I; its AUC is that of the thresholded labels (balanced accuracy at 0.5)";

/// What the paper reports for one row, as shares.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct PaperRow {
    pub model: &'static str,
    pub case: &'static str,
    pub recall: f64,
    pub auc_labels: f64,
}

const fn row(model: &'static str, case: &'static str, recall: f64, auc_labels: f64) -> PaperRow {
    PaperRow { model, case, recall, auc_labels }
}

pub(super) const PAPER: [PaperRow; 12] = [
    row("random-forest", "raw", 0.560, 0.780),
    row("random-forest", "class-weights", 0.553, 0.774),
    row("random-forest", "oversample", 0.635, 0.814),
    row("random-forest", "smote-tomek", 0.573, 0.786),
    row("extra-trees", "raw", 0.611, 0.804),
    row("extra-trees", "class-weights", 0.612, 0.802),
    row("extra-trees", "oversample", 0.625, 0.809),
    row("extra-trees", "smote-tomek", 0.693, 0.842),
    row("mlp", "raw", 0.543, 0.770),
    row("mlp", "class-weights", 0.840, 0.850),
    row("mlp", "oversample", 0.721, 0.848),
    row("mlp", "smote-tomek", 0.680, 0.830),
];

pub(super) fn paper(model: &str, case: &str) -> Option<&'static PaperRow> {
    PAPER.iter().find(|row| row.model == model && row.case == case)
}

/// One line of `table1.{csv,json}`.
#[derive(Debug, Serialize)]
struct Line<'a> {
    protocol: &'a str,
    model: &'a str,
    case: &'a str,
    recall: Option<f64>,
    auc_labels: Option<f64>,
    auc: Option<f64>,
    average_precision: Option<f64>,
    paper_recall: Option<f64>,
    paper_auc_labels: Option<f64>,
}

fn lines(board: &Leaderboard) -> Vec<Line<'_>> {
    let rows = protocols(board).into_iter().flat_map(|protocol| rows(board, protocol));
    rows.map(|row| {
        let paper = paper(&row.model, &row.case);
        Line {
            protocol: &row.protocol,
            model: &row.model,
            case: &row.case,
            recall: row.test.recall,
            auc_labels: row.test.auc_labels,
            auc: row.test.auc,
            average_precision: row.test.average_precision,
            paper_recall: paper.map(|paper| paper.recall),
            paper_auc_labels: paper.map(|paper| paper.auc_labels),
        }
    })
    .collect()
}

/// The rows of a protocol in the order of Table I.
pub(super) fn rows<'a>(board: &'a Leaderboard, protocol: &str) -> Vec<&'a LeaderboardRow> {
    let mut rows: Vec<&LeaderboardRow> = board.rows.iter().filter(|row| row.protocol == protocol).collect();
    rows.sort_by_key(|row| {
        let place = PAPER.iter().position(|paper| paper.model == row.model && paper.case == row.case);
        place.unwrap_or(if row.model == "logistic" { PAPER.len() + 1 } else { PAPER.len() })
    });
    rows
}

/// Table I of one protocol, in per cent.
pub(super) fn table(report: &RunReport, protocol: &str) -> Table {
    let columns = [
        "model",
        "case",
        "recall %\nhere",
        "recall %\npaper",
        "AUC of labels %\nhere",
        "AUC of labels %\npaper",
        "AUC of scores %\nhere",
        "average precision %\nhere",
    ];
    let mut table = Table::new(&columns, 2);
    for (index, row) in rows(&report.leaderboard, protocol).into_iter().enumerate() {
        let paper = paper(&row.model, &row.case);
        table.rows.push(vec![
            row.model.clone(),
            row.case.clone(),
            percent(row.test.recall),
            percent(paper.map(|paper| paper.recall)),
            percent(row.test.auc_labels),
            percent(paper.map(|paper| paper.auc_labels)),
            percent(row.test.auc),
            percent(row.test.average_precision),
        ]);
        if report.is_winner(row) {
            table.marked = Some(index);
        }
    }
    table
}

/// Section 2: Table I beside the paper's, Figure 3, and all cells.
pub(super) fn section(report: &RunReport) -> Section {
    let mut blocks = Vec::new();
    for protocol in protocols(&report.leaderboard) {
        blocks.push(Block::Heading(format!("Protocol {protocol}")));
        blocks.push(Block::Table(table(report, protocol)));
    }
    blocks.push(Block::Text(format!(
        "Labels at 0.5 on the test rows. The paper's numbers: {SOURCE}. They were measured on IEEE-CIS data, random split."
    )));
    blocks.push(Block::Heading("Figure 3 of the paper".into()));
    blocks.extend(["fig3a", "fig3b", "fig3c", "fig3d", "fig3e", "fig3f"].map(Block::Plot));
    blocks.push(Block::Heading("All cells".into()));
    blocks.extend(cells::cells(report));
    Section { id: "table1", title: "Table I, with the paper's numbers beside it".into(), blocks }
}

/// `table1.csv`: shares, empty where undefined or not in the paper.
pub fn table1_csv(board: &Leaderboard) -> Result<String> {
    let head = [
        "protocol",
        "model",
        "case",
        "recall",
        "auc_labels",
        "auc",
        "average_precision",
        "paper_recall",
        "paper_auc_labels",
    ];
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(head).map_err(csv_error)?;
    for line in lines(board) {
        let names = [line.protocol, line.model, line.case].map(String::from);
        let figures =
            [line.recall, line.auc_labels, line.auc, line.average_precision, line.paper_recall, line.paper_auc_labels];
        writer.write_record(names.into_iter().chain(figures.map(number))).map_err(csv_error)?;
    }
    finish(writer)
}

/// `table1.json`.
pub fn table1_json(board: &Leaderboard) -> Result<String> {
    #[derive(Serialize)]
    struct Document<'a> {
        format: u32,
        paper: &'static str,
        rows: Vec<Line<'a>>,
    }
    to_json(&Document { format: 1, paper: SOURCE, rows: lines(board) })
}

/// `table1.md`: one table per protocol.
pub fn table1_md(report: &RunReport) -> String {
    let mut text = String::from("# Table I\n");
    for protocol in protocols(&report.leaderboard) {
        let title = super::table::markdown(protocol);
        text += &format!("\n## Protocol {title}\n\n{}", table(report, protocol).markdown());
    }
    text + &format!("\nThe paper's numbers: {SOURCE}.\n")
}

/// Shortest text that reads back as the same number; empty if there is none.
pub(super) fn number(value: Option<f64>) -> String {
    value.filter(|value| value.is_finite()).map(|value| value.to_string()).unwrap_or_default()
}

pub(super) fn finish(writer: csv::Writer<Vec<u8>>) -> Result<String> {
    let bytes = writer.into_inner().map_err(|error| csv_error(error.into_error().into()))?;
    String::from_utf8(bytes).map_err(|error| Error::failed(format!("cannot write a table as CSV: {error}")))
}

pub(super) fn csv_error(error: csv::Error) -> Error {
    Error::failed(format!("cannot write a table as CSV: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::report::fixture;

    #[test]
    fn the_constants_are_the_papers() {
        let listed: Vec<(f64, f64)> = PAPER
            .iter()
            .map(|row| ((row.recall * 1000.0).round() / 10.0, (row.auc_labels * 1000.0).round() / 10.0))
            .collect();
        let paper = [
            (56.0, 78.0),
            (55.3, 77.4),
            (63.5, 81.4),
            (57.3, 78.6),
            (61.1, 80.4),
            (61.2, 80.2),
            (62.5, 80.9),
            (69.3, 84.2),
            (54.3, 77.0),
            (84.0, 85.0),
            (72.1, 84.8),
            (68.0, 83.0),
        ];
        assert_eq!(listed, paper);
    }

    #[test]
    fn csv_is_exact() {
        let expected = "\
protocol,model,case,recall,auc_labels,auc,average_precision,paper_recall,paper_auc_labels
random,random-forest,raw,0.5,0.745,0.9,0.6,0.56,0.78
random,extra-trees,smote-tomek,0.75,0.87,,,0.693,0.842
random,\"mine, \"\"b\"\"\",raw,0.5,0.745,0.9,0.6,,
random,logistic,raw,,,,,,
temporal,random-forest,raw,0.25,0.62,0.8,0.3,0.56,0.78
";
        assert_eq!(table1_csv(&fixture::small().leaderboard).unwrap(), expected);
    }

    #[test]
    fn markdown_is_exact() {
        let expected = "\
# Table I

## Protocol random

| model | case | recall % here | recall % paper | AUC of labels % here | AUC of labels % paper | AUC of scores % here | average precision % here |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |
| random-forest | raw | 50.0 | 56.0 | 74.5 | 78.0 | 90.0 | 60.0 |
| extra-trees | smote-tomek | 75.0 | 69.3 | 87.0 | 84.2 | - | - |
| mine, \"b\" | raw | 50.0 | - | 74.5 | - | 90.0 | 60.0 |
| logistic | raw | - | - | - | - | - | - |

## Protocol temporal

| model | case | recall % here | recall % paper | AUC of labels % here | AUC of labels % paper | AUC of scores % here | average precision % here |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |
| **random-forest** | **raw** | **25.0** | **56.0** | **62.0** | **78.0** | **80.0** | **30.0** |

The paper's numbers: Paraskevoulakou and Kyriazis (2021), Table I; its AUC is that of the thresholded labels (balanced accuracy at 0.5).
";
        assert_eq!(table1_md(&fixture::small()), expected);
    }

    #[test]
    fn the_full_grid_has_twelve_rows_and_the_baseline_per_protocol() {
        let report = fixture::full();
        let table: serde_json::Value = serde_json::from_str(&table1_json(&report.leaderboard).unwrap()).unwrap();
        let rows = table["rows"].as_array().unwrap();
        assert_eq!(rows.len(), 2 * 14);
        assert_eq!(rows.iter().filter(|row| row["paper_recall"].is_number()).count(), 24);
        assert_eq!((rows[12]["model"].as_str(), rows[14]["protocol"].as_str()), (Some("logistic"), Some("temporal")));
    }
}

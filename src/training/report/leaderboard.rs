//! `leaderboard.csv`: one line per protocol, model and case, every figure in full precision.
//!
//! In: the leaderboard. Out: test figures under their own names, the folds' means under `validation_<name>`; empty where
//! undefined.

use std::collections::BTreeSet;

use super::table1::{csv_error, finish, number};
use crate::training::error::Result;
use crate::training::evaluate::{Leaderboard, LeaderboardRow};

pub fn leaderboard_csv(board: &Leaderboard) -> Result<String> {
    let means: BTreeSet<&String> = board.rows.iter().flat_map(|row| row.validation_mean.keys()).collect();
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut head: Vec<String> = HEAD.map(String::from).to_vec();
    head.extend(means.iter().map(|name| format!("validation_{name}")));
    writer.write_record(&head).map_err(csv_error)?;
    for row in &board.rows {
        let mut line = cells(row);
        line.extend(means.iter().map(|&name| number(row.validation_mean.get(name).copied().flatten())));
        writer.write_record(&line).map_err(csv_error)?;
    }
    finish(writer)
}

const HEAD: [&str; 29] = [
    "protocol",
    "model",
    "case",
    "recall",
    "auc",
    "auc_labels",
    "average_precision",
    "precision",
    "auc_low",
    "auc_high",
    "recall_at_fpr_1",
    "recall_at_fpr_5",
    "brier",
    "log_loss",
    "true_positives",
    "false_positives",
    "true_negatives",
    "false_negatives",
    "n_rows",
    "n_positives",
    "folds",
    "overfit_train_recall",
    "overfit_validation_recall",
    "overfit_gap",
    "overfit_flagged",
    "model_bytes",
    "over_limit",
    "out_of_bag_auc",
    "out_of_bag_average_precision",
];

fn cells(row: &LeaderboardRow) -> Vec<String> {
    let test = &row.test;
    let counts = &test.confusion;
    let mut cells = vec![row.protocol.clone(), row.model.clone(), row.case.clone()];
    cells.extend(
        [
            test.recall,
            test.auc,
            test.auc_labels,
            test.average_precision,
            test.precision,
            test.auc_interval.map(|ends| ends[0]),
            test.auc_interval.map(|ends| ends[1]),
            test.recall_at_fpr_1,
            test.recall_at_fpr_5,
            test.brier,
            test.log_loss,
        ]
        .map(number),
    );
    cells.extend(
        [counts.true_positives, counts.false_positives, counts.true_negatives, counts.false_negatives]
            .map(|count| count.to_string()),
    );
    cells.extend([test.n_rows, test.n_positives, row.validation.len()].map(|count| count.to_string()));
    cells.extend([row.overfit.train_recall, row.overfit.validation_recall, row.overfit.gap].map(number));
    cells.push(row.overfit.flagged.to_string());
    cells.push(row.model_bytes.map_or(String::new(), |bytes| bytes.to_string()));
    cells.push(row.over_limit.to_string());
    cells.extend(
        [row.out_of_bag.map(|found| found.auc), row.out_of_bag.map(|found| found.average_precision)].map(number),
    );
    cells
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::report::fixture;

    #[test]
    fn every_line_has_every_column_and_reads_back_exactly() {
        let report = fixture::full();
        let text = leaderboard_csv(&report.leaderboard).unwrap();
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let head = reader.headers().unwrap().clone();
        assert_eq!(head.iter().take(HEAD.len()).collect::<Vec<_>>(), HEAD);
        assert!(head.iter().any(|name| name == "validation_average_precision"));
        let lines: Vec<csv::StringRecord> = reader.records().collect::<std::result::Result<_, _>>().unwrap();
        assert_eq!(lines.len(), report.leaderboard.rows.len());
        for (line, row) in lines.iter().zip(&report.leaderboard.rows) {
            assert_eq!(line[4].parse::<f64>().ok(), row.test.auc);
            assert_eq!(line[14].parse::<u64>().unwrap(), row.test.confusion.true_positives);
            assert_eq!(line[25].parse::<u64>().ok(), row.model_bytes);
        }
    }

    #[test]
    fn sizes_and_out_of_bag_figures_stand_beside_the_others() {
        let text = leaderboard_csv(&fixture::forest().leaderboard).unwrap();
        let of = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap().split(',').skip(25).take(4);
        let found: Vec<&str> = of("temporal,extra-trees,oversample,").collect();
        assert_eq!(found, ["12345678", "false", "0.91", "0.52"]);
        assert_eq!(of("temporal,mlp,raw,").collect::<Vec<_>>(), ["123456789", "true", "", ""]);
    }

    #[test]
    fn undefined_is_empty() {
        let text = leaderboard_csv(&fixture::small().leaderboard).unwrap();
        let logistic = text.lines().find(|line| line.contains("logistic")).unwrap();
        assert!(logistic.starts_with("random,logistic,raw,,,,,,,,,,,,0,0,400,0,400,0,"), "{logistic}");
    }
}

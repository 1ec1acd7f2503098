//! How scores became probabilities: the methods on out-of-fold rows, the chosen one on test rows, and reliability tables.
//!
//! In: the report's calibration. Out: a section; the chosen method's line is marked, and a method without figures has its
//! reason below.

use super::RunReport;
use super::table::{Block, Section, Table, count, decimals};
use crate::training::config::CalibrateConfig;
use crate::training::evaluate::{Probabilities, ReliabilityBin};

pub(super) fn section(report: &RunReport) -> Section {
    let (title, id) = ("Calibration: from raw scores to probabilities".into(), "calibration");
    let calibration = &report.calibration;
    if calibration.candidates.is_empty() {
        return Section { id, title, blocks: vec![Block::Text("Nothing was calibrated.".into())] };
    }
    let name = calibration.method.as_str();
    let why = match calibration.asked {
        CalibrateConfig::Auto => "it has the lowest cross-fitted log-loss",
        _ => "the configuration asks for it",
    };
    let mut methods = Table::new(&figure_columns("method"), 1);
    methods.rows =
        calibration.candidates.iter().map(|tried| figures(tried.method.as_str(), tried.figures.as_ref())).collect();
    methods.marked = calibration.candidates.iter().position(|tried| tried.method == calibration.method);
    let mut blocks = vec![
        Block::Text(format!(
            "The answered score is calibrated by `{name}`: {why}. Each fold's out-of-fold scores are judged by the map of the \
             other folds; the frozen map is fitted on all of them. The test rows only measure it."
        )),
        Block::Heading("Methods on the out-of-fold rows, cross-fitted".into()),
        Block::Table(methods),
    ];
    let reason = |reason: &String, method: &str| format!("`{method}` can't be used: {reason}");
    let reasons = calibration.candidates.iter();
    let reasons = reasons.filter_map(|tried| Some(reason(tried.unavailable.as_ref()?, tried.method.as_str())));
    let reasons: Vec<String> = reasons.collect();
    if !reasons.is_empty() {
        blocks.push(Block::List(reasons));
    }
    let mut test = Table::new(&figure_columns("score"), 1);
    test.rows = vec![
        figures("raw", calibration.test_raw.as_ref()),
        figures("calibrated", calibration.test_calibrated.as_ref()),
    ];
    blocks.extend([Block::Heading("The test rows".into()), Block::Table(test)]);
    blocks.extend(reliability("Reliability of the out-of-fold rows, cross-fitted", &calibration.out_of_fold));
    blocks.extend(reliability("Reliability of the test rows", &calibration.test));
    blocks.push(Block::Plot("reliability"));
    blocks.push(Block::Text(
        "ECE: expected calibration error, the mean of |mean score - share of fraud| over ten quantile bins, tied scores \
         together. Reliability: rows in quantile bins of the raw score. Table I, recall, AUC and contributions of features \
         are of the raw score."
            .into(),
    ));
    Section { id, title, blocks }
}

fn figure_columns(what: &'static str) -> [&'static str; 6] {
    [what, "log-loss", "Brier", "ECE", "mean\nscore", "share of\nfraud"]
}

fn figures(name: &str, found: Option<&Probabilities>) -> Vec<String> {
    let of = |pick: fn(&Probabilities) -> f64| decimals(found.map(pick), 5);
    let figures =
        [of(|at| at.log_loss), of(|at| at.brier), of(|at| at.ece), of(|at| at.mean_score), of(|at| at.prevalence)];
    std::iter::once(name.to_owned()).chain(figures).collect()
}

fn reliability(heading: &str, bins: &[ReliabilityBin]) -> Vec<Block> {
    if bins.is_empty() {
        return Vec::new();
    }
    let mut table = Table::new(&["bin", "rows", "mean raw\nscore", "mean calibrated\nscore", "share of\nfraud"], 1);
    let line = |(at, bin): (usize, &ReliabilityBin)| {
        let shares = [bin.mean_raw, bin.mean_calibrated, bin.share].map(|share| decimals(Some(share), 5));
        [(at + 1).to_string(), count(bin.n_rows)].into_iter().chain(shares).collect()
    };
    table.rows = bins.iter().enumerate().map(line).collect();
    vec![Block::Heading(heading.into()), Block::Table(table)]
}

#[cfg(test)]
mod tests {
    use crate::training::report::{fixture, report_md, terminal};

    #[test]
    fn methods_reasons_and_bins_are_told() {
        let text = terminal(&fixture::full(), 120);
        let (_, section) = text.split_once("Calibration: from raw scores").expect("the section");
        let (section, _) = section.split_once("Statistics\n").expect("the next section");
        for said in [
            "calibrated by `isotonic`: it has the lowest cross-fitted log-loss",
            "> isotonic   0.09120  0.02736  0.00020  0.03520   0.03500",
            "  platt            -",
            "* `platt` can't be used: the slope is negative",
            "  calibrated   0.09990",
        ] {
            assert!(section.contains(said), "`{said}` is missing:\n{section}");
        }
        assert_eq!(section.matches("11,810").count(), 10 + 7, "{section}");
        assert!(terminal(&fixture::empty(), 120).contains("Nothing was calibrated."));
        assert!(report_md(&fixture::full(), &Default::default()).contains("| **isotonic** | **0.09120** |"));
    }
}

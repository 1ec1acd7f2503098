//! What is done with the finished grid: `select`, `threshold`, `limits`, `output`.

use std::ops::Bound::Included;
use std::path::PathBuf;

use super::preparation::PROTOCOLS;
use super::section::Section;
use super::values::{Refusal, choice, number, text};
use crate::training::config::{LimitsConfig, OutputConfig, Protocol, SelectBy, SelectConfig, ThresholdPolicy};

pub(super) const MEASURES: [(&str, SelectBy); 5] = [
    ("average-precision", SelectBy::AveragePrecision),
    ("auc", SelectBy::Auc),
    ("recall", SelectBy::Recall),
    ("recall-at-fpr-1", SelectBy::RecallAtFpr1),
    ("recall-at-fpr-5", SelectBy::RecallAtFpr5),
];

pub(super) fn select(mut select: Section, protocols: &[Protocol]) -> SelectConfig {
    let by = select.value("by", SelectBy::AveragePrecision, choice(&MEASURES, &[]));
    let usual = if protocols.contains(&Protocol::Temporal) { Protocol::Temporal } else { Protocol::Random };
    let protocol = select.value("protocol", usual, choice(&PROTOCOLS, &[]));
    if !protocols.contains(&protocol) {
        let message = format!("`{}` is not among `split.protocols`", protocol.as_str());
        select.report.refuse_key("select.protocol", Refusal::new(message));
    }
    select.finish();
    SelectConfig { by, protocol }
}

pub(super) fn threshold(mut threshold: Section) -> ThresholdPolicy {
    let max_fpr = threshold.value("max_fpr", 0.01, number(Included(0.0), Included(1.0)));
    for key in ["alerts_per_day", "min_precision", "cost", "f_beta", "value"] {
        threshold.only(key, "null");
    }
    threshold.finish();
    ThresholdPolicy::MaxFpr(max_fpr)
}

pub(super) fn limits(mut limits: Section) -> LimitsConfig {
    limits.only("memory_budget", "null");
    limits.only("max_model_mb", "null");
    limits.finish();
    LimitsConfig::default()
}

pub(super) fn output(mut output: Section) -> OutputConfig {
    let usual = OutputConfig::default();
    let mut folder = |key, usual| output.value(key, usual, |node| text("a folder")(node).map(PathBuf::from));
    let folders = OutputConfig {
        experiments: folder("experiments", usual.experiments),
        reports: folder("reports", usual.reports),
        artifacts: folder("artifacts", usual.artifacts),
    };
    output.finish();
    folders
}

//! What is done with the finished grid, and within which bounds: `select`, `threshold`, `calibrate`, `limits`, `importance`,
//! `evaluate`, `output`.

use std::ops::Bound::{Excluded, Included};
use std::path::PathBuf;

use super::preparation::PROTOCOLS;
use super::problem::Place;
use super::section::Section;
use super::values::{Read, Refusal, choice, flag, nullable, number, text, whole};
use super::yaml::{Node, Value};
use crate::scoring::record::parse_number;
use crate::training::config::{
    CalibrateConfig, CostMatrix, DataConfig, EvaluateConfig, ImportanceConfig, LimitsConfig, OutputConfig, Protocol,
    SelectBy, SelectConfig, ThresholdPolicy,
};
use crate::training::evaluate::Unit;

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

/// One key says what the threshold is for.
pub(super) fn threshold(mut threshold: Section) -> ThresholdPolicy {
    let share = || number(Included(0.0), Included(1.0));
    let max_fpr = threshold.value("max_fpr", None, nullable(share()));
    let alerts = threshold.value("alerts_per_day", None, nullable(number(Included(0.0), Included(MOST))));
    let min_precision = threshold.value("min_precision", None, nullable(number(Excluded(0.0), Included(1.0))));
    let cost = threshold.entry("cost").filter(|entry| !entry.value.is_null()).is_some();
    let cost = cost.then(|| costs(threshold.section("cost")));
    let f_beta = threshold.value("f_beta", None, nullable(number(Excluded(0.0), Included(MOST))));
    let value = threshold.value("value", None, nullable(share()));
    let given: Vec<ThresholdPolicy> = [
        max_fpr.map(ThresholdPolicy::MaxFpr),
        alerts.map(ThresholdPolicy::AlertsPerDay),
        min_precision.map(ThresholdPolicy::MinPrecision),
        cost.map(ThresholdPolicy::Cost),
        f_beta.map(ThresholdPolicy::FBeta),
        value.map(ThresholdPolicy::Value),
    ]
    .into_iter()
    .flatten()
    .collect();
    if let [first, second, ..] = &given[..] {
        let message = format!("a threshold has one policy, found `{}` and `{}`", first.name(), second.name());
        threshold.refuse(second.name(), Refusal::new(message).hint("keep one of them"));
    }
    if given.is_empty() {
        threshold.resolve("max_fpr", Place::Default);
    }
    threshold.finish();
    given.into_iter().next().unwrap_or(ThresholdPolicy::MaxFpr(0.01))
}

/// Far above any number of alerts, any weight, any price.
const MOST: f64 = 1e12;

fn costs(mut costs: Section) -> CostMatrix {
    let usual = CostMatrix::default();
    let money = || number(Included(0.0), Included(MOST));
    let matrix = CostMatrix {
        missed_share: costs.value("missed_share", usual.missed_share, money()),
        review: costs.value("review", usual.review, money()),
        friction: costs.value("friction", usual.friction, money()),
    };
    costs.finish();
    matrix
}

pub(super) const UNITS_DRAWN: [(&str, Unit); 3] = [("row", Unit::Row), ("day", Unit::Day), ("group", Unit::Group)];

/// `data` says which columns there are to draw by.
pub(super) fn evaluate(mut evaluate: Section, data: &DataConfig) -> EvaluateConfig {
    let usual = EvaluateConfig::default();
    let names = |node: &Node| list(node, text("the name of a column"));
    let config = EvaluateConfig {
        draws: evaluate.value("draws", usual.draws, whole(1000..=1_000_000)),
        by: evaluate.value("by", usual.by, nullable(choice(&UNITS_DRAWN, &[]))),
        alerts_per_day: evaluate.value("alerts_per_day", usual.alerts_per_day, whole(1..=1_000_000_000)),
        costs: costs(evaluate.section("costs")),
        subgroups: evaluate.value("subgroups", usual.subgroups, names),
        show_columns: evaluate.value("show_columns", usual.show_columns, names),
    };
    let undeclared = match config.by {
        Some(Unit::Day) if data.time.is_none() => Some("data.time"),
        Some(Unit::Group) if data.group.is_none() => Some("data.group"),
        _ => None,
    };
    if let Some(key) = undeclared {
        evaluate.refuse("by", Refusal::new(format!("`{key}` is not declared")));
    }
    evaluate.finish();
    config
}

/// A list, each item read alike.
fn list<T>(node: &Node, read: impl Fn(&Node) -> Read<T>) -> Read<Vec<T>> {
    match &node.value {
        Value::List(items) => items.iter().map(read).collect(),
        _ => Err(Refusal::expected("a list", node)),
    }
}

pub(super) const CALIBRATIONS: [(&str, CalibrateConfig); 5] = [
    ("auto", CalibrateConfig::Auto),
    ("none", CalibrateConfig::None),
    ("prior", CalibrateConfig::Prior),
    ("platt", CalibrateConfig::Platt),
    ("isotonic", CalibrateConfig::Isotonic),
];

pub(super) fn calibrate(root: &mut Section) -> CalibrateConfig {
    root.value("calibrate", CalibrateConfig::Auto, choice(&CALIBRATIONS, &[]))
}

pub(super) fn limits(mut limits: Section) -> LimitsConfig {
    let usual = LimitsConfig::default();
    let megabytes = number(Excluded(0.0), Included(LARGEST_MODEL_MB));
    let limits_config = LimitsConfig {
        memory_budget: limits.value("memory_budget", usual.memory_budget, nullable(bytes)),
        max_model_mb: limits.value("max_model_mb", usual.max_model_mb, nullable(megabytes)),
    };
    limits.finish();
    limits_config
}

/// Far above any model, so that a limit is a number of bytes.
const LARGEST_MODEL_MB: f64 = 1e9;
/// Far above any memory, and exact as f64.
const MOST_BYTES: f64 = (1_u64 << 50) as f64;

/// Units of bytes, the largest first.
const UNITS: [(&str, u64); 8] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1000),
];

/// `512MiB`, `2GB`, `1.5GiB`, or a whole number of bytes.
fn bytes(node: &Node) -> Read<u64> {
    let refused = || {
        let what = "a number of bytes such as `512MiB`, `2GB`, `1.5GiB` or `536870912`, up to 1024TiB";
        Refusal::expected(what, node)
    };
    if let Ok(bytes) = whole(1..=MOST_BYTES as u64)(node) {
        return Ok(bytes);
    }
    let Value::Scalar { text, .. } = &node.value else { return Err(refused()) };
    let split = UNITS.iter().find_map(|(unit, size)| Some((text.strip_suffix(unit)?, *size)));
    let number = split.and_then(|(number, size)| Some(parse_number(number.trim_end())? * size as f64));
    let bytes = number.map(f64::round).filter(|bytes| (1.0..=MOST_BYTES).contains(bytes));
    bytes.map(|bytes| bytes as u64).ok_or_else(refused)
}

/// The text that [`bytes`] reads back: the largest unit that divides.
pub(super) fn in_units(bytes: u64) -> String {
    let whole = UNITS.iter().find(|(_, size)| bytes.is_multiple_of(*size));
    whole.map_or_else(|| bytes.to_string(), |(unit, size)| format!("{}{unit}", bytes / size))
}

pub(super) fn importance(mut importance: Section) -> ImportanceConfig {
    let usual = ImportanceConfig::default();
    let config = ImportanceConfig {
        permutation: importance.value("permutation", usual.permutation, flag),
        rows: importance.value("rows", usual.rows, whole(2..=u64::from(u32::MAX))),
        repeats: importance.value("repeats", usual.repeats, whole(1..=1000)),
    };
    importance.finish();
    config
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

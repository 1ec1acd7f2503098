//! The tree -> the typed [`Config`]: the order of the sections, and the rules that span several of them.

use std::collections::BTreeSet;

use super::section::{Report, Section};
use super::values::{Refusal, text, whole};
use super::yaml::Node;
use super::{data, features, imbalance, models, policy, preparation};
use crate::training::config::{
    Case, Config, DataConfig, ImputeNumeric, ModelConfig, Protocol, Reduce, ThresholdPolicy,
};

/// The config; it may only be used if the report stays empty.
pub(super) fn config(report: &Report, root: &Node) -> Config {
    let mut root = Section::root(report, root);
    let name = root.required("name", "the name of the runs, such as `ieee-cis`", name);
    let seed = root.value("seed", 42, whole(0..=u64::MAX));
    let repeats = root.value("repeats", 1, whole(1..=100));
    let data = data::check(root.section("data"));
    let features = features::check(&mut root, &data);
    let split = preparation::split(root.section("split"), &data);
    let preprocess = preparation::preprocess(root.section("preprocess"));
    let imbalance = imbalance::check(&mut root);
    let models = models::check(&mut root);
    let select = policy::select(root.section("select"), &split.protocols);
    let threshold = policy::threshold(root.section("threshold"));
    let calibrate = policy::calibrate(&mut root);
    root.only("freeze", "null");
    let limits = policy::limits(root.section("limits"));
    let importance = policy::importance(root.section("importance"));
    let evaluate = policy::evaluate(root.section("evaluate"), &data);
    let output = policy::output(root.section("output"));
    needs_columns(report, threshold, &data);
    let temporal = split.protocols.contains(&Protocol::Temporal);
    if temporal && data.time.is_none() {
        let refusal = Refusal::new("`temporal` needs `data.time`, which is not there");
        report.refuse_key("split.protocols", refusal.hint("name the time column in `data.time`, or use [random]"));
    }
    root.finish();
    Config {
        name,
        seed,
        repeats,
        data,
        split,
        features,
        preprocess,
        imbalance,
        models,
        select,
        threshold,
        calibrate,
        limits,
        importance,
        evaluate,
        output,
    }
}

/// A policy that counts days or money needs to know them.
fn needs_columns(report: &Report, threshold: ThresholdPolicy, data: &DataConfig) {
    let (key, needed) = match threshold {
        ThresholdPolicy::AlertsPerDay(_) if data.time.is_none() => ("threshold.alerts_per_day", "data.time"),
        ThresholdPolicy::Cost(_) if data.amount.is_none() => ("threshold.cost", "data.amount"),
        _ => return,
    };
    report.refuse_key(
        key,
        Refusal::new(format!("needs `{needed}`, which is not there")).hint(format!("name the column in `{needed}`")),
    );
}

/// What can only be judged once `--only` has narrowed the grid: a network and a neighbour search can't take missing
/// values, and out-of-bag rows tell nothing where rows depend on each other.
pub(super) fn grid(report: &Report, config: &Config) {
    let network = config.models.iter().find(|model| matches!(model.model, ModelConfig::Mlp(_)));
    if let (ImputeNumeric::None, Some(network)) = (config.preprocess.impute_numeric, network) {
        let message = format!("`none` leaves values missing, which model `{}` can't take", network.name);
        let hint = "impute by `median` or `mean`, or train forests only";
        report.refuse_key("preprocess.impute.numeric", Refusal::new(message).hint(hint));
    }
    let smote = config.imbalance.iter().find(|case| matches!(case.case, Case::SmoteTomek { .. }));
    if let (ImputeNumeric::None, Some(smote)) = (config.preprocess.impute_numeric, smote) {
        let message = format!("`none` leaves values missing, which case `{}` can't measure distances with", smote.name);
        let hint = "impute by `median` or `mean`, or leave the case out";
        report.refuse_key("preprocess.impute.numeric", Refusal::new(message).hint(hint));
    }
    let projects = config.preprocess.reduce.iter().any(|reduce| matches!(reduce, Reduce::Pca { .. }));
    if config.preprocess.impute_numeric == ImputeNumeric::None && projects {
        let message = "`none` leaves values missing, which `preprocess.reduce.pca` can't take";
        let hint = "impute by `median` or `mean`, or leave `pca` out";
        report.refuse_key("preprocess.impute.numeric", Refusal::new(message).hint(hint));
    }
    if config.preprocess.inconsistent && config.data.time.is_none() {
        let refusal = Refusal::new("needs `data.time`, which is not there");
        report.refuse_key("preprocess.drop.inconsistent", refusal.hint("name the time column, or leave it out"));
    }
    out_of_bag(report, config);
}

/// A row left out of a tree is an honest test only if no drawn row tells of it: not a later one of the same time series,
/// not another one of the same card.
fn out_of_bag(report: &Report, config: &Config) {
    let declared = [("data.time", &config.data.time), ("data.group", &config.data.group)];
    let Some((declared, _)) = declared.into_iter().find(|(_, column)| column.is_some()) else { return };
    for named in &config.models {
        let (ModelConfig::RandomForest(forest) | ModelConfig::ExtraTrees(forest)) = &named.model else { continue };
        if forest.oob_score {
            let message = format!(
                "rows are not independent where `{declared}` is declared, so an out-of-bag score would flatter the model"
            );
            let hint = "leave `oob_score` out: the folds and the test rows measure the model";
            let key = format!("models.{}.oob_score", named.name);
            report.refuse_key(&key, Refusal::new(message).hint(hint));
        }
    }
}

/// A name that can stand in file names and URLs.
pub(super) fn name(node: &Node) -> Result<String, Refusal> {
    const LONGEST: usize = 60;
    let what = "a name of up to 60 lower-case letters, digits and inner hyphens";
    let name = text(what)(node)?;
    let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let fits = name.len() <= LONGEST
        && name.bytes().all(|byte| letters(byte) || byte == b'-')
        && name.bytes().next().is_some_and(letters);
    if fits { Ok(name) } else { Err(Refusal::expected(what, node)) }
}

/// Whether no value stands twice.
pub(super) fn distinct<T: Ord>(values: impl IntoIterator<Item = T>) -> bool {
    let mut seen = BTreeSet::new();
    values.into_iter().all(|value| seen.insert(value))
}

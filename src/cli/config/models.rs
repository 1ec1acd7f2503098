//! `models`: which are trained, with which settings.

use std::ops::Bound::{Excluded, Included};

use super::kinds::{Vocabulary, entries};
use super::problem::Place;
use super::section::Section;
use super::values::{Read, Refusal, choice, flag, list, nullable, number, whole};
use super::yaml::{Node, Value};
use crate::training::config::{
    CategoricalSplits, Criterion, Device, EarlyStopping, ForestConfig, MaxFeatures, MaxSamples, MlpConfig, ModelConfig,
    NamedModel, Optimizer, Schedule, WatchBy,
};

pub(super) const MODELS: Vocabulary = Vocabulary {
    noun: "model",
    built: &["random-forest", "extra-trees", "mlp"],
    later: &["gradient-boosting"],
    reserved: &[("logistic", "the logistic baseline always runs and has no settings, it is not listed")],
};

pub(super) const CRITERIA: [(&str, Criterion); 2] = [("gini", Criterion::Gini), ("entropy", Criterion::Entropy)];

pub(super) const CATEGORICAL_SPLITS: [(&str, CategoricalSplits); 2] =
    [("ordered", CategoricalSplits::Ordered), ("subset", CategoricalSplits::Subset)];

/// Whether it is AdamW.
pub(super) const OPTIMIZERS: [(&str, bool); 2] = [("adam", false), ("adamw", true)];

pub(super) const SCHEDULES: [(&str, Schedule); 3] =
    [("constant", Schedule::Constant), ("cosine", Schedule::Cosine), ("linear", Schedule::Linear)];

pub(super) const WATCHED: [(&str, WatchBy); 2] =
    [("average-precision", WatchBy::AveragePrecision), ("loss", WatchBy::Loss)];

pub(super) const DEVICES: [(&str, Device); 4] =
    [("cpu", Device::Cpu), ("cuda", Device::Cuda), ("wgpu", Device::Wgpu), ("flex", Device::Flex)];

const MOST_LAYERS: usize = 16;
const MOST: u64 = 1_000_000;
const MOST_ROWS: u64 = u32::MAX as u64;

pub(super) fn check(root: &mut Section) -> Vec<NamedModel> {
    let models = entries(root, "models", &MODELS).into_iter().map(|entry| {
        let mut settings = entry.settings;
        let model = match entry.kind {
            "random-forest" => ModelConfig::RandomForest(forest(&mut settings, ForestConfig::RANDOM_FOREST)),
            "extra-trees" => ModelConfig::ExtraTrees(forest(&mut settings, ForestConfig::EXTRA_TREES)),
            _ => ModelConfig::Mlp(mlp(&mut settings)),
        };
        settings.finish();
        NamedModel { name: entry.name, model }
    });
    models.collect()
}

fn forest(settings: &mut Section, usual: ForestConfig) -> ForestConfig {
    let forest = ForestConfig {
        trees: settings.value("trees", usual.trees, whole(1..=100_000)),
        max_depth: settings.value("max_depth", usual.max_depth, nullable(whole(1..=MOST))),
        min_samples_split: settings.value("min_samples_split", usual.min_samples_split, whole(2..=MOST_ROWS)),
        min_samples_leaf: settings.value("min_samples_leaf", usual.min_samples_leaf, whole(1..=MOST_ROWS)),
        max_leaf_nodes: settings.value("max_leaf_nodes", usual.max_leaf_nodes, nullable(whole(2..=MOST_ROWS))),
        max_features: settings.value("max_features", usual.max_features, max_features),
        criterion: settings.value("criterion", usual.criterion, choice(&CRITERIA, &["log-loss"])),
        bins: settings.value("bins", usual.bins, whole(2..=255)),
        bootstrap: settings.value("bootstrap", usual.bootstrap, flag),
        max_samples: settings.value("max_samples", usual.max_samples, nullable(max_samples)),
        oob_score: settings.value("oob_score", usual.oob_score, flag),
        categorical_splits: settings.value(
            "categorical_splits",
            usual.categorical_splits,
            choice(&CATEGORICAL_SPLITS, &[]),
        ),
    };
    settings.only("min_impurity_decrease", "null");
    if !forest.bootstrap && forest.max_samples.is_some() {
        let refusal = Refusal::new("without `bootstrap` no rows are drawn: each tree sees all of them");
        settings.refuse("max_samples", refusal.hint("set `bootstrap: true`, or leave `max_samples` out"));
    }
    if !forest.bootstrap && forest.oob_score {
        let refusal = Refusal::new("without `bootstrap` no tree leaves rows out that it could be measured on");
        settings.refuse("oob_score", refusal.hint("set `bootstrap: true`, or leave `oob_score` out"));
    }
    forest
}

/// `sqrt`, `log2`, a share such as `0.5` or `1.0`, or a number such as `20`.
fn max_features(node: &Node) -> Read<MaxFeatures> {
    let what = "`sqrt`, `log2`, a share above 0 and at most 1.0, or a whole number of at least 1";
    if let Ok(rule) = choice(&[("sqrt", MaxFeatures::Sqrt), ("log2", MaxFeatures::Log2)], &[])(node) {
        return Ok(rule);
    }
    let count = whole(1..=MOST)(node).map(MaxFeatures::Number);
    let share = |_| number(Excluded(0.0), Included(1.0))(node).map(MaxFeatures::Share);
    count.or_else(share).map_err(|_| Refusal::expected(what, node))
}

/// A share such as `0.5` or `1.0`, or a number of rows such as `20000`.
fn max_samples(node: &Node) -> Read<MaxSamples> {
    let what = "a share above 0 and at most 1.0, or a whole number of at least 1";
    let count = whole(1..=MOST_ROWS)(node).map(MaxSamples::Number);
    let share = |_| number(Excluded(0.0), Included(1.0))(node).map(MaxSamples::Share);
    count.or_else(share).map_err(|_| Refusal::expected(what, node))
}

fn mlp(settings: &mut Section) -> MlpConfig {
    let usual = MlpConfig::default();
    let hidden = list("a list of layer widths", MOST_LAYERS, whole(1..=65_536));
    let hidden = settings.value("hidden", usual.hidden, hidden);
    let positive = || nullable(number(Excluded(0.0), Included(1e9)));
    let mlp = MlpConfig {
        dropout: settings.value("dropout", usual.dropout, |node| dropout(node, hidden.len())),
        batch_norm: settings.value("batch_norm", usual.batch_norm, flag),
        epochs: settings.value("epochs", usual.epochs, whole(1..=MOST)),
        batch: settings.value("batch", usual.batch, whole(1..=MOST)),
        optimizer: optimizer(settings),
        learning_rate: settings.value("learning_rate", usual.learning_rate, number(Excluded(0.0), Included(10.0))),
        schedule: settings.value("schedule", usual.schedule, choice(&SCHEDULES, &["step", "one-cycle"])),
        clip_norm: settings.value("clip_norm", usual.clip_norm, positive()),
        pos_weight: settings.value("pos_weight", usual.pos_weight, positive()),
        early_stopping: early_stopping(settings),
        device: settings.value("device", usual.device, choice(&DEVICES, &["rocm"])),
        hidden,
    };
    settings.only("activation", "null");
    mlp
}

/// `0.2` after each hidden layer, or a list of one share for each.
fn dropout(node: &Node, n_hidden: usize) -> Read<Vec<f64>> {
    let share = number(Included(0.0), Excluded(1.0));
    if !matches!(node.value, Value::List(_)) {
        return share(node).map(|share| vec![share]);
    }
    let shares = list("a list of shares", MOST_LAYERS, share)(node)?;
    match shares.len() {
        found if found == n_hidden => Ok(shares),
        found => Err(Refusal::new(format!("expected one share for each of {n_hidden} hidden layers, found {found}"))),
    }
}

fn optimizer(settings: &mut Section) -> Optimizer {
    let is_adamw = settings.value("optimizer", false, choice(&OPTIMIZERS, &["sgd"]));
    let decay = settings.value("weight_decay", None, nullable(number(Included(0.0), Excluded(1.0))));
    match (is_adamw, decay) {
        (true, decay) => Optimizer::AdamW { weight_decay: decay.unwrap_or(0.01) },
        (false, None) => Optimizer::Adam,
        (false, Some(_)) => {
            let refusal = Refusal::new("`adam` has no decay of weights");
            settings.refuse("weight_decay", refusal.hint("set `optimizer: adamw`, or leave `weight_decay` out"));
            Optimizer::Adam
        }
    }
}

/// Null: off. A mapping, `{}` at least: on.
fn early_stopping(settings: &mut Section) -> Option<EarlyStopping> {
    let entry = settings.entry("early_stopping");
    settings.resolve("early_stopping", entry.map_or(Place::Default, |entry| entry.value.place));
    if entry.is_none_or(|entry| entry.value.is_null()) {
        return None;
    }
    let mut section = settings.section("early_stopping");
    let stopping = EarlyStopping {
        share: section.value("share", 0.1, number(Excluded(0.0), Included(0.5))),
        patience: section.value("patience", 10, whole(1..=MOST)),
        by: section.value("by", WatchBy::AveragePrecision, choice(&WATCHED, &[])),
    };
    section.finish();
    Some(stopping)
}

//! The resolved config as YAML that resolves to the same config, with where each value came from as comments.

use std::fmt::{Debug, Write as _};
use std::path::Path;

use super::data::{MISSING, ROLES, UNKNOWN};
use super::features::{NUMBERS, OPERATORS, TEXTS};
use super::imbalance::{PENALTIES, REMOVED, TOO_FEW};
use super::models::{CATEGORICAL_SPLITS, CRITERIA, OPTIMIZERS, SCHEDULES, WATCHED};
use super::policy::{CALIBRATIONS, MEASURES, UNITS_DRAWN, in_units};
use super::preparation::{ENCODINGS, IMPUTATIONS, PROTOCOLS, SCALES, TEXT_CASES};
use crate::scoring::features::{Compute, Operand};
use crate::scoring::record::parse_number;
use crate::training::config::{
    Balance, Case, Categories, ClassWeights, Components, Config, CostMatrix, EarlyStopping, EvaluateConfig,
    FeatureConfig, Figure, ForestConfig, ImputeCategorical, ImputeNumeric, Make, MaxFeatures, MaxSamples, MlpConfig,
    ModelConfig, Optimizer, Origins, Reduce, SmoteConfig, ThresholdPolicy, TomekRemove,
};

/// The YAML of a config; with `origins`, each value is followed by `# default`, `# line 12` or `# --set`.
pub fn yaml(config: &Config, origins: Option<&Origins>) -> String {
    let mut page = Page { text: String::new(), origins };
    page.value("name", &quoted(&config.name));
    page.value("seed", &config.seed.to_string());
    page.value("repeats", &config.repeats.to_string());
    data(&mut page, config);
    preparation(&mut page, config);
    page.line(0, "imbalance:", None);
    for case in &config.imbalance {
        let (kind, settings) = case_settings(&case.case);
        page.entry("imbalance", kind, &case.name, &settings);
    }
    page.line(0, "models:", None);
    // The baseline has no place in the file: it runs without being listed.
    for model in config.models.iter().filter(|model| !matches!(model.model, ModelConfig::Logistic)) {
        page.entry("models", model.model.kind().as_str(), &model.name, &model_settings(&model.model));
    }
    let output = &config.output;
    page.line(0, "select:", None);
    page.value("select.by", word(&MEASURES, config.select.by));
    page.value("select.protocol", config.select.protocol.as_str());
    page.line(0, "threshold:", None);
    threshold(&mut page, config.threshold);
    page.value("calibrate", word(&CALIBRATIONS, config.calibrate));
    let (limits, importance) = (&config.limits, &config.importance);
    page.line(0, "limits:", None);
    page.value("limits.memory_budget", &limits.memory_budget.map_or("null".to_owned(), in_units));
    page.value("limits.max_model_mb", &limits.max_model_mb.map_or("null".to_owned(), decimal));
    page.line(0, "importance:", None);
    page.value("importance.permutation", &importance.permutation.to_string());
    page.value("importance.rows", &importance.rows.to_string());
    page.value("importance.repeats", &importance.repeats.to_string());
    evaluate(&mut page, &config.evaluate);
    page.line(0, "output:", None);
    for (key, folder) in
        [("experiments", &output.experiments), ("reports", &output.reports), ("artifacts", &output.artifacts)]
    {
        page.value(&format!("output.{key}"), &quoted_path(folder));
    }
    page.text
}

fn threshold(page: &mut Page, policy: ThresholdPolicy) {
    match policy {
        ThresholdPolicy::Cost(matrix) => {
            page.line(2, "cost:", None);
            costs(page, "threshold.cost", matrix);
        }
        ThresholdPolicy::MaxFpr(number)
        | ThresholdPolicy::AlertsPerDay(number)
        | ThresholdPolicy::MinPrecision(number)
        | ThresholdPolicy::FBeta(number)
        | ThresholdPolicy::Value(number) => page.value(&format!("threshold.{}", policy.name()), &decimal(number)),
    }
}

fn costs(page: &mut Page, key: &str, matrix: CostMatrix) {
    page.value(&format!("{key}.missed_share"), &decimal(matrix.missed_share));
    page.value(&format!("{key}.review"), &decimal(matrix.review));
    page.value(&format!("{key}.friction"), &decimal(matrix.friction));
}

fn evaluate(page: &mut Page, config: &EvaluateConfig) {
    let names =
        |names: &[String]| format!("[{}]", names.iter().map(|name| quoted(name)).collect::<Vec<String>>().join(", "));
    page.line(0, "evaluate:", None);
    page.value("evaluate.draws", &config.draws.to_string());
    page.value("evaluate.by", config.by.map_or("null", |unit| word(&UNITS_DRAWN, unit)));
    page.value("evaluate.alerts_per_day", &config.alerts_per_day.to_string());
    page.line(2, "costs:", None);
    costs(page, "evaluate.costs", config.costs);
    page.value("evaluate.subgroups", &names(&config.subgroups));
    page.value("evaluate.show_columns", &names(&config.show_columns));
}

struct Page<'o> {
    text: String,
    origins: Option<&'o Origins>,
}

impl Page<'_> {
    /// A line, and where the value at the dotted key came from.
    fn line(&mut self, indent: usize, text: &str, key: Option<&str>) {
        let origin = self.origins.zip(key).and_then(|(origins, key)| origins.get(key));
        let comment = origin.map(|origin| match origin.strip_prefix("file:") {
            Some(line) => format!("  # line {line}"),
            None => format!("  # {origin}"),
        });
        let text = format!("{:indent$}{text}", "");
        // Writing to a string can't fail.
        let _ = match comment {
            Some(comment) => writeln!(self.text, "{text:<44}{comment}"),
            None => writeln!(self.text, "{text}"),
        };
    }

    /// The value at a dotted key, indented by its dots.
    fn value(&mut self, key: &str, text: &str) {
        let last = key.rsplit('.').next().unwrap_or(key);
        self.line(2 * key.matches('.').count(), &format!("{last}: {text}"), Some(key));
    }

    /// An entry of a list of kinds: a bare word, or its settings.
    fn entry(&mut self, list: &str, kind: &str, name: &str, settings: &[(&str, String)]) {
        let key = format!("{list}.{name}");
        if settings.is_empty() && kind == name {
            return self.line(2, &format!("- {kind}"), Some(&key));
        }
        self.line(2, &format!("- {kind}:"), None);
        if kind != name {
            self.line(6, &format!("name: {}", quoted(name)), Some(&format!("{key}.name")));
        }
        for (setting, text) in settings {
            self.line(6, &format!("{setting}: {text}"), Some(&format!("{key}.{setting}")));
        }
    }
}

fn data(page: &mut Page, config: &Config) {
    let data = &config.data;
    page.line(0, "data:", None);
    page.line(2, "tables:", None);
    for (nth, table) in data.tables.iter().enumerate() {
        page.line(4, &format!("- path: {}", quoted_path(&table.path)), Some(&format!("data.tables.{nth}.path")));
        if let Some(on) = &table.join {
            let text = format!("join: {{ on: {}, how: left }}", quoted(on));
            page.line(6, &text, Some(&format!("data.tables.{nth}.join.on")));
        }
    }
    page.line(2, "target:", None);
    page.value("data.target.column", &quoted(&data.target.column));
    page.value("data.target.positive", &quoted(&data.target.positive));
    for (key, column) in [("id", &data.id), ("time", &data.time), ("amount", &data.amount), ("group", &data.group)] {
        page.value(&format!("data.{key}"), &column.as_deref().map_or("null".to_owned(), quoted));
    }
    page.value("data.unknown_keys", word(&UNKNOWN, data.unknown_keys));
    page.value("data.missing_columns", word(&MISSING, data.missing_columns));
    if !data.columns.is_empty() {
        page.line(2, "columns:", None);
    }
    for (name, role) in &data.columns {
        let text = format!("{}: {}", quoted(name), word(&ROLES, *role));
        page.line(4, &text, Some(&format!("data.columns.{name}")));
    }
}

fn preparation(page: &mut Page, config: &Config) {
    let (split, preprocess) = (&config.split, &config.preprocess);
    let protocols: Vec<&str> = split.protocols.iter().map(|protocol| word(&PROTOCOLS, *protocol)).collect();
    page.line(0, "split:", None);
    page.value("split.test_share", &decimal(split.test_share));
    page.value("split.folds", &split.folds.to_string());
    page.value("split.protocols", &format!("[{}]", protocols.join(", ")));
    page.value("split.keep_groups", &split.keep_groups.is_some().to_string());
    page.value("split.gap", &decimal(split.gap));
    if !config.features.is_empty() {
        page.line(0, "features:", None);
    }
    for (nth, feature) in config.features.iter().enumerate() {
        page.line(
            2,
            &format!("- {{ {} }}", settings(&feature_settings(feature))),
            Some(&format!("features.{nth}.name")),
        );
    }
    page.line(0, "preprocess:", None);
    page.line(2, "drop:", None);
    page.value("preprocess.drop.missing_above", &preprocess.missing_above.map_or("null".to_owned(), decimal));
    page.value("preprocess.drop.constant", &preprocess.drop_constant.to_string());
    page.value("preprocess.drop.correlated_above", &preprocess.correlated_above.map_or("null".to_owned(), decimal));
    page.value("preprocess.drop.duplicates", &preprocess.duplicates.to_string());
    page.value("preprocess.drop.inconsistent", &preprocess.inconsistent.to_string());
    let most = preprocess.most_important.map_or("null".to_owned(), |most| most.to_string());
    page.value("preprocess.drop.all_but_most_important", &most);
    page.line(2, "impute:", None);
    let number = match preprocess.impute_numeric {
        ImputeNumeric::Constant(constant) => format!("{{ constant: {} }}", decimal(constant)),
        other => word(&IMPUTATIONS, other).to_owned(),
    };
    page.value("preprocess.impute.numeric", &number);
    let text = match &preprocess.impute_categorical {
        ImputeCategorical::MostFrequent => "most-frequent".to_owned(),
        ImputeCategorical::Constant(text) => format!("{{ constant: {} }}", quoted(text)),
    };
    page.value("preprocess.impute.categorical", &text);
    page.value("preprocess.impute.indicators", &preprocess.indicators.to_string());
    page.line(2, "categorical:", None);
    page.value("preprocess.categorical.case", word(&TEXT_CASES, preprocess.text_case));
    page.value("preprocess.categorical.encode", word(&ENCODINGS, preprocess.encode));
    page.value("preprocess.scale", word(&SCALES, preprocess.scale));
    if !preprocess.reduce.is_empty() {
        page.line(2, "reduce:", None);
    }
    for (nth, reduce) in preprocess.reduce.iter().enumerate() {
        let (kind, of) = reduce_settings(reduce);
        let key = format!("preprocess.reduce.{nth}.{kind}.columns");
        page.line(4, &format!("- {{ {kind}: {{ {} }} }}", settings(&of)), Some(&key));
    }
}

type Settings = Vec<(&'static str, String)>;

/// Settings as the inside of a mapping on one line.
fn settings(of: &Settings) -> String {
    of.iter().map(|(key, text)| format!("{key}: {text}")).collect::<Vec<_>>().join(", ")
}

fn reduce_settings(reduce: &Reduce) -> (&'static str, Settings) {
    match reduce {
        Reduce::Pca { columns, keep, by_missing } => {
            let keep = match *keep {
                Components::Number(number) => ("components", number.to_string()),
                Components::Variance(share) => ("variance", decimal(share)),
            };
            ("pca", vec![("columns", quoted(columns)), keep, ("by_missing", by_missing.to_string())])
        }
        Reduce::Representatives { columns, correlated_above } => {
            let limit = ("correlated_above", decimal(*correlated_above));
            ("representatives", vec![("columns", quoted(columns)), limit])
        }
    }
}

fn feature_settings(feature: &FeatureConfig) -> Settings {
    let names =
        |names: &[String]| format!("[{}]", names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", "));
    let operand = |operand: &Operand| match operand {
        Operand::Number(number) => decimal(*number),
        Operand::Column(name) => quoted(name),
    };
    let mut of = vec![("name", quoted(&feature.name))];
    match &feature.make {
        Make::Plain(compute) => of.extend(match compute {
            Compute::Operator { operator, left, right } => {
                vec![(word(&OPERATORS, *operator), format!("[{}, {}]", operand(left), operand(right)))]
            }
            Compute::Number { function, of } => vec![(word(&NUMBERS, *function), quoted(of))],
            Compute::Text { function, of } => vec![(word(&TEXTS, *function), quoted(of))],
            Compute::FirstUse { days, time } => vec![("first_use", quoted(days)), ("time", quoted(time))],
            Compute::Concat { of } => vec![("concat", names(of))],
            Compute::Missing { of } => vec![("missing", names(of))],
            Compute::Ordinal { of, order } => vec![("ordinal", quoted(of)), ("order", names(order))],
            // Not of the config: learned.
            Compute::Group { .. } | Compute::OfGroup { .. } => Vec::new(),
        }),
        Make::OfGroup { by, figure, unseen, min_rows } => {
            of.extend(match figure {
                Figure::Frequency => vec![("frequency", names(by))],
                Figure::Count => vec![("count", names(by))],
                Figure::Mean { of } => vec![("mean", quoted(of)), ("by", names(by))],
                Figure::Std { of } => vec![("std", quoted(of)), ("by", names(by))],
                Figure::RatioToMean { of } => vec![("ratio_to_mean", quoted(of)), ("by", names(by))],
                Figure::Target { smoothing, folds } => {
                    vec![("target", names(by)), ("smoothing", decimal(*smoothing)), ("folds", folds.to_string())]
                }
            });
            of.push(("unseen", unseen.map_or("null".to_owned(), decimal)));
            of.push(("min_rows", min_rows.to_string()));
        }
    }
    of.push(("input_only", feature.input_only.to_string()));
    of
}

fn case_settings(case: &Case) -> (&'static str, Settings) {
    let balance = |balance: &Balance| match *balance {
        Balance::TargetShare(share) => ("target_share", decimal(share)),
        Balance::TargetRatio(ratio) => ("target_ratio", decimal(ratio)),
    };
    match case {
        Case::Raw => ("raw", Vec::new()),
        Case::ClassWeights(ClassWeights::Balanced) => ("class-weights", Vec::new()),
        Case::ClassWeights(ClassWeights::Given { positive, negative }) => {
            ("class-weights", vec![("positive", decimal(*positive)), ("negative", decimal(*negative))])
        }
        Case::Oversample { target } => ("oversample", vec![balance(target)]),
        Case::Smote(smote) => ("smote", smote_settings(smote, balance(&smote.target))),
        Case::Tomek { remove, categories } => {
            ("tomek", [removed(*remove)].into_iter().chain(category_settings(*categories)).collect())
        }
        Case::SmoteTomek { smote, remove } => {
            let mut settings = smote_settings(smote, balance(&smote.target));
            settings.push(removed(*remove));
            ("smote-tomek", settings)
        }
    }
}

fn removed(remove: TomekRemove) -> (&'static str, String) {
    ("tomek_remove", word(&REMOVED, remove).to_owned())
}

fn smote_settings(smote: &SmoteConfig, balance: (&'static str, String)) -> Settings {
    let mut settings = vec![balance, ("k", smote.k.to_string())];
    settings.extend(category_settings(smote.categories));
    settings.push(("too_few", word(&TOO_FEW, smote.too_few).to_owned()));
    settings
}

fn category_settings(categories: Categories) -> Settings {
    match categories {
        Categories::Numeric => vec![("categorical", "numeric".to_owned())],
        Categories::Nominal(penalty) => {
            vec![("categorical", "nominal".to_owned()), ("nominal_penalty", word(&PENALTIES, penalty).to_owned())]
        }
    }
}

fn model_settings(model: &ModelConfig) -> Settings {
    match model {
        ModelConfig::RandomForest(forest) | ModelConfig::ExtraTrees(forest) => forest_settings(forest),
        ModelConfig::Mlp(mlp) => mlp_settings(mlp),
        ModelConfig::Logistic => Vec::new(),
    }
}

fn forest_settings(forest: &ForestConfig) -> Settings {
    let max_features = match forest.max_features {
        MaxFeatures::Sqrt => "sqrt".to_owned(),
        MaxFeatures::Log2 => "log2".to_owned(),
        MaxFeatures::Share(share) => decimal(share),
        MaxFeatures::Number(number) => number.to_string(),
    };
    let max_samples = match forest.max_samples {
        None => "null".to_owned(),
        Some(MaxSamples::Share(share)) => decimal(share),
        Some(MaxSamples::Number(number)) => number.to_string(),
    };
    vec![
        ("trees", forest.trees.to_string()),
        ("max_depth", forest.max_depth.map_or("null".to_owned(), |depth| depth.to_string())),
        ("min_samples_split", forest.min_samples_split.to_string()),
        ("min_samples_leaf", forest.min_samples_leaf.to_string()),
        ("max_leaf_nodes", forest.max_leaf_nodes.map_or("null".to_owned(), |leaves| leaves.to_string())),
        ("max_features", max_features),
        ("criterion", word(&CRITERIA, forest.criterion).to_owned()),
        ("bins", forest.bins.to_string()),
        ("bootstrap", forest.bootstrap.to_string()),
        ("max_samples", max_samples),
        ("oob_score", forest.oob_score.to_string()),
        ("categorical_splits", word(&CATEGORICAL_SPLITS, forest.categorical_splits).to_owned()),
    ]
}

fn mlp_settings(mlp: &MlpConfig) -> Settings {
    let optional = |value: Option<f64>| value.map_or("null".to_owned(), decimal);
    let weight_decay = match mlp.optimizer {
        Optimizer::Adam => None,
        Optimizer::AdamW { weight_decay } => Some(weight_decay),
    };
    let stopping = |stopping: EarlyStopping| {
        let EarlyStopping { share, patience, by } = stopping;
        format!("{{ share: {}, patience: {patience}, by: {} }}", decimal(share), word(&WATCHED, by))
    };
    vec![
        ("hidden", format!("{:?}", mlp.hidden)),
        ("dropout", if let [share] = mlp.dropout[..] { decimal(share) } else { format!("{:?}", mlp.dropout) }),
        ("batch_norm", mlp.batch_norm.to_string()),
        ("epochs", mlp.epochs.to_string()),
        ("batch", mlp.batch.to_string()),
        ("optimizer", word(&OPTIMIZERS, weight_decay.is_some()).to_owned()),
        ("weight_decay", optional(weight_decay)),
        ("learning_rate", decimal(mlp.learning_rate)),
        ("schedule", word(&SCHEDULES, mlp.schedule).to_owned()),
        ("clip_norm", optional(mlp.clip_norm)),
        ("pos_weight", optional(mlp.pos_weight)),
        ("early_stopping", mlp.early_stopping.map_or("null".to_owned(), stopping)),
        ("device", mlp.device.as_str().to_owned()),
    ]
}

/// The word of a value in the table by which it is read.
fn word<T: PartialEq + Debug>(table: &[(&'static str, T)], value: T) -> &'static str {
    table.iter().find(|(_, known)| *known == value).map_or("null", |(word, _)| word)
}

/// The shortest text that is the same number; always with a point or an exponent, so that `1.0` stays a share.
fn decimal(number: f64) -> String {
    format!("{number:?}")
}

fn quoted_path(path: &Path) -> String {
    quoted(&path.display().to_string())
}

/// Text as a YAML scalar, in quotes where it would otherwise be something else.
fn quoted(text: &str) -> String {
    let inner = |c: char| c.is_ascii_alphanumeric() || "_-./*".contains(c);
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '/')
        && text.chars().all(inner)
        && parse_number(text).is_none()
        && !matches!(text.to_ascii_lowercase().as_str(), "null" | "true" | "false" | "yes" | "no" | "on" | "off");
    // A JSON string is a YAML string in double quotes.
    if plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

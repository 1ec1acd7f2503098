//! The checker as a whole: defaults, positions, every kind of refusal, overrides, and the way back to YAML.

use proptest::prelude::*;

use super::*;
use crate::scoring::features::Compute;
use crate::training::config::*;

const MINIMAL: &str = "name: reference
data:
  tables:
    - path: data/train_transaction.csv
    - path: data/train_identity.csv
      join: { on: TransactionID }
  target: isFraud
  time: TransactionDT
";

fn resolve(text: &str, sets: &[&str], only: &[&str]) -> Result<Loaded, Vec<String>> {
    let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    parse(text, "c.yaml", &owned(sets), &owned(only)).map_err(|problems| {
        let hint = |problem: &Problem| problem.hint.as_ref().map(|hint| format!(" [{hint}]")).unwrap_or_default();
        problems.iter().map(|problem| format!("{problem}{}", hint(problem))).collect()
    })
}

fn config(text: &str, sets: &[&str]) -> Config {
    resolve(text, sets, &[]).map(|loaded| loaded.config).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// The problems of the minimal config with one more line; lines are counted from the end of the minimal one.
fn problems(more: &str) -> Vec<String> {
    resolve(&format!("{MINIMAL}{more}"), &[], &[]).err().unwrap_or_default()
}

#[track_caller]
fn refused(more: &str, expected: &str) {
    assert_eq!(problems(more), [expected], "{more}");
}

#[test]
fn the_defaults_are_those_of_the_format() {
    let config = config(MINIMAL, &[]);
    assert_eq!((config.seed, config.split.folds, config.split.test_share), (42, 5, 0.2));
    assert_eq!(config.split.protocols, [Protocol::Random, Protocol::Temporal]);
    assert_eq!(config.select, SelectConfig { by: SelectBy::AveragePrecision, protocol: Protocol::Temporal });
    assert_eq!(config.threshold, ThresholdPolicy::MaxFpr(0.01));
    assert_eq!(config.calibrate, CalibrateConfig::Auto);
    assert_eq!(config.data.target, Target { column: "isFraud".into(), positive: "1".into() });
    let names: Vec<&str> = config.imbalance.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(names, ["raw", "class-weights", "oversample", "smote-tomek"]);
    let target = Balance::TargetShare(0.4);
    let smote = SmoteConfig { target, k: 5, categories: Categories::Numeric, too_few: TooFew::Refuse };
    assert_eq!(config.imbalance[3].case, Case::SmoteTomek { smote, remove: TomekRemove::Both });
    assert_eq!(config.models[0].model, ModelConfig::RandomForest(ForestConfig::RANDOM_FOREST));
    assert_eq!(config.models[1].model, ModelConfig::ExtraTrees(ForestConfig::EXTRA_TREES));
    assert_eq!(config.models[2].model, ModelConfig::Mlp(MlpConfig::default()));
    assert_eq!(config.output, OutputConfig::default());
    let timeless = self::config(&MINIMAL.replace("  time: TransactionDT\n", ""), &[]);
    assert_eq!(timeless.split.protocols, [Protocol::Random]);
    assert_eq!(timeless.select.protocol, Protocol::Random);
}

#[test]
fn the_reference_file_resolves_to_the_defaults() {
    assert_eq!(config(include_str!("../../../configs/reference.yaml"), &[]), config(MINIMAL, &[]));
}

#[test]
fn the_reference_file_has_every_key() {
    // A section names its known keys when it meets a stranger: each of them must stand in the file, with its value.
    let reference = include_str!("../../../configs/reference.yaml");
    let strange = "zzzzzzzzzzzz: 1";
    let texts = [
        format!("{MINIMAL}{strange}\n"),
        format!("{MINIMAL}  {strange}\n"),
        format!("{MINIMAL}split: {{ {strange} }}\npreprocess: {{ {strange} }}\n"),
        format!(
            "{MINIMAL}preprocess: {{ drop: {{ {strange} }}, impute: {{ {strange} }}, categorical: {{ {strange} }} }}\n"
        ),
        format!("{MINIMAL}models: {{ random-forest: {{ {strange} }}, mlp: {{ {strange} }} }}\n"),
        format!("{MINIMAL}imbalance: [oversample: {{ {strange} }}, smote-tomek: {{ {strange} }}]\n"),
        format!("{MINIMAL}select: {{ {strange} }}\nthreshold: {{ {strange} }}\nlimits: {{ {strange} }}\n"),
        format!("{MINIMAL}importance: {{ {strange} }}\n"),
        format!("{MINIMAL}evaluate: {{ {strange}, costs: {{ {strange} }} }}\n"),
        format!(
            "{MINIMAL}preprocess: {{ reduce: [pca: {{ columns: V*, {strange} }}, representatives: {{ columns: V*, {strange} }}] }}\n"
        ),
        format!("{MINIMAL}features: [{{ name: a, mean: x, by: y, {strange} }}, {{ name: b, target: x, {strange} }}]\n"),
        format!("{MINIMAL}output: {{ {strange} }}\n"),
    ];
    let mut n_keys = 0;
    for problem in texts.iter().flat_map(|text| resolve(text, &[], &[]).expect_err("a strange key")) {
        let (_, known) = problem.split_once("[known: ").unwrap_or_else(|| panic!("{problem}"));
        for key in known.split('`').skip(1).step_by(2) {
            let stands = reference.lines().any(|line| line.split(['#']).any(|part| part.contains(&format!("{key}:"))));
            assert!(stands || matches!(key, "name" | "target_ratio"), "{key}");
            n_keys += 1;
        }
    }
    assert!(n_keys > 60, "{n_keys}");
}

#[test]
fn the_committed_configs_and_the_starter_are_valid() {
    for text in [
        include_str!("../../../configs/demo.yaml"),
        include_str!("../../../configs/paper.yaml"),
        include_str!("../../../configs/creditcard.yaml"),
        include_str!("../../../configs/ieee-cis.yaml"),
        STARTER,
    ] {
        config(text, &[]);
    }
    let paper = config(include_str!("../../../configs/paper.yaml"), &[]);
    assert_eq!(paper.select, SelectConfig { by: SelectBy::Recall, protocol: Protocol::Random });
    let demo = config(include_str!("../../../configs/demo.yaml"), &[]);
    assert_eq!(demo.split.folds, 3);
    assert!(matches!(&demo.models[2].model, ModelConfig::Mlp(mlp) if mlp.epochs == 10));
}

#[test]
fn the_resolved_config_reads_back_as_itself() {
    let rich = format!(
        "{MINIMAL}  missing_columns: allow
  unknown_keys: count
  group: card1
  columns: {{ V*: numeric, 'id: 33': drop, 'null': categorical, id_30: input }}
split: {{ keep_groups: true, gap: 3600 }}
{FEATURES}preprocess:
  drop: {{ missing_above: null, constant: false, correlated_above: 0.9, duplicates: true, inconsistent: true }}
  scale: robust
  impute: {{ numeric: {{ constant: -1 }}, categorical: {{ constant: none }}, indicators: true }}
  categorical: {{ case: keep, encode: one-hot }}
  reduce:
    - representatives: {{ columns: V* }}
    - pca: {{ columns: 'C*', components: 3, by_missing: true }}
    - pca: {{ columns: V*, variance: 0.9 }}
imbalance:
  - class-weights: {{ positive: 10 }}
  - oversample: {{ target_ratio: 0.25 }}
  - oversample: {{ name: os-10, target_share: 0.1 }}
  - smote-tomek: {{ k: 3, tomek_remove: majority, name: st }}
  - smote-tomek: {{ categorical: nominal, nominal_penalty: half, too_few: reduce, name: nc }}
  - smote: {{ target_ratio: 0.5, categorical: nominal }}
  - tomek: {{ tomek_remove: both }}
models:
  - random-forest: {{ max_features: 1.0, max_depth: 7, max_leaf_nodes: 31, max_samples: 1.0 }}
  - random-forest: {{ name: '7', max_features: 3, criterion: entropy, max_samples: 20000 }}
  - extra-trees: {{ bootstrap: true, categorical_splits: subset }}
  - mlp: {{ hidden: [8], learning_rate: 1e-7 }}
  - mlp:
      name: deep
      hidden: [9, 8, 7]
      dropout: [0, 0.5, 0.25]
      batch_norm: true
      optimizer: adamw
      weight_decay: 0.05
      schedule: cosine
      clip_norm: 1
      pos_weight: 12.5
      early_stopping: {{ share: 0.2, by: loss }}
      device: wgpu
  - mlp: {{ name: decayed, optimizer: adamw, early_stopping: {{}} }}
select: {{ by: recall-at-fpr-5 }}
threshold: {{ max_fpr: 0 }}
calibrate: isotonic
limits: {{ memory_budget: 1.5GiB, max_model_mb: 12.5 }}
importance: {{ permutation: true, rows: 500, repeats: 1 }}
evaluate: {{ draws: 2000, alerts_per_day: 50, costs: {{ missed_share: 0.5, review: 3 }}, subgroups: [a, 'b c'] }}
"
    );
    let policy = |policy: &str| {
        let data = "name: x\ndata: { tables: [{ path: a.csv }], target: y, time: t, amount: m, group: g }";
        format!("{data}\nevaluate: {{ by: group }}\nthreshold: {{ {policy} }}\n")
    };
    let policies = ["alerts_per_day: 20", "min_precision: 0.9", "cost: { review: 2.5 }", "f_beta: 2", "value: 0.3"];
    let policies = policies.map(policy);
    for text in [MINIMAL, &rich]
        .into_iter()
        .chain(policies.iter().map(String::as_str))
        .chain([include_str!("../../../configs/paper.yaml")])
    {
        let loaded = resolve(text, &[], &[]).expect("valid");
        let shown = show::yaml(&loaded.config, Some(&loaded.origins));
        assert_eq!(config(&shown, &[]), loaded.config, "{shown}");
        assert_eq!(config(&show::yaml(&loaded.config, None), &[]), loaded.config);
        let values = shown.lines().filter(|line| !line.trim_end().ends_with(':'));
        let silent: Vec<&str> = values.filter(|line| !line.contains("  # ")).collect();
        assert!(silent.is_empty(), "values without an origin: {silent:#?}");
    }
}

#[test]
fn origins_name_the_line_the_default_or_the_command_line() {
    let loaded = resolve(&format!("{MINIMAL}split: {{ folds: 3 }}\n"), &["models.mlp.epochs=10"], &[]).expect("valid");
    let origin = |key: &str| loaded.origins.get(key).map(String::as_str);
    assert_eq!(origin("split.folds"), Some("file:9"));
    assert_eq!(origin("split.test_share"), Some("default"));
    assert_eq!(origin("models.mlp.epochs"), Some("--set"));
    assert_eq!(origin("models.mlp.batch"), Some("default"));
    assert_eq!(origin("data.target.column"), Some("file:7"));
    assert_eq!(origin("imbalance.smote-tomek.k"), Some("default"));
}

#[test]
fn all_problems_come_at_once_and_in_order() {
    let text = "nmae: x
split: { folds: 1, test_share: '0.2' }
data:
  tables: [ { path: a.csv, join: { on: id } }, { path: b.txt } ]
models: { mlp: { epochs: ten, epohcs: 3 }, forest: {} }
seed: -1
";
    assert_eq!(
        resolve(text, &["threshold.max_fpr=2"], &["mpl"]).expect_err("problems"),
        [
            "`c.yaml`: `name`: missing, expected the name of the runs, such as `ieee-cis`",
            "`c.yaml`, line 1, column 1: `nmae`: unknown key [did you mean `name`?]",
            "`c.yaml`, line 2, column 17: `split.folds`: expected a whole number from 2 to 100, found `1`",
            "`c.yaml`, line 2, column 32: `split.test_share`: expected a number above 0 and below 1, found `\"0.2\"` [take the quotes away]",
            "`c.yaml`, line 3, column 1: `data.target`: missing, expected the column that says what is fraud, such as `isFraud`",
            "`c.yaml`, line 4, column 28: `data.tables.0.join`: the first table is the left one, it joins nothing",
            "`c.yaml`, line 4, column 48: `data.tables.1.join`: missing, expected the key of the left join, such as `{ on: TransactionID }`",
            "`c.yaml`, line 4, column 56: `data.tables.1.path`: expected a path that ends in `.csv`, `.csv.gz`, `.csv.zst`, `.parquet` or `.pq`, found `b.txt`",
            "`c.yaml`, line 5, column 26: `models.mlp.epochs`: expected a whole number from 1 to 1000000, found `ten`",
            "`c.yaml`, line 5, column 31: `models.mlp.epohcs`: unknown key [did you mean `epochs`?]",
            "`c.yaml`, line 5, column 44: `models.forest`: unknown model [known: `random-forest`, `extra-trees` or `mlp`]",
            "`c.yaml`, line 6, column 7: `seed`: expected a whole number of at least 0, found `-1`",
            "`--set threshold.max_fpr`: expected a number of at least 0 and at most 1, found `2`",
            "`--only`: no model or case is called `mpl` [did you mean `mlp`?]",
        ]
    );
}

#[test]
fn what_is_not_built_is_refused_by_name() {
    for more in [
        "imbalance: [ undersample ]",
        "models: { random-forest: { min_impurity_decrease: 0.1 } }",
        "models: { mlp: { schedule: one-cycle } }",
        "models: { mlp: { optimizer: sgd } }",
        "models: { mlp: { activation: tanh } }",
        "models: { gradient-boosting: {} }",
        "freeze: { fit_on: all }",
    ] {
        let found = problems(more);
        assert!(found.len() == 1 && found[0].contains(": not yet"), "{more}: {found:#?}");
    }
    for path in ["data/*/a.csv", "data/[ab].csv", "s3://bucket/*/a.csv"] {
        let text = format!("name: x\ndata: {{ tables: [ {{ path: '{path}' }} ], target: y }}");
        let found = resolve(&text, &[], &[]).expect_err(path);
        assert!(found.len() == 1 && found[0].contains("not yet"), "{found:#?}");
    }
}

#[test]
fn a_table_may_lie_in_a_store_and_no_secret_is_shown() {
    let of_path = |path: &str| {
        let text = format!("name: x\ndata: {{ tables: [ {{ path: '{path}' }} ], target: y }}");
        resolve(&text, &[], &[])
    };
    for path in ["s3://b/part-??.parquet", "gs://b/day=1/x.csv.zst", "az://c/folder/*.pq"] {
        let config = of_path(path).expect(path).config;
        assert_eq!(config.data.tables[0].path.to_str(), Some(path));
    }
    for (path, said) in [
        ("https://host/x.csv", "expected s3, gs or az, found `https`"),
        ("s3://x.csv", "expected a bucket and a name"),
        ("s3://b/folder/", "expected a bucket and a name"),
        ("s3://b/x.txt", "expected a path that ends in"),
        ("s3://id:hidden@b/x.csv", "holds more than bucket and name"),
        ("az://c/x.csv?sv=1&sig=hidden", "holds more than bucket and name"),
    ] {
        let found = of_path(path).expect_err(path);
        assert!(found.len() == 1 && found[0].contains(said) && !found[0].contains("hidden"), "{path}: {found:#?}");
    }
}

const FEATURES: &str = "features:
  - { name: cents, decimals: TransactionAmt }
  - { name: hour, hour: TransactionDT }
  - { name: more, greater: [TransactionAmt, 100] }
  - { name: per, ratio: [TransactionAmt, more] }
  - { name: first, first_use: D1, input_only: true }
  - { name: client, concat: [card1, first] }
  - { name: payer, email_provider: P_emaildomain }
  - { name: gaps, missing: [V*, D1] }
  - { name: size, ordinal: card6, order: [debit, 'null', '1'] }
  - { name: freq, frequency: card1, min_rows: 3 }
  - { name: usual, ratio_to_mean: TransactionAmt, by: [card1, hour], unseen: -1.5 }
  - { name: rate, target: client, smoothing: 20, folds: 3 }
";

#[test]
fn features_resolve() {
    let features = config(&format!("{MINIMAL}{FEATURES}"), &[]).features;
    assert_eq!(features.len(), 12);
    assert_eq!(features[0].place.0, "`c.yaml`, line 10, column 5, `cents`");
    let first = Compute::FirstUse { days: "D1".into(), time: "TransactionDT".into() };
    assert!(features[4].input_only && features[4].make == Make::Plain(first));
    let figure = Figure::Target { smoothing: 20.0, folds: 3 };
    assert_eq!(features[11].make, Make::OfGroup { by: vec!["client".into()], figure, unseen: None, min_rows: 1 });
}

#[test]
fn features_that_are_none() {
    let one = |feature: &str| format!("features: [ {feature} ]");
    let place = "`c.yaml`, line 9, column 13";
    for (feature, expected) in [
        (
            "{ name: a, frequency: isFraud }",
            format!("{place}: `features.0`: `isFraud` is the target: a feature made of it would tell what is to be found out [`target: <column>` encodes a column by the target, out of fold]"),
        ),
        (
            "{ name: a, mean: isFraud, by: card1 }",
            format!("{place}: `features.0`: `isFraud` is the target: a feature made of it would tell what is to be found out [`target: <column>` encodes a column by the target, out of fold]"),
        ),
        (
            "{ name: a, target: card1, folds: 1 }",
            "`c.yaml`, line 9, column 46: `features.0.folds`: expected a whole number from 2 to 100, found `1` [a training row's value comes from the other folds: with one fold it would meet its own label]".to_owned(),
        ),
        (
            "{ name: a, frequancy: card1 }",
            format!("{place}: `features.0.frequancy`: says not how it is made: expected one of its kinds [did you mean `frequency`?]"),
        ),
        (
            "{ name: a, log: x, hour: x }",
            format!("{place}: `features.0.hour`: is made in two ways, `log` and `hour`: expected one"),
        ),
        (
            "{ name: a, sum: [b, 1] }, { name: b, concat: [x, a] }",
            format!("{place}: `features.0`: features read each other in a circle: `a` -> `b` -> `a` [a feature is made of columns, or of features that do not need it]"),
        ),
        (
            "{ name: a, log: x }, { name: a, hour: x }",
            "`c.yaml`, line 9, column 34: `features.1`: a feature `a` is there already".to_owned(),
        ),
        (
            "{ name: a b, log: x }",
            "`c.yaml`, line 9, column 21: `features.0.name`: expected a name of letters, digits, `_`, `-` and `.`, found `a b`".to_owned(),
        ),
        ("{ name: a, sum: [x] }", "`c.yaml`, line 9, column 29: `features.0.sum`: expected two columns, or a column and a number".to_owned()),
    ] {
        refused(&one(feature), &expected);
    }
}

#[test]
fn preparations_that_contradict_themselves() {
    refused(
        "split: { keep_groups: true }",
        "`c.yaml`, line 9, column 23: `split.keep_groups`: needs `data.group`, which is not there [name the column]",
    );
    refused(
        "split: { protocols: [random], gap: 3600 }",
        "`c.yaml`, line 9, column 36: `split.gap`: is for protocol `temporal`, which is not among `split.protocols`",
    );
    refused(
        "preprocess: { reduce: [ pca: { columns: V*, components: 3, variance: 0.9 } ] }",
        "`c.yaml`, line 9, column 70: `preprocess.reduce.0.pca.variance`: there are `components` too, expected one of them [say how many components, or how much variance they shall explain]",
    );
    let text = format!("{MINIMAL}preprocess: {{ impute: {{ numeric: none }}, reduce: [ pca: {{ columns: V* }} ] }}");
    let found = resolve(&text, &[], &["random-forest,raw"]).expect_err("gaps in components");
    assert!(found.len() == 1 && found[0].contains("which `preprocess.reduce.pca` can't take"), "{found:#?}");
}

#[test]
fn rules_that_span_keys() {
    let timeless = MINIMAL.replace("  time: TransactionDT\n", "split: { protocols: [random, temporal] }\n");
    let found = resolve(&timeless, &[], &[]).expect_err("no time");
    assert!(
        found.len() == 1 && found[0].starts_with("`c.yaml`, line 8, column 21: `split.protocols`: `temporal` needs")
    );
    refused(
        "split: { protocols: [random] }\nselect: { protocol: temporal }",
        "`c.yaml`, line 10, column 21: `select.protocol`: `temporal` is not among `split.protocols`",
    );
    let impute = "preprocess: { impute: { numeric: none } }\n";
    assert_eq!(problems(impute).len(), 2, "neither the network nor the neighbour search takes missing values");
    let only = ["extra-trees", "raw", "oversample"];
    let forests = resolve(&format!("{MINIMAL}{impute}"), &[], &only).expect("forests take missing values");
    assert_eq!((forests.config.models.len(), forests.config.imbalance.len()), (1, 2));
    refused(
        "imbalance: [ oversample: { target_share: 0.4, target_ratio: 0.4 } ]",
        "`c.yaml`, line 9, column 28: `imbalance.0.oversample.target_share`: there is a `target_ratio` too, expected one of them \
         [`target_share` is minority / all rows, `target_ratio` is minority / majority rows]",
    );
    refused("  amount: isFraud", "`c.yaml`, line 9, column 11: `data.amount`: `isFraud` is the target already");
    refused(
        "imbalance: [ raw, raw ]",
        "`c.yaml`, line 9, column 19: `imbalance.1`: a second `raw` needs a name of its own [give it one: `name: ..`]",
    );
    refused(
        "imbalance: [ oversample: { name: raw } ]",
        "`c.yaml`, line 9, column 14: `imbalance.0.oversample`: the name `raw` is another case's",
    );
    assert_eq!(problems("models: { mlp: { name: logistic } }").len(), 1);
    assert_eq!(problems("models: {}").len(), 1);
    assert_eq!(problems("imbalance: []").len(), 1);
    assert_eq!(problems("models: { logistic: {} }").len(), 1);
}

#[test]
fn settings_of_the_network_are_refused_where_they_stand() {
    refused(
        "models: { mlp: { hidden: [9, 8], dropout: [0.1] } }",
        "`c.yaml`, line 9, column 43: `models.mlp.dropout`: expected one share for each of 2 hidden layers, found 1",
    );
    refused(
        "models: { mlp: { hidden: [9], dropout: [1] } }",
        "`c.yaml`, line 9, column 41: `models.mlp.dropout`: expected a number of at least 0 and below 1, found `1`",
    );
    refused(
        "models: { mlp: { weight_decay: 0.1 } }",
        "`c.yaml`, line 9, column 32: `models.mlp.weight_decay`: `adam` has no decay of weights \
         [set `optimizer: adamw`, or leave `weight_decay` out]",
    );
    refused(
        "models: { mlp: { early_stopping: { share: 0.6 } } }",
        "`c.yaml`, line 9, column 43: `models.mlp.early_stopping.share`: expected a number above 0 and at most 0.5, \
         found `0.6`",
    );
    refused(
        "models: { mlp: { early_stopping: { patients: 3 } } }",
        "`c.yaml`, line 9, column 36: `models.mlp.early_stopping.patients`: unknown key [did you mean `patience`?]",
    );
    refused(
        "models: { mlp: { device: gpu } }",
        "`c.yaml`, line 9, column 26: `models.mlp.device`: expected `cpu`, `cuda`, `wgpu` or `flex`, found `gpu` \
         [did you mean `cpu`?]",
    );
    let loaded = resolve(MINIMAL, &["models.mlp.early_stopping.patience=3"], &["mlp"]).expect("valid");
    assert_eq!(loaded.config.models[0].model.set_aside(), Some(0.1));
}

#[test]
fn draws_that_nobody_makes_are_refused_where_they_stand() {
    refused(
        "models: { extra-trees: { max_samples: 0.5 } }",
        "`c.yaml`, line 9, column 39: `models.extra-trees.max_samples`: without `bootstrap` no rows are drawn: each tree \
         sees all of them [set `bootstrap: true`, or leave `max_samples` out]",
    );
    let timeless = |models: &str, sets: &[&str], only: &[&str]| {
        let text = format!("{}models: [ {models} ]\n", MINIMAL.replace("  time: TransactionDT\n", ""));
        resolve(&text, sets, only).map(|loaded| loaded.config.models.len()).map_err(|problems| problems.join("\n"))
    };
    assert_eq!(
        timeless("random-forest: { bootstrap: false, oob_score: true }", &[], &[]),
        Err("`c.yaml`, line 8, column 57: `models.0.random-forest.oob_score`: without `bootstrap` no tree leaves rows out \
             that it could be measured on [set `bootstrap: true`, or leave `oob_score` out]"
            .into())
    );
    let asked = "random-forest: { oob_score: true, max_samples: 0.5 }, extra-trees";
    assert_eq!(timeless(asked, &[], &[]), Ok(3));
    assert_eq!(
        timeless(asked, &["data.group=card1"], &[]),
        Err("`c.yaml`, line 8, column 39: `models.random-forest.oob_score`: rows are not independent where `data.group` is \
             declared, so an out-of-bag score would flatter the model [leave `oob_score` out: the folds and the test rows \
             measure the model]"
            .into())
    );
    let by_time = timeless(asked, &["data.time=TransactionDT", "split.protocols=[random]"], &[]).unwrap_err();
    assert!(by_time.contains("where `data.time` is declared"), "{by_time}");
    assert_eq!(
        timeless(asked, &["data.time=TransactionDT"], &["extra-trees"]),
        Ok(1),
        "what does not run is not judged"
    );
}

#[test]
fn budgets_have_units() {
    let budget = |text: &str| config(MINIMAL, &[&format!("limits.memory_budget={text}")]).limits.memory_budget;
    for (text, expected) in [
        ("512MiB", 512 << 20),
        ("2GB", 2_000_000_000),
        ("1.5GiB", 3 << 29),
        ("0.1 GB", 100_000_000),
        ("'64KiB'", 65_536),
        ("7KB", 7000),
        ("12345", 12_345),
        ("1TB", 1_000_000_000_000),
        ("1024TiB", 1 << 50),
    ] {
        assert_eq!(budget(text), Some(expected), "{text}");
    }
    assert_eq!(budget("null"), None);
    assert_eq!(
        problems("limits: { memory_budget: 512mib }"),
        [
            "`c.yaml`, line 9, column 26: `limits.memory_budget`: expected a number of bytes such as `512MiB`, `2GB`, `1.5GiB` or \
          `536870912`, up to 1024TiB, found `512mib`"
        ]
    );
    let shown = |bytes| super::policy::in_units(bytes);
    assert_eq!([512 << 20, 2_000_000_000, 3 << 29, 12_345].map(shown), ["512MiB", "2GB", "1536MiB", "12345"]);
    let limits = config(MINIMAL, &["limits.max_model_mb=12.5"]).limits;
    assert_eq!(limits, LimitsConfig { memory_budget: None, max_model_mb: Some(12.5) });
}

#[test]
fn names_fit_file_names_and_urls() {
    for name in ["Abc", "-a", "a_b", "a b", "ä", "42", "null", &"a".repeat(61)] {
        let text = MINIMAL.replace("name: reference", &format!("name: {name}"));
        assert_eq!(resolve(&text, &[], &[]).expect_err(name).len(), 1, "{name}");
    }
    config(&MINIMAL.replace("name: reference", &format!("name: '{}'", "4".repeat(60))), &[]);
}

#[test]
fn class_weights_and_targets_have_short_forms() {
    let weights = |more: &str| config(&format!("{MINIMAL}imbalance: [ {more} ]"), &[]).imbalance[0].case.clone();
    assert_eq!(weights("class-weights"), Case::ClassWeights(ClassWeights::Balanced));
    assert_eq!(weights("class-weights: {}"), Case::ClassWeights(ClassWeights::Balanced));
    let given = ClassWeights::Given { positive: 10.0, negative: 1.0 };
    assert_eq!(weights("class-weights: { positive: 10 }"), Case::ClassWeights(given));
    let positive = |text: &str| {
        let text = MINIMAL.replace("target: isFraud", &format!("target: {{ column: y, positive: {text} }}"));
        config(&text, &[]).data.target.positive
    };
    assert_eq!([positive("1.0"), positive("'1'"), positive("yes"), positive("true")], ["1", "1", "yes", "true"]);
}

#[test]
fn overrides_reach_every_key() {
    let sets = [
        "seed=7",
        "models.mlp.epochs=10",
        "imbalance.3.smote-tomek.k=3",
        "imbalance.oversample.target_share=0.3",
        "imbalance.4={ class-weights: { name: cw-10, positive: 10 } }",
        "data.target.positive=2",
        "data.columns.V*=numeric",
        "split.protocols=[temporal]",
        "data.tables.1.join.on=id",
    ];
    let config = config(MINIMAL, &sets);
    assert_eq!(config.seed, 7);
    assert_eq!(config.models.len(), 4, "the baseline stands last");
    assert!(matches!(&config.models[2].model, ModelConfig::Mlp(mlp) if mlp.epochs == 10));
    assert!(matches!(config.imbalance[3].case, Case::SmoteTomek { smote: SmoteConfig { k: 3, .. }, .. }));
    assert_eq!(config.imbalance[2].case, Case::Oversample { target: Balance::TargetShare(0.3) });
    assert_eq!(config.imbalance[4].name, "cw-10");
    assert_eq!(config.data.target, Target { column: "isFraud".into(), positive: "2".into() });
    assert_eq!(config.data.columns, [("V*".to_owned(), ColumnRole::Numeric)]);
    assert_eq!(config.split.protocols, [Protocol::Temporal]);
    assert_eq!(config.data.tables[1].join.as_deref(), Some("id"));
}

#[test]
fn overrides_that_lead_nowhere_are_refused() {
    for (set, expected) in [
        ("seed", "`--set seed`: expected `KEY=VALUE`, found `seed` [for example `--set models.mlp.epochs=10`]"),
        ("seed=[1", "`--set seed`: not valid YAML: while parsing a flow sequence, expected ',' or ']'"),
        ("seed.x=1", "`--set seed.x`: `seed.x`: unknown key"),
        ("name.x=1", "`--set name.x`: `name` is `reference`, it has no keys"),
        (
            "imbalance.9.raw=1",
            "`--set imbalance.9.raw`: `imbalance` is a list: expected an index from 0 to 4 or the name of an entry, found `9`",
        ),
        ("models.mpl.epochs=1", "`--set models.mpl.epochs`: `models.mpl`: unknown model [did you mean `mlp`?]"),
        ("models.mlp.epoch=1", "`--set models.mlp.epoch`: unknown key [did you mean `epochs`?]"),
        ("models..x=1", "`--set models..x`: expected a key between the dots, found nothing"),
    ] {
        let found = resolve(MINIMAL, &[set], &[]).expect_err(set);
        assert!(found.contains(&expected.to_owned()) || set == "seed.x=1", "{set}: {found:#?}");
    }
}

#[test]
fn yaml_that_configs_do_not_have_is_refused_where_it_stands() {
    for (text, expected) in [
        ("a: &x 1\nb: *x", "`c.yaml`, line 1, column 4: an anchor, which configs do not have"),
        ("a: !!int 1", "`c.yaml`, line 1, column 4: a tag, which configs do not have"),
        ("a: 1\n---\nb: 2", "`c.yaml`, line 2, column 1: a second document, expected one"),
        ("a: 1\n? [x]\n: 2", "`c.yaml`, line 2, column 3: expected a key, found a list or a mapping"),
        (
            "",
            "`c.yaml`: empty, expected a mapping with at least `name` and `data` [`fraudml config init` shows a commented one to start from]",
        ),
        (
            "# nothing\n",
            "`c.yaml`: empty, expected a mapping with at least `name` and `data` [`fraudml config init` shows a commented one to start from]",
        ),
    ] {
        assert_eq!(resolve(text, &[], &[]).expect_err(text), [expected], "{text}");
    }
    let deep = format!("a: {}1{}", "[".repeat(60), "]".repeat(60));
    assert_eq!(resolve(&deep, &[], &[]).expect_err("deep"), ["`c.yaml`, line 1, column 36: nested deeper than 32"]);
    assert_eq!(
        problems("seed: 1\nseed: 2\nsplti: 1"),
        [
            "`c.yaml`, line 10, column 1: the key `seed` is there twice",
            "`c.yaml`, line 11, column 1: `splti`: unknown key [did you mean `split`?]",
        ]
    );
    assert_eq!(
        resolve("[1, 2]", &[], &[]).expect_err("a list"),
        ["`c.yaml`, line 1, column 1: expected a mapping, found a list"]
    );
    assert_eq!(
        resolve("name: x\ndata: 3", &[], &[]).expect_err("a number"),
        ["`c.yaml`, line 2, column 7: `data`: expected a mapping, found `3`"]
    );
}

#[test]
fn types_are_strict() {
    for more in [
        "seed: 1.0",
        "seed: '1'",
        "seed: 1e3",
        "seed: 0x10",
        "seed: [1]",
        "seed:",
        "seed: 99999999999999999999",
        "split: 3",
        "split: { test_share: .inf }",
        "split: { test_share: nan }",
        "split: { folds: 5.0 }",
        "preprocess: { drop: { constant: yes } }",
        "preprocess: { drop: { constant: 'true' } }",
        "models: { mlp: { hidden: [] } }",
        "models: { mlp: { hidden: [1, x] } }",
        "models: { mlp: { dropout: 1 } }",
        "models: { random-forest: { bins: 256 } }",
        "models: { random-forest: { max_features: 1.5 } }",
        "models: { random-forest: { max_features: 0 } }",
        "models: { random-forest: { max_leaf_nodes: 1 } }",
        "models: { random-forest: { max_samples: 0 } }",
        "models: { random-forest: { max_samples: 1.5 } }",
        "models: { random-forest: { categorical_splits: any } }",
        "limits: { memory_budget: 0 }",
        "limits: { memory_budget: -1GB }",
        "limits: { memory_budget: 512mib }",
        "limits: { memory_budget: 512 Mb }",
        "limits: { memory_budget: '512' }",
        "limits: { memory_budget: GiB }",
        "limits: { memory_budget: 0.1 }",
        "limits: { memory_budget: 1025TiB }",
        "limits: { memory_budget: nanGB }",
        "limits: { memory_budget: [1GB] }",
        "limits: { max_model_mb: 0 }",
        "limits: { max_model_mb: -1 }",
        "limits: { max_model_mb: 10MB }",
        "limits: { max_model_mb: .inf }",
        "importance: { permutation: 3 }",
        "importance: { rows: 1 }",
        "importance: { repeats: 0 }",
        "importance: true",
        "models: mlp",
        "imbalance: raw",
        "output: { reports: 3 }",
        "  columns: { a: text }",
        "  columns: { '*a*': drop }",
        "  columns: [a]",
        "  id: 12",
        "split: { protocols: [] }",
        "split: { protocols: [random, random] }",
        "threshold: { max_fpr: -0.1 }",
        "threshold: 0.1",
        "threshold: { max_fpr: 0.1, value: 0.5 }",
        "threshold: { min_precision: 0 }",
        "threshold: { cost: {} }",
        "threshold: { value: 1.5 }",
        "threshold: { f_beta: 0 }",
        "evaluate: { draws: 999 }",
        "evaluate: { by: week }",
        "evaluate: { by: group }",
        "evaluate: { alerts_per_day: 0 }",
        "evaluate: { costs: { review: -1 } }",
        "evaluate: { subgroups: card1 }",
        "calibrate: sigmoid",
        "calibrate: [auto]",
        "calibrate:",
    ] {
        assert_eq!(problems(more).len(), 1, "{more}: {:#?}", problems(more));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_the_checker_panic(text in "[a-z0-9:,.\\-\\[\\]{}'\"#&*!|>%@` \n\t?~é\u{1}]{0,80}", set in "[a-z.=0-9\\[{&: ]{0,20}") {
        let _ = parse(&text, "c.yaml", &[], &[]);
        let _ = parse(MINIMAL, "c.yaml", &[format!("imbalance.{set}"), set], &[]);
    }

    #[test]
    fn no_change_of_a_config_makes_the_checker_panic(at in 0usize..2000, cut in 0usize..9, put in "[a-z0-9:,\\[\\]{}'\" \n-]{0,6}") {
        let mut text: Vec<char> = include_str!("../../../configs/paper.yaml").chars().collect();
        let start = at.min(text.len());
        let end = (start + cut).min(text.len());
        text.splice(start..end, put.chars());
        let _ = parse(&text.into_iter().collect::<String>(), "c.yaml", &[], &["mlp".to_owned()]);
    }
}

/// All defaults of the schema's properties, as a config in JSON, which is YAML too.
fn defaults(schema: &serde_json::Value, root: &serde_json::Value) -> Option<serde_json::Value> {
    let refers = schema.get("$ref").and_then(|at| at.as_str()).and_then(|at| root.pointer(at.strip_prefix('#')?));
    let schema = refers.unwrap_or(schema);
    if let Some(default) = schema.get("default") {
        return Some(default.clone());
    }
    let properties = schema.get("properties")?.as_object()?;
    let of = |(key, of): (&String, &serde_json::Value)| Some((key.clone(), defaults(of, root)?));
    Some(properties.iter().filter_map(of).collect::<serde_json::Map<_, _>>().into())
}

#[test]
fn the_schemas_defaults_are_the_defaults() {
    let schema: serde_json::Value = serde_json::from_str(SCHEMA).expect("the schema is JSON");
    let mut written = defaults(&schema, &schema).expect("defaults");
    for list in ["cases", "models"] {
        let key = if list == "cases" { "imbalance" } else { "models" };
        let kinds = written[key].as_array().expect("a list of kinds").clone();
        let entry = |kind: &serde_json::Value| {
            let name = kind.as_str().expect("a kind");
            serde_json::json!({ name: defaults(&schema["$defs"][list][name], &schema) })
        };
        written[key] = kinds.iter().map(entry).collect();
    }
    // What is required has no default, and a threshold has one policy.
    written["name"] = "reference".into();
    written["data"]["tables"] = serde_json::json!([
        { "path": "data/train_transaction.csv" },
        { "path": "data/train_identity.csv", "join": { "on": "TransactionID", "how": "left" } }
    ]);
    written["data"]["target"] = serde_json::json!({ "column": "isFraud", "positive": 1 });
    written["data"]["time"] = "TransactionDT".into();
    assert_eq!(config(&written.to_string(), &[]), config(MINIMAL, &[]), "{written:#}");
}

#[test]
fn the_schema_has_every_key() {
    let schema: serde_json::Value = serde_json::from_str(SCHEMA).expect("the schema is JSON");
    let loaded = resolve(include_str!("../../../configs/reference.yaml"), &[], &[]).expect("it is a config");
    let mut seen = 0;
    for key in loaded.origins.keys() {
        let mut parts: Vec<&str> = key.split('.').collect();
        let mut at = &schema;
        if let [list @ ("imbalance" | "models"), kind, ..] = parts[..] {
            at = &schema["$defs"][if list == "models" { list } else { "cases" }][kind];
            parts.drain(..2);
        }
        for part in parts {
            let next = if part.parse::<usize>().is_ok() { &at["items"] } else { &at["properties"][part] };
            let forms = next.get("oneOf").and_then(|forms| forms.as_array());
            at = forms.and_then(|forms| forms.iter().find(|form| form.get("properties").is_some())).unwrap_or(next);
        }
        assert!(at.is_object(), "`{key}` is not in the schema");
        seen += 1;
    }
    assert!(seen > 90, "{seen}");
}

//! The command line as a person meets it: exit code, standard output and standard error of every refusal of a config,
//! of `config init | check | show`, and of usage errors. Each test runs the built program in a folder of its own.
#![cfg(feature = "train")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use insta::assert_snapshot;

const VALID: &str = "\
name: tiny
data:
  tables:
    - path: a.csv
  target: y
";

struct Folder(tempfile::TempDir);

impl Folder {
    /// A new folder that holds the file `c.yaml`.
    fn with(config: impl AsRef<[u8]>) -> Folder {
        let folder = Folder(tempfile::tempdir().expect("a temporary folder"));
        let mut file = tempfile::NamedTempFile::new_in(folder.path()).expect("a file");
        file.write_all(config.as_ref()).expect("written");
        file.persist(folder.path().join("c.yaml")).expect("named");
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fraudml"));
        command.args(arguments).current_dir(self.path()).stdin(Stdio::null());
        for variable in ["COLUMNS", "CLICOLOR_FORCE", "NO_COLOR", "CLICOLOR"] {
            command.env_remove(variable);
        }
        command
    }

    /// Exit code, standard output and standard error of one run.
    fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().expect("the program starts");
        let stdout = String::from_utf8(output.stdout).expect("UTF-8");
        let stderr = String::from_utf8(output.stderr).expect("UTF-8");
        format!("exit code {}\n--- stdout\n{stdout}--- stderr\n{stderr}", output.status.code().unwrap_or(-1))
    }
}

fn check(config: impl AsRef<[u8]>, more: &[&str]) -> String {
    Folder::with(config).run(&[&["config", "check", "--config", "c.yaml"], more].concat())
}

#[test]
fn missing_file() {
    assert_snapshot!(Folder::with("").run(&["config", "check", "--config", "nope.yaml"]), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: `nope.yaml`: no such file
    hint: `fraudml config init --out nope.yaml` writes a commented one to start from
    "#);
}

#[test]
fn a_folder_is_no_config() {
    assert_snapshot!(Folder::with("").run(&["config", "check", "--config", "."]), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: `.`: is a directory
    "#);
}

#[test]
fn empty_file() {
    assert_snapshot!(check("# only a comment\n", &[]), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: `c.yaml`: empty, expected a mapping with at least `name` and `data`
    hint: `fraudml config init` shows a commented one to start from
    "#);
}

#[test]
fn not_text() {
    assert_snapshot!(check(b"name: a\nb: \xff\xfe\n", &[]), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: `c.yaml`: line 2 is not UTF-8 text
    "#);
}

#[test]
fn too_large() {
    assert_snapshot!(check("#".repeat(1 << 20) + "\n", &[]), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: `c.yaml`: larger than 1 MiB, which no config is
    "#);
}

#[test]
fn yaml_syntax() {
    assert_snapshot!(check("name: tiny\ndata: [1, 2\nseed: 3\n", &[]), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: `c.yaml`, line 3, column 5: not valid YAML: illegal placement of ':' indicator
    "#);
    assert_snapshot!(check("name: tiny\n\tdata: 1\n", &[]), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: `c.yaml`, line 1, column 7: not valid YAML: while scanning a plain scalar, found a tab
    "#);
}

#[test]
fn duplicate_key() {
    assert_snapshot!(check(format!("{VALID}seed: 1\nseed: 2\n"), &[]), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: `c.yaml`, line 7, column 1: the key `seed` is there twice
    "#);
}

#[test]
fn unknown_key_with_a_suggestion() {
    assert_snapshot!(check(format!("{VALID}split: {{ test_shar: 0.3 }}\n"), &[]), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: `c.yaml`, line 6, column 10: `split.test_shar`: unknown key
    hint: did you mean `test_share`?
    "#);
}

#[test]
fn unknown_key_like_no_other() {
    assert_snapshot!(check(format!("{VALID}threshold: {{ quantum: 1 }}\n"), &[]), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: `c.yaml`, line 6, column 14: `threshold.quantum`: unknown key
    hint: known: `max_fpr`, `alerts_per_day`, `min_precision`, `cost`, `f_beta` or `value`
    "#);
}

#[test]
fn wrong_types() {
    let wrong = "\
seed: '42'
split: { folds: 2.5, test_share: yes }
preprocess: { drop: { constant: 1 }, scale: standart }
models: { mlp: { hidden: [500, wide], epochs: null } }
output: [reports]
";
    assert_snapshot!(check(format!("{VALID}{wrong}"), &[]), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: `c.yaml`, line 6, column 7: `seed`: expected a whole number of at least 0, found `"42"`
    hint: take the quotes away
    error: `c.yaml`, line 7, column 17: `split.folds`: expected a whole number from 2 to 100, found `2.5`
    error: `c.yaml`, line 7, column 34: `split.test_share`: expected a number above 0 and below 1, found `yes`
    error: `c.yaml`, line 8, column 33: `preprocess.drop.constant`: expected `true` or `false`, found `1`
    error: `c.yaml`, line 8, column 45: `preprocess.scale`: expected `standard`, `min-max`, `robust` or `none`, found `standart`
    hint: did you mean `standard`?
    error: `c.yaml`, line 9, column 32: `models.mlp.hidden`: expected a whole number from 1 to 65536, found `wide`
    error: `c.yaml`, line 9, column 47: `models.mlp.epochs`: expected a whole number from 1 to 1000000, found nothing
    error: `c.yaml`, line 10, column 9: `output`: expected a mapping, found a list
    error: 8 problems in `c.yaml`
    "#);
}

#[test]
fn several_problems_at_once() {
    let config = "\
nmae: tiny
data:
  tables:
    - path: a.csv
    - path: b.csv
  columns: { v: number }
split:
  folds: 1
  protocols: [temporal]
preprocess: { impute: { numeric: none } }
imbalance: [raw, oversampel, raw]
models:
  random-forest: { trees: 0 }
  mlp: {}
";
    assert_snapshot!(check(config, &["--set", "threshold.max_fpr=2", "--only", "rwa"]), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: `c.yaml`: `name`: missing, expected the name of the runs, such as `ieee-cis`
    error: `c.yaml`, line 1, column 1: `nmae`: unknown key
    hint: did you mean `name`?
    error: `c.yaml`, line 2, column 1: `data.target`: missing, expected the column that says what is fraud, such as `isFraud`
    error: `c.yaml`, line 5, column 7: `data.tables.1.join`: missing, expected the key of the left join, such as `{ on: TransactionID }`
    error: `c.yaml`, line 6, column 17: `data.columns.v`: expected `numeric`, `categorical`, `input` or `drop`, found `number`
    error: `c.yaml`, line 8, column 10: `split.folds`: expected a whole number from 2 to 100, found `1`
    error: `c.yaml`, line 9, column 14: `split.protocols`: `temporal` needs `data.time`, which is not there
    hint: name the time column in `data.time`, or use [random]
    error: `c.yaml`, line 10, column 34: `preprocess.impute.numeric`: `none` leaves values missing, which model `mlp` can't take
    hint: impute by `median` or `mean`, or train forests only
    error: `c.yaml`, line 11, column 18: `imbalance.1`: unknown case
    hint: did you mean `oversample`?
    error: `c.yaml`, line 11, column 30: `imbalance.2`: a second `raw` needs a name of its own
    hint: give it one: `name: ..`
    error: `c.yaml`, line 13, column 27: `models.random-forest.trees`: expected a whole number from 1 to 100000, found `0`
    error: `--set threshold.max_fpr`: expected a number of at least 0 and at most 1, found `2`
    error: `--only`: no model or case is called `rwa`
    hint: did you mean `raw`?
    error: 13 problems in `c.yaml`
    "#);
}

#[test]
fn keys_that_are_not_built_yet() {
    let later = "\
repeats: 0
features: [ { name: cents, decimals: amount } ]
split: { gap: 3600 }
imbalance: [ undersample, smote-tomek: { nominal_penalty: half } ]
";
    assert_snapshot!(check(VALID.replace("a.csv", "a.parquet") + later, &[]), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: `c.yaml`, line 6, column 10: `repeats`: expected a whole number from 1 to 100, found `0`
    error: `c.yaml`, line 8, column 15: `split.gap`: is for protocol `temporal`, which is not among `split.protocols`
    error: `c.yaml`, line 9, column 14: `imbalance.0`: not yet: this version knows only `raw`, `class-weights`, `oversample`, `smote`, `tomek` or `smote-tomek`
    error: `c.yaml`, line 9, column 42: `imbalance.1.smote-tomek.nominal_penalty`: there is nothing to penalise where categories are numbers
    hint: say `categorical: nominal`, or leave it out
    error: 4 problems in `c.yaml`
    "#);
}

#[test]
fn a_calibration_that_is_none() {
    assert_snapshot!(check(format!("{VALID}calibrate: isotone\n"), &[]), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: `c.yaml`, line 6, column 12: `calibrate`: expected `auto`, `none`, `prior`, `platt` or `isotonic`, found `isotone`
    hint: did you mean `isotonic`?
    "#);
    assert_snapshot!(check(VALID, &["--set", "calibrate=[platt]"]), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: `--set calibrate`: expected `auto`, `none`, `prior`, `platt` or `isotonic`, found a list
    "#);
}

#[test]
fn limits_and_draws_that_contradict_themselves() {
    let config = "\
models:
  - random-forest: { oob_score: true }
  - random-forest: { name: all-rows, bootstrap: false, max_samples: 0.5, oob_score: true }
limits: { memory_budget: 8 gigabytes, max_model_mb: 10MB }
importance: { rows: 1, repeat: 3 }
";
    assert_snapshot!(check(format!("{VALID}  group: card\n{config}"), &[]), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: `c.yaml`, line 8, column 33: `models.random-forest.oob_score`: rows are not independent where `data.group` is declared, so an out-of-bag score would flatter the model
    hint: leave `oob_score` out: the folds and the test rows measure the model
    error: `c.yaml`, line 9, column 69: `models.1.random-forest.max_samples`: without `bootstrap` no rows are drawn: each tree sees all of them
    hint: set `bootstrap: true`, or leave `max_samples` out
    error: `c.yaml`, line 9, column 85: `models.1.random-forest.oob_score`: without `bootstrap` no tree leaves rows out that it could be measured on
    hint: set `bootstrap: true`, or leave `oob_score` out
    error: `c.yaml`, line 9, column 85: `models.all-rows.oob_score`: rows are not independent where `data.group` is declared, so an out-of-bag score would flatter the model
    hint: leave `oob_score` out: the folds and the test rows measure the model
    error: `c.yaml`, line 10, column 26: `limits.memory_budget`: expected a number of bytes such as `512MiB`, `2GB`, `1.5GiB` or `536870912`, up to 1024TiB, found `8 gigabytes`
    error: `c.yaml`, line 10, column 53: `limits.max_model_mb`: expected a number above 0 and at most 1000000000, found `10MB`
    error: `c.yaml`, line 11, column 21: `importance.rows`: expected a whole number from 2 to 4294967295, found `1`
    error: `c.yaml`, line 11, column 24: `importance.repeat`: unknown key
    hint: did you mean `repeats`?
    error: 8 problems in `c.yaml`
    "#);
}

#[test]
fn overrides() {
    assert_snapshot!(check(VALID, &["--set", "models.mlp.epochs=ten"]), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: `--set models.mlp.epochs`: expected a whole number from 1 to 1000000, found `ten`
    "#);
    assert_snapshot!(check(VALID, &["--set", "models.mlp.epocs=10", "--set", "seed", "--set", "seed=[1"]), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: `--set models.mlp.epocs`: unknown key
    hint: did you mean `epochs`?
    error: `--set seed`: expected `KEY=VALUE`, found `seed`
    hint: for example `--set models.mlp.epochs=10`
    error: `--set seed`: not valid YAML: while parsing a flow sequence, expected ',' or ']'
    error: 3 problems in `c.yaml`
    "#);
    assert_snapshot!(check(VALID, &["--set", "models.mlp.epochs=10"]), @r#"
    exit code 0
    --- stdout
    ok: `c.yaml`: models x cases x protocols = 3 x 4 x 1, 5 folds
    --- stderr
    "#);
}

#[test]
fn narrowing() {
    assert_snapshot!(check(VALID, &["--only", "random-forrest,raw"]), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: `--only`: no model or case is called `random-forrest`
    hint: did you mean `random-forest`?
    "#);
    assert_snapshot!(check(VALID, &["--only", "random-forest,raw"]), @r#"
    exit code 0
    --- stdout
    ok: `c.yaml`: models x cases x protocols = 1 x 1 x 1, 5 folds
    --- stderr
    "#);
}

#[test]
fn errors_as_json() {
    assert_snapshot!(check(format!("{VALID}seeed: 1\n"), &["--json"]), @r#"
    exit code 2
    --- stdout
    {
      "error": {
        "hint": "did you mean `seed`?",
        "message": "`c.yaml`, line 6, column 1: `seeed`: unknown key",
        "problems": [
          {
            "column": 1,
            "hint": "did you mean `seed`?",
            "key": "seeed",
            "line": 6,
            "message": "unknown key",
            "source": "c.yaml"
          }
        ]
      }
    }
    --- stderr
    "#);
    assert_snapshot!(Folder::with(VALID).run(&["config", "chekc", "--json"]), @r#"
    exit code 2
    --- stdout
    {
      "error": {
        "hint": "tip: some similar subcommands exist: 'schema', 'check'\n\nUsage: fraudml config [OPTIONS] <COMMAND>\n\nFor more information, try '--help'.",
        "message": "unrecognized subcommand 'chekc'"
      }
    }
    --- stderr
    "#);
}

#[test]
fn quiet_and_json_confirmations() {
    assert_snapshot!(check(VALID, &["--quiet"]), @r#"
    exit code 0
    --- stdout
    --- stderr
    "#);
    assert_snapshot!(check(VALID, &["--json"]), @r#"
    exit code 0
    --- stdout
    {
      "config": "c.yaml",
      "ok": true
    }
    --- stderr
    "#);
}

#[test]
fn usage() {
    assert_snapshot!(Folder::with(VALID).run(&["trian"]), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: unrecognized subcommand 'trian'

      tip: a similar subcommand exists: 'train'

    Usage: fraudml [OPTIONS] <COMMAND>

    For more information, try '--help'.
    "#);
    assert_snapshot!(Folder::with(VALID).run(&["train"]), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: the following required arguments were not provided:
      --config <FILE>

    Usage: fraudml train --config <FILE>

    For more information, try '--help'.
    "#);
    assert_snapshot!(Folder::with(VALID).run(&["--threads", "0", "evaluate"]), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: invalid value '0' for '--threads <N>': 0 is not in 1..=1024

    For more information, try '--help'.
    "#);
    assert_snapshot!(Folder::with(VALID).run(&["package", "--runner", "mips=x"]), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: invalid value 'mips=x' for '--runner <ARCH=PATH>': expected `linux/amd64=PATH` or `linux/arm64=PATH`

    For more information, try '--help'.
    "#);
}

#[test]
fn help() {
    assert_snapshot!(Folder::with("").run(&["--help"]), @r#"
    exit code 0
    --- stdout
    From raw, imbalanced transaction files to a verified serverless scoring service

    Usage: fraudml [OPTIONS] <COMMAND>

    Commands:
      demo         The whole chain on generated data: synth, eda, train, evaluate, package
      synth        Write look-alike IEEE-CIS data: train_transaction.csv and train_identity.csv
      config       Start, check or show a config
      eda          Profile the data: types, missing values, balance, drift in time
      train        Train the grid of models and cases, select, freeze; continues what is unfinished
      plan         List the cells of a config's grid with what each will take, for many machines to
                   share
      cell         Do a part of a planned grid; cells that are there are left alone
      collect      Select, freeze and report once all cells of a planned grid are there
      submit       Write what an engine needs to run a planned grid, and send it off with `--go`
      resample     Show what a case does to the training rows: writes them with their origin
      evaluate     Show the figures of a finished run; trains nothing
      threshold    Plan another operating point for a finished run and give it to its bundle; trains
                   nothing
      predict      Score the rows of a file
      package      Build the OpenWhisk action image of a bundle
      serve        Run the packaged pipeline on this machine as OpenWhisk would: actions, sequence,
                   REST, web action
      deploy       Deploy a packaged bundle to OpenWhisk: package, actions, sequence, web export, route;
                   may be repeated
      undeploy     Take down what `deploy` made
      bench        Measure response times: cold start, requests one by one (Figure 4 of the paper), then
                   load
      verify       Prove that what must be the same is the same
      doctor       Say what is wrong here and what to do: machine, folders, runs, bundles, a config's
                   files
      completions  Write completions for a shell
      man          Write the manual as man pages

    Options:
          --json              Answer with one JSON document on standard output
          --quiet             Say nothing but results and errors
          --no-progress       Draw no progress bars
          --threads <N>       Worker threads [default: one per core]; results are the same for any
                              number
          --log <LEVEL>       Tell on standard error what is being done, from this level on; draws no
                              progress bars [possible values: error, warn, info, debug, trace]
          --log-format <HOW>  How lines of the log are written [default: text] [possible values: text,
                              json]
      -h, --help              Print help
      -V, --version           Print version
    --- stderr
    "#);
}

#[test]
fn init_writes_a_valid_file_once() {
    let folder = Folder::with("");
    assert_snapshot!(folder.run(&["config", "init", "--out", "new.yaml"]), @r#"
    exit code 0
    --- stdout
    wrote `new.yaml`
    --- stderr
    "#);
    assert_snapshot!(folder.run(&["config", "check", "-c", "new.yaml"]), @r#"
    exit code 0
    --- stdout
    ok: `new.yaml`: models x cases x protocols = 3 x 4 x 1, 5 folds
    --- stderr
    "#);
    assert_snapshot!(folder.run(&["config", "init", "--out", "new.yaml"]), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: `new.yaml` exists already
    hint: name another file; nothing is overwritten
    "#);
    assert_snapshot!(folder.run(&["config", "init", "--out", "no/such/new.yaml"]), @r#"
    exit code 1
    --- stdout
    --- stderr
    error: `no/such`: no such file or folder
    "#);
    let shown = folder.run(&["config", "init"]);
    let written = std::fs::read_to_string(folder.path().join("new.yaml")).expect("written");
    assert_eq!(shown, format!("exit code 0\n--- stdout\n{written}--- stderr\n"));
}

#[test]
fn show_says_where_each_value_came_from() {
    let config = format!("{VALID}models: {{ extra-trees: {{ trees: 30 }}, mlp: {{}} }}\n");
    let arguments = ["config", "show", "-c", "c.yaml", "--set", "split.folds=3", "--only", "extra-trees,raw"];
    assert_snapshot!(Folder::with(config).run(&arguments), @r#"
    exit code 0
    --- stdout
    name: tiny                                    # line 1
    seed: 42                                      # default
    repeats: 1                                    # default
    data:
      tables:
        - path: a.csv                             # line 4
      target:
        column: y                                 # line 5
        positive: "1"                             # default
      id: null                                    # default
      time: null                                  # default
      amount: null                                # default
      group: null                                 # default
      unknown_keys: ignore                        # default
      missing_columns: refuse                     # default
    split:
      test_share: 0.2                             # default
      folds: 3                                    # --set
      protocols: [random]                         # default
      keep_groups: false                          # default
      gap: 0.0                                    # default
    preprocess:
      drop:
        missing_above: 0.95                       # default
        constant: true                            # default
        correlated_above: null                    # default
        duplicates: false                         # default
        inconsistent: false                       # default
        all_but_most_important: null              # default
      impute:
        numeric: median                           # default
        categorical: most-frequent                # default
        indicators: false                         # default
      categorical:
        case: upper                               # default
        encode: label                             # default
      scale: standard                             # default
    imbalance:
      - raw                                       # default
    models:
      - extra-trees:
          trees: 30                               # line 6
          max_depth: null                         # default
          min_samples_split: 2                    # default
          min_samples_leaf: 1                     # default
          max_leaf_nodes: null                    # default
          max_features: sqrt                      # default
          criterion: gini                         # default
          bins: 255                               # default
          bootstrap: false                        # default
          max_samples: null                       # default
          oob_score: false                        # default
          categorical_splits: ordered             # default
    select:
      by: average-precision                       # default
      protocol: random                            # default
    threshold:
      max_fpr: 0.01                               # default
    calibrate: auto                               # default
    limits:
      memory_budget: null                         # default
      max_model_mb: null                          # default
    importance:
      permutation: false                          # default
      rows: 10000                                 # default
      repeats: 3                                  # default
    evaluate:
      draws: 1000                                 # default
      by: null                                    # default
      alerts_per_day: 100                         # default
      costs:
        missed_share: 1.0                         # default
        review: 5.0                               # default
        friction: 0.0                             # default
      subgroups: []                               # default
      show_columns: []                            # default
    output:
      experiments: experiments                    # default
      reports: reports                            # default
      artifacts: artifacts                        # default
    --- stderr
    "#);
}

#[test]
fn show_as_json_is_one_document() {
    let folder = Folder::with(VALID);
    let output = folder.command(&["config", "show", "-c", "c.yaml", "--json"]).output().expect("the program starts");
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one document");
    assert_eq!(document["config"]["name"], "tiny");
    assert_eq!(document["config"]["split"]["folds"], 5);
    assert_eq!(document["origins"]["name"], "file:1");
    assert_eq!(document["origins"]["models.mlp.epochs"], "default");
    assert!(output.stderr.is_empty());
}

#[test]
fn a_broken_config_stops_every_command_before_anything_is_written() {
    let folder = Folder::with(format!("{VALID}seeed: 1\n"));
    for command in ["train", "eda"] {
        assert!(folder.run(&[command, "-c", "c.yaml"]).starts_with("exit code 2\n"), "{command}");
    }
    let names = std::fs::read_dir(folder.path()).expect("the folder").count();
    assert_eq!(names, 1, "only the config is there");
}

#[test]
fn colour_only_where_it_is_wanted() {
    let folder = Folder::with(format!("{VALID}seeed: 1\n"));
    let stderr = |variables: &[(&str, &str)]| {
        let mut command = folder.command(&["config", "check", "-c", "c.yaml"]);
        command.envs(variables.iter().copied());
        String::from_utf8(command.output().expect("the program starts").stderr).expect("UTF-8")
    };
    assert!(!stderr(&[]).contains('\u{1b}'));
    assert!(stderr(&[("CLICOLOR_FORCE", "1")]).contains("\u{1b}[1m\u{1b}[31merror\u{1b}[0m: "));
    assert!(!stderr(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]).contains('\u{1b}'));
}

#[test]
fn a_reader_that_went_away_is_no_failure() {
    let folder = Folder::with(VALID);
    let mut command = folder.command(&["config", "show", "-c", "c.yaml"]);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = command.stdout(writer).stderr(Stdio::piped()).output().expect("the program starts");
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}

//! The tool from outside, on small data: bad input (exit code, words, nothing half-written), resume after Ctrl-C and
//! kill -9, parity of `predict` with the runner, replay.

#![expect(clippy::disallowed_methods, reason = "a test may leave half a file behind")]

mod tool;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tool::{FRAUDML, fraudml, ok};

/// Relative paths and contents of all files below a folder.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(&at).expect("folder").flatten() {
            let path = entry.path();
            match path.is_dir() {
                true => open.push(path),
                false => {
                    drop(found.insert(path.strip_prefix(folder).unwrap().to_owned(), fs::read(&path).expect("file")))
                }
            }
        }
    }
    found
}

/// What must be equal in two runs: all but times, threads and paths of output.
fn lasting(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = files(folder);
    found.retain(|path, _| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // What a killed process left half-written keeps its temporary name.
        !["run.json", "timings.jsonl", "times.csv"].contains(&name.as_str())
            && !path.to_string_lossy().contains(".writing-")
    });
    found
}

/// 60 rows, every sixth a fraud, one telling column; time ascends.
fn rows() -> Vec<String> {
    let row = |at: usize| {
        let fraud = u8::from(at.is_multiple_of(6));
        format!("{at},{fraud},{},{}.5,{}", at * 10, at % 7 + usize::from(fraud) * 5, ["visa", "amex", ""][at % 3])
    };
    (0..60).map(row).collect()
}

const HEADER: &str = "id,fraud,time,amount,card";

fn write_rows(folder: &Path, rows: &[String]) {
    fs::write(folder.join("train.csv"), format!("{HEADER}\n{}\n", rows.join("\n"))).expect("data");
}

fn config(extra: &str) -> String {
    format!(
        "name: tiny\ndata:\n  tables: [ {{ path: train.csv }} ]\n  target: fraud\n  id: id\n  time: time\n\
         split: {{ folds: 2, protocols: [random] }}\nimbalance: [ raw ]\nmodels:\n  random-forest: {{ trees: 5 }}\n{extra}"
    )
}

struct Case {
    folder: tempfile::TempDir,
}

impl Case {
    fn new() -> Case {
        let case = Case { folder: tempfile::tempdir().expect("folder") };
        write_rows(case.path(), &rows());
        case.config("");
        case
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn config(&self, extra: &str) {
        fs::write(self.path().join("c.yaml"), config(extra)).expect("config");
    }

    /// Changes some rows.
    fn rows(&self, change: impl Fn(usize, &mut String)) {
        let mut rows = rows();
        rows.iter_mut().enumerate().for_each(|(at, row)| change(at, row));
        write_rows(self.path(), &rows);
    }

    /// `train` fails with exit code 2, these words, an empty stdout, and writes no run.
    fn refused(&self, expected: &str) {
        let output = fraudml(self.path(), &["train", "--config", "c.yaml"]);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(stderr.trim_end(), expected.trim_end());
        assert_eq!(output.status.code(), Some(2));
        assert!(output.stdout.is_empty());
        let written: Vec<PathBuf> =
            files(self.path()).into_keys().filter(|path| path.components().count() > 1).collect();
        assert!(written.is_empty(), "half-written: {written:?}");
    }
}

#[test]
fn the_plain_case_trains() {
    let case = Case::new();
    let stdout = ok(case.path(), &["train", "--config", "c.yaml"]);
    assert!(stdout.contains("random-forest"), "{stdout}");
}

#[test]
fn a_missing_file() {
    let case = Case::new();
    fs::remove_file(case.path().join("train.csv")).unwrap();
    case.refused(
        "error: `train.csv` can't be read: no such file or directory\n\
         hint: paths are relative to the folder you are in; `fraudml synth --rows 20000 --out data` makes data to try",
    );
}

#[test]
fn a_target_that_is_not_there() {
    let case = Case::new();
    case.config("");
    fs::write(case.path().join("c.yaml"), config("").replace("target: fraud", "target: frauds")).unwrap();
    case.refused(
        "error: `train.csv`: target column `frauds` is not in the header\n\
         hint: did you mean `fraud`?",
    );
}

#[test]
fn a_constant_target() {
    let case = Case::new();
    case.rows(|_, row| *row = row.replacen(",1,", ",0,", 1));
    case.refused(
        "error: `train.csv`, column `fraud`: expected two classes, found only `0`\n\
         hint: a model needs frauds and legitimate rows to learn from",
    );
}

#[test]
fn a_three_valued_target() {
    let case = Case::new();
    case.rows(|at, row| {
        if at == 31 {
            *row = row.replacen(",0,", ",2,", 1);
        }
    });
    case.refused(
        "error: `train.csv`, line 33, column `fraud`: expected two classes, found a third: `1`, `0`, `2`\n\
         hint: fraudml scores two classes: merge the labels, or name another target",
    );
}

#[test]
fn a_ragged_row() {
    let case = Case::new();
    case.rows(|at, row| {
        if at == 9 {
            row.truncate(row.rfind(',').unwrap());
        }
    });
    case.refused(
        "error: `train.csv`, line 11, column `card`: expected 5 fields in the row, found 4\n\
         hint: every row needs as many fields as the header; a field with a comma or a line break needs quotes",
    );
}

#[test]
fn a_word_in_a_number_column() {
    let case = Case::new();
    case.rows(|at, row| {
        if at == 20 {
            *row = "20,0,200,\"12,5\",visa".into();
        }
    });
    case.refused(
        "error: `train.csv`, line 22, column `amount`: expected a number, found `12,5`\n\
         hint: numbers with a decimal comma: write a point, or declare `columns: { amount: categorical }`",
    );
}

#[test]
fn a_label_that_is_missing() {
    let case = Case::new();
    case.rows(|at, row| {
        if at == 5 {
            *row = row.replacen(",0,", ",,", 1);
        }
    });
    case.refused(
        "error: `train.csv`, line 7, column `fraud`: expected a label, found an empty field\n\
         hint: every training row needs a label: remove the rows without one",
    );
}

#[test]
fn repeated_join_keys() {
    let case = Case::new();
    fs::write(case.path().join("identity.csv"), "id,device\n3,a\n4,b\n3,c\n").unwrap();
    let joined = "tables: [ { path: train.csv }, { path: identity.csv, join: { on: id, how: left } } ]";
    fs::write(case.path().join("c.yaml"), config("").replace("tables: [ { path: train.csv } ]", joined)).unwrap();
    case.refused(
        "error: `identity.csv`, line 4, column `id`: expected a join key of its own, found `3` again (first on line 2)\n\
         hint: a left join needs at most one row per key on the right: remove or aggregate the repeated rows",
    );
}

#[test]
fn too_few_frauds_for_the_folds() {
    let case = Case::new();
    case.rows(|at, row| {
        if at > 6 {
            *row = row.replacen(",1,", ",0,", 1);
        }
    });
    case.refused(
        "error: expected at least 3 positive rows for 2 folds and a test set, found 2\n\
         hint: use fewer folds (`split.folds`), or more data",
    );
}

#[test]
fn too_few_frauds_for_the_neighbours() {
    let case = Case::new();
    let text = config("").replace("[ raw ]", "[ smote-tomek: { target_share: 0.4, k: 5 } ]");
    fs::write(case.path().join("c.yaml"), text).unwrap();
    case.refused(
        "error: case `smote-tomek`: expected more than 5 minority rows for 5 neighbours, found 4 in random fold-0\n\
         hint: lower `k`, say `too_few: reduce`, use fewer folds, or leave the case out with `--only`",
    );
}

#[test]
fn an_output_folder_that_cannot_be_written() {
    let case = Case::new();
    fs::write(case.path().join("taken"), "a file").unwrap();
    case.config("output: { artifacts: taken/artifacts }\n");
    case.refused(
        "error: `taken/artifacts` can't be made: not a directory\n\
         hint: check the folder's permissions and the free space, or choose another under `output`",
    );
}

#[test]
fn a_bundle_changed_by_one_byte_is_refused_whichever_byte_it_is() {
    let case = Case::new();
    ok(case.path(), &["train", "--config", "c.yaml", "--quiet"]);
    let bundle = fs::read_dir(case.path().join("artifacts")).unwrap().flatten().next().expect("a bundle").path();
    ok(case.path(), &["predict", "train.csv"]);
    for name in ["manifest.json", "preprocessor.json", "model.safetensors", "golden.json"] {
        let path = bundle.join(name);
        let bytes = fs::read(&path).unwrap();
        for at in [0, bytes.len() / 3, bytes.len() / 2, bytes.len() - 1] {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            fs::write(&path, &changed).unwrap();
            let output = fraudml(case.path(), &["predict", "train.csv"]);
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(2), "{name} byte {at}: {stderr}");
            assert!(stderr.contains(name) && stderr.contains("hint:"), "{name} byte {at}: {stderr}");
        }
        fs::write(&path, &bytes).unwrap();
    }
    ok(case.path(), &["predict", "train.csv"]);
}

#[test]
fn predict_refuses_a_file_without_the_columns_of_the_bundle() {
    let case = Case::new();
    ok(case.path(), &["train", "--config", "c.yaml", "--quiet"]);
    fs::write(case.path().join("other.csv"), "id,amount\n1,2\n").unwrap();
    fs::write(case.path().join("foreign.csv"), "a,b\n1,2\n").unwrap();
    for (file, missing) in [("other.csv", "`card`"), ("foreign.csv", "`amount`, `card`")] {
        let output = fraudml(case.path(), &["predict", file]);
        let expected = format!(
            "error: `{file}`: columns the bundle was trained on are missing: {missing}\n\
             hint: name the other files too: they are joined by the id column\n"
        );
        assert_eq!(String::from_utf8_lossy(&output.stderr), expected);
        assert_eq!(output.status.code(), Some(2));
    }
    // The missing column from a second file, joined by the id.
    fs::write(case.path().join("cards.csv"), "id,card\n1,visa\n").unwrap();
    assert!(ok(case.path(), &["predict", "other.csv", "cards.csv"]).starts_with("id,score,is_fraud\n1,"));
}

#[test]
fn oddly_written_files_are_read_by_one_grammar() {
    let case = Case::new();
    let plain = ok(case.path(), &["train", "--config", "c.yaml", "--json"]);
    let rows = rows();
    let odd = [
        ("blank lines", format!("{HEADER}\n{}\n\n{}\n\n\n", rows[..30].join("\n"), rows[30..].join("\n"))),
        ("carriage returns", format!("{HEADER}\r{}\r", rows.join("\r"))),
        ("quotes", format!("{HEADER}\n{}\n", rows.join("\n").replace("visa", "\"vi\"sa"))),
        ("byte order mark", format!("\u{feff}{HEADER}\r\n{}", rows.join("\r\n"))),
    ];
    for (what, text) in odd {
        fs::write(case.path().join("train.csv"), text).unwrap();
        let found = ok(case.path(), &["train", "--config", "c.yaml", "--json"]);
        let leaderboard = |document: &str| document.split("\"leaderboard\"").nth(1).map(str::to_owned);
        let (expected, found) = (leaderboard(&plain).unwrap(), leaderboard(&found).unwrap());
        assert_eq!(expected.split("\"operating_point\"").next(), found.split("\"operating_point\"").next(), "{what}");
    }
}

#[test]
fn a_damaged_cell_is_made_again() {
    let case = Case::new();
    ok(case.path(), &["train", "--config", "c.yaml", "--quiet"]);
    let before = files(&case.path().join("experiments/cells"));
    let cells: Vec<PathBuf> = before.keys().filter(|path| path.ends_with("cell.json")).cloned().collect();
    fs::write(case.path().join("experiments/cells").join(&cells[0]), "{").unwrap();
    fs::remove_file(case.path().join("experiments/cells").join(&cells[1])).unwrap();
    ok(case.path(), &["train", "--config", "c.yaml", "--quiet"]);
    assert_eq!(before, files(&case.path().join("experiments/cells")));
}

#[test]
fn missing_values_can_be_left_to_forests_and_the_baseline_steps_aside() {
    let case = Case::new();
    let stdout = ok(case.path(), &["train", "--config", "c.yaml", "--set", "preprocess.impute.numeric=none"]);
    assert!(stdout.contains("random-forest") && !stdout.contains("logistic"), "{stdout}");
}

#[test]
fn what_is_evaluated_does_not_become_the_latest_run_and_folders_may_lie_elsewhere() {
    let case = Case::new();
    ok(case.path(), &["train", "--config", "c.yaml", "--quiet"]);
    let first = fs::read_dir(case.path().join("artifacts")).unwrap().flatten().next().unwrap().file_name();
    let elsewhere =
        ["--set", "seed=7", "--set", "output.artifacts=sub/artifacts", "--set", "output.reports=sub/reports"];
    ok(case.path(), &[&["train", "--config", "c.yaml", "--quiet"][..], &elsewhere].concat());
    let latest = ok(case.path(), &["predict", "train.csv"]);
    let older = ok(case.path(), &["predict", "--bundle", &first.to_string_lossy(), "train.csv"]);
    assert_ne!(latest, older);
    let runs = fs::read_dir(case.path().join("experiments")).unwrap().flatten();
    for run in runs.filter(|entry| entry.path().join("run.json").exists()) {
        ok(case.path(), &["evaluate", &run.file_name().to_string_lossy()]);
        assert_eq!(ok(case.path(), &["predict", "train.csv"]), latest);
    }
}

#[test]
fn predict_gives_the_score_of_the_final_fit_and_reads_json_lines_alike() {
    let case = Case::new();
    ok(case.path(), &["train", "--config", "c.yaml", "--quiet"]);
    let csv = ok(case.path(), &["predict", "train.csv"]);
    assert_eq!(csv.lines().count(), 61);
    let record = |row: &String| {
        let cells: Vec<&str> = row.split(',').collect();
        // Numbers as numbers in one row, as text in the next: web parameters are strings.
        let amount = if cells[0].len() == 1 { cells[3].to_owned() } else { format!("\"{}\"", cells[3]) };
        format!(
            "{{\"id\": {}, \"amount\": {amount}, \"card\": \"{}\", \"__ow_method\": \"post\"}}\n",
            cells[0], cells[4]
        )
    };
    fs::write(case.path().join("rows.jsonl"), rows().iter().map(record).collect::<String>()).unwrap();
    let lines = ok(case.path(), &["predict", "rows.jsonl"]);
    for (csv, json) in csv.lines().skip(1).zip(lines.lines()) {
        let score = csv.split(',').nth(1).unwrap();
        assert!(json.contains(&format!("\"score\":{score},")), "{csv} {json}");
    }
}

#[test]
fn every_calibration_is_frozen_answered_and_evaluated_alike() {
    let case = Case::new();
    fs::write(case.path().join("c.yaml"), config("").replace("[ raw ]", "[ oversample: { target_share: 0.4 } ]"))
        .unwrap();
    let train = |method: &str| {
        let set = format!("calibrate={method}");
        let sets = ["--set", &set, "--set", "threshold.max_fpr=0.3"];
        ok(case.path(), &[&["train", "--config", "c.yaml", "--json"][..], &sets].concat())
    };
    let document = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    let mut answers = Vec::new();
    for method in ["none", "prior", "platt", "isotonic", "auto"] {
        let trained = document(&train(method));
        assert!(trained["calibration"] == method || method == "auto", "{trained:#}");
        // The very figures again from the cells alone, and the map of the bundle.
        let evaluated = document(&ok(case.path(), &["evaluate", trained["run"].as_str().unwrap(), "--json"]));
        for key in ["/operating_point/out_of_fold", "/operating_point/test", "/selection", "/leaderboard"] {
            assert_eq!(evaluated.pointer(key), trained.pointer(key), "{method} {key}");
        }
        let bundle = case.path().join("artifacts").join(trained["bundle"].as_str().unwrap());
        let manifest = document(&fs::read_to_string(bundle.join("manifest.json")).unwrap());
        assert_eq!(manifest["calibration"], evaluated["calibration"]["map"]);
        assert_eq!(evaluated["calibration"]["asked"], method);
        // The recall of the test rows at 0.5 is of the raw score, whatever is answered.
        assert_eq!(manifest["metrics"]["recall"], evaluated["leaderboard"]["rows"][0]["recall"]);
        let csv = ok(case.path(), &["predict", "--bundle", &bundle.to_string_lossy(), "train.csv", "--reasons", "1"]);
        let threshold = manifest["threshold"].as_f64().unwrap() as f32;
        assert_eq!(manifest["threshold"], evaluated["operating_point"]["threshold"]);
        assert!(csv.contains(",1,") && csv.contains(",0,"), "some rows on either side: {csv}");
        for line in csv.lines().skip(1) {
            let cells: Vec<&str> = line.split(',').collect();
            assert_eq!(cells[2] == "1", cells[1].parse::<f32>().unwrap() >= threshold, "{line} {threshold}");
        }
        answers.push(csv);
    }
    let distinct: std::collections::BTreeSet<&String> = answers[..4].iter().collect();
    assert_eq!(distinct.len(), 4, "each method answers in its own way");
    assert!(answers[..4].contains(&answers[4]), "auto is one of them");
}

/// A document of the only run.
#[test]
fn early_stopping_watches_rows_set_aside() {
    let case = Case::new();
    let network = |share: f64| {
        format!("  mlp: {{ hidden: [8], epochs: 40, early_stopping: {{ share: {share}, patience: 2, by: loss }} }}\n")
    };
    case.config(&network(0.3));
    ok(case.path(), &["train", "--config", "c.yaml", "--set", "models.mlp.learning_rate=0.1"]);
    let cells = files(&case.path().join("experiments/cells"));
    let cells = cells.iter().filter(|(path, _)| path.ends_with("cell.json"));
    let cells: Vec<serde_json::Value> = cells.map(|(_, bytes)| serde_json::from_slice(bytes).unwrap()).collect();
    assert_eq!(cells.len(), 9);
    for cell in &cells {
        let watched = &cell["watched"];
        if cell["model"] != "mlp" {
            assert!(watched.is_null());
            continue;
        }
        let n_epochs = cell["losses"].as_array().unwrap().len();
        let best = watched["best_epoch"].as_u64().unwrap() as usize;
        assert!(n_epochs == 40 || n_epochs == best + 2, "{watched}");
        assert_eq!(watched["losses"].as_array().unwrap().len(), n_epochs);
        // 48 training rows, of which each fold fits 24.
        let (n_fit, n_watched) = if cell["part"] == "final" { (34, 14) } else { (17, 7) };
        assert_eq!(watched["n_rows"], n_watched);
        assert_eq!(cell["resampling"]["rows_before"], n_fit, "{}", cell["resampling"]);
    }
    assert!(files(&case.path().join("reports")).keys().any(|path| path.ends_with("watched.svg")));

    let case = Case::new();
    case.config(&network(0.01));
    case.refused(
        "error: random fold-0: early stopping: expected both classes in the rows set aside, found 0 positive of 0\n\
         hint: use another `early_stopping.share`, fewer folds (`split.folds`), or more data",
    );
}

#[test]
fn a_device_that_is_not_there_is_refused_before_the_run() {
    let case = Case::new();
    case.config("  mlp: { hidden: [8], epochs: 1 }\n");
    let output = fraudml(case.path(), &["train", "--config", "c.yaml", "--device", "cuda"]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(matches!(output.status.code(), Some(1 | 2)) && stderr.starts_with("error: device `cuda`: "), "{stderr}");
    assert!(stderr.contains("hint: "));
    ok(case.path(), &["train", "--config", "c.yaml", "--device", "flex"]);
}

fn of_run(folder: &Path, file: &str) -> serde_json::Value {
    let found = files(&folder.join("experiments"));
    let mut of_name = found.iter().filter(|(path, _)| path.ends_with(file));
    let (_, bytes) = of_name.next().expect(file);
    assert!(of_name.next().is_none(), "two of {file}");
    serde_json::from_slice(bytes).expect("JSON")
}

#[test]
fn a_model_above_the_limit_is_shown_and_not_selected() {
    let case = Case::new();
    fs::write(case.path().join("c.yaml"), config("  extra-trees: { trees: 200 }\n")).unwrap();
    let with = |set: &str| fraudml(case.path(), &["train", "--config", "c.yaml", "--json", "--set", set]);
    let refused = with("limits.max_model_mb=0.0001");
    let (stdout, stderr) = (String::from_utf8(refused.stdout).unwrap(), String::from_utf8(refused.stderr).unwrap());
    assert_eq!(refused.status.code(), Some(2), "{stderr}");
    assert!(
        stdout.contains("none fits `limits.max_model_mb` of 0.0001; the smallest is random-forest with raw"),
        "{stdout}"
    );
    let n_cells = n_cells(case.path());

    let selected = with("limits.max_model_mb=0.005");
    assert!(selected.status.success(), "{selected:?}");
    assert_eq!(self::n_cells(case.path()), n_cells, "finished fits are kept");
    let document: serde_json::Value = serde_json::from_slice(&selected.stdout).unwrap();
    assert_eq!(document["selection"]["model"], "random-forest");
    let rows = document["leaderboard"]["rows"].as_array().unwrap();
    let of = |model: &str| rows.iter().find(|row| row["model"] == model).unwrap();
    assert!(of("extra-trees")["over_limit"] == true && of("random-forest")["over_limit"] == false, "{document:#}");
    let sizes: Vec<u64> = files(&case.path().join("experiments/cells"))
        .into_iter()
        .filter_map(|(path, bytes)| path.ends_with("model.safetensors").then_some(bytes.len() as u64))
        .collect();
    for row in rows {
        assert!(sizes.contains(&row["model_bytes"].as_u64().unwrap()), "{row:#}");
    }
    // Evaluated again it is the same; the page names the model that was left out.
    let again = ok(case.path(), &["evaluate", document["run"].as_str().unwrap(), "--json"]);
    assert!(again.contains("\"over_limit\": true") && again.contains("\"model\": \"random-forest\""), "{again}");
    let page = files(&case.path().join("reports"));
    let page = page.iter().find(|(path, _)| path.ends_with("report.md")).unwrap().1;
    assert!(
        String::from_utf8_lossy(page)
            .contains("Above the limit of 0.005 MB, and so not selected: extra-trees with raw")
    );
}

#[test]
fn permutation_importance_is_measured_on_request_and_changes_nothing_else() {
    let case = Case::new();
    ok(case.path(), &["train", "--config", "c.yaml", "--quiet"]);
    let plain = files(case.path());
    let asked = ["--set", "importance.permutation=true", "--set", "importance.repeats=2"];
    let train = |threads: &str| {
        let output =
            fraudml(case.path(), &[&["train", "--config", "c.yaml", "--threads", threads][..], &asked].concat());
        assert!(output.status.success(), "{output:?}");
        output
    };
    let said = train("1");
    assert!(String::from_utf8_lossy(&said.stderr).contains("6 of 6 cells are finished already"), "{said:?}");
    let file = of_run(case.path(), "permutation_importance.json");
    assert_eq!((&file["n_rows"], &file["asked"]["repeats"]), (&serde_json::json!(12), &serde_json::json!(2)));
    let drop = |column: &str| file["features"][column]["auc"]["mean"].as_f64().unwrap();
    assert!(drop("amount") > 0.0 && drop("card") > 0.0, "{file:#}");
    // Cells, bundle and leaderboard are what they were.
    let found = files(case.path());
    let told = ["run.json", "config.yaml", "timings.jsonl", "permutation_importance.json"];
    for (path, bytes) in &plain {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let may_differ = told.contains(&name.as_str()) || path.starts_with("reports");
        assert!(may_differ || found[path] == *bytes, "{} differs", path.display());
    }
    let reports = |found: &BTreeMap<PathBuf, Vec<u8>>| {
        found.clone().into_iter().filter(|(path, _)| path.starts_with("reports")).collect::<BTreeMap<_, _>>()
    };
    assert!(reports(&found).keys().any(|path| path.ends_with("importance.svg")));
    // Evaluated again, the report still tells it; made again on more threads, the bytes are the same.
    ok(case.path(), &["evaluate", "--quiet"]);
    assert!(reports(&files(case.path())) == reports(&found));
    let at = found.keys().find(|path| path.ends_with("permutation_importance.json")).unwrap();
    fs::write(case.path().join(at), "{").unwrap();
    train("4");
    assert!(fs::read(case.path().join(at)).unwrap() == found[at]);
    assert!(reports(&files(case.path())) == reports(&found));
    // Not asked for, what lies there is not told.
    ok(case.path(), &["train", "--config", "c.yaml", "--quiet"]);
    let report = of_reports(case.path());
    assert!(report["importance"]["permutation"].is_null());
}

/// `report.json` of the only run.
fn of_reports(folder: &Path) -> serde_json::Value {
    let found = files(&folder.join("reports"));
    let (_, bytes) = found.iter().find(|(path, _)| path.ends_with("report.json")).expect("a report");
    serde_json::from_slice(bytes).expect("JSON")
}

#[test]
fn timings_tell_how_long_one_row_takes_and_stay_outside_every_hash() {
    let case = Case::new();
    ok(case.path(), &["train", "--config", "c.yaml", "--quiet"]);
    let found = files(&case.path().join("experiments"));
    let (_, timings) = found.iter().find(|(path, _)| path.ends_with("timings.jsonl")).expect("timings");
    let lines: Vec<serde_json::Value> =
        String::from_utf8_lossy(timings).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 6);
    for line in lines {
        let is_final = line["cell"].as_str().unwrap().contains(" final ");
        assert_eq!(line["row_microseconds"].as_f64().is_some_and(|time| time > 0.0), is_final, "{line}");
    }
}

#[test]
fn a_cell_that_knows_neither_importance_nor_size_is_read() {
    let case = Case::new();
    ok(case.path(), &["train", "--config", "c.yaml", "--quiet"]);
    for (path, bytes) in files(&case.path().join("experiments/cells")) {
        if path.ends_with("cell.json") {
            let mut cell: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            for key in ["importance", "out_of_bag", "out_of_bag_undefined", "model_bytes"] {
                cell.as_object_mut().unwrap().remove(key);
            }
            fs::write(case.path().join("experiments/cells").join(path), cell.to_string()).unwrap();
        }
    }
    let document: serde_json::Value = serde_json::from_str(&ok(case.path(), &["evaluate", "--json"])).unwrap();
    assert!(document["leaderboard"]["rows"][0]["model_bytes"].is_null(), "{document:#}");
}

/// A bundle whose forest was written before nodes knew their values loads for ever: it scores, but gives no reasons.
#[test]
fn a_bundle_of_leaf_values_still_scores() {
    let case = Case::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/bundle_of_leaf_values");
    let bundle = folder.to_string_lossy();
    fs::write(case.path().join("rows.jsonl"), "{\"id\": 7, \"amount\": 49.5, \"card\": \"visa\"}\n").unwrap();
    let answer = ok(case.path(), &["predict", "--bundle", &bundle, "rows.jsonl"]);
    assert!(answer.starts_with("{\"id\":7,\"score\":"), "{answer}");
    let output = fraudml(case.path(), &["predict", "--bundle", &bundle, "rows.jsonl", "--reasons", "2"]);
    let expected = "error: this bundle holds no node values\nhint: train again\n";
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(2), expected));
}

/// A grid of some seconds.
fn slow_grid(folder: &Path) {
    ok(folder, &["synth", "--rows", "3000", "--seed", "3", "--out", "data", "--quiet"]);
    let text = "name: slow\ndata:\n  tables:\n    - path: data/train_transaction.csv\n  target: isFraud\n  id: TransactionID\n\
                \x20 time: TransactionDT\nsplit: { folds: 2 }\nimbalance: [ raw, class-weights, oversample: { target_share: 0.4 } ]\n\
                models:\n  random-forest: { trees: 30 }\n  extra-trees: { trees: 30 }\n";
    fs::write(folder.join("c.yaml"), text).unwrap();
}

fn n_cells(folder: &Path) -> usize {
    let cells = fs::read_dir(folder.join("experiments/cells")).into_iter().flatten().flatten();
    cells.filter(|entry| entry.path().join("cell.json").exists()).count()
}

/// Starts a training and stops it by a signal once some cells are there; how it ended.
fn interrupted_after(folder: &Path, n_finished: usize, signal: &str) -> Option<i32> {
    let mut child = Command::new(FRAUDML)
        .args(["train", "--config", "c.yaml", "--quiet"])
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("fraudml runs");
    let started = Instant::now();
    while n_cells(folder) < n_finished && started.elapsed() < Duration::from_secs(120) {
        std::thread::sleep(Duration::from_millis(2));
    }
    let stopped = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill runs");
    assert!(stopped.success(), "the training ended before it could be stopped");
    child.wait().expect("child").code()
}

#[test]
fn a_run_that_was_stopped_at_any_moment_ends_with_the_same_bytes() {
    let (undisturbed, disturbed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    slow_grid(undisturbed.path());
    slow_grid(disturbed.path());
    ok(undisturbed.path(), &["train", "--config", "c.yaml", "--quiet"]);

    assert_eq!(interrupted_after(disturbed.path(), 2, "-INT"), Some(130));
    let after_interrupt = n_cells(disturbed.path());
    assert!(after_interrupt >= 2);
    for (more, signal, code) in [(3, "-KILL", None), (6, "-TERM", Some(130)), (9, "-KILL", None)] {
        let n_finished = after_interrupt + more;
        assert_eq!(interrupted_after(disturbed.path(), n_finished, signal), code);
        assert!(n_cells(disturbed.path()) >= n_finished, "finished cells stay");
    }
    let evaluated = fraudml(disturbed.path(), &["evaluate"]);
    assert_eq!(evaluated.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&evaluated.stderr).contains("cells are missing"));

    ok(disturbed.path(), &["train", "--config", "c.yaml", "--quiet"]);
    let (expected, found) = (lasting(undisturbed.path()), lasting(disturbed.path()));
    assert_eq!(expected.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>());
    for (path, bytes) in &expected {
        assert!(found[path] == *bytes, "{} differs", path.display());
    }
    // Nothing is left to do: no cell is written again.
    let cells = files(&disturbed.path().join("experiments/cells"));
    let said = fraudml(disturbed.path(), &["train", "--config", "c.yaml", "--no-progress"]);
    assert!(String::from_utf8_lossy(&said.stderr).contains("48 of 48 cells are finished already"), "{said:?}");
    assert_eq!(cells, files(&disturbed.path().join("experiments/cells")));
}

#[test]
fn the_second_of_two_processes_on_one_run_says_so_and_harms_nothing() {
    let (alone, shared) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    slow_grid(alone.path());
    slow_grid(shared.path());
    ok(alone.path(), &["train", "--config", "c.yaml", "--quiet"]);
    let mut first = Command::new(FRAUDML)
        .args(["train", "--config", "c.yaml", "--quiet"])
        .current_dir(shared.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("fraudml runs");
    while n_cells(shared.path()) == 0 && first.try_wait().expect("child").is_none() {
        std::thread::sleep(Duration::from_millis(2));
    }
    let second = fraudml(shared.path(), &["train", "--config", "c.yaml", "--quiet"]);
    let stderr = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(first.wait().expect("child").success());
    // Whoever comes when the first is done does it all again from finished cells: then there is nothing to say.
    assert_eq!(second.status.code(), Some(75), "{stderr}");
    assert!(stderr.contains("another process trains this run\nhint: wait until it is done"), "{stderr}");
    assert!(lasting(alone.path()) == lasting(shared.path()));
}

/// Events name verbs and cells; never what stands in the data.
#[test]
fn no_cell_of_the_data_reaches_a_log() {
    let case = Case::new();
    case.rows(|at, row| *row = row.replace("visa", &format!("person-{}@example.org", at % 6)));
    let train = ["train", "--config", "c.yaml", "--log", "trace", "--log-format", "json"];
    let output = fraudml(case.path(), &train);
    assert!(output.status.success(), "{output:?}");
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(!log.contains("example.org"), "{log}");
    let lines = log.lines().filter(|line| line.starts_with('{'));
    let lines: Vec<serde_json::Value> = lines.map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let fields = |name: &str| lines.iter().filter(|line| line["fields"][name].is_string()).count();
    assert!(fields("cell") == 6 && fields("verb") > 10 && fields("path") > 10, "{log}");
    // The same times as a tree.
    let run = of_run(case.path(), "run.json");
    let parts = run["timing"]["parts"].as_array().expect("a tree");
    let fit = parts.iter().find(|part| part["name"] == "fit").expect("a verb");
    assert_eq!(fit["parts"].as_array().expect("cells").len(), 6, "{run:#}");
}

//! `evaluate` and `threshold` from outside, on a small run: figures, gates, comparisons, policies, bad input and its words.

#![expect(clippy::disallowed_methods, reason = "a test may leave half a file behind")]

mod tool;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use tool::{fraudml, ok};

/// The exit code and what is said of it.
fn refused(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = fraudml(folder, arguments);
    (output.status.code(), String::from_utf8(output.stderr).expect("text"))
}

fn json(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// 1200 rows over 20 days, every eighth a fraud; scores of frauds are higher, of every third one not.
fn csv(negative: bool) -> String {
    let mut text = String::from("id,fraud,time,amount,card,kind,x,y\n");
    let noise = |row: u64, salt: u64| {
        let mut mixed = (row << 8 | salt).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % 1000
    };
    for row in 0..1200u64 {
        let fraud = u64::from(row % 8 == 0);
        let told = fraud * u64::from(row % 3 > 0);
        let amount =
            if negative && row == 1190 { "-3.5".to_owned() } else { format!("{}.25", noise(row, 3) + 100 * fraud) };
        let kind = ["web", "shop", "phone"][(noise(row, 4) % 3) as usize];
        let (x, y) = (noise(row, 1) + 600 * told, noise(row, 2));
        text += &format!("r{row},{fraud},{},{amount},{},{kind},{x},{y}\n", row * 1440, noise(row, 5) % 300);
    }
    text
}

const CONFIG: &str = "
name: desk
data:
  tables: [ { path: train.csv } ]
  target: fraud
  id: id
  time: time
  amount: amount
  group: card
  columns: { card: categorical }
split: { folds: 2 }
imbalance: [ raw ]
models: { random-forest: { trees: 8 }, extra-trees: { trees: 8 } }
evaluate: { alerts_per_day: 4, subgroups: [kind, amount], show_columns: [kind] }
";

fn folder(config: &str, negative: bool) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("train.csv"), csv(negative)).expect("written");
    fs::write(folder.path().join("c.yaml"), config).expect("written");
    folder
}

fn train(folder: &Path, more: &[&str]) -> Json {
    json(&ok(folder, &[&["train", "--config", "c.yaml", "--json"], more].concat()))
}

#[test]
fn a_run_is_evaluated_gated_replanned_and_compared() {
    let case = folder(CONFIG, false);
    let trained = train(case.path(), &[]);
    let run = trained["run"].as_str().unwrap();
    let report = json(&ok(case.path(), &["evaluate", "--json"]));
    figures_agree(&report, case.path(), run);
    gates(case.path(), &report);
    threshold(case.path(), &trained);
    hostile_policies(case.path(), &trained);
    compared(case.path(), run);
}

/// The same figures as `train`, intervals around them, sections with something in them.
fn figures_agree(report: &Json, folder: &Path, run: &str) {
    let assessment = &report["assessment"];
    assert_eq!((assessment["by"].as_str(), assessment["draws"].as_u64()), (Some("group"), Some(1000)));
    let rows = report["leaderboard"]["rows"].as_array().unwrap();
    assert_eq!(assessment["headline"].as_array().map(Vec::len), Some(rows.len()));
    for headline in assessment["headline"].as_array().unwrap() {
        let same = |row: &&Json| ["protocol", "model", "case"].iter().all(|key| row[*key] == headline[*key]);
        let row = rows.iter().find(same).unwrap();
        for name in ["average_precision", "auc", "recall_at_fpr_1", "recall_at_fpr_5"] {
            assert_eq!(headline["figures"][name]["value"], row[name], "{name}");
        }
        let precision = &headline["figures"]["average_precision"];
        let end = |at: usize| precision["interval"][at].as_f64().unwrap();
        assert!(end(0) < precision["value"].as_f64().unwrap() && precision["value"].as_f64().unwrap() < end(1));
    }
    // Two protocols of three models: three pairs each.
    assert_eq!(assessment["differences"].as_array().map(Vec::len), Some(6));
    assert_eq!(assessment["point"]["recall"]["value"], report["operating_point"]["test"]["recall"]);
    let rules = assessment["money"]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), 4);
    assert!(rules[0]["cost"].as_f64().unwrap() > 0.0 && rules[0]["saving"]["value"] == 0.0);
    let groups = assessment["subgroups"].as_array().unwrap();
    assert_eq!(groups.iter().filter(|group| group["attribute"] == "kind").count(), 3);
    assert_eq!(groups.iter().filter(|group| group["attribute"] == "amount").count(), 4);
    let explanation = &report["explanation"];
    assert!(!explanation["dependence"].as_array().unwrap().is_empty());
    let miss = &explanation["misses"][0];
    assert!(miss["id"].as_str().unwrap().starts_with('r') && miss["columns"]["kind"].is_string(), "{miss}");
    assert_eq!(miss["columns"].as_object().map(|columns| columns.len()), Some(1), "only what was asked for");
    assert_eq!(report["provenance"]["inputs"][0]["rows"], 1200);
    assert_eq!(report["provenance"]["target_copies"], Json::Array(Vec::new()));
    let folder = folder.join("reports").join(run);
    let page = fs::read_to_string(folder.join("report.html")).unwrap();
    assert!(page.len() < 3_000_000 && !page.contains("<script") && page.contains("The most costly misses"));
    for file in ["report.md", "report.json", "model_card.md", "times.csv", "thresholds.svg", "savings.png"] {
        assert!(fs::metadata(folder.join(file)).is_ok_and(|file| file.len() > 100), "{file}");
    }
    let text = ok(folder.parent().unwrap().parent().unwrap(), &["evaluate", run]);
    let titles = [
        "Headline\n",
        "Table I",
        "Honest validation",
        "Operating point",
        "Money",
        "Calibration",
        "Statistics",
        "What resampling did",
        "Why:",
        "Subgroups",
        "Data and provenance",
    ];
    let places: Vec<usize> =
        titles.iter().filter_map(|title| text.find(&format!("\n{title}")).or(text.find(title))).collect();
    assert!(places.len() == titles.len() && places.is_sorted(), "{places:?}");
}

fn gates(folder: &Path, report: &Json) {
    let auc =
        report["leaderboard"]["rows"].as_array().unwrap().iter().find(|row| {
            row["protocol"] == report["selection"]["protocol"] && row["model"] == report["selection"]["model"]
        });
    let auc = auc.unwrap()["auc"].as_f64().unwrap();
    ok(
        folder,
        &["evaluate", "--quiet", "--fail-under", &format!("auc={auc}"), "--fail-under", "average_precision=0.1"],
    );
    let run = report["run_id"].as_str().unwrap();
    let (code, said) = refused(folder, &["evaluate", "--fail-under", "auc=1.01"]);
    assert_eq!(code, Some(3));
    assert_eq!(
        said,
        format!(
            "error: run `{run}`: `auc` is {auc}, expected at least 1.01\n\
             hint: the figures are those of the winner on its test rows; the report shows their intervals\n"
        )
    );
    let output = fraudml(folder, &["evaluate", "--json", "--fail-under", "auc=1.01"]);
    assert!(json(&String::from_utf8(output.stdout).unwrap())["error"]["message"].is_string(), "one document");
    let (code, said) = refused(folder, &["evaluate", "--fail-under", "accuracy=0.9"]);
    assert_eq!(code, Some(2));
    assert!(
        said.starts_with("error: `--fail-under`: unknown metric `accuracy`\nhint: known: `average_precision`, `auc`")
    );
    let (code, said) = refused(folder, &["evaluate", "--fail-under", "auc"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("expected METRIC=VALUE, as in `average_precision=0.6`"), "{said}");
}

/// Scored rows as (score, decision).
fn decisions(folder: &Path) -> Vec<(f32, bool)> {
    let text = ok(folder, &["predict", "train.csv"]);
    let line = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        (cells[1].parse().unwrap(), cells[2] == "1")
    };
    text.lines().skip(1).map(line).collect()
}

/// A policy changes decisions and nothing else.
fn threshold(folder: &Path, trained: &Json) {
    let bundle = folder.join("artifacts").join(trained["bundle"].as_str().unwrap());
    let manifest = fs::read(bundle.join("manifest.json")).unwrap();
    let before = decisions(folder);
    let policies: [&[&str]; 6] = [
        &["--max-fpr", "0.2"],
        &["--alerts-per-day", "3"],
        &["--min-precision", "0.5"],
        &["--cost", "review=2,friction=1"],
        &["--f-beta", "2"],
        &["--value", "0.125"],
    ];
    for policy in policies {
        let answer = json(&ok(folder, &[&["threshold", "--json"], policy].concat()));
        let threshold = answer["policy"]["threshold"].as_f64().unwrap() as f32;
        let after = decisions(folder);
        for (before, after) in before.iter().zip(&after) {
            assert_eq!(before.0, after.0, "the score stays");
            assert_eq!(after.1, after.0 >= threshold, "{policy:?}");
        }
        assert_eq!(fs::read(bundle.join("manifest.json")).unwrap(), manifest, "the bundle stays");
        let out = answer["policy"]["out_of_fold"].clone();
        match policy[0] {
            "--max-fpr" => assert!(out["fpr"].as_f64().unwrap() <= 0.2),
            "--min-precision" => assert!(out["precision"].as_f64().unwrap() >= 0.5),
            "--value" => assert_eq!(threshold, 0.125),
            _ => {}
        }
        assert!(answer["test"]["recall"]["value"].is_number(), "{answer}");
    }
    // Training again leaves the policy, and the package takes it along.
    train(folder, &[]);
    assert!(decisions(folder).iter().all(|(score, alert)| *alert == (*score >= 0.125)));
    ok(folder, &["package", "--quiet"]);
    let image = fs::read(bundle.join("openwhisk/image.json")).unwrap();
    fs::remove_file(bundle.join("policy.json")).unwrap();
    assert_eq!(decisions(folder), before);
    ok(folder, &["package", "--quiet"]);
    assert_ne!(fs::read(bundle.join("openwhisk/image.json")).unwrap(), image, "another image");
    // Elsewhere it is only written.
    ok(folder, &["threshold", "--value", "0.5", "--out", "policy.json", "--quiet"]);
    assert!(folder.join("policy.json").is_file() && !bundle.join("policy.json").exists());
    let (code, said) = refused(folder, &["threshold"]);
    assert!(code == Some(2) && said.contains("--max-fpr"), "{said}");
    let (code, said) = refused(folder, &["threshold", "--value", "0.5", "--f-beta", "1"]);
    assert!(code == Some(2) && said.contains("cannot be used with"), "{said}");
}

fn hostile_policies(folder: &Path, trained: &Json) {
    let id = trained["bundle"].as_str().unwrap();
    let path = folder.join("artifacts").join(id).join("policy.json");
    let sound = json(&fs::read_to_string(folder.join("policy.json")).unwrap());
    let with = |key: &str, value: Json| {
        let mut changed = sound.clone();
        changed[key] = value;
        changed.to_string()
    };
    let cases: [(String, &str); 9] = [
        (String::new(), "can't be read: EOF"),
        ("[".repeat(2000), "can't be read: invalid type: sequence"),
        ("x".repeat(70_000), "is larger than 65536 bytes"),
        (with("format", 2.into()), "has format 2, this version reads format 1"),
        (with("bundle", "0000000000000000".into()), "is for bundle `0000000000000000`, this is"),
        (with("model", "f".repeat(64).into()), "is for bundle"),
        (with("threshold", Json::from(1.5)), "expected a threshold from 0 to 1, found 1.5"),
        (with("threshold", Json::Null), "can't be read: invalid type: null"),
        (with("more", Json::Null), "can't be read: unknown field `more`"),
    ];
    for (text, expected) in cases {
        fs::write(&path, &text).unwrap();
        let (code, said) = refused(folder, &["predict", "train.csv"]);
        assert_eq!(code, Some(2), "{expected}: {said}");
        assert!(said.contains(expected) && said.contains("policy.json"), "{expected}: {said}");
        assert!(said.contains("hint: "), "{said}");
    }
    // `threshold` mends it.
    ok(folder, &["threshold", "--value", "0.5", "--quiet"]);
    assert!(decisions(folder).iter().all(|(score, alert)| *alert == (*score >= 0.5)));
    fs::remove_file(path).unwrap();
}

fn compared(folder: &Path, run: &str) {
    let other = train(folder, &["--set", "models.random-forest.trees=3"]);
    let other = other["run"].as_str().unwrap();
    let page = json(&ok(folder, &["evaluate", "--compare", run, other, "--json"]));
    assert_eq!(page.as_array().map(Vec::len), Some(2));
    let comparison = fs::read_dir(folder.join("reports")).unwrap().flatten().map(|entry| entry.path());
    let comparison: Vec<PathBuf> = comparison.filter(|path| path.join("comparison.html").is_file()).collect();
    assert_eq!(comparison.len(), 1);
    let html = fs::read_to_string(comparison[0].join("comparison.html")).unwrap();
    assert!(html.contains(run) && html.contains(other));
    let (code, _) = refused(folder, &["evaluate", "--compare", run, other, "--fail-under", "auc=1.01"]);
    assert_eq!(code, Some(3));
    // Other rows, then other data.
    let split = train(folder, &["--set", "seed=7"]);
    let (code, said) = refused(folder, &["evaluate", "--compare", run, split["run"].as_str().unwrap()]);
    assert_eq!(code, Some(2));
    assert!(
        said.contains("have different test rows under the random protocol\nhint: compare runs with the same `split`"),
        "{said}"
    );
    fs::write(folder.join("train.csv"), csv(true)).unwrap();
    let data = train(folder, &[]);
    let (code, said) = refused(folder, &["evaluate", "--compare", run, data["run"].as_str().unwrap()]);
    assert_eq!(code, Some(2));
    assert!(said.contains("have different data: `train.csv` (1200 rows, SHA-256 "), "{said}");
    // The amounts of that data hold a refund: no money, and it is said.
    let report = json(&ok(folder, &["evaluate", data["run"].as_str().unwrap(), "--json"]));
    let money = &report["assessment"]["money_undefined"];
    assert!(report["assessment"]["money"].is_null() && money.as_str().unwrap().contains("negative"), "{money}");
}

#[test]
fn what_is_missing_is_named_with_the_way_to_finish() {
    let case = folder(CONFIG, false);
    let trained = train(case.path(), &[]);
    let run = trained["run"].as_str().unwrap();
    let cells = json(&fs::read_to_string(case.path().join(format!("experiments/{run}/cells.json"))).unwrap());
    for cell in &cells.as_array().unwrap()[..2] {
        let key = cell["key"].as_str().unwrap();
        fs::remove_dir_all(case.path().join("experiments/cells").join(key)).unwrap();
    }
    let (code, said) = refused(case.path(), &["evaluate"]);
    assert_eq!(code, Some(2));
    assert_eq!(
        said,
        format!(
            "error: run `{run}` is not finished: 2 of 18 cells are missing: `random fold-0 random-forest raw`, \
             `random fold-0 extra-trees raw`\n\
             hint: finish it with `fraudml train --config experiments/{run}/config.yaml`: what is done is kept\n"
        )
    );
    ok(case.path(), &["train", "--config", &format!("experiments/{run}/config.yaml"), "--quiet"]);
    ok(case.path(), &["evaluate", "--quiet"]);
    // Rows of other scores are not taken for these.
    let rows = |name: &str| case.path().join(format!("experiments/{run}/rows/{name}.parquet"));
    fs::copy(rows("random-fold-0"), rows("temporal-final")).unwrap();
    let (code, said) = refused(case.path(), &["evaluate"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("is not about the rows of the scores beside it\nhint: run `fraudml train`"), "{said}");
    fs::write(rows("temporal-final"), b"PAR1 no").unwrap();
    let (code, said) = refused(case.path(), &["evaluate"]);
    assert!(code == Some(2) && said.contains("temporal-final.parquet` can't be read"), "{said}");
    // A run of an earlier version keeps no facts: its figures stand, and the rest says so.
    fs::remove_dir_all(case.path().join(format!("experiments/{run}/rows"))).unwrap();
    let report = json(&ok(case.path(), &["evaluate", "--json"]));
    assert_eq!(report["assessment"]["by"], "row");
    assert!(report["assessment"]["money_undefined"].as_str().unwrap().contains("keeps no facts of its rows"));
}

#[test]
fn bad_columns_are_found_before_the_long_run() {
    let case = folder(&CONFIG.replace("[kind, amount]", "[colour]"), true);
    let (code, said) = refused(case.path(), &["train", "--config", "c.yaml"]);
    assert_eq!(code, Some(2));
    assert!(
        said.ends_with(
            "error: `evaluate.subgroups`: no column `colour` is among those read\n\
         hint: a subgroup is a column that is read: not the id, the time or the target, and not dropped\n"
        ),
        "{said}"
    );
    let cost = format!("{CONFIG}threshold: {{ cost: {{ review: 2 }} }}\n");
    fs::write(case.path().join("c.yaml"), cost).unwrap();
    let (code, said) = refused(case.path(), &["train", "--config", "c.yaml"]);
    assert_eq!(code, Some(2));
    assert!(said.ends_with(
        "error: `threshold.cost`, column `amount`: expected an amount of at least 0 in every row, found that 1 of 1200 \
         amounts are negative, the lowest is -3.5, first in the row with id `r1190`\n\
         hint: clean the column (refunds are no payments), or choose another policy\n"
    ), "{said}");
    assert!(!case.path().join("artifacts").read_dir().is_ok_and(|mut entries| entries.next().is_some()));
}

/// The policy of the config is the one that is frozen.
#[test]
fn every_policy_of_the_config_is_frozen() {
    let case = folder(CONFIG, false);
    for policy in ["alerts_per_day=3", "min_precision=0.6", "cost={review: 2}", "f_beta=1", "value=0.25"] {
        let trained = train(case.path(), &["--set", &format!("threshold.{policy}")]);
        let bundle = case.path().join("artifacts").join(trained["bundle"].as_str().unwrap());
        let manifest = json(&fs::read_to_string(bundle.join("manifest.json")).unwrap());
        let name = policy.split('=').next().unwrap();
        assert!(manifest["policy"][name].is_number() || manifest["policy"][name].is_object(), "{}", manifest["policy"]);
        // One is written as f32, the other as the f64 of the same number.
        let [frozen, told] = [&manifest["threshold"], &trained["operating_point"]["threshold"]];
        assert_eq!(frozen.as_f64().unwrap() as f32, told.as_f64().unwrap() as f32);
        let point = &trained["operating_point"]["out_of_fold"];
        match name {
            "min_precision" => assert!(point["precision"].as_f64().unwrap() >= 0.6, "{point}"),
            "value" => assert_eq!(manifest["threshold"], 0.25),
            _ => {}
        }
    }
}

/// Final fits with other seeds: the report says their spread, and nothing else moves.
#[test]
fn seeds_are_told_apart_and_choose_nothing() {
    let case = folder(CONFIG, false);
    let one = train(case.path(), &[]);
    let three = train(case.path(), &["--set", "repeats=3"]);
    assert_ne!(one["run"], three["run"]);
    let model = |run: &Json| {
        fs::read(case.path().join("artifacts").join(run["bundle"].as_str().unwrap()).join("model.safetensors")).unwrap()
    };
    assert!(model(&one) == model(&three), "the bundle is that of the first seed");
    let report = |run: &Json| json(&ok(case.path(), &["evaluate", run["run"].as_str().unwrap(), "--json"]));
    let (of_one, of_three) = (report(&one), report(&three));
    for part in ["leaderboard", "selection", "calibration", "operating_point"] {
        assert_eq!(of_one[part], of_three[part], "{part}");
    }
    assert!(of_one.get("seeds").is_none());
    let seeds = of_three["seeds"].as_array().unwrap();
    assert_eq!(seeds.len(), of_three["leaderboard"]["rows"].as_array().unwrap().len());
    let of =
        |model: &str| seeds.iter().find(|found| found["model"] == model && found["protocol"] == "temporal").unwrap();
    let spread = &of("random-forest")["average_precision"];
    assert_eq!(of("random-forest")["n_seeds"], 3);
    assert!(spread["deviation"].as_f64().unwrap() > 0.0 && spread["lowest"].as_f64() < spread["highest"].as_f64());
    // The baseline draws nothing.
    assert_eq!(of("logistic")["average_precision"]["deviation"].as_f64(), Some(0.0));
    let reports = case.path().join("reports");
    let page = |run: &Json| fs::read_to_string(reports.join(run["run"].as_str().unwrap()).join("report.md")).unwrap();
    assert!(page(&three).contains("Between seeds") && page(&one).contains("One seed ran"));
}

//! `doctor`, `completions`, `man` and `config schema` from outside.

#![expect(clippy::disallowed_methods, reason = "a test may damage files")]

mod tool;

use std::fs;
use std::path::Path;

use serde_json::Value as Json;
use tool::{fraudml, ok};

const CONFIG: &str = "
name: ill
data: { tables: [ { path: train.csv } ], target: fraud, id: id }
split: { folds: 2 }
imbalance: [ raw ]
models: { random-forest: { trees: 4 } }
";

/// 200 rows, every fifth a fraud that its number tells of.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let row = |at: usize| {
        let fraud = usize::from(at.is_multiple_of(5));
        format!("{at},{fraud},{}\n", at * 37 % 101 + 40 * fraud)
    };
    let rows: String = (0..200).map(row).collect();
    fs::write(folder.path().join("train.csv"), format!("id,fraud,x\n{rows}")).expect("written");
    fs::write(folder.path().join("c.yaml"), CONFIG).expect("written");
    folder
}

/// Exit code, and state and what was found by what it is about.
fn examined(folder: &Path, more: &[&str]) -> (Option<i32>, Vec<[String; 3]>) {
    let output = fraudml(folder, &[&["doctor", "--json"], more].concat());
    let document: Json = serde_json::from_slice(&output.stdout).expect("a document");
    let text = |finding: &Json, key: &str| finding[key].as_str().expect("text").to_owned();
    let findings = document["findings"].as_array().expect("findings").iter();
    (output.status.code(), findings.map(|it| [text(it, "about"), text(it, "state"), text(it, "found")]).collect())
}

#[track_caller]
fn of<'f>(findings: &'f [[String; 3]], about: &str) -> (&'f str, &'f str) {
    let found = findings.iter().find(|finding| finding[0].starts_with(about));
    found.map(|finding| (finding[1].as_str(), finding[2].as_str())).unwrap_or_else(|| panic!("{about}: {findings:?}"))
}

#[test]
fn what_is_well_is_well_and_damage_is_found() {
    let case = folder();
    let (code, findings) = examined(case.path(), &["--config", "c.yaml"]);
    assert_eq!(code, Some(0), "{findings:?}");
    assert_eq!(of(&findings, "config").0, "ok");
    assert_eq!(of(&findings, "file `train.csv`").0, "ok");
    assert!(of(&findings, "action runner").1.starts_with("fraudml-action "), "{findings:?}");
    assert!(!findings.iter().any(|finding| finding[0].starts_with("run ")));

    ok(case.path(), &["train", "--config", "c.yaml", "--quiet"]);
    let (code, findings) = examined(case.path(), &[]);
    assert_eq!((code, of(&findings, "run ").0, of(&findings, "bundle ").0), (Some(0), "ok", "ok"), "{findings:?}");

    // A damaged cell is made again, so it is no error; a damaged bundle is one.
    let cell = fs::read_dir(case.path().join("experiments/cells")).unwrap().flatten().next().unwrap().path();
    fs::write(cell.join("scores.parquet"), b"no").unwrap();
    let bundle = fs::read_dir(case.path().join("artifacts")).unwrap().flatten().next().unwrap().path();
    fs::write(bundle.join("model.safetensors"), b"no").unwrap();
    let (code, findings) = examined(case.path(), &[]);
    assert_eq!((code, of(&findings, "run ").0, of(&findings, "bundle ").0), (Some(1), "note", "wrong"), "{findings:?}");
    assert!(of(&findings, "run ").1.starts_with("1 of "), "{findings:?}");

    // Folders that cannot be, a config with problems, a file that is not there.
    let elsewhere = folder();
    fs::write(elsewhere.path().join("reports"), b"a file").unwrap();
    fs::remove_file(elsewhere.path().join("train.csv")).unwrap();
    let (code, findings) = examined(elsewhere.path(), &["--config", "c.yaml"]);
    assert_eq!((code, of(&findings, "file").0, of(&findings, "folder `reports`").0), (Some(1), "wrong", "wrong"));
    fs::write(elsewhere.path().join("c.yaml"), CONFIG.replace("folds: 2", "folds: 1")).unwrap();
    let (_, findings) = examined(elsewhere.path(), &["--config", "c.yaml"]);
    assert!(of(&findings, "config").1.contains("`split.folds`"), "{findings:?}");
}

#[test]
fn shells_editors_and_readers_are_served() {
    let folder = tempfile::tempdir().expect("a folder");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let text = ok(folder.path(), &["completions", shell]);
        assert!(text.contains("undeploy") && text.contains("memory-budget"), "{shell}");
    }
    ok(folder.path(), &["man", "--out", "man"]);
    let page = |name: &str| fs::read_to_string(folder.path().join("man").join(name)).unwrap_or_default();
    assert!(page("fraudml.1").contains("fraudml\\-train") && page("fraudml-verify-leak.1").contains("max\\-copies"));
    let schema: Json = serde_json::from_str(&ok(folder.path(), &["config", "schema"])).expect("JSON");
    assert_eq!(schema["required"], serde_json::json!(["name", "data"]));
}

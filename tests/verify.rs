//! `fraudml verify` from outside: what is sound passes, what was changed is found, and by which exit code.
#![expect(clippy::disallowed_methods, reason = "a test changes files in place")]

mod planted;

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use planted::Folder;

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The only file of this name below a folder of the case.
fn file(folder: &Folder, below: &str, name: &str) -> PathBuf {
    let mut open = vec![folder.path().join(below)];
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(&at).expect("folder").flatten() {
            match entry.path().is_dir() {
                true => open.push(entry.path()),
                false if entry.file_name() == name => return entry.path(),
                false => {}
            }
        }
    }
    panic!("no {name} in {below}")
}

#[test]
fn replay_gives_the_same_hashes_and_finds_a_changed_byte_and_other_data() {
    let folder = Folder::new();
    folder.ok(&["train", "--config", "c.yaml", "--quiet", "--only", "random-forest,raw,smote-tomek"]);
    let confirmed = folder.ok(&["verify", "replay", "--no-progress"]);
    assert!(confirmed.contains("files, all with the same SHA-256"), "{confirmed}");
    let document: serde_json::Value = serde_json::from_str(&folder.ok(&["verify", "replay", "--json"])).unwrap();
    // Two protocols, two cases, two folds and a final fit, whose cells have two and four files; files of run, splits, bundle.
    assert_eq!(document["compared"], 2 * 2 * (2 * 2 + 4) + 4 + 2 + 4, "{document:#}");
    let entries = fs::read_dir(folder.path().join("experiments")).unwrap().flatten();
    assert!(entries.map(|entry| entry.file_name()).all(|name| !name.to_string_lossy().starts_with('.')), "scratch");

    let board = file(&folder, "experiments", "leaderboard.csv");
    let whole = fs::read_to_string(&board).unwrap();
    fs::write(&board, whole.replacen('0', "1", 1)).unwrap();
    let output = folder.run(&["verify", "replay", "--no-progress"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(stderr(&output).contains("1 of 42 files differ:\nleaderboard.csv: "), "{}", stderr(&output));
    fs::write(&board, whole).unwrap();

    let data = fs::read_to_string(folder.path().join("train.csv")).unwrap();
    fs::write(folder.path().join("train.csv"), data.replacen("visa", "amex", 1)).unwrap();
    let output = folder.run(&["verify", "replay", "--no-progress"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(
        stderr(&output).contains("can't be trained again: `train.csv` is not the file it was"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_changed_bundle_is_a_proof_that_failed() {
    let folder = Folder::new();
    folder.ok(&["train", "--config", "c.yaml", "--quiet", "--only", "random-forest,raw"]);
    let confirmed = folder.ok(&["verify", "bundle"]);
    assert!(confirmed.contains("4 files and ") && confirmed.contains("golden records are as frozen"), "{confirmed}");
    for name in ["manifest.json", "preprocessor.json", "model.safetensors", "golden.json"] {
        let path = file(&folder, "artifacts", name);
        let bytes = fs::read(&path).unwrap();
        let mut changed = bytes.clone();
        changed[bytes.len() / 2] ^= 1;
        fs::write(&path, changed).unwrap();
        let output = folder.run(&["verify", "bundle"]);
        assert_eq!(output.status.code(), Some(3), "{name}: {output:?}");
        assert!(stderr(&output).contains(name), "{}", stderr(&output));
        fs::write(&path, bytes).unwrap();
    }
    assert_eq!(folder.run(&["verify", "bundle", "none"]).status.code(), Some(2));
}

#[test]
fn an_honest_pipeline_on_honest_data_leaks_nothing() {
    let folder = Folder::new();
    let document = folder.leaks(None, 0);
    assert_eq!(document["canary"]["compared"], document["replaced"]["compared"]);
    assert_eq!(document["radar"]["sees_a_planted_copy"], true);
    // Two protocols of two folds and a final fit; two models in four cases and the baseline in two of them.
    assert_eq!(document["permuted"].as_array().unwrap().len(), 2 * 3 * 10, "{document:#}");
    assert_eq!(document["canary"]["compared"], 2 * 10);
}

#[test]
fn answers_and_copies_that_stand_in_the_data_are_found() {
    let folder = Folder::new();
    let rows = planted::rows();
    let answer = |row: &String| format!("{row},{}", row.split(',').nth(1).unwrap());
    fs::write(
        folder.path().join("train.csv"),
        format!("{},answer\n{}\n", planted::HEADER, rows.iter().map(answer).collect::<Vec<_>>().join("\n")),
    )
    .unwrap();
    let found = folder.leaks(None, 3);
    assert_eq!(found["radar"]["target_copies"], serde_json::json!(["answer"]));

    // Every tenth row again, its amount off by a hair.
    let again = rows.iter().step_by(10).enumerate().map(|(nth, row)| {
        let mut cells: Vec<String> = row.split(',').map(str::to_owned).collect();
        cells[0] = format!("{}", 10_000 + nth);
        cells[3] = format!("{}", cells[3].parse::<f64>().unwrap() + 1e-6);
        cells.join(",")
    });
    let all: Vec<String> = rows.iter().cloned().chain(again).collect();
    fs::write(folder.path().join("train.csv"), format!("{}\n{}\n", planted::HEADER, all.join("\n"))).unwrap();
    let found = folder.leaks(None, 3);
    let copies = found["copies"].as_array().unwrap();
    assert!(
        copies.iter().any(|copies| copies["among"] == "training" && copies["copies"].as_u64() > Some(5)),
        "{found:#}"
    );
    // Who knows of them may allow them.
    folder.ok(&["verify", "leak", "--config", "c.yaml", "--max-copies", "0.5", "--no-progress"]);
}

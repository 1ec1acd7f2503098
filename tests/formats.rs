//! What this version wrote will be read for ever: a run and a bundle of format 1, committed as 0.1.0 made them, and what a
//! newer format is answered. `tests/data/run_of_format_1` is the `train` of the config in it on `rows()` of
//! `tests/planted`; `scores.csv` is what its bundle answered then.
#![expect(clippy::disallowed_methods, reason = "a test changes files in place")]

mod planted;

use std::fs;
use std::path::{Path, PathBuf};

use planted::Folder;
use serde_json::Value as Json;

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

fn of_format_1() -> Folder {
    let folder = Folder::new();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/run_of_format_1"), folder.path());
    folder
}

/// All that stood in the old document stands in the new one, which may say more.
fn still_says(new: &Json, old: &Json, at: &str) {
    match (new, old) {
        (Json::Object(new), Json::Object(old)) => {
            old.iter()
                .for_each(|(key, old)| still_says(new.get(key).unwrap_or(&Json::Null), old, &format!("{at}/{key}")));
        }
        (Json::Array(new), Json::Array(old)) if new.len() == old.len() => {
            new.iter().zip(old).enumerate().for_each(|(nth, (new, old))| still_says(new, old, &format!("{at}/{nth}")));
        }
        _ => assert_eq!(new, old, "{at}"),
    }
}

/// The first file of this name, by its path.
fn find(folder: &Folder, name: &str) -> PathBuf {
    let (mut open, mut found) = (vec![folder.path().to_owned()], Vec::new());
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(&at).unwrap().flatten() {
            match entry.path().is_dir() {
                true => open.push(entry.path()),
                false if entry.file_name() == name => found.push(entry.path()),
                false => {}
            }
        }
    }
    found.into_iter().min().unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn a_run_of_format_1_is_evaluated_and_its_bundle_scores() {
    let folder = of_format_1();
    let old: Json = serde_json::from_slice(&fs::read(find(&folder, "leaderboard.json")).unwrap()).unwrap();
    let document: Json = serde_json::from_str(&folder.ok(&["evaluate", "--json"])).unwrap();
    still_says(&document["leaderboard"], &old, "");
    folder.ok(&["verify", "bundle"]);
    let expected = fs::read_to_string(folder.path().join("scores.csv")).unwrap();
    assert!(folder.ok(&["predict", "train.csv"]) == expected, "scores are not what they were");
}

#[test]
fn a_newer_format_is_refused_with_advice() {
    let folder = of_format_1();
    let config = find(&folder, "config.yaml").to_string_lossy().into_owned();
    let train = ["train", "--config", &config, "--only", "random-forest,mlp,raw,smote-tomek"];
    for (name, command) in [
        ("run.json", &["evaluate"][..]),
        ("cell.json", &["evaluate"]),
        ("run.json", &train),
        ("manifest.json", &["predict", "train.csv"]),
    ] {
        let path = find(&folder, name);
        let whole = fs::read_to_string(&path).unwrap();
        fs::write(&path, whole.replacen("\"format\": 1", "\"format\": 2", 1)).unwrap();
        let output = folder.run(command);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{command:?}: {stderr}");
        assert!(stderr.contains("has format 2, this version reads format 1\nhint: use the version"), "{stderr}");
        assert!(stderr.contains(name), "{stderr}");
        fs::write(&path, whole).unwrap();
    }
}

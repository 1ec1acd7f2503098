//! `fraudml resample` from outside: what the file says of every row, in both formats and for any number of threads, against
//! the rows that were read; what a person is told; refusals, which write nothing.
#![cfg(feature = "train")]
#![expect(clippy::disallowed_methods, reason = "a test may leave half a file behind")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use insta::assert_snapshot;
use polars::prelude::{ParquetReader, SerReader};

/// 90 rows, every ninth a fraud, two numbers that overlap between the classes; ids are words, time ascends.
fn rows() -> String {
    let row = |at: usize| {
        let fraud = u8::from(at.is_multiple_of(9));
        let (a, b) = (at * 37 % 101 + 12 * usize::from(fraud), at * 53 % 89 + 9 * usize::from(fraud));
        format!("r{at},{fraud},{},{a}.5,{b},{}", at * 10, ["visa", "amex", ""][at % 3])
    };
    format!("id,fraud,time,amount,hours,card\n{}\n", (0..90).map(row).collect::<Vec<_>>().join("\n"))
}

const CONFIG: &str = "\
name: tiny
data: { tables: [ { path: train.csv } ], target: fraud, id: id, time: time }
split: { folds: 2, protocols: [random, temporal] }
imbalance:
  - raw
  - oversample: { target_share: 0.4 }
  - smote: { target_share: 0.4, k: 3 }
  - smote-tomek: { target_share: 0.4, k: 3 }
  - smote-tomek: { name: mixed, target_share: 0.4, k: 3, categorical: nominal }
  - smote-tomek: { name: many, target_share: 0.4, k: 40 }
  - smote-tomek: { name: fewer, target_share: 0.4, k: 40, too_few: reduce }
models:
  random-forest: { trees: 5 }
";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().expect("a folder"));
        fs::write(folder.path().join("train.csv"), rows()).expect("data");
        fs::write(folder.path().join("c.yaml"), CONFIG).expect("config");
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Exit code, standard output and standard error.
    fn resample(&self, case: &str, out: &str, more: &[&str]) -> String {
        let arguments = [&["resample", "--config", "c.yaml", "--case", case, "--out", out], more].concat();
        let mut command = Command::new(env!("CARGO_BIN_EXE_fraudml"));
        let output = command.args(arguments).current_dir(self.path()).env("NO_COLOR", "1").output().expect("it runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        let code = output.status.code().unwrap_or(-1);
        format!("exit code {code}\n--- stdout\n{}--- stderr\n{}", text(output.stdout), text(output.stderr))
    }

    /// Refused, with nothing new in the folder.
    fn refused(&self, case: &str, out: &str, more: &[&str]) -> String {
        let names = || {
            let mut names: Vec<_> =
                fs::read_dir(self.path()).expect("a folder").flatten().map(|file| file.file_name()).collect();
            names.sort();
            names
        };
        let (before, data) = (names(), fs::read(self.path().join("train.csv")).unwrap());
        let said = self.resample(case, out, more);
        assert_eq!((names(), fs::read(self.path().join("train.csv")).unwrap()), (before, data), "{said}");
        said
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.path().join(name)).expect(name)
    }

    /// Lines of a CSV file by the names of its columns.
    fn csv(&self, name: &str) -> Vec<BTreeMap<String, String>> {
        let bytes = self.bytes(name);
        let mut reader = csv::Reader::from_reader(&bytes[..]);
        let names = reader.headers().unwrap().clone();
        let line = |record: csv::StringRecord| {
            names.iter().zip(&record).map(|(name, cell)| (name.to_owned(), cell.to_owned())).collect()
        };
        reader.records().map(|record| line(record.unwrap())).collect()
    }

    /// A Parquet file as the lines of the CSV file would be.
    fn parquet(&self, name: &str) -> Vec<BTreeMap<String, String>> {
        let frame = ParquetReader::new(std::io::Cursor::new(self.bytes(name))).finish().expect("Parquet");
        let cell = |name: &str, at: usize| {
            let column = frame.column(name).unwrap();
            let text = match name {
                "row_id" | "origin" | "parent" | "neighbour" => column.str().unwrap().get(at).map(str::to_owned),
                "removed" => column.bool().unwrap().get(at).map(|value| value.to_string()),
                "gap" => column.f64().unwrap().get(at).map(|value| value.to_string()),
                "label" => column.u32().unwrap().get(at).map(|value| value.to_string()),
                _ => column.f32().unwrap().get(at).map(|value| value.to_string()),
            };
            text.unwrap_or_default()
        };
        let line = |at| frame.get_column_names_owned().iter().map(|name| (name.to_string(), cell(name, at))).collect();
        (0..frame.height()).map(line).collect()
    }
}

#[test]
fn every_row_has_its_origin() {
    let folder = Folder::new();
    assert_snapshot!(folder.resample("smote-tomek", "rows.csv", &["--protocol", "random"]), @r#"
    exit code 0
    --- stdout
    case smote-tomek, random protocol, final
    rows      72 -> 101
    minority  11.111 % -> 39.604 %
    synthetic 35, each between a row and one of its 3 nearest
    nearest majority row: distance 0.0948 at least, 0.3093 in the middle; nearest of all for 8.57 %
    Tomek links 3, rows taken away 6
    wrote 107 rows to `rows.csv`
    --- stderr
    "#);
    let original: BTreeMap<String, String> = rows()
        .lines()
        .skip(1)
        .map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>())
        .map(|cells| (cells[0].clone(), cells[1].clone()))
        .collect();
    let lines = folder.csv("rows.csv");
    let by_id: BTreeMap<&String, &BTreeMap<String, String>> =
        lines.iter().map(|line| (&line["row_id"], line)).collect();
    let count = |origin: &str| lines.iter().filter(|line| line["origin"] == origin).count();
    assert_eq!((count("original"), count("synthetic")), (72, 35), "8 of 72 frauds: 64 others are 60 % of 107");
    let features = ["amount", "hours", "card"];
    for line in &lines {
        let value = |of: &BTreeMap<String, String>, name: &str| of[name].parse::<f32>().unwrap();
        match &line["origin"][..] {
            "original" => {
                assert_eq!(line["label"], original[&line["row_id"]]);
                assert_eq!([&line["parent"], &line["neighbour"], &line["gap"]], [""; 3]);
            }
            _ => {
                assert_eq!((&line["row_id"][..], &line["label"][..]), ("", "1"));
                let [a, b] = ["parent", "neighbour"].map(|end| by_id[&line[end]]);
                assert!(a["label"] == "1" && b["label"] == "1" && line["parent"] != line["neighbour"]);
                let gap: f64 = line["gap"].parse().unwrap();
                assert!((0.0..1.0).contains(&gap));
                for name in features {
                    let (a, b) = (f64::from(value(a, name)), f64::from(value(b, name)));
                    assert_eq!(value(line, name), (a + gap * (b - a)) as f32, "{line:?}");
                }
            }
        }
    }
    // Ends of links: one row of either class each.
    let removed = |label: &str| lines.iter().filter(|line| line["removed"] == "true" && line["label"] == label).count();
    assert!(removed("0") > 0 && removed("0") == removed("1"));
}

#[test]
fn both_formats_and_any_number_of_threads_say_the_same() {
    let folder = Folder::new();
    for case in ["oversample", "smote", "smote-tomek", "mixed"] {
        for (format, threads) in [("csv", "1"), ("csv", "2"), ("parquet", "1"), ("parquet", "2")] {
            let said = folder.resample(case, &format!("{case}-{threads}.{format}"), &["--threads", threads]);
            assert!(said.starts_with("exit code 0\n"), "{said}");
        }
        let file = |rest: &str| format!("{case}-{rest}");
        assert!(folder.bytes(&file("1.csv")) == folder.bytes(&file("2.csv")));
        assert!(folder.bytes(&file("1.parquet")) == folder.bytes(&file("2.parquet")));
        assert_eq!(folder.csv(&file("1.csv")), folder.parquet(&file("1.parquet")));
    }
    let duplicates = folder.csv("oversample-1.csv");
    let made: Vec<_> = duplicates.iter().filter(|line| line["origin"] == "duplicate").collect();
    assert!(!made.is_empty() && made.iter().all(|line| line["neighbour"].is_empty() && !line["parent"].is_empty()));
}

#[test]
fn a_fold_is_what_train_makes_of_it() {
    let folder = Folder::new();
    let said = folder.resample("smote-tomek", "fold.csv", &["--protocol", "random", "--fold", "1", "--json"]);
    let document: serde_json::Value =
        serde_json::from_str(said.split("--- stdout\n").nth(1).unwrap().split("--- stderr").next().unwrap()).unwrap();
    let mut train = Command::new(env!("CARGO_BIN_EXE_fraudml"));
    // The folds of the temporal protocol have too few frauds.
    let only =
        ["train", "--config", "c.yaml", "--only", "random-forest,smote-tomek", "--set", "split.protocols=[random]"];
    let trained = train.args(only).current_dir(folder.path()).output().unwrap();
    assert!(trained.status.success(), "{}", String::from_utf8_lossy(&trained.stderr));
    let cells = fs::read_dir(folder.path().join("experiments/cells")).unwrap().flatten();
    let cells = cells.filter_map(|cell| fs::read(cell.path().join("cell.json")).ok());
    let cells: Vec<serde_json::Value> = cells.map(|bytes| serde_json::from_slice(&bytes).unwrap()).collect();
    let of_fold = |cell: &&serde_json::Value| {
        (&cell["protocol"], &cell["part"], &cell["case"])
            == (&"random".into(), &document["part"], &"smote-tomek".into())
    };
    let cell = cells.iter().find(of_fold).expect("the cell of the fold");
    assert_eq!(cell["resampling"], document["resampling"]);
    assert!(cell["resampling"]["closeness"]["measured"].as_u64() > Some(0), "{cell:#}");
}

#[test]
fn too_few_rows_are_refused_or_k_is_reduced() {
    let folder = Folder::new();
    assert_snapshot!(folder.refused("many", "rows.csv", &["--protocol", "random"]), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: expected more than k = 40 training rows of the smaller class for SMOTE, found 8
    hint: lower `k`, say `too_few: reduce`, use fewer folds, or leave this case out with `--only`
    "#);
    assert_snapshot!(folder.resample("fewer", "rows.csv", &["--protocol", "random"]), @r#"
    exit code 0
    --- stdout
    case fewer, random protocol, final
    rows      72 -> 89
    minority  11.111 % -> 38.202 %
    synthetic 35, each between a row and one of its 7 nearest
    nearest majority row: distance 0.0509 at least, 0.2514 in the middle; nearest of all for 34.29 %
    Tomek links 9, rows taken away 18
    wrote 107 rows to `rows.csv`
    --- stderr
    warning: k is 7 instead of 40: there are 8 rows of the smaller class
    "#);
}

#[test]
fn what_cannot_be_done_is_refused_before_the_work() {
    let folder = Folder::new();
    assert_snapshot!(folder.refused("smot", "rows.csv", &[]), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: the config has no case `smot`
    hint: its cases are `raw`, `oversample`, `smote`, `smote-tomek`, `mixed`, `many`, `fewer`
    "#);
    assert_snapshot!(folder.refused("smote", "rows.txt", &[]), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: `rows.txt`: expected a name that ends in .parquet or .csv
    hint: the extension decides the format
    "#);
    assert_snapshot!(folder.refused("smote", "train.csv", &[]), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: `train.csv` exists already
    hint: name another file; nothing is overwritten
    "#);
    assert_snapshot!(folder.refused("smote", "rows.csv", &["--fold", "2"]), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: expected a fold from 0 to 1, found 2
    hint: folds are numbered as in the run's `splits`; without `--fold` the final fit's rows are meant
    "#);
    assert_snapshot!(folder.refused("smote", "c.yaml/rows.csv", &[]), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: `c.yaml` can't be made: not a directory
    hint: check the folder's permissions and the free space, or choose another under `output`
    "#);
    let one = ["--protocol", "temporal", "--set", "split.protocols=[random]", "--set", "select.protocol=random"];
    assert_snapshot!(folder.refused("smote", "rows.csv", &one), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: `temporal` is not among `split.protocols`
    hint: leave `--protocol` out, or add it to the config
    "#);
    let missing = ["--set", "preprocess.impute.numeric=none"];
    assert_snapshot!(folder.refused("smote", "rows.csv", &missing), @r#"
    exit code 2
    --- stdout
    --- stderr
    error: `--set preprocess.impute.numeric`: `none` leaves values missing, which case `smote-tomek` can't measure distances with
    hint: impute by `median` or `mean`, or leave the case out
    "#);
}

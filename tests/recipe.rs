//! The recipe from outside: files of every kind read alike, features through training, freezing and scoring, errors with
//! their place, committed configs on generated data.
#![cfg(feature = "train")]
#![expect(clippy::disallowed_methods, reason = "a test may leave half a file behind")]

mod tool;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use tool::{fraudml, ok};

#[track_caller]
fn refused(folder: &Path, arguments: &[&str], expected: &str) {
    let output = fraudml(folder, arguments);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stderr.contains(expected), "{stderr}");
    assert_eq!(output.status.code(), Some(2));
}

/// Generated data of the real columns, made once.
fn data(rows: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("folder");
    ok(folder.path(), &["synth", "--rows", rows, "--seed", "42", "--out", "data", "--quiet"]);
    folder
}

fn committed(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("configs").join(name)).expect("a committed config")
}

fn the_bundle(folder: &Path) -> PathBuf {
    fs::read_dir(folder.join("artifacts")).unwrap().flatten().next().expect("a bundle").path()
}

const SMALL: [&str; 8] = [
    "--only",
    "random-forest,raw",
    "--set",
    "models.random-forest.trees=8",
    "--set",
    "split.folds=2",
    "--set",
    "imbalance=[raw]",
];

/// The committed recipe, unchanged but for its size: trains, freezes (which replays golden test rows bit for bit), scores
/// files of another format alike, and says what is unusual in a record.
#[test]
fn the_recipe_trains_freezes_and_scores() {
    let folder = data("6000");
    let path = folder.path();
    fs::write(path.join("c.yaml"), committed("ieee-cis.yaml")).unwrap();
    ok(path, &[&["train", "--config", "c.yaml", "--quiet"][..], &SMALL].concat());
    let bundle = the_bundle(path);
    let preprocessor = fs::read_to_string(bundle.join("preprocessor.json")).unwrap();
    for name in ["card1_amt_ratio", "client_freq", "os_family", "missing_v", "missing together with"] {
        assert!(preprocessor.contains(name), "{name}");
    }
    let files = ["data/train_transaction.csv", "data/train_identity.csv"];
    let plain = ok(path, &["predict", files[0], files[1]]);
    assert_eq!(plain.lines().count(), 6001);

    // The same rows in gzip, in two parts, and as JSON lines with the other spelling of names.
    let text = fs::read_to_string(path.join(files[0])).unwrap();
    let (header, rows) = text.split_once('\n').unwrap();
    let half = rows[..rows.len() / 2].rfind('\n').unwrap() + 1;
    for (name, part) in [("part-1.csv.gz", &rows[..half]), ("part-2.csv.gz", &rows[half..])] {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(format!("{header}\n{part}").as_bytes()).unwrap();
        fs::write(path.join(name), packed.finish().unwrap()).unwrap();
    }
    let identity = fs::read_to_string(path.join(files[1])).unwrap().replacen("id_", "id-", 38);
    fs::write(path.join("identity.csv"), identity).unwrap();
    assert_eq!(ok(path, &["predict", "part-?.csv.gz", "identity.csv"]), plain);
    refused(path, &["predict", "nothing-*.csv"], "`nothing-*.csv`: no file has such a name");

    let golden: serde_json::Value = serde_json::from_slice(&fs::read(bundle.join("golden.json")).unwrap()).unwrap();
    let mut record = golden["records"][0]["record"].clone();
    record["TransactionAmt"] = 1e9.into();
    record["ProductCD"] = "never seen".into();
    fs::write(path.join("one.jsonl"), format!("{record}\n")).unwrap();
    let answer: serde_json::Value = serde_json::from_str(&ok(path, &["predict", "one.jsonl"])).unwrap();
    let names = |key: &str| answer["unusual"][key].to_string();
    assert!(names("out_of_range").contains("TransactionAmt") && names("unseen").contains("ProductCD"), "{answer}");
}

/// Where named columns are absent, `missing_columns: allow` leaves out what is made of them.
#[test]
fn absent_columns_are_allowed_or_refused_with_their_place() {
    let folder = data("3000");
    let path = folder.path();
    let text = fs::read_to_string(path.join("data/train_transaction.csv")).unwrap();
    let renamed = text.replacen(",D1,", ",D1_lost,", 1).replacen(",P_emaildomain,", ",payer,", 1);
    fs::write(path.join("data/train_transaction.csv"), renamed).unwrap();
    let config = committed("ieee-cis.yaml");
    fs::write(path.join("c.yaml"), config.replace("missing_columns: allow", "missing_columns: refuse")).unwrap();
    let place = "`c.yaml`, line 37, column 5, `first_use`: feature `first_use` reads `D1`, which is in no table";
    refused(path, &["train", "--config", "c.yaml"], place);
    fs::write(path.join("c.yaml"), config).unwrap();
    ok(path, &[&["train", "--config", "c.yaml", "--quiet"][..], &SMALL].concat());
    let preprocessor = fs::read_to_string(the_bundle(path).join("preprocessor.json")).unwrap();
    assert!(preprocessor.contains("`first_use` is not in the data") && preprocessor.contains("card1_freq"));
}

/// The paper's setting on the same files, unchanged.
#[test]
fn the_papers_config_runs() {
    let folder = data("3000");
    fs::write(folder.path().join("c.yaml"), committed("paper.yaml")).unwrap();
    ok(folder.path(), &[&["train", "--config", "c.yaml", "--quiet"][..], &SMALL].concat());
}

/// Every way to prepare, through freezing: components, one-hot, target encoding, indicators, selection.
#[test]
fn every_preparation_is_frozen() {
    let folder = data("4000");
    let path = folder.path();
    let base = committed("demo.yaml");
    for (nth, preprocess) in [
        "drop: { correlated_above: 0.98, all_but_most_important: 60 }\n  impute: { numeric: mean, indicators: true }\n  categorical: { encode: target }\n  scale: robust\n  reduce: [ pca: { columns: V*, variance: 0.9 } ]",
        "impute: { numeric: { constant: -1 }, categorical: constant }\n  categorical: { encode: one-hot }\n  scale: min-max\n  reduce: [ pca: { columns: V*, components: 2, by_missing: true } ]",
        "drop: { duplicates: true, inconsistent: true }\n  categorical: { case: keep, encode: frequency }\n  reduce: [ representatives: { columns: V* } ]",
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("way-{nth}");
        let config = base.replace("name: demo", &format!("name: {name}"));
        fs::write(path.join("c.yaml"), format!("{config}\npreprocess:\n  {preprocess}\n")).unwrap();
        let only = ["--only", "mlp,raw", "--set", "models.mlp.epochs=1", "--set", "split.folds=2"];
        ok(path, &[&["train", "--config", "c.yaml", "--quiet"][..], &only].concat());
    }
}

/// `fraudml eda`: a page of its own, small, without a script and without a raw row.
#[test]
fn the_page_about_the_data() {
    let folder = data("5000");
    let path = folder.path();
    fs::write(path.join("c.yaml"), committed("demo.yaml")).unwrap();
    ok(path, &["eda", "--config", "c.yaml", "--quiet"]);
    let reports = fs::read_dir(path.join("reports")).unwrap().flatten().next().unwrap().path();
    let page = fs::read_to_string(reports.join("eda.html")).unwrap();
    assert!(page.len() < 2 << 20, "{} bytes", page.len());
    assert!(!page.contains("<script") && !page.contains("http://") && !page.contains("https://"));
    assert_eq!(page.matches("class=\"card\"").count(), 431, "a card per column");
    let heat = page.split("class=\"heat\"").nth(1).expect("a map of correlations").split("</div>").next().unwrap();
    assert_eq!(heat.matches("<text").count(), 40);
    assert!(heat.matches("<title>").count() > 600, "squares below the diagonal");
    let json: serde_json::Value = serde_json::from_slice(&fs::read(reports.join("eda.json")).unwrap()).unwrap();
    assert_eq!(json["columns"].as_array().unwrap().len(), 431);
    assert!(json["drift"]["adversarial_auc"].as_f64().unwrap() > 0.5);
    let map = &json["correlations"]["map"];
    assert_eq!((map["columns"].as_array().unwrap().len(), map["r"][39].as_array().unwrap().len()), (40, 39));
    assert!(json["missing_groups"].as_array().unwrap().len() > 10);
}

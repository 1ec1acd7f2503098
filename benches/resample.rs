//! One case on one matrix, measured. `benches/peers/resample.py` runs this program once per measurement, in turn with
//! imbalanced-learn.
//!
//! ```text
//! resample --data FOLDER --case smote|tomek|smote-tomek --share SHARE --threads N --seed N [--removed FILE]
//! ```
//! In: a folder of `x.f32` (`n_rows x n_features`, little-endian, row after row), `y.u8` (a label per row) and `meta.json`
//! (`{"rows", "features"}`). Out: one line of JSON; the original rows that links took away, as u32. Without options
//! (`cargo bench --features bench --bench resample`): one line on data made here.
//!
//! `extra_bytes` is the highest resident memory during the case less that just before it (Linux alone; else null).
// A bench looks at the clock, prints, and writes where `resample.py` says.
#![allow(clippy::disallowed_macros)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use fraudml::bench::training_set;
use fraudml::scoring::matrix::FeatureMatrix;
use fraudml::training::config::{Balance, Case, Categories, SmoteConfig, TomekRemove, TooFew};
use fraudml::training::progress::Silent;
use fraudml::training::resample::{Shared, resample};
use fraudml::training::rows::TrainingSet;
use fraudml::training::run_dir::write_atomic;
use fraudml::training::seed::Seed;
use serde_json::{Value, json};

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    let mut options = BTreeMap::new();
    while let Some(name) = words.next() {
        options.insert(name.trim_start_matches("--").to_owned(), words.next().unwrap_or_default());
    }
    if options.is_empty() {
        let case = case("smote-tomek", 0.4)?;
        println!("{}", measured(&case, made_data(), 1)?.0);
        return Ok(());
    }
    let text = |name: &str| options.get(name).map(String::as_str).ok_or_else(|| format!("expected --{name}"));
    rayon::ThreadPoolBuilder::new().num_threads(text("threads")?.parse()?).build_global()?;
    let case = case(text("case")?, text("share")?.parse()?)?;
    let (line, removed) = measured(&case, read(Path::new(text("data")?))?, text("seed")?.parse()?)?;
    if let Ok(path) = text("removed") {
        let bytes: Vec<u8> = removed.iter().flat_map(|row| row.to_le_bytes()).collect();
        write_atomic(Path::new(path), &bytes).map_err(|error| error.to_string())?;
    }
    println!("{line}");
    Ok(())
}

fn case(name: &str, share: f64) -> Result<Case, Error> {
    let categories = Categories::Numeric;
    let smote = SmoteConfig { target: Balance::TargetShare(share), k: 5, categories, too_few: TooFew::Refuse };
    match name {
        "smote" => Ok(Case::Smote(smote)),
        "tomek" => Ok(Case::Tomek { remove: TomekRemove::Majority, categories }),
        "smote-tomek" => Ok(Case::SmoteTomek { smote, remove: TomekRemove::Both }),
        other => Err(format!("expected smote, tomek or smote-tomek, found `{other}`").into()),
    }
}

fn measured(case: &Case, set: TrainingSet, seed: u64) -> Result<(Value, Vec<u32>), Error> {
    // Starts the peak of memory anew.
    if let Ok(mut file) = fs::OpenOptions::new().write(true).open("/proc/self/clear_refs") {
        file.write_all(b"5").ok();
    }
    let before = memory("VmRSS:");
    let start = Instant::now();
    let resampled = resample(case, &mut Shared::new(&set, Seed::new(seed), vec![case.clone()]), &Silent)
        .map_err(|error| error.to_string())?;
    let seconds = start.elapsed().as_secs_f64();
    let extra_bytes = memory("VmHWM:").zip(before).map(|(peak, before)| peak.saturating_sub(before));
    let line = json!({
        "seconds": seconds, "extra_bytes": extra_bytes,
        "rows": set.n_rows(), "features": set.n_features(), "report": resampled.report,
    });
    let n_rows = set.n_rows() as u32;
    Ok((line, resampled.lineage.removed.into_iter().filter(|&row| row < n_rows).collect()))
}

/// A line of `/proc/self/status`, in bytes.
fn memory(name: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

fn read(folder: &Path) -> Result<TrainingSet, Error> {
    let meta: Value = serde_json::from_slice(&fs::read(folder.join("meta.json"))?)?;
    let n_features = meta["features"].as_u64().ok_or("meta.json: expected `features`")? as usize;
    let bytes = fs::read(folder.join("x.f32"))?;
    let values = bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    Ok(training_set(Arc::new(matrix(n_features, values)), fs::read(folder.join("y.u8"))?))
}

fn matrix(n_features: usize, values: Vec<f32>) -> FeatureMatrix {
    let names: Vec<String> = (0..n_features).map(|feature| format!("x{feature}")).collect();
    FeatureMatrix::new(names.into(), values)
}

/// 10,000 x 30, 3.5 % positive, two clouds.
fn made_data() -> TrainingSet {
    let (n_rows, n_features) = (10_000, 30);
    let label = |row: usize| u8::from(row % 200 < 7);
    let cell = |row: usize, feature: usize| {
        let noise = (row as u64 * 6_364_136_223_846_793_005 + feature as u64 * 1_442_695_040_888_963_407) >> 40;
        noise as f32 / (1 << 24) as f32 + f32::from(label(row)) * 0.2
    };
    let values = (0..n_rows).flat_map(|row| (0..n_features).map(move |feature| cell(row, feature))).collect();
    training_set(Arc::new(matrix(n_features, values)), (0..n_rows).map(label).collect())
}

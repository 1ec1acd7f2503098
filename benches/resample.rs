//! One case on one matrix, measured. `benches/peers/resample.py` runs this program once per measurement, in turn with
//! imbalanced-learn.
//!
//! ```text
//! resample apply --data FOLDER --case smote|tomek|smote-tomek --share SHARE --threads N --seed N [--removed FILE]
//! ```
//! In: a folder of `x.f32` (`n_rows x n_features`, little-endian, row after row), `y.u8` (a label per row) and `meta.json`
//! (`{"rows", "features"}`). Out: one line of JSON; the original rows that links took away, as u32. Without a
//! verb (`cargo bench --features bench --bench resample`): one line on data made here.
//!
//! `extra_bytes` is the highest resident memory during the case less that just before it (Linux alone; else null).
// A bench looks at the clock, prints, and writes where `resample.py` says.
#![allow(clippy::disallowed_macros)]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

mod inputs;

use fraudml::bench::training_set;
use fraudml::training::config::{Balance, Case, Categories, SmoteConfig, TomekRemove, TooFew};
use fraudml::training::progress::Silent;
use fraudml::training::resample::{Shared, resample};
use fraudml::training::run_dir::write_atomic;
use fraudml::training::seed::Seed;
use inputs::{Error, Options, Rows, read_rows, resident_since_reset, status_bytes};
use serde_json::{Value, json};

fn main() -> Result<(), Error> {
    let (verb, options) = Options::typed();
    match verb.as_deref() {
        Some("apply") => one_case(&options),
        Some(other) => Err(format!("expected `apply` or nothing, found `{other}`").into()),
        None => {
            println!("{}", measured(&case("smote-tomek", 0.4)?, made_data(), 1)?.0);
            Ok(())
        }
    }
}

fn one_case(options: &Options) -> Result<(), Error> {
    rayon::ThreadPoolBuilder::new().num_threads(options.number("threads")?).build_global()?;
    let case = case(options.text("case")?, options.text("share")?.parse()?)?;
    let rows = read_rows(Path::new(options.text("data")?), |_| true)?;
    let (line, removed) = measured(&case, rows, options.number("seed")? as u64)?;
    if let Ok(path) = options.text("removed") {
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

fn measured(case: &Case, rows: Rows, seed: u64) -> Result<(Value, Vec<u32>), Error> {
    let (matrix, labels) = rows.into_matrix();
    let set = training_set(Arc::new(matrix), labels);
    let before = resident_since_reset();
    let start = Instant::now();
    let resampled = resample(case, &mut Shared::new(&set, Seed::new(seed), vec![case.clone()]), &Silent)
        .map_err(|error| error.to_string())?;
    let seconds = start.elapsed().as_secs_f64();
    let extra_bytes = status_bytes("VmHWM:").zip(before).map(|(peak, before)| peak.saturating_sub(before));
    let line = json!({
        "seconds": seconds, "extra_bytes": extra_bytes,
        "rows": set.n_rows(), "features": set.n_features(), "report": resampled.report,
    });
    let n_rows = set.n_rows() as u32;
    Ok((line, resampled.lineage.removed.into_iter().filter(|&row| row < n_rows).collect()))
}

/// 10,000 x 30, 3.5 % positive, two clouds.
fn made_data() -> Rows {
    let (n_rows, n_features) = (10_000, 30);
    let label = |row: usize| u8::from(row % 200 < 7);
    let cell = |row: usize, feature: usize| {
        let noise = (row as u64 * 6_364_136_223_846_793_005 + feature as u64 * 1_442_695_040_888_963_407) >> 40;
        noise as f32 / (1 << 24) as f32 + f32::from(label(row)) * 0.2
    };
    let values = (0..n_rows).flat_map(|row| (0..n_features).map(move |feature| cell(row, feature))).collect();
    Rows { n_features, values, labels: (0..n_rows).map(label).collect() }
}

//! One fit of the network, measured: by the hand-written step (`cpu`) or by burn (`flex`). `benches/peers/mlp.py` runs this
//! program once per measurement, so that each has a process and a peak of memory of its own, and puts PyTorch beside it.
//!
//! ```text
//! mlp fit --data FOLDER --split FILE --device cpu|flex --hidden 500,256,256 --batch N --epochs N --seed N --threads N
//!         [--scores FILE]
//! mlp peak --threads N
//! ```
//! In: a folder and a split file as in `forest.rs`. Out: one line of JSON; the scores of the rows marked 1 as f32.
//! `epoch_s` are the seconds of each epoch, `one_row_us` those of one row by the frozen network (median), `extra_bytes` the
//! highest resident memory during the fit less that just before it (Linux alone; else null). `peak` is the rate of a large
//! product of f32 matrices. Without a verb (`cargo bench --features bench --bench mlp`): both devices on data made here.
// A bench looks at the clock, prints, and writes where `mlp.py` says.
#![allow(clippy::disallowed_macros)]

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

mod inputs;

use fraudml::bench::training_set;
use fraudml::scoring::model::{Classifier, Model};
use fraudml::training::config::{Device, MlpConfig};
use fraudml::training::fit::{mlp, score_parallel};
use fraudml::training::gemm::{View, ViewMut, multiply};
use fraudml::training::progress::{Progress, Unit};
use fraudml::training::run_dir::write_atomic;
use fraudml::training::seed::Seed;
use inputs::{Error, Options, Rows, read_rows, resident_since_reset, status_bytes};
use rayon::prelude::*;
use serde_json::{Value, json};

fn main() -> Result<(), Error> {
    let (verb, options) = Options::typed();
    match verb.as_deref() {
        Some("fit") => fit(&options),
        Some("peak") => {
            use_threads(&options)?;
            println!("{}", json!({ "gflops": peak() }));
            Ok(())
        }
        Some(other) => Err(format!("expected `fit`, `peak` or nothing, found `{other}`").into()),
        None => both_on_made_data(),
    }
}

fn use_threads(options: &Options) -> Result<(), Error> {
    Ok(rayon::ThreadPoolBuilder::new().num_threads(options.number("threads")?).build_global()?)
}

/// When each epoch ended.
struct Epochs(Mutex<Vec<Instant>>);

impl Progress for Epochs {
    fn begin(&self, _unit: Unit, _label: &str, _total: u64) {
        self.advance(Unit::Epochs, 0);
    }
    fn advance(&self, _unit: Unit, _by: u64) {
        self.0.lock().expect("one thread tells").push(Instant::now());
    }
    fn end(&self, _unit: Unit) {}
    fn say(&self, _line: &str) {}
    fn interrupted(&self) -> bool {
        false
    }
}

fn fit(options: &Options) -> Result<(), Error> {
    use_threads(options)?;
    let folder = Path::new(options.text("data")?);
    let marks = std::fs::read(options.text("split")?)?;
    let hidden: Result<Vec<usize>, _> = options.text("hidden")?.split(',').map(str::parse).collect();
    let config = MlpConfig {
        hidden: hidden?,
        batch: options.number("batch")?,
        epochs: options.number("epochs")?,
        device: if options.text("device")? == "flex" { Device::Flex } else { Device::Cpu },
        ..MlpConfig::default()
    };
    let train = read_rows(folder, |row| marks[row] == 0)?;
    let (model, mut line) = measure_fit(&config, train, options.number("seed")? as u64)?;
    let test = read_rows(folder, |row| marks[row] == 1)?;
    if test.n_rows() > 0 {
        line["one_row_us"] = json!(one_row_us(&model, &test));
        let start = Instant::now();
        let scores = score_parallel(&model, &test.into_matrix().0);
        line["batch_rows_per_s"] = json!(scores.len() as f64 / start.elapsed().as_secs_f64());
        if let Ok(path) = options.text("scores") {
            let bytes: Vec<u8> = scores.iter().flat_map(|score| score.to_le_bytes()).collect();
            write_atomic(Path::new(path), &bytes).map_err(|error| error.to_string())?;
        }
    }
    println!("{line}");
    Ok(())
}

fn measure_fit(config: &MlpConfig, rows: Rows, seed: u64) -> Result<(Model, Value), Error> {
    let (n_rows, n_features) = (rows.n_rows(), rows.n_features);
    let (matrix, labels) = rows.into_matrix();
    let set = training_set(Arc::new(matrix), labels);
    let epochs = Epochs(Mutex::default());
    let before = resident_since_reset();
    let trained = mlp::train(config, &set, Seed::new(seed), &epochs).map_err(|error| error.to_string())?;
    let peak = status_bytes("VmHWM:");
    let ends = epochs.0.into_inner().expect("one thread tells");
    let epoch_s: Vec<f64> = ends.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
    let extra = before.zip(peak).map(|(before, peak)| peak.saturating_sub(before));
    let line = json!({
        "rows": n_rows, "features": n_features, "epoch_s": epoch_s, "extra_bytes": extra, "losses": trained.losses,
    });
    Ok((Model::Mlp(trained.mlp), line))
}

/// The median over up to 1,000 rows.
fn one_row_us(model: &Model, test: &Rows) -> f64 {
    let mut times: Vec<f64> = Vec::new();
    for row in test.values.chunks_exact(test.n_features).take(1000) {
        let start = Instant::now();
        std::hint::black_box(model.score_row(std::hint::black_box(row)));
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// GFLOP/s of 2048 x 2048 x 2048, rows shared out over threads; the best of five.
fn peak() -> f64 {
    const N: usize = 2048;
    let (a, b, mut c) = (vec![0.5f32; N * N], vec![0.25f32; N * N], vec![0f32; N * N]);
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let start = Instant::now();
        let n_rows = N.div_ceil(rayon::current_num_threads());
        c.par_chunks_mut(n_rows * N).zip(a.par_chunks(n_rows * N)).for_each(|(c, a)| {
            let n_rows = c.len() / N;
            let into = ViewMut::row_major(c, n_rows, N);
            multiply(into, View::row_major(a, n_rows, N), View::row_major(&b, N, N), false);
        });
        best = best.min(start.elapsed().as_secs_f64());
    }
    2.0 * (N * N * N) as f64 / best / 1e9
}

/// Both devices on 20,000 x 100 made rows, in one process.
fn both_on_made_data() -> Result<(), Error> {
    for (device, name) in [(Device::Cpu, "cpu"), (Device::Flex, "flex")] {
        let n_features = 100;
        let value = |at: u64| ((at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f32 / (1u32 << 23) as f32) - 1.0;
        let values: Vec<f32> = (0..20_000 * n_features as u64).map(value).collect();
        let labels = values.chunks_exact(n_features).map(|row| u8::from(row[0] * row[1] + row[2] > 0.6)).collect();
        let config = MlpConfig { epochs: 3, device, ..MlpConfig::default() };
        let (_, mut line) = measure_fit(&config, Rows { n_features, values, labels }, 1)?;
        line["device"] = json!(name);
        println!("{line}");
    }
    Ok(())
}

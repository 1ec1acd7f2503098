//! Our forests on the real `creditcard.csv`, for `benches/peers/forest_creditcard.py` to compare with scikit-learn.
//!
//! `cargo bench --bench forest_creditcard -- CREDITCARD_CSV OUT_DIR [random-forest|extra-trees]` makes five stratified
//! 80/20 splits (V1..V28 and Amount; `Time` is left out), fits 100 trees with the defaults on each, and writes
//! `split<n>.csv` (`row,part,score`: the score of each test row) and `timings.csv` (`split,fit_seconds`).
//!
//! The product has no way to build a training set but from prepared training rows, and this program shall not open
//! one: it compiles the few modules it needs into a `training` of its own.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a measurement prints, and may leave half a file"
)]
#![allow(dead_code, unused_imports, reason = "the modules hold more than is measured")]

#[path = "../src/scoring/mod.rs"]
mod scoring;

#[path = "../src/training"]
mod training {
    pub mod config;
    pub mod error;
    pub mod progress;
    pub mod rows;
    pub mod seed;
    pub mod fit {
        pub mod forest;
    }

    pub fn training_set(matrix: super::FeatureMatrix, labels: Vec<u8>) -> rows::TrainingSet {
        rows::TrainingSet::of_all_rows(std::sync::Arc::new(matrix), labels)
    }
}

use std::error::Error;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rand_chacha::rand_core::Rng;
use scoring::matrix::FeatureMatrix;
use scoring::model::Classifier;
use training::config::ForestConfig;
use training::fit::forest::{SplitKind, grow};
use training::progress::Silent;
use training::seed::Seed;

const N_SPLITS: u64 = 5;

/// All rows: features row after row, and labels.
struct Rows {
    names: Arc<[String]>,
    values: Vec<f32>,
    labels: Vec<u8>,
}

impl Rows {
    fn read(path: &Path) -> Result<Rows, Box<dyn Error>> {
        let mut reader = csv::Reader::from_path(path)?;
        let header = reader.headers()?.clone();
        let is_feature: Vec<bool> = header.iter().map(|name| name != "Time" && name != "Class").collect();
        let class = header.iter().position(|name| name == "Class").ok_or("no column `Class`")?;
        let names = header.iter().zip(&is_feature).filter(|(_, is)| **is).map(|(name, _)| name.to_string()).collect();
        let (mut values, mut labels) = (Vec::new(), Vec::new());
        for record in reader.records() {
            let record = record?;
            for (field, _) in record.iter().zip(&is_feature).filter(|(_, is)| **is) {
                values.push(field.parse::<f64>()? as f32);
            }
            labels.push(u8::from(&record[class] == "1"));
        }
        Ok(Rows { names, values, labels })
    }

    fn matrix(&self, rows: &[usize]) -> FeatureMatrix {
        let width = self.names.len();
        let values = rows.iter().flat_map(|row| &self.values[row * width..][..width]).copied().collect();
        FeatureMatrix::new(self.names.clone(), values)
    }

    /// Whether each row is a test row: a fifth of each class.
    fn stratified(&self, seed: Seed) -> Vec<bool> {
        let mut rng = seed.rng();
        let mut is_test = vec![false; self.labels.len()];
        for label in [0, 1] {
            let mut rows: Vec<usize> = (0..self.labels.len()).filter(|&row| self.labels[row] == label).collect();
            for at in (1..rows.len()).rev() {
                rows.swap(at, (rng.next_u64() % (at as u64 + 1)) as usize);
            }
            rows[..(rows.len() + 2) / 5].iter().for_each(|&row| is_test[row] = true);
        }
        is_test
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let [input, out, rest @ ..] = &args[..] else {
        return Err("usage: cargo bench --bench forest_creditcard -- CREDITCARD_CSV OUT_DIR [extra-trees]".into());
    };
    let (config, kind) = match rest.first().map(String::as_str) {
        Some("extra-trees") => (ForestConfig::EXTRA_TREES, SplitKind::Random),
        _ => (ForestConfig::RANDOM_FOREST, SplitKind::Best),
    };
    let (rows, out) = (Rows::read(Path::new(input))?, Path::new(out));
    std::fs::create_dir_all(out)?;
    let mut timings = String::from("split,fit_seconds\n");
    for split in 0..N_SPLITS {
        let seed = Seed::new(split);
        let is_test = rows.stratified(seed.derive("split", 0));
        let (test, train): (Vec<usize>, Vec<usize>) = (0..is_test.len()).partition(|&row| is_test[row]);
        let labels = train.iter().map(|&row| rows.labels[row]).collect();
        let set = training::training_set(rows.matrix(&train), labels);
        let start = Instant::now();
        let forest = grow(&config, kind, &set, seed, &Silent)?;
        let fit_seconds = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let scores = forest.score(&rows.matrix(&test));
        let n_bytes = forest.to_bytes().len();
        println!(
            "split {split}: fit {fit_seconds:.2} s, {} nodes, {n_bytes} bytes, {} rows scored in {:.3} s",
            forest.n_nodes(),
            scores.len(),
            start.elapsed().as_secs_f64()
        );
        let mut table = String::from("row,part,score\n");
        train.iter().try_for_each(|row| writeln!(table, "{row},train,"))?;
        test.iter().zip(scores).try_for_each(|(row, score)| writeln!(table, "{row},test,{score}"))?;
        std::fs::write(out.join(format!("split{split}.csv")), table)?;
        writeln!(timings, "{split},{fit_seconds}")?;
    }
    Ok(std::fs::write(out.join("timings.csv"), timings)?)
}

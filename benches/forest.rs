//! One fit of a forest, measured: fraudml's, smartcore's or linfa-ensemble's. `benches/peers/forest.py` runs this program
//! once per measurement, so that each has a process and a peak of memory of its own, and puts the Python peers beside it.
//!
//! ```text
//! forest fit --library fraudml|smartcore|linfa --kind random-forest|extra-trees --data FOLDER --split FILE
//!            --trees N --seed N --threads N --batch-rows N (0: time no scoring) [--scores FILE]
//! forest prepare --config FILE --set KEY=VALUE,KEY=VALUE --out FOLDER
//! ```
//! In: a folder of `x.f32` (`n_rows x n_features`, little-endian, row after row), `y.u8` (a label per row) and `meta.json`
//! (`{"rows", "features"}`); a split file of one byte per row (0: fit, 1: score, 2: leave out). Out: one line of JSON;
//! the scores of the rows marked 1 as f32. `prepare` writes such a folder with what the tool makes of raw files. Without a
//! verb (`cargo bench --features bench --bench forest`): one line per library and kind, on data made here.
//!
//! `extra_bytes` is the highest resident memory during the fit less that just before it (Linux alone; else null).
// A bench looks at the clock, prints, and writes where `forest.py` says.
#![allow(clippy::disallowed_macros)]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

mod inputs;

use fraudml::bench::training_set;
use fraudml::cli::config;
use fraudml::scoring::matrix::FeatureMatrix;
use fraudml::scoring::model::{Classifier, Model};
use fraudml::training::config::{ForestConfig, Protocol};
use fraudml::training::fit::forest::{SplitKind, grow_binned};
use fraudml::training::fit::score_parallel;
use fraudml::training::mapped::Storage;
use fraudml::training::prepare::prepare;
use fraudml::training::progress::Silent;
use fraudml::training::read;
use fraudml::training::run_dir::{create_folder, write_atomic};
use fraudml::training::seed::Seed;
use fraudml::training::split::split;
use inputs::{Error, Options, Rows, matrix, read_rows, resident_since_reset, status_bytes};
use linfa::prelude::{Fit, Predict};
use linfa::{Dataset, ParamGuard};
use linfa_ensemble::{EnsembleLearnerParams, RandomForest};
use linfa_trees::DecisionTree;
use ndarray::{Array1, Array2, Axis};
use rand08::SeedableRng;
use rand08::rngs::SmallRng;
use serde_json::{Value, json};
use smartcore::ensemble::extra_trees_regressor::{ExtraTreesRegressor, ExtraTreesRegressorParameters};
use smartcore::ensemble::random_forest_regressor::{RandomForestRegressor, RandomForestRegressorParameters};
use smartcore::linalg::basic::matrix::DenseMatrix;

fn main() -> Result<(), Error> {
    let (verb, options) = Options::typed();
    match verb.as_deref() {
        Some("fit") => fit(&options),
        Some("prepare") => prepare_folder(&options),
        Some(other) => Err(format!("expected `fit`, `prepare` or nothing, found `{other}`").into()),
        None => all_on_made_data(),
    }
}

/// What to grow.
#[derive(Clone, Copy)]
struct Task<'a> {
    library: &'a str,
    kind: SplitKind,
    trees: usize,
    seed: u64,
}

fn fit(options: &Options) -> Result<(), Error> {
    rayon::ThreadPoolBuilder::new().num_threads(options.number("threads")?).build_global()?;
    let folder = Path::new(options.text("data")?);
    let marks = fs::read(options.text("split")?)?;
    let task = Task {
        library: options.text("library")?,
        kind: match options.text("kind")? {
            "random-forest" => SplitKind::Best,
            "extra-trees" => SplitKind::Random,
            other => return Err(format!("expected random-forest or extra-trees, found `{other}`").into()),
        },
        trees: options.number("trees")?,
        seed: options.number("seed")? as u64,
    };
    let (fitted, mut line) = measure_fit(task, read_rows(folder, |row| marks[row] == 0)?)?;
    let test = read_rows(folder, |row| marks[row] == 1)?;
    if test.n_rows() > 0 {
        let n_batch = options.number("batch-rows")?;
        if n_batch > 0 {
            let batch = read_rows(folder, |row| row < n_batch)?;
            measure_scoring(&fitted, &test, batch, n_batch, &mut line)?;
        }
        if let Ok(path) = options.text("scores") {
            let scores = fitted.shares(&test)?;
            write_atomic(Path::new(path), &scores.iter().flat_map(|score| score.to_le_bytes()).collect::<Vec<_>>())
                .map_err(|error| error.to_string())?;
        }
    }
    println!("{}", Value::Object(line));
    Ok(())
}

type Line = serde_json::Map<String, Value>;

/// Grows a forest; time, memory, bytes.
fn measure_fit(task: Task, rows: Rows) -> Result<(Fitted, Line), Error> {
    let shape = (rows.n_rows(), rows.n_features);
    let before = resident_since_reset();
    let start = Instant::now();
    let (fitted, binned_s) = Fitted::grow(task, rows)?;
    let fit_s = start.elapsed().as_secs_f64();
    // The training rows are counted before and at the peak, though some of the peers drop them on return.
    let peak = status_bytes("VmHWM:");
    let line = json!({
        "rows": shape.0, "features": shape.1, "fit_s": fit_s, "binned_s": binned_s,
        "extra_bytes": before.zip(peak).map(|(before, peak)| peak.saturating_sub(before)),
        "model_bytes": fitted.n_bytes(),
    });
    let Value::Object(line) = line else { unreachable!("an object was written") };
    Ok((fitted, line))
}

/// One row at a time (the median over up to 1,000 rows), and `n_batch` rows at once (the best of three): the first rows
/// of the data, again and again where it has fewer.
fn measure_scoring(fitted: &Fitted, test: &Rows, batch: Rows, n_batch: usize, line: &mut Line) -> Result<(), Error> {
    let n_features = test.n_features;
    let mut one_row = Vec::new();
    for row in test.values.chunks_exact(n_features).take(1000) {
        let start = Instant::now();
        std::hint::black_box(fitted.score_row(row)?);
        one_row.push(start.elapsed().as_secs_f64());
        // A slow peer need not show a thousand times that it is.
        if one_row.iter().sum::<f64>() > 5.0 {
            break;
        }
    }
    one_row.sort_by(f64::total_cmp);
    line.insert("one_row_us".into(), json!(one_row[one_row.len() / 2] * 1e6));
    let values: Vec<f32> = batch.values.iter().copied().cycle().take(n_batch * n_features).collect();
    drop(batch);
    let batch = Batch::new(fitted, n_features, values)?;
    let mut best = f64::INFINITY;
    for _ in 0..3 {
        let start = Instant::now();
        std::hint::black_box(fitted.score(&batch)?);
        best = best.min(start.elapsed().as_secs_f64());
    }
    line.insert("batch_s".into(), json!(best));
    Ok(())
}

type Dense = DenseMatrix<f32>;

/// A fitted forest.
///
/// smartcore's classifier answers classes alone. Its regressors on labels of 0 and 1 grow the same trees, for the
/// variance of such labels is half their Gini impurity, and answer the share of positives: they stand here for it, on one
/// thread as all of smartcore does. linfa draws columns per tree, not per split, grows on one thread, and answers the
/// majority class: its scores are the trees' votes.
enum Fitted {
    Fraudml(Model),
    Smartcore(RandomForestRegressor<f32, f32, Dense, Vec<f32>>),
    SmartcoreExtra(ExtraTreesRegressor<f32, f32, Dense, Vec<f32>>),
    Linfa(RandomForest<f32, usize>),
}

/// Rows in the form the library takes.
enum Batch {
    Matrix(FeatureMatrix),
    Dense(Dense),
    Array(Array2<f32>),
}

impl Batch {
    fn new(fitted: &Fitted, n_features: usize, values: Vec<f32>) -> Result<Self, Error> {
        let n_rows = values.len() / n_features;
        Ok(match fitted {
            Fitted::Fraudml(_) => Batch::Matrix(matrix(n_features, values)),
            Fitted::Smartcore(_) | Fitted::SmartcoreExtra(_) => {
                Batch::Dense(DenseMatrix::new(n_rows, n_features, values, false)?)
            }
            Fitted::Linfa(_) => Batch::Array(Array2::from_shape_vec((n_rows, n_features), values)?),
        })
    }
}

impl Fitted {
    /// The fit, and of its seconds those that binning took (0 where there is none).
    fn grow(task: Task, rows: Rows) -> Result<(Self, f64), Error> {
        let without_bins = |fitted| Ok((fitted, 0.0));
        match (task.library, task.kind) {
            ("fraudml", kind) => grow_fraudml(task, kind, rows),
            ("smartcore", kind) => without_bins(grow_smartcore(task, kind, rows)?),
            ("linfa", SplitKind::Best) => without_bins(Fitted::Linfa(grow_linfa(task, rows)?)),
            (library, _) => Err(format!("`{library}` does not grow such forests").into()),
        }
    }

    /// Bytes on disk; smartcore and linfa have no format of their own without serde.
    fn n_bytes(&self) -> Option<usize> {
        match self {
            Fitted::Fraudml(model) => Some(model.to_bytes().len()),
            _ => None,
        }
    }

    fn score_row(&self, row: &[f32]) -> Result<f32, Error> {
        match self {
            Fitted::Fraudml(model) => Ok(model.score_row(row)),
            _ => Ok(self.score(&Batch::new(self, row.len(), row.to_vec())?)?[0]),
        }
    }

    /// What the library's call for many rows answers.
    fn score(&self, batch: &Batch) -> Result<Vec<f32>, Error> {
        match (self, batch) {
            (Fitted::Fraudml(model), Batch::Matrix(rows)) => Ok(score_parallel(model, rows)),
            (Fitted::Smartcore(forest), Batch::Dense(rows)) => Ok(forest.predict(rows)?),
            (Fitted::SmartcoreExtra(forest), Batch::Dense(rows)) => Ok(forest.predict(rows)?),
            (Fitted::Linfa(forest), Batch::Array(rows)) => {
                Ok(forest.predict(rows).iter().map(|&class| class as f32).collect())
            }
            _ => Err("rows of another library".into()),
        }
    }

    /// Scores that rank.
    fn shares(&self, rows: &Rows) -> Result<Vec<f32>, Error> {
        let batch = Batch::new(self, rows.n_features, rows.values.clone())?;
        let (Fitted::Linfa(forest), Batch::Array(values)) = (self, &batch) else {
            return self.score(&batch);
        };
        let mut votes = vec![0.0; rows.n_rows()];
        for (tree, features) in forest.models.iter().zip(&forest.model_features) {
            for (votes, class) in votes.iter_mut().zip(tree.predict(&values.select(Axis(1), features)).iter()) {
                *votes += *class as f32 / forest.models.len() as f32;
            }
        }
        Ok(votes)
    }
}

fn grow_fraudml(task: Task, kind: SplitKind, rows: Rows) -> Result<(Fitted, f64), Error> {
    let defaults = match kind {
        SplitKind::Best => ForestConfig::RANDOM_FOREST,
        SplitKind::Random => ForestConfig::EXTRA_TREES,
    };
    let config = ForestConfig { trees: task.trees, ..defaults };
    let (matrix, labels) = rows.into_matrix();
    let set = training_set(Arc::new(matrix), labels);
    let start = Instant::now();
    let binned = set.binned(config.bins).expect("bins in memory");
    let binned_s = start.elapsed().as_secs_f64();
    let grown = grow_binned(&config, kind, &binned, &set, Seed::new(task.seed), &Silent);
    Ok((Fitted::Fraudml(Model::Forest(grown.map_err(|error| error.to_string())?.forest)), binned_s))
}

fn grow_smartcore(task: Task, kind: SplitKind, rows: Rows) -> Result<Fitted, Error> {
    let labels: Vec<f32> = rows.labels.iter().map(|&label| f32::from(label)).collect();
    let x = DenseMatrix::new(labels.len(), rows.n_features, rows.values, false)?;
    Ok(match kind {
        SplitKind::Best => {
            let parameters = RandomForestRegressorParameters::default().with_n_trees(task.trees).with_seed(task.seed);
            Fitted::Smartcore(RandomForestRegressor::fit(&x, &labels, parameters)?)
        }
        SplitKind::Random => {
            let parameters = ExtraTreesRegressorParameters::default().with_n_trees(task.trees).with_seed(task.seed);
            Fitted::SmartcoreExtra(ExtraTreesRegressor::fit(&x, &labels, parameters)?)
        }
    })
}

fn grow_linfa(task: Task, rows: Rows) -> Result<RandomForest<f32, usize>, Error> {
    let share = (rows.n_features as f64).sqrt() / rows.n_features as f64;
    let x = Array2::from_shape_vec((rows.n_rows(), rows.n_features), rows.values)?;
    let labels: Array1<usize> = rows.labels.iter().map(|&label| usize::from(label)).collect();
    let parameters =
        EnsembleLearnerParams::new_fixed_rng(DecisionTree::params().check()?, SmallRng::seed_from_u64(task.seed))
            .ensemble_size(task.trees)
            .feature_proportion(share)
            .check()?;
    Ok(parameters.fit(&Dataset::new(x, labels))?)
}

/// Prepares raw files as `train` would for a final fit under the random protocol, and writes training and test rows in
/// the order of the input.
fn prepare_folder(options: &Options) -> Result<(), Error> {
    let sets: Vec<String> = options.text("set")?.split(',').map(str::to_owned).collect();
    let loaded = config::load(Path::new(options.text("config")?), &sets, &[])
        .map_err(|problems| problems.iter().map(|problem| format!("{problem}\n")).collect::<String>())?;
    let config = loaded.config;
    let data = read::read(&config.recipe(), &Storage::in_memory(), &Silent).map_err(|error| error.to_string())?;
    let part = split(&data.dataset, &config.split, Protocol::Random, Seed::new(config.seed))
        .map_err(|error| error.to_string())?;
    let prepared = prepare(&config.recipe(), &part.train, &part.test, &Storage::in_memory(), Seed::new(config.seed))
        .map_err(|error| error.to_string())?;
    let train = prepared.train.matrix();
    let (n_rows, n_features) = (data.dataset.n_rows(), train.n_features());
    let mut bytes = vec![0; n_rows * n_features * 4];
    let sides = [(part.train.rows(), &**train), (part.test.rows(), &prepared.held_out.matrix())];
    for (&row, values) in sides.iter().flat_map(|(rows, matrix)| rows.iter().zip(matrix.rows())) {
        let place = &mut bytes[row as usize * n_features * 4..][..n_features * 4];
        for (place, value) in place.as_chunks_mut::<4>().0.iter_mut().zip(values) {
            *place = value.to_le_bytes();
        }
    }
    let out = Path::new(options.text("out")?);
    let meta = json!({ "rows": n_rows, "features": n_features }).to_string();
    create_folder(out).map_err(|error| error.to_string())?;
    for (name, bytes) in [("x.f32", &bytes[..]), ("y.u8", &data.dataset.labels), ("meta.json", meta.as_bytes())] {
        write_atomic(&out.join(name), bytes).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// All libraries on 4,000 x 20 made rows, in one process.
fn all_on_made_data() -> Result<(), Error> {
    let made = |n_rows: usize, seed: u64| {
        let mut rng = SmallRng::seed_from_u64(seed);
        let n_features = 20;
        let values: Vec<f32> =
            (0..n_rows * n_features).map(|_| rand08::Rng::gen_range(&mut rng, -1.0..1.0f32)).collect();
        let is_positive = |row: &[f32]| u8::from(row[0] * row[1] + row[2] + 0.3 * row[3] > 0.6);
        let labels = values.chunks_exact(n_features).map(is_positive).collect();
        Rows { n_features, values, labels }
    };
    for (kind, name) in [(SplitKind::Best, "random-forest"), (SplitKind::Random, "extra-trees")] {
        for library in ["fraudml", "smartcore", "linfa"] {
            if (library, kind) == ("linfa", SplitKind::Random) {
                continue;
            }
            let task = Task { library, kind, trees: 20, seed: 1 };
            let (fitted, mut line) = measure_fit(task, made(4000, 1))?;
            let test = made(1000, 2);
            measure_scoring(&fitted, &test, made(1000, 3), 10_000, &mut line)?;
            let right =
                fitted.shares(&test)?.iter().zip(&test.labels).filter(|(x, y)| (**x > 0.5) == (**y == 1)).count();
            line.insert("accuracy".into(), json!(right as f64 / test.n_rows() as f64));
            line.insert("library".into(), json!(library));
            line.insert("kind".into(), json!(name));
            println!("{}", Value::Object(line));
        }
    }
    Ok(())
}

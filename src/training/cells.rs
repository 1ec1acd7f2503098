//! Cells: the grid of protocol x model x case x part, each addressed by a hash of all that determines its result.
//!
//! The key covers data, split, preparation, case, model, seed, part, version and the code that learns; not selection, threshold, report,
//! output or threads. So a finished cell is found again by any run that asks for the same thing, and what is finished is
//! skipped.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::config::{Config, ModelConfig, NamedCase, NamedModel};
use super::error::{Error, Result};

use super::evaluate::{Metrics, OutOfBag, ResamplingReport, measure, out_of_bag};
use super::fit::mlp::WatchedCurves;
use super::fit::{Fitted, Learner, forest, score_rows, score_set};
use super::mapped::Storage;
use super::planted::planted;
use super::prepare::{Prepared, prepare};
use super::progress::{Progress, Unit};
use super::read::ReadData;
use super::resample::{Resampled, Shared, resample};
use super::rows::TrainingSet;
use super::run::cpu_features;
use super::run_dir::{CellStore, FrozenFit};
use super::seed::Seed;
use super::split::{Part, Split, set_aside};
use super::table_file::Scores;
use super::texts::Texts;
use super::tree_parts::{TreePart, TreeParts};
use crate::scoring::bundle::sha256_hex;
use crate::scoring::matrix::FeatureMatrix;
use crate::scoring::model::{Classifier, Model};

/// `cell.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    pub format: u32,
    pub key: String,
    pub protocol: String,
    pub model: String,
    pub case: String,
    /// `fold-0`.. or `final`.
    pub part: String,
    pub n_features: usize,
    /// On the rows held out of this fit.
    pub metrics: Metrics,
    /// Recall at 0.5 on the original training rows.
    pub train_recall: Option<f64>,
    pub resampling: ResamplingReport,
    /// Mean training loss per epoch (mlp).
    pub losses: Vec<f64>,
    /// Where early stopping watched rows set aside (mlp).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watched: Option<WatchedCurves>,
    /// Share of each feature in the decrease of impurity; final fits of forests only.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub importance: BTreeMap<String, f64>,
    /// Where `oob_score` asked for it.
    #[serde(default)]
    pub out_of_bag: Option<OutOfBag>,
    /// Why it was asked for and is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_of_bag_undefined: Option<String>,
    /// Of `model.safetensors`; final fits only.
    #[serde(default)]
    pub model_bytes: Option<u64>,
    /// SHA-256 of the other files of the cell, by name; none in cells of before they were kept.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
}

impl Cell {
    pub const FORMAT: u32 = 1;
}

/// A cell to be: what it is, and its key. The list of them is `cells.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedCell {
    pub protocol: String,
    pub model: String,
    pub case: String,
    pub part: String,
    pub key: String,
}

/// As a person calls it.
impl std::fmt::Display for PlannedCell {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{} {} {} {}", self.protocol, self.part, self.model, self.case)
    }
}

impl PlannedCell {
    /// The split and the part of it that the cell is fitted on.
    pub fn place<'s>(&self, splits: &'s [Split]) -> Option<(&'s Split, Part)> {
        let split = splits.iter().find(|split| split.protocol.as_str() == self.protocol)?;
        Some((split, split.parts().find(|part| part.to_string() == self.part)?))
    }
}

/// What one cell took; a line of `timings.jsonl`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Timing {
    pub key: String,
    pub cell: String,
    pub seconds: f64,
    /// To score one row by itself, the median; final fits only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row_microseconds: Option<f64>,
    /// Most memory the process has had so far, in MB of 1,000,000 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_mb: Option<f64>,
}

/// From `/proc/self/status`; none where there is no such file.
fn peak_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok().map(|kilobytes| kilobytes * 1024.0 / 1e6)
}

/// Cells of this pair? The baseline never becomes a bundle.
fn runs(model: &NamedModel, case: &NamedCase) -> bool {
    !matches!(model.model, ModelConfig::Logistic) || case.case.has_baseline()
}

/// The whole grid, in the order of the config: protocol, part, case, model.
pub fn plan(config: &Config, data: &ReadData, splits: &[Split]) -> Vec<PlannedCell> {
    let mut cells = Vec::new();
    for split in splits {
        for part in split.parts() {
            for case in &config.imbalance {
                for model in config.models.iter().filter(|model| runs(model, case)) {
                    cells.push(PlannedCell {
                        protocol: split.protocol.as_str().into(),
                        model: model.name.clone(),
                        case: case.name.clone(),
                        part: part.to_string(),
                        key: key(config, data, split, part, case, model),
                    });
                }
            }
        }
    }
    cells
}

fn key(config: &Config, data: &ReadData, split: &Split, part: Part, case: &NamedCase, model: &NamedModel) -> String {
    let identity = serde_json::json!({
        "format": Cell::FORMAT,
        "version": env!("CARGO_PKG_VERSION"),
        "code": env!("FRAUDML_CODE"),
        // A build that leaks on purpose has cells of its own.
        "planted": planted(),
        // The bits of a network, and of products of columns, follow the processor's features; a store shared by machines
        // must not mix them.
        "cpu": (matches!(model.model, ModelConfig::Mlp(_)) || config.preprocess.multiplies()).then(cpu_features),
        "data": data.fingerprints.iter().map(|file| &file.sha256).collect::<Vec<_>>(),
        "joins": config.data.tables.iter().map(|table| &table.join).collect::<Vec<_>>(),
        "target": config.data.target,
        "id": config.data.id,
        "time": config.data.time,
        "schema": data.schema,
        "split": { "protocol": split.protocol, "test_share": config.split.test_share, "folds": config.split.folds,
            "keep_groups": config.split.keep_groups, "gap": config.split.gap },
        "part": part.to_string(),
        "roles": config.data.columns,
        "features": config.features,
        "preprocess": config.preprocess,
        "case": case,
        "model": model,
        "seed": config.seed,
    });
    sha256_hex(identity.to_string().as_bytes())[..32].to_owned()
}

/// The grid and what it is worked on with.
pub struct Grid<'a> {
    pub config: &'a Config,
    pub data: &'a ReadData,
    pub splits: &'a [Split],
    pub store: &'a CellStore,
    pub storage: &'a Storage,
    /// Keys of the cells to do; all where there are none named.
    pub only: Option<&'a BTreeSet<String>>,
    /// Forests whose trees grow, or grew, in parts.
    pub parts: &'a TreeParts,
    /// Told the key of every cell and part once it is in the store.
    pub published: &'a dyn Fn(&str) -> Result<()>,
    pub progress: &'a dyn Progress,
}

impl Grid<'_> {
    /// Does every wanted cell that is not there yet; `timings` tells what was done, also if it ends in an error. A part is
    /// prepared once for its cases, a case resampled once for its models.
    pub fn fit(&self, timings: &mut Vec<Timing>) -> Result<()> {
        let Grid { config, data, store, progress, .. } = *self;
        let wanted = plan(config, data, self.splits)
            .into_iter()
            .filter(|cell| self.only.is_none_or(|only| only.contains(&cell.key)));
        let wanted: Vec<PlannedCell> = wanted.collect();
        wanted.iter().try_for_each(|cell| store.refuse_newer(&cell.key))?;
        // The bytes of what is finished are hashed here, once.
        let open: BTreeSet<&str> = wanted.iter().map(|cell| cell.key.as_str()).filter(|key| !store.has(key)).collect();
        if open.len() < wanted.len() {
            progress.say(&format!("{} of {} cells are finished already", wanted.len() - open.len(), wanted.len()));
        }
        progress.begin(Unit::Cells, "cells", open.len() as u64);
        // Somebody else may have made it meanwhile.
        let is_open = |key: &str| open.contains(key) && !store.has(key);
        self.each_set(&is_open, &mut |of_grid, of, key| {
            let fitted = self.learn(&of, &key);
            timings.push(publish(of_grid, &data.dataset.ids, key, of_grid.fitted(of, fitted)?, store)?);
            progress.advance(Unit::Cells, 1);
            self.tell(timings)
        })?;
        progress.end(Unit::Cells);
        Ok(())
    }

    /// What the cells of these keys learn from, part after part of each split.
    fn each_set(
        &self,
        wanted: &dyn Fn(&str) -> bool,
        take: &mut dyn FnMut(&PartOfGrid, PartSet, String) -> Result<()>,
    ) -> Result<()> {
        let Grid { config, data, storage, progress, .. } = *self;
        for split in self.splits {
            for part in split.parts() {
                let of_grid = PartOfGrid { config, split, part, storage, progress };
                let key = |case: &NamedCase, model: &NamedModel| key(config, data, split, part, case, model);
                of_grid.each_set(&|case, model| wanted(&key(case, model)), &mut |of| {
                    let key = key(of.case, of.model);
                    take(&of_grid, of, key)
                })?;
            }
        }
        Ok(())
    }

    /// Puts a forest together whose parts are all there, and fits what else there is.
    fn learn(&self, of: &PartSet, key: &str) -> Result<Fitted> {
        let (parts, store) = (self.parts.of(key), self.store);
        match of.model.model.forest() {
            Some((forest, _))
                if !parts.is_empty() && parts.iter().all(|part| store.trees_file(&part.key).is_some()) =>
            {
                let trees = |at: usize| Ok(parts.get(at).and_then(|part| store.trees(&part.key)));
                Ok(forest::put_together(forest, of.set, of.seed, &trees)?.into())
            }
            _ => of.model.model.fit(of.set, of.seed, self.progress),
        }
    }

    /// Grows the parts of forests that are not there yet.
    pub fn grow(&self, timings: &mut Vec<Timing>) -> Result<()> {
        self.each_set(&|key| !self.parts.of(key).is_empty(), &mut |of_grid, of, key| {
            for part in self.parts.of(&key) {
                let name = format!("{}, {part}", of_grid.name(of.case, of.model));
                timings.push(self.grow_part(&of, part, name)?);
                self.tell(timings)?;
            }
            Ok(())
        })
    }

    fn grow_part(&self, of: &PartSet, part: &TreePart, name: String) -> Result<Timing> {
        let started = Instant::now();
        let Some((forest, kind)) = of.model.model.forest() else {
            return Err(Error::permanent(format!("{name}: it is no forest")));
        };
        let trees = forest::grow_part(forest, kind, of.set, of.seed, part.from..part.to, self.progress);
        self.store.publish_trees(&part.key, &trees.map_err(|error| error.within(&name))?)?;
        let seconds = started.elapsed().as_secs_f64();
        Ok(Timing { key: part.key.clone(), cell: name, seconds, row_microseconds: None, peak_mb: peak_mb() })
    }

    /// What was just done.
    fn tell(&self, timings: &[Timing]) -> Result<()> {
        let Some(Timing { key, cell, seconds, .. }) = timings.last() else { return Ok(()) };
        tracing::info!(cell, key, seconds, "fitted");
        (self.published)(key)
    }
}

/// Models and cases on one part of a split.
pub struct PartOfGrid<'a> {
    pub config: &'a Config,
    pub split: &'a Split,
    pub part: Part,
    pub storage: &'a Storage,
    pub progress: &'a dyn Progress,
}

/// A model that was just fitted, and on what.
pub struct CellFit<'f> {
    pub case: &'f NamedCase,
    pub model: &'f NamedModel,
    pub prepared: &'f Prepared,
    /// What was learned from.
    pub set: &'f TrainingSet,
    pub resampling: &'f ResamplingReport,
    pub fitted: Fitted,
    started: Instant,
}

/// What one model of a part learns from.
pub struct PartSet<'f> {
    pub case: &'f NamedCase,
    pub model: &'f NamedModel,
    prepared: &'f Prepared,
    set: &'f TrainingSet,
    resampling: &'f ResamplingReport,
    seed: Seed,
    started: Instant,
}

impl CellFit<'_> {
    /// Raw scores of the rows held out of this part.
    pub fn scores(&self) -> Vec<f32> {
        let (columns, rows) = self.prepared.held_out.columns();
        score_rows(&self.fitted.model, columns, rows)
    }
}

impl PartOfGrid<'_> {
    /// A cell as a person calls it.
    pub fn name(&self, case: &NamedCase, model: &NamedModel) -> String {
        format!("{} {} {} {}", self.split.protocol.as_str(), self.part, model.name, case.name)
    }

    fn seed(&self) -> Seed {
        self.part.seed(self.split.protocol, Seed::new(self.config.seed))
    }

    /// Fits the pairs that are wanted, and hands each out before the next.
    pub fn fit(
        &self,
        wanted: &dyn Fn(&NamedCase, &NamedModel) -> bool,
        take: &mut dyn FnMut(CellFit) -> Result<()>,
    ) -> Result<()> {
        self.each_set(wanted, &mut |of| {
            let fitted = of.model.model.fit(of.set, of.seed, self.progress);
            take(self.fitted(of, fitted)?)
        })
    }

    fn fitted<'f>(&self, of: PartSet<'f>, fitted: Result<Fitted>) -> Result<CellFit<'f>> {
        let PartSet { case, model, prepared, set, resampling, started, .. } = of;
        let fitted = fitted.map_err(|error| error.within(&self.name(case, model)))?;
        Ok(CellFit { case, model, prepared, set, resampling, fitted, started })
    }

    /// Hands out what the wanted pairs learn from, one after the other. Models that set rows aside have a preparation of
    /// their own, for it must not see these rows.
    fn each_set(
        &self,
        wanted: &dyn Fn(&NamedCase, &NamedModel) -> bool,
        take: &mut dyn FnMut(PartSet) -> Result<()>,
    ) -> Result<()> {
        let mut shares: Vec<Option<f64>> = self.config.models.iter().map(|model| model.model.set_aside()).collect();
        shares.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
        shares.dedup();
        shares.into_iter().try_for_each(|aside| {
            let of_share = |case: &NamedCase, model: &NamedModel| {
                model.model.set_aside() == aside && runs(model, case) && wanted(case, model)
            };
            self.sets_of(aside, &of_share, take)
        })
    }

    fn sets_of(
        &self,
        aside: Option<f64>,
        wanted: &dyn Fn(&NamedCase, &NamedModel) -> bool,
        take: &mut dyn FnMut(PartSet) -> Result<()>,
    ) -> Result<()> {
        let models = |case| self.config.models.iter().filter(move |model| wanted(case, model));
        let cases: Vec<&NamedCase> =
            self.config.imbalance.iter().filter(|case| models(case).next().is_some()).collect();
        if cases.is_empty() {
            return Ok(());
        }
        let (train, held_out) = self.split.rows(self.part);
        let apart = aside.map(|share| set_aside(self.split.protocol, train, share, self.seed())).transpose()?;
        let (train, watched) = apart.as_ref().map_or((train, None), |(train, watched)| (train, Some(watched)));
        let started = Instant::now();
        let prepared = prepare(&self.config.recipe(), train, held_out, self.storage, self.seed())?;
        let (protocol, seconds) = (self.split.protocol.as_str(), started.elapsed().as_secs_f64());
        tracing::info!(protocol, part = %self.part, seconds, "prepared");
        let watched = watched.map(|rows| prepared.watched(rows)).transpose()?;
        let of_part = cases.iter().map(|case| case.case.clone()).collect();
        let mut shared = Shared::new(&prepared.train, self.seed(), of_part);
        for case in cases {
            let place = || format!("{} {} {}", self.split.protocol.as_str(), self.part, case.name);
            let resampled = resample(&case.case, &mut shared, self.progress);
            let Resampled { set, report, .. } = resampled.map_err(|error| error.within(&place()))?;
            let set = set.watching(watched.clone());
            for model in models(case) {
                if self.progress.interrupted() {
                    return Err(Error::interrupted());
                }
                let started = Instant::now();
                let seed = self.seed().derive(&format!("model {} {}", model.name, case.name), 0);
                take(PartSet { case, model, prepared: &prepared, set: &set, resampling: &report, seed, started })?;
            }
        }
        Ok(())
    }
}

/// Measures a fit on the rows it did not see, and leaves its cell in the store.
fn publish(of: &PartOfGrid, ids: &Texts, key: String, fit: CellFit, store: &CellStore) -> Result<Timing> {
    let scores = fit.scores();
    let CellFit { case, model, prepared, set, resampling, fitted, started } = fit;
    let train_scores = score_set(&fitted.model, &prepared.train);
    let (_, held_out) = of.split.rows(of.part);
    let is_final = of.part == Part::Final;
    let frozen =
        is_final.then(|| FrozenFit { preprocessor: prepared.preprocessor.to_bytes(), model: fitted.model.to_bytes() });
    let names = prepared.preprocessor.feature_names();
    let shares =
        names.iter().cloned().zip(fitted.impurity_importance).filter(|(_, share)| is_final && share.is_finite());
    let (out_of_bag, out_of_bag_undefined) = out_of_bag(prepared.train.labels(), &fitted.out_of_bag, resampling);
    let cell = Cell {
        format: Cell::FORMAT,
        key,
        protocol: of.split.protocol.as_str().into(),
        model: model.name.clone(),
        case: case.name.clone(),
        part: of.part.to_string(),
        n_features: set.n_features(),
        metrics: measure(&prepared.held_out.labels, &scores),
        train_recall: recall_at_half(prepared.train.labels(), &train_scores),
        resampling: resampling.clone(),
        losses: fitted.losses,
        watched: fitted.watched,
        importance: shares.collect(),
        out_of_bag,
        out_of_bag_undefined,
        model_bytes: frozen.as_ref().map(|frozen| frozen.model.len() as u64),
        files: BTreeMap::new(),
    };
    let row_ids = held_out.rows().iter().map(|&row| ids.get(row as usize).into_owned()).collect();
    let scores = Scores { row_ids, labels: prepared.held_out.labels.clone(), scores };
    let key = cell.key.clone();
    store.publish(cell, &scores, frozen.as_ref())?;
    let (columns, rows) = prepared.held_out.columns();
    let timed = || columns.matrix(&rows[..rows.len().min(TIMED_ROWS)]);
    let row_microseconds = is_final.then(|| row_microseconds(&fitted.model, &timed())).flatten();
    let seconds = started.elapsed().as_secs_f64();
    Ok(Timing { key, cell: of.name(case, model), seconds, row_microseconds, peak_mb: peak_mb() })
}

/// The median time to score one row by itself, over at most a thousand rows.
const TIMED_ROWS: usize = 1000;

fn row_microseconds(model: &Model, matrix: &FeatureMatrix) -> Option<f64> {
    let timed = |row: &[f32]| {
        let started = Instant::now();
        std::hint::black_box(model.score_row(std::hint::black_box(row)));
        started.elapsed().as_secs_f64() * 1e6
    };
    let mut times: Vec<f64> = matrix.rows().map(timed).collect();
    times.sort_unstable_by(f64::total_cmp);
    times.get(times.len() / 2).copied()
}

fn recall_at_half(labels: &[u8], scores: &[f32]) -> Option<f64> {
    let n_positives = labels.iter().filter(|&&label| label == 1).count();
    let n_found = labels.iter().zip(scores).filter(|(label, score)| **label == 1 && **score >= 0.5).count();
    (n_positives > 0).then(|| n_found as f64 / n_positives as f64)
}

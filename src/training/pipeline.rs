//! The table of contents: one line per verb.
//!
//! In: a checked config. Out: a finished run in `experiments/`, a bundle in `artifacts/`, a report in `reports/`.

use std::collections::btree_map::{BTreeMap, Entry};
use std::path::PathBuf;

use super::cells::{fit_all, plan};
use super::config::{Config, NamedModel};
use super::error::{Error, Result};
use super::evaluate::{Permuting, permutation_importance};
use super::explore::{self, Detail, Eda};
use super::mapped::Storage;
use super::outcome::{Outcome, PERMUTATION_FILE, assemble};
use super::progress::Progress;
use super::report::RunReport;
use super::resampled::{ResampledRows, Wanted};
use super::run::{Run, run_id};
use super::run_dir::{CellStore, create_folder, prove_writable, publish_folder, to_json, write_atomic};
use super::seed::Seed;
use super::split::{Part, Split, split};
use super::{checks, freeze, read, report};
use crate::scoring::bundle::Bundle;
use crate::scoring::preprocessor::{DroppedColumn, Preprocessor};

/// What `train` leaves behind.
#[derive(Debug)]
pub struct Trained {
    pub run: Run,
    pub eda: Eda,
    pub report: RunReport,
    pub bundle: PathBuf,
    pub reports: PathBuf,
}

/// The whole offline phase; continues what is unfinished. `resolved` is the config as YAML, kept with the run.
pub fn train(config: &Config, resolved: &str, progress: &dyn Progress) -> Result<Trained> {
    let store = open_outputs(config)?;
    let storage = Storage::new(config.limits.memory_budget, &config.output.experiments);
    let data = read::read(&config.recipe(), &storage, progress)?;
    let splits = split_all(config, &data)?;
    checks::before_fitting(config, &data, &splits, &store, &storage, progress)?;
    let mut run = Run::open(config, &data)?;
    run.write("config.yaml", resolved.as_bytes())?;
    let eda = explore::explore(&data.dataset);
    run.write_splits(&data, &splits)?;
    run.write_cells(&plan(config, &data, &splits))?;
    let mut timings = Vec::new();
    let fitted = fit_all(config, &data, &splits, &store, &storage, &mut timings, progress);
    run.append_timings(&timings)?;
    fitted?;
    run.file.dropped = dropped_columns(&run, &store)?;
    let mut outcome = assemble(&run, &store)?;
    permute_columns(config, &splits, &run, &store, &mut outcome, progress)?;
    let bundle = freeze_winner(config, &data, &splits, &mut run, &store, &outcome)?;
    outcome.report.bundle_id = run.file.bundle.clone();
    let reports = write_report(&run, &outcome, Some(&eda))?;
    finish(&run, &outcome.report)?;
    Ok(Trained { run, eda, report: outcome.report, bundle, reports })
}

/// Evaluates a run again from its cells and writes its report; trains nothing.
pub fn evaluate(run: &Run) -> Result<(PathBuf, RunReport)> {
    let outcome = assemble(run, &CellStore::beside(&run.folder))?;
    Ok((write_report(run, &outcome, None)?, outcome.report))
}

/// Reads and profiles the data alone; writes `eda.json` and `eda.html` where `train` writes the former.
pub fn explore(config: &Config, progress: &dyn Progress) -> Result<(PathBuf, Detail)> {
    let data = read::read(&config.recipe(), &Storage::in_memory(), progress)?;
    let detail = explore::detail(&data.dataset)?;
    let folder = config.output.reports.join(run_id(config, &data));
    write_atomic(&folder.join("eda.json"), &to_json(&detail))?;
    let path = folder.join("eda.html");
    write_atomic(&path, report::eda_html(&config.name, &detail).as_bytes())?;
    Ok((path, detail))
}

/// Applies one case to the training rows of one part; fits nothing.
pub fn resample(config: &Config, wanted: &Wanted, progress: &dyn Progress) -> Result<ResampledRows> {
    wanted.case(config)?;
    let data = read::read(&config.recipe(), &Storage::in_memory(), progress)?;
    let splits = split_all(config, &data)?;
    ResampledRows::new(config, &data, &splits, wanted, progress)
}

/// Everything that will be written to is writable before the long work starts.
fn open_outputs(config: &Config) -> Result<CellStore> {
    for folder in [&config.output.reports, &config.output.artifacts] {
        create_folder(folder)?;
        prove_writable(folder)?;
    }
    CellStore::open(&config.output.experiments)
}

fn split_all(config: &Config, data: &read::ReadData) -> Result<Vec<Split>> {
    let seed = Seed::new(config.seed);
    config.split.protocols.iter().map(|&protocol| split(&data.dataset, &config.split, protocol, seed)).collect()
}

/// What the preparation of each protocol's final fit left out; it is the same for all its models and cases.
fn dropped_columns(run: &Run, store: &CellStore) -> Result<BTreeMap<String, Vec<DroppedColumn>>> {
    let mut dropped = BTreeMap::new();
    for cell in run.cells()?.into_iter().filter(|cell| cell.part == Part::Final.to_string()) {
        if let Entry::Vacant(first) = dropped.entry(cell.protocol) {
            first.insert(Preprocessor::from_bytes(&store.frozen_fit(&cell.key)?.preprocessor)?.dropped);
        }
    }
    Ok(dropped)
}

/// Measures what the winner loses when a column of the test rows is shuffled, if that was asked for and is not known yet.
fn permute_columns(
    config: &Config,
    splits: &[Split],
    run: &Run,
    store: &CellStore,
    outcome: &mut Outcome,
    progress: &dyn Progress,
) -> Result<()> {
    if !config.importance.permutation || outcome.report.importance.permutation.is_some() {
        return Ok(());
    }
    let (model, split) = winner(config, splits, outcome)?;
    let fit = store.frozen_fit(&outcome.winner)?;
    let from = Permuting { cell: &outcome.winner, kind: model.model.kind(), fit: &fit, test: &split.test };
    let seed = Seed::new(config.seed).derive("permutation importance", 0);
    let found = permutation_importance(&from, config.importance, seed, progress)?;
    run.write(PERMUTATION_FILE, &to_json(&found))?;
    outcome.report.importance.permutation = Some(found);
    Ok(())
}

/// The winner's model and rows.
fn winner<'a>(config: &'a Config, splits: &'a [Split], outcome: &Outcome) -> Result<(&'a NamedModel, &'a Split)> {
    let selection = &outcome.report.selection;
    let model = config.models.iter().find(|model| model.name == selection.model);
    let split = splits.iter().find(|split| split.protocol.as_str() == selection.protocol);
    model.zip(split).ok_or_else(|| Error::failed("the winner is not in the grid"))
}

fn freeze_winner(
    config: &Config,
    data: &read::ReadData,
    splits: &[Split],
    run: &mut Run,
    store: &CellStore,
    outcome: &Outcome,
) -> Result<PathBuf> {
    let selection = &outcome.report.selection;
    let (model, split) = winner(config, splits, outcome)?;
    let row = outcome.report.winner().ok_or_else(|| Error::failed("the winner has no row"))?;
    let (id, files) = freeze::freeze(&freeze::Freezing {
        name: &config.name,
        run_id: &run.file.run_id,
        schema: &data.schema,
        selection,
        kind: model.model.kind(),
        row,
        calibration: &outcome.report.calibration.map,
        operating_point: &outcome.report.operating_point,
        fit: store.frozen_fit(&outcome.winner)?,
        test: &split.test,
        test_scores: &store.scores(&outcome.winner)?,
    })?;
    let folder = config.output.artifacts.join(&id);
    let is_whole = || Bundle::load(&folder).is_ok();
    publish_folder(&config.output.artifacts, &id, &files.into_iter().collect::<Vec<_>>(), is_whole)?;
    run.file.bundle = Some(id);
    run.save()?;
    Ok(folder)
}

/// What a finished run keeps beside its cells. The leaderboard comes last: its presence says that the run is finished,
/// its date which run is the latest, so that only training touches it.
fn finish(run: &Run, report: &RunReport) -> Result<()> {
    run.write("leaderboard.csv", report::leaderboard_csv(&report.leaderboard)?.as_bytes())?;
    let selection = serde_json::json!({
        "selection": report.selection, "calibration": report.calibration.method,
        "operating_point": report.operating_point, "bundle": report.bundle_id,
    });
    run.write("selection.json", &to_json(&selection))?;
    run.write("leaderboard.json", &to_json(&report.leaderboard))
}

fn write_report(run: &Run, outcome: &Outcome, eda: Option<&Eda>) -> Result<PathBuf> {
    let folder = run.beside(&run.file.output.reports).join(&run.file.run_id);
    for (name, bytes) in report::files(&outcome.report, &outcome.losses)? {
        write_atomic(&folder.join(name), &bytes)?;
    }
    if let Some(eda) = eda {
        write_atomic(&folder.join("eda.json"), &to_json(eda))?;
    }
    Ok(folder)
}

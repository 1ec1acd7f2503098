//! The table of contents: one line per verb.
//!
//! In: a checked config. Out: a finished run in `experiments/`, a bundle in `artifacts/`, a report in `reports/`.

use std::collections::btree_map::{BTreeMap, Entry};
use std::path::PathBuf;

use super::cells::{Grid, PlannedCell, plan};
use super::config::{Config, NamedModel, ThresholdPolicy};
use super::error::{Error, Result};
use super::evaluate::{Explaining, Permuting, PointEstimates, PointMetrics, explain, permutation_importance};
use super::explore::{self, Detail, Eda};
use super::mapped::Storage;
use super::outcome::{EXPLANATION_FILE, Outcome, PERMUTATION_FILE, assemble, replan as replan_run};
use super::progress::Progress;
use super::report::RunReport;
use super::resampled::{ResampledRows, Wanted};
use super::run::{Run, RunFile, run_id};
use super::run_dir::{CellStore, Lock, lock_run, publish_folder, share_folder, to_json, write_atomic};
use super::run_store::RemoteRun;
use super::seed::Seed;
use super::shards::{self, PlanFile, Planned, Planning, Shard, check_bits};
use super::split::{Part, Split, split};
use super::timing::Clock;
use super::tree_parts::TreeParts;
use super::{checks, freeze, read, report, row_facts};
use crate::scoring::bundle::{Bundle, MODEL, Policy, sha256_hex};
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
    let reading = |storage: &Storage| read::read(&config.recipe(), storage, progress);
    train_on(config, resolved, &reading, &TreeParts::default(), progress)
}

/// The same for a planned run whose cells are there, on the table that its plan keeps: no original file is read.
pub fn finish_planned(config: &Config, resolved: &str, run: &Run, progress: &dyn Progress) -> Result<Trained> {
    let plan = PlanFile::read(&run.folder)?;
    let reading = |storage: &Storage| plan.data(&run.folder, storage, progress);
    train_on(config, resolved, &reading, &shards::tree_parts(&plan.cells), progress)
}

/// The same once more, for a run that is finished; refuses data that are not those of the run before anything is fitted.
pub fn train_again(config: &Config, resolved: &str, run: &RunFile, progress: &dyn Progress) -> Result<Run> {
    let same_data = |storage: &Storage| {
        let data = read::read(&config.recipe(), storage, progress)?;
        if run_id(config, &data) == run.run_id { Ok(data) } else { Err(not_of_run(run, &data)) }
    };
    train_on(config, resolved, &same_data, &TreeParts::default(), progress).map(|trained| trained.run)
}

fn not_of_run(run: &RunFile, data: &read::ReadData) -> Error {
    let changed = data.changed_file(run.inputs.iter().map(|file| &file.sha256));
    let what = changed.map_or("the config is not the one it was".to_owned(), |(now, before)| {
        format!("`{}` is not the file it was: expected SHA-256 {before}, found {}", now.path, now.sha256)
    });
    Error::permanent(format!("run `{}` can't be trained again: {what}", run.run_id))
        .hint("bring back the files that `run.json` names, and run this in the folder where `train` ran")
}

/// Where the data of a run come from.
type Reading<'a> = &'a dyn Fn(&Storage) -> Result<read::ReadData>;

fn train_on(
    config: &Config,
    resolved: &str,
    reading: Reading,
    parts: &TreeParts,
    progress: &dyn Progress,
) -> Result<Trained> {
    let mut clock = Clock::start();
    let Begun { store, storage, data, splits, mut run, locks: _locks, .. } =
        begin(config, resolved, reading, &mut clock, progress)?;
    let eda = clock.verb("explore", || explore::explore(&data.dataset));
    write_atomic(&reports_of(&run).join("eda.json"), &to_json(&eda))?;
    let mut timings = Vec::new();
    let grid = Grid {
        config,
        data: &data,
        splits: &splits,
        store: &store,
        storage: &storage,
        only: None,
        parts,
        published: &|_| Ok(()),
        progress,
    };
    let fitted = clock.verb("fit", || grid.fit(&mut timings));
    clock.made_of(&timings);
    run.append_timings("timings.jsonl", &timings)?;
    fitted?;
    run.file.dropped = dropped_columns(&run, &store)?;
    let mut outcome = clock.verb("evaluate", || assemble(&run, &store))?;
    clock.verb("permute", || permute_columns(config, &splits, &run, &store, &mut outcome, progress))?;
    clock.verb("explain", || explain_winner(config, &splits, &run, &store, &mut outcome))?;
    let bundle = clock.verb("freeze", || freeze_winner(config, &data, &splits, &mut run, &store, &outcome))?;
    outcome.report.bundle_id = run.file.bundle.clone();
    let reports = clock.verb("report", || write_report(&run, &outcome))?;
    run.file.timing = Some(clock.tree("train"));
    run.save()?;
    finish(&run, &outcome.report)?;
    Ok(Trained { run, eda, report: outcome.report, bundle, reports })
}

/// A run before its first fit: all that can be known is checked and written.
struct Begun {
    store: CellStore,
    storage: Storage,
    data: read::ReadData,
    splits: Vec<Split>,
    run: Run,
    cells: Vec<PlannedCell>,
    /// Held as long as the run is worked on: to be bound by whoever takes this apart.
    locks: Vec<Lock>,
}

fn begin(
    config: &Config,
    resolved: &str,
    reading: Reading,
    clock: &mut Clock,
    progress: &dyn Progress,
) -> Result<Begun> {
    let (store, mut locks) = open_outputs(config)?;
    let storage = Storage::new(config.limits.memory_budget, &config.output.experiments);
    let data = clock.verb("read", || reading(&storage))?;
    let splits = clock.verb("split", || split_all(config, &data))?;
    checks::before_fitting(config, &data, &splits, &store, &storage, progress)?;
    locks.push(lock_run(&config.output.experiments.join(run_id(config, &data)))?);
    let mut run = Run::open(config, &data)?;
    locks.push(share_folder(&reports_of(&run))?);
    run.write("config.yaml", resolved.as_bytes())?;
    run.write_splits(&data, &splits)?;
    row_facts::keep(&run, config, &data, &splits)?;
    let cells = plan(config, &data, &splits);
    run.write_cells(&cells)?;
    Ok(Begun { store, storage, data, splits, run, cells, locks })
}

/// What [`train`] does before the first fit, the table that was read, and the list of cells with what each will take: all
/// that many machines need to share the rest.
pub fn plan_run(
    config: &Config,
    resolved: &str,
    trees_per_cell: Option<usize>,
    progress: &dyn Progress,
) -> Result<(Run, PlanFile)> {
    let reading = |storage: &Storage| read::read(&config.recipe(), storage, progress);
    let Begun { data, splits, run, cells, locks: _locks, .. } =
        begin(config, resolved, &reading, &mut Clock::start(), progress)?;
    let table = read::snapshot::keep(&run.folder, &data)?;
    let plan =
        PlanFile::of(config, &data, &splits, Planning { run_id: &run.file.run_id, table, cells, trees_per_cell });
    run.write(shards::PLAN_FILE, &to_json(&plan))?;
    Ok((run, plan))
}

/// Does what is not done yet of a shard's cells; how many that were. Reads no data where nothing is open. Cells of a run
/// in an object store are looked for there, and brought there one by one.
pub fn fit_shard(
    config: &Config,
    run: &Run,
    shard: Shard,
    remote: Option<&RemoteRun>,
    progress: &dyn Progress,
) -> Result<usize> {
    let plan = PlanFile::read(&run.folder)?;
    let experiments = run.folder.parent().unwrap_or(std::path::Path::new("."));
    let store = CellStore::open(experiments)?;
    let of_shard: Vec<&Planned> = shard.cells(&plan).collect();
    remote.map_or(Ok(()), |remote| remote.exchange(&of_shard, &store))?;
    let open: Vec<&Planned> = of_shard.into_iter().filter(|planned| !planned.is_there(&store)).collect();
    if open.is_empty() {
        return Ok(0);
    }
    remote.map_or(Ok(()), |remote| remote.fetch_table(run))?;
    let storage = Storage::new(config.limits.memory_budget, experiments);
    let data = plan.data(&run.folder, &storage, progress)?;
    let splits = split_all(config, &data)?;
    check_bits(config, &data, &splits, &open)?;
    let whole = open.iter().filter(|planned| planned.trees.is_none()).map(|planned| planned.cell.key.clone()).collect();
    let parts = shards::tree_parts(open.iter().copied());
    let mut timings = Vec::new();
    let published = |key: &str| remote.map_or(Ok(()), |remote| remote.push(key, &store));
    let grid = Grid {
        config,
        data: &data,
        splits: &splits,
        store: &store,
        storage: &storage,
        only: Some(&whole),
        parts: &parts,
        published: &published,
        progress,
    };
    let fitted = grid.fit(&mut timings).and_then(|()| grid.grow(&mut timings));
    let file = format!("timings-{}-of-{}.jsonl", shard.index, shard.of);
    run.append_timings(&file, &timings)?;
    fitted?;
    remote.map_or(Ok(()), |remote| remote.push_file(run, &file))?;
    Ok(open.len())
}

/// Evaluates a run again from its cells and writes its report; trains nothing.
pub fn evaluate(run: &Run) -> Result<(PathBuf, RunReport)> {
    let outcome = assemble(run, &CellStore::beside(&run.folder))?;
    Ok((write_report(run, &outcome)?, outcome.report))
}

/// Evaluates runs on the same data and writes one page about all of them; trains nothing.
pub fn compare(runs: &[Run]) -> Result<(PathBuf, Vec<RunReport>)> {
    let Some((first, others)) = runs.split_first() else {
        return Err(Error::permanent("expected runs to compare, found none"));
    };
    others.iter().try_for_each(|other| same_data(first, other))?;
    let reports = runs.iter().map(|run| Ok(assemble(run, &CellStore::beside(&run.folder))?.report));
    let reports = reports.collect::<Result<Vec<RunReport>>>()?;
    let ids: Vec<&str> = runs.iter().map(|run| run.file.run_id.as_str()).collect();
    let name = format!("compare-{}", &sha256_hex(ids.join("\n").as_bytes())[..8]);
    let folder = first.beside(&first.file.output.reports).join(name);
    for (name, bytes) in report::compare_files(&reports)? {
        write_atomic(&folder.join(name), &bytes)?;
    }
    Ok((folder, reports))
}

/// Figures are comparable on the same test rows alone.
fn same_data(a: &Run, b: &Run) -> Result<()> {
    let (id_a, id_b) = (&a.file.run_id, &b.file.run_id);
    let hashes = |run: &Run| run.file.inputs.iter().map(|file| file.sha256.clone()).collect::<Vec<String>>();
    let named = |run: &Run| {
        let name = |file: &read::Fingerprint| {
            format!("`{}` ({} rows, SHA-256 {}..)", file.path, file.rows, &file.sha256[..8.min(file.sha256.len())])
        };
        run.file.inputs.iter().map(name).collect::<Vec<String>>().join(", ")
    };
    if hashes(a) != hashes(b) {
        return Err(Error::permanent(format!(
            "runs `{id_a}` and `{id_b}` have different data: {} against {}",
            named(a),
            named(b)
        ))
        .hint("compare runs on the same files"));
    }
    for (protocol, split) in &a.file.splits {
        if b.file.splits.get(protocol).is_some_and(|other| other != split) {
            return Err(Error::permanent(format!(
                "runs `{id_a}` and `{id_b}` have different test rows under the {protocol} protocol"
            ))
            .hint("compare runs with the same `split` and `seed`"));
        }
    }
    Ok(())
}

/// Chooses another operating point for the bundle of a finished run; trains nothing, writes nothing.
pub fn replan(run: &Run, policy: ThresholdPolicy) -> Result<(PathBuf, Policy, PointEstimates)> {
    let unfinished = || Error::permanent(format!("run `{}` has no bundle yet", run.file.run_id));
    let id = run.file.bundle.as_ref().ok_or_else(|| unfinished().hint("finish it with `fraudml train`"))?;
    let folder = run.beside(&run.file.output.artifacts).join(id);
    let manifest = Bundle::frozen(&folder)?.manifest;
    let planned = replan_run(run, &CellStore::beside(&run.folder), policy)?;
    if manifest.calibration != planned.calibration {
        return Err(Error::permanent(format!("bundle `{id}` was calibrated on other scores than those of the run"))
            .hint("run `fraudml train` again: it freezes a bundle of these fits"));
    }
    let value = |figures: &PointMetrics| serde_json::to_value(figures).unwrap_or_default();
    let policy = Policy {
        format: Policy::FORMAT,
        model: manifest.files.get(MODEL).cloned().unwrap_or_default(),
        bundle: manifest.id,
        threshold: planned.point.threshold,
        out_of_fold: value(&planned.point.out_of_fold),
        test: value(&planned.point.test),
        policy: planned.point.policy,
    };
    Ok((folder, policy, planned.estimates))
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
fn open_outputs(config: &Config) -> Result<(CellStore, Vec<Lock>)> {
    let folders = [&config.output.reports, &config.output.artifacts];
    let locks = folders.map(|folder| share_folder(folder)).into_iter().collect::<Result<Vec<Lock>>>()?;
    Ok((CellStore::open(&config.output.experiments)?, locks))
}

fn split_all(config: &Config, data: &read::ReadData) -> Result<Vec<Split>> {
    let seed = Seed::new(config.seed);
    let of_protocol = |&protocol| {
        split(&data.dataset, &config.split, protocol, seed).map(|split| Split { repeats: config.repeats, ..split })
    };
    config.split.protocols.iter().map(of_protocol).collect()
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

/// What the winner's features do and its most costly errors, where that is not known yet.
fn explain_winner(
    config: &Config,
    splits: &[Split],
    run: &Run,
    store: &CellStore,
    outcome: &mut Outcome,
) -> Result<()> {
    let report = &outcome.report;
    if report.explanation.is_some() {
        return Ok(());
    }
    let (model, split) = winner(config, splits, outcome)?;
    let fit = store.frozen_fit(&outcome.winner)?;
    let scores = store.scores(&outcome.winner)?;
    let protocol = &report.selection.protocol;
    let costs = if let ThresholdPolicy::Cost(costs) = config.threshold { costs } else { config.evaluate.costs };
    let asked = Explaining {
        from: Permuting { cell: &outcome.winner, kind: model.model.kind(), fit: &fit, test: &split.test },
        importance: &report.importance,
        calibration: &report.calibration.map,
        threshold: report.operating_point.threshold,
        costs,
        show_columns: &config.evaluate.show_columns,
        facts: &row_facts::read(run, protocol, &Part::Final.to_string(), &scores.row_ids)?,
        ids: &scores.row_ids,
        scores: &scores.scores,
    };
    let found = explain(&asked, Seed::new(config.seed).derive("explanation", 0))?;
    run.write(EXPLANATION_FILE, &to_json(&found))?;
    outcome.report.explanation = Some(found);
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
    let is_whole = || Bundle::frozen(&folder).is_ok();
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

fn reports_of(run: &Run) -> PathBuf {
    run.beside(&run.file.output.reports).join(&run.file.run_id)
}

fn write_report(run: &Run, outcome: &Outcome) -> Result<PathBuf> {
    let folder = reports_of(run);
    let _lock = share_folder(&folder)?;
    for (name, bytes) in report::files(&outcome.report, &outcome.losses)? {
        write_atomic(&folder.join(name), &bytes)?;
    }
    write_atomic(&folder.join("times.csv"), report::times_csv(&run.timings()?)?.as_bytes())?;
    Ok(folder)
}

//! Outcome: finished cells become the leaderboard, the selection, the calibration, the operating point. Trains nothing.
//!
//! In: a run folder and the cell store. Out: a [`RunReport`]. `train` and `evaluate` both come through here, so what
//! they say is the same by construction.

use std::collections::BTreeMap;

use super::calibrate::{CalibrationReport, FoldScores, calibrate};
use super::cells::{Cell, PlannedCell};
use super::error::{Error, Result};

use super::config::LimitsConfig;
use super::evaluate::{
    Importance, Leaderboard, LeaderboardRow, Metrics, OperatingPoint, PermutationImportance, Selection,
    mean_over_folds, optimism, overfit, pr_curve, roc_curve,
};
use super::report::{Curves, LossCurve, RunReport};
use super::run::Run;
use super::run_dir::{CellStore, read_json};
use super::select::{OutOfFold, TestScores, operating_point, select};

/// A finished run, evaluated.
#[derive(Debug)]
pub struct Outcome {
    pub report: RunReport,
    pub losses: Vec<LossCurve>,
    /// Key of the winner's final fit under the selected protocol.
    pub winner: String,
}

/// Reads every cell of the run. Error: cells are missing (which, and how to finish).
pub fn assemble(run: &Run, store: &CellStore) -> Result<Outcome> {
    let planned = run.cells()?;
    planned.iter().try_for_each(|cell| store.refuse_newer(&cell.key))?;
    let missing: Vec<&PlannedCell> = planned.iter().filter(|cell| !store.has(&cell.key)).collect();
    if let Some(first) = missing.first() {
        let PlannedCell { protocol, model, case, part, .. } = first;
        return Err(Error::permanent(format!(
            "run `{}` is not finished: {} of {} cells are missing, first `{protocol} {part} {model} {case}`",
            run.file.run_id,
            missing.len(),
            planned.len()
        ))
        .hint("run `fraudml train` with its config again: it continues where it stopped"));
    }
    let groups = groups(&planned);
    let (mut rows, mut curves, mut losses) = (Vec::new(), Vec::new(), Vec::new());
    for group in &groups {
        let cells = group.iter().map(|cell| store.cell(&cell.key)).collect::<Result<Vec<Cell>>>()?;
        let (row, last) = row(&cells, run.file.limits)?;
        if !last.losses.is_empty() {
            let (protocol, model, case) = (row.protocol.clone(), row.model.clone(), row.case.clone());
            let (of_training, watched) = (last.losses.clone(), last.watched.clone());
            losses.push(LossCurve { protocol, model, case, losses: of_training, watched });
        }
        let scores = store.scores(&last.key)?;
        curves.push(Curves {
            protocol: row.protocol.clone(),
            model: row.model.clone(),
            case: row.case.clone(),
            roc: roc_curve(&scores.labels, &scores.scores),
            pr: pr_curve(&scores.labels, &scores.scores),
        });
        rows.push(row);
    }
    let selection = select(&rows, run.file.select, run.file.limits)?;
    let (winner, calibration, operating_point) = operate(run, store, &groups, &rows, &selection)?;
    let report = RunReport {
        name: run.file.name.clone(),
        run_id: run.file.run_id.clone(),
        bundle_id: run.file.bundle.clone(),
        n_rows: run.file.n_rows,
        n_positives: run.file.n_positives,
        optimism: optimism(&rows),
        leaderboard: Leaderboard { format: 1, rows },
        selection,
        calibration,
        operating_point,
        max_model_mb: run.file.limits.max_model_mb,
        importance: importance(run, store, &winner)?,
        curves,
    };
    Ok(Outcome { report, losses, winner })
}

/// Cells of one protocol x model x case: folds in order, then the final fit; groups in the order of the plan.
fn groups(planned: &[PlannedCell]) -> Vec<Vec<&PlannedCell>> {
    let mut groups: BTreeMap<(usize, &str, &str), Vec<&PlannedCell>> = BTreeMap::new();
    let mut order: Vec<(usize, &str, &str)> = Vec::new();
    let protocols: Vec<&str> = planned.iter().map(|cell| cell.protocol.as_str()).collect();
    for cell in planned {
        let protocol = protocols.iter().position(|known| *known == cell.protocol).unwrap_or_default();
        let group = (protocol, cell.model.as_str(), cell.case.as_str());
        if !order.contains(&group) {
            order.push(group);
        }
        groups.entry(group).or_default().push(cell);
    }
    // By model first, as Table I reads.
    let models: Vec<&str> = planned.iter().map(|cell| cell.model.as_str()).collect();
    order.sort_by_key(|(protocol, model, _)| (*protocol, models.iter().position(|known| known == model)));
    order.iter().filter_map(|group| groups.remove(group)).collect()
}

fn row(cells: &[Cell], limits: LimitsConfig) -> Result<(LeaderboardRow, &Cell)> {
    let Some((last, folds)) = cells.split_last().filter(|(last, _)| last.part == "final") else {
        return Err(
            Error::permanent("`cells.json` lists a group without its final fit").hint("run `fraudml train` again")
        );
    };
    let validation: Vec<Metrics> = folds.iter().map(|cell| cell.metrics.clone()).collect();
    let train: Vec<Option<f64>> = folds.iter().map(|cell| cell.train_recall).collect();
    let held_out: Vec<Option<f64>> = folds.iter().map(|cell| cell.metrics.recall).collect();
    let row = LeaderboardRow {
        protocol: last.protocol.clone(),
        model: last.model.clone(),
        case: last.case.clone(),
        test: last.metrics.clone(),
        validation_mean: mean_over_folds(&validation),
        validation,
        overfit: overfit(&train, &held_out),
        resampling: cells.iter().map(|cell| cell.resampling.clone()).collect(),
        model_bytes: last.model_bytes,
        over_limit: !limits.allow(last.model_bytes),
        out_of_bag: last.out_of_bag,
        out_of_bag_undefined: last.out_of_bag_undefined.clone(),
    };
    Ok((row, last))
}

/// Where permutation importance lies in the folder of a run.
pub(super) const PERMUTATION_FILE: &str = "permutation_importance.json";

/// What is known of the winner's features. Permutation importance counts if the run asks for it and the file is of this
/// fit and these settings; a file that can't be read is made again by `train`.
fn importance(run: &Run, store: &CellStore, winner: &str) -> Result<Importance> {
    let asked = run.file.importance;
    let found = |file: &PermutationImportance| file.cell == winner && file.asked == asked;
    let read = || read_json(&run.folder.join(PERMUTATION_FILE)).ok().filter(found);
    Ok(Importance { impurity: store.cell(winner)?.importance, permutation: asked.permutation.then(read).flatten() })
}

/// Calibration and then threshold come from the winner's out-of-fold scores; the test rows measure both, once.
fn operate(
    run: &Run,
    store: &CellStore,
    groups: &[Vec<&PlannedCell>],
    rows: &[LeaderboardRow],
    selection: &Selection,
) -> Result<(String, CalibrationReport, OperatingPoint)> {
    let is_winner = |protocol: &str, model: &str, case: &str| {
        protocol == selection.protocol && model == selection.model && case == selection.case
    };
    let of_winner = |cell: &&PlannedCell| is_winner(&cell.protocol, &cell.model, &cell.case);
    let group = groups.iter().find(|group| group.first().is_some_and(of_winner));
    let row = rows.iter().find(|row| is_winner(&row.protocol, &row.model, &row.case));
    let cells = group.and_then(|group| group.split_last());
    let resampling = row.and_then(|row| row.resampling.split_last());
    let (Some((last, folds)), Some((of_last, of_folds))) = (cells, resampling) else {
        return Err(Error::failed("the winner has no cells"));
    };
    let fold = |(cell, resampling): (&&PlannedCell, _)| {
        let scores = store.scores(&cell.key)?;
        Ok(FoldScores { out_of_fold: OutOfFold::new(scores.labels, scores.scores), resampling })
    };
    let folds = folds.iter().zip(of_folds).map(fold).collect::<Result<Vec<_>>>()?;
    let test = store.scores(&last.key)?;
    let test = TestScores::new(test.labels, test.scores);
    let calibration = calibrate(run.file.calibrate, &folds, of_last, &test)?;
    let out_of_fold = OutOfFold::joined(folds.iter().map(|fold| &fold.out_of_fold)).calibrated(&calibration.map);
    let point = operating_point(run.file.threshold, &out_of_fold, &test.calibrated(&calibration.map))?;
    Ok((last.key.clone(), calibration, point))
}

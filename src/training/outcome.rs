//! Outcome: finished cells become the leaderboard, the selection, the calibration, the operating point. Trains nothing.
//!
//! In: a run folder and the cell store. Out: a [`RunReport`]. `train` and `evaluate` both come through here, so what
//! they say is the same by construction.

mod assess;
mod provenance;

use std::collections::BTreeMap;

use self::assess::{TestSample, assess};
use self::provenance::{Drift, provenance};
use super::calibrate::{CalibrationReport, FoldScores, calibrate};
use super::cells::{Cell, PlannedCell};
use super::error::{Error, Result};

use super::config::{LimitsConfig, ThresholdPolicy};
use super::evaluate::{
    Assessment, Explanation, Importance, Leaderboard, LeaderboardRow, Metrics, OperatingPoint, PermutationImportance,
    PointEstimates, SeedSpread, Selection, mean_over_folds, optimism, overfit, pr_curve, roc_curve,
};
use super::report::{Curves, LossCurve, RunReport};
use super::row_facts;
use super::run::{Run, RunFile};
use super::run_dir::{CellStore, read_json};
use super::select::{OutOfFold, TestScores, operating_point, select};
use crate::scoring::calibration::Calibration;

/// A finished run, evaluated.
#[derive(Debug)]
pub struct Outcome {
    pub report: RunReport,
    pub losses: Vec<LossCurve>,
    /// Key of the winner's final fit under the selected protocol.
    pub winner: String,
}

/// The cells of a run that is finished. Error: cells are missing (which, and how to finish).
fn finished(run: &Run, store: &CellStore) -> Result<Vec<PlannedCell>> {
    const SHOWN: usize = 10;
    let config = run.folder.join("config.yaml");
    let finish = format!("finish it with `fraudml train --config {}`: what is done is kept", config.display());
    if !run.folder.join("cells.json").is_file() {
        return Err(
            Error::permanent(format!("run `{}` is not finished: it has no cells yet", run.file.run_id)).hint(finish)
        );
    }
    let planned = run.cells()?;
    planned.iter().try_for_each(|cell| store.refuse_newer(&cell.key))?;
    let missing: Vec<String> =
        planned.iter().filter(|cell| !store.has(&cell.key)).map(|cell| format!("`{cell}`")).collect();
    if missing.is_empty() {
        return Ok(planned);
    }
    let more = if missing.len() > SHOWN { format!(", and {} more", missing.len() - SHOWN) } else { String::new() };
    Err(Error::permanent(format!(
        "run `{}` is not finished: {} of {} cells are missing: {}{more}",
        run.file.run_id,
        missing.len(),
        planned.len(),
        missing[..missing.len().min(SHOWN)].join(", ")
    ))
    .hint(finish))
}

/// Another policy for a finished run: the winner's calibration, and the operating point with what it does. Trains nothing.
pub fn replan(run: &Run, store: &CellStore, policy: ThresholdPolicy) -> Result<Replanned> {
    let planned = finished(run, store)?;
    let groups = groups(&planned);
    let mut rows = Vec::new();
    for group in &groups {
        let cells = group.iter().map(|cell| store.cell(&cell.key)).collect::<Result<Vec<Cell>>>()?;
        rows.push(row(&cells, run.file.limits)?.0);
    }
    let selection = select(&rows, run.file.select, run.file.limits)?;
    let replanned = Run { file: RunFile { threshold: policy, ..run.file.clone() }, ..run.clone() };
    let Operated { calibration, point, assessment, .. } = operate(&replanned, store, &groups, &rows, &selection)?;
    Ok(Replanned { calibration: calibration.map, point, estimates: assessment.point })
}

/// An operating point beside the one that was frozen.
#[derive(Debug)]
pub struct Replanned {
    pub calibration: Calibration,
    pub point: OperatingPoint,
    pub estimates: PointEstimates,
}

/// Reads every cell of the run and evaluates them.
pub fn assemble(run: &Run, store: &CellStore) -> Result<Outcome> {
    let planned = finished(run, store)?;
    let groups = groups(&planned);
    let mut seeds = Vec::new();
    let (mut rows, mut curves, mut losses) = (Vec::new(), Vec::new(), Vec::new());
    let mut samples: Vec<TestSample> = Vec::new();
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
        TestSample::add(&mut samples, &row, scores)?;
        seeds.extend(over_seeds(&planned, store, last)?);
        rows.push(row);
    }
    let selection = select(&rows, run.file.select, run.file.limits)?;
    let Operated { winner, calibration, point: operating_point, mut assessment, drift } =
        operate(run, store, &groups, &rows, &selection)?;
    for sample in &samples {
        sample.compare(run, &mut assessment)?;
    }
    let report = RunReport {
        name: run.file.name.clone(),
        run_id: run.file.run_id.clone(),
        bundle_id: run.file.bundle.clone(),
        n_rows: run.file.n_rows,
        n_positives: run.file.n_positives,
        optimism: optimism(&rows, &assessment.headline),
        leaderboard: Leaderboard { format: 1, rows },
        selection,
        calibration,
        max_model_mb: run.file.limits.max_model_mb,
        importance: importance(run, store, &winner)?,
        explanation: explanation(run, &winner, operating_point.threshold),
        assessment,
        provenance: provenance(run, &planned, drift),
        seeds,
        operating_point,
        curves,
    };
    Ok(Outcome { report, losses, winner })
}

/// What a final fit's figures are with other seeds, its own first; none where there was one seed.
fn over_seeds(planned: &[PlannedCell], store: &CellStore, last: &Cell) -> Result<Option<SeedSpread>> {
    let Cell { protocol, model, case, .. } = last;
    let of_group =
        |cell: &&PlannedCell| [&cell.protocol, &cell.model, &cell.case] == [protocol, model, case] && is_repeat(cell);
    let mut fits = vec![last.metrics.clone()];
    for cell in planned.iter().filter(of_group) {
        fits.push(store.cell(&cell.key)?.metrics);
    }
    Ok(SeedSpread::of(protocol, model, case, &fits))
}

/// Of `repeats`; they tell of seeds and choose nothing.
fn is_repeat(cell: &PlannedCell) -> bool {
    cell.part.starts_with("repeat-")
}

/// Cells of one protocol x model x case: folds in order, then the final fit; groups in the order of the plan.
fn groups(planned: &[PlannedCell]) -> Vec<Vec<&PlannedCell>> {
    let mut groups: BTreeMap<(usize, &str, &str), Vec<&PlannedCell>> = BTreeMap::new();
    let mut order: Vec<(usize, &str, &str)> = Vec::new();
    let protocols: Vec<&str> = planned.iter().map(|cell| cell.protocol.as_str()).collect();
    for cell in planned.iter().filter(|cell| !is_repeat(cell)) {
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

/// Where the explanation lies in the folder of a run.
pub(super) const EXPLANATION_FILE: &str = "explanation.json";

/// Of this winner at this threshold, or none: `train` makes it again.
fn explanation(run: &Run, winner: &str, threshold: f32) -> Option<Explanation> {
    let read = read_json::<Explanation>(&run.folder.join(EXPLANATION_FILE)).ok();
    read.filter(|found| found.cell == winner && found.threshold == threshold)
}

/// What the winner's scores became.
struct Operated {
    /// Key of its final fit.
    winner: String,
    calibration: CalibrationReport,
    point: OperatingPoint,
    assessment: Assessment,
    drift: Drift,
}

/// Calibration and then threshold come from the winner's out-of-fold scores; the test rows measure both, once.
fn operate(
    run: &Run,
    store: &CellStore,
    groups: &[Vec<&PlannedCell>],
    rows: &[LeaderboardRow],
    selection: &Selection,
) -> Result<Operated> {
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
    let protocol = &selection.protocol;
    let fold = |(cell, resampling): (&&PlannedCell, _)| {
        let scores = store.scores(&cell.key)?;
        let facts = row_facts::read(run, protocol, &cell.part, &scores.row_ids)?;
        Ok(FoldScores { out_of_fold: OutOfFold::new(scores.labels, scores.scores).with_facts(facts), resampling })
    };
    let folds = folds.iter().zip(of_folds).map(fold).collect::<Result<Vec<_>>>()?;
    let test = store.scores(&last.key)?;
    let facts = row_facts::read(run, protocol, &last.part, &test.row_ids)?;
    let test = TestScores::new(test.labels, test.scores).with_facts(facts);
    let calibration = calibrate(run.file.calibrate, &folds, of_last, &test)?;
    let raw = OutOfFold::joined(folds.iter().map(|fold| &fold.out_of_fold));
    let drift = Drift::of(&raw, &test);
    let out_of_fold = raw.calibrated(&calibration.map);
    let test = test.calibrated(&calibration.map);
    let point = operating_point(run.file.threshold, &out_of_fold, &test)?;
    let assessment = assess(run, protocol, &out_of_fold, &test, point.threshold);
    Ok(Operated { winner: last.key.clone(), calibration, point, assessment, drift })
}

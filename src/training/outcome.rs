//! Outcome: finished cells become the leaderboard, the selection, the calibration, the operating point. Trains nothing.
//!
//! In: a run folder and the cell store. Out: a [`RunReport`]. `train` and `evaluate` both come through here, so what
//! they say is the same by construction.

use std::collections::BTreeMap;

use super::calibrate::{CalibrationReport, FoldScores, calibrate};
use super::cells::{Cell, PlannedCell};
use super::error::{Error, Result};

use super::config::{LimitsConfig, ThresholdPolicy};
use super::evaluate::{
    Assessment, Bootstrap, Explanation, Importance, Leaderboard, LeaderboardRow, Metrics, OperatingPoint,
    PermutationImportance, PointEstimates, RowFacts, Sample, Scored, Selection, Unit, Winner, mean_over_folds,
    optimism, overfit, pr_curve, roc_curve, stability_index,
};
use super::report::{Curves, LossCurve, Provenance, RunReport};
use super::row_facts;
use super::run::{Run, RunFile};
use super::run_dir::{CellStore, read_json};
use super::seed::Seed;
use super::select::{OutOfFold, TestScores, operating_point, select};
use super::table_file::Scores;
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
    let missing: Vec<String> = planned
        .iter()
        .filter(|cell| !store.has(&cell.key))
        .map(|PlannedCell { protocol, model, case, part, .. }| format!("`{protocol} {part} {model} {case}`"))
        .collect();
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
        operating_point,
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

/// Where the explanation lies in the folder of a run.
pub(super) const EXPLANATION_FILE: &str = "explanation.json";

/// Of this winner at this threshold, or none: `train` makes it again.
fn explanation(run: &Run, winner: &str, threshold: f32) -> Option<Explanation> {
    let read = read_json::<Explanation>(&run.folder.join(EXPLANATION_FILE)).ok();
    read.filter(|found| found.cell == winner && found.threshold == threshold)
}

/// What the figures rest on.
fn provenance(run: &Run, planned: &[PlannedCell], drift: Drift) -> Provenance {
    let file = &run.file;
    let dropped = file.dropped.iter().flat_map(|(protocol, columns)| {
        let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        columns.iter().for_each(|column| by_reason.entry(&column.reason).or_default().push(&column.name));
        let line = |(reason, names): (&str, Vec<&str>)| [protocol.clone(), names.join(", "), reason.to_owned()];
        by_reason.into_iter().map(line).collect::<Vec<_>>()
    });
    Provenance {
        version: file.version.clone(),
        seed: file.seed,
        inputs: file.inputs.clone(),
        splits: file.splits.clone(),
        cpu_features: file.cpu_features.clone(),
        n_cells: planned.len(),
        left_out: file.left_out.iter().map(|left| format!("{} {}, {}", left.count, left.what, left.reason)).collect(),
        dropped: dropped.collect(),
        target_copies: target_copies(run),
        score_drift: drift.index,
        prevalences: drift.prevalences,
    }
}

/// Columns whose AUC alone is 0.99 or more (or 0.01 or less), from the profile of the data that `train` wrote.
fn target_copies(run: &Run) -> Option<Vec<String>> {
    let path = run.beside(&run.file.output.reports).join(&run.file.run_id).join("eda.json");
    let profile: serde_json::Value = read_json(&path).ok()?;
    let telling = |column: &serde_json::Value| {
        let auc = column.get("auc")?.as_f64()?;
        ((auc - 0.5).abs() >= 0.49).then(|| column.get("name")?.as_str().map(str::to_owned))?
    };
    Some(profile.get("columns")?.as_array()?.iter().filter_map(telling).collect())
}

/// Final fits of one protocol on the same test rows.
struct TestSample {
    protocol: String,
    row_ids: Vec<String>,
    labels: Vec<u8>,
    models: Vec<Scored>,
}

impl TestSample {
    fn add(samples: &mut Vec<TestSample>, row: &LeaderboardRow, scores: Scores) -> Result<()> {
        let scored = Scored { model: row.model.clone(), case: row.case.clone(), scores: scores.scores };
        match samples.iter_mut().find(|sample| sample.protocol == row.protocol) {
            Some(sample) if sample.row_ids != scores.row_ids || sample.labels != scores.labels => {
                return Err(Error::permanent(format!(
                    "the final fits under {} were not scored on the same test rows",
                    row.protocol
                ))
                .hint("run `fraudml train` again"));
            }
            Some(sample) => sample.models.push(scored),
            None => samples.push(TestSample {
                protocol: row.protocol.clone(),
                row_ids: scores.row_ids,
                labels: scores.labels,
                models: vec![scored],
            }),
        }
        Ok(())
    }

    fn compare(&self, run: &Run, assessment: &mut Assessment) -> Result<()> {
        let facts = row_facts::read(run, &self.protocol, "final", &self.row_ids)?;
        let (unit, bootstrap) = bootstrap(run, &self.protocol, &self.labels, &facts);
        let k = run.file.evaluate.alerts_per_day;
        let sample =
            Sample { protocol: &self.protocol, labels: &self.labels, facts: &facts, bootstrap: &bootstrap, unit, k };
        let (headline, differences) = sample.compare(&self.models);
        assessment.headline.extend(headline);
        assessment.differences.extend(differences);
        Ok(())
    }
}

/// What the run says is drawn; entities where it says nothing and they are known, else rows.
fn bootstrap(run: &Run, protocol: &str, labels: &[u8], facts: &RowFacts) -> (Unit, Bootstrap) {
    let asked = &run.file.evaluate;
    let usual = if facts.groups.is_some() { Unit::Group } else { Unit::Row };
    let unit = asked.by.unwrap_or(usual);
    let unit = if facts.units(unit).is_some() { unit } else { Unit::Row };
    let seed = Seed::new(run.file.seed).derive(&format!("bootstrap {protocol}"), 0);
    (unit, Bootstrap::new(labels, facts.units(unit), unit, asked.draws, seed))
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

/// From out-of-fold to test rows.
#[derive(Default)]
struct Drift {
    /// Of the raw score.
    index: Option<f64>,
    prevalences: Option<[f64; 2]>,
}

impl Drift {
    fn of(before: &OutOfFold, after: &TestScores) -> Drift {
        let share = |labels: &[u8]| labels.iter().filter(|&&label| label == 1).count() as f64 / labels.len() as f64;
        let known = !before.labels().is_empty() && !after.labels().is_empty();
        Drift {
            index: stability_index(before.scores(), after.scores()),
            prevalences: known.then(|| [share(before.labels()), share(after.labels())]),
        }
    }
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

/// The winner at its threshold; models are compared elsewhere.
fn assess(run: &Run, protocol: &str, out_of_fold: &OutOfFold, test: &TestScores, threshold: f32) -> Assessment {
    let (unit, bootstrap) = bootstrap(run, protocol, test.labels(), test.facts());
    let winner = Winner { out_of_fold, test, threshold, bootstrap: &bootstrap };
    let asked = &run.file.evaluate;
    let costs = if let ThresholdPolicy::Cost(costs) = run.file.threshold { costs } else { asked.costs };
    let (money, money_undefined) = match winner.money(costs) {
        Ok(money) => (Some(money), None),
        Err(_) if !row_facts::are_kept(run) => (None, Some(NOTHING_KEPT.to_owned())),
        Err(reason) => (None, Some(reason)),
    };
    let [thresholds, thresholds_test] = winner.thresholds();
    let (days_per_period, periods) = winner.periods();
    Assessment {
        by: Some(unit),
        draws: asked.draws,
        alerts_per_day: asked.alerts_per_day,
        point: winner.point(),
        thresholds,
        thresholds_test,
        money,
        money_undefined,
        subgroups: winner.subgroups(),
        periods,
        days_per_period,
        headline: Vec::new(),
        differences: Vec::new(),
    }
}

const NOTHING_KEPT: &str = "the run keeps no facts of its rows; run `fraudml train` again, finished fits are kept";

//! Calibrate: the winner's raw scores become probabilities. In: the folds' out-of-fold scores and what the case did to the
//! training rows of each fit; out: one frozen map, and the table of methods that it was chosen from.
//!
//! A map is fitted on [`OutOfFold`] scores alone, never on resampled rows and never on test rows. Methods are compared by
//! cross-fitting over the folds: the scores of a fold are mapped by what was fitted on all other folds (`prior`: by what
//! its own fit's case did to the rows it learned from), so no row has a part in the map it is judged by. `auto` takes the
//! lowest log-loss, ties by the order of [`Method::ALL`]. What is frozen is fitted on all folds (`prior`: from the final
//! fit's case). A method that can't be fitted has a reason instead of figures.

mod isotonic;
mod platt;
mod prior;

use serde::{Deserialize, Serialize};

use super::config::CalibrateConfig;
use super::error::{Error, Result};
use super::evaluate::ranking::Ranking;
use super::evaluate::{Probabilities, ReliabilityBin, ResamplingReport, probabilities, reliability};
use super::select::{OutOfFold, TestScores};
use crate::scoring::calibration::{Calibration, Method};

/// Something, or in words why not.
type OrReason<T> = std::result::Result<T, String>;

/// Raw scores of one fold's held-out rows, and what the case did to the rows its fit learned from.
#[derive(Debug, Clone)]
pub struct FoldScores<'a> {
    pub out_of_fold: OutOfFold,
    pub resampling: &'a ResamplingReport,
}

/// One method on the out-of-fold scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    pub method: Method,
    /// Cross-fitted.
    pub figures: Option<Probabilities>,
    /// Why there are none.
    pub unavailable: Option<String>,
}

/// How the winner's scores became probabilities, and how good they are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CalibrationReport {
    pub asked: CalibrateConfig,
    pub method: Method,
    /// What the bundle holds.
    pub map: Calibration,
    /// One per method, in the order of [`Method::ALL`].
    pub candidates: Vec<Candidate>,
    /// Out-of-fold rows by raw score; the calibrated one is cross-fitted.
    pub out_of_fold: Vec<ReliabilityBin>,
    /// Test rows by raw score, under the frozen map.
    pub test: Vec<ReliabilityBin>,
    pub test_raw: Option<Probabilities>,
    pub test_calibrated: Option<Probabilities>,
}

/// The map of a method, or why there is none. `resampling` is of the fit whose scores are going to be mapped.
///
/// Scores of test rows cannot take the place of out-of-fold ones:
/// ```compile_fail,E0308
/// use fraudml::scoring::calibration::Method;
/// use fraudml::training::calibrate::fit;
/// use fraudml::training::evaluate::ResamplingReport;
/// use fraudml::training::select::TestScores;
/// fn peek(test: &TestScores, resampling: &ResamplingReport) {
///     fit(Method::Platt, test, resampling).ok();
/// }
/// ```
pub fn fit(method: Method, scores: &OutOfFold, resampling: &ResamplingReport) -> OrReason<Calibration> {
    match method {
        Method::None => Ok(Calibration::None),
        Method::Prior => prior::fit(resampling).map(Calibration::Prior),
        Method::Platt => platt::fit(&ranked(scores)?).map(Calibration::Platt),
        Method::Isotonic => isotonic::fit(&ranked(scores)?).map(Calibration::Isotonic),
    }
}

/// Scores that a map can be fitted on.
fn ranked(scores: &OutOfFold) -> OrReason<Ranking> {
    let ranking = Ranking::of(scores.labels(), scores.scores()).ok_or("some scores are not numbers")?;
    match (ranking.n_positives, ranking.n_negatives, ranking.steps.len()) {
        (0, 0, _) => Err("there are no scores".into()),
        (0, _, _) => Err("no row is a fraud".into()),
        (_, 0, _) => Err("every row is a fraud".into()),
        (_, _, 1) => Err("all scores are equal".into()),
        _ => Ok(ranking),
    }
}

/// A method with its cross-fitted scores.
struct Tried {
    method: Method,
    cross_fitted: OrReason<Vec<f32>>,
    figures: Option<Probabilities>,
}

impl Tried {
    fn new(method: Method, folds: &[FoldScores], labels: &[u8]) -> Tried {
        let cross_fitted = cross_fit(method, folds);
        let figures = cross_fitted.as_ref().ok().and_then(|scores| probabilities(labels, scores));
        Tried { method, cross_fitted, figures }
    }

    fn candidate(&self) -> Candidate {
        let unmeasured =
            || self.cross_fitted.as_ref().err().cloned().unwrap_or("there are no scores, or not of numbers".into());
        let unavailable = self.figures.is_none().then(unmeasured);
        Candidate { method: self.method, figures: self.figures, unavailable }
    }
}

/// Chooses and fits a map on the folds, and measures it there and on the test rows; `last` is of the final fit. Error: the
/// method that was asked for can't be fitted.
pub fn calibrate(
    asked: CalibrateConfig,
    folds: &[FoldScores],
    last: &ResamplingReport,
    test: &TestScores,
) -> Result<CalibrationReport> {
    let all = OutOfFold::joined(folds.iter().map(|fold| &fold.out_of_fold));
    let tried = Method::ALL.map(|method| Tried::new(method, folds, all.labels()));
    let mut candidates: Vec<Candidate> = tried.iter().map(Tried::candidate).collect();
    let map = match asked.method() {
        Some(method) => fit(method, &all, last).map_err(|reason| cannot(method, &reason))?,
        None => best(&mut candidates, &all, last),
    };
    let method = map.method();
    let cross_fitted = tried.iter().find(|tried| tried.method == method).map(|tried| &tried.cross_fitted);
    let bins = |labels, raw, calibrated| reliability(labels, raw, calibrated).unwrap_or_default();
    let out_of_fold = match cross_fitted {
        Some(Ok(calibrated)) => bins(all.labels(), all.scores(), calibrated),
        _ => Vec::new(),
    };
    let calibrated = test.calibrated(&map);
    Ok(CalibrationReport {
        asked,
        method,
        candidates,
        out_of_fold,
        test: bins(test.labels(), test.scores(), calibrated.scores()),
        test_raw: probabilities(test.labels(), test.scores()),
        test_calibrated: probabilities(test.labels(), calibrated.scores()),
        map,
    })
}

/// The map of the lowest cross-fitted log-loss, the earlier one of equals; the raw score where nothing is measured. A
/// method that fits without a fold, but not on all of them, is no candidate.
fn best(candidates: &mut [Candidate], all: &OutOfFold, last: &ResamplingReport) -> Calibration {
    let mut best = (f64::INFINITY, Calibration::None);
    for candidate in candidates {
        let Some(figures) = candidate.figures else { continue };
        match fit(candidate.method, all, last) {
            Ok(map) if figures.log_loss < best.0 => best = (figures.log_loss, map),
            Ok(_) => {}
            Err(reason) => candidate.unavailable = Some(format!("on all folds: {reason}")),
        }
    }
    best.1
}

fn cannot(method: Method, reason: &str) -> Error {
    Error::permanent(format!(
        "`calibrate: {}` can't be done on the winner's out-of-fold scores: {reason}",
        method.as_str()
    ))
    .hint("use `calibrate: auto` or `calibrate: none`; finished fits are kept")
}

/// The scores of all folds, each mapped by the map of [`without`].
fn cross_fit(method: Method, folds: &[FoldScores]) -> OrReason<Vec<f32>> {
    let mut scores = Vec::new();
    for (at, fold) in folds.iter().enumerate().filter(|(_, fold)| !fold.out_of_fold.labels().is_empty()) {
        let map = without(method, folds, at).map_err(|reason| format!("without fold {}: {reason}", at + 1))?;
        scores.extend_from_slice(fold.out_of_fold.calibrated(&map).scores());
    }
    Ok(scores)
}

/// The map that a fold is measured by: fitted on the out-of-fold scores of all others.
fn without(method: Method, folds: &[FoldScores], at: usize) -> OrReason<Calibration> {
    let others = folds.iter().enumerate().filter(|&(other, _)| other != at).map(|(_, fold)| &fold.out_of_fold);
    fit(method, &OutOfFold::joined(others), folds[at].resampling)
}

#[cfg(test)]
mod tests;

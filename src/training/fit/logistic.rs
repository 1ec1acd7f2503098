//! The logistic baseline: weighted L2-regularised logistic regression by L-BFGS (crate argmin).
//!
//! Minimises mean(w bce) + |coefficients|^2 / (2 n), scikit-learn's C = 1 per row of weight one; the intercept is free.
//! In: a training set without missing values. linfa's logistic regression knows no sample weights, which the case
//! `class-weights` needs; smartcore's neither. Sums run in blocks of 8,192 entries that are added in order, so the
//! result does not depend on the thread count.

use std::sync::Mutex;

use argmin::core::{CostFunction, Executor, Gradient};
use argmin::solver::linesearch::MoreThuenteLineSearch;
use argmin::solver::quasinewton::LBFGS;
use rayon::prelude::*;

use crate::scoring::model::logistic::Logistic;
use crate::training::error::{Error, Result};
use crate::training::progress::Progress;
use crate::training::rows::TrainingSet;

const BLOCK: usize = 8192;
const MAX_ITERATIONS: u64 = 100;
/// A line search on badly scaled columns may never end by itself; what is best by then is the fit.
const MAX_EVALUATIONS: usize = 1000;

struct Problem<'a> {
    set: &'a TrainingSet,
    progress: &'a dyn Progress,
    seen: Mutex<Seen>,
}

/// The last evaluation (cost and gradient are asked for one after the other) and the best one.
#[derive(Default)]
struct Seen {
    n_evaluations: usize,
    last: Option<(Vec<f64>, f64, Vec<f64>)>,
    best: Option<(f64, Vec<f64>)>,
}

/// Fits the baseline. Errors: missing values in the set, interruption.
pub fn train(set: &TrainingSet, progress: &dyn Progress) -> Result<Logistic> {
    if set.matrix().values().iter().any(|value| value.is_nan()) {
        return Err(Error::permanent("the logistic baseline can't learn from missing values")
            .hint("choose `preprocess.impute.numeric: median`, or leave the baseline out with `--only`"));
    }
    let problem = Problem { set, progress, seen: Mutex::default() };
    let start = vec![0f64; set.matrix().n_features() + 1];
    let solved = solve(&problem, start.clone());
    if progress.interrupted() {
        return Err(Error::interrupted());
    }
    // An error is the end of the budget or a line search that found no way down: the best point stands.
    let best = problem.seen.lock().ok().and_then(|mut seen| seen.best.take());
    let mut coefficients = match (best, solved) {
        (Some((_, best)), _) => best,
        (None, Err(error)) => return Err(Error::failed(format!("logistic baseline: {error}"))),
        (None, Ok(())) => start,
    };
    let intercept = coefficients.pop().unwrap_or_default();
    Ok(Logistic { coefficients, intercept })
}

fn solve(problem: &Problem, start: Vec<f64>) -> std::result::Result<(), argmin::core::Error> {
    let search = MoreThuenteLineSearch::new().with_c(1e-4, 0.9)?;
    let solver = LBFGS::new(search, 10).with_tolerance_grad(1e-5)?.with_tolerance_cost(1e-9)?;
    let executor = Executor::new(problem, solver).configure(|state| state.param(start).max_iters(MAX_ITERATIONS));
    executor.ctrlc(false).run().map(drop)
}

impl Problem<'_> {
    /// Cost and gradient at a point, remembered; an error ends the search.
    fn at(&self, parameters: &[f64]) -> std::result::Result<(f64, Vec<f64>), argmin::core::Error> {
        let mut seen = self.seen.lock().map_err(|_| argmin::core::Error::msg("a thread panicked"))?;
        if let Some((_, cost, gradient)) = seen.last.as_ref().filter(|(at, _, _)| at == parameters) {
            return Ok((*cost, gradient.clone()));
        }
        seen.n_evaluations += 1;
        if seen.n_evaluations > MAX_EVALUATIONS || self.progress.interrupted() {
            return Err(argmin::core::Error::msg("no more evaluations"));
        }
        let (cost, gradient) = self.evaluate(parameters);
        if !cost.is_finite() {
            return Err(argmin::core::Error::msg("the cost is not finite"));
        }
        if seen.best.as_ref().is_none_or(|(best, _)| cost < *best) {
            seen.best = Some((cost, parameters.to_vec()));
        }
        seen.last = Some((parameters.to_vec(), cost, gradient.clone()));
        Ok((cost, gradient))
    }

    /// Cost and gradient together: they share every logit.
    fn evaluate(&self, parameters: &[f64]) -> (f64, Vec<f64>) {
        let set = self.set;
        let n_features = parameters.len() - 1;
        let blocks: Vec<(f64, Vec<f64>)> = (0..set.n_entries().div_ceil(BLOCK))
            .into_par_iter()
            .map(|block| {
                let (mut cost, mut gradient) = (0.0, vec![0f64; parameters.len()]);
                for entry in block * BLOCK..((block + 1) * BLOCK).min(set.n_entries()) {
                    let row = set.matrix().row(set.entries()[entry] as usize);
                    let logit =
                        parameters.iter().zip(row).fold(parameters[n_features], |sum, (w, x)| sum + w * f64::from(*x));
                    let (label, weight) = (f64::from(set.labels()[entry]), f64::from(set.weights()[entry]));
                    // ln(1 + exp(l)) - y l, without overflow.
                    cost += weight * (logit.max(0.0) + libm::log1p(libm::exp(-logit.abs())) - label * logit);
                    let slope = weight * (1.0 / (1.0 + libm::exp(-logit)) - label);
                    for (sum, x) in gradient.iter_mut().zip(row) {
                        *sum += slope * f64::from(*x);
                    }
                    gradient[n_features] += slope;
                }
                (cost, gradient)
            })
            .collect();
        let n_entries = set.n_entries() as f64;
        let mut cost = 0.0;
        let mut gradient = vec![0f64; parameters.len()];
        for (block_cost, block_gradient) in blocks {
            cost += block_cost;
            gradient.iter_mut().zip(block_gradient).for_each(|(sum, part)| *sum += part);
        }
        for (sum, w) in gradient.iter_mut().zip(&parameters[..n_features]) {
            *sum += w;
            cost += w * w / 2.0;
        }
        gradient.iter_mut().for_each(|sum| *sum /= n_entries);
        (cost / n_entries, gradient)
    }
}

impl CostFunction for &Problem<'_> {
    type Param = Vec<f64>;
    type Output = f64;

    fn cost(&self, parameters: &Vec<f64>) -> std::result::Result<f64, argmin::core::Error> {
        Ok(self.at(parameters)?.0)
    }
}

impl Gradient for &Problem<'_> {
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;

    fn gradient(&self, parameters: &Vec<f64>) -> std::result::Result<Vec<f64>, argmin::core::Error> {
        Ok(self.at(parameters)?.1)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rand::RngExt;

    use super::*;
    use crate::scoring::matrix::FeatureMatrix;
    use crate::training::progress::Silent;
    use crate::training::seed::Seed;

    fn planted(n_rows: usize, weights: impl Fn(u8) -> f32) -> TrainingSet {
        let mut rng = Seed::new(5).rng();
        let values: Vec<f32> = (0..n_rows * 2).map(|_| rng.random_range(-2.0f32..2.0)).collect();
        let chance = |row: &[f32]| 1.0 / (1.0 + (-(1.5 * row[0] - row[1] + 0.5)).exp());
        let labels: Vec<u8> = values.chunks(2).map(|row| u8::from(rng.random::<f32>() < chance(row))).collect();
        let weights = labels.iter().map(|&label| weights(label)).collect();
        let matrix = FeatureMatrix::new(["a".to_owned(), "b".to_owned()].into(), values);
        TrainingSet::new(Arc::new(matrix), (0..n_rows as u32).collect(), labels, weights)
    }

    #[test]
    fn finds_the_planted_coefficients() {
        let fitted = train(&planted(50_000, |_| 1.0), &Silent).unwrap();
        let close = |found: f64, planted: f64| assert!((found - planted).abs() < 0.06, "{found} {planted}");
        close(fitted.coefficients[0], 1.5);
        close(fitted.coefficients[1], -1.0);
        close(fitted.intercept, 0.5);
    }

    #[test]
    fn a_class_weight_moves_the_intercept_by_its_logarithm() {
        let plain = train(&planted(50_000, |_| 1.0), &Silent).unwrap();
        let weighted = train(&planted(50_000, |label| if label == 1 { 4.0 } else { 1.0 }), &Silent).unwrap();
        assert!((weighted.intercept - plain.intercept - 4f64.ln()).abs() < 0.06);
    }

    #[test]
    fn the_gradient_is_the_slope_of_the_cost() {
        let set = planted(20_000, |label| 1.0 + f32::from(label));
        let problem = Problem { set: &set, progress: &Silent, seen: Mutex::default() };
        let at = vec![0.3, -0.2, 0.1];
        let gradient = problem.evaluate(&at).1;
        for (axis, expected) in gradient.iter().enumerate() {
            let moved = |by: f64| {
                problem
                    .evaluate(
                        &at.iter().enumerate().map(|(i, x)| if i == axis { x + by } else { *x }).collect::<Vec<_>>(),
                    )
                    .0
            };
            let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((slope - expected).abs() < 1e-8, "{slope} {expected}");
        }
    }

    #[test]
    fn columns_of_wild_scale_end_in_a_fit() {
        let wild = planted(2000, |_| 1.0);
        let values = wild.matrix().values().chunks(2).flat_map(|row| [row[0] * 1e7, row[1] * 1e-7]).collect();
        let matrix = FeatureMatrix::new(wild.matrix().names().clone(), values);
        let set = TrainingSet::of_all_rows(Arc::new(matrix), wild.labels().to_vec());
        let fitted = train(&set, &Silent).unwrap();
        assert!(fitted.coefficients.iter().all(|w| w.is_finite()) && fitted.intercept.is_finite());
    }
}

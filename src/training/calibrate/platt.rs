//! Platt scaling: logistic regression of the label on the logit of the score (Platt 1999). In: the counts of each distinct
//! score; out: slope, intercept and clip.
//!
//! On the logit, because then the identity (slope 1) and the correction of a prior (slope 1 and a shift) are curves of the
//! family, and a network's score is linear in it. Labels are replaced by Platt's targets, (n1 + 1) / (n1 + 2) and
//! 1 / (n0 + 2), which keep the fit finite where the classes are separable. Newton's method with backtracking (Lin, Lin
//! and Weng 2007) in f64, sums from the highest score to the lowest.
//!
//! Clip: half of the smallest distance that any score strictly inside (0, 1) keeps from 0 or 1, at least 2^-23 and at most
//! 1/4. A forest's exact 0 so stands next to its lowest score above 0; at 2^-23 the rows that no tree doubts would bend
//! the whole curve.

use crate::scoring::calibration::Platt;
use crate::training::evaluate::ranking::{Ranking, Step};

const MAX_STEPS: usize = 100;
/// Of the mean gradient, where Newton stops.
const TOLERANCE: f64 = 1e-13;
/// Of the mean gradient, what a finished fit has at most.
const CONVERGED: f64 = 1e-8;
/// Of the mean loss.
const ROUNDING: f64 = 1e-14;

/// Rows of one score: its logit, how many, the sum of their targets.
struct Group {
    logit: f64,
    n_rows: f64,
    targets: f64,
}

pub(super) fn fit(ranking: &Ranking) -> Result<Platt, String> {
    let clip = clip(ranking);
    let groups = groups(ranking, clip);
    let [slope, intercept] = minimise(&groups)?;
    if !(Platt::MIN_SLOPE..=Platt::MAX_SLOPE).contains(&slope) {
        return Err(format!(
            "expected a slope from {} to {}, found {slope:.3e}: the share of frauds does not rise with the score as a \
             logistic curve",
            Platt::MIN_SLOPE,
            Platt::MAX_SLOPE
        ));
    }
    if intercept.abs() > Platt::MAX_INTERCEPT {
        return Err(format!("expected an intercept of at most {}, found {intercept:.3e}", Platt::MAX_INTERCEPT));
    }
    Ok(Platt { slope, intercept, clip })
}

fn clip(ranking: &Ranking) -> f64 {
    let scores = ranking.steps.iter().map(|step| f64::from(step.threshold));
    let distances = scores.map(|score| score.min(1.0 - score)).filter(|&distance| distance > 0.0);
    (distances.fold(0.5, f64::min) / 2.0).max(Platt::MIN_CLIP)
}

fn groups(ranking: &Ranking, clip: f64) -> Vec<Group> {
    let [n_positives, n_negatives] = [ranking.n_positives, ranking.n_negatives].map(|n| n as f64);
    let (high, low) = ((n_positives + 1.0) / (n_positives + 2.0), 1.0 / (n_negatives + 2.0));
    let group = |(tp_above, fp_above, step): (u64, u64, &Step)| {
        let positives = (step.true_positives - tp_above) as f64;
        let negatives = (step.false_positives - fp_above) as f64;
        let logit = Platt::logit(f64::from(step.threshold), clip);
        Group { logit, n_rows: positives + negatives, targets: positives * high + negatives * low }
    };
    ranking.increments().map(group).collect()
}

/// Mean loss, its gradient, and its Hessian as [slope-slope, slope-intercept, intercept-intercept].
struct Objective {
    loss: f64,
    gradient: [f64; 2],
    hessian: [f64; 3],
}

impl Objective {
    fn steepness(&self) -> f64 {
        self.gradient[0].abs().max(self.gradient[1].abs())
    }
}

fn objective(groups: &[Group], [slope, intercept]: [f64; 2]) -> Objective {
    let mut sums = Objective { loss: 0.0, gradient: [0.0; 2], hessian: [0.0; 3] };
    let mut n_rows = 0.0;
    for group in groups {
        let x = slope * group.logit + intercept;
        let small = libm::exp(-x.abs());
        let share = if x < 0.0 { small / (1.0 + small) } else { 1.0 / (1.0 + small) };
        n_rows += group.n_rows;
        sums.loss += group.n_rows * (x.max(0.0) + libm::log1p(small)) - group.targets * x;
        let residual = group.n_rows * share - group.targets;
        let weight = group.n_rows * small / (1.0 + small).powi(2);
        for (sum, term) in sums.gradient.iter_mut().zip([residual * group.logit, residual]) {
            *sum += term;
        }
        for (sum, factor) in sums.hessian.iter_mut().zip([group.logit * group.logit, group.logit, 1.0]) {
            *sum += weight * factor;
        }
    }
    Objective {
        loss: sums.loss / n_rows,
        gradient: sums.gradient.map(|sum| sum / n_rows),
        hessian: sums.hessian.map(|sum| sum / n_rows),
    }
}

/// Slope and intercept of the lowest loss, from a flat curve at the mean target.
fn minimise(groups: &[Group]) -> Result<[f64; 2], String> {
    let of = |pick: fn(&Group) -> f64| groups.iter().map(pick).sum::<f64>();
    let mean = of(|group| group.targets) / of(|group| group.n_rows);
    let mut at = [0.0, libm::log(mean / (1.0 - mean))];
    let mut here = objective(groups, at);
    for _ in 0..MAX_STEPS {
        if here.steepness() <= TOLERANCE {
            break;
        }
        let Some((next, there)) = newton_step(groups, at, &here) else { break };
        (at, here) = (next, there);
    }
    // What is no number is not at most anything.
    let converged = here.steepness() <= CONVERGED && at.iter().all(|value| value.is_finite());
    if converged { Ok(at) } else { Err("the fit of the logistic curve did not converge".into()) }
}

/// The Newton step, halved until the loss falls (or, where rounding hides by how much, the gradient); `None` where
/// neither can fall any more.
fn newton_step(groups: &[Group], at: [f64; 2], here: &Objective) -> Option<([f64; 2], Objective)> {
    let ([g0, g1], [h00, h01, h11]) = (here.gradient, here.hessian);
    let determinant = h00 * h11 - h01 * h01;
    if determinant.is_nan() || determinant <= 0.0 {
        return None;
    }
    let step = [(h01 * g1 - h11 * g0) / determinant, (h01 * g0 - h00 * g1) / determinant];
    (0..40).find_map(|halvings| {
        let scale = 0.5f64.powi(halvings);
        let next = [at[0] + scale * step[0], at[1] + scale * step[1]];
        let there = objective(groups, next);
        let rounded = there.loss - here.loss <= ROUNDING && there.steepness() < here.steepness();
        (there.loss < here.loss || rounded).then_some((next, there))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranking(rows: &[(u8, f32)]) -> Ranking {
        let (labels, scores): (Vec<u8>, Vec<f32>) = rows.iter().copied().unzip();
        Ranking::of(&labels, &scores).unwrap()
    }

    /// Rows with ties, overlap, and scores of exactly 0 and 1.
    fn rows() -> Vec<(u8, f32)> {
        let score = |at: u32| (at.wrapping_mul(2_654_435_761) >> 16) % 21;
        (0..300).map(|at| (u8::from((at * 7) % 20 < score(at)), score(at) as f32 / 20.0)).collect()
    }

    #[test]
    fn the_gradient_is_zero_and_no_grid_point_is_better() {
        let ranking = ranking(&rows());
        let platt = fit(&ranking).unwrap();
        assert!((platt.clip - 0.025).abs() < 1e-8, "half of the lowest score above 0, 0.05");
        let groups = groups(&ranking, platt.clip);
        let best = objective(&groups, [platt.slope, platt.intercept]);
        assert!(best.gradient.iter().all(|slope| slope.abs() < 1e-12), "{:?}", best.gradient);
        for slope in -20..=20 {
            for intercept in -20..=20 {
                let at = [platt.slope + f64::from(slope) / 8.0, platt.intercept + f64::from(intercept) / 8.0];
                assert!(objective(&groups, at).loss >= best.loss, "{at:?}");
            }
        }
    }

    /// Numeric derivatives of the loss are the gradient and the Hessian.
    #[test]
    fn derivatives_are_those_of_the_loss() {
        let groups = groups(&ranking(&rows()), 0.01);
        let (at, e) = ([0.7, -0.4], 1e-6);
        let moved = |by: [f64; 2]| objective(&groups, [at[0] + by[0], at[1] + by[1]]);
        let here = moved([0.0; 2]);
        let difference =
            |by: [f64; 2], of: fn(&Objective) -> f64| (of(&moved(by)) - of(&moved(by.map(|by| -by)))) / (2.0 * e);
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-7, "{a} {b}");
        close(difference([e, 0.0], |at| at.loss), here.gradient[0]);
        close(difference([0.0, e], |at| at.loss), here.gradient[1]);
        close(difference([e, 0.0], |at| at.gradient[0]), here.hessian[0]);
        close(difference([0.0, e], |at| at.gradient[0]), here.hessian[1]);
        close(difference([0.0, e], |at| at.gradient[1]), here.hessian[2]);
    }

    #[test]
    fn separable_classes_have_a_finite_curve() {
        let rows: Vec<(u8, f32)> = (0..50).map(|at| (u8::from(at >= 45), at as f32 / 50.0)).collect();
        let platt = fit(&ranking(&rows)).unwrap();
        assert!(platt.slope > 1.0 && platt.slope < 100.0, "{platt:?}");
        let extremes: Vec<(u8, f32)> = (0..50).map(|at| (u8::from(at >= 45), f32::from(at >= 45u8))).collect();
        let platt = fit(&ranking(&extremes)).unwrap();
        assert_eq!(platt.clip, 0.25, "no score lies inside");
    }

    #[test]
    fn a_falling_share_is_refused() {
        let falling: Vec<(u8, f32)> = rows().into_iter().map(|(label, score)| (label, 1.0 - score)).collect();
        assert!(fit(&ranking(&falling)).unwrap_err().starts_with("expected a slope from 0.001 to 1000, found -"));
    }
}

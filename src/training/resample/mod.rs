//! Resample: what a case does against imbalance, to training rows alone. In: a training set; out: a training set of
//! other entries, rows or weights, and the report of what was done.
//!
//! The minority is the smaller class (the positives where both are equal). Draws come from the part's seed by label, so
//! that cases which differ in their target share rows; sums run in a fixed order: the result is the same for any number of
//! threads. Quadratic work is estimated before it starts and refused above [`LIMIT_HOURS`].

mod bounds;
mod class_weights;
mod distance;
mod estimate;
mod lineage;
mod nearest_neighbors;
mod oversample;
mod shared;
mod smote;
mod smote_tomek;
mod tomek_links;

pub use class_weights::ClassWeighting;
pub use estimate::{Features, LIMIT_HOURS, Work, estimate};
pub use lineage::{Lineage, Made};
pub use oversample::Oversampler;
pub use shared::Shared;
pub use smote_tomek::{Smote, SmoteTomek, TomekLinks};

use super::config::{Balance, Case};
use super::error::{Error, Result};
use super::evaluate::ResamplingReport;
use super::progress::Progress;
use super::rows::TrainingSet;

/// Changes how the classes of a training set weigh against each other.
pub trait Resampler {
    fn resample(&self, shared: &mut Shared, progress: &dyn Progress) -> Result<Resampled>;
}

/// What a case made of a training set.
#[derive(Debug)]
pub struct Resampled {
    pub set: TrainingSet,
    pub report: ResamplingReport,
    pub lineage: Lineage,
}

impl Resampled {
    /// No row came, none went.
    fn of_originals(before: &TrainingSet, set: TrainingSet, report: ResamplingReport) -> Resampled {
        Resampled { set, report, lineage: Lineage { n_original: before.n_entries(), ..Lineage::default() } }
    }
}

/// Applies a case of the config.
pub fn resample(case: &Case, shared: &mut Shared, progress: &dyn Progress) -> Result<Resampled> {
    estimate::refuse_if_too_long(case, shared.set)?;
    let resampled = apply(case, shared, progress)?;
    let has_both = |set: &TrainingSet| (1..set.n_entries()).contains(&set.n_positives());
    if has_both(shared.set) && !has_both(&resampled.set) {
        let message = "every row of a class was taken away: each is the nearest of a row of the other class";
        return Err(Error::permanent(message)
            .hint("the classes lie on each other: say `tomek_remove: majority`, or leave the case out with `--only`"));
    }
    Ok(resampled)
}

fn apply(case: &Case, shared: &mut Shared, progress: &dyn Progress) -> Result<Resampled> {
    match *case {
        Case::Raw => Ok(Resampled::of_originals(shared.set, shared.set.clone(), report(shared.set, shared.set))),
        Case::ClassWeights(weights) => ClassWeighting { weights }.resample(shared, progress),
        Case::Oversample { target } => Oversampler { target }.resample(shared, progress),
        Case::Smote(smote) => Smote { smote }.resample(shared, progress),
        Case::Tomek { remove, categories } => TomekLinks { remove, categories }.resample(shared, progress),
        Case::SmoteTomek { smote, remove } => SmoteTomek { smote, remove }.resample(shared, progress),
    }
}

/// The two classes of a set by size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Classes {
    /// Label of the smaller class.
    minority: u8,
    n_minority: usize,
    n_majority: usize,
}

impl Classes {
    /// Refuses a set that lacks one of them.
    fn of(set: &TrainingSet) -> Result<Classes> {
        let n_positives = set.n_positives();
        let n_negatives = set.n_entries() - n_positives;
        if n_positives == 0 || n_negatives == 0 {
            return Err(Error::permanent(format!(
                "expected training rows of both classes, found {n_positives} positive and {n_negatives} negative"
            ))
            .hint("use fewer folds or more rows; only the case `raw` works on one class"));
        }
        Ok(match n_positives <= n_negatives {
            true => Classes { minority: 1, n_minority: n_positives, n_majority: n_negatives },
            false => Classes { minority: 0, n_minority: n_negatives, n_majority: n_positives },
        })
    }

    /// Entries of the smaller class, ascending.
    fn minority_entries(&self, set: &TrainingSet) -> Vec<u32> {
        (0..set.n_entries() as u32).filter(|&entry| set.labels()[entry as usize] == self.minority).collect()
    }

    fn majority_entries(&self, set: &TrainingSet) -> Vec<u32> {
        (0..set.n_entries() as u32).filter(|&entry| set.labels()[entry as usize] != self.minority).collect()
    }

    /// Minority rows to add for `target`: none where it is already reached.
    fn missing(&self, target: Balance) -> Result<usize> {
        let wanted = target.n_minority(self.n_majority);
        if wanted.saturating_add(self.n_majority) > u32::MAX as usize {
            return Err(Error::permanent(format!(
                "{target:?} beside {} majority rows needs more rows than can be counted in 32 bits",
                self.n_majority
            ))
            .hint("choose a smaller target"));
        }
        Ok(wanted.saturating_sub(self.n_minority))
    }
}

/// Counts and shares; what a case adds or removes is filled in by the case.
fn report(before: &TrainingSet, after: &TrainingSet) -> ResamplingReport {
    let unchanged = ResamplingReport::unchanged(before.n_entries(), before.n_positives());
    let positives_are_few = 2 * before.n_positives() <= before.n_entries();
    let (rows_after, positives_after) = (after.n_entries(), after.n_positives());
    let n_minority = if positives_are_few { positives_after } else { rows_after - positives_after };
    let share_after = n_minority as f64 / rows_after.max(1) as f64;
    ResamplingReport { rows_after, positives_after, share_after, ..unchanged }
}

#[cfg(test)]
mod tests;

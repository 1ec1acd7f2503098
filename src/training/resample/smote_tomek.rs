//! SMOTE, then Tomek links of the result. In: a training set; out: its rows and the synthetic ones after them, less
//! the rows that were taken away.
//!
//! The matrix of the result still holds the removed rows; its entries no longer name them.

use super::smote::{self, Drawn};
use super::tomek_links::{self, Link};
use super::{Classes, Resampler, Work, report};
use crate::scoring::matrix::FeatureMatrix;
use crate::training::config::{Balance, TomekRemove};
use crate::training::error::{Error, Result};
use crate::training::evaluate::ResamplingReport;
use crate::training::progress::Progress;
use crate::training::rows::TrainingSet;
use crate::training::seed::Seed;

/// More estimated work than this is refused.
pub const LIMIT_HOURS: f64 = 12.0;
/// Nanoseconds of one thread per pair, and per pair and feature: `speed_of_tomek` in the tests, CPU time on an AMD EPYC.
/// Measured on normal noise, where no distance is much smaller than another and few pairs are dismissed early.
const NANOSECONDS_PER_PAIR: f64 = 2.5;
const NANOSECONDS_PER_FEATURE: f64 = 0.04;

/// Adds synthetic minority rows up to the target (none where it is reached), then removes Tomek links.
#[derive(Debug, Clone, Copy)]
pub struct SmoteTomek {
    pub target: Balance,
    pub k: usize,
    pub remove: TomekRemove,
}

impl Resampler for SmoteTomek {
    fn resample(
        &self,
        set: &TrainingSet,
        seed: Seed,
        progress: &dyn Progress,
    ) -> Result<(TrainingSet, ResamplingReport)> {
        let classes = Classes::of(set)?;
        let n_synthetic = classes.missing(self.target)?;
        refuse_if_too_long(self.target, set, classes)?;

        let (enlarged, hints) = self.enlarge(set, classes, n_synthetic, seed, progress)?;
        let links = tomek_links::find(
            enlarged.matrix(),
            enlarged.labels(),
            classes.minority,
            (n_synthetic > 0).then_some(&hints[..]),
            progress,
        )?;
        let kept = without(&enlarged, &links, self.remove);
        let report = ResamplingReport {
            synthetic: n_synthetic,
            links: links.len(),
            removed_majority: links.len(),
            removed_minority: if self.remove == TomekRemove::Both { links.len() } else { 0 },
            ..report(set, &kept)
        };
        Ok((kept, report))
    }
}

impl SmoteTomek {
    /// One matrix row per entry, the synthetic rows last; and for every minority row, in row order, a row near it.
    fn enlarge(
        &self,
        set: &TrainingSet,
        classes: Classes,
        n_synthetic: usize,
        seed: Seed,
        progress: &dyn Progress,
    ) -> Result<(TrainingSet, Vec<u32>)> {
        if n_synthetic == 0 {
            let gathered = gather(set, &(0..set.n_entries()).collect::<Vec<_>>(), 0);
            let matrix = FeatureMatrix::new(set.matrix().names().clone(), gathered);
            return Ok((set.with_matrix(matrix, set.labels().to_vec(), set.weights().to_vec()), Vec::new()));
        }
        let minority: Vec<usize> =
            (0..set.n_entries()).filter(|&entry| set.labels()[entry] == classes.minority).collect();
        let minority_matrix = FeatureMatrix::new(set.matrix().names().clone(), gather(set, &minority, 0));
        let Drawn { draws, neighbors } = smote::draw(&minority_matrix, n_synthetic, self.k, seed, progress)?;

        let mut values = gather(set, &(0..set.n_entries()).collect::<Vec<_>>(), n_synthetic);
        let (mut labels, mut weights) = (set.labels().to_vec(), set.weights().to_vec());
        let mut hints: Vec<u32> =
            neighbors.chunks_exact(self.k).map(|near| minority[near[0] as usize] as u32).collect();
        for draw in draws {
            draw.interpolate(&minority_matrix, &mut values);
            labels.push(classes.minority);
            weights.push(set.weights()[minority[draw.parent as usize]]);
            hints.push(minority[draw.closer_end() as usize] as u32);
        }
        let matrix =
            FeatureMatrix::new(set.matrix().names().clone(), values).with_nominal(set.matrix().nominal().clone());
        Ok((set.with_matrix(matrix, labels, weights), hints))
    }
}

/// The values of some entries, row after row, with room for `n_more` rows.
fn gather(set: &TrainingSet, entries: &[usize], n_more: usize) -> Vec<f32> {
    let matrix = set.matrix();
    let mut values = Vec::with_capacity((entries.len() + n_more) * matrix.n_features());
    for &entry in entries {
        values.extend_from_slice(matrix.row(set.entries()[entry] as usize));
    }
    values
}

/// The set less the ends of links. Entries are rows here.
fn without(set: &TrainingSet, links: &[Link], remove: TomekRemove) -> TrainingSet {
    let mut keep = vec![true; set.n_entries()];
    for link in links {
        keep[link.majority as usize] = false;
        keep[link.minority as usize] &= remove == TomekRemove::Majority;
    }
    let entries: Vec<u32> = set.entries().iter().copied().filter(|&row| keep[row as usize]).collect();
    let labels = entries.iter().map(|&row| set.labels()[row as usize]).collect();
    let weights = entries.iter().map(|&row| set.weights()[row as usize]).collect();
    set.with_entries(entries, labels, weights)
}

/// SMOTE looks at minority x minority pairs, Tomek links at minority x all after SMOTE.
pub(super) fn estimate(target: Balance, n_rows: usize, n_minority: usize, n_features: usize) -> Work {
    let n_majority = n_rows.saturating_sub(n_minority);
    let before = n_minority as f64;
    let after = before.max(target.n_minority(n_majority) as f64);
    let smote = if after > before { before * before } else { 0.0 };
    let pairs = smote + after * (after + n_majority as f64);
    let nanoseconds = NANOSECONDS_PER_PAIR + NANOSECONDS_PER_FEATURE * n_features as f64;
    let seconds = pairs * nanoseconds * 1e-9 / rayon::current_num_threads() as f64;
    Work { pairs, seconds }
}

fn refuse_if_too_long(target: Balance, set: &TrainingSet, classes: Classes) -> Result<()> {
    let n_features = set.n_features();
    let work = estimate(target, set.n_entries(), classes.n_minority, n_features);
    if work.seconds <= LIMIT_HOURS * 3600.0 {
        return Ok(());
    }
    Err(Error::permanent(format!(
        "`smote-tomek` on {} training rows x {n_features} features is estimated at {:.0} hours on {} threads, the limit is {LIMIT_HOURS:.0}",
        set.n_entries(),
        work.seconds / 3600.0,
        rayon::current_num_threads(),
    ))
    .hint("leave this case out with `--only`, train on fewer rows, or use more threads; a faster search is planned"))
}

//! Random over-sampling: minority rows are repeated, drawn with replacement, until the target is reached. In: a set;
//! out: its entries, then the repeated ones. No value of the matrix is copied.

use rand::RngExt;

use super::{Classes, Resampler, report};
use crate::training::config::Balance;
use crate::training::error::Result;
use crate::training::evaluate::ResamplingReport;
use crate::training::progress::Progress;
use crate::training::rows::TrainingSet;
use crate::training::seed::Seed;

/// Repeats minority entries; adds nothing where the target is already reached.
#[derive(Debug, Clone, Copy)]
pub struct Oversampler {
    pub target: Balance,
}

impl Resampler for Oversampler {
    fn resample(&self, set: &TrainingSet, seed: Seed, _: &dyn Progress) -> Result<(TrainingSet, ResamplingReport)> {
        let classes = Classes::of(set)?;
        let duplicates = classes.missing(self.target)?;
        let minority: Vec<usize> =
            (0..set.n_entries()).filter(|&entry| set.labels()[entry] == classes.minority).collect();

        let mut rng = seed.derive("oversample", 0).rng();
        let (mut entries, mut labels) = (set.entries().to_vec(), set.labels().to_vec());
        let mut weights = set.weights().to_vec();
        for _ in 0..duplicates {
            let drawn = minority[rng.random_range(0..minority.len())];
            entries.push(set.entries()[drawn]);
            labels.push(classes.minority);
            weights.push(set.weights()[drawn]);
        }
        let resampled = set.with_entries(entries, labels, weights);
        let report = ResamplingReport { duplicates, ..report(set, &resampled) };
        Ok((resampled, report))
    }
}

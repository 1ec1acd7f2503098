//! Random over-sampling: minority rows are repeated, drawn with replacement, until the target is reached. In: a set;
//! out: its entries, then the repeated ones. No value of the matrix is copied.

use rand::RngExt;

use super::lineage::{Lineage, Made};
use super::shared::Shared;
use super::{Classes, Resampled, Resampler, report};
use crate::training::config::Balance;
use crate::training::error::Result;
use crate::training::evaluate::ResamplingReport;
use crate::training::progress::Progress;

/// Repeats minority entries; adds nothing where the target is already reached.
#[derive(Debug, Clone, Copy)]
pub struct Oversampler {
    pub target: Balance,
}

impl Resampler for Oversampler {
    fn resample(&self, shared: &mut Shared, _: &dyn Progress) -> Result<Resampled> {
        let set = shared.set;
        let classes = Classes::of(set)?;
        let duplicates = classes.missing(self.target)?;
        let minority: Vec<u32> =
            (0..set.n_entries() as u32).filter(|&entry| set.labels()[entry as usize] == classes.minority).collect();

        let mut rng = shared.seed.derive("oversample", 0).rng();
        let drawn: Vec<u32> = (0..duplicates).map(|_| minority[rng.random_range(0..minority.len())]).collect();
        let again = || drawn.iter().map(|&entry| entry as usize);
        let resampled = set.with_entries(
            set.entries().iter().copied().chain(again().map(|entry| set.entries()[entry])).collect(),
            set.labels().iter().copied().chain(again().map(|entry| set.labels()[entry])).collect(),
            set.weights().iter().copied().chain(again().map(|entry| set.weights()[entry])).collect(),
        );
        let report = ResamplingReport { duplicates, ..report(set, &resampled) };
        let made = drawn.into_iter().map(|parent| Made { parent, neighbor: None, gap: 0.0 }).collect();
        Ok(Resampled {
            report,
            lineage: Lineage { n_original: set.n_entries(), made, removed: Vec::new() },
            set: resampled,
        })
    }
}

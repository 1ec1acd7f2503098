//! Class weights: every row stays, and counts as much as its class is rare. In and out: the same entries.
//!
//! `balanced` is n / (2 n_class) over the entries of the set (scikit-learn's `compute_class_weight`): both classes then
//! weigh n / 2.

use super::shared::Shared;
use super::{Classes, Resampled, Resampler, report};
use crate::training::config::ClassWeights;
use crate::training::error::Result;
use crate::training::evaluate::ResamplingReport;
use crate::training::progress::Progress;

/// Multiplies the weight of every entry by the weight of its class.
#[derive(Debug, Clone, Copy)]
pub struct ClassWeighting {
    pub weights: ClassWeights,
}

impl Resampler for ClassWeighting {
    fn resample(&self, shared: &mut Shared, _: &dyn Progress) -> Result<Resampled> {
        let set = shared.set;
        let [positive, negative] = match self.weights {
            ClassWeights::Given { positive, negative } => [positive, negative],
            ClassWeights::Balanced => {
                Classes::of(set)?;
                let n = set.n_entries() as f64;
                let n_positives = set.n_positives() as f64;
                [n / (2.0 * n_positives), n / (2.0 * (n - n_positives))]
            }
        };
        let class_weight = |label| if label == 1 { positive } else { negative };
        let weights = set.labels().iter().zip(set.weights());
        let weights = weights.map(|(&label, &weight)| (f64::from(weight) * class_weight(label)) as f32).collect();
        let weighted = set.with_entries(set.entries().to_vec(), set.labels().to_vec(), weights);
        let report = ResamplingReport { weights: [positive, negative], ..report(set, &weighted) };
        Ok(Resampled::of_originals(set, weighted, report))
    }
}

//! A frozen linear projection: many outputs of the preparation become few (principal components).
//!
//! In: `n_inputs` prepared numbers. Out: `n_components`, each the sum over the inputs, in their order, of the centred
//! input times its loading: f64, one cast. The loop runs over components innermost, which vector instructions take
//! without another order of any sum.

use serde::{Deserialize, Serialize};

use super::frozen::narrow;
use crate::scoring::error::ScoringError;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Projection {
    pub name: String,
    /// Outputs it replaces.
    pub inputs: Vec<String>,
    pub means: Vec<f64>,
    /// Per input its loading on each component.
    pub loadings: Vec<Vec<f64>>,
    /// Share of the inputs' variance that each component keeps.
    pub explained: Vec<f64>,
}

impl Projection {
    pub fn n_components(&self) -> usize {
        self.explained.len()
    }

    /// Names of the components.
    pub fn outputs(&self) -> impl Iterator<Item = String> + '_ {
        (1..=self.n_components()).map(|nth| format!("{}_{nth}", self.name))
    }

    /// The components of one row.
    pub(super) fn of(&self, inputs: impl Iterator<Item = f32>) -> impl Iterator<Item = f32> {
        let mut sums = vec![0f64; self.n_components()];
        for ((input, mean), loadings) in inputs.zip(&self.means).zip(&self.loadings) {
            let centred = f64::from(input) - mean;
            for (sum, loading) in sums.iter_mut().zip(loadings) {
                *sum += centred * loading;
            }
        }
        sums.into_iter().map(narrow)
    }

    pub(super) fn check(&self) -> Result<(), ScoringError> {
        let n_inputs = self.inputs.len();
        let finite = |numbers: &[f64]| numbers.iter().all(|number| number.is_finite());
        let fits = n_inputs > 0
            && self.n_components() > 0
            && self.means.len() == n_inputs
            && self.loadings.len() == n_inputs
            && finite(&self.means)
            && self.loadings.iter().all(|loadings| loadings.len() == self.n_components() && finite(loadings));
        if fits { Ok(()) } else { Err(ScoringError::new(format!("projection `{}` is damaged", self.name))) }
    }
}

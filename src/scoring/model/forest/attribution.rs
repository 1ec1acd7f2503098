//! Reason codes of one score: what each feature added on the paths that a row took.
//!
//! In: a prepared row. Out: a contribution per feature, in the score's own unit. At every split of a path the split's
//! feature gets the value of the child minus the value of the node (Saabas 2014; Palczewska et al. 2014), averaged over
//! trees in f64 in tree order; contributions and the mean value of the roots add up to the score, up to rounding to f32.
//! As cheap as scoring, without allocation once the values of the nodes are made. It credits a feature by where it stands in a tree: splits near the leaves
//! get more than Shapley values give them ([`super::shap`]).

use super::{Forest, Leaves};
use crate::scoring::error::ScoringError;

impl Forest {
    /// Writes the contribution of every feature and returns the mean value of the roots.
    pub fn path_contributions(&self, row: &[f32], contributions: &mut [f64]) -> Result<f64, ScoringError> {
        self.check_attribution(row, contributions)?;
        contributions.fill(0.0);
        let values = self.node_values();
        let mut roots = 0.0;
        for &root in &self.roots {
            let mut at = root;
            roots += f64::from(values[at as usize]);
            loop {
                let next = self.next(at, row);
                if next == at {
                    break;
                }
                let feature = self.nodes[at as usize].feature();
                contributions[feature] += f64::from(values[next as usize]) - f64::from(values[at as usize]);
                at = next;
            }
        }
        let n_trees = self.n_trees() as f64;
        contributions.iter_mut().for_each(|contribution| *contribution /= n_trees);
        Ok(roots / n_trees)
    }

    /// Nodes know their values, and the row and the result have a place per feature.
    pub(super) fn check_attribution(&self, row: &[f32], contributions: &[f64]) -> Result<(), ScoringError> {
        self.check_node_values()?;
        let (expected, found) = (self.n_features, (row.len(), contributions.len()));
        if found == (expected, expected) {
            return Ok(());
        }
        Err(ScoringError::new(format!(
            "an attribution over {expected} features: found {} and {} places",
            found.0, found.1
        )))
    }

    pub(super) fn check_node_values(&self) -> Result<(), ScoringError> {
        match self.leaves {
            Leaves::Values => Err(ScoringError::new("this bundle holds no node values").hint("train again")),
            _ => Ok(()),
        }
    }
}

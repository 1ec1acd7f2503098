//! Reason codes: the features that raised a raw score most.
//!
//! In: a contribution per feature (path attribution or Shapley values). Out: at most `n` of those above zero, the largest
//! first, ties by the order of features. They are of the raw score; the answered one is calibrated.

use serde::Serialize;

/// A feature, and by how much it raised the raw score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reason {
    pub feature: String,
    pub contribution: f32,
}

pub fn raising(names: &[String], contributions: &[f64], n: usize) -> Vec<Reason> {
    let mut raising: Vec<usize> = (0..contributions.len()).filter(|&at| contributions[at] as f32 > 0.0).collect();
    raising.sort_by(|&a, &b| contributions[b].total_cmp(&contributions[a]));
    let reason = |&at: &usize| Reason { feature: names[at].clone(), contribution: contributions[at] as f32 };
    raising.iter().take(n).map(reason).collect()
}

//! Stand-in.
use super::config::*; use super::error::Result; use super::evaluate::ResamplingReport; use super::progress::Progress; use super::rows::TrainingSet; use super::seed::Seed;
pub struct Work { pub seconds: f64 }
pub fn estimate(_: &Case, _: usize, _: usize, _: usize) -> Work { Work { seconds: 0.0 } }
pub fn refuse_above_limit(_: &str, _: &Work) -> Result<()> { Ok(()) }
pub fn resample(case: &Case, set: &TrainingSet, _: Seed, _: &dyn Progress) -> Result<(TrainingSet, ResamplingReport)> {
    let (n, p) = (set.n_entries(), set.n_positives());
    let w = if let Case::ClassWeights(_) = case { [n as f64 / 2.0 / p as f64, n as f64 / 2.0 / (n - p) as f64] } else { [1.0, 1.0] };
    let weights = set.labels().iter().map(|&l| if l == 1 { w[0] as f32 } else { w[1] as f32 }).collect();
    let out = TrainingSet::new(set.matrix().clone(), set.entries().to_vec(), set.labels().to_vec(), weights);
    Ok((out, ResamplingReport { rows_before: n, positives_before: p, rows_after: n, positives_after: p, share_before: 0.0, share_after: 0.0, synthetic: 0, duplicates: 0, links: 0, removed_majority: 0, removed_minority: 0, weights: w }))
}

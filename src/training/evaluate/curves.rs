//! Stand-in.
pub fn roc_curve(_: &[u8], _: &[f32]) -> Vec<[f64; 2]> { vec![[0.0, 0.0], [1.0, 1.0]] }
pub fn pr_curve(_: &[u8], _: &[f32]) -> Vec<[f64; 2]> { vec![[0.0, 1.0], [1.0, 0.1]] }

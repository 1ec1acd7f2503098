//! What a case is going to cost, before it starts. In: numbers of rows and features; out: time and memory; all zero where
//! the work is linear.
//!
//! Constants are of one thread of an AMD EPYC with AVX-512, halved for processors without: matrix products 100 GFLOP/s,
//! a bound of a synthetic row 0.08 ns. How many minority rows have to be looked at again is not known before: a share of
//! them is assumed, all where nothing is synthetic.

use crate::training::config::Case;
use crate::training::error::{Error, Result};
use crate::training::rows::TrainingSet;

/// More estimated work than this is refused.
pub const LIMIT_HOURS: f64 = 12.0;
const SECONDS_PER_PRODUCT: f64 = 2e-11 * 2.0;
const SECONDS_PER_BOUND: f64 = 0.16e-9;
/// Synthetic rows that are searched from twice.
const OPEN_SHARE: f64 = 0.01;

/// Estimated work.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Work {
    /// On this machine's threads.
    pub seconds: f64,
    /// Beside the prepared matrix.
    pub bytes: f64,
}

/// Estimates a case on `n_rows` rows before resampling, `n_minority` of them of the smaller class.
pub fn estimate(case: &Case, n_rows: usize, n_minority: usize, n_features: usize) -> Work {
    let n_majority = n_rows.saturating_sub(n_minority) as f64;
    let (n_rows, before, width) = (n_rows as f64, n_minority as f64, n_features as f64 + 2.0);
    let synthetic =
        case.smote().map_or(0.0, |smote| (smote.target.n_minority(n_majority as usize) as f64 - before).max(0.0));
    let neighbors = if synthetic > 0.0 { before * before } else { 0.0 };
    let (products, bounds) = match case {
        Case::Smote(_) => (neighbors + 2_000.0_f64.min(synthetic) * (n_rows + synthetic), 0.0),
        Case::Tomek { .. } | Case::SmoteTomek { .. } => {
            let open = if synthetic > 0.0 { OPEN_SHARE * synthetic } else { before };
            (neighbors + n_majority * before + open * (n_rows + synthetic), n_majority * synthetic)
        }
        Case::Raw | Case::ClassWeights(_) | Case::Oversample { .. } => return Work::default(),
    };
    let seconds = products * width * SECONDS_PER_PRODUCT + bounds * SECONDS_PER_BOUND;
    let enlarged = if synthetic > 0.0 { n_rows + synthetic } else { 0.0 };
    // Beside the rows: bounds and neighbours of each thread.
    let n_threads = rayon::current_num_threads() as f64;
    let bytes = 4.0 * n_features as f64 * enlarged + n_threads * (33e6 + 20.0 * (before + synthetic));
    Work { seconds: seconds / n_threads, bytes }
}

pub(super) fn refuse_if_too_long(case: &Case, set: &TrainingSet) -> Result<()> {
    let (n_rows, n_positives, n_features) = (set.n_entries(), set.n_positives(), set.n_features());
    let work = estimate(case, n_rows, n_positives.min(n_rows - n_positives), n_features);
    if work.seconds <= LIMIT_HOURS * 3600.0 {
        return Ok(());
    }
    Err(Error::permanent(format!(
        "neighbours among {n_rows} training rows x {n_features} features are estimated at {:.0} hours on {} threads, \
         the limit is {LIMIT_HOURS:.0}",
        work.seconds / 3600.0,
        rayon::current_num_threads(),
    ))
    .hint("leave this case out with `--only`, train on fewer rows, or use more threads"))
}

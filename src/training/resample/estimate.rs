//! What a case is going to cost, before it starts. In: numbers of rows and features; out: time and memory; all zero where
//! the work is linear.
//!
//! Constants are of one thread of an AMD EPYC with AVX-512, halved for processors without: matrix products 100 GFLOP/s,
//! a bound of a synthetic row 0.08 ns, a category compared 0.15 ns. How many minority rows have to be looked at again is not
//! known before: a share of them is assumed, all where nothing is synthetic. Nor is how many bounds the distance from an end
//! of a segment saves: none, so that data of few dimensions takes less.

use crate::scoring::schema::ColumnKind;
use crate::scoring::table::Table;
use crate::training::config::{Case, Categories};
use crate::training::error::{Error, Result};
use crate::training::rows::TrainingSet;

/// More estimated work than this is refused.
pub const LIMIT_HOURS: f64 = 12.0;
const SECONDS_PER_PRODUCT: f64 = 2e-11 * 2.0;
const SECONDS_PER_BOUND: f64 = 0.16e-9;
const SECONDS_PER_CATEGORY: f64 = 0.15e-9;
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

/// Features of both kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Features {
    pub numeric: usize,
    pub categorical: usize,
}

impl Features {
    pub fn of_table(table: &Table) -> Features {
        let categorical = table.columns().filter(|(_, cells)| cells.kind() == ColumnKind::Categorical).count();
        Features { numeric: table.n_columns() - categorical, categorical }
    }

    fn of_set(set: &TrainingSet) -> Features {
        let categorical = (0..set.n_features()).filter(|&feature| set.is_nominal(feature)).count();
        Features { numeric: set.n_features() - categorical, categorical }
    }
}

/// Estimates a case on `n_rows` rows before resampling, `n_minority` of them of the smaller class.
pub fn estimate(case: &Case, n_rows: usize, n_minority: usize, features: Features) -> Work {
    let Features { numeric, categorical } = features;
    let compared = if categories(case) == Categories::Numeric { 0 } else { categorical };
    let n_majority = n_rows.saturating_sub(n_minority) as f64;
    let (n_rows, before, width) = (n_rows as f64, n_minority as f64, (numeric + categorical - compared) as f64 + 2.0);
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
    // Once for a row itself, once for the synthetic rows that start from it.
    let times = if synthetic > 0.0 { 2.0 } else { 1.0 };
    let seconds = products * (width * SECONDS_PER_PRODUCT + times * compared as f64 * SECONDS_PER_CATEGORY)
        + bounds * SECONDS_PER_BOUND;
    let enlarged = if synthetic > 0.0 { n_rows + synthetic } else { 0.0 };
    // Beside the rows: bounds, neighbours and limits of each thread, and what synthetic rows' bounds are made of.
    let n_threads = rayon::current_num_threads() as f64;
    let bytes = 4.0 * (numeric + categorical) as f64 * enlarged
        + n_threads * (33e6 + 28.0 * (before + synthetic))
        + 48.0 * synthetic;
    Work { seconds: seconds / n_threads, bytes }
}

fn categories(case: &Case) -> Categories {
    match case {
        Case::Tomek { categories, .. } => *categories,
        _ => case.smote().map_or(Categories::Numeric, |smote| smote.categories),
    }
}

pub(super) fn refuse_if_too_long(case: &Case, set: &TrainingSet) -> Result<()> {
    let (n_rows, n_positives, n_features) = (set.n_entries(), set.n_positives(), set.n_features());
    let work = estimate(case, n_rows, n_positives.min(n_rows - n_positives), Features::of_set(set));
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

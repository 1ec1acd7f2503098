//! Explore: what a dataset looks like before anything is learned from it: balance, gaps, levels, single columns, weeks.
//!
//! In: a [`Dataset`], all rows of it. Out: [`Eda`], which serialises to `eda.json`, and [`terminal_table`]. A figure
//! that is not defined (a class missing, a column empty) is `None`, never 0.5 or 0. Columns run in parallel; the result
//! does not depend on the number of threads.
//!
//! Limits: everything here is descriptive and in-sample, over rows that later become test rows as well. Nothing of it
//! may be used to fit, select or tune.

mod bins;
mod clusters;
mod column;
mod detail;
mod drift;
mod gaps;
mod judge;
mod leaks;
#[cfg(test)]
mod oracle;
mod table;
#[cfg(test)]
mod tests;

use rayon::prelude::*;
use serde::Serialize;

pub use self::bins::{Bin, ColumnBins};
pub use self::column::{CategoricalProfile, ColumnProfile, LevelProfile, NumericProfile, ValueProfile};
pub use self::detail::{CorrelationMap, Correlations, Detail, detail};
pub use self::drift::{ColumnDrift, Drift};
pub use self::gaps::MissingGroup;
pub use self::leaks::Leaks;
pub use self::table::terminal_table;
use super::rows::Dataset;

const WEEK_SECONDS: f64 = 604_800.0;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Eda {
    pub rows: usize,
    pub positives: usize,
    /// Positives over rows; `None` without rows.
    pub positive_share: Option<f64>,
    pub numeric_columns: usize,
    pub categorical_columns: usize,
    /// In the order of the table.
    pub columns: Vec<ColumnProfile>,
    /// `None` where no time is declared. Weeks without rows are listed with 0.
    pub weeks: Option<Vec<WeekProfile>>,
}

/// Rows of one week, counted from the week of the earliest row (week = floor(seconds / 604800)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct WeekProfile {
    pub week: usize,
    pub rows: usize,
    pub positives: usize,
}

/// Profiles all rows of a dataset.
pub fn explore(dataset: &Dataset) -> Eda {
    let columns: Vec<_> = dataset.table.columns().collect();
    let columns: Vec<ColumnProfile> =
        columns.par_iter().map(|(name, cells)| ColumnProfile::new(name, cells, &dataset.labels)).collect();
    let (rows, positives) = (dataset.n_rows(), dataset.n_positives());
    let numeric_columns = columns.iter().filter(|column| matches!(column.values, ValueProfile::Numeric(_))).count();
    Eda {
        rows,
        positives,
        positive_share: share(positives, rows),
        numeric_columns,
        categorical_columns: columns.len() - numeric_columns,
        columns,
        weeks: dataset.times.as_deref().map(|times| weeks(times, &dataset.labels)),
    }
}

/// The leak radar alone.
pub fn radar(dataset: &Dataset) -> Leaks {
    leaks::leaks(dataset, &explore(dataset).columns)
}

/// `part / whole`, or `None` of nothing.
fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// More weeks than this are no calendar: times in another unit, or an outlier.
const MAX_WEEKS: usize = 10_000;

fn weeks(times: &[f64], labels: &[u8]) -> Vec<WeekProfile> {
    let week = |time: f64| (time / WEEK_SECONDS).floor();
    let finite = || times.iter().copied().filter(|time| time.is_finite());
    let first = week(finite().fold(f64::INFINITY, f64::min));
    let n_weeks = (week(finite().fold(f64::NEG_INFINITY, f64::max)) - first).max(-1.0) as usize + 1;
    // Sums over a map where the axis would be absurdly long; else every week, empty ones too.
    let mut counts = std::collections::BTreeMap::<usize, (usize, usize)>::new();
    if first.is_finite() && n_weeks <= MAX_WEEKS {
        counts.extend((0..n_weeks).map(|week| (week, (0, 0))));
    }
    for (&time, &label) in times.iter().zip(labels).filter(|(time, _)| time.is_finite()) {
        let count = counts.entry((week(time) - first) as usize).or_default();
        count.0 += 1;
        count.1 += usize::from(label == 1);
    }
    counts.into_iter().map(|(week, (rows, positives))| WeekProfile { week, rows, positives }).collect()
}

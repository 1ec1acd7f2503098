//! What `fraudml eda` adds to the profile: distributions, gaps, correlations, drift, the leak radar.
//!
//! In: a dataset, all rows of it. Out: [`Detail`], which serialises to `eda.json` of that command and becomes its page.
//! Descriptive and in-sample, as all of [`super`].

use rayon::prelude::*;
use serde::Serialize;

use super::bins::ColumnBins;
use super::drift::{Drift, drift};
use super::gaps::{MissingGroup, missing_groups};
use super::leaks::{Leaks, leaks};
use super::{ColumnProfile, Eda, ValueProfile, clusters, explore};
use crate::scoring::preprocessor::{FrozenColumn, Numeric, Preprocessor, Scale, TextCase};
use crate::scoring::table::{Cells, Table};
use crate::training::error::Result;
use crate::training::fit::gram::Gram;
use crate::training::fit::selection::bind;
use crate::training::rows::Dataset;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Detail {
    #[serde(flatten)]
    pub eda: Eda,
    pub bins: Vec<ColumnBins>,
    pub missing_groups: Vec<MissingGroup>,
    pub correlations: Correlations,
    /// `None` where no time is declared.
    pub drift: Option<Drift>,
    pub leaks: Leaks,
}

/// Pearson's, of numeric columns (the 2,000 that tell most by themselves, if there are more), over at most 100,000 rows;
/// missing cells count as the mean.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Correlations {
    pub rows: usize,
    pub pairs: usize,
    pub pairs_above_95: usize,
    /// The largest by size.
    pub largest: Vec<(String, String, f64)>,
    pub map: CorrelationMap,
}

/// The numeric columns that tell most by themselves, those that correlate side by side.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CorrelationMap {
    pub columns: Vec<String>,
    /// Of each column with those before it: 0, 1, 2, .. numbers.
    pub r: Vec<Vec<f64>>,
}

const MOST_ROWS: usize = 100_000;
const MOST_CORRELATED: usize = 2000;
const MOST_PAIRS: usize = 40;
const MOST_MAPPED: usize = 40;

pub fn detail(dataset: &Dataset) -> Result<Detail> {
    let eda = explore(dataset);
    let columns: Vec<(&str, &Cells)> = dataset.table.columns().collect();
    let bins = columns.par_iter().map(|(name, cells)| ColumnBins::new(name, cells, &dataset.labels)).collect();
    Ok(Detail {
        bins,
        missing_groups: missing_groups(&dataset.table),
        correlations: correlations(dataset, &eda.columns)?,
        drift: drift(dataset)?,
        leaks: leaks(dataset, &eda.columns),
        eda,
    })
}

fn correlations(dataset: &Dataset, profiles: &[ColumnProfile]) -> Result<Correlations> {
    let mut numeric: Vec<(String, f64)> = profiles
        .iter()
        .filter(|profile| matches!(profile.values, ValueProfile::Numeric(_)))
        .map(|profile| (profile.name.clone(), profile.auc.map_or(0.0, |auc| (auc - 0.5).abs())))
        .collect();
    if numeric.len() > MOST_CORRELATED {
        numeric.sort_by(|a, b| b.1.total_cmp(&a.1));
        numeric.truncate(MOST_CORRELATED);
    }
    let (names, telling): (Vec<String>, Vec<f64>) = numeric.into_iter().unzip();
    let column = |name: &String| {
        FrozenColumn::Numeric(Numeric { name: name.clone(), fill: None, scale: Scale::NONE, range: None })
    };
    let as_they_are = Preprocessor {
        format: Preprocessor::FORMAT,
        text_case: TextCase::Keep,
        features: Vec::new(),
        columns: names.iter().map(column).collect(),
        reduce: Vec::new(),
        dropped: Vec::new(),
    };
    let columns = bind(&as_they_are, &dataset.table, &Table::new(dataset.n_rows()))?;
    let step = dataset.n_rows().div_ceil(MOST_ROWS).max(1);
    let rows: Vec<u32> = (0..dataset.n_rows() as u32).step_by(step).collect();
    let gram = Gram::of(&columns, &(0..names.len()).collect::<Vec<_>>(), &rows);
    let pairs = (0..names.len()).flat_map(|b| (0..b).map(move |a| (a, b)));
    let mut sized: Vec<(usize, usize, f64)> = pairs.map(|(a, b)| (a, b, gram.correlation(a, b))).collect();
    sized.sort_by(|a, b| b.2.abs().total_cmp(&a.2.abs()).then((a.0, a.1).cmp(&(b.0, b.1))));
    let largest = sized.iter().take(MOST_PAIRS).map(|&(a, b, r)| (names[a].clone(), names[b].clone(), r));
    Ok(Correlations {
        map: map(&names, &telling, &gram),
        rows: rows.len(),
        pairs: sized.len(),
        pairs_above_95: sized.iter().filter(|(_, _, r)| r.abs() > 0.95).count(),
        largest: largest.collect(),
    })
}

fn map(names: &[String], telling: &[f64], gram: &Gram) -> CorrelationMap {
    let mut most: Vec<usize> = (0..names.len()).collect();
    most.sort_by(|&a, &b| telling[b].total_cmp(&telling[a]).then(a.cmp(&b)));
    most.truncate(MOST_MAPPED);
    most.sort_unstable();
    let order: Vec<usize> =
        clusters::order(most.len(), |a, b| gram.correlation(most[a], most[b])).into_iter().map(|at| most[at]).collect();
    let r = (0..order.len()).map(|at| order[..at].iter().map(|&other| gram.correlation(order[at], other)).collect());
    CorrelationMap { r: r.collect(), columns: order.iter().map(|&at| names[at].clone()).collect() }
}

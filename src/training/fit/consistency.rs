//! Whether a column still tells at the end what it told at the start (Chris Deotte's time consistency test).
//!
//! In: prepared columns, training rows with their times and labels. Per column: the rate of positives in at most 32
//! quantile bins of the first month's rows ranks the rows of the last month; a column whose AUC there is not above 0.5
//! goes. A column is left alone where it is not defined: a month of one class, less than two months of rows.

use rayon::prelude::*;

use super::selection::Judged;
use crate::scoring::preprocessor::PreparedColumns;
use crate::training::error::{Error, Result};
use crate::training::evaluate::measure;
use crate::training::rows::TrainRows;

const MONTH: f64 = 30.0 * 86_400.0;
const MOST_BINS: usize = 32;

/// Judged columns that do not hold.
pub fn inconsistent(columns: &PreparedColumns, judged: &[Judged], train: &TrainRows) -> Result<Vec<(usize, String)>> {
    let Some(times) = &train.dataset().times else {
        return Err(Error::permanent("`drop.inconsistent` needs a time column").hint("declare `data.time`"));
    };
    let time = |row: u32| times[row as usize];
    let all = || train.rows().iter().map(|&row| time(row));
    let (start, end) = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
    if end - start < 2.0 * MONTH {
        return Ok(Vec::new());
    }
    let rows_where = |keep: &dyn Fn(f64) -> bool| -> Vec<u32> {
        train.rows().iter().copied().filter(|&row| keep(time(row))).collect()
    };
    let early = rows_where(&|time| time < start + MONTH);
    let late = rows_where(&|time| time >= end - MONTH);
    let labels = |rows: &[u32]| -> Vec<u8> { rows.iter().map(|&row| train.dataset().labels[row as usize]).collect() };
    let (early_labels, late_labels) = (labels(&early), labels(&late));
    let values = |feature: usize, rows: &[u32]| {
        let mut values = vec![0f32; rows.len()];
        columns.fill_column(feature, rows, &mut values);
        values
    };
    let verdict = |(at, column): (usize, &Judged)| {
        let rates = Rates::of(&values(column.feature, &early), &early_labels);
        let scores: Vec<f32> = values(column.feature, &late).into_iter().map(|value| rates.rate(value)).collect();
        let auc = measure(&late_labels, &scores).auc?;
        (auc <= 0.5).then(|| (at, format!("rates of the first month rank those of the last with an AUC of {auc:.3}")))
    };
    Ok(judged.par_iter().enumerate().filter_map(verdict).collect())
}

/// Rate of positives by bins of a column; missing cells are one.
struct Rates {
    /// Upper ends, the last bin has none.
    edges: Vec<f32>,
    rates: Vec<f32>,
    missing: f32,
}

impl Rates {
    fn of(values: &[f32], labels: &[u8]) -> Rates {
        let mut sorted: Vec<f32> = values.iter().copied().filter(|value| !value.is_nan()).collect();
        sorted.sort_unstable_by(f32::total_cmp);
        let mut edges: Vec<f32> =
            (1..MOST_BINS).filter_map(|nth| sorted.get(nth * sorted.len() / MOST_BINS)).copied().collect();
        edges.dedup();
        let overall = labels.iter().map(|&label| f64::from(label)).sum::<f64>() / labels.len().max(1) as f64;
        let mut counts = vec![(0.0, 0.0); edges.len() + 2];
        for (&value, &label) in values.iter().zip(labels) {
            let bin = if value.is_nan() { edges.len() + 1 } else { edges.partition_point(|edge| *edge <= value) };
            counts[bin].0 += 1.0;
            counts[bin].1 += f64::from(label);
        }
        // Ten rows of the overall rate keep small bins from extremes.
        let rate = |(rows, positives): &(f64, f64)| ((positives + 10.0 * overall) / (rows + 10.0)) as f32;
        let mut rates: Vec<f32> = counts.iter().map(rate).collect();
        let missing = rates.pop().unwrap_or_default();
        Rates { edges, rates, missing }
    }

    fn rate(&self, value: f32) -> f32 {
        if value.is_nan() { self.missing } else { self.rates[self.edges.partition_point(|edge| *edge <= value)] }
    }
}

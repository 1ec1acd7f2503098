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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rand_chacha::rand_core::Rng;

    use crate::scoring::table::{Cells, Table};
    use crate::training::config::{DataConfig, ImputeNumeric, PreprocessConfig, Recipe};
    use crate::training::fit::preprocessor::fit;
    use crate::training::mapped::Storage;
    use crate::training::rows::{Dataset, TrainRows};
    use crate::training::seed::Seed;
    use crate::training::texts::Texts;

    const N_ROWS: usize = 12_000;
    const DAY: f64 = 86_400.0;

    /// Rows over `days`; columns tell the label in ways of their own, with noise on it.
    fn rows(days: f64) -> (Table, Vec<u8>, Vec<f64>) {
        let mut rng = Seed::new(11).rng();
        let mut uniform = || rng.next_u64() as f64 / 2f64.powi(64);
        let labels: Vec<u8> = (0..N_ROWS).map(|_| u8::from(uniform() < 0.2)).collect();
        let late = |row: usize| row >= N_ROWS / 2;
        let mut column = |value: &dyn Fn(usize, f64) -> f64| -> Vec<f64> {
            (0..N_ROWS).map(|row| value(row, f64::from(labels[row])) + uniform()).collect()
        };
        let mut table = Table::new(N_ROWS);
        table.push("holds", Cells::numeric(&column(&|_, y| 0.4 * y)));
        table.push("reverses", Cells::numeric(&column(&|row, y| if late(row) { -0.4 * y } else { 0.4 * y })));
        // Neither high nor low is risky, but the middle is: bins see it, a line would not.
        table.push(
            "middle",
            Cells::numeric(&column(&|row, y| if y == 1.0 { 0.0 } else { f64::from(row as u8 % 3) - 1.0 })),
        );
        let gaps = column(&|row, y| if (y == 1.0) == (row % 10 < 7) { f64::NAN } else { 0.0 });
        table.push("gaps hold", Cells::numeric(&gaps));
        let gaps = column(&|row, y| if (y == 1.0) == late(row) && row % 2 == 0 { f64::NAN } else { 0.0 });
        table.push("gaps reverse", Cells::numeric(&gaps));
        let times = (0..N_ROWS).map(|row| row as f64 / N_ROWS as f64 * days * DAY).collect();
        (table, labels, times)
    }

    fn dropped((table, labels, times): (Table, Vec<u8>, Vec<f64>), train: Vec<u32>) -> Vec<String> {
        let dataset = Dataset { table, labels, ids: Texts::row_numbers(N_ROWS), times: Some(times) };
        let preprocess =
            PreprocessConfig { inconsistent: true, impute_numeric: ImputeNumeric::None, ..PreprocessConfig::USUAL };
        let data = DataConfig::of_target("y");
        let recipe = Recipe { data: &data, features: &[], preprocess: &preprocess };
        let fitted =
            fit(&recipe, &TrainRows::new(Arc::new(dataset), train), &Storage::in_memory(), Seed::new(1)).unwrap();
        let reason = "rates of the first month rank those of the last with an AUC of 0.";
        assert!(fitted.preprocessor.dropped.iter().all(|column| column.reason.starts_with(reason)));
        fitted.preprocessor.dropped.into_iter().map(|column| column.name).collect()
    }

    #[test]
    fn what_reverses_goes_and_what_holds_stays() {
        let all: Vec<u32> = (0..N_ROWS as u32).collect();
        assert_eq!(dropped(rows(120.0), all.clone()), ["reverses", "gaps reverse"]);
        assert!(dropped(rows(55.0), all).is_empty(), "no first and last month of their own");
        // Only training rows are looked at: before the turn, everything holds.
        assert!(dropped(rows(150.0), (0..N_ROWS as u32 / 2).collect()).is_empty());
    }
}

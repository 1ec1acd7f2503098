//! Early rows against late ones: has the data changed?
//!
//! In: a dataset with times. Out, per column, over the first and the last 30 % of the rows by time: the population stability
//! index (ten bins of the early rows, missing cells a bin of their own; above 0.25 is called a shift) and, for numbers,
//! the Kolmogorov-Smirnov distance. Over all columns: how well a forest tells early from late rows it has not seen
//! (adversarial validation; 0.5: not at all) and by which columns.

use std::sync::Arc;

use rayon::prelude::*;
use serde::Serialize;

use super::judge;
use crate::scoring::table::Cells;
use crate::training::error::Result;
use crate::training::rows::Dataset;

const SHARE: f64 = 0.3;
const BINS: usize = 10;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Drift {
    pub early_rows: usize,
    pub late_rows: usize,
    /// By falling index.
    pub columns: Vec<ColumnDrift>,
    /// AUC of a forest that tells late rows from early ones.
    pub adversarial_auc: Option<f64>,
    /// Columns it goes by, with their share in its decrease of impurity.
    pub drivers: Vec<(String, f64)>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ColumnDrift {
    pub name: String,
    pub psi: f64,
    /// Of present numbers; `None` for categories.
    pub ks: Option<f64>,
}

pub(super) fn drift(dataset: &Dataset) -> Result<Option<Drift>> {
    let Some(times) = &dataset.times else { return Ok(None) };
    let mut order: Vec<u32> = (0..dataset.n_rows() as u32).collect();
    order.sort_by(|&a, &b| times[a as usize].total_cmp(&times[b as usize]).then(a.cmp(&b)));
    let n = (order.len() as f64 * SHARE) as usize;
    if n < 2 * BINS {
        return Ok(None);
    }
    let (mut early, mut late) = (order[..n].to_vec(), order[order.len() - n..].to_vec());
    early.sort_unstable();
    late.sort_unstable();
    let columns: Vec<(&str, &Cells)> = dataset.table.columns().collect();
    let mut drifts: Vec<ColumnDrift> =
        columns.par_iter().map(|(name, cells)| column(name, cells, &early, &late)).collect();
    drifts.sort_by(|a, b| b.psi.total_cmp(&a.psi).then_with(|| a.name.cmp(&b.name)));
    let (adversarial_auc, drivers) = adversarial(dataset, &early, &late)?;
    Ok(Some(Drift { early_rows: n, late_rows: n, columns: drifts, adversarial_auc, drivers }))
}

fn column(name: &str, cells: &Cells, early: &[u32], late: &[u32]) -> ColumnDrift {
    let numbers = |rows: &[u32]| cells.packed().gather(rows);
    let (early, late) = (numbers(early), numbers(late));
    let present = |numbers: &[f64]| {
        let mut present: Vec<f64> = numbers.iter().copied().filter(|number| !number.is_nan()).collect();
        present.sort_unstable_by(f64::total_cmp);
        present
    };
    let (sorted, late_sorted) = (present(&early), present(&late));
    let is_number = matches!(cells, Cells::Numeric(_));
    // Codes of levels are bins of their own where they are few, and cut like numbers where they are many.
    let mut edges: Vec<f64> = (1..BINS).filter_map(|nth| sorted.get(nth * sorted.len() / BINS)).copied().collect();
    if let Cells::Categorical { levels, .. } = cells
        && levels.len() <= 100
    {
        edges = (1..=levels.len()).map(|code| code as f64).collect();
    }
    edges.dedup();
    ColumnDrift {
        name: name.to_owned(),
        psi: psi(&edges, &early, &late),
        ks: (is_number && !sorted.is_empty() && !late_sorted.is_empty()).then(|| ks(&sorted, &late_sorted)),
    }
}

/// Sum over bins of (late - early) ln(late / early); half a row stands in for none.
fn psi(edges: &[f64], early: &[f64], late: &[f64]) -> f64 {
    let shares = |numbers: &[f64]| {
        let mut counts = vec![0.0; edges.len() + 2];
        for number in numbers {
            let bin = if number.is_nan() { edges.len() + 1 } else { edges.partition_point(|edge| edge <= number) };
            counts[bin] += 1.0;
        }
        counts.into_iter().map(|count: f64| count.max(0.5) / numbers.len() as f64).collect::<Vec<f64>>()
    };
    shares(early).iter().zip(shares(late)).map(|(early, late)| (late - early) * (late / early).ln()).sum()
}

/// The largest distance of two distribution functions; both samples sorted.
fn ks(a: &[f64], b: &[f64]) -> f64 {
    let (mut at, mut bt, mut most) = (0, 0, 0.0f64);
    while at < a.len() && bt < b.len() {
        let value = a[at].min(b[bt]);
        at += a[at..].iter().take_while(|number| **number <= value).count();
        bt += b[bt..].iter().take_while(|number| **number <= value).count();
        most = most.max((at as f64 / a.len() as f64 - bt as f64 / b.len() as f64).abs());
    }
    most
}

/// A forest on half of a sample, measured on the other half.
fn adversarial(dataset: &Dataset, early: &[u32], late: &[u32]) -> Result<judge::ToldApart> {
    let mut is_late = vec![0u8; dataset.n_rows()];
    late.iter().for_each(|&row| is_late[row as usize] = 1);
    let renamed = Dataset {
        table: dataset.table.clone(),
        labels: is_late,
        ids: crate::training::texts::Texts::row_numbers(dataset.n_rows()),
        times: None,
    };
    judge::told_apart(&Arc::new(renamed), early, late)
}

//! Missing cells: columns that miss the very same rows are a group.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::Serialize;

use crate::scoring::table::{Cells, Table};

/// Columns that are missing together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MissingGroup {
    pub columns: Vec<String>,
    pub missing: usize,
}

/// Columns with gaps, by the rows they miss; the group with most gaps first.
pub(super) fn missing_groups(table: &Table) -> Vec<MissingGroup> {
    let columns: Vec<(&str, &Cells)> = table.columns().collect();
    let patterns: Vec<(usize, Vec<u64>)> = columns.par_iter().map(|(_, cells)| pattern(cells)).collect();
    let mut groups: BTreeMap<(usize, Vec<u64>), Vec<String>> = BTreeMap::new();
    for ((name, _), pattern) in columns.iter().zip(patterns).filter(|(_, pattern)| pattern.0 > 0) {
        groups.entry(pattern).or_default().push((*name).to_owned());
    }
    groups.into_iter().rev().map(|((missing, _), columns)| MissingGroup { columns, missing }).collect()
}

/// How many cells are missing, and a bit per row.
fn pattern(cells: &Cells) -> (usize, Vec<u64>) {
    let n_rows = cells.packed().n_rows();
    let mut bits = vec![0u64; n_rows.div_ceil(64)];
    let (mut at, mut missing) = (0, 0);
    cells.packed().numbers(0..n_rows as u32, |number| {
        bits[at / 64] |= u64::from(number.is_nan()) << (at % 64);
        missing += usize::from(number.is_nan());
        at += 1;
    });
    (missing, bits)
}

//! The leak radar: what looks too good, and what should not be a feature.
//!
//! In: a dataset and its profile. Out: columns that nearly are the target, columns that are different in nearly every row,
//! and rows of the last 20 % (by time, else by position) whose cells all stand in an earlier row too.

use serde::Serialize;

use super::{ColumnProfile, ValueProfile};
use crate::training::rows::Dataset;

const COPY: f64 = 0.99;
const ID_LIKE: f64 = 0.95;
const TEST_SHARE: f64 = 0.2;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Leaks {
    /// Columns by how far their AUC is from 0.5.
    pub telling: Vec<(String, f64)>,
    /// Columns with an AUC of 0.99 or more, or of 0.01 or less.
    pub target_copies: Vec<String>,
    /// Columns with a value of its own in at least 95 % of the rows that have one.
    pub id_like: Vec<String>,
    /// Late rows that stand among the early ones, of how many.
    pub duplicates: usize,
    pub late_rows: usize,
}

const MOST_TELLING: usize = 30;

pub(super) fn leaks(dataset: &Dataset, columns: &[ColumnProfile]) -> Leaks {
    let mut telling: Vec<(String, f64)> =
        columns.iter().filter_map(|column| Some((column.name.clone(), column.auc?))).collect();
    telling.sort_by(|a, b| (b.1 - 0.5).abs().total_cmp(&(a.1 - 0.5).abs()).then_with(|| a.0.cmp(&b.0)));
    let copies = telling.iter().filter(|(_, auc)| (auc - 0.5).abs() >= COPY - 0.5);
    let is_id = |column: &&ColumnProfile| {
        let present = dataset.n_rows() - column.missing;
        // Real numbers are rarely equal: only levels and whole numbers can be ids.
        let whole = match &column.values {
            ValueProfile::Categorical(_) => true,
            ValueProfile::Numeric(_) => is_whole(dataset, &column.name),
        };
        present > 100 && whole && column.distinct as f64 >= ID_LIKE * present as f64
    };
    let (duplicates, late_rows) = duplicates(dataset);
    Leaks {
        target_copies: copies.map(|(name, _)| name.clone()).collect(),
        id_like: columns.iter().filter(is_id).map(|column| column.name.clone()).collect(),
        duplicates,
        late_rows,
        telling: telling.into_iter().take(MOST_TELLING).collect(),
    }
}

fn is_whole(dataset: &Dataset, name: &str) -> bool {
    use crate::scoring::packed::Encoding;
    let encoding = dataset.table.column(name).map(|cells| cells.packed().encoding());
    matches!(encoding, Some(Encoding::Whole { .. }))
}

/// Rows by a hash of all their cells: two different rows share 64 bits once in 10^8 data sets of a million rows.
fn duplicates(dataset: &Dataset) -> (usize, usize) {
    let n_rows = dataset.n_rows();
    let mut hashes = vec![0x9e37_79b9_7f4a_7c15u64; n_rows];
    for (_, cells) in dataset.table.columns() {
        let mut row = hashes.iter_mut();
        cells.packed().items(0..n_rows as u32, |item| {
            if let Some(hash) = row.next() {
                let mixed = (*hash ^ item).wrapping_mul(0xff51_afd7_ed55_8ccd);
                *hash = (mixed ^ (mixed >> 32)).wrapping_mul(0xc4ce_b9fe_1a85_ec53).rotate_left(23);
            }
        });
    }
    let mut order: Vec<u32> = (0..n_rows as u32).collect();
    if let Some(times) = &dataset.times {
        order.sort_by(|&a, &b| times[a as usize].total_cmp(&times[b as usize]).then(a.cmp(&b)));
    }
    let n_late = (n_rows as f64 * TEST_SHARE) as usize;
    let (early, late) = order.split_at(n_rows - n_late);
    let mut early: Vec<u64> = early.iter().map(|&row| hashes[row as usize]).collect();
    early.sort_unstable();
    (late.iter().filter(|&&row| early.binary_search(&hashes[row as usize]).is_ok()).count(), n_late)
}

//! The distribution of a column and the fraud rate along it.
//!
//! In: a column and the labels. Out: at most ten bins of about equal rows for numbers (a value is never cut in two), the
//! ten most frequent levels and the others for categories; missing cells are counted apart ([`super::ColumnProfile`]).

use serde::Serialize;

use crate::scoring::table::Cells;

const MOST_BINS: usize = 10;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ColumnBins {
    pub name: String,
    pub bins: Vec<Bin>,
}

/// A range of numbers or a level.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bin {
    pub of: String,
    pub rows: usize,
    pub positives: usize,
}

impl ColumnBins {
    pub(super) fn new(name: &str, cells: &Cells, labels: &[u8]) -> ColumnBins {
        let bins = match cells {
            Cells::Numeric(packed) => {
                let mut rows: Vec<(f64, u8)> = Vec::with_capacity(labels.len());
                let mut at = 0;
                packed.numbers(0..labels.len() as u32, |number| {
                    if !number.is_nan() {
                        rows.push((number, labels[at]));
                    }
                    at += 1;
                });
                rows.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
                ranges(&rows)
            }
            Cells::Categorical { codes, levels } => {
                let mut counts = vec![(0, 0); levels.len() + 1];
                let mut at = 0;
                codes.items(0..labels.len() as u32, |code| {
                    let (rows, positives) = &mut counts[code as usize];
                    *rows += 1;
                    *positives += usize::from(labels[at] == 1);
                    at += 1;
                });
                most_frequent(levels, &counts[1..])
            }
        };
        ColumnBins { name: name.to_owned(), bins }
    }
}

fn ranges(rows: &[(f64, u8)]) -> Vec<Bin> {
    let mut bins = Vec::new();
    let mut start = 0;
    while start < rows.len() {
        let left = MOST_BINS.saturating_sub(bins.len()).max(1);
        let mut end = start + (rows.len() - start).div_ceil(left);
        while end < rows.len() && rows[end].0 == rows[end - 1].0 {
            end += 1;
        }
        let (low, high) = (rows[start].0, rows[end - 1].0);
        let of = if low == high { format!("{low}") } else { format!("{low} to {high}") };
        let positives = rows[start..end].iter().filter(|(_, label)| *label == 1).count();
        bins.push(Bin { of, rows: end - start, positives });
        start = end;
    }
    bins
}

fn most_frequent(levels: &[String], counts: &[(usize, usize)]) -> Vec<Bin> {
    let mut order: Vec<usize> = (0..levels.len()).filter(|&at| counts[at].0 > 0).collect();
    order.sort_by(|&a, &b| counts[b].0.cmp(&counts[a].0).then_with(|| levels[a].cmp(&levels[b])));
    let bin = |&at: &usize| Bin { of: levels[at].clone(), rows: counts[at].0, positives: counts[at].1 };
    let mut bins: Vec<Bin> = order.iter().take(MOST_BINS).map(bin).collect();
    let others = &order[bins.len()..];
    if !others.is_empty() {
        let rows = others.iter().map(|&at| counts[at].0).sum();
        let positives = others.iter().map(|&at| counts[at].1).sum();
        bins.push(Bin { of: format!("{} others", others.len()), rows, positives });
    }
    bins
}

//! Selection: columns that tell nothing new are dropped, many are reduced to few. All on training rows.
//!
//! In: a fitted preparation and its training rows. Out: the same with fewer columns, each dropped one with its reason. In
//! this order: columns that do not hold over time, near duplicates, correlated columns, then `reduce` as declared. The
//! earlier column of two stays; only columns of one output are judged (one-hot ones are not).

use rayon::prelude::*;

use super::consistency;
use super::gram::Gram;
use super::pca;
use crate::scoring::packed::Encoding;
use crate::scoring::preprocessor::{DroppedColumn, FrozenColumn, PreparedColumns, Preprocessor};
use crate::scoring::table::{Cells, Table};
use crate::training::config::{PreprocessConfig, Reduce, matches};
use crate::training::error::{Error, Result};
use crate::training::rows::TrainRows;

/// Rows in which near duplicates may differ.
const DIFFERING: f64 = 0.001;

/// Binds on all threads.
pub fn bind(preprocessor: &Preprocessor, table: &Table, derived: &Table) -> Result<PreparedColumns> {
    let in_blocks = |n_blocks: usize, block: &(dyn Fn(usize) -> Vec<f32> + Sync)| {
        (0..n_blocks).into_par_iter().map(block).collect()
    };
    Ok(preprocessor.bind_with(table, derived, &in_blocks)?)
}

pub fn select(
    config: &PreprocessConfig,
    preprocessor: &mut Preprocessor,
    train: &TrainRows,
    learned_from: &Table,
) -> Result<()> {
    let mut selecting = Selecting { preprocessor, train, learned_from };
    if config.inconsistent {
        selecting.drop_columns(|columns, places| consistency::inconsistent(columns, places, train))?;
    }
    if config.duplicates {
        selecting.drop_columns(|columns, places| Ok(near_duplicates(columns, places, train.rows())))?;
    }
    if let Some(limit) = config.correlated_above {
        selecting.drop_columns(|columns, places| Ok(correlated(columns, places, train.rows(), limit)))?;
    }
    config.reduce.iter().try_for_each(|reduce| selecting.reduce(reduce))
}

struct Selecting<'a> {
    preprocessor: &'a mut Preprocessor,
    train: &'a TrainRows,
    learned_from: &'a Table,
}

/// A column that is judged: its name, its place among the outputs, whether it is numeric.
pub struct Judged {
    pub name: String,
    pub feature: usize,
    pub numeric: bool,
}

/// Which judged columns go, and why.
type Verdicts = Vec<(usize, String)>;

impl Selecting<'_> {
    /// Columns of one output that no projection has taken.
    fn judged(&self, columns: &PreparedColumns) -> Vec<Judged> {
        let place = |name: &str| columns.names().iter().position(|known| known == name);
        let judged = self.preprocessor.columns.iter().filter_map(|column| {
            let feature = place(column.name())?;
            let numeric = matches!(column, FrozenColumn::Numeric(_));
            Some(Judged { name: column.name().to_owned(), feature, numeric })
        });
        judged.collect()
    }

    fn drop_columns(&mut self, judge: impl Fn(&PreparedColumns, &[Judged]) -> Result<Verdicts>) -> Result<()> {
        let columns = bind(self.preprocessor, self.train.table(), self.learned_from)?;
        let judged = self.judged(&columns);
        let verdicts = judge(&columns, &judged)?;
        self.drop_all(verdicts.into_iter().map(|(at, reason)| (judged[at].name.clone(), reason)).collect())
    }

    fn drop_all(&mut self, verdicts: Vec<(String, String)>) -> Result<()> {
        if verdicts.len() >= self.preprocessor.columns.len() {
            return Err(Error::permanent("no column is left after selection")
                .hint("see `preprocess.drop`: its limits are too strict for this data"));
        }
        let goes = |name: &str| verdicts.iter().any(|(dropped, _)| dropped == name);
        self.preprocessor.columns.retain(|column| !goes(column.name()));
        self.preprocessor.dropped.extend(verdicts.into_iter().map(|(name, reason)| DroppedColumn { name, reason }));
        Ok(())
    }

    fn reduce(&mut self, reduce: &Reduce) -> Result<()> {
        let (pattern, together) = match reduce {
            Reduce::Pca { columns, by_missing, .. } => (columns, *by_missing),
            Reduce::Representatives { columns, .. } => (columns, true),
        };
        let columns = bind(self.preprocessor, self.train.table(), self.learned_from)?;
        let mut judged = self.judged(&columns);
        judged.retain(|column| column.numeric && (column.name == *pattern || matches(pattern, &column.name)));
        let groups = if together { self.missing_together(judged) } else { vec![judged] };
        let many = groups.iter().filter(|group| group.len() > 1).count() > 1;
        let base = pattern.replace('*', "").trim_matches('_').to_owned();
        for (nth, group) in groups.iter().filter(|group| group.len() > 1).enumerate() {
            let gram =
                Gram::of(&columns, &group.iter().map(|column| column.feature).collect::<Vec<_>>(), self.train.rows());
            match reduce {
                Reduce::Pca { keep, .. } => {
                    let name = if many { format!("{base}_pca{}", nth + 1) } else { format!("{base}_pca") };
                    let inputs = group.iter().map(|column| column.name.clone()).collect();
                    self.preprocessor.reduce.extend(pca::fit(name, inputs, &gram, *keep));
                }
                Reduce::Representatives { correlated_above, .. } => {
                    self.drop_all(represented(group, &self.distinct(group), &gram, *correlated_above))?;
                }
            }
        }
        Ok(())
    }

    fn cells(&self, name: &str) -> Option<&Cells> {
        self.train.table().column(name).or_else(|| self.learned_from.column(name))
    }

    /// Columns in groups that miss the same training rows, in the order of their first columns.
    fn missing_together(&self, judged: Vec<Judged>) -> Vec<Vec<Judged>> {
        let patterns: Vec<Vec<u64>> = judged.par_iter().map(|column| self.missing_rows(&column.name)).collect();
        let mut groups: Vec<(Vec<u64>, Vec<Judged>)> = Vec::new();
        for (column, pattern) in judged.into_iter().zip(patterns) {
            match groups.iter_mut().find(|(known, _)| *known == pattern) {
                Some((_, group)) => group.push(column),
                None => groups.push((pattern, vec![column])),
            }
        }
        groups.into_iter().map(|(_, group)| group).collect()
    }

    /// A bit per training row.
    fn missing_rows(&self, name: &str) -> Vec<u64> {
        let Some(cells) = self.cells(name) else { return Vec::new() };
        let mut bits = vec![0u64; self.train.n_rows().div_ceil(64)];
        let mut at = 0;
        cells.packed().numbers(self.train.rows().iter().copied(), |number| {
            bits[at / 64] |= u64::from(number.is_nan()) << (at % 64);
            at += 1;
        });
        bits
    }

    fn distinct(&self, group: &[Judged]) -> Vec<usize> {
        group
            .par_iter()
            .map(|column| self.cells(&column.name).map_or(0, |cells| distinct(cells, self.train.rows())))
            .collect()
    }
}

/// Distinct values of these rows.
fn distinct(cells: &Cells, rows: &[u32]) -> usize {
    let packed = cells.packed();
    if let Encoding::Whole { n_items, .. } = packed.encoding()
        && (n_items as usize) < 1 << 22
    {
        let mut seen = vec![false; n_items as usize + 1];
        packed.items(rows.iter().copied(), |item| seen[item as usize] = true);
        return seen.iter().skip(1).filter(|seen| **seen).count();
    }
    let mut numbers: Vec<f64> = packed.gather(rows).into_iter().filter(|number| !number.is_nan()).collect();
    numbers.sort_unstable_by(f64::total_cmp);
    numbers.dedup();
    numbers.len()
}

/// The columns with most distinct values stand for those that correlate with them.
fn represented(group: &[Judged], distinct: &[usize], gram: &Gram, limit: f64) -> Vec<(String, String)> {
    let mut order: Vec<usize> = (0..group.len()).collect();
    order.sort_by(|&a, &b| distinct[b].cmp(&distinct[a]).then(a.cmp(&b)));
    let (mut stays, mut goes): (Vec<usize>, Vec<(usize, String)>) = (Vec::new(), Vec::new());
    for at in order {
        match stays.iter().find(|&&other| gram.correlation(at, other).abs() > limit) {
            Some(&other) => {
                let r = gram.correlation(at, other);
                goes.push((at, format!("missing together with `{}` and correlated (r = {r:.3})", group[other].name)));
            }
            None => stays.push(at),
        }
    }
    goes.sort_by_key(|(at, _)| *at);
    goes.into_iter().map(|(at, reason)| (group[at].name.clone(), reason)).collect()
}

fn correlated(columns: &PreparedColumns, judged: &[Judged], rows: &[u32], limit: f64) -> Verdicts {
    let numeric: Vec<usize> = (0..judged.len()).filter(|&at| judged[at].numeric).collect();
    let gram = Gram::of(columns, &numeric.iter().map(|&at| judged[at].feature).collect::<Vec<_>>(), rows);
    let mut stays: Vec<usize> = Vec::new();
    let mut goes = Vec::new();
    for (nth, &at) in numeric.iter().enumerate() {
        match stays.iter().find(|&&other| gram.correlation(nth, other).abs() > limit) {
            Some(&other) => {
                let r = gram.correlation(nth, other);
                goes.push((at, format!("correlated with `{}` (r = {r:.3})", judged[numeric[other]].name)));
            }
            None => stays.push(nth),
        }
    }
    goes
}

/// Columns whose prepared values are those of an earlier one in all but a few rows. A sample of rows dismisses nearly all
/// pairs.
fn near_duplicates(columns: &PreparedColumns, judged: &[Judged], rows: &[u32]) -> Verdicts {
    let values = |at: usize, rows: &[u32]| {
        let mut values = vec![0f32; rows.len()];
        columns.fill_column(judged[at].feature, rows, &mut values);
        values
    };
    let agree = |a: &[f32], b: &[f32]| {
        let differ = a.iter().zip(b).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
        differ as f64 <= DIFFERING * a.len() as f64
    };
    let sample: Vec<u32> = rows.iter().copied().step_by((rows.len() / 1000).max(1)).collect();
    let sampled: Vec<Vec<f32>> = (0..judged.len()).into_par_iter().map(|at| values(at, &sample)).collect();
    // A few more may differ in the sample than in all rows.
    let may_agree = |a: usize, b: usize| {
        let differ = sampled[a].iter().zip(&sampled[b]).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
        differ as f64 <= DIFFERING * sample.len() as f64 + 10.0
    };
    let mut goes: Verdicts = Vec::new();
    for at in 1..judged.len() {
        let earlier: Vec<usize> = (0..at).into_par_iter().filter(|&other| may_agree(other, at)).collect();
        let stays = |other: &usize| goes.iter().all(|(gone, _)| gone != other);
        let twin = earlier.into_iter().filter(stays).find(|&other| agree(&values(other, rows), &values(at, rows)));
        if let Some(twin) = twin {
            goes.push((at, format!("a duplicate of `{}`", judged[twin].name)));
        }
    }
    goes
}

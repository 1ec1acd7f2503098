//! Copies: rows held out that stand among the rows learned from, or nearly.
//!
//! In: a split. Out: per protocol how many test rows have a copy among the training rows of the final fit, and for every
//! case that makes rows how many more have one among those. Rows are compared as the model sees them, each column over
//! its spread in the training rows; two rows are copies if they are less than a thousandth of it apart (Euclidean), and
//! miss the same cells.
//!
//! Exact, without a search: the projection of two rows on any direction is no farther apart than they are. So rows are
//! sorted by one projection, those near in it are compared in three more, and what is left, cell by cell.

use std::fmt;

use rand::RngExt;
use rayon::prelude::*;
use serde::Serialize;

use crate::scoring::matrix::FeatureMatrix;
use crate::training::config::{Config, NamedCase};
use crate::training::error::Result;
use crate::training::mapped::Storage;
use crate::training::prepare::prepare;
use crate::training::progress::Progress;
use crate::training::resample::{Shared, resample};
use crate::training::rows::TrainingSet;
use crate::training::seed::Seed;
use crate::training::split::{Part, Split};

/// Two rows are copies if they are no farther apart.
const NEAR: f64 = 1e-3;
const N_DIRECTIONS: usize = 4;
const ROWS_PER_BLOCK: usize = 4096;

/// Test rows with a copy.
#[derive(Debug, Clone, Serialize)]
pub struct Copies {
    pub protocol: String,
    /// Of which kind of rows: `training`, or `synthetic` of a case.
    pub among: String,
    pub test_rows: usize,
    pub copies: usize,
    /// Frauds among them.
    pub positives: usize,
}

impl Copies {
    pub fn share(&self) -> f64 {
        self.copies as f64 / self.test_rows.max(1) as f64
    }
}

impl fmt::Display for Copies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Copies { protocol, among, test_rows, copies, positives } = self;
        let share = self.share() * 100.0;
        write!(f, "{protocol}: {copies} of {test_rows} test rows ({share:.1} %, {positives} frauds) among {among} rows")
    }
}

/// Looks for copies of the test rows of one protocol.
pub fn copies(config: &Config, split: &Split, storage: &Storage, progress: &dyn Progress) -> Result<Vec<Copies>> {
    let seed = Part::Final.seed(split.protocol, Seed::new(config.seed));
    let prepared = prepare(&config.recipe(), &split.train, &split.test, storage, seed)?;
    let train = &prepared.train;
    let space = Space::of(train, seed);
    let (columns, rows) = prepared.held_out.columns();
    let test = space.place(rows.len(), &|range| columns.matrix(&rows[range]));
    // As everybody sees them: target encoding shows training rows other values, and would hide copies.
    let learned_from = train.columns().map_or(split.train.rows(), |(_, rows)| rows);
    let among_training =
        space.near(&test, &space.place(learned_from.len(), &|range| columns.matrix(&learned_from[range])));
    let count = |among: String, is_copy: &[bool]| Copies {
        protocol: split.protocol.as_str().into(),
        among,
        test_rows: is_copy.len(),
        copies: is_copy.iter().filter(|&&copy| copy).count(),
        positives: is_copy.iter().zip(&prepared.held_out.labels).filter(|(copy, label)| **copy && **label == 1).count(),
    };
    let mut found = vec![count("training".into(), &among_training)];
    let cases: Vec<&NamedCase> = config.imbalance.iter().filter(|case| case.case.smote().is_some()).collect();
    let mut shared = Shared::new(train, seed, cases.iter().map(|case| case.case.clone()).collect());
    for case in cases {
        let set = resample(&case.case, &mut shared, progress)?.set;
        let only_made = space
            .near(&test, &of_rows(&set, &space))
            .iter()
            .zip(&among_training)
            .map(|(near, known)| *near && !known)
            .collect::<Vec<_>>();
        found.push(count(format!("synthetic (`{}`)", case.name), &only_made));
    }
    Ok(found)
}

/// The distinct rows of a set, placed.
fn of_rows(set: &TrainingSet, space: &Space) -> Placed {
    match (set.made_matrix(), set.columns()) {
        (None, Some((columns, rows))) => space.place(rows.len(), &|range| columns.matrix(&rows[range])),
        _ => {
            let matrix = set.matrix();
            let block = |range: std::ops::Range<usize>| {
                let width = matrix.n_features();
                FeatureMatrix::new(
                    matrix.names().clone(),
                    matrix.values()[range.start * width..range.end * width].to_vec(),
                )
            };
            space.place(matrix.n_rows(), &block)
        }
    }
}

/// Columns over their spread, and directions to project on.
struct Space {
    spread: Vec<f64>,
    /// Of length 1, one number per column each.
    directions: Vec<Vec<f64>>,
}

/// Rows by their first projection.
struct Placed {
    /// Ascending in the first; the row's number after them.
    rows: Vec<([f64; N_DIRECTIONS], u32)>,
    values: Vec<f32>,
}

impl Space {
    fn of(train: &TrainingSet, seed: Seed) -> Space {
        let (n_rows, width) = (train.n_rows(), train.n_features());
        let spread = |feature: usize| {
            let mut column = vec![0f32; n_rows];
            train.fill_columns(feature..feature + 1, &mut column);
            let present = || column.iter().filter(|value| !value.is_nan()).map(|&value| f64::from(value));
            let n = present().count().max(1) as f64;
            let mean = present().sum::<f64>() / n;
            let spread = (present().map(|value| (value - mean).powi(2)).sum::<f64>() / n).sqrt();
            if spread.is_finite() && spread > 0.0 { spread } else { 1.0 }
        };
        let direction = |nth: usize| {
            let mut rng = seed.derive("direction", nth as u64).rng();
            let drawn: Vec<f64> = (0..width).map(|_| rng.random::<f64>() - 0.5).collect();
            let length = drawn.iter().map(|x| x * x).sum::<f64>().sqrt();
            drawn.into_iter().map(|x| x / length).collect()
        };
        let spread = (0..width).into_par_iter().map(spread).collect();
        Space { spread, directions: (0..N_DIRECTIONS).map(direction).collect() }
    }

    /// A missing cell stands where no number does, for both of a pair alike.
    fn scaled(&self, value: f32, feature: usize) -> f64 {
        if value.is_nan() { 1e6 } else { f64::from(value) / self.spread[feature] }
    }

    fn place(&self, n_rows: usize, block: &(dyn Fn(std::ops::Range<usize>) -> FeatureMatrix + Sync)) -> Placed {
        let starts: Vec<usize> = (0..n_rows).step_by(ROWS_PER_BLOCK).collect();
        let blocks = starts.into_par_iter().map(|start| {
            let matrix = block(start..n_rows.min(start + ROWS_PER_BLOCK));
            let place = |row: &[f32]| {
                let scaled: Vec<f64> = row.iter().enumerate().map(|(at, &value)| self.scaled(value, at)).collect();
                std::array::from_fn(|nth| self.directions[nth].iter().zip(&scaled).map(|(d, x)| d * x).sum())
            };
            (matrix.rows().map(place).collect::<Vec<[f64; N_DIRECTIONS]>>(), matrix.values().to_vec())
        });
        let (places, values): (Vec<_>, Vec<_>) = blocks.collect::<Vec<_>>().into_iter().unzip();
        let mut rows: Vec<_> = places.concat().into_iter().zip(0..).collect();
        rows.sort_unstable_by(|a, b| a.0[0].total_cmp(&b.0[0]).then(a.1.cmp(&b.1)));
        Placed { rows, values: values.concat() }
    }

    /// Per row of `of`, in their order: whether one of `among` is near.
    fn near(&self, of: &Placed, among: &Placed) -> Vec<bool> {
        let width = self.spread.len();
        let is_near = |(place, at): &([f64; N_DIRECTIONS], u32)| {
            // What a sum of so many terms may be off by.
            let within = NEAR + 1e-9 * place[0].abs();
            let from = among.rows.partition_point(|(other, _)| other[0] < place[0] - within);
            let candidates = among.rows[from..].iter().take_while(|(other, _)| other[0] <= place[0] + within);
            let mut candidates =
                candidates.filter(|(other, _)| (1..N_DIRECTIONS).all(|nth| (other[nth] - place[nth]).abs() <= within));
            let own = &of.values[*at as usize * width..][..width];
            candidates.any(|(_, other)| {
                let other = &among.values[*other as usize * width..][..width];
                let apart = |(at, (a, b)): (usize, (&f32, &f32))| (self.scaled(*a, at) - self.scaled(*b, at)).powi(2);
                own.iter().zip(other).enumerate().map(apart).sum::<f64>() <= NEAR * NEAR
            })
        };
        let mut near: Vec<(u32, bool)> = of.rows.par_iter().map(|row| (row.1, is_near(row))).collect();
        near.sort_unstable();
        near.into_iter().map(|(_, near)| near).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn matrix(values: Vec<f32>) -> Arc<FeatureMatrix> {
        let names: Vec<String> = (0..3).map(|at| at.to_string()).collect();
        Arc::new(FeatureMatrix::new(names.into(), values))
    }

    /// Against looking at every pair.
    #[test]
    fn copies_are_those_of_all_pairs() {
        let mut rng = Seed::new(1).rng();
        let mut draw = |n: usize| -> Vec<f32> {
            // Few whole numbers, so that copies are many, shaken by less or more than what counts; some missing.
            let shaken = |rng: &mut rand_chacha::ChaCha8Rng| match rng.random_range(0..10) {
                0 => f32::NAN,
                at => rng.random_range(0..5) as f32 * 10.0 + (at as f32 - 5.0) * 4e-3,
            };
            (0..3 * n).map(|_| shaken(&mut rng)).collect()
        };
        let (train, test) = (matrix(draw(700)), matrix(draw(300)));
        let set = TrainingSet::of_all_rows(train.clone(), vec![0; 700]);
        let space = Space::of(&set, Seed::new(2));
        let placed = of_rows(&TrainingSet::of_all_rows(test.clone(), vec![0; 300]), &space);
        let found = space.near(&placed, &of_rows(&set, &space));
        let near = |a: &[f32], b: &[f32]| {
            let apart = |at: usize| match (a[at].is_nan(), b[at].is_nan()) {
                (true, true) => 0.0,
                (false, false) => (f64::from(a[at]) - f64::from(b[at])) / space.spread[at],
                _ => f64::INFINITY,
            };
            (0..3).map(|at| apart(at).powi(2)).sum::<f64>().sqrt() <= NEAR
        };
        let expected: Vec<bool> = test.rows().map(|a| train.rows().any(|b| near(a, b))).collect();
        assert_eq!(found, expected);
        let n_near = found.iter().filter(|&&near| near).count();
        assert!((30..270).contains(&n_near), "{n_near}: both kinds must occur");
    }
}

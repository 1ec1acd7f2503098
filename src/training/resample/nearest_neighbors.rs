//! Exact nearest neighbours by brute force with a filter. In: a matrix and row indices; out: per query the indices of
//! its `k` nearest other rows, nearest first.
//!
//! Distance is the squared Euclidean one over the stored f32 values, summed in f64 in feature order. A row is never its
//! own neighbour, by index: a duplicate of it is a neighbour at distance 0. Equal distances go to the smaller index.
//!
//! Most pairs are dismissed by a cheaper f32 sum over blocks of features, those with the widest spread first, as soon
//! as it exceeds the distance to beat by more than rounding can explain; the others are measured exactly. So the filter
//! costs or saves time and cannot change a result. Quadratic; the memory is one more copy of the matrix.

use rayon::prelude::*;

use crate::scoring::matrix::FeatureMatrix;
use crate::training::error::{Error, Result};
use crate::training::progress::{Progress, Unit};

const LANES: usize = 8;
/// Features between two looks at the sum.
const BLOCK: usize = 2 * LANES;
/// Tiles of queries and rows that stay in the cache together.
const QUERY_TILE: usize = 64;
const ROW_TILE: usize = 128;
/// Rows whose differences tell how wide a feature spreads.
const SPREAD_SAMPLE: usize = 2_000;

/// Rows prepared for the search.
pub struct SearchSpace<'a> {
    matrix: &'a FeatureMatrix,
    /// The same rows, features in the filter's order, padded with zeros to whole blocks of `width` values.
    filter: Vec<f32>,
    width: usize,
}

impl<'a> SearchSpace<'a> {
    /// Refuses values between which there is no distance.
    pub fn new(matrix: &'a FeatureMatrix) -> Result<Self> {
        refuse_non_finite(matrix)?;
        let order = widest_first(matrix);
        let width = order.len().next_multiple_of(BLOCK);
        let mut filter = vec![0.0; matrix.n_rows() * width];
        filter.par_chunks_mut(width).zip(matrix.values().par_chunks(order.len())).for_each(|(filter, row)| {
            for (value, &feature) in filter.iter_mut().zip(&order) {
                *value = row[feature];
            }
        });
        Ok(Self { matrix, filter, width })
    }

    /// The `k` nearest other rows of each query, one query after the other. `hints` names for each query another row
    /// that is probably near; it makes the search faster where `k` is 1.
    pub fn nearest(
        &self,
        queries: &[u32],
        k: usize,
        hints: Option<&[u32]>,
        progress: &dyn Progress,
    ) -> Result<Vec<u32>> {
        assert!(0 < k && k < self.matrix.n_rows(), "more rows than neighbours");
        let tiles: Vec<Vec<u32>> = queries
            .par_chunks(QUERY_TILE)
            .enumerate()
            .map(|(tile, queries)| {
                let hints = hints.filter(|_| k == 1).map(|hints| &hints[tile * QUERY_TILE..][..queries.len()]);
                let found = self.nearest_of_tile(queries, k, hints, progress);
                progress.advance(Unit::Rows, queries.len() as u64);
                found
            })
            .collect::<Result<_>>()?;
        Ok(tiles.concat())
    }

    fn nearest_of_tile(
        &self,
        queries: &[u32],
        k: usize,
        hints: Option<&[u32]>,
        progress: &dyn Progress,
    ) -> Result<Vec<u32>> {
        let mut nearest: Vec<Nearest> = queries.iter().map(|_| Nearest::new(k)).collect();
        for (at, &hint) in hints.into_iter().flatten().enumerate() {
            nearest[at].limit = just_above(self.distance(queries[at], hint));
        }
        let n_rows = self.matrix.n_rows();
        for start in (0..n_rows).step_by(ROW_TILE) {
            if progress.interrupted() {
                return Err(Error::interrupted());
            }
            let rows = start as u32..(start + ROW_TILE).min(n_rows) as u32;
            for (&query, nearest) in queries.iter().zip(&mut nearest) {
                let query_row = self.filter_row(query);
                for row in rows.clone() {
                    if row != query && !exceeds(query_row, self.filter_row(row), nearest.limit) {
                        nearest.offer(self.distance(query, row), row);
                    }
                }
            }
        }
        Ok(nearest.into_iter().flat_map(|nearest| nearest.found).map(|(_, row)| row).collect())
    }

    pub fn distance(&self, a: u32, b: u32) -> f64 {
        squared_distance(self.matrix.row(a as usize), self.matrix.row(b as usize))
    }

    fn filter_row(&self, row: u32) -> &[f32] {
        &self.filter[row as usize * self.width..][..self.width]
    }
}

/// The definition: f64, in feature order.
fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    let mut sum = 0.0;
    for (&a, &b) in a.iter().zip(b) {
        let difference = f64::from(a) - f64::from(b);
        sum += difference * difference;
    }
    sum
}

/// The `k` best rows so far.
struct Nearest {
    k: usize,
    /// By distance, then index.
    found: Vec<(f64, u32)>,
    /// A filter sum above this belongs to a row that cannot be among the `k`.
    limit: f32,
}

impl Nearest {
    fn new(k: usize) -> Self {
        Self { k, found: Vec::with_capacity(k + 1), limit: f32::INFINITY }
    }

    fn offer(&mut self, distance: f64, row: u32) {
        let at = self.found.partition_point(|&kept| kept < (distance, row));
        self.found.insert(at, (distance, row));
        self.found.truncate(self.k);
        if self.found.len() == self.k {
            self.limit = self.limit.min(just_above(self.found[self.k - 1].0));
        }
    }
}

/// A bound that the filter sum of a pair at this distance stays below. Rounding adds at most about
/// (features / 8 + 12) 2^-24 of the sum, less than a thousandth up to 100,000 features; squares too small for f32 add
/// less than 1e-30. A sum that overflows f32 is above every finite bound, and rightly so.
fn just_above(distance: f64) -> f32 {
    (distance * 1.001 + 1e-30) as f32
}

/// Whether the f32 sum of squared differences over some leading blocks is above `limit`.
fn exceeds(a: &[f32], b: &[f32], limit: f32) -> bool {
    let mut sums = [0.0f32; LANES];
    for (a, b) in a.as_chunks::<BLOCK>().0.iter().zip(b.as_chunks::<BLOCK>().0) {
        for (a, b) in a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0) {
            for lane in 0..LANES {
                let difference = a[lane] - b[lane];
                sums[lane] += difference * difference;
            }
        }
        let [a, b, c, d, e, f, g, h] = sums;
        let sum = ((a + e) + (b + f)) + ((c + g) + (d + h));
        if sum > limit {
            return true;
        }
    }
    false
}

/// Features by the mean absolute difference of neighbouring sampled rows, widest first. An order, nothing more.
fn widest_first(matrix: &FeatureMatrix) -> Vec<usize> {
    let step = (matrix.n_rows() / SPREAD_SAMPLE).max(1);
    let sample: Vec<&[f32]> = matrix.rows().step_by(step).collect();
    let mut spread = vec![0.0; matrix.n_features()];
    for pair in sample.windows(2) {
        for (spread, (&a, &b)) in spread.iter_mut().zip(pair[0].iter().zip(pair[1])) {
            *spread += (f64::from(a) - f64::from(b)).abs();
        }
    }
    let mut order: Vec<usize> = (0..spread.len()).collect();
    order.sort_by(|&a, &b| spread[b].total_cmp(&spread[a]));
    order
}

fn refuse_non_finite(matrix: &FeatureMatrix) -> Result<()> {
    let Some(at) = matrix.values().iter().position(|value| !value.is_finite()) else { return Ok(()) };
    let feature = &matrix.names()[at % matrix.n_features()];
    let n_bad = matrix.rows().filter(|row| !row[at % matrix.n_features()].is_finite()).count();
    let n_rows = matrix.n_rows();
    Err(Error::permanent(if matrix.values()[at].is_nan() {
        format!("neighbours need a value in every cell, feature `{feature}` is missing in {n_bad} of {n_rows} rows")
    } else {
        format!("neighbours need finite values, feature `{feature}` is infinite in {n_bad} of {n_rows} rows")
    })
    .hint("choose an imputation (`preprocess.impute.numeric: median`), or leave this case out with `--only`"))
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::training::progress::Silent;

    pub fn matrix(n_features: usize, values: Vec<f32>) -> FeatureMatrix {
        FeatureMatrix::new((0..n_features).map(|feature| format!("f{feature}")).collect::<Arc<[String]>>(), values)
    }

    /// Every pair measured, sorted by (distance, index).
    pub fn nearest_slowly(matrix: &FeatureMatrix, query: u32, k: usize) -> Vec<u32> {
        let others = (0..matrix.n_rows() as u32).filter(|&row| row != query);
        let mut others: Vec<(f64, u32)> =
            others.map(|row| (squared_distance(matrix.row(query as usize), matrix.row(row as usize)), row)).collect();
        others.sort_by(|a, b| a.partial_cmp(b).unwrap());
        others[..k].iter().map(|&(_, row)| row).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(150))]
        /// Coarse values: duplicates and equal distances everywhere. Scales from subnormal squares to f32 overflow.
        #[test]
        fn equals_brute_force(
            (n_features, cells) in (1usize..40).prop_flat_map(|n| (Just(n), prop::collection::vec(-3i8..4, n * 8..n * 150))),
            k in 1usize..6,
            scale in prop::sample::select(vec![1.0f32, 0.1, 1e-22, 1e25]),
            hint in 0u32..8,
        ) {
            let n_rows = cells.len() / n_features;
            let values = cells[..n_rows * n_features].iter().map(|&cell| f32::from(cell) * scale).collect();
            let matrix = matrix(n_features, values);
            let space = SearchSpace::new(&matrix).unwrap();
            let queries: Vec<u32> = (0..n_rows as u32).rev().collect();
            let slowly: Vec<u32> = queries.iter().flat_map(|&query| nearest_slowly(&matrix, query, k)).collect();
            prop_assert_eq!(space.nearest(&queries, k, None, &Silent).unwrap(), slowly);
            // Any other row will do as a hint.
            let n = n_rows as u32;
            let hints: Vec<u32> = queries.iter().map(|&query| (query + 1 + hint % (n - 1)) % n).collect();
            let slowly: Vec<u32> = queries.iter().flat_map(|&query| nearest_slowly(&matrix, query, 1)).collect();
            prop_assert_eq!(space.nearest(&queries, 1, Some(&hints), &Silent).unwrap(), slowly);
        }
    }

    #[test]
    fn a_duplicate_is_a_neighbour_and_the_row_itself_is_not() {
        let matrix = matrix(1, vec![1.0, 1.0, 1.0, 5.0]);
        let space = SearchSpace::new(&matrix).unwrap();
        let nearest = space.nearest(&[0, 1, 2, 3], 2, None, &Silent).unwrap();
        assert_eq!(nearest, [1, 2, 0, 2, 0, 1, 0, 1]);
    }

    #[test]
    fn a_missing_value_is_refused_by_name() {
        let matrix = matrix(2, vec![0.0, 1.0, 0.0, f32::NAN]);
        let error = SearchSpace::new(&matrix).err().unwrap();
        assert!(error.message.contains("`f1` is missing in 1 of 2 rows") && error.hint.is_some(), "{error}");
    }

    #[test]
    fn an_interruption_stops_the_search() {
        let matrix = matrix(1, vec![0.0, 1.0]);
        let found = SearchSpace::new(&matrix).unwrap().nearest(&[0], 1, None, &crate::training::progress::Stopped);
        assert_eq!(found, Err(Error::interrupted()));
    }
}

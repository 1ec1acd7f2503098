//! Exact nearest neighbours at size. In: rows to search from ("targets": rows of a matrix, and synthetic rows between two
//! of those) and rows to search among (candidates); out: per target its `k` nearest candidates.
//!
//! Distance is [`Distance`]'s. A row is never its own neighbour, by index: a duplicate of it is one at distance 0. Equal
//! distances go to the smaller index.
//!
//! Candidates come in blocks of up to [`LANES`]. One matrix product gives lower bounds of the distances from a block to
//! every target row ([`Bounds`]); a synthetic target's bounds follow from those of its two ends in constant time per pair,
//! whatever the number of features. What stays below the best distance so far is measured exactly, and only that decides:
//! the result is the same for any number of threads and any kernel. After n candidates a target has met about ln n better
//! ones, so that measuring is rare. Memory beside the matrix: one block of bounds per thread, at most [`BOUNDS_BYTES`].
//!
//! Brute force on purpose: a k-d tree at 200 dimensions was ten times slower than a matrix product, and at 15 dimensions
//! the 2.7 billion pairs of 67,240 rows take about a second here.

use std::sync::atomic::{AtomicUsize, Ordering};

use pulp::{Arch, NullaryFnOnce};

use super::bounds::Bounds;
use super::distance::Distance;
use super::smote::Draw;
use crate::scoring::matrix::FeatureMatrix;
use crate::training::error::{Error, Result};
use crate::training::gemm::{View, ViewMut, multiply};
use crate::training::progress::{Progress, Unit};

/// Candidates of a block: a multiple of [`VECTOR`].
const LANES: usize = 256;
/// Fewer, down to these, where the block's bounds then fit this much.
const NARROW: usize = 64;
const CACHE_BYTES: usize = 512 << 10;
/// Lanes that are looked at side by side.
const VECTOR: usize = 16;
/// Bounds that a thread holds at most.
const BOUNDS_BYTES: usize = 32 << 20;
/// Targets of one product where none of them are ends of synthetic ones: their bounds stay in the cache.
const TARGETS: usize = 4096;

/// A neighbour: squared distance, row of the matrix. The order of neighbours is the order of these pairs.
pub type Neighbor = (f64, u32);

/// No neighbour yet.
pub const NOBODY: Neighbor = (f64::INFINITY, u32::MAX);

/// Rows whose neighbours are looked for.
#[derive(Debug, Clone, Copy)]
pub struct Targets<'a> {
    /// Rows of the matrix.
    pub rows: &'a [u32],
    /// Synthetic rows whose ends are indices into `rows`; the first is row `first_draw` of the matrix, the others follow.
    pub draws: &'a [Draw],
    pub first_draw: u32,
}

impl<'a> Targets<'a> {
    pub fn rows(rows: &'a [u32]) -> Self {
        Targets { rows, draws: &[], first_draw: 0 }
    }

    pub fn len(&self) -> usize {
        self.rows.len() + self.draws.len()
    }

    /// Row of the matrix of a target: `rows` first, then `draws`.
    pub fn row(&self, target: usize) -> u32 {
        match target.checked_sub(self.rows.len()) {
            None => self.rows[target],
            Some(draw) => self.first_draw + draw as u32,
        }
    }
}

/// A matrix, ready to be searched.
pub struct Search<'a> {
    matrix: &'a FeatureMatrix,
    distance: &'a Distance,
    bounds: Bounds<'a>,
}

impl<'a> Search<'a> {
    /// Refuses values between which there is no distance.
    pub fn new(matrix: &'a FeatureMatrix, distance: &'a Distance) -> Result<Self> {
        Ok(Search { matrix, distance, bounds: Bounds::new(matrix, distance)? })
    }

    pub fn n_rows(&self) -> usize {
        self.matrix.n_rows()
    }

    pub fn distance(&self, a: u32, b: u32) -> f64 {
        self.distance.between(self.matrix.row(a as usize), self.matrix.row(b as usize))
    }

    /// The `k` nearest candidates of each target, nearest first, one target after the other; [`NOBODY`] where there are
    /// fewer. `candidates` are ascending rows.
    pub fn nearest(
        &self,
        targets: Targets,
        candidates: &[u32],
        k: usize,
        progress: &dyn Progress,
    ) -> Result<Vec<Neighbor>> {
        self.nearer_than(targets, candidates, vec![NOBODY; targets.len() * k], progress)
    }

    /// The same with `known` neighbours to begin with, as many for each target: they stay unless nearer ones are found.
    pub fn nearer_than(
        &self,
        targets: Targets,
        candidates: &[u32],
        known: Vec<Neighbor>,
        progress: &dyn Progress,
    ) -> Result<Vec<Neighbor>> {
        assert!(candidates.is_sorted(), "candidates are ascending rows");
        if known.is_empty() {
            return Ok(known);
        }
        let prepared = Prepared::new(self, targets);
        let n_lanes = prepared.n_lanes();
        let next_block = AtomicUsize::new(0);
        // Each thread takes blocks in ascending order and keeps what it found; who took which block changes nothing.
        let founds = rayon::broadcast(|_| {
            let mut scan = Scan::new(self, &prepared, known.clone());
            loop {
                let start = next_block.fetch_add(1, Ordering::Relaxed).saturating_mul(n_lanes);
                if start >= candidates.len() || progress.interrupted() {
                    return scan.found;
                }
                let block = &candidates[start..candidates.len().min(start + n_lanes)];
                scan.block(block);
                progress.advance(Unit::Rows, block.len() as u64);
            }
        });
        if progress.interrupted() {
            return Err(Error::interrupted());
        }
        Ok(merged(founds, known.len() / targets.len()))
    }
}

/// The nearest `k` of what several threads found.
fn merged(founds: Vec<Vec<Neighbor>>, k: usize) -> Vec<Neighbor> {
    let mut founds = founds.into_iter();
    let mut all = founds.next().unwrap_or_default();
    for found in founds {
        for (all, found) in all.chunks_exact_mut(k).zip(found.chunks_exact(k)) {
            for &neighbor in found {
                insert(all, neighbor);
            }
        }
    }
    all
}

/// Puts a neighbour in its place, if it is nearer than the last and not there yet.
fn insert(nearest: &mut [Neighbor], neighbor: Neighbor) {
    let at = nearest.partition_point(|&known| known < neighbor);
    if nearest.get(at).is_some_and(|&known| known != neighbor) {
        nearest[at..].rotate_right(1);
        nearest[at] = neighbor;
    }
}

/// Targets as the scan wants them: operands of the product, draws sorted by their first end.
struct Prepared<'a> {
    targets: Targets<'a>,
    operand: Vec<f32>,
    /// Draws in the order of their parents, and where each parent's begin.
    draws: Vec<PreparedDraw>,
    starts: Vec<u32>,
    /// Values of the nominal features: of each target row, and of the draws that start from it.
    nominal: Vec<f32>,
    drawn_nominal: Vec<f32>,
    penalty: f32,
    radii: Vec<f64>,
}

#[derive(Clone, Copy)]
struct PreparedDraw {
    /// Index of the target.
    target: u32,
    neighbor: u32,
    /// Of the parent's bound and of the neighbour's.
    weights: [f32; 2],
    /// What the limit of this target has beside its distance.
    offset: f32,
}

impl<'a> Prepared<'a> {
    fn new(search: &Search, targets: Targets<'a>) -> Self {
        let Targets { rows, draws, first_draw } = targets;
        let mut order: Vec<u32> = (0..draws.len() as u32).collect();
        order.sort_by_key(|&draw| draws[draw as usize].parent);
        let mut starts = vec![0u32; rows.len() + 1];
        draws.iter().for_each(|draw| starts[draw.parent as usize + 1] += 1);
        (0..rows.len()).for_each(|row| starts[row + 1] += starts[row]);

        let features = &search.distance.nominal;
        let values = |row: u32| features.iter().map(move |&feature| search.matrix.row(row as usize)[feature]);
        // All draws of a parent have the same categories: those of the first stand for them.
        let first_of = |parent: usize| match starts[parent] < starts[parent + 1] {
            true => first_draw + order[starts[parent] as usize],
            false => rows[parent],
        };
        let (mut prepared, mut radii) = (Vec::with_capacity(draws.len()), vec![0.0; targets.len()]);
        for &at in &order {
            let draw = draws[at as usize];
            let (a, b) = (rows[draw.parent as usize], rows[draw.neighbor as usize]);
            let apart =
                search.distance.continuous_between(search.matrix.row(a as usize), search.matrix.row(b as usize));
            let target = rows.len() as u32 + at;
            radii[target as usize] = search.bounds.radius(a, b);
            prepared.push(PreparedDraw {
                target,
                neighbor: draw.neighbor,
                weights: [(1.0 - draw.gap) as f32, draw.gap as f32],
                offset: search.bounds.offset(draw.gap, apart),
            });
        }
        Prepared {
            targets,
            operand: search.bounds.targets(rows),
            draws: prepared,
            nominal: rows.iter().flat_map(|&row| values(row)).collect(),
            drawn_nominal: match draws.is_empty() {
                true => Vec::new(),
                false => (0..rows.len()).flat_map(|parent| values(first_of(parent))).collect(),
            },
            starts,
            penalty: search.bounds.penalty(),
            radii,
        }
    }

    /// Target rows whose bounds are made together: all of them where any may be an end of a draw.
    fn n_together(&self) -> usize {
        let n_rows = self.targets.rows.len();
        if self.draws.is_empty() { n_rows.min(TARGETS) } else { n_rows }
    }

    /// Candidates of a block: fewer where a block of bounds would be too large.
    fn n_lanes(&self) -> usize {
        let bytes = 4 * self.n_together().max(1);
        // Bounds that stay in the second cache are worth more than a wide product.
        let lanes = (CACHE_BYTES / bytes).max(NARROW).min(BOUNDS_BYTES / bytes);
        (lanes / VECTOR * VECTOR).clamp(VECTOR, LANES)
    }

    fn draws_of(&self, parent: usize) -> &[PreparedDraw] {
        &self.draws[self.starts[parent] as usize..self.starts[parent + 1] as usize]
    }
}

/// One thread's work.
struct Scan<'a> {
    search: &'a Search<'a>,
    prepared: &'a Prepared<'a>,
    /// `k` per target.
    found: Vec<Neighbor>,
    k: usize,
    /// Per target: no bound above it belongs to a neighbour.
    limits: Vec<f32>,
    /// The block's operand, its nominal values feature by feature, its bounds target by target.
    operand: Vec<f32>,
    nominal: Vec<f32>,
    bounds: Vec<f32>,
    /// Of the block's rows beside a target; zeros where nothing is compared.
    penalties: Vec<f32>,
    arch: Arch,
}

impl<'a> Scan<'a> {
    fn new(search: &'a Search<'a>, prepared: &'a Prepared<'a>, found: Vec<Neighbor>) -> Self {
        let k = found.len() / prepared.targets.len();
        let mut limits: Vec<f32> = found
            .chunks_exact(k)
            .zip(&prepared.radii)
            .map(|(nearest, &radius)| search.bounds.limit(nearest[k - 1].0, radius))
            .collect();
        prepared.draws.iter().for_each(|draw| limits[draw.target as usize] += draw.offset);
        Scan {
            search,
            prepared,
            found,
            k,
            limits,
            operand: Vec::new(),
            nominal: Vec::new(),
            bounds: Vec::new(),
            penalties: vec![0.0; LANES],
            arch: Arch::new(),
        }
    }

    /// Looks for neighbours of all targets among up to `n_lanes` candidates.
    fn block(&mut self, rows: &[u32]) {
        let n_lanes = rows.len().next_multiple_of(VECTOR);
        // Lanes beyond the block repeat its last row and are never measured.
        let lanes: Vec<u32> = (0..n_lanes).map(|lane| rows[lane.min(rows.len() - 1)]).collect();
        self.search.bounds.block(&lanes, &mut self.operand);
        self.nominal.clear();
        for &feature in &self.search.distance.nominal {
            self.nominal.extend(lanes.iter().map(|&row| self.search.matrix.row(row as usize)[feature]));
        }
        let (width, n_rows) = (self.search.bounds.width(), self.prepared.targets.rows.len());
        for start in (0..n_rows).step_by(self.prepared.n_together().max(1)) {
            let n = self.prepared.n_together().min(n_rows - start);
            self.bounds.resize(n * n_lanes, 0.0);
            multiply(
                ViewMut::column_major(&mut self.bounds[..n * n_lanes], n_lanes, n),
                View::row_major(&self.operand, n_lanes, width),
                View::row_major(&self.prepared.operand[start * width..][..n * width], n, width).transposed(),
                false,
            );
            for at in 0..n {
                self.target_row(rows, n_lanes, start + at, at);
                self.draws_of(rows, n_lanes, start + at);
            }
        }
    }

    /// One target row, whose bounds stand at `at`.
    fn target_row(&mut self, rows: &[u32], n_lanes: usize, target: usize, at: usize) {
        self.compare(&self.prepared.nominal, target, n_lanes);
        let (bounds, penalties) = (vectors(&self.bounds[at * n_lanes..][..n_lanes]), vectors(&self.penalties));
        let of = |vector: usize, lane: usize| bounds[vector][lane] + penalties[vector][lane];
        let lowest = self.arch.dispatch(Lowest { n_lanes, of });
        if lowest <= self.limits[target] {
            let found = &mut self.found[target * self.k..][..self.k];
            let hits = Hits { search: self.search, prepared: self.prepared, rows, target, offset: 0.0 };
            hits.measure(|lane| of(lane / VECTOR, lane % VECTOR), found, &mut self.limits[target]);
        }
    }

    /// The draws that start from a target row; bounds of all target rows are there.
    fn draws_of(&mut self, rows: &[u32], n_lanes: usize, parent: usize) {
        let prepared = self.prepared;
        let draws = prepared.draws_of(parent);
        if draws.is_empty() {
            return;
        }
        self.compare(&prepared.drawn_nominal, parent, n_lanes);
        let mixed = !self.search.distance.nominal.is_empty();
        let penalties = vectors(&self.penalties);
        let a = vectors(&self.bounds[parent * n_lanes..][..n_lanes]);
        for draw in draws {
            let b = vectors(&self.bounds[draw.neighbor as usize * n_lanes..][..n_lanes]);
            let [own, other] = draw.weights;
            let between = |vector: usize, lane: usize| own * a[vector][lane] + other * b[vector][lane];
            let with_penalty = |vector: usize, lane: usize| between(vector, lane) + penalties[vector][lane];
            let lowest = match mixed {
                true => self.arch.dispatch(Lowest { n_lanes, of: with_penalty }),
                false => self.arch.dispatch(Lowest { n_lanes, of: between }),
            };
            let target = draw.target as usize;
            if lowest <= self.limits[target] {
                let found = &mut self.found[target * self.k..][..self.k];
                let hits = Hits { search: self.search, prepared, rows, target, offset: draw.offset };
                hits.measure(|lane| with_penalty(lane / VECTOR, lane % VECTOR), found, &mut self.limits[target]);
            }
        }
    }

    /// Counts for every lane the categories that differ from those of `target`, times the penalty.
    fn compare(&mut self, nominal: &[f32], target: usize, n_lanes: usize) {
        let n_nominal = self.search.distance.nominal.len();
        if n_nominal == 0 {
            return;
        }
        self.arch.dispatch(Compare {
            penalties: &mut self.penalties[..n_lanes],
            lanes: &self.nominal,
            values: &nominal[target * n_nominal..][..n_nominal],
            penalty: self.prepared.penalty,
        });
    }
}

/// Penalties of a block's rows, whose categories stand feature by feature, beside a target with these values.
struct Compare<'a> {
    penalties: &'a mut [f32],
    lanes: &'a [f32],
    values: &'a [f32],
    penalty: f32,
}

impl NullaryFnOnce for Compare<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.penalties.fill(0.0);
        for (lanes, &value) in self.lanes.chunks_exact(self.penalties.len()).zip(self.values) {
            for (penalty, &lane) in self.penalties.iter_mut().zip(lanes) {
                *penalty += if lane == value { 0.0 } else { 1.0 };
            }
        }
        self.penalties.iter_mut().for_each(|sum| *sum *= self.penalty);
    }
}

/// A block that may hold neighbours of a target.
struct Hits<'a> {
    search: &'a Search<'a>,
    prepared: &'a Prepared<'a>,
    rows: &'a [u32],
    target: usize,
    offset: f32,
}

impl Hits<'_> {
    /// Measures the lanes whose bound does not exceed the limit, and keeps those that are nearer than what is known.
    fn measure(&self, bound: impl Fn(usize) -> f32, nearest: &mut [Neighbor], limit: &mut f32) {
        // The most promising first: it lowers the limit for the others.
        let lanes = 0..self.rows.len();
        let first = lanes.clone().fold(0, |best, lane| if bound(lane) < bound(best) { lane } else { best });
        self.measure_lane(first, nearest, limit);
        for lane in lanes {
            if bound(lane) <= *limit && lane != first {
                self.measure_lane(lane, nearest, limit);
            }
        }
        // Nothing is nearer than a duplicate, and later candidates lose the tie.
        let (farthest, at) = nearest[nearest.len() - 1];
        if farthest == 0.0 && self.rows.last().is_some_and(|&last| at <= last) {
            *limit = f32::NEG_INFINITY;
        }
    }

    fn measure_lane(&self, lane: usize, nearest: &mut [Neighbor], limit: &mut f32) {
        let (row, candidate) = (self.prepared.targets.row(self.target), self.rows[lane]);
        if candidate == row {
            return;
        }
        let k = nearest.len();
        let values = |row: u32| self.search.matrix.row(row as usize);
        let measured = self.search.distance.up_to(values(row), values(candidate), nearest[k - 1].0);
        if let Some(distance) = measured {
            insert(nearest, (distance, candidate));
            let radius = self.prepared.radii[self.target];
            *limit = self.search.bounds.limit(nearest[k - 1].0, radius) + self.offset;
        }
    }
}

/// The smallest of what `of` makes of the lanes, vector by vector, with the widest vectors that the processor has.
struct Lowest<F> {
    n_lanes: usize,
    of: F,
}

impl<F: Fn(usize, usize) -> f32> NullaryFnOnce for Lowest<F> {
    type Output = f32;

    // What is not inlined would be compiled for any x86-64.
    #[inline(always)]
    fn call(self) -> f32 {
        let mut lowest = [f32::INFINITY; VECTOR];
        for vector in 0..self.n_lanes / VECTOR {
            for (lane, lowest) in lowest.iter_mut().enumerate() {
                let bound = (self.of)(vector, lane);
                *lowest = if bound < *lowest { bound } else { *lowest };
            }
        }
        lowest.into_iter().fold(f32::INFINITY, f32::min)
    }
}

fn vectors(lanes: &[f32]) -> &[[f32; VECTOR]] {
    lanes.as_chunks().0
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::super::smote::Neighbors;
    use super::*;
    use crate::training::config::{Categories, NominalPenalty};
    use crate::training::progress::{Silent, Stopped};
    use crate::training::seed::Seed;

    pub fn matrix(n_features: usize, values: Vec<f32>) -> FeatureMatrix {
        FeatureMatrix::new((0..n_features).map(|feature| format!("f{feature}")).collect::<Arc<[String]>>(), values)
    }

    /// Every pair measured, sorted by (distance, index).
    pub fn nearest_slowly(
        matrix: &FeatureMatrix,
        distance: &Distance,
        row: u32,
        candidates: &[u32],
        k: usize,
    ) -> Vec<Neighbor> {
        let others = candidates.iter().filter(|&&other| other != row);
        let measure = |&other: &u32| (distance.between(matrix.row(row as usize), matrix.row(other as usize)), other);
        let mut found: Vec<Neighbor> = others.map(measure).collect();
        found.sort_by(|a, b| a.partial_cmp(b).unwrap());
        found.resize(k.max(found.len()), NOBODY);
        found.truncate(k);
        found
    }

    fn slowly(matrix: &FeatureMatrix, distance: &Distance, of: Targets, among: &[u32], k: usize) -> Vec<Neighbor> {
        (0..of.len()).flat_map(|target| nearest_slowly(matrix, distance, of.row(target), among, k)).collect()
    }

    /// Originals with `draws` synthetic rows after them.
    fn enlarged(original: &FeatureMatrix, distance: &Distance, rows: &[u32], n: usize) -> (FeatureMatrix, Vec<Draw>) {
        let neighbors = Neighbors::find(original, distance, rows, 2, &Silent).unwrap();
        let draws = neighbors.draw(n, Seed::new(n as u64));
        let mut values = original.values().to_vec();
        for draw in &draws {
            let mut row = vec![0.0; original.n_features()];
            neighbors.interpolate(draw, original, distance, rows, &mut row);
            values.extend(row);
        }
        (matrix(original.n_features(), values).with_nominal(original.nominal().clone()), draws)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        /// Coarse values: duplicates and equal distances everywhere. Scales from subnormal squares to f32 overflow, and a
        /// middle far from zero.
        #[test]
        fn rows_and_synthetic_rows_find_what_brute_force_finds(
            (n_features, cells) in (1usize..24).prop_flat_map(|n| (Just(n), prop::collection::vec(-3i8..4, n * 12..n * 90))),
            k in 1usize..6,
            scale in prop::sample::select(vec![1.0f32, 0.1, 1e-22, 1e25]),
            middle in prop::sample::select(vec![0.0f32, 1000.0]),
            n_draws in 0usize..60,
            n_nominal in 0usize..3,
        ) {
            let n_rows = cells.len() / n_features;
            let values: Vec<f32> =
                cells[..n_rows * n_features].iter().map(|&cell| (f32::from(cell) + middle) * scale).collect();
            let nominal: Vec<bool> = (0..n_features).map(|feature| feature < n_nominal.min(n_features - 1)).collect();
            let original = matrix(n_features, values).with_nominal(nominal.into());
            let (minority, majority): (Vec<u32>, Vec<u32>) = (0..n_rows as u32).partition(|row| row % 3 == 0);
            let categories = Categories::Nominal(NominalPenalty::Full);
            let distance = Distance::of(categories, &original, &minority).unwrap();
            let (matrix, draws) = enlarged(&original, &distance, &minority, n_draws);
            let search = Search::new(&matrix, &distance).unwrap();
            let all: Vec<u32> = (0..matrix.n_rows() as u32).collect();

            let originals = Targets::rows(&minority);
            for among in [&minority, &majority, &all] {
                let found = search.nearest(originals, among, k, &Silent).unwrap();
                prop_assert_eq!(found, slowly(&matrix, &distance, originals, among, k));
            }
            let both = Targets { rows: &minority, draws: &draws, first_draw: n_rows as u32 };
            for among in [&majority, &all] {
                let found = search.nearest(both, among, 1, &Silent).unwrap();
                prop_assert_eq!(found, slowly(&matrix, &distance, both, among, 1));
            }
            // What is known stays where nothing is nearer: here the nearest of half of the rows.
            let known = search.nearest(Targets::rows(&all), &majority, 1, &Silent).unwrap();
            let found = search.nearer_than(Targets::rows(&all), &minority, known, &Silent).unwrap();
            prop_assert_eq!(found, slowly(&matrix, &distance, Targets::rows(&all), &all[..n_rows], 1));
        }
    }

    /// More candidates than a block, more targets than a product, outliers, and dense clusters far from the middle.
    #[test]
    fn blocks_outliers_and_clusters_change_nothing() {
        let n_rows = 3 * LANES + 37;
        let cell = |row: usize, feature: usize| {
            let noise = ((row * 7919 + feature * 104_729) % 1009) as f32 / 1009.0;
            match row % 10 {
                0 => 1e6 * noise,
                1..4 => 5000.0 + 1e-3 * noise,
                _ => noise,
            }
        };
        let values = (0..n_rows).flat_map(|row| (0..30).map(move |feature| cell(row, feature))).collect();
        let original = matrix(30, values);
        let (minority, majority): (Vec<u32>, Vec<u32>) = (0..n_rows as u32).partition(|row| row % 4 == 1);
        let distance = Distance::euclidean(30);
        let (matrix, draws) = enlarged(&original, &distance, &minority, 500);
        let both = Targets { rows: &minority, draws: &draws, first_draw: n_rows as u32 };
        let search = Search::new(&matrix, &distance).unwrap();
        let slow = slowly(&matrix, &distance, both, &majority, 1);
        for n_threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
            assert_eq!(pool.install(|| search.nearest(both, &majority, 1, &Silent)).unwrap(), slow);
        }
    }

    #[test]
    fn a_duplicate_is_a_neighbour_and_the_row_itself_is_not() {
        let matrix = matrix(1, vec![1.0, 1.0, 1.0, 5.0]);
        let distance = Distance::euclidean(1);
        let search = Search::new(&matrix, &distance).unwrap();
        let rows = [0, 1, 2, 3];
        let nearest = search.nearest(Targets::rows(&rows), &rows, 2, &Silent).unwrap();
        let rows: Vec<u32> = nearest.into_iter().map(|(_, row)| row).collect();
        assert_eq!(rows, [1, 2, 0, 2, 0, 1, 0, 1]);
    }

    #[test]
    fn fewer_candidates_than_neighbours_leave_places_empty() {
        let matrix = matrix(1, vec![1.0, 2.0]);
        let distance = Distance::euclidean(1);
        let search = Search::new(&matrix, &distance).unwrap();
        assert_eq!(search.nearest(Targets::rows(&[0]), &[0, 1], 2, &Silent).unwrap(), [(1.0, 1), NOBODY]);
        assert_eq!(search.nearest(Targets::rows(&[]), &[0, 1], 2, &Silent).unwrap(), []);
        assert_eq!(search.nearest(Targets::rows(&[1]), &[], 1, &Silent).unwrap(), [NOBODY]);
    }

    #[test]
    fn a_missing_value_is_refused_by_name() {
        let matrix = matrix(2, vec![0.0, 1.0, 0.0, f32::NAN]);
        let error = Search::new(&matrix, &Distance::euclidean(2)).err().unwrap();
        assert!(error.message.contains("`f1` is missing in 1 of 2 rows") && error.hint.is_some(), "{error}");
    }

    #[test]
    fn an_interruption_stops_the_search() {
        let matrix = matrix(1, vec![0.0, 1.0]);
        let distance = Distance::euclidean(1);
        let found = Search::new(&matrix, &distance).unwrap().nearest(Targets::rows(&[0]), &[0, 1], 1, &Stopped);
        assert_eq!(found, Err(Error::interrupted()));
    }
}

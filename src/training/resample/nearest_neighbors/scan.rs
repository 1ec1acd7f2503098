//! One thread's walk over blocks of candidates. In: a prepared list of targets; out: the nearest candidates that it met.
//!
//! Bounds of a block, target by target, in the processor's widest vectors; what does not exceed a target's limit is measured.

use pulp::{Arch, NullaryFnOnce};

use super::{Neighbor, Search, Targets, insert};
use crate::training::gemm::{View, ViewMut, multiply};

/// Candidates of a block: a multiple of [`VECTOR`].
pub(super) const LANES: usize = 256;
/// Fewer, down to these, where the block's bounds then fit this much.
const NARROW: usize = 64;
const CACHE_BYTES: usize = 512 << 10;
/// Lanes that are looked at side by side.
const VECTOR: usize = 16;
/// Bounds that a thread holds at most.
pub(super) const BOUNDS_BYTES: usize = 32 << 20;
/// Targets of one product where none of them are ends of synthetic ones: their bounds stay in the cache.
const TARGETS: usize = 4096;

/// Targets as the scan wants them: operands of the product, draws sorted by their first end.
pub(super) struct Prepared<'a> {
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
    pub fn new(search: &Search, targets: Targets<'a>) -> Self {
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
    pub fn n_lanes(&self) -> usize {
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
pub(super) struct Scan<'a> {
    search: &'a Search<'a>,
    prepared: &'a Prepared<'a>,
    /// `k` per target.
    pub found: Vec<Neighbor>,
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
    pub fn new(search: &'a Search<'a>, prepared: &'a Prepared<'a>, found: Vec<Neighbor>) -> Self {
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
    pub fn block(&mut self, rows: &[u32]) {
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

//! One thread's walk over blocks of candidates. In: a prepared list of targets; out: the nearest candidates that it met.
//!
//! Bounds of a block, target by target, in the processor's widest vectors. A vector of candidates that are all too far
//! from a home is not looked at for its draws; what does not exceed a target's limit is measured.

use pulp::{Arch, NullaryFnOnce};

use super::prepared::{LANES, Prepared, PreparedDraw, VECTOR};
use super::{Neighbor, Search, insert};
use crate::training::gemm::{View, ViewMut, multiply};

/// The penalties of a block without any.
const ZEROS: [[f32; VECTOR]; LANES / VECTOR] = [[0.0; VECTOR]; LANES / VECTOR];

/// One thread's work.
pub(super) struct Scan<'a> {
    search: &'a Search<'a>,
    prepared: &'a Prepared<'a>,
    /// `k` per target.
    pub found: Vec<Neighbor>,
    k: usize,
    /// Per target row, then per draw in the order of homes: no bound above it belongs to a neighbour.
    limits: Vec<f32>,
    /// Per draw: no candidate with a bound above it from home is a neighbour.
    reaches: Vec<f32>,
    /// Per home: the largest of its draws'.
    widest: Vec<f32>,
    /// The block's operand, its nominal values feature by feature, its bounds target by target.
    operand: Vec<f32>,
    nominal: Vec<f32>,
    bounds: Vec<f32>,
    /// Of the block's rows beside a target; zeros where nothing is compared.
    penalties: Vec<f32>,
    /// Draws of a home (by place) with the vectors that may hold neighbours of theirs.
    hits: Vec<(usize, u32)>,
    arch: Arch,
}

impl<'a> Scan<'a> {
    pub fn new(search: &'a Search<'a>, prepared: &'a Prepared<'a>, found: Vec<Neighbor>) -> Self {
        let n_rows = prepared.targets.rows.len();
        let n_draws = prepared.draws.len();
        let mut scan = Scan {
            search,
            prepared,
            k: found.len() / prepared.targets.len(),
            found,
            limits: vec![0.0; n_rows + n_draws],
            reaches: vec![0.0; n_draws],
            widest: vec![0.0; n_rows],
            operand: Vec::new(),
            nominal: Vec::new(),
            bounds: Vec::new(),
            penalties: vec![0.0; LANES],
            hits: Vec::new(),
            arch: Arch::new(),
        };
        for row in 0..n_rows {
            scan.limits[row] = search.bounds.limit(scan.farthest(row), 0.0);
        }
        for home in 0..n_rows {
            for draw in prepared.draws_of(home) {
                scan.limit_draw(draw);
            }
            scan.widen(home);
        }
        scan
    }

    fn farthest(&self, target: usize) -> f64 {
        self.found[target * self.k + self.k - 1].0
    }

    fn limit_draw(&mut self, draw: usize) {
        let place = &self.prepared.places[draw];
        let (farthest, bounds) = (self.farthest(place.target as usize), &self.search.bounds);
        self.limits[self.prepared.targets.rows.len() + draw] = bounds.limit(farthest, place.radius) + place.offset;
        self.reaches[draw] = bounds.limit(farthest, place.away);
    }

    fn widen(&mut self, home: usize) {
        let reaches = &self.reaches[self.prepared.draws_of(home)];
        self.widest[home] = reaches.iter().copied().fold(f32::NEG_INFINITY, f32::max);
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
        let bounds = vectors(&self.bounds[at * n_lanes..][..n_lanes]);
        let near = Near { bounds, penalties: vectors(&self.penalties), limit: self.limits[target] };
        let vectors = self.arch.dispatch(near);
        if vectors != 0 {
            let (bounds, penalties) = (&self.bounds[at * n_lanes..][..n_lanes], &self.penalties);
            let row = self.prepared.targets.rows[target];
            let hits = Hits { search: self.search, rows, row, offset: 0.0, radius: 0.0 };
            let found = &mut self.found[target * self.k..][..self.k];
            hits.measure(vectors, |lane| bounds[lane] + penalties[lane], found, &mut self.limits[target]);
        }
    }

    /// The draws whose home a target row is; bounds of all target rows are there.
    fn draws_of(&mut self, rows: &[u32], n_lanes: usize, home: usize) {
        let prepared = self.prepared;
        let draws = prepared.draws_of(home);
        if draws.is_empty() {
            return;
        }
        // No penalties: a category that differs does not bring a row nearer.
        let bounds = vectors(&self.bounds[home * n_lanes..][..n_lanes]);
        let near = self.arch.dispatch(Near { bounds, penalties: &ZEROS, limit: self.widest[home] });
        if near == 0 {
            return;
        }
        self.compare(&prepared.drawn_nominal, home, n_lanes);
        let n_rows = prepared.targets.rows.len();
        self.hits.clear();
        self.arch.dispatch(Between {
            home,
            near,
            n_lanes,
            bounds: &self.bounds,
            penalties: &self.penalties,
            draws: &prepared.draws[draws.clone()],
            limits: &self.limits[n_rows..][draws.clone()],
            hits: &mut self.hits,
        });
        let a = &self.bounds[home * n_lanes..][..n_lanes];
        for at in 0..self.hits.len() {
            let (draw, vectors) = self.hits[at];
            let draw = draws.start + draw;
            let (PreparedDraw { other, weights: [own, theirs] }, place) = (prepared.draws[draw], prepared.places[draw]);
            let b = &self.bounds[other as usize * n_lanes..][..n_lanes];
            let target = place.target as usize;
            let hits = Hits {
                search: self.search,
                rows,
                row: prepared.targets.row(target),
                offset: place.offset,
                radius: place.radius,
            };
            let bound = |lane: usize| own * a[lane] + theirs * b[lane] + self.penalties[lane];
            let found = &mut self.found[target * self.k..][..self.k];
            let limit = &mut self.limits[n_rows + draw];
            hits.measure(vectors, bound, found, limit);
            self.reaches[draw] = match *limit {
                f32::NEG_INFINITY => f32::NEG_INFINITY,
                _ => self.search.bounds.limit(found[self.k - 1].0, place.away),
            };
        }
        if !self.hits.is_empty() {
            self.widen(home);
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

/// Vectors of a block that may hold neighbours of a target, a bit each.
struct Near<'a> {
    bounds: &'a [[f32; VECTOR]],
    penalties: &'a [[f32; VECTOR]],
    limit: f32,
}

impl NullaryFnOnce for Near<'_> {
    type Output = u32;

    // What is not inlined would be compiled for any x86-64.
    #[inline(always)]
    fn call(self) -> u32 {
        let mut near = 0;
        for (vector, (bounds, penalties)) in self.bounds.iter().zip(self.penalties).enumerate() {
            near |= u32::from(any_up_to(self.limit, |lane| bounds[lane] + penalties[lane])) << vector;
        }
        near
    }
}

/// The same for all draws of a home, among vectors that are near to it.
struct Between<'a> {
    home: usize,
    near: u32,
    n_lanes: usize,
    bounds: &'a [f32],
    penalties: &'a [f32],
    draws: &'a [PreparedDraw],
    limits: &'a [f32],
    hits: &'a mut Vec<(usize, u32)>,
}

impl NullaryFnOnce for Between<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let of = |row: usize| vectors(&self.bounds[row * self.n_lanes..][..self.n_lanes]);
        let (a, penalties) = (of(self.home), vectors(&self.penalties[..self.n_lanes]));
        for (at, (draw, &limit)) in self.draws.iter().zip(self.limits).enumerate() {
            let b = of(draw.other as usize);
            let [own, theirs] = draw.weights;
            let (mut left, mut hit) = (self.near, 0);
            while left != 0 {
                let vector = left.trailing_zeros() as usize;
                left &= left - 1;
                let (a, b, penalties) = (&a[vector], &b[vector], &penalties[vector]);
                let bound = |lane: usize| own * a[lane] + theirs * b[lane] + penalties[lane];
                hit |= u32::from(any_up_to(limit, bound)) << vector;
            }
            if hit != 0 {
                self.hits.push((at, hit));
            }
        }
    }
}

#[inline(always)]
fn any_up_to(limit: f32, bound: impl Fn(usize) -> f32) -> bool {
    let mut any = false;
    for lane in 0..VECTOR {
        any |= bound(lane) <= limit;
    }
    any
}

/// A target and a block that may hold neighbours of it.
struct Hits<'a> {
    search: &'a Search<'a>,
    rows: &'a [u32],
    /// The target, what its limit has beside the distance, and how far rounding can have moved it.
    row: u32,
    offset: f32,
    radius: f64,
}

impl Hits<'_> {
    /// Measures the lanes whose bound does not exceed the limit, and keeps those that are nearer than what is known.
    fn measure(&self, vectors: u32, bound: impl Fn(usize) -> f32, nearest: &mut [Neighbor], limit: &mut f32) {
        let in_vector = |vector| vector * VECTOR..self.rows.len().min((vector + 1) * VECTOR);
        let lanes = || (0..LANES / VECTOR).filter(|vector| vectors >> vector & 1 == 1).flat_map(in_vector);
        // Of many, the most promising first: it lowers the limit for the others.
        let lowest = |a, b| if bound(b) < bound(a) { b } else { a };
        let first = if vectors.count_ones() > 1 { lanes().reduce(lowest) } else { None };
        for lane in first.into_iter().chain(lanes().filter(|&lane| Some(lane) != first)) {
            if bound(lane) <= *limit {
                self.measure_lane(lane, nearest, limit);
            }
        }
    }

    fn measure_lane(&self, lane: usize, nearest: &mut [Neighbor], limit: &mut f32) {
        let candidate = self.rows[lane];
        if candidate == self.row {
            return;
        }
        let k = nearest.len();
        let values = |row: u32| self.search.matrix.row(row as usize);
        let measured = self.search.distance.up_to(values(self.row), values(candidate), nearest[k - 1].0);
        if let Some(distance) = measured {
            insert(nearest, (distance, candidate));
            let farthest = nearest[k - 1];
            *limit = match distance == 0.0 && farthest <= (distance, candidate) {
                // Nothing is nearer than a duplicate, and of several the later have larger indices.
                true => f32::NEG_INFINITY,
                false => self.search.bounds.limit(farthest.0, self.radius) + self.offset,
            };
        }
    }
}

fn vectors(lanes: &[f32]) -> &[[f32; VECTOR]] {
    lanes.as_chunks().0
}

//! Targets as a scan wants them. In: targets; out: operands of the product, and the synthetic ones by the end that they
//! are near to (their "home"), so that a candidate too far from a home is too far from all of them.

use super::{Search, Targets};

/// Candidates of a block: a multiple of [`VECTOR`].
pub(super) const LANES: usize = 256;
/// Fewer, down to these, where the block's bounds then fit this much.
const NARROW: usize = 64;
const CACHE_BYTES: usize = 512 << 10;
/// Lanes that are looked at side by side.
pub(super) const VECTOR: usize = 16;
/// Bounds that a thread holds at most.
pub(super) const BOUNDS_BYTES: usize = 32 << 20;
/// Targets of one product where none of them are ends of synthetic ones: their bounds stay in the cache.
const TARGETS: usize = 4096;

pub(super) struct Prepared<'a> {
    pub targets: Targets<'a>,
    pub operand: Vec<f32>,
    /// Draws in the order of their homes, and where each home's begin.
    pub draws: Vec<PreparedDraw>,
    starts: Vec<u32>,
    pub places: Vec<Place>,
    /// Values of the nominal features: of each target row, and of the draws whose home it is.
    pub nominal: Vec<f32>,
    pub drawn_nominal: Vec<f32>,
    pub penalty: f32,
}

/// What a draw's bounds are made of.
#[derive(Clone, Copy)]
pub(super) struct PreparedDraw {
    /// The end that is not home.
    pub other: u32,
    /// Of the home's bound and of the other end's.
    pub weights: [f32; 2],
}

/// What a draw's limits are made of.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// Index of the target.
    pub target: u32,
    /// What the limit has beside its distance.
    pub offset: f32,
    /// How far rounding can have moved the row.
    pub radius: f64,
    /// How far it is from home at most.
    pub away: f64,
}

impl<'a> Prepared<'a> {
    pub fn new(search: &Search, targets: Targets<'a>) -> Self {
        let Targets { rows, draws, first_draw } = targets;
        let features = &search.distance.nominal;
        // All draws of a parent have the same categories, so with categories the parent is home.
        let is_turned = |draw: u32| features.is_empty() && draws[draw as usize].gap > 0.5;
        let home = |draw: u32| match draws[draw as usize] {
            super::Draw { neighbor, .. } if is_turned(draw) => neighbor,
            super::Draw { parent, .. } => parent,
        };
        let mut order: Vec<u32> = (0..draws.len() as u32).collect();
        order.sort_by_key(|&draw| home(draw));
        let mut starts = vec![0u32; rows.len() + 1];
        order.iter().for_each(|&draw| starts[home(draw) as usize + 1] += 1);
        (0..rows.len()).for_each(|row| starts[row + 1] += starts[row]);

        let values = |row: u32| features.iter().map(move |&feature| search.matrix.row(row as usize)[feature]);
        let first_of = |home: usize| match starts[home] < starts[home + 1] {
            true => first_draw + order[starts[home] as usize],
            false => rows[home],
        };
        let (mut prepared, mut places) = (Vec::with_capacity(draws.len()), Vec::with_capacity(draws.len()));
        for &at in &order {
            let draw = draws[at as usize];
            let (a, b) = (rows[draw.parent as usize], rows[draw.neighbor as usize]);
            let apart =
                search.distance.continuous_between(search.matrix.row(a as usize), search.matrix.row(b as usize));
            let (gap, other) = match is_turned(at) {
                true => (1.0 - draw.gap, draw.parent),
                false => (draw.gap, draw.neighbor),
            };
            let radius = search.bounds.radius(a, b);
            prepared.push(PreparedDraw { other, weights: [(1.0 - gap) as f32, gap as f32] });
            places.push(Place {
                target: rows.len() as u32 + at,
                offset: search.bounds.offset(gap, apart),
                radius,
                away: gap * apart.sqrt() * (1.0 + 1e-9) + radius,
            });
        }
        Prepared {
            targets,
            operand: search.bounds.targets(rows),
            draws: prepared,
            places,
            nominal: rows.iter().flat_map(|&row| values(row)).collect(),
            drawn_nominal: match draws.is_empty() {
                true => Vec::new(),
                false => (0..rows.len()).flat_map(|home| values(first_of(home))).collect(),
            },
            starts,
            penalty: search.bounds.penalty(),
        }
    }

    /// Target rows whose bounds are made together: all of them where any may be an end of a draw.
    pub fn n_together(&self) -> usize {
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

    /// Where the draws of a home stand.
    pub fn draws_of(&self, home: usize) -> std::ops::Range<usize> {
        self.starts[home] as usize..self.starts[home + 1] as usize
    }
}

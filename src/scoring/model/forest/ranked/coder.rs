//! Values of one feature as codes: 0 where missing, else one more than the number of edges below. In: values of 64 rows.
//! Out: their codes.
//!
//! Edges stand in groups of sixteen. How many groups lie wholly below a value is counted for all rows side by side, edge by
//! edge; then the edges of a value's own group. Counting has no branch and becomes vectors, where the steps of a search would
//! wait for each other.

use super::walk::WORD;

/// Finite edges per feature whose codes fit a byte.
const MAX_RANKED_EDGES: usize = 254;
/// Edges of a group.
const GROUP: usize = 16;

/// The codes of one feature.
#[derive(Debug, Clone)]
pub(in crate::scoring::model::forest) struct Coder {
    pub(super) feature: usize,
    n_edges: u8,
    /// The finite edges, then infinities.
    groups: Vec<[f32; GROUP]>,
}

impl Coder {
    /// None where there are too many edges.
    pub fn of(feature: usize, edges: &[f32]) -> Option<Coder> {
        let edges = &edges[..edges.partition_point(|edge| *edge < f32::INFINITY)];
        let n_edges = u8::try_from(edges.len()).ok().filter(|&n| usize::from(n) <= MAX_RANKED_EDGES)?;
        let filled = |edges: &[f32]| {
            let mut group = [f32::INFINITY; GROUP];
            group[..edges.len()].copy_from_slice(edges);
            group
        };
        Some(Coder { feature, n_edges, groups: edges.chunks(GROUP).map(filled).collect() })
    }

    pub fn n_edges(&self) -> u8 {
        self.n_edges
    }

    pub fn code(&self, values: &[f32; WORD]) -> [u8; WORD] {
        // Counted in the width of a value: vectors of bytes would have to be made of them first.
        let mut ranks = [0u32; WORD];
        match self.groups.as_slice() {
            [] => {}
            [only] => count_below(only, values, &mut ranks),
            [groups @ .., _] => {
                let mut lower = [0u32; WORD];
                for group in groups {
                    count_below(&group[GROUP - 1..], values, &mut lower);
                }
                for ((rank, x), lower) in ranks.iter_mut().zip(values).zip(lower) {
                    let own = &self.groups[lower as usize];
                    let below: u32 = own.iter().map(|edge| u32::from(edge < x)).sum();
                    *rank = lower * GROUP as u32 + below;
                }
            }
        }
        let mut codes = [0; WORD];
        for ((code, rank), x) in codes.iter_mut().zip(ranks).zip(values) {
            *code = if x.is_nan() { 0 } else { rank as u8 + 1 };
        }
        codes
    }
}

/// Adds to each row how many of some edges are below its value.
#[inline(always)]
fn count_below(edges: &[f32], values: &[f32; WORD], counts: &mut [u32; WORD]) {
    for edge in edges {
        for (count, x) in counts.iter_mut().zip(values) {
            *count += u32::from(edge < x);
        }
    }
}

//! Exact nearest neighbours at size. In: rows to search from ("targets": rows of a matrix, and synthetic rows between two
//! of those) and rows to search among (candidates); out: per target its `k` nearest candidates.
//!
//! Distance is [`Distance`]'s. A row is never its own neighbour, by index: a duplicate of it is one at distance 0. Equal
//! distances go to the smaller index.
//!
//! Candidates come in blocks of up to [`prepared::LANES`]. One matrix product gives lower bounds of the distances from a
//! block to every target row ([`Bounds`]); a synthetic target's bounds follow from those of its two ends in constant time
//! per pair, whatever the number of features. What stays below the best distance so far is measured exactly, and only that
//! decides: the result is the same for any number of threads, any order of candidates and any kernel. After n candidates a
//! target has met about ln n better ones, so that measuring is rare. Memory beside the matrix: one block of bounds per
//! thread, at most [`prepared::BOUNDS_BYTES`].
//!
//! Synthetic targets ask for most pairs. For them candidates are put in the order of a k-d tree ([`tree`]): the leaf that a
//! target falls into gives its first limit, and a vector of candidates that is too far from the nearer end of a segment
//! (triangle inequality) is dismissed for all rows near that end at once. No search from node to node: at 200 dimensions
//! that was ten times slower than a matrix product.

mod prepared;
mod scan;
#[cfg(test)]
pub(super) mod tests;
mod tree;

use std::sync::atomic::{AtomicUsize, Ordering};

use prepared::Prepared;
use rayon::prelude::*;
use scan::Scan;
use tree::Tree;

use super::bounds::Bounds;
use super::distance::Distance;
use super::smote::Draw;
use crate::scoring::matrix::FeatureMatrix;
use crate::training::error::{Error, Result};
use crate::training::progress::{Progress, Unit};

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
        // Worth its time where synthetic rows are many.
        let tree = (!targets.draws.is_empty() && !candidates.is_empty())
            .then(|| Tree::new(self.matrix, &self.distance.continuous, candidates));
        let (candidates, known) = match &tree {
            Some(tree) => (&tree.rows[..], self.nearer_in_leaves(targets, tree, known)),
            None => (candidates, known),
        };
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

    /// What is known, or what is nearer in the leaf that a target falls into.
    fn nearer_in_leaves(&self, targets: Targets, tree: &Tree, mut known: Vec<Neighbor>) -> Vec<Neighbor> {
        let k = known.len() / targets.len();
        known.par_chunks_exact_mut(k).enumerate().for_each(|(target, nearest)| {
            let row = targets.row(target);
            let values = self.matrix.row(row as usize);
            for &candidate in tree.leaf(values).iter().filter(|&&candidate| candidate != row) {
                let other = self.matrix.row(candidate as usize);
                if let Some(distance) = self.distance.up_to(values, other, nearest[k - 1].0) {
                    insert(nearest, (distance, candidate));
                }
            }
        });
        known
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

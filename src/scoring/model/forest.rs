//! A fitted forest as one flat array of 16-byte nodes. Score = mean over trees of the leaf's weighted frequency of
//! positives, summed in f64 in tree order.
//!
//! A value goes left if `x <= threshold`, or if its bin (the number of the feature's edges below it) is in the split's
//! set; a missing one (NaN) goes where the split sends it. Trees are laid out in preorder with siblings side by side, so
//! a tree has exactly one layout and a forest exactly one file ([`columns`]). Every node knows its own value, the
//! weighted frequency of positives among its training samples: a sum over its leaves, never stored ([`attribution`]).
//! Many rows are scored on ranks instead of values ([`ranked`]), with the same bits.

mod attribution;
mod builder;
mod columns;
mod ranked;
mod shap;

use super::Classifier;
use crate::scoring::matrix::FeatureMatrix;
pub use builder::ForestBuilder;
use ranked::RankedOnce;
pub use shap::TreeShap;

/// Features and edges per feature that the file's columns can name.
const MAX_FEATURES: usize = 1 << 16;
const MAX_EDGES: usize = 1 << 8;

const MISSING_LEFT: u32 = 1 << 31;
const LEAF: u32 = 1 << 30;
const SUBSET: u32 = 1 << 29;

/// Descents side by side: the processor overlaps their waits for memory. Six and ten were slower.
const LANES: usize = 8;
/// Rows scored together on their values.
const BLOCK_ROWS: usize = 256;

/// A split or a leaf.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Node {
    /// Flags; of a split, below them, the number of its edge (8 bits) and its feature (16 bits).
    split: u32,
    /// The threshold's bits; of a subset split its place among the subsets; of a leaf its negatives.
    cut: u32,
    /// The left child, the right one being next to it; of a leaf its positives.
    left: u32,
    /// The weighted frequency of positives among the node's training samples.
    value: f32,
}

impl Node {
    const UNSET: Node = Node { split: LEAF, cut: 0, left: 0, value: 0.0 };

    fn feature(self) -> usize {
        (self.split & 0xffff) as usize
    }

    fn edge(self) -> u8 {
        (self.split >> 16) as u8
    }

    fn threshold(self) -> f32 {
        f32::from_bits(self.cut)
    }

    fn missing_left(self) -> bool {
        self.split & MISSING_LEFT != 0
    }

    fn is_leaf(self) -> bool {
        self.split & LEAF != 0
    }

    fn is_subset(self) -> bool {
        self.split & SUBSET != 0
    }
}

/// What was counted in the leaves.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Leaves {
    /// Values alone, as written before nodes knew theirs: no attribution.
    Values,
    /// Draws, and the weights of negatives and positives.
    Counts([f64; 2]),
    /// Sums of weights, as f32 bits.
    Weights,
}

/// Which of a feature's bins go left: a bit per bin.
type Subset = [u64; 4];

/// Ascending numbers of every feature, one feature after another.
#[derive(Debug, Clone, PartialEq, Default)]
struct Edges {
    values: Vec<f32>,
    /// Where each feature's begin, and the end.
    offsets: Vec<u32>,
}

impl Edges {
    fn of(&self, feature: usize) -> &[f32] {
        &self.values[self.offsets[feature] as usize..self.offsets[feature + 1] as usize]
    }
}

/// Trees over `n_features` features.
#[derive(Debug, Clone, PartialEq)]
pub struct Forest {
    n_features: usize,
    nodes: Vec<Node>,
    roots: Vec<u32>,
    /// Thresholds in use; of a feature that is split by subsets the edges of all its bins.
    edges: Edges,
    subsets: Vec<Subset>,
    leaves: Leaves,
    ranked: RankedOnce,
}

impl Forest {
    pub fn n_trees(&self) -> usize {
        self.roots.len()
    }

    pub fn n_nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Where a row goes from a node; a leaf keeps it.
    #[inline(always)]
    fn next(&self, at: u32, row: &[f32]) -> u32 {
        let node = self.nodes[at as usize];
        let x = row[node.feature()];
        if node.is_subset() {
            return node.left + u32::from(!self.subset_goes_left(node, x));
        }
        // Without branches: where a row goes can't be foreseen, and a leaf ends each descent at another depth.
        let goes_left = (x <= node.threshold()) | (x.is_nan() & node.missing_left());
        let child = node.left.wrapping_add(u32::from(!goes_left));
        let stays = 0u32.wrapping_sub(u32::from(node.is_leaf()));
        at & stays | child & !stays
    }

    #[cold]
    fn subset_goes_left(&self, node: Node, x: f32) -> bool {
        if x.is_nan() {
            return node.missing_left();
        }
        let bin = self.edges.of(node.feature()).partition_point(|edge| *edge < x);
        contains(&self.subsets[node.cut as usize], bin)
    }

    /// The values of the leaves that rows reach from roots, side by side.
    fn leaf_values(&self, mut at: [u32; LANES], rows: &[&[f32]; LANES]) -> [f64; LANES] {
        loop {
            let mut moved = 0;
            for (at, row) in at.iter_mut().zip(rows) {
                let next = self.next(*at, row);
                moved |= next ^ *at;
                *at = next;
            }
            if moved == 0 {
                return at.map(|at| f64::from(self.nodes[at as usize].value));
            }
        }
    }

    /// Which features any tree splits on.
    pub fn used_features(&self) -> Vec<bool> {
        let mut used = vec![false; self.n_features];
        for node in self.nodes.iter().filter(|node| !node.is_leaf()) {
            used[node.feature()] = true;
        }
        used
    }

    fn mean(&self, sum: f64) -> f32 {
        (sum / self.roots.len() as f64) as f32
    }

    /// All rows on their values, a block of rows and a tree at a time.
    fn score_on_values(&self, matrix: &FeatureMatrix) -> Vec<f32> {
        let rows: Vec<&[f32]> = matrix.rows().collect();
        let mut sums = vec![0.0; rows.len()];
        for (rows, sums) in rows.chunks(BLOCK_ROWS).zip(sums.chunks_mut(BLOCK_ROWS)) {
            for &root in &self.roots {
                for (rows, sums) in rows.chunks(LANES).zip(sums.chunks_mut(LANES)) {
                    let values = self.leaf_values([root; LANES], &side_by_side(rows));
                    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
                }
            }
        }
        sums.into_iter().map(|sum| self.mean(sum)).collect()
    }

    /// Where a tree's nodes begin and end.
    fn tree(&self, tree: usize) -> std::ops::Range<usize> {
        let end = self.roots.get(tree + 1).map_or(self.nodes.len(), |&next| next as usize);
        self.roots[tree] as usize..end
    }

    /// Indices of all nodes in preorder, tree after tree.
    fn preorder(&self) -> impl Iterator<Item = u32> {
        let mut open: Vec<u32> = self.roots.iter().rev().copied().collect();
        std::iter::from_fn(move || {
            let at = open.pop()?;
            let node = self.nodes[at as usize];
            if !node.is_leaf() {
                open.extend([node.left + 1, node.left]);
            }
            Some(at)
        })
    }

    /// Weighted negatives and positives of every node of a tree: sums over its leaves, added up from the last node to
    /// the first, so that a forest as grown and as loaded has the same bits. Draws are summed before they are weighed.
    fn class_sums(&self, tree: usize) -> Vec<[f64; 2]> {
        let nodes = self.tree(tree);
        let mut sums = vec![[0.0; 2]; nodes.len()];
        for at in nodes.clone().rev() {
            let node = self.nodes[at];
            sums[at - nodes.start] = match self.leaves {
                _ if !node.is_leaf() => {
                    let left = node.left as usize - nodes.start;
                    [sums[left][0] + sums[left + 1][0], sums[left][1] + sums[left + 1][1]]
                }
                Leaves::Weights => [node.cut, node.left].map(|bits| f64::from(f32::from_bits(bits))),
                _ => [node.cut, node.left].map(f64::from),
            };
        }
        let [of_negatives, of_positives] = match self.leaves {
            Leaves::Counts(weights) => weights,
            _ => [1.0; 2],
        };
        sums.iter_mut().for_each(|sum| *sum = [sum[0] * of_negatives, sum[1] * of_positives]);
        sums
    }
}

impl Classifier for Forest {
    fn n_features(&self) -> usize {
        self.n_features
    }

    fn score_row(&self, row: &[f32]) -> f32 {
        let mut sum = 0.0;
        for roots in self.roots.chunks(LANES) {
            let lanes = std::array::from_fn(|lane| roots[lane.min(roots.len() - 1)]);
            let values = self.leaf_values(lanes, &[row; LANES]);
            values[..roots.len()].iter().for_each(|value| sum += value);
        }
        self.mean(sum)
    }

    fn score(&self, matrix: &FeatureMatrix) -> Vec<f32> {
        match self.ranked(matrix.n_rows()) {
            Some(ranked) => ranked.score(matrix).into_iter().map(|sum| self.mean(sum)).collect(),
            None => self.score_on_values(matrix),
        }
    }
}

/// Fills the lanes, the last rows of a matrix with copies of the last one.
#[inline(always)]
fn side_by_side<'a, T>(rows: &[&'a [T]]) -> [&'a [T]; LANES] {
    std::array::from_fn(|lane| rows[lane.min(rows.len() - 1)])
}

fn contains(subset: &Subset, bin: usize) -> bool {
    subset.get(bin / 64).is_some_and(|word| word >> (bin % 64) & 1 == 1)
}

/// The weighted frequency of positives; 0 where nothing weighs.
fn frequency([negatives, positives]: [f64; 2]) -> f32 {
    let total = negatives + positives;
    if total > 0.0 { (positives / total).clamp(0.0, 1.0) as f32 } else { 0.0 }
}

#[cfg(test)]
mod tests;

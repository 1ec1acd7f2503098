//! A fitted forest as one flat array of 8-byte nodes. Score = mean over trees of the leaf's weighted frequency of
//! positives, summed in f64 in tree order.
//!
//! A value goes left if `x <= threshold`, or if its bin (the number of the feature's edges below it) is in the split's
//! set; a missing one (NaN) goes where the split sends it. A split names its threshold by number, a leaf holds what was
//! counted in it. Trees are laid out in preorder with siblings side by side, so a tree has exactly one layout and a
//! forest exactly one file ([`columns`]). The value of a node, the weighted frequency of positives among its training
//! samples, is a sum over its leaves, never stored: attribution makes those of all nodes when it is first asked ([`values`]).
//! Many rows are scored on ranks instead of values ([`ranked`]), with the same bits.

mod attribution;
mod builder;
mod columns;
mod ranked;
mod shap;
mod values;

use super::Classifier;
use crate::scoring::matrix::FeatureMatrix;
pub use builder::ForestBuilder;
use ranked::RankedOnce;
pub use shap::TreeShap;
use values::ValuesOnce;

/// Features and edges per feature that the file's columns can name.
const MAX_FEATURES: usize = 1 << 16;
const MAX_EDGES: usize = 1 << 8;

const MISSING_LEFT: u8 = 1;
const LEAF: u8 = 2;
const SUBSET: u8 = 4;
/// Draws of a class that a leaf can hold.
const MAX_COUNT: u32 = (1 << 28) - 1;

/// Descents side by side: the processor overlaps their waits for memory. Six and ten were slower.
const LANES: usize = 8;
/// Trees whose leaves' values are kept until they are summed in order.
const TREES: usize = 128;
/// Rows scored together on their values.
const BLOCK_ROWS: usize = 256;

/// A split or a leaf, its flags in the lowest byte. A split: the number of its edge (8 bits), its feature (16), the left
/// child, the right one being next to it, or of a subset split its place among the subsets (32). A leaf: draws of positives
/// and of negatives (28 each), or in the upper half its value or its place among the weights.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Node(u64);

impl Node {
    const UNSET: Node = Node(LEAF as u64);

    fn split(flags: u8, feature: usize, edge: u8, place: u32) -> Node {
        Node(u64::from(place) << 32 | (feature as u64) << 16 | u64::from(edge) << 8 | u64::from(flags))
    }

    fn leaf(place: u32) -> Node {
        Node(u64::from(place) << 32 | u64::from(LEAF))
    }

    /// Each at most `MAX_COUNT`.
    fn counting([negatives, positives]: [u32; 2]) -> Node {
        Node(u64::from(negatives) << 36 | u64::from(positives) << 8 | u64::from(LEAF))
    }

    fn counts(self) -> [u32; 2] {
        [(self.0 >> 36) as u32, (self.0 >> 8) as u32 & MAX_COUNT]
    }

    fn feature(self) -> usize {
        (self.0 >> 16) as usize & 0xffff
    }

    fn edge(self) -> u8 {
        (self.0 >> 8) as u8
    }

    fn place(self) -> u32 {
        (self.0 >> 32) as u32
    }

    fn missing_left(self) -> bool {
        self.0 as u8 & MISSING_LEFT != 0
    }

    fn is_leaf(self) -> bool {
        self.0 as u8 & LEAF != 0
    }

    fn is_subset(self) -> bool {
        self.0 as u8 & SUBSET != 0
    }
}

/// What was counted in the leaves.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Leaves {
    /// Values alone, as written before nodes knew theirs: no attribution.
    Values,
    /// Draws, and the weights of negatives and positives.
    Counts([f64; 2]),
    /// Sums of weights.
    Weights,
}

/// Which of a feature's bins go left: a bit per bin.
type Subset = [u64; 4];

/// A split by a subset of bins, and its left child.
#[derive(Debug, Clone, Copy, PartialEq)]
struct SubsetSplit {
    left_bins: Subset,
    left: u32,
}

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
    subsets: Vec<SubsetSplit>,
    leaves: Leaves,
    /// Of negatives and of positives, where leaves are sums of weights.
    leaf_weights: Vec<[f32; 2]>,
    values: ValuesOnce,
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
        if node.is_subset() {
            return self.left(node) + u32::from(!self.subset_goes_left(node, row[node.feature()]));
        }
        // Without branches: where a row goes can't be foreseen, and a leaf ends each descent at another depth. It looks at
        // the first feature and edge and stays.
        let stays = 0u32.wrapping_sub(u32::from(node.is_leaf()));
        let feature = node.feature() & !stays as usize;
        let edge = (self.edges.offsets[feature] + u32::from(node.edge())) & !stays;
        let threshold = self.edges.values.get(edge as usize).copied().unwrap_or(0.0);
        let x = row[feature];
        let goes_left = (x <= threshold) | (x.is_nan() & node.missing_left());
        let child = node.place().wrapping_add(u32::from(!goes_left));
        at & stays | child & !stays
    }

    /// Of a split.
    #[inline(always)]
    fn left(&self, node: Node) -> u32 {
        if node.is_subset() { self.subsets[node.place() as usize].left } else { node.place() }
    }

    #[cold]
    fn subset_goes_left(&self, node: Node, x: f32) -> bool {
        if x.is_nan() {
            return node.missing_left();
        }
        let bin = self.edges.of(node.feature()).partition_point(|edge| *edge < x);
        contains(&self.subsets[node.place() as usize].left_bins, bin)
    }

    /// The weighted frequency of positives in a leaf.
    #[inline(always)]
    fn leaf_value(&self, leaf: Node) -> f32 {
        match self.leaves {
            Leaves::Values => f32::from_bits(leaf.place()),
            Leaves::Counts(weights) => {
                let [negatives, positives] = leaf.counts().map(f64::from);
                frequency([negatives * weights[0], positives * weights[1]])
            }
            Leaves::Weights => frequency(self.leaf_weights[leaf.place() as usize].map(f64::from)),
        }
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
                return at.map(|at| f64::from(self.leaf_value(self.nodes[at as usize])));
            }
        }
    }

    /// The values of the leaves that one row reaches from some roots. A tree whose leaf is reached makes room for the next one,
    /// for leaves lie at very different depths: a third less time than waiting for the deepest of eight, for 100 trees of
    /// 6,400 nodes; a fifth of 20,000.
    fn leaf_values_of(&self, row: &[f32], roots: &[u32], values: &mut [f64; TREES]) {
        let mut tree: [usize; LANES] = std::array::from_fn(|lane| lane.min(roots.len() - 1));
        let mut at = tree.map(|tree| roots[tree]);
        let mut next = LANES;
        'all: while next < roots.len() {
            for lane in 0..LANES {
                let node = self.nodes[at[lane] as usize];
                if !node.is_leaf() {
                    at[lane] = self.next(at[lane], row);
                    continue;
                }
                if next == roots.len() {
                    break 'all;
                }
                values[tree[lane]] = f64::from(self.leaf_value(node));
                (tree[lane], at[lane]) = (next, roots[next]);
                next += 1;
            }
        }
        for (tree, value) in tree.into_iter().zip(self.leaf_values(at, &[row; LANES])) {
            values[tree] = value;
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
                let left = self.left(node);
                open.extend([left + 1, left]);
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
                    let left = self.left(node) as usize - nodes.start;
                    [sums[left][0] + sums[left + 1][0], sums[left][1] + sums[left + 1][1]]
                }
                Leaves::Weights => self.leaf_weights[node.place() as usize].map(f64::from),
                Leaves::Counts(_) => node.counts().map(f64::from),
                Leaves::Values => [0.0; 2],
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
        let mut values = [0.0; TREES];
        for roots in self.roots.chunks(TREES) {
            self.leaf_values_of(row, roots, &mut values);
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

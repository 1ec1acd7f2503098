//! A fitted forest as one flat array of 16-byte nodes. Score = mean over trees of the leaf's weighted frequency of
//! positives, summed in f64 in tree order.
//!
//! A value goes left if `x <= threshold`; a missing one (NaN) goes where the split sends it. Trees are laid out in
//! preorder with siblings side by side, so a tree has exactly one layout and a forest exactly one file ([`columns`]).

mod columns;

use super::tensors::damaged;
use super::{Classifier, ScoringError};
use crate::scoring::matrix::FeatureMatrix;

/// Features and edges per feature that the file's columns can name.
const MAX_FEATURES: usize = 1 << 16;
const MAX_EDGES: usize = 1 << 8;

const MISSING_LEFT: u32 = 1 << 31;

/// Rows scored together: their values stay in the cache while all trees pass by.
const BLOCK_ROWS: usize = 256;
/// Rows that descend a tree side by side: the processor overlaps their waits for memory.
const LANES: usize = 8;

/// A split, or a leaf: a split that sends everything to itself.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Node {
    /// The feature, and `MISSING_LEFT`.
    feature: u32,
    threshold: f32,
    /// The right child is the next one.
    left: u32,
    /// Of a leaf.
    value: f32,
}

impl Node {
    fn feature(self) -> usize {
        (self.feature & !MISSING_LEFT) as usize
    }

    fn missing_left(self) -> bool {
        self.feature & MISSING_LEFT != 0
    }

    fn next(self, row: &[f32]) -> u32 {
        let x = row[self.feature()];
        let goes_left = x <= self.threshold || (x.is_nan() && self.missing_left());
        self.left + u32::from(!goes_left)
    }
}

/// Trees over `n_features` features.
#[derive(Debug, Clone, PartialEq)]
pub struct Forest {
    n_features: usize,
    nodes: Vec<Node>,
    roots: Vec<u32>,
}

impl Forest {
    pub fn n_trees(&self) -> usize {
        self.roots.len()
    }

    pub fn n_nodes(&self) -> usize {
        self.nodes.len()
    }

    fn leaf_value(&self, root: u32, row: &[f32]) -> f64 {
        let mut at = root;
        loop {
            let next = self.nodes[at as usize].next(row);
            if next == at {
                return f64::from(self.nodes[at as usize].value);
            }
            at = next;
        }
    }

    /// Adds one tree's leaf values of `LANES` rows.
    fn add_leaf_values(&self, root: u32, rows: &[&[f32]; LANES], sums: &mut [f64]) {
        let mut at = [root; LANES];
        loop {
            let mut moved = 0;
            for (at, row) in at.iter_mut().zip(rows) {
                let next = self.nodes[*at as usize].next(row);
                moved |= next ^ *at;
                *at = next;
            }
            if moved == 0 {
                break;
            }
        }
        for (sum, at) in sums.iter_mut().zip(at) {
            *sum += f64::from(self.nodes[at as usize].value);
        }
    }

    fn mean(&self, sum: f64) -> f32 {
        (sum / self.roots.len() as f64) as f32
    }
}

impl Classifier for Forest {
    fn n_features(&self) -> usize {
        self.n_features
    }

    fn score_row(&self, row: &[f32]) -> f32 {
        self.mean(self.roots.iter().fold(0.0, |sum, &root| sum + self.leaf_value(root, row)))
    }

    fn score(&self, matrix: &FeatureMatrix) -> Vec<f32> {
        let width = matrix.n_features();
        let mut scores = Vec::with_capacity(matrix.n_rows());
        let mut sums = Vec::with_capacity(BLOCK_ROWS);
        for block in matrix.values().chunks(BLOCK_ROWS * width) {
            let rows: Vec<&[f32]> = block.chunks_exact(width).collect();
            let (lanes, rest) = rows.as_chunks::<LANES>();
            sums.clear();
            sums.resize(rows.len(), 0.0);
            for &root in &self.roots {
                let (lane_sums, rest_sums) = sums.split_at_mut(lanes.len() * LANES);
                for (rows, sums) in lanes.iter().zip(lane_sums.chunks_exact_mut(LANES)) {
                    self.add_leaf_values(root, rows, sums);
                }
                for (row, sum) in rest.iter().zip(rest_sums) {
                    *sum += self.leaf_value(root, row);
                }
            }
            scores.extend(sums.iter().map(|&sum| self.mean(sum)));
        }
        scores
    }
}

/// Takes trees node by node in preorder (a split, its left subtree, its right subtree) and checks them.
pub struct ForestBuilder {
    forest: Forest,
    /// Places of the open tree that wait for a node, the next one last.
    open: Vec<u32>,
}

impl ForestBuilder {
    pub fn new(n_features: usize) -> Result<Self, ScoringError> {
        if n_features == 0 || n_features > MAX_FEATURES {
            return Err(damaged(&format!("cannot hold a forest over {n_features} features (1 to {MAX_FEATURES})")));
        }
        Ok(Self { forest: Forest { n_features, nodes: Vec::new(), roots: Vec::new() }, open: Vec::new() })
    }

    pub fn begin_tree(&mut self) -> Result<(), ScoringError> {
        self.end_tree()?;
        let root = self.reserve(1)?;
        self.forest.roots.push(root);
        self.open.push(root);
        Ok(())
    }

    /// The threshold may be infinity: everything but missing values goes left.
    pub fn split(&mut self, feature: usize, threshold: f32, missing_left: bool) -> Result<(), ScoringError> {
        if feature >= self.forest.n_features {
            return Err(damaged(&format!("splits on feature {feature} of {}", self.forest.n_features)));
        }
        if threshold.is_nan() || threshold == f32::NEG_INFINITY {
            return Err(damaged("has a split without a threshold"));
        }
        let at = self.take_open()?;
        let left = self.reserve(2)?;
        let feature = feature as u32 | if missing_left { MISSING_LEFT } else { 0 };
        // Adding zero turns -0.0 into 0.0: equal thresholds have equal bits.
        self.forest.nodes[at as usize] = Node { feature, threshold: threshold + 0.0, left, value: 0.0 };
        self.open.extend([left + 1, left]);
        Ok(())
    }

    /// The weighted frequency of positives, in [0, 1].
    pub fn leaf(&mut self, value: f32) -> Result<(), ScoringError> {
        if !(0.0..=1.0).contains(&value) {
            return Err(damaged(&format!("has a leaf of value {value}: expected 0 to 1")));
        }
        let at = self.take_open()?;
        self.forest.nodes[at as usize] =
            Node { feature: MISSING_LEFT, threshold: f32::INFINITY, left: at, value: value + 0.0 };
        Ok(())
    }

    /// The forest, if its trees are complete and no feature has more thresholds than the file can hold.
    pub fn build(self) -> Result<Forest, ScoringError> {
        let forest = self.finish()?;
        match forest.edges().iter().position(|edges| edges.len() > MAX_EDGES) {
            Some(feature) => Err(damaged(&format!("cannot hold over {MAX_EDGES} thresholds of feature {feature}"))),
            None => Ok(forest),
        }
    }

    fn finish(self) -> Result<Forest, ScoringError> {
        self.end_tree()?;
        if self.forest.roots.is_empty() { Err(damaged("has no trees")) } else { Ok(self.forest) }
    }

    fn end_tree(&self) -> Result<(), ScoringError> {
        if self.open.is_empty() { Ok(()) } else { Err(damaged("has an incomplete tree")) }
    }

    fn take_open(&mut self) -> Result<u32, ScoringError> {
        self.open.pop().ok_or_else(|| damaged("has nodes outside a tree"))
    }

    /// Room for `n` nodes side by side.
    fn reserve(&mut self, n: usize) -> Result<u32, ScoringError> {
        let at = self.forest.nodes.len();
        let end = u32::try_from(at + n).map_err(|_| damaged("has more than 4 billion nodes"))?;
        self.forest.nodes.resize(at + n, Node { feature: 0, threshold: 0.0, left: 0, value: 0.0 });
        Ok(end - n as u32)
    }
}

impl Forest {
    fn is_leaf(&self, at: u32) -> bool {
        self.nodes[at as usize].left == at
    }

    /// Indices of all nodes in preorder, tree after tree.
    fn preorder(&self) -> impl Iterator<Item = u32> {
        let mut open: Vec<u32> = self.roots.iter().rev().copied().collect();
        std::iter::from_fn(move || {
            let at = open.pop()?;
            if !self.is_leaf(at) {
                let left = self.nodes[at as usize].left;
                open.extend([left + 1, left]);
            }
            Some(at)
        })
    }

    /// Which features any tree splits on.
    pub fn used_features(&self) -> Vec<bool> {
        let mut used = vec![false; self.n_features];
        for at in (0..self.nodes.len() as u32).filter(|&at| !self.is_leaf(at)) {
            used[self.nodes[at as usize].feature()] = true;
        }
        used
    }

    /// The distinct thresholds of each feature, ascending.
    fn edges(&self) -> Vec<Vec<f32>> {
        let mut edges = vec![Vec::new(); self.n_features];
        for at in (0..self.nodes.len() as u32).filter(|&at| !self.is_leaf(at)) {
            let node = self.nodes[at as usize];
            edges[node.feature()].push(node.threshold);
        }
        for edges in &mut edges {
            edges.sort_unstable_by(f32::total_cmp);
            edges.dedup();
        }
        edges
    }
}

#[cfg(test)]
mod tests;

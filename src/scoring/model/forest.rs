//! A fitted forest as one flat array of 16-byte nodes. Score = mean over trees of the leaf's weighted frequency of
//! positives, summed in f64 in tree order.
//!
//! A value goes left if `x <= threshold`; a missing one (NaN) goes where the split sends it. Trees are laid out in
//! preorder with siblings side by side, so a tree has exactly one layout and a forest exactly one file. The file holds
//! columns: topology bits, feature and bin code per split, edge tables of at most 256 edges per feature, leaf values.

use std::collections::BTreeMap;

use safetensors::Dtype;

use super::tensors::{Tensors, damaged, write};
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

    pub fn to_bytes(&self) -> Vec<u8> {
        let edges = self.edges();
        let mut offsets = vec![0u32];
        for edges in &edges {
            offsets.push(offsets[offsets.len() - 1] + edges.len() as u32);
        }
        let bin = |node: &Node| edges[node.feature()].partition_point(|edge| *edge < node.threshold) as u8;
        let order: Vec<u32> = self.preorder().collect();
        let splits = || order.iter().filter(|&&at| !self.is_leaf(at)).map(|&at| self.nodes[at as usize]);
        let leaves = || order.iter().filter(|&&at| self.is_leaf(at)).map(|&at| self.nodes[at as usize]);
        let ends = self.roots.iter().skip(1).copied().chain([self.nodes.len() as u32]);
        let array = |dtype, bytes: Vec<u8>, size| (dtype, vec![bytes.len() / size], bytes);
        write(BTreeMap::from([
            ("topology", array(Dtype::U8, pack(order.iter().map(|&at| !self.is_leaf(at))), 1)),
            ("tree_nodes", array(Dtype::U32, le(self.roots.iter().zip(ends).map(|(a, b)| (b - a).to_le_bytes())), 4)),
            ("split_feature", array(Dtype::U16, le(splits().map(|node| (node.feature() as u16).to_le_bytes())), 2)),
            ("split_bin", array(Dtype::U8, splits().map(|node| bin(&node)).collect(), 1)),
            ("missing_left", array(Dtype::U8, pack(splits().map(Node::missing_left)), 1)),
            ("edges", array(Dtype::F32, le(edges.iter().flatten().map(|edge| edge.to_le_bytes())), 4)),
            ("edge_offsets", array(Dtype::U32, le(offsets.iter().map(|offset| offset.to_le_bytes())), 4)),
            ("leaf_value", array(Dtype::F32, le(leaves().map(|node| node.value.to_le_bytes())), 4)),
        ]))
    }

    /// Every count, index and value is checked; whatever loads scores any row of `n_features` values.
    pub fn from_bytes(n_features: usize, bytes: &[u8]) -> Result<Forest, ScoringError> {
        let tensors = Tensors::read(bytes)?;
        let edges = EdgeTable::read(&tensors, n_features)?;
        let tree_nodes = tensors.u32s("tree_nodes")?;
        let n_nodes = tree_nodes.iter().try_fold(0usize, |sum, &n| sum.checked_add(n as usize));
        let n_nodes = n_nodes.ok_or_else(|| damaged("counts too many nodes"))?;
        let topology = packed(&tensors, "topology", n_nodes)?;
        let n_splits = (0..n_nodes).filter(|&at| bit(topology, at)).count();
        let features = sized("split_feature", tensors.u16s("split_feature")?, n_splits)?;
        let bins = sized("split_bin", tensors.u8s("split_bin")?, n_splits)?;
        let missing_left = packed(&tensors, "missing_left", n_splits)?;
        let leaves = sized("leaf_value", tensors.f32s("leaf_value")?, n_nodes - n_splits)?;

        let mut builder = ForestBuilder::new(n_features)?;
        let (mut at, mut split) = (0, 0);
        for &n_nodes in &tree_nodes {
            builder.begin_tree()?;
            for _ in 0..n_nodes {
                if bit(topology, at) {
                    let feature = features[split] as usize;
                    builder.split(feature, edges.edge(feature, bins[split])?, bit(missing_left, split))?;
                    split += 1;
                } else {
                    builder.leaf(leaves[at - split])?;
                }
                at += 1;
            }
        }
        builder.finish()
    }
}

/// Edges of all features one after another, and where each feature's begin.
struct EdgeTable {
    edges: Vec<f32>,
    offsets: Vec<u32>,
}

impl EdgeTable {
    fn read(tensors: &Tensors, n_features: usize) -> Result<Self, ScoringError> {
        let edges = tensors.f32s_or_infinite("edges")?;
        let offsets = sized("edge_offsets", tensors.u32s("edge_offsets")?, n_features.saturating_add(1))?;
        let ends = (offsets[0], offsets[n_features] as usize);
        let fits = |pair: &[u32]| pair[0] <= pair[1] && (pair[1] - pair[0]) as usize <= MAX_EDGES;
        if ends != (0, edges.len()) || !offsets.windows(2).all(fits) {
            return Err(damaged("array `edge_offsets` does not divide the edges among the features"));
        }
        let table = Self { edges, offsets };
        if !(0..n_features).all(|feature| table.of(feature).is_sorted_by(|a, b| a < b)) {
            return Err(damaged("array `edges` is not ascending"));
        }
        Ok(table)
    }

    fn of(&self, feature: usize) -> &[f32] {
        &self.edges[self.offsets[feature] as usize..self.offsets[feature + 1] as usize]
    }

    fn edge(&self, feature: usize, bin: u8) -> Result<f32, ScoringError> {
        let known = (feature + 1 < self.offsets.len()).then(|| self.of(feature).get(bin as usize).copied()).flatten();
        known.ok_or_else(|| damaged(&format!("names edge {bin} of feature {feature}, which does not exist")))
    }
}

fn le<const N: usize>(values: impl Iterator<Item = [u8; N]>) -> Vec<u8> {
    values.flatten().collect()
}

/// Eight to a byte, the lowest bit first.
fn pack(bits: impl Iterator<Item = bool>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (at, bit) in bits.enumerate() {
        if at % 8 == 0 {
            bytes.push(0);
        }
        bytes[at / 8] |= u8::from(bit) << (at % 8);
    }
    bytes
}

fn bit(bytes: &[u8], at: usize) -> bool {
    bytes[at / 8] >> (at % 8) & 1 == 1
}

/// An array of exactly `n` bits.
fn packed<'a>(tensors: &Tensors<'a>, name: &str, n: usize) -> Result<&'a [u8], ScoringError> {
    sized(name, tensors.u8s(name)?, n.div_ceil(8))
}

fn sized<T, A: AsRef<[T]>>(name: &str, array: A, n: usize) -> Result<A, ScoringError> {
    let found = array.as_ref().len();
    if found == n { Ok(array) } else { Err(damaged(&format!("array `{name}`: expected {n} values, found {found}"))) }
}

#[cfg(test)]
mod tests;

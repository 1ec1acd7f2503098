//! A forest as columns of `model.safetensors`, and back from hostile bytes.
//!
//! Nodes stand in preorder, tree after tree: `topology` (a bit per node, 1 = split), `tree_nodes` (nodes per tree); per
//! split `split_feature`, `split_bin` (which of the feature's edges) and `missing_left` (a bit); the edges in use of all
//! features, ascending, in `edges`, where each feature's begin in `edge_offsets`; per leaf `leaf_value`.

use std::collections::BTreeMap;

use safetensors::Dtype;

use super::{Forest, ForestBuilder, MAX_EDGES, Node};
use crate::scoring::error::ScoringError;
use crate::scoring::model::tensors::{Tensors, damaged, write};

impl Forest {
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

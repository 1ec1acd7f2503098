//! A forest as columns of `model.safetensors`, and back from hostile bytes.
//!
//! Nodes stand in preorder, tree after tree: `topology` (a bit per node, 1 = split), `tree_nodes` (nodes per tree); per
//! split `split_feature` (a byte up to 256 features, else two), `split_bin` (which of the feature's edges) and
//! `missing_left` (a bit); the edges in use of all features, ascending, in `edges`, where each feature's begin in
//! `edge_offsets`. Leaves are one of: `leaf_counts` (LEB128 varints, negatives and positives) with `class_weights`,
//! `leaf_weights` (the same two sums as f32), or `leaf_value` (files written before nodes knew their values). Where a
//! split is a subset of its feature's bins: `subset_split` (a bit per split) and `subset_left`, a bit per bin in whole
//! bytes for each of them; `split_bin` is 0 there. About 2.3 bytes a node in all.

use std::collections::BTreeMap;

use safetensors::Dtype;

use super::{Edges, Forest, ForestBuilder, Leaves, MAX_EDGES, Node};
use crate::scoring::error::ScoringError;
use crate::scoring::model::tensors::{Tensors, damaged, write};

impl Forest {
    pub fn to_bytes(&self) -> Vec<u8> {
        let order: Vec<Node> = self.preorder().map(|at| self.nodes[at as usize]).collect();
        let splits = || order.iter().filter(|node| !node.is_leaf());
        let leaves = || order.iter().filter(|node| node.is_leaf());
        let array = |dtype, bytes: Vec<u8>, size| (dtype, vec![bytes.len() / size], bytes);
        let features = match narrow_features(self.n_features, self.leaves) {
            true => array(Dtype::U8, splits().map(|node| node.feature() as u8).collect(), 1),
            false => array(Dtype::U16, le(splits().map(|node| (node.feature() as u16).to_le_bytes())), 2),
        };
        let lengths = (0..self.n_trees()).map(|tree| (self.tree(tree).len() as u32).to_le_bytes());
        let mut arrays = BTreeMap::from([
            ("topology", array(Dtype::U8, pack(order.iter().map(|node| !node.is_leaf())), 1)),
            ("tree_nodes", array(Dtype::U32, le(lengths), 4)),
            ("split_feature", features),
            ("split_bin", array(Dtype::U8, splits().map(|node| node.edge()).collect(), 1)),
            ("missing_left", array(Dtype::U8, pack(splits().map(|node| node.missing_left())), 1)),
            ("edges", array(Dtype::F32, le(self.edges.values.iter().map(|edge| edge.to_le_bytes())), 4)),
            ("edge_offsets", array(Dtype::U32, le(self.edges.offsets.iter().map(|offset| offset.to_le_bytes())), 4)),
        ]);
        if !self.subsets.is_empty() {
            arrays.insert("subset_split", array(Dtype::U8, pack(splits().map(|node| node.is_subset())), 1));
            let subsets = splits().filter(|node| node.is_subset()).flat_map(|node| self.subset_bytes(*node));
            arrays.insert("subset_left", array(Dtype::U8, subsets.collect(), 1));
        }
        match self.leaves {
            Leaves::Values => {
                let values = le(leaves().map(|node| node.place().to_le_bytes()));
                arrays.insert("leaf_value", array(Dtype::F32, values, 4));
            }
            Leaves::Weights => {
                let of = |node: &Node| self.leaf_weights[node.place() as usize];
                let weights = le(leaves().flat_map(of).map(f32::to_le_bytes));
                arrays.insert("leaf_weights", array(Dtype::F32, weights, 4));
            }
            Leaves::Counts(weights) => {
                let mut counts = Vec::new();
                leaves().flat_map(|node| node.counts()).for_each(|count| push_varint(&mut counts, count));
                arrays.insert("leaf_counts", array(Dtype::U8, counts, 1));
                arrays.insert("class_weights", array(Dtype::F64, le(weights.map(f64::to_le_bytes).into_iter()), 8));
            }
        }
        write(arrays)
    }

    /// A bit per bin of the feature, in whole bytes.
    fn subset_bytes(&self, node: Node) -> impl Iterator<Item = u8> + use<> {
        let n_bytes = subset_size(self.edges.of(node.feature()));
        self.subsets[node.place() as usize].left_bins.map(u64::to_le_bytes).into_iter().flatten().take(n_bytes)
    }

    /// Every count, index and value is checked; whatever loads scores any row of `n_features` values.
    pub fn from_bytes(n_features: usize, bytes: &[u8]) -> Result<Forest, ScoringError> {
        let tensors = Tensors::read(bytes)?;
        let edges = read_edges(&tensors, n_features)?;
        let tree_nodes = tensors.u32s("tree_nodes")?;
        let n_nodes = tree_nodes.iter().try_fold(0usize, |sum, &n| sum.checked_add(n as usize));
        let n_nodes = n_nodes.ok_or_else(|| damaged("counts too many nodes"))?;
        let topology = packed(&tensors, "topology", n_nodes)?;
        let n_splits = (0..n_nodes).filter(|&at| bit(topology, at)).count();
        let mut builder = ForestBuilder::new(n_features)?.with_edges(&edges)?;
        let mut splits = SplitColumns::read(&tensors, n_splits, &edges)?;
        let mut leaves = LeafColumn::read(&tensors, n_nodes - n_splits)?;
        if let LeafColumn::Counts { class_weights, .. } = &leaves {
            builder = builder.with_class_weights(*class_weights);
        }
        // No more than the bytes that were read can name.
        builder = builder.with_room(n_splits + leaves.n_left().min(n_nodes - n_splits));
        let mut at = 0;
        for &n_nodes in &tree_nodes {
            builder.begin_tree()?;
            for _ in 0..n_nodes {
                match bit(topology, at) {
                    true => splits.push_next(&mut builder)?,
                    false => leaves.push_next(&mut builder)?,
                }
                at += 1;
            }
        }
        let forest = builder.build()?;
        if !splits.subset_left.is_empty() || leaves.n_left() > 0 {
            return Err(damaged("holds more subsets or leaves than its nodes name"));
        }
        Ok(forest)
    }
}

/// One byte names a feature where there are few; files of leaf values always used two.
fn narrow_features(n_features: usize, leaves: Leaves) -> bool {
    n_features <= 1 << 8 && leaves != Leaves::Values
}

/// Bytes of a subset of a feature's bins; there is one bin more than finite edges.
fn subset_size(edges: &[f32]) -> usize {
    (of_bins(edges).len() + 1).div_ceil(8)
}

fn of_bins(edges: &[f32]) -> &[f32] {
    &edges[..edges.partition_point(|edge| *edge < f32::INFINITY)]
}

/// The splits that still have to be read.
struct SplitColumns<'a> {
    edges: &'a Edges,
    features: Vec<u16>,
    bins: &'a [u8],
    missing_left: &'a [u8],
    is_subset: Option<&'a [u8]>,
    subset_left: &'a [u8],
    at: usize,
}

impl<'a> SplitColumns<'a> {
    fn read(tensors: &Tensors<'a>, n_splits: usize, edges: &'a Edges) -> Result<Self, ScoringError> {
        let narrow = tensors.u8s("split_feature").map(|bytes| bytes.iter().map(|&feature| feature.into()).collect());
        let has_subsets = tensors.has("subset_split");
        Ok(Self {
            edges,
            features: sized("split_feature", narrow.or_else(|_| tensors.u16s("split_feature"))?, n_splits)?,
            bins: sized("split_bin", tensors.u8s("split_bin")?, n_splits)?,
            missing_left: packed(tensors, "missing_left", n_splits)?,
            is_subset: has_subsets.then(|| packed(tensors, "subset_split", n_splits)).transpose()?,
            subset_left: if has_subsets { tensors.u8s("subset_left")? } else { &[] },
            at: 0,
        })
    }

    #[inline(always)]
    fn push_next(&mut self, builder: &mut ForestBuilder) -> Result<(), ScoringError> {
        let (at, feature) = (self.at, usize::from(self.features[self.at]));
        self.at += 1;
        let missing_left = bit(self.missing_left, at);
        if !self.is_subset.is_some_and(|is_subset| bit(is_subset, at)) {
            return builder.split_at(feature, self.bins[at], missing_left);
        }
        // An unknown feature has no edges and is refused by the builder.
        let edges = if feature + 1 < self.edges.offsets.len() { self.edges.of(feature) } else { &[] };
        let taken = self.subset_left.split_at_checked(subset_size(edges));
        let (bytes, rest) = taken.ok_or_else(|| damaged("array `subset_left` ends too early"))?;
        self.subset_left = rest;
        let mut left = [0u64; 4];
        for (at, &byte) in bytes.iter().enumerate() {
            left[at / 8] |= u64::from(byte) << (at % 8 * 8);
        }
        builder.split_subset(feature, of_bins(edges), left, missing_left)
    }
}

/// The leaves that still have to be read.
enum LeafColumn<'a> {
    Values(std::vec::IntoIter<f32>),
    Weights(std::vec::IntoIter<f32>),
    Counts { class_weights: [f64; 2], bytes: &'a [u8] },
}

impl<'a> LeafColumn<'a> {
    fn read(tensors: &Tensors<'a>, n_leaves: usize) -> Result<Self, ScoringError> {
        Ok(if tensors.has("leaf_counts") {
            let weights = tensors.f64s("class_weights", &[2])?;
            LeafColumn::Counts { class_weights: [weights[0], weights[1]], bytes: tensors.u8s("leaf_counts")? }
        } else if tensors.has("leaf_weights") {
            let weights = sized("leaf_weights", tensors.f32s("leaf_weights")?, n_leaves.saturating_mul(2))?;
            LeafColumn::Weights(weights.into_iter())
        } else {
            LeafColumn::Values(sized("leaf_value", tensors.f32s("leaf_value")?, n_leaves)?.into_iter())
        })
    }

    #[inline(always)]
    fn push_next(&mut self, builder: &mut ForestBuilder) -> Result<(), ScoringError> {
        let too_few = || damaged("has too few leaves");
        match self {
            LeafColumn::Values(values) => builder.leaf(values.next().ok_or_else(too_few)?),
            LeafColumn::Weights(weights) => {
                let [negatives, positives] = [weights.next(), weights.next()];
                builder.leaf_weights([negatives.ok_or_else(too_few)?, positives.ok_or_else(too_few)?])
            }
            LeafColumn::Counts { bytes, .. } => builder.leaf_counts([take_varint(bytes)?, take_varint(bytes)?]),
        }
    }

    fn n_left(&self) -> usize {
        match self {
            LeafColumn::Values(values) | LeafColumn::Weights(values) => values.len(),
            LeafColumn::Counts { bytes, .. } => bytes.len(),
        }
    }
}

fn read_edges(tensors: &Tensors, n_features: usize) -> Result<Edges, ScoringError> {
    let values = tensors.f32s_or_infinite("edges")?;
    let offsets = sized("edge_offsets", tensors.u32s("edge_offsets")?, n_features.saturating_add(1))?;
    let ends = (offsets[0], offsets[n_features] as usize);
    let fits = |pair: &[u32]| pair[0] <= pair[1] && (pair[1] - pair[0]) as usize <= MAX_EDGES;
    if ends != (0, values.len()) || !offsets.windows(2).all(fits) {
        return Err(damaged("array `edge_offsets` does not divide the edges among the features"));
    }
    let edges = Edges { values, offsets };
    if !(0..n_features).all(|feature| edges.of(feature).is_sorted_by(|a, b| a < b)) {
        return Err(damaged("array `edges` is not ascending"));
    }
    Ok(edges)
}

/// LEB128: seven bits to a byte, the lowest first, the top bit on all but the last byte.
pub(super) fn push_varint(bytes: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// The next varint, in its shortest form and within 32 bits.
#[inline]
pub(super) fn take_varint(bytes: &mut &[u8]) -> Result<u32, ScoringError> {
    if let [byte @ 0..0x80, rest @ ..] = *bytes {
        *bytes = rest;
        return Ok(u32::from(*byte));
    }
    take_long_varint(bytes)
}

fn take_long_varint(bytes: &mut &[u8]) -> Result<u32, ScoringError> {
    let mut value = 0u64;
    for (at, &byte) in bytes.iter().enumerate().take(5) {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            let is_shortest = at == 0 || byte > 0;
            *bytes = &bytes[at + 1..];
            let value = u32::try_from(value).ok().filter(|_| is_shortest);
            return value.ok_or_else(|| damaged("array `leaf_counts` holds a count that is not in its one form"));
        }
    }
    Err(damaged("array `leaf_counts` ends too early or holds a count of more than 32 bits"))
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

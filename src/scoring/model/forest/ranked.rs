//! Scoring many rows: values become ranks once per block of rows, nodes shrink to 8 bytes.
//!
//! A row's rank of a feature is the number of edges below its value, so `x <= edge j` is `rank <= j`. Its code is 0 where
//! the value is missing, else the rank plus one; a split compares `code - 0` or `code - 1` (wrapping) with a limit, and so
//! sends missing values left or right without a test of its own. A leaf is a split that sends every code to itself.
//! A block of rows in bytes and one tree fit the second-level cache; 8 rows descend side by side. Scores have the bits
//! of single rows: the same leaves, summed in the same order.
//!
//! The nodes are made when first needed and kept: 12 bytes a node more, for processes that score tables. Limits: at most
//! 254 finite edges per feature (255 bins); forests with more, and few rows, are scored on their values.

use std::sync::OnceLock;

use super::{Forest, LANES, Node, Subset, contains, side_by_side};
use crate::scoring::matrix::FeatureMatrix;

/// Finite edges per feature whose codes fit a byte.
const MAX_RANKED_EDGES: usize = 254;
/// Fewer rows are not worth making the nodes.
const MIN_ROWS: usize = 512;
/// Rows and bytes of codes that are scored together: many rows, so that each tree is fetched rarely.
const MAX_BLOCK_ROWS: usize = 4096;
const MAX_BLOCK_BYTES: usize = 4 << 20;
/// Rows and features that are coded together: their values share cache lines.
const CODED_ROWS: usize = 64;
const CODED_FEATURES: usize = 16;

/// Made at most once; not part of what a forest is.
#[derive(Debug, Clone, Default)]
pub(super) struct RankedOnce(OnceLock<Option<Box<Ranked>>>);

impl PartialEq for RankedOnce {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Forest {
    /// The forest on ranks, if it is worth it for so many rows.
    pub(super) fn ranked(&self, n_rows: usize) -> Option<&Ranked> {
        // Coding a row costs about as much as two steps down a tree per feature.
        let n_steps = self.n_trees() * (self.n_nodes() / self.n_trees()).ilog2() as usize;
        if n_rows < MIN_ROWS || n_steps < self.n_features / 2 {
            return None;
        }
        self.ranked.0.get_or_init(|| Ranked::of(self).map(Box::new)).as_deref()
    }
}

/// Bits 32.. the left child (of a subset split its place among the subsets), 16.. the feature, 8.. the limit, 0.. what
/// is taken off the code before it is compared, or `SUBSET_SPLIT`.
type RankedNode = u64;

const SUBSET_SPLIT: u8 = 2;

/// A subset of codes, and the left child.
#[derive(Debug, Clone, Copy)]
struct RankedSubset {
    left_codes: Subset,
    left: u32,
}

#[derive(Debug, Clone)]
pub(super) struct Ranked {
    nodes: Vec<RankedNode>,
    /// Of the nodes, for their leaves.
    values: Vec<f32>,
    roots: Vec<u32>,
    subsets: Vec<RankedSubset>,
    /// Of the features that are split on; the others' codes stay 0.
    coders: Vec<Coder>,
}

impl Ranked {
    /// None where some feature has too many edges.
    pub(super) fn of(forest: &Forest) -> Option<Ranked> {
        let features = (0..forest.n_features).map(|feature| (feature, forest.edges.of(feature)));
        // A split of a feature without edges parts missing values from all others.
        let mut is_used = vec![false; forest.n_features];
        forest.nodes.iter().filter(|node| !node.is_leaf()).for_each(|node| is_used[node.feature()] = true);
        let coders =
            features.filter(|&(feature, _)| is_used[feature]).map(|(feature, edges)| Coder::of(feature, edges));
        let coders = coders.collect::<Option<Vec<Coder>>>()?;
        let mut n_finite = vec![0; forest.n_features];
        coders.iter().for_each(|coder| n_finite[coder.feature] = coder.n_edges);
        let mut subsets = Vec::new();
        let mut ranked = |(at, node): (usize, &Node)| -> RankedNode {
            let (left, limit, less) = match node {
                leaf if leaf.is_leaf() => (at as u32, u8::MAX, 0),
                split if split.is_subset() => {
                    let left_codes = codes(&forest.subsets[split.cut as usize], split.missing_left());
                    subsets.push(RankedSubset { left_codes, left: split.left });
                    (subsets.len() as u32 - 1, 0, SUBSET_SPLIT)
                }
                // An infinite edge stands behind the finite ones, and every rank is at most its number.
                split => {
                    let limit = split.edge().min(n_finite[split.feature()]);
                    if split.missing_left() { (split.left, limit + 1, 0) } else { (split.left, limit, 1) }
                }
            };
            u64::from(left) << 32 | (node.feature() as u64) << 16 | u64::from(limit) << 8 | u64::from(less)
        };
        let nodes = forest.nodes.iter().enumerate().map(&mut ranked).collect();
        let values = forest.nodes.iter().map(|node| node.value).collect();
        Some(Ranked { nodes, values, roots: forest.roots.clone(), subsets, coders })
    }

    /// The sums of the leaf values of all rows, in order.
    pub(super) fn score(&self, matrix: &FeatureMatrix) -> Vec<f64> {
        let width = matrix.n_features();
        let block_rows = (MAX_BLOCK_BYTES / width).clamp(CODED_ROWS, MAX_BLOCK_ROWS);
        let mut sums = vec![0.0; matrix.n_rows()];
        let mut codes = vec![0; block_rows.min(matrix.n_rows()) * width];
        for (block, sums) in matrix.values().chunks(block_rows * width).zip(sums.chunks_mut(block_rows)) {
            let codes = &mut codes[..block.len()];
            for (block, codes) in block.chunks(CODED_ROWS * width).zip(codes.chunks_mut(CODED_ROWS * width)) {
                self.coders.chunks(CODED_FEATURES).flatten().for_each(|coder| coder.code(block, codes, width));
            }
            let rows: Vec<&[u8]> = codes.chunks_exact(width).collect();
            match self.subsets.is_empty() {
                true => self.add_leaf_values::<false>(&rows, sums),
                false => self.add_leaf_values::<true>(&rows, sums),
            }
        }
        sums
    }

    fn add_leaf_values<const HAS_SUBSETS: bool>(&self, rows: &[&[u8]], sums: &mut [f64]) {
        for &root in &self.roots {
            for (rows, sums) in rows.chunks(LANES).zip(sums.chunks_mut(LANES)) {
                let leaves = self.descend::<HAS_SUBSETS>(root, &side_by_side(rows));
                for (sum, leaf) in sums.iter_mut().zip(leaves) {
                    *sum += f64::from(self.values[leaf as usize]);
                }
            }
        }
    }

    /// The leaves that rows of codes reach from a root, side by side.
    #[inline(always)]
    fn descend<const HAS_SUBSETS: bool>(&self, root: u32, rows: &[&[u8]; LANES]) -> [u32; LANES] {
        let mut at = [root; LANES];
        loop {
            let mut moved = 0;
            for (at, row) in at.iter_mut().zip(rows) {
                let node = self.nodes[*at as usize];
                let code = row[(node >> 16) as usize & 0xffff];
                let next = if HAS_SUBSETS && node as u8 == SUBSET_SPLIT {
                    let subset = &self.subsets[(node >> 32) as usize];
                    subset.left + u32::from(!contains(&subset.left_codes, usize::from(code)))
                } else {
                    (node >> 32) as u32 + u32::from(code.wrapping_sub(node as u8) > (node >> 8) as u8)
                };
                moved |= next ^ *at;
                *at = next;
            }
            if moved == 0 {
                return at;
            }
        }
    }
}

/// A set of bins as a set of codes.
fn codes(bins: &Subset, missing: bool) -> Subset {
    let mut codes = *bins;
    let mut carry = u64::from(missing);
    for word in &mut codes {
        (*word, carry) = (*word << 1 | carry, *word >> 63);
    }
    codes
}

const BUCKETS: usize = 256;

/// The codes of one feature. Edges are found from a grid of equal steps between the first and the last: its function
/// never falls as x rises, so edges in lower buckets are below x, and a short search among those of its own remains.
#[derive(Debug, Clone)]
pub(super) struct Coder {
    feature: usize,
    n_edges: u8,
    low: f32,
    scale: f32,
    /// Edges in lower buckets.
    below: Box<[u8; BUCKETS]>,
    /// The finite edges, then infinities.
    edges: Box<[f32; 512]>,
    /// Steps of the search: at most `2^n_steps - 1` edges share a bucket.
    n_steps: u32,
}

impl Coder {
    pub(super) fn of(feature: usize, edges: &[f32]) -> Option<Coder> {
        let edges = &edges[..edges.partition_point(|edge| *edge < f32::INFINITY)];
        let (low, high) = (edges.first().copied().unwrap_or(0.0), edges.last().copied().unwrap_or(0.0));
        let scale = if high > low { (BUCKETS - 1) as f32 / (high - low) } else { 0.0 };
        let mut coder = Coder {
            feature,
            n_edges: u8::try_from(edges.len()).ok().filter(|&n| usize::from(n) <= MAX_RANKED_EDGES)?,
            low,
            scale,
            below: Box::new([0; BUCKETS]),
            edges: Box::new([f32::INFINITY; 512]),
            n_steps: 0,
        };
        coder.edges[..edges.len()].copy_from_slice(edges);
        let mut in_bucket = [0u32; BUCKETS];
        edges.iter().for_each(|&edge| in_bucket[coder.bucket(edge)] += 1);
        let mut n_below = 0;
        for (below, n) in coder.below.iter_mut().zip(in_bucket) {
            *below = n_below as u8;
            n_below += n;
            coder.n_steps = coder.n_steps.max(u32::BITS - n.leading_zeros());
        }
        Some(coder)
    }

    #[inline(always)]
    fn bucket(&self, x: f32) -> usize {
        // A product that is no number (NaN) ends in bucket 0.
        ((x - self.low) * self.scale).max(0.0).min((BUCKETS - 1) as f32) as usize % BUCKETS
    }

    /// Codes this feature of some rows of `width` values.
    pub(super) fn code(&self, rows: &[f32], codes: &mut [u8], width: usize) {
        match self.n_steps {
            0 | 1 => self.code_in_steps::<1>(rows, codes, width),
            2 => self.code_in_steps::<2>(rows, codes, width),
            3 => self.code_in_steps::<3>(rows, codes, width),
            4 => self.code_in_steps::<4>(rows, codes, width),
            _ => self.code_in_steps::<8>(rows, codes, width),
        }
    }

    #[inline(never)]
    fn code_in_steps<const STEPS: u32>(&self, rows: &[f32], codes: &mut [u8], width: usize) {
        for (row, codes) in rows.chunks_exact(width).zip(codes.chunks_exact_mut(width)) {
            let x = row[self.feature];
            let mut rank = usize::from(self.below[self.bucket(x)]);
            for step in (0..STEPS).rev().map(|step| 1 << step) {
                rank += if self.edges[(rank + step - 1) % 512] < x { step } else { 0 };
            }
            codes[self.feature] = if x.is_nan() { 0 } else { rank as u8 + 1 };
        }
    }
}

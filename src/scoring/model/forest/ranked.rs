//! Scoring many rows: values become ranks once per block of rows, nodes shrink to 8 bytes.
//!
//! A row's rank of a feature is the number of edges below its value, so `x <= edge j` is `rank <= j`. Its code is 0 where
//! the value is missing, else the rank plus one ([`coder`]); a split compares `code - 0` or `code - 1` (wrapping) with a
//! limit, and so sends missing values left or right without a test of its own. A leaf is a split that sends every code to
//! itself. A block of rows goes down one tree after the other ([`walk`]). Scores have the bits of single rows: the same
//! leaves, summed in the same order.
//!
//! The nodes are made when first needed and kept: 12 bytes a node more, for processes that score tables. Limits: at most
//! 254 finite edges per feature (255 bins); forests with more, and few rows, are scored on their values.

use std::sync::OnceLock;

use super::{Forest, Node, Subset, contains};
use crate::scoring::matrix::FeatureMatrix;
pub(super) use coder::Coder;
use walk::{MAX_BLOCK_ROWS, WORD, Walk};

mod coder;
mod walk;

/// Fewer rows are not worth making the nodes.
const MIN_ROWS: usize = 512;
/// Bytes of codes that are scored together.
const MAX_BLOCK_BYTES: usize = 4 << 20;
/// Features that are coded together: their values share cache lines.
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
        coders.iter().for_each(|coder| n_finite[coder.feature] = coder.n_edges());
        let mut subsets = Vec::new();
        let mut ranked = |(at, node): (usize, &Node)| -> RankedNode {
            let (left, limit, less) = match node {
                leaf if leaf.is_leaf() => (at as u32, u8::MAX, 0),
                split if split.is_subset() => {
                    let subset = &forest.subsets[split.place() as usize];
                    let left_codes = codes(&subset.left_bins, split.missing_left());
                    subsets.push(RankedSubset { left_codes, left: subset.left });
                    (subsets.len() as u32 - 1, 0, SUBSET_SPLIT)
                }
                // An infinite edge stands behind the finite ones, and every rank is at most its number.
                split => {
                    let limit = split.edge().min(n_finite[split.feature()]);
                    if split.missing_left() { (split.place(), limit + 1, 0) } else { (split.place(), limit, 1) }
                }
            };
            let feature = if node.is_leaf() { 0 } else { node.feature() };
            u64::from(left) << 32 | (feature as u64) << 16 | u64::from(limit) << 8 | u64::from(less)
        };
        let nodes = forest.nodes.iter().enumerate().map(&mut ranked).collect();
        let value = |node: &Node| if node.is_leaf() { forest.leaf_value(*node) } else { 0.0 };
        let values = forest.nodes.iter().map(value).collect();
        Some(Ranked { nodes, values, roots: forest.roots.clone(), subsets, coders })
    }

    /// The sums of the leaf values of all rows, in order.
    pub(super) fn score(&self, matrix: &FeatureMatrix) -> Vec<f64> {
        let width = matrix.n_features();
        let most = (MAX_BLOCK_BYTES / width / WORD * WORD).clamp(WORD, MAX_BLOCK_ROWS);
        let mut codes = Codes::of(most.min(matrix.n_rows().next_multiple_of(WORD)), width);
        let mut sums = vec![0.0; matrix.n_rows()];
        let mut walk = Walk::default();
        for (block, sums) in matrix.values().chunks(most * width).zip(sums.chunks_mut(most)) {
            codes.fill(&self.coders, block);
            match self.subsets.is_empty() {
                true => self.roots.iter().for_each(|&root| walk.down::<false>(self, root, &codes, sums)),
                false => self.roots.iter().for_each(|&root| walk.down::<true>(self, root, &codes, sums)),
            }
        }
        sums
    }

    /// Where a code goes from a node; a leaf keeps it.
    #[inline(always)]
    fn next<const HAS_SUBSETS: bool>(&self, node: RankedNode, code: u8) -> u32 {
        if HAS_SUBSETS && node as u8 == SUBSET_SPLIT {
            let subset = &self.subsets[(node >> 32) as usize];
            return subset.left + u32::from(!contains(&subset.left_codes, usize::from(code)));
        }
        (node >> 32) as u32 + u32::from(code.wrapping_sub(node as u8) > (node >> 8) as u8)
    }
}

/// The codes of a block of rows, twice: nodes of many rows read columns, nodes of few rows read rows.
struct Codes {
    width: usize,
    n_rows: usize,
    by_column: Vec<u8>,
    by_row: Vec<u8>,
}

impl Codes {
    fn of(n_rows: usize, width: usize) -> Codes {
        Codes { width, n_rows, by_column: vec![0; n_rows * width], by_row: vec![0; n_rows * width] }
    }

    fn fill(&mut self, coders: &[Coder], block: &[f32]) {
        let width = self.width;
        let words = block.chunks(WORD * width).zip(self.by_row.chunks_mut(WORD * width));
        for (word, (rows, by_row)) in words.enumerate() {
            for coder in coders.chunks(CODED_FEATURES).flatten() {
                let mut values = [f32::NAN; WORD];
                values.iter_mut().zip(rows.chunks_exact(width)).for_each(|(x, row)| *x = row[coder.feature]);
                let codes = coder.code(&values);
                let column = &mut self.by_column[coder.feature * self.n_rows..][..self.n_rows];
                column[word * WORD..][..WORD].copy_from_slice(&codes);
                by_row.chunks_exact_mut(width).zip(codes).for_each(|(row, code)| row[coder.feature] = code);
            }
        }
    }

    fn column(&self, feature: usize) -> &[[u8; WORD]] {
        self.by_column[feature * self.n_rows..][..self.n_rows].as_chunks().0
    }

    fn row(&self, row: u16) -> &[u8] {
        &self.by_row[usize::from(row) * self.width..][..self.width]
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

//! Out-of-bag scores (Breiman 2001): every row scored by the trees that drew no entry of it.
//!
//! In: grown trees and the draws behind them, made again from their seeds. Out: per row of the matrix the mean of those
//! trees' leaf values, NaN where all trees drew the row. Sums run in tree order.

use rayon::prelude::*;

use super::bins::{BinnedMatrix, MISSING};
use super::grow::{GrownCut, GrownNode, GrownTree};
use super::samples::{Sum, below};
use super::split::has_bit;
use super::{leaf_value, n_draws, tree_rng};
use crate::training::config::ForestConfig;
use crate::training::rows::TrainingSet;
use crate::training::seed::Seed;

/// Trees whose draws are held at once: a bit per row and tree.
const TREES: usize = 64;
/// Rows per task.
const ROWS: usize = 4096;

pub fn scores<T: Sum>(
    config: &ForestConfig,
    binned: &BinnedMatrix,
    set: &TrainingSet,
    class_weights: [f64; 2],
    seed: Seed,
    trees: &[GrownTree<T>],
) -> Vec<f32> {
    let mut sums = vec![(0.0f64, 0u32); set.n_rows()];
    for (block, trees) in trees.chunks(TREES).enumerate() {
        let drawn = drawn(config, set, seed, block * TREES, trees.len());
        let rights: Vec<Vec<u32>> = trees.par_iter().map(right_children).collect();
        sums.par_chunks_mut(ROWS).enumerate().for_each(|(task, sums)| {
            binned.expect_rows(task * ROWS..task * ROWS + sums.len());
            for (row, sum) in (task * ROWS..).zip(sums) {
                for (at, (tree, rights)) in trees.iter().zip(&rights).enumerate() {
                    if drawn[row] >> at & 1 == 0 {
                        sum.0 += f64::from(value(tree, rights, binned.row(row), class_weights));
                        sum.1 += 1;
                    }
                }
            }
        });
    }
    sums.into_iter().map(|(sum, n)| if n > 0 { (sum / f64::from(n)) as f32 } else { f32::NAN }).collect()
}

/// A bit per row and tree: whether the tree drew an entry of the row.
fn drawn(config: &ForestConfig, set: &TrainingSet, seed: Seed, first: usize, n_trees: usize) -> Vec<u64> {
    let mut drawn = vec![0u64; set.n_rows()];
    for tree in 0..n_trees {
        let mut rng = tree_rng(seed, first + tree);
        for _ in 0..n_draws(config, set) {
            drawn[set.entries()[below(&mut rng, set.n_entries())] as usize] |= 1 << tree;
        }
    }
    drawn
}

/// Where each split's right child stands; its left child follows it.
fn right_children<T>(tree: &GrownTree<T>) -> Vec<u32> {
    let mut rights = vec![0; tree.nodes.len()];
    // Splits whose left side is still being walked.
    let mut open: Vec<usize> = Vec::new();
    for (at, node) in tree.nodes.iter().enumerate() {
        match node {
            GrownNode::Split { .. } => open.push(at),
            GrownNode::Leaf(_) => {
                if let Some(split) = open.pop() {
                    rights[split] = at as u32 + 1;
                }
            }
        }
    }
    rights
}

fn value<T: Sum>(tree: &GrownTree<T>, rights: &[u32], codes: &[u8], class_weights: [f64; 2]) -> f32 {
    let mut at = 0;
    loop {
        match tree.nodes[at] {
            GrownNode::Leaf(sum) => return leaf_value(sum, class_weights),
            GrownNode::Split { feature, cut, missing_left } => {
                let code = codes[feature as usize];
                let goes_left = match cut {
                    _ if code == MISSING => missing_left,
                    GrownCut::AtMost(last) => code <= last,
                    GrownCut::Among(subset) => has_bit(&tree.subsets[subset as usize], code),
                };
                at = if goes_left { at + 1 } else { rights[at] as usize };
            }
        }
    }
}

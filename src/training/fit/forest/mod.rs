//! Random forests and extra trees, grown on binned columns. In: a [`TrainingSet`]; out: a frozen [`Forest`].
//!
//! Breiman (2001) and Geurts et al. (2006) with scikit-learn's defaults: grown until pure, `sqrt(n_features)` candidate
//! columns per split, leaves of weighted class frequencies. Splits are searched over at most 255 bins per column (all
//! values where there are no more); missing values have a bin of their own and each split learns where they go, by
//! trying both sides. A column that is constant in a node does not count as a candidate, and the search goes on until
//! one valid split is found. `min_samples_*` count draws. Two classes only.
//!
//! Trees grow in parallel, each from its own seed, so the thread count cannot change a byte.

pub mod bins;
mod best_first;
mod criterion;
mod cuts;
mod dense;
mod drawn;
mod few;
mod gain;
mod grow;
mod histogram;
mod nearby;
mod out_of_bag;
mod quantiles;
mod samples;
mod search;
mod sixteen;
mod split;
mod tally;
mod turn;

use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::scoring::model::forest::{Forest, ForestBuilder};
use crate::training::config::ForestConfig;
use crate::training::error::{Error, Result};
use crate::training::progress::{Progress, Unit};
use crate::training::rows::TrainingSet;
use crate::training::seed::Seed;

pub use bins::BinnedMatrix;
use bins::MISSING;
use grow::{GrownCut, GrownNode, GrownTree, TreeGrower};
use samples::{Counted, Sample, Samples, Sum, Weighted};

/// How a column's threshold is found: the best one (random forest), or one drawn (extra trees).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SplitKind {
    Best,
    Random,
}

/// A forest, and what growing it told.
#[derive(Debug)]
pub struct Grown {
    pub forest: Forest,
    /// Mean decrease in impurity per feature; sums to 1 (all 0 where no tree split).
    pub impurity_importance: Vec<f64>,
    /// Per row of the matrix, the mean score of the trees that drew no entry of it; NaN where all did. Empty unless
    /// `oob_score` asked for it.
    pub out_of_bag: Vec<f32>,
}

/// Bins the set's matrix and grows a forest on it.
pub fn grow(
    config: &ForestConfig,
    kind: SplitKind,
    set: &TrainingSet,
    seed: Seed,
    progress: &dyn Progress,
) -> Result<Grown> {
    grow_binned(config, kind, &*set.binned(config.bins)?, set, seed, progress)
}

/// Grows a forest on the set's matrix, binned before (once for several forests).
pub fn grow_binned(
    config: &ForestConfig,
    kind: SplitKind,
    binned: &BinnedMatrix,
    set: &TrainingSet,
    seed: Seed,
    progress: &dyn Progress,
) -> Result<Grown> {
    if set.weights().iter().any(|weight| !weight.is_finite() || *weight < 0.0) {
        return Err(Error::failed("a training weight is negative or not finite"));
    }
    if set.weights().iter().all(|&weight| weight == 0.0) {
        return Err(Error::permanent("a forest needs at least one training row of positive weight"));
    }
    if binned.n_rows() != set.n_rows() || binned.n_features() != set.n_features() {
        return Err(Error::failed("the binned matrix is not the training set's"));
    }
    progress.begin(Unit::Trees, "trees", config.trees as u64);
    let grown = match class_weights(set) {
        Some(weights) if set.n_rows() <= Counted::MOST_ROWS => {
            grow_as::<Counted>(config, kind, binned, set, weights, seed, progress)
        }
        _ => grow_as::<Weighted>(config, kind, binned, set, [1.0; 2], seed, progress),
    };
    progress.end(Unit::Trees);
    grown
}

/// The weights of negatives and positives, if each class has just one: then whole numbers can be summed instead.
fn class_weights(set: &TrainingSet) -> Option<[f64; 2]> {
    let mut weights = [None; 2];
    for (&label, &weight) in set.labels().iter().zip(set.weights()) {
        if *weights[usize::from(label == 1)].get_or_insert(weight) != weight {
            return None;
        }
    }
    Some(weights.map(|weight| f64::from(weight.unwrap_or(1.0))))
}

fn grow_as<S: Sample>(
    config: &ForestConfig,
    kind: SplitKind,
    binned: &BinnedMatrix,
    set: &TrainingSet,
    class_weights: [f64; 2],
    seed: Seed,
    progress: &dyn Progress,
) -> Result<Grown> {
    let trees = grow_trees::<S>(config, kind, binned, set, class_weights, seed, progress)?;
    let impurity_importance = importance(&trees, binned.n_features());
    let asked = config.oob_score && config.bootstrap;
    let out_of_bag =
        if asked { out_of_bag::scores(config, binned, set, class_weights, seed, &trees) } else { Vec::new() };
    Ok(Grown { forest: freeze(binned, class_weights, trees)?, impurity_importance, out_of_bag })
}

fn grow_trees<S: Sample>(
    config: &ForestConfig,
    kind: SplitKind,
    binned: &BinnedMatrix,
    set: &TrainingSet,
    class_weights: [f64; 2],
    seed: Seed,
    progress: &dyn Progress,
) -> Result<Vec<GrownTree<S::Sum>>> {
    let grow_one = |tree: usize| {
        let mut rng = tree_rng(seed, tree);
        let samples = Samples::<S>::of(set, config.bootstrap.then_some((n_draws(config, set), &mut rng)));
        let tree = TreeGrower::new(config, kind, binned, class_weights, rng, progress).grow(samples)?;
        progress.advance(Unit::Trees, 1);
        Ok(tree)
    };
    (0..config.trees).into_par_iter().map(grow_one).collect()
}

/// A tree's own generator; its first numbers are the tree's draws.
fn tree_rng(seed: Seed, tree: usize) -> ChaCha8Rng {
    seed.derive("tree", tree as u64).rng()
}

/// Draws with replacement per tree.
fn n_draws(config: &ForestConfig, set: &TrainingSet) -> usize {
    config.max_samples.map_or(set.n_entries(), |most| most.of(set.n_entries()))
}

/// The mean over trees of each feature's share of a tree's decrease in impurity.
fn importance<T>(trees: &[GrownTree<T>], n_features: usize) -> Vec<f64> {
    let mut importance = vec![0.0; n_features];
    for tree in trees {
        let whole: f64 = tree.decrease.iter().sum();
        for (share, decrease) in importance.iter_mut().zip(&tree.decrease) {
            *share += if whole > 0.0 { decrease / whole } else { 0.0 };
        }
    }
    let whole: f64 = importance.iter().sum();
    importance.iter().map(|share| if whole > 0.0 { share / whole } else { 0.0 }).collect()
}

fn freeze<T: Sum>(binned: &BinnedMatrix, class_weights: [f64; 2], trees: Vec<GrownTree<T>>) -> Result<Forest> {
    let mut builder = ForestBuilder::new(binned.n_features())?.with_class_weights(class_weights);
    for tree in trees {
        builder.begin_tree()?;
        for node in tree.nodes {
            match node {
                GrownNode::Split { feature, cut, missing_left } => {
                    let edges = &binned.bins(feature as usize).edges;
                    let feature = feature as usize;
                    match cut {
                        GrownCut::AtMost(last) if last == MISSING - 1 => {
                            builder.split(feature, f32::INFINITY, missing_left)?;
                        }
                        GrownCut::AtMost(last) => builder.split(feature, edges[usize::from(last)], missing_left)?,
                        GrownCut::Among(subset) => {
                            builder.split_subset(feature, edges, tree.subsets[subset as usize], missing_left)?;
                        }
                    }
                }
                GrownNode::Leaf(sum) => sum.add_leaf(&mut builder)?,
            }
        }
    }
    Ok(builder.build()?)
}

/// The weighted frequency of positives, as the frozen forest has it.
fn leaf_value(sum: impl Sum, class_weights: [f64; 2]) -> f32 {
    let [negatives, positives] = sum.weights(class_weights);
    // A tree whose draws all have weight zero knows nothing.
    if negatives + positives > 0.0 { (positives / (negatives + positives)) as f32 } else { 0.0 }
}

#[cfg(test)]
mod tests;

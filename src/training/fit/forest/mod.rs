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
mod criterion;
mod grow;
mod partition;
mod split;

use rayon::prelude::*;

use crate::scoring::model::forest::{Forest, ForestBuilder};
use crate::training::config::ForestConfig;
use crate::training::error::{Error, Result};
use crate::training::progress::{Progress, Unit};
use crate::training::rows::TrainingSet;
use crate::training::seed::Seed;

pub use bins::BinnedMatrix;
use grow::{GrownNode, TreeGrower};
use partition::{Counted, Sample, Samples, Weighted};

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
    grow_binned(config, kind, &BinnedMatrix::new(set.matrix(), config.bins), set, seed, progress)
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
    let trees = match class_weights(set) {
        Some(weights) => grow_trees::<Counted>(config, kind, binned, set, weights, seed, progress),
        None => grow_trees::<Weighted>(config, kind, binned, set, [1.0; 2], seed, progress),
    };
    progress.end(Unit::Trees);
    Ok(Grown { forest: freeze(binned, trees?)?, impurity_importance: Vec::new(), out_of_bag: Vec::new() })
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

fn grow_trees<S: Sample>(
    config: &ForestConfig,
    kind: SplitKind,
    binned: &BinnedMatrix,
    set: &TrainingSet,
    class_weights: [f64; 2],
    seed: Seed,
    progress: &dyn Progress,
) -> Result<Vec<Vec<GrownNode>>> {
    let grow_one = |tree: usize| {
        let mut rng = seed.derive("tree", tree as u64).rng();
        let samples = Samples::<S>::of(set, config.bootstrap.then_some(&mut rng));
        let nodes = TreeGrower::new(config, kind, binned, class_weights, samples, rng).grow(progress)?;
        progress.advance(Unit::Trees, 1);
        Ok(nodes)
    };
    (0..config.trees).into_par_iter().map(grow_one).collect()
}

fn freeze(binned: &BinnedMatrix, trees: Vec<Vec<GrownNode>>) -> Result<Forest> {
    let mut builder = ForestBuilder::new(binned.n_features())?;
    for tree in trees {
        builder.begin_tree()?;
        for node in tree {
            match node {
                GrownNode::Split { feature, threshold, missing_left } => {
                    builder.split(feature as usize, threshold, missing_left)?;
                }
                GrownNode::Leaf { value } => builder.leaf(value)?,
            }
        }
    }
    Ok(builder.build()?)
}

#[cfg(test)]
mod tests;

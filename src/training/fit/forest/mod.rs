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
mod ahead;
mod best_first;
mod criterion;
mod cuts;
mod dense;
mod drawn;
mod few;
mod freeze;
mod gain;
mod gather;
mod grow;
mod histogram;
mod nearby;
mod out_of_bag;
mod parts;
mod peaks;
mod quantiles;
mod samples;
mod search;
mod sixteen;
mod spans;
mod split;
mod subtrees;
mod tally;
mod turn;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::scoring::model::forest::Forest;
use crate::training::config::ForestConfig;
use crate::training::error::{Error, Result};
use crate::training::progress::{Progress, Unit};
use crate::training::rows::TrainingSet;
use crate::training::seed::Seed;

pub use bins::BinnedMatrix;
use freeze::Freezing;
use grow::{GrownTree, TreeGrower};
use samples::{Counted, Counts, Sample, Samples, Sum, Weighted, Weights};

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

/// The trees of a part of a forest, by the part's number; none after the last.
pub type Parts<'a> = &'a dyn Fn(usize) -> Result<Option<Vec<u8>>>;

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

/// The same forest, of trees that grew elsewhere ([`grow_part`]) on this set with this seed.
pub fn put_together(config: &ForestConfig, set: &TrainingSet, seed: Seed, parts: Parts) -> Result<Grown> {
    let binned = &*set.binned(config.bins)?;
    check(binned, set)?;
    match counted(set) {
        Some(weights) => of_parts::<Counts>(config, binned, set, weights, seed, parts),
        None => of_parts::<Weights>(config, binned, set, [1.0; 2], seed, parts),
    }
}

/// Some trees of the forest, to be put together with the others.
pub fn grow_part(
    config: &ForestConfig,
    kind: SplitKind,
    set: &TrainingSet,
    seed: Seed,
    trees: Range<usize>,
    progress: &dyn Progress,
) -> Result<Vec<u8>> {
    let binned = &*set.binned(config.bins)?;
    check(binned, set)?;
    progress.begin(Unit::Trees, "trees", trees.len() as u64);
    let grown = match counted(set) {
        Some(weights) => {
            part_as(trees, binned, tree_grower::<Counted>(config, kind, binned, set, weights, seed, progress))
        }
        None => part_as(trees, binned, tree_grower::<Weighted>(config, kind, binned, set, [1.0; 2], seed, progress)),
    };
    progress.end(Unit::Trees);
    grown
}

fn part_as<T: Sum>(
    trees: Range<usize>,
    binned: &BinnedMatrix,
    grower: impl Fn(usize) -> Result<GrownTree<T>> + Sync,
) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    in_order(
        trees.len(),
        binned.trees_at_once(),
        |at| grower(trees.start + at),
        |tree| {
            parts::append(&mut bytes, &tree);
            Ok(())
        },
    )?;
    parts::packed(&bytes)
}

fn of_parts<T: Sum>(
    config: &ForestConfig,
    binned: &BinnedMatrix,
    set: &TrainingSet,
    class_weights: [f64; 2],
    seed: Seed,
    parts: Parts,
) -> Result<Grown> {
    let (mut growing, mut n_trees) = (Growing::<T>::new(config, binned, class_weights)?, 0);
    for number in 0.. {
        let Some(packed) = parts(number)? else { break };
        let mut trees = parts::trees(&packed, binned)?;
        while let Some(tree) = trees.next()? {
            growing.take(tree)?;
            n_trees += 1;
        }
    }
    if n_trees != config.trees {
        let message = format!("expected {} trees that grew in parts, found {n_trees}", config.trees);
        return Err(Error::failed(message));
    }
    growing.grown(set, seed)
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
    check(binned, set)?;
    progress.begin(Unit::Trees, "trees", config.trees as u64);
    let grown = match counted(set) {
        Some(weights) => grow_as::<Counted>(config, kind, binned, set, weights, seed, progress),
        None => grow_as::<Weighted>(config, kind, binned, set, [1.0; 2], seed, progress),
    };
    progress.end(Unit::Trees);
    grown
}

fn check(binned: &BinnedMatrix, set: &TrainingSet) -> Result<()> {
    if set.weights().iter().any(|weight| !weight.is_finite() || *weight < 0.0) {
        return Err(Error::failed("a training weight is negative or not finite"));
    }
    if set.weights().iter().all(|&weight| weight == 0.0) {
        return Err(Error::permanent("a forest needs at least one training row of positive weight"));
    }
    if binned.n_rows() != set.n_rows() || binned.n_features() != set.n_features() {
        return Err(Error::failed("the binned matrix is not the training set's"));
    }
    Ok(())
}

/// The classes' weights where sums are counts, which is where each class has one and the rows are few enough.
fn counted(set: &TrainingSet) -> Option<[f64; 2]> {
    class_weights(set).filter(|_| set.n_rows() <= Counted::MOST_ROWS)
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
    let mut growing = Growing::<S::Sum>::new(config, binned, class_weights)?;
    let grower = tree_grower::<S>(config, kind, binned, set, class_weights, seed, progress);
    in_order(config.trees, binned.trees_at_once(), grower, |tree| growing.take(tree))?;
    growing.grown(set, seed)
}

/// A forest while it takes its trees, one after the other.
struct Growing<'a, T> {
    config: &'a ForestConfig,
    binned: &'a BinnedMatrix,
    class_weights: [f64; 2],
    freezing: Freezing<'a>,
    shares: Vec<f64>,
    /// For out-of-bag scores.
    kept: Vec<GrownTree<T>>,
}

impl<'a, T: Sum> Growing<'a, T> {
    fn new(config: &'a ForestConfig, binned: &'a BinnedMatrix, class_weights: [f64; 2]) -> Result<Self> {
        let freezing = Freezing::new(binned, class_weights)?;
        let shares = vec![0.0; binned.n_features()];
        Ok(Self { config, binned, class_weights, freezing, shares, kept: Vec::new() })
    }

    fn is_asked_for_out_of_bag(&self) -> bool {
        self.config.oob_score && self.config.bootstrap
    }

    fn take(&mut self, tree: GrownTree<T>) -> Result<()> {
        add_shares(&tree, &mut self.shares);
        self.freezing.add(&tree)?;
        if self.is_asked_for_out_of_bag() {
            self.kept.push(tree);
        }
        Ok(())
    }

    fn grown(self, set: &TrainingSet, seed: Seed) -> Result<Grown> {
        let out_of_bag = match self.is_asked_for_out_of_bag() {
            true => out_of_bag::scores(self.config, self.binned, set, self.class_weights, seed, &self.kept),
            false => Vec::new(),
        };
        Ok(Grown { forest: self.freezing.forest()?, impurity_importance: importance(&self.shares), out_of_bag })
    }
}

/// Grows tree by number.
fn tree_grower<'a, S: Sample>(
    config: &'a ForestConfig,
    kind: SplitKind,
    binned: &'a BinnedMatrix,
    set: &'a TrainingSet,
    class_weights: [f64; 2],
    seed: Seed,
    progress: &'a dyn Progress,
) -> impl Fn(usize) -> Result<GrownTree<S::Sum>> + Sync + 'a {
    move |tree| {
        let mut rng = tree_rng(seed, tree);
        let samples = Samples::<S>::of(set, config.bootstrap.then_some((n_draws(config, set), &mut rng)));
        let tree = TreeGrower::new(config, kind, binned, class_weights, rng, progress).grow(samples)?;
        progress.advance(Unit::Trees, 1);
        Ok(tree)
    }
}

/// Makes `n` things on all threads, `at_once` at most, and hands each on in its turn, as soon as those before it are done:
/// what waits is little, for threads take the next number, not a share of all numbers.
fn in_order<T: Send>(
    n: usize,
    at_once: usize,
    make: impl Fn(usize) -> Result<T> + Sync,
    each: impl FnMut(T) -> Result<()> + Send,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let turn = Mutex::new((0, BTreeMap::new(), each));
    let work = |_| {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= n {
                return Ok(());
            }
            let made = make(number)?;
            let mut turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
            let (due, waiting, each) = &mut *turn;
            waiting.insert(number, made);
            while let Some(made) = waiting.remove(due) {
                *due += 1;
                each(made)?;
            }
        }
    };
    (0..rayon::current_num_threads().min(at_once)).into_par_iter().with_max_len(1).try_for_each(work)
}

/// A tree's own generator; its first numbers are the tree's draws.
fn tree_rng(seed: Seed, tree: usize) -> ChaCha8Rng {
    seed.derive("tree", tree as u64).rng()
}

/// Draws with replacement per tree.
fn n_draws(config: &ForestConfig, set: &TrainingSet) -> usize {
    config.max_samples.map_or(set.n_entries(), |most| most.of(set.n_entries()))
}

/// Adds each feature's share of a tree's decrease in impurity.
fn add_shares<T>(tree: &GrownTree<T>, shares: &mut [f64]) {
    let whole: f64 = tree.decrease.iter().sum();
    for (share, decrease) in shares.iter_mut().zip(&tree.decrease) {
        *share += if whole > 0.0 { decrease / whole } else { 0.0 };
    }
}

/// The mean over trees, from the sums over them.
fn importance(shares: &[f64]) -> Vec<f64> {
    let whole: f64 = shares.iter().sum();
    shares.iter().map(|share| if whole > 0.0 { share / whole } else { 0.0 }).collect()
}

/// The weighted frequency of positives, as the frozen forest has it.
fn leaf_value(sum: impl Sum, class_weights: [f64; 2]) -> f32 {
    let [negatives, positives] = sum.weights(class_weights);
    // A tree whose draws all have weight zero knows nothing.
    if negatives + positives > 0.0 { (positives / (negatives + positives)) as f32 } else { 0.0 }
}

#[cfg(test)]
mod tests;

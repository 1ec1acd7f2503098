//! One tree: nodes in preorder from an explicit stack, each a range of the tree's samples.
//!
//! A node whose rows fit the cache together gets a copy of their codes, in which its whole subtree then grows: below it
//! every access is near.

use rand_chacha::ChaCha8Rng;

use super::SplitKind;
use super::bins::BinnedMatrix;
use super::criterion::impurity;
use super::nearby::{Layout, NearbyRows, Rows};
use super::samples::{Ranges, Sample, Samples, Sum, below};
use super::search::{Candidate, Codes, Found, Node, Rules, Search};
use super::split::{Cut, Routes, Split, has_bit};
use crate::training::config::ForestConfig;
use crate::training::error::{Error, Result};
use crate::training::progress::Progress;

/// Nodes of at least so many distinct rows look whether the person asked to stop.
const LARGE_NODE: usize = 4096;

/// A node of a grown tree, in preorder.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum GrownNode<T> {
    Split {
        feature: u32,
        cut: GrownCut,
        missing_left: bool,
    },
    /// What its samples sum up to.
    Leaf(T),
}

/// [`Cut`] in little room.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum GrownCut {
    AtMost(u8),
    /// Which of the tree's subsets.
    Among(u32),
}

/// A grown tree.
pub struct GrownTree<T> {
    pub nodes: Vec<GrownNode<T>>,
    /// Bits of the codes that go left.
    pub subsets: Vec<[u64; 4]>,
    /// Decrease in impurity times weight, summed per feature.
    pub decrease: Vec<f64>,
}

/// A node that waits to be split.
pub struct Open<T> {
    pub ranges: Ranges,
    pub depth: usize,
    pub total: T,
    /// Columns known to be constant here: the first so many of the feature order.
    pub n_constant: usize,
}

impl<T> Open<T> {
    fn n_rows(&self) -> usize {
        self.ranges[0].len() + self.ranges[1].len()
    }
}

pub struct TreeGrower<'a, S: Sample> {
    pub rules: Rules<'a>,
    max_features: usize,
    is_unit: bool,
    rng: ChaCha8Rng,
    /// All features. A node's constant ones stand first, and whatever happens below it reorders only the others.
    features: Vec<usize>,
    search: Search<S::Sum>,
    /// Rows copied together, by how often they were copied.
    nearby: [NearbyRows<S>; 2],
    progress: &'a dyn Progress,
    pub tree: GrownTree<S::Sum>,
}

impl<'a, S: Sample> TreeGrower<'a, S> {
    pub fn new(
        config: &'a ForestConfig,
        kind: SplitKind,
        binned: &'a BinnedMatrix,
        class_weights: [f64; 2],
        rng: ChaCha8Rng,
        progress: &'a dyn Progress,
    ) -> Self {
        let n_features = binned.n_features();
        Self {
            rules: Rules { config, kind, binned, class_weights },
            max_features: config.max_features.of(n_features),
            is_unit: false,
            rng,
            features: (0..n_features).collect(),
            search: Search::new(),
            nearby: [NearbyRows::default(), NearbyRows::default()],
            progress,
            tree: GrownTree { nodes: Vec::new(), subsets: Vec::new(), decrease: vec![0.0; n_features] },
        }
    }

    pub fn grow(mut self, mut samples: Samples<S>) -> Result<GrownTree<S::Sum>> {
        let ranges = samples.all();
        self.is_unit = (0..2).all(|class| samples.of_class(class, &ranges).iter().all(|sample| sample.count() == 1));
        let root = Open { total: samples.sum(&ranges), ranges, depth: 0, n_constant: 0 };
        let codes = self.rules.binned.by_column();
        match self.rules.config.max_leaf_nodes {
            Some(most) => super::best_first::grow(&mut self, codes, &mut samples, root, most)?,
            None => self.grow_below(codes, Rows::Matrix(self.rules.binned), &mut samples, root, 0)?,
        }
        Ok(self.tree)
    }

    /// Grows the subtree of `root` depth first, its nodes in preorder. Its rows were copied together `n_copies` times.
    fn grow_below(
        &mut self,
        codes: Codes,
        rows: Rows,
        samples: &mut Samples<S>,
        root: Open<S::Sum>,
        n_copies: usize,
    ) -> Result<()> {
        let mut open = vec![root];
        while let Some(node) = open.pop() {
            if (node.depth == 0 || node.n_rows() >= LARGE_NODE) && self.progress.interrupted() {
                return Err(Error::interrupted());
            }
            if self.is_leaf(&node) {
                self.tree.nodes.push(GrownNode::Leaf(node.total));
                continue;
            }
            if self.rules.binned.copy_pays(n_copies, node.n_rows()) {
                self.grow_nearby(rows, samples, node, n_copies)?;
                continue;
            }
            let Some((split, n_constant)) = self.split(codes, samples, &node) else {
                self.tree.nodes.push(GrownNode::Leaf(node.total));
                continue;
            };
            let grown = self.note(&node, &split);
            self.tree.nodes.push(grown);
            let [left, right] = partition(codes, samples, &node.ranges, &split);
            let depth = node.depth + 1;
            open.push(Open { ranges: right, depth, total: split.right, n_constant });
            open.push(Open { ranges: left, depth, total: split.left, n_constant });
        }
        Ok(())
    }

    /// Grows a subtree in a copy of its rows.
    fn grow_nearby(&mut self, rows: Rows, samples: &Samples<S>, node: Open<S::Sum>, n_copies: usize) -> Result<()> {
        let binned = self.rules.binned;
        // What will be copied again must be found row by row.
        let copied_again = binned.n_copies() > n_copies + 1;
        let is_random = self.rules.kind == SplitKind::Random;
        let layout = if copied_again || is_random { Layout::RowByRow } else { Layout::Blocks };
        let mut nearby = std::mem::take(&mut self.nearby[n_copies]);
        let ranges = nearby.copy(layout, rows, samples, &node.ranges);
        let (codes, samples) = nearby.codes_and_samples();
        let rows = Rows::Copied { codes: codes.codes, n_features: binned.n_features() };
        let grown = self.grow_below(codes, rows, samples, Open { ranges, ..node }, n_copies + 1);
        self.nearby[n_copies] = nearby;
        grown
    }

    pub fn is_interrupted(&self) -> bool {
        self.progress.interrupted()
    }

    /// Counts a split's decrease in impurity for its feature.
    pub fn note(&mut self, node: &Open<S::Sum>, split: &Split<S::Sum>) -> GrownNode<S::Sum> {
        let weights = node.total.weights(self.rules.class_weights);
        let decrease = impurity(self.rules.config.criterion, weights) - split.cost;
        self.tree.decrease[split.feature] += decrease.max(0.0);
        let cut = match split.cut {
            Cut::AtMost(last) => GrownCut::AtMost(last),
            Cut::Among(left) => {
                self.tree.subsets.push(left);
                GrownCut::Among(self.tree.subsets.len() as u32 - 1)
            }
        };
        GrownNode::Split { feature: split.feature as u32, cut, missing_left: split.missing_left }
    }

    pub fn is_leaf(&self, node: &Open<S::Sum>) -> bool {
        let config = self.rules.config;
        let is_pure = node.total.counts().contains(&0);
        let least = config.min_samples_split.max(config.min_samples_leaf.saturating_mul(2)).max(2);
        is_pure || node.total.n_samples() < least || config.max_depth.is_some_and(|depth| node.depth >= depth)
    }

    /// The best split over the drawn features, and how many features are constant here; none makes a leaf.
    pub fn split(&mut self, codes: Codes, samples: &Samples<S>, node: &Open<S::Sum>) -> Option<(Split<S::Sum>, usize)> {
        let classes = [0, 1].map(|class| samples.of_class(class, &node.ranges));
        let view = Node { codes, classes, total: node.total, is_unit: self.is_unit };
        let mut best: Option<Found<S::Sum>> = None;
        let (mut n_constant, mut undrawn, mut n_tried) = (node.n_constant, self.features.len(), 0);
        let mut keep = |candidate: Candidate<S::Sum>| {
            if let Candidate::Valid(found) = candidate
                && best.as_ref().is_none_or(|best| found.verdict.cost < best.verdict.cost)
            {
                best = Some(found);
            }
            best.is_none()
        };
        let mut none_valid = true;
        while undrawn > n_constant && (n_tried < self.max_features || none_valid) {
            // Drawn features move to the end, constant ones to the front.
            let mut draw = |rng: &mut ChaCha8Rng, undrawn: usize| {
                let at = n_constant + below(rng, undrawn - n_constant);
                self.features.swap(at, undrawn - 1);
                self.features[undrawn - 1]
            };
            let first = draw(&mut self.rng, undrawn);
            let looked = if undrawn - n_constant > 1 && n_tried + 1 < self.max_features {
                let features = [first, draw(&mut self.rng, undrawn - 1)];
                let [a, b] = self.search.look_at_both(&self.rules, features, &view, &mut self.rng);
                [(first, Some(a)), (features[1], Some(b))]
            } else {
                [(first, Some(self.search.look(&self.rules, first, &view, &mut self.rng))), (first, None)]
            };
            for (feature, candidate) in looked {
                let Some(candidate) = candidate else { continue };
                // The other of two may stand one further from the end.
                if self.features[undrawn - 1] != feature {
                    self.features.swap(undrawn - 1, undrawn - 2);
                }
                if let Candidate::Constant = candidate {
                    self.features.swap(undrawn - 1, n_constant);
                    n_constant += 1;
                    continue;
                }
                undrawn -= 1;
                n_tried += 1;
                none_valid = keep(candidate);
            }
        }
        best.map(|found| (found.settle(&self.rules, &view), n_constant))
    }
}

/// Both sides of a split.
pub fn partition<S: Sample>(
    codes: Codes,
    samples: &mut Samples<S>,
    ranges: &Ranges,
    split: &Split<S::Sum>,
) -> [Ranges; 2] {
    let column = codes.column(split.feature);
    match split.routes() {
        Routes::AtMost { shift, last } => samples.partition(ranges, |row| column[row].wrapping_add(shift) <= last),
        Routes::Among(left) => samples.partition(ranges, |row| has_bit(&left, column[row])),
    }
}

//! One tree: nodes in preorder from an explicit stack, each a range of the tree's samples.
//!
//! A node whose rows fit the cache together gets a copy of their codes, in which its whole subtree then grows: below it
//! every access is near. A large tree has a top, whose nodes and the subtrees below them draw from streams of their own
//! ([`super::subtrees`]).

use std::rc::Rc;

use rand_chacha::ChaCha8Rng;

use super::SplitKind;
use super::bins::BinnedMatrix;
use super::criterion::impurity;
use super::dense::{self, Bits, Planes};
use super::nearby::{NearbyRows, Rows};
use super::samples::{Ranges, Sample, Samples, Sum, below};
use super::search::{Codes, DenseNode, Found, Node, Rules, Search};
use super::sixteen::LANES;
use super::split::{Cut, Routes, Split, has_bit};
use super::subtrees::Subtrees;
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
    /// The feature order, in the top of a large tree.
    pub order: Option<Rc<[u32]>>,
}

impl<T> Open<T> {
    pub fn n_rows(&self) -> usize {
        self.ranges[0].len() + self.ranges[1].len()
    }
}

pub struct TreeGrower<'a, S: Sample> {
    pub rules: Rules<'a>,
    max_features: usize,
    /// Every sample was drawn just once.
    is_unit: bool,
    pub rng: ChaCha8Rng,
    /// All features. A node's constant ones stand first, and whatever happens below it reorders only the others.
    pub features: Vec<u32>,
    search: Search<S::Sum>,
    nearby: NearbyRows<S>,
    progress: &'a dyn Progress,
    pub tree: GrownTree<S::Sum>,
    pub subtrees: Subtrees<S>,
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
            features: (0..n_features as u32).collect(),
            search: Search::new(),
            nearby: NearbyRows::default(),
            progress,
            tree: GrownTree { nodes: Vec::new(), subsets: Vec::new(), decrease: vec![0.0; n_features] },
            subtrees: Subtrees::new(n_features),
        }
    }

    pub fn grow(mut self, mut samples: Samples<S>) -> Result<GrownTree<S::Sum>> {
        let ranges = samples.all();
        self.is_unit = (0..2).all(|class| samples.of_class(class, &ranges).iter().all(|sample| sample.count() == 1));
        let total = samples.sum(&ranges);
        let mut root = Open { total, ranges, depth: 0, n_constant: 0, order: None };
        let codes = self.rules.binned.by_column();
        if let Some(most) = self.rules.config.max_leaf_nodes {
            super::best_first::grow(&mut self, codes, &mut samples, root, most)?;
            return Ok(self.tree);
        }
        if !self.rules.binned.is_subtree(total.n_samples()) {
            root.order = Some(self.order());
        }
        if root.order.is_none() && self.rules.binned.file_storage().is_some() {
            self.set_aside(samples, root);
        } else if self.starts_dense() {
            let planes = Planes::of(&samples, self.rules.binned.n_rows());
            drop(samples);
            self.grow_dense(&planes, planes.any(self.rules.binned.n_rows()), root)?;
        } else {
            self.grow_below(codes, Some(Rows::Matrix(self.rules.binned)), &mut samples, root)?;
            drop(samples);
        }
        self.finish()
    }

    /// Grows the subtree of `root` depth first, its nodes in preorder. `rows` are copied together where that pays; none: they
    /// were already.
    pub fn grow_below(
        &mut self,
        codes: Codes,
        rows: Option<Rows>,
        samples: &mut Samples<S>,
        root: Open<S::Sum>,
    ) -> Result<()> {
        let mut open = vec![root];
        while let Some(mut node) = open.pop() {
            if (node.depth == 0 || node.n_rows() >= LARGE_NODE) && self.progress.interrupted() {
                return Err(Error::interrupted());
            }
            if self.is_leaf(&node) {
                self.tree.nodes.push(GrownNode::Leaf(node.total));
                continue;
            }
            if self.begins_subtree(&mut node) {
                if self.rules.binned.file_storage().is_some() {
                    self.set_aside(samples.of_node(&node.ranges), node);
                } else {
                    self.grow_subtree(|grower| grower.grow_below(codes, rows, samples, node))?;
                }
                continue;
            }
            if node.order.is_none()
                && let Some(rows) = rows
                && self.rules.binned.copy_pays(node.n_rows())
            {
                self.grow_nearby(rows, samples, node)?;
                continue;
            }
            let Some((split, n_constant)) = self.split(codes, samples, &node) else {
                self.tree.nodes.push(GrownNode::Leaf(node.total));
                continue;
            };
            let grown = self.note(&node, &split);
            self.tree.nodes.push(grown);
            let rows = &self.search.rows;
            let [left, right] = match (rows.lane(split.feature), split.routes()) {
                // What the search gathered lies nearer than the rows: a third of the time.
                (Some(lane), Routes::AtMost { shift, last }) => {
                    let codes = rows.codes();
                    samples.partition(&node.ranges, |place, _| codes[place][lane].wrapping_add(shift) <= last)
                }
                _ => partition(codes, samples, &node.ranges, &split),
            };
            let (depth, order) = (node.depth + 1, node.order.map(|_| self.order()));
            open.push(Open { ranges: right, depth, total: split.right, n_constant, order: order.clone() });
            open.push(Open { ranges: left, depth, total: split.left, n_constant, order });
        }
        Ok(())
    }

    /// Whether large nodes are better walked through as bits: where cuts are drawn, and nothing but counts is summed.
    fn starts_dense(&self) -> bool {
        let binned = self.rules.binned;
        let cuts_subsets = || (0..binned.n_features()).any(|feature| self.rules.cuts_subsets(feature));
        S::COUNTED && self.rules.kind == SplitKind::Random && binned.n_rows() >= LARGE_NODE && !cuts_subsets()
    }

    /// Grows the subtree of `root`, as long as nodes hold many of the rows as bits.
    fn grow_dense(&mut self, planes: &Planes, rows: Bits, root: Open<S::Sum>) -> Result<()> {
        let (rules, n_rows) = (Rules { ..self.rules }, self.rules.binned.n_rows());
        let mut open = vec![(rows, root)];
        while let Some((rows, mut node)) = open.pop() {
            if self.progress.interrupted() {
                return Err(Error::interrupted());
            }
            if self.is_leaf(&node) {
                self.tree.nodes.push(GrownNode::Leaf(node.total));
                continue;
            }
            if self.begins_subtree(&mut node) {
                if rules.binned.file_storage().is_some() {
                    self.set_aside(planes.samples(&rows), node);
                } else {
                    self.grow_subtree(|grower| grower.grow_dense(planes, rows, node))?;
                }
                continue;
            }
            if dense::n_rows(&rows) * dense::SPARSE < n_rows {
                let mut samples = planes.samples(&rows);
                let ranges = samples.all();
                let matrix = Some(Rows::Matrix(rules.binned));
                self.grow_below(rules.binned.by_column(), matrix, &mut samples, Open { ranges, ..node })?;
                continue;
            }
            let view = DenseNode { planes, rows: &rows, total: node.total };
            let found = self.draw(node.n_constant, n_rows, |search, rules, features, rng, best| {
                rules.binned.expect_columns(features);
                search.look_at_dense(rules, features, &view, rng, best)
            });
            let Some((found, n_constant)) = found else {
                self.tree.nodes.push(GrownNode::Leaf(node.total));
                continue;
            };
            let split = found.settle_with(&rules, node.total, |_, _| unreachable!("a drawn cut is known"));
            let grown = self.note(&node, &split);
            self.tree.nodes.push(grown);
            let Routes::AtMost { shift, last } = split.routes() else { unreachable!("no subset is drawn here") };
            let [left, right] = dense::part(rules.binned.column(split.feature), &rows, shift, last);
            let order = node.order.map(|_| self.order());
            let child = |total, order| Open { ranges: [0..0, 0..0], depth: node.depth + 1, total, n_constant, order };
            open.push((right, child(split.right, order.clone())));
            open.push((left, child(split.left, order)));
        }
        Ok(())
    }

    /// Grows a subtree in a copy of its rows.
    fn grow_nearby(&mut self, rows: Rows, samples: &Samples<S>, node: Open<S::Sum>) -> Result<()> {
        let mut nearby = std::mem::take(&mut self.nearby);
        let ranges = nearby.copy(rows, samples, &node.ranges);
        let (codes, samples) = nearby.codes_and_samples();
        let grown = self.grow_below(codes, None, samples, Open { ranges, ..node });
        self.nearby = nearby;
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
        // In a subtree codes are in memory, unless leaves are limited.
        let reads_columns = node.order.is_some() || self.rules.config.max_leaf_nodes.is_some();
        let view = Node { codes, classes, total: node.total, is_unit: self.is_unit };
        self.search.rows.forget();
        let (found, n_constant) = self.draw(node.n_constant, node.n_rows(), |search, rules, features, rng, best| {
            if reads_columns {
                rules.binned.expect_columns(features);
            }
            search.look_at(rules, features, &view, rng, best)
        })?;
        Some((found.settle(&self.rules, &view), n_constant))
    }

    /// Draws features and has them looked at, up to sixteen at once: what `look` keeps, and how many are constant then.
    fn draw(
        &mut self,
        mut n_constant: usize,
        n_rows: usize,
        look: impl Fn(&mut Search<S::Sum>, &Rules, &[u32], &mut ChaCha8Rng, &mut Option<Found<S::Sum>>) -> u32,
    ) -> Option<(Found<S::Sum>, usize)> {
        let mut best: Option<Found<S::Sum>> = None;
        // In tiny nodes one of the first cuts leaves both sides pure, and nothing can be better: a third less time for extra
        // trees, most of whose nodes are tiny.
        let at_once = match n_rows {
            ..=3 => 2,
            4..=6 => 4,
            _ => LANES,
        };
        let (mut undrawn, mut n_tried) = (self.features.len(), 0);
        while undrawn > n_constant && (n_tried < self.max_features || best.is_none()) {
            let n_drawn = self.max_features.saturating_sub(n_tried).clamp(1, at_once).min(undrawn - n_constant);
            // Drawn features move to the end ..
            for drawn in 1..=n_drawn {
                let at = n_constant + below(&mut self.rng, undrawn - drawn + 1 - n_constant);
                self.features.swap(at, undrawn - drawn);
            }
            let drawn = &mut self.features[undrawn - n_drawn..undrawn];
            let constant = look(&mut self.search, &self.rules, drawn, &mut self.rng, &mut best);
            // .. and constant ones to the front.
            let mut n_found = 0;
            for lane in 0..n_drawn {
                if constant >> lane & 1 == 1 {
                    drawn.swap(lane, n_found);
                    n_found += 1;
                }
            }
            for found in 0..n_found {
                self.features.swap(n_constant + found, undrawn - n_drawn + found);
            }
            n_constant += n_found;
            undrawn -= n_drawn - n_found;
            n_tried += n_drawn - n_found;
            if best.as_ref().is_some_and(|best| best.verdict.cost == 0.0) {
                break;
            }
        }
        best.map(|found| (found, n_constant))
    }
}

/// Both sides of a split.
pub fn partition<S: Sample>(
    codes: Codes,
    samples: &mut Samples<S>,
    ranges: &Ranges,
    split: &Split<S::Sum>,
) -> [Ranges; 2] {
    let column = &codes.codes[split.feature * codes.stride..];
    match (split.routes(), codes.width) {
        (Routes::AtMost { shift, last }, None) => {
            samples.partition(ranges, |_, row| column[row].wrapping_add(shift) <= last)
        }
        (Routes::AtMost { shift, last }, Some(width)) => {
            samples.partition(ranges, |_, row| column[row * width].wrapping_add(shift) <= last)
        }
        (Routes::Among(left), width) => {
            samples.partition(ranges, |_, row| has_bit(&left, column[row * width.unwrap_or(1)]))
        }
    }
}

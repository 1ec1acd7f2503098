//! One tree: nodes in preorder from an explicit stack, each a range of the tree's samples.

use rand_chacha::ChaCha8Rng;

use super::SplitKind;
use super::bins::BinnedMatrix;
use super::partition::{Sample, Samples, Sum, below};
use super::split::{Candidate, Histogram, Rules, Split};
use crate::training::config::ForestConfig;
use crate::training::error::{Error, Result};
use crate::training::progress::Progress;

/// Nodes of at least so many distinct rows look whether the person asked to stop.
const LARGE_NODE: usize = 4096;

/// A node of a grown tree, in preorder.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum GrownNode {
    Split {
        feature: u32,
        threshold: f32,
        missing_left: bool,
    },
    /// The weighted frequency of positives.
    Leaf {
        value: f32,
    },
}

/// A node that waits to be split.
struct Open<T> {
    start: usize,
    end: usize,
    depth: usize,
    total: T,
    /// Columns known to be constant here: the first so many of the feature order.
    n_constant: usize,
}

pub struct TreeGrower<'a, S: Sample> {
    rules: Rules<'a>,
    max_features: usize,
    samples: Samples<S>,
    rng: ChaCha8Rng,
    /// All features. A node's constant ones stand first, and whatever happens below it reorders only the others.
    features: Vec<usize>,
    histogram: Histogram<S::Sum>,
}

impl<'a, S: Sample> TreeGrower<'a, S> {
    pub fn new(
        config: &'a ForestConfig,
        kind: SplitKind,
        binned: &'a BinnedMatrix,
        class_weights: [f64; 2],
        samples: Samples<S>,
        rng: ChaCha8Rng,
    ) -> Self {
        Self {
            rules: Rules { config, kind, binned, class_weights },
            max_features: config.max_features.of(binned.n_features()),
            samples,
            rng,
            features: (0..binned.n_features()).collect(),
            histogram: Histogram::new(),
        }
    }

    pub fn grow(mut self, progress: &dyn Progress) -> Result<Vec<GrownNode>> {
        let end = self.samples.len();
        let total = self.samples.range(0, end).iter().fold(S::Sum::default(), |sum, sample| sum.plus(sample.sum()));
        let mut nodes = Vec::new();
        let mut open = vec![Open { start: 0, end, depth: 0, total, n_constant: 0 }];
        while let Some(node) = open.pop() {
            if (node.depth == 0 || node.end - node.start >= LARGE_NODE) && progress.interrupted() {
                return Err(Error::interrupted());
            }
            let Some((split, n_constant)) = self.split(&node) else {
                nodes.push(self.leaf(&node));
                continue;
            };
            nodes.push(GrownNode::Split {
                feature: split.feature as u32,
                threshold: split.threshold,
                missing_left: split.missing_left,
            });
            let codes = self.rules.binned.column(split.feature);
            let middle = self.samples.partition(node.start, node.end, |sample| split.goes_left(codes[sample.row()]));
            let depth = node.depth + 1;
            open.push(Open { start: middle, end: node.end, depth, total: split.right, n_constant });
            open.push(Open { start: node.start, end: middle, depth, total: split.left, n_constant });
        }
        Ok(nodes)
    }

    fn leaf(&self, node: &Open<S::Sum>) -> GrownNode {
        let [negatives, positives] = node.total.weights(self.rules.class_weights);
        let total = negatives + positives;
        // A tree whose draws all have weight zero knows nothing.
        let value = if total > 0.0 { (positives / total).clamp(0.0, 1.0) as f32 } else { 0.0 };
        GrownNode::Leaf { value }
    }

    /// The best split over the drawn features, and how many features are constant here; none makes a leaf.
    fn split(&mut self, node: &Open<S::Sum>) -> Option<(Split<S::Sum>, usize)> {
        let config = self.rules.config;
        let is_pure = node.total.counts().contains(&0);
        let too_small =
            node.total.n_samples() < config.min_samples_split.max(config.min_samples_leaf.saturating_mul(2)).max(2);
        if is_pure || too_small || config.max_depth.is_some_and(|depth| node.depth >= depth) {
            return None;
        }
        let samples = self.samples.range(node.start, node.end);
        let mut best: Option<Split<S::Sum>> = None;
        let (mut n_constant, mut undrawn, mut n_tried) = (node.n_constant, self.features.len(), 0);
        while undrawn > n_constant && (n_tried < self.max_features || best.is_none()) {
            let at = n_constant + below(&mut self.rng, undrawn - n_constant);
            let feature = self.features[at];
            let candidate = self.histogram.search(&self.rules, feature, samples, node.total, &mut self.rng);
            if let Candidate::Constant = candidate {
                self.features.swap(at, n_constant);
                n_constant += 1;
                continue;
            }
            undrawn -= 1;
            self.features.swap(at, undrawn);
            n_tried += 1;
            if let Candidate::Valid(split) = candidate
                && best.as_ref().is_none_or(|best| split.cost < best.cost)
            {
                best = Some(split);
            }
        }
        best.map(|split| (split, n_constant))
    }
}

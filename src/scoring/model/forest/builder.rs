//! Trees node by node, in preorder (a split, its left subtree, its right subtree), checked, as a [`Forest`].
//!
//! In: from the grower thresholds, from a file numbers of edges known before. Out: nodes that name their edge, the
//! thresholds in use per feature ascending.

use super::{
    Edges, Forest, Leaves, MAX_COUNT, MAX_EDGES, MAX_FEATURES, MISSING_LEFT, Node, SUBSET, Subset, SubsetSplit,
};
use crate::scoring::error::ScoringError;
use crate::scoring::model::tensors::damaged;

/// Class weights up to here: their products with any sum of draws stay finite.
const MAX_WEIGHT: f64 = 1e100;

/// The thresholds of one feature.
#[derive(Clone, Default)]
struct FeatureEdges {
    /// Ascending, with the number by which the nodes know each until the forest is complete.
    sorted: Vec<(f32, u8)>,
    /// The edges of all bins, where splits are subsets of them.
    of_bins: Option<Vec<f32>>,
}

impl FeatureEdges {
    /// The number of a threshold, a new one if it has none.
    fn number(&mut self, feature: usize, threshold: f32) -> Result<u8, ScoringError> {
        let number = match self.sorted.binary_search_by(|(edge, _)| edge.total_cmp(&threshold)) {
            Ok(at) => self.sorted[at].1,
            Err(_) if self.sorted.len() == MAX_EDGES => {
                return Err(damaged(&format!("cannot hold over {MAX_EDGES} thresholds of feature {feature}")));
            }
            Err(at) => {
                let number = self.sorted.len() as u8;
                self.sorted.insert(at, (threshold, number));
                number
            }
        };
        Ok(number)
    }
}

/// Takes trees node by node in preorder and checks them. All leaves are of one sort.
pub struct ForestBuilder {
    forest: Forest,
    /// The place of the open tree that waits for the next node; `NOWHERE`: no tree is open.
    next: u32,
    /// Those that wait for one after it: right children, the next one last.
    open: Vec<u32>,
    edges: Vec<FeatureEdges>,
    /// By feature: how many edges were known beforehand, and which numbers are in use.
    n_known: Vec<u16>,
    used: Vec<Subset>,
    class_weights: [f64; 2],
    leaves: Option<Leaves>,
}

const NOWHERE: u32 = u32::MAX;

impl ForestBuilder {
    pub fn new(n_features: usize) -> Result<Self, ScoringError> {
        if n_features == 0 || n_features > MAX_FEATURES {
            return Err(damaged(&format!("cannot hold a forest over {n_features} features (1 to {MAX_FEATURES})")));
        }
        let forest = Forest {
            n_features,
            nodes: Vec::new(),
            roots: Vec::new(),
            edges: Edges::default(),
            subsets: Vec::new(),
            leaves: Leaves::Values,
            leaf_weights: Vec::new(),
            values: Default::default(),
            ranked: Default::default(),
        };
        Ok(Self {
            forest,
            next: NOWHERE,
            open: Vec::new(),
            edges: vec![FeatureEdges::default(); n_features],
            n_known: vec![0; n_features],
            used: vec![[0; 4]; n_features],
            class_weights: [1.0; 2],
            leaves: None,
        })
    }

    /// What a draw of a negative and of a positive weighs, for [`Self::leaf_counts`].
    pub fn with_class_weights(self, class_weights: [f64; 2]) -> Self {
        Self { class_weights, ..self }
    }

    /// Edges known beforehand, ascending: [`Self::split_at`] names them by their place.
    pub(super) fn with_edges(mut self, edges: &Edges) -> Result<Self, ScoringError> {
        for (feature, of) in self.edges.iter_mut().enumerate() {
            let known = edges.of(feature);
            known.iter().try_for_each(|edge| check_threshold(*edge))?;
            of.sorted = known.iter().zip(0..=u8::MAX).map(|(&edge, number)| (edge + 0.0, number)).collect();
            self.n_known[feature] = of.sorted.len() as u16;
        }
        Ok(self)
    }

    /// Room for so many nodes at once: a forest that grows moves many times.
    pub(super) fn with_room(mut self, n_nodes: usize) -> Self {
        self.forest.nodes.reserve_exact(n_nodes);
        self
    }

    pub fn begin_tree(&mut self) -> Result<(), ScoringError> {
        self.end_tree()?;
        self.next = self.reserve::<1>()?;
        self.forest.roots.push(self.next);
        Ok(())
    }

    /// The threshold may be infinity: everything but missing values goes left.
    pub fn split(&mut self, feature: usize, threshold: f32, missing_left: bool) -> Result<(), ScoringError> {
        // Adding zero turns -0.0 into 0.0: equal thresholds have equal bits.
        let threshold = threshold + 0.0;
        check_threshold(threshold)?;
        let number = self.edges_of(feature)?.number(feature, threshold)?;
        self.mark(feature, number);
        self.push_split(feature, number, missing_left)
    }

    /// A split at one of the edges known beforehand.
    #[inline(always)]
    pub(super) fn split_at(&mut self, feature: usize, number: u8, missing_left: bool) -> Result<(), ScoringError> {
        if self.n_known.get(feature).is_none_or(|&n_known| u16::from(number) >= n_known) {
            return Err(damaged(&format!("names edge {number} of feature {feature}, which does not exist")));
        }
        self.mark(feature, number);
        self.push_split(feature, number, missing_left)
    }

    /// Sends a subset of a feature's bins left. `edges` are all edges of the feature, the same for the whole forest; a
    /// row's bin is `edges.partition_point(|edge| *edge < x)`, and `left` has a bit per bin (others are ignored).
    pub fn split_subset(
        &mut self,
        feature: usize,
        edges: &[f32],
        mut left: Subset,
        missing_left: bool,
    ) -> Result<(), ScoringError> {
        let known = self.edges_of(feature)?;
        if known.of_bins.as_deref() != Some(edges) {
            let ascends = edges.is_sorted_by(|a, b| a < b) && edges.iter().all(|edge| edge.is_finite());
            if known.of_bins.is_some() || !ascends || edges.len() >= MAX_EDGES {
                return Err(damaged(&format!(
                    "splits feature {feature} by bins that are not its own: expected the same at most {} ascending edges",
                    MAX_EDGES - 1
                )));
            }
            let numbers = edges.iter().map(|edge| known.number(feature, edge + 0.0)).collect::<Result<Vec<u8>, _>>()?;
            known.of_bins = Some(edges.to_vec());
            numbers.into_iter().for_each(|number| self.mark(feature, number));
        }
        for (at, word) in left.iter_mut().enumerate() {
            let n_bits = (edges.len() + 1).saturating_sub(64 * at).min(64);
            *word &= if n_bits == 64 { u64::MAX } else { (1 << n_bits) - 1 };
        }
        let place = u32::try_from(self.forest.subsets.len()).map_err(|_| damaged("has too many subsets"))?;
        let flags = SUBSET | if missing_left { MISSING_LEFT } else { 0 };
        let below = self.push_open(|_| Node::split(flags, feature, 0, place))?;
        self.forest.subsets.push(SubsetSplit { left_bins: left, left: below });
        Ok(())
    }

    /// The weighted frequency of positives, in [0, 1]: a forest without attribution.
    pub fn leaf(&mut self, value: f32) -> Result<(), ScoringError> {
        if !(0.0..=1.0).contains(&value) {
            return Err(damaged(&format!("has a leaf of value {value}: expected 0 to 1")));
        }
        self.push_leaf(Leaves::Values, Node::leaf((value + 0.0).to_bits()))
    }

    /// Draws of negatives and of positives.
    #[inline(always)]
    pub fn leaf_counts(&mut self, counts: [u32; 2]) -> Result<(), ScoringError> {
        if counts.iter().any(|&count| count > MAX_COUNT) {
            return Err(damaged(&format!("has a leaf of {counts:?} draws: expected at most {MAX_COUNT}")));
        }
        let weights = self.class_weights;
        if self.leaves.is_none() && !weights.iter().all(|weight| (0.0..=MAX_WEIGHT).contains(weight)) {
            return Err(damaged(&format!("has class weights {weights:?}: expected 0 to {MAX_WEIGHT:e}")));
        }
        self.push_leaf(Leaves::Counts(weights.map(|weight| weight + 0.0)), Node::counting(counts))
    }

    /// Sums of the weights of negatives and of positives.
    pub fn leaf_weights(&mut self, weights: [f32; 2]) -> Result<(), ScoringError> {
        if !weights.iter().all(|weight| (0.0..f32::INFINITY).contains(weight)) {
            return Err(damaged(&format!("has a leaf of weights {weights:?}: expected finite ones of at least 0")));
        }
        let place = u32::try_from(self.forest.leaf_weights.len()).map_err(|_| damaged("has too many leaves"))?;
        self.push_leaf(Leaves::Weights, Node::leaf(place))?;
        self.forest.leaf_weights.push(weights.map(|weight| weight + 0.0));
        Ok(())
    }

    /// The forest, if its trees are complete.
    pub fn build(mut self) -> Result<Forest, ScoringError> {
        self.end_tree()?;
        if self.forest.roots.is_empty() {
            return Err(damaged("has no trees"));
        }
        self.settle_edges()?;
        Ok(self.forest)
    }

    /// Numbers the edges in use ascending, in the nodes too.
    fn settle_edges(&mut self) -> Result<(), ScoringError> {
        let mut settled = Edges { values: Vec::new(), offsets: vec![0] };
        // By the old number the new one; empty: all stay.
        let mut numbers: Vec<Vec<u8>> = vec![Vec::new(); self.edges.len()];
        for (feature, edges) in self.edges.iter().enumerate() {
            let start = settled.values.len();
            let is_used = |number: u8| super::contains(&self.used[feature], usize::from(number));
            let used = || edges.sorted.iter().filter(|(_, number)| is_used(*number));
            settled.values.extend(used().map(|(edge, _)| edge));
            settled.offsets.push(settled.values.len() as u32);
            if !used().zip(0..=u8::MAX).all(|((_, old), new)| *old == new) {
                numbers[feature] = vec![0; MAX_EDGES];
                used().zip(0..=u8::MAX).for_each(|((_, old), new)| numbers[feature][usize::from(*old)] = new);
            }
            let n_finite = settled.values[start..].iter().filter(|edge| edge.is_finite()).count();
            if edges.of_bins.as_ref().is_some_and(|of_bins| of_bins.len() != n_finite) {
                return Err(damaged(&format!("splits feature {feature} at a threshold between its bins' edges")));
            }
        }
        self.forest.edges = settled;
        if numbers.iter().any(|numbers| !numbers.is_empty()) {
            for node in self.forest.nodes.iter_mut().filter(|node| !node.is_leaf() && !node.is_subset()) {
                if let Some(&new) = numbers[node.feature()].get(usize::from(node.edge())) {
                    node.0 = node.0 & !0xff00 | u64::from(new) << 8;
                }
            }
        }
        Ok(())
    }

    #[inline]
    fn edges_of(&mut self, feature: usize) -> Result<&mut FeatureEdges, ScoringError> {
        let n_features = self.edges.len();
        self.edges.get_mut(feature).ok_or_else(|| damaged(&format!("splits on feature {feature} of {n_features}")))
    }

    #[inline(always)]
    fn mark(&mut self, feature: usize, number: u8) {
        self.used[feature][usize::from(number / 64)] |= 1 << (number % 64);
    }

    #[inline(always)]
    fn push_split(&mut self, feature: usize, number: u8, missing_left: bool) -> Result<(), ScoringError> {
        let flags = if missing_left { MISSING_LEFT } else { 0 };
        self.push_open(|left| Node::split(flags, feature, number, left)).map(drop)
    }

    /// A split and places for its children, the left one waiting for the next node; where that is.
    #[inline(always)]
    fn push_open(&mut self, split: impl Fn(u32) -> Node) -> Result<u32, ScoringError> {
        let at = self.waiting()?;
        let left = self.reserve::<2>()?;
        self.forest.nodes[at as usize] = split(left);
        self.next = left;
        self.open.push(left + 1);
        Ok(left)
    }

    #[inline(always)]
    fn push_leaf(&mut self, sort: Leaves, leaf: Node) -> Result<(), ScoringError> {
        let at = self.waiting()?;
        if self.leaves.is_none() {
            (self.leaves, self.forest.leaves) = (Some(sort), sort);
        } else if std::mem::discriminant(&self.forest.leaves) != std::mem::discriminant(&sort) {
            return Err(damaged("mixes leaves of different sorts"));
        }
        self.forest.nodes[at as usize] = leaf;
        self.next = self.open.pop().unwrap_or(NOWHERE);
        Ok(())
    }

    fn end_tree(&self) -> Result<(), ScoringError> {
        if self.next == NOWHERE { Ok(()) } else { Err(damaged("has an incomplete tree")) }
    }

    /// Whether the open tree still waits for nodes.
    #[cfg(test)]
    pub(super) fn is_open(&self) -> bool {
        self.next != NOWHERE
    }

    #[inline(always)]
    fn waiting(&self) -> Result<u32, ScoringError> {
        if self.next == NOWHERE { Err(damaged("has nodes outside a tree")) } else { Ok(self.next) }
    }

    /// Room for `N` nodes side by side.
    #[inline(always)]
    fn reserve<const N: usize>(&mut self) -> Result<u32, ScoringError> {
        let at = self.forest.nodes.len();
        let end = u32::try_from(at + N).map_err(|_| damaged("has more than 4 billion nodes"))?;
        self.forest.nodes.extend_from_slice(&[Node::UNSET; N]);
        Ok(end - N as u32)
    }
}

fn check_threshold(threshold: f32) -> Result<(), ScoringError> {
    let is_threshold = !threshold.is_nan() && threshold != f32::NEG_INFINITY;
    if is_threshold { Ok(()) } else { Err(damaged("has a split without a threshold")) }
}

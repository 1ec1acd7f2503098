//! The values of all nodes, for attribution: 4 bytes a node, made when first asked for and kept.
//!
//! In: a forest whose leaves hold counts or weights. Out: per node the weighted frequency of positives among its training
//! samples. Scores need those of leaves alone, which are made of what a leaf holds.

use std::sync::OnceLock;

use super::{Forest, frequency};

/// Made at most once; not part of what a forest is.
#[derive(Debug, Clone, Default)]
pub(super) struct ValuesOnce(OnceLock<Vec<f32>>);

impl PartialEq for ValuesOnce {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Forest {
    /// By node.
    pub(super) fn node_values(&self) -> &[f32] {
        self.values.0.get_or_init(|| {
            let mut values = Vec::with_capacity(self.nodes.len());
            (0..self.n_trees()).for_each(|tree| values.extend(self.class_sums(tree).into_iter().map(frequency)));
            values
        })
    }
}

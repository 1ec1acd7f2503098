//! Growing with a limit on leaves: the split that lowers impurity most is done first, until no more leaves may be added.
//!
//! As scikit-learn's `max_leaf_nodes`: a node's best split is found when the node comes up; of equal decreases the node
//! that came up first goes first.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::criterion::impurity;
use super::grow::{GrownNode, Open, TreeGrower, partition};
use super::samples::{Sample, Samples, Sum};
use super::search::Codes;
use super::split::Split;
use crate::training::error::{Error, Result};

/// A node whose best split is known.
struct Ready<T> {
    decrease: f64,
    /// Its number among the nodes so far.
    at: usize,
    node: Open<T>,
    split: Split<T>,
}

impl<T> Ord for Ready<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.decrease.total_cmp(&other.decrease).then(other.at.cmp(&self.at))
    }
}

impl<T> PartialOrd for Ready<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Ready<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Ready<T> {}

/// A node by number, and its children's numbers once it is split.
struct Placed<T> {
    node: GrownNode<T>,
    children: Option<[usize; 2]>,
}

/// Grows the tree of `root` to at most `most` leaves.
pub fn grow<S: Sample>(
    grower: &mut TreeGrower<S>,
    codes: Codes,
    samples: &mut Samples<S>,
    root: Open<S::Sum>,
    most: usize,
) -> Result<()> {
    let mut placed = Vec::new();
    let mut ready = BinaryHeap::new();
    place(grower, codes, samples, root, &mut placed, &mut ready);
    let mut n_leaves = 1;
    while n_leaves < most
        && let Some(Ready { at, node, split, .. }) = ready.pop()
    {
        if grower.is_interrupted() {
            return Err(Error::interrupted());
        }
        placed[at].node = grower.note(&node, &split);
        let [left, right] = partition(codes, samples, &node.ranges, &split);
        let depth = node.depth + 1;
        let sides = [(left, split.left), (right, split.right)];
        let children = sides.map(|(ranges, total)| {
            place(
                grower,
                codes,
                samples,
                Open { ranges, depth, total, n_constant: 0, order: None },
                &mut placed,
                &mut ready,
            )
        });
        placed[at].children = Some(children);
        n_leaves += 1;
    }
    let mut open = vec![0];
    while let Some(at) = open.pop() {
        grower.tree.nodes.push(placed[at].node);
        open.extend(placed[at].children.into_iter().flat_map(|[left, right]| [right, left]));
    }
    Ok(())
}

/// A new leaf, and what it could become.
fn place<S: Sample>(
    grower: &mut TreeGrower<S>,
    codes: Codes,
    samples: &Samples<S>,
    node: Open<S::Sum>,
    placed: &mut Vec<Placed<S::Sum>>,
    ready: &mut BinaryHeap<Ready<S::Sum>>,
) -> usize {
    let at = placed.len();
    placed.push(Placed { node: GrownNode::Leaf(node.total), children: None });
    if !grower.is_leaf(&node)
        && let Some((split, _)) = grower.split(codes, samples, &node)
    {
        let weights = node.total.weights(grower.rules.class_weights);
        let decrease = impurity(grower.rules.config.criterion, weights) - split.cost;
        ready.push(Ready { decrease, at, node, split });
    }
    at
}

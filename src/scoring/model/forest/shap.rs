//! Shapley values of one score, for offline use: TreeSHAP, path-dependent (Lundberg et al. 2018, 2020).
//!
//! In: a prepared row. Out: per feature its Shapley value in the game whose payoff for a set S of features is the
//! expected score when splits on S are followed and any other split sends the row to its children by their shares of
//! its training weight; these add up to score minus base. The values are those of Lundberg's algorithm, found another way: a leaf
//! pays only if every feature on its path agrees, a product, and the Shapley value of a product is the integral over
//! t in [0, 1] of the other features' factors `t * one + (1 - t) * zero` (Owen 1972), a polynomial of degree at most the
//! features of a path less one. Gauss-Legendre quadrature integrates it exactly, so that a tree takes
//! O(nodes * points) and only sums of numbers of one sign, where Lundberg's recursion takes O(leaves * depth^2) and divides.
//!
//! Limits: exact up to 128 distinct features on a path, then an approximation; about a millisecond per tree and row.

use super::Forest;
use crate::scoring::error::ScoringError;

const MAX_POINTS: usize = 64;
const NONE: u32 = u32::MAX;

/// A forest with what every explanation needs: it explains any number of rows.
#[derive(Debug)]
pub struct TreeShap<'a> {
    forest: &'a Forest,
    /// Points in [0, 1] and their weights.
    quadrature: Vec<(f64, f64)>,
    /// Per node: the edge to it stands below this one with the same feature (named by its lower end).
    same_above: Vec<u32>,
    /// Per node: the share of the training weight that its feature's edges, down to it, let through.
    zero: Vec<f64>,
    base: f64,
}

impl<'a> TreeShap<'a> {
    pub fn new(forest: &'a Forest) -> Result<Self, ScoringError> {
        forest.check_node_values()?;
        let n_nodes = forest.n_nodes();
        let mut shap = TreeShap {
            forest,
            quadrature: Vec::new(),
            same_above: vec![NONE; n_nodes],
            zero: vec![1.0; n_nodes],
            base: 0.0,
        };
        let mut longest = 0;
        for tree in 0..forest.n_trees() {
            let shares = shares(forest, tree);
            longest = longest.max(shap.link(tree, &shares));
            shap.base += expectation(forest, tree, &shares);
        }
        shap.base /= forest.n_trees() as f64;
        shap.quadrature = gauss_legendre(longest.div_ceil(2).clamp(1, MAX_POINTS));
        Ok(shap)
    }

    /// Sets `same_above` and `zero` of a tree; the largest number of distinct features on a path.
    fn link(&mut self, tree: usize, shares: &[f64]) -> usize {
        let start = self.forest.roots[tree];
        let mut current = vec![NONE; self.forest.n_features];
        let (mut longest, mut n_distinct) = (0, 0);
        // A node to enter, or (true) its feature's edge to leave.
        let mut open = vec![(start, NONE, false)];
        while let Some((at, feature, leaving)) = open.pop() {
            if leaving {
                current[feature as usize] = self.same_above[at as usize];
                n_distinct -= usize::from(self.same_above[at as usize] == NONE);
                continue;
            }
            if feature != NONE {
                let above = std::mem::replace(&mut current[feature as usize], at);
                self.same_above[at as usize] = above;
                let zero_above = if above == NONE { 1.0 } else { self.zero[above as usize] };
                self.zero[at as usize] = zero_above * shares[(at - start) as usize];
                n_distinct += usize::from(above == NONE);
                longest = longest.max(n_distinct);
                open.push((at, feature, true));
            }
            let node = self.forest.nodes[at as usize];
            if !node.is_leaf() {
                let (left, feature) = (self.forest.left(node), node.feature() as u32);
                open.extend([(left + 1, feature, false), (left, feature, false)]);
            }
        }
        longest
    }

    /// Writes the Shapley value of every feature and returns the base: the expected score when nothing is known.
    pub fn explain(&self, row: &[f32], contributions: &mut [f64]) -> Result<f64, ScoringError> {
        self.forest.check_attribution(row, contributions)?;
        contributions.fill(0.0);
        let (mut one, mut products) = (Vec::new(), Vec::new());
        for tree in 0..self.forest.n_trees() {
            self.descend(tree, row, &mut one, &mut products);
            self.ascend(tree, &one, &mut products, contributions);
        }
        let n_trees = self.forest.n_trees() as f64;
        contributions.iter_mut().for_each(|contribution| *contribution /= n_trees);
        Ok(self.base)
    }

    /// Per node whether the row passes all edges of its feature down to it, and per point the product of the factors of
    /// all features on its path.
    fn descend(&self, tree: usize, row: &[f32], one: &mut Vec<bool>, products: &mut Vec<f64>) {
        let (nodes, n_points) = (self.forest.tree(tree), self.quadrature.len());
        one.clear();
        one.resize(nodes.len(), true);
        products.clear();
        products.resize(nodes.len() * n_points, 1.0);
        for at in nodes.clone().filter(|&at| !self.forest.nodes[at].is_leaf()) {
            let left = self.forest.left(self.forest.nodes[at]) as usize;
            let next = self.forest.next(at as u32, row) as usize;
            let (upper, lower) = products.split_at_mut((left - nodes.start) * n_points);
            let upper = &upper[(at - nodes.start) * n_points..][..n_points];
            for (child, lower) in [left, left + 1].into_iter().zip(lower.chunks_exact_mut(n_points)) {
                let above = self.same_above[child];
                let passed = above == NONE || one[above as usize - nodes.start];
                one[child - nodes.start] = passed && child == next;
                for ((lower, upper), &(t, _)) in lower.iter_mut().zip(upper).zip(&self.quadrature) {
                    let replaced = if above == NONE { 1.0 } else { factor(passed, self.zero[above as usize], t) };
                    let own = factor(one[child - nodes.start], self.zero[child], t);
                    *lower = if replaced > 0.0 { upper * own / replaced } else { 0.0 };
                }
            }
        }
    }

    /// Turns products into sums over the leaves below, from the last node to the first, and credits each edge's feature
    /// with the leaves below it. A feature's lower edge replaces its upper one, so that one's credit is taken back.
    fn ascend(&self, tree: usize, one: &[bool], products: &mut [f64], contributions: &mut [f64]) {
        let (nodes, n_points) = (self.forest.tree(tree), self.quadrature.len());
        for at in nodes.clone().rev() {
            let node = self.forest.nodes[at];
            let (upper, lower) = products.split_at_mut((at + 1 - nodes.start) * n_points);
            let own = &mut upper[(at - nodes.start) * n_points..];
            if node.is_leaf() {
                let value = f64::from(self.forest.leaf_value(node));
                own.iter_mut().for_each(|product| *product *= value);
                continue;
            }
            own.fill(0.0);
            let left = self.forest.left(node) as usize;
            let lower = &lower[(left - at - 1) * n_points..];
            for (child, lower) in [left, left + 1].into_iter().zip(lower.chunks_exact(n_points)) {
                let above = self.same_above[child];
                let mut credit = 0.0;
                for ((own, sum), &(t, weight)) in own.iter_mut().zip(lower).zip(&self.quadrature) {
                    *own += sum;
                    let mut gain = gain(one[child - nodes.start], self.zero[child], t);
                    if above != NONE {
                        gain -= self::gain(one[above as usize - nodes.start], self.zero[above as usize], t);
                    }
                    credit += weight * gain * sum;
                }
                contributions[node.feature()] += credit;
            }
        }
    }
}

/// What a feature lets through when it is known with probability t.
fn factor(one: bool, zero: f64, t: f64) -> f64 {
    if one { t + (1.0 - t) * zero } else { (1.0 - t) * zero }
}

/// What knowing a feature adds, over its factor; nothing where nothing passes.
fn gain(one: bool, zero: f64, t: f64) -> f64 {
    let factor = factor(one, zero, t);
    if factor > 0.0 { (if one { 1.0 - zero } else { -zero }) / factor } else { 0.0 }
}

/// The share of its parent's training weight that each node of a tree got; halves where the parent had none.
fn shares(forest: &Forest, tree: usize) -> Vec<f64> {
    let nodes = forest.tree(tree);
    let covers: Vec<f64> =
        forest.class_sums(tree).into_iter().map(|[negatives, positives]| negatives + positives).collect();
    let mut shares = vec![1.0; nodes.len()];
    for at in nodes.clone().filter(|&at| !forest.nodes[at].is_leaf()) {
        let (cover, left) = (covers[at - nodes.start], forest.left(forest.nodes[at]) as usize - nodes.start);
        for child in [left, left + 1] {
            shares[child] = if cover > 0.0 { covers[child] / cover } else { 0.5 };
        }
    }
    shares
}

/// The mean leaf value when every split sends the row to its children by their shares.
fn expectation(forest: &Forest, tree: usize, shares: &[f64]) -> f64 {
    let nodes = forest.tree(tree);
    let mut values = vec![0.0; nodes.len()];
    for at in nodes.clone().rev() {
        let node = forest.nodes[at];
        values[at - nodes.start] = match node.is_leaf() {
            true => f64::from(forest.leaf_value(node)),
            false => {
                let left = forest.left(node) as usize - nodes.start;
                shares[left] * values[left] + shares[left + 1] * values[left + 1]
            }
        };
    }
    values[0]
}

/// Points and weights that integrate polynomials of degree below `2 * n` over [0, 1] exactly: the roots of the n-th
/// Legendre polynomial by Newton's method.
fn gauss_legendre(n: usize) -> Vec<(f64, f64)> {
    let point = |at: usize| {
        let mut x = libm::cos(std::f64::consts::PI * (at as f64 + 0.75) / (n as f64 + 0.5));
        let mut slope = 1.0;
        for _ in 0..50 {
            let (mut p, mut previous) = (1.0, 0.0);
            for k in 0..n {
                let k = k as f64;
                (p, previous) = (((2.0 * k + 1.0) * x * p - k * previous) / (k + 1.0), p);
            }
            slope = n as f64 * (x * p - previous) / (x * x - 1.0);
            let step = p / slope;
            x -= step;
            if step.abs() < 1e-15 {
                break;
            }
        }
        ((1.0 + x) / 2.0, 1.0 / ((1.0 - x * x) * slope * slope))
    };
    (0..n).map(point).collect()
}

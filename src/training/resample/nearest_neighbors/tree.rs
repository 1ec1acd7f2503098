//! A k-d tree of candidates (Bentley 1975): an order in which near rows stand together, and a leaf of rows near to any.
//! In: rows of a matrix; out: the same rows, leaf after leaf.
//!
//! Each node is cut in the middle of the feature that varies most over a sample of its rows. The search is exact without
//! it: it makes first limits low, and lets rows that are near to a target fill vectors of their own. Of equal rows the
//! order is that of their indices. Time: n log n values; memory: 4 bytes a row.

use std::cmp::Ordering::Equal;

use crate::scoring::matrix::FeatureMatrix;

/// Rows of a leaf at most: every leaf but the last has as many.
pub(super) const LEAF: usize = 16;
/// Rows that tell which feature varies most.
const SAMPLE: usize = 64;

pub(super) struct Tree {
    pub rows: Vec<u32>,
    root: Node,
}

enum Node {
    Leaf,
    /// Rows up to `value` stand before `at` (of the node's), the others from there on.
    Cut {
        feature: usize,
        value: f32,
        at: usize,
        sides: Box<[Node; 2]>,
    },
}

impl Tree {
    /// `features`: those that are subtracted. `rows` are not empty, and their values are finite.
    pub fn new(matrix: &FeatureMatrix, features: &[usize], rows: &[u32]) -> Tree {
        let mut rows = rows.to_vec();
        let root = grow(matrix, features, &mut rows);
        Tree { rows, root }
    }

    /// Rows that are near to one with these values, more often than not.
    pub fn leaf(&self, values: &[f32]) -> &[u32] {
        let (mut node, mut rows) = (&self.root, &self.rows[..]);
        while let Node::Cut { feature, value, at, sides } = node {
            let (low, high) = rows.split_at(*at);
            (node, rows) = if values[*feature] < *value { (&sides[0], low) } else { (&sides[1], high) };
        }
        rows
    }
}

fn grow(matrix: &FeatureMatrix, features: &[usize], rows: &mut [u32]) -> Node {
    if rows.len() <= LEAF {
        rows.sort_unstable();
        return Node::Leaf;
    }
    let feature = widest(matrix, features, rows);
    let at = (rows.len() / 2).next_multiple_of(LEAF);
    let value = |row: u32| matrix.row(row as usize)[feature];
    // By partial order, so that -0 and 0 are equal.
    let order = |a: &u32, b: &u32| value(*a).partial_cmp(&value(*b)).unwrap_or(Equal).then(a.cmp(b));
    let (_, &mut middle, _) = rows.select_nth_unstable_by(at, order);
    let (low, high) = rows.split_at_mut(at);
    let sides = rayon::join(|| grow(matrix, features, low), || grow(matrix, features, high));
    Node::Cut { feature, value: value(middle), at, sides: Box::new(sides.into()) }
}

/// The feature with the largest variance over a sample.
fn widest(matrix: &FeatureMatrix, features: &[usize], rows: &[u32]) -> usize {
    let sample = || rows.iter().step_by(rows.len().div_ceil(SAMPLE)).map(|&row| matrix.row(row as usize));
    let n = sample().count() as f64;
    let (mut sums, mut squares) = (vec![0.0; features.len()], vec![0.0; features.len()]);
    for row in sample() {
        for ((sum, square), &feature) in sums.iter_mut().zip(&mut squares).zip(features) {
            let value = f64::from(row[feature]);
            *sum += value;
            *square += value * value;
        }
    }
    let variances = sums.iter().zip(&squares).map(|(sum, square)| square - sum * sum / n);
    let widest = variances.zip(features).max_by(|a, b| a.0.total_cmp(&b.0));
    widest.map_or(0, |(_, &feature)| feature)
}

#[cfg(test)]
mod tests {
    use super::super::tests::matrix;
    use super::*;

    /// Rows that repeat; a value of one feature is in its repetitions alone, but for -0 and 0.
    #[test]
    fn rows_are_all_there_equal_ones_in_order_and_each_in_the_leaf_it_falls_into() {
        let cell = |at: usize| [(at * 7919 % 401) as f32, (at * 31 % 401) as f32, [0.0, -0.0][at % 2]];
        let n_rows = 1_003;
        let matrix = matrix(3, (0..n_rows).flat_map(|at| cell(at % 400)).collect());
        let rows: Vec<u32> = (0..n_rows as u32).collect();
        let tree = Tree::new(&matrix, &[0, 1, 2], &rows);
        let mut sorted = tree.rows.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, rows);
        let place = |row: u32| tree.rows.iter().position(|&other| other == row).unwrap();
        for row in 0..603 {
            assert!(place(row) < place(row + 400), "{row}");
            let values = matrix.row(row as usize);
            let leaf = tree.leaf(values);
            assert!(leaf.len() <= LEAF && leaf.iter().any(|&near| matrix.row(near as usize) == values), "{row}");
        }
    }

    #[test]
    fn equal_rows_and_few_rows_are_leaves_too() {
        let matrix = matrix(1, vec![2.0; 40]);
        for n in [1, 16, 17, 40] {
            let rows: Vec<u32> = (0..n).collect();
            let tree = Tree::new(&matrix, &[0], &rows);
            assert_eq!(tree.rows, rows);
            assert!((1..=LEAF).contains(&tree.leaf(&[2.0]).len()));
        }
    }
}

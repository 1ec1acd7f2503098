//! The grower: exhaustive-search oracle, planted trees, ties, missing values, weights, threads.

use std::sync::Arc;

use super::grow::{GrownCut, GrownNode};
use super::samples::{Sum, below, unit};
use super::*;
use crate::scoring::matrix::FeatureMatrix;
use crate::scoring::model::Classifier;
use crate::training::config::{CategoricalSplits, Criterion, MaxFeatures};
use crate::training::error::ErrorKind;
use crate::training::progress::Silent;

const NAN: f32 = f32::NAN;

fn matrix(n_features: usize, values: Vec<f32>) -> Arc<FeatureMatrix> {
    let names: Vec<String> = (0..n_features).map(|feature| format!("f{feature}")).collect();
    Arc::new(FeatureMatrix::new(names.into(), values))
}

pub(super) fn set(n_features: usize, values: Vec<f32>, labels: &[u8]) -> TrainingSet {
    TrainingSet::of_all_rows(matrix(n_features, values), labels.to_vec())
}

/// One tree on all rows and all columns: what remains random is the order among equals.
pub(super) fn exact() -> ForestConfig {
    ForestConfig { trees: 1, max_features: MaxFeatures::Share(1.0), bootstrap: false, ..ForestConfig::RANDOM_FOREST }
}

fn forest(config: &ForestConfig, kind: SplitKind, set: &TrainingSet, seed: u64) -> Forest {
    grow(config, kind, set, Seed::new(seed), &Silent).unwrap().forest
}

/// A grown node with its threshold and value.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Node {
    Split { feature: u32, threshold: f32, missing_left: bool },
    Leaf { value: f32 },
}

fn plain<T: Sum>(binned: &BinnedMatrix, class_weights: [f64; 2], tree: GrownTree<T>) -> Vec<Node> {
    let node = |node: &GrownNode<T>| match *node {
        GrownNode::Leaf(sum) => Node::Leaf { value: leaf_value(sum, class_weights) },
        GrownNode::Split { feature, cut: GrownCut::AtMost(last), missing_left } => {
            let edges = binned.edges(feature as usize);
            Node::Split { feature, threshold: edges.get(last as usize).copied().unwrap_or(f32::INFINITY), missing_left }
        }
        GrownNode::Split { .. } => panic!("a subset"),
    };
    tree.nodes.iter().map(node).collect()
}

fn trees<S: Sample>(
    config: &ForestConfig,
    kind: SplitKind,
    binned: &BinnedMatrix,
    set: &TrainingSet,
    class_weights: [f64; 2],
    seed: Seed,
) -> Vec<GrownTree<S::Sum>> {
    let grow = tree_grower::<S>(config, kind, binned, set, class_weights, seed, &Silent);
    (0..config.trees).map(|tree| grow(tree).unwrap()).collect()
}

fn tree(config: &ForestConfig, kind: SplitKind, set: &TrainingSet, seed: u64) -> Vec<Node> {
    let (binned, seed) = (set.binned(config.bins).unwrap(), Seed::new(seed));
    match class_weights(set) {
        Some(weights) => plain(&binned, weights, trees::<Counted>(config, kind, &binned, set, weights, seed).remove(0)),
        None => plain(&binned, [1.0; 2], trees::<Weighted>(config, kind, &binned, set, [1.0; 2], seed).remove(0)),
    }
}

/// Few distinct values, some missing; labels that depend on two columns, with noise; weights of one to three halves.
pub(super) fn random_set(seed: u64, n_rows: usize, n_features: usize, n_values: usize, weighted: bool) -> TrainingSet {
    let mut rng = Seed::new(seed).rng();
    let mut draw = || if below(&mut rng, 12) == 0 { NAN } else { below(&mut rng, n_values) as f32 * 0.7 - 1.0 };
    let values: Vec<f32> = (0..n_rows * n_features).map(|_| draw()).collect();
    let mut noise = Seed::new(seed).derive("noise", 0).rng();
    let label = |row: &[f32]| u8::from((row[0] > 0.5) ^ row[1].is_nan() ^ (below(&mut noise, 10) == 0));
    let labels: Vec<u8> = values.chunks(n_features).map(label).collect();
    let mut rng = Seed::new(seed).derive("weights", 0).rng();
    let weights = (0..n_rows).map(|_| if weighted { (1 + below(&mut rng, 3)) as f32 / 2.0 } else { 1.0 }).collect();
    TrainingSet::new(matrix(n_features, values), (0..n_rows as u32).collect(), labels, weights)
}

/// Weighted negatives and positives of some entries.
fn class_sums(set: &TrainingSet, entries: &[usize]) -> [f64; 2] {
    let mut sums = [0.0; 2];
    for &entry in entries {
        sums[usize::from(set.labels()[entry])] += f64::from(set.weights()[entry]);
    }
    sums
}

fn value(set: &TrainingSet, entry: usize, feature: usize) -> f32 {
    set.matrix().row(set.entries()[entry] as usize)[feature]
}

fn split_cost(criterion: Criterion, set: &TrainingSet, left: &[usize], right: &[usize]) -> f64 {
    criterion::impurity(criterion, class_sums(set, left)) + criterion::impurity(criterion, class_sums(set, right))
}

/// The lowest cost of any cut, by trying every threshold and both sides for missing values; and its midpoint rule.
fn best_cost(criterion: Criterion, set: &TrainingSet, entries: &[usize]) -> Option<f64> {
    let mut best: Option<f64> = None;
    for feature in 0..set.matrix().n_features() {
        for &cut in entries {
            for missing_left in [false, true] {
                let goes_left = |entry: &usize| {
                    let (x, threshold) = (value(set, *entry, feature), value(set, cut, feature));
                    x <= threshold || (x.is_nan() && missing_left)
                };
                let (left, right): (Vec<usize>, Vec<usize>) = entries.iter().partition(|entry| goes_left(entry));
                if !left.is_empty() && !right.is_empty() {
                    let cost = split_cost(criterion, set, &left, &right);
                    best = Some(best.map_or(cost, |best| best.min(cost)));
                }
            }
        }
    }
    best
}

/// Walks a tree with the raw values: every split is a cheapest one (if `optimal`), every leaf pure or without a cut and
/// of the right value.
fn check_tree(config: &ForestConfig, set: &TrainingSet, nodes: &[Node], optimal: bool) {
    let mut open = vec![(0..set.n_entries()).collect::<Vec<usize>>()];
    for node in nodes {
        let entries = open.pop().unwrap();
        let [negatives, positives] = class_sums(set, &entries);
        let best = best_cost(config.criterion, set, &entries);
        match *node {
            Node::Leaf { value } => {
                assert!((f64::from(value) - positives / (negatives + positives)).abs() < 1e-6);
                assert!(!optimal || negatives == 0.0 || positives == 0.0 || best.is_none(), "stopped early");
            }
            Node::Split { feature, threshold, missing_left } => {
                let goes_left = |entry: &usize| {
                    let x = value(set, *entry, feature as usize);
                    x <= threshold || (x.is_nan() && missing_left)
                };
                let (left, right): (Vec<usize>, Vec<usize>) = entries.iter().partition(|entry| goes_left(entry));
                assert!(!left.is_empty() && !right.is_empty());
                let cost = split_cost(config.criterion, set, &left, &right);
                assert!(!optimal || cost <= best.unwrap() + 1e-9, "{cost} is not the lowest cost {best:?}");
                open.extend([right, left]);
            }
        }
    }
    assert!(open.is_empty());
}

#[test]
fn every_split_is_the_best_one_that_an_exhaustive_search_finds() {
    for seed in 0..12 {
        let criterion = if seed % 2 == 0 { Criterion::Gini } else { Criterion::Entropy };
        let config = ForestConfig { criterion, ..exact() };
        let set = random_set(seed, 90, 4, 6, seed % 3 == 0);
        check_tree(&config, &set, &tree(&config, SplitKind::Best, &set, seed), true);
    }
}

#[test]
fn trees_on_coarse_bins_and_drawn_cuts_route_raw_values_as_they_routed_bins() {
    for (seed, kind) in [(1, SplitKind::Best), (2, SplitKind::Random), (3, SplitKind::Random)] {
        for bins in [2, 7, 255] {
            let config = ForestConfig { bins, max_features: MaxFeatures::Sqrt, ..exact() };
            let set = random_set(seed, 120, 4, 1000, seed == 3);
            check_tree(&config, &set, &tree(&config, kind, &set, seed), false);
        }
    }
}

#[test]
fn a_planted_tree_is_found() {
    let mut rng = Seed::new(5).rng();
    let values: Vec<f32> = (0..4000 * 5).map(|_| below(&mut rng, 100) as f32).collect();
    let labels: Vec<u8> = values.chunks(5).map(|row| u8::from(row[1] > 30.0 && row[4] > 60.0)).collect();
    let nodes = tree(&exact(), SplitKind::Best, &set(5, values, &labels), 0);
    let leaf = |value| Node::Leaf { value };
    let split = |feature, threshold, missing_left| Node::Split { feature, threshold, missing_left };
    // The stronger column first; missing values, never seen, go with the larger side.
    assert_eq!(nodes, [split(4, 60.5, true), leaf(0.0), split(1, 30.5, false), leaf(0.0), leaf(1.0)]);
}

#[test]
fn equal_rows_of_both_classes_end_in_one_leaf_with_their_frequency() {
    let set = set(2, vec![1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 3.0, 2.0], &[1, 0, 0, 0, 1]);
    for kind in [SplitKind::Best, SplitKind::Random] {
        let forest = forest(&exact(), kind, &set, 0);
        assert_eq!(forest.score(set.matrix()), [0.25, 0.25, 0.25, 0.25, 1.0]);
    }
}

#[test]
fn missing_values_go_where_they_cost_least() {
    let scores =
        |values: [f32; 6], labels: [u8; 6]| forest(&exact(), SplitKind::Best, &set(1, values.to_vec(), &labels), 0);
    let with_large = scores([1.0, 2.0, 3.0, 4.0, NAN, NAN], [0, 0, 1, 1, 1, 1]);
    assert_eq!((with_large.n_nodes(), with_large.score_row(&[NAN])), (3, 1.0));
    let with_small = scores([1.0, 2.0, 3.0, 4.0, NAN, NAN], [0, 0, 1, 1, 0, 0]);
    assert_eq!((with_small.n_nodes(), with_small.score_row(&[NAN])), (3, 0.0));
    let alone = scores([1.0, 2.0, 3.0, 4.0, NAN, NAN], [0, 0, 0, 0, 1, 1]);
    assert_eq!(alone.n_nodes(), 3);
    assert_eq!([NAN, -9.0, 1e9, f32::INFINITY].map(|x| alone.score_row(&[x])), [1.0, 0.0, 0.0, 0.0]);
    let never_seen = scores([1.0, 1.0, 1.0, 2.0, 2.0, 2.0], [0, 0, 0, 1, 1, 1]);
    assert_eq!(never_seen.score_row(&[NAN]), 1.0, "equal sides: right, as scikit-learn");
    let larger = scores([1.0, 1.0, 1.0, 1.0, 2.0, 2.0], [0, 0, 0, 0, 1, 1]);
    assert_eq!(larger.score_row(&[NAN]), 0.0);
}

#[test]
fn extra_trees_learn_where_missing_values_go() {
    let set = set(1, vec![5.0, 5.0, 5.0, NAN, NAN], &[0, 0, 0, 1, 1]);
    let forest = forest(&exact(), SplitKind::Random, &set, 0);
    assert_eq!(forest.score(set.matrix()), [0.0, 0.0, 0.0, 1.0, 1.0]);
}

#[test]
fn a_weight_equals_as_many_entries() {
    for seed in 0..5 {
        let base = random_set(seed, 60, 3, 9, false);
        let times: Vec<usize> = (0..60).map(|row| 1 + (row * 7 + seed as usize) % 3).collect();
        let weights = times.iter().map(|&times| times as f32).collect();
        let all = base.entries().to_vec();
        let weighted = TrainingSet::new(base.matrix().clone(), all, base.labels().to_vec(), weights);
        let repeat = |row: usize| std::iter::repeat_n(row, times[row]);
        let entries: Vec<usize> = (0..60).flat_map(repeat).collect();
        let labels: Vec<u8> = entries.iter().map(|&row| base.labels()[row]).collect();
        let weights = vec![1.0; entries.len()];
        let entries = entries.into_iter().map(|row| row as u32).collect();
        let repeated = TrainingSet::new(base.matrix().clone(), entries, labels, weights);
        for criterion in [Criterion::Gini, Criterion::Entropy] {
            let config = ForestConfig { criterion, ..exact() };
            let routes = |set| -> Vec<f32> { forest(&config, SplitKind::Best, set, 1).score(base.matrix()) };
            assert_eq!(routes(&weighted), routes(&repeated));
            let splits = |set| -> Vec<_> { strip_unseen_missing(tree(&config, SplitKind::Best, set, 1)) };
            assert_eq!(splits(&weighted), splits(&repeated));
        }
    }
}

/// Where never-seen missing values go depends on the number of samples, which weights do not change.
fn strip_unseen_missing(mut nodes: Vec<Node>) -> Vec<Node> {
    for node in &mut nodes {
        if let Node::Split { missing_left, .. } = node {
            *missing_left = false;
        }
    }
    nodes
}

#[test]
fn entries_of_weight_zero_count_for_nothing() {
    let base = random_set(9, 80, 3, 9, false);
    let keep = |row: &u32| !row.is_multiple_of(4);
    let weights = (0..80u32).map(|row| f32::from(keep(&row))).collect();
    let zeroed = TrainingSet::new(base.matrix().clone(), base.entries().to_vec(), base.labels().to_vec(), weights);
    let entries: Vec<u32> = (0..80).filter(keep).collect();
    let labels = entries.iter().map(|&row| base.labels()[row as usize]).collect();
    let removed = TrainingSet::new(base.matrix().clone(), entries.clone(), labels, vec![1.0; entries.len()]);
    assert_eq!(tree(&exact(), SplitKind::Best, &zeroed, 3), tree(&exact(), SplitKind::Best, &removed, 3));
}

#[test]
fn class_weights_enter_leaf_values() {
    let labels = vec![1, 0, 0, 0];
    let set = TrainingSet::new(matrix(1, vec![1.0; 4]), vec![0, 1, 2, 3], labels, vec![6.0, 2.0, 2.0, 2.0]);
    assert_eq!(forest(&exact(), SplitKind::Best, &set, 0).score_row(&[1.0]), 0.5);
}

#[test]
fn a_drawn_threshold_is_uniform_over_the_values_that_the_node_spans() {
    let set = set(1, vec![0.0, 1.0, 10.0, 0.0, 1.0, 10.0], &[0, 0, 0, 1, 1, 1]);
    let config = ForestConfig { max_depth: Some(1), ..exact() };
    let low = (0..4000).filter(|&seed| match tree(&config, SplitKind::Random, &set, seed)[0] {
        Node::Split { threshold, .. } => threshold < 1.0,
        Node::Leaf { .. } => panic!("every draw over exact values leaves both sides occupied"),
    });
    let share = low.count() as f64 / 4000.0;
    assert!((share - 0.1).abs() < 0.02, "{share}");
}

#[test]
fn constant_columns_do_not_count_as_candidates() {
    let mut values = vec![7.0; 20 * 40];
    (0..20).for_each(|row| values[row * 40 + 31] = row as f32);
    let labels: Vec<u8> = (0..20).map(|row| u8::from(row >= 11)).collect();
    let config = ForestConfig { max_features: MaxFeatures::Number(1), ..exact() };
    let nodes = tree(&config, SplitKind::Best, &set(40, values, &labels), 0);
    assert_eq!(nodes[0], Node::Split { feature: 31, threshold: 10.5, missing_left: true });
    assert_eq!(nodes.len(), 3);
}

#[test]
fn the_cut_is_the_edge_nearest_to_the_middle_of_the_gap() {
    // The rows of entries leave out the values between 2 and 8: the middle of that gap is 5.
    let all = matrix(1, (0..11).map(|x| x as f32).collect());
    let set = TrainingSet::new(all, vec![0, 1, 2, 8, 9], vec![0, 0, 0, 1, 1], vec![1.0; 5]);
    let Node::Split { threshold, .. } = tree(&exact(), SplitKind::Best, &set, 0)[0] else { panic!("a leaf") };
    assert!((threshold - 5.0).abs() <= 0.5, "{threshold}");
}

#[test]
fn depth_and_sample_limits_hold() {
    let set = random_set(4, 300, 4, 50, false);
    let shallow = ForestConfig { max_depth: Some(2), ..exact() };
    assert!(tree(&shallow, SplitKind::Best, &set, 0).len() <= 7);
    for kind in [SplitKind::Best, SplitKind::Random] {
        let config = ForestConfig { min_samples_leaf: 20, ..exact() };
        let forest = forest(&config, kind, &set, 0);
        let mut leaves: Vec<u32> = forest.score(set.matrix()).into_iter().map(f32::to_bits).collect();
        leaves.sort_unstable();
        assert!(leaves.chunk_by(|a, b| a == b).all(|leaf| leaf.len() >= 20));
    }
    let config = ForestConfig { min_samples_split: 301, ..exact() };
    assert_eq!(tree(&config, SplitKind::Best, &set, 0).len(), 1);
}

#[test]
fn thread_count_and_repetition_change_no_byte() {
    for (kind, config) in [
        (SplitKind::Best, ForestConfig { trees: 16, ..ForestConfig::RANDOM_FOREST }),
        (SplitKind::Random, ForestConfig { trees: 16, ..ForestConfig::EXTRA_TREES }),
    ] {
        let set = random_set(11, 700, 6, 400, kind == SplitKind::Best);
        let with_threads = |n: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
            pool.install(|| forest(&config, kind, &set, 7)).to_bytes()
        };
        let bytes = with_threads(1);
        assert_eq!(bytes, with_threads(2));
        assert_ne!(bytes, forest(&config, kind, &set, 8).to_bytes(), "the seed must matter");
        assert_eq!(Forest::from_bytes(6, &bytes).unwrap(), forest(&config, kind, &set, 7));
    }
}

#[test]
fn bootstrap_draws_as_many_as_there_are_entries_or_fewer() {
    let set = random_set(2, 1000, 2, 10, false);
    for (n_draws, n_rows) in [(1000, 580..690), (300, 240..280)] {
        let mut rng = Seed::new(1).rng();
        let samples = Samples::<Counted>::of(&set, Some((n_draws, &mut rng)));
        let all = samples.all();
        assert_eq!(samples.sum(&all).n_samples(), n_draws);
        let n_distinct = all[0].len() + all[1].len();
        assert!(n_rows.contains(&n_distinct), "{n_distinct} distinct rows of {n_draws} draws");
    }
}

#[test]
fn a_person_can_stop_it() {
    let stopped = grow(
        &exact(),
        SplitKind::Best,
        &random_set(1, 50, 2, 9, false),
        Seed::new(0),
        &crate::training::progress::Stopped,
    );
    assert_eq!(stopped.unwrap_err().kind, ErrorKind::Interrupted);
}

#[test]
fn impossible_training_sets_are_refused() {
    let all = matrix(1, vec![1.0, 2.0]);
    for weights in [[0.0, 0.0], [1.0, -1.0], [1.0, NAN]] {
        let set = TrainingSet::new(all.clone(), vec![0, 1], vec![0, 1], weights.to_vec());
        assert!(grow(&exact(), SplitKind::Best, &set, Seed::new(0), &Silent).is_err(), "{weights:?}");
    }
    let empty = TrainingSet::new(all, vec![], vec![], vec![]);
    assert!(grow(&exact(), SplitKind::Best, &empty, Seed::new(0), &Silent).is_err());
}

/// Rows enough that every way of searching is used: small nodes, large ones, ones that copy their rows together.
#[test]
fn large_nodes_find_the_best_split_too() {
    for (seed, n_values, weighted) in [(1, 9, false), (2, 300, false), (3, 9, true)] {
        let config = ForestConfig { max_depth: Some(2), ..exact() };
        let set = random_set(seed, 900, 3, n_values, weighted);
        let nodes = tree(&config, SplitKind::Best, &set, seed);
        let Node::Split { feature, threshold, missing_left } = nodes[0] else { panic!("a leaf") };
        let goes_left = |entry: &usize| {
            let x = value(&set, *entry, feature as usize);
            x <= threshold || (x.is_nan() && missing_left)
        };
        let (left, right): (Vec<usize>, Vec<usize>) = (0..set.n_entries()).partition(goes_left);
        let best = best_cost(Criterion::Gini, &set, &(0..set.n_entries()).collect::<Vec<_>>()).unwrap();
        let found = split_cost(Criterion::Gini, &set, &left, &right);
        // 300 values have bins of their own only in part.
        assert!(found <= best * if n_values > 255 { 1.01 } else { 1.0 + 1e-12 }, "{found} instead of {best}");
    }
}

#[test]
fn copied_rows_grow_the_tree_that_far_rows_grow() {
    // With every column looked at and no equal costs, a tree does not depend on how its nodes are searched: one grown
    // best split first, which copies no rows, has the same nodes.
    let mut rng = Seed::new(3).rng();
    let values: Vec<f32> = (0..6000 * 5).map(|_| unit(&mut rng) as f32).collect();
    let labels: Vec<u8> = values.chunks(5).map(|row| u8::from(row[0] * row[1] + 0.1 * row[2] > 0.4)).collect();
    let set = set(5, values, &labels);
    let far = ForestConfig { max_leaf_nodes: Some(1_000_000), ..exact() };
    let scores = |config| forest(config, SplitKind::Best, &set, 1).score(set.matrix());
    assert_eq!(scores(&far), scores(&exact()));
    let (a, b) = (tree(&far, SplitKind::Best, &set, 1), tree(&exact(), SplitKind::Best, &set, 1));
    assert!(a.len().abs_diff(b.len()) * 50 < a.len(), "{} and {} nodes", a.len(), b.len());
    assert_eq!(a[0], b[0]);
}

/// The same trees as the plain search's, node by node: sums of f64 take one column after the other, sums of counts take
/// vectors, bits and filters. `repeat` entries per row at most.
fn assert_plain(config: &ForestConfig, kind: SplitKind, set: &TrainingSet, weights: [f64; 2], what: &str) {
    let binned = set.binned(config.bins).unwrap();
    let fast = trees::<Counted>(config, kind, &binned, set, weights, Seed::new(4));
    let slow = trees::<Weighted>(config, kind, &binned, set, [1.0; 2], Seed::new(4));
    for (fast, slow) in fast.into_iter().zip(slow) {
        assert!(fast.nodes.len() > 1, "{what}: nothing grew");
        let (fast, slow) = (plain(&binned, weights, fast), plain(&binned, [1.0; 2], slow));
        let differs = fast.iter().zip(&slow).position(|(fast, slow)| fast != slow);
        let first = differs.map(|at| (at, fast[at], slow[at]));
        assert!(fast.len() == slow.len() && differs.is_none(), "{what}: {first:?}");
    }
}

#[test]
fn vectors_bits_and_filters_find_what_the_plain_search_finds() {
    let (rf, et) = (ForestConfig::RANDOM_FOREST, ForestConfig::EXTRA_TREES);
    for (at, n_values) in [(0u64, 3usize), (1, 40), (2, 5000)] {
        // Class weights that are sums of few powers of two, so that f64 adds them as exactly as it multiplies them.
        for weights in [[1.0f32, 1.0], [0.25, 6.0]] {
            let n_rows = [700, 5200][at as usize % 2];
            let base = random_set(20 + at, n_rows, 20, n_values, false);
            let weight = |&label: &u8| weights[usize::from(label)];
            let row_weights = base.labels().iter().map(weight).collect();
            let set =
                TrainingSet::new(base.matrix().clone(), base.entries().to_vec(), base.labels().to_vec(), row_weights);
            let class_weights = weights.map(f64::from);
            for max_features in [MaxFeatures::Sqrt, MaxFeatures::Share(1.0)] {
                let rf = ForestConfig { trees: 2, max_features, ..rf.clone() };
                assert_plain(&rf, SplitKind::Best, &set, class_weights, &format!("random forest {at} {weights:?}"));
                let et = ForestConfig { trees: 2, max_features, ..et.clone() };
                assert_plain(&et, SplitKind::Random, &set, class_weights, &format!("extra trees {at} {weights:?}"));
                let et = ForestConfig { bootstrap: true, ..et };
                assert_plain(&et, SplitKind::Random, &set, class_weights, &format!("bootstrap {at} {weights:?}"));
            }
        }
    }
}

#[test]
fn more_draws_than_a_cell_or_a_sample_holds_are_searched_alike() {
    // Over 65,535 draws a node, and rows of up to 300 draws.
    let base = random_set(31, 2000, 6, 60, false);
    let entries: Vec<u32> = (0..2000u32).flat_map(|row| vec![row; 20 + (row as usize * 7) % 280]).collect();
    let labels: Vec<u8> = entries.iter().map(|&row| base.labels()[row as usize]).collect();
    let ones = vec![1.0; entries.len()];
    assert!(entries.len() > 2 * 65_535);
    let set = TrainingSet::new(base.matrix().clone(), entries, labels, ones);
    for kind in [SplitKind::Best, SplitKind::Random] {
        let config = ForestConfig { trees: 2, bootstrap: false, ..ForestConfig::RANDOM_FOREST };
        assert_plain(&config, kind, &set, [1.0; 2], &format!("{kind:?}"));
    }
}

#[test]
fn leaves_are_limited_and_the_best_splits_come_first() {
    let set = random_set(4, 400, 4, 30, false);
    for kind in [SplitKind::Best, SplitKind::Random] {
        for most in [2, 3, 7, 20] {
            let config = ForestConfig { max_leaf_nodes: Some(most), ..exact() };
            assert_eq!(tree(&config, kind, &set, 0).len(), 2 * most - 1);
        }
    }
    // Column 0 separates much, column 1 the rest of one side only: with three leaves that side is the one split again.
    let rows: [[f32; 2]; 8] =
        [[0.0, 0.0], [0.0, 1.0], [0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0], [1.0, 1.0], [1.0, 1.0]];
    let labels = [0, 0, 0, 0, 1, 1, 1, 0];
    let set = self::set(2, rows.concat(), &labels);
    let config = ForestConfig { max_leaf_nodes: Some(2), ..exact() };
    let Node::Split { feature: 0, .. } = tree(&config, SplitKind::Best, &set, 0)[0] else { panic!("the wrong column") };
}

/// Label codes whose order means nothing: levels 1, 4, 5 and 7 of 0..8 are fraud.
fn nominal_set() -> TrainingSet {
    let codes: Vec<f32> = (0..400).map(|row| (row % 8) as f32).collect();
    let labels: Vec<u8> = codes.iter().map(|&code| u8::from([1.0, 4.0, 5.0, 7.0].contains(&code))).collect();
    let names: Vec<String> = vec!["level".into()];
    let matrix = FeatureMatrix::new(names.into(), codes).with_nominal([true].into());
    TrainingSet::of_all_rows(Arc::new(matrix), labels)
}

#[test]
fn one_subset_split_separates_what_takes_many_thresholds() {
    let set = nominal_set();
    let ordered = forest(&exact(), SplitKind::Best, &set, 0);
    let config = ForestConfig { categorical_splits: CategoricalSplits::Subset, ..exact() };
    for kind in [SplitKind::Best, SplitKind::Random] {
        let subset = forest(&config, kind, &set, 0);
        assert_eq!(subset.score(set.matrix()), ordered.score(set.matrix()));
        assert_eq!(Forest::from_bytes(1, &subset.to_bytes()).unwrap(), subset);
        if kind == SplitKind::Best {
            assert_eq!((ordered.n_nodes() > 5, subset.n_nodes()), (true, 3));
        }
    }
}

#[test]
fn a_subset_is_the_best_of_all_subsets() {
    let mut rng = Seed::new(8).rng();
    for _ in 0..20 {
        let codes: Vec<f32> = (0..60).map(|_| below(&mut rng, 6) as f32).collect();
        let labels: Vec<u8> = codes.iter().map(|&code| u8::from(below(&mut rng, 7) < code as usize * 5 % 7)).collect();
        let names: Vec<String> = vec!["level".into()];
        let matrix = FeatureMatrix::new(names.into(), codes.clone()).with_nominal([true].into());
        let set = TrainingSet::of_all_rows(Arc::new(matrix), labels);
        let config = ForestConfig { categorical_splits: CategoricalSplits::Subset, max_depth: Some(1), ..exact() };
        let scores = forest(&config, SplitKind::Best, &set, 0).score(set.matrix());
        let cost = |goes_left: &dyn Fn(usize) -> bool| {
            let (left, right): (Vec<usize>, Vec<usize>) = (0..60).partition(|&entry| goes_left(entry));
            split_cost(Criterion::Gini, &set, &left, &right)
        };
        let best = (1u32..63).map(|subset| cost(&|entry| subset >> codes[entry] as u32 & 1 == 1));
        let best = best.fold(f64::INFINITY, f64::min);
        let found = cost(&|entry| scores[entry] == scores[0]);
        assert!(found <= best + 1e-9, "{found} is not {best}");
    }
}

#[test]
fn out_of_bag_scores_are_those_of_trees_that_did_not_draw_the_row() {
    let set = random_set(6, 400, 4, 50, false);
    let config = ForestConfig { trees: 70, oob_score: true, ..ForestConfig::RANDOM_FOREST };
    let grown = grow(&config, SplitKind::Best, &set, Seed::new(5), &Silent).unwrap();
    // Slowly: one forest per tree, and the rows its bootstrap left out.
    let binned = set.binned(config.bins).unwrap();
    let trees = trees::<Counted>(&config, SplitKind::Best, &binned, &set, [1.0; 2], Seed::new(5));
    let mut sums = vec![(0.0, 0); 400];
    for (at, tree) in trees.into_iter().enumerate() {
        let mut rng = tree_rng(Seed::new(5), at);
        let drawn: Vec<usize> = (0..400).map(|_| below(&mut rng, 400)).collect();
        let mut freezing = Freezing::new(&binned, [1.0; 2]).unwrap();
        freezing.add(&tree).unwrap();
        let scores = freezing.forest().unwrap().score(set.matrix());
        for row in (0..400).filter(|row| !drawn.contains(row)) {
            sums[row] = (sums[row].0 + f64::from(scores[row]), sums[row].1 + 1);
        }
    }
    for (row, (sum, n)) in sums.into_iter().enumerate() {
        assert_eq!(grown.out_of_bag[row], (sum / f64::from(n)) as f32, "row {row}");
    }
}

#[test]
fn importance_finds_the_columns_that_matter() {
    let mut rng = Seed::new(7).rng();
    let values: Vec<f32> = (0..3000 * 6).map(|_| unit(&mut rng) as f32).collect();
    let labels: Vec<u8> = values.chunks(6).map(|row| u8::from(row[1] > 0.5 || row[4] > 0.9)).collect();
    for (kind, config) in
        [(SplitKind::Best, ForestConfig::RANDOM_FOREST), (SplitKind::Random, ForestConfig::EXTRA_TREES)]
    {
        let config = ForestConfig { trees: 20, ..config };
        let grown = grow(&config, kind, &set(6, values.clone(), &labels), Seed::new(0), &Silent).unwrap();
        let importance = grown.impurity_importance;
        assert!((importance.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(importance[1] > 0.5 && importance[4] > 0.05, "{importance:?}");
        assert!([0, 2, 3, 5].iter().all(|&noise| importance[noise] < importance[4]), "{importance:?}");
    }
}

#[test]
fn what_is_made_is_handed_on_in_order_whoever_makes_it() {
    for n_threads in [1, 3, 8] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        let mut handed = Vec::new();
        let slow_evens = |number: usize| {
            std::thread::sleep(std::time::Duration::from_micros(if number.is_multiple_of(2) { 300 } else { 10 }));
            Ok(number)
        };
        let each = |number| {
            handed.push(number);
            Ok(())
        };
        let at_once = if n_threads == 8 { 2 } else { usize::MAX };
        pool.install(|| in_order(50, at_once, slow_evens, each)).unwrap();
        assert_eq!(handed, (0..50).collect::<Vec<_>>());
    }
    let failing = |number| if number == 7 { Err(Error::failed("seven")) } else { Ok(number) };
    let mut n_handed = 0;
    let each = |_| {
        n_handed += 1;
        Ok(())
    };
    assert!(in_order(50, usize::MAX, failing, each).is_err());
    assert!(n_handed <= 7, "nothing beyond what failed");
}

/// Bytes of the forest, importance and out-of-bag scores to the bit.
pub(super) fn bits(grown: &Grown) -> (Vec<u8>, Vec<u64>, Vec<u32>) {
    let importance = grown.impurity_importance.iter().map(|share| share.to_bits()).collect();
    (grown.forest.to_bytes(), importance, grown.out_of_bag.iter().map(|score| score.to_bits()).collect())
}

/// Counts and weights, numbers and subsets of levels.
pub(super) fn forests_of_all_kinds() -> Vec<(ForestConfig, SplitKind, TrainingSet)> {
    let config = ForestConfig { trees: 11, oob_score: true, bootstrap: true, ..ForestConfig::RANDOM_FOREST };
    let mut rng = Seed::new(8).rng();
    let codes: Vec<f32> = (0..200).map(|_| below(&mut rng, 6) as f32).collect();
    let labels: Vec<u8> = codes.iter().map(|&code| u8::from(below(&mut rng, 7) < code as usize * 5 % 7)).collect();
    let names: Vec<String> = vec!["level".into()];
    let levels = FeatureMatrix::new(names.into(), codes).with_nominal([true].into());
    let subsets = ForestConfig { categorical_splits: CategoricalSplits::Subset, ..config.clone() };
    vec![
        (config.clone(), SplitKind::Best, random_set(6, 300, 4, 50, false)),
        (config.clone(), SplitKind::Random, random_set(7, 300, 4, 50, true)),
        (subsets, SplitKind::Random, TrainingSet::of_all_rows(Arc::new(levels), labels)),
    ]
}

#[test]
fn a_forest_that_grew_in_parts_is_the_forest() {
    let seed = Seed::new(5);
    for (config, kind, set) in forests_of_all_kinds() {
        let whole = grow(&config, kind, &set, seed, &Silent).unwrap();
        for n in [1, 3, 11, 50] {
            let ranges = (0..config.trees).step_by(n).map(|from| from..config.trees.min(from + n));
            let grow = |trees| grow_part(&config, kind, &set, seed, trees, &Silent).unwrap();
            let parts: Vec<Vec<u8>> = ranges.map(grow).collect();
            let put = |parts: &[Vec<u8>]| put_together(&config, &set, seed, &|at| Ok(parts.get(at).cloned()));
            assert!(bits(&put(&parts).unwrap()) == bits(&whole), "{kind:?}, {n} trees a part");
            assert!(put(&parts[1..]).unwrap_err().message.contains("expected 11 trees"));
        }
    }
}

#[test]
fn damaged_parts_are_errors() {
    for (config, kind, set) in forests_of_all_kinds() {
        let binned = set.binned(config.bins).unwrap();
        let part = grow_part(&config, kind, &set, Seed::new(5), 0..2, &Silent).unwrap();
        let plain = zstd::decode_all(&part[..]).unwrap();
        let read = |bytes: &[u8]| -> Result<usize> {
            let packed = parts::packed(bytes)?;
            let (mut trees, mut n) = (parts::trees(&packed, &binned)?, 0);
            while trees.next::<Weights>()?.is_some() {
                n += 1;
            }
            Ok(n)
        };
        assert_eq!(read(&plain).unwrap(), 2);
        for cut in [1, 4, 9, plain.len() / 2, plain.len() - 1] {
            // Where the first tree ends, one is left: then their number is wrong.
            assert_ne!(read(&plain[..cut]).ok(), Some(2), "{cut}");
        }
        // No byte makes it panic; one that names a feature beyond the last is refused.
        for at in 0..plain.len().min(400) {
            let mut changed = plain.clone();
            changed[at] ^= 0x55;
            read(&changed).ok();
        }
        let mut changed = plain.clone();
        changed[6] = 0x7f;
        assert!(read(&changed).is_err());
        assert!(put_together(&config, &set, Seed::new(5), &|at| Ok((at == 0).then(|| b"no trees".to_vec()))).is_err());
    }
}

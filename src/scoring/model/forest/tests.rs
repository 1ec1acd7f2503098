//! The frozen forest: scores, bytes back and forth, hostile bytes.

use super::*;
use crate::scoring::error::ScoringError;

/// A small generator (splitmix64): the lean build has no other.
struct Draws(u64);

impl Draws {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }

    fn value(&mut self) -> f32 {
        [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, 1.5, -2.25, 1e30][self.below(8)]
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Sort {
    Values,
    Counts,
    Weights,
}

const EDGES: [f32; 5] = [-3.0, 0.0, 0.25, 1.5, f32::MAX];

fn push_leaf(draws: &mut Draws, builder: &mut ForestBuilder, sort: Sort) {
    match sort {
        Sort::Values => builder.leaf(draws.below(1001) as f32 / 1000.0),
        // Counts of one, two and four bytes, and pairs of zeros.
        Sort::Counts => builder.leaf_counts([0, 0].map(|_| [0, 1, 3, 127, 128, 70_000, MAX_COUNT][draws.below(7)])),
        Sort::Weights => builder.leaf_weights([0, 0].map(|_| draws.below(7) as f32 / 3.0)),
    }
    .unwrap();
}

fn random_forest(draws: &mut Draws, n_features: usize, n_trees: usize, sort: Sort) -> Forest {
    let thresholds = [-3.0, -0.0, 0.0, 0.25, 1.5, f32::MAX, f32::INFINITY];
    let mut builder = ForestBuilder::new(n_features).unwrap();
    if sort == Sort::Counts {
        builder = builder.with_class_weights([0.625, 2.5]);
    }
    for _ in 0..n_trees {
        builder.begin_tree().unwrap();
        let mut splits_left = draws.below(40);
        while builder.is_open() {
            if splits_left > 0 && draws.below(3) > 0 {
                splits_left -= 1;
                let (feature, missing_left) = (draws.below(n_features), draws.below(2) == 1);
                match sort != Sort::Values && feature % 2 == 1 && draws.below(2) == 0 {
                    true => builder.split_subset(feature, &EDGES, [draws.below(64) as u64, 0, 0, 0], missing_left),
                    false => builder.split(feature, thresholds[draws.below(7)], missing_left),
                }
                .unwrap();
            } else {
                push_leaf(draws, &mut builder, sort);
            }
        }
    }
    builder.build().unwrap()
}

const SORTS: [Sort; 3] = [Sort::Values, Sort::Counts, Sort::Weights];

fn random_matrix(draws: &mut Draws, n_rows: usize, n_features: usize) -> FeatureMatrix {
    let names: Vec<String> = (0..n_features).map(|feature| format!("f{feature}")).collect();
    FeatureMatrix::new(names.into(), (0..n_rows * n_features).map(|_| draws.value()).collect())
}

#[test]
fn score_is_the_mean_of_the_leaves_that_a_row_reaches() {
    let mut builder = ForestBuilder::new(2).unwrap();
    builder.begin_tree().unwrap();
    builder.split(0, 1.0, true).unwrap();
    builder.leaf(0.25).unwrap();
    builder.split(1, 2.0, false).unwrap();
    builder.leaf(0.5).unwrap();
    builder.leaf(1.0).unwrap();
    builder.begin_tree().unwrap();
    builder.leaf(0.125).unwrap();
    let forest = builder.build().unwrap();
    for (row, leaf) in [
        ([1.0, f32::NAN], 0.25),
        ([f32::NAN, 9.0], 0.25),
        ([f32::NEG_INFINITY, 9.0], 0.25),
        ([1.5, 2.0], 0.5),
        ([1.5, 2.5], 1.0),
        ([1.5, f32::NAN], 1.0),
    ] {
        assert_eq!(forest.score_row(&row), ((leaf + 0.125) / 2.0) as f32, "{row:?}");
    }
}

#[test]
fn an_infinite_threshold_sends_only_missing_values_right() {
    let mut builder = ForestBuilder::new(1).unwrap();
    builder.begin_tree().unwrap();
    builder.split(0, f32::INFINITY, false).unwrap();
    builder.leaf(0.0).unwrap();
    builder.leaf(1.0).unwrap();
    let forest = Forest::from_bytes(1, &builder.build().unwrap().to_bytes()).unwrap();
    assert_eq!([f32::INFINITY, 0.0, f32::NAN].map(|x| forest.score_row(&[x])), [0.0, 0.0, 1.0]);
}

#[test]
fn a_batch_gives_the_bits_of_its_rows() {
    let mut draws = Draws(1);
    for sort in SORTS {
        let n_trees = [13, 1, 7, 8, 9, 16, 127, 128, 129, 300];
        for (n_rows, n_trees) in [0, 1, 7, 8, 9, 255, 256, 257, 600, 4099].into_iter().zip(n_trees) {
            let forest = random_forest(&mut draws, 5, n_trees, sort);
            let matrix = random_matrix(&mut draws, n_rows, 5);
            let single: Vec<u32> = matrix.rows().map(|row| forest.score_row(row).to_bits()).collect();
            assert_eq!(forest.score(&matrix).into_iter().map(f32::to_bits).collect::<Vec<_>>(), single);
            assert_eq!(forest.ranked(n_rows).is_some(), n_rows >= 512, "{n_rows} rows");
        }
    }
}

#[test]
fn features_of_more_edges_than_codes_are_scored_on_their_values() {
    let mut draws = Draws(7);
    for n_edges in [253, 254, 255, 256] {
        let mut builder = ForestBuilder::new(1).unwrap();
        builder.begin_tree().unwrap();
        for edge in 0..n_edges {
            builder.split(0, edge as f32, edge % 2 == 0).unwrap();
            builder.leaf_counts([1, edge]).unwrap();
        }
        builder.leaf_counts([5, 3]).unwrap();
        let forest = builder.build().unwrap();
        let values = (0..600).map(|_| if draws.below(9) == 0 { f32::NAN } else { draws.below(260) as f32 - 1.5 });
        let matrix = FeatureMatrix::new(["x".to_string()].into(), values.collect());
        let single: Vec<f32> = matrix.rows().map(|row| forest.score_row(row)).collect();
        assert_eq!(forest.score(&matrix), single);
        assert_eq!(forest.ranked(600).is_some(), n_edges <= 254);
    }
}

#[test]
fn what_is_saved_is_what_is_loaded() {
    let mut draws = Draws(2);
    for n_trees in 1..50 {
        for sort in SORTS {
            let n_features = [1, 2, 5, 256, 257][n_trees % 5];
            let forest = random_forest(&mut draws, n_features, n_trees, sort);
            let bytes = forest.to_bytes();
            let loaded = Forest::from_bytes(forest.n_features(), &bytes).unwrap();
            assert_eq!(loaded, forest);
            assert_eq!(loaded.to_bytes(), bytes);
        }
    }
}

/// Written by the first version: leaves of values alone.
const OLD: &[u8] = include_bytes!("../../../../tests/data/bundle_of_leaf_values/model.safetensors");

#[test]
fn a_file_of_leaf_values_loads_for_ever_but_explains_nothing() {
    let forest = Forest::from_bytes(2, OLD).unwrap();
    assert_eq!((forest.n_trees(), forest.to_bytes()), (4, OLD.to_vec()));
    let row = [f32::NAN, 0.0];
    assert!(forest.score_row(&row) <= 1.0);
    let expected = ScoringError::new("this bundle holds no node values").hint("train again");
    assert_eq!(forest.path_contributions(&row, &mut [0.0; 2]), Err(expected.clone()));
    assert_eq!(TreeShap::new(&forest).map(drop), Err(expected));
}

#[test]
fn changed_bytes_are_refused_or_score_without_a_panic() {
    let mut draws = Draws(3);
    for sort in SORTS {
        let bytes = random_forest(&mut draws, 3, 8, sort).to_bytes();
        let matrix = random_matrix(&mut draws, 20, 3);
        let mut loaded = 0;
        for _ in 0..20_000 {
            let mut changed = bytes.clone();
            for _ in 0..=draws.below(4) {
                let at = draws.below(changed.len());
                changed[at] = draws.below(256) as u8;
            }
            if draws.below(10) == 0 {
                changed.truncate(draws.below(changed.len()));
            }
            if let Ok(forest) = Forest::from_bytes(3, &changed) {
                loaded += 1;
                let scores = forest.score(&matrix);
                assert!(scores.iter().all(|score| (0.0..=1.0).contains(score)));
                let ranked = ranked::Ranked::of(&forest).expect("few edges").score(&matrix);
                assert_eq!(ranked.into_iter().map(|sum| forest.mean(sum)).collect::<Vec<_>>(), scores);
                assert_eq!(Forest::from_bytes(3, &forest.to_bytes()).unwrap(), forest);
                let mut contributions = [0.0; 3];
                let base = forest.path_contributions(matrix.row(0), &mut contributions);
                assert_eq!(base.is_ok(), sort != Sort::Values);
                if let Ok(base) = base {
                    assert!(close(base + contributions.iter().sum::<f64>(), f64::from(scores[0])));
                    TreeShap::new(&forest).unwrap().explain(matrix.row(0), &mut contributions).unwrap();
                    assert!(contributions.iter().all(|contribution| contribution.is_finite()));
                }
            }
        }
        assert!(loaded > 100, "only {loaded} changed files of {sort:?} loaded: the test reaches too little");
        assert!(Forest::from_bytes(4, &bytes).is_err() && Forest::from_bytes(0, &bytes).is_err());
        assert!(Forest::from_bytes(usize::MAX, &bytes).is_err());
    }
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-6
}

#[test]
fn counts_have_one_form() {
    for value in [0, 1, 127, 128, 16_383, 16_384, 1 << 28, u32::MAX] {
        let mut bytes = Vec::new();
        columns::push_varint(&mut bytes, value);
        bytes.push(7);
        let mut rest = &bytes[..];
        assert_eq!((columns::take_varint(&mut rest), rest), (Ok(value), &[7u8][..]));
    }
    for refused in [
        &[][..],
        &[0x80],
        &[0x80, 0],
        &[0xff, 0x80, 0],
        &[0xff, 0xff, 0xff, 0xff, 0x10],
        &[0x80, 0x80, 0x80, 0x80, 0x80, 1],
    ] {
        assert!(columns::take_varint(&mut &refused[..]).is_err(), "{refused:?}");
    }
}

#[test]
fn a_subset_of_bins_goes_left() {
    // Bins: up to 1 | up to 2 | up to 3 | above. The first and the third go left.
    let forest = |missing_left| {
        let mut builder = ForestBuilder::new(2).unwrap();
        builder.begin_tree().unwrap();
        builder.split_subset(1, &[1.0, 2.0, 3.0], [0b1111_0101, u64::MAX, 0, 0], missing_left).unwrap();
        builder.leaf_counts([0, 9]).unwrap();
        builder.split(1, f32::INFINITY, !missing_left).unwrap();
        builder.leaf_counts([3, 1]).unwrap();
        builder.leaf_counts([1, 0]).unwrap();
        Forest::from_bytes(2, &builder.build().unwrap().to_bytes()).unwrap()
    };
    let xs = [f32::NEG_INFINITY, 0.0, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, f32::INFINITY, f32::NAN];
    let rows: Vec<f32> = xs.into_iter().cycle().take(1000).flat_map(|x| [0.0, x]).collect();
    for (missing_left, missing) in [(true, 1.0), (false, 0.25)] {
        let forest = forest(missing_left);
        let expected = [1.0, 1.0, 1.0, 0.25, 0.25, 1.0, 1.0, 0.25, 0.25, missing];
        assert_eq!(xs.map(|x| forest.score_row(&[0.0, x])), expected);
        let matrix = FeatureMatrix::new(["a".to_string(), "b".to_string()].into(), rows.clone());
        assert!(forest.score(&matrix).chunks(10).all(|scores| scores == expected));
        assert_eq!(forest.subsets[0].left_bins, [0b0101, 0, 0, 0], "bits beyond the bins say nothing");
    }
}

#[test]
fn bins_of_a_feature_are_the_same_in_the_whole_forest() {
    let start = || {
        let mut builder = ForestBuilder::new(1).unwrap();
        builder.begin_tree().unwrap();
        builder.split_subset(0, &[1.0, 2.0], [1, 0, 0, 0], false).unwrap();
        builder
    };
    assert!(start().split_subset(0, &[1.0, 3.0], [1, 0, 0, 0], false).is_err());
    let whole = |threshold| {
        let mut builder = start();
        builder.split(0, threshold, false).unwrap();
        (0..3).for_each(|_| builder.leaf_counts([1, 1]).unwrap());
        builder.build()
    };
    assert!(whole(2.0).is_ok() && whole(f32::INFINITY).is_ok() && whole(1.5).is_err());
    let mut builder = ForestBuilder::new(1).unwrap();
    builder.begin_tree().unwrap();
    let many: Vec<f32> = (0..256).map(|at| at as f32).collect();
    for edges in [&[2.0, 1.0][..], &[f32::NAN], &[f32::INFINITY], &many] {
        assert!(builder.split_subset(0, edges, [1, 0, 0, 0], false).is_err());
    }
    assert!(builder.split_subset(1, &[1.0], [1, 0, 0, 0], false).is_err());
    builder.split_subset(0, &many[..255], [0, 0, 0, 1 << 63], true).unwrap();
    builder.leaf_weights([0.0, 1.0]).unwrap();
    builder.leaf_weights([1.0, 0.0]).unwrap();
    let forest = Forest::from_bytes(1, &builder.build().unwrap().to_bytes()).unwrap();
    assert_eq!([254.0, 255.0, f32::NAN].map(|x| forest.score_row(&[x])), [0.0, 1.0, 1.0], "the last of 256 bins");
}

/// Values of all nodes, by adding up the leaves below each.
#[test]
fn every_node_knows_the_frequency_of_its_samples() {
    let mut draws = Draws(8);
    for sort in [Sort::Counts, Sort::Weights] {
        let forest = random_forest(&mut draws, 4, 30, sort);
        for at in 0..forest.n_nodes() as u32 {
            let (mut open, mut sums) = (vec![at], [0.0; 2]);
            while let Some(at) = open.pop() {
                let node = forest.nodes[at as usize];
                if !node.is_leaf() {
                    open.extend([forest.left(node), forest.left(node) + 1]);
                } else if sort == Sort::Counts {
                    let [negatives, positives] = node.counts().map(f64::from);
                    sums = [sums[0] + 0.625 * negatives, sums[1] + 2.5 * positives];
                } else {
                    let weights = forest.leaf_weights[node.place() as usize].map(f64::from);
                    sums = [sums[0] + weights[0], sums[1] + weights[1]];
                }
            }
            let expected = if sums[0] + sums[1] > 0.0 { sums[1] / (sums[0] + sums[1]) } else { 0.0 };
            assert!(close(forest.node_values()[at as usize].into(), expected));
        }
    }
}

#[test]
fn path_contributions_follow_the_path() {
    let mut builder = ForestBuilder::new(3).unwrap();
    builder.begin_tree().unwrap();
    builder.split(0, 1.0, true).unwrap();
    builder.leaf_counts([4, 0]).unwrap();
    builder.split(2, 2.0, false).unwrap();
    builder.leaf_counts([1, 1]).unwrap();
    builder.leaf_counts([0, 2]).unwrap();
    builder.begin_tree().unwrap();
    builder.leaf_counts([3, 1]).unwrap();
    let forest = builder.build().unwrap();
    let mut contributions = [9.0; 3];
    // Root 3 / 8, then 3 / 4, then 1; the second tree says 1 / 4 without asking.
    let base = forest.path_contributions(&[5.0, 0.0, 5.0], &mut contributions).unwrap();
    assert_eq!((base, contributions), ((0.375 + 0.25) / 2.0, [0.375 / 2.0, 0.0, 0.25 / 2.0]));
    assert!(forest.path_contributions(&[5.0], &mut contributions).is_err());
    assert!(forest.path_contributions(&[5.0; 3], &mut [0.0; 2]).is_err());
}

/// The expected score when only the features of a set are known.
fn expected_score(forest: &Forest, covers: &[Vec<f64>], row: &[f32], known: usize) -> f64 {
    fn expected(forest: &Forest, covers: &[f64], start: usize, at: u32, row: &[f32], known: usize) -> f64 {
        let node = forest.nodes[at as usize];
        if node.is_leaf() {
            return forest.leaf_value(node).into();
        }
        if known >> node.feature() & 1 == 1 {
            return expected(forest, covers, start, forest.next(at, row), row, known);
        }
        let cover = |at: u32| covers[at as usize - start];
        let share = |child: u32| if cover(at) > 0.0 { cover(child) / cover(at) } else { 0.5 };
        [forest.left(node), forest.left(node) + 1]
            .into_iter()
            .map(|child| share(child) * expected(forest, covers, start, child, row, known))
            .sum()
    }
    let trees = forest.roots.iter().zip(covers);
    let sum: f64 = trees.map(|(&root, covers)| expected(forest, covers, root as usize, root, row, known)).sum();
    sum / forest.n_trees() as f64
}

/// Against the definition: the weighted mean gain over all sets of other features.
#[test]
fn shap_values_are_shapley_values() {
    let mut draws = Draws(9);
    for (n_features, sort) in [(1, Sort::Counts), (3, Sort::Counts), (6, Sort::Counts), (7, Sort::Weights)] {
        let forest = random_forest(&mut draws, n_features, 6, sort);
        let sums = (0..forest.n_trees()).map(|tree| forest.class_sums(tree));
        let covers: Vec<Vec<f64>> = sums.map(|sums| sums.into_iter().map(|[a, b]| a + b).collect()).collect();
        let shap = TreeShap::new(&forest).unwrap();
        let factorial = |n: usize| (1..=n).map(|k| k as f64).product::<f64>();
        for row in random_matrix(&mut draws, 12, n_features).rows() {
            let scores: Vec<f64> = (0..1 << n_features).map(|set| expected_score(&forest, &covers, row, set)).collect();
            let mut found = vec![0.0; n_features];
            let base = shap.explain(row, &mut found).unwrap();
            for (feature, &found) in found.iter().enumerate() {
                let others = (0..1usize << n_features).filter(|set| set >> feature & 1 == 0);
                let gain = |set: usize| {
                    let size = set.count_ones() as usize;
                    let weight = factorial(size) * factorial(n_features - size - 1) / factorial(n_features);
                    weight * (scores[set | 1 << feature] - scores[set])
                };
                let expected: f64 = others.map(gain).sum();
                assert!((found - expected).abs() < 1e-12, "feature {feature}: {found}, by definition {expected}");
            }
            assert!((base - scores[0]).abs() < 1e-12);
            assert!(close(base + found.iter().sum::<f64>(), forest.score_row(row).into()));
        }
    }
}

/// A path of 120 distinct features: where all of them must agree, each earns the same share.
#[test]
fn shap_values_stay_exact_on_long_paths() {
    let n_features = 120;
    let mut builder = ForestBuilder::new(n_features).unwrap();
    builder.begin_tree().unwrap();
    for feature in 0..n_features {
        builder.split(feature, 0.0, false).unwrap();
        builder.leaf_counts([1, 0]).unwrap();
    }
    builder.leaf_counts([0, 1]).unwrap();
    let forest = builder.build().unwrap();
    let mut contributions = vec![0.0; n_features];
    let base = TreeShap::new(&forest).unwrap().explain(&vec![1.0; n_features], &mut contributions).unwrap();
    assert!((base + contributions.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    // The last split halves what reaches it, the first lets 120 of 121 pass: the deeper, the more it earns.
    assert!(contributions.is_sorted_by(|a, b| a < b), "{contributions:?}");
}

#[test]
fn a_chain_as_deep_as_the_file_allows_loads_scores_and_explains() {
    let mut builder = ForestBuilder::new(1).unwrap();
    builder.begin_tree().unwrap();
    for _ in 0..200_000 {
        builder.split(0, 0.0, true).unwrap();
    }
    (0..=200_000).for_each(|_| builder.leaf_counts([0, 1]).unwrap());
    let forest = Forest::from_bytes(1, &builder.build().unwrap().to_bytes()).unwrap();
    assert_eq!(forest.score_row(&[f32::NAN]), 1.0);
    let base = TreeShap::new(&forest).unwrap().explain(&[1.0], &mut [0.0]).unwrap();
    assert!(close(base, 1.0));
}

#[test]
fn what_is_no_forest_is_refused() {
    assert!(ForestBuilder::new(0).is_err() && ForestBuilder::new(MAX_FEATURES + 1).is_err());
    let mut builder = ForestBuilder::new(2).unwrap();
    assert!(builder.leaf(0.5).is_err(), "a leaf outside a tree");
    builder.begin_tree().unwrap();
    assert!(builder.split(2, 0.0, false).is_err());
    assert!(builder.split(1, f32::NAN, false).is_err() && builder.split(1, f32::NEG_INFINITY, false).is_err());
    for value in [-0.1, 1.1, f32::NAN, f32::INFINITY] {
        assert!(builder.leaf(value).is_err());
    }
    for weights in [[-1.0, 0.0], [0.0, f32::NAN], [f32::INFINITY, 0.0]] {
        assert!(builder.leaf_weights(weights).is_err());
    }
    for weights in [[-1.0, 1.0], [1.0, f64::NAN], [f64::MAX, 1.0]] {
        let mut builder = ForestBuilder::new(1).unwrap().with_class_weights(weights);
        builder.begin_tree().unwrap();
        assert!(builder.leaf_counts([1, 1]).is_err());
    }
    builder.split(1, 0.0, false).unwrap();
    builder.leaf(0.0).unwrap();
    assert!(builder.leaf_counts([1, 1]).is_err(), "leaves of two sorts");
    for counts in [[MAX_COUNT + 1, 0], [0, MAX_COUNT + 1]] {
        let mut builder = ForestBuilder::new(1).unwrap();
        builder.begin_tree().unwrap();
        assert!(builder.leaf_counts(counts).is_err(), "more than a node holds");
    }
    assert!(builder.begin_tree().is_err() && builder.build().is_err(), "a right child is missing");
    assert!(ForestBuilder::new(1).unwrap().build().is_err(), "no trees");
}

#[test]
fn more_thresholds_than_codes_are_refused_when_building() {
    let mut builder = ForestBuilder::new(1).unwrap();
    builder.begin_tree().unwrap();
    // Descending, so that the numbers of edges change when the forest is complete.
    (0..MAX_EDGES).for_each(|at| builder.split(0, -(at as f32), false).unwrap());
    assert!(builder.split(0, 1.0, false).is_err());
    (0..=MAX_EDGES).for_each(|at| builder.leaf_counts([1, at as u32]).unwrap());
    let forest = builder.build().unwrap();
    assert_eq!(Forest::from_bytes(1, &forest.to_bytes()), Ok(forest));
}

/// Ranks by the grid against ranks by definition, where edges crowd, lie far apart, or overflow.
#[test]
fn coded_values_are_ranks() {
    let mut draws = Draws(10);
    let crowded = |at: usize| f32::from_bits(1.0f32.to_bits() + at as u32);
    let families: [&dyn Fn(usize) -> f32; 6] = [
        &|at| at as f32 - 100.0,
        &|at| (at as f32 / 8.0).exp2() - 1e6,
        &crowded,
        &|at| if at < 200 { f32::from_bits(at as u32) } else { 1e30 * at as f32 },
        &|at| (at as f32 - 126.5) * (f32::MAX / 127.0),
        &|at| if at % 2 == 0 { -1e-30 * (300 - at) as f32 } else { 1e10 + at as f32 * 4096.0 },
    ];
    for (at, family) in families.into_iter().enumerate() {
        for n_edges in [0, 1, 2, 3, 17, 200, 254] {
            let mut edges: Vec<f32> = (0..n_edges).map(family).collect();
            edges.sort_by(f32::total_cmp);
            edges.dedup();
            let near = |x: f32| [x, x.next_up(), x.next_down()];
            let mut values: Vec<f32> = edges.iter().copied().flat_map(near).collect();
            values.extend([f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, 0.0, -0.0]);
            values.extend((0..200).map(|_| f32::from_bits(draws.below(1 << 32) as u32)));
            values.resize(values.len().next_multiple_of(64), f32::NAN);
            let coder = ranked::Coder::of(0, &edges).unwrap();
            let codes = values.as_chunks().0.iter().flat_map(|values| coder.code(values));
            for (&x, code) in values.iter().zip(codes) {
                let expected = if x.is_nan() { 0 } else { edges.partition_point(|edge| *edge < x) + 1 };
                assert_eq!(usize::from(code), expected, "family {at}, {n_edges} edges, {x:e}");
            }
        }
    }
}

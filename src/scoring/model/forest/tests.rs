//! The frozen forest: scores, bytes back and forth, hostile bytes.

use super::*;

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

fn random_forest(draws: &mut Draws, n_features: usize, n_trees: usize) -> Forest {
    let thresholds = [-3.0, -0.0, 0.0, 0.25, 1.5, f32::MAX, f32::INFINITY];
    let mut builder = ForestBuilder::new(n_features).unwrap();
    for _ in 0..n_trees {
        builder.begin_tree().unwrap();
        let mut splits_left = draws.below(40);
        while !builder.open.is_empty() {
            if splits_left > 0 && draws.below(3) > 0 {
                splits_left -= 1;
                let (feature, threshold) = (draws.below(n_features), thresholds[draws.below(7)]);
                builder.split(feature, threshold, draws.below(2) == 1).unwrap();
            } else {
                builder.leaf(draws.below(1001) as f32 / 1000.0).unwrap();
            }
        }
    }
    builder.build().unwrap()
}

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
    for n_rows in [0, 1, 7, 8, 9, 255, 256, 257, 600] {
        let forest = random_forest(&mut draws, 5, 13);
        let matrix = random_matrix(&mut draws, n_rows, 5);
        let single: Vec<u32> = matrix.rows().map(|row| forest.score_row(row).to_bits()).collect();
        assert_eq!(forest.score(&matrix).into_iter().map(f32::to_bits).collect::<Vec<_>>(), single);
    }
}

#[test]
fn what_is_saved_is_what_is_loaded() {
    let mut draws = Draws(2);
    for n_trees in 1..50 {
        let forest = random_forest(&mut draws, 1 + n_trees % 4, n_trees);
        let bytes = forest.to_bytes();
        let loaded = Forest::from_bytes(forest.n_features(), &bytes).unwrap();
        assert_eq!(loaded, forest);
        assert_eq!(loaded.to_bytes(), bytes);
    }
}

#[test]
fn changed_bytes_are_refused_or_score_without_a_panic() {
    let mut draws = Draws(3);
    let bytes = random_forest(&mut draws, 3, 8).to_bytes();
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
            assert!(forest.score(&matrix).iter().all(|score| (0.0..=1.0).contains(score)));
            assert_eq!(Forest::from_bytes(3, &forest.to_bytes()).unwrap(), forest);
        }
    }
    assert!(loaded > 100, "only {loaded} changed files loaded: the test reaches too little");
    assert!(Forest::from_bytes(4, &bytes).is_err() && Forest::from_bytes(0, &bytes).is_err());
    assert!(Forest::from_bytes(usize::MAX, &bytes).is_err());
}

#[test]
fn a_chain_as_deep_as_the_file_allows_loads_and_scores() {
    let mut builder = ForestBuilder::new(1).unwrap();
    builder.begin_tree().unwrap();
    for _ in 0..200_000 {
        builder.split(0, 0.0, true).unwrap();
    }
    (0..=200_000).for_each(|_| builder.leaf(1.0).unwrap());
    let forest = Forest::from_bytes(1, &builder.build().unwrap().to_bytes()).unwrap();
    assert_eq!(forest.score_row(&[f32::NAN]), 1.0);
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
    builder.split(1, 0.0, false).unwrap();
    builder.leaf(0.0).unwrap();
    assert!(builder.begin_tree().is_err() && builder.build().is_err(), "a right child is missing");
    assert!(ForestBuilder::new(1).unwrap().build().is_err(), "no trees");
}

#[test]
fn more_thresholds_than_codes_are_refused_when_building() {
    let chain = |n: usize| {
        let mut builder = ForestBuilder::new(1).unwrap();
        builder.begin_tree().unwrap();
        (0..n).for_each(|at| builder.split(0, at as f32, false).unwrap());
        (0..=n).for_each(|_| builder.leaf(0.0).unwrap());
        builder.build()
    };
    assert!(chain(MAX_EDGES).is_ok_and(|forest| Forest::from_bytes(1, &forest.to_bytes()) == Ok(forest)));
    assert!(chain(MAX_EDGES + 1).is_err());
}

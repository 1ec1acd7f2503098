//! The search against brute force: duplicates and ties, extreme scales, synthetic rows, categories, blocks and threads.

use std::sync::Arc;

use proptest::prelude::*;

use super::prepared::LANES;
use super::*;
use crate::training::config::{Categories, NominalPenalty};
use crate::training::progress::{Silent, Stopped};
use crate::training::resample::smote::Neighbors;
use crate::training::seed::Seed;

pub fn matrix(n_features: usize, values: Vec<f32>) -> FeatureMatrix {
    FeatureMatrix::new((0..n_features).map(|feature| format!("f{feature}")).collect::<Arc<[String]>>(), values)
}

/// Every pair measured, sorted by (distance, index).
pub fn nearest_slowly(
    matrix: &FeatureMatrix,
    distance: &Distance,
    row: u32,
    candidates: &[u32],
    k: usize,
) -> Vec<Neighbor> {
    let others = candidates.iter().filter(|&&other| other != row);
    let measure = |&other: &u32| (distance.between(matrix.row(row as usize), matrix.row(other as usize)), other);
    let mut found: Vec<Neighbor> = others.map(measure).collect();
    found.sort_by(|a, b| a.partial_cmp(b).unwrap());
    found.resize(k.max(found.len()), NOBODY);
    found.truncate(k);
    found
}

fn slowly(matrix: &FeatureMatrix, distance: &Distance, of: Targets, among: &[u32], k: usize) -> Vec<Neighbor> {
    (0..of.len()).flat_map(|target| nearest_slowly(matrix, distance, of.row(target), among, k)).collect()
}

/// Originals with `draws` synthetic rows after them.
fn enlarged(original: &FeatureMatrix, distance: &Distance, rows: &[u32], n: usize) -> (FeatureMatrix, Vec<Draw>) {
    let neighbors = Neighbors::find(original, distance, rows, 2, &Silent).unwrap();
    let draws = neighbors.draw(n, Seed::new(n as u64));
    let mut values = original.values().to_vec();
    for draw in &draws {
        let mut row = vec![0.0; original.n_features()];
        neighbors.interpolate(draw, original, distance, rows, &mut row);
        values.extend(row);
    }
    (matrix(original.n_features(), values).with_nominal(original.nominal().clone()), draws)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// Coarse values: duplicates and equal distances everywhere. Scales from subnormal squares to f32 overflow, and a
    /// middle far from zero.
    #[test]
    fn rows_and_synthetic_rows_find_what_brute_force_finds(
        (n_features, cells) in (1usize..24).prop_flat_map(|n| (Just(n), prop::collection::vec(-3i8..4, n * 12..n * 90))),
        k in 1usize..6,
        scale in prop::sample::select(vec![1.0f32, 0.1, 1e-22, 1e25]),
        middle in prop::sample::select(vec![0.0f32, 1000.0]),
        n_draws in 0usize..60,
        n_nominal in 0usize..3,
    ) {
        let n_rows = cells.len() / n_features;
        let values: Vec<f32> =
            cells[..n_rows * n_features].iter().map(|&cell| (f32::from(cell) + middle) * scale).collect();
        let nominal: Vec<bool> = (0..n_features).map(|feature| feature < n_nominal.min(n_features - 1)).collect();
        let original = matrix(n_features, values).with_nominal(nominal.into());
        let (minority, majority): (Vec<u32>, Vec<u32>) = (0..n_rows as u32).partition(|row| row % 3 == 0);
        let categories = Categories::Nominal(NominalPenalty::Full);
        let distance = Distance::of(categories, &original, &minority).unwrap();
        let (matrix, draws) = enlarged(&original, &distance, &minority, n_draws);
        let search = Search::new(&matrix, &distance).unwrap();
        let all: Vec<u32> = (0..matrix.n_rows() as u32).collect();

        let originals = Targets::rows(&minority);
        for among in [&minority, &majority, &all] {
            let found = search.nearest(originals, among, k, &Silent).unwrap();
            prop_assert_eq!(found, slowly(&matrix, &distance, originals, among, k));
        }
        let both = Targets { rows: &minority, draws: &draws, first_draw: n_rows as u32 };
        for among in [&majority, &all] {
            let found = search.nearest(both, among, k, &Silent).unwrap();
            prop_assert_eq!(found, slowly(&matrix, &distance, both, among, k));
        }
        // What is known stays where nothing is nearer: here the nearest of half of the rows.
        let known = search.nearest(Targets::rows(&all), &majority, 1, &Silent).unwrap();
        let found = search.nearer_than(Targets::rows(&all), &minority, known, &Silent).unwrap();
        prop_assert_eq!(found, slowly(&matrix, &distance, Targets::rows(&all), &all[..n_rows], 1));
    }
}

/// More candidates than a block, more targets than a product, outliers, and dense clusters far from the middle.
#[test]
fn blocks_outliers_and_clusters_change_nothing() {
    let n_rows = 3 * LANES + 37;
    let cell = |row: usize, feature: usize| {
        let noise = ((row * 7919 + feature * 104_729) % 1009) as f32 / 1009.0;
        match row % 10 {
            0 => 1e6 * noise,
            1..4 => 5000.0 + 1e-3 * noise,
            _ => noise,
        }
    };
    let values = (0..n_rows).flat_map(|row| (0..30).map(move |feature| cell(row, feature))).collect();
    let original = matrix(30, values);
    let (minority, majority): (Vec<u32>, Vec<u32>) = (0..n_rows as u32).partition(|row| row % 4 == 1);
    let distance = Distance::euclidean(30);
    let (matrix, draws) = enlarged(&original, &distance, &minority, 500);
    let both = Targets { rows: &minority, draws: &draws, first_draw: n_rows as u32 };
    let search = Search::new(&matrix, &distance).unwrap();
    let slow = slowly(&matrix, &distance, both, &majority, 1);
    for n_threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        assert_eq!(pool.install(|| search.nearest(both, &majority, 1, &Silent)).unwrap(), slow);
    }
}

#[test]
fn a_duplicate_is_a_neighbour_and_the_row_itself_is_not() {
    let matrix = matrix(1, vec![1.0, 1.0, 1.0, 5.0]);
    let distance = Distance::euclidean(1);
    let search = Search::new(&matrix, &distance).unwrap();
    let rows = [0, 1, 2, 3];
    let nearest = search.nearest(Targets::rows(&rows), &rows, 2, &Silent).unwrap();
    let rows: Vec<u32> = nearest.into_iter().map(|(_, row)| row).collect();
    assert_eq!(rows, [1, 2, 0, 2, 0, 1, 0, 1]);
}

#[test]
fn fewer_candidates_than_neighbours_leave_places_empty() {
    let matrix = matrix(1, vec![1.0, 2.0]);
    let distance = Distance::euclidean(1);
    let search = Search::new(&matrix, &distance).unwrap();
    assert_eq!(search.nearest(Targets::rows(&[0]), &[0, 1], 2, &Silent).unwrap(), [(1.0, 1), NOBODY]);
    assert_eq!(search.nearest(Targets::rows(&[]), &[0, 1], 2, &Silent).unwrap(), []);
    assert_eq!(search.nearest(Targets::rows(&[1]), &[], 1, &Silent).unwrap(), [NOBODY]);
}

#[test]
fn a_missing_value_is_refused_by_name() {
    let matrix = matrix(2, vec![0.0, 1.0, 0.0, f32::NAN]);
    let error = Search::new(&matrix, &Distance::euclidean(2)).err().unwrap();
    assert!(error.message.contains("`f1` is missing in 1 of 2 rows") && error.hint.is_some(), "{error}");
}

#[test]
fn an_interruption_stops_the_search() {
    let matrix = matrix(1, vec![0.0, 1.0]);
    let distance = Distance::euclidean(1);
    let found = Search::new(&matrix, &distance).unwrap().nearest(Targets::rows(&[0]), &[0, 1], 1, &Stopped);
    assert_eq!(found, Err(Error::interrupted()));
}

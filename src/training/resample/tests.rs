//! Cases as a whole: shares, reports, weights, and the same result for any number of threads.

use std::sync::Arc;

use rand::RngExt;

use super::nearest_neighbors::tests::matrix;
use super::*;
use crate::training::config::{Categories, ClassWeights, NominalPenalty, SmoteConfig, TomekRemove, TooFew};
use crate::training::progress::Silent;
use crate::training::seed::Seed;

/// Two overlapping clouds; some rows twice.
fn clouds(n_rows: usize, positive_every: usize) -> TrainingSet {
    let mut rng = Seed::new(7).rng();
    let mut values: Vec<f32> = Vec::new();
    let labels: Vec<u8> = (0..n_rows).map(|row| u8::from(row % positive_every == 0)).collect();
    for (row, &label) in labels.iter().enumerate() {
        if row % 50 == 49 {
            values.extend_from_within((row - 3) * 4..(row - 2) * 4);
        } else {
            values.extend((0..4).map(|_| rng.random_range(0.0..1.0) + f32::from(label) * 0.4));
        }
    }
    TrainingSet::of_all_rows(Arc::new(matrix(4, values)), labels)
}

fn run(case: Case, set: &TrainingSet) -> (TrainingSet, ResamplingReport) {
    let resampled = resample(&case, &mut Shared::new(set, Seed::new(1), vec![case.clone()]), &Silent).unwrap();
    check_lineage(set, &resampled);
    (resampled.set, resampled.report)
}

/// What the lineage says is what the set holds.
fn check_lineage(before: &TrainingSet, after: &Resampled) {
    let Lineage { n_original, made, removed } = &after.lineage;
    let all = n_original + made.len();
    let kept: Vec<usize> = (0..all).filter(|&at| removed.binary_search(&(at as u32)).is_err()).collect();
    assert_eq!(kept.len(), after.set.n_entries());
    let row_before = |entry: usize| before.matrix().row(before.entries()[entry] as usize);
    for (&at, entry) in kept.iter().zip(0..) {
        let row = after.set.matrix().row(after.set.entries()[entry] as usize);
        match at.checked_sub(*n_original) {
            None => assert_eq!((row, after.set.labels()[entry]), (row_before(at), before.labels()[at])),
            Some(at) => {
                let Made { parent, neighbor, gap } = made[at];
                let (a, b) = (row_before(parent as usize), row_before(neighbor.unwrap_or(parent) as usize));
                let between = |(&a, &b): (&f32, &f32)| (f64::from(a) + gap * (f64::from(b) - f64::from(a))) as f32;
                assert_eq!(row.to_vec(), a.iter().zip(b).map(between).collect::<Vec<f32>>());
                assert_eq!(after.set.labels()[entry], before.labels()[parent as usize]);
            }
        }
    }
}

const SMOTE: SmoteConfig =
    SmoteConfig { target: Balance::TargetShare(0.4), k: 5, categories: Categories::Numeric, too_few: TooFew::Refuse };

fn smote_tomek(target: Balance, remove: TomekRemove) -> Case {
    Case::SmoteTomek { smote: SmoteConfig { target, ..SMOTE }, remove }
}

#[test]
fn raw_changes_nothing() {
    let set = clouds(300, 10);
    let (after, report) = run(Case::Raw, &set);
    assert_eq!((after.entries(), after.weights()), (set.entries(), set.weights()));
    assert_eq!((report.rows_after, report.positives_after, report.share_after), (300, 30, 0.1));
}

#[test]
fn balanced_weights_give_both_classes_half_of_the_sum() {
    let set = clouds(300, 10);
    let (after, report) = run(Case::ClassWeights(ClassWeights::Balanced), &set);
    let sum = |class: u8| -> f64 {
        let of_class = after.labels().iter().zip(after.weights()).filter(|&(&label, _)| label == class);
        of_class.map(|(_, &weight)| f64::from(weight)).sum()
    };
    assert!((sum(1) - 150.0).abs() < 1e-3 && (sum(0) - 150.0).abs() < 1e-3);
    assert_eq!(report.weights, [5.0, 300.0 / 540.0]);
    let (after, _) = run(Case::ClassWeights(ClassWeights::Given { positive: 10.0, negative: 0.5 }), &set);
    assert!(after.labels().iter().zip(after.weights()).all(|(&l, &w)| w == if l == 1 { 10.0 } else { 0.5 }));
}

#[test]
fn oversampling_reaches_the_target_with_copies_of_minority_rows() {
    let set = clouds(1_003, 29);
    for share in [0.1, 0.4, 0.5, 0.7] {
        let (after, report) = run(Case::Oversample { target: Balance::TargetShare(share) }, &set);
        let n = after.n_entries() as f64;
        assert!((after.n_positives() as f64 - share * n).abs() <= 1.0, "{report:?}");
        assert_eq!(report.share_after, after.n_positives() as f64 / n);
        assert_eq!(after.entries()[..1_003], *set.entries());
        assert!(after.entries()[1_003..].iter().all(|&row| set.labels()[row as usize] == 1));
        assert!(Arc::ptr_eq(after.matrix(), set.matrix()), "no value is copied");
        assert_eq!(report.duplicates, after.n_entries() - 1_003);
    }
}

#[test]
fn a_ratio_is_not_a_share() {
    let set = clouds(1_000, 10);
    let (after, report) = run(Case::Oversample { target: Balance::TargetRatio(0.4) }, &set);
    assert_eq!(after.n_positives(), 360);
    assert!((report.share_after - 0.2857).abs() < 1e-4);
}

#[test]
fn nothing_is_added_where_the_target_is_reached() {
    let set = clouds(300, 3);
    let target = Balance::TargetShare(0.2);
    let (after, report) = run(Case::Oversample { target }, &set);
    assert_eq!((after.n_entries(), report.duplicates), (300, 0));
    let (_, report) = run(smote_tomek(target, TomekRemove::Majority), &set);
    assert_eq!((report.synthetic, report.positives_after), (0, 100));
    assert!(report.links > 0);
}

#[test]
fn the_smaller_class_is_the_minority_whatever_its_label() {
    let set = clouds(300, 10);
    let flipped: Vec<u8> = set.labels().iter().map(|&label| 1 - label).collect();
    let flipped = TrainingSet::of_all_rows(set.matrix().clone(), flipped);
    let case = smote_tomek(Balance::TargetShare(0.4), TomekRemove::Both);
    let ((a, report_a), (b, report_b)) = (run(case.clone(), &set), run(case, &flipped));
    assert_eq!((a.entries(), a.matrix().values()), (b.entries(), b.matrix().values()));
    assert!(a.labels().iter().zip(b.labels()).all(|(&a, &b)| a == 1 - b));
    assert_eq!((report_a.share_after, report_a.links), (report_b.share_after, report_b.links));
}

#[test]
fn smote_tomek_adds_up_to_the_target_and_removes_links() {
    let set = clouds(1_000, 20);
    let (both, report) = run(smote_tomek(Balance::TargetShare(0.4), TomekRemove::Both), &set);
    assert_eq!(report.synthetic, 633 - 50, "950 majority rows: 633.3 minority rows are 40 %");
    assert_eq!(report.rows_after, 1_000 + 583 - 2 * report.links);
    assert_eq!((report.removed_majority, report.removed_minority), (report.links, report.links));
    assert_eq!(both.n_positives(), report.positives_after);
    assert!(report.links > 0);
    // The originals stand first and unchanged; entries skip what was removed.
    assert_eq!(both.matrix().values()[..4_000], *set.matrix().values());
    assert!(both.entries().is_sorted() && both.n_entries() < both.matrix().n_rows());
    assert!(both.entries().iter().zip(both.labels()).all(|(&row, &label)| match set.labels().get(row as usize) {
        Some(&original) => original == label,
        None => label == 1,
    }));
    let (majority, report) = run(smote_tomek(Balance::TargetShare(0.4), TomekRemove::Majority), &set);
    assert_eq!((report.removed_minority, majority.n_positives()), (0, 633));
    assert!((majority.n_positives() as f64 / (majority.n_entries() + report.links) as f64 - 0.4).abs() < 1.0 / 1_583.0);
}

#[test]
fn entries_that_are_not_all_rows_are_gathered() {
    let set = clouds(400, 8);
    let rows: Vec<u32> = (0..400).rev().filter(|row| row % 3 != 0).collect();
    let of_rows = |values: &[u8]| rows.iter().map(|&row| values[row as usize]).collect::<Vec<u8>>();
    let labels = of_rows(set.labels());
    let weights = vec![1.0; rows.len()];
    let view = TrainingSet::new(set.matrix().clone(), rows.clone(), labels.clone(), weights);
    let copied = rows.iter().flat_map(|&row| set.matrix().row(row as usize).to_vec()).collect();
    let copy = TrainingSet::of_all_rows(Arc::new(matrix(4, copied)), labels);
    let case = smote_tomek(Balance::TargetShare(0.4), TomekRemove::Both);
    let ((a, report_a), (b, report_b)) = (run(case.clone(), &view), run(case, &copy));
    assert_eq!((a.entries(), a.labels(), a.matrix().values()), (b.entries(), b.labels(), b.matrix().values()));
    assert_eq!(report_a, report_b);
}

#[test]
fn threads_do_not_change_a_row() {
    let set = clouds(3_000, 15);
    let with_threads = |n_threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        pool.install(|| run(smote_tomek(Balance::TargetShare(0.4), TomekRemove::Both), &set))
    };
    let ((a, report_a), (b, report_b)) = (with_threads(1), with_threads(2));
    assert_eq!((a.entries(), a.matrix().values()), (b.entries(), b.matrix().values()));
    assert_eq!(report_a, report_b);
}

#[test]
fn one_class_too_few_rows_and_too_much_work_are_refused() {
    let refuse = |case: Case, set: &TrainingSet| {
        resample(&case, &mut Shared::new(set, Seed::new(1), Vec::new()), &Silent).err().unwrap()
    };
    let target = Balance::TargetShare(0.4);
    let one_class = TrainingSet::of_all_rows(Arc::new(matrix(1, vec![0.0; 9])), vec![0; 9]);
    for case in [
        Case::Oversample { target },
        smote_tomek(target, TomekRemove::Both),
        Case::ClassWeights(ClassWeights::Balanced),
    ] {
        assert!(refuse(case, &one_class).message.contains("found 0 positive and 9 negative"));
    }
    let error = refuse(smote_tomek(target, TomekRemove::Both), &clouds(100, 25));
    assert!(error.message.contains("found 4") && error.hint.is_some(), "{error}");
    let error = refuse(Case::Oversample { target: Balance::TargetShare(1.0) }, &clouds(100, 25));
    assert!(error.message.contains("32 bits"), "{error}");

    let case = smote_tomek(target, TomekRemove::Both);
    let features = Features { numeric: 403, categorical: 31 };
    assert!(estimate(&case, 500_000_000, 50_000_000, features).seconds > LIMIT_HOURS * 3600.0);
    let work = estimate(&case, 472_000, 16_500, features);
    assert!((20.0..600.0).contains(&work.seconds) && (1.2e9..2e9).contains(&work.bytes), "{work:?}");
    let categories = Categories::Nominal(NominalPenalty::Full);
    let nominal = Case::SmoteTomek { smote: SmoteConfig { categories, ..SMOTE }, remove: TomekRemove::Both };
    let longer = estimate(&nominal, 472_000, 16_500, features).seconds / work.seconds;
    assert!((1.2..2.0).contains(&longer), "measured: 111 s for 76 s, {longer}");
    assert_eq!(estimate(&Case::Raw, 1_000, 50, features), Work::default());
}

#[test]
fn fewer_neighbours_where_the_config_allows_it() {
    let set = clouds(100, 25);
    let reduce = |n_positives: usize| {
        let set = clouds(n_positives * 25, 25);
        let smote = SmoteConfig { too_few: TooFew::Reduce, ..SMOTE };
        resample(&Case::Smote(smote), &mut Shared::new(&set, Seed::new(1), Vec::new()), &Silent)
    };
    let report = reduce(4).unwrap().report;
    assert_eq!((report.neighbors, report.synthetic), (Some(3), 60));
    assert!(reduce(1).is_err(), "one row has no neighbour");
    assert_eq!(set.n_positives(), 4);
}

/// Rows lie on segments, and what is said of their closeness is what brute force finds.
#[test]
fn smote_says_how_close_it_came_to_the_majority() {
    let set = clouds(600, 12);
    let (after, report) = run(Case::Smote(SMOTE), &set);
    assert_eq!((report.rows_after, report.links, report.neighbors), (600 + report.synthetic, 0, Some(5)));
    let distance = distance::Distance::euclidean(4);
    let all: Vec<u32> = (0..after.n_rows() as u32).collect();
    let majority: Vec<u32> = (0..600).filter(|&row| set.labels()[row as usize] == 0).collect();
    let nearest =
        |row: u32, among: &[u32]| nearest_neighbors::tests::nearest_slowly(after.matrix(), &distance, row, among, 1)[0];
    let synthetic = || 600..after.n_rows() as u32;
    let mut gaps: Vec<f64> = synthetic().map(|row| nearest(row, &majority).0.sqrt()).collect();
    gaps.sort_by(f64::total_cmp);
    let crossing = synthetic().filter(|&row| set.labels().get(nearest(row, &all).1 as usize) == Some(&0)).count();
    let closeness = report.closeness.unwrap();
    assert_eq!((closeness.measured, closeness.quantiles[0]), (gaps.len(), gaps[0]));
    assert_eq!(closeness.nearest_is_majority, crossing as f64 / gaps.len() as f64);
    assert!(crossing > 0);
    let (_, tomek) = run(smote_tomek(SMOTE.target, TomekRemove::Both), &set);
    assert_eq!(tomek.closeness.unwrap(), closeness, "found the other way");
}

#[test]
fn tomek_links_alone_add_nothing() {
    let set = clouds(600, 12);
    let run = |remove| run(Case::Tomek { remove, categories: Categories::Numeric }, &set);
    let (after, report) = run(TomekRemove::Majority);
    assert!(report.links > 0 && report.synthetic == 0 && report.closeness.is_none());
    assert_eq!((after.n_entries(), after.n_positives()), (600 - report.links, 50));
    assert!(Arc::ptr_eq(after.matrix(), set.matrix()), "no value is copied");
    assert_eq!(run(TomekRemove::Both).0.n_positives(), 50 - report.links);
}

/// One search serves all targets: cases together give what each gives alone, in any order.
#[test]
fn cases_that_share_a_search_are_what_they_are_alone() {
    let set = clouds(800, 16);
    let target = |share| SmoteConfig { target: Balance::TargetShare(share), ..SMOTE };
    let links = |share| Case::SmoteTomek { smote: target(share), remove: TomekRemove::Both };
    let tomek = Case::Tomek { remove: TomekRemove::Both, categories: Categories::Numeric };
    let cases = vec![links(0.2), Case::Smote(target(0.3)), links(0.4), tomek, links(0.3)];
    for order in [[0, 1, 2, 3, 4], [3, 2, 4, 1, 0]] {
        let mut shared = Shared::new(&set, Seed::new(1), cases.clone());
        for at in order {
            let together = resample(&cases[at], &mut shared, &Silent).unwrap();
            let (alone, report) = run(cases[at].clone(), &set);
            assert_eq!(together.report, report);
            assert_eq!((together.set.entries(), together.set.labels()), (alone.entries(), alone.labels()));
            assert_eq!(together.set.matrix().values(), alone.matrix().values());
        }
    }
}

/// A category is copied, never interpolated, and separates rows that numbers alone would link.
#[test]
fn nominal_categories_are_those_of_neighbours() {
    let plain = clouds(600, 12);
    let codes: Vec<f32> = plain
        .matrix()
        .values()
        .iter()
        .enumerate()
        .map(|(at, &v)| if at % 4 == 3 { (v * 5.0).floor() / 10.0 } else { v })
        .collect();
    let mixed = matrix(4, codes).with_nominal([false, false, false, true].into());
    let set = TrainingSet::of_all_rows(Arc::new(mixed), plain.labels().to_vec());
    let smote = SmoteConfig { categories: Categories::Nominal(NominalPenalty::Half), ..SMOTE };
    let case = Case::SmoteTomek { smote, remove: TomekRemove::Both };
    let after = resample(&case, &mut Shared::new(&set, Seed::new(1), vec![case.clone()]), &Silent).unwrap();
    assert!(after.report.synthetic > 0);
    let known: Vec<f32> = set.matrix().rows().map(|row| row[3]).collect();
    assert!(after.set.matrix().rows().all(|row| known.contains(&row[3])));
    let numeric = run(Case::SmoteTomek { smote: SMOTE, remove: TomekRemove::Both }, &set);
    assert!(numeric.0.matrix().rows().any(|row| !known.contains(&row[3])));
}

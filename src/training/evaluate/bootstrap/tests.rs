//! Draws are what they say, and their intervals hold the truth as often as they should.

use super::*;
use crate::training::evaluate::facts::RowFacts;
use crate::training::evaluate::headline::{HEADLINE, RankedRows, Scratch};

#[test]
fn draws_are_stratified_and_whole_units_go_together() {
    let labels = [1, 0, 0, 0, 1, 0, 0, 0];
    let groups = [5, 5, 9, 9, 7, 7, 7, 2];
    let by_row = Bootstrap::new(&labels, None, Unit::Row, 1000, Seed::new(1));
    for counts in by_row.each(|counts, _: &mut ()| counts.to_vec()) {
        let of = |class: u8| (0..8).filter(|&row| labels[row] == class).map(|row| counts[row]).sum::<u16>();
        assert_eq!((of(1), of(0)), (2, 6));
    }
    let by_group = Bootstrap::new(&labels, Some(&groups), Unit::Group, 1000, Seed::new(1));
    let mut means = [0.0; 8];
    for counts in by_group.each(|counts, _: &mut ()| counts.to_vec()) {
        assert!(counts[0] == counts[1] && counts[2] == counts[3] && counts[4] == counts[5] && counts[5] == counts[6]);
        // Two groups hold a fraud, two do not.
        assert_eq!((counts[0] + counts[4], counts[2] + counts[7]), (2, 2));
        means.iter_mut().zip(&counts).for_each(|(mean, &count)| *mean += f64::from(count) / 1000.0);
    }
    assert!(means.iter().all(|mean| (mean - 1.0).abs() < 0.12), "{means:?}");
    let by_day = Bootstrap::new(&labels, Some(&groups), Unit::Day, 1000, Seed::new(1));
    assert!(by_day.each(|counts, _: &mut ()| counts[0] + counts[2] + counts[4] + counts[7]).iter().all(|&n| n == 4));
}

#[test]
fn intervals_of_what_does_not_vary() {
    assert_eq!(interval_of_share(1.0, &[1.0; 10]), None);
    assert_eq!(interval_of_share(0.5, &[0.5; 10]), None);
    assert_eq!(interval_of_share(0.5, &[f64::NAN, f64::NAN, 0.4, 0.6]), None);
    let [low, high] = interval_of_share(0.5, &[0.4, 0.5, 0.6, 0.5]).unwrap();
    assert!(low > 0.3 && high < 0.7 && (low + high - 1.0).abs() < 1e-12);
    assert_eq!(p_value(&[1.0; 999]), Some(0.002));
    assert_eq!(p_value(&[0.0; 9]), Some(1.0));
    assert_eq!(p_value(&[f64::NAN]), None);
}

/// 300 frauds among 3,000 rows; a third of them, by chance, looks like the others.
fn rows(seed: Seed) -> (Vec<u8>, Vec<f32>) {
    let mut rng = seed.rng();
    let labels: Vec<u8> = (0..3000).map(|row| u8::from(row < 300)).collect();
    let mut score = |label: u8| {
        let told = label == 1 && rng.random_range(0..3) > 0;
        let normal = (0..12).map(|_| rng.random_range(0.0f32..1.0)).sum::<f32>() - 6.0;
        normal + if told { 2.5 } else { 0.0 }
    };
    let scores = labels.iter().map(|&label| score(label)).collect();
    (labels, scores)
}

/// 200 data sets: a coverage of 95 % is told from one of 88 % or 100 %. `benches/evaluate.rs` counts 1,000, and fewer frauds.
#[test]
fn intervals_hold_the_truth() {
    const DATA_SETS: u64 = 200;
    let facts = RowFacts::default();
    let figures = |labels: &[u8], scores: &[f32]| {
        let ranked = RankedRows::new(labels, scores, &facts, 300, Unit::Row).unwrap();
        ranked.figures(&vec![1; labels.len()], &mut Scratch::default())
    };
    let truth: Vec<[f64; HEADLINE.len()]> = (0..1500u64)
        .into_par_iter()
        .map(|copy| {
            let (labels, scores) = rows(Seed::new(21).derive("truth", copy));
            figures(&labels, &scores)
        })
        .collect();
    let truth = |at: usize| truth.iter().map(|figures| figures[at]).sum::<f64>() / truth.len() as f64;
    let covered: Vec<[bool; 6]> = (0..DATA_SETS)
        .into_par_iter()
        .map(|at| {
            let (labels, scores) = rows(Seed::new(22).derive("data", at));
            let ranked = RankedRows::new(&labels, &scores, &facts, 300, Unit::Row).unwrap();
            let bootstrap = Bootstrap::new(&labels, None, Unit::Row, 400, Seed::new(23).derive("draws", at));
            let draws = bootstrap.each(|counts, scratch: &mut Scratch| ranked.figures(counts, scratch));
            let once = figures(&labels, &scores);
            std::array::from_fn(|figure| {
                let draws: Vec<f64> = draws.iter().map(|draw| draw[figure]).collect();
                interval_of_share(once[figure], &draws)
                    .is_some_and(|[low, high]| low <= truth(figure) && truth(figure) <= high)
            })
        })
        .collect();
    for (figure, name) in HEADLINE[..6].iter().enumerate() {
        let share = covered.iter().filter(|covered| covered[figure]).count() as f64 / DATA_SETS as f64;
        assert!((0.89..=0.995).contains(&share), "{name}: {share}");
    }
}

//! Against the definition by pairs, against known truth, and what is degenerate.

use proptest::prelude::*;
use rand::RngExt;

use super::*;
use crate::training::evaluate::measure;
use crate::training::seed::Seed;

/// DeLong's covariance as published, by all pairs; by entity as Obuchowski's.
fn slow(labels: &[u8], groups: &[u32], a: &[f32], b: &[f32]) -> (f64, f64) {
    let rows = |class: u8| (0..labels.len()).filter(move |&row| labels[row] == class).collect::<Vec<_>>();
    let (positives, negatives) = (rows(1), rows(0));
    let psi = |x: f32, y: f32| if x > y { 1.0 } else { f64::from(u8::from(x == y)) / 2.0 };
    let (m, n) = (positives.len() as f64, negatives.len() as f64);
    let placed = |scores: &[f32]| {
        let mut placed = vec![0.0; labels.len()];
        for &p in &positives {
            placed[p] = negatives.iter().map(|&q| psi(scores[p], scores[q])).sum::<f64>() / n;
        }
        for &q in &negatives {
            placed[q] = positives.iter().map(|&p| psi(scores[p], scores[q])).sum::<f64>() / m;
        }
        let auc = positives.iter().map(|&p| placed[p]).sum::<f64>() / m;
        (auc, placed)
    };
    let (auc_a, placed_a) = placed(a);
    let (auc_b, placed_b) = placed(b);
    let n_groups = groups.iter().max().unwrap() + 1;
    let sum = |placed: &[f64], auc: f64, group: u32, class: u8| -> f64 {
        (0..labels.len()).filter(|&row| groups[row] == group && labels[row] == class).map(|row| placed[row] - auc).sum()
    };
    let has = |group: u32, class: u8| (0..labels.len()).any(|row| groups[row] == group && labels[row] == class);
    let (mut s10, mut s01, mut s11) = (0.0, 0.0, 0.0);
    for group in 0..n_groups {
        let of = |placed: &[f64], auc, class| sum(placed, auc, group, class);
        s10 += of(&placed_a, auc_a, 1) * of(&placed_b, auc_b, 1);
        s01 += of(&placed_a, auc_a, 0) * of(&placed_b, auc_b, 0);
        s11 += of(&placed_a, auc_a, 1) * of(&placed_b, auc_b, 0) + of(&placed_a, auc_a, 0) * of(&placed_b, auc_b, 1);
    }
    let units = |class: u8| (0..n_groups).filter(|&group| has(group, class)).count() as f64;
    let all = (0..n_groups).filter(|&group| has(group, 0) || has(group, 1)).count() as f64;
    let (i, j) = (units(1), units(0));
    let covariance = i / ((i - 1.0) * m) * s10 / m + j / ((j - 1.0) * n) * s01 / n + all / (all - 1.0) * s11 / (m * n);
    (auc_a, covariance)
}

fn rows() -> impl Strategy<Value = Vec<(bool, u8, u8, u32)>> {
    prop::collection::vec((any::<bool>(), 0u8..8, 0u8..30, 0u32..12), 6..60)
}

proptest! {
    #[test]
    fn equals_the_published_formula(rows in rows()) {
        let labels: Vec<u8> = rows.iter().map(|row| u8::from(row.0)).collect();
        let a: Vec<f32> = rows.iter().map(|row| f32::from(row.1) / 7.0).collect();
        let b: Vec<f32> = rows.iter().map(|row| f32::from(row.2) / 29.0).collect();
        let groups: Vec<u32> = rows.iter().map(|row| row.3).collect();
        let apart: Vec<u32> = (0..rows.len() as u32).collect();
        let n_positives = labels.iter().filter(|&&label| label == 1).count();
        prop_assume!(n_positives > 1 && n_positives + 1 < labels.len());
        let (of_a, of_b) = (Placements::new(&labels, &a).unwrap(), Placements::new(&labels, &b).unwrap());
        let (auc, expected) = slow(&labels, &apart, &a, &b);
        prop_assert!((of_a.auc - auc).abs() < 1e-12 && (of_a.auc - measure(&labels, &a).auc.unwrap()).abs() < 1e-12);
        prop_assert!((covariance(&labels, None, &of_a, &of_b).unwrap() - expected).abs() < 1e-12);
        prop_assert!((covariance(&labels, Some(&apart), &of_a, &of_b).unwrap() - expected).abs() < 1e-12);
        if let Some(found) = covariance(&labels, Some(&groups), &of_a, &of_b) {
            prop_assert!((found - slow(&labels, &groups, &a, &b).1).abs() < 1e-12);
        }
        // Var(a - b) = Var(a) + Var(b) - 2 Cov(a, b).
        let of = |x, y| covariance(&labels, None, x, y).unwrap();
        let variance = of(&of_a, &of_a) + of(&of_b, &of_b) - 2.0 * of(&of_a, &of_b);
        if let Some([low, high]) = difference(&labels, None, &of_a, &of_b).interval {
            prop_assert!(((high - low) / (2.0 * Z_95) - variance.max(0.0).sqrt()).abs() < 1e-9);
        }
    }
}

/// Rows copied within an entity tell nothing new: by entity the error stays, by row it shrinks.
#[test]
fn copies_of_rows_within_an_entity_add_nothing() {
    let mut rng = Seed::new(3).rng();
    let labels: Vec<u8> = (0..400).map(|row| u8::from(row % 4 == 0)).collect();
    let scores: Vec<f32> = labels.iter().map(|&label| rng.random_range(0.0..1.0f32) + 0.5 * f32::from(label)).collect();
    let once = Placements::new(&labels, &scores).unwrap();
    let variance = covariance(&labels, None, &once, &once).unwrap();
    let five = |of: usize| (0..5 * of).map(|at| at / 5).collect::<Vec<_>>();
    let rows = five(400);
    let labels: Vec<u8> = rows.iter().map(|&row| labels[row]).collect();
    let scores: Vec<f32> = rows.iter().map(|&row| scores[row]).collect();
    let groups: Vec<u32> = rows.iter().map(|&row| row as u32).collect();
    let copied = Placements::new(&labels, &scores).unwrap();
    assert!((covariance(&labels, Some(&groups), &copied, &copied).unwrap() / variance - 1.0).abs() < 1e-9);
    assert!(covariance(&labels, None, &copied, &copied).unwrap() < 0.25 * variance);
}

#[test]
fn perfect_and_equal_rankings_are_degenerate() {
    let labels = [0, 0, 1, 1];
    let of = |scores: &[f32]| Placements::new(&labels, scores).unwrap();
    let (perfect, other) = (of(&[0.1, 0.2, 0.3, 0.4]), of(&[0.1, 0.3, 0.2, 0.4]));
    assert_eq!(perfect.auc, 1.0);
    for (a, b) in [(&perfect, &other), (&perfect, &perfect), (&other, &other)] {
        let found = difference(&labels, None, a, b);
        assert_eq!((found.interval, found.p), (None, None));
    }
    assert!(Placements::new(&[1, 1], &[0.1, 0.2]).is_none() && Placements::new(&[0, 1], &[0.1, f32::NAN]).is_none());
}

/// The variance over a million rows with ties is that of the exact integers of the metrics' one-pass formula.
#[test]
fn holds_for_a_million_rows_with_ties() {
    let mut rng = Seed::new(5).rng();
    let n_rows = 1_000_000;
    let labels: Vec<u8> = (0..n_rows).map(|row| u8::from(row % 30 == 0)).collect();
    let scores: Vec<f32> =
        labels.iter().map(|&label| (rng.random_range(0..500u32) + 150 * u32::from(label)) as f32 / 650.0).collect();
    let found = Placements::new(&labels, &scores).unwrap();
    let metrics = measure(&labels, &scores);
    let error = covariance(&labels, None, &found, &found).unwrap().sqrt();
    assert!((found.auc - metrics.auc.unwrap()).abs() < 1e-12);
    let [low, high] = metrics.auc_interval.unwrap();
    assert!((2.0 * Z_95 * error - (high - low)).abs() < 1e-12);
}

#[test]
fn holm_steps_down() {
    let adjusted = holm(&[Some(0.01), None, Some(0.04), Some(0.03)]);
    let expected = [Some(0.03), None, Some(0.06), Some(0.06)];
    for (found, expected) in adjusted.iter().zip(expected) {
        assert_eq!(found.is_some(), expected.is_some());
        assert!((found.unwrap_or(0.0) - expected.unwrap_or(0.0)).abs() < 1e-12);
    }
    assert!((two_sided(1.959_963_984_540_054) - 0.05).abs() < 1e-12);
}

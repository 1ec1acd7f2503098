//! Against definitions on rows written out: pair counts, threshold sweeps, sorted days.

use proptest::prelude::*;

use super::*;
use crate::training::evaluate::measure;

/// The figures of one day's rows by trying every order of its ties: the mean over all of them, by rotation.
fn caught_at_k(rows: &[(f32, f64)], k: usize) -> (f64, usize) {
    let mut rows = rows.to_vec();
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    let taken = k.min(rows.len());
    let Some(&(boundary, _)) = rows.get(taken.wrapping_sub(1)) else { return (0.0, 0) };
    let above: f64 = rows.iter().filter(|row| row.0 > boundary).map(|row| row.1).sum();
    let n_above = rows.iter().filter(|row| row.0 > boundary).count();
    let tied: Vec<f64> = rows.iter().filter(|row| row.0 == boundary).map(|row| row.1).collect();
    // Every rotation of the tied rows, first `taken - n_above` of each.
    let of_rotation = |start: usize| -> f64 { (0..taken - n_above).map(|at| tied[(start + at) % tied.len()]).sum() };
    let mean = (0..tied.len()).map(of_rotation).sum::<f64>() / tied.len() as f64;
    (above + mean, taken)
}

#[derive(Debug, Clone)]
struct Row {
    label: u8,
    score: f32,
    day: u32,
    group: u32,
    count: u16,
}

fn slow(rows: &[Row], k: usize) -> Figures {
    let copies: Vec<&Row> = rows.iter().flat_map(|row| std::iter::repeat_n(row, row.count as usize)).collect();
    let labels: Vec<u8> = copies.iter().map(|row| row.label).collect();
    let scores: Vec<f32> = copies.iter().map(|row| row.score).collect();
    let metrics = measure(&labels, &scores);
    let (mut caught, mut alerts, mut cards_caught, mut cards_alerted) = (0.0, 0, 0.0, 0);
    for day in 0..4 {
        let of_day: Vec<&&Row> = copies.iter().filter(|row| row.day == day).collect();
        let plain: Vec<(f32, f64)> = of_day.iter().map(|row| (row.score, f64::from(row.label))).collect();
        let (found, n) = caught_at_k(&plain, k);
        (caught, alerts) = (caught + found, alerts + n);
        let copies_of_cards = (0..5u32).flat_map(|group| (1..4u16).map(move |copy| (group, copy)));
        let cards: Vec<(f32, f64)> = copies_of_cards
            .filter_map(|(group, copy)| {
                let of_card = || of_day.iter().filter(|row| row.group == group && row.count >= copy);
                let best = of_card().map(|row| row.score).max_by(f32::total_cmp)?;
                Some((best, f64::from(u8::from(of_card().any(|row| row.label == 1)))))
            })
            .collect();
        let (found, n) = caught_at_k(&cards, k);
        (cards_caught, cards_alerted) = (cards_caught + found, cards_alerted + n);
    }
    let share = |part: f64, whole: usize| if whole > 0 { part / whole as f64 } else { f64::NAN };
    let or_nan = |figure: Option<f64>| figure.unwrap_or(f64::NAN);
    [
        or_nan(metrics.average_precision),
        or_nan(metrics.auc),
        or_nan(metrics.recall_at_fpr_1),
        or_nan(metrics.recall_at_fpr_5),
        share(caught, alerts),
        share(caught, metrics.n_positives),
        share(cards_caught, cards_alerted),
    ]
}

fn rows(by_day: bool) -> impl Strategy<Value = (Vec<Row>, usize)> {
    let row = (any::<bool>(), 0u8..9, 0u32..4, 0u32..5, 0u16..4);
    let row = row.prop_map(|(label, score, day, group, count)| Row {
        label: u8::from(label),
        score: [0.0, -1e-40, 0.1, 0.3, 0.5, 0.7, 1.0, f32::MIN_POSITIVE, f32::MAX][score as usize],
        day,
        group,
        count,
    });
    (prop::collection::vec(row, 1..60), prop::array::uniform4(0u16..4), 1usize..6).prop_map(move |(mut rows, of, k)| {
        if by_day {
            rows.iter_mut().for_each(|row| row.count = of[row.day as usize]);
        }
        (rows, k)
    })
}

fn fast(rows: &[Row], k: usize, unit: Unit) -> Figures {
    let column = |of: fn(&Row) -> u32| Some(rows.iter().map(of).collect::<Vec<u32>>());
    let facts = RowFacts { days: column(|row| row.day), groups: column(|row| row.group), ..RowFacts::default() };
    let labels: Vec<u8> = rows.iter().map(|row| row.label).collect();
    let scores: Vec<f32> = rows.iter().map(|row| row.score).collect();
    let counts: Vec<u16> = rows.iter().map(|row| row.count).collect();
    RankedRows::new(&labels, &scores, &facts, k, unit).unwrap().figures(&counts, &mut Scratch::default())
}

fn same(fast: Figures, slow: Figures) -> Result<(), TestCaseError> {
    for ((name, fast), slow) in HEADLINE.iter().zip(fast).zip(slow) {
        let close = (fast - slow).abs() < 1e-12 || (fast.is_nan() && slow.is_nan());
        prop_assert!(close, "{}: {} is not {}", name, fast, slow);
    }
    Ok(())
}

proptest! {
    #[test]
    fn counts_are_copies((rows, k) in rows(false)) {
        same(fast(&rows, k, Unit::Row), slow(&rows, k))?;
        let once: Vec<Row> = rows.iter().map(|row| Row { count: 1, ..row.clone() }).collect();
        same(fast(&once, k, Unit::Row), slow(&once, k))?;
    }

    /// A day that is drawn twice is two days, each with its own k.
    #[test]
    fn days_count_as_a_whole((rows, k) in rows(true)) {
        let mut expected = slow(&rows, k);
        let (mut caught, mut alerts, mut cards) = (0.0, 0.0, [0.0; 2]);
        for day in 0..4 {
            let of_day: Vec<Row> = rows.iter().filter(|row| row.day == day).map(|row| Row { count: 1, ..row.clone() }).collect();
            let Some(times) = rows.iter().find(|row| row.day == day).map(|row| f64::from(row.count)) else { continue };
            let plain: Vec<(f32, f64)> = of_day.iter().map(|row| (row.score, f64::from(row.label))).collect();
            let (found, n) = caught_at_k(&plain, k);
            (caught, alerts) = (caught + times * found, alerts + times * n as f64);
            let alone = fast(&of_day, k, Unit::Row);
            let distinct: std::collections::BTreeSet<u32> = of_day.iter().map(|row| row.group).collect();
            let n_cards = k.min(distinct.len()) as f64;
            cards = [cards[0] + times * alone[6] * n_cards, cards[1] + times * n_cards];
        }
        let n_positives: f64 = rows.iter().filter(|row| row.label == 1).map(|row| f64::from(row.count)).sum();
        let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { f64::NAN };
        (expected[4], expected[5], expected[6]) = (share(caught, alerts), share(caught, n_positives), share(cards[0], cards[1]));
        same(fast(&rows, k, Unit::Day), expected)?;
    }
}

#[test]
fn one_class_leaves_figures_undefined_and_scores_that_are_no_numbers_have_no_rank() {
    let facts = RowFacts::default();
    let figures = |labels: &[u8]| {
        let ranked = RankedRows::new(labels, &[0.1, 0.2], &facts, 1, Unit::Row).unwrap();
        ranked.figures(&[1, 1], &mut Scratch::default()).map(|figure| (!figure.is_nan()).then_some(figure))
    };
    assert_eq!(figures(&[0, 0]), [None, None, None, None, Some(0.0), None, None]);
    assert_eq!(figures(&[1, 1]), [Some(1.0), None, None, None, Some(1.0), Some(0.5), None]);
    assert!(RankedRows::new(&[0], &[f32::NAN], &facts, 1, Unit::Row).is_none());
}

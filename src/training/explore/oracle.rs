//! Drift, bins and adversarial validation against slow definitions and planted truth.

use proptest::prelude::*;

use super::tests::dataset;
use super::*;
use crate::scoring::table::Cells;

/// Numbers of a small set, so that ties and gaps abound; two labels.
fn drawn(max_rows: usize) -> impl Strategy<Value = (Vec<f64>, Vec<u8>)> {
    let number = prop_oneof![
        1 => Just(f64::NAN),
        1 => Just(-0.0),
        4 => (-3i32..12).prop_map(|whole| f64::from(whole) / 4.0),
        1 => -1e6..1e6f64,
    ];
    prop::collection::vec((number, 0u8..2), 70..max_rows).prop_map(|rows| rows.into_iter().unzip())
}

/// Early and late rows of a data set whose times are shuffled row numbers: the first and the last 30 %.
fn halves(numbers: &[f64]) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let n = numbers.len();
    let times: Vec<f64> = (0..n).map(|row| ((row * 7919) % n.next_power_of_two().max(8192)) as f64).collect();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| times[a].total_cmp(&times[b]));
    let at = |place: &usize| numbers[*place];
    let third = (n as f64 * 0.3) as usize;
    (times, order[..third].iter().map(at).collect(), order[n - third..].iter().map(at).collect())
}

/// The population stability index as it is defined: ten bins that end at the early deciles, a bin for missing cells.
fn slow_psi(early: &[f64], late: &[f64]) -> f64 {
    let mut sorted: Vec<f64> = early.iter().copied().filter(|x| !x.is_nan()).collect();
    sorted.sort_by(f64::total_cmp);
    let mut ends: Vec<f64> = Vec::new();
    for nth in 1..10 {
        if !sorted.is_empty() && ends.iter().all(|end| *end != sorted[nth * sorted.len() / 10]) {
            ends.push(sorted[nth * sorted.len() / 10]);
        }
    }
    let bin = |x: &f64| if x.is_nan() { 99 } else { ends.iter().filter(|end| **end <= *x).count() };
    let mut index = 0.0;
    for wanted in (0..=ends.len()).chain([99]) {
        let count = |rows: &[f64]| rows.iter().filter(|x| bin(x) == wanted).count() as f64;
        let share = |rows: &[f64]| if count(rows) == 0.0 { 0.5 } else { count(rows) } / rows.len() as f64;
        index += (share(late) - share(early)) * (share(late).ln() - share(early).ln());
    }
    index
}

/// The largest distance of the two distribution functions over all values that occur.
fn slow_ks(early: &[f64], late: &[f64]) -> Option<f64> {
    let present = |rows: &[f64]| -> Vec<f64> { rows.iter().copied().filter(|x| !x.is_nan()).collect() };
    let (early, late) = (present(early), present(late));
    if early.is_empty() || late.is_empty() {
        return None;
    }
    let below = |rows: &[f64], x: f64| rows.iter().filter(|y| **y <= x).count() as f64 / rows.len() as f64;
    Some(early.iter().chain(&late).map(|&x| (below(&early, x) - below(&late, x)).abs()).fold(0.0, f64::max))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn drift_of_numbers_is_its_definition((numbers, labels) in drawn(400)) {
        let (times, early, late) = halves(&numbers);
        let found = drift::drift(&dataset(vec![("x", Cells::numeric(&numbers))], labels, Some(times))).unwrap().unwrap();
        prop_assert_eq!((found.early_rows, found.late_rows), (early.len(), late.len()));
        let column = &found.columns[0];
        prop_assert!((column.psi - slow_psi(&early, &late)).abs() < 1e-9, "{} {}", column.psi, slow_psi(&early, &late));
        let ks = slow_ks(&early, &late);
        prop_assert_eq!(column.ks.is_some(), ks.is_some());
        prop_assert!((column.ks.unwrap_or(0.0) - ks.unwrap_or(0.0)).abs() < 1e-12);
    }

    /// Every level is a bin.
    #[test]
    fn drift_of_categories_is_its_definition(codes in prop::collection::vec(0u32..6, 70..300)) {
        let (times, early, late) = halves(&codes.iter().map(|&code| f64::from(code)).collect::<Vec<_>>());
        let levels = ["a", "b", "c", "d", "e"].map(String::from).to_vec();
        let cells = Cells::categorical(&codes, levels);
        let found = drift::drift(&dataset(vec![("x", cells)], vec![0; codes.len()], Some(times))).unwrap().unwrap();
        let mut index = 0.0;
        for code in 0..6 {
            let share = |rows: &[f64]| {
                let count = rows.iter().filter(|x| **x == f64::from(code)).count();
                (count as f64).max(0.5) / rows.len() as f64
            };
            index += (share(&late) - share(&early)) * (share(&late) / share(&early)).ln();
        }
        prop_assert!((found.columns[0].psi - index).abs() < 1e-9);
        prop_assert_eq!(found.columns[0].ks, None);
    }

    /// A bin closes with the first value that fills its equal share of what is left.
    #[test]
    fn bins_are_equal_shares_that_cut_no_value((numbers, labels) in drawn(300)) {
        let found = ColumnBins::new("x", &Cells::numeric(&numbers), &labels).bins;
        let mut values: Vec<f64> = numbers.iter().copied().filter(|x| !x.is_nan()).collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        let (mut expected, mut open) = (Vec::new(), Vec::<f64>::new());
        let rows_of = |values: &[f64]| (0..numbers.len()).filter(|&row| values.contains(&numbers[row])).collect::<Vec<_>>();
        let mut left = rows_of(&values).len();
        for value in values {
            open.push(value);
            let rows = rows_of(&open);
            if rows.len() * (10 - expected.len()) >= left {
                left -= rows.len();
                let positives = rows.iter().filter(|&&row| labels[row] == 1).count();
                expected.push((open[0], *open.last().unwrap(), rows.len(), positives));
                open.clear();
            }
        }
        prop_assert_eq!(found.len(), expected.len());
        for (found, (low, high, rows, positives)) in found.iter().zip(expected) {
            prop_assert_eq!((found.rows, found.positives), (rows, positives));
            let ends: Vec<f64> = found.of.split(" to ").map(|end| end.parse().unwrap()).collect();
            prop_assert!(ends[0] == low && *ends.last().unwrap() == high, "{}: {low} {high}", found.of);
        }
    }

    /// The ten most frequent levels and all others together.
    #[test]
    fn bins_of_levels_are_the_most_frequent((codes, labels) in prop::collection::vec((0u32..16, 0u8..2), 1..200)
        .prop_map(|rows| rows.into_iter().unzip::<u32, u8, Vec<u32>, Vec<u8>>()))
    {
        let levels: Vec<String> = (1..16).map(|nth| format!("level {nth:02}")).collect();
        let found = ColumnBins::new("x", &Cells::categorical(&codes, levels.clone()), &labels).bins;
        let of = |code: u32| {
            let rows: Vec<usize> = (0..codes.len()).filter(|&row| codes[row] == code).collect();
            (rows.len(), rows.iter().filter(|&&row| labels[row] == 1).count())
        };
        let named: Vec<&Bin> = found.iter().filter(|bin| !bin.of.ends_with("others")).collect();
        let present = (1..16).filter(|&code| of(code).0 > 0).count();
        prop_assert_eq!(named.len(), present.min(10));
        let code = |bin: &Bin| levels.iter().position(|level| *level == bin.of).unwrap() as u32 + 1;
        prop_assert!(named.iter().all(|bin| (bin.rows, bin.positives) == of(code(bin))));
        prop_assert!(named.windows(2).all(|pair| (pair[1].rows, &pair[0].of) < (pair[0].rows, &pair[1].of)));
        let least = named.last().map_or(0, |bin| bin.rows);
        let others: Vec<u32> = (1..16).filter(|&at| named.iter().all(|bin| code(bin) != at) && of(at).0 > 0).collect();
        prop_assert!(others.iter().all(|&at| of(at).0 <= least));
        let rest = found.iter().find(|bin| bin.of.ends_with("others")).map_or((0, 0), |bin| (bin.rows, bin.positives));
        prop_assert_eq!(rest, others.iter().fold((0, 0), |sum, &at| (sum.0 + of(at).0, sum.1 + of(at).1)));
    }
}

/// Early rows lie in [0, 1), late ones in [0.5, 1.5): a quarter of all pairs can't be told apart, so no rule reaches more
/// than 0.875. Columns that do not change tell nothing, and nothing is learned by heart.
#[test]
fn adversarial_validation_finds_what_was_planted_and_no_more() {
    use rand_chacha::rand_core::Rng;
    let n = 6000;
    let mut rng = crate::training::seed::Seed::new(5).rng();
    let mut uniform = |_: usize| rng.next_u64() as f64 / 2f64.powi(64);
    let noise: Vec<Vec<f64>> = (0..4).map(|_| (0..n).map(&mut uniform).collect()).collect();
    let moving: Vec<f64> = (0..n).map(|row| uniform(row) + if row >= n / 2 { 0.5 } else { 0.0 }).collect();
    let times = || Some((0..n).map(|row| row as f64).collect());
    let columns = || ["n1", "n2", "n3", "n4"].into_iter().zip(noise.iter().map(|column| Cells::numeric(column)));
    let still = drift::drift(&dataset(columns().collect(), vec![0; n], times())).unwrap().unwrap();
    assert!((still.adversarial_auc.unwrap() - 0.5).abs() < 0.04, "{:?}", still.adversarial_auc);
    let moved = columns().chain([("moving", Cells::numeric(&moving))]).collect();
    let moved = drift::drift(&dataset(moved, vec![0; n], times())).unwrap().unwrap();
    assert!((moved.adversarial_auc.unwrap() - 0.875).abs() < 0.025, "{:?}", moved.adversarial_auc);
    assert_eq!((moved.drivers[0].0.as_str(), moved.columns[0].name.as_str()), ("moving", "moving"));
    assert!(moved.drivers[0].1 > 0.8 && moved.columns[1].psi < 0.05);
}

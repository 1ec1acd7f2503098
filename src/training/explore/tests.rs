//! Against slow definitions: pairs counted one by one, quartiles by the position formula, planted weeks and levels.

use super::*;
use crate::scoring::table::{Cells, Table};
use crate::training::seed::Seed;
use rand_chacha::rand_core::Rng;

pub(super) fn dataset(columns: Vec<(&str, Cells)>, labels: Vec<u8>, times: Option<Vec<f64>>) -> Dataset {
    let mut table = Table::new(labels.len());
    columns.into_iter().for_each(|(name, cells)| table.push(name, cells));
    let ids = crate::training::texts::Texts::row_numbers(labels.len());
    Dataset { table, labels, ids, times }
}

/// Few distinct values, gaps and both zeros: many ties.
fn tied_column(n: usize) -> (Vec<f64>, Vec<u8>) {
    let mut rng = Seed::new(7).rng();
    let number = |draw: u64| match draw % 9 {
        0 => f64::NAN,
        1 => -0.0,
        2 => 0.0,
        other => other as f64 - 5.5,
    };
    let numbers: Vec<f64> = (0..n).map(|_| number(rng.next_u64())).collect();
    (numbers, (0..n).map(|_| u8::from(rng.next_u64().is_multiple_of(4))).collect())
}

fn auc_by_pairs(score: impl Fn(usize) -> f64, labels: &[u8]) -> f64 {
    let rows = |class: u8| (0..labels.len()).filter(move |&row| labels[row] == class);
    let (mut won, mut pairs) = (0.0, 0.0);
    for fraud in rows(1) {
        for other in rows(0) {
            let (a, b) = (score(fraud), score(other));
            won += if a > b {
                1.0
            } else if a == b {
                0.5
            } else {
                0.0
            };
            pairs += 1.0;
        }
    }
    won / pairs
}

#[test]
fn numeric_figures_equal_their_slow_definitions() {
    let (halves, labels) = tied_column(501);
    let whole = halves.iter().map(|number| 2.0 * number + 0.0).collect();
    // Whole numbers are counted, others sorted.
    for numbers in [halves, whole] {
        check_numeric_figures(&numbers, &labels);
    }
}

fn check_numeric_figures(numbers: &[f64], labels: &[u8]) {
    let eda = explore(&dataset(vec![("x", Cells::numeric(numbers))], labels.to_vec(), None));
    let column = &eda.columns[0];
    let score = |row: usize| if numbers[row].is_nan() { f64::NEG_INFINITY } else { numbers[row] };
    assert!((column.auc.unwrap() - auc_by_pairs(score, labels)).abs() < 1e-12);

    let mut sorted: Vec<f64> = numbers.iter().copied().filter(|number| !number.is_nan()).collect();
    sorted.sort_by(f64::total_cmp);
    let ValueProfile::Numeric(values) = &column.values else { panic!("a numeric column") };
    for (p, found) in
        [(0.25, values.q25), (0.5, values.median), (0.75, values.q75), (0.0, values.min), (1.0, values.max)]
    {
        let at = p * (sorted.len() - 1) as f64;
        let (low, high) = (sorted[at as usize], sorted[(at as usize + 1).min(sorted.len() - 1)]);
        assert!((found.unwrap() - (low * (1.0 - at.fract()) + high * at.fract())).abs() < 1e-12, "quantile {p}");
    }
    let mean = sorted.iter().sum::<f64>() / sorted.len() as f64;
    let square = sorted.iter().map(|x| x * x).sum::<f64>() / sorted.len() as f64;
    assert!((values.mean.unwrap() - mean).abs() < 1e-12);
    assert!((values.std.unwrap() - (square - mean * mean).sqrt()).abs() < 1e-9);

    let missing: Vec<usize> = (0..501).filter(|&row| numbers[row].is_nan()).collect();
    let frauds = missing.iter().filter(|&&row| labels[row] == 1).count();
    assert_eq!(column.missing, missing.len());
    assert_eq!(column.fraud_rate_missing, Some(frauds as f64 / missing.len() as f64));
    assert_eq!(column.distinct, 7, "-0 and 0 are one value");
}

#[test]
fn levels_rank_by_fraud_rate_and_missing_below_all() {
    let codes = vec![1, 1, 1, 2, 2, 3, 3, 3, 3, 0, 0];
    let labels = vec![1, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0];
    let levels = ["risky", "safe", "usual", "never seen"].map(String::from).to_vec();
    let cells = Cells::categorical(&codes, levels);
    let eda = explore(&dataset(vec![("c", cells)], labels.clone(), None));
    let rank = [-1.0, 2.0 / 3.0, 0.0, 0.25];
    let column = &eda.columns[0];
    assert!((column.auc.unwrap() - auc_by_pairs(|row| rank[codes[row] as usize], &labels)).abs() < 1e-12);
    let ValueProfile::Categorical(values) = &column.values else { panic!("a categorical column") };
    assert_eq!((values.levels, column.distinct), (3, 3), "a level that does not occur does not count");
    assert_eq!((values.top[0].level.as_str(), values.top[0].rows, values.top[0].fraud_rate), ("usual", 4, 0.25));
}

#[test]
fn undefined_figures_are_null() {
    let columns = || vec![("empty", Cells::numeric(&[f64::NAN; 3])), ("one", Cells::numeric(&[1.0; 3]))];
    let eda = explore(&dataset(columns(), vec![0, 0, 0], None));
    assert!(eda.columns.iter().all(|column| column.auc.is_none()), "one class has no AUC");
    assert_eq!(eda.columns[0].fraud_rate_present, None);
    let json = serde_json::to_value(&eda).unwrap();
    assert!(json["columns"][0]["numeric"]["mean"].is_null() && json["weeks"].is_null());
    let eda = explore(&dataset(columns(), vec![0, 1, 0], None));
    assert_eq!(eda.columns[1].auc, Some(0.5), "a constant ranks nothing");

    let nothing = explore(&dataset(vec![("x", Cells::numeric(&[]))], vec![], Some(vec![])));
    assert_eq!((nothing.positive_share, nothing.weeks.as_deref()), (None, Some(&[][..])));
    terminal_table(&nothing);
}

#[test]
fn weeks_count_from_the_earliest_and_keep_gaps() {
    let week = 604_800.0;
    let times = vec![5.2 * week, 3.0 * week, 3.99 * week, 5.9 * week];
    let eda = explore(&dataset(vec![], vec![1, 0, 1, 1], Some(times)));
    let counts: Vec<_> = eda.weeks.unwrap().iter().map(|week| (week.week, week.rows, week.positives)).collect();
    assert_eq!(counts, [(0, 2, 1), (1, 0, 0), (2, 2, 2)]);
}

#[test]
fn the_table_is_narrow_and_leads_with_the_most_telling_column() {
    let (noise, labels) = tied_column(300);
    let copy: Vec<f64> = labels.iter().map(|&label| -f64::from(label)).collect();
    let long = "a_column_with_a_name_that_is_far_too_long_for_any_terminal";
    let columns = vec![("noise", Cells::numeric(&noise)), (long, Cells::numeric(&copy))];
    let times = (0..300).map(|row| f64::from(row) * 40_000.0).collect();
    let eda = explore(&dataset(columns, labels, Some(times)));
    let table = terminal_table(&eda);
    assert!(table.lines().all(|line| line.chars().count() <= 100));
    let first = table.lines().position(|line| line.starts_with("column ")).unwrap() + 1;
    assert!(table.lines().nth(first).unwrap().starts_with("a_column_with_a_name_t.. numeric"), "{table}");
}

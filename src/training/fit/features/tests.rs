//! Fitted features against slow loops; planted leaks that must change nothing.

use std::sync::{Arc, LazyLock};

use super::*;
use crate::training::config::{ConfigPlace, DataConfig, PreprocessConfig};
use crate::training::rows::Dataset;
use crate::training::texts::Texts;
use rand_chacha::rand_core::Rng;

const N_ROWS: usize = 600;

fn feature(name: &str, make: Make) -> FeatureConfig {
    FeatureConfig {
        name: name.into(),
        make,
        input_only: false,
        place: ConfigPlace("`c.yaml`, line 3, column 5".into()),
    }
}

fn of_group(name: &str, by: &[&str], figure: Figure) -> FeatureConfig {
    let by = by.iter().map(|name| (*name).to_owned()).collect();
    feature(name, Make::OfGroup { by, figure, unseen: None, min_rows: 1 })
}

/// `card` (numbers with gaps), `shop` (text with gaps), `amount`; every third row is held out.
struct Data {
    card: Vec<f64>,
    shop: Vec<u32>,
    amount: Vec<f64>,
    labels: Vec<u8>,
}

impl Data {
    fn drawn() -> Data {
        let mut rng = Seed::new(3).rng();
        let mut draw = |below: u64| rng.next_u64() % below;
        let mut data = Data { card: Vec::new(), shop: Vec::new(), amount: Vec::new(), labels: Vec::new() };
        for _ in 0..N_ROWS {
            data.card.push(if draw(10) == 0 { f64::NAN } else { draw(40) as f64 });
            data.shop.push(draw(6) as u32);
            data.amount.push(if draw(12) == 0 { f64::NAN } else { draw(9999) as f64 / 7.0 });
            data.labels.push(u8::from(draw(4) == 0));
        }
        data
    }

    fn train(&self) -> TrainRows {
        self.rows((0..N_ROWS as u32).filter(|row| row % 3 != 0).collect())
    }

    fn rows(&self, rows: Vec<u32>) -> TrainRows {
        let mut table = Table::new(N_ROWS);
        table.push("card", Cells::numeric(&self.card));
        table.push("shop", Cells::categorical(&self.shop, ["a", "B", "b", "c", "d"].map(String::from).to_vec()));
        table.push("amount", Cells::numeric(&self.amount));
        let ids = Texts::row_numbers(N_ROWS);
        let dataset = Arc::new(Dataset { table, labels: self.labels.clone(), ids, times: None });
        TrainRows::new(dataset, rows)
    }

    /// Spelled as a person would: the key of a row over card and shop, upper case.
    fn key(&self, row: usize) -> String {
        let shop = ["", "A", "B", "B", "C", "D"][self.shop[row] as usize];
        let card = if self.card[row].is_nan() { String::new() } else { self.card[row].to_string() };
        format!("{card}|{shop}")
    }
}

static IN_MEMORY: LazyLock<Storage> = LazyLock::new(Storage::in_memory);

fn derive<'t>(train: &'t TrainRows, features: &[FeatureConfig]) -> Derived<'t> {
    let mut derived = Derived::new(train, TextCase::Upper, &IN_MEMORY, Seed::new(9));
    derived.add(features, MissingColumns::Refuse).unwrap();
    derived
}

fn numbers(table: &Table, name: &str) -> Vec<f64> {
    table.column(name).unwrap().packed().gather(&(0..N_ROWS as u32).collect::<Vec<_>>())
}

fn close(a: f64, b: f64) -> bool {
    (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-12 * (1.0 + b.abs())
}

#[test]
fn figures_are_those_of_a_slow_loop() {
    let data = Data::drawn();
    let train = data.train();
    let by = ["card", "shop"];
    let amount = || "amount".to_owned();
    let derived = derive(
        &train,
        &[
            of_group("ratio", &by, Figure::RatioToMean { of: amount() }),
            of_group("share", &by, Figure::Frequency),
            of_group("count", &by, Figure::Count),
            of_group("mean", &by, Figure::Mean { of: amount() }),
            of_group("std", &by, Figure::Std { of: amount() }),
        ],
    );
    assert_eq!(derived.features.iter().filter(|f| matches!(f.compute, Compute::Group { .. })).count(), 1, "shared");
    let of = |rows: Vec<usize>| -> (f64, f64, usize) {
        let present: Vec<f64> = rows.iter().map(|&row| data.amount[row]).filter(|x| !x.is_nan()).collect();
        let mean = present.iter().sum::<f64>() / present.len() as f64;
        let squares: f64 = present.iter().map(|x| (x - mean) * (x - mean)).sum();
        let std = (squares / (present.len() as f64 - 1.0)).sqrt();
        (mean, std, present.len())
    };
    let is_train = |row: &usize| !row.is_multiple_of(3);
    let (all_mean, all_std, _) = of((0..N_ROWS).filter(is_train).collect());
    for row in 0..N_ROWS {
        let rows: Vec<usize> = (0..N_ROWS).filter(is_train).filter(|&other| data.key(other) == data.key(row)).collect();
        let n = rows.len() as f64;
        let (mean, std, n_present) = of(rows);
        let mean = if n_present == 0 { all_mean } else { mean };
        let std = if n_present < 2 { all_std } else { std };
        let found = |name: &str| numbers(&derived.columns, name)[row];
        assert!(close(found("count"), n) && close(found("share"), n / 400.0), "row {row}");
        assert!(close(found("mean"), mean) && close(found("std"), std), "row {row}: {} {std}", found("std"));
        assert!(close(found("ratio"), data.amount[row] / mean), "row {row}");
    }
}

#[test]
fn target_encoding_is_out_of_fold_for_training_rows_and_frozen_for_others() {
    let data = Data::drawn();
    let train = data.train();
    let smoothing = 3.0;
    let derived = derive(&train, &[of_group("rate", &["shop"], Figure::Target { smoothing, folds: 4 })]);
    let shop = |row: usize| data.key(row).split('|').nth(1).unwrap().to_owned();
    let rate = |row: usize, rows: &[usize]| {
        let positives = |rows: &[usize]| rows.iter().map(|&row| f64::from(data.labels[row])).sum::<f64>();
        let overall = positives(rows) / rows.len() as f64;
        let group: Vec<usize> = rows.iter().copied().filter(|&other| shop(other) == shop(row)).collect();
        (positives(&group) + smoothing * overall) / (group.len() as f64 + smoothing)
    };
    let rows: Vec<usize> = train.rows().iter().map(|&row| row as usize).collect();
    for row in 0..N_ROWS {
        assert!(close(numbers(&derived.columns, "rate")[row], rate(row, &rows)), "row {row}");
    }
    let folds = target::OutOfFold::new(&train, 4, Seed::new(9).derive("target folds", 0));
    for (at, &row) in rows.iter().enumerate() {
        let others: Vec<usize> = rows
            .iter()
            .enumerate()
            .filter(|(other, _)| folds.fold(*other) != folds.fold(at))
            .map(|(_, &row)| row)
            .collect();
        assert!(close(numbers(&derived.learned_from, "rate")[row], rate(row, &others)), "row {row}");
    }
}

/// A training row's own label says nothing of its own value, nor does a held-out row's of anything.
#[test]
fn no_row_meets_its_own_label() {
    let data = Data::drawn();
    let features = || {
        [
            of_group("rate", &["shop"], Figure::Target { smoothing: 3.0, folds: 4 }),
            of_group("n", &["shop"], Figure::Count),
        ]
    };
    let all = |data: &Data| {
        let train = data.train();
        let derived = derive(&train, &features());
        let bits = |table: &Table| numbers(table, "rate").into_iter().map(f64::to_bits).collect::<Vec<u64>>();
        (bits(&derived.columns), bits(&derived.learned_from), derived.features)
    };
    let before = all(&data);
    // The leak test: labels of held-out rows are planted, and nothing changes.
    let mut planted = Data::drawn();
    (0..N_ROWS).step_by(3).for_each(|row| planted.labels[row] = u8::from(planted.shop[row] == 1));
    assert_eq!(all(&planted), before);
    // A swap of two labels within a fold changes other folds' values, and none of the fold's.
    let train = data.train();
    let folds = target::OutOfFold::new(&train, 4, Seed::new(9).derive("target folds", 0));
    let place = |label: u8| {
        (0..train.n_rows()).find(|&at| {
            folds.fold(at) == 0
                && train.labels()[at] == label
                && data.shop[train.rows()[at] as usize] == 1 + u32::from(label)
        })
    };
    let (a, b) = (place(0).unwrap(), place(1).unwrap());
    // Folds are dealt out by label: the rows change places in the table, so that labels stay where they are.
    let mut swapped = Data::drawn();
    swapped.shop.swap(train.rows()[a] as usize, train.rows()[b] as usize);
    let after = all(&swapped);
    for at in (0..train.n_rows()).filter(|&at| at != a && at != b) {
        let row = train.rows()[at] as usize;
        let same = before.1[row] == after.1[row];
        assert!(same || folds.fold(at) != 0, "a row of the fold saw a label of its fold");
    }
    assert_ne!(before.1, after.1, "others did");
}

#[test]
fn errors_name_the_place() {
    let data = Data::drawn();
    let train = data.train();
    let refused = |features: &[FeatureConfig]| {
        let mut derived = Derived::new(&train, TextCase::Upper, &IN_MEMORY, Seed::new(9));
        let error = derived.add(features, MissingColumns::Refuse).unwrap_err();
        format!("{} ({})", error.message, error.hint.unwrap_or_default())
    };
    let count = |name: &str, by: &str| of_group(name, &[by], Figure::Count);
    assert_eq!(
        refused(&[count("n", "cards")]),
        "`c.yaml`, line 3, column 5: feature `n` reads `cards`, which is in no table (did you mean `card`?)"
    );
    assert!(
        refused(&[count("a", "b"), count("b", "a")])
            .starts_with("features read each other in a circle: `a` -> `b` -> `a`")
    );
    assert!(refused(&[count("card", "shop")]).contains("feature `card` has the name of a column"));
    let log = Compute::Number { function: crate::scoring::features::NumberFunction::Log, of: "shop".into() };
    assert!(refused(&[feature("l", Make::Plain(log))]).contains("feature `l` needs numbers, `shop` holds text"));
    let mut unique = Data::drawn();
    unique.amount = (0..N_ROWS).map(|row| row as f64).collect();
    let train = unique.train();
    let error = Derived::new(&train, TextCase::Upper, &IN_MEMORY, Seed::new(9))
        .add(&[count("n", "amount")], MissingColumns::Refuse);
    assert!(error.unwrap_err().message.ends_with("every training row is a group of its own by `amount`"));
}

/// The check before the run knows what the fit would refuse, in any part and through features of which nothing is learned.
#[test]
fn groups_that_never_come_back_are_refused_before_anything_is_fitted() {
    let mut data = Data::drawn();
    data.amount = (0..N_ROWS).map(|row| row as f64).collect();
    data.card = (0..N_ROWS).map(|row| if row < 4 { 0.0 } else { row as f64 }).collect();
    let train = data.train();
    let late = data.rows((N_ROWS as u32 / 2..N_ROWS as u32).collect());
    let config = DataConfig::of_target("y");
    let refused = |features: &[FeatureConfig], parts: &[&TrainRows]| {
        let recipe = Recipe { data: &config, features, preprocess: &PreprocessConfig::USUAL };
        check_features(&recipe, parts, &IN_MEMORY).err().map(|error| error.message)
    };
    let count = |by: &[&str]| of_group("n", by, Figure::Count);
    let concat = |of: &[&str]| {
        feature("both", Make::Plain(Compute::Concat { of: of.iter().map(|name| (*name).to_owned()).collect() }))
    };
    let message =
        |by: &str| Some(format!("`c.yaml`, line 3, column 5: every training row is a group of its own by {by}"));
    assert_eq!(refused(&[count(&["amount"])], &[&train]), message("`amount`"));
    assert_eq!(refused(&[count(&["shop"]), count(&["shop", "amount"])], &[&train]), message("`shop`, `amount`"));
    assert_eq!(refused(&[concat(&["amount", "shop"]), count(&["both"])], &[&train]), message("`both`"));
    assert_eq!(refused(&[count(&["shop"])], &[&train, &late]), None);
    assert_eq!(refused(&[count(&["card"])], &[&train]), None, "two rows share it");
    assert_eq!(refused(&[count(&["card"])], &[&train, &late]), message("`card`"), "in one part they do not");
    // What is made of figures has to wait for them.
    let learned = [count(&["shop"]), of_group("by n", &["n"], Figure::Frequency)];
    assert_eq!(refused(&learned, &[&train]), None);
}

/// Derived columns lie where the budget has room, and are the same.
#[test]
fn beyond_the_budget_derived_columns_lie_in_files() {
    let data = Data::drawn();
    let train = data.train();
    let concat = Compute::Concat { of: vec!["card".into(), "shop".into()] };
    let features = [
        feature("both", Make::Plain(concat)),
        of_group("rate", &["both"], Figure::Target { smoothing: 3.0, folds: 4 }),
        of_group("mean", &["card"], Figure::Mean { of: "amount".into() }),
    ];
    let folder = tempfile::tempdir().unwrap();
    let derived = |storage: &Storage| {
        let mut derived = Derived::new(&train, TextCase::Upper, storage, Seed::new(9));
        derived.add(&features, MissingColumns::Refuse)?;
        let bits = |table: &Table| -> Vec<Vec<u64>> {
            table.columns().map(|(_, cells)| (0..N_ROWS).map(|row| cells.packed().item(row)).collect()).collect()
        };
        Ok::<_, Error>((bits(&derived.columns), bits(&derived.learned_from), derived.features))
    };
    let in_files = derived(&Storage::new(Some(0), folder.path())).unwrap();
    assert_eq!(in_files, derived(&IN_MEMORY).unwrap());
    let nowhere = derived(&Storage::new(Some(0), folder.path().join("absent"))).unwrap_err();
    assert!(nowhere.message.contains("can't be made"), "{nowhere}: the columns do go to files");
}

#[test]
fn absent_columns_leave_features_out_where_that_is_allowed() {
    let data = Data::drawn();
    let train = data.train();
    let mut derived = Derived::new(&train, TextCase::Upper, &IN_MEMORY, Seed::new(9));
    let missing =
        |of: &[&str]| Make::Plain(Compute::Missing { of: of.iter().map(|name| (*name).to_owned()).collect() });
    let features = [
        of_group("on it", &["n"], Figure::Count),
        of_group("n", &["absent"], Figure::Count),
        feature("gaps", missing(&["ca*"])),
        feature("none", missing(&["Z*"])),
    ];
    derived.add(&features, MissingColumns::Allow).unwrap();
    let left_out: Vec<&str> = derived.left_out.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(left_out, ["on it", "n", "none"]);
    let gaps = numbers(&derived.columns, "gaps");
    assert!((0..N_ROWS).all(|row| gaps[row] == f64::from(u8::from(data.card[row].is_nan()))));
}

//! The preparation and features against values of pandas and scikit-learn (`benches/peers/transforms_fixture.py`).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use super::preprocessor::{Fit, fit};
use super::selection::bind;
use crate::scoring::features::{Compute, NumberFunction, Operand, Operator};
use crate::scoring::table::{Cells, Table};
use crate::training::config::*;
use crate::training::rows::{Dataset, TrainRows};
use crate::training::seed::Seed;
use crate::training::texts::Texts;

#[derive(Deserialize)]
struct Fixture {
    columns: BTreeMap<String, Vec<serde_json::Value>>,
    labels: Vec<u8>,
    train: Vec<u32>,
    explained: Vec<f64>,
    expected: BTreeMap<String, Vec<Option<f64>>>,
}

impl Fixture {
    fn read() -> Fixture {
        serde_json::from_str(include_str!("../../../tests/data/transforms.json")).unwrap()
    }

    fn train(&self) -> TrainRows {
        let mut table = Table::new(self.labels.len());
        for (name, cells) in &self.columns {
            let numbers = || cells.iter().map(|cell| cell.as_f64().unwrap_or(f64::NAN)).collect::<Vec<_>>();
            let text = |cell: &serde_json::Value| "abcd".find(cell.as_str().unwrap()).unwrap() as u32 + 1;
            table.push(
                name,
                match name.as_str() {
                    "shop" => Cells::categorical(
                        &cells.iter().map(text).collect::<Vec<_>>(),
                        ["a", "b", "c", "d"].map(String::from).to_vec(),
                    ),
                    _ => Cells::numeric(&numbers()),
                },
            );
        }
        let ids = Texts::row_numbers(self.labels.len());
        let dataset = Dataset { table, labels: self.labels.clone(), ids, times: None };
        TrainRows::new(Arc::new(dataset), self.train.clone())
    }

    /// All rows of the prepared columns, as held-out rows see them.
    #[track_caller]
    fn compare(&self, prefix: &str, features: &[FeatureConfig], preprocess: &PreprocessConfig, tolerance: f64) -> Fit {
        let train = self.train();
        let data = DataConfig::of_target("y");
        let fitted = fit(&Recipe { data: &data, features, preprocess }, &train, Seed::new(1)).unwrap();
        let columns = bind(&fitted.preprocessor, train.table(), &fitted.derived).unwrap();
        let rows: Vec<u32> = (0..self.labels.len() as u32).collect();
        let mut n_compared = 0;
        for (key, expected) in &self.expected {
            let Some(name) = key.strip_prefix(prefix) else { continue };
            let feature = columns.names().iter().position(|known| known == name).unwrap_or_else(|| panic!("{name}"));
            let mut found = vec![0f32; rows.len()];
            columns.fill_column(feature, &rows, &mut found);
            for (row, (found, expected)) in found.iter().zip(expected).enumerate() {
                let expected = expected.unwrap_or(f64::NAN);
                let close = (f64::from(*found) - expected).abs() <= tolerance * (1.0 + expected.abs());
                assert!(
                    close || (found.is_nan() && expected.is_nan()),
                    "{key}, row {row}: {found}, expected {expected}"
                );
            }
            n_compared += 1;
        }
        assert!(n_compared >= 3, "{prefix}: {n_compared}");
        fitted
    }
}

/// One f32 cast.
const ROUNDING: f64 = 1e-7;

#[test]
fn fills_and_scales() {
    let fixture = Fixture::read();
    for (prefix, impute_numeric, scale) in [
        ("median:", ImputeNumeric::Median, ScaleKind::Standard),
        ("mean:", ImputeNumeric::Mean, ScaleKind::MinMax),
        ("constant:", ImputeNumeric::Constant(-1.0), ScaleKind::Robust),
    ] {
        let preprocess = PreprocessConfig { impute_numeric, scale, ..PreprocessConfig::USUAL };
        fixture.compare(prefix, &[], &preprocess, 4.0 * ROUNDING);
    }
    let one_hot = PreprocessConfig { encode: EncodeConfig::OneHot, ..PreprocessConfig::USUAL };
    fixture.compare("one-hot:", &[], &one_hot, 0.0);
}

#[test]
fn features() {
    let plain = |name: &str, compute: Compute| FeatureConfig {
        name: name.into(),
        make: Make::Plain(compute),
        input_only: false,
        place: ConfigPlace::default(),
    };
    let of_group = |name: &str, by: &str, figure: Figure| FeatureConfig {
        name: name.into(),
        make: Make::OfGroup { by: vec![by.into()], figure, unseen: None, min_rows: 1 },
        input_only: false,
        place: ConfigPlace::default(),
    };
    let number = |name: &str, function, of: &str| plain(name, Compute::Number { function, of: of.into() });
    let amount = || "amount".to_owned();
    let features = [
        of_group("rate", "shop", Figure::Target { smoothing: 5.0, folds: 5 }),
        of_group("mean", "card", Figure::Mean { of: amount() }),
        of_group("std", "card", Figure::Std { of: amount() }),
        of_group("ratio", "card", Figure::RatioToMean { of: amount() }),
        of_group("count", "card", Figure::Count),
        of_group("share", "card", Figure::Frequency),
        number("hour", NumberFunction::Hour, "time"),
        number("weekday", NumberFunction::Weekday, "time"),
        number("log", NumberFunction::Log1p, "amount"),
        number("cents", NumberFunction::Decimals, "amount"),
        plain("first", Compute::FirstUse { days: "days".into(), time: "time".into() }),
        plain("gaps", Compute::Missing { of: vec!["V2".into(), "V3".into()] }),
        plain(
            "per",
            Compute::Operator {
                operator: Operator::Ratio,
                left: Operand::Column(amount()),
                right: Operand::Column("card".into()),
            },
        ),
    ];
    let as_they_are =
        PreprocessConfig { impute_numeric: ImputeNumeric::None, scale: ScaleKind::None, ..PreprocessConfig::USUAL };
    Fixture::read().compare("feature:", &features, &as_they_are, ROUNDING);
}

#[test]
fn principal_components() {
    let fixture = Fixture::read();
    let keep = Components::Number(3);
    let reduce = vec![Reduce::Pca { columns: "V*".into(), keep, by_missing: false }];
    let preprocess = PreprocessConfig { reduce, ..PreprocessConfig::USUAL };
    let fitted = fixture.compare("pca:", &[], &preprocess, 2e-6);
    let explained = &fitted.preprocessor.reduce[0].explained;
    assert!(explained.iter().zip(&fixture.explained).all(|(a, b)| (a - b).abs() < 1e-6), "{explained:?}");
    assert!(fitted.preprocessor.columns.iter().any(|column| column.name() == "V1"), "still transformed, as an input");
}

//! The preparation and features against values of pandas and scikit-learn (`benches/peers/transforms_fixture.py`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;

use super::preprocessor::{Fit, fit};
use super::selection::bind;
use crate::scoring::features::{Compute, NumberFunction, Operand, Operator, TextFunction};
use crate::scoring::matrix::FeatureMatrix;
use crate::scoring::table::{Cells, Table};
use crate::training::config::*;
use crate::training::mapped::Storage;
use crate::training::prepare::prepare;
use crate::training::rows::{Dataset, HeldOutRows, TrainRows};
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

    fn dataset(&self) -> Arc<Dataset> {
        let mut table = Table::new(self.labels.len());
        self.columns.iter().for_each(|(name, cells)| table.push(name, column(cells)));
        let ids = Texts::row_numbers(self.labels.len());
        let times = self.columns["time"].iter().map(|cell| cell.as_f64().expect("a time")).collect();
        Arc::new(Dataset { table, labels: self.labels.clone(), ids, times: Some(times) })
    }

    fn train(&self) -> TrainRows {
        TrainRows::new(self.dataset(), self.train.clone())
    }

    fn held_out(&self) -> Vec<u32> {
        (0..self.labels.len() as u32).filter(|row| !self.train.contains(row)).collect()
    }

    /// Labels of rows that are not trained on turn, and every cell of theirs but the time tells them.
    fn plant(&mut self) {
        for row in self.held_out() {
            let label = &mut self.labels[row as usize];
            *label = 1 - *label;
            for (_, cells) in self.columns.iter_mut().filter(|(name, _)| *name != "time") {
                let is_text = cells.iter().any(serde_json::Value::is_string);
                let told = if is_text { format!("label {label}").into() } else { (f64::from(*label) * 1e3).into() };
                cells[row as usize] = told;
            }
        }
    }

    /// All rows of the prepared columns, as held-out rows see them; how many columns were compared.
    #[track_caller]
    fn compare(
        &self,
        prefix: &str,
        features: &[FeatureConfig],
        preprocess: &PreprocessConfig,
        tolerance: f64,
    ) -> (Fit, usize) {
        let train = self.train();
        let data = DataConfig::of_target("y");
        let fitted =
            fit(&Recipe { data: &data, features, preprocess }, &train, &Storage::in_memory(), Seed::new(1)).unwrap();
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
        assert!(n_compared >= 2, "{prefix}: {n_compared}");
        (fitted, n_compared)
    }
}

/// Text where a cell is, else numbers; null is missing.
fn column(cells: &[serde_json::Value]) -> Cells {
    let texts: BTreeSet<&str> = cells.iter().filter_map(serde_json::Value::as_str).collect();
    if texts.is_empty() {
        return Cells::numeric(&cells.iter().map(|cell| cell.as_f64().unwrap_or(f64::NAN)).collect::<Vec<_>>());
    }
    let levels: Vec<String> = texts.into_iter().map(String::from).collect();
    let code = |cell: &serde_json::Value| {
        let place = |text| levels.iter().position(|level| level == text).expect("a level") as u32 + 1;
        cell.as_str().map_or(0, place)
    };
    Cells::categorical(&cells.iter().map(code).collect::<Vec<_>>(), levels.clone())
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

fn plain(name: &str, compute: Compute) -> FeatureConfig {
    FeatureConfig { name: name.into(), make: Make::Plain(compute), input_only: false, place: ConfigPlace::default() }
}

fn of_text(name: &str, function: TextFunction, of: &str) -> FeatureConfig {
    plain(name, Compute::Text { function, of: of.into() })
}

fn as_they_are() -> PreprocessConfig {
    PreprocessConfig { impute_numeric: ImputeNumeric::None, scale: ScaleKind::None, ..PreprocessConfig::USUAL }
}

#[test]
fn features() {
    let of_group = |name: &str, by: &str, figure: Figure| FeatureConfig {
        name: name.into(),
        make: Make::OfGroup { by: vec![by.into()], figure, unseen: None, min_rows: 1 },
        input_only: false,
        place: ConfigPlace::default(),
    };
    let number = |name: &str, function, of: &str| plain(name, Compute::Number { function, of: of.into() });
    let amount = || "amount".to_owned();
    let of_two = |name: &str, operator, left: &str, right: Operand| {
        plain(name, Compute::Operator { operator, left: Operand::Column(left.into()), right })
    };
    let days = || Operand::Column("days".into());
    let features = [
        of_group("rate", "shop", Figure::Target { smoothing: 5.0, folds: 5 }),
        of_group("mean", "card", Figure::Mean { of: amount() }),
        of_group("std", "card", Figure::Std { of: amount() }),
        of_group("ratio", "card", Figure::RatioToMean { of: amount() }),
        of_group("count", "card", Figure::Count),
        of_group("share", "card", Figure::Frequency),
        number("hour", NumberFunction::Hour, "time"),
        number("weekday", NumberFunction::Weekday, "time"),
        number("day", NumberFunction::Day, "time"),
        number("log", NumberFunction::Log1p, "amount"),
        number("ln", NumberFunction::Log, "amount"),
        number("cents", NumberFunction::Decimals, "amount"),
        plain("first", Compute::FirstUse { days: "days".into(), time: "time".into() }),
        plain("gaps", Compute::Missing { of: vec!["V2".into(), "V3".into()] }),
        plain("place", Compute::Ordinal { of: "shop".into(), order: ["d", "a", "b"].map(String::from).to_vec() }),
        of_two("per", Operator::Ratio, "amount", Operand::Column("card".into())),
        of_two("sum", Operator::Sum, "amount", days()),
        of_two("difference", Operator::Difference, "amount", days()),
        of_two("product", Operator::Product, "amount", days()),
        of_two("less", Operator::Less, "amount", days()),
        of_two("greater", Operator::Greater, "amount", days()),
        of_two("equal", Operator::Equal, "card", Operand::Number(5.0)),
        of_text("os_version", TextFunction::OsVersion, "system"),
        of_text("browser_version", TextFunction::BrowserVersion, "browser"),
        of_text("device_version", TextFunction::DeviceVersion, "device"),
        of_text("width", TextFunction::ScreenWidth, "screen"),
        of_text("height", TextFunction::ScreenHeight, "screen"),
    ];
    assert_eq!(Fixture::read().compare("feature:", &features, &as_they_are(), ROUNDING).1, features.len());
}

/// Texts are compared by their label codes: the place among the sorted labels of the training rows, 0 for others.
#[test]
fn labels_of_raw_and_of_derived_texts() {
    let features = [
        of_text("provider", TextFunction::EmailProvider, "domain"),
        of_text("suffix", TextFunction::EmailSuffix, "domain"),
        of_text("os", TextFunction::Os, "system"),
        of_text("browser_name", TextFunction::Browser, "browser"),
        of_text("device_name", TextFunction::Device, "device"),
        plain("both", Compute::Concat { of: vec!["card".into(), "shop".into()] }),
    ];
    let fixture = Fixture::read();
    fixture.compare("label:", &features, &as_they_are(), 0.0);
    fixture.compare("scaled-label:", &features, &PreprocessConfig::USUAL, 4.0 * ROUNDING);
    for (prefix, encode) in [("frequency:", EncodeConfig::Frequency), ("target:", EncodeConfig::Target)] {
        fixture.compare(prefix, &[], &PreprocessConfig { encode, ..as_they_are() }, ROUNDING);
    }
    let indicators = PreprocessConfig { indicators: true, scale: ScaleKind::None, ..PreprocessConfig::USUAL };
    fixture.compare("indicator:", &[], &indicators, 0.0);
}

#[test]
fn principal_components() {
    let fixture = Fixture::read();
    let preprocess = |keep| PreprocessConfig {
        reduce: vec![Reduce::Pca { columns: "V*".into(), keep, by_missing: false }],
        ..PreprocessConfig::USUAL
    };
    let (by_variance, n_compared) = fixture.compare("most:", &[], &preprocess(Components::Variance(0.85)), 2e-6);
    assert_eq!(by_variance.preprocessor.reduce[0].explained.len(), n_compared, "as many as scikit-learn keeps");
    let (fitted, _) = fixture.compare("pca:", &[], &preprocess(Components::Number(3)), 2e-6);
    let explained = &fitted.preprocessor.reduce[0].explained;
    assert!(explained.iter().zip(&fixture.explained).all(|(a, b)| (a - b).abs() < 1e-6), "{explained:?}");
    assert!(fitted.preprocessor.columns.iter().any(|column| column.name() == "V1"), "still transformed, as an input");
}

/// The leak test: what stands in rows that are not trained on changes nothing that is learned, whatever is asked for.
#[test]
fn planted_labels_and_cells_of_held_out_rows_change_nothing_that_is_learned() {
    let of_group = |name: &str, by: &str, figure: Figure| FeatureConfig {
        name: name.into(),
        make: Make::OfGroup { by: vec![by.into()], figure, unseen: None, min_rows: 2 },
        input_only: false,
        place: ConfigPlace::default(),
    };
    let features = [
        of_group("rate", "domain", Figure::Target { smoothing: 5.0, folds: 3 }),
        of_group("mean", "card", Figure::RatioToMean { of: "amount".into() }),
        plain("both", Compute::Concat { of: vec!["system".into(), "shop".into()] }),
        of_group("pairs", "both", Figure::Frequency),
    ];
    let all_at_once = PreprocessConfig {
        missing_above: Some(0.5),
        correlated_above: Some(0.8),
        duplicates: true,
        inconsistent: true,
        most_important: Some(8),
        indicators: true,
        reduce: vec![Reduce::Pca { columns: "V*".into(), keep: Components::Variance(0.9), by_missing: false }],
        ..PreprocessConfig::USUAL
    };
    let data = DataConfig::of_target("y");
    for encode in [EncodeConfig::Label, EncodeConfig::OneHot, EncodeConfig::Frequency, EncodeConfig::Target] {
        let learned = |fixture: &Fixture| {
            let preprocess = PreprocessConfig { encode, ..all_at_once.clone() };
            let recipe = Recipe { data: &data, features: &features, preprocess: &preprocess };
            let held_out = HeldOutRows::new(fixture.dataset(), fixture.held_out());
            let prepared = prepare(&recipe, &fixture.train(), &held_out, &Storage::in_memory(), Seed::new(1)).unwrap();
            let bits = |matrix: &FeatureMatrix| matrix.values().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            let (train, others) = (bits(prepared.train.matrix()), bits(&prepared.held_out.matrix()));
            (format!("{:?}", prepared.preprocessor), train, others)
        };
        let mut fixture = Fixture::read();
        let (preprocessor, train, held_out) = learned(&fixture);
        fixture.plant();
        let planted = learned(&fixture);
        assert_eq!(planted.0, preprocessor, "{encode:?}");
        assert_eq!(planted.1, train, "{encode:?}");
        assert_ne!(planted.2, held_out, "they were planted");
    }
}

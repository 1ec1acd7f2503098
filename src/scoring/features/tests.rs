//! Derived columns of a table are those of its records, bit for bit, for any kind and any cells; hostile ones are refused.

use proptest::prelude::*;

use super::*;
use crate::scoring::preprocessor::{
    Categorical, Encode, FrozenColumn, Numeric, Plan, Preprocessor, Projection, Scale, TextCase,
};
use crate::scoring::record::Record;
use crate::scoring::schema::Schema;
use crate::scoring::table::{Cells, Table};

fn column(name: &str) -> Operand {
    Operand::Column(name.into())
}

/// One of every kind, over `x` and `y` (numbers), `a` and `b` (texts) and `t` (seconds).
fn every_kind() -> Vec<Feature> {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<String>>();
    let mut computes = Vec::new();
    for operator in [
        Operator::Sum,
        Operator::Difference,
        Operator::Product,
        Operator::Ratio,
        Operator::Less,
        Operator::Greater,
        Operator::Equal,
    ] {
        computes.push(Compute::Operator { operator, left: column("x"), right: column("y") });
        computes.push(Compute::Operator { operator, left: Operand::Number(0.1), right: column("x") });
    }
    computes.push(Compute::Operator { operator: Operator::Equal, left: column("a"), right: column("b") });
    computes.push(Compute::Operator { operator: Operator::Equal, left: column("a"), right: column("x") });
    for function in [
        NumberFunction::Log,
        NumberFunction::Log1p,
        NumberFunction::Decimals,
        NumberFunction::Hour,
        NumberFunction::Weekday,
        NumberFunction::Day,
    ] {
        computes.push(Compute::Number { function, of: "t".into() });
        computes.push(Compute::Number { function, of: "x".into() });
    }
    for function in [
        TextFunction::EmailProvider,
        TextFunction::EmailSuffix,
        TextFunction::Device,
        TextFunction::DeviceVersion,
        TextFunction::Os,
        TextFunction::OsVersion,
        TextFunction::Browser,
        TextFunction::BrowserVersion,
        TextFunction::ScreenWidth,
        TextFunction::ScreenHeight,
    ] {
        computes.push(Compute::Text { function, of: "a".into() });
    }
    computes.push(Compute::FirstUse { days: "y".into(), time: "t".into() });
    computes.push(Compute::Concat { of: names(&["a", "x", "b"]) });
    computes.push(Compute::Missing { of: names(&["x", "y", "a", "b"]) });
    computes.push(Compute::Ordinal { of: "a".into(), order: names(&["IOS 11.1", "GMAIL.COM"]) });
    let mut features: Vec<Feature> =
        computes.into_iter().enumerate().map(|(at, compute)| Feature { name: format!("f{at}"), compute }).collect();
    let concat =
        features.iter().find(|feature| matches!(feature.compute, Compute::Concat { .. })).unwrap().name.clone();
    let key = |cells: &[Cell]| group_key(cells);
    let mut keys = vec![
        key(&[Cell::Text("GMAIL.COM"), Cell::Number(1.0)]),
        key(&[Cell::Missing, Cell::Number(0.5)]),
        key(&[Cell::Text("1024X768"), Cell::Missing]),
    ];
    keys.sort_unstable();
    features.push(Feature { name: "group".into(), compute: Compute::Group { of: names(&["a", "x"]), keys } });
    let values = vec![0.1, 1.0 / 3.0, -7.25];
    let of_group = Compute::OfGroup { group: "group".into(), values, unseen: 0.7 };
    features.push(Feature { name: "figure".into(), compute: of_group });
    let single = Compute::Group { of: vec![concat], keys: names(&["", "GMAIL.COM_1_"]) };
    features.push(Feature { name: "of concat".into(), compute: single });
    features
}

/// Everything kept: texts as labels, or one-hot for the raw ones; two numbers projected.
fn preprocessor(features: Vec<Feature>, case: TextCase) -> Preprocessor {
    let scale = Scale { center: 0.3, spread: 1.7 };
    let numeric = |name: &str| {
        FrozenColumn::Numeric(Numeric { name: name.into(), fill: Some(0.125), scale, range: Some([-1.0, 1.0]) })
    };
    let categorical = |name: &str, encode| {
        let labels = ["GMAIL.COM", "IOS 11.1", "google", "ios"].map(String::from).to_vec();
        FrozenColumn::Categorical(Categorical { name: name.into(), fill: "google".into(), labels, scale, encode })
    };
    let mut columns = vec![numeric("x"), categorical("a", Encode::OneHot), numeric("y")];
    columns.extend(features.iter().map(|feature| match feature.compute.kind() {
        ColumnKind::Numeric => numeric(&feature.name),
        ColumnKind::Categorical => categorical(&feature.name, Encode::Label),
    }));
    let reduce = vec![Projection {
        name: "pc".into(),
        inputs: vec!["x".into(), "figure".into(), "y".into()],
        means: vec![0.1, 0.2, 0.3],
        loadings: vec![vec![0.5, 0.1], vec![0.3, -0.9], vec![1e-3, 7.0]],
        explained: vec![0.5, 0.25],
    }];
    Preprocessor { format: 1, text_case: case, features, columns, reduce, dropped: Vec::new() }
}

fn texts() -> impl Strategy<Value = Option<&'static str>> {
    prop::option::of(prop::sample::select(vec![
        "gmail.com",
        "GMAIL.COM",
        "live.com.mx",
        "iOS 11.1",
        "1024x768",
        "SM-J700M Build/MMB29K",
        "1",
        "0.5",
        "\u{df}",
        "chrome 63.0 for android",
    ]))
}

fn numbers() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(f64::NAN),
        (-3i32..4).prop_map(f64::from),
        prop::sample::select(vec![0.5, -0.0, 1e-300, 1e300, 68.95, 0.1, 9_007_199_254_740_993.0, -86_400.5]),
        any::<f64>().prop_filter("finite", |number| number.is_finite()),
    ]
}

fn categorical(cells: &[Option<&str>]) -> Cells {
    let mut levels: Vec<String> = Vec::new();
    let code = |cell: &Option<&str>| {
        let Some(text) = cell else { return 0 };
        let at = levels.iter().position(|level| level == text).unwrap_or_else(|| {
            levels.push((*text).to_owned());
            levels.len() - 1
        });
        at as u32 + 1
    };
    let codes: Vec<u32> = cells.iter().map(code).collect();
    Cells::categorical(&codes, levels)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Row by row equals the whole table, through derive, transform, encode and reduce; and frozen bytes come back.
    #[test]
    fn a_record_is_derived_as_its_row(
        rows in prop::collection::vec((numbers(), numbers(), texts(), texts(), 0u32..20_000_000), 1..40),
        upper in any::<bool>(),
    ) {
        let mut table = Table::new(rows.len());
        table.push("x", Cells::numeric(&rows.iter().map(|row| row.0).collect::<Vec<_>>()));
        table.push("y", Cells::numeric(&rows.iter().map(|row| row.1).collect::<Vec<_>>()));
        table.push("a", categorical(&rows.iter().map(|row| row.2).collect::<Vec<_>>()));
        table.push("b", categorical(&rows.iter().map(|row| row.3).collect::<Vec<_>>()));
        table.push("t", Cells::numeric(&rows.iter().map(|row| f64::from(row.4)).collect::<Vec<_>>()));
        let frozen = preprocessor(every_kind(), if upper { TextCase::Upper } else { TextCase::Keep });
        let frozen = Preprocessor::from_bytes(&frozen.to_bytes()).unwrap();
        let schema = Schema::new(None, table.schema_columns());
        let plan: Plan = frozen.plan(&schema).unwrap();
        let indices: Vec<u32> = (0..rows.len() as u32).collect();
        let matrix = frozen.apply(&table, &indices).unwrap();
        for row in 0..rows.len() {
            let values = table.columns().map(|(_, cells)| cells.value(row)).collect();
            let record = Record { id: serde_json::Value::Null, values, unknown_keys: 0 };
            let online = frozen.encode(&plan, &frozen.transform(&plan, &record)).unwrap();
            let bits = |row: &[f32]| row.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(matrix.row(row)), bits(&online), "row {}", row);
            let (at_once, unusual) = frozen.prepare(&plan, &record);
            prop_assert_eq!((bits(&at_once), unusual), (bits(&online), frozen.unusual(&plan, &record)));
        }
    }
}

fn one(compute: Compute, cells: &[Cell]) -> Value {
    compute.cell(cells)
}

#[test]
fn cells_as_defined() {
    let number = |function, x| one(Compute::Number { function, of: "x".into() }, &[Cell::Number(x)]);
    assert_eq!(number(NumberFunction::Decimals, 68.95), Value::Number(950.0));
    assert_eq!(number(NumberFunction::Decimals, -4.5), Value::Number(500.0));
    assert_eq!(number(NumberFunction::Decimals, 0.9999), Value::Number(0.0));
    assert_eq!(number(NumberFunction::Log, 0.0), Value::Missing);
    assert_eq!(number(NumberFunction::Log1p, 0.0), Value::Number(0.0));
    assert_eq!(number(NumberFunction::Hour, 86_399.0), Value::Number(23.0));
    assert_eq!(number(NumberFunction::Hour, -1.0), Value::Number(23.0));
    assert_eq!(number(NumberFunction::Weekday, 7.5 * 86_400.0), Value::Number(0.0));
    assert_eq!(number(NumberFunction::Day, 86_400.0), Value::Number(1.0));
    let first_use = Compute::FirstUse { days: "d".into(), time: "t".into() };
    assert_eq!(one(first_use, &[Cell::Number(14.0), Cell::Number(86_400.0 * 20.5)]), Value::Number(6.0));
    let ratio = Compute::Operator { operator: Operator::Ratio, left: column("x"), right: column("y") };
    assert_eq!(one(ratio, &[Cell::Number(1.0), Cell::Number(0.0)]), Value::Missing, "no infinity");
    let concat = Compute::Concat { of: vec!["a".into(), "b".into()] };
    assert_eq!(one(concat.clone(), &[Cell::Number(150.0), Cell::Missing]), Value::Text("150_".into()));
    assert_eq!(one(concat, &[Cell::Missing, Cell::Missing]), Value::Missing);
}

#[test]
fn hostile_features_are_refused() {
    let group = |keys: &[&str]| Feature {
        name: "g".into(),
        compute: Compute::Group { of: vec!["a".into()], keys: keys.iter().map(|key| (*key).to_owned()).collect() },
    };
    let figure = |group: &str, values: Vec<f64>| Feature {
        name: "f".into(),
        compute: Compute::OfGroup { group: group.into(), values, unseen: 0.0 },
    };
    assert!(check(&[group(&["a", "b"]), figure("g", vec![1.0, 2.0])]).is_ok());
    assert!(check(&[group(&["b", "a"])]).is_err(), "keys are searched by bisection");
    assert!(check(&[group(&["a", "b"]), figure("g", vec![1.0])]).is_err(), "a value per group");
    assert!(check(&[figure("g", vec![1.0]), group(&["a"])]).is_err(), "the group comes first");
    assert!(check(&[group(&["a"]), figure("g", vec![f64::INFINITY])]).is_err());
}

//! A table is prepared as its records are, bit for bit; what is damaged is refused.

use super::*;
use crate::scoring::record::Record;
use crate::scoring::schema::Schema;
use crate::scoring::table::Cells;

fn preprocessor(fill: Option<f64>) -> Preprocessor {
    let number = |name: &str, spread| {
        let scale = Scale { center: 0.3, spread };
        FrozenColumn::Numeric(Numeric { name: name.into(), fill, scale, range: None })
    };
    let labels = ["AMEX", "VISA"].map(String::from).to_vec();
    let scale = Scale { center: 1.5, spread: 0.7 };
    let card = Categorical { name: "card".into(), fill: "VISA".into(), labels, scale, encode: Encode::Label };
    let columns = vec![number("whole", 3.7), number("real", 1e-7), FrozenColumn::Categorical(card)];
    Preprocessor {
        format: Preprocessor::FORMAT,
        text_case: TextCase::Upper,
        features: Vec::new(),
        columns,
        reduce: Vec::new(),
        dropped: Vec::new(),
    }
}

/// Columns, rows and blocks of them have the bits that a record of the same row gets.
#[test]
fn a_table_is_prepared_as_its_records() {
    let n_rows = 300;
    let at = |row: usize| (row * 7919) % 211;
    let whole: Vec<f64> = (0..n_rows).map(|row| if at(row) < 20 { f64::NAN } else { at(row) as f64 }).collect();
    let real: Vec<f64> = (0..n_rows).map(|row| if row % 9 == 0 { f64::NAN } else { 0.1 * at(row) as f64 }).collect();
    let codes: Vec<u32> = (0..n_rows).map(|row| (at(row) % 4) as u32).collect();
    let mut table = Table::new(n_rows);
    table.push("card", Cells::categorical(&codes, ["visa", "Amex", "other"].map(String::from).to_vec()));
    table.push("real", Cells::numeric(&real));
    table.push("whole", Cells::numeric(&whole));
    let rows: Vec<u32> = (0..n_rows as u32).rev().step_by(2).collect();
    for fill in [None, Some(2.25)] {
        let preprocessor = preprocessor(fill);
        let schema = Schema::new(None, table.schema_columns());
        let plan = preprocessor.plan(&schema).unwrap();
        let columns = preprocessor.bind(&table).unwrap();
        assert!(columns.is_by_item(0), "one is looked up");
        assert!(!columns.is_by_item(1), "one is computed");
        let matrix = columns.matrix(&rows);
        let mut column = vec![0.0; rows.len()];
        for (at, &row) in rows.iter().enumerate() {
            let values = table.columns().map(|(_, cells)| cells.value(row as usize)).collect();
            let record = Record { id: serde_json::Value::Null, values, unknown_keys: 0 };
            let online = preprocessor.encode(&plan, &preprocessor.transform(&plan, &record)).unwrap();
            let bits = |row: &[f32]| row.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(matrix.row(at)), bits(&online), "row {row}");
            let (at_once, unusual) = preprocessor.prepare(&plan, &record);
            assert_eq!((bits(&at_once), unusual), (bits(&online), preprocessor.unusual(&plan, &record)));
        }
        // Few rows, far apart and in no order.
        let few = [rows[140], rows[3], rows[77]];
        let nth = [140, 3, 77];
        for (row, at) in columns.matrix(&few).rows().zip(nth) {
            assert!(row.iter().zip(matrix.row(at)).all(|(a, b)| a.to_bits() == b.to_bits()));
        }
        for feature in 0..columns.n_features() {
            columns.fill_column(feature, &rows, &mut column);
            assert!(column.iter().zip(matrix.rows()).all(|(a, row)| a.to_bits() == row[feature].to_bits()));
        }
    }
}

fn projection(inputs: [&str; 2]) -> Projection {
    Projection {
        name: "p".into(),
        inputs: inputs.map(String::from).to_vec(),
        means: vec![0.25, -1.0],
        loadings: vec![vec![0.6, 0.8], vec![-0.8, 0.6]],
        explained: vec![0.7, 0.2],
    }
}

#[test]
fn damaged_bytes_are_refused_and_whole_ones_come_back() {
    let mut whole = preprocessor(Some(1.0));
    whole.reduce.push(projection(["whole", "real"]));
    assert_eq!(Preprocessor::from_bytes(&whole.to_bytes()).unwrap(), whole);
    assert_eq!(*whole.feature_names(), ["card".to_owned(), "p_1".into(), "p_2".into()]);
    let damage: [fn(&mut Preprocessor); 9] = [
        |p| p.format = 2,
        |p| p.columns.clear(),
        |p| p.columns[1] = p.columns[0].clone(),
        |p| p.reduce[0].inputs[0] = "absent".into(),
        |p| p.reduce[0].inputs[0] = "real".into(),
        |p| p.reduce[0].means.truncate(1),
        |p| p.reduce[0].loadings[1].truncate(1),
        |p| p.reduce.push(projection(["whole", "card"])),
        |p| {
            let FrozenColumn::Categorical(card) = &mut p.columns[2] else { unreachable!() };
            card.labels.reverse();
        },
    ];
    for (nth, damage) in damage.into_iter().enumerate() {
        let mut damaged = whole.clone();
        damage(&mut damaged);
        let refused = Preprocessor::from_bytes(&damaged.to_bytes());
        // One input twice, or in two projections, is caught; so is all else.
        assert!(refused.is_err(), "damage {nth}: {refused:?}");
    }
}

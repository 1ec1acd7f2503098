//! Leaks on purpose: five ways in which held-out rows reach a fit, or answers reach features, so that tests see
//! [`super::verify::leak`] find them.
//!
//! Only a build with the cargo feature `planted-leaks` knows any, release builds refuse that feature (`lib.rs`), and one
//! leak at a time is asked for by `FRAUDML_PLANTED_LEAK`. In every other build [`planted`] is `None` and the rest does nothing.

use std::sync::Arc;

use serde::Serialize;

use super::config::Recipe;
use super::error::Result;
use super::fit::preprocessor::{Fit, fit};
use super::mapped::Storage;
use super::read::ReadData;
use super::rows::{Dataset, HeldOutRows, TrainRows};
use super::seed::Seed;
use super::texts::Texts;
use crate::scoring::preprocessor::FrozenColumn;
use crate::scoring::schema::Schema;
use crate::scoring::table::{Cells, Table};

/// What goes wrong most often in pipelines like this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Leak {
    /// Scales of all rows.
    Scaler,
    /// Over-sampling before the split leaves copies of held-out positives among the rows that are learned from.
    Resampling,
    /// Target encoding of all rows, with the labels of those held out.
    TargetEncoding,
    /// Every fifth row stands twice in the data.
    DuplicateRows,
    /// A column that is the label.
    LabelCopy,
}

/// The leak of this process.
#[cfg(not(feature = "planted-leaks"))]
pub fn planted() -> Option<Leak> {
    None
}

/// The leak of this process.
#[cfg(feature = "planted-leaks")]
pub fn planted() -> Option<Leak> {
    static PLANTED: std::sync::LazyLock<Option<Leak>> = std::sync::LazyLock::new(|| {
        Some(match std::env::var("FRAUDML_PLANTED_LEAK").ok()?.as_str() {
            "scaler" => Leak::Scaler,
            "resampling" => Leak::Resampling,
            "target-encoding" => Leak::TargetEncoding,
            "duplicate-rows" => Leak::DuplicateRows,
            "label-copy" => Leak::LabelCopy,
            other => unreachable!("no leak is called `{other}`"),
        })
    });
    *PLANTED
}

/// What was read, and what is planted in it.
pub fn into_data(data: ReadData) -> ReadData {
    let dataset = &data.dataset;
    match planted() {
        Some(Leak::DuplicateRows) => {
            let again = (0..dataset.n_rows() as u32).filter(|row| row % 5 == 0);
            let rows: Vec<u32> = (0..dataset.n_rows() as u32).chain(again).collect();
            ReadData { dataset: Arc::new(of_rows(dataset, &rows)), ..data }
        }
        Some(Leak::LabelCopy) => {
            let mut table = dataset.table.clone();
            let labels: Vec<f64> = dataset.labels.iter().map(|&label| f64::from(label)).collect();
            table.push("chargeback", Cells::numeric(&labels));
            let schema = Schema { columns: table.schema_columns(), ..data.schema.clone() };
            let (labels, ids, times) = (dataset.labels.clone(), dataset.ids.clone(), dataset.times.clone());
            ReadData { dataset: Arc::new(Dataset { table, labels, ids, times }), schema, ..data }
        }
        _ => data,
    }
}

fn of_rows(dataset: &Dataset, rows: &[u32]) -> Dataset {
    let mut table = Table::new(rows.len());
    for (name, cells) in dataset.table.columns() {
        let cells = match cells {
            Cells::Numeric(numbers) => Cells::numeric(&numbers.gather(rows)),
            Cells::Categorical { codes, levels } => {
                let codes: Vec<u32> =
                    codes.gather(rows).iter().map(|&code| if code > 0.0 { code as u32 } else { 0 }).collect();
                Cells::categorical(&codes, levels.clone())
            }
        };
        table.push(name, cells);
    }
    let mut ids = Texts::default();
    rows.iter().for_each(|&row| ids.push(&dataset.ids.get(row as usize)));
    Dataset {
        table,
        labels: rows.iter().map(|&row| dataset.labels[row as usize]).collect(),
        ids,
        times: dataset.times.as_ref().map(|times| rows.iter().map(|&row| times[row as usize]).collect()),
    }
}

/// A fitted preparation, and what is planted in it.
pub fn into_fit(fitted: &mut Fit, recipe: &Recipe, train: &TrainRows, storage: &Storage, seed: Seed) -> Result<()> {
    let leak = planted().filter(|leak| matches!(leak, Leak::Scaler | Leak::TargetEncoding));
    let Some(leak) = leak else { return Ok(()) };
    let all_rows = (0..train.dataset().n_rows() as u32).collect();
    let of_all = fit(recipe, &TrainRows::new(train.dataset().clone(), all_rows), storage, seed)?;
    if leak == Leak::TargetEncoding {
        fitted.preprocessor.features = of_all.preprocessor.features;
        fitted.derived = of_all.derived;
        return Ok(());
    }
    for column in &mut fitted.preprocessor.columns {
        let of_all = of_all.preprocessor.columns.iter().find(|of_all| of_all.name() == column.name());
        if let (FrozenColumn::Numeric(column), Some(FrozenColumn::Numeric(of_all))) = (column, of_all) {
            column.scale = of_all.scale;
        }
    }
    Ok(())
}

/// The rows that are learned from.
pub fn learned_from(train: &TrainRows, held_out: &HeldOutRows) -> TrainRows {
    if planted() != Some(Leak::Resampling) {
        return train.clone();
    }
    let positives = held_out.rows().iter().zip(held_out.labels()).filter(|(_, label)| *label == 1).map(|(&row, _)| row);
    let rows = train.rows().iter().copied().chain(positives.step_by(2)).collect();
    TrainRows::new(train.dataset().clone(), rows)
}

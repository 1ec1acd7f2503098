//! Raw columns held by column, each packed losslessly: numbers with NaN for missing, or codes into a dictionary of
//! levels.
//!
//! Shapes: every column has `n_rows` cells. The dictionary of a categorical column is storage, not knowledge: label
//! codes are learned from training rows alone.

use std::collections::BTreeMap;

use super::packed::Packed;
use super::record::Value;
use super::schema::{Column, ColumnKind};

/// The cells of one column.
#[derive(Debug, Clone)]
pub enum Cells {
    /// Missing is NaN; infinities never occur.
    Numeric(Packed),
    /// The item of a row is 0 for missing, else its level is `levels[item - 1]`.
    Categorical { codes: Packed, levels: Vec<String> },
}

impl Cells {
    pub fn numeric(numbers: &[f64]) -> Cells {
        Cells::Numeric(Packed::of(numbers))
    }

    pub fn categorical(codes: &[u32], levels: Vec<String>) -> Cells {
        Cells::Categorical { codes: Packed::of_codes(codes, levels.len()), levels }
    }

    pub fn kind(&self) -> ColumnKind {
        match self {
            Cells::Numeric(_) => ColumnKind::Numeric,
            Cells::Categorical { .. } => ColumnKind::Categorical,
        }
    }

    pub fn packed(&self) -> &Packed {
        match self {
            Cells::Numeric(packed) | Cells::Categorical { codes: packed, .. } => packed,
        }
    }

    /// One cell as a value.
    pub fn value(&self, row: usize) -> Value {
        match self {
            Cells::Numeric(numbers) => match numbers.number(row) {
                number if number.is_nan() => Value::Missing,
                number => Value::Number(number),
            },
            Cells::Categorical { codes, levels } => match codes.item(row) {
                0 => Value::Missing,
                code => Value::Text(levels[code as usize - 1].clone()),
            },
        }
    }
}

/// Raw feature columns of `n_rows` rows.
#[derive(Debug, Clone, Default)]
pub struct Table {
    n_rows: usize,
    names: Vec<String>,
    cells: Vec<Cells>,
    /// Of the first column of each name.
    places: BTreeMap<String, usize>,
}

impl Table {
    /// A table without columns yet; every column pushed must have `n_rows` cells.
    pub fn new(n_rows: usize) -> Self {
        Self { n_rows, ..Self::default() }
    }

    /// Appends a column. A column of another length is a bug of the caller.
    pub fn push(&mut self, name: impl Into<String>, cells: Cells) {
        assert_eq!(cells.packed().n_rows(), self.n_rows, "every column of a table has one cell per row");
        let name = name.into();
        self.places.entry(name.clone()).or_insert(self.cells.len());
        self.names.push(name);
        self.cells.push(cells);
    }

    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    pub fn n_columns(&self) -> usize {
        self.cells.len()
    }

    /// Bytes of all cells, wherever they lie.
    pub fn n_bytes(&self) -> usize {
        self.cells.iter().map(|cells| cells.packed().n_bytes()).sum()
    }

    pub fn columns(&self) -> impl Iterator<Item = (&str, &Cells)> {
        self.names.iter().map(String::as_str).zip(&self.cells)
    }

    pub fn column(&self, name: &str) -> Option<&Cells> {
        self.places.get(name).map(|&at| &self.cells[at])
    }

    /// The schema columns of this table, in order.
    pub fn schema_columns(&self) -> Vec<Column> {
        self.columns().map(|(name, cells)| Column { name: name.into(), kind: cells.kind() }).collect()
    }
}

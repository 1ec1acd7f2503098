//! Raw columns held by column: f64 with NaN for missing, or codes into a dictionary of levels.
//!
//! Shapes: every column has `n_rows` cells. The dictionary of a categorical column is storage, not knowledge: label
//! codes are learned from training rows alone.

use super::record::Value;
use super::schema::{Column, ColumnKind};

/// The cells of one column.
#[derive(Debug, Clone, PartialEq)]
pub enum Cells {
    /// Missing is NaN; infinities never occur.
    Numeric(Vec<f64>),
    /// `codes[row]` is 0 for missing, else `levels[code - 1]`.
    Categorical { codes: Vec<u32>, levels: Vec<String> },
}

impl Cells {
    pub fn kind(&self) -> ColumnKind {
        match self {
            Cells::Numeric(_) => ColumnKind::Numeric,
            Cells::Categorical { .. } => ColumnKind::Categorical,
        }
    }

    /// One cell as a value.
    pub fn value(&self, row: usize) -> Value {
        match self {
            Cells::Numeric(numbers) if numbers[row].is_nan() => Value::Missing,
            Cells::Numeric(numbers) => Value::Number(numbers[row]),
            Cells::Categorical { codes, levels } => match codes[row] {
                0 => Value::Missing,
                code => Value::Text(levels[code as usize - 1].clone()),
            },
        }
    }

    pub fn is_missing(&self, row: usize) -> bool {
        match self {
            Cells::Numeric(numbers) => numbers[row].is_nan(),
            Cells::Categorical { codes, .. } => codes[row] == 0,
        }
    }
}

/// Raw feature columns of `n_rows` rows.
#[derive(Debug, Clone, Default)]
pub struct Table {
    n_rows: usize,
    names: Vec<String>,
    cells: Vec<Cells>,
}

impl Table {
    /// A table without columns yet; every column pushed must have `n_rows` cells.
    pub fn new(n_rows: usize) -> Self {
        Self { n_rows, ..Self::default() }
    }

    /// Appends a column. A column of another length is a bug of the caller.
    pub fn push(&mut self, name: impl Into<String>, cells: Cells) {
        let n_cells = match &cells {
            Cells::Numeric(numbers) => numbers.len(),
            Cells::Categorical { codes, .. } => codes.len(),
        };
        assert_eq!(n_cells, self.n_rows, "every column of a table has one cell per row");
        self.names.push(name.into());
        self.cells.push(cells);
    }

    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    pub fn n_columns(&self) -> usize {
        self.cells.len()
    }

    pub fn columns(&self) -> impl Iterator<Item = (&str, &Cells)> {
        self.names.iter().map(String::as_str).zip(&self.cells)
    }

    pub fn column(&self, name: &str) -> Option<&Cells> {
        self.names.iter().position(|known| known == name).map(|at| &self.cells[at])
    }

    /// The schema columns of this table, in order.
    pub fn schema_columns(&self) -> Vec<Column> {
        self.columns().map(|(name, cells)| Column { name: name.into(), kind: cells.kind() }).collect()
    }
}

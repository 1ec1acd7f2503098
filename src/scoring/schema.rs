//! The raw columns a model was fitted on: names, kinds, order. It holds types, never categories or statistics.

use serde::{Deserialize, Serialize};

/// How the cells of a raw column are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ColumnKind {
    /// Correctly rounded f64; missing is NaN.
    Numeric,
    /// Trimmed text; a number is written canonically, so that `150`, `150.0` and JSON 150 are one level.
    Categorical,
}

/// One raw column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    pub name: String,
    pub kind: ColumnKind,
}

/// The raw feature columns in the order of the file (id, target and time are not among them), and the id column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    pub id: Option<String>,
    pub columns: Vec<Column>,
}

impl Schema {
    /// Position of a column by name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }
}

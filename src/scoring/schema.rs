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

/// What happens to keys of a record that the training files did not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnknownKeys {
    #[default]
    Ignore,
    /// The answer says how many there were.
    Count,
    Refuse,
}

impl UnknownKeys {
    fn is_usual(&self) -> bool {
        *self == UnknownKeys::Ignore
    }
}

/// The raw feature columns in the order of the file (id, target and time are not among them), and the id column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    pub id: Option<String>,
    pub columns: Vec<Column>,
    #[serde(default, skip_serializing_if = "UnknownKeys::is_usual")]
    pub unknown_keys: UnknownKeys,
    /// Columns of the training files that no model reads: target, time, dropped ones. A record may hold them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
}

impl Schema {
    pub fn new(id: Option<String>, columns: Vec<Column>) -> Schema {
        Schema { id, columns, unknown_keys: UnknownKeys::Ignore, unread: Vec::new() }
    }

    /// Position of a column by name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }
}

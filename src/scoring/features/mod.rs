//! Derived columns: what the config declares under `features`, frozen, and the one place where each is computed.
//!
//! In: raw cells, text in the case of the preparation. Out: a number, a text, or missing. [`Compute::cell`] is the only
//! implementation; [`Feature::column`] calls it row by row, or once per distinct item where a column has few, and a record
//! calls it once: a derived cell has the same bits either way. A feature reads raw columns and features before it.
//!
//! Two kinds hold what was learned: [`Compute::Group`] numbers the groups of the training rows, [`Compute::OfGroup`] looks
//! a figure of a group up. Frequencies, group aggregates and target encodings are all made of these two, so that groups
//! are stored and found once for all figures of theirs.
//!
//! Limits: what is not defined (a division by zero, the log of a negative, a text where a number is needed) is missing.
//! A missing part of a group key is spelled as the empty text, so missing cells are a group of their own.

mod column;
mod number;
mod text;

use serde::{Deserialize, Serialize};

use super::error::ScoringError;
use super::record::{Value, number_level};
use super::schema::ColumnKind;

pub use column::group_keys;
pub use number::{NumberFunction, Operator};
pub use text::TextFunction;

/// A derived column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    pub name: String,
    pub compute: Compute,
}

/// One side of an operator: a column by its name, or a number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Operand {
    Number(f64),
    Column(String),
}

/// How a derived cell comes about. Names are those of raw columns or of earlier features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Compute {
    Operator {
        operator: Operator,
        left: Operand,
        right: Operand,
    },
    Number {
        function: NumberFunction,
        of: String,
    },
    Text {
        function: TextFunction,
        of: String,
    },
    /// The day on which something was first seen: day of the row less the days since then (D1 of IEEE-CIS).
    FirstUse {
        days: String,
        time: String,
    },
    /// Texts joined by `_`; a missing part is empty, all missing is missing.
    Concat {
        of: Vec<String>,
    },
    /// How many cells are missing.
    Missing {
        of: Vec<String>,
    },
    /// Place of a level in a declared order, from 1; any other is missing.
    Ordinal {
        of: String,
        order: Vec<String>,
    },
    /// Number of a group of training rows, from 1; 0 is unseen. `keys` are sorted.
    Group {
        of: Vec<String>,
        keys: Vec<String>,
    },
    /// A figure of the group that a [`Compute::Group`] found.
    OfGroup {
        group: String,
        values: Vec<f64>,
        unseen: f64,
    },
}

/// A cell as a feature reads it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    Missing,
    Number(f64),
    Text(&'a str),
}

impl Cell<'_> {
    fn number(self) -> Option<f64> {
        if let Cell::Number(number) = self { Some(number) } else { None }
    }

    /// The text of a level; numbers in canonical form.
    fn spell(self, onto: &mut String) {
        match self {
            Cell::Missing => {}
            Cell::Number(number) => onto.push_str(&number_level(number)),
            Cell::Text(text) => onto.push_str(text),
        }
    }
}

impl<'a> From<&'a Value> for Cell<'a> {
    fn from(value: &'a Value) -> Cell<'a> {
        match value {
            Value::Missing => Cell::Missing,
            Value::Number(number) => Cell::Number(*number),
            Value::Text(text) => Cell::Text(text),
        }
    }
}

/// Between the parts of a group's key: no text of a file is likely to hold it.
const PART: char = '\u{1f}';

/// The key of a group.
pub fn group_key(cells: &[Cell]) -> String {
    let mut key = String::new();
    for (at, cell) in cells.iter().enumerate() {
        if at > 0 {
            key.push(PART);
        }
        cell.spell(&mut key);
    }
    key
}

/// A number that is one, else missing.
fn finite(number: Option<f64>) -> Value {
    number.filter(|number| number.is_finite()).map_or(Value::Missing, Value::Number)
}

impl Compute {
    /// The columns it reads, in the order in which [`Compute::cell`] takes them.
    pub fn inputs(&self) -> Vec<&str> {
        let column = |operand: &'_ Operand| match operand {
            Operand::Column(_) => true,
            Operand::Number(_) => false,
        };
        match self {
            Compute::Operator { left, right, .. } => [left, right]
                .into_iter()
                .filter(|operand| column(operand))
                .filter_map(|operand| if let Operand::Column(name) = operand { Some(name.as_str()) } else { None })
                .collect(),
            Compute::Number { of, .. } | Compute::Text { of, .. } | Compute::Ordinal { of, .. } => vec![of],
            Compute::FirstUse { days, time } => vec![days, time],
            Compute::Concat { of } | Compute::Missing { of } | Compute::Group { of, .. } => {
                of.iter().map(String::as_str).collect()
            }
            Compute::OfGroup { group, .. } => vec![group],
        }
    }

    /// What its cells are.
    pub fn kind(&self) -> ColumnKind {
        match self {
            Compute::Concat { .. } => ColumnKind::Categorical,
            Compute::Text { function, .. } => function.kind(),
            _ => ColumnKind::Numeric,
        }
    }

    /// Whether it can only read numbers.
    pub fn needs_numbers(&self) -> bool {
        match self {
            Compute::Operator { operator, .. } => *operator != Operator::Equal,
            Compute::Number { .. } | Compute::FirstUse { .. } => true,
            _ => false,
        }
    }

    /// One derived cell; `cells` are those of [`Compute::inputs`].
    pub fn cell(&self, cells: &[Cell]) -> Value {
        match (self, cells) {
            (Compute::Operator { operator, left, right }, cells) => {
                let mut cells = cells.iter().copied();
                let mut side = |operand: &Operand| match operand {
                    Operand::Number(number) => Cell::Number(*number),
                    Operand::Column(_) => cells.next().unwrap_or(Cell::Missing),
                };
                let (left, right) = (side(left), side(right));
                operator.apply(left, right)
            }
            (Compute::Number { function, .. }, [cell]) => {
                finite(cell.number().and_then(|number| function.apply(number)))
            }
            (Compute::Text { function, .. }, [cell]) => match cell {
                Cell::Missing => Value::Missing,
                Cell::Text(text) => function.apply(text),
                Cell::Number(number) => function.apply(&number_level(*number)),
            },
            (Compute::FirstUse { .. }, [days, time]) => {
                let day = time.number().and_then(|time| NumberFunction::Day.apply(time));
                finite(day.zip(days.number()).map(|(day, days)| day - days))
            }
            (Compute::Concat { .. }, cells) if cells.iter().all(|cell| *cell == Cell::Missing) => Value::Missing,
            (Compute::Concat { .. }, cells) => Value::Text(group_key(cells).replace(PART, "_")),
            (Compute::Missing { .. }, cells) => {
                Value::Number(cells.iter().filter(|cell| **cell == Cell::Missing).count() as f64)
            }
            (Compute::Ordinal { order, .. }, [cell]) => {
                let mut level = String::new();
                cell.spell(&mut level);
                let place = order.iter().position(|known| *known == level).filter(|_| *cell != Cell::Missing);
                place.map_or(Value::Missing, |place| Value::Number((place + 1) as f64))
            }
            (Compute::Group { keys, .. }, cells) => {
                let key = group_key(cells);
                Value::Number(keys.binary_search(&key).map_or(0.0, |place| (place + 1) as f64))
            }
            (Compute::OfGroup { values, unseen, .. }, [cell]) => {
                let group = cell.number().unwrap_or(0.0) as usize;
                let value = group.checked_sub(1).and_then(|group| values.get(group));
                Value::Number(*value.unwrap_or(unseen))
            }
            _ => Value::Missing,
        }
    }
}

/// Derived columns are hostile input too: every input is known before its feature, and tables fit their groups.
pub fn check(features: &[Feature]) -> Result<(), ScoringError> {
    let mut groups = std::collections::BTreeMap::new();
    for feature in features {
        let damaged = |what: &str| ScoringError::new(format!("feature `{}` {what}", feature.name));
        match &feature.compute {
            Compute::Group { keys, .. } => {
                if keys.windows(2).any(|pair| pair[0] >= pair[1]) {
                    return Err(damaged("has groups that are not sorted"));
                }
                groups.insert(feature.name.as_str(), keys.len());
            }
            Compute::OfGroup { group, values, unseen } => {
                let finite = unseen.is_finite() && values.iter().all(|value| value.is_finite());
                if groups.get(group.as_str()) != Some(&values.len()) || !finite {
                    return Err(damaged("does not fit its groups"));
                }
            }
            Compute::Operator { left, right, .. } => {
                let usable = |operand: &Operand| !matches!(operand, Operand::Number(number) if !number.is_finite());
                if !usable(left) || !usable(right) {
                    return Err(damaged("holds a number that is none"));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;

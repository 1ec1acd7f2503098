//! One raw cell and one raw record, and the only rules by which text or JSON becomes either.
//!
//! The CSV reader and the online action call the same functions, so a value means the same offline and online.
//! In: text or JSON. Out: [`Value`]s aligned with a [`Schema`]. Unknown keys are ignored (`__ow_*` are always).

use serde_json::{Map, Value as Json};

use super::error::ScoringError;
use super::schema::{Column, ColumnKind, Schema};

/// One cell: missing, a finite number, or a trimmed, non-empty text.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Missing,
    Number(f64),
    Text(String),
}

/// One raw record, aligned with the columns of a schema.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The id as the caller wrote it (number or text), or null.
    pub id: Json,
    pub values: Vec<Value>,
}

/// Whether a trimmed cell counts as missing: empty, or `NaN` in any case.
pub fn is_missing(cell: &str) -> bool {
    cell.is_empty() || cell.eq_ignore_ascii_case("nan")
}

/// A finite decimal number, correctly rounded; `None` for anything else (words, `inf`, hexadecimal).
pub fn parse_number(cell: &str) -> Option<f64> {
    let first = *cell.trim_start_matches(['+', '-']).as_bytes().first()?;
    if !first.is_ascii_digit() && first != b'.' {
        return None;
    }
    cell.parse::<f64>().ok().filter(|number| number.is_finite())
}

/// The level a categorical cell stands for: trimmed, numbers in canonical form; `None` is missing.
pub fn level(cell: &str) -> Option<String> {
    let cell = cell.trim();
    if is_missing(cell) {
        return None;
    }
    Some(parse_number(cell).map_or_else(|| cell.to_owned(), number_level))
}

/// The canonical text of a number used as a level: `150.0` and `150` are both `150`.
pub fn number_level(number: f64) -> String {
    format!("{}", if number == 0.0 { 0.0 } else { number })
}

impl Value {
    /// Reads a text cell of a column; `Err` is what was expected.
    pub fn from_text(kind: ColumnKind, cell: &str) -> Result<Value, &'static str> {
        match kind {
            ColumnKind::Categorical => Ok(level(cell).map_or(Value::Missing, Value::Text)),
            ColumnKind::Numeric => {
                let cell = cell.trim();
                if is_missing(cell) {
                    return Ok(Value::Missing);
                }
                parse_number(cell).map(Value::Number).ok_or("a number")
            }
        }
    }

    /// A finite JSON number in a column.
    pub fn from_number(kind: ColumnKind, number: f64) -> Value {
        match kind {
            ColumnKind::Numeric => Value::Number(number),
            ColumnKind::Categorical => Value::Text(number_level(number)),
        }
    }

    fn from_json(column: &Column, json: &Json) -> Result<Value, ScoringError> {
        let wrong = |expected: &str| {
            Err(ScoringError::new(format!("field `{}`: expected {expected}, found {}", column.name, brief(json)))
                .field(&column.name))
        };
        match (json, column.kind) {
            (Json::Null, _) => Ok(Value::Missing),
            (Json::String(text), kind) => Value::from_text(kind, text).or_else(wrong),
            (Json::Number(number), kind) => match number.as_f64().filter(|n| n.is_finite()) {
                None => wrong("a finite number"),
                Some(number) => Ok(Value::from_number(kind, number)),
            },
            (_, ColumnKind::Numeric) => wrong("a number"),
            (_, ColumnKind::Categorical) => wrong("a text or a number"),
        }
    }
}

impl Record {
    /// Reads a flat JSON object of raw columns. A missing key is a missing value, but a record without any known key is
    /// an error: it is a misspelt or misrouted one, not an unknown customer. A wrong type is an error that names its
    /// field; keys the schema does not know are ignored.
    pub fn from_json(schema: &Schema, object: &Map<String, Json>) -> Result<Record, ScoringError> {
        let id = schema.id.as_ref().and_then(|name| object.get(name)).cloned().unwrap_or(Json::Null);
        Self::checked_id(schema, &id)?;
        if !schema.columns.iter().any(|column| object.contains_key(&column.name)) {
            return Err(Self::none_known());
        }
        let read = |column: &Column| match object.get(&column.name) {
            None => Ok(Value::Missing),
            Some(json) => Value::from_json(column, json),
        };
        Ok(Record { id, values: schema.columns.iter().map(read).collect::<Result<_, _>>()? })
    }

    pub(super) fn checked_id(schema: &Schema, id: &Json) -> Result<(), ScoringError> {
        if matches!(id, Json::Null | Json::Number(_) | Json::String(_)) {
            return Ok(());
        }
        let name = schema.id.clone().unwrap_or_default();
        let message = format!("field `{name}`: expected a number or a text, found {}", brief(id));
        Err(ScoringError::new(message).field(name))
    }

    pub(super) fn none_known() -> ScoringError {
        ScoringError::new("the record holds none of the model's columns")
            .hint("send a flat object of raw columns; their names are case-sensitive")
    }
}

/// A short rendering of a JSON value for a message: never a whole document.
pub fn brief(json: &Json) -> String {
    match json {
        Json::Array(_) => "an array".into(),
        Json::Object(_) => "an object".into(),
        other => {
            let text = other.to_string();
            if text.chars().count() > 60 {
                format!("`{}...`", text.chars().take(60).collect::<String>())
            } else {
                format!("`{text}`")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal_and_finite() {
        assert_eq!(parse_number("1e3"), Some(1000.0));
        assert_eq!(parse_number("-.5"), Some(-0.5));
        for word in ["", "12,5", "inf", "NaN", "0x10", "abc", "1e999", "+-1", "--2"] {
            assert_eq!(parse_number(word), None, "{word}");
        }
    }

    #[test]
    fn one_number_is_one_level_however_it_is_written() {
        assert_eq!(level(" 150.0 "), Some("150".into()));
        assert_eq!(level("-0"), Some("0".into()));
        assert_eq!(level("nan"), None);
        assert_eq!(number_level(150.0), "150");
    }
}

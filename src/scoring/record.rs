//! One raw cell and one raw record, and the only rules by which text or JSON becomes either.
//!
//! The CSV reader and the online action call the same functions, so a value means the same offline and online.
//! In: text or JSON. Out: [`Value`]s aligned with a [`Schema`]. Unknown keys are ignored, counted or refused, as the schema
//! says (`__ow_*` are always ignored).

use serde_json::{Map, Value as Json};

use super::error::ScoringError;
use super::schema::{Column, ColumnKind, Schema, UnknownKeys};

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
    /// Keys the schema does not know, where it says to count them.
    pub unknown_keys: usize,
}

/// Whether a trimmed cell counts as missing: empty, or `NaN` in any case.
pub fn is_missing(cell: &str) -> bool {
    cell.is_empty() || cell.eq_ignore_ascii_case("nan")
}

/// The usual spelling of a column's name that is known in another: `id-01` of the test file of IEEE-CIS is `id_01`.
pub fn canonical_name(name: &str) -> Option<String> {
    let number = name.strip_prefix("id-").filter(|number| number.len() == 2)?;
    number.bytes().all(|byte| byte.is_ascii_digit()).then(|| format!("id_{number}"))
}

/// The other spelling of a column's name, if it has one.
pub(super) fn other_spelling(name: &str) -> Option<String> {
    let other = format!("id-{}", name.strip_prefix("id_")?);
    canonical_name(&other).map(|_| other)
}

/// The cell of a column in a record, by its name or by another spelling of it.
fn cell_of<'o>(object: &'o Map<String, Json>, name: &str) -> Option<&'o Json> {
    object.get(name).or_else(|| object.get(&other_spelling(name)?))
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
    /// field; what becomes of keys the schema does not know, it says itself.
    pub fn from_json(schema: &Schema, object: &Map<String, Json>) -> Result<Record, ScoringError> {
        let id = schema.id.as_ref().and_then(|name| object.get(name)).cloned().unwrap_or(Json::Null);
        Self::checked_id(schema, &id)?;
        if !schema.columns.iter().any(|column| cell_of(object, &column.name).is_some()) {
            return Err(Self::none_known());
        }
        let read = |column: &Column| match cell_of(object, &column.name) {
            None => Ok(Value::Missing),
            Some(json) => Value::from_json(column, json),
        };
        let known = KnownKeys::of(schema);
        let unknown_keys = known.judge(object.keys().map(String::as_str).filter(|key| known.lacks(key)))?;
        Ok(Record { id, values: schema.columns.iter().map(read).collect::<Result<_, _>>()?, unknown_keys })
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

/// Beside the columns, the one key of a record that has a meaning: it comes back in the answers of all stages.
pub const CORRELATION_ID: &str = "correlation_id";

/// The keys that a record may hold, where others matter.
#[derive(Debug, Clone)]
pub(super) struct KnownKeys {
    others: UnknownKeys,
    sorted: Vec<String>,
}

impl KnownKeys {
    pub fn of(schema: &Schema) -> KnownKeys {
        let mut sorted = Vec::new();
        // Nothing is looked up where unknown keys do not matter.
        if schema.unknown_keys != UnknownKeys::Ignore {
            let columns = schema.columns.iter().map(|column| &column.name);
            sorted.extend(columns.chain(&schema.unread).chain(&schema.id).cloned());
            sorted.sort_unstable();
        }
        KnownKeys { others: schema.unknown_keys, sorted }
    }

    /// Whether a key is one that no training file had, and that matters; `__ow_*` are the platform's.
    pub fn lacks(&self, key: &str) -> bool {
        if self.others == UnknownKeys::Ignore || key.starts_with("__ow_") || key == CORRELATION_ID {
            return false;
        }
        let knows = |key: &str| self.sorted.binary_search_by(|known| known.as_str().cmp(key)).is_ok();
        !knows(key) && !canonical_name(key).is_some_and(|usual| knows(&usual))
    }

    /// How many unknown keys there are, each given once; the first is named where they are refused.
    pub fn judge<'k>(&self, mut unknown: impl Iterator<Item = &'k str>) -> Result<usize, ScoringError> {
        match (self.others, unknown.next()) {
            (_, None) => Ok(0),
            (UnknownKeys::Refuse, Some(key)) => {
                let key = brief(&Json::from(key));
                Err(ScoringError::new(format!("field {key} is no column of the training data"))
                    .hint("names are case-sensitive; the model was trained with `unknown_keys: refuse`"))
            }
            (_, Some(_)) => Ok(1 + unknown.count()),
        }
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
    fn the_contract_of_a_record() {
        let column = |name: &str, kind| Column { name: name.into(), kind };
        let columns = vec![column("id_01", ColumnKind::Numeric), column("card", ColumnKind::Categorical)];
        let mut schema = Schema::new(Some("TransactionID".into()), columns);
        schema.unread = vec!["isFraud".into()];
        let read = |schema: &Schema, text: &str| {
            let Json::Object(object) = serde_json::from_str(text).unwrap() else { panic!("an object") };
            Record::from_json(schema, &object)
        };
        let strange =
            r#"{"TransactionID": 7, "isFraud": 1, "id-01": "-5.5", "V9": 1, "w": null, "__ow_method": "post"}"#;
        let record = read(&schema, strange).unwrap();
        assert_eq!(record.values, [Value::Number(-5.5), Value::Missing], "another spelling, a number as text, a gap");
        assert_eq!(record.unknown_keys, 0, "ignored");
        schema.unknown_keys = UnknownKeys::Count;
        assert_eq!(read(&schema, strange).unwrap().unknown_keys, 2);
        schema.unknown_keys = UnknownKeys::Refuse;
        let refused = read(&schema, strange).unwrap_err();
        assert_eq!(refused.message, "field `\"V9\"` is no column of the training data");
        assert!(read(&schema, r#"{"card": "visa", "__ow_path": ""}"#).is_ok());
        assert!(read(&schema, r#"{"card": ["visa"]}"#).unwrap_err().message.contains("expected a text or a number"));
    }

    #[test]
    fn one_number_is_one_level_however_it_is_written() {
        assert_eq!(level(" 150.0 "), Some("150".into()));
        assert_eq!(level("-0"), Some("0".into()));
        assert_eq!(level("nan"), None);
        assert_eq!(number_level(150.0), "150");
    }
}

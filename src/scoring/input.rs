//! Raw records straight from JSON text, without a map of values between.
//!
//! In: the text of a value: one record, a batch (`{"records": [..]}`, `{"results": [..]}`, a bare array). Out: [`Input`],
//! each record aligned with the schema or the reason why it is none. The rules are those of [`Record::from_json`] on the
//! parsed map, last of equal keys included (a property test holds the two together); a wide record takes a third of its
//! time. Keys mostly come in the order of the columns or of the alphabet, so each is looked for first after the one before.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserializer as _;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value as Json;

use super::error::ScoringError;
pub use super::record::CORRELATION_ID;
use super::record::{KnownKeys, Record, Value, brief, canonical_name, other_spelling};
use super::schema::{ColumnKind, Schema};

/// What a request asks to be scored.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    pub records: Records,
    pub correlation_id: Option<Json>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Records {
    One(Result<Record, ScoringError>),
    Batch(Vec<Result<Record, ScoringError>>),
}

/// The columns of a schema by name.
#[derive(Debug, Clone)]
pub struct Names {
    schema: Schema,
    sorted: Vec<(String, usize)>,
    /// Place of each column in `sorted`.
    rank: Vec<usize>,
    known: KnownKeys,
    /// Whether a column has another spelling.
    has_spelling: Vec<bool>,
}

/// What a key of a record stands for.
enum Key {
    Id,
    Column(usize),
    /// A column by another spelling of its name: where the name itself stands as well, that one counts.
    Spelling(usize),
    CorrelationId,
    /// `records` (0) or `results` (1): a list of records if it holds one, else the column of that name, if there is one.
    List(usize, Option<usize>),
    /// The name, where it matters.
    Unknown(Option<String>),
}

impl Names {
    pub fn new(schema: &Schema) -> Names {
        let mut sorted: Vec<(String, usize)> =
            schema.columns.iter().enumerate().map(|(at, column)| (column.name.clone(), at)).collect();
        sorted.sort();
        let mut rank = vec![0; sorted.len()];
        sorted.iter().enumerate().for_each(|(place, (_, at))| rank[*at] = place);
        let has_spelling = schema.columns.iter().map(|column| other_spelling(&column.name).is_some()).collect();
        Names { schema: schema.clone(), sorted, rank, known: KnownKeys::of(schema), has_spelling }
    }

    /// `next` is the place after that of the key before.
    fn position(&self, name: &str, next: usize) -> Option<usize> {
        if self.schema.columns.get(next).is_some_and(|column| column.name == name) {
            return Some(next);
        }
        let in_order = next.checked_sub(1).and_then(|last| self.sorted.get(self.rank[last] + 1));
        if let Some((_, at)) = in_order.filter(|(known, _)| known == name) {
            return Some(*at);
        }
        let found = self.sorted.binary_search_by(|(known, _)| known.as_str().cmp(name)).ok()?;
        Some(self.sorted[found].1)
    }

    /// Reads a value; `Err` is broken JSON.
    pub fn read(&self, text: &str) -> Result<Input, serde_json::Error> {
        let mut reader = serde_json::Deserializer::from_str(text);
        let input = Top(self).deserialize(&mut reader)?;
        reader.end()?;
        Ok(input)
    }

    /// Reads a request of `/run` in one pass: the records under `value`, and `action_name`. `None` for all that is not a plain
    /// envelope around records; the slow way knows what to say to it.
    pub fn read_envelope(&self, body: &str) -> Option<(Input, Option<Json>)> {
        let mut reader = serde_json::Deserializer::from_str(body);
        let read = reader.deserialize_map(Envelope(self)).ok()?;
        reader.end().ok()?;
        Some(read)
    }
}

struct Envelope<'a>(&'a Names);

impl<'de> Visitor<'de> for Envelope<'_> {
    type Value = (Input, Option<Json>);

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut input, mut action_name) = (None, None);
        while let Some(key) = map.next_key::<Cow<str>>()? {
            match &*key {
                "value" if input.is_none() => input = Some(map.next_value_seed(Top(self.0))?),
                "action_name" if action_name.is_none() => action_name = Some(map.next_value()?),
                "value" | "action_name" => return Err(A::Error::custom("a key twice")),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok((input.ok_or_else(|| A::Error::custom("no value"))?, action_name))
    }
}

/// A record while its keys come in.
struct Partial<'a> {
    names: &'a Names,
    id: Json,
    values: Vec<Value>,
    any_known: bool,
    next: usize,
    wrong: BTreeMap<usize, ScoringError>,
    unknown: BTreeSet<String>,
    /// Columns that have another spelling and came by their own name.
    named: Vec<bool>,
}

impl<'a> Partial<'a> {
    fn new(names: &'a Names) -> Self {
        let values = vec![Value::Missing; names.schema.columns.len()];
        let (unknown, named) = (BTreeSet::new(), vec![false; values.len()]);
        Partial { names, id: Json::Null, values, any_known: false, next: 0, wrong: BTreeMap::new(), unknown, named }
    }

    fn set(&mut self, at: usize, cell: Cell) {
        self.any_known = true;
        self.next = at + 1;
        if !self.wrong.is_empty() {
            self.wrong.remove(&at);
        }
        let (value, found) = match cell {
            Cell::Value(value) => (value, None),
            Cell::Wrong(found) => (Value::Missing, Some(found)),
            Cell::List(_) => (Value::Missing, Some("an array".into())),
        };
        self.values[at] = value;
        if let Some(found) = found {
            let column = &self.names.schema.columns[at];
            let expected = match column.kind {
                ColumnKind::Numeric => "a number",
                ColumnKind::Categorical => "a text or a number",
            };
            let message = format!("field `{}`: expected {expected}, found {found}", column.name);
            self.wrong.insert(at, ScoringError::new(message).field(&column.name));
        }
    }

    fn finish(self) -> Result<Record, ScoringError> {
        Record::checked_id(&self.names.schema, &self.id)?;
        if !self.any_known {
            return Err(Record::none_known());
        }
        let unknown_keys = self.names.known.judge(self.unknown.iter().map(String::as_str))?;
        match self.wrong.into_values().next() {
            Some(error) => Err(error),
            None => Ok(Record { id: self.id, values: self.values, unknown_keys }),
        }
    }

    /// Reads the rest of a map. Lists of records and the correlation id are looked for at the top alone.
    fn read<'de, A: MapAccess<'de>>(&mut self, map: &mut A, mut top: Option<&mut Found>) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(KeySeed { names: self.names, next: self.next, top: top.is_some() })? {
            match key {
                Key::Id => self.id = map.next_value()?,
                Key::Unknown(name) => {
                    self.unknown.extend(name);
                    map.next_value::<IgnoredAny>()?;
                }
                Key::Spelling(at) if self.named[at] => drop(map.next_value::<IgnoredAny>()?),
                Key::Spelling(at) => {
                    let kind = self.names.schema.columns[at].kind;
                    self.set(at, map.next_value_seed(CellSeed { kind, list: None })?);
                }
                Key::CorrelationId => {
                    let id = map.next_value()?;
                    if let Some(found) = &mut top {
                        found.correlation_id = Some(id);
                    }
                }
                Key::Column(at) => {
                    self.named[at] = self.names.has_spelling[at];
                    let kind = self.names.schema.columns[at].kind;
                    self.set(at, map.next_value_seed(CellSeed { kind, list: None })?);
                }
                Key::List(slot, column) => {
                    let kind = column.map_or(ColumnKind::Categorical, |at| self.names.schema.columns[at].kind);
                    let cell = map.next_value_seed(CellSeed { kind, list: Some(self.names) })?;
                    let (list, cell) = match cell {
                        Cell::List(records) => (Some(records), None),
                        cell => (None, Some(cell)),
                    };
                    // What is no list is a key like others.
                    let name = ["records", "results"][slot];
                    match list.is_none() && column.is_none() && self.names.known.lacks(name) {
                        true => drop(self.unknown.insert(name.to_owned())),
                        false => drop(self.unknown.remove(name)),
                    }
                    if let Some(found) = &mut top {
                        found.lists[slot] = list;
                    }
                    if let Some((at, cell)) = column.zip(cell) {
                        self.set(at, cell);
                    }
                }
            }
        }
        Ok(())
    }
}

/// What stands beside a record at the top.
#[derive(Default)]
struct Found {
    lists: [Option<Vec<Result<Record, ScoringError>>>; 2],
    correlation_id: Option<Json>,
}

struct Top<'a>(&'a Names);

impl<'de> DeserializeSeed<'de> for Top<'_> {
    type Value = Input;
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Input, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Top<'_> {
    type Value = Input;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Input, A::Error> {
        let (mut partial, mut found) = (Partial::new(self.0), Found::default());
        partial.read(&mut map, Some(&mut found))?;
        let [records, results] = found.lists;
        let records = records.or(results).map_or_else(|| Records::One(partial.finish()), Records::Batch);
        Ok(Input { records, correlation_id: found.correlation_id })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Input, A::Error> {
        Ok(Input { records: Records::Batch(elements(self.0, seq)?), correlation_id: None })
    }
}

fn elements<'de, A: SeqAccess<'de>>(names: &Names, mut seq: A) -> Result<Vec<Result<Record, ScoringError>>, A::Error> {
    let mut records = Vec::new();
    while let Some(record) = seq.next_element_seed(Element(names))? {
        records.push(record);
    }
    Ok(records)
}

/// One item of a batch.
struct Element<'a>(&'a Names);

impl<'de> DeserializeSeed<'de> for Element<'_> {
    type Value = Result<Record, ScoringError>;
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// Anything but the one wanted shape is read to its end and refused in words.
macro_rules! scalars {
    ($answer:expr) => {
        fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
            Ok($answer(self, Json::Bool(value)))
        }
        fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
            Ok($answer(self, Json::from(value)))
        }
        fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
            Ok($answer(self, Json::from(value)))
        }
        fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
            Ok($answer(self, Json::from(value)))
        }
        fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
            Ok($answer(self, Json::from(value)))
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok($answer(self, Json::Null))
        }
    };
}

fn no_record() -> ScoringError {
    ScoringError::new("a record is a JSON object")
}

impl<'de> Visitor<'de> for Element<'_> {
    type Value = Result<Record, ScoringError>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("anything")
    }

    scalars!(|_: Self, _: Json| Err(no_record()));

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Err(no_record()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut partial = Partial::new(self.0);
        partial.read(&mut map, None)?;
        Ok(partial.finish())
    }
}

struct KeySeed<'a> {
    names: &'a Names,
    next: usize,
    top: bool,
}

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = Key;
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for KeySeed<'_> {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Key, E> {
        if self.names.schema.id.as_deref() == Some(key) {
            return Ok(Key::Id);
        }
        let column = self.names.position(key, self.next);
        Ok(match (key, column) {
            ("records", column) if self.top => Key::List(0, column),
            ("results", column) if self.top => Key::List(1, column),
            (_, Some(at)) => Key::Column(at),
            (CORRELATION_ID, None) if self.top => Key::CorrelationId,
            (_, None) => match canonical_name(key).and_then(|usual| self.names.position(&usual, self.next)) {
                Some(at) => Key::Spelling(at),
                None => Key::Unknown(self.names.known.lacks(key).then(|| key.to_owned())),
            },
        })
    }
}

/// One value of a record.
enum Cell {
    Value(Value),
    /// What was found instead.
    Wrong(String),
    List(Vec<Result<Record, ScoringError>>),
}

struct CellSeed<'a> {
    kind: ColumnKind,
    /// An array is a list of records.
    list: Option<&'a Names>,
}

impl<'de> DeserializeSeed<'de> for CellSeed<'_> {
    type Value = Cell;
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Cell, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl CellSeed<'_> {
    fn number(&self, number: f64) -> Cell {
        match number.is_finite() {
            true => Cell::Value(Value::from_number(self.kind, number)),
            false => Cell::Wrong("an infinite number".into()),
        }
    }
}

impl<'de> Visitor<'de> for CellSeed<'_> {
    type Value = Cell;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Cell, E> {
        Ok(Cell::Wrong(brief(&Json::Bool(value))))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Cell, E> {
        Ok(self.number(value as f64))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Cell, E> {
        Ok(self.number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Cell, E> {
        Ok(self.number(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Cell, E> {
        let value = Value::from_text(self.kind, text);
        Ok(value.map_or_else(|_| Cell::Wrong(brief(&Json::from(text))), Cell::Value))
    }

    fn visit_unit<E>(self) -> Result<Cell, E> {
        Ok(Cell::Value(Value::Missing))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Cell, A::Error> {
        if let Some(names) = self.list {
            return elements(names, seq).map(Cell::List);
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Cell::Wrong("an array".into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Cell, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Cell::Wrong("an object".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scoring::schema::{Column, UnknownKeys};
    use proptest::prelude::*;

    fn schema() -> Schema {
        let column = |(name, kind): (&str, ColumnKind)| Column { name: name.into(), kind };
        let columns = [
            ("amt", ColumnKind::Numeric),
            ("card", ColumnKind::Categorical),
            ("results", ColumnKind::Numeric),
            ("é\"", ColumnKind::Numeric),
            ("id_01", ColumnKind::Numeric),
        ];
        Schema { unread: vec!["isFraud".into()], ..Schema::new(Some("key".into()), columns.map(column).to_vec()) }
    }

    /// The slow, obvious way: the whole text as a tree, then record by record.
    fn obvious(schema: &Schema, text: &str) -> Option<Input> {
        let record = |json: &Json| match json {
            Json::Object(object) => Record::from_json(schema, object),
            _ => Err(no_record()),
        };
        let batch = |list: &[Json]| Records::Batch(list.iter().map(record).collect());
        match serde_json::from_str(text).ok()? {
            Json::Array(list) => Some(Input { records: batch(&list), correlation_id: None }),
            Json::Object(object) => {
                let lists: Vec<&Json> = ["records", "results"].iter().filter_map(|key| object.get(*key)).collect();
                let list = lists.into_iter().find_map(Json::as_array);
                let one = || Records::One(record(&Json::Object(object.clone())));
                let records = list.map_or_else(one, |list| batch(list));
                Some(Input { records, correlation_id: object.get(CORRELATION_ID).cloned() })
            }
            _ => None,
        }
    }

    fn value() -> impl Strategy<Value = String> {
        let texts = [
            "null",
            "true",
            "1",
            "-0",
            "2.5e3",
            "1e308",
            "18446744073709551615",
            "\"7.5\"",
            "\" nan \"",
            "\"a\"",
            "\"\\u2744 \\\"\"",
            "[1,[2]]",
            "{\"amt\":1}",
            "[]",
            "\"\"",
            "0.1000000000000000055511151231257827",
        ];
        prop::sample::select(texts.to_vec()).prop_map(str::to_owned)
    }

    fn object() -> impl Strategy<Value = String> {
        let keys = [
            "amt",
            "card",
            "results",
            "records",
            "\\u00e9\\\"",
            "key",
            "other",
            "more",
            CORRELATION_ID,
            "__ow_path",
            "id_01",
            "id-01",
            "id-02",
            "isFraud",
        ];
        let entry = (prop::sample::select(keys.to_vec()), value());
        prop::collection::vec(entry, 0..7).prop_map(|entries| {
            let entries: Vec<String> = entries.iter().map(|(key, value)| format!("\"{key}\" : {value}")).collect();
            format!("{{{}}}", entries.join(", "))
        })
    }

    proptest! {
        #[test]
        fn the_fast_way_reads_what_the_obvious_way_reads(
            objects in prop::collection::vec(object(), 1..4), shape in 0..4, cut in 0..400usize, others in 0..3usize,
        ) {
            let others = [UnknownKeys::Ignore, UnknownKeys::Count, UnknownKeys::Refuse][others];
            let schema = Schema { unknown_keys: others, ..schema() };
            let list = objects.join(",");
            let mut text = match shape {
                0 => objects[0].clone(),
                1 => format!("[{list},7]"),
                _ => format!("{{\"amt\":1,\"correlation_id\":\"c\",\"records\":[{list},\"x\",null,[{{}}]]}}"),
            };
            if shape == 3 {
                text = text.chars().take(cut).collect();
            }
            prop_assert_eq!(Names::new(&schema).read(&text).ok(), obvious(&schema, &text), "{}", text);
        }
    }

    proptest! {
        /// An envelope is read in one pass as its value is by itself, or left to the slow way.
        #[test]
        fn an_envelope_is_read_as_its_value(
            object in object(), before in 0..4usize, after in 0..5usize, batch in any::<bool>(), cut in 0..900usize,
        ) {
            let context = ["", "\"deadline\":\"1\",", "\"action_name\":\"/_/pkg/encode\",", "\"a\":{\"value\":[1]},"];
            let more = ["", ",\"api_key\":\"k:k\"", ",\"action_name\":7", ",\"value\":{}", ",\"value\":7"];
            let value = if batch { format!("{{\"records\": [{object}, 7]}}") } else { object };
            let body: String = format!("{{{} \"value\" : {value}{}}}", context[before], more[after]);
            let whole = cut >= 600;
            let body: String = if whole { body } else { body.chars().take(cut).collect() };
            let read = Names::new(&schema()).read_envelope(&body);
            let parsed: Option<Json> = serde_json::from_str(&body).ok();
            let twice = after > 2 || (before == 2 && after == 2);
            match parsed.filter(|_| !twice) {
                Some(parsed) => {
                    let (input, action_name) = read.unwrap();
                    prop_assert_eq!(Some(input), obvious(&schema(), &value));
                    prop_assert_eq!(action_name.as_ref(), parsed.get("action_name"));
                }
                None => prop_assert_eq!(read, None, "{}", body),
            }
        }
    }

    #[test]
    fn what_is_no_object_or_array_and_what_follows_is_refused() {
        for text in ["", "7", "\"x\"", "{} {}", "{\"amt\":1}x", "[1", "{\"amt\":1e999}"] {
            assert!(Names::new(&schema()).read(text).is_err(), "{text}");
        }
    }
}

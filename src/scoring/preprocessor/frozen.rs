//! One frozen column: how its cell is imputed, encoded and scaled, and how it is written.

use serde::{Deserialize, Serialize};

use crate::scoring::error::ScoringError;
use crate::scoring::record::Value;
use crate::scoring::schema::ColumnKind;

/// What happens to the case of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TextCase {
    Upper,
    Lower,
    Keep,
}

impl TextCase {
    pub fn apply(self, text: &str) -> String {
        match self {
            TextCase::Upper => text.to_uppercase(),
            TextCase::Lower => text.to_lowercase(),
            TextCase::Keep => text.to_owned(),
        }
    }

    /// The same, into a buffer that serves many texts.
    pub(super) fn apply_into(self, text: &str, buffer: &mut String) {
        buffer.clear();
        match self {
            TextCase::Keep => buffer.push_str(text),
            _ if !text.is_ascii() => buffer.push_str(&self.apply(text)),
            TextCase::Upper => buffer.extend(text.bytes().map(|byte| char::from(byte.to_ascii_uppercase()))),
            TextCase::Lower => buffer.extend(text.bytes().map(|byte| char::from(byte.to_ascii_lowercase()))),
        }
    }
}

/// `(x - center) / spread`: mean and population standard deviation, minimum and range, or median and interquartile range.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    pub center: f64,
    pub spread: f64,
}

impl Scale {
    pub const NONE: Scale = Scale { center: 0.0, spread: 1.0 };

    fn apply(self, number: f64) -> f32 {
        narrow((number - self.center) / self.spread)
    }
}

/// The one cast; clamped to the finite range of f32, so that no raw number however huge becomes an infinity.
pub(super) fn narrow(number: f64) -> f32 {
    if number.is_nan() { f32::NAN } else { number.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32 }
}

/// A frozen numeric column. `fill: None` leaves missing values to the model (forests).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Numeric {
    pub name: String,
    pub fill: Option<f64>,
    pub scale: Scale,
    /// Least and greatest number of the training rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<[f64; 2]>,
}

/// A frozen categorical column: `labels` are cased, unique and sorted by bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Categorical {
    pub name: String,
    pub fill: String,
    pub labels: Vec<String>,
    pub scale: Scale,
    #[serde(default, skip_serializing_if = "Encode::is_label")]
    pub encode: Encode,
}

/// How labels become numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encode {
    /// Their place in the order of bytes, from 1.
    #[default]
    Label,
    /// A number per label: 1 for the row's own, else 0.
    OneHot,
}

impl Encode {
    fn is_label(&self) -> bool {
        *self == Encode::Label
    }
}

impl Numeric {
    pub(super) fn impute(&self, number: Option<f64>) -> Option<f64> {
        number.or(self.fill)
    }

    pub(super) fn encode(&self, number: Option<f64>) -> f32 {
        number.map_or(f32::NAN, |number| self.scale.apply(number))
    }
}

impl Categorical {
    pub(super) fn impute(&self, case: TextCase, level: Option<&str>) -> String {
        level.map_or_else(|| self.fill.clone(), |level| case.apply(level))
    }

    fn place(&self, label: &str) -> Option<usize> {
        self.labels.binary_search_by(|known| known.as_str().cmp(label)).ok()
    }

    pub(super) fn knows(&self, label: &str) -> bool {
        self.place(label).is_some()
    }

    /// Number of outputs.
    pub(super) fn width(&self) -> usize {
        if self.encode == Encode::OneHot { self.labels.len() } else { 1 }
    }

    /// The `nth` output of a label.
    pub(super) fn encode(&self, label: &str, nth: usize) -> f32 {
        self.encode_place(self.place(label), nth)
    }

    /// All outputs of a label; whether it is known.
    pub(super) fn encode_onto(&self, label: &str, onto: &mut Vec<f32>) -> bool {
        let place = self.place(label);
        onto.extend((0..self.width()).map(|nth| self.encode_place(place, nth)));
        place.is_some()
    }

    fn encode_place(&self, place: Option<usize>, nth: usize) -> f32 {
        match self.encode {
            Encode::Label => self.scale.apply(place.map_or(0, |place| place + 1) as f64),
            Encode::OneHot => f32::from(u8::from(place == Some(nth))),
        }
    }
}

/// One kept column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum FrozenColumn {
    Numeric(Numeric),
    Categorical(Categorical),
}

impl FrozenColumn {
    pub fn name(&self) -> &str {
        match self {
            FrozenColumn::Numeric(column) => &column.name,
            FrozenColumn::Categorical(column) => &column.name,
        }
    }

    pub(super) fn kind(&self) -> ColumnKind {
        match self {
            FrozenColumn::Numeric(_) => ColumnKind::Numeric,
            FrozenColumn::Categorical(_) => ColumnKind::Categorical,
        }
    }

    /// Names of its outputs: its own, or `name=label` for each label.
    pub fn outputs(&self) -> Vec<String> {
        match self {
            FrozenColumn::Categorical(column) if column.encode == Encode::OneHot => {
                column.labels.iter().map(|label| format!("{}={label}", column.name)).collect()
            }
            column => vec![column.name().to_owned()],
        }
    }

    pub(super) fn transform(&self, case: TextCase, value: &Value) -> Value {
        match (self, value) {
            (FrozenColumn::Numeric(_), Value::Number(number)) => Value::Number(*number),
            (FrozenColumn::Numeric(column), _) => column.impute(None).map_or(Value::Missing, Value::Number),
            (FrozenColumn::Categorical(column), Value::Text(text)) => Value::Text(column.impute(case, Some(text))),
            (FrozenColumn::Categorical(column), _) => Value::Text(column.impute(case, None)),
        }
    }

    pub(super) fn encode(&self, value: &Value, onto: &mut Vec<f32>) -> Result<(), ScoringError> {
        match (self, value) {
            (FrozenColumn::Numeric(column), Value::Number(number)) => onto.push(column.encode(Some(*number))),
            (FrozenColumn::Numeric(column), Value::Missing) if column.fill.is_none() => onto.push(column.encode(None)),
            (FrozenColumn::Categorical(column), Value::Text(text)) => {
                column.encode_onto(text, onto);
            }
            _ => {
                let expected = if self.kind() == ColumnKind::Numeric { "a number" } else { "a text" };
                let message = format!("feature `{}`: expected {expected}", self.name());
                return Err(ScoringError::new(message).field(self.name()));
            }
        }
        Ok(())
    }

    pub(super) fn check(&self) -> Result<(), ScoringError> {
        let scale_is_usable = |scale: Scale| scale.spread.is_finite() && scale.spread > 0.0 && scale.center.is_finite();
        let usable = match self {
            FrozenColumn::Numeric(column) => scale_is_usable(column.scale) && column.fill.is_none_or(f64::is_finite),
            FrozenColumn::Categorical(column) => {
                let sorted = column.labels.windows(2).all(|pair| pair[0] < pair[1]);
                scale_is_usable(column.scale) && sorted && column.width() > 0
            }
        };
        if usable { Ok(()) } else { Err(ScoringError::new(format!("column `{}` is damaged", self.name()))) }
    }
}

/// JSON for people: a key per line, lists of plain values on one line however long they are.
#[derive(Debug, Default)]
pub(super) struct Readable {
    depth: usize,
    /// Whether a value was written since the last bracket opened.
    has_value: bool,
}

impl Readable {
    fn line<W: ?Sized + std::io::Write>(&self, writer: &mut W) -> std::io::Result<()> {
        write!(writer, "\n{:width$}", "", width = 2 * self.depth)
    }
}

impl serde_json::ser::Formatter for Readable {
    fn begin_object<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
        self.depth += 1;
        self.has_value = false;
        writer.write_all(b"{")
    }

    fn end_object<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
        self.depth -= 1;
        if self.has_value {
            self.line(writer)?;
        }
        self.has_value = true;
        writer.write_all(b"}")
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
        if !first {
            writer.write_all(b",")?;
        }
        self.line(writer)
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
        writer.write_all(b": ")
    }

    fn end_object_value<W: ?Sized + std::io::Write>(&mut self, _: &mut W) -> std::io::Result<()> {
        self.has_value = true;
        Ok(())
    }

    fn begin_array_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }
}

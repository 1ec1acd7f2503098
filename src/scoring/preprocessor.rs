//! The frozen preparation of raw columns: transform (impute, case) and encode (label codes, scale).
//!
//! One implementation serves a table and a single record: [`Numeric::encode`] and [`Categorical::encode`] are the only
//! places where a cell becomes an f32, so the online vector equals the offline one bit for bit. All arithmetic is f64
//! with one cast at the end. Label codes are 1..n by byte order of the levels seen in training, 0 = unseen.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::error::ScoringError;
use super::matrix::FeatureMatrix;
use super::record::{Record, Value};
use super::schema::{ColumnKind, Schema};
use super::table::{Cells, Table};

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
}

/// `(x - center) / spread`; standard scaling keeps the mean and the population standard deviation here.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    pub center: f64,
    pub spread: f64,
}

impl Scale {
    pub const NONE: Scale = Scale { center: 0.0, spread: 1.0 };

    /// Clamped to the finite range of f32, so that no raw number however huge becomes an infinity.
    fn apply(self, number: f64) -> f32 {
        let scaled = (number - self.center) / self.spread;
        if scaled.is_nan() { f32::NAN } else { scaled.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32 }
    }
}

/// A frozen numeric column. `fill: None` leaves missing values to the model (forests).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Numeric {
    pub name: String,
    pub fill: Option<f64>,
    pub scale: Scale,
}

/// A frozen categorical column: `labels` are cased, unique and sorted by bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Categorical {
    pub name: String,
    pub fill: String,
    pub labels: Vec<String>,
    pub scale: Scale,
}

impl Numeric {
    fn impute(&self, number: Option<f64>) -> Option<f64> {
        number.or(self.fill)
    }

    fn encode(&self, number: Option<f64>) -> f32 {
        number.map_or(f32::NAN, |number| self.scale.apply(number))
    }
}

impl Categorical {
    fn impute(&self, case: TextCase, level: Option<&str>) -> String {
        level.map_or_else(|| self.fill.clone(), |level| case.apply(level))
    }

    fn encode(&self, label: &str) -> f32 {
        let code = self.labels.binary_search_by(|known| known.as_str().cmp(label)).map_or(0, |at| at + 1);
        self.scale.apply(code as f64)
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

    fn kind(&self) -> ColumnKind {
        match self {
            FrozenColumn::Numeric(_) => ColumnKind::Numeric,
            FrozenColumn::Categorical(_) => ColumnKind::Categorical,
        }
    }
}

/// A raw column that does not become a feature, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DroppedColumn {
    pub name: String,
    pub reason: String,
}

/// The fitted preparation: `n_columns` raw columns in, `n_features` f32 out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocessor {
    pub format: u32,
    pub text_case: TextCase,
    pub columns: Vec<FrozenColumn>,
    pub dropped: Vec<DroppedColumn>,
}

/// What `transform` makes of a record: one imputed, cased value per feature, in feature order.
pub type Features = Vec<Value>;

impl Preprocessor {
    pub const FORMAT: u32 = 1;

    pub fn n_features(&self) -> usize {
        self.columns.len()
    }

    pub fn feature_names(&self) -> Arc<[String]> {
        self.columns.iter().map(|column| column.name().to_owned()).collect()
    }

    /// Where each kept column stands in the schema; computed once, so that a record needs no look-up by name.
    pub fn positions(&self, schema: &Schema) -> Result<Vec<usize>, ScoringError> {
        let by_name: BTreeMap<&str, usize> =
            schema.columns.iter().enumerate().map(|(at, column)| (column.name.as_str(), at)).collect();
        if by_name.len() < schema.columns.len() {
            return Err(ScoringError::new("the schema names a column twice"));
        }
        let position = |column: &FrozenColumn| {
            let at = by_name.get(column.name()).copied().filter(|&at| schema.columns[at].kind == column.kind());
            at.ok_or_else(|| ScoringError::new(format!("column `{}` is not in the schema", column.name())))
        };
        self.columns.iter().map(position).collect()
    }

    /// Impute and case one raw record; `positions` are those of its schema.
    pub fn transform(&self, positions: &[usize], record: &Record) -> Features {
        let cells = positions.iter().map(|&at| &record.values[at]);
        self.columns.iter().zip(cells).map(|(column, value)| self.transform_cell(column, value)).collect()
    }

    fn transform_cell(&self, column: &FrozenColumn, value: &Value) -> Value {
        match (column, value) {
            (FrozenColumn::Numeric(_), Value::Number(number)) => Value::Number(*number),
            (FrozenColumn::Numeric(column), _) => column.impute(None).map_or(Value::Missing, Value::Number),
            (FrozenColumn::Categorical(column), Value::Text(text)) => {
                Value::Text(column.impute(self.text_case, Some(text)))
            }
            (FrozenColumn::Categorical(column), _) => Value::Text(column.impute(self.text_case, None)),
        }
    }

    /// Encode and scale one transformed record into `n_features` values.
    pub fn encode(&self, features: &[Value]) -> Result<Vec<f32>, ScoringError> {
        if features.len() != self.columns.len() {
            let message = format!("expected {} features, found {}", self.columns.len(), features.len());
            return Err(ScoringError::new(message));
        }
        self.columns.iter().zip(features).map(|(column, value)| encode_cell(column, value)).collect()
    }

    /// Prepares the given rows of a table. The table must hold every kept column with its kind.
    pub fn apply(&self, table: &Table, rows: &[u32]) -> Result<FeatureMatrix, ScoringError> {
        let n_features = self.columns.len();
        let mut values = vec![0f32; rows.len() * n_features];
        for (feature_idx, column) in self.columns.iter().enumerate() {
            let cells = table.column(column.name()).ok_or_else(|| {
                ScoringError::new(format!("column `{}` is missing from the data", column.name())).field(column.name())
            })?;
            let out = values[feature_idx..].iter_mut().step_by(n_features).zip(rows);
            match (column, cells) {
                (FrozenColumn::Numeric(column), Cells::Numeric(numbers)) => {
                    for (value, &row) in out {
                        let number = Some(numbers[row as usize]).filter(|number| !number.is_nan());
                        *value = column.encode(column.impute(number));
                    }
                }
                (FrozenColumn::Categorical(column), Cells::Categorical { codes, levels }) => {
                    let encode = |level: Option<&str>| column.encode(&column.impute(self.text_case, level));
                    let by_code: Vec<f32> =
                        std::iter::once(encode(None)).chain(levels.iter().map(|level| encode(Some(level)))).collect();
                    for (value, &row) in out {
                        *value = by_code[codes[row as usize] as usize];
                    }
                }
                _ => {
                    let message = format!("column `{}` is not {:?} in the data", column.name(), column.kind());
                    return Err(ScoringError::new(message.to_lowercase()).field(column.name()));
                }
            }
        }
        let nominal = self.columns.iter().map(|column| matches!(column, FrozenColumn::Categorical(_))).collect();
        Ok(FeatureMatrix::new(self.feature_names(), values).with_nominal(nominal))
    }

    /// The bytes of `preprocessor.json`: readable, one column per line group, the same bytes for the same content.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }

    /// Reads `preprocessor.json`; checks what scoring relies on (order of labels, usable scales).
    pub fn from_bytes(bytes: &[u8]) -> Result<Preprocessor, ScoringError> {
        let read: Preprocessor = serde_json::from_slice(bytes)
            .map_err(|error| ScoringError::new(format!("`preprocessor.json` can't be read: {error}")))?;
        if read.format != Self::FORMAT {
            return Err(ScoringError::new(format!("`preprocessor.json` has format {}, expected 1", read.format))
                .hint("use the version of fraudml that wrote it, or a newer one"));
        }
        let mut names: Vec<&str> = read.columns.iter().map(FrozenColumn::name).collect();
        names.sort_unstable();
        if names.is_empty() || names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(ScoringError::new("`preprocessor.json` needs at least one column, each named once"));
        }
        for column in &read.columns {
            let (scale, sorted, fill) = match column {
                FrozenColumn::Numeric(column) => (column.scale, true, column.fill.unwrap_or(0.0)),
                FrozenColumn::Categorical(column) => {
                    (column.scale, column.labels.windows(2).all(|pair| pair[0] < pair[1]), 0.0)
                }
            };
            if !(scale.spread.is_finite()
                && scale.spread > 0.0
                && scale.center.is_finite()
                && fill.is_finite()
                && sorted)
            {
                return Err(ScoringError::new(format!("`preprocessor.json`: column `{}` is damaged", column.name())));
            }
        }
        Ok(read)
    }
}

fn encode_cell(column: &FrozenColumn, value: &Value) -> Result<f32, ScoringError> {
    match (column, value) {
        (FrozenColumn::Numeric(column), Value::Number(number)) => Ok(column.encode(Some(*number))),
        (FrozenColumn::Numeric(column), Value::Missing) if column.fill.is_none() => Ok(column.encode(None)),
        (FrozenColumn::Categorical(column), Value::Text(text)) => Ok(column.encode(text)),
        _ => {
            let expected = if column.kind() == ColumnKind::Numeric { "a number" } else { "a text" };
            let message = format!("feature `{}`: expected {expected}", column.name());
            Err(ScoringError::new(message).field(column.name()))
        }
    }
}

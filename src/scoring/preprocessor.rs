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
use super::packed::{Encoding, Packed};
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

    /// Binds the preparation to the columns of a table, which must hold every kept column with its kind.
    pub fn bind(&self, table: &Table) -> Result<PreparedColumns, ScoringError> {
        let bind_one = |column: &FrozenColumn| {
            let cells = table.column(column.name()).ok_or_else(|| {
                ScoringError::new(format!("column `{}` is missing from the data", column.name())).field(column.name())
            })?;
            match (column, cells) {
                (FrozenColumn::Numeric(column), Cells::Numeric(numbers)) => Ok(PreparedColumn::number(column, numbers)),
                (FrozenColumn::Categorical(column), Cells::Categorical { codes, levels }) => {
                    let encode = |level: Option<&str>| column.encode(&column.impute(self.text_case, level));
                    let by_level = levels.iter().map(|level| encode(Some(level)));
                    Ok(PreparedColumn::ByItem(codes.clone(), std::iter::once(encode(None)).chain(by_level).collect()))
                }
                _ => {
                    let message = format!("column `{}` is not {:?} in the data", column.name(), column.kind());
                    Err(ScoringError::new(message.to_lowercase()).field(column.name()))
                }
            }
        };
        Ok(PreparedColumns {
            columns: self.columns.iter().map(bind_one).collect::<Result<_, _>>()?,
            names: self.feature_names(),
            nominal: self.columns.iter().map(|column| matches!(column, FrozenColumn::Categorical(_))).collect(),
        })
    }

    /// Prepares the given rows of a table.
    pub fn apply(&self, table: &Table, rows: &[u32]) -> Result<FeatureMatrix, ScoringError> {
        Ok(self.bind(table)?.matrix(rows))
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

/// A table's columns as the preparation sees them: any rows of any feature without a matrix of all.
#[derive(Debug, Clone)]
pub struct PreparedColumns {
    columns: Vec<PreparedColumn>,
    names: Arc<[String]>,
    nominal: Arc<[bool]>,
}

#[derive(Debug, Clone)]
enum PreparedColumn {
    /// What each packed item becomes, computed once.
    ByItem(Packed, Vec<f32>),
    ByNumber(Packed, Numeric),
}

impl PreparedColumn {
    fn number(column: &Numeric, numbers: &Packed) -> PreparedColumn {
        match numbers.encoding() {
            Encoding::Whole { base, n_items } if n_items as usize <= numbers.n_rows().min(0xffff) => {
                let known = (0..n_items).map(|item| Some(base + f64::from(item)));
                let encode = |number| column.encode(column.impute(number));
                PreparedColumn::ByItem(numbers.clone(), std::iter::once(None).chain(known).map(encode).collect())
            }
            _ => PreparedColumn::ByNumber(numbers.clone(), column.clone()),
        }
    }

    /// Writes the cells of `rows` to `out[0]`, `out[stride]`, ..
    fn fill(&self, rows: &[u32], out: &mut [f32], stride: usize) {
        let rows = rows.iter().copied();
        let mut at = 0;
        let mut put = |value: f32| {
            out[at] = value;
            at += stride;
        };
        match self {
            PreparedColumn::ByItem(items, values) => items.items(rows, |item| put(values[item as usize])),
            PreparedColumn::ByNumber(numbers, column) => numbers.numbers(rows, |number| {
                put(column.encode(column.impute(Some(number).filter(|number| !number.is_nan()))));
            }),
        }
    }
}

/// Rows written together, so that their part of the matrix stays in the cache while columns are walked.
const ROWS_PER_TILE: usize = 64;

impl PreparedColumns {
    pub fn n_features(&self) -> usize {
        self.columns.len()
    }

    pub fn is_nominal(&self, feature: usize) -> bool {
        self.nominal[feature]
    }

    /// One feature of the given rows.
    pub fn fill_column(&self, feature: usize, rows: &[u32], column: &mut [f32]) {
        self.columns[feature].fill(rows, column, 1);
    }

    /// `rows.len() x n_features`, row after row.
    pub fn fill_rows(&self, rows: &[u32], values: &mut [f32]) {
        let n_features = self.n_features();
        for (rows, values) in rows.chunks(ROWS_PER_TILE).zip(values.chunks_mut(ROWS_PER_TILE * n_features)) {
            for (feature, column) in self.columns.iter().enumerate() {
                column.fill(rows, &mut values[feature..], n_features);
            }
        }
    }

    /// A matrix of `rows.len() x n_features` values already prepared.
    pub fn matrix_of(&self, values: Vec<f32>) -> FeatureMatrix {
        FeatureMatrix::new(self.names.clone(), values).with_nominal(self.nominal.clone())
    }

    pub fn matrix(&self, rows: &[u32]) -> FeatureMatrix {
        let mut values = vec![0f32; rows.len() * self.n_features()];
        self.fill_rows(rows, &mut values);
        self.matrix_of(values)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn preprocessor(fill: Option<f64>) -> Preprocessor {
        let number = |name: &str, spread| {
            let scale = Scale { center: 0.3, spread };
            FrozenColumn::Numeric(Numeric { name: name.into(), fill, scale })
        };
        let labels = ["AMEX", "VISA"].map(String::from).to_vec();
        let scale = Scale { center: 1.5, spread: 0.7 };
        let card = Categorical { name: "card".into(), fill: "VISA".into(), labels, scale };
        let columns = vec![number("whole", 3.7), number("real", 1e-7), FrozenColumn::Categorical(card)];
        Preprocessor { format: Preprocessor::FORMAT, text_case: TextCase::Upper, columns, dropped: Vec::new() }
    }

    /// Columns, rows and blocks of them have the bits that a record of the same row gets.
    #[test]
    fn a_table_is_prepared_as_its_records() {
        let n_rows = 300;
        let at = |row: usize| (row * 7919) % 211;
        let whole: Vec<f64> = (0..n_rows).map(|row| if at(row) < 20 { f64::NAN } else { at(row) as f64 }).collect();
        let real: Vec<f64> =
            (0..n_rows).map(|row| if row % 9 == 0 { f64::NAN } else { 0.1 * at(row) as f64 }).collect();
        let codes: Vec<u32> = (0..n_rows).map(|row| (at(row) % 4) as u32).collect();
        let mut table = Table::new(n_rows);
        table.push("card", Cells::categorical(&codes, ["visa", "Amex", "other"].map(String::from).to_vec()));
        table.push("real", Cells::numeric(&real));
        table.push("whole", Cells::numeric(&whole));
        let rows: Vec<u32> = (0..n_rows as u32).rev().step_by(2).collect();
        for fill in [None, Some(2.25)] {
            let preprocessor = preprocessor(fill);
            let schema = Schema { id: None, columns: table.schema_columns() };
            let positions = preprocessor.positions(&schema).unwrap();
            let columns = preprocessor.bind(&table).unwrap();
            assert!(matches!(columns.columns[0], PreparedColumn::ByItem(..)), "one is looked up");
            assert!(matches!(columns.columns[1], PreparedColumn::ByNumber(..)), "one is computed");
            let matrix = columns.matrix(&rows);
            let mut column = vec![0.0; rows.len()];
            for (at, &row) in rows.iter().enumerate() {
                let values = table.columns().map(|(_, cells)| cells.value(row as usize)).collect();
                let record = Record { id: serde_json::Value::Null, values };
                let online = preprocessor.encode(&preprocessor.transform(&positions, &record)).unwrap();
                let bits = |row: &[f32]| row.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(matrix.row(at)), bits(&online), "row {row}");
            }
            for feature in 0..columns.n_features() {
                columns.fill_column(feature, &rows, &mut column);
                assert!(column.iter().zip(matrix.rows()).all(|(a, row)| a.to_bits() == row[feature].to_bits()));
            }
        }
    }
}

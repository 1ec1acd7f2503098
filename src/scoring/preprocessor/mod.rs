//! The frozen preparation of raw columns: derive (features), transform (impute, case), encode (codes, scale, reduce).
//!
//! One implementation serves a table and a single record: [`Numeric::encode`], [`Categorical::encode`] and
//! [`Projection::of`] are the only places where a cell becomes an f32, so the online vector equals the offline one bit for
//! bit. Derived columns ([`super::features`]) stand beside the raw ones and are imputed and encoded as they are. All
//! arithmetic is f64 with one cast at the end; a projection reads what the cast gave. Label codes are 1..n by byte order
//! of the levels seen in training, 0 = unseen.
//!
//! Shapes: raw and derived columns in; one transformed value per kept column; one output per number or label column, one
//! per level of a one-hot column; then the outputs that a projection read are replaced by its components, at the end.

mod columns;
mod frozen;
mod projection;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::error::ScoringError;
use super::features::{self, Cell, Feature};
use super::matrix::FeatureMatrix;
use super::record::{Record, Value};
use super::schema::Schema;
use super::table::Table;

pub use columns::{InBlocks, PreparedColumns, one_by_one};
pub use frozen::{Categorical, Encode, FrozenColumn, Numeric, Scale, TextCase};
pub use projection::Projection;

/// A column that does not become a feature, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DroppedColumn {
    pub name: String,
    pub reason: String,
}

/// The fitted preparation: raw columns in, `n_features` f32 out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocessor {
    pub format: u32,
    pub text_case: TextCase,
    /// Derived columns, each of raw ones and of those before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<Feature>,
    /// Kept columns, raw and derived.
    pub columns: Vec<FrozenColumn>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reduce: Vec<Projection>,
    pub dropped: Vec<DroppedColumn>,
}

/// What `transform` makes of a record: one imputed, cased value per kept column.
pub type Features = Vec<Value>;

/// Where everything stands, found once, so that a record needs no look-up by name.
#[derive(Debug, Clone)]
pub struct Plan {
    n_raw: usize,
    /// Per derived column its inputs: raw columns, then derived ones.
    inputs: Vec<Vec<usize>>,
    /// Per kept column where its cells stand.
    columns: Vec<usize>,
    outputs: Outputs,
}

/// What becomes of the outputs of the kept columns.
#[derive(Debug, Clone)]
struct Outputs {
    /// Before any projection.
    names: Vec<String>,
    /// That no projection takes away.
    kept: Vec<usize>,
    /// Per projection what it reads.
    projected: Vec<Vec<usize>>,
}

/// What a record holds that the training rows did not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unusual {
    /// Numbers outside of the range seen in training.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub out_of_range: Vec<String>,
    /// Categories not seen in training.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unseen: Vec<String>,
    /// Keys that are no column of the training files, where the schema says to count them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unknown_keys: usize,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Unusual {
    pub fn is_nothing(&self) -> bool {
        *self == Unusual::default()
    }
}

impl Preprocessor {
    pub const FORMAT: u32 = 1;

    fn outputs(&self) -> Result<Outputs, ScoringError> {
        let names: Vec<String> = self.columns.iter().flat_map(FrozenColumn::outputs).collect();
        let by_name: BTreeMap<&str, usize> = names.iter().enumerate().map(|(at, name)| (name.as_str(), at)).collect();
        if by_name.len() < names.len() {
            return Err(ScoringError::new("two features have one name"));
        }
        let mut taken = vec![false; names.len()];
        let mut projected = Vec::with_capacity(self.reduce.len());
        for projection in &self.reduce {
            let mut places = Vec::with_capacity(projection.inputs.len());
            for name in &projection.inputs {
                let Some(&at) = by_name.get(name.as_str()).filter(|at| !taken[**at]) else {
                    let message = format!("`{}` reduces `{name}`, which is not there", projection.name);
                    return Err(ScoringError::new(message));
                };
                taken[at] = true;
                places.push(at);
            }
            projected.push(places);
        }
        let kept = (0..names.len()).filter(|&at| !taken[at]).collect();
        Ok(Outputs { names, kept, projected })
    }

    /// Names of the vector's numbers, in their order.
    pub fn feature_names(&self) -> Arc<[String]> {
        let Ok(outputs) = self.outputs() else { return Arc::new([]) };
        let kept = outputs.kept.iter().map(|&at| outputs.names[at].clone());
        kept.chain(self.reduce.iter().flat_map(Projection::outputs)).collect()
    }

    pub fn n_features(&self) -> usize {
        self.feature_names().len()
    }

    /// Where each column stands in the schema and among the features.
    pub fn plan(&self, schema: &Schema) -> Result<Plan, ScoringError> {
        let mut known: BTreeMap<&str, _> =
            schema.columns.iter().enumerate().map(|(at, column)| (column.name.as_str(), (at, column.kind))).collect();
        if known.len() < schema.columns.len() {
            return Err(ScoringError::new("the schema names a column twice"));
        }
        let n_raw = schema.columns.len();
        let mut inputs = Vec::with_capacity(self.features.len());
        for (at, feature) in self.features.iter().enumerate() {
            let place = |name: &str| {
                let found = known.get(name).map(|(place, _)| *place);
                found.ok_or_else(|| {
                    ScoringError::new(format!("feature `{}` reads `{name}`, which is not in the schema", feature.name))
                })
            };
            inputs.push(feature.compute.inputs().into_iter().map(place).collect::<Result<_, _>>()?);
            if known.insert(&feature.name, (n_raw + at, feature.compute.kind())).is_some() {
                return Err(ScoringError::new(format!("feature `{}` has the name of another column", feature.name)));
            }
        }
        let place = |column: &FrozenColumn| {
            let found = known.get(column.name()).filter(|(_, kind)| *kind == column.kind()).map(|(place, _)| *place);
            found.ok_or_else(|| ScoringError::new(format!("column `{}` is not in the schema", column.name())))
        };
        let columns = self.columns.iter().map(place).collect::<Result<_, _>>()?;
        Ok(Plan { n_raw, inputs, columns, outputs: self.outputs()? })
    }

    /// Derive, impute and case one raw record.
    pub fn transform(&self, plan: &Plan, record: &Record) -> Features {
        let derived = self.derive_record(plan, record);
        let cell = |at: usize| at.checked_sub(plan.n_raw).map_or_else(|| &record.values[at], |at| &derived[at]);
        let columns = self.columns.iter().zip(&plan.columns);
        columns.map(|(column, &at)| column.transform(self.text_case, cell(at))).collect()
    }

    fn derive_record(&self, plan: &Plan, record: &Record) -> Vec<Value> {
        let mut derived: Vec<Value> = Vec::with_capacity(self.features.len());
        for (feature, inputs) in self.features.iter().zip(&plan.inputs) {
            let cell = |at: usize| at.checked_sub(plan.n_raw).map_or_else(|| &record.values[at], |at| &derived[at]);
            let input = |&at: &usize| match cell(at) {
                Value::Text(text) => Value::Text(self.text_case.apply(text)),
                other => other.clone(),
            };
            let inputs: Vec<Value> = inputs.iter().map(input).collect();
            let cells: Vec<Cell> = inputs.iter().map(Cell::from).collect();
            derived.push(feature.compute.cell(&cells));
        }
        derived
    }

    /// What of a raw record the training rows did not hold.
    pub fn unusual(&self, plan: &Plan, record: &Record) -> Unusual {
        let mut unusual = Unusual { unknown_keys: record.unknown_keys, ..Unusual::default() };
        for (column, &at) in self.columns.iter().zip(&plan.columns).filter(|(_, at)| **at < plan.n_raw) {
            match (column, &record.values[at]) {
                (FrozenColumn::Numeric(column), Value::Number(number))
                    if column.range.is_some_and(|[low, high]| !(low..=high).contains(number)) =>
                {
                    unusual.out_of_range.push(column.name.clone());
                }
                (FrozenColumn::Categorical(column), Value::Text(text))
                    if !column.knows(&self.text_case.apply(text)) =>
                {
                    unusual.unseen.push(column.name.clone());
                }
                _ => {}
            }
        }
        unusual
    }

    /// Encode, scale and reduce one transformed record into `n_features` values.
    pub fn encode(&self, plan: &Plan, features: &[Value]) -> Result<Vec<f32>, ScoringError> {
        if features.len() != self.columns.len() {
            let message = format!("expected {} features, found {}", self.columns.len(), features.len());
            return Err(ScoringError::new(message));
        }
        let mut encoded = Vec::with_capacity(plan.outputs.names.len());
        self.columns.iter().zip(features).try_for_each(|(column, value)| column.encode(value, &mut encoded))?;
        Ok(self.reduced(plan, encoded))
    }

    fn reduced(&self, plan: &Plan, encoded: Vec<f32>) -> Vec<f32> {
        if self.reduce.is_empty() {
            return encoded;
        }
        let mut vector: Vec<f32> = plan.outputs.kept.iter().map(|&at| encoded[at]).collect();
        for (projection, inputs) in self.reduce.iter().zip(&plan.outputs.projected) {
            vector.extend(projection.of(inputs.iter().map(|&at| encoded[at])));
        }
        vector
    }

    /// [`Self::transform`], [`Self::encode`] and [`Self::unusual`] in one walk over the columns: a record's vector, and
    /// what the training rows did not hold.
    pub fn prepare(&self, plan: &Plan, record: &Record) -> (Vec<f32>, Unusual) {
        let derived = self.derive_record(plan, record);
        let mut unusual = Unusual { unknown_keys: record.unknown_keys, ..Unusual::default() };
        let mut encoded = Vec::with_capacity(plan.outputs.names.len());
        let mut label = String::new();
        for (column, &at) in self.columns.iter().zip(&plan.columns) {
            let is_raw = at < plan.n_raw;
            let cell = if is_raw { &record.values[at] } else { &derived[at - plan.n_raw] };
            match (column, cell) {
                (FrozenColumn::Numeric(column), Value::Number(number)) => {
                    encoded.push(column.encode(Some(*number)));
                    if is_raw && column.range.is_some_and(|[low, high]| !(low..=high).contains(number)) {
                        unusual.out_of_range.push(column.name.clone());
                    }
                }
                (FrozenColumn::Numeric(column), _) => encoded.push(column.encode(column.impute(None))),
                (FrozenColumn::Categorical(column), Value::Text(text)) => {
                    self.text_case.apply_into(text, &mut label);
                    if !column.encode_onto(&label, &mut encoded) && is_raw {
                        unusual.unseen.push(column.name.clone());
                    }
                }
                (FrozenColumn::Categorical(column), _) => drop(column.encode_onto(&column.fill, &mut encoded)),
            }
        }
        (self.reduced(plan, encoded), unusual)
    }

    /// All derived columns of a table of raw ones.
    pub fn derive(&self, table: &Table) -> Result<Table, ScoringError> {
        let mut derived = Table::new(table.n_rows());
        for feature in &self.features {
            let input =
                |name: &str| table.column(name).or_else(|| derived.column(name)).ok_or_else(|| columns::absent(name));
            let inputs = feature.compute.inputs().into_iter().map(input).collect::<Result<Vec<_>, _>>()?;
            let cells = feature.column(&inputs, self.text_case, table.n_rows());
            derived.push(feature.name.clone(), cells);
        }
        Ok(derived)
    }

    /// Binds the preparation to the columns of a table, which must hold every column that it reads.
    pub fn bind(&self, table: &Table) -> Result<PreparedColumns, ScoringError> {
        self.bind_with(table, &self.derive(table)?, &one_by_one)
    }

    /// Prepares the given rows of a table.
    pub fn apply(&self, table: &Table, rows: &[u32]) -> Result<FeatureMatrix, ScoringError> {
        Ok(self.bind(table)?.matrix(rows))
    }

    /// The bytes of `preprocessor.json`: readable, lists of plain values on one line, the same bytes for the same content.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, frozen::Readable::default());
        if self.serialize(&mut serializer).is_err() {
            return Vec::new();
        }
        bytes
    }

    /// Reads `preprocessor.json`; checks what scoring relies on (order of labels, usable scales, groups, projections).
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
        let damaged = |error: ScoringError| ScoringError::new(format!("`preprocessor.json`: {}", error.message));
        features::check(&read.features).map_err(damaged)?;
        let columns = read.columns.iter().try_for_each(FrozenColumn::check);
        columns.and_then(|()| read.reduce.iter().try_for_each(Projection::check)).map_err(damaged)?;
        read.outputs().map_err(damaged)?;
        Ok(read)
    }
}

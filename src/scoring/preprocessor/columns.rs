//! A table's columns as the preparation sees them: any rows of any feature without a matrix of all.

use std::ops::Range;
use std::sync::Arc;

use super::frozen::{Categorical, Encode, FrozenColumn, Numeric};
use super::{Outputs, Preprocessor, Projection};
use crate::scoring::error::ScoringError;
use crate::scoring::matrix::FeatureMatrix;
use crate::scoring::packed::{Encoding, Packed};
use crate::scoring::table::{Cells, Table};

/// Does so many independent blocks of work and hands their results back in order.
pub type InBlocks<'a> = &'a dyn Fn(usize, &(dyn Fn(usize) -> Vec<f32> + Sync)) -> Vec<Vec<f32>>;

/// On this thread.
pub fn one_by_one(n_blocks: usize, block: &(dyn Fn(usize) -> Vec<f32> + Sync)) -> Vec<Vec<f32>> {
    (0..n_blocks).map(block).collect()
}

/// A column that is read, but not there.
pub(super) fn absent(name: &str) -> ScoringError {
    ScoringError::new(format!("column `{name}` is missing from the data")).field(name)
}

#[derive(Debug, Clone)]
pub struct PreparedColumns {
    columns: Vec<PreparedColumn>,
    names: Arc<[String]>,
    nominal: Arc<[bool]>,
}

#[derive(Debug, Clone)]
enum PreparedColumn {
    /// What each packed item becomes, computed once.
    Item(Packed, Arc<[f32]>),
    Number(Packed, Numeric),
    /// A component of a projection, computed once for all rows.
    Row(Arc<[f32]>),
}

impl PreparedColumn {
    fn number(column: &Numeric, numbers: &Packed) -> PreparedColumn {
        match numbers.encoding() {
            Encoding::Whole { base, n_items } if n_items as usize <= numbers.n_rows().min(0xffff) => {
                let known = (0..n_items).map(|item| Some(base + f64::from(item)));
                let encode = |number| column.encode(column.impute(number));
                PreparedColumn::Item(numbers.clone(), std::iter::once(None).chain(known).map(encode).collect())
            }
            _ => PreparedColumn::Number(numbers.clone(), column.clone()),
        }
    }

    fn expect(&self, rows: Range<usize>) {
        match self {
            PreparedColumn::Item(packed, _) | PreparedColumn::Number(packed, _) => packed.expect(rows),
            PreparedColumn::Row(_) => {}
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
            PreparedColumn::Item(items, values) => items.items(rows, |item| put(values[item as usize])),
            PreparedColumn::Number(numbers, column) => numbers.numbers(rows, |number| {
                put(column.encode(column.impute(Some(number).filter(|number| !number.is_nan()))));
            }),
            PreparedColumn::Row(values) => rows.for_each(|row| put(values[row as usize])),
        }
    }
}

/// Rows written together, so that their part of the matrix stays in the cache while columns are walked.
const ROWS_PER_TILE: usize = 64;
/// Rows of a table per row that is read, at most, where rows are walked tile by tile.
const MOST_APART: usize = 16;
/// Rows projected by one task.
const ROWS_PER_BLOCK: usize = 4096;

fn fill_rows(columns: &[PreparedColumn], rows: &[u32], values: &mut [f32]) {
    let n_features = columns.len();
    let (Some(&first), Some(&last)) = (rows.iter().min(), rows.iter().max()) else { return };
    let span = first as usize..last as usize + 1;
    // Of columns that lie in files a span is brought for all rows at once: tile by tile each would come anew. Rows that lie far
    // apart are read from one column after the other, for the spans of all may be more than memory holds.
    if span.len() / MOST_APART > rows.len() {
        for (feature, column) in columns.iter().enumerate() {
            column.expect(span.clone());
            column.fill(rows, &mut values[feature..], n_features);
        }
        return;
    }
    columns.iter().for_each(|column| column.expect(span.clone()));
    for (rows, values) in rows.chunks(ROWS_PER_TILE).zip(values.chunks_mut(ROWS_PER_TILE * n_features)) {
        for (feature, column) in columns.iter().enumerate() {
            column.fill(rows, &mut values[feature..], n_features);
        }
    }
}

impl Preprocessor {
    /// Binds the preparation to a table of raw columns and to the columns derived from it.
    pub fn bind_with(
        &self,
        table: &Table,
        derived: &Table,
        in_blocks: InBlocks,
    ) -> Result<PreparedColumns, ScoringError> {
        let (mut columns, mut nominal) = (Vec::new(), Vec::new());
        for column in &self.columns {
            let name = column.name();
            let cells = table.column(name).or_else(|| derived.column(name)).ok_or_else(|| absent(name))?;
            match (column, cells) {
                (FrozenColumn::Numeric(column), Cells::Numeric(numbers)) => {
                    columns.push(PreparedColumn::number(column, numbers));
                    nominal.push(false);
                }
                (FrozenColumn::Categorical(column), Cells::Categorical { codes, levels }) => {
                    columns.extend(self.categorical(column, codes, levels));
                    nominal.resize(columns.len(), true);
                }
                _ => {
                    let message = format!("column `{name}` is not {:?} in the data", column.kind());
                    return Err(ScoringError::new(message.to_lowercase()).field(name));
                }
            }
        }
        let outputs = self.outputs()?;
        let projected = self.reduce.iter().zip(&outputs.projected);
        let components: Vec<PreparedColumn> = projected
            .flat_map(|(projection, inputs)| project(projection, &columns, inputs, table.n_rows(), in_blocks))
            .collect();
        let Outputs { kept, .. } = &outputs;
        let kept_nominal = kept.iter().map(|&at| nominal[at]);
        Ok(PreparedColumns {
            nominal: kept_nominal.chain(components.iter().map(|_| false)).collect(),
            columns: kept.iter().map(|&at| columns[at].clone()).chain(components).collect(),
            names: self.feature_names(),
        })
    }

    fn categorical(&self, column: &Categorical, codes: &Packed, levels: &[String]) -> Vec<PreparedColumn> {
        let labels: Vec<String> = std::iter::once(None)
            .chain(levels.iter().map(|level| Some(level.as_str())))
            .map(|level| column.impute(self.text_case, level))
            .collect();
        let output = |nth| {
            let values = labels.iter().map(|label| column.encode(label, nth)).collect();
            PreparedColumn::Item(codes.clone(), values)
        };
        match column.encode {
            Encode::Label => vec![output(0)],
            Encode::OneHot => (0..column.width()).map(output).collect(),
        }
    }
}

fn project(
    projection: &Projection,
    columns: &[PreparedColumn],
    inputs: &[usize],
    n_rows: usize,
    in_blocks: InBlocks,
) -> Vec<PreparedColumn> {
    let inputs: Vec<PreparedColumn> = inputs.iter().map(|&at| columns[at].clone()).collect();
    let block = |nth: usize| {
        let start = nth * ROWS_PER_BLOCK;
        let rows: Vec<u32> = (start as u32..n_rows.min(start + ROWS_PER_BLOCK) as u32).collect();
        let mut values = vec![0f32; rows.len() * inputs.len()];
        fill_rows(&inputs, &rows, &mut values);
        values.chunks(inputs.len()).flat_map(|row| projection.of(row.iter().copied())).collect()
    };
    let blocks = in_blocks(n_rows.div_ceil(ROWS_PER_BLOCK), &block);
    let n_components = projection.n_components();
    let component = |nth: usize| {
        let values = blocks.iter().flat_map(|block| block.iter().skip(nth).step_by(n_components).copied());
        PreparedColumn::Row(values.collect())
    };
    (0..n_components).map(component).collect()
}

impl PreparedColumns {
    pub fn n_features(&self) -> usize {
        self.columns.len()
    }

    pub fn names(&self) -> &Arc<[String]> {
        &self.names
    }

    pub fn is_nominal(&self, feature: usize) -> bool {
        self.nominal[feature]
    }

    /// Whether a feature is computed per distinct item.
    #[cfg(test)]
    pub(super) fn is_by_item(&self, feature: usize) -> bool {
        matches!(self.columns[feature], PreparedColumn::Item(..))
    }

    /// One feature of the given rows.
    pub fn fill_column(&self, feature: usize, rows: &[u32], column: &mut [f32]) {
        self.columns[feature].fill(rows, column, 1);
    }

    /// `rows.len() x n_features`, row after row.
    pub fn fill_rows(&self, rows: &[u32], values: &mut [f32]) {
        fill_rows(&self.columns, rows, values);
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

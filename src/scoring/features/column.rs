//! A derived column of a whole table, by the function that makes one cell.
//!
//! A column of few distinct items is computed once per item and looked up; else row by row, in blocks.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::{Cell, Feature, group_key};
use crate::scoring::packed::{Encoding, Packed};
use crate::scoring::preprocessor::TextCase;
use crate::scoring::record::Value;
use crate::scoring::schema::ColumnKind;
use crate::scoring::table::Cells;

const ROWS_PER_BLOCK: usize = 4096;

impl Feature {
    /// `inputs`: the columns of [`Compute::inputs`], of `n_rows` rows each.
    pub fn column(&self, inputs: &[&Cells], case: TextCase, n_rows: usize) -> Cells {
        column(inputs, case, n_rows, self.compute.kind(), &|cells| self.compute.cell(cells))
    }
}

/// The key of every row's group, as [`group_key`] spells it.
pub fn group_keys(inputs: &[&Cells], case: TextCase, n_rows: usize) -> Cells {
    column(inputs, case, n_rows, ColumnKind::Categorical, &|cells| Value::Text(group_key(cells)))
}

type MakeCell<'a> = &'a dyn Fn(&[Cell]) -> Value;

fn column(inputs: &[&Cells], case: TextCase, n_rows: usize, kind: ColumnKind, make: MakeCell) -> Cells {
    let inputs: Vec<Input> = inputs.iter().map(|cells| Input::new(cells, case)).collect();
    let mut made = Made::new(kind, n_rows);
    match &inputs[..] {
        [input] if input.n_items().is_some_and(|n_items| n_items < n_rows) => by_item(make, input, &mut made),
        _ => by_row(make, &inputs, n_rows, &mut made),
    }
    made.finish()
}

/// An input column, its levels in the case of the preparation.
struct Input<'a> {
    packed: &'a Packed,
    levels: Option<Vec<Cow<'a, str>>>,
}

impl<'a> Input<'a> {
    fn new(cells: &'a Cells, case: TextCase) -> Input<'a> {
        let cased = |level: &'a String| match case {
            TextCase::Keep => Cow::Borrowed(level.as_str()),
            case => Cow::Owned(case.apply(level)),
        };
        match cells {
            Cells::Numeric(packed) => Input { packed, levels: None },
            Cells::Categorical { codes, levels } => {
                Input { packed: codes, levels: Some(levels.iter().map(cased).collect()) }
            }
        }
    }

    /// Distinct items beside the missing one, if they are few by their encoding.
    fn n_items(&self) -> Option<usize> {
        match (&self.levels, self.packed.encoding()) {
            (Some(levels), _) => Some(levels.len()),
            (None, Encoding::Whole { n_items, .. }) => Some(n_items as usize),
            _ => None,
        }
    }

    fn of_item(&self, item: u64) -> Cell<'_> {
        match (&self.levels, self.packed.encoding()) {
            (_, Encoding::Whole { .. }) if item == 0 => Cell::Missing,
            (Some(levels), _) => Cell::Text(&levels[item as usize - 1]),
            (None, Encoding::Whole { base, .. }) => Cell::Number(base + (item - 1) as f64),
            _ => Cell::Missing,
        }
    }

    fn of_number(&self, number: f64) -> Cell<'_> {
        match &self.levels {
            _ if number.is_nan() => Cell::Missing,
            Some(levels) => Cell::Text(&levels[number as usize - 1]),
            None => Cell::Number(number),
        }
    }
}

/// A column while it is made.
enum Made {
    Numbers(Vec<f64>),
    Levels { codes: Vec<u32>, levels: Vec<String>, by_name: BTreeMap<String, u32> },
}

impl Made {
    fn new(kind: ColumnKind, n_rows: usize) -> Made {
        match kind {
            ColumnKind::Numeric => Made::Numbers(Vec::with_capacity(n_rows)),
            ColumnKind::Categorical => {
                Made::Levels { codes: Vec::with_capacity(n_rows), levels: Vec::new(), by_name: BTreeMap::new() }
            }
        }
    }

    fn number(value: &Value) -> f64 {
        if let Value::Number(number) = value { *number } else { f64::NAN }
    }

    fn code(levels: &mut Vec<String>, by_name: &mut BTreeMap<String, u32>, value: Value) -> u32 {
        let Value::Text(text) = value else { return 0 };
        *by_name.entry(text).or_insert_with_key(|text| {
            levels.push(text.clone());
            levels.len() as u32
        })
    }

    fn push(&mut self, value: Value) {
        match self {
            Made::Numbers(numbers) => numbers.push(Made::number(&value)),
            Made::Levels { codes, levels, by_name } => codes.push(Made::code(levels, by_name, value)),
        }
    }

    fn finish(self) -> Cells {
        match self {
            Made::Numbers(numbers) => Cells::numeric(&numbers),
            Made::Levels { codes, levels, .. } => Cells::categorical(&codes, levels),
        }
    }
}

/// Items are computed when the first row with them comes, so that a wide span costs nothing.
fn by_item(make: MakeCell, input: &Input, made: &mut Made) {
    let n_items = input.n_items().unwrap_or_default() + 1;
    let (packed, n_rows) = (input.packed, input.packed.n_rows() as u32);
    match made {
        Made::Numbers(numbers) => {
            let mut known: Vec<Option<f64>> = vec![None; n_items];
            packed.items(0..n_rows, |item| {
                let of = &mut known[item as usize];
                numbers.push(*of.get_or_insert_with(|| Made::number(&make(&[input.of_item(item)]))));
            });
        }
        Made::Levels { codes, levels, by_name } => {
            let mut known: Vec<Option<u32>> = vec![None; n_items];
            packed.items(0..n_rows, |item| {
                let of = &mut known[item as usize];
                codes.push(*of.get_or_insert_with(|| Made::code(levels, by_name, make(&[input.of_item(item)]))));
            });
        }
    }
}

fn by_row(make: MakeCell, inputs: &[Input], n_rows: usize, made: &mut Made) {
    let mut blocks: Vec<Vec<f64>> = vec![Vec::with_capacity(ROWS_PER_BLOCK); inputs.len()];
    let mut cells = vec![Cell::Missing; inputs.len()];
    for start in (0..n_rows).step_by(ROWS_PER_BLOCK) {
        let rows = start as u32..n_rows.min(start + ROWS_PER_BLOCK) as u32;
        for (input, block) in inputs.iter().zip(&mut blocks) {
            block.clear();
            input.packed.numbers(rows.clone(), |number| block.push(number));
        }
        for at in 0..rows.len() {
            for ((cell, input), block) in cells.iter_mut().zip(inputs).zip(&blocks) {
                *cell = input.of_number(block[at]);
            }
            made.push(make(&cells));
        }
    }
}

//! The second pass: polars reads the wanted columns with every type declared.
//!
//! In: an inspected file. Out: columns in file order, taken out of the frame one by one so that the frame and its copy
//! never stand in memory together. Floats are correctly rounded (polars parses with fast-float).

use std::io::Cursor;
use std::sync::Arc;

use polars::prelude::*;

use super::structure::{self, Structure};
use super::{Loaded, Wanted, categorical};
use crate::scoring::record;
use crate::scoring::table::Cells;
use crate::training::error::{Error, Result};

pub(super) fn load(structure: &Structure, wanted: &[Wanted]) -> Result<Vec<(String, Loaded)>> {
    let failed = |error: PolarsError| {
        Error::failed(format!("`{}`: polars could not read it: {error}", structure.path.display()))
    };
    let frame = read_frame(structure, wanted).map_err(failed)?;
    if frame.height() != structure.n_rows {
        let (path, expected, found) = (structure.path.display(), structure.n_rows, frame.height());
        return Err(Error::failed(format!("`{path}`: expected {expected} rows, polars read {found}"))
            .hint("did the file change while it was read?"));
    }
    let wanted_of = |name: &str| structure.header.iter().position(|known| known == name).map(|at| wanted[at]);
    let mut loaded = Vec::with_capacity(frame.width());
    for column in frame.into_columns() {
        let name = column.name().to_string();
        let cells = convert(&column, wanted_of(&name).unwrap_or(Wanted::Nothing)).map_err(failed)?;
        loaded.push((name, cells));
    }
    Ok(loaded)
}

fn read_frame(structure: &Structure, wanted: &[Wanted]) -> PolarsResult<DataFrame> {
    let dtype = |wanted: &Wanted| if *wanted == Wanted::Number { DataType::Float64 } else { DataType::String };
    let fields = structure.header.iter().zip(wanted).map(|(name, wanted)| Field::new(name.into(), dtype(wanted)));
    let kept = structure.header.iter().zip(wanted).filter(|(_, wanted)| **wanted != Wanted::Nothing);
    let options = CsvReadOptions::default()
        .with_has_header(true)
        .with_schema(Some(Arc::new(Schema::from_iter(fields))))
        .with_columns(Some(kept.map(|(name, _)| PlSmallStr::from(name.as_str())).collect()))
        .with_rechunk(false);
    if !structure.compressed() {
        return options.try_into_reader_with_file_path(Some(structure.path.clone()))?.finish();
    }
    let mut bytes = Vec::new();
    let mut input = structure::open(&structure.path).map_err(|error| polars_err!(ComputeError: "{error}"))?;
    input.read_to_end(&mut bytes).map_err(|error| polars_err!(ComputeError: "{error}"))?;
    options.into_reader_with_file_handle(Cursor::new(bytes)).finish()
}

fn convert(column: &Column, wanted: Wanted) -> PolarsResult<Loaded> {
    let text = || column.str().map(|strings| strings.iter());
    Ok(match wanted {
        Wanted::Number => {
            let numbers = column.f64()?.iter().map(|number| number.unwrap_or(f64::NAN)).collect();
            Loaded::Cells(Cells::Numeric(numbers))
        }
        Wanted::NumberFromText => {
            let parse =
                |cell: Option<&str>| cell.and_then(|cell| record::parse_number(cell.trim())).unwrap_or(f64::NAN);
            Loaded::Cells(Cells::Numeric(text()?.map(parse).collect()))
        }
        Wanted::Level => Loaded::Cells(categorical(text()?)),
        Wanted::Text | Wanted::Nothing => {
            Loaded::Text(text()?.map(|cell| cell.unwrap_or_default().trim().to_owned()).collect())
        }
    })
}

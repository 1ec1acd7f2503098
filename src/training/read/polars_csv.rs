//! The second pass: polars reads the wanted columns with every type declared.
//!
//! In: an inspected file. Out: columns in file order, taken out of the frame one by one so that the frame and its copy
//! never stand in memory together. Floats are correctly rounded (polars parses with fast-float). Where polars reads a
//! file otherwise than the first pass did (blank lines, stray quotes, lone carriage returns) or gives up or panics, crate
//! `csv` reads it a second time: there is one grammar, that of the first pass.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use polars::prelude::*;

use super::structure::{self, Structure};
use super::{Loaded, Wanted, categorical};
use crate::scoring::record;
use crate::scoring::table::Cells;
use crate::training::error::{Error, Result};

pub(super) fn load(structure: &Structure, wanted: &[Wanted]) -> Result<Vec<(String, Loaded)>> {
    if wanted.iter().all(|wanted| *wanted == Wanted::Nothing) {
        return Ok(Vec::new());
    }
    let by_polars = || -> PolarsResult<Vec<(String, Loaded)>> {
        let frame = read_frame(structure, wanted)?;
        if frame.height() != structure.n_rows {
            polars_bail!(ComputeError: "rows");
        }
        let wanted_of = |name: &str| structure.header.iter().position(|known| known == name).map(|at| wanted[at]);
        let convert = |column: Column| {
            let name = column.name().to_string();
            let cells = convert(&column, wanted_of(&name).unwrap_or(Wanted::Nothing))?;
            Ok((name, cells))
        };
        frame.into_columns().into_iter().map(convert).collect()
    };
    match catch_unwind(AssertUnwindSafe(by_polars)) {
        Ok(Ok(loaded)) => Ok(loaded),
        Ok(Err(_)) | Err(_) => by_csv(structure, wanted),
    }
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
    if wanted == Wanted::Number {
        let numbers = column.f64()?.iter().map(|number| number.unwrap_or(f64::NAN)).collect();
        return Ok(Loaded::Cells(Cells::Numeric(numbers)));
    }
    Ok(from_text(column.str()?.iter(), wanted))
}

fn from_text<'a>(cells: impl Iterator<Item = Option<&'a str>>, wanted: Wanted) -> Loaded {
    let number = |cell: Option<&str>| cell.and_then(|cell| record::parse_number(cell.trim())).unwrap_or(f64::NAN);
    match wanted {
        Wanted::Number | Wanted::NumberFromText => Loaded::Cells(Cells::Numeric(cells.map(number).collect())),
        Wanted::Level => Loaded::Cells(categorical(cells)),
        Wanted::Text | Wanted::Nothing => {
            Loaded::Text(cells.map(|cell| cell.unwrap_or_default().trim().to_owned()).collect())
        }
    }
}

/// The same columns by crate `csv`: slower, holding the text of every wanted column.
fn by_csv(structure: &Structure, wanted: &[Wanted]) -> Result<Vec<(String, Loaded)>> {
    let failed = |error: csv::Error| Error::permanent(format!("`{}`: {error}", structure.path.display()));
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(structure::open(&structure.path)?);
    let mut texts: Vec<Vec<String>> = vec![Vec::new(); wanted.len()];
    for record in reader.records() {
        let record = record.map_err(failed)?;
        for ((cell, text), wanted) in record.iter().zip(&mut texts).zip(wanted) {
            if *wanted != Wanted::Nothing {
                text.push(cell.to_owned());
            }
        }
    }
    let columns = structure.header.iter().zip(wanted).zip(texts).filter(|((_, wanted), _)| **wanted != Wanted::Nothing);
    let mut loaded = Vec::with_capacity(wanted.len());
    for ((name, wanted), text) in columns {
        if text.len() != structure.n_rows {
            let (path, expected, found) = (structure.path.display(), structure.n_rows, text.len());
            return Err(Error::permanent(format!("`{path}`: expected {expected} rows, found {found}"))
                .hint("did the file change while it was read?"));
        }
        loaded.push((name.clone(), from_text(text.iter().map(|cell| Some(cell.as_str())), *wanted)));
    }
    Ok(loaded)
}

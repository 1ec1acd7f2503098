//! A Parquet file as columns. polars decodes one column at a time; what a cell becomes is decided by the same functions as
//! for CSV.
//!
//! In: columns of numbers, flags (1 and 0) or text. Out: parsed columns of all rows. NaN is missing, an infinity is a word,
//! as it is in CSV. Lists, structs and dates are refused. polars panics on some malformed files: caught here.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use polars::prelude::{DataType, ParquetReader, PolarsResult, SerReader, Series};

use super::blocks::unreadable;
use super::parse::{Parsed, Tally, Wanted};
use crate::training::error::{Error, Result};

#[derive(Debug)]
pub(super) struct ParquetFile {
    path: PathBuf,
    pub header: Vec<String>,
    pub n_rows: usize,
}

pub(super) fn is_parquet(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "parquet" || extension == "pq")
}

/// Whatever polars answers, a malformed file is an error.
fn guarded<T>(path: &Path, read: impl FnOnce(ParquetReader<File>) -> PolarsResult<T>) -> Result<T> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let damaged = |what: String| {
        Error::permanent(format!("`{}` can't be read as Parquet: {what}", path.display()))
            .hint("the file is damaged, or not what its name says")
    };
    match catch_unwind(AssertUnwindSafe(|| read(ParquetReader::new(file)))) {
        Ok(read) => read.map_err(|error| damaged(error.to_string())),
        Err(_) => Err(damaged("polars does not know what it holds".into())),
    }
}

impl ParquetFile {
    pub fn open(path: &Path) -> Result<ParquetFile> {
        let (header, n_rows) = guarded(path, |mut reader| {
            let header = reader.schema()?.iter_names().map(|name| name.to_string()).collect();
            Ok((header, reader.num_rows()?))
        })?;
        Ok(ParquetFile { path: path.to_owned(), header, n_rows })
    }

    /// One column, by the name it has in the file.
    pub fn column(&self, name: &str, wanted: Wanted) -> Result<(Parsed, Tally)> {
        let mut parsed = (Parsed::empty(wanted), Tally::default());
        if wanted == Wanted::Nothing {
            return Ok(parsed);
        }
        let series = guarded(&self.path, |reader| {
            let frame = reader.with_columns(Some(vec![name.to_owned()])).finish()?;
            Ok(frame.column(name)?.as_materialized_series().clone())
        })?;
        let refuse = |found: &DataType| {
            let place = format!("`{}`, column `{name}`", self.path.display());
            Error::permanent(format!("{place}: expected numbers or text, found {found}"))
                .hint("write the column as numbers or text")
        };
        let pushed = match series.dtype() {
            DataType::String => push_texts(&series, &mut parsed),
            dtype if dtype.is_integer() && wanted == Wanted::Text => push_whole(&series, &mut parsed),
            dtype if dtype.is_primitive_numeric() || *dtype == DataType::Boolean => push_numbers(&series, &mut parsed),
            DataType::Null => {
                for row in 1..=series.len() as u64 {
                    parsed.0.push(b"", &mut parsed.1, row);
                }
                Ok(())
            }
            other => return Err(refuse(other)),
        };
        pushed.map_err(|_| refuse(series.dtype()))?;
        Ok(parsed)
    }
}

fn push_texts(series: &Series, (column, tally): &mut (Parsed, Tally)) -> PolarsResult<()> {
    for (row, text) in series.str()?.iter().enumerate() {
        column.push(text.unwrap_or_default().as_bytes(), tally, row as u64 + 1);
    }
    Ok(())
}

/// Keys: all digits of them.
fn push_whole(series: &Series, (column, tally): &mut (Parsed, Tally)) -> PolarsResult<()> {
    let texts = series.cast(&DataType::String)?;
    for (row, text) in texts.str()?.iter().enumerate() {
        column.push(text.unwrap_or_default().as_bytes(), tally, row as u64 + 1);
    }
    Ok(())
}

fn push_numbers(series: &Series, (column, tally): &mut (Parsed, Tally)) -> PolarsResult<()> {
    let numbers = series.cast(&DataType::Float64)?;
    for (row, number) in numbers.f64()?.iter().enumerate() {
        match number.filter(|number| !number.is_nan()) {
            None => column.push(b"", tally, row as u64 + 1),
            Some(number) if number.is_finite() => column.push_number(number, tally),
            Some(infinite) => column.push(infinite.to_string().as_bytes(), tally, row as u64 + 1),
        };
    }
    Ok(())
}

//! A Parquet file as columns. polars decodes one column at a time; what a cell becomes is decided by the same functions as
//! for CSV.
//!
//! In: columns of numbers, flags (1 and 0) or text. Out: parsed columns of all rows. NaN is missing, an infinity is a word,
//! as it is in CSV. Lists, structs and dates are refused. polars panics on some malformed files: caught here. What it would
//! abort on is looked for before ([`page_headers`]).

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use polars::prelude::{DataType, ParquetReader, PolarsError, PolarsResult, SerReader, Series};

use super::input_file::InputFile;
use super::page_headers;
use super::parse::{Parsed, Tally, Wanted};
use crate::training::error::{Error, Result};

#[derive(Debug)]
pub(super) struct ParquetFile {
    pub file: InputFile,
    pub header: Vec<String>,
    pub n_rows: usize,
}

pub(super) fn is_parquet(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "parquet" || extension == "pq")
}

/// Whatever polars answers, a malformed file is an error.
fn guarded<T>(file: &InputFile, read: impl FnOnce(ParquetReader<File>) -> PolarsResult<T>) -> Result<T> {
    let opened = file.open()?;
    let damaged = |what: String| {
        Error::permanent(format!("`{}` can't be read as Parquet: {what}", file.name.display()))
            .hint("the file is damaged, or not what its name says")
    };
    match catch_unwind(AssertUnwindSafe(|| read(ParquetReader::new(opened)))) {
        Ok(read) => read.map_err(|error| damaged(error.to_string())),
        Err(_) => Err(damaged("polars does not know what it holds".into())),
    }
}

impl ParquetFile {
    pub fn open(file: InputFile) -> Result<ParquetFile> {
        let (header, n_rows) = guarded(&file, |mut reader| {
            let header = reader.schema()?.iter_names().map(|name| name.to_string()).collect();
            Ok((header, reader.num_rows()?))
        })?;
        Ok(ParquetFile { file, header, n_rows })
    }

    /// One column, by the name it has in the file.
    pub fn column(&self, name: &str, wanted: Wanted) -> Result<(Parsed, Tally)> {
        let mut parsed = (Parsed::empty(wanted), Tally::default());
        if wanted == Wanted::Nothing {
            return Ok(parsed);
        }
        let mut file = self.file.open()?;
        let series = guarded(&self.file, |mut reader| {
            let checked = page_headers::check(&mut file, reader.get_metadata()?, name);
            checked.map_err(|wrong| PolarsError::ComputeError(wrong.into()))?;
            let frame = reader.with_columns(Some(vec![name.to_owned()])).finish()?;
            Ok(frame.column(name)?.as_materialized_series().clone())
        })?;
        let refuse = |found: &DataType| {
            let place = format!("`{}`, column `{name}`", self.file.name.display());
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

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test may leave half a file behind")]
mod tests {
    use polars::prelude::{Column, DataFrame, ParquetWriter};

    use super::super::{ReadData, read};
    use crate::scoring::table::Cells;
    use crate::training::config::{DataConfig, PreprocessConfig, Recipe, TableSource};
    use crate::training::error::Error;
    use crate::training::mapped::Storage;
    use crate::training::progress::Silent;

    const N_ROWS: usize = 3000;

    fn read_file(folder: &tempfile::TempDir, name: &str) -> Result<ReadData, Error> {
        let tables = vec![TableSource { path: folder.path().join(name), join: None }];
        let data =
            DataConfig { tables, id: Some("id".into()), time: Some("time".into()), ..DataConfig::of_target("y") };
        let recipe = Recipe { data: &data, features: &[], preprocess: &PreprocessConfig::USUAL };
        read(&recipe, &Storage::in_memory(), &Silent)
    }

    fn write(folder: &tempfile::TempDir, columns: Vec<Column>) {
        let mut frame = DataFrame::new(columns[0].len(), columns).unwrap();
        let file = std::fs::File::create(folder.path().join("x.parquet")).unwrap();
        ParquetWriter::new(file).with_row_group_size(Some(700)).finish(&mut frame).unwrap();
    }

    /// Some of so many rows; every eleventh is missing.
    fn some<T>(of: impl Fn(usize) -> T) -> Vec<Option<T>> {
        (0..N_ROWS).map(|row| (row % 11 != 4).then(|| of(row))).collect()
    }

    fn spelled<T: ToString>(cells: &[Option<T>]) -> Vec<String> {
        cells.iter().map(|cell| cell.as_ref().map(T::to_string).unwrap_or_default()).collect()
    }

    /// The encoding, every item's bits, the levels.
    fn bits(cells: &Cells) -> (String, Vec<u64>, Vec<String>) {
        let packed = cells.packed();
        let levels = if let Cells::Categorical { levels, .. } = cells { levels.clone() } else { Vec::new() };
        let items = (0..packed.n_rows()).map(|row| packed.item(row)).collect();
        (format!("{:?}", packed.encoding()), items, levels)
    }

    #[test]
    fn the_same_rows_as_csv_give_the_same_cells() {
        // Beyond 2^53 a number would lose the last digits of a key.
        let id: Vec<u64> = (0..N_ROWS as u64).map(|row| 9_007_199_254_740_993 + row).collect();
        let y: Vec<i64> = (0..N_ROWS as i64).map(|row| i64::from(row % 9 == 0)).collect();
        let time: Vec<i32> = (0..N_ROWS as i32).map(|row| 86_400 + row * 7).collect();
        let real = some(|row| if row % 13 == 0 { -0.0 } else { (row as f64).sin() * 1e-7 });
        let single = some(|row| (row as f32) / 3.0);
        let whole = some(|row| (row * 7919 % 300) as i32);
        let flag = some(|row| row % 3 == 0);
        let text = some(|row| ["gmail.com", "Ärger, mit \"Komma\"", " 7.0", "x"][row % 4].to_owned());
        let numbers_as_text = some(|row| format!("{}.50", row % 40));
        let gaps: Vec<Option<f64>> = vec![None; N_ROWS];
        let nan: Vec<f64> = (0..N_ROWS).map(|row| if row % 5 == 0 { f64::NAN } else { row as f64 }).collect();
        let quoted = |text: String| format!("\"{}\"", text.replace('"', "\"\""));
        let texts: [(&str, Vec<String>); 11] = [
            ("id", id.iter().map(u64::to_string).collect()),
            ("y", y.iter().map(i64::to_string).collect()),
            ("time", time.iter().map(i32::to_string).collect()),
            ("real", spelled(&real)),
            ("single", spelled(&single.iter().map(|cell| cell.map(f64::from)).collect::<Vec<_>>())),
            ("whole", spelled(&whole)),
            ("flag", spelled(&flag.iter().map(|cell| cell.map(u8::from)).collect::<Vec<_>>())),
            ("text", spelled(&text).into_iter().map(quoted).collect()),
            ("numbers_as_text", spelled(&numbers_as_text)),
            ("gaps", spelled(&gaps)),
            ("nan", nan.iter().map(|x| if x.is_nan() { String::new() } else { x.to_string() }).collect()),
        ];
        let folder = tempfile::tempdir().unwrap();
        let mut csv = texts.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(",") + "\n";
        for row in 0..N_ROWS {
            csv += &(texts.iter().map(|(_, cells)| cells[row].as_str()).collect::<Vec<_>>().join(",") + "\n");
        }
        std::fs::write(folder.path().join("x.csv"), csv).unwrap();
        write(
            &folder,
            vec![
                Column::new("id".into(), id),
                Column::new("y".into(), y),
                Column::new("time".into(), time),
                Column::new("real".into(), real),
                Column::new("single".into(), single),
                Column::new("whole".into(), whole),
                Column::new("flag".into(), flag),
                Column::new("text".into(), text),
                Column::new("numbers_as_text".into(), numbers_as_text),
                Column::new("gaps".into(), gaps),
                Column::new("nan".into(), nan),
            ],
        );
        let (of_csv, of_parquet) = (read_file(&folder, "x.csv").unwrap(), read_file(&folder, "x.parquet").unwrap());
        assert_eq!(of_csv.schema, of_parquet.schema);
        let (csv, parquet) = (&of_csv.dataset, &of_parquet.dataset);
        assert_eq!((&csv.labels, &csv.ids, &csv.times), (&parquet.labels, &parquet.ids, &parquet.times));
        assert_eq!(csv.ids.get(2), "9007199254740995");
        let names: Vec<&str> = csv.table.columns().map(|(name, _)| name).collect();
        assert_eq!(names, ["real", "single", "whole", "flag", "text", "numbers_as_text", "gaps", "nan"]);
        for ((name, csv), (_, parquet)) in csv.table.columns().zip(parquet.table.columns()) {
            assert_eq!(bits(csv), bits(parquet), "{name}");
        }
    }

    #[test]
    fn what_is_no_cell_is_refused_with_its_column() {
        let folder = tempfile::tempdir().unwrap();
        let columns = |x: Column| {
            let y = Column::new("y".into(), [0i64, 1]);
            vec![Column::new("id".into(), [1i64, 2]), y.clone(), Column::new("time".into(), [1i64, 2]), x]
        };
        let lists: Vec<polars::prelude::Series> = vec![[1i64].iter().collect(), [2i64].iter().collect()];
        write(&folder, columns(Column::new("x".into(), lists)));
        let message = read_file(&folder, "x.parquet").unwrap_err().message;
        assert!(message.ends_with("column `x`: expected numbers or text, found list[i64]"), "{message}");
        // As in CSV: an infinity is a word among numbers.
        write(&folder, columns(Column::new("x".into(), [1.0, f64::INFINITY])));
        assert_eq!(read_file(&folder, "x.parquet").unwrap().dataset.table.column("x").unwrap().kind(), {
            crate::scoring::schema::ColumnKind::Categorical
        });
        std::fs::write(folder.path().join("x.parquet"), b"PAR1 and no more PAR1").unwrap();
        assert!(read_file(&folder, "x.parquet").unwrap_err().message.contains("can't be read as Parquet"));
    }

    /// polars would reserve 2^61 bytes and abort.
    #[test]
    fn pages_of_less_than_no_values_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let numbers = |of: fn(i64) -> Option<i64>| (0..20).map(of).collect::<Vec<_>>();
        write(
            &folder,
            vec![
                Column::new("id".into(), numbers(Some)),
                Column::new("y".into(), numbers(|row| Some(row % 2))),
                Column::new("time".into(), numbers(Some)),
                Column::new("x".into(), numbers(|row| (row > 2).then_some(row))),
            ],
        );
        let path = folder.path().join("x.parquet");
        read_file(&folder, "x.parquet").unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        // The start of a data page's header, its first 32-bit field, 20 in zigzag, the next such field: -20.
        let header = [0x2c, 0x15, 40, 0x15];
        let headers: Vec<usize> = (0..bytes.len() - 3).filter(|&at| bytes[at..at + 4] == header).collect();
        assert_eq!(headers.len(), 4);
        headers.iter().for_each(|&at| bytes[at + 2] = 39);
        std::fs::write(&path, bytes).unwrap();
        let message = read_file(&folder, "x.parquet").unwrap_err().message;
        assert!(message.ends_with("can't be read as Parquet: a page of less than no values"), "{message}");
    }
}

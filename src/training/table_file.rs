//! Tables on disk: the scores of a cell and the facts of its rows as Parquet bytes, resampled rows as Parquet or CSV. polars and crate `csv` do the
//! formats.

use std::io::{Cursor, Write};
use std::path::Path;

use polars::prelude::*;

use super::error::{Error, Result, io_reason};
use super::evaluate::{Attribute, RowFacts, numbered};
use super::resampled::{ResampledRow, ResampledRows};

/// One held-out row of a cell.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    pub row_ids: Vec<String>,
    pub labels: Vec<u8>,
    pub scores: Vec<f32>,
}

impl Scores {
    /// `scores.parquet`: columns `row_id`, `label`, `score`; the same rows give the same bytes.
    pub fn to_parquet(&self) -> Result<Vec<u8>> {
        let labels: Vec<u32> = self.labels.iter().map(|&label| u32::from(label)).collect();
        let columns = vec![
            Column::new("row_id".into(), &self.row_ids),
            Column::new("label".into(), labels),
            Column::new("score".into(), &self.scores),
        ];
        let mut bytes = Vec::new();
        DataFrame::new(self.scores.len(), columns)
            .and_then(|mut frame| {
                ParquetWriter::new(&mut bytes).with_compression(ParquetCompression::Zstd(None)).finish(&mut frame)
            })
            .map_err(|error| Error::failed(format!("scores could not be written as Parquet: {error}")))?;
        Ok(bytes)
    }

    /// Reads `scores.parquet`; polars panics on some malformed files, which is caught here.
    pub fn from_parquet(bytes: Vec<u8>, name: &str) -> Result<Scores> {
        let damaged = |what: String| {
            Error::permanent(format!("`{name}` can't be read: {what}"))
                .hint("remove its folder; the next `train` makes it again")
        };
        let read = std::panic::catch_unwind(|| {
            ParquetReader::new(Cursor::new(bytes)).finish().and_then(|frame| columns(&frame))
        });
        match read {
            Ok(read) => read.map_err(|error| damaged(error.to_string())),
            Err(_) => Err(damaged("it is not Parquet as polars knows it".into())),
        }
    }
}

fn columns(frame: &DataFrame) -> PolarsResult<Scores> {
    let row_ids = frame.column("row_id")?.str()?.iter().map(|id| id.unwrap_or_default().to_owned()).collect();
    let labels = frame.column("label")?.u32()?.iter().map(|label| u8::from(label == Some(1))).collect();
    let scores = frame.column("score")?.f32()?.iter().map(|score| score.unwrap_or(f32::NAN)).collect();
    Ok(Scores { row_ids, labels, scores })
}

/// What is known of held-out rows, and whose it is.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptRows {
    pub row_ids: Vec<String>,
    pub facts: RowFacts,
}

/// What the column of an attribute is called, before its name.
const ATTRIBUTE: &str = "attribute ";

impl KeptRows {
    /// Columns `row_id`, and `day`, `amount`, `group`, `attribute NAME` where they are known.
    pub fn to_parquet(&self) -> Result<Vec<u8>> {
        let facts = &self.facts;
        let mut columns = vec![Column::new("row_id".into(), &self.row_ids)];
        columns.extend(facts.days.as_ref().map(|days| Column::new("day".into(), days)));
        columns.extend(facts.amounts.as_ref().map(|amounts| Column::new("amount".into(), amounts)));
        columns.extend(facts.groups.as_ref().map(|groups| Column::new("group".into(), groups)));
        for Attribute { name, levels, codes } in &facts.attributes {
            let texts: Vec<&str> = codes.iter().map(|&code| levels[code as usize].as_str()).collect();
            columns.push(Column::new(format!("{ATTRIBUTE}{name}").into(), texts));
        }
        let mut bytes = Vec::new();
        DataFrame::new(self.row_ids.len(), columns)
            .and_then(|mut frame| {
                ParquetWriter::new(&mut bytes).with_compression(ParquetCompression::Zstd(None)).finish(&mut frame)
            })
            .map_err(|error| Error::failed(format!("facts of rows could not be written as Parquet: {error}")))?;
        Ok(bytes)
    }

    pub fn read(path: &Path) -> Result<KeptRows> {
        let damaged = |what: String| {
            Error::permanent(format!("`{}` can't be read: {what}", path.display()))
                .hint("run `fraudml train` again: it writes the file anew, finished fits are kept")
        };
        let bytes = std::fs::read(path).map_err(|error| damaged(io_reason(&error)))?;
        let read = std::panic::catch_unwind(|| {
            ParquetReader::new(Cursor::new(bytes)).finish().and_then(|frame| kept_rows(&frame))
        });
        match read {
            Ok(read) => read.map_err(|error| damaged(error.to_string())),
            Err(_) => Err(damaged("it is not Parquet as polars knows it".into())),
        }
    }
}

fn kept_rows(frame: &DataFrame) -> PolarsResult<KeptRows> {
    let texts = |name: &str| -> PolarsResult<Vec<String>> {
        Ok(frame.column(name)?.str()?.iter().map(|text| text.unwrap_or_default().to_owned()).collect())
    };
    let whole = |name: &str| -> PolarsResult<Option<Vec<u32>>> {
        let Ok(column) = frame.column(name) else { return Ok(None) };
        Ok(Some(column.u32()?.iter().map(Option::unwrap_or_default).collect()))
    };
    let amounts = match frame.column("amount") {
        Ok(column) => Some(column.f64()?.iter().map(|amount| amount.unwrap_or(f64::NAN)).collect()),
        Err(_) => None,
    };
    let mut attributes = Vec::new();
    for name in frame.get_column_names() {
        if let Some(attribute) = name.strip_prefix(ATTRIBUTE) {
            attributes.push(attribute_of(attribute, &texts(name)?));
        }
    }
    // Numbered anew: a number from outside is no size.
    let groups = whole("group")?.map(|groups| numbered(&groups).0);
    let facts = RowFacts { days: whole("day")?, amounts, groups, attributes };
    Ok(KeptRows { row_ids: texts("row_id")?, facts })
}

/// Levels in the order of their names.
fn attribute_of(name: &str, texts: &[String]) -> Attribute {
    let mut levels = texts.to_vec();
    levels.sort_unstable();
    levels.dedup();
    let codes = texts.iter().map(|text| levels.partition_point(|level| level < text) as u32).collect();
    Attribute { name: name.to_owned(), levels, codes }
}

/// Rows that are written together, and are a row group of a Parquet file.
const ROWS_PER_BLOCK: usize = 1 << 15;
/// What stands before the prepared features.
const BESIDE: [&str; 7] = ["row_id", "origin", "removed", "parent", "neighbour", "gap", "label"];

fn block(rows: &ResampledRows, start: usize) -> Vec<ResampledRow<'_>> {
    (start..rows.n_rows().min(start + ROWS_PER_BLOCK)).map(|at| rows.row(at)).collect()
}

/// Resampled rows as Parquet, a block at a time.
pub fn write_resampled_parquet(rows: &ResampledRows, to: &mut dyn Write) -> Result<()> {
    let mut frames = (0..rows.n_rows()).step_by(ROWS_PER_BLOCK).map(|start| frame(rows, &block(rows, start)));
    let write = || -> PolarsResult<()> {
        let Some(first) = frames.next().transpose()? else { return Ok(()) };
        let compressed = ParquetWriter::new(to).with_compression(ParquetCompression::Zstd(None));
        let mut writer = compressed.batched(first.schema())?;
        writer.write_batch(&first)?;
        frames.try_for_each(|frame| writer.write_batch(&frame?))?;
        writer.finish().map(drop)
    };
    write().map_err(|error| Error::failed(format!("rows could not be written as Parquet: {error}")))
}

fn frame(rows: &ResampledRows, block: &[ResampledRow]) -> PolarsResult<DataFrame> {
    let texts = |of: fn(&ResampledRow) -> Option<String>| block.iter().map(of).collect::<Vec<Option<String>>>();
    let mut columns = vec![
        Column::new(BESIDE[0].into(), texts(|row| row.row_id.clone())),
        Column::new(BESIDE[1].into(), block.iter().map(|row| row.origin.as_str()).collect::<Vec<_>>()),
        Column::new(BESIDE[2].into(), block.iter().map(|row| row.removed).collect::<Vec<_>>()),
        Column::new(BESIDE[3].into(), texts(|row| row.parent.clone())),
        Column::new(BESIDE[4].into(), texts(|row| row.neighbour.clone())),
        Column::new(BESIDE[5].into(), block.iter().map(|row| row.gap).collect::<Vec<_>>()),
        Column::new(BESIDE[6].into(), block.iter().map(|row| u32::from(row.label)).collect::<Vec<_>>()),
    ];
    for (feature, name) in rows.names().iter().enumerate() {
        let values: Vec<f32> = block.iter().map(|row| row.values[feature]).collect();
        columns.push(Column::new(name.as_str().into(), values));
    }
    DataFrame::new(block.len(), columns)
}

/// Resampled rows as CSV; numbers as their shortest text that reads back as the same.
pub fn write_resampled_csv(rows: &ResampledRows, to: &mut dyn Write) -> Result<()> {
    let mut writer = csv::Writer::from_writer(to);
    let mut write = || -> csv::Result<()> {
        writer.write_record(BESIDE.iter().copied().chain(rows.names().iter().map(String::as_str)))?;
        for at in 0..rows.n_rows() {
            let row = rows.row(at);
            for text in [row.row_id.as_deref(), Some(row.origin.as_str())] {
                writer.write_field(text.unwrap_or_default())?;
            }
            writer.write_field(row.removed.to_string())?;
            for text in [row.parent, row.neighbour, row.gap.map(|gap| gap.to_string()), Some(row.label.to_string())] {
                writer.write_field(text.unwrap_or_default())?;
            }
            for value in row.values {
                writer.write_field(if value.is_nan() { String::new() } else { value.to_string() })?;
            }
            writer.write_record(None::<&[u8]>)?;
        }
        Ok(writer.flush()?)
    };
    write().map_err(|error| Error::failed(format!("rows could not be written as CSV: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_come_back_bit_for_bit_and_damage_is_an_error() {
        let scores =
            Scores { row_ids: vec!["a".into(), "ü".into()], labels: vec![0, 1], scores: vec![0.1, f32::MIN_POSITIVE] };
        let bytes = scores.to_parquet().unwrap();
        assert_eq!(bytes, scores.to_parquet().unwrap());
        assert_eq!(Scores::from_parquet(bytes.clone(), "x").unwrap(), scores);
        for cut in [0, 10, bytes.len() / 2, bytes.len() - 1] {
            assert!(Scores::from_parquet(bytes[..cut].to_vec(), "x").is_err());
        }
    }
}

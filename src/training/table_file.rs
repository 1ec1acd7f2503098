//! Tables on disk as Parquet bytes: the scores of a cell. Bytes out, bytes in; polars does the format.

use std::io::Cursor;

use polars::prelude::*;

use super::error::{Error, Result};

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

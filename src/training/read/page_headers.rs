//! What a column's pages say of themselves, before polars believes them: polars 0.55 reserves room for as many values as a
//! page header names, and a negative number of them (2^61 bytes) ends the process, which no caller can catch. So would a
//! forged prefix of DELTA_BYTE_ARRAY, which no header tells: that encoding, which no common writer chooses by itself, is
//! refused.
//!
//! In: a file, its metadata, a column by name. Out: an error unless the pages of every row group hold the group's rows
//! between them. Headers alone are looked at; the compressed bytes of the column are read once more for that.

use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};

use polars_parquet::parquet::encoding::Encoding;
use polars_parquet::parquet::metadata::ColumnChunkMetadata;
use polars_parquet::parquet::page::CompressedPage;
use polars_parquet::parquet::read::PageReader;
use polars_parquet::read::FileMetadata;

/// What is wrong, as a part of a sentence.
pub(super) fn check(file: &mut File, metadata: &FileMetadata, name: &str) -> Result<(), String> {
    for group in &metadata.row_groups {
        for chunk in group.columns_under_root_iter(name).into_iter().flatten() {
            let counted = values(file, chunk)?;
            let nested = chunk.descriptor().descriptor.max_rep_level > 0;
            if !nested && counted != group.num_rows() as u64 {
                return Err(format!("pages of {counted} values in a group of {} rows", group.num_rows()));
            }
        }
    }
    Ok(())
}

/// How many values the pages of a chunk hold.
fn values(file: &mut File, chunk: &ColumnChunkMetadata) -> Result<u64, String> {
    let bytes = bytes_of(file, chunk)?;
    let most = bytes.len();
    let mut counted = 0u64;
    for page in PageReader::new(Cursor::new(bytes.into()), chunk, Vec::new(), most) {
        if let CompressedPage::Data(page) = page.map_err(|error| error.to_string())? {
            let of_page = i32::try_from(page.num_values()).map_err(|_| "a page of less than no values".to_owned())?;
            if page.header().encoding() == Encoding::DeltaByteArray.into() {
                return Err("an encoding that is not read here, DELTA_BYTE_ARRAY".into());
            }
            counted += u64::from(of_page.unsigned_abs());
        }
    }
    Ok(counted)
}

fn bytes_of(file: &mut File, chunk: &ColumnChunkMetadata) -> Result<Vec<u8>, String> {
    let range = chunk.byte_range();
    let length = range.end.saturating_sub(range.start);
    let mut bytes = Vec::new();
    let read = file.seek(SeekFrom::Start(range.start)).and_then(|_| file.take(length).read_to_end(&mut bytes));
    match read {
        Ok(found) if found as u64 == length => Ok(bytes),
        Ok(found) => Err(format!("{found} of {length} bytes of a column")),
        Err(error) => Err(error.to_string()),
    }
}

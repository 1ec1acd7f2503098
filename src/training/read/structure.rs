//! The first pass over a file: structure, what every column holds, and the hash of its bytes.
//!
//! In: CSV, or CSV in zstd by its name. Out: header, rows, a tally per column with the line of its first word. Ragged
//! rows, repeated headers and bytes that are not UTF-8 are errors with line and column.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::Fingerprint;
use crate::scoring::record;
use crate::training::error::{Error, Result, io_reason};
use crate::training::progress::{Progress, Unit};

/// What the cells of a column are.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Tally {
    pub numbers: usize,
    pub words: usize,
    pub missing: usize,
    /// Numbers that are not plainly spelled (`+1`, ` 1`, `NaN`): polars would not read them as we do.
    pub unusual: usize,
    /// Line and text of the first word.
    pub first_word: Option<(u64, String)>,
}

#[derive(Debug)]
pub(super) struct Structure {
    pub path: PathBuf,
    pub header: Vec<String>,
    pub n_rows: usize,
    pub tallies: Vec<Tally>,
    sha256: String,
    bytes: u64,
}

impl Structure {
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint {
            path: self.path.display().to_string(),
            sha256: self.sha256.clone(),
            rows: self.n_rows,
            columns: self.header.len(),
            bytes: self.bytes,
        }
    }

    pub fn compressed(&self) -> bool {
        is_zstd(&self.path)
    }
}

fn is_zstd(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "zst")
}

/// Opens a file as plain CSV bytes.
pub(super) fn open(path: &Path) -> Result<Box<dyn Read>> {
    let file = open_file(path)?;
    if !is_zstd(path) {
        return Ok(Box::new(file));
    }
    zstd::Decoder::new(file).map(|decoder| Box::new(decoder) as Box<dyn Read>).map_err(|error| unreadable(path, &error))
}

fn open_file(path: &Path) -> Result<File> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    match file.metadata() {
        Ok(metadata) if metadata.is_dir() => {
            Err(Error::permanent(format!("`{}`: expected a file, found a folder", path.display())))
        }
        _ => Ok(file),
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    let hint = match error.kind() {
        std::io::ErrorKind::NotFound => {
            "paths are relative to the folder you are in; `fraudml synth --rows 20000 --out data` makes data to try"
        }
        std::io::ErrorKind::PermissionDenied => "check the file's permissions",
        _ => "the file is damaged, or not what its name says",
    };
    Error::permanent(format!("`{}` can't be read: {}", path.display(), io_reason(error))).hint(hint)
}

/// Feeds a hash with what passes through.
struct Hashing<R> {
    inner: R,
    hash: Sha256,
    bytes: u64,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(&buffer[..read]);
        self.bytes += read as u64;
        Ok(read)
    }
}

/// Walks the whole file once.
pub(super) fn inspect(path: &Path, progress: &dyn Progress) -> Result<Structure> {
    let mut hashing = Hashing { inner: open_file(path)?, hash: Sha256::new(), bytes: 0 };
    let (header, n_rows, tallies) = if is_zstd(path) {
        let decoder = zstd::Decoder::new(&mut hashing).map_err(|error| unreadable(path, &error))?;
        walk(path, decoder, progress)?
    } else {
        walk(path, &mut hashing, progress)?
    };
    // A frame or trailing bytes the walk did not need still belong to the file.
    std::io::copy(&mut hashing, &mut std::io::sink()).map_err(|error| unreadable(path, &error))?;
    let sha256 = hashing.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Structure { path: path.to_owned(), header, n_rows, tallies, sha256, bytes: hashing.bytes })
}

type Walked = (Vec<String>, usize, Vec<Tally>);

fn walk(path: &Path, input: impl Read, progress: &dyn Progress) -> Result<Walked> {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).buffer_capacity(1 << 20).from_reader(input);
    let mut record = csv::ByteRecord::new();
    let read = |reader: &mut csv::Reader<_>, record: &mut csv::ByteRecord| {
        reader.read_byte_record(record).map_err(|error| match error.into_kind() {
            csv::ErrorKind::Io(error) => unreadable(path, &error),
            kind => Error::permanent(format!("`{}`: {kind:?}", path.display())),
        })
    };
    if !read(&mut reader, &mut record)? {
        return Err(Error::permanent(format!("`{}`: expected a header line, found an empty file", path.display())));
    }
    let header = header(path, &record)?;
    let mut tallies = vec![Tally::default(); header.len()];
    let mut n_rows = 0;
    while read(&mut reader, &mut record)? {
        let line = record.position().map_or(0, csv::Position::line);
        if record.len() != header.len() {
            return Err(ragged(path, line, &header, record.len()));
        }
        for ((cell, tally), name) in record.iter().zip(&mut tallies).zip(&header) {
            tally.count(cell, line).ok_or_else(|| not_text(path, line, name))?;
        }
        n_rows += 1;
        if n_rows % 4096 == 0 {
            progress.advance(Unit::Rows, 4096);
            if progress.interrupted() {
                return Err(Error::interrupted());
            }
        }
    }
    if n_rows == 0 {
        return Err(Error::permanent(format!("`{}`: expected rows, found a header alone", path.display())));
    }
    if n_rows > u32::MAX as usize / 2 {
        return Err(Error::permanent(format!(
            "`{}`: expected at most {} rows, found {n_rows}",
            path.display(),
            u32::MAX / 2
        )));
    }
    Ok((header, n_rows, tallies))
}

fn header(path: &Path, record: &csv::ByteRecord) -> Result<Vec<String>> {
    let mut header: Vec<String> = Vec::with_capacity(record.len());
    for (at, cell) in record.iter().enumerate() {
        let name = std::str::from_utf8(cell).map_err(|_| not_text(path, 1, &format!("number {}", at + 1)))?;
        if name.is_empty() || header.iter().any(|known| known == name) {
            let found = if name.is_empty() { "an empty name".to_owned() } else { format!("`{name}` twice") };
            return Err(Error::permanent(format!(
                "`{}`, line 1, column {}: expected a column name of its own, found {found}",
                path.display(),
                at + 1
            )));
        }
        header.push(name.to_owned());
    }
    Ok(header)
}

fn ragged(path: &Path, line: u64, header: &[String], found: usize) -> Error {
    let expected = header.len();
    let place = match header.get(found) {
        Some(name) => format!("column `{name}`: "),
        None => format!("column {}: ", expected + 1),
    };
    Error::permanent(format!(
        "`{}`, line {line}, {place}expected {expected} fields in the row, found {found}",
        path.display()
    ))
    .hint("every row needs as many fields as the header; a field with a comma or a line break needs quotes")
}

fn not_text(path: &Path, line: u64, column: &str) -> Error {
    Error::permanent(format!(
        "`{}`, line {line}, column `{column}`: expected UTF-8 text, found other bytes",
        path.display()
    ))
    .hint("convert the file to UTF-8, for example with `iconv -t utf-8`")
}

impl Tally {
    /// Counts a cell; `None` if it is not UTF-8.
    fn count(&mut self, cell: &[u8], line: u64) -> Option<()> {
        if cell.is_empty() {
            self.missing += 1;
        } else if plainly_spelled(cell) {
            self.numbers += 1;
        } else {
            let text = std::str::from_utf8(cell).ok()?;
            let trimmed = text.trim();
            if record::is_missing(trimmed) {
                self.missing += 1;
                self.unusual += 1;
            } else if record::parse_number(trimmed).is_some() {
                self.numbers += 1;
                self.unusual += 1;
            } else {
                self.words += 1;
                self.first_word.get_or_insert_with(|| (line, trimmed.to_owned()));
            }
        }
        Some(())
    }
}

/// `-12`, `0.5`, `1e-7`: at most 15 exponent-free digits each side or a short exponent, so certainly finite.
fn plainly_spelled(cell: &[u8]) -> bool {
    let digits = |bytes: &[u8]| bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let rest = cell.strip_prefix(b"-").unwrap_or(cell);
    let whole = digits(rest);
    let mut rest = &rest[whole..];
    if whole == 0 || whole > 300 {
        return false;
    }
    if let Some(fraction) = rest.strip_prefix(b".") {
        let n_digits = digits(fraction);
        if n_digits == 0 {
            return false;
        }
        rest = &fraction[n_digits..];
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent = exponent.strip_prefix(b"-").or(exponent.strip_prefix(b"+")).unwrap_or(exponent);
        let n_digits = digits(exponent);
        return n_digits == exponent.len() && (1..=2).contains(&n_digits) && whole <= 200;
    }
    rest.is_empty()
}

/// The line on which a row (0-based, without the header) starts: a second pass, for errors alone.
pub(super) fn line_of_row(path: &Path, row: usize) -> Option<u64> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(open(path).ok()?);
    let record = reader.byte_records().nth(row)?.ok()?;
    record.position().map(csv::Position::line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_spelling_is_a_subset_of_numbers() {
        for cell in ["1", "-12", "0.5", "1e-7", "123.456E+10"] {
            assert!(plainly_spelled(cell.as_bytes()), "{cell}");
            assert!(record::parse_number(cell).is_some(), "{cell}");
        }
        for cell in ["", "-", "+1", " 1", ".5", "1.", "1e", "1e999", "nan", "12,5", "1 2"] {
            assert!(!plainly_spelled(cell.as_bytes()), "{cell}");
        }
    }
}

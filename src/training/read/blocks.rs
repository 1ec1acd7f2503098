//! A file as blocks of whole records, and the hash of its bytes.
//!
//! In: CSV, or CSV in zstd or gzip by its name. Out: the header, then blocks of about [`BLOCK_BYTES`] that end where a record
//! ends, each with its first line. The grammar is that of crate `csv`: where a block holds a quote, a walk with that
//! crate finds the last record; else every line break ends one. A record longer than a block makes the block longer.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::input_file::InputFile;
use crate::training::error::{Error, Result, io_reason};

/// Text that one thread parses at a time.
pub(super) const BLOCK_BYTES: usize = 4 << 20;

/// A longer record is damage, or a small file that unpacks to no end.
const LONGEST_RECORD: usize = 64 << 20;
/// More columns are no table; the network's first layer alone would have 500 weights for each.
const MOST_COLUMNS: usize = 1 << 16;

/// Whole records, beginning on this line.
pub(super) struct Block {
    pub text: Vec<u8>,
    pub line: u64,
}

/// A file being read.
pub(super) struct Blocks {
    pub path: PathBuf,
    pub header: Vec<String>,
    input: Box<dyn Read + Send>,
    raw: File,
    digest: Arc<Mutex<(Sha256, u64)>>,
    /// Read, but not handed out yet.
    text: Vec<u8>,
    line: u64,
    block_bytes: usize,
    at_end: bool,
}

/// Text of a file, unpacked as its name says.
fn unpacked<R: Read + Send + 'static>(path: &Path, raw: R) -> std::io::Result<Box<dyn Read + Send>> {
    match path.extension().and_then(std::ffi::OsStr::to_str) {
        Some("zst") => Ok(Box::new(zstd::Decoder::new(raw)?)),
        // Several members one after the other are one text.
        Some("gz") => Ok(Box::new(flate2::read::MultiGzDecoder::new(raw))),
        _ => Ok(Box::new(raw)),
    }
}

pub(super) fn open_file(path: &Path) -> Result<File> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    match file.metadata() {
        Ok(metadata) if metadata.is_dir() => {
            Err(Error::permanent(format!("`{}`: expected a file, found a folder", path.display()))
                .hint("name a file in it, or all of them by a pattern such as `FOLDER/*.csv`"))
        }
        _ => Ok(file),
    }
}

pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    let hint = match error.kind() {
        std::io::ErrorKind::NotFound => {
            "paths are relative to the folder you are in; `fraudml synth --rows 20000 --out data` makes data to try"
        }
        std::io::ErrorKind::PermissionDenied => "check the file's permissions",
        _ => "the file is damaged, or not what its name says",
    };
    Error::permanent(format!("`{}` can't be read: {}", path.display(), io_reason(error))).hint(hint)
}

/// The records of plain CSV text by the one grammar: no header of its own, rows of any length.
pub(super) fn records<R: Read>(text: R) -> csv::Reader<R> {
    csv::ReaderBuilder::new().has_headers(false).flexible(true).buffer_capacity(1 << 16).from_reader(text)
}

/// Feeds the hash with what passes through.
struct Hashing {
    file: File,
    digest: Arc<Mutex<(Sha256, u64)>>,
}

impl Read for Hashing {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.file.read(buffer)?;
        let mut digest = self.digest.lock().unwrap_or_else(PoisonError::into_inner);
        digest.0.update(&buffer[..read]);
        digest.1 += read as u64;
        Ok(read)
    }
}

impl Blocks {
    pub fn open(file: &InputFile) -> Result<Blocks> {
        Self::open_with(file, BLOCK_BYTES)
    }

    pub(super) fn open_with(file: &InputFile, block_bytes: usize) -> Result<Blocks> {
        let path = &file.name;
        let failed = |error| unreadable(path, &error);
        let raw = file.open()?;
        let digest = Arc::new(Mutex::new((Sha256::new(), 0)));
        let hashing = Hashing { file: raw.try_clone().map_err(failed)?, digest: digest.clone() };
        let input = unpacked(path, hashing).map_err(failed)?;
        let mut blocks = Blocks {
            path: path.to_owned(),
            header: Vec::new(),
            input,
            raw,
            digest,
            text: Vec::new(),
            line: 1,
            block_bytes,
            at_end: false,
        };
        blocks.read_header()?;
        Ok(blocks)
    }

    /// Takes the first record off.
    fn read_header(&mut self) -> Result<()> {
        let mut wanted = self.block_bytes;
        loop {
            self.fill(wanted)?;
            if self.text.starts_with(BOM) {
                self.text.drain(..BOM.len());
            }
            let mut reader = records(&self.text[..]);
            let (mut record, mut next) = (csv::ByteRecord::new(), csv::ByteRecord::new());
            let found = reader.read_byte_record(&mut record).is_ok_and(|found| found);
            let end = reader.position().clone();
            // A record is whole if another follows, or if the file ends with it.
            if found && (reader.read_byte_record(&mut next).is_ok_and(|found| found) || self.at_end) {
                self.header = header(&self.path, &record)?;
                self.text.drain(..end.byte() as usize);
                self.line = end.line();
                return Ok(());
            }
            if self.at_end {
                let what = "expected a header line, found an empty file";
                return Err(Error::permanent(format!("`{}`: {what}", self.path.display()))
                    .hint("write the column names into its first line, then the rows"));
            }
            wanted = self.wider(wanted)?;
        }
    }

    /// Room for a record that is longer than a block.
    fn wider(&self, bytes: usize) -> Result<usize> {
        if bytes >= LONGEST_RECORD {
            let megabytes = LONGEST_RECORD >> 20;
            let place = format!("`{}`, from line {} on", self.path.display(), self.line);
            return Err(Error::permanent(format!(
                "{place}: expected records of at most {megabytes} MiB, found a longer one"
            ))
            .hint("a quote that is never closed makes one record of all that follows"));
        }
        Ok(bytes * 2)
    }

    fn fill(&mut self, wanted: usize) -> Result<()> {
        if !self.at_end && self.text.len() < wanted {
            let missing = wanted - self.text.len();
            let read = self.input.by_ref().take(missing as u64).read_to_end(&mut self.text);
            self.at_end = read.map_err(|error| unreadable(&self.path, &error))? < missing;
        }
        Ok(())
    }

    /// The next whole records; `None` at the end of the file.
    pub fn next(&mut self) -> Result<Option<Block>> {
        let mut wanted = self.block_bytes;
        let end = loop {
            self.fill(wanted)?;
            if self.at_end && self.text.len() <= wanted {
                break self.text.len();
            }
            match last_record_end(&self.text) {
                Some(end) => break end,
                None if self.at_end => break self.text.len(),
                None => wanted = self.wider(wanted)?,
            }
        };
        if end == 0 {
            return Ok(None);
        }
        let rest = self.text.split_off(end);
        let block = Block { text: std::mem::replace(&mut self.text, rest), line: self.line };
        self.line += block.text.iter().filter(|&&byte| byte == b'\n').count() as u64;
        Ok(Some(block))
    }

    /// SHA-256 and length of the file, once all blocks were taken. Bytes that no record needed still belong to it.
    pub fn finish(self) -> Result<(String, u64)> {
        drop(self.input);
        let mut rest = Hashing { file: self.raw, digest: self.digest };
        std::io::copy(&mut rest, &mut std::io::sink()).map_err(|error| unreadable(&self.path, &error))?;
        let (hash, bytes) = &*rest.digest.lock().unwrap_or_else(PoisonError::into_inner);
        Ok((hash.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect(), *bytes))
    }
}

/// A mark that some programs put before a text; only there it is none of it.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// Text in the middle of a file, so that crate `csv` takes nothing for a byte order mark.
pub(super) fn inner(text: &[u8]) -> (impl Read + '_, u64) {
    let guard: &[u8] = if text.starts_with(BOM) { b"\n" } else { b"" };
    (guard.chain(text), guard.len() as u64)
}

/// Where the last record ends that is certainly whole; the text begins with a record.
fn last_record_end(text: &[u8]) -> Option<usize> {
    if !text.contains(&b'"') {
        let ends = |breaks: u8, text: &[u8]| text.iter().rposition(|&byte| byte == breaks).map(|at| at + 1);
        // A carriage return alone ends a record too, but the last byte may be half of a pair.
        return ends(b'\n', text).or_else(|| ends(b'\r', &text[..text.len().saturating_sub(1)]));
    }
    let (input, guard) = inner(text);
    let mut reader = records(input);
    let (mut record, mut end) = (csv::ByteRecord::new(), 0);
    while reader.read_byte_record(&mut record).is_ok_and(|found| found) {
        end = record.position().map_or(0, csv::Position::byte).saturating_sub(guard) as usize;
    }
    (end > 0).then_some(end)
}

fn header(file: &Path, record: &csv::ByteRecord) -> Result<Vec<String>> {
    let path = file.display();
    if record.len() > MOST_COLUMNS {
        let found = record.len();
        return Err(Error::permanent(format!(
            "`{path}`, line 1: expected at most {MOST_COLUMNS} columns, found {found}"
        )));
    }
    if record.as_slice().contains(&0) {
        return Err(Error::permanent(format!("`{path}`, line 1: expected UTF-8 text, found zero bytes, as in UTF-16"))
            .hint("convert the file to UTF-8, for example with `iconv -f utf-16 -t utf-8`"));
    }
    let mut known = std::collections::BTreeSet::new();
    let mut header: Vec<String> = Vec::with_capacity(record.len());
    for (at, cell) in record.iter().enumerate() {
        let place = format!("number {}", at + 1);
        let name = std::str::from_utf8(cell).map_err(|_| not_text(file, 1, &place))?;
        if name.is_empty() || !known.insert(name) {
            let found = if name.is_empty() { "an empty name".to_owned() } else { format!("`{name}` twice") };
            let message =
                format!("`{path}`, line 1, column {}: expected a column name of its own, found {found}", at + 1);
            return Err(
                Error::permanent(message).hint("every column needs a name, and no two the same: rename it in line 1")
            );
        }
        header.push(name.to_owned());
    }
    let delimiter = [';', '\t', '|'].into_iter().find(|&other| header.len() == 1 && header[0].contains(other));
    if let Some(delimiter) = delimiter {
        let message = format!("`{path}`, line 1: expected column names with commas between them, found {delimiter:?}");
        return Err(Error::permanent(message).hint("write the file with commas, and a point in its decimals"));
    }
    Ok(header)
}

pub(super) fn not_text(path: &Path, line: u64, column: &str) -> Error {
    Error::permanent(format!(
        "`{}`, line {line}, column `{column}`: expected UTF-8 text, found other bytes",
        path.display()
    ))
    .hint("convert the file to UTF-8, for example with `iconv -t utf-8`")
}

/// The line on which a row (0-based, without the header) starts: another pass, for errors alone.
pub(super) fn line_of_row(path: &Path, row: usize) -> Option<u64> {
    let file = open_file(path).ok()?;
    let input = unpacked(path, file).ok()?;
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(input);
    let record = reader.byte_records().nth(row)?.ok()?;
    record.position().map(csv::Position::line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &[u8]) -> Vec<csv::ByteRecord> {
        records(text).into_byte_records().map(|record| record.unwrap()).collect()
    }

    /// Whatever the size of a block, blocks hold the records of the whole text, and know their lines.
    #[test]
    fn blocks_cut_no_record() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.csv");
        let texts: [&[u8]; 9] = [
            b"a,b\n1,2\n3,4\n",
            b"a,b\r\n1,2\r\n3,4",
            b"a,b\r1,2\r3,4\r",
            b"a,\"b\nc\"\n\"1\n\n\",\"2\"\"\n\"\n3,4\n\"\",\n",
            b"\xef\xbb\xbf\"a\",b\n1,2\n",
            b"a,b\n\xef\xbb\xbf1,2\n\xef\xbb\xbf\"3\",4\n",
            b"\n\na,b\n\n\n1,x\"y\n2,\"z\n",
            b"a,b\n1,\"never closed\n2,3\n4,5\n",
            b"a,b",
        ];
        for text in texts {
            crate::training::run_dir::write_atomic(&path, text).unwrap();
            let expected = whole(text);
            for block_bytes in (1..=text.len() + 1).chain([BLOCK_BYTES]) {
                let mut blocks = Blocks::open_with(&InputFile::at(path.clone()), block_bytes).unwrap();
                let mut found = vec![csv::ByteRecord::from(blocks.header.clone())];
                let mut line = blocks.line;
                while let Some(block) = blocks.next().unwrap() {
                    assert_eq!(block.line, line);
                    line += block.text.iter().filter(|&&byte| byte == b'\n').count() as u64;
                    let mut reader = records(inner(&block.text).0);
                    found.extend(reader.byte_records().map(|record| record.unwrap()));
                }
                assert_eq!(found, expected, "{:?} in blocks of {block_bytes}", String::from_utf8_lossy(text));
                let (hash, bytes) = blocks.finish().unwrap();
                assert_eq!((hash, bytes), (crate::scoring::bundle::sha256_hex(text), text.len() as u64));
            }
        }
    }
}

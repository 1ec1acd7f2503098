//! A declared table as the files it is: one path, or all that a pattern names, CSV (`.gz`, `.zst`) or Parquet.
//!
//! In: a path whose last part may hold `*` and `?`. Out: open files with one header, in the order of their names. A header
//! that differs from the first file's is an error. `id-01` is read as `id_01`, as the test file of IEEE-CIS spells it.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::blocks::{Blocks, line_of_row, unreadable};
use super::build::Builder;
use super::parquet::{ParquetFile, is_parquet};
use super::parse::{Wanted, parse};
use super::{Fingerprint, fetch};
use crate::scoring::record::canonical_name;
use crate::training::error::{Error, Result};
use crate::training::mapped::Storage;
use crate::training::progress::{Progress, Unit};

/// More files than this are no table.
const MOST_FILES: usize = 10_000;

enum Input {
    Csv(Box<Blocks>),
    Parquet(ParquetFile),
}

/// An opened table: nothing but headers was read.
pub(super) struct Source {
    /// As declared.
    pub path: PathBuf,
    pub header: Vec<String>,
    files: Vec<(PathBuf, Input)>,
}

/// Which rows of a table are whose, to name a place.
#[derive(Debug, Clone, Default)]
pub(super) struct Files(Vec<(PathBuf, usize)>);

impl Files {
    /// The file, and the line of a row (0-based) where there are lines.
    pub fn place(&self, row: usize) -> String {
        let mut row = row;
        for (path, n_rows) in &self.0 {
            if row < *n_rows {
                return match is_parquet(path) {
                    true => format!("`{}`, row {}", path.display(), row + 1),
                    false => {
                        let line = line_of_row(path, row).unwrap_or(row as u64 + 2);
                        format!("`{}`, line {line}", path.display())
                    }
                };
            }
            row -= n_rows;
        }
        format!("row {row}")
    }

    /// All of them, for a message.
    pub fn names(&self) -> String {
        match &self.0[..] {
            [(path, _)] => format!("`{}`", path.display()),
            [(first, _), .., (last, _)] => format!("`{}` to `{}`", first.display(), last.display()),
            [] => "the table".into(),
        }
    }
}

impl Source {
    pub fn open(path: &Path) -> Result<Source> {
        let mut files: Vec<(PathBuf, Input)> = Vec::new();
        let mut header: Vec<String> = Vec::new();
        for file in expand(path)? {
            let (input, found) = if is_parquet(&file) {
                let parquet = ParquetFile::open(&file)?;
                let header = parquet.header.clone();
                (Input::Parquet(parquet), header)
            } else {
                let blocks = Blocks::open(&file)?;
                let header = blocks.header.clone();
                (Input::Csv(Box::new(blocks)), header)
            };
            let found = aliased(found);
            match files.first() {
                None => header = found,
                Some((first, _)) => same_header(first, &header, &file, &found)?,
            }
            files.push((file, input));
        }
        Ok(Source { path: path.to_owned(), header, files })
    }

    /// Reads all files into columns, and says of each column in which file its first word stands.
    pub fn read(
        self,
        wanted: &[Wanted],
        storage: &Storage,
        progress: &dyn Progress,
    ) -> Result<(Builder, Vec<Fingerprint>, Files, Vec<usize>)> {
        let mut builder = Builder::new(wanted, storage);
        let (mut fingerprints, mut files) = (Vec::new(), Files::default());
        let mut word_files = vec![0; wanted.len()];
        for (nth, (path, input)) in self.files.into_iter().enumerate() {
            let had_words: Vec<bool> = builder.columns.iter().map(|column| column.tally.words > 0).collect();
            let before = builder.n_rows;
            let (sha256, bytes) = match input {
                Input::Csv(blocks) => read_csv(*blocks, wanted, &mut builder, progress)?,
                Input::Parquet(file) => {
                    read_parquet(&path, &file, wanted, &mut builder, progress)?;
                    hash(&path)?
                }
            };
            for ((column, had), file) in builder.columns.iter().zip(had_words).zip(&mut word_files) {
                if !had && column.tally.words > 0 {
                    *file = nth;
                }
            }
            let rows = builder.n_rows - before;
            let (path_text, columns) = (path.display().to_string(), self.header.len());
            fingerprints.push(Fingerprint { path: path_text, sha256, rows, columns, bytes });
            files.0.push((path, rows));
        }
        let (n_rows, limit) = (builder.n_rows, u32::MAX as usize / 2);
        if n_rows == 0 || n_rows > limit {
            let found = if n_rows == 0 { "a header alone".into() } else { n_rows.to_string() };
            let expected = if n_rows == 0 { "rows".into() } else { format!("at most {limit} rows") };
            let message = format!("`{}`: expected {expected}, found {found}", self.path.display());
            return Err(
                Error::permanent(message).hint("one row per transaction, each with its label, below the column names")
            );
        }
        Ok((builder, fingerprints, files, word_files))
    }
}

impl Files {
    pub fn path(&self, nth: usize) -> &Path {
        self.0.get(nth).map_or(Path::new(""), |(path, _)| path)
    }
}

/// While some blocks are parsed, the next are fetched and hashed.
fn read_csv(
    mut blocks: Blocks,
    wanted: &[Wanted],
    builder: &mut Builder,
    progress: &dyn Progress,
) -> Result<(String, u64)> {
    let (path, header) = (blocks.path.clone(), blocks.header.clone());
    let mut batch = fetch(&mut blocks)?;
    while !batch.is_empty() {
        let parse_all = || batch.par_iter().map(|block| parse(&path, &header, wanted, block)).collect::<Vec<_>>();
        let (parsed, next) = rayon::join(parse_all, || fetch(&mut blocks));
        // In file order, so that the first error of the file is the one told.
        let parsed = parsed.into_iter().collect::<Result<Vec<_>>>()?;
        builder.append(&parsed)?;
        progress.advance(Unit::Rows, parsed.iter().map(|block| block.n_rows as u64).sum());
        if progress.interrupted() {
            return Err(Error::interrupted());
        }
        batch = next?;
    }
    blocks.finish()
}

/// A few columns at a time, so that no second table stands beside the packed one.
fn read_parquet(
    path: &Path,
    file: &ParquetFile,
    wanted: &[Wanted],
    builder: &mut Builder,
    progress: &dyn Progress,
) -> Result<()> {
    let at_once = rayon::current_num_threads().max(1);
    for start in (0..wanted.len()).step_by(at_once) {
        let range = start..wanted.len().min(start + at_once);
        let parsed = range.clone().into_par_iter().map(|at| file.column(&file.header[at], wanted[at]));
        for (at, column) in range.zip(parsed.collect::<Result<Vec<_>>>()?) {
            let found = column.0.n_rows();
            if found.is_some_and(|found| found != file.n_rows) {
                let message = format!("`{}` can't be read as Parquet: its columns differ in length", path.display());
                return Err(Error::permanent(message));
            }
            builder.append_column(at, &column)?;
        }
        if progress.interrupted() {
            return Err(Error::interrupted());
        }
    }
    builder.end_columns(file.n_rows);
    progress.advance(Unit::Rows, file.n_rows as u64);
    Ok(())
}

fn hash(path: &Path) -> Result<(String, u64)> {
    let failed = |error| unreadable(path, &error);
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        let read = std::io::Read::read(&mut file, &mut buffer).map_err(failed)?;
        if read == 0 {
            break;
        }
        digest.update(&buffer[..read]);
        bytes += read as u64;
    }
    Ok((digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect(), bytes))
}

/// Known spellings become the usual one, unless that is there too.
fn aliased(header: Vec<String>) -> Vec<String> {
    let known: std::collections::BTreeSet<String> = header.iter().cloned().collect();
    let rename = |name: String| match canonical_name(&name) {
        Some(usual) if !known.contains(&usual) => usual,
        _ => name,
    };
    header.into_iter().map(rename).collect()
}

fn same_header(first: &Path, expected: &[String], file: &Path, found: &[String]) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    let at = expected.iter().zip(found).position(|(a, b)| a != b).unwrap_or(expected.len().min(found.len()));
    let shown = |header: &[String]| header.get(at).map_or("no column".to_owned(), |name| format!("`{name}`"));
    let message = format!(
        "`{}`: expected the header of `{}`, found {} in place of {} as column {}",
        file.display(),
        first.display(),
        shown(found),
        shown(expected),
        at + 1
    );
    Err(Error::permanent(message).hint("all files of a table have the same columns in the same order"))
}

/// The files that a path means, by name; one without a pattern need not be there.
pub fn expand(path: &Path) -> Result<Vec<PathBuf>> {
    let name = path.file_name().and_then(std::ffi::OsStr::to_str).unwrap_or_default();
    if !name.contains(['*', '?']) || path.exists() {
        return Ok(vec![path.to_owned()]);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(folder).map_err(|error| unreadable(folder, &error))?;
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| unreadable(folder, &error))?;
        let fits = entry.file_name().to_str().is_some_and(|file| fits(name.as_bytes(), file.as_bytes()));
        if fits && entry.path().is_file() {
            found.push(path.with_file_name(entry.file_name()));
        }
    }
    found.sort();
    match found.len() {
        0 => Err(Error::permanent(format!("`{}`: no file has such a name", path.display()))
            .hint("`*` stands for any characters of a file's name, `?` for one; folders are taken as they are")),
        n if n > MOST_FILES => {
            Err(Error::permanent(format!("`{}`: expected at most {MOST_FILES} files, found {n}", path.display())))
        }
        _ => Ok(found),
    }
}

/// `*` is any run of bytes, `?` one byte.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&byte) if byte == b'?' || byte == name[n] => (p, n) = (p + 1, n + 1),
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (p, n) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_file_names() {
        let yes = [("*.csv", "a.csv"), ("part-??.csv", "part-01.csv"), ("a*b*c", "axxbyyc"), ("*", ""), ("a*", "a")];
        assert!(yes.iter().all(|(pattern, name)| fits(pattern.as_bytes(), name.as_bytes())), "{yes:?}");
        let no = [("*.csv", "a.csv.gz"), ("part-??.csv", "part-1.csv"), ("a*b", "ab2"), ("", "a"), ("?", "")];
        assert!(no.iter().all(|(pattern, name)| !fits(pattern.as_bytes(), name.as_bytes())), "{no:?}");
    }

    #[test]
    fn known_spellings_are_one() {
        let header = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<String>>();
        assert_eq!(aliased(header(&["id-01", "id-x", "V1"])), header(&["id_01", "id-x", "V1"]));
        assert_eq!(aliased(header(&["id-01", "id_01"])), header(&["id-01", "id_01"]));
    }
}

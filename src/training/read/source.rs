//! A declared table as the files it is: one after another into columns, CSV (`.gz`, `.zst`) or Parquet.
//!
//! In: opened files with one header (`opening`). Out: columns in the order of the files, the fingerprint of each by its
//! content, and which rows are whose.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::blocks::{Blocks, line_of_row, unreadable};
use super::build::Builder;
use super::input_file::InputFile;
use super::opening::{Coming, Input, Opened};
use super::parquet::{ParquetFile, is_parquet};
use super::parse::{Wanted, parse};
use super::pattern::address;
use super::{Fingerprint, fetch};
use crate::training::error::{Error, Result};
use crate::training::mapped::Storage;
use crate::training::progress::{Progress, Unit};

/// An opened table: nothing but headers was read.
pub(super) struct Source {
    /// As declared.
    pub path: PathBuf,
    pub header: Vec<String>,
    files: Coming,
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
                // Lines are counted by reading once more, and what was brought from a store is gone.
                return match is_parquet(path) || address(path).is_some() {
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
    pub fn open(path: &Path, storage: &Storage, progress: &dyn Progress) -> Result<Source> {
        let (header, files) = Coming::open(path, storage, progress)?;
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
        let (mut coming, mut nth) = (self.files, 0);
        let mut next = coming.first();
        while let Some(Opened { name, input }) = next {
            let had_words: Vec<bool> = builder.columns.iter().map(|column| column.tally.words > 0).collect();
            let before = builder.n_rows;
            let read = || read_file(input, wanted, &mut builder, progress);
            let ((sha256, bytes), opened) = coming.next_beside(read, progress)?;
            next = opened;
            for ((column, had), file) in builder.columns.iter().zip(had_words).zip(&mut word_files) {
                if !had && column.tally.words > 0 {
                    *file = nth;
                }
            }
            let rows = builder.n_rows - before;
            let (path, columns) = (name.display().to_string(), self.header.len());
            fingerprints.push(Fingerprint { path, sha256, rows, columns, bytes });
            files.0.push((name, rows));
            nth += 1;
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

/// SHA-256 and length of what was read.
fn read_file(input: Input, wanted: &[Wanted], builder: &mut Builder, progress: &dyn Progress) -> Result<(String, u64)> {
    match input {
        Input::Csv(blocks) => read_csv(*blocks, wanted, builder, progress),
        Input::Parquet(parquet) => {
            read_parquet(&parquet, wanted, builder, progress)?;
            hash(&parquet.file)
        }
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
fn read_parquet(file: &ParquetFile, wanted: &[Wanted], builder: &mut Builder, progress: &dyn Progress) -> Result<()> {
    let at_once = rayon::current_num_threads().max(1);
    for start in (0..wanted.len()).step_by(at_once) {
        let range = start..wanted.len().min(start + at_once);
        let parsed = range.clone().into_par_iter().map(|at| file.column(&file.header[at], wanted[at]));
        for (at, column) in range.zip(parsed.collect::<Result<Vec<_>>>()?) {
            let found = column.0.n_rows();
            if found.is_some_and(|found| found != file.n_rows) {
                let name = file.file.name.display();
                let message = format!("`{name}` can't be read as Parquet: its columns differ in length");
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

fn hash(file: &InputFile) -> Result<(String, u64)> {
    let failed = |error| unreadable(&file.name, &error);
    let mut file = file.open()?;
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

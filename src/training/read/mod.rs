//! Read: declared tables become one [`Dataset`].
//!
//! In: CSV (`.gz`, `.zst`) or Parquet files, here or in an object store (`opening`, `source`), and a [`DataConfig`]. Out:
//! packed columns, labels, ids, times, the fingerprint of every file, and what was left out. One pass: a file is cut into
//! blocks of whole records (`blocks`), threads parse them by one grammar, that of crate `csv` (`parse`), and columns grow
//! packed in file order (`build`), in memory or, beyond the budget, on disk. A column is numbers until its first word; what
//! it is at last is settled over the whole file, so no type is ever guessed from the first rows alone, and an error always
//! knows its line and column.

mod blocks;
mod build;
mod columns;
mod input_file;
mod join;
mod opening;
mod page_headers;
mod parquet;
mod parse;
mod pattern;
pub mod snapshot;
mod source;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::config::{DataConfig, Recipe, TableSource};
use super::error::{Error, Result};
use super::mapped::Storage;
use super::planted;
use super::progress::{Progress, Unit};
use super::rows::Dataset;
use super::texts::Texts;
use crate::scoring::schema::{Schema, UnknownKeys};
use crate::scoring::table::{Cells, Table};
use blocks::{Block, Blocks};
use build::{Builder, Column, NO_ROW};
use parse::{Levels, Wanted};
use source::{Files, Source};

pub use columns::closest;
pub use pattern::sizes;

/// What a file was when it was read; part of every cell key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    pub path: String,
    pub sha256: String,
    pub rows: usize,
    pub columns: usize,
    pub bytes: u64,
}

/// A column or rows that did not become data, and why; counted in `run.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    pub what: String,
    pub count: usize,
    pub reason: String,
}

/// All that reading gives.
#[derive(Debug)]
pub struct ReadData {
    pub dataset: Arc<Dataset>,
    pub schema: Schema,
    pub fingerprints: Vec<Fingerprint>,
    pub left_out: Vec<LeftOut>,
}

impl ReadData {
    /// The first file that is not what it was, and the SHA-256 that it had.
    pub fn changed_file<'a>(
        &'a self,
        before: impl Iterator<Item = &'a String>,
    ) -> Option<(&'a Fingerprint, &'a String)> {
        self.fingerprints.iter().zip(before).find(|(now, before)| now.sha256 != **before)
    }
}

/// More blocks at a time would only hold more text.
const MAX_BLOCKS: usize = 16;

/// A table as read: columns that are not finished yet.
struct RawTable {
    path: PathBuf,
    header: Vec<String>,
    builder: Builder,
    fingerprints: Vec<Fingerprint>,
    files: Files,
    /// Per column the file of its first word.
    word_files: Vec<usize>,
}

fn read_table(source: Source, wanted: &[Wanted], storage: &Storage, progress: &dyn Progress) -> Result<RawTable> {
    let (path, header) = (source.path.clone(), source.header.clone());
    let (builder, fingerprints, files, word_files) = source.read(wanted, storage, progress)?;
    Ok(RawTable { path, header, builder, fingerprints, files, word_files })
}

fn fetch(blocks: &mut Blocks) -> Result<Vec<Block>> {
    let n_blocks = rayon::current_num_threads().min(MAX_BLOCKS);
    (0..n_blocks).filter_map(|_| blocks.next().transpose()).collect()
}

impl RawTable {
    fn position(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|known| known == name)
    }

    /// The cells of a key.
    fn key(&self, name: &str) -> Option<&Texts> {
        self.position(name)
            .map(|at| &self.builder.columns[at])
            .filter(|key| key.wanted == Wanted::Text)
            .map(|key| &key.texts)
    }

    fn check_words(&self, except: &[Option<&String>]) -> Result<()> {
        let columns = self.header.iter().zip(&self.builder.columns).zip(&self.word_files);
        for ((name, column), &file) in columns.filter(|((name, _), _)| !except.contains(&Some(name))) {
            columns::check_words(self.files.path(file), name, column.wanted, &column.tally)?;
        }
        Ok(())
    }
}

/// Reads, joins and checks the declared tables.
pub fn read(recipe: &Recipe, storage: &Storage, progress: &dyn Progress) -> Result<ReadData> {
    let config = recipe.data;
    progress.begin(Unit::Rows, "reading", 0);
    let tables =
        config.tables.iter().map(|source| Source::open(&source.path, storage, progress)).collect::<Result<Vec<_>>>()?;
    columns::check_names(recipe, &tables)?;
    let mut joined = Joined::default();
    for (source, opened) in config.tables.iter().zip(tables) {
        let wanted = columns::wanted(config, &opened.header);
        let table = read_table(opened, &wanted, storage, progress)?;
        table.check_words(&[config.time.as_ref()])?;
        joined.add(source, table)?;
    }
    progress.end(Unit::Rows);
    Ok(planted::into_data(joined.finish(config, columns::reads_time(recipe))?))
}

/// Columns of all tables so far, on the rows of the first.
#[derive(Default)]
struct Joined {
    n_rows: usize,
    columns: Vec<(String, Column)>,
    left_out: Vec<LeftOut>,
    fingerprints: Vec<Fingerprint>,
    /// Of the first table.
    files: Files,
}

impl Joined {
    fn add(&mut self, source: &TableSource, mut table: RawTable) -> Result<()> {
        let n_rows = table.builder.n_rows;
        for (name, column) in table.header.iter().zip(&table.builder.columns) {
            if column.wanted == Wanted::Nothing {
                let reason = "declared `drop`".to_owned();
                self.left_out.push(LeftOut { what: format!("column `{name}`"), count: n_rows, reason });
            }
        }
        let rows = match &source.join {
            Some(key) => Some(self.rows_of(key, &table)?),
            None => None,
        };
        if rows.is_none() {
            self.n_rows = n_rows;
            self.files = table.files.clone();
        }
        for (name, column) in table.header.iter().zip(table.builder.finish(rows.as_deref())) {
            let column = column?;
            if source.join.as_ref() != Some(name) {
                self.columns.push((name.clone(), column));
            }
        }
        self.fingerprints.extend(table.fingerprints);
        Ok(())
    }

    /// Row of a table to be joined per row so far.
    fn rows_of(&mut self, key: &str, table: &RawTable) -> Result<Vec<u32>> {
        let (Some(left), Some(right)) = (self.text(key), table.key(key)) else {
            return Err(Error::failed(format!("join key `{key}` was not read")));
        };
        let rows = join::left(left, right).map_err(|repeat| repeat.error(&table.path, key))?;
        let mut matched = vec![false; right.len()];
        rows.iter().filter(|&&row| row != NO_ROW).for_each(|&row| matched[row as usize] = true);
        let n_unmatched = matched.iter().filter(|&&matched| !matched).count();
        if n_unmatched == right.len() {
            let message = format!("`{}`: no row shares its `{key}` with the first table", table.path.display());
            return Err(Error::permanent(message).hint("is it the right file, and the right key?"));
        }
        if n_unmatched > 0 {
            let what = format!("rows of `{}`", table.path.display());
            let reason = format!("their `{key}` is not in the first table");
            self.left_out.push(LeftOut { what, count: n_unmatched, reason });
        }
        Ok(rows)
    }

    fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find_map(|(known, column)| (known == name).then_some(column))
    }

    fn text(&self, name: &str) -> Option<&Texts> {
        self.column(name).and_then(|column| if let Column::Text(text) = column { Some(text) } else { None })
    }

    /// The cells of the target or the time, even if it is a key too.
    fn cells(&self, name: &str) -> Option<Cells> {
        match self.column(name)? {
            Column::Cells(cells) => Some(cells.clone()),
            Column::Text(texts) => {
                let mut levels = Levels::default();
                let codes: Vec<u32> = texts.iter().map(|text| levels.code(&text)).collect();
                Some(Cells::categorical(&codes, levels.names))
            }
            Column::Nothing => None,
        }
    }

    /// The time becomes a column where features are made of it; it is none of its own.
    fn finish(self, config: &DataConfig, reads_time: bool) -> Result<ReadData> {
        let path = config.tables.first().map(|source| source.path.clone()).unwrap_or_default();
        let unread = |name: &str| Error::failed(format!("column `{name}` was not read"));
        let target = &config.target.column;
        let labels = columns::labels(&self.cells(target).ok_or_else(|| unread(target))?, config, &self.files)?;
        let time = |name: &String| columns::times(&self.cells(name).ok_or_else(|| unread(name))?, name, &self.files);
        let times = config.time.as_ref().map(time).transpose()?;
        let (mut ids, mut table) = (None, Table::new(self.n_rows));
        let names: Vec<String> = self.columns.iter().map(|(name, _)| name.clone()).collect();
        for (name, column) in self.columns {
            match column {
                Column::Text(texts) if config.id.as_ref() == Some(&name) => ids = Some(texts),
                Column::Cells(cells) if name != *target && (reads_time || config.time.as_ref() != Some(&name)) => {
                    table.push(name, cells)
                }
                _ => {}
            }
        }
        if table.n_columns() == 0 {
            return Err(Error::permanent(format!("`{}`: no feature column is left", path.display()))
                .hint("id, target and time are never features; drop fewer columns"));
        }
        let columns = table.schema_columns();
        let is_read =
            |name: &String| columns.iter().any(|column| column.name == *name) || config.id.as_ref() == Some(name);
        // What callers may send although no model reads it; only worth a list where strangers are not ignored.
        let unread = match config.unknown_keys {
            UnknownKeys::Ignore => Vec::new(),
            _ => names.into_iter().filter(|name| !is_read(name)).collect(),
        };
        let schema = Schema { id: config.id.clone(), columns, unknown_keys: config.unknown_keys, unread };
        let ids = ids.unwrap_or_else(|| Texts::row_numbers(self.n_rows));
        let dataset = Arc::new(Dataset { table, labels, ids, times });
        Ok(ReadData { dataset, schema, fingerprints: self.fingerprints, left_out: self.left_out })
    }
}

/// Rows to score: the schema columns of one file, without labels.
#[derive(Debug)]
pub struct Unlabelled {
    pub table: Table,
    pub ids: Texts,
}

/// Reads CSV files of raw rows for scoring: the rows of the first, the others left-joined to it by the id column. A
/// column the files lack is an error; columns the schema does not know are ignored; a word in a number column is an
/// error with its line. Rows are numbered where there is no id.
pub fn read_unlabelled(paths: &[&Path], schema: &Schema, progress: &dyn Progress) -> Result<Unlabelled> {
    let (mut n_rows, mut ids, mut found) = (0, Texts::default(), std::collections::BTreeMap::new());
    for (at, path) in paths.iter().enumerate() {
        let storage = Storage::in_memory();
        let opened = Source::open(path, &storage, progress)?;
        let wanted = columns::wanted_by(schema, &opened.header);
        let mut table = read_table(opened, &wanted, &storage, progress)?;
        table.check_words(&[])?;
        let key = schema.id.as_ref().and_then(|id| Some((id, table.key(id)?)));
        let rows = match key {
            _ if at == 0 => {
                n_rows = table.builder.n_rows;
                ids = key.map_or_else(|| Texts::row_numbers(n_rows), |(_, key)| key.clone());
                None
            }
            Some((id, key)) => Some(join::left(&ids, key).map_err(|repeat| repeat.error(path, id))?),
            None => {
                let message = format!("`{}` can't be joined: it has no id column", path.display());
                return Err(Error::permanent(message).hint("further files are joined by the id column of the bundle"));
            }
        };
        for (name, column) in table.header.iter().zip(table.builder.finish(rows.as_deref())) {
            if let Column::Cells(cells) = column?
                && found.insert(name.clone(), cells).is_some()
            {
                return Err(Error::permanent(format!(
                    "`{}`: column `{name}` is already in another file",
                    path.display()
                ))
                .hint("a column may stand in one file only"));
            }
        }
    }
    let absent: Vec<String> =
        schema.columns.iter().map(|column| column.name.clone()).filter(|name| !found.contains_key(name)).collect();
    if !absent.is_empty() {
        let files = paths.iter().map(|path| format!("`{}`", path.display())).collect::<Vec<_>>().join(", ");
        let what = format!("{files}: columns the bundle was trained on are missing: {}", columns::brief_list(&absent));
        return Err(Error::permanent(what).hint("name the other files too: they are joined by the id column"));
    }
    let mut table = Table::new(n_rows);
    for column in &schema.columns {
        if let Some(cells) = found.remove(&column.name) {
            table.push(column.name.clone(), cells);
        }
    }
    Ok(Unlabelled { table, ids })
}

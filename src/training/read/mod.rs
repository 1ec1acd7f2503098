//! Read: declared tables become one [`Dataset`].
//!
//! In: CSV or `.csv.zst` files and a [`DataConfig`]. Out: columns in f64 or dictionary codes, labels, ids, times, the
//! fingerprint of every file, and what was left out. A first pass with crate `csv` checks the structure, tallies what
//! every column holds and hashes the bytes; only then polars reads, with every type declared. So an error always knows
//! its line and column, and no type is ever guessed from the first rows alone.

mod columns;
mod join;
mod polars_csv;
mod structure;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::config::{ColumnRole, DataConfig, TableSource};
use super::error::{Error, Result};
use super::progress::{Progress, Unit};
use super::rows::Dataset;
use crate::scoring::record;
use crate::scoring::schema::Schema;
use crate::scoring::table::{Cells, Table};
use structure::Structure;

pub use columns::closest;

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

/// How polars shall hand over a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Number,
    /// A number column with unusual spellings (`+1`, spaces): read as text, parsed by our own rules.
    NumberFromText,
    Level,
    /// Keys, ids and labels: the text itself.
    Text,
    Nothing,
}

/// One column as read.
enum Loaded {
    Cells(Cells),
    Text(Vec<String>),
}

/// Reads, joins and checks the declared tables.
pub fn read(config: &DataConfig, progress: &dyn Progress) -> Result<ReadData> {
    progress.begin(Unit::Rows, "reading", 0);
    let structures = config
        .tables
        .iter()
        .map(|source| structure::inspect(&source.path, progress))
        .collect::<Result<Vec<Structure>>>()?;
    columns::check_names(config, &structures)?;
    let mut joined = Joined::default();
    for (source, structure) in config.tables.iter().zip(&structures) {
        joined.add(config, source, structure)?;
    }
    let fingerprints = structures.iter().map(Structure::fingerprint).collect();
    progress.end(Unit::Rows);
    joined.finish(config, fingerprints)
}

/// Columns of all tables so far, on the rows of the first.
#[derive(Default)]
struct Joined {
    n_rows: usize,
    columns: Vec<(String, Loaded)>,
    left_out: Vec<LeftOut>,
    first: Option<std::path::PathBuf>,
}

impl Joined {
    fn add(&mut self, config: &DataConfig, source: &TableSource, structure: &Structure) -> Result<()> {
        let wanted = columns::wanted(config, structure)?;
        for (name, wanted) in structure.header.iter().zip(&wanted) {
            if *wanted == Wanted::Nothing {
                let reason = "declared `drop`".to_owned();
                self.left_out.push(LeftOut { what: format!("column `{name}`"), count: structure.n_rows, reason });
            }
        }
        let loaded = polars_csv::load(structure, &wanted)?;
        let Some(key) = &source.join else {
            self.n_rows = structure.n_rows;
            self.columns = loaded;
            self.first = Some(source.path.clone());
            return Ok(());
        };
        let left = self.text(key).ok_or_else(|| Error::failed(format!("join key `{key}` was not read")))?;
        let right = loaded.iter().find_map(|(name, column)| (name == key).then_some(column));
        let Some(Loaded::Text(right)) = right else {
            return Err(Error::failed(format!("join key `{key}` was not read")));
        };
        let rows = join::left(&canonical(left), &canonical(right)).map_err(|repeat| repeat.error(structure, key))?;
        if rows.iter().all(Option::is_none) {
            let message = format!("`{}`: no row shares its `{key}` with the first table", source.path.display());
            return Err(Error::permanent(message).hint("is it the right file, and the right key?"));
        }
        let unmatched = right.len() - rows.iter().flatten().collect::<BTreeSet<_>>().len();
        if unmatched > 0 {
            let what = format!("rows of `{}`", source.path.display());
            let reason = format!("their `{key}` is not in the first table");
            self.left_out.push(LeftOut { what, count: unmatched, reason });
        }
        let joined =
            loaded.into_iter().filter(|(name, _)| name != key).map(|(name, column)| (name, column.gather(&rows)));
        self.columns.extend(joined);
        Ok(())
    }

    fn text(&self, name: &str) -> Option<&Vec<String>> {
        self.columns.iter().find_map(|(known, column)| match column {
            Loaded::Text(text) if known == name => Some(text),
            _ => None,
        })
    }

    fn finish(mut self, config: &DataConfig, fingerprints: Vec<Fingerprint>) -> Result<ReadData> {
        let path = self.first.clone().unwrap_or_default();
        let labels = match self.text(&config.target.column) {
            Some(text) => columns::labels(text, config, &path)?,
            None => return Err(Error::failed(format!("target `{}` was not read", config.target.column))),
        };
        let ids = match config.id.as_deref().and_then(|id| self.text(id)) {
            Some(ids) => ids.clone(),
            None => (0..self.n_rows).map(|row| row.to_string()).collect(),
        };
        let times = match config.time.as_deref().and_then(|time| self.text(time)) {
            Some(text) => Some(columns::times(text, config.time.as_deref().unwrap_or_default(), &path)?),
            None => None,
        };
        let mut table = Table::new(self.n_rows);
        for (name, column) in self.columns.drain(..) {
            if let Loaded::Cells(cells) = column {
                table.push(name, cells);
            }
        }
        if table.n_columns() == 0 {
            return Err(Error::permanent(format!("`{}`: no feature column is left", path.display()))
                .hint("id, target and time are never features; drop fewer columns"));
        }
        let schema = Schema { id: config.id.clone(), columns: table.schema_columns() };
        let dataset = Arc::new(Dataset { table, labels, ids, times });
        Ok(ReadData { dataset, schema, fingerprints, left_out: self.left_out })
    }
}

impl Loaded {
    /// The cells at these rows; `None` is missing.
    fn gather(self, rows: &[Option<u32>]) -> Loaded {
        match self {
            Loaded::Text(text) => Loaded::Text(
                rows.iter().map(|row| row.map_or(String::new(), |row| text[row as usize].clone())).collect(),
            ),
            Loaded::Cells(Cells::Numeric(numbers)) => {
                let at = |row: &Option<u32>| row.map_or(f64::NAN, |row| numbers[row as usize]);
                Loaded::Cells(Cells::Numeric(rows.iter().map(at).collect()))
            }
            Loaded::Cells(Cells::Categorical { codes, levels }) => {
                let codes = rows.iter().map(|row| row.map_or(0, |row| codes[row as usize])).collect();
                Loaded::Cells(Cells::Categorical { codes, levels })
            }
        }
    }
}

/// Rows to score: the schema columns of one file, without labels.
#[derive(Debug)]
pub struct Unlabelled {
    pub table: Table,
    pub ids: Vec<String>,
}

/// Reads CSV files of raw rows for scoring: the rows of the first, the others left-joined to it by the id column. A
/// column the files lack is an error; columns the schema does not know are ignored; a word in a number column is an
/// error with its line. Rows are numbered where there is no id.
pub fn read_unlabelled(paths: &[&Path], schema: &Schema, progress: &dyn Progress) -> Result<Unlabelled> {
    let (mut n_rows, mut ids, mut found) = (0, Vec::new(), std::collections::BTreeMap::new());
    for (at, path) in paths.iter().enumerate() {
        let structure = structure::inspect(path, progress)?;
        let loaded = polars_csv::load(&structure, &columns::wanted_by(schema, &structure)?)?;
        let key = loaded.iter().find_map(|(_, column)| match column {
            Loaded::Text(text) => Some(text.clone()),
            Loaded::Cells(_) => None,
        });
        let rows = if at == 0 {
            n_rows = structure.n_rows;
            ids = key.unwrap_or_else(|| (0..n_rows).map(|row| row.to_string()).collect());
            (0..n_rows as u32).map(Some).collect()
        } else {
            let (Some(key), Some(id)) = (key, &schema.id) else {
                let message = format!("`{}` can't be joined: it has no id column", path.display());
                return Err(Error::permanent(message).hint("further files are joined by the id column of the bundle"));
            };
            join::left(&canonical(&ids), &canonical(&key)).map_err(|repeat| repeat.error(&structure, id))?
        };
        for (name, column) in loaded {
            if let Loaded::Cells(cells) = if at == 0 { column } else { column.gather(&rows) }
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

/// Join keys as levels: `7`, `7.0` and ` 7` are one key.
fn canonical(keys: &[String]) -> Vec<String> {
    keys.iter().map(|key| record::level(key).unwrap_or_default()).collect()
}

/// Dictionary codes of text cells by the rules of [`record::level`]; levels in order of first appearance.
fn categorical<'a>(cells: impl Iterator<Item = Option<&'a str>>) -> Cells {
    let mut known: std::collections::BTreeMap<String, u32> = std::collections::BTreeMap::new();
    let mut spelled: std::collections::BTreeMap<String, u32> = std::collections::BTreeMap::new();
    let mut levels = Vec::new();
    let mut code_of = |text: &str| {
        if let Some(&code) = spelled.get(text) {
            return code;
        }
        let code = match record::level(text) {
            None => 0,
            Some(level) => *known.entry(level.clone()).or_insert_with(|| {
                levels.push(level);
                levels.len() as u32
            }),
        };
        spelled.insert(text.to_owned(), code);
        code
    };
    let codes = cells.map(|cell| cell.map_or(0, &mut code_of)).collect();
    Cells::Categorical { codes, levels }
}

/// Whether a role was declared for a column: exact name before pattern, later pattern before earlier.
fn declared(config: &DataConfig, name: &str) -> Option<ColumnRole> {
    let exact = config.columns.iter().rev().find(|(pattern, _)| pattern == name);
    let by_pattern = || config.columns.iter().rev().find(|(pattern, _)| columns::matches(pattern, name));
    exact.or_else(by_pattern).map(|(_, role)| *role)
}

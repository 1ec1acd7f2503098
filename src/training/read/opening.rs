//! The files of a table, opened: those of this machine at once, those in a store one after another.
//!
//! In: a path or an address whose last part may hold `*` and `?`. Out: the header, and files in the order of their names. A
//! header that differs from the first file's is an error. `id-01` is read as `id_01`, as the test file of IEEE-CIS spells it.
//! An object is brought to a file without a name, the next one while it is read; so two of them lie on disk, and the first
//! of each table, whose header is looked at before anything is read. Nothing is left, however the reading ends.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::blocks::Blocks;
use super::input_file::InputFile;
use super::parquet::{ParquetFile, is_parquet};
use super::pattern::{RULES, address, expand};
use crate::scoring::record::canonical_name;
use crate::training::error::{Error, Result};
use crate::training::mapped::Storage;
use crate::training::progress::Progress;
use crate::training::run_store::partitions::Partitions;

pub(super) enum Input {
    Csv(Box<Blocks>),
    Parquet(ParquetFile),
}

/// A file of which nothing but the header was read.
pub(super) struct Opened {
    pub name: PathBuf,
    pub input: Input,
}

/// Files that are still to be read.
pub(super) enum Coming {
    Here(std::vec::IntoIter<Opened>),
    There(Box<Remote>),
}

/// Objects that are still to be brought.
pub(super) struct Remote {
    partitions: Partitions,
    storage: Storage,
    /// Of the first object, which all have.
    header: Vec<String>,
    first: Option<Opened>,
    n_brought: usize,
}

impl Coming {
    pub fn open(path: &Path, storage: &Storage, progress: &dyn Progress) -> Result<(Vec<String>, Coming)> {
        match address(path) {
            None => open_here(path),
            Some(address) => {
                let remote = Remote::open(address, storage, progress)?;
                Ok((remote.header.clone(), Coming::There(Box::new(remote))))
            }
        }
    }

    pub fn first(&mut self) -> Option<Opened> {
        match self {
            Coming::Here(files) => files.next(),
            Coming::There(remote) => remote.first.take(),
        }
    }

    /// Does the work on one file while the next is brought here.
    pub fn next_beside<T>(
        &mut self,
        work: impl FnOnce() -> Result<T>,
        progress: &dyn Progress,
    ) -> Result<(T, Option<Opened>)> {
        match self {
            Coming::Here(files) => Ok((work()?, files.next())),
            Coming::There(remote) => remote.next_beside(work, progress),
        }
    }
}

fn open_here(path: &Path) -> Result<(Vec<String>, Coming)> {
    let mut files: Vec<Opened> = Vec::new();
    let mut header: Vec<String> = Vec::new();
    for path in expand(path)? {
        let (opened, found) = open(InputFile::at(path))?;
        match files.first() {
            None => header = found,
            Some(first) => same_header(&first.name, &header, &opened.name, &found)?,
        }
        files.push(opened);
    }
    Ok((header, Coming::Here(files.into_iter())))
}

impl Remote {
    fn open(address: &str, storage: &Storage, progress: &dyn Progress) -> Result<Remote> {
        let partitions = Partitions::find(address, RULES)?;
        let (first, header) = bring(&partitions, 0, storage, &|| progress.interrupted())?;
        Ok(Remote { partitions, storage: storage.clone(), header, first: Some(first), n_brought: 1 })
    }

    fn next_beside<T>(
        &mut self,
        work: impl FnOnce() -> Result<T>,
        progress: &dyn Progress,
    ) -> Result<(T, Option<Opened>)> {
        let given_up = AtomicBool::new(false);
        let stop = || given_up.load(Ordering::Relaxed) || progress.interrupted();
        let (done, next) = std::thread::scope(|scope| {
            let coming = scope.spawn(|| self.bring_next(&stop));
            let done = work();
            given_up.store(done.is_err(), Ordering::Relaxed);
            (done, coming.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        // What is wrong with this file is told before what is wrong with the next.
        Ok((done?, next?))
    }

    fn bring_next(&mut self, stop: &(dyn Fn() -> bool + '_)) -> Result<Option<Opened>> {
        if self.n_brought == self.partitions.count() {
            return Ok(None);
        }
        let (opened, found) = bring(&self.partitions, self.n_brought, &self.storage, stop)?;
        same_header(&self.partitions.name(0), &self.header, &opened.name, &found)?;
        self.n_brought += 1;
        Ok(Some(opened))
    }
}

/// An object in a file of its own, opened.
fn bring(
    partitions: &Partitions,
    nth: usize,
    storage: &Storage,
    stop: &dyn Fn() -> bool,
) -> Result<(Opened, Vec<String>)> {
    let name = partitions.name(nth);
    let file = storage.passing(partitions.size(nth)).map_err(|error| error.within(&format!("`{}`", name.display())))?;
    partitions.bring(nth, &file, stop)?;
    open(InputFile::brought(name, file))
}

/// A file and its header, by the names that columns will have.
fn open(file: InputFile) -> Result<(Opened, Vec<String>)> {
    let name = file.name.clone();
    let (input, header) = if is_parquet(&name) {
        let parquet = ParquetFile::open(file)?;
        let header = parquet.header.clone();
        (Input::Parquet(parquet), header)
    } else {
        let blocks = Blocks::open(&file)?;
        let header = blocks.header.clone();
        (Input::Csv(Box::new(blocks)), header)
    };
    Ok((Opened { name, input }, aliased(header)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_spellings_are_one() {
        let header = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<String>>();
        assert_eq!(aliased(header(&["id-01", "id-x", "V1"])), header(&["id_01", "id-x", "V1"]));
        assert_eq!(aliased(header(&["id-01", "id_01"])), header(&["id-01", "id_01"]));
    }
}

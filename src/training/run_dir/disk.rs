//! Every lasting change that a run makes to the disk is one of these: what a power cut can undo is a suffix of them.
//!
//! A file's bytes are there to stay once it is synced, its name once its folder is. Tests record the changes and replay
//! every prefix, with and without what was not synced, and let any of them fail ([`super::tests`]).

use std::fs::{self, File};
use std::io::Result;
use std::path::Path;

#[derive(Debug, Clone, Copy)]
pub enum Change<'p> {
    /// Its parent is there.
    MakeFolder(&'p Path),
    /// What was written to the file so far.
    SyncFile(&'p File, #[cfg_attr(not(test), allow(dead_code))] &'p Path),
    /// The names in it.
    SyncFolder(&'p Path),
    /// In one folder; a file replaces a file, a folder an empty one.
    Rename(&'p Path, &'p Path),
    RemoveFolder(&'p Path),
}

impl Change<'_> {
    pub fn make(self) -> Result<()> {
        #[cfg(test)]
        super::tests::recorder::before(self)?;
        match self {
            Change::MakeFolder(path) => match fs::create_dir(path) {
                Err(_) if path.is_dir() => Ok(()),
                made => made,
            },
            Change::SyncFile(file, _) => file.sync_all(),
            Change::SyncFolder(path) => File::open(path)?.sync_all(),
            Change::Rename(from, to) => fs::rename(from, to),
            Change::RemoveFolder(path) => fs::remove_dir_all(path),
        }
    }
}

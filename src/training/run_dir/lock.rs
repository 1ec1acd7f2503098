//! Who writes to a folder: one process alone, or several that keep out of each other's way. Locks lie on the folder itself
//! and end with the process, however it ends.
//!
//! Limits: where a file system knows no locks (some network ones), nobody is kept out. Two trainings of one run then do the
//! same work twice and leave the same bytes, for files appear whole under names that their content gives.

use std::fs::{File, TryLockError};
use std::path::Path;

/// How files and folders are called until they are published.
pub const UNPUBLISHED: &str = ".writing-";

/// Held as long as this lives.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code, reason = "dropping it is what it is for")] Option<File>);

/// The folder for this process alone; `None`: another one writes to it.
pub fn alone(folder: &Path) -> Option<Lock> {
    let Ok(file) = File::open(folder) else { return Some(Lock(None)) };
    match file.try_lock() {
        Ok(()) => Some(Lock(Some(file))),
        Err(TryLockError::WouldBlock) => None,
        Err(TryLockError::Error(_)) => Some(Lock(None)),
    }
}

/// The folder for this process and others. Whoever comes when nobody is there removes what killed ones left unpublished.
pub fn together(folder: &Path) -> Lock {
    let Ok(file) = File::open(folder) else { return Lock(None) };
    if file.try_lock().is_ok() {
        remove_unpublished(folder);
        // A lock is not turned into another in one step; nothing of this process is there yet that others could remove.
        let _ = file.unlock();
    }
    Lock(file.lock_shared().is_ok().then_some(file))
}

/// What was never published. That it can't be removed is no reason not to go on.
pub fn remove_unpublished(folder: &Path) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(UNPUBLISHED)) {
        let path = entry.path();
        let _ = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
    }
}

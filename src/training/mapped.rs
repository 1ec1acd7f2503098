//! Bytes that lie in memory, or in a file mapped into it when the run's budget is spent.
//!
//! In: a length. Out: [`StoredBytes`], zeroed, written while being built and then read like any slice. A file is made
//! without a name in the folder of runs (or loses its name at once), so that nothing is left however the run ends, and
//! its blocks are reserved before it is mapped: a full disk is an error here, never a signal later. What lies where
//! changes no result.

use std::fs::File;
use std::io::Write;
use std::ops::{Deref, DerefMut, Range};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::{Advice, MmapMut};

use super::error::{Error, Result, io_reason};
use crate::scoring::packed::HeldBytes;

/// Where the large arrays of a run lie.
#[derive(Debug, Clone)]
pub struct Storage {
    folder: PathBuf,
    budget: Option<u64>,
    /// Bytes lent in memory.
    lent: Arc<AtomicU64>,
}

impl Storage {
    /// At most `budget` bytes in memory, the rest in files without a name in `folder`.
    pub fn new(budget: Option<u64>, folder: impl Into<PathBuf>) -> Storage {
        Storage { folder: folder.into(), budget, lent: Arc::default() }
    }

    pub fn in_memory() -> Storage {
        Storage::new(None, "")
    }

    /// Bytes that the columns may take in memory: a quarter of the budget, for while they are read the text and its numbers
    /// stand beside them, and later their bins.
    pub fn room_of_columns(&self) -> Option<u64> {
        self.budget.map(|budget| budget / 4)
    }

    /// Zeroed bytes: in memory while the budget lasts.
    pub fn zeroed(&self, len: usize) -> Result<StoredBytes> {
        let fits = |room: u64| self.lent.load(Ordering::Relaxed).saturating_add(len as u64) <= room;
        match self.budget.is_none_or(fits) {
            true if len >= HUGE_PAGE => {
                // Rows of a node lie anywhere in the codes: with pages of 4 KB forests take a thirtieth longer.
                let pages = self.passing_memory(len)?;
                #[cfg(target_os = "linux")]
                let _ = pages.advise(Advice::HugePage);
                Ok(StoredBytes(Held::Pages { bytes: pages, _lent: self.lend(len) }))
            }
            true => Ok(self.hold(vec![0; len])),
            false => self.mapped(len),
        }
    }

    fn lend(&self, len: usize) -> Lent {
        self.lent.fetch_add(len as u64, Ordering::Relaxed);
        Lent(len as u64, self.lent.clone())
    }

    /// Bytes that are in memory already; they count.
    pub fn hold(&self, bytes: Vec<u8>) -> StoredBytes {
        let _lent = self.lend(bytes.len());
        StoredBytes(Held::Memory { bytes, _lent })
    }

    /// Zeroed bytes in a file.
    pub fn mapped(&self, len: usize) -> Result<StoredBytes> {
        if len == 0 {
            return Ok(self.hold(Vec::new()));
        }
        let map = || -> std::io::Result<MmapMut> {
            let mut file = tempfile::tempfile_in(&self.folder)?;
            reserve(&mut file, len)?;
            map(&file)
        };
        map().map(|map| StoredBytes(Held::File(map))).map_err(|error| self.full(len, &error))
    }

    /// Zeroed bytes in memory that go back to the system when they are dropped, where allocators keep theirs.
    pub fn passing_memory(&self, len: usize) -> Result<MmapMut> {
        MmapMut::map_anon(len.max(1))
            .map_err(|error| Error::failed(format!("{len} bytes of memory can't be had: {}", io_reason(&error))))
    }

    /// A file without a name, for what is written once and read once.
    pub fn file(&self) -> Result<File> {
        tempfile::tempfile_in(&self.folder).map_err(|error| self.full(0, &error))
    }

    /// A file without a name for a part of a table that is brought from a store, its blocks reserved: beside the runs, or
    /// among other temporary files where there is no run.
    pub fn passing(&self, len: u64) -> Result<File> {
        let folder = if self.folder.as_os_str().is_empty() { std::env::temp_dir() } else { self.folder.clone() };
        let make = || -> std::io::Result<File> {
            let mut file = tempfile::tempfile_in(&folder)?;
            if len > 0 {
                reserve(&mut file, len as usize)?;
            }
            Ok(file)
        };
        make().map_err(|error| {
            let (folder, reason) = (folder.display(), io_reason(&error));
            Error::failed(format!("a file of {len} bytes in `{folder}` can't be made: {reason}")).hint(
                "an object of a table and the next lie on disk while they are read: free space, or make them smaller",
            )
        })
    }

    pub fn full(&self, len: usize, error: &std::io::Error) -> Error {
        let (folder, reason) = (self.folder.display(), io_reason(error));
        Error::failed(format!("a file of {len} bytes beside the runs in `{folder}` can't be made: {reason}"))
            .hint("columns and bins that exceed `limits.memory_budget` lie on disk: free some space, or raise it")
    }
}

/// Makes the file `len` bytes long, all of them on disk.
fn reserve(file: &mut File, len: usize) -> std::io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;
    match fallocate(&*file, FallocateFlags::empty(), 0, len as u64) {
        Ok(()) => return Ok(()),
        Err(Errno::OPNOTSUPP) => {}
        Err(error) => return Err(error.into()),
    }
    // A file system that reserves nothing in advance: written out, it holds its blocks too.
    let zeros = vec![0; len.min(1 << 20)];
    let mut left = len;
    while left > 0 {
        let written = file.write(&zeros[..left.min(zeros.len())])?;
        left -= written;
    }
    Ok(())
}

/// The one place that needs `unsafe`: a mapping is undefined behaviour if someone else changes or cuts the file. This
/// one is our own, has no name by which another could open it, is as long as its mapping, and no handle to it is kept.
#[allow(unsafe_code)]
fn map(file: &File) -> std::io::Result<MmapMut> {
    // SAFETY: see above.
    let map = unsafe { MmapMut::map_mut(file) }?;
    // Readers say what they want ([`StoredBytes::expect`]). A system that guesses brings up to megabytes around each page that is
    // missing: scoring the held-out rows of 2,000,000 under 1 GiB read 170 GB in four minutes and came to no end.
    let _ = map.advise(Advice::Random);
    Ok(map)
}

/// Bytes wherever they lie. They read and write as a slice; a file goes when they are dropped.
#[derive(Debug)]
pub struct StoredBytes(Held);

#[derive(Debug)]
enum Held {
    Memory { bytes: Vec<u8>, _lent: Lent },
    Pages { bytes: MmapMut, _lent: Lent },
    File(MmapMut),
}

/// Bytes lent from a budget, until they are dropped.
#[derive(Debug)]
struct Lent(u64, Arc<AtomicU64>);

impl Drop for Lent {
    fn drop(&mut self) {
        self.1.fetch_sub(self.0, Ordering::Relaxed);
    }
}

/// A large page, where the system has them.
const HUGE_PAGE: usize = 2 << 20;

impl StoredBytes {
    pub fn is_mapped(&self) -> bool {
        matches!(self.0, Held::File(_))
    }

    /// These bytes are about to be read: a disk begins to bring them, in pieces. What is not expected comes page by page.
    pub fn expect(&self, bytes: Range<usize>) {
        // More than the system takes at once.
        const PIECE: usize = 1 << 20;
        if let Held::File(map) = &self.0 {
            for start in bytes.clone().step_by(PIECE) {
                // Advice: refused, it changes nothing.
                let _ = map.advise_range(Advice::WillNeed, start, PIECE.min(bytes.end - start));
            }
        }
    }
}

impl Deref for StoredBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Held::Memory { bytes, .. } => bytes,
            Held::Pages { bytes, .. } | Held::File(bytes) => bytes,
        }
    }
}

impl DerefMut for StoredBytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.0 {
            Held::Memory { bytes, .. } => bytes,
            Held::Pages { bytes, .. } | Held::File(bytes) => bytes,
        }
    }
}

impl HeldBytes for StoredBytes {
    fn expect(&self, bytes: Range<usize>) {
        self.expect(bytes);
    }
}

impl AsRef<[u8]> for StoredBytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_budget_bytes_lie_in_a_file_without_a_name() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::new(Some(100), folder.path());
        let first = storage.zeroed(60).unwrap();
        let mut second = storage.zeroed(100_000).unwrap();
        assert!(!first.is_mapped() && second.is_mapped());
        assert!(second.iter().all(|&byte| byte == 0));
        second.chunks_mut(1000).zip(0u8..).for_each(|(chunk, at)| chunk.fill(at));
        assert!(second.chunks(1000).zip(0u8..).all(|(chunk, at)| chunk.iter().all(|&byte| byte == at)));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing to leave behind");
        drop(first);
        assert!(!storage.zeroed(100).unwrap().is_mapped(), "what was given back can be lent again");
        assert!(storage.mapped(0).unwrap().is_empty());
    }

    #[test]
    fn a_disk_without_room_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let error = Storage::new(Some(0), folder.path()).zeroed(1 << 60).unwrap_err();
        assert!(error.message.contains("can't be made") && error.hint.is_some(), "{error}");
        assert!(Storage::new(Some(0), folder.path().join("absent")).zeroed(1).is_err());
    }

    #[test]
    fn what_passes_through_has_its_blocks_before_it_comes() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().unwrap();
        for (storage, len) in [(Storage::new(None, folder.path()), 100_000), (Storage::in_memory(), 0)] {
            let found = storage.passing(len).unwrap().metadata().unwrap();
            assert!(found.len() == len && found.blocks() * 512 >= len, "{found:?}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing to leave behind");
        for (folder, len) in [(folder.path().to_owned(), 1 << 60), (folder.path().join("absent"), 1)] {
            let error = Storage::new(None, &folder).passing(len).unwrap_err();
            assert!(error.message.contains(&folder.display().to_string()) && error.hint.is_some(), "{error}");
        }
    }
}

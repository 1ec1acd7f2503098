//! Files of a run: written to a temporary name in the same folder, synced, renamed.
//!
//! A killed process, or a power cut, leaves the old file or the new one, and a cell folder whole or not at all. Cells are
//! addressed by content ([`super::cells`] makes the keys), so two runs share what they have in common.

mod disk;
mod lock;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::cells::Cell;
use super::error::{Error, Result, io_reason};
use super::table_file::Scores;
use crate::scoring::bundle::sha256_hex;
use disk::Change;
pub use lock::Lock;
use lock::UNPUBLISHED;

/// The largest JSON document of a run that is read back.
const MAX_JSON_BYTES: u64 = 256 << 20;

fn failed(path: &Path, doing: &str, error: &std::io::Error) -> Error {
    use std::io::ErrorKind::{NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem};
    let message = format!("`{}` can't be {doing}: {}", path.display(), io_reason(error));
    let kind = match error.kind() {
        NotFound | PermissionDenied | NotADirectory | ReadOnlyFilesystem => Error::permanent(message),
        // A full disk or a failing one: trying again may help.
        _ => Error::failed(message),
    };
    kind.hint("check the folder's permissions and the free space, or choose another under `output`")
}

/// Makes a folder with its parents, each with its name there to stay.
pub fn create_folder(path: &Path) -> Result<()> {
    fn create(path: &Path) -> std::io::Result<()> {
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => return Ok(()),
            Ok(_) => return Err(std::io::ErrorKind::NotADirectory.into()),
            Err(_) => {}
        }
        let parent = folder_of(path);
        create(parent)?;
        Change::MakeFolder(path).make()?;
        Change::SyncFolder(parent).make()
    }
    create(path).map_err(|error| failed(path, "made", &error))
}

/// The folder of a run for this process alone, rid of what a killed one left unpublished.
pub fn lock_run(folder: &Path) -> Result<Lock> {
    create_folder(folder)?;
    let Some(lock) = lock::alone(folder) else {
        let message = format!("`{}`: another process trains this run", folder.display());
        return Err(Error::transient(message).hint("wait until it is done: then this command shows what it left"));
    };
    ["", "splits", "rows"].into_iter().for_each(|below| lock::remove_unpublished(&folder.join(below)));
    Ok(lock)
}

/// A folder that goes when it is dropped; a killed process leaves it, and nobody looks into it.
pub fn scratch_folder(parent: &Path) -> Result<tempfile::TempDir> {
    tempfile::Builder::new().prefix(".scratch-").tempdir_in(parent).map_err(|error| failed(parent, "written", &error))
}

/// A folder that this process and others publish to, rid of what killed ones left there.
pub fn share_folder(folder: &Path) -> Result<Lock> {
    create_folder(folder)?;
    prove_writable(folder)?;
    Ok(lock::together(folder))
}

/// Fails now if nothing can be written to a folder later.
pub fn prove_writable(folder: &Path) -> Result<()> {
    tempfile::tempfile_in(folder).map(drop).map_err(|error| failed(folder, "written", &error))
}

/// Writes a file so that a reader sees all of it or what was there before.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.writer().write_all(bytes).map_err(|error| failed(path, "written", &error))?;
    file.publish()
}

/// A large file that is streamed out and appears only when it is published.
#[derive(Debug)]
pub struct AtomicFile {
    file: tempfile::NamedTempFile,
    path: PathBuf,
}

impl AtomicFile {
    pub fn create(path: &Path) -> Result<AtomicFile> {
        // Through a link, so that its target is written and the link stays.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let folder = folder_of(&path);
        create_folder(folder)?;
        let file = tempfile::Builder::new().prefix(UNPUBLISHED).tempfile_in(folder);
        Ok(AtomicFile { file: file.map_err(|error| failed(&path, "written", &error))?, path })
    }

    pub fn writer(&mut self) -> &mut dyn Write {
        &mut self.file
    }

    pub fn publish(self) -> Result<()> {
        let AtomicFile { file, path } = self;
        let publish = || -> std::io::Result<()> {
            readable(file.path())?;
            Change::SyncFile(file.as_file(), file.path()).make()?;
            let unpublished = file.into_temp_path();
            Change::Rename(&unpublished, &path).make()?;
            Change::SyncFolder(folder_of(&path)).make()
        };
        publish().map_err(|error| failed(&path, "written", &error))?;
        tracing::debug!(path = %path.display(), "written");
        Ok(())
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Temporary files are private; what is kept gets the ordinary mode.
fn readable(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = if path.is_dir() { 0o755 } else { 0o644 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

/// Refuses a JSON file whose format is newer than what this version knows; one that can't be read is told by its reader.
pub fn refuse_newer(path: &Path, known: u32) -> Result<()> {
    #[derive(serde::Deserialize)]
    struct Numbered {
        format: u32,
    }
    match read_json(path) {
        Ok(Numbered { format }) if format > known => {
            let message = format!("`{}` has format {format}, this version reads format {known}", path.display());
            Err(Error::permanent(message).hint("use the version of fraudml that wrote it, or a newer one"))
        }
        _ => Ok(()),
    }
}

/// A bounded read of a JSON file this tool wrote.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let read = || -> std::io::Result<Vec<u8>> {
        if fs::metadata(path)?.len() > MAX_JSON_BYTES {
            return Err(std::io::Error::other("it is larger than 256 MiB"));
        }
        fs::read(path)
    };
    let bytes = read().map_err(|error| failed(path, "read", &error))?;
    serde_json::from_slice(&bytes).map_err(|error| {
        Error::permanent(format!("`{}` can't be read: {error}", path.display()))
            .hint("run `fraudml train` again to write it anew")
    })
}

/// JSON as this tool writes it: readable, one newline at the end.
pub fn to_json(value: &impl serde::Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(value).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// A frozen final fit.
#[derive(Debug)]
pub struct FrozenFit {
    pub preprocessor: Vec<u8>,
    pub model: Vec<u8>,
}

/// Of a SHA-256 in hex.
const HASH_BYTES: usize = 64;

/// Whether a part of a forest is what its own first bytes say.
pub fn is_whole_part(file: &[u8]) -> bool {
    file.split_at_checked(HASH_BYTES).is_some_and(|(hash, trees)| sha256_hex(trees).as_bytes() == hash)
}

/// `experiments/cells/`, and `experiments/trees/` beside it.
#[derive(Debug, Clone)]
pub struct CellStore {
    folder: PathBuf,
    /// Of a store that is written to.
    #[allow(dead_code, reason = "held as long as the store is")]
    lock: Option<Arc<Lock>>,
}

impl CellStore {
    /// The store beside a run's folder, to be read.
    pub fn beside(run: &Path) -> CellStore {
        CellStore { folder: run.parent().unwrap_or(Path::new(".")).join("cells"), lock: None }
    }

    /// Opens the store and proves that it can be written.
    pub fn open(experiments: &Path) -> Result<CellStore> {
        let folder = experiments.join("cells");
        let lock = Some(Arc::new(share_folder(&folder)?));
        Ok(CellStore { folder, lock })
    }

    fn path(&self, key: &str, file: &str) -> PathBuf {
        self.folder.join(key).join(file)
    }

    /// Whether the cell is there and every file is what it was; a damaged one counts as missing and is made again.
    pub fn has(&self, key: &str) -> bool {
        let is_whole = |(file, hash): (&String, &String)| {
            fs::read(self.path(key, file)).is_ok_and(|bytes| sha256_hex(&bytes) == *hash)
        };
        let cell = self.cell(key).ok().filter(|cell| cell.key == key);
        cell.is_some_and(|cell| cell.files.iter().all(is_whole) && self.path(key, "scores.parquet").is_file())
    }

    pub fn cell(&self, key: &str) -> Result<Cell> {
        self.refuse_newer(key)?;
        read_json(&self.path(key, "cell.json"))
    }

    /// A cell of a newer version is no damaged one.
    pub fn refuse_newer(&self, key: &str) -> Result<()> {
        refuse_newer(&self.path(key, "cell.json"), Cell::FORMAT)
    }

    /// Name and bytes of every file of a cell, by name.
    pub fn files(&self, key: &str) -> Result<Vec<(String, Vec<u8>)>> {
        let folder = self.folder.join(key);
        let read = || -> std::io::Result<Vec<(String, Vec<u8>)>> {
            let entries = fs::read_dir(&folder)?.collect::<std::io::Result<Vec<_>>>()?;
            let file =
                |entry: fs::DirEntry| Ok((entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?));
            entries.into_iter().map(file).collect()
        };
        let mut files = read().map_err(|error| failed(&folder, "read", &error))?;
        files.sort();
        Ok(files)
    }

    pub fn scores(&self, key: &str) -> Result<Scores> {
        let path = self.path(key, "scores.parquet");
        let bytes = fs::read(&path).map_err(|error| failed(&path, "read", &error))?;
        // polars aborts the process on some malformed files: what was changed never gets there.
        if self.cell(key)?.files.get("scores.parquet").is_some_and(|hash| *hash != sha256_hex(&bytes)) {
            return Err(Error::permanent(format!(
                "`{}` was changed: its SHA-256 is not the one in `cell.json`",
                path.display()
            ))
            .hint("run `fraudml train` again: it makes the cell anew"));
        }
        Scores::from_parquet(bytes, &path.display().to_string())
    }

    pub fn frozen_fit(&self, key: &str) -> Result<FrozenFit> {
        let read = |file: &str| {
            let path = self.path(key, file);
            fs::read(&path).map_err(|error| failed(&path, "read", &error))
        };
        Ok(FrozenFit { preprocessor: read("preprocessor.json")?, model: read("model.safetensors")? })
    }

    /// Publishes a finished cell: the folder appears whole, under its key. If it is there already, that one stays.
    pub fn publish(&self, mut cell: Cell, scores: &Scores, frozen: Option<&FrozenFit>) -> Result<()> {
        let mut files = vec![("scores.parquet", scores.to_parquet()?)];
        if let Some(frozen) = frozen {
            files.push(("preprocessor.json", frozen.preprocessor.clone()));
            files.push(("model.safetensors", frozen.model.clone()));
        }
        cell.files = files.iter().map(|(file, bytes)| ((*file).to_owned(), sha256_hex(bytes))).collect();
        files.push(("cell.json", to_json(&cell)));
        publish_folder(&self.folder, &cell.key, &files, || self.has(&cell.key))
    }

    /// Trees that are a part of a forest: the SHA-256 of what follows, then that.
    fn trees_path(&self, key: &str) -> PathBuf {
        self.folder.with_file_name("trees").join(format!("{key}.bin"))
    }

    /// The file of a part of a forest as it lies there, if it is whole.
    pub fn trees_file(&self, key: &str) -> Option<Vec<u8>> {
        fs::read(self.trees_path(key)).ok().filter(|file| is_whole_part(file))
    }

    /// A part of a forest; none if it is not there or was damaged.
    pub fn trees(&self, key: &str) -> Option<Vec<u8>> {
        self.trees_file(key).map(|mut file| file.split_off(HASH_BYTES))
    }

    pub fn publish_trees(&self, key: &str, trees: &[u8]) -> Result<()> {
        self.adopt_trees(key, &[sha256_hex(trees).as_bytes(), trees].concat())
    }

    pub fn adopt_trees(&self, key: &str, file: &[u8]) -> Result<()> {
        write_atomic(&self.trees_path(key), file)
    }

    /// Publishes a cell that another machine made, by its files.
    pub fn adopt(&self, key: &str, files: &[(String, Vec<u8>)]) -> Result<()> {
        publish_folder(&self.folder, key, files, || self.has(key))
    }
}

/// Makes a folder of files appear whole under its name. What is there already stays if `is_whole`, else it is replaced.
pub fn publish_folder<N: AsRef<Path>>(
    parent: &Path,
    name: &str,
    files: &[(N, Vec<u8>)],
    is_whole: impl Fn() -> bool,
) -> Result<()> {
    let publish = || -> std::io::Result<()> {
        let folder = tempfile::Builder::new().prefix(UNPUBLISHED).tempdir_in(parent)?;
        readable(folder.path())?;
        for (file, bytes) in files {
            let path = folder.path().join(file);
            let mut file = fs::OpenOptions::new().create_new(true).write(true).open(&path)?;
            file.write_all(bytes)?;
            Change::SyncFile(&file, &path).make()?;
        }
        Change::SyncFolder(folder.path()).make()?;
        let target = parent.join(name);
        match Change::Rename(folder.path(), &target).make() {
            Err(_) if target.is_dir() && is_whole() => {}
            Err(_) if target.is_dir() => {
                Change::RemoveFolder(&target).make()?;
                Change::Rename(folder.path(), &target).make()?;
            }
            renamed => renamed?,
        }
        Change::SyncFolder(parent).make()
    };
    publish().map_err(|error| failed(&parent.join(name), "written", &error))
}

//! Files of a run: written to a temporary name in the same folder, synced, renamed.
//!
//! A killed process leaves the old file or the new one, and a cell folder whole or not at all. Cells are addressed by
//! content ([`super::cells`] makes the keys), so two runs share what they have in common.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::cells::Cell;
use super::error::{Error, Result, io_reason};
use super::table_file::Scores;

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

/// Makes a folder with its parents.
pub fn create_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|error| failed(path, "made", &error))
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
        let file = tempfile::Builder::new().prefix(".writing-").tempfile_in(folder);
        Ok(AtomicFile { file: file.map_err(|error| failed(&path, "written", &error))?, path })
    }

    pub fn writer(&mut self) -> &mut dyn Write {
        &mut self.file
    }

    pub fn publish(self) -> Result<()> {
        let AtomicFile { file, path } = self;
        let publish = || -> std::io::Result<()> {
            file.as_file().sync_all()?;
            readable(file.path())?;
            file.persist(&path).map_err(|error| error.error)?;
            fs::File::open(folder_of(&path))?.sync_all()
        };
        publish().map_err(|error| failed(&path, "written", &error))
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

/// `experiments/cells/`.
#[derive(Debug, Clone)]
pub struct CellStore {
    folder: PathBuf,
}

impl CellStore {
    /// The store beside a run's folder, to be read.
    pub fn beside(run: &Path) -> CellStore {
        CellStore { folder: run.parent().unwrap_or(Path::new(".")).join("cells") }
    }

    /// Opens the store and proves that it can be written.
    pub fn open(experiments: &Path) -> Result<CellStore> {
        let folder = experiments.join("cells");
        create_folder(&folder)?;
        prove_writable(&folder)?;
        Ok(CellStore { folder })
    }

    fn path(&self, key: &str, file: &str) -> PathBuf {
        self.folder.join(key).join(file)
    }

    /// Whether the cell is there and readable; a damaged one counts as missing and is made again.
    pub fn has(&self, key: &str) -> bool {
        self.cell(key).is_ok_and(|cell| cell.key == key) && self.path(key, "scores.parquet").is_file()
    }

    pub fn cell(&self, key: &str) -> Result<Cell> {
        read_json(&self.path(key, "cell.json"))
    }

    pub fn scores(&self, key: &str) -> Result<Scores> {
        let path = self.path(key, "scores.parquet");
        let bytes = fs::read(&path).map_err(|error| failed(&path, "read", &error))?;
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
    pub fn publish(&self, cell: &Cell, scores: &Scores, frozen: Option<&FrozenFit>) -> Result<()> {
        let mut files = vec![("cell.json", to_json(cell)), ("scores.parquet", scores.to_parquet()?)];
        if let Some(frozen) = frozen {
            files.push(("preprocessor.json", frozen.preprocessor.clone()));
            files.push(("model.safetensors", frozen.model.clone()));
        }
        publish_folder(&self.folder, &cell.key, &files, || self.has(&cell.key))
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
        let folder = tempfile::Builder::new().prefix(".writing-").tempdir_in(parent)?;
        for (file, bytes) in files {
            let mut file = fs::OpenOptions::new().create_new(true).write(true).open(folder.path().join(file))?;
            file.write_all(bytes)?;
            file.sync_all()?;
        }
        fs::File::open(folder.path())?.sync_all()?;
        readable(folder.path())?;
        let target = parent.join(name);
        match fs::rename(folder.path(), &target) {
            Err(_) if is_whole() => {}
            Err(_) if target.is_dir() => {
                fs::remove_dir_all(&target)?;
                fs::rename(folder.path(), &target)?;
            }
            renamed => renamed?,
        }
        fs::File::open(parent)?.sync_all()
    };
    publish().map_err(|error| failed(&parent.join(name), "written", &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_replaces_whole_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/run.json");
        write_atomic(&path, b"one").unwrap();
        write_atomic(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_is_a_file_is_refused_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        write_atomic(&folder.path().join("taken"), b"").unwrap();
        let error = CellStore::open(&folder.path().join("taken")).unwrap_err();
        assert!(error.message.contains("taken/cells"), "{}", error.message);
    }
}

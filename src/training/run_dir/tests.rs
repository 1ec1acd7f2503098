//! Power cuts: what was changed is recorded, every prefix is replayed without some of what was not synced, and the same
//! work is done again on what is left. Full disks: each change fails once.

use std::collections::BTreeMap;

use super::*;
use crate::training::evaluate::{ResamplingReport, measure};

/// Stands before every [`Change`] of its thread while it is switched on.
pub(super) mod recorder {
    use std::cell::RefCell;
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::super::disk::Change;

    /// A change by itself.
    #[derive(Debug, Clone, PartialEq)]
    pub enum Recorded {
        MakeFolder(PathBuf),
        Write(PathBuf, Vec<u8>),
        SyncFile(PathBuf),
        SyncFolder(PathBuf),
        Rename(PathBuf, PathBuf),
        RemoveFolder(PathBuf),
    }

    #[derive(Default)]
    struct Recorder {
        root: PathBuf,
        changes: Vec<Recorded>,
        fails_at: Option<usize>,
        n_made: usize,
    }

    thread_local!(static RECORDER: RefCell<Option<Recorder>> = const { RefCell::new(None) });

    pub fn before(change: Change) -> std::io::Result<()> {
        RECORDER.with_borrow_mut(|recorder| {
            let Some(recorder) = recorder else { return Ok(()) };
            recorder.n_made += 1;
            if recorder.fails_at == Some(recorder.n_made - 1) {
                return Err(std::io::ErrorKind::StorageFull.into());
            }
            let at = |path: &Path| path.strip_prefix(&recorder.root).expect("below the root").to_owned();
            match change {
                Change::MakeFolder(path) => recorder.changes.push(Recorded::MakeFolder(at(path))),
                Change::SyncFile(_, path) => {
                    recorder.changes.push(Recorded::Write(at(path), fs::read(path)?));
                    recorder.changes.push(Recorded::SyncFile(at(path)));
                }
                Change::SyncFolder(path) => recorder.changes.push(Recorded::SyncFolder(at(path))),
                Change::Rename(from, to) => {
                    // A folder that can't be replaced is no change.
                    if !to.is_dir() {
                        // The folder of unpublished files was made by nobody we know: its name is a change of its own.
                        recorder.changes.push(Recorded::Rename(at(from), at(to)));
                    }
                }
                Change::RemoveFolder(path) => recorder.changes.push(Recorded::RemoveFolder(at(path))),
            }
            Ok(())
        })
    }

    fn on<T>(recorder: Recorder, work: impl FnOnce() -> T) -> (T, Recorder) {
        RECORDER.set(Some(recorder));
        let done = work();
        (done, RECORDER.take().expect("switched on"))
    }

    /// All changes that the work makes below `root`.
    pub fn record<T>(root: &Path, work: impl FnOnce() -> T) -> (T, Vec<Recorded>) {
        let (done, recorder) = on(Recorder { root: root.into(), ..Recorder::default() }, work);
        (done, recorder.changes)
    }

    /// The same, but the nth change finds the disk full.
    pub fn full_at<T>(root: &Path, nth: usize, work: impl FnOnce() -> T) -> T {
        on(Recorder { root: root.into(), fails_at: Some(nth), ..Recorder::default() }, work).0
    }
}

use recorder::{Recorded, full_at, record};

/// What is left of a file's bytes that were not synced.
#[derive(Debug, Clone, Copy)]
enum Unsynced {
    All,
    Half,
    None,
}

/// Lays out what a power cut after the first `n` changes leaves: all that was synced, the bytes that `unsynced` says of
/// other files, and of the other names those whose bit in `names` is set.
fn cut_power(root: &Path, changes: &[Recorded], names: u32, unsynced: Unsynced) {
    let later = |at: usize, wanted: &dyn Fn(&Recorded) -> bool| changes[at + 1..].iter().any(wanted);
    let synced_folder = |at: usize, path: &Path| {
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        later(at, &|change| *change == Recorded::SyncFolder(folder.clone()))
    };
    let mut nth_unsynced = 0;
    let mut stays = |at: usize, path: &Path| {
        if synced_folder(at, path) {
            return true;
        }
        nth_unsynced += 1;
        names & (1 << (nth_unsynced - 1).min(31)) != 0
    };
    for (at, change) in changes.iter().enumerate() {
        // What lies in a folder that is gone is gone with it: such changes fail and are none.
        let _ = match change {
            Recorded::MakeFolder(path) if stays(at, path) => fs::create_dir(root.join(path)),
            Recorded::Write(path, bytes) if stays(at, path) => {
                let synced = later(at, &|change| *change == Recorded::SyncFile(path.clone()));
                let kept = match (synced, unsynced) {
                    (true, _) | (_, Unsynced::All) => bytes.len(),
                    (_, Unsynced::Half) => bytes.len() / 2,
                    (_, Unsynced::None) => 0,
                };
                // Folders of unpublished files are made by crate `tempfile`.
                let folder = path.parent().unwrap_or(Path::new(""));
                if folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with(UNPUBLISHED)) {
                    let _ = fs::create_dir(root.join(folder));
                }
                #[expect(clippy::disallowed_methods, reason = "half a file is the point")]
                fs::write(root.join(path), &bytes[..kept])
            }
            Recorded::Rename(from, to) if stays(at, to) => fs::rename(root.join(from), root.join(to)),
            Recorded::RemoveFolder(path) if stays(at, path) => fs::remove_dir_all(root.join(path)),
            _ => Ok(()),
        };
    }
}

/// All published files below a folder.
fn published(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap().flatten() {
            let path = entry.path();
            if entry.file_name().to_string_lossy().starts_with(UNPUBLISHED) {
                continue;
            }
            match path.is_dir() {
                true => open.push(path),
                false => drop(found.insert(path.strip_prefix(root).unwrap().to_owned(), fs::read(&path).unwrap())),
            }
        }
    }
    found
}

fn cell(key: &str) -> Cell {
    Cell {
        format: Cell::FORMAT,
        key: key.into(),
        protocol: "random".into(),
        model: "random-forest".into(),
        case: "raw".into(),
        part: "final".into(),
        n_features: 1,
        metrics: measure(&[0, 1], &[0.25, 0.75]),
        train_recall: None,
        resampling: ResamplingReport::unchanged(2, 1),
        losses: Vec::new(),
        watched: None,
        importance: BTreeMap::new(),
        out_of_bag: None,
        out_of_bag_undefined: None,
        model_bytes: None,
        files: BTreeMap::new(),
    }
}

fn scores() -> Scores {
    Scores { row_ids: vec!["a".into(), "b".into()], labels: vec![0, 1], scores: vec![0.25, 0.75] }
}

/// A run in small: cells, files written twice, a bundle. Skips what is there, as a run does.
fn work(root: &Path) -> Result<()> {
    let store = CellStore::open(&root.join("experiments"))?;
    let frozen = FrozenFit { preprocessor: b"{}".repeat(50), model: b"weights".repeat(100) };
    let _lock = lock_run(&root.join("experiments/tiny"))?;
    write_atomic(&root.join("experiments/tiny/run.json"), b"{\"bundle\": null}")?;
    for (key, frozen) in [("00", None), ("11", Some(&frozen))] {
        if !store.has(key) {
            store.publish(cell(key), &scores(), frozen)?;
        }
    }
    let bundle = [("manifest.json", b"{}".to_vec()), ("model.safetensors", frozen.model.clone())];
    let artifacts = root.join("artifacts");
    create_folder(&artifacts)?;
    let is_whole = || {
        bundle.iter().all(|(name, bytes)| fs::read(artifacts.join("b").join(name)).is_ok_and(|found| found == *bytes))
    };
    publish_folder(&artifacts, "b", &bundle, is_whole)?;
    write_atomic(&root.join("experiments/tiny/run.json"), b"{\"bundle\": \"b\"}")?;
    write_atomic(&root.join("experiments/tiny/leaderboard.json"), b"{}")
}

/// What a reader may find at any time: nothing half-written under a published name.
fn is_sound(root: &Path, whole: &BTreeMap<PathBuf, Vec<u8>>) {
    let store = CellStore::beside(&root.join("experiments/tiny"));
    for (path, bytes) in published(root) {
        let older = path.ends_with("run.json") && bytes == b"{\"bundle\": null}";
        assert!(older || whole.get(&path) == Some(&bytes), "{} is neither old nor new", path.display());
    }
    for key in ["00", "11"].into_iter().filter(|key| store.cell(key).is_ok()) {
        assert!(store.has(key), "a published cell is whole");
    }
    if root.join("experiments/tiny/leaderboard.json").exists() {
        assert_eq!(published(root), *whole, "the leaderboard comes last");
    }
}

#[test]
fn whatever_a_power_cut_leaves_is_sound_and_ends_as_if_there_had_been_none() {
    let undisturbed = tempfile::tempdir().unwrap();
    let (done, changes) = record(undisturbed.path(), || work(undisturbed.path()));
    done.unwrap();
    let whole = published(undisturbed.path());
    assert_eq!(whole.len(), 10, "{:?}", whole.keys());
    let mut n_states = 0;
    for n in 0..=changes.len() {
        let changes = &changes[..n];
        let synced = |folder: &Path, at: usize| changes[at + 1..].contains(&Recorded::SyncFolder(folder.to_owned()));
        let named = changes.iter().enumerate().filter(|(at, change)| match change {
            Recorded::MakeFolder(path)
            | Recorded::Write(path, _)
            | Recorded::Rename(_, path)
            | Recorded::RemoveFolder(path) => !synced(path.parent().unwrap_or(Path::new("")), *at),
            Recorded::SyncFile(_) | Recorded::SyncFolder(_) => false,
        });
        let n_unsynced = named.count();
        assert!(n_unsynced < 8, "{n_unsynced} names are never synced: {changes:?}");
        for names in 0..1u32 << n_unsynced {
            for unsynced in [Unsynced::All, Unsynced::Half, Unsynced::None] {
                let left = tempfile::tempdir().unwrap();
                cut_power(left.path(), changes, names, unsynced);
                is_sound(left.path(), &whole);
                work(left.path()).unwrap();
                assert_eq!(published(left.path()), whole, "after {n} changes, names {names:b}, bytes {unsynced:?}");
                n_states += 1;
            }
        }
    }
    assert!(n_states > 300, "{n_states}");
}

#[test]
fn a_disk_that_is_full_at_any_change_is_an_error_and_nothing_is_lost() {
    let undisturbed = tempfile::tempdir().unwrap();
    work(undisturbed.path()).unwrap();
    let whole = published(undisturbed.path());
    for nth in 0.. {
        let root = tempfile::tempdir().unwrap();
        let failed = full_at(root.path(), nth, || work(root.path()));
        let Err(error) = failed else {
            assert!(nth > 20, "{nth} changes");
            return;
        };
        assert_eq!(error.kind, crate::training::error::ErrorKind::Failed, "worth another try: {error}");
        assert!(error.message.contains("no storage space") && error.message.starts_with('`'), "{}", error.message);
        assert!(error.hint.is_some_and(|hint| hint.contains("free space")));
        is_sound(root.path(), &whole);
        work(root.path()).unwrap();
        assert_eq!(published(root.path()), whole);
    }
}

#[test]
fn a_cell_with_a_damaged_file_counts_as_missing_and_is_replaced() {
    let root = tempfile::tempdir().unwrap();
    work(root.path()).unwrap();
    let whole = published(root.path());
    let cells = root.path().join("experiments/cells/11");
    for file in ["cell.json", "scores.parquet", "preprocessor.json", "model.safetensors"] {
        let bytes = fs::read(cells.join(file)).unwrap();
        #[expect(clippy::disallowed_methods, reason = "half a file is the point")]
        fs::write(cells.join(file), &bytes[..bytes.len() / 2]).unwrap();
        let store = CellStore::beside(&root.path().join("experiments/tiny"));
        assert!(!store.has("11"), "{file}");
        if file == "scores.parquet" {
            assert!(store.scores("11").unwrap_err().message.contains("was changed"), "polars never sees them");
        }
        work(root.path()).unwrap();
        assert_eq!(published(root.path()), whole);
    }
}

#[test]
fn a_run_is_trained_by_one_process_and_what_a_killed_one_left_is_removed() {
    let root = tempfile::tempdir().unwrap();
    let run = root.path().join("experiments/tiny");
    let lock = lock_run(&run).unwrap();
    let error = lock_run(&run).unwrap_err();
    assert!(error.message.ends_with("another process trains this run"), "{}", error.message);
    assert_eq!(error.kind, crate::training::error::ErrorKind::Transient);
    drop(lock);
    let unpublished = ["", "splits", "rows"].map(|below| run.join(below).join(format!("{UNPUBLISHED}x")));
    unpublished.iter().for_each(|path| write_atomic(path, b"").unwrap());
    drop(lock_run(&run).unwrap());
    assert!(unpublished.iter().all(|path| !path.exists()));

    let store = CellStore::open(&root.path().join("experiments")).unwrap();
    let of_another = root.path().join("experiments/cells").join(format!("{UNPUBLISHED}y"));
    fs::create_dir(&of_another).unwrap();
    let second = CellStore::open(&root.path().join("experiments")).unwrap();
    assert!(of_another.exists(), "somebody may be writing it");
    drop((store, second));
    CellStore::open(&root.path().join("experiments")).unwrap();
    assert!(!of_another.exists());
}

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

//! A run in an object store: what it holds there, and its mirror on this machine.
//!
//! In: the URL of one run, `s3://`, `gs://` or `az://` ([`objects`]). Under it lie the files of the run's folder, `cells/`,
//! `trees/` of forests that grow in parts, and at the end `reports/` and `artifacts/`. The work itself knows folders alone: what it needs is brought to the mirror, a
//! folder of the cache laid out as any other, and what it makes is taken from there. A cell's files go before its
//! `cell.json`, which is created only where there is none and holds their hashes; the plan goes after the files it speaks
//! of, the leaderboard after all else. So whoever reads sees all or nothing, and work done twice writes the same bytes twice.
//! What is brought is hashed before it is used: a damaged cell counts as missing, a damaged table is an error.
//! Limits: 256 MiB for a JSON file, 1 GiB for a file of a cell; one plan to a URL.

mod address;
pub mod objects;
pub mod partitions;
mod reason;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde::Deserialize;

use super::cells::Cell;
use super::config::OutputConfig;
use super::error::{Error, Result};
use super::read::snapshot::{self, ITEMS_FILE, MEANING_FILE};
use super::run::Run;
use super::run_dir::{CellStore, is_whole_part, write_atomic};
use super::shards::{PLAN_FILE, PlanFile, Planned};
use crate::scoring::bundle::sha256_hex;
pub use address::check_table;
use objects::Objects;

const MAX_JSON_BYTES: u64 = 256 << 20;
const MAX_FILE_BYTES: u64 = 1 << 30;
/// Requests under way together.
const AT_ONCE: usize = 16;
/// What a cell may have beside its `cell.json`: names are never paths.
const FILES_OF_CELL: [&str; 3] = ["scores.parquet", "preprocessor.json", "model.safetensors"];
const MARK: &str = "cell.json";
const LAST: &str = "leaderboard.json";

/// Whether a run or a table is named by the URL of an object store.
pub fn is_url(name: &str) -> bool {
    name.contains("://")
}

/// One run in an object store.
#[derive(Debug)]
pub struct RemoteRun {
    objects: Objects,
    mirror: PathBuf,
}

impl RemoteRun {
    /// Nothing is asked yet; the mirror lies in `cache`.
    pub fn open(url: &str, cache: &Path) -> Result<RemoteRun> {
        Ok(Self::of(Objects::open(url)?, cache))
    }

    fn of(objects: Objects, cache: &Path) -> RemoteRun {
        let mirror = cache.join(&sha256_hex(objects.url().as_bytes())[..16]);
        RemoteRun { objects, mirror }
    }

    pub fn url(&self) -> &str {
        self.objects.url()
    }

    /// Where the run is worked on.
    pub fn output(&self) -> OutputConfig {
        let folder = |name: &str| self.mirror.join(name);
        OutputConfig { experiments: folder("experiments"), artifacts: folder("artifacts"), reports: folder("reports") }
    }

    /// Brings a planned run there: its plan last, and only where there is no other.
    pub fn push_plan(&self, run: &Run) -> Result<()> {
        let ours = read(&run.folder.join(PLAN_FILE))?;
        let refuse_other = |theirs: Option<Vec<u8>>| match theirs {
            Some(theirs) if theirs != ours => {
                let message = format!("`{}` holds another plan than this one", self.url());
                Err(Error::permanent(message).hint("a URL holds one run: name another, or remove what is there"))
            }
            _ => Ok(()),
        };
        refuse_other(self.objects.get(PLAN_FILE, MAX_JSON_BYTES)?)?;
        let mut files = files_below(&run.folder, "")?;
        files.remove(PLAN_FILE);
        self.upload_all(files)?;
        match self.objects.create(PLAN_FILE, ours.clone())? {
            true => Ok(()),
            false => refuse_other(self.objects.get(PLAN_FILE, MAX_JSON_BYTES)?),
        }
    }

    /// Brings plan and config to the mirror.
    pub fn fetch_run(&self) -> Result<Run> {
        #[derive(Deserialize)]
        struct Named {
            run_id: String,
        }
        let missing = |name: &str| {
            let missing = Error::permanent(format!("`{}` has no {name}", self.url()));
            missing.hint(format!("`fraudml plan --config .. --run {}` makes one", self.url()))
        };
        let plan = self.objects.get(PLAN_FILE, MAX_JSON_BYTES)?.ok_or_else(|| missing(PLAN_FILE))?;
        let named = serde_json::from_slice::<Named>(&plan).ok().map(|Named { run_id }| run_id);
        let run_id = named.filter(|id| is_name(id)).ok_or_else(|| {
            Error::permanent(format!("`{}/{PLAN_FILE}` is no plan", self.url())).hint("plan again, to another URL")
        })?;
        let folder = self.output().experiments.join(run_id);
        write_atomic(&folder.join(PLAN_FILE), &plan)?;
        PlanFile::read(&folder)?;
        for name in ["config.yaml", "cells.json", "run.json"] {
            let bytes = self.objects.get(name, MAX_JSON_BYTES)?.ok_or_else(|| missing(name))?;
            write_atomic(&folder.join(name), &bytes)?;
        }
        Run::find(&self.output(), Some(&folder.display().to_string()))
    }

    /// Brings the table to the mirror, if it is not there.
    pub fn fetch_table(&self, run: &Run) -> Result<()> {
        let expected = PlanFile::read(&run.folder)?.table;
        if snapshot::is_whole(&run.folder, &expected) {
            return Ok(());
        }
        for name in [MEANING_FILE, ITEMS_FILE] {
            self.objects.download(name, &run.folder.join(name))?;
        }
        if snapshot::is_whole(&run.folder, &expected) {
            return Ok(());
        }
        let message = format!("`{}/{ITEMS_FILE}` or `{MEANING_FILE}` is not what was planned", self.url());
        Err(Error::permanent(message)
            .hint("`fraudml plan` with the same files brings it there again, finished cells are kept"))
    }

    /// Brings what is whole of some planned cells to where it is not: to the mirror, and from it what a killed process left.
    pub fn exchange(&self, planned: &[&Planned], store: &CellStore) -> Result<()> {
        let keys = planned.iter().map(|planned| planned.cell.key.clone()).collect();
        self.exchange_cells(&keys, store)?;
        let is_open = |planned: &&&Planned| !store.has(&planned.cell.key);
        let parts = planned.iter().filter(is_open).filter_map(|planned| planned.trees.as_ref());
        self.exchange_trees(&parts.map(|part| part.key.clone()).collect(), store)
    }

    fn exchange_cells(&self, keys: &BTreeSet<String>, store: &CellStore) -> Result<()> {
        let there = self.objects.list("cells")?;
        let (here, absent): (Vec<&String>, Vec<&String>) = keys.iter().partition(|key| store.has(key));
        for key in here {
            if !same_sizes(key, &there, store)? {
                self.push_cell(key, store)?;
            }
        }
        let wanted = absent.into_iter().filter(|key| there.contains_key(&format!("cells/{key}/{MARK}")));
        let fetches = wanted.map(|key| async move { Ok::<_, Error>((key, self.cell(key).await?)) });
        let mut fetched = stream::iter(fetches).buffer_unordered(AT_ONCE).boxed_local();
        while let Some((key, files)) = self.objects.wait(fetched.try_next())? {
            match files {
                Some(files) => store.adopt(key, &files)?,
                None => tracing::warn!(key, "damaged in the object store: to be made again"),
            }
        }
        Ok(())
    }

    fn exchange_trees(&self, keys: &BTreeSet<String>, store: &CellStore) -> Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        let there = self.objects.list("trees")?;
        for key in keys {
            match (store.trees_file(key), there.get(&trees_name(key))) {
                (Some(file), size) if size != Some(&(file.len() as u64)) => self.push_trees(key, file)?,
                (None, Some(_)) => match self.objects.get(&trees_name(key), MAX_FILE_BYTES)? {
                    Some(file) if is_whole_part(&file) => store.adopt_trees(key, &file)?,
                    _ => tracing::warn!(key, "damaged in the object store: to be made again"),
                },
                _ => {}
            }
        }
        Ok(())
    }

    /// The files of a cell; none if one is not what `cell.json` says.
    async fn cell(&self, key: &str) -> Result<Option<Vec<(String, Vec<u8>)>>> {
        let name = |file: &str| format!("cells/{key}/{file}");
        let Some(mark) = self.objects.get_async(&name(MARK), MAX_JSON_BYTES).await? else { return Ok(None) };
        let Some(cell) = serde_json::from_slice::<Cell>(&mark).ok().filter(|cell| cell.key == key) else {
            return Ok(None);
        };
        let mut files = Vec::new();
        for (file, hash) in cell.files {
            if !FILES_OF_CELL.contains(&file.as_str()) {
                return Ok(None);
            }
            match self.objects.get_async(&name(&file), MAX_FILE_BYTES).await? {
                Some(bytes) if sha256_hex(&bytes) == hash => files.push((file, bytes)),
                _ => return Ok(None),
            }
        }
        files.push((MARK.to_owned(), mark));
        Ok(Some(files))
    }

    /// Brings what lies under a key there: a cell, or trees.
    pub fn push(&self, key: &str, store: &CellStore) -> Result<()> {
        match store.trees_file(key) {
            Some(file) => self.push_trees(key, file),
            None => self.push_cell(key, store),
        }
    }

    fn push_trees(&self, key: &str, file: Vec<u8>) -> Result<()> {
        self.create_or_replace(&trees_name(key), file)
    }

    /// Brings a cell there. Another process that made the same one has written the same bytes; what is damaged is replaced.
    fn push_cell(&self, key: &str, store: &CellStore) -> Result<()> {
        let name = |file: &str| format!("cells/{key}/{file}");
        let (mark, files): (Vec<_>, Vec<_>) = store.files(key)?.into_iter().partition(|(file, _)| file == MARK);
        let Some((_, mark)) = mark.into_iter().next() else {
            return Err(Error::failed(format!("cell `{key}` has no {MARK}")));
        };
        self.objects.put_all(files.into_iter().map(|(file, bytes)| (name(&file), bytes)).collect())?;
        self.create_or_replace(&name(MARK), mark)
    }

    fn create_or_replace(&self, name: &str, bytes: Vec<u8>) -> Result<()> {
        if self.objects.create(name, bytes.clone())? || self.objects.get(name, MAX_FILE_BYTES)?.as_ref() == Some(&bytes)
        {
            return Ok(());
        }
        self.objects.put_all(vec![(name.to_owned(), bytes)])
    }

    /// Brings one file of the run there.
    pub fn push_file(&self, run: &Run, file: &str) -> Result<()> {
        self.objects.upload(file, &run.folder.join(file))
    }

    /// Whether the run was collected: the leaderboard went last.
    pub fn is_finished(&self, run: &Run) -> Result<bool> {
        Ok(run.file.bundle.is_some() && self.objects.get(LAST, MAX_JSON_BYTES)?.is_some())
    }

    /// Brings what shards said of their times to the mirror.
    pub fn fetch_timings(&self, run: &Run) -> Result<()> {
        let there = self.objects.list("")?;
        for name in there.into_keys().filter(|name| is_name(name) && name.starts_with("timings-")) {
            self.objects.download(&name, &run.folder.join(&name))?;
        }
        Ok(())
    }

    /// Brings a finished run there: reports, bundle, the run's files, at last the leaderboard.
    pub fn push_results(&self, run: &Run, plan: &PlanFile) -> Result<()> {
        // Forests that were put together at last.
        self.exchange(&plan.cells.iter().collect::<Vec<_>>(), &CellStore::beside(&run.folder))?;
        let output = self.output();
        let mut files = files_below(&output.reports.join(&run.file.run_id), "reports")?;
        if let Some(bundle) = &run.file.bundle {
            files.extend(files_below(&output.artifacts.join(bundle), &format!("artifacts/{bundle}"))?);
        }
        files.extend(files_below(&run.folder, "")?);
        for there_already in [PLAN_FILE, MEANING_FILE, ITEMS_FILE] {
            files.remove(there_already);
        }
        let last = files.remove(LAST);
        self.upload_all(files)?;
        last.map_or(Ok(()), |last| self.objects.upload(LAST, &last))
    }

    fn upload_all(&self, files: BTreeMap<String, PathBuf>) -> Result<()> {
        let uploads = files.iter().map(|(name, path)| self.objects.upload_async(name, path));
        self.objects.wait(stream::iter(uploads).buffer_unordered(AT_ONCE).try_collect())
    }
}

fn trees_name(key: &str) -> String {
    format!("trees/{key}.bin")
}

/// Whether the store has all files of a cell as long as they are here.
fn same_sizes(key: &str, there: &BTreeMap<String, u64>, store: &CellStore) -> Result<bool> {
    let is_there =
        |(file, bytes): &(String, Vec<u8>)| there.get(&format!("cells/{key}/{file}")) == Some(&(bytes.len() as u64));
    Ok(store.files(key)?.iter().all(is_there))
}

/// A name that is no path.
fn is_name(text: &str) -> bool {
    let is_plain = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    !text.is_empty() && text.len() <= 200 && !text.starts_with('.') && text.chars().all(is_plain)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::failed(format!("`{}` can't be read: {}", path.display(), super::error::io_reason(error)))
}

/// Every file below a folder, by its name in the store; none that is not published yet.
fn files_below(folder: &Path, prefix: &str) -> Result<BTreeMap<String, PathBuf>> {
    let (mut found, mut open) = (BTreeMap::new(), vec![(folder.to_owned(), prefix.to_owned())]);
    while let Some((folder, prefix)) = open.pop() {
        for entry in std::fs::read_dir(&folder).map_err(|error| unreadable(&folder, &error))? {
            let path = entry.map_err(|error| unreadable(&folder, &error))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let within = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
            match (name.starts_with('.'), path.is_dir()) {
                (true, _) => {}
                (false, true) => open.push((path, within)),
                (false, false) => drop(found.insert(within, path)),
            }
        }
    }
    Ok(found)
}

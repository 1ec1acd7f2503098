//! What is wrong here and what to do: the machine, the output folders, the runs and bundles in them.
//!
//! In: the output folders. Out: a list of findings, each with a state and a hint; nothing is changed. Damage of any file is
//! a finding and no error. Limits: bundles are loaded whole, which replays their golden records; cells are hashed.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::checks::{available_memory, free_disk};
use super::config::{Device, OutputConfig};
use super::error::{Error, Result};
use super::fit::mlp::check_device;
use super::run::{Run, cpu_features, folders as folders_with};
use super::run_dir::{CellStore, prove_writable};
use crate::scoring::bundle::Bundle;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Ok,
    /// Not as it could be; nothing fails by it.
    Note,
    Wrong,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub about: String,
    pub state: State,
    pub found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Finding {
    pub fn new(about: impl Into<String>, state: State, found: impl Into<String>) -> Finding {
        Finding { about: about.into(), state, found: found.into(), hint: None }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Finding {
        self.hint = Some(hint.into());
        self
    }

    /// What went wrong, in the words of the error.
    pub fn of_error(about: impl Into<String>, state: State, error: Error) -> Finding {
        Finding { hint: error.hint, ..Finding::new(about, state, error.message) }
    }
}

pub fn machine() -> Vec<Finding> {
    let (version, code) = (env!("CARGO_PKG_VERSION"), env!("FRAUDML_CODE"));
    let threads = rayon::current_num_threads();
    let memory = available_memory().map_or("unknown".to_owned(), |bytes| format!("{:.1} GB free", bytes / 1e9));
    let mut findings = vec![
        Finding::new("program", State::Ok, format!("version {version}, code {code}")),
        Finding::new("processor", State::Ok, format!("{threads} threads, {}", cpu_features().join(" "))),
        Finding::new("memory", State::Ok, memory),
    ];
    for device in [Device::Cuda, Device::Wgpu] {
        let about = format!("device {}", device.as_str());
        findings.push(match check_device(device) {
            Ok(()) => Finding::new(about, State::Ok, "answers"),
            Err(error) => Finding::of_error(about, State::Note, error),
        });
    }
    findings
}

/// Whether each folder can be written, and what its disk has left.
pub fn folders(output: &OutputConfig) -> Vec<Finding> {
    let folder = |folder: &PathBuf| {
        let about = format!("folder `{}`", folder.display());
        // Itself, or what it is made in.
        let there = folder.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
        if let Err(error) = prove_writable(there) {
            return Finding::of_error(about, State::Wrong, error);
        }
        let free = free_disk(there).map_or(String::new(), |bytes| format!(", {:.1} GB free", bytes / 1e9));
        let made = if folder.is_dir() { "can be written" } else { "is made when it is needed" };
        Finding::new(about, State::Ok, format!("{made}{free}"))
    };
    [&output.experiments, &output.reports, &output.artifacts].map(folder).into()
}

/// Every run: finished, or what it lacks.
pub fn runs(output: &OutputConfig) -> Vec<Finding> {
    let of_run = |folder: PathBuf| {
        let about = format!("run `{}`", folder.display());
        let looked = || -> Result<Finding> {
            let run = Run::find(output, Some(&folder.display().to_string()))?;
            let (cells, store) = (run.cells()?, CellStore::beside(&run.folder));
            let missing = cells.iter().filter(|cell| !store.has(&cell.key)).count();
            let finish = format!("`fraudml train --config {}` goes on with it", folder.join("config.yaml").display());
            Ok(match (missing, &run.file.bundle) {
                (0, Some(bundle)) => Finding::new(&about, State::Ok, format!("{} cells, bundle {bundle}", cells.len())),
                (0, None) => Finding::new(&about, State::Note, "all cells are there, no bundle yet").hint(finish),
                _ => {
                    let found = format!("{missing} of {} cells are missing or damaged", cells.len());
                    Finding::new(&about, State::Note, found).hint(finish)
                }
            })
        };
        looked().unwrap_or_else(|error| Finding::of_error(&about, State::Wrong, error))
    };
    folders_with(&output.experiments, "", "run.json").into_iter().map(of_run).collect()
}

/// Every bundle: whole, and its golden records have their bits.
pub fn bundles(output: &OutputConfig) -> Vec<Finding> {
    let of_bundle = |folder: PathBuf| {
        let about = format!("bundle `{}`", folder.display());
        match Bundle::load(&folder) {
            Ok(_) => Finding::new(about, State::Ok, "hashes and golden records are as they were"),
            Err(error) => Finding::of_error(about, State::Wrong, error.into()),
        }
    };
    folders_with(&output.artifacts, "", "manifest.json").into_iter().map(of_bundle).collect()
}

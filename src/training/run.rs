//! A run: its folder, its id, and what is written there beside the cells.
//!
//! Run id = `<name>-<8 hex of config and data>`: where files lie and where results go does not count, their content
//! does; nor does what changes no fit and no choice (memory budget, permutation importance, what an evaluation measures). `experiments/<run-id>/`
//! holds `run.json`, `config.yaml`, `schema.json`, `splits/`, `cells.json`, `leaderboard.{csv,json}`, `selection.json`,
//! `timings.jsonl`, and `permutation_importance.json` where it was asked for.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::cells::{PlannedCell, Timing};
use super::config::{
    CalibrateConfig, Config, EvaluateConfig, ImportanceConfig, LimitsConfig, OutputConfig, SelectConfig,
    ThresholdPolicy,
};
use super::error::{Error, Result};
use super::read::{Fingerprint, LeftOut, ReadData};
use super::run_dir::{read_json, refuse_newer, to_json, write_atomic};
use super::split::Split;
use super::timing::Timed;
use crate::scoring::bundle::sha256_hex;
use crate::scoring::preprocessor::DroppedColumn;

/// `run.json`: what was run on what, by which version; outside every hash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunFile {
    pub format: u32,
    pub run_id: String,
    pub name: String,
    pub version: String,
    pub seed: u64,
    pub inputs: Vec<Fingerprint>,
    pub n_rows: usize,
    pub n_positives: usize,
    /// Columns and rows that reading left out.
    pub left_out: Vec<LeftOut>,
    /// Columns that the preparation of the final fit dropped and why, by protocol.
    pub dropped: std::collections::BTreeMap<String, Vec<DroppedColumn>>,
    /// SHA-256 of `splits/<protocol>.csv`, by protocol.
    pub splits: std::collections::BTreeMap<String, String>,
    pub select: SelectConfig,
    pub threshold: ThresholdPolicy,
    /// `none` in runs of before there was another.
    #[serde(default)]
    pub calibrate: CalibrateConfig,
    #[serde(default)]
    pub limits: LimitsConfig,
    #[serde(default)]
    pub importance: ImportanceConfig,
    #[serde(default)]
    pub evaluate: EvaluateConfig,
    pub output: OutputConfig,
    /// The bundle of the winner, once frozen.
    pub bundle: Option<String>,
    /// On which the bits of the mlp depend.
    pub cpu_features: Vec<String>,
    pub threads: usize,
    /// How long the verbs of the training that finished it took; fits that were there already are none of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timing: Option<Timed>,
}

impl RunFile {
    pub const FORMAT: u32 = 1;
}

/// An opened run folder.
#[derive(Debug, Clone)]
pub struct Run {
    pub folder: PathBuf,
    pub file: RunFile,
}

/// `<name>-<8 hex of config and data>`.
pub fn run_id(config: &Config, data: &ReadData) -> String {
    let mut determined = serde_json::to_value(config).unwrap_or_default();
    if let Some(config) = determined.as_object_mut() {
        config.remove("output");
        config.remove("importance");
        config.remove("evaluate");
    }
    if let Some(limits) = determined.pointer_mut("/limits").and_then(|limits| limits.as_object_mut()) {
        limits.remove("memory_budget");
    }
    if let Some(tables) = determined.pointer_mut("/data/tables").and_then(|tables| tables.as_array_mut()) {
        tables.iter_mut().filter_map(|table| table.as_object_mut()).for_each(|table| drop(table.remove("path")));
    }
    let inputs: Vec<&String> = data.fingerprints.iter().map(|file| &file.sha256).collect();
    let hash = sha256_hex(serde_json::json!([determined, inputs]).to_string().as_bytes());
    format!("{}-{}", config.name, &hash[..8])
}

impl Run {
    /// Opens or continues the run of this config on this data, and writes what is known before any fit.
    pub fn open(config: &Config, data: &ReadData) -> Result<Run> {
        let run_id = run_id(config, data);
        let folder = config.output.experiments.join(&run_id);
        let file = RunFile {
            format: RunFile::FORMAT,
            run_id,
            name: config.name.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            seed: config.seed,
            inputs: data.fingerprints.clone(),
            n_rows: data.dataset.n_rows(),
            n_positives: data.dataset.n_positives(),
            left_out: data.left_out.clone(),
            dropped: Default::default(),
            splits: Default::default(),
            select: config.select,
            threshold: config.threshold,
            calibrate: config.calibrate,
            limits: config.limits,
            importance: config.importance,
            evaluate: config.evaluate.clone(),
            output: config.output.clone(),
            bundle: None,
            cpu_features: cpu_features(),
            threads: rayon::current_num_threads(),
            timing: None,
        };
        refuse_newer(&folder.join("run.json"), RunFile::FORMAT)?;
        let before = read_json::<RunFile>(&folder.join("run.json")).ok().filter(|before| before.run_id == file.run_id);
        // What an earlier finish left stays until this one is finished too.
        let file = RunFile { bundle: before.and_then(|before| before.bundle), ..file };
        let run = Run { folder, file };
        run.write("schema.json", &to_json(&data.schema))?;
        Ok(run)
    }

    /// Where an output folder is now: as recorded, or, if the run was moved or is looked at from elsewhere, beside the
    /// folder of all runs.
    pub fn beside(&self, recorded: &Path) -> PathBuf {
        let experiments = self.folder.parent().unwrap_or(Path::new("."));
        match (experiments == self.file.output.experiments, experiments.parent(), recorded.file_name()) {
            (false, Some(base), Some(name)) => base.join(name),
            _ => recorded.to_owned(),
        }
    }

    /// The folders of its outputs, as [`Self::beside`] finds them.
    pub fn output(&self) -> OutputConfig {
        let OutputConfig { reports, artifacts, .. } = &self.file.output;
        let experiments = self.folder.parent().unwrap_or(Path::new(".")).to_owned();
        OutputConfig { experiments, reports: self.beside(reports), artifacts: self.beside(artifacts) }
    }

    pub fn write(&self, file: &str, bytes: &[u8]) -> Result<()> {
        write_atomic(&self.folder.join(file), bytes)
    }

    /// `run.json`, as it stands.
    pub fn save(&self) -> Result<()> {
        self.write("run.json", &to_json(&self.file))
    }

    pub fn write_splits(&mut self, data: &ReadData, splits: &[Split]) -> Result<()> {
        for split in splits {
            let mut csv = String::from("row_id,part,fold\n");
            for (id, (part, fold)) in data.dataset.ids.iter().zip(split.assignment()) {
                let fold = fold.map_or(String::new(), |fold| fold.to_string());
                csv.push_str(&format!("{},{part},{fold}\n", csv_field(&id)));
            }
            let protocol = split.protocol.as_str();
            self.write(&format!("splits/{protocol}.csv"), csv.as_bytes())?;
            self.file.splits.insert(protocol.into(), sha256_hex(csv.as_bytes()));
        }
        self.save()
    }

    pub fn write_cells(&self, cells: &[PlannedCell]) -> Result<()> {
        self.write("cells.json", &to_json(&cells))
    }

    pub fn cells(&self) -> Result<Vec<PlannedCell>> {
        read_json(&self.folder.join("cells.json"))
    }

    /// Appends to `timings.jsonl` (of a shard: its own): kept apart, for times differ from run to run.
    pub fn append_timings(&self, file: &str, timings: &[Timing]) -> Result<()> {
        let path = self.folder.join(file);
        let mut lines = std::fs::read_to_string(&path).unwrap_or_default();
        for timing in timings {
            lines.push_str(&serde_json::to_string(timing).unwrap_or_default());
            lines.push('\n');
        }
        write_atomic(&path, lines.as_bytes())
    }

    /// What each cell took when it was made, the last time it was; lines that can't be read are left out.
    pub fn timings(&self) -> Result<Vec<Timing>> {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(&self.folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        files.retain(|path| path.extension().is_some_and(|ends| ends == "jsonl"));
        // Those of shards, then the run's own.
        files.sort();
        let text: String = files.iter().filter_map(|path| std::fs::read_to_string(path).ok()).collect();
        let planned = self.cells()?;
        let lines: Vec<Timing> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let last = |cell: &PlannedCell| lines.iter().rev().find(|timing| timing.key == cell.key).cloned();
        Ok(planned.iter().filter_map(last).collect())
    }

    /// A run by id, unique prefix or path; `None`: the latest finished one.
    pub fn find(output: &OutputConfig, wanted: Option<&str>) -> Result<Run> {
        let at = |folder: PathBuf| {
            let file = folder.join("run.json");
            refuse_newer(&file, RunFile::FORMAT)?;
            Ok(Run { file: read_json(&file)?, folder })
        };
        if let Some(path) = wanted.map(Path::new).filter(|path| path.join("run.json").is_file()) {
            return at(path.to_owned());
        }
        let finished = folders(&output.experiments, wanted.unwrap_or_default(), "leaderboard.json");
        let any = folders(&output.experiments, wanted.unwrap_or_default(), "run.json");
        match (wanted, &finished[..], &any[..]) {
            (_, [only], _) => at(only.clone()),
            (None, [.., latest], _) => at(latest.clone()),
            (Some(wanted), [_, _, ..], _) => Err(ambiguous("run", wanted, &finished)),
            (_, [], [.., unfinished]) => at(unfinished.clone()),
            (_, [], []) => Err(not_found("run", wanted, &output.experiments)
                .hint("`fraudml train --config ..` makes one; run it in this folder, or name a path")),
        }
    }
}

/// The bundle folder by id, unique prefix or path; `None`: the bundle of the latest finished run.
pub fn find_bundle(output: &OutputConfig, wanted: Option<&str>) -> Result<PathBuf> {
    let Some(wanted) = wanted else {
        let run = Run::find(output, None)?;
        let id = run.file.bundle.as_ref().ok_or_else(|| {
            Error::permanent(format!("run `{}` has no bundle yet", run.file.run_id))
                .hint("finish it with `fraudml train`")
        })?;
        return Ok(run.beside(&run.file.output.artifacts).join(id));
    };
    let path = Path::new(wanted);
    if path.join("manifest.json").is_file() {
        return Ok(path.to_owned());
    }
    match &folders(&output.artifacts, wanted, "manifest.json")[..] {
        [only] => Ok(only.clone()),
        [] => Err(not_found("bundle", Some(wanted), &output.artifacts).hint("`fraudml train --config ..` makes one")),
        many => Err(ambiguous("bundle", wanted, many)),
    }
}

/// Folders whose name starts with `prefix` and that hold `file`, oldest first (by the time of the file, then name).
pub(super) fn folders(parent: &Path, prefix: &str, file: &str) -> Vec<PathBuf> {
    if !prefix.is_empty() && parent.join(prefix).join(file).is_file() && !prefix.contains(['/', '\\']) {
        return vec![parent.join(prefix)];
    }
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
    let mut found: Vec<_> = named
        .filter_map(|entry| Some((entry.path().join(file).metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    found.sort();
    found.into_iter().map(|(_, path)| path).collect()
}

fn not_found(what: &str, wanted: Option<&str>, parent: &Path) -> Error {
    let named = wanted.map_or(String::new(), |wanted| format!(" `{wanted}`"));
    Error::permanent(format!("no {what}{named} in `{}`", parent.display()))
}

fn ambiguous(what: &str, wanted: &str, found: &[PathBuf]) -> Error {
    let names: Vec<String> =
        found.iter().filter_map(|path| Some(format!("`{}`", path.file_name()?.to_string_lossy()))).collect();
    Error::permanent(format!("{what} `{wanted}` is not unique: {}", names.join(", "))).hint("give more of the id")
}

/// One CSV field, quoted where needed.
pub fn csv_field(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

#[cfg(target_arch = "x86_64")]
pub(super) fn cpu_features() -> Vec<String> {
    let known = [
        ("avx", std::arch::is_x86_feature_detected!("avx")),
        ("avx2", std::arch::is_x86_feature_detected!("avx2")),
        ("fma", std::arch::is_x86_feature_detected!("fma")),
        ("avx512f", std::arch::is_x86_feature_detected!("avx512f")),
    ];
    known.into_iter().filter(|(_, has)| *has).map(|(name, _)| name.to_owned()).collect()
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) fn cpu_features() -> Vec<String> {
    vec![std::env::consts::ARCH.to_owned()]
}

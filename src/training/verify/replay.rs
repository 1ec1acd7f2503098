//! Replay: a finished run is trained again from its own config, in a folder that is thrown away, and every file that
//! carries a result must have the same SHA-256.
//!
//! In: a run and its config. Out: [`Replayed`]. Cells are paired by what they are, not by their keys, for keys name the
//! code: so another version can be compared too. Left out: times and what depends on the machine (`run.json`,
//! `timings.jsonl`), and reports, which `evaluate` writes anew at will.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::scoring::bundle::{FILES, sha256_hex};
use crate::training::cells::Cell;
use crate::training::config::{Config, OutputConfig};
use crate::training::error::{Error, Result, io_reason};
use crate::training::pipeline::train_again;
use crate::training::progress::Progress;
use crate::training::run::Run;
use crate::training::run_dir::{CellStore, scratch_folder, to_json};

/// What training again gave.
#[derive(Debug, Clone, Serialize)]
pub struct Replayed {
    pub run: String,
    /// Files.
    pub compared: usize,
    /// File, SHA-256 in the run, SHA-256 now; `none` where it is missing.
    pub different: Vec<[String; 3]>,
}

/// Hashes by the name of what is hashed.
type Hashes = BTreeMap<String, String>;

/// `resolved` is the config as the run keeps it.
pub fn replay(run: &Run, config: &Config, resolved: &str, progress: &dyn Progress) -> Result<Replayed> {
    if !run.folder.join("leaderboard.json").is_file() {
        return Err(Error::permanent(format!(
            "run `{}` is not finished, so there is nothing to compare",
            run.file.run_id
        ))
        .hint("finish it with `fraudml train`"));
    }
    let scratch = scratch_folder(run.folder.parent().unwrap_or(Path::new(".")))?;
    let below = |name: &str| scratch.path().join(name);
    let output =
        OutputConfig { experiments: below("experiments"), reports: below("reports"), artifacts: below("artifacts") };
    let again = train_again(&Config { output, ..config.clone() }, resolved, &run.file, progress)?;
    let (before, now) = (hashes(run)?, hashes(&again)?);
    let names: std::collections::BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let of = |hashes: &Hashes, name: &String| hashes.get(name).cloned().unwrap_or_else(|| "none".to_owned());
    let pairs = names.iter().map(|&name| [name.clone(), of(&before, name), of(&now, name)]);
    Ok(Replayed {
        run: run.file.run_id.clone(),
        compared: names.len(),
        different: pairs.filter(|[_, before, now]| before != now).collect(),
    })
}

fn hashes(run: &Run) -> Result<Hashes> {
    let mut hashes = Hashes::new();
    let store = CellStore::beside(&run.folder);
    for cell in run.cells()? {
        for (file, bytes) in store.files(&cell.key)? {
            let hash = match file.as_str() {
                "cell.json" => sha256_hex(&without_key(store.cell(&cell.key)?)),
                _ => sha256_hex(&bytes),
            };
            hashes.insert(format!("cell {cell}: {file}"), hash);
        }
    }
    let splits = run.file.splits.keys().map(|protocol| format!("splits/{protocol}.csv"));
    let files = ["schema.json", "leaderboard.csv", "leaderboard.json", "selection.json", "permutation_importance.json"];
    for file in files.into_iter().map(str::to_owned).chain(splits) {
        add(&mut hashes, &run.folder.join(&file), file)?;
    }
    if let Some(id) = &run.file.bundle {
        let bundle = run.beside(&run.file.output.artifacts).join(id);
        for (file, _) in FILES {
            add(&mut hashes, &bundle.join(file), format!("bundle {id}: {file}"))?;
        }
    }
    Ok(hashes)
}

/// What is not there has no hash, and is different from what is.
fn add(hashes: &mut Hashes, path: &Path, name: String) -> Result<()> {
    match fs::read(path) {
        Ok(bytes) => drop(hashes.insert(name, sha256_hex(&bytes))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => {
            return Err(Error::failed(format!("`{}` can't be read: {}", path.display(), io_reason(&error))));
        }
    }
    Ok(())
}

/// The key names code and processor; the other files have hashes of their own.
fn without_key(cell: Cell) -> Vec<u8> {
    to_json(&Cell { key: String::new(), files: BTreeMap::new(), ..cell })
}

//! One grid on many machines: the plan, a shard's part of it, and what is missing at the end.
//!
//! In: a run folder that all machines see, or an object store ([`super::run_store`]). `plan.json` lists the cells in a fixed
//! order, with what each will take; shard `i` of `n` does every cell whose number is `i` modulo `n` and that is not there yet.
//! A cell is published whole under its key or not at all, so that work done twice is harmless, and a cell has the same
//! bytes wherever it is made. Shards learn from the table as `plan` read it ([`snapshot`]), never from the original files:
//! what becomes of those after the plan changes nothing. Placement, retries and logs are the engine's ([`engines`]).

pub mod engines;

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::cells::{PlannedCell, plan};
use super::checks::memory_of_cell;
use super::config::{Config, ModelConfig};
use super::error::{Error, Result};
use super::mapped::Storage;
use super::progress::Progress;
use super::read::{ReadData, snapshot};
use super::run_dir::{CellStore, read_json};
use super::split::Split;
use super::tree_parts::{TreePart, TreeParts};

pub const PLAN_FILE: &str = "plan.json";

/// `plan.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanFile {
    pub format: u32,
    pub version: String,
    /// Of the code that learns; in every key.
    pub code: String,
    pub run_id: String,
    /// SHA-256 of the files that were read.
    pub inputs: Vec<String>,
    /// SHA-256 of `table.json`, which has that of `table.parquet`.
    pub table: String,
    pub cells: Vec<Planned>,
}

impl PlanFile {
    /// 1: without a table.
    const FORMAT: u32 = 2;
}

/// What is planned.
#[derive(Debug)]
pub struct Planning<'a> {
    pub run_id: &'a str,
    pub table: String,
    pub cells: Vec<PlannedCell>,
    /// Larger forests grow in parts.
    pub trees_per_cell: Option<usize>,
}

/// A cell, and what it will take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Planned {
    #[serde(flatten)]
    pub cell: PlannedCell,
    /// Not the whole cell, but these trees of its forest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trees: Option<TreePart>,
    /// Rows it is fitted on, after resampling.
    pub rows: usize,
    /// At most.
    pub memory_bytes: u64,
    /// On one core, roughly: within a factor of three on the machines it was measured on.
    pub core_seconds: f64,
}

/// The parts of forests among planned cells.
pub fn tree_parts<'p>(cells: impl IntoIterator<Item = &'p Planned>) -> TreeParts {
    let part = |planned: &Planned| Some((planned.cell.key.clone(), planned.trees.clone()?));
    cells.into_iter().filter_map(part).collect()
}

impl Planned {
    /// Whether the cell is there, or this part of its forest.
    pub fn is_there(&self, store: &CellStore) -> bool {
        store.has(&self.cell.key) || self.trees.as_ref().is_some_and(|part| store.trees_file(&part.key).is_some())
    }

    /// So many trees at a time, if it is a forest of more.
    fn in_parts(self, config: &Config, trees_per_cell: Option<usize>) -> Vec<Planned> {
        let model = config.models.iter().find(|model| model.name == self.cell.model);
        let trees = model.and_then(|model| model.model.forest()).map_or(0, |(forest, _)| forest.trees);
        let Some(most) = trees_per_cell.filter(|&most| most < trees) else { return vec![self] };
        let part = |from: usize| {
            let to = trees.min(from + most);
            let core_seconds = (self.core_seconds * (to - from) as f64 / trees as f64).max(0.01);
            Planned { trees: Some(TreePart::of(&self.cell.key, from, to)), core_seconds, ..self.clone() }
        };
        (0..trees).step_by(most).map(part).collect()
    }
}

impl std::fmt::Display for Planned {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match &self.trees {
            Some(part) => write!(f, "{}, {part}", self.cell),
            None => write!(f, "{}", self.cell),
        }
    }
}

/// A part of a grid: cells whose number is `index` modulo `of`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    pub index: usize,
    pub of: usize,
}

impl Shard {
    pub fn cells(self, plan: &PlanFile) -> impl Iterator<Item = &Planned> {
        plan.cells.iter().skip(self.index).step_by(self.of)
    }
}

impl PlanFile {
    /// Bytes that the largest cell takes.
    pub fn largest_cell(&self) -> u64 {
        self.cells.iter().map(|planned| planned.memory_bytes).max().unwrap_or(0)
    }

    pub fn of(config: &Config, data: &ReadData, splits: &[Split], planning: Planning) -> PlanFile {
        let Planning { run_id, table, cells, trees_per_cell } = planning;
        let planned = |cell: PlannedCell| {
            let rows = rows(config, splits, &cell);
            Planned {
                rows,
                memory_bytes: memory_of_cell(config, data, splits, &cell),
                core_seconds: core_seconds(config, &cell, rows, data.dataset.table.n_columns()),
                trees: None,
                cell,
            }
        };
        let planned = |cell| planned(cell).in_parts(config, trees_per_cell);
        PlanFile {
            format: Self::FORMAT,
            version: env!("CARGO_PKG_VERSION").into(),
            code: env!("FRAUDML_CODE").into(),
            run_id: run_id.into(),
            inputs: data.fingerprints.iter().map(|file| file.sha256.clone()).collect(),
            table,
            cells: cells.into_iter().flat_map(planned).collect(),
        }
    }

    /// The plan of a run, if this program can go on with it.
    pub fn read(run: &Path) -> Result<PlanFile> {
        let path = run.join(PLAN_FILE);
        if !path.is_file() {
            let missing = Error::permanent(format!("`{}` has no {PLAN_FILE}", run.display()));
            return Err(missing.hint("`fraudml plan --config ..` makes one"));
        }
        let anew = |error: Error| error.hint("`fraudml plan` writes it anew, finished cells are kept");
        PlanFile::check_maker(&path, anew)?;
        read_json(&path).map_err(anew)
    }

    /// The data that the run was planned on, as they were then.
    pub fn data(&self, run: &Path, storage: &Storage, progress: &dyn Progress) -> Result<ReadData> {
        snapshot::read(run, &self.table, storage, progress)
    }

    /// Refuses the plan of another program before the rest of it is looked at.
    fn check_maker(path: &Path, anew: fn(Error) -> Error) -> Result<()> {
        #[derive(Deserialize)]
        struct Maker {
            format: u32,
            version: String,
            code: String,
        }
        let Maker { format, version, code } = read_json(path).map_err(anew)?;
        let here = (Self::FORMAT, env!("CARGO_PKG_VERSION"), env!("FRAUDML_CODE"));
        if (format, version.as_str(), code.as_str()) == here {
            return Ok(());
        }
        Err(Error::permanent(format!(
            "`{}` was made by another fraudml: expected format {}, version {}, code {}, found format {format}, version {version}, code {code}",
            path.display(), here.0, here.1, here.2,
        ))
        .hint("plan again with this one, or install that one on every machine"))
    }
}

/// Refuses cells that would get other bits here than where they were planned.
pub fn check_bits(config: &Config, data: &ReadData, splits: &[Split], open: &[&Planned]) -> Result<()> {
    let here: BTreeSet<String> = plan(config, data, splits).into_iter().map(|cell| cell.key).collect();
    match open.iter().find(|planned| !here.contains(&planned.cell.key)) {
        None => Ok(()),
        Some(Planned { cell, .. }) => Err(Error::permanent(format!(
            "{cell}: this machine would make another cell than the plan's"
        ))
        .hint("bits of a network follow the processor's features: plan and fit on machines that have the same, or leave it out")),
    }
}

/// Rows after resampling, before Tomek links take any away.
fn rows(config: &Config, splits: &[Split], cell: &PlannedCell) -> usize {
    let Some((split, part)) = cell.place(splits) else { return 0 };
    let train = split.rows(part).0;
    let (n_rows, n_minority) = (train.n_rows(), train.n_minority());
    let case = config.imbalance.iter().find(|case| case.name == cell.case);
    let wanted = case.and_then(|case| case.case.smote()).map(|smote| smote.target.n_minority(n_rows - n_minority));
    n_rows - n_minority + wanted.unwrap_or(0).max(n_minority)
}

/// Nanoseconds of a core for a tree, per row, level and drawn column: measured on 50,000 x 200 and 80,000 x 412.
const FOREST_NS: f64 = 4.0;
/// Floating-point operations of a core per second in the network's products.
const FLOPS: f64 = 50e9;
/// Nanoseconds a cell of the table takes to be prepared and scored.
const PREPARE_NS: f64 = 30.0;

fn core_seconds(config: &Config, cell: &PlannedCell, rows: usize, n_columns: usize) -> f64 {
    let (n_rows, width) = (rows as f64, n_columns as f64);
    let model = config.models.iter().find(|model| model.name == cell.model);
    let fit = match model.map(|model| &model.model) {
        Some(ModelConfig::RandomForest(forest) | ModelConfig::ExtraTrees(forest)) => {
            let drawn = forest.max_features.of(n_columns.max(1)) as f64;
            forest.trees as f64 * n_rows * n_rows.max(2.0).log2() * drawn * FOREST_NS * 1e-9
        }
        Some(ModelConfig::Mlp(mlp)) => {
            let sizes: Vec<f64> =
                [width].into_iter().chain(mlp.hidden.iter().map(|&n| n as f64)).chain([1.0]).collect();
            let weights: f64 = sizes.windows(2).map(|pair| pair[0] * pair[1]).sum();
            6.0 * weights * n_rows * mlp.epochs as f64 / FLOPS
        }
        Some(ModelConfig::Logistic) | None => 200.0 * 4.0 * n_rows * width * 1e-9,
    };
    (fit + n_rows * width * PREPARE_NS * 1e-9).max(0.01)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan_of(n_cells: usize) -> PlanFile {
        let cell = |at: usize| Planned {
            cell: PlannedCell {
                protocol: "random".into(),
                model: "m".into(),
                case: "raw".into(),
                part: format!("fold-{at}"),
                key: format!("{at:032x}"),
            },
            trees: None,
            rows: 1,
            memory_bytes: 1,
            core_seconds: 1.0,
        };
        PlanFile {
            format: 1,
            version: "0".into(),
            code: "0".into(),
            run_id: "r".into(),
            inputs: Vec::new(),
            table: "t".into(),
            cells: (0..n_cells).map(cell).collect(),
        }
    }

    #[test]
    fn every_cell_is_in_one_shard() {
        for n_cells in [0, 1, 5, 12] {
            let plan = plan_of(n_cells);
            for of in [1, 2, 7, 20] {
                let mut keys: Vec<String> = (0..of)
                    .flat_map(|index| {
                        Shard { index, of }.cells(&plan).map(|planned| planned.cell.key.clone()).collect::<Vec<_>>()
                    })
                    .collect();
                keys.sort();
                assert_eq!(keys, plan.cells.iter().map(|planned| planned.cell.key.clone()).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn a_plan_is_read_as_it_was_written() {
        let plan = plan_of(3);
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<PlanFile>(&text).unwrap(), plan);
    }
}

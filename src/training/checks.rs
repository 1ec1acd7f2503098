//! What can be known before the long run starts: neighbours enough, groups that come back, and work and memory that fit
//! the machine. Only what is not finished yet counts.

use super::cells::{PlannedCell, plan};
use super::config::{Config, ModelConfig, NamedCase, TooFew};
use super::error::{Error, Result};
use super::fit::features::check_features;
use super::fit::mlp::check_device;
use super::mapped::Storage;
use super::progress::Progress;
use super::read::ReadData;
use super::resample::{Features, LIMIT_HOURS, estimate};
use super::rows::TrainRows;
use super::run_dir::CellStore;
use super::seed::Seed;
use super::split::{Part, Split, set_aside};

/// Fails cheaply what would fail late, and says what the slow cases will cost.
pub fn before_fitting(
    config: &Config,
    data: &ReadData,
    splits: &[Split],
    store: &CellStore,
    storage: &Storage,
    progress: &dyn Progress,
) -> Result<()> {
    let missing: Vec<PlannedCell> =
        plan(config, data, splits).into_iter().filter(|cell| !store.has(&cell.key)).collect();
    for named in &config.imbalance {
        let unfinished = |split: &Split, part: Part| {
            let (protocol, part) = (split.protocol.as_str(), part.to_string());
            missing.iter().any(|cell| cell.protocol == protocol && cell.part == part && cell.case == named.name)
        };
        check_neighbours(named, splits, &unfinished, progress)?;
    }
    check_networks(config, splits, &missing)?;
    check_disk(config, data, splits, &missing, progress)?;
    if missing.is_empty() {
        return Ok(());
    }
    check_memory(config, data, splits, progress)?;
    let parts: Vec<&TrainRows> = splits.iter().flat_map(|split| split.parts().map(|part| split.rows(part).0)).collect();
    check_features(&config.recipe(), &parts, storage)
}

/// Devices that are there, and both classes on both sides of what early stopping sets aside.
fn check_networks(config: &Config, splits: &[Split], missing: &[PlannedCell]) -> Result<()> {
    for named in &config.models {
        let ModelConfig::Mlp(mlp) = &named.model else { continue };
        let unfinished: Vec<&PlannedCell> = missing.iter().filter(|cell| cell.model == named.name).collect();
        if unfinished.is_empty() {
            continue;
        }
        check_device(mlp.device)?;
        let Some(share) = named.model.set_aside() else { continue };
        for split in splits {
            let protocol = split.protocol.as_str();
            let is_unfinished =
                |part: Part| unfinished.iter().any(|cell| cell.protocol == protocol && cell.part == part.to_string());
            for part in split.parts().filter(|&part| is_unfinished(part)) {
                set_aside(split.protocol, split.rows(part).0, share, Seed::new(config.seed))
                    .map_err(|error| error.within(&format!("{protocol} {part}")))?;
            }
        }
    }
    Ok(())
}

fn check_neighbours(
    named: &NamedCase,
    splits: &[Split],
    unfinished: &dyn Fn(&Split, Part) -> bool,
    progress: &dyn Progress,
) -> Result<()> {
    if !named.case.has_neighbors() {
        return Ok(());
    }
    let k = named.case.smote().map_or(0, |smote| if smote.too_few == TooFew::Reduce { 1 } else { smote.k });
    let (mut seconds, mut bytes) = (0.0, 0.0_f64);
    for split in splits {
        for part in split.parts().filter(|&part| unfinished(split, part)) {
            let (train, _) = split.rows(part);
            let n_minority = train.n_minority();
            if n_minority <= k {
                return Err(Error::permanent(format!(
                    "case `{}`: expected more than {k} minority rows for {k} neighbours, found {n_minority} in {} {part}",
                    named.name,
                    split.protocol.as_str()
                ))
                .hint("lower `k`, say `too_few: reduce`, use fewer folds, or leave the case out with `--only`"));
            }
            let work = estimate(&named.case, train.n_rows(), n_minority, Features::of_table(train.table()));
            seconds += work.seconds;
            bytes = bytes.max(work.bytes);
        }
    }
    if seconds > LIMIT_HOURS * 3600.0 {
        return Err(Error::permanent(format!(
            "case `{}`: the search for neighbours would take about {:.0} hours on this machine, more than {LIMIT_HOURS}",
            named.name,
            seconds / 3600.0
        ))
        .hint("leave the case out with `--only`, or use fewer rows or folds"));
    }
    if seconds > 60.0 {
        let (minutes, gigabytes) = (seconds / 60.0, bytes / 1e9);
        progress.say(&format!(
            "case `{}`: the search for neighbours will take about {minutes:.0} minutes and {gigabytes:.1} GB beside the data",
            named.name
        ));
    }
    Ok(())
}

/// Says how much will lie on disk where that is much; refuses what does not fit.
fn check_disk(
    config: &Config,
    data: &ReadData,
    splits: &[Split],
    missing: &[PlannedCell],
    progress: &dyn Progress,
) -> Result<()> {
    let folder = &config.output.experiments;
    let spilled = config.limits.memory_budget.map_or(0.0, |budget| {
        let spillable = Need::of(config, data, splits).spillable;
        if spillable > budget as f64 { spillable } else { 0.0 }
    });
    let bytes = missing.iter().map(|cell| cell_bytes(cell, config, splits)).sum::<f64>() + spilled;
    tracing::info!(bytes, "disk this run is expected to take");
    if bytes > 1e9 {
        progress.say(&format!("about {:.1} GB will lie in `{}`", bytes / 1e9, folder.display()));
    }
    match free_disk(folder) {
        Some(free) if bytes > free => Err(Error::failed(format!(
            "`{}` needs about {:.1} GB for this run, {:.1} GB are free",
            folder.display(),
            bytes / 1e9,
            free / 1e9
        ))
        .hint("free some space, choose another folder (`output.experiments`), or leave models out with `--only`")),
        _ => Ok(()),
    }
}

/// Scores of one cell as Parquet, and the model of a final fit: measured on `synth` data, both within a factor of two.
fn cell_bytes(cell: &PlannedCell, config: &Config, splits: &[Split]) -> f64 {
    const BYTES_PER_SCORE: f64 = 9.0;
    /// 2.5 of the node itself, 12 nodes for each row of the minority.
    const BYTES_PER_MINORITY_ROW: f64 = 30.0;
    let Some((split, part)) = cell.place(splits) else { return 0.0 };
    let (train, held_out) = split.rows(part);
    let model = config.models.iter().find(|model| model.name == cell.model).map(|model| &model.model);
    let model = match model {
        Some(ModelConfig::RandomForest(forest) | ModelConfig::ExtraTrees(forest)) => {
            forest.trees as f64 * BYTES_PER_MINORITY_ROW * train.n_minority() as f64
        }
        Some(ModelConfig::Mlp(mlp)) => {
            let widths: Vec<usize> = std::iter::once(train.table().n_columns()).chain(mlp.hidden.clone()).collect();
            4.0 * widths.windows(2).map(|pair| pair[0] * pair[1]).sum::<usize>() as f64
        }
        Some(ModelConfig::Logistic) | None => 0.0,
    };
    BYTES_PER_SCORE * held_out.n_rows() as f64 + if part == Part::Final { model } else { 0.0 }
}

/// Bytes that a folder's disk has left for this user.
pub(super) fn free_disk(folder: &std::path::Path) -> Option<f64> {
    let found = rustix::fs::statvfs(folder).ok()?;
    Some(found.f_bavail as f64 * found.f_frsize as f64)
}

/// Says the peak it expects; refuses what is above the memory that is free, and a budget that can't be kept.
fn check_memory(config: &Config, data: &ReadData, splits: &[Split], progress: &dyn Progress) -> Result<()> {
    let need = Need::of(config, data, splits);
    let gigabytes = |bytes: f64| bytes / 1e9;
    let budget = config.limits.memory_budget.map(|bytes| bytes as f64);
    if let Some(budget) = budget.filter(|&budget| need.always > budget) {
        let message = format!(
            "`limits.memory_budget` is {:.2} GB, but the run needs about {:.2} GB beside columns and bins",
            gigabytes(budget),
            gigabytes(need.always)
        );
        return Err(Error::permanent(message).hint(match need.matrices {
            true => {
                "mlp, logistic and `smote-tomek` work on a matrix in memory: leave them out with `--only`, or raise it"
            }
            false => "that is for labels, row numbers and scores: raise it, or use fewer rows",
        }));
    }
    let bytes = need.of_process(budget);
    tracing::info!(bytes, "memory this run is expected to take");
    if need.always + need.spillable > 1e9 {
        progress.say(&format!("about {:.1} GB of memory will be needed", gigabytes(bytes)));
    }
    if bytes < PROCESS + need.always + need.spillable {
        let on_disk = gigabytes(need.spillable);
        progress.say(&format!(
            "columns and bins, up to {on_disk:.1} GB, exceed the budget and lie on disk while the run lasts"
        ));
    }
    match available_memory() {
        Some(available) if bytes > available => Err(Error::permanent(format!(
            "the run needs about {:.1} GB of memory, {:.1} GB are free",
            gigabytes(bytes),
            gigabytes(available)
        ))
        .hint(match need.matrices {
            true => "leave out `smote-tomek`, mlp and logistic with `--only`, or columns (`data.columns: { V*: drop }`), or use fewer rows",
            false => "set `limits.memory_budget`, leave out columns (`data.columns: { V*: drop }`), or use fewer rows",
        })),
        _ => Ok(()),
    }
}

/// Bytes a run needs. Upper bounds: no column is assumed to be dropped.
struct Need {
    /// Raw columns as they are packed, derived ones, and the largest part's bins by column and by row.
    spillable: f64,
    /// What every row takes, and matrices.
    always: f64,
    matrices: bool,
}

/// The program, its drawings and what allocators keep, whatever the data. With it peaks of 350 to 3,900 MB were 0.85 to 1.16
/// of what was expected (`tests/memory.sh` holds three shapes to a quarter).
const PROCESS: f64 = 150e6;
/// Label, id, time, splits, weights, scores and the samples of the trees that grow at once.
const BYTES_PER_ROW: f64 = 100.0;

/// Bytes that a process which fits one cell takes, its share of the run's data included.
pub fn memory_of_cell(config: &Config, data: &ReadData, splits: &[Split], cell: &PlannedCell) -> u64 {
    let alone = Config {
        models: config.models.iter().filter(|model| model.name == cell.model).cloned().collect(),
        imbalance: config.imbalance.iter().filter(|case| case.name == cell.case).cloned().collect(),
        ..config.clone()
    };
    Need::of(&alone, data, splits).of_process(config.limits.memory_budget.map(|bytes| bytes as f64)) as u64
}

fn bins(model: &ModelConfig) -> Option<usize> {
    match model {
        ModelConfig::RandomForest(forest) | ModelConfig::ExtraTrees(forest) => Some(forest.bins),
        ModelConfig::Mlp(_) | ModelConfig::Logistic => None,
    }
}

impl Need {
    /// With the program itself; what a budget moves to disk is left out.
    fn of_process(&self, budget: Option<f64>) -> f64 {
        PROCESS + self.always + budget.map_or(self.spillable, |budget| self.spillable.min(budget))
    }

    fn of(config: &Config, data: &ReadData, splits: &[Split]) -> Need {
        let (n_rows, table) = (data.dataset.n_rows() as f64, &data.dataset.table);
        let largest = splits.iter().map(|split| split.train.n_rows()).max().unwrap_or_default() as f64;
        let n_features = (table.n_columns() + config.features.len()) as f64;
        let synthetic = |case: &NamedCase| case.case.smote().map(|smote| smote.target.n_minority(largest as usize));
        let enlarged = |case: &NamedCase| synthetic(case).map_or(0.0, |n| largest + n as f64);
        let smote = config.imbalance.iter().map(enlarged).fold(0.0, f64::max);
        let mut bins: Vec<usize> = config.models.iter().filter_map(|model| bins(&model.model)).collect();
        let on_matrix = bins.len() < config.models.len();
        bins.sort_unstable();
        bins.dedup();
        let neighbors = config.imbalance.iter().any(|case| case.case.has_neighbors());
        let matrix = if on_matrix || neighbors { largest } else { 0.0 };
        Need {
            // Derived columns stand twice: as training rows see them, and as all others do.
            spillable: table.n_bytes() as f64
                + 16.0 * config.features.len() as f64 * n_rows
                + 2.0 * n_features * bins.len() as f64 * (largest + smote),
            // SMOTE holds the enlarged matrix beside the one it is made of.
            always: BYTES_PER_ROW * n_rows + 4.0 * n_features * (matrix + smote),
            matrices: matrix > 0.0,
        }
    }
}

/// `MemAvailable` of Linux, in bytes; nothing elsewhere.
pub(super) fn available_memory() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? * 1024.0)
}

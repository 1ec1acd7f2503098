//! Split: which rows may be learned from, and which only measured.
//!
//! `random`: stratified shuffle into train and test, stratified k-fold inside train. `temporal`: rows by (time, row);
//! the last share is the test, its boundary moved so that equal times stay in train; k + 1 equal blocks of train, fold
//! i fits on blocks 1..=i and validates on block i + 1. Rows of train are sorted by index under `random` and by time
//! under `temporal`, so nothing depends on how they were drawn.
//!
//! With `keep_groups`, `random` deals out groups instead of rows. Under `temporal` time decides alone: a card stands on
//! both sides of a boundary, as it will in production. A `gap` takes the rows fitted on that lie less than so many seconds
//! before the first row held out; they are in no part.

mod groups;

pub(super) use groups::of_column as groups_of_column;

use std::sync::Arc;

use rand::seq::SliceRandom;

use super::config::{Protocol, SplitConfig};
use super::error::{Error, Result};
use super::rows::{Dataset, HeldOutRows, TrainRows, WatchedRows};
use super::seed::Seed;

/// One protocol's rows.
#[derive(Debug, Clone)]
pub struct Split {
    pub protocol: Protocol,
    pub train: TrainRows,
    pub test: HeldOutRows,
    pub folds: Vec<Fold>,
    /// How often the final fit runs.
    pub repeats: usize,
}

/// One fold inside the training rows.
#[derive(Debug, Clone)]
pub struct Fold {
    pub fit: TrainRows,
    pub held_out: HeldOutRows,
}

/// A cell's part of a split: a fold, or the final fit on all training rows with the test rows held out; the latter again with
/// other seeds, from 1, where the spread between seeds is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Fold(usize),
    Repeat(usize),
    Final,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Part::Fold(fold) => write!(f, "fold-{fold}"),
            Part::Repeat(nth) => write!(f, "repeat-{nth}"),
            Part::Final => write!(f, "final"),
        }
    }
}

impl Part {
    /// What all randomness of a part comes from.
    pub fn seed(self, protocol: Protocol, seed: Seed) -> Seed {
        let nth = match self {
            Part::Fold(fold) => fold as u64,
            Part::Repeat(nth) => u64::MAX - nth as u64,
            Part::Final => u64::MAX,
        };
        seed.derive(protocol.as_str(), nth)
    }
}

impl Split {
    pub fn parts(&self) -> impl Iterator<Item = Part> {
        (0..self.folds.len()).map(Part::Fold).chain((1..self.repeats).map(Part::Repeat)).chain([Part::Final])
    }

    /// Rows to fit on and rows to measure on.
    pub fn rows(&self, part: Part) -> (&TrainRows, &HeldOutRows) {
        match part {
            Part::Fold(fold) => (&self.folds[fold].fit, &self.folds[fold].held_out),
            Part::Repeat(_) | Part::Final => (&self.train, &self.test),
        }
    }

    /// Per row of the dataset: `test`, or `train` with the fold that validates it (none for the first temporal block).
    pub fn assignment(&self) -> impl Iterator<Item = (&'static str, Option<usize>)> {
        const TEST: u32 = u32::MAX;
        const NO_FOLD: u32 = u32::MAX - 1;
        let mut assignment = vec![NO_FOLD; self.train.dataset().n_rows()];
        for &row in self.test.rows() {
            assignment[row as usize] = TEST;
        }
        for (fold_idx, fold) in self.folds.iter().enumerate() {
            for &row in fold.held_out.rows() {
                assignment[row as usize] = fold_idx as u32;
            }
        }
        const GAP: u32 = u32::MAX - 2;
        let mut is_train = vec![false; assignment.len()];
        self.train.rows().iter().for_each(|&row| is_train[row as usize] = true);
        let unused = |at: &usize| !is_train[*at] && assignment[*at] == NO_FOLD;
        for row in (0..assignment.len()).filter(unused).collect::<Vec<_>>() {
            assignment[row] = GAP;
        }
        assignment.into_iter().map(|fold| match fold {
            TEST => ("test", None),
            GAP => ("gap", None),
            NO_FOLD => ("train", None),
            fold => ("train", Some(fold as usize)),
        })
    }
}

/// Splits by one protocol. Errors: a class too small for the folds, a block of one class, no time column.
pub fn split(dataset: &Arc<Dataset>, config: &SplitConfig, protocol: Protocol, seed: Seed) -> Result<Split> {
    let seed = seed.derive("split", 0);
    let (train, test, folds) = match protocol {
        Protocol::Random => random(dataset, config, seed)?,
        Protocol::Temporal => temporal(dataset, config)?,
    };
    let folds = folds.into_iter().map(|(fit, held_out)| Fold {
        fit: TrainRows::new(dataset.clone(), fit),
        held_out: HeldOutRows::new(dataset.clone(), held_out),
    });
    Ok(Split {
        protocol,
        folds: folds.collect(),
        repeats: 1,
        train: TrainRows::new(dataset.clone(), train),
        test: HeldOutRows::new(dataset.clone(), test),
    })
}

/// Sets rows aside for early stopping to watch, before anything is fitted: under `temporal` the latest share, equal times
/// staying with the rows that are fitted on; under `random` a share of each class. Error: a side of one class.
pub fn set_aside(protocol: Protocol, train: &TrainRows, share: f64, seed: Seed) -> Result<(TrainRows, WatchedRows)> {
    let (fit, watched): (Rows, Rows) = match (protocol, &train.dataset().times) {
        (Protocol::Temporal, Some(times)) => {
            let (rows, time_at) = (train.rows(), |at: usize| times[train.rows()[at] as usize]);
            let mut n_fit = rows.len() - (rows.len() as f64 * share).round() as usize;
            while n_fit > 0 && n_fit < rows.len() && time_at(n_fit) == time_at(n_fit - 1) {
                n_fit += 1;
            }
            (rows[..n_fit].to_vec(), rows[n_fit..].to_vec())
        }
        _ => {
            let mut watched = Rows::new();
            for class in [0u8, 1] {
                let labelled = train.rows().iter().zip(train.labels()).filter(|(_, label)| *label == class);
                let mut rows: Rows = labelled.map(|(&row, _)| row).collect();
                rows.shuffle(&mut seed.derive("set aside", u64::from(class)).rng());
                rows.truncate((rows.len() as f64 * share).round() as usize);
                watched.extend(rows);
            }
            watched.sort_unstable();
            let (watched, fit) = train.rows().iter().partition(|row| watched.binary_search(row).is_ok());
            (fit, watched)
        }
    };
    let labels = &train.dataset().labels;
    for (side, rows) in [("fitted on", &fit), ("set aside", &watched)] {
        let n_positives = rows.iter().filter(|&&row| labels[row as usize] == 1).count();
        if n_positives == 0 || n_positives == rows.len() {
            let found = rows.len();
            return Err(Error::permanent(format!(
                "early stopping: expected both classes in the rows {side}, found {n_positives} positive of {found}"
            ))
            .hint("use another `early_stopping.share`, fewer folds (`split.folds`), or more data"));
        }
    }
    Ok(train.set_aside(fit, watched))
}

type Rows = Vec<u32>;
type Assigned = (Rows, Rows, Vec<(Rows, Rows)>);

fn random(dataset: &Dataset, config: &SplitConfig, seed: Seed) -> Result<Assigned> {
    // 0..folds: the fold that holds the row out; folds: test.
    let assigned = match &config.keep_groups {
        Some(column) => groups_apart(dataset, config, column, seed)?,
        None => rows_apart(dataset, config, seed)?,
    };
    let rows_where = |keep: &dyn Fn(usize) -> bool| -> Rows {
        (0..dataset.n_rows() as u32).filter(|&row| keep(assigned[row as usize])).collect()
    };
    let fold = |fold_idx: usize| {
        (rows_where(&|part| part != fold_idx && part != config.folds), rows_where(&|part| part == fold_idx))
    };
    let folds = (0..config.folds).map(fold).collect();
    Ok((rows_where(&|part| part != config.folds), rows_where(&|part| part == config.folds), folds))
}

/// Whole groups, dealt out so that every part has its share of rows and of positives.
fn groups_apart(dataset: &Dataset, config: &SplitConfig, column: &str, seed: Seed) -> Result<Vec<usize>> {
    let Some(cells) = dataset.table.column(column) else {
        let message = format!("`split.keep_groups`: the group column `{column}` is not among the columns read");
        return Err(Error::permanent(message).hint("a group is a column that is read: not the id, not dropped"));
    };
    let groups = groups::of_column(cells.packed());
    let of_fold = (1.0 - config.test_share) / config.folds as f64;
    let shares: Vec<f64> = std::iter::repeat_n(of_fold, config.folds).chain([config.test_share]).collect();
    let assigned = groups::assign(&dataset.labels, &groups, &shares, seed.derive("groups", 0));
    for part in 0..=config.folds {
        let of_part = || assigned.iter().zip(&dataset.labels).filter(|(of, _)| **of == part);
        let (n_rows, n_positives) = (of_part().count(), of_part().filter(|(_, label)| **label == 1).count());
        if n_positives == 0 || n_positives == n_rows {
            let name = if part == config.folds { "the test set".to_owned() } else { format!("fold {part}") };
            return Err(Error::permanent(format!(
                "`split.keep_groups`: expected both classes in {name}, found {n_positives} positive of {n_rows} rows"
            ))
            .hint("the groups are too few or too large: use fewer folds (`split.folds`), or another group"));
        }
    }
    Ok(assigned)
}

fn rows_apart(dataset: &Dataset, config: &SplitConfig, seed: Seed) -> Result<Vec<usize>> {
    let mut assigned = vec![0usize; dataset.n_rows()];
    for class in [0u8, 1] {
        let mut rows: Rows =
            (0..dataset.n_rows() as u32).filter(|&row| dataset.labels[row as usize] == class).collect();
        let n_test = (rows.len() as f64 * config.test_share).round() as usize;
        if n_test == 0 || rows.len() - n_test < config.folds {
            let kind = if class == 1 { "positive" } else { "negative" };
            return Err(Error::permanent(format!(
                "expected at least {} {kind} rows for {} folds and a test set, found {}",
                needed(config),
                config.folds,
                rows.len()
            ))
            .hint("use fewer folds (`split.folds`), or more data"));
        }
        rows.shuffle(&mut seed.derive("class", u64::from(class)).rng());
        for (at, &row) in rows.iter().enumerate() {
            assigned[row as usize] = if at < n_test { config.folds } else { (at - n_test) % config.folds };
        }
    }
    Ok(assigned)
}

/// The smallest class that leaves one row for the test and one for every fold.
fn needed(config: &SplitConfig) -> usize {
    let enough = |n: &usize| {
        let n_test = (*n as f64 * config.test_share).round() as usize;
        n_test > 0 && n - n_test >= config.folds
    };
    (1..1_000_000).find(enough).unwrap_or(usize::MAX)
}

fn temporal(dataset: &Dataset, config: &SplitConfig) -> Result<Assigned> {
    let Some(times) = &dataset.times else {
        return Err(Error::permanent("protocol `temporal` needs a time column").hint("declare `data.time`"));
    };
    let n_rows = dataset.n_rows();
    let mut order: Rows = (0..n_rows as u32).collect();
    order.sort_by(|&a, &b| times[a as usize].total_cmp(&times[b as usize]).then(a.cmp(&b)));
    let mut n_train = n_rows - (n_rows as f64 * config.test_share).round() as usize;
    let time_at = |at: usize| times[order[at] as usize];
    while n_train > 0 && n_train < n_rows && time_at(n_train) == time_at(n_train - 1) {
        n_train += 1;
    }
    let n_blocks = config.folds + 1;
    if n_train < n_blocks || n_train == n_rows {
        return Err(Error::permanent(format!(
            "expected rows for {n_blocks} blocks of time and a test, found {n_rows} rows"
        ))
        .hint("use fewer folds (`split.folds`), or leave out protocol `temporal`"));
    }
    let block = |at: usize| at * n_train / n_blocks..(at + 1) * n_train / n_blocks;
    let named = (0..n_blocks).map(|at| (format!("block {} of {n_blocks}", at + 1), block(at)));
    for (name, range) in named.chain([("the test set".to_owned(), n_train..n_rows)]) {
        let positives = order[range.clone()].iter().filter(|&&row| dataset.labels[row as usize] == 1).count();
        if positives == 0 || positives == range.len() {
            return Err(Error::permanent(format!(
                "protocol `temporal`: expected both classes in {name}, found {positives} positive of {} rows",
                range.len()
            ))
            .hint("use fewer folds (`split.folds`), or leave out protocol `temporal`"));
        }
    }
    let fitted = |end: usize| -> Result<Rows> {
        let kept: Rows =
            order[..end].iter().copied().filter(|&row| times[row as usize] <= time_at(end) - config.gap).collect();
        let n_positives = kept.iter().filter(|&&row| dataset.labels[row as usize] == 1).count();
        match config.gap > 0.0 && (n_positives == 0 || n_positives == kept.len()) {
            true => Err(Error::permanent(format!(
                "`split.gap`: expected both classes before the gap, found {n_positives} positive of {} rows",
                kept.len()
            ))
            .hint("use a smaller gap, or fewer folds (`split.folds`)")),
            false => Ok(kept),
        }
    };
    let fold = |at: usize| Ok((fitted(block(at).start)?, order[block(at)].to_vec()));
    let folds = (1..n_blocks).map(fold).collect::<Result<_>>()?;
    Ok((fitted(n_train)?, order[n_train..].to_vec(), folds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scoring::table::{Cells, Table};

    fn dataset(n_rows: usize, every: usize, time: impl Fn(usize) -> f64) -> Arc<Dataset> {
        let mut table = Table::new(n_rows);
        table.push("x", Cells::numeric(&(0..n_rows).map(|row| row as f64).collect::<Vec<_>>()));
        let labels = (0..n_rows).map(|row| u8::from(row % every == 0)).collect();
        let ids = (0..n_rows).map(|row| row.to_string()).collect();
        Arc::new(Dataset { table, labels, ids, times: Some((0..n_rows).map(time).collect()) })
    }

    fn config(folds: usize) -> SplitConfig {
        SplitConfig {
            test_share: 0.2,
            folds,
            protocols: vec![Protocol::Random, Protocol::Temporal],
            keep_groups: None,
            gap: 0.0,
        }
    }

    #[test]
    fn random_is_a_stratified_partition() {
        let split = split(&dataset(1000, 10, |_| 0.0), &config(4), Protocol::Random, Seed::new(1)).unwrap();
        assert_eq!((split.train.n_rows(), split.test.n_rows()), (800, 200));
        assert_eq!(split.test.labels().iter().filter(|&&label| label == 1).count(), 20);
        let mut seen: Vec<u32> = split.test.rows().to_vec();
        for fold in &split.folds {
            assert_eq!(fold.held_out.n_rows(), 200);
            assert_eq!(fold.held_out.labels().iter().filter(|&&label| label == 1).count(), 20);
            assert!(fold.fit.rows().iter().all(|row| !fold.held_out.rows().contains(row)));
            assert!(fold.fit.rows().iter().all(|row| !split.test.rows().contains(row)));
            seen.extend(fold.held_out.rows());
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..1000).collect::<Vec<u32>>());
    }

    #[test]
    fn temporal_never_looks_back_and_keeps_equal_times_together() {
        // Times descend and come in runs of seven, so row order and run ends differ from the block ends.
        let split =
            split(&dataset(1000, 10, |row| -((row / 7) as f64)), &config(4), Protocol::Temporal, Seed::new(1)).unwrap();
        let times = split.train.dataset().times.clone().unwrap();
        let latest = |rows: &[u32]| rows.iter().map(|&row| times[row as usize]).fold(f64::MIN, f64::max);
        let earliest = |rows: &[u32]| rows.iter().map(|&row| times[row as usize]).fold(f64::MAX, f64::min);
        assert!(latest(split.train.rows()) < earliest(split.test.rows()));
        for fold in &split.folds {
            assert!(latest(fold.fit.rows()) <= earliest(fold.held_out.rows()));
        }
        assert_eq!(
            split.folds.last().unwrap().fit.n_rows() + split.folds.last().unwrap().held_out.n_rows(),
            split.train.n_rows()
        );
    }

    /// Rows that are held out stay; those fitted on lie at least the gap before the earliest of them, and no others go.
    #[test]
    fn a_gap_takes_the_rows_right_before_what_is_held_out() {
        let dataset = dataset(1000, 10, |row| ((row * 7919) % 1000 / 3) as f64 * 100.0);
        let with = |gap| split(&dataset, &SplitConfig { gap, ..config(4) }, Protocol::Temporal, Seed::new(1)).unwrap();
        let (plain, gapped) = (with(0.0), with(1500.0));
        let times = dataset.times.as_deref().unwrap();
        let before = |held_out: &HeldOutRows, gap: f64| {
            let earliest = held_out.rows().iter().map(|&row| times[row as usize]).fold(f64::MAX, f64::min);
            let mut rows: Vec<u32> = (0..1000).filter(|&row| times[row as usize] <= earliest - gap).collect();
            rows.retain(|row| !held_out.rows().contains(row));
            rows
        };
        let sorted = |rows: &[u32]| {
            let mut rows = rows.to_vec();
            rows.sort_unstable();
            rows
        };
        let parts = |split: &Split| {
            let folds = split.folds.iter().map(|fold| (fold.fit.clone(), fold.held_out.clone()));
            folds.chain([(split.train.clone(), split.test.clone())]).collect::<Vec<_>>()
        };
        for ((wide, held_out), (fit, same)) in parts(&plain).iter().zip(&parts(&gapped)) {
            assert_eq!(held_out.rows(), same.rows());
            assert_eq!(sorted(fit.rows()), before(held_out, 1500.0));
            assert!(fit.n_rows() < wide.n_rows() && fit.n_rows() + 50 > wide.n_rows(), "some go, not many");
        }
        let error = split(&dataset, &SplitConfig { gap: 1e9, ..config(4) }, Protocol::Temporal, Seed::new(1));
        assert_eq!(
            error.unwrap_err().message,
            "`split.gap`: expected both classes before the gap, found 0 positive of 0 rows"
        );
    }

    #[test]
    fn rows_set_aside_are_the_latest_or_a_share_of_each_class() {
        let dataset = dataset(1000, 10, |row| -((row / 7) as f64));
        let times = dataset.times.clone().unwrap();
        for protocol in [Protocol::Random, Protocol::Temporal] {
            let split = split(&dataset, &config(4), protocol, Seed::new(1)).unwrap();
            let (fit, watched) = set_aside(protocol, &split.train, 0.1, Seed::new(2)).unwrap();
            let mut all: Vec<u32> = fit.rows().iter().chain(watched.rows()).copied().collect();
            let mut expected = split.train.rows().to_vec();
            all.sort_unstable();
            expected.sort_unstable();
            assert_eq!(all, expected);
            let bounds = |rows: &[u32]| {
                let times = rows.iter().map(|&row| times[row as usize]);
                (times.clone().fold(f64::MAX, f64::min), times.fold(f64::MIN, f64::max))
            };
            match protocol {
                Protocol::Temporal => assert!(bounds(fit.rows()).1 < bounds(watched.rows()).0),
                Protocol::Random => {
                    assert_eq!((watched.n_rows(), watched.labels().iter().filter(|&&y| y == 1).count()), (80, 8))
                }
            }
            let (again, _) = set_aside(protocol, &split.train, 0.1, Seed::new(2)).unwrap();
            assert_eq!(again.rows(), fit.rows());
        }
        let split = split(&dataset, &config(4), Protocol::Random, Seed::new(1)).unwrap();
        let error = set_aside(Protocol::Random, &split.train, 0.001, Seed::new(2)).unwrap_err();
        assert_eq!(error.message, "early stopping: expected both classes in the rows set aside, found 0 positive of 1");
    }

    #[test]
    fn too_few_positives_say_how_many_are_needed() {
        let error = split(&dataset(40, 10, |row| row as f64), &config(5), Protocol::Random, Seed::new(1)).unwrap_err();
        assert_eq!(error.message, "expected at least 6 positive rows for 5 folds and a test set, found 4");
    }
}

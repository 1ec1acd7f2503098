//! Leaks: does anything that is learned depend on rows that are held out, and does any column give the answer away?
//!
//! In: a config and its data. Out: [`Leaks`], five checks with their figures.
//! * **Permuted labels**: labels are shuffled among the rows fitted on and among the rows held out, part by part. Now no
//!   score can know anything, so every AUC must lie within its interval around 0.5: under shuffling it has the variance of
//!   the rank sum, (p + n + 1) / (12 p n) (Mann & Whitney 1947; ties only lower it), at a level of 0.001 over all scores
//!   together (Bonferroni).
//! * **Canary in held-out rows**: a column that holds the label there and 0 elsewhere. No score may move by a bit.
//! * **Held-out rows replaced**: other numbers, other levels, other gaps, labels turned over. No byte of what was fitted may
//!   change.
//! * **Radar**: a copy of the label in all rows must be seen by [`explore::radar`]; any other column that it takes for a copy
//!   is a leak.
//! * **Copies**: rows held out that stand among the rows learned from, or nearly ([`copies`]).
//!
//! The fits are those of `train`, by the same code; nothing is stored. Cost: the grid once with permuted labels, and the
//! final fits three times. Limits: a column that knows the future without being the answer is found by nobody.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::seq::SliceRandom;
use serde::Serialize;

use super::copies::{Copies, copies};
use crate::scoring::bundle::sha256_hex;
use crate::scoring::table::{Cells, Table};
use crate::training::cells::PartOfGrid;
use crate::training::config::Config;
use crate::training::error::{Error, Result};
use crate::training::evaluate::measure;
use crate::training::explore;
use crate::training::mapped::Storage;
use crate::training::progress::{Progress, Unit};
use crate::training::read::ReadData;
use crate::training::rows::{Dataset, HeldOutRows, TrainRows};
use crate::training::seed::Seed;
use crate::training::split::{Fold, Part, Split, split};

/// What each check found.
#[derive(Debug, Clone, Serialize)]
pub struct Leaks {
    pub permuted: Vec<PermutedScore>,
    pub canary: Moved,
    pub replaced: Moved,
    pub radar: Radar,
    pub copies: Vec<Copies>,
    /// Share of the held-out rows that may have a copy.
    pub max_copies: f64,
}

/// A model that learned from permuted labels, on held-out rows with permuted labels.
#[derive(Debug, Clone, Serialize)]
pub struct PermutedScore {
    pub cell: String,
    pub auc: f64,
    pub interval: [f64; 2],
}

impl PermutedScore {
    pub fn is_chance(&self) -> bool {
        (self.interval[0]..=self.interval[1]).contains(&self.auc)
    }
}

/// Fits that should not have changed.
#[derive(Debug, Clone, Serialize)]
pub struct Moved {
    pub compared: usize,
    pub moved: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Radar {
    pub sees_a_planted_copy: bool,
    pub target_copies: Vec<String>,
}

impl Leaks {
    /// What was missed, a line each.
    pub fn missed(&self) -> Vec<String> {
        let mut missed = Vec::new();
        let off: Vec<&PermutedScore> = self.permuted.iter().filter(|score| !score.is_chance()).collect();
        if let Some(worst) = off.iter().max_by(|a, b| (a.auc - 0.5).abs().total_cmp(&(b.auc - 0.5).abs())) {
            let (n, of, [low, high]) = (off.len(), self.permuted.len(), worst.interval);
            missed.push(format!(
                "permuted labels: {n} of {of} scores are no chance, worst `{}`: AUC {:.3}, expected {low:.3} to {high:.3}",
                worst.cell, worst.auc
            ));
        }
        for (what, found) in [("canary in held-out rows", &self.canary), ("held-out rows replaced", &self.replaced)] {
            if let Some(first) = found.moved.first() {
                missed.push(format!("{what}: {} of {} fits moved, first {first}", found.moved.len(), found.compared));
            }
        }
        if !self.radar.sees_a_planted_copy {
            missed.push("radar: a planted copy of the label was not seen".into());
        }
        if !self.radar.target_copies.is_empty() {
            missed.push(format!("radar: columns that are the label: `{}`", self.radar.target_copies.join("`, `")));
        }
        for found in self.copies.iter().filter(|found| found.share() > self.max_copies) {
            missed.push(format!("copies: {found}, more than {:.1} %", self.max_copies * 100.0));
        }
        missed
    }
}

/// Runs all checks. `max_copies` is the share of held-out rows that may have a copy among those learned from.
pub fn leaks(config: &Config, data: &ReadData, max_copies: f64, progress: &dyn Progress) -> Result<Leaks> {
    // A canary that is 0 wherever a fit looks must be no feature, whatever the config keeps.
    let mut config = config.clone();
    config.preprocess.drop_constant = true;
    let (config, dataset) = (&config, &data.dataset);
    let seed = Seed::new(config.seed);
    let storage = Storage::new(config.limits.memory_budget, std::env::temp_dir());
    let splits = config.split.protocols.iter().map(|&protocol| split(dataset, &config.split, protocol, seed));
    let splits = splits.collect::<Result<Vec<Split>>>()?;
    let fits = Fits { config, storage: &storage, progress };
    progress.begin(Unit::Cells, "fits", 0);
    let mut permuted = Vec::new();
    let (mut canary, mut replaced) =
        (Moved { compared: 0, moved: Vec::new() }, Moved { compared: 0, moved: Vec::new() });
    let mut found_copies = Vec::new();
    for split in &splits {
        for part in split.parts() {
            permuted.extend(fits.on_permuted_labels(split, part, seed)?);
        }
        let honest = fits.of(&on(split, dataset.clone()))?;
        canary.add(&honest, &fits.of(&on(split, with_canary(split)))?, |fit| (&fit.scores, "scores"));
        replaced
            .add(&honest, &fits.of(&on(split, with_others_held_out(split)))?, |fit| (&fit.learned, "what it learned"));
        found_copies.extend(copies(config, split, &storage, progress)?);
    }
    level_intervals(&mut permuted);
    progress.end(Unit::Cells);
    Ok(Leaks { permuted, canary, replaced, radar: radar(dataset)?, copies: found_copies, max_copies })
}

/// Hashes of one fit.
struct Fit {
    /// Raw scores of the rows held out, as they are in the data.
    scores: String,
    /// The frozen preparation and the model.
    learned: String,
}

impl Moved {
    fn add(&mut self, honest: &BTreeMap<String, Fit>, other: &BTreeMap<String, Fit>, of: fn(&Fit) -> (&String, &str)) {
        for (cell, fit) in honest {
            self.compared += 1;
            let (expected, what) = of(fit);
            if other.get(cell).is_none_or(|other| of(other).0 != expected) {
                self.moved.push(format!("{what} of `{cell}`"));
            }
        }
    }
}

struct Fits<'a> {
    config: &'a Config,
    storage: &'a Storage,
    progress: &'a dyn Progress,
}

impl Fits<'_> {
    fn part<'s>(&'s self, split: &'s Split, part: Part) -> PartOfGrid<'s> {
        PartOfGrid { config: self.config, split, part, storage: self.storage, progress: self.progress }
    }

    /// The final fit of every model and case, by name.
    fn of(&self, split: &Split) -> Result<BTreeMap<String, Fit>> {
        let part = self.part(split, Part::Final);
        let mut fits = BTreeMap::new();
        part.fit(&|_, _| true, &mut |fit| {
            let bits: Vec<u8> = fit.scores().iter().flat_map(|score| score.to_bits().to_le_bytes()).collect();
            let learned = [fit.prepared.preprocessor.to_bytes(), fit.fitted.model.to_bytes()].concat();
            let found = Fit { scores: sha256_hex(&bits), learned: sha256_hex(&learned) };
            fits.insert(part.name(fit.case, fit.model), found);
            self.progress.advance(Unit::Cells, 1);
            Ok(())
        })?;
        Ok(fits)
    }

    /// An AUC for every model and case; the intervals come when all are there.
    fn on_permuted_labels(&self, split: &Split, part: Part, seed: Seed) -> Result<Vec<PermutedScore>> {
        let (train, held_out) = split.rows(part);
        let mut labels = train.dataset().labels.clone();
        let seed = part.seed(split.protocol, seed.derive("permuted labels", 0));
        for (nth, rows) in [train.rows(), held_out.rows()].into_iter().enumerate() {
            let mut shuffled: Vec<u8> = rows.iter().map(|&row| labels[row as usize]).collect();
            shuffled.shuffle(&mut seed.derive("side", nth as u64).rng());
            rows.iter().zip(shuffled).for_each(|(&row, label)| labels[row as usize] = label);
        }
        let permuted = on(split, Arc::new(of(train.dataset(), train.dataset().table.clone(), labels)));
        let part = self.part(&permuted, part);
        let mut found = Vec::new();
        part.fit(&|_, _| true, &mut |fit| {
            let metrics = measure(&fit.prepared.held_out.labels, &fit.scores());
            if let Some(auc) = metrics.auc {
                let (p, n) = (metrics.n_positives as f64, (metrics.n_rows - metrics.n_positives) as f64);
                let deviation = ((p + n + 1.0) / (12.0 * p * n)).sqrt();
                // One standard deviation for now.
                let interval = [0.5 - deviation, 0.5 + deviation];
                found.push(PermutedScore { cell: part.name(fit.case, fit.model), auc, interval });
            }
            self.progress.advance(Unit::Cells, 1);
            Ok(())
        })?;
        Ok(found)
    }
}

/// Widens one standard deviation to what all scores together leave once in a thousand times.
fn level_intervals(scores: &mut [PermutedScore]) {
    const LEVEL: f64 = 0.001;
    let width = normal_quantile(1.0 - LEVEL / (2.0 * scores.len().max(1) as f64));
    for score in scores {
        let deviation = score.interval[1] - 0.5;
        score.interval = [0.5 - width * deviation, 0.5 + width * deviation];
    }
}

/// By bisection of the distribution function.
fn normal_quantile(p: f64) -> f64 {
    let (mut low, mut high) = (-40.0, 40.0);
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        let below = 0.5 * libm::erfc(-middle / std::f64::consts::SQRT_2);
        (low, high) = if below < p { (middle, high) } else { (low, middle) };
    }
    (low + high) / 2.0
}

fn radar(dataset: &Dataset) -> Result<Radar> {
    let canary: Vec<f64> = dataset.labels.iter().map(|&label| f64::from(label)).collect();
    let name = canary_name(&dataset.table);
    let mut table = Table::new(dataset.n_rows());
    table.push(name.clone(), Cells::numeric(&canary));
    let planted = explore::radar(&of(dataset, table, dataset.labels.clone()));
    let found = explore::radar(dataset);
    Ok(Radar { sees_a_planted_copy: planted.target_copies.contains(&name), target_copies: found.target_copies })
}

/// A name that no column has.
fn canary_name(table: &Table) -> String {
    let mut name = "planted canary".to_owned();
    while table.column(&name).is_some() {
        name.push('\'');
    }
    name
}

fn of(dataset: &Dataset, table: Table, labels: Vec<u8>) -> Dataset {
    Dataset { table, labels, ids: dataset.ids.clone(), times: dataset.times.clone() }
}

/// The same rows of another dataset.
fn on(split: &Split, dataset: Arc<Dataset>) -> Split {
    let train = |rows: &TrainRows| TrainRows::new(dataset.clone(), rows.rows().to_vec());
    let held_out = |rows: &HeldOutRows| HeldOutRows::new(dataset.clone(), rows.rows().to_vec());
    Split {
        repeats: split.repeats,
        protocol: split.protocol,
        train: train(&split.train),
        test: held_out(&split.test),
        folds: split
            .folds
            .iter()
            .map(|fold| Fold { fit: train(&fold.fit), held_out: held_out(&fold.held_out) })
            .collect(),
    }
}

/// With a column that holds the label in the test rows and 0 elsewhere.
fn with_canary(split: &Split) -> Arc<Dataset> {
    let dataset = split.train.dataset();
    let mut canary = vec![0.0; dataset.n_rows()];
    split.test.rows().iter().for_each(|&row| canary[row as usize] = f64::from(dataset.labels[row as usize]));
    let mut table = dataset.table.clone();
    table.push(canary_name(&table), Cells::numeric(&canary));
    Arc::new(of(dataset, table, dataset.labels.clone()))
}

/// With test rows that have nothing in common with those of the data.
fn with_others_held_out(split: &Split) -> Arc<Dataset> {
    let dataset = split.train.dataset();
    let mut is_test = vec![false; dataset.n_rows()];
    split.test.rows().iter().for_each(|&row| is_test[row as usize] = true);
    let all: Vec<u32> = (0..dataset.n_rows() as u32).collect();
    let mut table = Table::new(dataset.n_rows());
    for (name, cells) in dataset.table.columns() {
        let mut items = cells.packed().gather(&all);
        let test = items.iter_mut().zip(&is_test).filter(|(_, is_test)| **is_test).map(|(item, _)| item);
        table.push(
            name,
            match cells {
                Cells::Numeric(_) => {
                    // A gap becomes a number, every fifth number a gap, others go elsewhere.
                    test.enumerate().for_each(|(nth, item)| {
                        let moved = (1.5 - 3.0 * *item).clamp(f64::MIN, f64::MAX);
                        *item = if item.is_nan() {
                            nth as f64
                        } else if nth % 5 == 0 {
                            f64::NAN
                        } else {
                            moved
                        };
                    });
                    Cells::numeric(&items)
                }
                Cells::Categorical { levels, .. } => {
                    // Each level becomes the next, the last one and gaps change places.
                    let next = |item: f64| if item.is_nan() { 1.0 } else { (item + 1.0) % (levels.len() + 1) as f64 };
                    test.for_each(|item| *item = next(*item));
                    let codes: Vec<u32> =
                        items.iter().map(|&item| if item.is_nan() { 0 } else { item as u32 }).collect();
                    Cells::categorical(&codes, levels.clone())
                }
            },
        );
    }
    let turned = |(&label, &is_test): (&u8, &bool)| if is_test { 1 - label } else { label };
    Arc::new(of(dataset, table, dataset.labels.iter().zip(&is_test).map(turned).collect()))
}

/// The verdict as an error, if anything was missed.
pub fn verdict(leaks: &Leaks) -> Result<()> {
    let missed = leaks.missed();
    if missed.is_empty() {
        return Ok(());
    }
    Err(Error::missed(missed.join("\n")).hint(
        "a fit that moves with held-out rows is a bug of the pipeline; a column that is the label: `columns: { NAME: drop }`; \
         copies: remove them, or keep them together by `group` and `split.keep_groups`",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_tables() {
        for (p, z) in [(0.5, 0.0), (0.975, 1.959_963_984_540_054), (0.999_95, 3.890_591_886_413_094)] {
            assert!((normal_quantile(p) - z).abs() < 1e-9, "{p}: {}", normal_quantile(p));
        }
    }
}

//! What a case did to the training rows of one part, row by row. In: a config and which case, protocol and part; out: a
//! table in blocks: where each row comes from, whether it was taken away, its prepared values. Nothing is fitted.

use std::sync::Arc;

use super::config::{Config, NamedCase, Protocol};
use super::error::{Error, Result};
use super::mapped::Storage;
use super::prepare::prepare;
use super::progress::Progress;
use super::read::ReadData;
use super::resample::{Features, Lineage, Made, Resampled, Shared, estimate, resample};
use super::rows::{TrainRows, TrainingSet};
use super::seed::Seed;
use super::split::{Part, Split};
use crate::scoring::matrix::FeatureMatrix;

/// Which rows, and what is done to them.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub case: String,
    /// None: the one that selection looks at.
    pub protocol: Option<Protocol>,
    /// None: the final fit's rows.
    pub fold: Option<usize>,
}

/// A resampled part.
#[derive(Debug)]
pub struct ResampledRows {
    pub resampled: Resampled,
    pub protocol: Protocol,
    pub part: Part,
    pub case: String,
    before: TrainingSet,
    rows: TrainRows,
}

/// Where a row comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    Original,
    Duplicate,
    Synthetic,
}

impl Origin {
    pub fn as_str(self) -> &'static str {
        match self {
            Origin::Original => "original",
            Origin::Duplicate => "duplicate",
            Origin::Synthetic => "synthetic",
        }
    }
}

/// One row of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct ResampledRow<'a> {
    /// Of an original row; made rows have none of their own.
    pub row_id: Option<String>,
    pub origin: Origin,
    pub removed: bool,
    /// Ids of the rows it was made of, and how far it lies from the first to the second.
    pub parent: Option<String>,
    pub neighbour: Option<String>,
    pub gap: Option<f64>,
    pub label: u8,
    pub values: &'a [f32],
}

impl Wanted {
    /// The split and the part of a checked config that are meant.
    fn part<'s>(&self, config: &Config, splits: &'s [Split]) -> Result<(&'s Split, Part)> {
        let protocol = self.protocol.unwrap_or(config.select.protocol);
        let split = splits.iter().find(|split| split.protocol == protocol).ok_or_else(|| {
            Error::permanent(format!("`{}` is not among `split.protocols`", protocol.as_str()))
                .hint("leave `--protocol` out, or add it to the config")
        })?;
        match self.fold {
            Some(fold) if fold >= split.folds.len() => Err(Error::permanent(format!(
                "expected a fold from 0 to {}, found {fold}",
                split.folds.len().saturating_sub(1)
            ))
            .hint("folds are numbered as in the run's `splits`; without `--fold` the final fit's rows are meant")),
            Some(fold) => Ok((split, Part::Fold(fold))),
            None => Ok((split, Part::Final)),
        }
    }

    pub fn case<'c>(&self, config: &'c Config) -> Result<&'c NamedCase> {
        config.imbalance.iter().find(|case| case.name == self.case).ok_or_else(|| {
            let known: Vec<String> = config.imbalance.iter().map(|case| format!("`{}`", case.name)).collect();
            Error::permanent(format!("the config has no case `{}`", self.case))
                .hint(format!("its cases are {}", known.join(", ")))
        })
    }
}

impl ResampledRows {
    /// The very rows, draws and links that `train` makes of this case.
    pub fn new(
        config: &Config,
        data: &ReadData,
        splits: &[Split],
        wanted: &Wanted,
        progress: &dyn Progress,
    ) -> Result<ResampledRows> {
        let (case, (split, part)) = (wanted.case(config)?, wanted.part(config, splits)?);
        let (train, held_out) = split.rows(part);
        let features = Features::of_table(&data.dataset.table);
        let work = estimate(&case.case, train.n_rows(), train.n_minority(), features);
        if work.seconds > 10.0 {
            progress.say(&format!("about {:.0} seconds and {:.1} GB beside the data", work.seconds, work.bytes / 1e9));
        }
        let seed = part.seed(split.protocol, Seed::new(config.seed));
        let before = prepare(&config.recipe(), train, held_out, &Storage::in_memory(), seed)?.train;
        let resampled = resample(&case.case, &mut Shared::new(&before, seed, vec![case.case.clone()]), progress)?;
        Ok(ResampledRows {
            resampled,
            protocol: split.protocol,
            part,
            case: case.name.clone(),
            before,
            rows: train.clone(),
        })
    }

    pub fn names(&self) -> &Arc<[String]> {
        self.before.matrix().names()
    }

    /// Original rows, then made ones, those that were taken away too.
    pub fn n_rows(&self) -> usize {
        self.lineage().n_original + self.lineage().made.len()
    }

    fn lineage(&self) -> &Lineage {
        &self.resampled.lineage
    }

    fn id(&self, entry: u32) -> String {
        let row = self.rows.rows()[self.before.entries()[entry as usize] as usize];
        self.rows.dataset().ids.get(row as usize).into_owned()
    }

    fn before(&self, entry: u32) -> &[f32] {
        self.before.matrix().row(self.before.entries()[entry as usize] as usize)
    }

    pub fn row(&self, at: usize) -> ResampledRow<'_> {
        let Lineage { n_original, made, removed } = self.lineage();
        let removed = removed.binary_search(&(at as u32)).is_ok();
        let Some(nth) = at.checked_sub(*n_original) else {
            let entry = at as u32;
            return ResampledRow {
                row_id: Some(self.id(entry)),
                origin: Origin::Original,
                removed,
                parent: None,
                neighbour: None,
                gap: None,
                label: self.before.labels()[at],
                values: self.before(entry),
            };
        };
        let Made { parent, neighbor, gap } = made[nth];
        // Synthetic rows stand behind the originals in the matrix of the result.
        let enlarged: &FeatureMatrix = self.resampled.set.matrix();
        ResampledRow {
            row_id: None,
            origin: if neighbor.is_some() { Origin::Synthetic } else { Origin::Duplicate },
            removed,
            parent: Some(self.id(parent)),
            neighbour: neighbor.map(|neighbor| self.id(neighbor)),
            gap: neighbor.map(|_| gap),
            label: self.before.labels()[parent as usize],
            values: if neighbor.is_some() { enlarged.row(at) } else { self.before(parent) },
        }
    }
}

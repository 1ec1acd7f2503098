//! The cases that look for neighbours: SMOTE, Tomek links, and SMOTE followed by the Tomek links of its result. In: a
//! shared training set; out: its rows and the synthetic ones after them, less the rows that were taken away, and how
//! close the synthetic rows came to the majority.
//!
//! The matrix of the result still holds the removed rows; its entries no longer name them.

use std::sync::Arc;

use super::lineage::{Lineage, Made};
use super::nearest_neighbors::{Neighbor, Search, Targets};
use super::shared::{Minority, Shared, Synthesis, targets};
use super::tomek_links::{self, Link};
use super::{Classes, Resampled, Resampler, report};
use crate::scoring::matrix::FeatureMatrix;
use crate::training::config::{Categories, SmoteConfig, TomekRemove};
use crate::training::error::Result;
use crate::training::evaluate::{Closeness, ResamplingReport};
use crate::training::progress::Progress;
use crate::training::rows::TrainingSet;

/// Synthetic rows whose closeness to the majority is measured where no link is looked for: the first, and draws are alike.
const MEASURED: usize = 2_000;

/// Adds synthetic minority rows up to the target; none where it is reached.
#[derive(Debug, Clone, Copy)]
pub struct Smote {
    pub smote: SmoteConfig,
}

/// Removes ends of Tomek links.
#[derive(Debug, Clone, Copy)]
pub struct TomekLinks {
    pub remove: TomekRemove,
    pub categories: Categories,
}

/// SMOTE, then Tomek links.
#[derive(Debug, Clone, Copy)]
pub struct SmoteTomek {
    pub smote: SmoteConfig,
    pub remove: TomekRemove,
}

impl Resampler for Smote {
    fn resample(&self, shared: &mut Shared, progress: &dyn Progress) -> Result<Resampled> {
        let work = Work::new(shared, self.smote.categories, Some(&self.smote), progress)?;
        let matrix = shared.enlarged(&work.minority, work.synthesis.as_ref());
        let closeness = work.sampled_closeness(shared, &matrix, progress)?;
        Ok(work.result(shared, matrix, &[], TomekRemove::Majority, closeness))
    }
}

impl Resampler for TomekLinks {
    fn resample(&self, shared: &mut Shared, progress: &dyn Progress) -> Result<Resampled> {
        Work::new(shared, self.categories, None, progress)?.with_links(shared, self.remove, progress)
    }
}

impl Resampler for SmoteTomek {
    fn resample(&self, shared: &mut Shared, progress: &dyn Progress) -> Result<Resampled> {
        Work::new(shared, self.smote.categories, Some(&self.smote), progress)?.with_links(shared, self.remove, progress)
    }
}

/// One case on one set.
struct Work {
    classes: Classes,
    categories: Categories,
    minority: Minority,
    /// None where nothing is to be added.
    synthesis: Option<Synthesis>,
}

impl Work {
    fn new(
        shared: &mut Shared,
        categories: Categories,
        smote: Option<&SmoteConfig>,
        progress: &dyn Progress,
    ) -> Result<Work> {
        let classes = Classes::of(shared.set)?;
        let n_draws = smote.map_or(Ok(0), |smote| classes.missing(smote.target))?;
        let minority = shared.minority(classes, categories)?;
        let synthesis = match smote {
            Some(smote) if n_draws > 0 => Some(shared.synthesis(smote, &minority, n_draws, progress)?),
            _ => None,
        };
        Ok(Work { classes, categories, minority, synthesis })
    }

    fn draws(&self) -> &[super::smote::Draw] {
        self.synthesis.as_ref().map_or(&[], |synthesis| &synthesis.draws)
    }

    fn with_links(self, shared: &mut Shared, remove: TomekRemove, progress: &dyn Progress) -> Result<Resampled> {
        let (matrix, nearest) = shared.nearest_majority(
            self.classes,
            self.categories,
            &self.minority,
            self.synthesis.as_ref(),
            progress,
        )?;
        let targets = targets(&self.minority, self.synthesis.as_ref(), shared.set.n_entries());
        let nearest = &nearest[..targets.len()];
        let search = Search::new(&matrix, &self.minority.distance)?;
        let found = tomek_links::find(&search, targets, nearest, progress)?;
        let n_minority = self.minority.rows.len();
        let closeness = closeness(&nearest[n_minority..], &found.crossing[n_minority..]);
        Ok(self.result(shared, matrix, &found.links, remove, closeness))
    }

    /// How close the first synthetic rows are to the majority.
    fn sampled_closeness(
        &self,
        shared: &Shared,
        matrix: &FeatureMatrix,
        progress: &dyn Progress,
    ) -> Result<Option<Closeness>> {
        let all = targets(&self.minority, self.synthesis.as_ref(), shared.set.n_entries());
        let measured: Vec<u32> =
            (0..self.draws().len().min(MEASURED)).map(|draw| all.row(all.rows.len() + draw)).collect();
        if measured.is_empty() {
            return Ok(None);
        }
        let search = Search::new(matrix, &self.minority.distance)?;
        let sample = Targets::rows(&measured);
        let majority = self.classes.majority_entries(shared.set);
        let nearest = tomek_links::nearest_majority(&search, sample, &majority, progress)?;
        let minority: Vec<u32> = (0..all.len()).map(|target| all.row(target)).collect();
        let crossing =
            tomek_links::stay_nearest(&search, &measured, &nearest, &minority, "nearest minority rows", progress)?;
        Ok(closeness(&nearest, &crossing))
    }

    fn result(
        &self,
        shared: &Shared,
        matrix: Arc<FeatureMatrix>,
        links: &[Link],
        remove: TomekRemove,
        closeness: Option<Closeness>,
    ) -> Resampled {
        let set = shared.set;
        let (mut labels, mut weights) = (set.labels().to_vec(), set.weights().to_vec());
        let mut made = Vec::with_capacity(self.draws().len());
        for draw in self.draws() {
            let [parent, neighbor] = [draw.parent, draw.neighbor].map(|end| self.minority.rows[end as usize]);
            labels.push(self.classes.minority);
            weights.push(set.weights()[parent as usize]);
            made.push(Made { parent, neighbor: Some(neighbor), gap: draw.gap });
        }
        // Nothing was added to a set whose entries are its rows: its columns, bins and matrix go on serving.
        let enlarged = match Arc::ptr_eq(&matrix, set.matrix()) {
            true => set.clone(),
            false => set.with_matrix(matrix, labels, weights),
        };
        let removed = removed(links, remove);
        let kept = without(&enlarged, &removed);
        let report = ResamplingReport {
            synthetic: self.draws().len(),
            neighbors: self.synthesis.as_ref().map(|synthesis| synthesis.neighbors.k),
            closeness,
            links: links.len(),
            removed_majority: links.len(),
            removed_minority: removed.len() - links.len(),
            ..report(set, &kept)
        };
        Resampled { set: kept, report, lineage: Lineage { n_original: set.n_entries(), made, removed } }
    }
}

/// Of synthetic rows: their nearest majority rows, and whether those are nearer than any row of their own class.
fn closeness(nearest: &[Neighbor], crossing: &[bool]) -> Option<Closeness> {
    let mut distances: Vec<f64> = nearest.iter().map(|neighbor| neighbor.0.sqrt()).collect();
    distances.sort_unstable_by(f64::total_cmp);
    let quantile = |share: f64| distances.get((share * (distances.len() - 1) as f64).round() as usize).copied();
    (!distances.is_empty()).then(|| Closeness {
        measured: distances.len(),
        quantiles: [0.0, 0.05, 0.5, 0.95].map(|share| quantile(share).unwrap_or_default()),
        nearest_is_majority: crossing.iter().filter(|&&crosses| crosses).count() as f64 / distances.len() as f64,
    })
}

/// Rows that links take away, ascending.
fn removed(links: &[Link], remove: TomekRemove) -> Vec<u32> {
    let mut rows: Vec<u32> = links.iter().map(|link| link.majority).collect();
    if remove == TomekRemove::Both {
        rows.extend(links.iter().map(|link| link.minority));
    }
    rows.sort_unstable();
    rows
}

/// The set less some entries, by position.
fn without(set: &TrainingSet, removed: &[u32]) -> TrainingSet {
    if removed.is_empty() {
        return set.clone();
    }
    let mut keep = vec![true; set.n_entries()];
    removed.iter().for_each(|&entry| keep[entry as usize] = false);
    let kept = || (0..set.n_entries()).filter(|&entry| keep[entry]);
    set.with_entries(
        kept().map(|entry| set.entries()[entry]).collect(),
        kept().map(|entry| set.labels()[entry]).collect(),
        kept().map(|entry| set.weights()[entry]).collect(),
    )
}

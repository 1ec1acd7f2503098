//! What the cases of one part have in common, found once: the neighbours of minority rows, and the nearest majority row of
//! every original and synthetic one, for all targets at a time.
//!
//! In: one training set, its seed, and all cases that will be applied to it. Draws of a smaller target are the first of a
//! larger one's, so the search for the largest serves all. Asking for cases in another order, or for fewer, changes no
//! result.

use std::sync::Arc;

use rayon::prelude::*;

use super::Classes;
use super::distance::Distance;
use super::nearest_neighbors::{Neighbor, Search, Targets};
use super::smote::{Draw, Neighbors};
use super::tomek_links;
use crate::scoring::matrix::FeatureMatrix;
use crate::training::config::{Case, Categories, SmoteConfig, TooFew};
use crate::training::error::{Error, Result};
use crate::training::progress::Progress;
use crate::training::rows::TrainingSet;
use crate::training::seed::Seed;

/// What neighbours of the minority depend on beside the set: `k`, and what categories are.
type NeighborsKey = (usize, Categories);

/// A training set to which cases are applied.
pub struct Shared<'a> {
    pub set: &'a TrainingSet,
    pub seed: Seed,
    cases: Vec<Case>,
    neighbors: Vec<(NeighborsKey, Arc<Neighbors>)>,
    nearest: Vec<(Option<NeighborsKey>, Categories, Arc<Vec<Neighbor>>)>,
}

/// The minority of a set, and how far apart its rows are.
pub struct Minority {
    /// Entries of the set.
    pub rows: Vec<u32>,
    pub distance: Distance,
}

/// Synthetic rows to be: their draws, and the neighbours these came from.
pub struct Synthesis {
    pub neighbors: Arc<Neighbors>,
    pub draws: Vec<Draw>,
}

impl<'a> Shared<'a> {
    /// `cases`: all that will be applied.
    pub fn new(set: &'a TrainingSet, seed: Seed, cases: Vec<Case>) -> Self {
        Shared { set, seed, cases, neighbors: Vec::new(), nearest: Vec::new() }
    }

    pub(super) fn minority(&self, classes: Classes, categories: Categories) -> Result<Minority> {
        let rows = classes.minority_entries(self.set);
        // Entries become rows of the enlarged matrix; here they are still looked up.
        let in_matrix: Vec<u32> = rows.iter().map(|&entry| self.set.entries()[entry as usize]).collect();
        let distance = Distance::of(categories, self.set.matrix(), &in_matrix)?;
        Ok(Minority { rows, distance })
    }

    /// `n` draws for a case, fewer neighbours where the config allows it and there are too few rows.
    pub(super) fn synthesis(
        &mut self,
        smote: &SmoteConfig,
        minority: &Minority,
        n: usize,
        progress: &dyn Progress,
    ) -> Result<Synthesis> {
        let key = (affordable_k(smote, minority.rows.len(), progress)?, smote.categories);
        let known = self.neighbors.iter().find(|(known, _)| *known == key).map(|(_, found)| found.clone());
        let neighbors = match known {
            Some(found) => found,
            None => {
                let found = Neighbors::find(&self.gathered(), &minority.distance, &minority.rows, key.0, progress)?;
                let found = Arc::new(found);
                self.neighbors.push((key, found.clone()));
                found
            }
        };
        Ok(Synthesis { draws: neighbors.draw(n, self.seed), neighbors })
    }

    /// The matrix of a case, and the nearest majority row of every minority row and draw of it. Where another case asks for
    /// more draws, those are searched from at once; that matrix is gone before the case's own is made.
    pub(super) fn nearest_majority(
        &mut self,
        classes: Classes,
        categories: Categories,
        minority: &Minority,
        synthesis: Option<&Synthesis>,
        progress: &dyn Progress,
    ) -> Result<(Arc<FeatureMatrix>, Arc<Vec<Neighbor>>)> {
        let key = synthesis.map(|synthesis| (synthesis.neighbors.k, categories));
        let n_draws = synthesis.map_or(0, |synthesis| synthesis.draws.len());
        let wanted = minority.rows.len() + n_draws;
        let known = self
            .nearest
            .iter()
            .find(|(of, how, found)| *how == categories && (*of == key || n_draws == 0) && found.len() >= wanted);
        if let Some((.., found)) = known {
            return Ok((self.enlarged(minority, synthesis), found.clone()));
        }
        let largest = self.largest(classes, key);
        let larger = synthesis.filter(|_| largest > n_draws).map(|synthesis| Synthesis {
            neighbors: synthesis.neighbors.clone(),
            draws: synthesis.neighbors.draw(largest, self.seed),
        });
        let all = larger.as_ref().or(synthesis);
        let matrix = self.enlarged(minority, all);
        let search = Search::new(&matrix, &minority.distance)?;
        let majority = classes.majority_entries(self.set);
        let targets = targets(minority, all, self.set.n_entries());
        let found = Arc::new(tomek_links::nearest_majority(&search, targets, &majority, progress)?);
        self.nearest.push((key, categories, found.clone()));
        drop(search);
        let matrix = match larger {
            None => matrix,
            Some(_) => {
                drop(matrix);
                self.enlarged(minority, synthesis)
            }
        };
        Ok((matrix, found))
    }

    /// The most draws that a case with Tomek links asks of these neighbours.
    fn largest(&self, classes: Classes, key: Option<NeighborsKey>) -> usize {
        let draws = |case: &Case| match case {
            Case::SmoteTomek { smote, .. } if key == Some((smote.k.min(classes.n_minority - 1), smote.categories)) => {
                classes.missing(smote.target).ok()
            }
            _ => None,
        };
        self.cases.iter().filter_map(draws).max().unwrap_or(0)
    }

    fn entries_are_rows(&self) -> bool {
        let (set, n_rows) = (self.set, self.set.n_rows());
        set.n_entries() == n_rows && set.entries().iter().enumerate().all(|(at, &row)| at == row as usize)
    }

    /// One matrix row per entry; the set's own matrix where that is what it holds.
    fn gathered(&self) -> Arc<FeatureMatrix> {
        match self.entries_are_rows() {
            true => self.set.matrix().clone(),
            false => self.enlarged_by(0, |_, _| {}),
        }
    }

    /// One matrix row per entry, the synthetic rows last.
    pub(super) fn enlarged(&self, minority: &Minority, synthesis: Option<&Synthesis>) -> Arc<FeatureMatrix> {
        let Some(Synthesis { neighbors, draws }) = synthesis.filter(|synthesis| !synthesis.draws.is_empty()) else {
            return self.gathered();
        };
        let ends: Vec<u32> = minority.rows.iter().map(|&entry| self.set.entries()[entry as usize]).collect();
        let matrix = self.set.matrix();
        self.enlarged_by(draws.len(), |at, row| {
            neighbors.interpolate(&draws[at], matrix, &minority.distance, &ends, row);
        })
    }

    fn enlarged_by(&self, n_more: usize, fill: impl Fn(usize, &mut [f32]) + Sync) -> Arc<FeatureMatrix> {
        let (matrix, n_entries) = (self.set.matrix(), self.set.n_entries());
        let n_features = matrix.n_features();
        let mut values = vec![0.0; (n_entries + n_more) * n_features];
        values.par_chunks_exact_mut(n_features).enumerate().for_each(|(at, row)| match at.checked_sub(n_entries) {
            None => row.copy_from_slice(matrix.row(self.set.entries()[at] as usize)),
            Some(draw) => fill(draw, row),
        });
        Arc::new(FeatureMatrix::new(matrix.names().clone(), values).with_nominal(matrix.nominal().clone()))
    }
}

/// Rows of the enlarged matrix to search from.
pub fn targets<'t>(minority: &'t Minority, synthesis: Option<&'t Synthesis>, n_entries: usize) -> Targets<'t> {
    let draws = synthesis.map_or(&[][..], |synthesis| &synthesis.draws);
    Targets { rows: &minority.rows, draws, first_draw: n_entries as u32 }
}

/// `k`, or as many as there are where the config says `too_few: reduce`.
fn affordable_k(smote: &SmoteConfig, n_minority: usize, progress: &dyn Progress) -> Result<usize> {
    let k = smote.k;
    if n_minority > k {
        return Ok(k);
    }
    if smote.too_few == TooFew::Reduce && n_minority > 1 {
        let fewer = n_minority - 1;
        progress
            .say(&format!("warning: k is {fewer} instead of {k}: there are {n_minority} rows of the smaller class"));
        return Ok(fewer);
    }
    Err(Error::permanent(format!(
        "expected more than k = {k} training rows of the smaller class for SMOTE, found {n_minority}"
    ))
    .hint("lower `k`, say `too_few: reduce`, use fewer folds, or leave this case out with `--only`"))
}

//! Target encoding: the share of positives of a group, drawn towards the overall share (Micci-Barreca 2001, as
//! scikit-learn's `TargetEncoder(smooth=m)`).
//!
//! (positives + m share) / (rows + m). Whoever was not fitted on gets the frozen value. A training row never does: its value
//! is that of a fit without its fold ([`OutOfFold`]), the overall share included, so that no row meets its own label. There
//! is no way to ask for less than two folds.

use rand::seq::SliceRandom;

use super::group::OfGroup;
use crate::scoring::table::Cells;
use crate::training::rows::TrainRows;
use crate::training::seed::Seed;

/// Rows and positives of each group; group 0 is all rows.
#[derive(Clone)]
struct Counts {
    rows: Vec<f64>,
    positives: Vec<f64>,
}

impl Counts {
    fn new(n_groups: usize) -> Counts {
        Counts { rows: vec![0.0; n_groups + 1], positives: vec![0.0; n_groups + 1] }
    }

    fn add(&mut self, place: u32, label: u8) {
        let own = (place > 0).then_some(place as usize);
        for group in std::iter::once(0).chain(own) {
            self.rows[group] += 1.0;
            self.positives[group] += f64::from(label);
        }
    }

    fn without(&self, fold: &Counts) -> Counts {
        let less = |all: &[f64], fold: &[f64]| all.iter().zip(fold).map(|(all, fold)| all - fold).collect();
        Counts { rows: less(&self.rows, &fold.rows), positives: less(&self.positives, &fold.positives) }
    }

    fn share(&self, group: usize, smoothing: f64) -> f64 {
        let overall = if self.rows[0] > 0.0 { self.positives[0] / self.rows[0] } else { 0.0 };
        let weight = self.rows[group] + smoothing;
        if group == 0 || weight <= 0.0 {
            return overall;
        }
        (self.positives[group] + smoothing * overall) / weight
    }
}

/// The frozen values: of all training rows.
pub(super) fn encode(places: &[u32], n_groups: usize, labels: &[u8], smoothing: f64) -> OfGroup {
    let mut counts = Counts::new(n_groups);
    places.iter().zip(labels).for_each(|(&place, &label)| counts.add(place, label));
    let values = (1..=n_groups).map(|group| counts.share(group, smoothing)).collect();
    OfGroup { values, unseen: counts.share(0, smoothing) }
}

/// Training rows in folds: each class is dealt out evenly, in an order drawn from the seed.
pub(super) struct OutOfFold<'t> {
    train: &'t TrainRows,
    labels: Vec<u8>,
    /// Per training row.
    fold: Vec<usize>,
    n_folds: usize,
}

impl<'t> OutOfFold<'t> {
    pub fn new(train: &'t TrainRows, n_folds: usize, seed: Seed) -> OutOfFold<'t> {
        let (labels, n_folds) = (train.labels(), n_folds.max(2));
        let mut fold = vec![0; labels.len()];
        for class in [0u8, 1] {
            let mut rows: Vec<usize> = (0..labels.len()).filter(|&at| labels[at] == class).collect();
            rows.shuffle(&mut seed.derive("class", u64::from(class)).rng());
            rows.into_iter().enumerate().for_each(|(nth, row)| fold[row] = nth % n_folds);
        }
        OutOfFold { train, labels, fold, n_folds }
    }

    /// Of the nth training row.
    #[cfg(test)]
    pub fn fold(&self, at: usize) -> usize {
        self.fold[at]
    }

    /// The column that training rows see: cells of other rows are missing.
    pub fn column(&self, places: &[u32], n_groups: usize, smoothing: f64, n_rows: usize) -> Cells {
        let mut all = Counts::new(n_groups);
        let mut of_fold = vec![Counts::new(n_groups); self.n_folds];
        for ((&place, &label), &fold) in places.iter().zip(&self.labels).zip(&self.fold) {
            all.add(place, label);
            of_fold[fold].add(place, label);
        }
        let others: Vec<Counts> = of_fold.iter().map(|fold| all.without(fold)).collect();
        let mut cells = vec![f64::NAN; n_rows];
        for ((&row, &place), &fold) in self.train.rows().iter().zip(places).zip(&self.fold) {
            cells[row as usize] = others[fold].share(place as usize, smoothing);
        }
        Cells::numeric(&cells)
    }
}

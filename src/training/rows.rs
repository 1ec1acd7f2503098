//! Rows that may be learned from and rows that may not: two types, so that misuse of held-out rows does not compile.
//!
//! `Dataset -> Split{train: TrainRows, test: HeldOutRows}`, `Fold{fit: TrainRows, held_out: HeldOutRows}`. Both are
//! views (row indices into one shared dataset); only [`crate::training::split`] makes them. There is no way from
//! [`HeldOutRows`] to [`TrainRows`] or [`TrainingSet`].

use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rayon::prelude::*;

use super::error::Result;
use super::fit::forest::BinnedMatrix;
use super::mapped::Storage;
use super::texts::Texts;
use crate::scoring::matrix::FeatureMatrix;
use crate::scoring::preprocessor::PreparedColumns;
use crate::scoring::table::Table;

/// Everything read: raw feature columns, labels, and what is never a feature unless derived.
#[derive(Debug)]
pub struct Dataset {
    pub table: Table,
    /// 1 is the positive class (fraud).
    pub labels: Vec<u8>,
    /// The id as text; the row number where no id is declared.
    pub ids: Texts,
    /// Seconds; `None` where no time is declared.
    pub times: Option<Vec<f64>>,
}

impl Dataset {
    pub fn n_rows(&self) -> usize {
        self.labels.len()
    }

    pub fn n_positives(&self) -> usize {
        self.labels.iter().filter(|&&label| label == 1).count()
    }
}

/// Rows that may be learned from.
#[derive(Debug, Clone)]
pub struct TrainRows {
    dataset: Arc<Dataset>,
    rows: Arc<[u32]>,
}

/// Rows that may only be scored and measured.
#[derive(Debug, Clone)]
pub struct HeldOutRows {
    dataset: Arc<Dataset>,
    rows: Arc<[u32]>,
}

/// Rows that left the training rows before anything was fitted: early stopping looks at them and at nothing else. They are
/// made of [`TrainRows`] alone, and there is no way back.
#[derive(Debug, Clone)]
pub struct WatchedRows {
    dataset: Arc<Dataset>,
    rows: Arc<[u32]>,
}

/// Watched rows, prepared by what was fitted without them.
#[derive(Debug)]
pub struct Watched {
    pub(in crate::training) matrix: FeatureMatrix,
    pub(in crate::training) labels: Vec<u8>,
}

macro_rules! row_view {
    ($view:ident) => {
        impl $view {
            pub(in crate::training) fn new(dataset: Arc<Dataset>, rows: Vec<u32>) -> Self {
                Self { dataset, rows: rows.into() }
            }

            pub fn table(&self) -> &Table {
                &self.dataset.table
            }

            /// Indices into the table.
            pub fn rows(&self) -> &[u32] {
                &self.rows
            }

            pub fn n_rows(&self) -> usize {
                self.rows.len()
            }

            /// One label per row of this view.
            pub fn labels(&self) -> Vec<u8> {
                self.rows.iter().map(|&row| self.dataset.labels[row as usize]).collect()
            }
        }
    };
}
row_view!(TrainRows);
row_view!(HeldOutRows);
row_view!(WatchedRows);

impl TrainRows {
    /// Rows of the smaller class.
    pub fn n_minority(&self) -> usize {
        let n_positives = self.labels().iter().filter(|&&label| label == 1).count();
        n_positives.min(self.n_rows() - n_positives)
    }

    /// The same dataset's rows to fit on and to watch; together they are these rows.
    pub(in crate::training) fn set_aside(&self, fit: Vec<u32>, watched: Vec<u32>) -> (TrainRows, WatchedRows) {
        (TrainRows::new(self.dataset.clone(), fit), WatchedRows::new(self.dataset.clone(), watched))
    }

    pub(in crate::training) fn dataset(&self) -> &Arc<Dataset> {
        &self.dataset
    }
}

/// Distinct prepared rows, shared by the sets made from them: prepared columns, of which a matrix is made only for who
/// asks for it (the network, the baseline, SMOTE), or the matrix alone (synthetic rows have no columns).
#[derive(Debug)]
struct DistinctRows {
    columns: Option<(PreparedColumns, Arc<[u32]>)>,
    matrix: OnceLock<Arc<FeatureMatrix>>,
    /// Bins by their number: one binning serves all forests on these rows.
    binned: Mutex<Vec<(usize, Arc<BinnedMatrix>)>>,
    storage: Storage,
}

/// Rows prepared by one task.
const ROWS_PER_TASK: usize = 4096;

impl DistinctRows {
    fn n_rows(&self) -> usize {
        self.columns.as_ref().map_or_else(|| self.matrix().n_rows(), |(_, rows)| rows.len())
    }

    fn of_matrix(matrix: Arc<FeatureMatrix>, storage: Storage) -> DistinctRows {
        DistinctRows { columns: None, matrix: OnceLock::from(matrix), binned: Mutex::default(), storage }
    }

    fn n_features(&self) -> usize {
        self.columns.as_ref().map_or_else(|| self.matrix().n_features(), |(columns, _)| columns.n_features())
    }

    fn matrix(&self) -> &Arc<FeatureMatrix> {
        self.matrix.get_or_init(|| match &self.columns {
            None => unreachable!("rows are made with columns or with a matrix"),
            Some((columns, rows)) => {
                let n_features = columns.n_features();
                let mut values = vec![0f32; rows.len() * n_features];
                let tasks = values.par_chunks_mut(ROWS_PER_TASK * n_features).zip(rows.par_chunks(ROWS_PER_TASK));
                tasks.for_each(|(values, rows)| columns.fill_rows(rows, values));
                Arc::new(columns.matrix_of(values))
            }
        })
    }

    fn fill_column(&self, feature: usize, column: &mut [f32]) {
        match &self.columns {
            Some((columns, rows)) => columns.fill_column(feature, rows, column),
            None => column.iter_mut().zip(self.matrix().rows()).for_each(|(value, row)| *value = row[feature]),
        }
    }
}

/// Prepared training rows, and the only thing a resampler or a learner takes.
///
/// Each distinct row is held once; `entries` names rows, as often as they count (random oversampling repeats an entry, it
/// copies no values). `labels` and `weights` stand per entry.
#[derive(Debug, Clone)]
pub struct TrainingSet {
    distinct: Arc<DistinctRows>,
    entries: Vec<u32>,
    labels: Vec<u8>,
    weights: Vec<f32>,
    watched: Option<Arc<Watched>>,
}

impl TrainingSet {
    /// Only `prepare` (from [`TrainRows`]) and resamplers (from another training set) build one; tests and benches build
    /// theirs of any matrix.
    #[cfg(test)]
    pub(in crate::training) fn new(
        matrix: Arc<FeatureMatrix>,
        entries: Vec<u32>,
        labels: Vec<u8>,
        weights: Vec<f32>,
    ) -> Self {
        Self::with(DistinctRows::of_matrix(matrix, Storage::in_memory()), entries, labels, weights)
    }

    fn with(distinct: impl Into<Arc<DistinctRows>>, entries: Vec<u32>, labels: Vec<u8>, weights: Vec<f32>) -> Self {
        assert!(entries.len() == labels.len() && entries.len() == weights.len(), "one label and weight per entry");
        Self { distinct: distinct.into(), entries, labels, weights, watched: None }
    }

    /// Every row of the matrix once, with weight 1. Crate-wide for the benches' door, which normal builds do not have.
    #[allow(dead_code)]
    pub(crate) fn of_all_rows(matrix: Arc<FeatureMatrix>, labels: Vec<u8>) -> Self {
        let n_rows = matrix.n_rows();
        let distinct = DistinctRows::of_matrix(matrix, Storage::in_memory());
        Self::with(distinct, (0..n_rows as u32).collect(), labels, vec![1.0; n_rows])
    }

    /// Every training row once, with weight 1; its values stay in the columns until they are asked for.
    pub(in crate::training) fn of_columns(columns: PreparedColumns, train: &TrainRows, storage: &Storage) -> Self {
        let distinct = DistinctRows {
            columns: Some((columns, train.rows.clone())),
            matrix: OnceLock::new(),
            binned: Mutex::default(),
            storage: storage.clone(),
        };
        let n_rows = train.n_rows();
        Self::with(distinct, (0..n_rows as u32).collect(), train.labels(), vec![1.0; n_rows])
    }

    /// Other entries of the same rows.
    pub(in crate::training) fn with_entries(&self, entries: Vec<u32>, labels: Vec<u8>, weights: Vec<f32>) -> Self {
        Self::with(self.distinct.clone(), entries, labels, weights)
    }

    /// Rows that stand in a matrix of their own, where this set's would lie.
    pub(in crate::training) fn with_matrix(
        &self,
        matrix: Arc<FeatureMatrix>,
        labels: Vec<u8>,
        weights: Vec<f32>,
    ) -> Self {
        let distinct = DistinctRows::of_matrix(matrix, self.distinct.storage.clone());
        Self::with(distinct, (0..labels.len() as u32).collect(), labels, weights)
    }

    /// The same set, and rows for early stopping to watch.
    pub(in crate::training) fn watching(self, watched: Option<Arc<Watched>>) -> Self {
        TrainingSet { watched, ..self }
    }

    pub fn watched(&self) -> Option<&Watched> {
        self.watched.as_deref()
    }

    /// The distinct rows as a matrix, made when first asked for and shared from then on. Forests do without.
    pub fn matrix(&self) -> &Arc<FeatureMatrix> {
        self.distinct.matrix()
    }

    /// The matrix, if someone asked for it before.
    pub fn made_matrix(&self) -> Option<&Arc<FeatureMatrix>> {
        self.distinct.matrix.get()
    }

    /// The prepared columns and the rows of theirs that are the distinct rows, if they come from columns.
    pub(in crate::training) fn columns(&self) -> Option<(&PreparedColumns, &[u32])> {
        self.distinct.columns.as_ref().map(|(columns, rows)| (columns, &rows[..]))
    }

    /// The distinct rows in at most `bins` bins per feature, binned once for all that share them.
    pub fn binned(&self, bins: usize) -> Result<Arc<BinnedMatrix>> {
        let mut known = self.distinct.binned.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, binned)) = known.iter().find(|(of, _)| *of == bins) {
            return Ok(binned.clone());
        }
        let binned = BinnedMatrix::of(self, bins, &self.distinct.storage)?;
        known.push((bins, Arc::new(binned)));
        Ok(known[known.len() - 1].1.clone())
    }

    /// Distinct rows, whatever the number of their entries.
    pub fn n_rows(&self) -> usize {
        self.distinct.n_rows()
    }

    pub fn n_features(&self) -> usize {
        self.distinct.n_features()
    }

    /// Whether a feature's numbers are label codes.
    pub fn is_nominal(&self, feature: usize) -> bool {
        match &self.distinct.columns {
            Some((columns, _)) => columns.is_nominal(feature),
            None => self.matrix().is_nominal(feature),
        }
    }

    /// Columns that are best written together: numbers of a row of the matrix share lines of the cache, but what a thread
    /// writes takes room (and many at once leave nothing to the other threads).
    pub fn columns_at_once(&self) -> usize {
        const AT_ONCE_BYTES: usize = 4 << 20;
        let fit = AT_ONCE_BYTES / (4 * self.n_rows().max(1));
        if self.made_matrix().is_some() { fit.clamp(4, 32) } else { 1 }
    }

    /// Writes some features of all distinct rows, column after column.
    pub fn fill_columns(&self, features: Range<usize>, columns: &mut [f32]) {
        let (n_rows, width) = (self.n_rows(), self.n_features());
        let Some(matrix) = self.made_matrix() else {
            let pairs = features.zip(columns.chunks_mut(n_rows.max(1)));
            return pairs.for_each(|(feature, column)| self.distinct.fill_column(feature, column));
        };
        // Eight rows at a time: their lines of the cache are fetched together.
        for (block, rows) in matrix.values().chunks(8 * width).enumerate() {
            for (column, feature) in features.clone().enumerate() {
                let column = &mut columns[column * n_rows + block * 8..][..rows.len() / width];
                for (value, row) in column.iter_mut().zip(rows.chunks_exact(width)) {
                    *value = row[feature];
                }
            }
        }
    }

    /// Row of the matrix per entry.
    pub fn entries(&self) -> &[u32] {
        &self.entries
    }

    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    pub fn n_entries(&self) -> usize {
        self.entries.len()
    }

    pub fn n_positives(&self) -> usize {
        self.labels.iter().filter(|&&label| label == 1).count()
    }
}

//! Early stopping: after each epoch the rows set aside are scored, and the best network so far is kept.
//!
//! In: networks in the order of the epochs. Out: whether to go on, the curves, the best network. The rows left the training
//! rows before the preparation was fitted and before resampling; their loss is not weighted.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::batch::cross_entropy;
use super::network::Network;
use crate::scoring::matrix::FeatureMatrix;
use crate::scoring::model::mlp::Mlp;
use crate::training::config::{EarlyStopping, WatchBy};
use crate::training::evaluate::measure;
use crate::training::rows::Watched;

/// How the rows set aside were scored, epoch by epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WatchedCurves {
    pub n_rows: usize,
    pub n_positives: usize,
    pub by: WatchBy,
    /// Mean loss per epoch.
    pub losses: Vec<f64>,
    /// Per epoch; nothing where there is no positive row.
    pub average_precision: Vec<Option<f64>>,
    /// Counted from 1: its network is the fitted one.
    pub best_epoch: usize,
}

pub(super) struct Watch<'a> {
    config: EarlyStopping,
    rows: &'a Watched,
    pub curves: WatchedCurves,
    best: Option<(f64, Network)>,
}

impl<'a> Watch<'a> {
    pub fn new(config: EarlyStopping, rows: &'a Watched) -> Watch<'a> {
        let n_positives = rows.labels.iter().filter(|&&label| label == 1).count();
        let curves = WatchedCurves {
            n_rows: rows.labels.len(),
            n_positives,
            by: config.by,
            losses: Vec::new(),
            average_precision: Vec::new(),
            best_epoch: 0,
        };
        Watch { config, rows, curves, best: None }
    }

    /// Looks at the network of one more epoch; whether patience is at its end.
    pub fn is_over(&mut self, network: Network) -> bool {
        let logits = logits(&network.freeze(), &self.rows.matrix);
        let losses = logits.iter().zip(&self.rows.labels).map(|(&logit, &label)| cross_entropy(logit, label).0);
        let loss = losses.sum::<f64>() / logits.len().max(1) as f64;
        // Ranks of logits are ranks of scores, without their ties near 0 and 1.
        let average_precision = measure(&self.rows.labels, &logits).average_precision;
        self.curves.losses.push(loss);
        self.curves.average_precision.push(average_precision);
        let gain = match self.config.by {
            WatchBy::Loss => -loss,
            WatchBy::AveragePrecision => average_precision.unwrap_or(f64::NEG_INFINITY),
        };
        if self.best.as_ref().is_none_or(|(best, _)| gain > *best) {
            self.best = Some((gain, network));
            self.curves.best_epoch = self.curves.losses.len();
        }
        self.curves.losses.len() - self.curves.best_epoch >= self.config.patience
    }

    pub fn finish(self) -> (Option<Network>, WatchedCurves) {
        (self.best.map(|(_, network)| network), self.curves)
    }
}

const ROWS_PER_TASK: usize = 512;

/// The logits of all rows, on all threads.
pub(super) fn logits(mlp: &Mlp, matrix: &FeatureMatrix) -> Vec<f32> {
    let of_block = |rows: &[f32]| {
        let mut logits = Vec::with_capacity(ROWS_PER_TASK);
        mlp.logits(rows, |logit| logits.push(logit));
        logits
    };
    let blocks = matrix.values().par_chunks(ROWS_PER_TASK * matrix.n_features());
    blocks.map(of_block).collect::<Vec<Vec<f32>>>().concat()
}

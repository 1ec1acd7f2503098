//! Evaluate: labels and scores become the figures of a leaderboard; a final fit tells what it looks at. Pure; in: one
//! label and score per row, or a frozen fit and its test rows.
//!
//! A figure that is not defined (one class, no rows) is `None` and `undefined` says why, never 0.5 or 0.

mod assessment;
mod bootstrap;
mod comparisons;
mod curves;
mod delong;
mod explanation;
mod facts;
mod headline;
mod metrics;
mod money;
mod out_of_bag;
mod permutation;
pub(in crate::training) mod ranking;
mod reliability;
mod sample;
mod seeds;
mod winner;

pub use assessment::{
    Assessment, Compared, Estimate, HeadlineRow, Money, Period, PointEstimates, PricedRule, Subgroup, ThresholdStep,
};
pub use bootstrap::{Bootstrap, interval, interval_of_share};
pub use comparisons::{mean_over_folds, optimism, overfit};
pub use curves::{pr_curve, roc_curve};
pub use delong::{Difference, Placements, covariance};
pub use explanation::{CostlyError, DependencePoint, Explaining, Explanation, PartialDependence, explain};
pub use facts::{Attribute, RowFacts, Unit, numbered};
pub use headline::{HEADLINE, RankedRows, Scratch};
pub use metrics::measure;
pub use money::{PricedThreshold, cheapest, priced};
pub use out_of_bag::out_of_bag;
pub use permutation::{Permuting, permutation_importance};
pub use reliability::{Probabilities, ReliabilityBin, probabilities, reliability, stability_index};
pub use sample::{Sample, Scored};
pub use seeds::{SeedSpread, Spread};
pub use winner::Winner;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::config::ImportanceConfig;

/// Counts at a threshold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    pub true_positives: u64,
    pub false_positives: u64,
    pub true_negatives: u64,
    pub false_negatives: u64,
}

/// What one list of labels and scores is worth. `recall`, `precision`, `auc_labels` (balanced accuracy, the paper's
/// "AUC") and `confusion` are taken at 0.5 on the raw score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    pub n_rows: usize,
    pub n_positives: usize,
    pub confusion: Confusion,
    pub recall: Option<f64>,
    pub precision: Option<f64>,
    pub auc_labels: Option<f64>,
    /// ROC AUC of the scores, tied scores grouped.
    pub auc: Option<f64>,
    /// 95 % interval of `auc` (DeLong).
    pub auc_interval: Option<[f64; 2]>,
    /// Step-wise sum, never a trapezoid.
    pub average_precision: Option<f64>,
    /// Largest true-positive rate at a false-positive rate of at most 1 %.
    pub recall_at_fpr_1: Option<f64>,
    pub recall_at_fpr_5: Option<f64>,
    pub brier: Option<f64>,
    pub log_loss: Option<f64>,
    /// Why a figure is `None`, by name.
    pub undefined: BTreeMap<String, String>,
}

/// What a case did to the training rows of one fit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResamplingReport {
    pub rows_before: usize,
    pub positives_before: usize,
    pub rows_after: usize,
    pub positives_after: usize,
    /// Minority rows / all rows.
    pub share_before: f64,
    pub share_after: f64,
    pub synthetic: usize,
    pub duplicates: usize,
    /// Neighbours that synthetic rows could lead to: `k`, or fewer where there were too few rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neighbors: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closeness: Option<Closeness>,
    /// Tomek links found, and rows they took away.
    pub links: usize,
    pub removed_majority: usize,
    pub removed_minority: usize,
    /// Weight of a positive and of a negative row.
    pub weights: [f64; 2],
}

impl ResamplingReport {
    /// Nothing came, nothing went, nothing was weighed.
    pub fn unchanged(n_rows: usize, n_positives: usize) -> ResamplingReport {
        let share = n_positives.min(n_rows - n_positives) as f64 / n_rows.max(1) as f64;
        ResamplingReport {
            rows_before: n_rows,
            positives_before: n_positives,
            rows_after: n_rows,
            positives_after: n_positives,
            share_before: share,
            share_after: share,
            synthetic: 0,
            duplicates: 0,
            neighbors: None,
            closeness: None,
            links: 0,
            removed_majority: 0,
            removed_minority: 0,
            weights: [1.0; 2],
        }
    }
}

/// How close synthetic rows came to the majority, in the prepared space.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Closeness {
    /// Synthetic rows looked at.
    pub measured: usize,
    /// Distance to the nearest majority row: the smallest, and the 5 %, 50 % and 95 % quantiles.
    pub quantiles: [f64; 4],
    /// Share of them whose nearest row of all is a majority row.
    pub nearest_is_majority: f64,
}

/// Training (original rows) against validation recall at 0.5, means over the folds; flagged above 0.10.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Overfit {
    pub train_recall: Option<f64>,
    pub validation_recall: Option<f64>,
    pub gap: Option<f64>,
    pub flagged: bool,
}

/// Figures on the original training rows that some tree left out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OutOfBag {
    pub auc: f64,
    pub average_precision: f64,
    pub n_rows: usize,
}

/// What the winner looks at.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Importance {
    /// Share of each feature in the decrease of impurity over all splits of the final fit; forests only.
    pub impurity: BTreeMap<String, f64>,
    pub permutation: Option<PermutationImportance>,
}

/// `permutation_importance.json`: a final fit on test rows of which one column at a time is shuffled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PermutationImportance {
    pub format: u32,
    /// Key of the final fit.
    pub cell: String,
    pub asked: ImportanceConfig,
    pub n_rows: usize,
    pub n_positives: usize,
    /// Of the rows as they are.
    pub auc: Option<f64>,
    pub average_precision: Option<f64>,
    pub features: BTreeMap<String, ColumnDrop>,
}

/// What shuffling one column costs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ColumnDrop {
    pub average_precision: FigureDrop,
    pub auc: FigureDrop,
}

/// As it is minus shuffled, over the repeats.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FigureDrop {
    pub mean: Option<f64>,
    /// Standard deviation of one shuffle; none of a single one.
    pub deviation: Option<f64>,
}

impl Default for FigureDrop {
    /// Of a column that is not used.
    fn default() -> Self {
        FigureDrop { mean: Some(0.0), deviation: Some(0.0) }
    }
}

/// One row of the leaderboard: protocol x model x case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LeaderboardRow {
    pub protocol: String,
    pub model: String,
    pub case: String,
    /// The final fit on the test rows, used once.
    #[serde(flatten)]
    pub test: Metrics,
    /// Held-out rows of each fold, in fold order.
    pub validation: Vec<Metrics>,
    /// Means over the folds by metric name (`recall`, `auc`, `auc_labels`, `average_precision`, ...).
    pub validation_mean: BTreeMap<String, Option<f64>>,
    pub overfit: Overfit,
    /// Per fold, then the final fit.
    pub resampling: Vec<ResamplingReport>,
    /// Bytes of the final fit's `model.safetensors`.
    #[serde(default)]
    pub model_bytes: Option<u64>,
    /// More of them than `limits.max_model_mb` allows: never selected.
    #[serde(default)]
    pub over_limit: bool,
    /// Of the final fit, where `oob_score` asked for it.
    #[serde(default)]
    pub out_of_bag: Option<OutOfBag>,
    /// Why it was asked for and is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_of_bag_undefined: Option<String>,
}

/// `leaderboard.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Leaderboard {
    pub format: u32,
    pub rows: Vec<LeaderboardRow>,
}

/// Random minus temporal, same model and case: how much the random protocol flatters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OptimismGap {
    pub model: String,
    pub case: String,
    pub auc_random: Option<f64>,
    pub auc_temporal: Option<f64>,
    pub auc_gap: Option<f64>,
    /// 95 %: the two test sets are treated as independent.
    pub auc_gap_interval: Option<[f64; 2]>,
    /// Average precision over prevalence, under each protocol.
    pub lift_random: Option<f64>,
    pub lift_temporal: Option<f64>,
    pub lift_gap: Option<f64>,
    /// 95 %, likewise, from the bootstrap of the average precision.
    #[serde(default)]
    pub lift_gap_interval: Option<[f64; 2]>,
}

/// The winner and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Selection {
    pub protocol: String,
    pub by: String,
    pub model: String,
    pub case: String,
    /// The folds' mean of `by`.
    pub value: f64,
    /// One or two sentences: the figure, the runner-up, what decided.
    pub reason: String,
}

/// The chosen threshold on calibrated scores, and what it does on those of out-of-fold rows and of the test rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OperatingPoint {
    /// As in the config: `{"max_fpr": 0.01}`.
    pub policy: serde_json::Value,
    pub threshold: f32,
    pub out_of_fold: PointMetrics,
    pub test: PointMetrics,
}

/// Figures at one threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PointMetrics {
    pub confusion: Confusion,
    pub recall: Option<f64>,
    pub precision: Option<f64>,
    pub fpr: Option<f64>,
}

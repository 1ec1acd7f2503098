//! What an evaluation says beyond the leaderboard: intervals, real differences, the operating point, money, subgroups,
//! time. Plain data of `report.json`; [`super::Sample`] and [`super::Winner`] make it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::delong::Difference;
use super::facts::Unit;
use super::money::PricedThreshold;
use super::{Confusion, Metrics};
use crate::training::config::CostMatrix;

/// A figure and its 95 % interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    pub value: Option<f64>,
    /// `None` where it has none: the figure is 0 or 1, or too few draws define it.
    pub interval: Option<[f64; 2]>,
}

/// Headline figures of one final fit on its test rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeadlineRow {
    pub protocol: String,
    pub model: String,
    pub case: String,
    /// By the names of [`super::HEADLINE`].
    pub figures: BTreeMap<String, Estimate>,
    /// Standard deviation of the average precision over the draws.
    pub average_precision_deviation: Option<f64>,
}

/// Two final fits on the same test rows: the first minus the second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    pub protocol: String,
    /// Model and case.
    pub first: [String; 2],
    pub second: [String; 2],
    /// DeLong.
    pub auc: Option<Difference>,
    /// Paired bootstrap.
    pub average_precision: Option<Difference>,
    /// p-values after Holm, over all pairs of the protocol.
    pub auc_adjusted: Option<f64>,
    pub average_precision_adjusted: Option<f64>,
}

/// The chosen threshold on test rows, with intervals.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PointEstimates {
    pub recall: Estimate,
    pub precision: Estimate,
    pub fpr: Estimate,
    pub alerts_per_day: Estimate,
    /// Amounts of the frauds found / amounts of all frauds.
    pub value_detection_rate: Estimate,
    pub n_days: usize,
}

/// What a threshold does.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ThresholdStep {
    pub threshold: f32,
    pub precision: f64,
    pub recall: f64,
    pub fpr: f64,
    pub alerts_per_day: f64,
}

/// One rule on the test rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PricedRule {
    pub rule: String,
    /// Of the rule `score >= threshold`.
    pub threshold: Option<f32>,
    pub confusion: Confusion,
    pub cost: f64,
    /// Against no alerts at all.
    pub saving: Estimate,
    pub value_detection_rate: Option<f64>,
}

/// What decisions cost on the test rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Money {
    pub costs: CostMatrix,
    /// Amounts of all frauds among the test rows.
    pub fraud: f64,
    pub rules: Vec<PricedRule>,
    /// Cost of the cheapest fixed threshold (chosen out of fold) minus that of the amount-dependent rule.
    pub gain_of_amounts: Estimate,
    /// Thinned.
    pub curve: Vec<PricedThreshold>,
}

/// Rows of one level of a declared attribute at the chosen threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subgroup {
    pub attribute: String,
    pub level: String,
    pub n_rows: usize,
    pub n_positives: usize,
    /// Too few frauds to measure recall by, or too few other rows for the rest.
    pub too_few: bool,
    pub recall: Estimate,
    pub fpr: Estimate,
    pub alert_rate: Estimate,
}

/// The winner on one stretch of time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Period {
    /// `out-of-fold` or `test`.
    pub rows: String,
    pub first_day: u32,
    pub last_day: u32,
    pub metrics: Metrics,
    /// At the chosen threshold.
    pub recall: Option<f64>,
    pub precision: Option<f64>,
}

/// Everything together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Assessment {
    pub by: Option<Unit>,
    pub draws: usize,
    /// k.
    pub alerts_per_day: usize,
    pub headline: Vec<HeadlineRow>,
    pub differences: Vec<Compared>,
    pub point: PointEstimates,
    /// Of out-of-fold rows, highest threshold first; thinned.
    pub thresholds: Vec<ThresholdStep>,
    /// Of test rows.
    pub thresholds_test: Vec<ThresholdStep>,
    pub money: Option<Money>,
    pub money_undefined: Option<String>,
    pub subgroups: Vec<Subgroup>,
    /// By week, or by 30 days where weeks would be too many.
    pub periods: Vec<Period>,
    pub days_per_period: u32,
}

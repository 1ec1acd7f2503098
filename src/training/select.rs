//! Select: which model and case wins, and from which score on an alarm is raised. In: validation figures and
//! out-of-fold scores; out: a [`Selection`] and an [`OperatingPoint`], each with what it rests on.
//!
//! Test rows decide nothing: the winner comes from the folds' means, the threshold from [`OutOfFold`] scores. Scores of
//! test rows are another type, [`TestScores`], which only ever describes a threshold that is already chosen.

use std::cmp::Ordering;

use super::config::{CostMatrix, LimitsConfig, SelectBy, SelectConfig, ThresholdPolicy};
use super::error::{Error, Result};
use super::evaluate::ranking::{Ranking, Step};
use super::evaluate::{LeaderboardRow, OperatingPoint, PointMetrics, RowFacts, Selection, cheapest, priced};
use crate::scoring::calibration::Calibration;

/// The baseline: never a bundle.
const NEVER_SELECTED: &str = "logistic";
/// Decides between equal figures; models of other names come after these.
const MODEL_ORDER: [&str; 3] = ["random-forest", "extra-trees", "mlp"];

macro_rules! scored_rows {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $name {
            labels: Vec<u8>,
            scores: Vec<f32>,
            facts: RowFacts,
        }

        impl $name {
            /// One label and one score per row.
            pub(in crate::training) fn new(labels: Vec<u8>, scores: Vec<f32>) -> Self {
                assert_eq!(labels.len(), scores.len(), "one score per label");
                Self { labels, scores, facts: RowFacts::default() }
            }

            /// What is known of the same rows.
            pub(in crate::training) fn with_facts(self, facts: RowFacts) -> Self {
                Self { facts, ..self }
            }

            pub fn facts(&self) -> &RowFacts {
                &self.facts
            }

            pub fn labels(&self) -> &[u8] {
                &self.labels
            }

            pub fn scores(&self) -> &[f32] {
                &self.scores
            }

            /// The same rows, their scores raw before and calibrated after.
            pub fn calibrated(&self, map: &Calibration) -> Self {
                let scores = self.scores.iter().map(|&raw| map.apply(raw)).collect();
                Self { labels: self.labels.clone(), scores, facts: self.facts.clone() }
            }
        }
    };
}
scored_rows! {
    /// Scores of training rows, each by the fold fit that did not see it.
    ///
    /// Scores of test rows cannot take their place:
    /// ```compile_fail,E0308
    /// use fraudml::training::config::ThresholdPolicy;
    /// use fraudml::training::select::{TestScores, choose_threshold};
    /// fn peek(test: &TestScores) {
    ///     choose_threshold(ThresholdPolicy::MaxFpr(0.01), test).ok();
    /// }
    /// ```
    OutOfFold
}
scored_rows! {
    /// Scores of the test rows by a final fit.
    TestScores
}

impl OutOfFold {
    /// The rows of several folds in their order.
    pub fn joined<'a>(folds: impl Iterator<Item = &'a OutOfFold> + Clone) -> OutOfFold {
        OutOfFold {
            labels: folds.clone().flat_map(|fold| &fold.labels).copied().collect(),
            scores: folds.clone().flat_map(|fold| &fold.scores).copied().collect(),
            facts: RowFacts::joined(folds.map(|fold| &fold.facts)),
        }
    }
}

/// The threshold of a policy, for the rule `score >= threshold`; scores are calibrated by now. What no threshold reaches
/// is the next f32 above the highest score, where nothing out of fold raises an alarm.
pub fn choose_threshold(policy: ThresholdPolicy, oof: &OutOfFold) -> Result<f32> {
    let ranking = Ranking::of(&oof.labels, &oof.scores).ok_or_else(|| {
        Error::failed("some out-of-fold scores are not numbers, so no threshold can be chosen")
            .hint("the model diverged: lower its learning rate")
    })?;
    if ranking.n_negatives == 0 {
        return Err(Error::permanent("no negative row has an out-of-fold score, so no false-positive rate is defined")
            .hint("use fewer folds or more rows"));
    }
    let above_all = ranking.steps[0].threshold.next_up();
    // Steps go down from the highest score: the last that holds is the lowest threshold.
    let lowest = |holds: &dyn Fn(&Step) -> bool| ranking.steps.iter().rev().find(|step| holds(step));
    let step = match policy {
        ThresholdPolicy::MaxFpr(max_fpr) => ranking.last_within(max_fpr),
        ThresholdPolicy::MinPrecision(share) => lowest(&|step| step.precision() >= share),
        ThresholdPolicy::AlertsPerDay(most) => {
            let days = days(oof)?;
            lowest(&|step| (step.true_positives + step.false_positives) as f64 / days <= most)
        }
        ThresholdPolicy::FBeta(beta) => {
            let score = |step: &Step| f_beta(beta, step, ranking.n_positives);
            ranking.steps.iter().reduce(|best, step| if score(step) > score(best) { step } else { best })
        }
        ThresholdPolicy::Cost(costs) => return least_cost(costs, oof),
        ThresholdPolicy::Value(value) => return Ok(value as f32),
    };
    Ok(step.map_or(above_all, |step| step.threshold))
}

/// (1 + b^2) precision recall / (b^2 precision + recall).
fn f_beta(beta: f64, step: &Step, n_positives: u64) -> f64 {
    let (weight, alerts) = (beta * beta, (step.true_positives + step.false_positives) as f64);
    (1.0 + weight) * step.true_positives as f64 / (weight * n_positives as f64 + alerts)
}

fn days(oof: &OutOfFold) -> Result<f64> {
    match &oof.facts.days {
        Some(_) => Ok(oof.facts.n_days(oof.labels.len()) as f64),
        None => Err(Error::permanent(
            "`alerts_per_day` needs the days of the out-of-fold rows, which this run does not keep",
        )
        .hint("name the time column in `data.time` and run `fraudml train`: finished fits are kept")),
    }
}

fn least_cost(costs: CostMatrix, oof: &OutOfFold) -> Result<f32> {
    let cannot = |reason: String| {
        Error::permanent(format!("`cost` needs an amount of at least 0 for every out-of-fold row: {reason}"))
            .hint("name the amount column in `data.amount`, and clean it: refunds are no payments")
    };
    let amounts = oof.facts.money().map_err(cannot)?;
    let priced = priced(&oof.labels, &oof.scores, amounts, costs);
    let best = priced.as_deref().and_then(cheapest);
    best.map(|best| best.threshold).ok_or_else(|| Error::failed("no row has an out-of-fold score"))
}

/// Chooses the threshold out of fold, then says what it does there and on the test rows.
pub fn operating_point(policy: ThresholdPolicy, oof: &OutOfFold, test: &TestScores) -> Result<OperatingPoint> {
    let threshold = choose_threshold(policy, oof)?;
    Ok(OperatingPoint {
        policy: serde_json::to_value(policy).map_err(|error| Error::failed(error.to_string()))?,
        threshold,
        out_of_fold: PointMetrics::at(&oof.labels, &oof.scores, threshold),
        test: PointMetrics::at(&test.labels, &test.scores, threshold),
    })
}

impl SelectBy {
    /// Its name among the means over folds.
    pub fn metric(self) -> &'static str {
        match self {
            SelectBy::AveragePrecision => "average_precision",
            SelectBy::Auc => "auc",
            SelectBy::Recall => "recall",
            SelectBy::RecallAtFpr1 => "recall_at_fpr_1",
            SelectBy::RecallAtFpr5 => "recall_at_fpr_5",
        }
    }
}

/// The row with the highest mean of the metric over the validation folds of the protocol. Ties go by average precision,
/// AUC, model, then the order of the rows. Rows whose mean is not defined, rows over the limit (marked as such), and the
/// baseline are no candidates; `limits` is what the marks were made by.
pub fn select(rows: &[LeaderboardRow], config: SelectConfig, limits: LimitsConfig) -> Result<Selection> {
    let by = config.by.metric();
    let protocol = config.protocol.as_str();
    let mut candidates: Vec<(f64, &LeaderboardRow)> = rows
        .iter()
        .filter(|row| row.protocol == protocol && row.model != NEVER_SELECTED)
        .filter_map(|row| Some((mean(row, by)?, row)))
        .collect();
    // Stable: what is equal to the end stays in the order of the rows.
    candidates.sort_by(|(_, a), (_, b)| compare(a, b, by).0);
    if candidates.is_empty() {
        return Err(Error::permanent(format!(
            "no model can be selected: no row under the {protocol} protocol has a mean `{by}` over all folds"
        ))
        .hint("use fewer folds, so that each holds both classes, or select by another metric or protocol"));
    }
    let (candidates, too_large): (Vec<_>, Vec<_>) = candidates.into_iter().partition(|(_, row)| !row.over_limit);
    let Some(&(value, winner)) = candidates.first() else { return Err(none_fits(&too_large, limits)) };
    let among = if too_large.is_empty() { "" } else { " among the models within the limit" };
    let folds = format!("the {protocol} folds{among}");
    let mut reason = reason(value, winner, candidates.get(1).copied(), by, &folds);
    // Only the best of what was left out can have been better than the winner.
    if let Some((better, row)) = too_large.first().filter(|(_, row)| compare(row, winner, by).0.is_lt()) {
        reason += &format!(
            " {} with {} has {}, but its model takes {} MB and the limit is {} MB.",
            row.model,
            row.case,
            told_apart(*better, value).0,
            megabytes(row.model_bytes),
            limits.max_model_mb.unwrap_or(f64::INFINITY)
        );
    }
    Ok(Selection {
        protocol: protocol.into(),
        by: by.into(),
        model: winner.model.clone(),
        case: winner.case.clone(),
        value,
        reason,
    })
}

/// Every candidate is over the limit.
fn none_fits(too_large: &[(f64, &LeaderboardRow)], limits: LimitsConfig) -> Error {
    let limit = limits.max_model_mb.unwrap_or(f64::INFINITY);
    let smallest = too_large.iter().filter(|(_, row)| row.model_bytes.is_some()).min_by_key(|(_, row)| row.model_bytes);
    let smallest = smallest.map_or(String::new(), |(_, row)| {
        format!("; the smallest is {} with {}, {} MB", row.model, row.case, megabytes(row.model_bytes))
    });
    Error::permanent(format!("no model can be selected: none fits `limits.max_model_mb` of {limit}{smallest}")).hint(
        "raise the limit, or make models smaller: fewer `trees`, a `max_leaf_nodes`, a higher `min_samples_leaf`, \
         narrower `hidden` layers; finished fits are kept",
    )
}

/// To the byte.
fn megabytes(bytes: Option<u64>) -> String {
    bytes.map_or("unknown".into(), |bytes| format!("{}", bytes as f64 / 1e6))
}

/// The better row first, and what decided.
fn compare(a: &LeaderboardRow, b: &LeaderboardRow, by: &'static str) -> (Ordering, Decision) {
    for metric in [by, "average_precision", "auc"] {
        let figure = |row| mean(row, metric).unwrap_or(f64::NEG_INFINITY);
        let order = figure(b).total_cmp(&figure(a));
        if order.is_ne() {
            return (order, Decision::Metric(metric));
        }
    }
    let place =
        |row: &LeaderboardRow| MODEL_ORDER.iter().position(|&known| known == row.model).unwrap_or(MODEL_ORDER.len());
    match place(a).cmp(&place(b)) {
        Ordering::Equal => (Ordering::Equal, Decision::RowOrder),
        order => (order, Decision::ModelOrder),
    }
}

enum Decision {
    Metric(&'static str),
    ModelOrder,
    RowOrder,
}

fn reason(
    value: f64,
    winner: &LeaderboardRow,
    runner_up: Option<(f64, &LeaderboardRow)>,
    by: &'static str,
    folds: &str,
) -> String {
    let mut reason = format!("{} with {} has the highest mean {by} over {folds}", winner.model, winner.case);
    match runner_up {
        None => reason += &format!(", {value:.4}, as the only candidate"),
        Some((second, row)) => {
            let (value, second) = told_apart(value, second);
            let rival = format!("{} with {}", row.model, row.case);
            reason += &match compare(winner, row, by).1 {
                Decision::Metric(metric) if metric == by => format!(", {value}; next is {rival}, {second}"),
                Decision::Metric(metric) => {
                    let figure = |row| mean(row, metric).map_or("undefined".into(), |figure| format!("{figure:.4}"));
                    let (own, other) = (figure(winner), figure(row));
                    format!(", {value}, as has {rival}; mean {metric} decided, {own} against {other}")
                }
                Decision::ModelOrder => format!(", {value}, as has {rival}; the order of models decided"),
                Decision::RowOrder => format!(", {value}, as has {rival}; the order of cases decided"),
            };
        }
    }
    reason + ". Test rows were not used."
}

/// Four decimals, or all where four would look equal and the figures are not.
fn told_apart(a: f64, b: f64) -> (String, String) {
    let short = (format!("{a:.4}"), format!("{b:.4}"));
    if short.0 == short.1 && a != b { (a.to_string(), b.to_string()) } else { short }
}

fn mean(row: &LeaderboardRow, metric: &str) -> Option<f64> {
    row.validation_mean.get(metric).copied().flatten().filter(|mean| !mean.is_nan())
}

#[cfg(test)]
mod tests;

//! The winner at its operating point: figures with intervals, curves over thresholds, money, subgroups, time. In: the
//! calibrated scores of its out-of-fold and test rows, as the types that keep them apart; out: parts of an
//! [`super::Assessment`].
//!
//! Intervals of subgroups are Wilson's (1927): rows are taken as independent there. Fewer than 20 frauds leave a
//! subgroup's recall unmeasured, fewer than 20 other rows its false-positive rate.

use super::assessment::{Estimate, Money, Period, PointEstimates, PricedRule, Subgroup, ThresholdStep};
use super::bootstrap::{Bootstrap, Z_95, interval, interval_of_share};
use super::money::{cheapest, priced};
use super::ranking::Ranking;
use super::{Confusion, measure};
use crate::training::config::CostMatrix;
use crate::training::select::{OutOfFold, TestScores};

/// Rows of one class below which a rate is not measured.
const TOO_FEW: usize = 20;
/// Points kept of a curve.
const CURVE_POINTS: usize = 160;
/// Periods beyond which weeks become months.
const MOST_WEEKS: u32 = 30;

pub struct Winner<'a> {
    /// Calibrated.
    pub out_of_fold: &'a OutOfFold,
    pub test: &'a TestScores,
    pub threshold: f32,
    pub bootstrap: &'a Bootstrap,
}

/// Whether a rule alarms at a row.
type Alarms<'a> = Box<dyn Fn(usize) -> bool + 'a>;

impl Winner<'_> {
    fn alert(&self, row: usize) -> bool {
        self.test.scores()[row] >= self.threshold
    }

    pub fn point(&self) -> PointEstimates {
        let (labels, amounts) = (self.test.labels(), self.test.facts().money().ok());
        let n_days = self.test.facts().n_days(labels.len());
        let figures = |counts: &[u16]| {
            let mut sums = [0u64; 4];
            let (mut fraud, mut caught) = (0.0, 0.0);
            for (row, &count) in counts.iter().enumerate() {
                let (label, alert) = (usize::from(labels[row]), self.alert(row));
                sums[2 * label + usize::from(alert)] += u64::from(count);
                if let Some(amounts) = amounts.filter(|_| label == 1) {
                    fraud += f64::from(count) * amounts[row];
                    caught += if alert { f64::from(count) * amounts[row] } else { 0.0 };
                }
            }
            let [negative, false_alarm, missed, found] = sums.map(|sum| sum as f64);
            let alerts = found + false_alarm;
            let value = if amounts.is_some() { caught / fraud } else { f64::NAN };
            [
                found / (found + missed),
                found / alerts,
                false_alarm / (false_alarm + negative),
                alerts / n_days as f64,
                value,
            ]
        };
        let once = figures(&vec![1; labels.len()]);
        let draws = self.bootstrap.each(|counts, _: &mut ()| figures(counts));
        let estimate = |at: usize| {
            let of_draws: Vec<f64> = draws.iter().map(|draw| draw[at]).collect();
            let interval = if at == 3 {
                interval(once[3], of_draws.iter().copied())
            } else {
                interval_of_share(once[at], &of_draws)
            };
            match once[at].is_finite() {
                true => Estimate { value: Some(once[at]), interval },
                false => Estimate::default(),
            }
        };
        PointEstimates {
            recall: estimate(0),
            precision: estimate(1),
            fpr: estimate(2),
            alerts_per_day: estimate(3),
            value_detection_rate: estimate(4),
            n_days,
        }
    }

    /// Of out-of-fold rows, by which a threshold is planned, and of test rows, by which it is judged.
    pub fn thresholds(&self) -> [Vec<ThresholdStep>; 2] {
        [
            thresholds(
                self.out_of_fold.labels(),
                self.out_of_fold.scores(),
                self.out_of_fold.facts().n_days(self.out_of_fold.labels().len()),
            ),
            thresholds(self.test.labels(), self.test.scores(), self.test.facts().n_days(self.test.labels().len())),
        ]
    }

    /// Error: why there is no money.
    pub fn money(&self, costs: CostMatrix) -> Result<Money, String> {
        let (labels, scores, facts) = (self.test.labels(), self.test.scores(), self.test.facts());
        let amounts = facts.money()?;
        let oof = self.out_of_fold;
        let of_folds = oof.facts().money().map_err(|reason| format!("out of fold {reason}"))?;
        let fixed = priced(oof.labels(), oof.scores(), of_folds, costs).ok_or("no row has an out-of-fold score")?;
        let fixed = cheapest(&fixed).map_or(f32::INFINITY, |best| best.threshold);
        let rules: [(&str, Option<f32>, Alarms); 4] = [
            ("no alerts", None, Box::new(|_| false)),
            ("the chosen threshold", Some(self.threshold), Box::new(|row| self.alert(row))),
            ("the cheapest threshold out of fold", Some(fixed), Box::new(move |row| scores[row] >= fixed)),
            ("by score and amount", None, Box::new(|row| costs.alarms(scores[row], amounts[row]))),
        ];
        let cost_of = |alerts: &dyn Fn(usize) -> bool| -> Vec<f64> {
            (0..labels.len()).map(|row| costs.of(labels[row], alerts(row), amounts[row])).collect()
        };
        let costs_of_rows: Vec<Vec<f64>> = rules.iter().map(|(_, _, alerts)| cost_of(alerts)).collect();
        let total = |counts: &[u16]| -> Vec<f64> {
            let sum = |costs: &Vec<f64>| costs.iter().zip(counts).map(|(cost, &count)| cost * f64::from(count)).sum();
            costs_of_rows.iter().map(sum).collect()
        };
        let once = total(&vec![1; labels.len()]);
        let draws = self.bootstrap.each(|counts, _: &mut ()| total(counts));
        let apart = |a: usize, b: usize| Estimate {
            value: Some(once[a] - once[b]),
            interval: interval(once[a] - once[b], draws.iter().map(|draw| draw[a] - draw[b])),
        };
        let fraud: f64 = labels.iter().zip(amounts).map(|(&label, &amount)| f64::from(label) * amount).sum();
        let rule = |(at, (name, threshold, alerts)): (usize, &(&str, Option<f32>, Alarms))| {
            let caught: f64 =
                (0..labels.len()).filter(|&row| labels[row] == 1 && alerts(row)).map(|row| amounts[row]).sum();
            PricedRule {
                rule: (*name).to_owned(),
                threshold: *threshold,
                confusion: Confusion::of(labels, alerts),
                cost: once[at],
                saving: apart(0, at),
                // An empty sum is -0.0.
                value_detection_rate: (fraud > 0.0).then(|| caught.abs() / fraud),
            }
        };
        let curve = priced(labels, scores, amounts, costs).unwrap_or_default();
        Ok(Money {
            costs,
            fraud,
            rules: rules.iter().enumerate().map(rule).collect(),
            gain_of_amounts: apart(2, 3),
            curve: thinned(&curve),
        })
    }

    /// Every level of every attribute, in their order; worst recall first is for who shows them.
    pub fn subgroups(&self) -> Vec<Subgroup> {
        let labels = self.test.labels();
        let mut subgroups = Vec::new();
        for attribute in &self.test.facts().attributes {
            for (level, name) in attribute.levels.iter().enumerate() {
                let rows: Vec<usize> =
                    (0..labels.len()).filter(|&row| attribute.codes[row] as usize == level).collect();
                if rows.is_empty() {
                    continue;
                }
                let labels_of: Vec<u8> = rows.iter().map(|&row| labels[row]).collect();
                let counts = Confusion::of(&labels_of, &|at| self.alert(rows[at]));
                let n_positives = labels_of.iter().filter(|&&label| label == 1).count();
                let n_negatives = rows.len() - n_positives;
                let guarded =
                    |part: u64, whole: usize| if whole < TOO_FEW { Estimate::default() } else { wilson(part, whole) };
                subgroups.push(Subgroup {
                    attribute: attribute.name.clone(),
                    level: name.clone(),
                    n_rows: rows.len(),
                    n_positives,
                    too_few: n_positives < TOO_FEW || n_negatives < TOO_FEW,
                    recall: guarded(counts.true_positives, n_positives),
                    fpr: guarded(counts.false_positives, n_negatives),
                    alert_rate: guarded(counts.n_predicted_positive(), rows.len()),
                });
            }
        }
        subgroups
    }

    /// Days per period, and the periods of out-of-fold rows and then of test rows; none where no time is declared.
    pub fn periods(&self) -> (u32, Vec<Period>) {
        let sides = [
            ("out-of-fold", self.out_of_fold.labels(), self.out_of_fold.scores(), &self.out_of_fold.facts().days),
            ("test", self.test.labels(), self.test.scores(), &self.test.facts().days),
        ];
        let all = || sides.iter().filter_map(|side| side.3.as_ref()).flatten().copied();
        let (Some(first), Some(last)) = (all().min(), all().max()) else { return (7, Vec::new()) };
        let length = match (last - first) / 7 < MOST_WEEKS {
            true => 7,
            // Also where a time is far from all others, the periods are few.
            false => 30.max((last - first) / MOST_WEEKS + 1),
        };
        let mut periods = Vec::new();
        for (name, labels, scores, days) in sides {
            let Some(days) = days else { continue };
            let of = |day: u32| (day - first) / length;
            let mut order: Vec<usize> = (0..labels.len()).collect();
            order.sort_by_key(|&row| of(days[row]));
            for rows in order.chunk_by(|&a, &b| of(days[a]) == of(days[b])) {
                let labels: Vec<u8> = rows.iter().map(|&row| labels[row]).collect();
                let scores: Vec<f32> = rows.iter().map(|&row| scores[row]).collect();
                let at = Confusion::at(&labels, &scores, self.threshold);
                let first_day = first + of(days[rows[0]]) * length;
                periods.push(Period {
                    rows: name.into(),
                    first_day,
                    last_day: first_day.saturating_add(length - 1),
                    recall: at.recall(),
                    precision: at.precision(),
                    metrics: measure(&labels, &scores),
                });
            }
        }
        (length, periods)
    }
}

fn thresholds(labels: &[u8], scores: &[f32], n_days: usize) -> Vec<ThresholdStep> {
    let Some(ranking) =
        Ranking::of(labels, scores).filter(|ranking| ranking.n_positives > 0 && ranking.n_negatives > 0)
    else {
        return Vec::new();
    };
    let steps: Vec<ThresholdStep> = ranking
        .steps
        .iter()
        .map(|step| ThresholdStep {
            threshold: step.threshold,
            precision: step.precision(),
            recall: ranking.tpr(step),
            fpr: ranking.fpr(step),
            alerts_per_day: (step.true_positives + step.false_positives) as f64 / n_days.max(1) as f64,
        })
        .collect();
    thinned(&steps)
}

/// At most so many points: the first third of the places dense, for the highest thresholds raise the fewest alerts.
fn thinned<T: Copy>(steps: &[T]) -> Vec<T> {
    if steps.len() <= CURVE_POINTS {
        return steps.to_vec();
    }
    let last = (steps.len() - 1) as f64;
    let place = |point: usize| (last * (point as f64 / (CURVE_POINTS - 1) as f64).powi(3)).round() as usize;
    let mut places: Vec<usize> = (0..CURVE_POINTS).map(place).collect();
    places.dedup();
    places.into_iter().map(|place| steps[place]).collect()
}

/// Wilson's interval of a share.
fn wilson(part: u64, whole: usize) -> Estimate {
    let (n, share) = (whole as f64, part as f64 / whole as f64);
    let z = Z_95 * Z_95 / n;
    let middle = (share + z / 2.0) / (1.0 + z);
    let half = Z_95 / (1.0 + z) * (share * (1.0 - share) / n + z / (4.0 * n)).sqrt();
    Estimate { value: Some(share), interval: Some([(middle - half).max(0.0), (middle + half).min(1.0)]) }
}

#[cfg(test)]
mod tests;

//! What decisions cost. In: labels, calibrated scores, amounts, a cost matrix; out: the cost of a rule, of every threshold,
//! and what the amount-dependent rule makes of it.
//!
//! A missed fraud costs a share of its amount, an alert a review, a false alarm its friction besides (Bahnsen et al. 2014).
//! The amount-dependent rule raises an alarm where missing would cost more: score x share x amount against
//! review + (1 - score) x friction; it is the best rule where scores are probabilities. Sums in row order, in f64.

use serde::{Deserialize, Serialize};

use super::ranking::Ranking;
use crate::training::config::CostMatrix;

impl CostMatrix {
    /// Of one row.
    pub fn of(&self, label: u8, alert: bool, amount: f64) -> f64 {
        match (label == 1, alert) {
            (true, false) => self.missed_share * amount,
            (true, true) => self.review,
            (false, true) => self.review + self.friction,
            (false, false) => 0.0,
        }
    }

    /// Whether the amount-dependent rule raises an alarm.
    pub fn alarms(&self, score: f32, amount: f64) -> bool {
        let score = f64::from(score);
        score * self.missed_share * amount >= self.review + (1.0 - score) * self.friction && score > 0.0
    }
}

/// What the rule `score >= threshold` costs and catches.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PricedThreshold {
    pub threshold: f32,
    pub alerts: u64,
    pub cost: f64,
    /// Amounts of the frauds that it finds.
    pub caught: f64,
}

/// Every distinct score as a threshold, the highest first, after the one that nothing reaches. `None` where a score is not
/// a number or there are no rows.
pub fn priced(labels: &[u8], scores: &[f32], amounts: &[f64], costs: CostMatrix) -> Option<Vec<PricedThreshold>> {
    let ranking = Ranking::of(labels, scores)?;
    let highest = ranking.steps.first()?.threshold;
    let mut order: Vec<u32> = (0..labels.len() as u32).collect();
    order.sort_by(|&a, &b| scores[b as usize].total_cmp(&scores[a as usize]));
    let missed: f64 = labels.iter().zip(amounts).map(|(&label, &amount)| costs.of(label, false, amount)).sum();
    let mut at = PricedThreshold { threshold: highest.next_up(), alerts: 0, cost: missed, caught: 0.0 };
    let mut priced = vec![at];
    for tied in order.chunk_by(|&a, &b| scores[a as usize] == scores[b as usize]) {
        for &row in tied {
            let (label, amount) = (labels[row as usize], amounts[row as usize]);
            at.cost += costs.of(label, true, amount) - costs.of(label, false, amount);
            at.caught += f64::from(label) * amount;
        }
        at.alerts += tied.len() as u64;
        at.threshold = scores[tied[0] as usize];
        priced.push(at);
    }
    Some(priced)
}

/// The lowest cost, the fewest alerts of equals.
pub fn cheapest(priced: &[PricedThreshold]) -> Option<&PricedThreshold> {
    priced.iter().reduce(|best, other| if other.cost < best.cost { other } else { best })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_threshold_costs_what_its_rows_cost(
            rows in prop::collection::vec((any::<bool>(), 0u8..6, 0u32..500), 1..40),
            costs in (0u8..3, 0u8..9, 0u8..9),
        ) {
            let labels: Vec<u8> = rows.iter().map(|row| u8::from(row.0)).collect();
            let scores: Vec<f32> = rows.iter().map(|row| f32::from(row.1) / 5.0).collect();
            let amounts: Vec<f64> = rows.iter().map(|row| f64::from(row.2)).collect();
            let costs = CostMatrix { missed_share: f64::from(costs.0), review: f64::from(costs.1), friction: f64::from(costs.2) };
            let priced = priced(&labels, &scores, &amounts, costs).unwrap();
            let cost = |threshold: f32| -> f64 {
                (0..labels.len()).map(|row| costs.of(labels[row], scores[row] >= threshold, amounts[row])).sum()
            };
            for at in &priced {
                prop_assert!((at.cost - cost(at.threshold)).abs() < 1e-9);
                prop_assert_eq!(at.alerts, scores.iter().filter(|&&score| score >= at.threshold).count() as u64);
            }
            let best = cheapest(&priced).unwrap();
            prop_assert!(priced.iter().all(|at| at.cost >= best.cost));
        }
    }

    /// With true probabilities no fixed threshold is cheaper, in expectation.
    #[test]
    fn the_amount_dependent_rule_is_the_cheaper_side_of_each_row() {
        let costs = CostMatrix { missed_share: 1.0, review: 5.0, friction: 20.0 };
        for score in [0.0f32, 0.01, 0.2, 0.5, 0.99, 1.0] {
            for amount in [0.0, 4.0, 25.0, 300.0, 1e6] {
                let p = f64::from(score);
                let expected = |alert| p * costs.of(1, alert, amount) + (1.0 - p) * costs.of(0, alert, amount);
                let (alarm, none) = (expected(true), expected(false));
                if (alarm - none).abs() > 1e-9 {
                    assert_eq!(costs.alarms(score, amount), alarm < none, "{score} {amount}");
                }
            }
        }
    }

    #[test]
    fn nothing_to_price() {
        assert_eq!(priced(&[], &[], &[], CostMatrix::default()), None);
        assert_eq!(priced(&[1], &[f32::NAN], &[1.0], CostMatrix::default()), None);
    }
}

//! Section 5: what decisions cost on the test rows, and what amounts are worth to the rule.

use super::RunReport;
use super::table::{Block, Section, Table, count, decimals, money, money_estimate, percent};
use crate::training::evaluate::Money;

pub(super) fn section(report: &RunReport) -> Section {
    let assessment = &report.assessment;
    let blocks = match (&assessment.money, &assessment.money_undefined) {
        (Some(found), _) => measured(found),
        (None, Some(reason)) => vec![Block::Text(format!("Not measured: {reason}."))],
        (None, None) => vec![Block::Text("Not measured: name the amount column in `data.amount`.".into())],
    };
    Section { id: "money", title: "Money".into(), blocks }
}

fn measured(found: &Money) -> Vec<Block> {
    let costs = &found.costs;
    let text = format!(
        "Costs, in the unit of the amount: a missed fraud {} of its amount, an alert {}, a false alarm {} besides. The \
         frauds among the test rows amount to {}.",
        costs.missed_share,
        costs.review,
        costs.friction,
        money(found.fraud)
    );
    let columns = [
        "rule",
        "threshold",
        "alerts",
        "found %\nof frauds",
        "found %\nof their amount",
        "cost",
        "saving against no alerts\n(95 % interval)",
    ];
    let mut table = Table::new(&columns, 1);
    table.rows = found
        .rules
        .iter()
        .map(|rule| {
            vec![
                rule.rule.clone(),
                rule.threshold.map_or("-".into(), |threshold| decimals(Some(f64::from(threshold)), 5)),
                count(usize::try_from(rule.confusion.n_predicted_positive()).unwrap_or(usize::MAX)),
                percent(rule.confusion.recall()),
                percent(rule.value_detection_rate),
                money(rule.cost),
                money_estimate(rule.saving),
            ]
        })
        .collect();
    let gain = format!(
        "The rule by score and amount raises an alarm where missing would cost more than looking; against the fixed \
         threshold that was cheapest out of fold it saves {}.",
        money_estimate(found.gain_of_amounts)
    );
    vec![Block::Text(text), Block::Table(table), Block::Text(gain), Block::Plot("savings")]
}

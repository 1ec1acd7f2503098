//! Advice: what to try next, in words, and only where the figures ask for it.
//!
//! In: the report. Out: zero or more sentences. What to train next is judged by the folds, never by the test rows, so
//! that following it does not tune on them; test figures are only warned about.

use super::table::{clean, count, figure, percent};
use super::{RunReport, distinct};
use crate::training::evaluate::{LeaderboardRow, OptimismGap};

/// Below this the labels at 0.5 miss half of the fraud.
const LOW_RECALL: f64 = 0.5;
/// Fewer positives in the test rows leave wide intervals.
const FEW_POSITIVES: usize = 50;
const LARGE_AUC_GAP: f64 = 0.05;

pub(super) fn advice(report: &RunReport) -> Vec<String> {
    let rules = [raw_only, baseline, overfit, optimism, few_positives, alerts];
    rules.iter().filter_map(|rule| rule(report)).collect()
}

/// Models on trial, without the baseline, under the protocol that selects.
fn candidates(report: &RunReport) -> impl Iterator<Item = &LeaderboardRow> {
    let protocol = &report.selection.protocol;
    report.leaderboard.rows.iter().filter(move |row| &row.protocol == protocol && row.model != "logistic")
}

fn mean(row: &LeaderboardRow, metric: &str) -> Option<f64> {
    row.validation_mean.get(metric).copied().flatten().filter(|value| value.is_finite())
}

fn raw_only(report: &RunReport) -> Option<String> {
    let best = candidates(report).filter_map(|row| mean(row, "recall")).max_by(f64::total_cmp)?;
    let cases = distinct(candidates(report).map(|row| row.case.as_str()));
    (best < LOW_RECALL && cases == ["raw"]).then(|| {
        format!(
            "the best recall at 0.5 over the folds is {} % and only `raw` was tried: add `class-weights`, `oversample` \
             and `smote-tomek` to `imbalance`",
            percent(Some(best))
        )
    })
}

fn baseline(report: &RunReport) -> Option<String> {
    let by = report.selection.by.replace('-', "_");
    let logistic = report
        .leaderboard
        .rows
        .iter()
        .filter(|row| row.protocol == report.selection.protocol && row.model == "logistic")
        .filter_map(|row| mean(row, &by))
        .max_by(f64::total_cmp)?;
    (logistic >= report.selection.value).then(|| {
        format!(
            "the logistic baseline reaches {} ({}), no less than the winner's {}: the models or the features need work \
             before this is packaged",
            figure(Some(logistic)),
            clean(&report.selection.by),
            figure(Some(report.selection.value))
        )
    })
}

fn overfit(report: &RunReport) -> Option<String> {
    let winner = report.winner().filter(|row| row.overfit.flagged)?;
    let lever = if winner.model.contains("mlp") {
        "fewer `epochs` or more `dropout`"
    } else {
        "a higher `min_samples_leaf` or a `max_depth`"
    };
    Some(format!(
        "the winner over-fits: recall is {} % on training rows and {} % on held-out rows of the folds; try {lever}",
        percent(winner.overfit.train_recall),
        percent(winner.overfit.validation_recall)
    ))
}

fn optimism(report: &RunReport) -> Option<String> {
    if report.selection.protocol != "random" {
        return None;
    }
    let same = |gap: &&OptimismGap| gap.model == report.selection.model && gap.case == report.selection.case;
    let gap = report.optimism.iter().find(same)?.auc_gap.filter(|&gap| gap > LARGE_AUC_GAP)?;
    Some(format!(
        "the random protocol flatters the winner's AUC by {}: set `select.protocol` to `temporal` to choose for the future",
        figure(Some(gap))
    ))
}

fn few_positives(report: &RunReport) -> Option<String> {
    let winner = report.winner().filter(|row| row.test.n_positives < FEW_POSITIVES)?;
    Some(format!(
        "the test rows hold only {} positives: read the figures with their intervals",
        count(winner.test.n_positives)
    ))
}

/// The promise of the policy does not hold on later rows.
fn alerts(report: &RunReport) -> Option<String> {
    let promised = report.operating_point.policy.get("max_fpr")?.as_f64()?;
    let seen = report.operating_point.test.fpr.filter(|&fpr| fpr > 1.5 * promised)?;
    Some(format!(
        "the false-positive rate on the test rows is {} %, the threshold was chosen for {} %: scores have drifted, plan \
         for more alerts or choose a lower `max_fpr`",
        percent(Some(seen)),
        percent(Some(promised))
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::report::fixture;

    #[test]
    fn a_sound_run_gets_no_advice() {
        assert_eq!(advice(&fixture::full()), Vec::<String>::new());
    }

    #[test]
    fn each_rule_speaks_where_it_applies() {
        let mut report = fixture::full();
        report.leaderboard.rows.retain(|row| row.case == "raw" && row.protocol == "temporal");
        report.selection.case = "raw".into();
        for row in &mut report.leaderboard.rows {
            row.validation_mean.insert("recall".into(), Some(0.3));
        }
        assert!(advice(&report).iter().any(|text| text.contains("only `raw` was tried")), "{:?}", advice(&report));

        let mut report = fixture::full();
        report.selection.value = 0.1;
        report.operating_point.test.fpr = Some(0.03);
        let said = advice(&report).join("\n");
        assert!(said.contains("logistic baseline reaches"), "{said}");
        assert!(said.contains("3.0 %, the threshold was chosen for 1.0 %"), "{said}");
    }
}

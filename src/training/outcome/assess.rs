//! Final fits side by side, and the winner at its threshold. In: scores of cells and what is kept of their rows; out: an
//! [`Assessment`]. Seeds follow the run's seed and the protocol.

use crate::training::config::ThresholdPolicy;
use crate::training::error::{Error, Result};
use crate::training::evaluate::{Assessment, Bootstrap, LeaderboardRow, RowFacts, Sample, Scored, Unit, Winner};
use crate::training::row_facts;
use crate::training::run::Run;
use crate::training::seed::Seed;
use crate::training::select::{OutOfFold, TestScores};
use crate::training::table_file::Scores;

/// Final fits of one protocol on the same test rows.
pub(super) struct TestSample {
    protocol: String,
    row_ids: Vec<String>,
    labels: Vec<u8>,
    models: Vec<Scored>,
}

impl TestSample {
    pub fn add(samples: &mut Vec<TestSample>, row: &LeaderboardRow, scores: Scores) -> Result<()> {
        let scored = Scored { model: row.model.clone(), case: row.case.clone(), scores: scores.scores };
        match samples.iter_mut().find(|sample| sample.protocol == row.protocol) {
            Some(sample) if sample.row_ids != scores.row_ids || sample.labels != scores.labels => {
                return Err(Error::permanent(format!(
                    "the final fits under {} were not scored on the same test rows",
                    row.protocol
                ))
                .hint("run `fraudml train` again"));
            }
            Some(sample) => sample.models.push(scored),
            None => samples.push(TestSample {
                protocol: row.protocol.clone(),
                row_ids: scores.row_ids,
                labels: scores.labels,
                models: vec![scored],
            }),
        }
        Ok(())
    }

    pub fn compare(&self, run: &Run, assessment: &mut Assessment) -> Result<()> {
        let facts = row_facts::read(run, &self.protocol, "final", &self.row_ids)?;
        let (unit, bootstrap) = bootstrap(run, &self.protocol, &self.labels, &facts);
        let k = run.file.evaluate.alerts_per_day;
        let sample =
            Sample { protocol: &self.protocol, labels: &self.labels, facts: &facts, bootstrap: &bootstrap, unit, k };
        let (headline, differences) = sample.compare(&self.models);
        assessment.headline.extend(headline);
        assessment.differences.extend(differences);
        Ok(())
    }
}

/// What the run says is drawn; entities where it says nothing and they are known, else rows.
fn bootstrap(run: &Run, protocol: &str, labels: &[u8], facts: &RowFacts) -> (Unit, Bootstrap) {
    let asked = &run.file.evaluate;
    let usual = if facts.groups.is_some() { Unit::Group } else { Unit::Row };
    let unit = asked.by.unwrap_or(usual);
    let unit = if facts.units(unit).is_some() { unit } else { Unit::Row };
    let seed = Seed::new(run.file.seed).derive(&format!("bootstrap {protocol}"), 0);
    (unit, Bootstrap::new(labels, facts.units(unit), unit, asked.draws, seed))
}

/// The winner at its threshold; models are compared elsewhere.
pub(super) fn assess(
    run: &Run,
    protocol: &str,
    out_of_fold: &OutOfFold,
    test: &TestScores,
    threshold: f32,
) -> Assessment {
    let (unit, bootstrap) = bootstrap(run, protocol, test.labels(), test.facts());
    let winner = Winner { out_of_fold, test, threshold, bootstrap: &bootstrap };
    let asked = &run.file.evaluate;
    let costs = if let ThresholdPolicy::Cost(costs) = run.file.threshold { costs } else { asked.costs };
    let (money, money_undefined) = match winner.money(costs) {
        Ok(money) => (Some(money), None),
        Err(_) if !row_facts::are_kept(run) => (None, Some(NOTHING_KEPT.to_owned())),
        Err(reason) => (None, Some(reason)),
    };
    let [thresholds, thresholds_test] = winner.thresholds();
    let (days_per_period, periods) = winner.periods();
    Assessment {
        by: Some(unit),
        draws: asked.draws,
        alerts_per_day: asked.alerts_per_day,
        point: winner.point(),
        thresholds,
        thresholds_test,
        money,
        money_undefined,
        subgroups: winner.subgroups(),
        periods,
        days_per_period,
        headline: Vec::new(),
        differences: Vec::new(),
    }
}

const NOTHING_KEPT: &str = "the run keeps no facts of its rows; run `fraudml train` again, finished fits are kept";

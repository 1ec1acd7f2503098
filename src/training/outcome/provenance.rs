//! What the figures of a run rest on, and how far its rows drift. In: the run's files; out: [`Provenance`].

use std::collections::BTreeMap;

use crate::training::cells::PlannedCell;
use crate::training::evaluate::stability_index;
use crate::training::report::Provenance;
use crate::training::run::Run;
use crate::training::run_dir::read_json;
use crate::training::select::{OutOfFold, TestScores};

/// What the figures rest on.
pub(super) fn provenance(run: &Run, planned: &[PlannedCell], drift: Drift) -> Provenance {
    let file = &run.file;
    let dropped = file.dropped.iter().flat_map(|(protocol, columns)| {
        let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        columns.iter().for_each(|column| by_reason.entry(&column.reason).or_default().push(&column.name));
        let line = |(reason, names): (&str, Vec<&str>)| [protocol.clone(), some(&names), reason.to_owned()];
        by_reason.into_iter().map(line).collect::<Vec<_>>()
    });
    Provenance {
        version: file.version.clone(),
        seed: file.seed,
        inputs: file.inputs.clone(),
        splits: file.splits.clone(),
        cpu_features: file.cpu_features.clone(),
        n_cells: planned.len(),
        left_out: file.left_out.iter().map(|left| format!("{} {}, {}", left.count, left.what, left.reason)).collect(),
        dropped: dropped.collect(),
        target_copies: target_copies(run),
        score_drift: drift.index,
        prevalences: drift.prevalences,
    }
}

/// The first names, and how many more.
fn some(names: &[&str]) -> String {
    const SHOWN: usize = 10;
    let more = names.len().saturating_sub(SHOWN);
    let first = names[..names.len() - more].join(", ");
    if more > 0 { format!("{first} and {more} more") } else { first }
}

/// Columns whose AUC alone is 0.99 or more (or 0.01 or less), from the profile of the data that `train` wrote.
fn target_copies(run: &Run) -> Option<Vec<String>> {
    let path = run.beside(&run.file.output.reports).join(&run.file.run_id).join("eda.json");
    let profile: serde_json::Value = read_json(&path).ok()?;
    let telling = |column: &serde_json::Value| {
        let auc = column.get("auc")?.as_f64()?;
        ((auc - 0.5).abs() >= 0.49).then(|| column.get("name")?.as_str().map(str::to_owned))?
    };
    Some(profile.get("columns")?.as_array()?.iter().filter_map(telling).collect())
}

/// From out-of-fold to test rows.
#[derive(Default)]
pub(super) struct Drift {
    /// Of the raw score.
    pub index: Option<f64>,
    pub prevalences: Option<[f64; 2]>,
}

impl Drift {
    pub fn of(before: &OutOfFold, after: &TestScores) -> Drift {
        let share = |labels: &[u8]| labels.iter().filter(|&&label| label == 1).count() as f64 / labels.len() as f64;
        let known = !before.labels().is_empty() && !after.labels().is_empty();
        Drift {
            index: stability_index(before.scores(), after.scores()),
            prevalences: known.then(|| [share(before.labels()), share(after.labels())]),
        }
    }
}

//! One column: gaps, values, and how well it alone ranks frauds above the rest.

use serde::Serialize;

use super::share;
use crate::scoring::packed::{Encoding, Packed};
use crate::scoring::schema::ColumnKind;
use crate::scoring::table::Cells;

const TOP_LEVELS: usize = 5;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ColumnProfile {
    pub name: String,
    pub kind: ColumnKind,
    pub missing: usize,
    pub missing_rate: Option<f64>,
    /// Different values, missing not counted.
    pub distinct: usize,
    /// Positives among the rows where the column is missing, and where it is not.
    pub fraud_rate_missing: Option<f64>,
    pub fraud_rate_present: Option<f64>,
    /// ROC AUC of the column as a score, over all rows; equal values are one tied group, missing is a group below all
    /// values. Levels are ordered by their own fraud rate on these same rows, so a categorical column of many rare
    /// levels looks better than it is. Descriptive, in-sample.
    pub auc: Option<f64>,
    #[serde(flatten)]
    pub values: ValueProfile,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueProfile {
    Numeric(NumericProfile),
    Categorical(CategoricalProfile),
}

/// Over the values present; quartiles interpolate linearly between order statistics.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NumericProfile {
    pub min: Option<f64>,
    pub q25: Option<f64>,
    pub median: Option<f64>,
    pub q75: Option<f64>,
    pub max: Option<f64>,
    pub mean: Option<f64>,
    /// Divided by n.
    pub std: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CategoricalProfile {
    pub levels: usize,
    /// The most frequent levels, equally frequent ones by name.
    pub top: Vec<LevelProfile>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LevelProfile {
    pub level: String,
    pub rows: usize,
    /// Of all rows.
    pub share: f64,
    pub fraud_rate: f64,
}

/// Rows that share a value, in the order in which the values rank.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Group {
    rows: usize,
    positives: usize,
}

impl Group {
    fn add(&mut self, label: u8) {
        self.rows += 1;
        self.positives += usize::from(label == 1);
    }

    fn rate(self) -> Option<f64> {
        share(self.positives, self.rows)
    }
}

impl ColumnProfile {
    pub(super) fn new(name: &str, cells: &Cells, labels: &[u8]) -> ColumnProfile {
        let (missing, present, values) = match cells {
            Cells::Numeric(numbers) => numeric(numbers, labels),
            Cells::Categorical { codes, levels } => categorical(codes, levels, labels),
        };
        let total = present.iter().fold(Group::default(), |sum, group| Group {
            rows: sum.rows + group.rows,
            positives: sum.positives + group.positives,
        });
        ColumnProfile {
            name: name.into(),
            kind: cells.kind(),
            missing: missing.rows,
            missing_rate: share(missing.rows, labels.len()),
            distinct: present.len(),
            fraud_rate_missing: missing.rate(),
            fraud_rate_present: total.rate(),
            auc: auc(std::iter::once(missing).chain(present)),
            values,
        }
    }
}

/// The missing rows, a group per distinct value in ascending order, and the summary.
fn numeric(numbers: &Packed, labels: &[u8]) -> (Group, Vec<Group>, ValueProfile) {
    let (missing, present) = sorted(numbers, labels);
    // `==` puts -0 and 0, which sort apart but adjacent, into one group.
    let groups = present.chunk_by(|a, b| a.0 == b.0).map(|chunk| {
        let mut group = Group::default();
        chunk.iter().for_each(|&(_, label)| group.add(label));
        group
    });
    let groups = groups.collect();
    let n = present.len() as f64;
    let mean = (!present.is_empty()).then(|| present.iter().map(|value| value.0).sum::<f64>() / n);
    let variance = mean.map(|mean| present.iter().map(|value| (value.0 - mean) * (value.0 - mean)).sum::<f64>() / n);
    let values = NumericProfile {
        min: quantile(&present, 0.0),
        q25: quantile(&present, 0.25),
        median: quantile(&present, 0.5),
        q75: quantile(&present, 0.75),
        max: quantile(&present, 1.0),
        mean,
        std: variance.map(f64::sqrt),
    };
    (missing, groups, ValueProfile::Numeric(values))
}

/// The missing rows, and the others' values with their labels in ascending order.
fn sorted(numbers: &Packed, labels: &[u8]) -> (Group, Vec<(f64, u8)>) {
    let rows = || 0..labels.len() as u32;
    let mut missing = Group::default();
    let mut label = labels.iter();
    let mut label = || label.next().copied().unwrap_or_default();
    match numbers.encoding() {
        // Few whole numbers: counted, not sorted.
        Encoding::Whole { base, n_items } if n_items <= 0xffff => {
            let mut groups = vec![Group::default(); n_items as usize + 1];
            numbers.items(rows(), |item| groups[item as usize].add(label()));
            let present = groups[1..].iter().enumerate().flat_map(|(at, group)| {
                let value = base + at as f64;
                let negatives = std::iter::repeat_n((value, 0), group.rows - group.positives);
                negatives.chain(std::iter::repeat_n((value, 1), group.positives))
            });
            (groups[0], present.collect())
        }
        _ => {
            let mut present = Vec::with_capacity(labels.len());
            numbers.numbers(rows(), |number| match label() {
                label if number.is_nan() => missing.add(label),
                label => present.push((number, label)),
            });
            present.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            (missing, present)
        }
    }
}

/// The quantile of sorted values: at position `p (n - 1)`, linear between neighbours.
fn quantile(sorted: &[(f64, u8)], p: f64) -> Option<f64> {
    let at = p * sorted.len().checked_sub(1)? as f64;
    let (low, high) = (sorted[at.floor() as usize].0, sorted[at.ceil() as usize].0);
    Some(low + (high - low) * (at - at.floor()))
}

/// The missing rows, a group per level that occurs in ascending order of fraud rate, and the summary.
fn categorical(codes: &Packed, levels: &[String], labels: &[u8]) -> (Group, Vec<Group>, ValueProfile) {
    let mut groups = vec![Group::default(); levels.len() + 1];
    let mut label = labels.iter();
    codes.items(0..labels.len() as u32, |code| {
        groups[code as usize].add(label.next().copied().unwrap_or_default());
    });
    let missing = groups[0];
    let mut occurring: Vec<(&String, Group)> =
        levels.iter().zip(groups.into_iter().skip(1)).filter(|(_, group)| group.rows > 0).collect();

    occurring.sort_by(|a, b| b.1.rows.cmp(&a.1.rows).then_with(|| a.0.cmp(b.0)));
    let top = occurring.iter().take(TOP_LEVELS).map(|&(level, group)| LevelProfile {
        level: level.clone(),
        rows: group.rows,
        share: group.rows as f64 / labels.len() as f64,
        fraud_rate: group.positives as f64 / group.rows as f64,
    });
    let values = ValueProfile::Categorical(CategoricalProfile { levels: occurring.len(), top: top.collect() });

    let mut present: Vec<Group> = occurring.into_iter().map(|(_, group)| group).collect();
    // Fractions compared by cross multiplication: exact, so that ties are ties. Their order changes no AUC.
    present.sort_by(|a, b| (a.positives as u128 * b.rows as u128).cmp(&(b.positives as u128 * a.rows as u128)));
    (missing, present, values)
}

/// The chance that a random positive row ranks above a random negative one, ties counting half; `None` with one class.
fn auc(groups: impl Iterator<Item = Group>) -> Option<f64> {
    let (mut positives, mut negatives) = (0u128, 0u128);
    // Twice the number of pairs won, in whole numbers: no rounding at any size.
    let mut won = 0u128;
    for group in groups {
        let positive = group.positives as u128;
        let negative = (group.rows - group.positives) as u128;
        won += positive * (2 * negatives + negative);
        positives += positive;
        negatives += negative;
    }
    let pairs = positives * negatives;
    (pairs > 0).then(|| won as f64 / (2 * pairs) as f64)
}

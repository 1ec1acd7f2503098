//! How sure differences of AUC are. In: labels and several models' scores of the same rows, and the entity of each row if
//! rows are not independent; out: AUCs, their covariance, and differences with intervals.
//!
//! DeLong et al. (1988) with the midranks of Sun and Xu (2014): n log n per model, ties half. A row's placement is the share
//! of the other class that it is ranked correctly against. By entity: Obuchowski (1997), sums of placements per entity, and
//! the covariance between an entity's frauds and its other rows. With one row per entity both are the same.
//!
//! Degenerate: an AUC of 0 or 1 has no variance; a difference with such a model, or of two equal rankings, has none either
//! and is stated without interval. Sums run in row order, in f64.

use serde::{Deserialize, Serialize};

use super::bootstrap::Z_95;

/// One model's placements.
#[derive(Debug, Clone)]
pub struct Placements {
    pub auc: f64,
    /// Per row.
    of: Vec<f64>,
}

/// Two-sided test of a difference.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    pub difference: f64,
    /// 95 %; `None` where it is degenerate.
    pub interval: Option<[f64; 2]>,
    pub p: Option<f64>,
}

impl Placements {
    /// `None` where a class is missing or a score is not a number.
    pub fn new(labels: &[u8], scores: &[f32]) -> Option<Placements> {
        let ranks_of_all = midranks(scores)?;
        let ranks_in_class = |class: u8| {
            let rows: Vec<usize> = (0..labels.len()).filter(|&row| (labels[row] == 1) == (class == 1)).collect();
            let ranks = midranks(&rows.iter().map(|&row| scores[row]).collect::<Vec<f32>>())?;
            Some((rows, ranks))
        };
        let (positives, in_positives) = ranks_in_class(1)?;
        let (negatives, in_negatives) = ranks_in_class(0)?;
        let (m, n) = (positives.len() as f64, negatives.len() as f64);
        if positives.is_empty() || negatives.is_empty() {
            return None;
        }
        let mut of = vec![0.0; labels.len()];
        let mut auc = 0.0;
        for (&row, rank) in positives.iter().zip(in_positives) {
            let below = ranks_of_all[row] - rank;
            auc += below;
            of[row] = below / n;
        }
        for (&row, rank) in negatives.iter().zip(in_negatives) {
            of[row] = 1.0 - (ranks_of_all[row] - rank) / m;
        }
        Some(Placements { auc: auc / m / n, of })
    }
}

/// Ranks from 1, tied scores share the mean of theirs.
fn midranks(scores: &[f32]) -> Option<Vec<f64>> {
    if scores.iter().any(|score| score.is_nan()) {
        return None;
    }
    let mut order: Vec<u32> = (0..scores.len() as u32).collect();
    order.sort_unstable_by(|&a, &b| scores[a as usize].total_cmp(&scores[b as usize]));
    let mut ranks = vec![0.0; scores.len()];
    let mut before = 0usize;
    for tied in order.chunk_by(|&a, &b| scores[a as usize] == scores[b as usize]) {
        let rank = before as f64 + (tied.len() as f64 + 1.0) / 2.0;
        tied.iter().for_each(|&row| ranks[row as usize] = rank);
        before += tied.len();
    }
    Some(ranks)
}

/// Covariance of two AUCs over the same rows; the variance where both are one model. `None` with fewer than two units of a
/// class.
pub fn covariance(labels: &[u8], groups: Option<&[u32]>, a: &Placements, b: &Placements) -> Option<f64> {
    let n_positives = labels.iter().filter(|&&label| label == 1).count() as f64;
    let n_negatives = labels.len() as f64 - n_positives;
    let n_groups = groups.map_or(labels.len(), |groups| groups.iter().max().map_or(0, |&last| last as usize + 1));
    // Per unit: sums of deviations of its positives and its negatives, under both models; and how many it has.
    let mut sums = vec![([0.0f64; 2], [0.0f64; 2], [0u32; 2]); n_groups];
    for (row, &label) in labels.iter().enumerate() {
        let unit = &mut sums[groups.map_or(row, |groups| groups[row] as usize)];
        let class = usize::from(label != 1);
        unit.0[class] += a.of[row] - a.auc;
        unit.1[class] += b.of[row] - b.auc;
        unit.2[class] += 1;
    }
    let units = |class: usize| sums.iter().filter(|unit| unit.2[class] > 0).count() as f64;
    let all = sums.iter().filter(|unit| unit.2 != [0, 0]).count() as f64;
    let (units_p, units_n) = (units(0), units(1));
    if units_p < 2.0 || units_n < 2.0 {
        return None;
    }
    let product = |i: usize, j: usize| sums.iter().map(|unit| unit.0[i] * unit.1[j]).sum::<f64>();
    let of_positives = units_p / (units_p - 1.0) * product(0, 0) / (n_positives * n_positives);
    let of_negatives = units_n / (units_n - 1.0) * product(1, 1) / (n_negatives * n_negatives);
    let between = match groups {
        None => 0.0,
        Some(_) => all / (all - 1.0) * (product(0, 1) + product(1, 0)) / (n_positives * n_negatives),
    };
    Some(of_positives + of_negatives + between)
}

/// AUC of `a` minus that of `b`.
pub fn difference(labels: &[u8], groups: Option<&[u32]>, a: &Placements, b: &Placements) -> Difference {
    let difference = a.auc - b.auc;
    let degenerate = [a.auc, b.auc].iter().any(|&auc| auc <= 0.0 || auc >= 1.0);
    let apart = Placements { auc: difference, of: a.of.iter().zip(&b.of).map(|(a, b)| a - b).collect() };
    let variance = covariance(labels, groups, &apart, &apart).filter(|&variance| variance > 1e-20 && !degenerate);
    let error = variance.map(f64::sqrt);
    Difference {
        difference,
        interval: error.map(|error| [difference - Z_95 * error, difference + Z_95 * error]),
        p: error.map(|error| two_sided(difference / error)),
    }
}

/// Probability of a normal deviate further from 0 than `z`.
pub fn two_sided(z: f64) -> f64 {
    libm::erfc(z.abs() / std::f64::consts::SQRT_2)
}

/// Holm (1979): p-values of several tests, so that any one false alarm among them is as rare as one alone would be.
pub fn holm(p: &[Option<f64>]) -> Vec<Option<f64>> {
    let mut order: Vec<usize> = (0..p.len()).filter(|&at| p[at].is_some()).collect();
    order.sort_by(|&a, &b| p[a].partial_cmp(&p[b]).unwrap_or(std::cmp::Ordering::Equal));
    let mut adjusted = vec![None; p.len()];
    let mut highest: f64 = 0.0;
    for (rank, &at) in order.iter().enumerate() {
        highest = highest.max((p[at].unwrap_or(1.0) * (order.len() - rank) as f64).min(1.0));
        adjusted[at] = Some(highest);
    }
    adjusted
}

#[cfg(test)]
mod tests;

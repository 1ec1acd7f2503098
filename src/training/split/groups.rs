//! Rows of a group stay together: a stratified split of groups instead of rows.
//!
//! In: rows with their labels and groups, the share of rows that each part shall get. Out: a part per row. Groups are taken
//! in an order drawn from the seed, those with most positives first, then the largest (as scikit-learn's
//! `StratifiedGroupKFold`); each goes to the part that lacks most, in positives where it has some, else in rows. A row
//! without a group is one by itself.

use std::collections::BTreeMap;

use rand::seq::SliceRandom;

use crate::scoring::packed::Packed;
use crate::training::seed::Seed;

#[derive(Debug, Clone, Copy, Default)]
struct Group {
    rows: f64,
    positives: f64,
}

/// The group of every row, from 0.
pub(in crate::training) fn of_column(groups: &Packed) -> Vec<u32> {
    let mut known: BTreeMap<u64, u32> = BTreeMap::new();
    let mut n_groups = 0;
    let mut of = Vec::with_capacity(groups.n_rows());
    groups.numbers(0..groups.n_rows() as u32, |number| {
        let mut fresh = || {
            n_groups += 1;
            n_groups - 1
        };
        of.push(if number.is_nan() { fresh() } else { *known.entry(number.to_bits()).or_insert_with(fresh) });
    });
    of
}

/// `shares` sum to 1.
pub(super) fn assign(labels: &[u8], groups: &[u32], shares: &[f64], seed: Seed) -> Vec<usize> {
    let n_groups = groups.iter().max().map_or(0, |&last| last as usize + 1);
    let mut of_group = vec![Group::default(); n_groups];
    let mut all = Group::default();
    for (&group, &label) in groups.iter().zip(labels) {
        for group in [&mut of_group[group as usize], &mut all] {
            group.rows += 1.0;
            group.positives += f64::from(label);
        }
    }
    let mut order: Vec<usize> = (0..n_groups).collect();
    order.shuffle(&mut seed.rng());
    let size = |at: usize| (of_group[at].positives, of_group[at].rows);
    order.sort_by(|&a, &b| size(b).partial_cmp(&size(a)).unwrap_or(std::cmp::Ordering::Equal));
    let mut parts = vec![Group::default(); shares.len()];
    let mut part_of = vec![0; n_groups];
    for at in order {
        let group = of_group[at];
        let lack = |part: usize| {
            let (wanted, has) = match group.positives > 0.0 {
                true => (all.positives * shares[part], parts[part].positives),
                false => (all.rows * shares[part], parts[part].rows),
            };
            (wanted - has) / wanted.max(1.0)
        };
        let neediest = (0..shares.len()).fold(0, |best, part| if lack(part) > lack(best) { part } else { best });
        parts[neediest].rows += group.rows;
        parts[neediest].positives += group.positives;
        part_of[at] = neediest;
    }
    groups.iter().map(|&group| part_of[group as usize]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_stay_whole_and_parts_get_their_shares() {
        let n_rows = 20_000;
        let number = |row: usize| if row.is_multiple_of(50) { f64::NAN } else { ((row * 7919) % 3001 % 700) as f64 };
        let groups = of_column(&Packed::of(&(0..n_rows).map(number).collect::<Vec<_>>()));
        let labels: Vec<u8> = groups.iter().map(|group| u8::from(group % 5 == 3)).collect();
        let shares = [0.2, 0.2, 0.2, 0.2, 0.2];
        let parts = assign(&labels, &groups, &shares, Seed::new(1));
        let mut of_group: BTreeMap<u32, usize> = BTreeMap::new();
        assert!(groups.iter().zip(&parts).all(|(&group, &part)| *of_group.entry(group).or_insert(part) == part));
        for part in 0..shares.len() {
            let rows = parts.iter().filter(|&&of| of == part).count() as f64 / n_rows as f64;
            let positives = labels.iter().zip(&parts).filter(|(label, of)| **label == 1 && **of == part).count() as f64
                / labels.iter().filter(|label| **label == 1).count() as f64;
            assert!((rows - 0.2).abs() < 0.02 && (positives - 0.2).abs() < 0.02, "{part}: {rows} {positives}");
        }
        assert_ne!(parts, assign(&labels, &groups, &shares, Seed::new(2)), "drawn from the seed");
        assert!(of_column(&Packed::of(&[f64::NAN, f64::NAN])) == [0, 1], "a row without a group is one by itself");
    }
}

//! Groups of training rows by key, and figures of them.
//!
//! In: the group of every training row (its place from 1, 0 for none) and, for means, a number per row, NaN for missing.
//! Out: a value per group and one for unseen groups. As pandas: means over present numbers, standard deviations over n - 1. A group
//! too small for a figure has that of all rows.

use crate::scoring::table::Cells;
use crate::training::rows::TrainRows;

/// Keys of the training rows, and how many rows have each.
pub(super) struct Groups {
    keys: Vec<(String, usize)>,
}

impl Groups {
    /// `keys`: of all rows, as [`group_keys`](crate::scoring::features::group_keys) makes them.
    pub fn count(keys: Cells, train: &TrainRows) -> Groups {
        let Cells::Categorical { codes, levels } = keys else { return Groups { keys: Vec::new() } };
        let mut counts = vec![0; levels.len() + 1];
        codes.items(train.rows().iter().copied(), |code| counts[code as usize] += 1);
        let mut keys: Vec<(String, usize)> =
            levels.into_iter().zip(counts.into_iter().skip(1)).filter(|(_, count)| *count > 0).collect();
        keys.sort_unstable();
        Groups { keys }
    }

    /// Keys of at least so many rows, sorted.
    pub fn keys(self, min_rows: usize) -> Vec<String> {
        self.keys.into_iter().filter(|(_, count)| *count >= min_rows).map(|(key, _)| key).collect()
    }
}

/// Whether two of several training rows share a group.
pub(super) fn come_back(keys: &Cells, train: &TrainRows) -> bool {
    let Cells::Categorical { codes, levels } = keys else { return true };
    let mut seen = vec![false; levels.len() + 1];
    let again = |&row: &u32| std::mem::replace(&mut seen[codes.item(row as usize) as usize], true);
    train.n_rows() < 2 || train.rows().iter().any(again)
}

pub(super) struct OfGroup {
    pub values: Vec<f64>,
    pub unseen: f64,
}

fn counts(places: &[u32], n_groups: usize) -> Vec<f64> {
    let mut counts = vec![0.0; n_groups];
    for place in places.iter().filter_map(|place| place.checked_sub(1)) {
        counts[place as usize] += 1.0;
    }
    counts
}

pub(super) fn count(places: &[u32], n_groups: usize) -> OfGroup {
    OfGroup { values: counts(places, n_groups), unseen: 0.0 }
}

pub(super) fn frequency(places: &[u32], n_groups: usize) -> OfGroup {
    let n_rows = places.len().max(1) as f64;
    OfGroup { values: counts(places, n_groups).into_iter().map(|count| count / n_rows).collect(), unseen: 0.0 }
}

/// Group 0 is all rows.
struct Sums {
    n: Vec<f64>,
    sum: Vec<f64>,
}

impl Sums {
    fn of(places: &[u32], n_groups: usize, number: impl Fn(usize, usize) -> Option<f64>) -> Sums {
        let mut sums = Sums { n: vec![0.0; n_groups + 1], sum: vec![0.0; n_groups + 1] };
        for (row, &place) in places.iter().enumerate() {
            let own = (place > 0).then_some(place as usize);
            for group in std::iter::once(0).chain(own) {
                if let Some(number) = number(row, group) {
                    sums.n[group] += 1.0;
                    sums.sum[group] += number;
                }
            }
        }
        sums
    }

    /// A value per group, and that of all rows where a group has none.
    fn values(&self, value: impl Fn(f64, f64) -> Option<f64>) -> OfGroup {
        let usable = |group: usize| value(self.n[group], self.sum[group]).filter(|value| value.is_finite());
        let unseen = usable(0).unwrap_or(0.0);
        OfGroup { values: (1..self.n.len()).map(|group| usable(group).unwrap_or(unseen)).collect(), unseen }
    }
}

fn means(places: &[u32], n_groups: usize, numbers: &[f64]) -> Sums {
    Sums::of(places, n_groups, |row, _| Some(numbers[row]).filter(|number| !number.is_nan()))
}

pub(super) fn mean(places: &[u32], n_groups: usize, numbers: &[f64]) -> OfGroup {
    means(places, n_groups, numbers).values(|n, sum| (n > 0.0).then_some(sum / n))
}

/// Around the mean, in a second pass.
pub(super) fn std(places: &[u32], n_groups: usize, numbers: &[f64]) -> OfGroup {
    let first = means(places, n_groups, numbers);
    let around = |row: usize, group: usize| {
        let distance = numbers[row] - first.sum[group] / first.n[group];
        Some(distance * distance).filter(|square| !square.is_nan())
    };
    Sums::of(places, n_groups, around).values(|n, sum| (n >= 2.0).then(|| (sum / (n - 1.0)).sqrt()))
}

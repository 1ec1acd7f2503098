//! SMOTE (Chawla et al. 2002): synthetic minority rows between a minority row and one of its `k` nearest minority rows.
//! In: a matrix and its minority rows; out: their neighbours, the draws and, from them, the rows.
//!
//! Base rows are drawn with replacement, each minority row alike; the neighbour is drawn from the base's `k`, each
//! alike; gap uniform in [0, 1). A value is a + gap (b - a), computed in f64, stored as f32. Fewer draws are the
//! beginning of more, so cases that differ in their target share what is known of their rows.
//!
//! Nominal categories (SMOTE-NC) are not between two others: a synthetic row takes, per column, the value that most of
//! its base's `k` neighbours have, the smallest of several (imbalanced-learn draws one of them).

use rand::RngExt;

use super::distance::Distance;
use super::nearest_neighbors::{Search, Targets};
use crate::scoring::matrix::FeatureMatrix;
use crate::training::error::Result;
use crate::training::progress::{Progress, Unit};
use crate::training::seed::Seed;

/// Where a synthetic row comes from; both ends are indices into the minority rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Draw {
    pub parent: u32,
    pub neighbor: u32,
    pub gap: f64,
}

/// The neighbours that rows are drawn from.
#[derive(Debug)]
pub struct Neighbors {
    pub k: usize,
    /// `k` indices into the minority rows for each of them, nearest first.
    pub near: Vec<u32>,
    /// Per minority row and nominal feature, what synthetic rows from it have.
    votes: Vec<f32>,
}

impl Neighbors {
    /// Of minority rows among themselves; there are more than `k`.
    pub fn find(
        matrix: &FeatureMatrix,
        distance: &Distance,
        minority: &[u32],
        k: usize,
        progress: &dyn Progress,
    ) -> Result<Neighbors> {
        progress.begin(Unit::Rows, "neighbours of the minority", minority.len() as u64);
        let found = Search::new(matrix, distance)?.nearest(Targets::rows(minority), minority, k, progress)?;
        progress.end(Unit::Rows);
        let index = |row: u32| minority.partition_point(|&known| known < row) as u32;
        let near: Vec<u32> = found.into_iter().map(|(_, row)| index(row)).collect();
        let value = |of: u32, feature: usize| matrix.row(minority[of as usize] as usize)[feature];
        let votes = near.chunks_exact(k).flat_map(|near| {
            let vote = |&feature: &usize| majority(near.iter().map(|&of| value(of, feature)).collect());
            distance.nominal.iter().map(vote)
        });
        Ok(Neighbors { k, votes: votes.collect(), near })
    }

    /// `n` draws, of which fewer would be the first.
    pub fn draw(&self, n: usize, seed: Seed) -> Vec<Draw> {
        let n_minority = self.near.len() / self.k;
        let mut rng = seed.derive("smote", 0).rng();
        let draws = (0..n).map(|_| {
            let parent = rng.random_range(0..n_minority);
            let neighbor = self.near[parent * self.k + rng.random_range(0..self.k)];
            Draw { parent: parent as u32, neighbor, gap: rng.random::<f64>() }
        });
        draws.collect()
    }

    /// Writes the synthetic row of a draw.
    pub fn interpolate(
        &self,
        draw: &Draw,
        matrix: &FeatureMatrix,
        distance: &Distance,
        minority: &[u32],
        row: &mut [f32],
    ) {
        let end = |of: u32| matrix.row(minority[of as usize] as usize);
        for ((value, &a), &b) in row.iter_mut().zip(end(draw.parent)).zip(end(draw.neighbor)) {
            let (a, b) = (f64::from(a), f64::from(b));
            *value = (a + draw.gap * (b - a)) as f32;
        }
        let n_nominal = distance.nominal.len();
        let votes = &self.votes[draw.parent as usize * n_nominal..][..n_nominal];
        for (&feature, &vote) in distance.nominal.iter().zip(votes) {
            row[feature] = vote;
        }
    }
}

/// The most frequent value, the smallest of several.
fn majority(mut values: Vec<f32>) -> f32 {
    values.sort_unstable_by(f32::total_cmp);
    let runs = values.chunk_by(|a, b| a == b);
    runs.fold((0, 0.0), |most, run| if run.len() > most.0 { (run.len(), run[0]) } else { most }).1
}

#[cfg(test)]
mod tests {
    use super::super::nearest_neighbors::tests::{matrix, nearest_slowly};
    use super::*;
    use crate::training::config::{Categories, NominalPenalty};
    use crate::training::progress::Silent;

    fn row_of(neighbors: &Neighbors, draw: &Draw, matrix: &FeatureMatrix, distance: &Distance, of: &[u32]) -> Vec<f32> {
        let mut row = vec![0.0; matrix.n_features()];
        neighbors.interpolate(draw, matrix, distance, of, &mut row);
        row
    }

    #[test]
    fn rows_lie_between_a_row_and_one_of_its_neighbours() {
        let mut rng = Seed::new(1).rng();
        let mut values: Vec<f32> = (0..200 * 7).map(|_| rng.random_range(-2.0..2.0)).collect();
        values.extend_from_within(..7 * 30);
        let matrix = matrix(7, values);
        let (distance, minority) = (Distance::euclidean(7), (0..230).step_by(2).collect::<Vec<u32>>());
        let neighbors = Neighbors::find(&matrix, &distance, &minority, 5, &Silent).unwrap();
        let draws = neighbors.draw(2_000, Seed::new(2));
        assert_eq!(draws[..700], neighbors.draw(700, Seed::new(2)), "fewer are the first of more");
        for draw in &draws {
            let (a, b) = (minority[draw.parent as usize], minority[draw.neighbor as usize]);
            let near = nearest_slowly(&matrix, &distance, a, &minority, 5);
            assert!(near.iter().any(|&(_, row)| row == b));
            assert!((0.0..1.0).contains(&draw.gap));
            let row = row_of(&neighbors, draw, &matrix, &distance, &minority);
            let (a, b) = (matrix.row(a as usize), matrix.row(b as usize));
            for feature in 0..7 {
                let (low, high) = (a[feature].min(b[feature]), a[feature].max(b[feature]));
                assert!((low..=high).contains(&row[feature]));
                let exact = f64::from(a[feature]) + draw.gap * f64::from(b[feature] - a[feature]);
                assert!((f64::from(row[feature]) - exact).abs() < 1e-6);
            }
        }
    }

    /// Counts within five standard deviations; gaps by Kolmogorov and Smirnov.
    #[test]
    fn bases_neighbours_and_gaps_are_uniform() {
        let matrix = matrix(1, (0..20).map(|row| row as f32).collect());
        let (distance, minority) = (Distance::euclidean(1), (0..20).collect::<Vec<u32>>());
        let neighbors = Neighbors::find(&matrix, &distance, &minority, 5, &Silent).unwrap();
        let draws = neighbors.draw(100_000, Seed::new(3));
        let (mut bases, mut ranks) = ([0; 20], [0; 5]);
        for draw in &draws {
            let own = &neighbors.near[draw.parent as usize * 5..][..5];
            bases[draw.parent as usize] += 1;
            ranks[own.iter().position(|&neighbor| neighbor == draw.neighbor).unwrap()] += 1;
        }
        let even = |counts: &[i32]| {
            let share = 1.0 / counts.len() as f64;
            let width = 5.0 * (1e5 * share * (1.0 - share)).sqrt();
            counts.iter().all(|&count| (f64::from(count) - 1e5 * share).abs() < width)
        };
        assert!(even(&bases) && even(&ranks), "{bases:?} {ranks:?}");
        let mut gaps: Vec<f64> = draws.iter().map(|draw| draw.gap).collect();
        gaps.sort_unstable_by(f64::total_cmp);
        let n = gaps.len() as f64;
        let above = |(at, gap): (usize, &f64)| (gap - at as f64 / n).abs().max((gap - (at + 1) as f64 / n).abs());
        let statistic = gaps.iter().enumerate().map(above).fold(0.0, f64::max);
        // Exceeded once in a thousand samples; this one is always the same.
        assert!(statistic < 1.95 / n.sqrt(), "{statistic}");
    }

    /// The third column is a category: the base's three neighbours have 5, 5 and 7.
    #[test]
    fn a_category_is_what_most_neighbours_have() {
        let rows: [[f32; 3]; 5] =
            [[0.0, 0.0, 9.0], [1.0, 0.0, 7.0], [0.0, 1.5, 5.0], [2.0, 0.0, 5.0], [50.0, 50.0, 1.0]];
        let matrix = matrix(3, rows.concat()).with_nominal([false, false, true].into());
        let minority = [0, 1, 2, 3, 4];
        let distance = Distance::of(Categories::Nominal(NominalPenalty::Full), &matrix, &minority).unwrap();
        let neighbors = Neighbors::find(&matrix, &distance, &minority, 3, &Silent).unwrap();
        assert_eq!(neighbors.near[..3], [1, 2, 3]);
        let row = row_of(&neighbors, &Draw { parent: 0, neighbor: 1, gap: 0.25 }, &matrix, &distance, &minority);
        assert_eq!(row, [0.25, 0.0, 5.0]);
        assert_eq!((majority(vec![3.0, 1.0, 3.0, 1.0, 2.0]), majority(vec![2.0, 0.0])), (1.0, 0.0));
    }
}

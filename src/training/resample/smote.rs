//! SMOTE (Chawla et al. 2002): synthetic minority rows between a minority row and one of its `k` nearest minority
//! rows. In: minority rows as a matrix; out: the draws and, from them, the rows.
//!
//! Base rows are drawn with replacement, each minority row alike; the neighbour is drawn from the base's `k`, each
//! alike; gap uniform in [0, 1). A value is a + gap (b - a), computed in f64, stored as f32.

use rand::RngExt;

use super::nearest_neighbors::SearchSpace;
use crate::scoring::matrix::FeatureMatrix;
use crate::training::error::{Error, Result};
use crate::training::progress::Progress;
use crate::training::seed::Seed;

/// Where a synthetic row comes from; rows are those of the minority matrix.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Draw {
    pub parent: u32,
    pub neighbor: u32,
    pub gap: f64,
}

impl Draw {
    /// The end of the segment the synthetic row lies closer to.
    pub fn closer_end(&self) -> u32 {
        if self.gap < 0.5 { self.parent } else { self.neighbor }
    }

    /// Appends the synthetic row.
    pub fn interpolate(&self, minority: &FeatureMatrix, values: &mut Vec<f32>) {
        let ends = minority.row(self.parent as usize).iter().zip(minority.row(self.neighbor as usize));
        values.extend(ends.map(|(&a, &b)| {
            let (a, b) = (f64::from(a), f64::from(b));
            (a + self.gap * (b - a)) as f32
        }));
    }
}

/// Draws, and the neighbours they were drawn from.
pub struct Drawn {
    pub draws: Vec<Draw>,
    /// `k` rows per minority row, nearest first.
    pub neighbors: Vec<u32>,
}

/// Draws `n_synthetic` rows. Every minority row needs `k` others.
pub fn draw(
    minority: &FeatureMatrix,
    n_synthetic: usize,
    k: usize,
    seed: Seed,
    progress: &dyn Progress,
) -> Result<Drawn> {
    let n_minority = minority.n_rows();
    if k == 0 || n_minority <= k {
        return Err(Error::permanent(format!(
            "expected more than k = {k} training rows of the smaller class for `smote-tomek`, found {n_minority}"
        ))
        .hint("lower `k`, use fewer folds, or leave this case out with `--only`"));
    }
    let queries: Vec<u32> = (0..n_minority as u32).collect();
    let neighbors = SearchSpace::new(minority)?.nearest(&queries, k, None, progress)?;
    let mut rng = seed.derive("smote", 0).rng();
    let draws = (0..n_synthetic).map(|_| {
        let parent = rng.random_range(0..n_minority);
        let neighbor = neighbors[parent * k + rng.random_range(0..k)];
        Draw { parent: parent as u32, neighbor, gap: rng.random::<f64>() }
    });
    Ok(Drawn { draws: draws.collect(), neighbors })
}

#[cfg(test)]
mod tests {
    use super::super::nearest_neighbors::tests::{matrix, nearest_slowly};
    use super::*;
    use crate::training::progress::Silent;

    #[test]
    fn rows_lie_between_a_row_and_one_of_its_neighbours() {
        let mut rng = Seed::new(1).rng();
        let mut values: Vec<f32> = (0..200 * 7).map(|_| rng.random_range(-2.0..2.0)).collect();
        values.extend_from_within(..7 * 30);
        let minority = matrix(7, values);
        let drawn = draw(&minority, 2_000, 5, Seed::new(2), &Silent).unwrap();
        assert_eq!(drawn.draws.len(), 2_000);
        for draw in &drawn.draws {
            assert!(nearest_slowly(&minority, draw.parent, 5).contains(&draw.neighbor));
            assert!((0.0..1.0).contains(&draw.gap));
            let (a, b) = (minority.row(draw.parent as usize), minority.row(draw.neighbor as usize));
            let mut row = Vec::new();
            draw.interpolate(&minority, &mut row);
            for feature in 0..7 {
                let (low, high) = (a[feature].min(b[feature]), a[feature].max(b[feature]));
                assert!((low..=high).contains(&row[feature]));
                let exact = f64::from(a[feature]) + draw.gap * f64::from(b[feature] - a[feature]);
                assert!((f64::from(row[feature]) - exact).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn bases_neighbours_and_gaps_are_uniform() {
        let minority = matrix(1, (0..20).map(|row| row as f32).collect());
        let drawn = draw(&minority, 100_000, 5, Seed::new(3), &Silent).unwrap();
        let mut bases = [0; 20];
        let mut ranks = [0; 5];
        let mut tenths = [0; 10];
        for draw in &drawn.draws {
            let own = &drawn.neighbors[draw.parent as usize * 5..][..5];
            bases[draw.parent as usize] += 1;
            ranks[own.iter().position(|&neighbor| neighbor == draw.neighbor).unwrap()] += 1;
            tenths[(draw.gap * 10.0) as usize] += 1;
        }
        // Five standard deviations of a binomial count.
        let even = |counts: &[i32]| {
            let share = 1.0 / counts.len() as f64;
            let width = 5.0 * (1e5 * share * (1.0 - share)).sqrt();
            counts.iter().all(|&count| (f64::from(count) - 1e5 * share).abs() < width)
        };
        assert!(even(&bases) && even(&ranks) && even(&tenths), "{bases:?} {ranks:?} {tenths:?}");
    }

    #[test]
    fn k_neighbours_need_more_than_k_rows() {
        let error = draw(&matrix(1, vec![0.0; 5]), 10, 5, Seed::new(0), &Silent).err().unwrap();
        assert!(error.message.contains("more than k = 5") && error.message.contains("found 5"), "{error}");
        assert!(draw(&matrix(1, vec![0.0; 6]), 10, 5, Seed::new(0), &Silent).is_ok());
    }
}

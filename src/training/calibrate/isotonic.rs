//! Isotonic regression of the label on the score: pool adjacent violators (Ayer et al. 1955). In: the counts of each
//! distinct score; out: a broken line.
//!
//! As scikit-learn's `IsotonicRegression(out_of_bounds="clip")`: tied scores are one point, a block contributes its first
//! and its last score, and between blocks the line is straight. Shares are compared in integers, so no rounding decides.
//! Limits: at most 512 blocks; beyond, neighbours whose pooling adds the least squared error are pooled. Scores within a
//! block are not told apart any more.

use crate::scoring::calibration::Isotonic;
use crate::training::evaluate::ranking::Ranking;

/// Two points each.
const MAX_BLOCKS: usize = Isotonic::MAX_POINTS / 2;

/// Neighbouring scores with one share of positives.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Block {
    first: f32,
    last: f32,
    n_rows: u64,
    n_positives: u64,
}

impl Block {
    fn share(&self) -> f64 {
        self.n_positives as f64 / self.n_rows as f64
    }

    fn is_below(&self, other: &Block) -> bool {
        u128::from(self.n_positives) * u128::from(other.n_rows)
            < u128::from(other.n_positives) * u128::from(self.n_rows)
    }

    /// With the block of higher scores next to it.
    fn pooled(self, next: Block) -> Block {
        Block {
            first: self.first,
            last: next.last,
            n_rows: self.n_rows + next.n_rows,
            n_positives: self.n_positives + next.n_positives,
        }
    }
}

pub(super) fn fit(ranking: &Ranking) -> Result<Isotonic, String> {
    let blocks = bounded(pool_adjacent_violators(ranking), MAX_BLOCKS);
    if blocks.len() < 2 {
        return Err("the share of frauds does not rise with the score".into());
    }
    let ends = |block: &Block| {
        let last = (block.last > block.first).then_some(block.last);
        let share = block.share();
        std::iter::once(block.first).chain(last).map(move |score| (score, share))
    };
    let (scores, probabilities) = blocks.iter().flat_map(ends).unzip();
    Ok(Isotonic { scores, probabilities })
}

/// Blocks of strictly rising shares, lowest scores first.
fn pool_adjacent_violators(ranking: &Ranking) -> Vec<Block> {
    let highest_first = ranking.increments().map(|(tp_above, fp_above, step)| {
        let n_positives = step.true_positives - tp_above;
        let n_rows = n_positives + step.false_positives - fp_above;
        Block { first: step.threshold, last: step.threshold, n_rows, n_positives }
    });
    let mut blocks: Vec<Block> = Vec::new();
    for mut block in highest_first.collect::<Vec<_>>().into_iter().rev() {
        while let Some(below) = blocks.pop_if(|below| !below.is_below(&block)) {
            block = below.pooled(block);
        }
        blocks.push(block);
    }
    blocks
}

/// Pools neighbours until at most `most` blocks are left; shares still rise.
fn bounded(mut blocks: Vec<Block>, most: usize) -> Vec<Block> {
    while blocks.len() > most {
        let cost = |pair: &[Block]| {
            let [a, b] = [pair[0], pair[1]].map(|block| block.n_rows as f64);
            a * b / (a + b) * (pair[0].share() - pair[1].share()).powi(2)
        };
        let costs = blocks.windows(2).map(cost).enumerate();
        let Some((at, _)) = costs.min_by(|a, b| a.1.total_cmp(&b.1)) else { break };
        let above = blocks.remove(at + 1);
        blocks[at] = blocks[at].pooled(above);
    }
    blocks
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scoring::calibration::Calibration;

    fn ranking(rows: &[(u8, f32)]) -> Ranking {
        let (labels, scores): (Vec<u8>, Vec<f32>) = rows.iter().copied().unzip();
        Ranking::of(&labels, &scores).unwrap()
    }

    /// The min-max formula: the fit at a score is the highest, over starts at or below it, of the lowest, over ends at or
    /// above it, mean label between start and end.
    fn slow(rows: &[(u8, f32)], score: f32) -> f64 {
        let mean = |from: f32, to: f32| {
            let within: Vec<f64> =
                rows.iter().filter(|row| (from..=to).contains(&row.1)).map(|row| f64::from(row.0)).collect();
            within.iter().sum::<f64>() / within.len() as f64
        };
        let scores = || rows.iter().map(|row| row.1);
        let lowest = |from: f32| scores().filter(|&to| to >= score).map(|to| mean(from, to)).fold(f64::MAX, f64::min);
        scores().filter(|&from| from <= score).map(lowest).fold(f64::MIN, f64::max)
    }

    proptest! {
        #[test]
        fn equals_the_min_max_formula(rows in prop::collection::vec((0u8..=1, 0u8..15), 2..40), twice in any::<bool>()) {
            let mut rows: Vec<(u8, f32)> = rows.into_iter().map(|(label, at)| (label, f32::from(at) / 14.0)).collect();
            if twice {
                rows.extend(rows.clone());
            }
            match fit(&ranking(&rows)) {
                Ok(isotonic) => {
                    let map = Calibration::Isotonic(isotonic);
                    prop_assert_eq!(map.check(), Ok(()));
                    for &(_, score) in &rows {
                        prop_assert_eq!(map.apply(score), slow(&rows, score) as f32);
                    }
                }
                Err(_) => {
                    let first = slow(&rows, rows[0].1);
                    prop_assert!(rows.iter().all(|row| slow(&rows, row.1) == first), "constant");
                }
            }
        }

        #[test]
        fn bounded_blocks_keep_their_rows_and_rise(rows in prop::collection::vec((0u8..=1, 0u16..400), 2..200), most in 1usize..12) {
            let rows: Vec<(u8, f32)> = rows.into_iter().map(|(label, at)| (label, f32::from(at) / 400.0)).collect();
            let all = pool_adjacent_violators(&ranking(&rows));
            let blocks = bounded(all.clone(), most);
            prop_assert_eq!(blocks.len(), all.len().min(most));
            prop_assert_eq!(blocks.iter().map(|block| block.n_rows).sum::<u64>(), rows.len() as u64);
            prop_assert!(blocks.is_sorted_by(|a, b| a.is_below(b) && a.last < b.first));
        }
    }

    /// More rising shares than the limit: 1/n grows over falling n.
    #[test]
    fn points_are_bounded() {
        let rows = (2..=700u32)
            .rev()
            .enumerate()
            .flat_map(|(at, n)| (0..n).map(move |row| (u8::from(row == 0), at as f32 / 1000.0)));
        let isotonic = fit(&ranking(&rows.collect::<Vec<_>>())).unwrap();
        assert!(isotonic.scores.len() <= Isotonic::MAX_POINTS && isotonic.scores.len() > MAX_BLOCKS);
        assert_eq!(Calibration::Isotonic(isotonic).check(), Ok(()));
    }

    #[test]
    fn a_falling_share_is_refused() {
        let refused = fit(&ranking(&[(1, 0.1), (0, 0.2), (0, 0.3)])).unwrap_err();
        assert_eq!(refused, "the share of frauds does not rise with the score");
    }
}

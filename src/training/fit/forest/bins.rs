//! Binned columns: `n_features` columns of one byte per row, and what each bin spans.
//!
//! Every distinct matrix row counts once, whatever its weight or its number of entries, so one binning serves all
//! cases. A column of at most `bins` distinct values keeps them all; another is cut at quantiles that lie denser in the
//! tails, where rare frauds are: with equal shares extra trees grow a third more nodes than on raw values. An edge is the
//! midpoint between the largest value of a bin and the smallest of the next, rounded to f32 so that it separates them:
//! `code <= b` and `x <= edges[b]` agree on every training value. Infinities count as the largest finite numbers.

use rayon::prelude::*;

use crate::scoring::matrix::FeatureMatrix;
use crate::training::error::Result;
use crate::training::mapped::{Storage, StoredBytes};

/// The code of a missing value.
pub const MISSING: u8 = 255;

/// What the bins of one column span; all empty where every value is missing.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureBins {
    /// Smallest and largest value of each bin.
    pub min: Vec<f32>,
    pub max: Vec<f32>,
    /// Between each bin and the next.
    pub edges: Vec<f32>,
}

/// A matrix in codes, column by column.
#[derive(Debug)]
pub struct BinnedMatrix {
    n_rows: usize,
    codes: StoredBytes,
    features: Vec<FeatureBins>,
}

impl BinnedMatrix {
    /// At most `bins` (2 to 255) bins per column, beside the one for missing values.
    pub fn new(matrix: &FeatureMatrix, bins: usize) -> Self {
        let fill = |feature: usize, column: &mut [f32]| {
            column.iter_mut().zip(matrix.rows()).for_each(|(value, row)| *value = row[feature]);
        };
        Self::of_columns(matrix.n_rows(), matrix.n_features(), bins, &fill)
    }

    /// The same of columns that `fill` writes.
    pub fn of_columns(
        n_rows: usize,
        n_features: usize,
        bins: usize,
        fill: &(dyn Fn(usize, &mut [f32]) + Sync),
    ) -> Self {
        let codes = Storage::in_memory().hold(vec![0; n_rows * n_features]);
        Self::written(n_rows, n_features, bins, fill, codes)
    }

    /// The same, its codes where the storage has room for them.
    pub fn stored(
        n_rows: usize,
        n_features: usize,
        bins: usize,
        fill: &(dyn Fn(usize, &mut [f32]) + Sync),
        storage: &Storage,
    ) -> Result<Self> {
        Ok(Self::written(n_rows, n_features, bins, fill, storage.zeroed(n_rows * n_features)?))
    }

    fn written(
        n_rows: usize,
        n_features: usize,
        bins: usize,
        fill: &(dyn Fn(usize, &mut [f32]) + Sync),
        mut codes: StoredBytes,
    ) -> Self {
        let bin_column = |(feature, codes): (usize, &mut [u8])| {
            let mut values = vec![0f32; n_rows];
            fill(feature, &mut values);
            values.iter_mut().for_each(|value| *value = comparable(*value));
            let bins = FeatureBins::of(values.iter().copied().filter(|x| !x.is_nan()).collect(), bins.clamp(2, 255));
            for (code, x) in codes.iter_mut().zip(values) {
                *code = bins.code(x);
            }
            bins
        };
        let mut features: Vec<FeatureBins> = codes.par_chunks_mut(n_rows.max(1)).enumerate().map(bin_column).collect();
        features.resize_with(n_features, || FeatureBins::of(Vec::new(), 2));
        Self { n_rows, codes, features }
    }

    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    pub fn n_features(&self) -> usize {
        self.features.len()
    }

    /// One code per row: a bin, or `MISSING`.
    pub fn column(&self, feature: usize) -> &[u8] {
        &self.codes[feature * self.n_rows..][..self.n_rows]
    }

    pub fn bins(&self, feature: usize) -> &FeatureBins {
        &self.features[feature]
    }
}

/// Infinities become the largest finite numbers, -0.0 becomes 0.0.
fn comparable(x: f32) -> f32 {
    x.clamp(f32::MIN, f32::MAX) + 0.0
}

impl FeatureBins {
    fn of(mut values: Vec<f32>, bins: usize) -> Self {
        values.sort_unstable_by(f32::total_cmp);
        let mut distinct: Vec<(f32, usize)> = Vec::new();
        for run in values.chunk_by(|a, b| a == b) {
            distinct.push((run[0], run.len()));
        }
        let groups = if distinct.len() <= bins { vec![1; distinct.len()] } else { quantile_groups(&distinct, bins) };
        let (mut min, mut max, mut from) = (Vec::new(), Vec::new(), 0);
        for length in groups {
            min.push(distinct[from].0);
            max.push(distinct[from + length - 1].0);
            from += length;
        }
        let edges = max.iter().zip(min.iter().skip(1)).map(|(&lower, &upper)| midpoint(lower, upper)).collect();
        Self { min, max, edges }
    }

    pub fn n_bins(&self) -> usize {
        self.min.len()
    }

    fn code(&self, x: f32) -> u8 {
        if x.is_nan() { MISSING } else { self.edges.partition_point(|&edge| edge < x) as u8 }
    }

    /// The edge nearest to the middle of the gap between two occupied bins, by the number of its lower bin: where a
    /// forest on raw values would cut.
    pub fn edge_between(&self, lower: u8, upper: u8) -> u8 {
        let middle = midpoint(self.max[lower as usize], self.min[upper as usize]);
        let between = &self.edges[lower as usize..upper as usize];
        let above = between.partition_point(|&edge| edge < middle);
        let nearer_below =
            above == between.len() || (above > 0 && middle - between[above - 1] < between[above] - middle);
        lower + (above - usize::from(nearer_below)) as u8
    }

    /// The last bin whose values are all at or below `x`; none if `x` is below the top of the first bin.
    pub fn last_bin_within(&self, x: f64) -> Option<u8> {
        self.max.partition_point(|&max| f64::from(max) <= x).checked_sub(1).map(|bin| bin as u8)
    }
}

/// How many distinct values each bin takes: a bin closes when it holds its share of what is left. Shares are taken of
/// the arcsine of the square root of the rank: bins of the middle hold up to pi/2 times as many rows as equal ones
/// would, those of the tails far fewer (the first about n / 26,000 instead of n / 255). Rare frauds lie in the tails.
fn quantile_groups(distinct: &[(f32, usize)], bins: usize) -> Vec<usize> {
    let n_rows: usize = distinct.iter().map(|(_, count)| count).sum();
    // libm, so that the bits do not depend on the platform's functions.
    let measure = |rank: usize| libm::asin((rank as f64 / n_rows as f64).sqrt());
    let whole = measure(n_rows);
    let mut groups = Vec::with_capacity(bins);
    let (mut length, mut rank, mut start) = (0, 0, 0.0);
    for (at, &(_, count)) in distinct.iter().enumerate() {
        length += 1;
        rank += count;
        let bins_left = bins - groups.len();
        let has_share = (measure(rank) - start) * bins_left as f64 >= whole - start;
        // As many values as bins are left: each keeps its own.
        let few_left = distinct.len() - (at + 1) < bins_left;
        if bins_left > 1 && (has_share || few_left) {
            groups.push(length);
            (length, start) = (0, measure(rank));
        }
    }
    if length > 0 {
        groups.push(length);
    }
    groups
}

/// A number at least `lower` and below `upper`.
fn midpoint(lower: f32, upper: f32) -> f32 {
    let middle = ((f64::from(lower) + f64::from(upper)) / 2.0) as f32;
    if middle < upper { middle } else { lower }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::fit::forest::partition::{below, unit};
    use crate::training::seed::Seed;

    fn binned(values: &[f32], bins: usize) -> BinnedMatrix {
        BinnedMatrix::new(&FeatureMatrix::new(["x".to_string()].into(), values.to_vec()), bins)
    }

    /// Codes and frozen thresholds say the same about every value.
    fn assert_consistent(values: &[f32], binned: &BinnedMatrix) {
        let bins = binned.bins(0);
        assert!(bins.edges.iter().all(|edge| edge.is_finite()) && bins.edges.is_sorted_by(|a, b| a < b));
        for (&x, &code) in values.iter().zip(binned.column(0)) {
            assert_eq!(x.is_nan(), code == MISSING);
            for (bin, &edge) in bins.edges.iter().enumerate() {
                assert_eq!(x <= edge, code as usize <= bin, "{x} at edge {edge}");
            }
            if x.is_finite() {
                assert!(bins.min[code as usize] <= x && x <= bins.max[code as usize]);
            }
        }
    }

    #[test]
    fn few_values_are_kept_and_many_are_cut_at_quantiles() {
        let few: Vec<f32> = (0..1000).map(|row| (row % 255) as f32).collect();
        assert_eq!(binned(&few, 255).bins(0).n_bins(), 255);
        assert_consistent(&few, &binned(&few, 255));
        let mut rng = Seed::new(1).rng();
        for bins in [2, 3, 16, 255] {
            let many: Vec<f32> = (0..20_000).map(|_| (unit(&mut rng) * 20.0).exp() as f32).collect();
            let binned = binned(&many, bins);
            assert_consistent(&many, &binned);
            assert_eq!(binned.bins(0).n_bins(), bins);
            let mut counts = vec![0; bins];
            binned.column(0).iter().for_each(|&code| counts[code as usize] += 1);
            let rank = |bin: usize| (std::f64::consts::FRAC_PI_2 * bin as f64 / bins as f64).sin().powi(2) * 20_000.0;
            for (bin, &count) in counts.iter().enumerate() {
                let expected = rank(bin + 1) - rank(bin);
                assert!((f64::from(count) - expected).abs() < 2.0 + 0.05 * expected, "{bin}: {count}, not {expected}");
            }
        }
    }

    #[test]
    fn all_bins_are_used_where_there_are_more_values() {
        for n in [256, 257, 300, 600, 5000] {
            let values: Vec<f32> = (0..n).map(|x| x as f32).collect();
            assert_eq!(binned(&values, 255).bins(0).n_bins(), 255, "{n} values");
            assert_consistent(&values, &binned(&values, 255));
        }
    }

    #[test]
    fn a_heavy_value_does_not_cost_the_others_their_bins() {
        let mut values = vec![0.0; 9000];
        values.extend((0..1000).map(|x| 1.0 + x as f32));
        let binned = binned(&values, 101);
        assert_eq!(binned.bins(0).n_bins(), 101);
        assert_eq!((binned.bins(0).min[0], binned.bins(0).max[0]), (0.0, 0.0));
    }

    #[test]
    fn neighbours_infinities_zeros_and_missing_values_keep_their_side() {
        let next = f32::from_bits(1.0f32.to_bits() + 1);
        let odd = [1.0, next, -0.0, 0.0, f32::INFINITY, f32::MAX, f32::NEG_INFINITY, f32::MIN, f32::NAN, 1e-45, -1e-45];
        assert_consistent(&odd, &binned(&odd, 255));
        assert_consistent(&odd, &binned(&odd, 2));
        let nothing = [f32::NAN; 3];
        assert_eq!(binned(&nothing, 255).bins(0).n_bins(), 0);
        assert_consistent(&nothing, &binned(&nothing, 255));
    }

    #[test]
    fn the_chosen_edge_is_the_nearest_to_the_middle() {
        let mut rng = Seed::new(3).rng();
        let values: Vec<f32> = (0..60).map(|_| below(&mut rng, 1000) as f32).collect();
        let binned = binned(&values, 255);
        let bins = binned.bins(0);
        for lower in 0..bins.n_bins() - 1 {
            for upper in lower + 1..bins.n_bins() {
                let middle = (bins.max[lower] + bins.min[upper]) / 2.0;
                let distance = |bin: usize| (bins.edges[bin] - middle).abs();
                let found = bins.edge_between(lower as u8, upper as u8) as usize;
                assert!((lower..upper).contains(&found));
                assert!((lower..upper).all(|bin| distance(found) <= distance(bin)));
            }
        }
    }
}

//! Binned columns: `n_features` columns of one byte per row, once by column and once by row, and what each bin spans.
//!
//! Every distinct matrix row counts once, whatever its weight or its number of entries, so one binning serves all
//! cases. A column of at most `bins` distinct values keeps them all; another is cut at quantiles that lie denser in the
//! tails, where rare frauds are: with equal shares extra trees grow a third more nodes than on raw values. An edge is the
//! midpoint between the largest value of a bin and the smallest of the next, rounded to f32 so that it separates them:
//! `code <= b` and `x <= edges[b]` agree on every training value. Infinities count as the largest finite numbers.

use std::ops::Range;

use memmap2::MmapMut;
use pulp::bytemuck;
use rayon::prelude::*;

use super::quantiles::{from_ordered_bits, ordered_bits, quantile_bins, sorted};
use super::search::Codes;
use super::spans::Spans;
use super::turn::turn;
use crate::training::error::Result;
use crate::training::mapped::{Storage, StoredBytes};
use crate::training::rows::TrainingSet;

/// The code of a missing value.
pub const MISSING: u8 = 255;

/// The bins of one column; none where every value is missing.
struct FeatureBins {
    /// Smallest and largest value of each bin.
    spans: Vec<[f32; 2]>,
    /// Between each bin and the next.
    edges: Vec<f32>,
}

/// A matrix in codes, column by column for large nodes, row by row for what is copied together for small ones.
#[derive(Debug)]
pub struct BinnedMatrix {
    n_rows: usize,
    by_column: StoredBytes,
    by_row: StoredBytes,
    spans: Spans,
    /// By feature, between each bin and the next.
    edges: Vec<Vec<f32>>,
    n_bins: Vec<u8>,
    /// Per feature: whether a value is missing, whether its numbers are label codes.
    has_missing: Vec<bool>,
    nominal: Vec<bool>,
    storage: Storage,
    subtree_codes: usize,
}

impl BinnedMatrix {
    /// At most `bins` (2 to 255) bins per column, beside the one for missing values; the codes where there is room.
    pub fn of(set: &TrainingSet, bins: usize, storage: &Storage) -> Result<Self> {
        let (n_rows, n_features, at_once) = (set.n_rows(), set.n_features(), set.columns_at_once());
        let mut by_column = storage.zeroed(n_rows * n_features)?;
        let bin_columns = |space: &mut Result<MmapMut>, (block, codes): (usize, &mut [u8])| {
            let space = space.as_mut().map_err(|error| error.clone())?;
            let (room, values) = space.split_at_mut(2 * n_rows * size_of::<u32>());
            let (room, values) = (bytemuck::cast_slice_mut(room), &mut bytemuck::cast_slice_mut(values)[..codes.len()]);
            let first = block * at_once;
            set.fill_columns(first..first + codes.len() / n_rows, values);
            let columns = values.chunks_mut(n_rows).zip(codes.chunks_mut(n_rows));
            let bin_column = |(values, codes): (&mut [f32], &mut [u8])| {
                values.iter_mut().for_each(|x| *x = comparable(*x));
                let bins = FeatureBins::of(values, bins.clamp(2, 255), room);
                bins.encode(values, codes);
                (bins, codes.contains(&MISSING))
            };
            Ok(columns.map(bin_column).collect::<Vec<(FeatureBins, bool)>>())
        };
        let tasks = by_column.par_chunks_mut((n_rows * at_once).max(1)).enumerate();
        // Numbers of some columns, and one of them twice to be sorted, in memory that goes back before trees grow.
        let space = || storage.passing_memory(n_rows * (at_once.min(n_features) + 2) * size_of::<f32>());
        let columns: Vec<Vec<(FeatureBins, bool)>> = tasks.map_init(space, bin_columns).collect::<Result<_>>()?;
        let (mut features, mut has_missing): (Vec<FeatureBins>, Vec<bool>) = columns.into_iter().flatten().unzip();
        // Without rows there are no columns to walk.
        features.resize_with(n_features, || FeatureBins::of(&[], 2, &mut []));
        has_missing.resize(n_features, false);
        let mut by_row = storage.zeroed(n_rows * n_features)?;
        turn_all(&by_column, n_rows, n_features, &mut by_row);
        let n_bins = features.iter().map(|bins| bins.spans.len() as u8).collect();
        let mut spans = Spans::default();
        features.iter().for_each(|bins| spans.push(&bins.spans));
        let edges = features.into_iter().map(|bins| bins.edges).collect();
        let nominal = (0..n_features).map(|feature| set.is_nominal(feature)).collect();
        let (storage, subtree_codes) = (storage.clone(), SUBTREE_CODES);
        Ok(Self { n_rows, by_column, by_row, spans, edges, n_bins, has_missing, nominal, storage, subtree_codes })
    }

    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    pub fn n_features(&self) -> usize {
        self.n_bins.len()
    }

    /// One code per row: a bin, or `MISSING`.
    pub fn by_column(&self) -> Codes<'_> {
        Codes { codes: &self.by_column, stride: self.n_rows, width: None }
    }

    /// The codes of a feature, one per row.
    pub fn column(&self, feature: usize) -> &[u8] {
        &self.by_column[feature * self.n_rows..][..self.n_rows]
    }

    /// One code per feature.
    pub fn row(&self, row: usize) -> &[u8] {
        &self.by_row[row * self.n_features()..][..self.n_features()]
    }

    /// Between each bin of a feature and the next.
    pub fn edges(&self, feature: usize) -> &[f32] {
        &self.edges[feature]
    }

    /// What the bins span.
    pub fn spans(&self) -> &Spans {
        &self.spans
    }

    /// The edge nearest to the middle of the gap between two occupied bins, by the number of its lower bin: where a
    /// forest on raw values would cut.
    pub fn edge_between(&self, feature: usize, lower: u8, upper: u8) -> u8 {
        if lower + 1 == upper {
            return lower;
        }
        let spans = self.spans.of(feature);
        let middle = midpoint(spans[usize::from(lower)][1], spans[usize::from(upper)][0]);
        let between = &self.edges[feature][usize::from(lower)..usize::from(upper)];
        let above = between.partition_point(|&edge| edge < middle);
        let nearer_below =
            above == between.len() || (above > 0 && middle - between[above - 1] < between[above] - middle);
        lower + (above - usize::from(nearer_below)) as u8
    }

    /// How many bins a feature has, without the one of missing values.
    pub fn n_bins(&self, feature: usize) -> usize {
        usize::from(self.n_bins[feature])
    }

    pub fn has_missing(&self, feature: usize) -> bool {
        self.has_missing[feature]
    }

    pub fn is_nominal(&self, feature: usize) -> bool {
        self.nominal[feature]
    }

    /// Whether so many rows are better copied together, so that what a subtree reads lies near. Never most of the rows: they
    /// are as well read in place.
    pub fn copy_pays(&self, n_rows: usize) -> bool {
        n_rows <= NEARBY_ROWS && n_rows * self.n_features() <= NEARBY_BYTES && n_rows * 4 <= self.n_rows
    }

    /// Whether a node of so many draws grows as one subtree, its codes in memory.
    pub fn is_subtree(&self, n_draws: usize) -> bool {
        n_draws * self.n_features() <= self.subtree_codes
    }

    /// Where codes lie that do not lie in memory.
    pub fn file_storage(&self) -> Option<&Storage> {
        self.by_row.is_mapped().then_some(&self.storage)
    }

    /// How many trees may grow at once: each has the codes of a subtree in memory, by row and by column, where all codes lie
    /// in a file.
    pub fn trees_at_once(&self) -> usize {
        let room = self.file_storage().and_then(Storage::room_of_columns);
        room.map_or(usize::MAX, |room| (room as usize / (2 * self.subtree_codes).max(1)).max(1))
    }

    /// How many rows are looked through at once for those of subtrees: of half the codes that a subtree may have.
    pub fn rows_at_once(&self) -> usize {
        (self.subtree_codes / 2 / self.n_features().max(1)).max(1)
    }

    /// Columns or rows are about to be read one after the other: a file may begin to bring them.
    pub fn expect_columns(&self, features: &[u32]) {
        for start in features.iter().map(|&feature| feature as usize * self.n_rows) {
            self.by_column.expect(start..start + self.n_rows);
        }
    }

    pub fn expect_rows(&self, rows: Range<usize>) {
        self.by_row.expect(rows.start * self.n_features()..rows.end * self.n_features());
    }

    /// Subtrees of so many codes, so that few rows have some.
    #[cfg(test)]
    pub fn with_subtrees_of(mut self, codes: usize) -> Self {
        self.subtree_codes = codes;
        self
    }
}

/// Bytes of codes that are copied together where subtrees are small.
const NEARBY_BYTES: usize = 800 << 10;
/// Rows of few columns fit by the ten thousand, but are as well read column by column then.
const NEARBY_ROWS: usize = 8192;
/// Codes of a subtree: 77,000 draws of 434 features. Part of what a forest is, for a subtree draws from a stream of its own.
const SUBTREE_CODES: usize = 32 << 20;

/// From columns to rows, in blocks that stay in the cache.
fn turn_all(by_column: &StoredBytes, n_rows: usize, n_features: usize, by_row: &mut [u8]) {
    const ROWS: usize = 64;
    // Of a file each task first has its part of all columns brought.
    let rows_per_task = if by_column.is_mapped() { 256 * ROWS } else { ROWS };
    let tasks = by_row.par_chunks_mut((rows_per_task * n_features).max(1)).enumerate();
    tasks.for_each_init(Vec::new, |columns: &mut Vec<u8>, (task, rows)| {
        let first = task * rows_per_task;
        for start in (first..n_features * n_rows).step_by(n_rows) {
            by_column.expect(start..start + rows.len() / n_features);
        }
        for (first, rows) in (first..).step_by(ROWS).zip(rows.chunks_mut(ROWS * n_features)) {
            let n = rows.len() / n_features;
            columns.clear();
            for column in by_column.chunks_exact(n_rows) {
                columns.extend_from_slice(&column[first..][..n]);
            }
            turn(columns, n, rows, n_features);
        }
    });
}

/// Infinities become the largest finite numbers, -0.0 becomes 0.0.
fn comparable(x: f32) -> f32 {
    x.clamp(f32::MIN, f32::MAX) + 0.0
}

impl FeatureBins {
    fn of(values: &[f32], bins: usize, room: &mut [u32]) -> Self {
        let ordered = sorted(values, room);
        let value = |at: usize| from_ordered_bits(ordered[at]);
        let bins = quantile_bins(ordered, bins).into_iter();
        let spans: Vec<[f32; 2]> = bins.map(|bin| [value(bin.start), value(bin.end - 1)]).collect();
        let edges = spans.windows(2).map(|pair| midpoint(pair[0][1], pair[1][0])).collect();
        Self { spans, edges }
    }

    /// Writes the code of every value.
    fn encode(&self, values: &[f32], codes: &mut [u8]) {
        // A table over the leading bits tells how many edges lie below all numbers that share them; few lie among them.
        let mut n_below = [0u8; 1 << LEADING_BITS];
        let leading = |x: f32| (ordered_bits(x) >> (32 - LEADING_BITS)) as usize;
        let mut from = 0;
        for (at, &edge) in self.edges.iter().enumerate() {
            // `x <= edge` is bin `at` or below: numbers of higher leading bits are beyond it.
            let up_to = leading(edge) + 1;
            if up_to > from {
                n_below[from..up_to].fill(at as u8);
                from = up_to;
            }
        }
        n_below[from..].fill(self.edges.len() as u8);
        for (code, &x) in codes.iter_mut().zip(values) {
            let mut bin = usize::from(n_below[leading(x)]);
            while bin < self.edges.len() && self.edges[bin] < x {
                bin += 1;
            }
            *code = if x.is_nan() { MISSING } else { bin as u8 };
        }
    }
}

/// Leading bits of a number (sign, exponent and seven of the fraction) by which its code is looked up.
const LEADING_BITS: usize = 16;

/// A number at least `lower` and below `upper`.
fn midpoint(lower: f32, upper: f32) -> f32 {
    let middle = ((f64::from(lower) + f64::from(upper)) / 2.0) as f32;
    if middle < upper { middle } else { lower }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scoring::matrix::FeatureMatrix;
    use crate::training::fit::forest::samples::{below, unit};
    use crate::training::seed::Seed;

    fn binned(values: &[f32], bins: usize) -> BinnedMatrix {
        let matrix = FeatureMatrix::new(["x".to_string()].into(), values.to_vec());
        let set = TrainingSet::of_all_rows(matrix.into(), vec![0; values.len()]);
        BinnedMatrix::of(&set, bins, &Storage::in_memory()).unwrap()
    }

    /// Codes and frozen thresholds say the same about every value.
    fn assert_consistent(values: &[f32], binned: &BinnedMatrix) {
        let (edges, spans) = (binned.edges(0), binned.spans().of(0));
        assert!(edges.iter().all(|edge| edge.is_finite()) && edges.is_sorted_by(|a, b| a < b));
        for (&x, &code) in values.iter().zip(binned.column(0)) {
            assert_eq!(x.is_nan(), code == MISSING);
            for (bin, &edge) in edges.iter().enumerate() {
                assert_eq!(x <= edge, code as usize <= bin, "{x} at edge {edge}");
            }
            if x.is_finite() {
                assert!(spans[code as usize][0] <= x && x <= spans[code as usize][1]);
            }
        }
    }

    #[test]
    fn few_values_are_kept_and_many_are_cut_at_quantiles() {
        let few: Vec<f32> = (0..1000).map(|row| (row % 255) as f32).collect();
        assert_eq!(binned(&few, 255).n_bins(0), 255);
        assert_consistent(&few, &binned(&few, 255));
        let mut rng = Seed::new(1).rng();
        for bins in [2, 3, 16, 255] {
            let many: Vec<f32> = (0..20_000).map(|_| (unit(&mut rng) * 20.0).exp() as f32).collect();
            let binned = binned(&many, bins);
            assert_consistent(&many, &binned);
            assert_eq!(binned.n_bins(0), bins);
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
            assert_eq!(binned(&values, 255).n_bins(0), 255, "{n} values");
            assert_consistent(&values, &binned(&values, 255));
        }
    }

    #[test]
    fn a_heavy_value_does_not_cost_the_others_their_bins() {
        let mut values = vec![0.0; 9000];
        values.extend((0..1000).map(|x| 1.0 + x as f32));
        let binned = binned(&values, 101);
        assert_eq!(binned.n_bins(0), 101);
        assert_eq!(binned.spans().of(0)[0], [0.0, 0.0]);
    }

    #[test]
    fn neighbours_infinities_zeros_and_missing_values_keep_their_side() {
        let next = f32::from_bits(1.0f32.to_bits() + 1);
        let odd = [1.0, next, -0.0, 0.0, f32::INFINITY, f32::MAX, f32::NEG_INFINITY, f32::MIN, f32::NAN, 1e-45, -1e-45];
        assert_consistent(&odd, &binned(&odd, 255));
        assert_consistent(&odd, &binned(&odd, 2));
        let nothing = [f32::NAN; 3];
        assert_eq!(binned(&nothing, 255).n_bins(0), 0);
        assert_consistent(&nothing, &binned(&nothing, 255));
    }

    #[test]
    fn the_chosen_edge_is_the_nearest_to_the_middle() {
        let mut rng = Seed::new(3).rng();
        let values: Vec<f32> = (0..60).map(|_| below(&mut rng, 1000) as f32).collect();
        let binned = binned(&values, 255);
        let spans = binned.spans().of(0);
        for lower in 0..spans.len() - 1 {
            for upper in lower + 1..spans.len() {
                let middle = (spans[lower][1] + spans[upper][0]) / 2.0;
                let distance = |bin: usize| (binned.edges(0)[bin] - middle).abs();
                let found = binned.edge_between(0, lower as u8, upper as u8) as usize;
                assert!((lower..upper).contains(&found));
                assert!((lower..upper).all(|bin| distance(found) <= distance(bin)));
            }
        }
    }
}

//! The best cuts of up to sixteen columns in a node of few rows: every row's code is compared with every other's, sixteen
//! columns at a time, which costs less than sixteen histograms. In: codes by row; out: per column what each row, as the
//! last to go left, would gain.

use pulp::{Arch, NullaryFnOnce};

use super::bins::MISSING;
use super::gain::Gauge;
use super::gather::GatheredRows;
use super::samples::{Counts, Sample, Sum};
pub use super::sixteen::LANES;
use super::sixteen::Vectors;

/// Rows up to which pairs cost less than histograms.
pub const MOST_ROWS: usize = 20;
/// Draws that a byte can count.
pub const MOST_DRAWS: usize = 255;

/// What is known of some rows as cuts of up to sixteen columns.
pub struct FewRows {
    counts: [u8; MOST_ROWS],
    /// Draws of values at most the row's, by class.
    lefts: [[[u8; LANES]; 2]; MOST_ROWS],
    gains: [[f32; LANES]; MOST_ROWS],
    highest: [f32; LANES],
    /// Missing draws, by class.
    missing: [[u8; LANES]; 2],
}

impl FewRows {
    pub fn new() -> Self {
        Self {
            counts: [0; MOST_ROWS],
            lefts: [[[0; LANES]; 2]; MOST_ROWS],
            gains: [[0.0; LANES]; MOST_ROWS],
            highest: [0.0; LANES],
            missing: [[0; LANES]; 2],
        }
    }

    /// Takes over the samples of a node.
    pub fn begin<S: Sample>(&mut self, classes: [&[S]; 2]) {
        for (count, sample) in self.counts.iter_mut().zip(classes.into_iter().flatten()) {
            *count = sample.count() as u8;
        }
    }

    /// Compares all pairs; `with_missing`: some column may lack values.
    pub fn compare(&mut self, rows: &GatheredRows, gauge: &Gauge, with_missing: bool) {
        Arch::new().dispatch(Compare { few: self, rows, gauge: *gauge, with_missing });
    }

    /// The highest gain in a column; [`Gauge::NONE`] if it is constant.
    pub fn highest(&self, lane: usize) -> f32 {
        self.highest[lane]
    }

    pub fn missing(&self, lane: usize) -> Counts {
        Counts::of_counts(self.missing.map(|missing| u32::from(missing[lane])))
    }

    /// The cuts of a column that gain at least `floor`: the last code on the left, and what goes left.
    pub fn cuts(&self, rows: &GatheredRows, lane: usize, floor: f32) -> impl Iterator<Item = (u8, Counts)> {
        let rows = self.gains.iter().zip(rows.codes()).zip(&self.lefts);
        rows.filter(move |((gains, _), _)| gains[lane] >= floor)
            .map(move |((_, codes), lefts)| (codes[lane], Counts::of_counts(lefts.map(|left| u32::from(left[lane])))))
    }
}

struct Compare<'a> {
    few: &'a mut FewRows,
    rows: &'a GatheredRows,
    gauge: Gauge,
    with_missing: bool,
}

impl NullaryFnOnce for Compare<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { few, rows, gauge, with_missing } = self;
        let vectors = Vectors::new();
        let FewRows { counts, lefts, gains, highest, missing } = few;
        let [negatives, positives] = rows.by_class();
        let classes = [(negatives, &counts[..negatives.len()]), (positives, &counts[negatives.len()..])];
        *missing = [[0; LANES]; 2];
        if with_missing {
            for (class, (rows, counts)) in classes.iter().enumerate() {
                let mut sum = vectors.all(0);
                for (codes, &count) in rows.iter().zip(*counts) {
                    let is_missing = vectors.at_most(vectors.all(MISSING), vectors.of(*codes));
                    sum = vectors.add(sum, vectors.and(is_missing, vectors.all(count)));
                }
                missing[class] = vectors.bytes(sum);
            }
        }
        *highest = [Gauge::NONE; LANES];
        for ((limits, left), gains) in rows.codes().iter().zip(lefts.iter_mut()).zip(gains.iter_mut()) {
            let mut sums = [[0u8; LANES]; 2];
            for (sum, (rows, counts)) in sums.iter_mut().zip(classes) {
                let (limits, mut left) = (vectors.of(*limits), vectors.all(0));
                for (codes, &count) in rows.iter().zip(counts) {
                    let is_left = vectors.at_most(vectors.of(*codes), limits);
                    left = vectors.add(left, vectors.and(is_left, vectors.all(count)));
                }
                *sum = vectors.bytes(left);
            }
            *left = sums;
            for lane in 0..LANES {
                gains[lane] = gauge.gain([i32::from(sums[0][lane]), i32::from(sums[1][lane])]);
            }
            if with_missing {
                for lane in 0..LANES {
                    let with = |class: usize| i32::from(sums[class][lane]) + i32::from(missing[class][lane]);
                    let other = gauge.gain([with(0), with(1)]);
                    // A missing value is no limit.
                    let is_value = limits[lane] != MISSING;
                    gains[lane] = if is_value && other > gains[lane] { other } else { gains[lane] };
                }
            }
            for lane in 0..LANES {
                highest[lane] = if gains[lane] > highest[lane] { gains[lane] } else { highest[lane] };
            }
        }
    }
}

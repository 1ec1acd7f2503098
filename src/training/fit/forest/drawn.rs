//! Drawn cuts of up to sixteen columns in one node, whose codes are gathered row by row: the span of each column, and how
//! many draws lie at or below a limit, sixteen columns in one vector.

use pulp::{Arch, NullaryFnOnce};

use super::bins::MISSING;
use super::gather::GatheredRows;
use super::samples::Sample;
use super::sixteen::{LANES, Vectors};

/// Rows whose count a byte holds.
const BYTE: usize = 255;

/// Of each column the lowest code, and one more than the highest, without missing values; `MISSING` and 0 where there is
/// nothing else.
pub fn span(rows: &GatheredRows) -> ([u8; LANES], [u8; LANES]) {
    Arch::new().dispatch(Span { codes: rows.codes() })
}

/// Draws of each class that lack a value, where the node has so many.
pub fn missing<S: Sample>(
    rows: &GatheredRows,
    classes: [&[S]; 2],
    is_unit: bool,
    total: [u32; 2],
) -> [[u32; LANES]; 2] {
    let present = count(rows, classes, is_unit, [MISSING - 1; LANES]);
    [0, 1].map(|class| present[class].map(|present| total[class] - present))
}

/// Draws of each class whose code is at most each column's limit.
pub fn count<S: Sample>(
    rows: &GatheredRows,
    classes: [&[S]; 2],
    is_unit: bool,
    limits: [u8; LANES],
) -> [[u32; LANES]; 2] {
    Arch::new().dispatch(Count { codes: rows.by_class(), classes, is_unit, limits })
}

struct Span<'a> {
    codes: &'a [[u8; LANES]],
}

impl NullaryFnOnce for Span<'_> {
    type Output = ([u8; LANES], [u8; LANES]);

    #[inline(always)]
    fn call(self) -> Self::Output {
        let vectors = Vectors::new();
        let (mut low, mut high) = (vectors.all(MISSING), vectors.all(0));
        for codes in self.codes {
            let codes = vectors.of(*codes);
            low = vectors.min(low, codes);
            // Adding one turns the code of missing values into 0.
            high = vectors.max(high, vectors.add(codes, vectors.all(1)));
        }
        (vectors.bytes(low), vectors.bytes(high))
    }
}

struct Count<'a, S> {
    codes: [&'a [[u8; LANES]]; 2],
    classes: [&'a [S]; 2],
    /// Every sample was drawn once.
    is_unit: bool,
    limits: [u8; LANES],
}

impl<S: Sample> NullaryFnOnce for Count<'_, S> {
    type Output = [[u32; LANES]; 2];

    #[inline(always)]
    fn call(self) -> Self::Output {
        let Self { codes, classes, is_unit, limits } = self;
        let vectors = Vectors::new();
        let mut sums = [[0u32; LANES]; 2];
        for ((sums, codes), samples) in sums.iter_mut().zip(codes).zip(classes) {
            if is_unit {
                for codes in codes.chunks(BYTE) {
                    let (limits, mut counts) = (vectors.of(limits), vectors.all(0));
                    for codes in codes {
                        let is_left = vectors.at_most(vectors.of(*codes), limits);
                        counts = vectors.add(counts, vectors.and(is_left, vectors.all(1)));
                    }
                    for (sum, count) in sums.iter_mut().zip(vectors.bytes(counts)) {
                        *sum += u32::from(count);
                    }
                }
                continue;
            }
            for (codes, sample) in codes.iter().zip(samples) {
                for lane in 0..LANES {
                    sums[lane] += if codes[lane] <= limits[lane] { sample.count() } else { 0 };
                }
            }
        }
        sums
    }
}

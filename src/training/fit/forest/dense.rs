//! The top of an extra tree: nodes that hold many of the rows, as one bit per row.
//!
//! A drawn cut needs the span of a column over the node's rows and how many of them lie on either side. Codes of all rows stand
//! side by side, so both are vector instructions over the whole column, whatever the node holds of it: a thirtieth of the time
//! that gathering the codes of a node takes, row by row. A node of few of the rows is left to lists of samples.
//!
//! In: `n_rows` codes per column, a bit per row. What a row counts for lies in planes of bits that the tree shares: one per
//! class and binary digit of the draws.

use super::bins::MISSING;
use super::samples::{Sample, Samples};

/// Rows of a word.
const WORD: usize = 64;
/// A node of at least one row in so many is worth a walk over all of them.
pub const SPARSE: usize = 8;

/// A bit per row.
pub type Bits = Vec<u64>;

/// What rows count for.
pub struct Planes {
    /// Class, binary digit of the draws, and the rows that have it.
    planes: Vec<(usize, u32, Bits)>,
}

impl Planes {
    /// Of all samples of a tree.
    pub fn of<S: Sample>(samples: &Samples<S>, n_rows: usize) -> Self {
        let mut planes: Vec<(usize, u32, Bits)> = Vec::new();
        let all = samples.all();
        for class in 0..2 {
            for sample in samples.of_class(class, &all) {
                let mut count = sample.count();
                while count != 0 {
                    let digit = count.trailing_zeros();
                    count &= count - 1;
                    let at = planes.iter().position(|plane| (plane.0, plane.1) == (class, digit));
                    let at = at.unwrap_or_else(|| {
                        planes.push((class, digit, vec![0; n_rows.div_ceil(WORD)]));
                        planes.len() - 1
                    });
                    planes[at].2[sample.row() / WORD] |= 1 << (sample.row() % WORD);
                }
            }
        }
        Self { planes }
    }

    /// All rows that count.
    pub fn any(&self, n_rows: usize) -> Bits {
        let mut any = vec![0; n_rows.div_ceil(WORD)];
        for (_, _, bits) in &self.planes {
            any.iter_mut().zip(bits).for_each(|(any, bits)| *any |= bits);
        }
        any
    }

    /// Draws of both classes whose code is at most `last`, among the rows of a node.
    pub fn count_up_to(&self, column: &[u8], node: &[u64], last: u8) -> [u32; 2] {
        walk(CountUpTo { planes: self, column, node, last })
    }

    /// The samples of a node, by class, in row order.
    pub fn samples<S: Sample>(&self, node: &[u64]) -> Samples<S> {
        let mut samples = Samples::default();
        for (word, &bits) in node.iter().enumerate() {
            let mut rest = bits;
            while rest != 0 {
                let bit = rest.trailing_zeros();
                rest &= rest - 1;
                let mut counts = [0; 2];
                for (class, digit, plane) in &self.planes {
                    counts[*class] += ((plane[word] >> bit & 1) as u32) << digit;
                }
                let row = (word * WORD) as u32 + bit;
                for (class, count) in counts.into_iter().enumerate() {
                    samples.push(class, row, count, 0.0);
                }
            }
        }
        samples
    }
}

pub fn n_rows(node: &[u64]) -> usize {
    node.iter().map(|bits| bits.count_ones() as usize).sum()
}

/// The lowest code of a node's rows and one more than the highest, without missing values; (`MISSING`, 0) where there is
/// nothing else.
pub fn span(column: &[u8], node: &[u64]) -> (u8, u8) {
    walk(Span { column, node })
}

/// The rows of a node whose code, plus `shift`, is at most `last`, and the others.
pub fn part(column: &[u8], node: &[u64], shift: u8, last: u8) -> [Bits; 2] {
    walk(Part { column, node, shift, last })
}

/// A walk over a column, a word of codes at a time.
pub trait Walk {
    type Found;
    fn walk(self, with: impl Instructions) -> Self::Found;
}

/// What a walk asks the processor about a word of codes.
pub trait Instructions: Copy {
    /// The lowest code by place in a vector, and one more than the highest.
    type Ends: Copy;
    /// A bit per code: whether it, plus `shift`, is at most `last`.
    fn at_most(self, codes: &[u8; WORD], shift: u8, last: u8) -> u64;
    fn no_ends(self) -> Self::Ends;
    /// Takes the codes whose bits are set in. One more than the highest makes 0 of missing values.
    fn widen(self, ends: Self::Ends, codes: &[u8; WORD], bits: u64) -> Self::Ends;
    fn span(self, ends: Self::Ends) -> (u8, u8);
}

fn walk<W: Walk>(walk: W) -> W::Found {
    #[cfg(target_arch = "x86_64")]
    if let Some(v3) = pulp::x86::V3::try_new() {
        return v3.vectorize(avx2::Walked { v3, walk });
    }
    walk.walk(Plain)
}

/// Whole words of codes, and what is left of the column filled up with missing ones.
fn words(column: &[u8]) -> (&[[u8; WORD]], [u8; WORD]) {
    let (words, rest) = column.as_chunks::<WORD>();
    let mut last = [MISSING; WORD];
    last[..rest.len()].copy_from_slice(rest);
    (words, last)
}

struct CountUpTo<'a> {
    planes: &'a Planes,
    column: &'a [u8],
    node: &'a [u64],
    last: u8,
}

impl Walk for CountUpTo<'_> {
    type Found = [u32; 2];

    #[inline(always)]
    fn walk(self, with: impl Instructions) -> [u32; 2] {
        let Self { planes, column, node, last } = self;
        let (whole, rest) = words(column);
        let mut counts = [0; 2];
        // Some words at a time, so that what is found stays near while the planes are counted.
        let mut found = [0u64; 256];
        for (block, node) in node.chunks(found.len()).enumerate() {
            let first = block * found.len();
            for (at, &bits) in node.iter().enumerate() {
                let word = whole.get(first + at).unwrap_or(&rest);
                found[at] = if bits == 0 { 0 } else { with.at_most(word, 0, last) & bits };
            }
            for (class, digit, plane) in &planes.planes {
                let plane = &plane[first..][..node.len()];
                let n: u32 = found.iter().zip(plane).map(|(found, plane)| (found & plane).count_ones()).sum();
                counts[*class] += n << digit;
            }
        }
        counts
    }
}

struct Span<'a> {
    column: &'a [u8],
    node: &'a [u64],
}

impl Walk for Span<'_> {
    type Found = (u8, u8);

    #[inline(always)]
    fn walk(self, with: impl Instructions) -> (u8, u8) {
        let (whole, rest) = words(self.column);
        let mut ends = with.no_ends();
        for (at, &bits) in self.node.iter().enumerate() {
            if bits != 0 {
                ends = with.widen(ends, whole.get(at).unwrap_or(&rest), bits);
            }
        }
        with.span(ends)
    }
}

struct Part<'a> {
    column: &'a [u8],
    node: &'a [u64],
    shift: u8,
    last: u8,
}

impl Walk for Part<'_> {
    type Found = [Bits; 2];

    #[inline(always)]
    fn walk(self, with: impl Instructions) -> [Bits; 2] {
        let Self { column, node, shift, last } = self;
        let (whole, rest) = words(column);
        let (mut left, mut right) = (Vec::with_capacity(node.len()), Vec::with_capacity(node.len()));
        for (at, &bits) in node.iter().enumerate() {
            let found = with.at_most(whole.get(at).unwrap_or(&rest), shift, last);
            left.push(bits & found);
            right.push(bits & !found);
        }
        [left, right]
    }
}

/// Code by code.
#[derive(Clone, Copy)]
struct Plain;

impl Instructions for Plain {
    type Ends = (u8, u8);

    fn at_most(self, codes: &[u8; WORD], shift: u8, last: u8) -> u64 {
        let bit = |(at, code): (usize, &u8)| u64::from(code.wrapping_add(shift) <= last) << at;
        codes.iter().enumerate().map(bit).fold(0, |bits, bit| bits | bit)
    }

    fn no_ends(self) -> (u8, u8) {
        (MISSING, 0)
    }

    fn widen(self, ends: (u8, u8), codes: &[u8; WORD], bits: u64) -> (u8, u8) {
        let held = codes.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1);
        held.fold(ends, |(low, high), (_, &code)| (low.min(code), high.max(code.wrapping_add(1))))
    }

    fn span(self, ends: (u8, u8)) -> (u8, u8) {
        ends
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::__m256i;

    use pulp::x86::V3;
    use pulp::{NullaryFnOnce, cast};

    use super::*;

    const LANES: usize = 32;

    /// Of 32 bits each byte eight times, and of each time another bit.
    const BYTES: [u64; 4] = [0, 0x0101_0101_0101_0101, 0x0202_0202_0202_0202, 0x0303_0303_0303_0303];
    const BIT: [u64; 4] = [0x8040_2010_0804_0201; 4];

    pub struct Walked<W> {
        pub v3: V3,
        pub walk: W,
    }

    impl<W: Walk> NullaryFnOnce for Walked<W> {
        type Output = W::Found;

        #[inline(always)]
        fn call(self) -> W::Found {
            self.walk.walk(self.v3)
        }
    }

    impl Instructions for V3 {
        type Ends = [__m256i; 2];

        #[inline(always)]
        fn at_most(self, codes: &[u8; WORD], shift: u8, last: u8) -> u64 {
            let (avx, avx2) = (self.avx, self.avx2);
            let (shift, last) = (avx._mm256_set1_epi8(shift as i8), avx._mm256_set1_epi8(last as i8));
            let mut bits = 0;
            for half in 0..2 {
                let codes = avx2._mm256_add_epi8(cast(codes.as_chunks::<LANES>().0[half]), shift);
                let found = avx2._mm256_cmpeq_epi8(avx2._mm256_min_epu8(codes, last), codes);
                bits |= u64::from(avx2._mm256_movemask_epi8(found) as u32) << (LANES * half);
            }
            bits
        }

        #[inline(always)]
        fn no_ends(self) -> [__m256i; 2] {
            [self.avx._mm256_set1_epi8(MISSING as i8), self.avx._mm256_setzero_si256()]
        }

        #[inline(always)]
        fn widen(self, [mut low, mut high]: [__m256i; 2], codes: &[u8; WORD], bits: u64) -> [__m256i; 2] {
            let (avx, avx2) = (self.avx, self.avx2);
            for half in 0..2 {
                let codes = cast(codes.as_chunks::<LANES>().0[half]);
                let bits = avx._mm256_set1_epi32((bits >> (LANES * half)) as i32);
                let bytes = avx2._mm256_shuffle_epi8(bits, cast(BYTES));
                let bit = avx2._mm256_and_si256(bytes, cast(BIT));
                let others = avx2._mm256_cmpeq_epi8(bit, avx._mm256_setzero_si256());
                // Others become 255 for the lowest and 0 for the highest; adding one makes 0 of missing values.
                low = avx2._mm256_min_epu8(low, avx2._mm256_or_si256(codes, others));
                let next = avx2._mm256_add_epi8(codes, avx._mm256_set1_epi8(1));
                high = avx2._mm256_max_epu8(high, avx2._mm256_andnot_si256(others, next));
            }
            [low, high]
        }

        #[inline(always)]
        fn span(self, [low, high]: [__m256i; 2]) -> (u8, u8) {
            let [low, high]: [[u8; LANES]; 2] = [cast(low), cast(high)];
            (low.into_iter().fold(MISSING, u8::min), high.into_iter().fold(0, u8::max))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What vectors say of a column is what a loop over its rows says.
        #[test]
        fn walks_find_what_a_slow_loop_finds(
            column in prop::collection::vec(any::<u8>(), 1..400), seed in any::<u64>(), (shift, last) in (0u8..2, any::<u8>()),
        ) {
            let mut state = seed | 1;
            let mut bits = || -> Bits {
                let words = (0..column.len().div_ceil(WORD)).map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    // Some words are empty.
                    if state >> 62 == 0 { 0 } else { state ^ state >> 29 }
                });
                let mut bits: Bits = words.collect();
                if column.len() % WORD > 0 {
                    *bits.last_mut().unwrap() &= (1 << (column.len() % WORD)) - 1;
                }
                bits
            };
            let (node, planes) = (bits(), [(0, 0, bits()), (1, 0, bits()), (1, 3, bits())]);
            let has = |bits: &[u64], row: usize| bits[row / WORD] >> (row % WORD) & 1 == 1;
            let rows: Vec<usize> = (0..column.len()).filter(|&row| has(&node, row)).collect();
            let values = || rows.iter().map(|&row| column[row]).filter(|&code| code != MISSING);
            let expected = values().min().zip(values().max()).map_or((MISSING, 0), |(low, high)| (low, high + 1));
            prop_assert_eq!(span(&column, &node), expected);
            let mut counts = [0; 2];
            for &row in rows.iter().filter(|&&row| column[row] <= last) {
                planes.iter().filter(|(_, _, bits)| has(bits, row)).for_each(|(class, digit, _)| counts[*class] += 1 << digit);
            }
            let planes = Planes { planes: planes.to_vec() };
            prop_assert_eq!(planes.count_up_to(&column, &node, last), counts);
            let walk = Span { column: &column, node: &node };
            prop_assert_eq!(walk.walk(Plain), expected);
            let [left, right] = part(&column, &node, shift, last);
            let plain = Part { column: &column, node: &node, shift, last }.walk(Plain);
            prop_assert_eq!(&plain, &[left.clone(), right.clone()]);
            for (row, code) in column.iter().enumerate() {
                let goes_left = code.wrapping_add(shift) <= last;
                prop_assert_eq!(has(&left, row), has(&node, row) && goes_left);
                prop_assert_eq!(has(&right, row), has(&node, row) && !goes_left);
            }
        }
    }
}

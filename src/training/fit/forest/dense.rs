//! The top of an extra tree: nodes that hold many of the rows, as one bit per row.
//!
//! A drawn cut needs the span of a column over the node's rows and how many of them lie on either side. Codes of all rows stand
//! side by side, so both are vector instructions over the whole column, whatever the node holds of it: a thirtieth of the time
//! that gathering the codes of a node takes, row by row. A node of few of the rows is left to lists of samples.
//!
//! In: `n_rows` codes per column, a bit per row. What a row counts for lies in planes of bits that the tree shares: one per
//! class and binary digit of the draws.

use pulp::{Arch, NullaryFnOnce};

use super::bins::MISSING;
use super::samples::{Sample, Samples};
use super::sixteen::{LANES, Vectors};

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
        Arch::new().dispatch(CountUpTo { planes: self, column, node, last })
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
    Arch::new().dispatch(Span { column, node })
}

/// The rows of a node whose code, plus `shift`, is at most `last`, and the others.
pub fn part(column: &[u8], node: &[u64], shift: u8, last: u8) -> [Bits; 2] {
    Arch::new().dispatch(Part { column, node, shift, last })
}

/// Whole words of codes, and what is left of the column filled up with missing ones.
fn words(column: &[u8]) -> (&[[u8; WORD]], [u8; WORD]) {
    let (words, rest) = column.as_chunks::<WORD>();
    let mut last = [MISSING; WORD];
    last[..rest.len()].copy_from_slice(rest);
    (words, last)
}

/// A bit per code of a word: whether it is at most the limit, which stands in all lanes.
#[inline(always)]
fn at_most(vectors: Vectors, codes: &[u8; WORD], shift: u8, last: u8) -> u64 {
    let (shift, last) = (vectors.all(shift), vectors.all(last));
    let sixteens = codes.as_chunks::<LANES>().0;
    let bits = |at: usize| {
        let codes = vectors.add(vectors.of(sixteens[at]), shift);
        u64::from(vectors.high_bits(vectors.at_most(codes, last))) << (LANES * at)
    };
    bits(0) | bits(1) | bits(2) | bits(3)
}

struct CountUpTo<'a> {
    planes: &'a Planes,
    column: &'a [u8],
    node: &'a [u64],
    last: u8,
}

impl NullaryFnOnce for CountUpTo<'_> {
    type Output = [u32; 2];

    #[inline(always)]
    fn call(self) -> [u32; 2] {
        let Self { planes, column, node, last } = self;
        let vectors = Vectors::new();
        let (whole, rest) = words(column);
        let mut counts = [0; 2];
        // A thousand words at a time, so that what is found stays near while the planes are counted.
        let mut found = [0u64; 256];
        for (block, node) in node.chunks(found.len()).enumerate() {
            let first = block * found.len();
            for (at, &bits) in node.iter().enumerate() {
                let codes = whole.get(first + at).unwrap_or(&rest);
                found[at] = if bits == 0 { 0 } else { at_most(vectors, codes, 0, last) & bits };
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

impl NullaryFnOnce for Span<'_> {
    type Output = (u8, u8);

    #[inline(always)]
    fn call(self) -> (u8, u8) {
        let vectors = Vectors::new();
        let (whole, rest) = words(self.column);
        let (mut low, mut high) = (vectors.all(MISSING), vectors.all(0));
        for (at, &bits) in self.node.iter().enumerate() {
            if bits == 0 {
                continue;
            }
            let codes = whole.get(at).unwrap_or(&rest);
            for (at, codes) in codes.as_chunks::<LANES>().0.iter().enumerate() {
                let (codes, held) = (vectors.of(*codes), vectors.spread((bits >> (LANES * at)) as u16));
                // Others become 255 for the lowest and 0 for the highest; adding one makes 0 of missing values.
                low = vectors.min(low, vectors.or_not(codes, held));
                high = vectors.max(high, vectors.and(vectors.add(codes, vectors.all(1)), held));
            }
        }
        let (low, high) = (vectors.bytes(low), vectors.bytes(high));
        (low.into_iter().fold(MISSING, u8::min), high.into_iter().fold(0, u8::max))
    }
}

struct Part<'a> {
    column: &'a [u8],
    node: &'a [u64],
    shift: u8,
    last: u8,
}

impl NullaryFnOnce for Part<'_> {
    type Output = [Bits; 2];

    #[inline(always)]
    fn call(self) -> [Bits; 2] {
        let Self { column, node, shift, last } = self;
        let vectors = Vectors::new();
        let (whole, rest) = words(column);
        let (mut left, mut right) = (Vec::with_capacity(node.len()), Vec::with_capacity(node.len()));
        for (at, &bits) in node.iter().enumerate() {
            let found = at_most(vectors, whole.get(at).unwrap_or(&rest), shift, last);
            left.push(bits & found);
            right.push(bits & !found);
        }
        [left, right]
    }
}

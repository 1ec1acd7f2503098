//! A block of rows down one tree. In: their codes. Out: the values of the leaves they reach, added to their sums.
//!
//! While a node holds many of the block's rows they are one bit per row, and a split is a comparison of its whole column.
//! Trees on rare frauds are deep (a row of creditcard.csv passes 32 splits of each tree of a random forest, one of the
//! stand-in for IEEE-CIS 60) and most rows stay together: 2.4 times as fast on the former as rows that descend one by one,
//! 1.3 times on the latter. A node of few rows lets them descend by eight side by side, so that waits for memory overlap.

use super::super::LANES;
use super::{Codes, Ranked, SUBSET_SPLIT};

/// Rows of a word of bits.
pub const WORD: usize = 64;
/// Many, so that each tree is fetched rarely.
pub const MAX_BLOCK_ROWS: usize = 4096;
/// A node of at least one row in so many is worth a walk over all of them.
const SPARSE: usize = 12;

/// A bit per row of a block.
type Bits = [u64; MAX_BLOCK_ROWS / WORD];

/// Memory that is kept from tree to tree.
#[derive(Default)]
pub struct Walk {
    open: Vec<(u32, Bits)>,
    rows: Vec<u16>,
}

impl Walk {
    /// Takes at most `MAX_BLOCK_ROWS` rows.
    pub fn down<const HAS_SUBSETS: bool>(&mut self, forest: &Ranked, root: u32, codes: &Codes, sums: &mut [f64]) {
        self.open.push((root, all(sums.len())));
        let n_words = sums.len().div_ceil(WORD);
        while let Some((at, bits)) = self.open.pop() {
            let n_rows: u32 = bits[..n_words].iter().map(|word| word.count_ones()).sum();
            if n_rows as usize * SPARSE < sums.len() {
                self.rows.clear();
                each(&bits[..n_words], |row| self.rows.push(row as u16));
                forest.descend::<HAS_SUBSETS>(at, &self.rows, codes, sums);
                continue;
            }
            let node = forest.nodes[at as usize];
            let is_subset = HAS_SUBSETS && node as u8 == SUBSET_SPLIT;
            let left = if is_subset { forest.subsets[(node >> 32) as usize].left } else { (node >> 32) as u32 };
            if left == at && !is_subset {
                let value = f64::from(forest.values[at as usize]);
                each(&bits[..n_words], |row| sums[row] += value);
                continue;
            }
            let column = codes.column((node >> 16) as usize & 0xffff);
            let (mut lefts, mut rights) = (bits, bits);
            for ((lefts, rights), codes) in lefts.iter_mut().zip(&mut rights).zip(column) {
                let goes_left = match is_subset {
                    true => bits_of(codes, |code| forest.next::<HAS_SUBSETS>(node, code) == left),
                    false => bits_of(codes, |code| code.wrapping_sub(node as u8) <= (node >> 8) as u8),
                };
                *lefts &= goes_left;
                *rights &= !goes_left;
            }
            for (child, bits) in [(left + 1, rights), (left, lefts)] {
                if bits[..n_words].iter().any(|word| *word != 0) {
                    self.open.push((child, bits));
                }
            }
        }
    }
}

impl Ranked {
    /// Rows that share a node, side by side to their leaves.
    fn descend<const HAS_SUBSETS: bool>(&self, node: u32, rows: &[u16], codes: &Codes, sums: &mut [f64]) {
        for rows in rows.chunks(LANES) {
            let of_lane: [&[u8]; LANES] = std::array::from_fn(|lane| codes.row(rows[lane.min(rows.len() - 1)]));
            let mut at = [node; LANES];
            loop {
                let mut moved = 0;
                for (at, codes) in at.iter_mut().zip(&of_lane) {
                    let node = self.nodes[*at as usize];
                    let next = self.next::<HAS_SUBSETS>(node, codes[(node >> 16) as usize & 0xffff]);
                    moved |= next ^ *at;
                    *at = next;
                }
                if moved == 0 {
                    break;
                }
            }
            for (&row, leaf) in rows.iter().zip(at) {
                sums[usize::from(row)] += f64::from(self.values[leaf as usize]);
            }
        }
    }
}

/// The first rows of a block.
fn all(n_rows: usize) -> Bits {
    std::array::from_fn(|word| match n_rows.saturating_sub(word * WORD) {
        0 => 0,
        rest @ 1..WORD => (1 << rest) - 1,
        _ => u64::MAX,
    })
}

/// Calls `f` with every row that has a bit, in order.
#[inline(always)]
fn each(bits: &[u64], mut f: impl FnMut(usize)) {
    for (word, &bits) in bits.iter().enumerate() {
        let mut rest = bits;
        while rest != 0 {
            f(word * WORD + rest.trailing_zeros() as usize);
            rest &= rest - 1;
        }
    }
}

/// A bit per code.
#[inline(always)]
fn bits_of(codes: &[u8; WORD], holds: impl Fn(u8) -> bool) -> u64 {
    let found = codes.map(|code| u8::from(holds(code)));
    // Of eight bytes of 0 or 1 the product has each in its highest byte, a bit apart.
    let bits = |eight: &[u8; 8]| u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
    found.as_chunks::<8>().0.iter().rev().fold(0, |all, eight| all << 8 | bits(eight))
}

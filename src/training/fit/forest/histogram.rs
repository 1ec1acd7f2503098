//! Sums per bin of one column in one node, and the cuts between them. An optimal cut of two classes never lies between two bins
//! that hold the same class alone (Fayyad & Irani 1992: cost is concave along such a run), so only the others are judged.

use super::cuts::Cuts;
use super::samples::Sum;

/// Sums per bin of one column in one node. Empty between searches.
pub struct Histogram<T> {
    pub bins: [T; 256],
    /// Whether a bin is occupied, where a node is small.
    pub seen: [u8; 256],
}

impl<T: Sum> Histogram<T> {
    #[inline(always)]
    pub fn add(&mut self, code: u8, sum: T) {
        let code = usize::from(code);
        self.bins[code] = self.bins[code].plus(sum);
        self.seen[code] = 1;
    }

    /// The cuts of a small node: between its occupied bins, where they are worth it (or `every` one). Returns how many
    /// bins are occupied, and the sum of all. Empties the histogram.
    pub fn cuts_between_occupied(&mut self, cuts: &mut Cuts<T>, every: bool) -> (u32, T) {
        cuts.clear();
        let (mut n_occupied, mut left, mut before) = (0, T::default(), 0);
        for (word, seen) in self.seen.as_chunks_mut::<64>().0.iter_mut().enumerate() {
            let mut bits = 0;
            for (at, eight) in seen.as_chunks_mut::<8>().0.iter_mut().enumerate() {
                // The product moves the eight lowest bits together.
                bits |= (u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * at);
                *eight = [0; 8];
            }
            n_occupied += bits.count_ones();
            while bits != 0 {
                let bin = word * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let sum = std::mem::take(&mut self.bins[bin]);
                let classes = classes_of(sum);
                cuts.push_if(before != 0 && (classes != before || classes == BOTH || every), bin as u8, left);
                left = left.plus(sum);
                before = classes;
            }
        }
        (n_occupied, left)
    }

    /// The cuts below all bins, also where nothing or one class alone lies between: in a large node that costs less than
    /// to choose. Else as [`Self::cuts_between_occupied`].
    pub fn cuts_below_all(&mut self, cuts: &mut Cuts<T>, n_bins: usize) -> (u32, T) {
        let n_occupied = self.seen[..n_bins].iter().map(|&seen| u32::from(seen)).sum();
        let all = cuts.set_all(&self.bins[..n_bins]);
        self.bins[..n_bins].fill(T::default());
        self.seen[..n_bins].fill(0);
        (n_occupied, all)
    }
}

/// Bit 0: there are negatives, bit 1: there are positives.
const BOTH: u8 = 3;

fn classes_of(sum: impl Sum) -> u8 {
    let [negatives, positives] = sum.counts();
    u8::from(negatives > 0) | u8::from(positives > 0) << 1
}

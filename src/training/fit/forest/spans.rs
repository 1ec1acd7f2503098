//! What the bins of all columns span, side by side, for cuts that are drawn between values.
//!
//! A small node draws from some columns and reads a handful of numbers of each: what matters is how many lines of memory they
//! lie in. The smallest and the largest value of a bin stand together, and a number's bin is not searched from the middle of
//! the column but where its place within the column's span says: mostly among one or two.

/// Of every bin the smallest and the largest value.
#[derive(Debug, Default)]
pub struct Spans {
    spans: Vec<[f32; 2]>,
    /// Where each column's begin.
    first: Vec<usize>,
    /// The smallest value of a column, and parts per unit.
    scale: Vec<[f64; 2]>,
    /// How many bins of a column end below each of its parts, and in all.
    below: Vec<[u8; PARTS + 1]>,
}

/// Parts of a column's span: a number drawn from it mostly lies in one where a bin or two end.
const PARTS: usize = 255;

impl Spans {
    pub fn push(&mut self, spans: &[[f32; 2]]) {
        let ends = spans.first().zip(spans.last()).map(|(first, last)| [f64::from(first[0]), f64::from(last[1])]);
        let scale = ends.map_or([0.0; 2], |[min, max]| [min, PARTS as f64 / (max - min)]);
        let mut below = [0u8; PARTS + 1];
        for &[_, max] in spans {
            below[part(scale, f64::from(max)) + 1..].iter_mut().for_each(|below| *below += 1);
        }
        self.first.push(self.spans.len());
        self.spans.extend_from_slice(spans);
        self.scale.push(scale);
        self.below.push(below);
    }

    /// Of each bin of a column.
    pub fn of(&self, feature: usize) -> &[[f32; 2]] {
        let end = self.first.get(feature + 1).copied().unwrap_or(self.spans.len());
        &self.spans[self.first[feature]..end]
    }

    /// The smallest value of bin `low` and the largest of bin `high`.
    #[inline]
    pub fn values(&self, feature: usize, low: u8, high: u8) -> [f64; 2] {
        let at = |bin: u8| self.spans[self.first[feature] + usize::from(bin)];
        [f64::from(at(low)[0]), f64::from(at(high)[1])]
    }

    /// The bins, of `first..=last`, among whose ends the place of `x` is: all below end below it, and all others above.
    #[inline]
    pub fn around(&self, feature: usize, [first, last]: [u8; 2], x: f64) -> [u8; 2] {
        let part = part(self.scale[feature], x);
        [part, part + 1].map(|part| self.below[feature][part].clamp(first, last + 1))
    }

    /// The last bin, of those from `first` on, whose values are all at or below `x`, which lies `around`; none if `x` is below
    /// the end of the first.
    #[inline]
    pub fn last_within(&self, feature: usize, first: u8, around: [u8; 2], x: f64) -> Option<u8> {
        let [from, to] = around.map(|bin| self.first[feature] + usize::from(bin));
        let n_within = usize::from(around[0]) + self.spans[from..to].partition_point(|&[_, max]| f64::from(max) <= x);
        (n_within > usize::from(first)).then(|| (n_within - 1) as u8)
    }
}

/// Which part of the column's span a number lies in; a greater number never in a lower one.
fn part([min, scale]: [f64; 2], x: f64) -> usize {
    // Not a number where all values are one.
    (((x - min) * scale) as usize).min(PARTS - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// As by looking at all bins, whatever they span.
        #[test]
        fn a_number_is_placed_as_by_a_search(
            mut ends in prop::collection::vec(prop_oneof![any::<f32>(), -3.0f32..3.0, 0.0f32..1e-38], 2..500),
            picks in prop::collection::vec((any::<u8>(), any::<u8>(), 0.0f64..1.0), 20),
        ) {
            ends.retain(|end| end.is_finite());
            ends.sort_by(f32::total_cmp);
            ends.dedup();
            let spans: Vec<[f32; 2]> = ends.as_chunks::<2>().0.to_vec();
            prop_assume!(!spans.is_empty());
            let mut all = Spans::default();
            for _ in 0..2 {
                all.push(&spans);
            }
            prop_assert_eq!(all.of(1), &spans[..]);
            for (a, b, share) in picks {
                let [a, b] = [a, b].map(|bin| bin % spans.len() as u8);
                let (first, last) = (a.min(b), a.max(b));
                let [min, max] = all.values(1, first, last);
                prop_assert_eq!([min, max], [f64::from(spans[usize::from(first)][0]), f64::from(spans[usize::from(last)][1])]);
                for x in [min + share * (max - min), min, max] {
                    let slow = (first..=last).take_while(|&bin| f64::from(spans[usize::from(bin)][1]) <= x).last();
                    prop_assert_eq!(all.last_within(1, first, all.around(1, [first, last], x), x), slow);
                }
            }
        }
    }
}

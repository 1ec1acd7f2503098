//! The distinct values of a column in order, and how they are shared out among bins.

/// Digits of a radix sort: three cover 32 bits.
const DIGIT_BITS: usize = 11;
const N_DIGITS: usize = 3;
/// Shorter columns are sorted by comparison.
const SHORT: usize = 2048;

/// Room to sort columns in.
#[derive(Default)]
pub struct Sorting {
    keys: Vec<u32>,
    spare: Vec<u32>,
}

impl Sorting {
    /// Distinct values, ascending, and how many there are of each; without missing ones.
    pub fn distinct(&mut self, values: &[f32]) -> Vec<(f32, u32)> {
        self.keys.clear();
        self.keys.extend(values.iter().filter(|x| !x.is_nan()).map(|&x| ordered_bits(x)));
        self.sort();
        let n_distinct = self.keys.windows(2).filter(|pair| pair[0] != pair[1]).count() + 1;
        let mut distinct = Vec::with_capacity(n_distinct);
        distinct.extend(self.keys.chunk_by(|a, b| a == b).map(|run| (from_ordered_bits(run[0]), run.len() as u32)));
        distinct
    }

    /// Digit by digit from the lowest, each pass keeping the order of the one before.
    fn sort(&mut self) {
        if self.keys.len() < SHORT {
            return self.keys.sort_unstable();
        }
        let digit = |key: u32, at: usize| (key >> (at * DIGIT_BITS)) as usize & ((1 << DIGIT_BITS) - 1);
        let mut counts = vec![[0u32; 1 << DIGIT_BITS]; N_DIGITS];
        for &key in &self.keys {
            for (at, counts) in counts.iter_mut().enumerate() {
                counts[digit(key, at)] += 1;
            }
        }
        self.spare.resize(self.keys.len(), 0);
        for (at, counts) in counts.iter_mut().enumerate() {
            if counts.contains(&(self.keys.len() as u32)) {
                continue;
            }
            let mut start = 0;
            for count in counts.iter_mut() {
                start += std::mem::replace(count, start);
            }
            for &key in &self.keys {
                let place = &mut counts[digit(key, at)];
                self.spare[*place as usize] = key;
                *place += 1;
            }
            std::mem::swap(&mut self.keys, &mut self.spare);
        }
    }
}

/// A number's bits so that whole numbers have the order of the values; a missing one comes after (or before) all.
pub fn ordered_bits(x: f32) -> u32 {
    let bits = x.to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

fn from_ordered_bits(bits: u32) -> f32 {
    f32::from_bits(if bits >> 31 == 1 { bits & !(1 << 31) } else { !bits })
}

/// How many distinct values each bin takes: a bin closes when it holds its share of what is left. Shares are taken of
/// the arcsine of the square root of the rank: bins of the middle hold up to pi/2 times as many rows as equal ones
/// would, those of the tails far fewer (the first about n / 26,000 instead of n / 255). Rare frauds lie in the tails.
pub fn quantile_groups(distinct: &[(f32, u32)], bins: usize) -> Vec<usize> {
    let n_rows: f64 = distinct.iter().map(|(_, count)| f64::from(*count)).sum();
    // libm, so that the bits do not depend on the platform's functions.
    let measure = |rank: f64| libm::asin((rank / n_rows).min(1.0).sqrt());
    // The rank at which a bin that starts at a measure has its share.
    let full = |start: f64, bins_left: usize| {
        let end = start + (std::f64::consts::FRAC_PI_2 - start) / bins_left as f64;
        (libm::sin(end).powi(2) * n_rows).ceil() as u64
    };
    let mut groups = Vec::with_capacity(bins);
    let (mut length, mut rank, mut end) = (0, 0, full(0.0, bins));
    for (at, &(_, count)) in distinct.iter().enumerate() {
        length += 1;
        rank += u64::from(count);
        let bins_left = bins - groups.len();
        // As many values as bins are left: each keeps its own.
        let few_left = distinct.len() - (at + 1) < bins_left;
        if bins_left > 1 && (rank >= end || few_left) {
            groups.push(length);
            length = 0;
            end = full(measure(rank as f64), bins_left - 1);
        }
    }
    if length > 0 {
        groups.push(length);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::fit::forest::samples::{below, unit};
    use crate::training::seed::Seed;

    #[test]
    fn distinct_values_come_in_order_with_their_counts() {
        let mut rng = Seed::new(1).rng();
        for n in [0, 1, 100, SHORT, 3 * SHORT] {
            for n_values in [1, 7, 1_000_000] {
                let draw = |_| ((unit(&mut rng) - 0.5) * 1e3).exp() as f32 * below(&mut rng, n_values) as f32 - 3.0;
                let mut values: Vec<f32> = (0..n).map(draw).map(|x| x.clamp(f32::MIN, f32::MAX)).collect();
                values.extend([f32::NAN, -f32::NAN]);
                let found = Sorting::default().distinct(&values);
                values.retain(|x| !x.is_nan());
                values.sort_unstable_by(f32::total_cmp);
                let expected = values.chunk_by(|a, b| a == b).map(|run| (run[0], run.len() as u32));
                assert_eq!(found, expected.collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn bits_keep_the_order_of_numbers() {
        let numbers = [f32::MIN, -1.5, -1e-45, 0.0, 1e-45, 0.1, 1.0, f32::MAX];
        assert!(numbers.windows(2).all(|pair| ordered_bits(pair[0]) < ordered_bits(pair[1])));
        assert!(numbers.iter().all(|&x| from_ordered_bits(ordered_bits(x)) == x));
    }
}

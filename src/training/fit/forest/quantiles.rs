//! The values of a column in order, and how they are shared out among bins.

use std::ops::Range;

/// Digits of a radix sort: three cover 32 bits.
const DIGIT_BITS: usize = 11;
const N_DIGITS: usize = 3;
/// Shorter columns are sorted by comparison.
const SHORT: usize = 2048;

/// All values but missing ones, ascending, as numbers of the same order. `room` is for twice as many.
pub fn sorted<'a>(values: &[f32], room: &'a mut [u32]) -> &'a [u32] {
    let (keys, spare) = room.split_at_mut(values.len());
    let mut n = 0;
    for x in values.iter().filter(|x| !x.is_nan()) {
        keys[n] = ordered_bits(*x);
        n += 1;
    }
    sort(&mut keys[..n], &mut spare[..n])
}

/// Digit by digit from the lowest, each pass keeping the order of the one before; in one of the two.
fn sort<'a>(mut keys: &'a mut [u32], mut spare: &'a mut [u32]) -> &'a [u32] {
    if keys.len() < SHORT {
        keys.sort_unstable();
        return keys;
    }
    let digit = |key: u32, at: usize| (key >> (at * DIGIT_BITS)) as usize & ((1 << DIGIT_BITS) - 1);
    let mut counts = vec![[0u32; 1 << DIGIT_BITS]; N_DIGITS];
    for &key in keys.iter() {
        for (at, counts) in counts.iter_mut().enumerate() {
            counts[digit(key, at)] += 1;
        }
    }
    for (at, counts) in counts.iter_mut().enumerate() {
        if counts.contains(&(keys.len() as u32)) {
            continue;
        }
        let mut start = 0;
        for count in counts.iter_mut() {
            start += std::mem::replace(count, start);
        }
        for &key in keys.iter() {
            let place = &mut counts[digit(key, at)];
            spare[*place as usize] = key;
            *place += 1;
        }
        std::mem::swap(&mut keys, &mut spare);
    }
    keys
}

/// A number's bits so that whole numbers have the order of the values; a missing one comes after (or before) all.
pub fn ordered_bits(x: f32) -> u32 {
    let bits = x.to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

pub fn from_ordered_bits(bits: u32) -> f32 {
    f32::from_bits(if bits >> 31 == 1 { bits & !(1 << 31) } else { !bits })
}

/// Where the bins lie in ordered numbers: every distinct one its own where there are at most `bins`; else a bin closes when it
/// holds its share of what is left. Shares are taken of the arcsine of the square root of the rank: bins of the middle hold
/// up to pi/2 times as many rows as equal ones would, those of the tails far fewer (the first about n / 26,000 instead of
/// n / 255). Rare frauds lie in the tails.
pub fn quantile_bins(ordered: &[u32], bins: usize) -> Vec<Range<usize>> {
    let n_rows = ordered.len() as f64;
    // libm, so that the bits do not depend on the platform's functions.
    let measure = |rank: f64| libm::asin((rank / n_rows).min(1.0).sqrt());
    // The rank at which a bin that starts at a measure has its share.
    let full = |start: f64, bins_left: usize| {
        let end = start + (std::f64::consts::FRAC_PI_2 - start) / bins_left as f64;
        (libm::sin(end).powi(2) * n_rows).ceil() as usize
    };
    let end_of_run = |at: usize| at + ordered[at..].iter().take_while(|&&key| key == ordered[at]).count();
    let starts = last_starts(ordered, bins + 1);
    let few = starts.len() <= bins;
    let (mut found, mut start) = (Vec::with_capacity(starts.len().min(bins)), 0);
    while start < ordered.len() {
        let end = match bins - found.len() {
            _ if few => end_of_run(start),
            1 => ordered.len(),
            bins_left => {
                let share = full(measure(start as f64), bins_left).clamp(start + 1, ordered.len());
                // As many values as bins are left: each keeps its own.
                let few_left = starts[bins_left - 2].max(end_of_run(start));
                end_of_run(share - 1).min(few_left)
            }
        };
        found.push(start..end);
        start = end;
    }
    found
}

/// Where the last distinct numbers begin, the last one first: `n` of them, or all.
fn last_starts(ordered: &[u32], n: usize) -> Vec<usize> {
    let begins = |&at: &usize| at == 0 || ordered[at - 1] != ordered[at];
    (0..ordered.len()).rev().filter(begins).take(n).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::training::fit::forest::samples::{below, unit};
    use crate::training::seed::Seed;

    /// Bins as they are defined, value by value.
    fn slow_bins(ordered: &[u32], bins: usize) -> Vec<Range<usize>> {
        let n_rows = ordered.len() as f64;
        let runs: Vec<usize> = ordered.chunk_by(|a, b| a == b).map(<[u32]>::len).collect();
        let end_of = |rank: usize, bins_left: usize| {
            let start = libm::asin((rank as f64 / n_rows).sqrt());
            let end = start + (std::f64::consts::FRAC_PI_2 - start) / bins_left as f64;
            libm::sin(end).powi(2) * n_rows
        };
        let (mut found, mut start, mut rank) = (Vec::new(), 0, 0);
        for (at, run) in runs.iter().enumerate() {
            rank += run;
            let (bins_left, n_right) = (bins - found.len(), runs.len() - (at + 1));
            let is_full = rank as f64 >= end_of(start, bins_left).ceil();
            if runs.len() <= bins || n_right == 0 || (bins_left > 1 && (is_full || n_right < bins_left)) {
                found.push(start..rank);
                start = rank;
            }
        }
        found
    }

    proptest! {
        #[test]
        fn bins_are_those_found_value_by_value(
            runs in prop::collection::vec(prop_oneof![Just(1usize), 1usize..4, 1usize..400], 1..600), bins in 2usize..255,
        ) {
            let ordered: Vec<u32> = runs.iter().zip(0..).flat_map(|(&run, key)| vec![key * 3; run]).collect();
            let found = quantile_bins(&ordered, bins);
            prop_assert_eq!(found.len(), runs.len().min(bins));
            prop_assert_eq!(found, slow_bins(&ordered, bins));
        }
    }

    #[test]
    fn values_come_in_order() {
        let mut rng = Seed::new(1).rng();
        for n in [0, 1, 100, SHORT, 3 * SHORT] {
            for n_values in [1, 7, 1_000_000] {
                let draw = |_| ((unit(&mut rng) - 0.5) * 1e3).exp() as f32 * below(&mut rng, n_values) as f32 - 3.0;
                let mut values: Vec<f32> = (0..n).map(draw).map(|x| x.clamp(f32::MIN, f32::MAX)).collect();
                values.extend([f32::NAN, -f32::NAN]);
                let mut room = vec![1; 2 * values.len()];
                let found: Vec<f32> = sorted(&values, &mut room).iter().map(|&key| from_ordered_bits(key)).collect();
                values.retain(|x| !x.is_nan());
                values.sort_unstable_by(f32::total_cmp);
                assert_eq!(found, values);
            }
        }
        assert!(quantile_bins(&[], 2).is_empty());
    }

    #[test]
    fn bits_keep_the_order_of_numbers() {
        let numbers = [f32::MIN, -1.5, -1e-45, 0.0, 1e-45, 0.1, 1.0, f32::MAX];
        assert!(numbers.windows(2).all(|pair| ordered_bits(pair[0]) < ordered_bits(pair[1])));
        assert!(numbers.iter().all(|&x| from_ordered_bits(ordered_bits(x)) == x));
    }
}

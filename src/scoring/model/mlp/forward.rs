//! Rows through the network, in vectors as wide as the processor has. In: prepared rows. Out: their logits.
//!
//! The same loops are compiled for each [`Level`]; they add in one order, without fused multiply-add, so that all levels give
//! the same bits. A block of 434-500-256-256-1 on one core: 33,000 rows a second with SSE2, 60,000 with AVX2.

use super::Mlp;
use super::dense::Active;

/// What the loops are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// What every processor of this architecture has.
    Plain,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// Memory that a row needs, kept from row to row.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    units: Vec<f32>,
    sums: Vec<f32>,
    active: Active,
}

impl Level {
    /// All that this processor can run, the widest last.
    fn all() -> impl Iterator<Item = Level> {
        [
            Some(Level::Plain),
            #[cfg(target_arch = "x86_64")]
            is_x86_feature_detected!("avx2").then_some(Level::Avx2),
            #[cfg(target_arch = "x86_64")]
            (is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl")).then_some(Level::Avx512),
        ]
        .into_iter()
        .flatten()
    }

    pub fn widest() -> Level {
        Level::all().last().unwrap_or(Level::Plain)
    }
}

/// The logits of some rows (`n_features` values each), handed to `each` in their order.
///
/// `unsafe`, because the compiler can't know that the processor has what a level asks for: 46 us a row by the loops of any
/// x86-64, 28 by these.
#[allow(unsafe_code)]
pub(super) fn forward(mlp: &Mlp, level: Level, rows: &[f32], scratch: &mut Scratch, each: impl FnMut(f32)) {
    match level {
        Level::Plain => pass::<2>(mlp, rows, scratch),
        // SAFETY: such a level is made in `Level::all` alone, where the processor said that it has AVX2.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { pass_avx2(mlp, rows, scratch) },
        // SAFETY: as above, AVX-512 F and VL.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { pass_avx512(mlp, rows, scratch) },
    }
    let width = mlp.layers.last().map_or(1, |layer| layer.width());
    scratch.units.iter().step_by(width).copied().for_each(each);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn pass_avx2(mlp: &Mlp, rows: &[f32], scratch: &mut Scratch) {
    pass::<4>(mlp, rows, scratch);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl")]
fn pass_avx512(mlp: &Mlp, rows: &[f32], scratch: &mut Scratch) {
    pass::<8>(mlp, rows, scratch);
}

/// Leaves the last layer's sums in `scratch.units`. `ROWS` rows side by side fill the registers of a level.
#[inline(always)]
fn pass<const ROWS: usize>(mlp: &Mlp, rows: &[f32], scratch: &mut Scratch) {
    let Scratch { units, sums, active } = scratch;
    let mut stride = mlp.layers[0].n_inputs;
    let n_rows = rows.len() / stride;
    let n_side_by_side = n_rows / ROWS * ROWS;
    units.clear();
    units.extend_from_slice(rows);
    for (depth, layer) in mlp.layers.iter().enumerate() {
        let width = layer.width();
        sums.resize(n_rows * width, 0.0);
        layer.many::<ROWS>(&units[..n_side_by_side * stride], stride, sums);
        for row in n_side_by_side..n_rows {
            layer.one(&units[row * stride..], active, &mut sums[row * width..][..width]);
        }
        if depth + 1 < mlp.layers.len() {
            // `max` would turn an overflow (NaN) into a plausible 0.
            sums.iter_mut().for_each(|y| *y = if *y < 0.0 { 0.0 } else { *y });
        }
        std::mem::swap(units, sums);
        stride = width;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Dense;
    use super::*;

    /// The plainest loops: one sum after the other, nothing passed over.
    fn slow(mlp: &Mlp, row: &[f32]) -> f32 {
        let mut units: Vec<f32> = row.to_vec();
        for (depth, layer) in mlp.layers.iter().enumerate() {
            let weights = layer.weights();
            let sum = |output: usize| {
                let products = units.iter().enumerate().map(|(i, x)| x * weights[i * layer.n_outputs + output]);
                products.fold(layer.biases()[output], |sum, product| sum + product)
            };
            let sums: Vec<f32> = (0..layer.n_outputs).map(sum).collect();
            let relu = |y: f32| if y < 0.0 { 0.0 } else { y };
            units = if depth + 1 < mlp.layers.len() { sums.into_iter().map(relu).collect() } else { sums };
        }
        units[0]
    }

    /// Numbers with many zeros of both signs, ties, the smallest and the largest.
    fn number() -> impl Strategy<Value = f32> {
        prop_oneof![
            4 => -2.0f32..2.0,
            2 => Just(0.0f32),
            1 => Just(-0.0f32),
            1 => prop_oneof![Just(1e-45f32), Just(-1e-45), Just(1e-30), Just(3e38), Just(-3e38)],
        ]
    }

    fn network() -> impl Strategy<Value = (Mlp, Vec<f32>)> {
        let widths = (1usize..40, prop::collection::vec(1usize..90, 0..3), 0usize..20);
        widths.prop_flat_map(|(n_features, hidden, n_rows)| {
            let widths: Vec<usize> = [n_features].into_iter().chain(hidden).chain([1]).collect();
            let numbers = |n: usize| prop::collection::vec(number(), n..=n);
            let layer = |pair: &[usize]| (Just(pair[0]), numbers(pair[0] * pair[1]), numbers(pair[1]));
            let layers: Vec<_> = widths.windows(2).map(layer).collect();
            let mlp = layers.prop_map(|layers| Mlp {
                layers: layers.into_iter().map(|(n_inputs, w, b)| Dense::new(n_inputs, &w, &b)).collect(),
            });
            (mlp, numbers(n_rows * n_features))
        })
    }

    proptest! {
        /// A zero's sign and a NaN's payload are all that may differ, and neither reaches a score.
        #[test]
        fn every_level_gives_the_bits_of_plain_loops((mlp, rows) in network()) {
            let bits = |y: f32| if y.is_nan() { f32::NAN.to_bits() } else { (y + 0.0).to_bits() };
            let expected: Vec<u32> = rows.chunks_exact(mlp.layers[0].n_inputs).map(|row| bits(slow(&mlp, row))).collect();
            for level in Level::all() {
                let mut scratch = Scratch::default();
                let mut found = Vec::new();
                forward(&mlp, level, &rows, &mut scratch, |logit| found.push(bits(logit)));
                prop_assert_eq!(&found, &expected, "{:?}, a block", level);
                found.clear();
                for row in rows.chunks_exact(mlp.layers[0].n_inputs) {
                    forward(&mlp, level, row, &mut scratch, |logit| found.push(bits(logit)));
                }
                prop_assert_eq!(&found, &expected, "{:?}, row by row", level);
            }
        }
    }

    #[test]
    fn rows_ask_for_no_memory_once_two_were_scored() {
        let layer = |n_inputs: usize, n_outputs: usize| {
            Dense::new(n_inputs, &vec![0.5; n_inputs * n_outputs], &vec![0.1; n_outputs])
        };
        let mlp = Mlp { layers: vec![layer(30, 70), layer(70, 50), layer(50, 1)] };
        let mut scratch = Scratch::default();
        let mut places = |n_rows: usize| {
            for _ in 0..n_rows {
                forward(&mlp, Level::widest(), &[1.0; 30], &mut scratch, |_| ());
            }
            let mut places = [&scratch.units, &scratch.sums].map(|buffer| (buffer.as_ptr(), buffer.capacity()));
            places.sort();
            (places, scratch.active.as_ptr(), scratch.active.capacity())
        };
        let after_two = places(2);
        assert_eq!(places(1), after_two);
        assert_eq!(places(5), after_two);
    }
}

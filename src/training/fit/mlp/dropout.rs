//! Inverted dropout: a unit is 0 with probability p (to 1/65536), else 1 / (1 - p) times what it is.
//!
//! A draw depends on the step's key, the layer, the row in the batch and the unit, and on nothing else: blocks of rows can
//! be worked on in any order. Four draws come from one product of 64 by 64 bits (wyrand's mix over a counter).

/// One hidden layer's dropout.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Dropout {
    /// Draws below are dropped; 0: none are.
    below: u16,
    pub kept: f32,
}

impl Dropout {
    pub fn new(share: f64) -> Dropout {
        let below = (share * 65536.0).round().min(65535.0);
        Dropout { below: below as u16, kept: (1.0 / (1.0 - share)) as f32 }
    }

    pub fn drops(&self) -> bool {
        self.below > 0
    }

    /// What a unit is multiplied by.
    pub fn factor(&self, draw: u16) -> f32 {
        if draw < self.below { 0.0 } else { self.kept }
    }
}

const STRIDE: u64 = 0xa076_1d64_78bd_642f;
const MIX: u64 = 0xe703_7ed1_a0b4_28db;

/// The draws of one row of one layer.
pub(super) fn draw_row(key: u64, layer: usize, row: usize, draws: &mut [u16]) {
    let start = mix(key ^ (layer as u64)).wrapping_add((row as u64) << 32);
    let quads = draws.as_chunks_mut::<4>();
    for (nth, quad) in quads.0.iter_mut().enumerate() {
        *quad = four(start, nth);
    }
    let rest = four(start, quads.0.len());
    quads.1.iter_mut().zip(rest).for_each(|(draw, value)| *draw = value);
}

fn four(start: u64, nth: usize) -> [u16; 4] {
    let bits = mix(start.wrapping_add(nth as u64));
    [0, 16, 32, 48].map(|shift| (bits >> shift) as u16)
}

fn mix(counter: u64) -> u64 {
    let state = counter.wrapping_mul(STRIDE);
    let product = u128::from(state) * u128::from(state ^ MIX);
    (product >> 64) as u64 ^ product as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_uniform_and_differ_between_rows_layers_and_steps() {
        let width = 501;
        let row = |key, layer, row| {
            let mut draws = vec![0; width];
            draw_row(key, layer, row, &mut draws);
            draws
        };
        let dropout = Dropout::new(0.2);
        let (mut n_dropped, mut per_unit) = (0usize, vec![0usize; width]);
        for at in 0..2000 {
            for (unit, draw) in row(7, 1, at).into_iter().enumerate() {
                let dropped = dropout.factor(draw) == 0.0;
                n_dropped += usize::from(dropped);
                per_unit[unit] += usize::from(dropped);
            }
        }
        // One million draws: five standard errors are 0.002; per unit 2,000: 0.045.
        assert!((n_dropped as f64 / (2000.0 * width as f64) - 0.2).abs() < 0.002);
        assert!(per_unit.iter().all(|&n| (n as f64 / 2000.0 - 0.2).abs() < 0.05));
        for other in [row(8, 1, 3), row(7, 2, 3), row(7, 1, 4)] {
            let same = row(7, 1, 3).iter().zip(&other).filter(|(a, b)| (**a < 13107) == (**b < 13107)).count();
            // 0.2^2 + 0.8^2 of them by chance.
            assert!((same as f64 / width as f64 - 0.68).abs() < 0.11);
        }
    }

    #[test]
    fn the_mean_of_a_unit_stays() {
        for share in [0.0, 0.1, 0.5, 0.9] {
            let dropout = Dropout::new(share);
            let mean = (0..=u16::MAX).map(|draw| f64::from(dropout.factor(draw))).sum::<f64>() / 65536.0;
            assert!((mean - 1.0).abs() < 1e-4, "{share}: {mean}");
        }
        assert!(!Dropout::new(0.0).drops());
    }
}

//! Random draws of the look-alike data: uniform, normal, and a cheap nearly normal one for the many cells of a row.
//!
//! Only `+ - * /`, `sqrt` and crate `libm`: the same bits on every machine.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

use crate::training::seed::Seed;

/// Inverse of the standard normal distribution function; infinite at 0 and 1.
///
/// Acklam's rational approximation, relative error below 1.2e-9.
pub fn probit(p: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969683028665376e1,
        2.209460984245205e2,
        -2.759285104469687e2,
        1.38357751867269e2,
        -3.066479806614716e1,
        2.506628277459239,
    ];
    const B: [f64; 6] = [
        -5.447609879822406e1,
        1.615858368580409e2,
        -1.556989798598866e2,
        6.680131188771972e1,
        -1.328068155288572e1,
        1.0,
    ];
    const C: [f64; 6] = [
        -7.784894002430293e-3,
        -3.223964580411365e-1,
        -2.400758277161838,
        -2.549732539343734,
        4.374664141464968,
        2.938163982698783,
    ];
    const D: [f64; 5] = [7.784695709041462e-3, 3.224671290700398e-1, 2.445134137142996, 3.754408661907416, 1.0];
    const TAIL: f64 = 0.02425;
    if p <= 0.0 {
        f64::NEG_INFINITY
    } else if p >= 1.0 {
        f64::INFINITY
    } else if p > 1.0 - TAIL {
        -probit(1.0 - p)
    } else if p < TAIL {
        let q = (-2.0 * libm::log(p)).sqrt();
        horner(&C, q) / horner(&D, q)
    } else {
        let q = p - 0.5;
        q * horner(&A, q * q) / horner(&B, q * q)
    }
}

/// The polynomial with these coefficients, highest power first.
fn horner(coefficients: &[f64], x: f64) -> f64 {
    coefficients.iter().fold(0.0, |sum, c| sum * x + c)
}

pub fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}

pub fn logit(p: f64) -> f64 {
    libm::log(p / (1.0 - p))
}

/// One stream of draws.
pub struct Draws(ChaCha8Rng);

impl Draws {
    pub fn new(seed: Seed) -> Self {
        Self(seed.rng())
    }

    /// Uniform in the open interval (0, 1).
    pub fn uniform(&mut self) -> f64 {
        ((self.0.next_u64() >> 12) as f64 + 0.5) / (1u64 << 52) as f64
    }

    /// A whole number in `0..n`.
    pub fn below(&mut self, n: usize) -> usize {
        ((self.uniform() * n as f64) as usize).min(n - 1)
    }

    pub fn normal(&mut self) -> f64 {
        probit(self.uniform())
    }

    /// Mean 0, variance 1, nearly normal: the sum of four uniform 16-bit numbers.
    pub fn rough_normal(&mut self) -> f64 {
        let bits = self.0.next_u64();
        let sum = (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48);
        // Four uniforms on 0..=65535 have the mean 131070 and the variance (65536^2 - 1) / 3.
        (sum as f64 - 131_070.0) / 37_837.227
    }
}

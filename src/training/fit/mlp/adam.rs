//! Adam (Kingma & Ba 2015) and AdamW (Loshchilov & Hutter 2019) over flat parameters: 0.9 / 0.999 / 1e-7.
//!
//! The gradient's parts are summed in their order, clipped by its global norm if asked for, and taken in one walk over
//! parameters and moments. Chunks are fixed, so bits do not depend on threads. Decay acts on all parameters, as in PyTorch.

use rayon::prelude::*;

use crate::training::config::{MlpConfig, Optimizer};

pub(super) const BETAS: [f64; 2] = [0.9, 0.999];
pub(super) const EPSILON: f64 = 1e-7;

/// Parameters per task.
const CHUNK: usize = 16_384;

/// What changes from step to step beside the gradient: rate and bias corrections.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rates {
    /// Learning rate over the first moment's bias correction.
    pub step: f32,
    /// One over the root of the second moment's bias correction.
    pub root: f32,
    /// What decay leaves of a parameter.
    pub remains: f32,
}

/// Counts the steps.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    powers: [f64; 2],
    decay: f64,
}

impl Clock {
    pub fn new(config: &MlpConfig) -> Clock {
        let decay = match config.optimizer {
            Optimizer::Adam => 0.0,
            Optimizer::AdamW { weight_decay } => weight_decay,
        };
        Clock { powers: [1.0; 2], decay }
    }

    pub fn tick(&mut self, learning_rate: f64) -> Rates {
        // A product from step to step: `powi` may differ in its last bit between platforms.
        self.powers = [0, 1].map(|at| self.powers[at] * BETAS[at]);
        Rates {
            step: (learning_rate / (1.0 - self.powers[0])) as f32,
            root: (1.0 / (1.0 - self.powers[1]).sqrt()) as f32,
            remains: (1.0 - learning_rate * self.decay) as f32,
        }
    }
}

#[derive(Debug)]
pub(super) struct Adam {
    clock: Clock,
    clip_norm: Option<f64>,
    gradient: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
}

impl Adam {
    pub fn new(config: &MlpConfig, n_parameters: usize) -> Adam {
        let zeros = || vec![0f32; n_parameters];
        let (gradient, first, second) = (zeros(), zeros(), zeros());
        Adam { clock: Clock::new(config), clip_norm: config.clip_norm, gradient, first, second }
    }

    /// One step along the sum of `parts`.
    pub fn update(&mut self, parameters: &mut [f32], parts: &[&[f32]], learning_rate: f64) {
        let rates = self.clock.tick(learning_rate);
        let sums = self.gradient.par_chunks_mut(CHUNK).enumerate();
        sums.for_each(|(nth, chunk)| sum_parts(chunk, parts, nth * CHUNK));
        let scale = self.clip_norm.map_or(1.0, |most| clip(norm(&self.gradient), most));
        let moments = self.first.par_chunks_mut(CHUNK).zip(self.second.par_chunks_mut(CHUNK));
        let chunks = parameters.par_chunks_mut(CHUNK).zip(self.gradient.par_chunks(CHUNK)).zip(moments);
        chunks.for_each(|((parameters, gradient), (first, second))| {
            let moments = first.iter_mut().zip(second);
            for ((parameter, gradient), (first, second)) in parameters.iter_mut().zip(gradient).zip(moments) {
                let gradient = gradient * scale;
                *first = BETAS[0] as f32 * *first + (1.0 - BETAS[0]) as f32 * gradient;
                *second = BETAS[1] as f32 * *second + (1.0 - BETAS[1]) as f32 * (gradient * gradient);
                *parameter =
                    *parameter * rates.remains - rates.step * *first / (second.sqrt() * rates.root + EPSILON as f32);
            }
        });
    }
}

/// What a gradient of this norm is multiplied by.
pub(super) fn clip(norm: f64, most: f64) -> f32 {
    if norm > most { (most / norm) as f32 } else { 1.0 }
}

fn norm(gradient: &[f32]) -> f64 {
    let squares = |chunk: &[f32]| chunk.iter().map(|value| f64::from(*value) * f64::from(*value)).sum::<f64>();
    gradient.par_chunks(CHUNK).map(squares).collect::<Vec<f64>>().iter().sum::<f64>().sqrt()
}

/// Writes the sum of the parts from `start` on.
fn sum_parts(chunk: &mut [f32], parts: &[&[f32]], start: usize) {
    let at = start..start + chunk.len();
    for (nth, part) in parts.iter().enumerate() {
        let part = &part[at.clone()];
        match nth {
            0 => chunk.copy_from_slice(part),
            _ => chunk.iter_mut().zip(part).for_each(|(sum, part)| *sum += part),
        }
    }
}

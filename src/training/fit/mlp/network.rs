//! The parameters of the network in one flat array, layer by layer: weights `n_inputs x n_outputs`, biases, and the gains
//! of a normalised layer. One array, because the optimiser and the sums of gradients care for no layer.
//!
//! Glorot uniform weights, zero biases, gains of one. [`Network::freeze`] folds a normalised layer into a dense one.

use std::ops::Range;

use rand::RngExt;

use crate::scoring::model::mlp::{Dense, Mlp};
use crate::training::config::MlpConfig;
use crate::training::seed::Seed;

/// Where the parameters of one layer stand.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Layer {
    pub n_inputs: usize,
    pub n_outputs: usize,
    pub weights: Range<usize>,
    pub biases: Range<usize>,
    /// Empty unless the layer is normalised.
    pub gains: Range<usize>,
}

impl Layer {
    pub fn is_normalised(&self) -> bool {
        !self.gains.is_empty()
    }
}

/// Mean and variance of a layer's sums, as they are used when scoring: moving averages over the steps.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Statistics {
    pub means: Vec<f32>,
    pub variances: Vec<f32>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Network {
    pub layers: Vec<Layer>,
    pub parameters: Vec<f32>,
    /// One per normalised layer.
    pub statistics: Vec<Statistics>,
}

/// Added to a variance (as in PyTorch).
pub(super) const VARIANCE_FLOOR: f32 = 1e-5;
/// The share of a step's statistics in the moving averages (as in PyTorch).
pub(super) const MOMENTUM: f32 = 0.1;

impl Network {
    /// Weights from U(-a, a) with a = sqrt(6 / (n_inputs + n_outputs)).
    pub fn new(n_features: usize, config: &MlpConfig, seed: Seed) -> Network {
        let widths: Vec<usize> = [n_features].iter().chain(&config.hidden).chain(&[1]).copied().collect();
        let (mut layers, mut parameters, mut statistics) = (Vec::new(), Vec::new(), Vec::new());
        for (depth, pair) in widths.windows(2).enumerate() {
            let (n_inputs, n_outputs) = (pair[0], pair[1]);
            let limit = (6.0 / (n_inputs + n_outputs) as f64).sqrt() as f32;
            let mut rng = seed.derive("layer", depth as u64).rng();
            let start = parameters.len();
            parameters.extend((0..n_inputs * n_outputs).map(|_| rng.random_range(-limit..limit)));
            let biases = parameters.len();
            parameters.resize(biases + n_outputs, 0.0);
            let gains = parameters.len();
            if config.batch_norm && depth < config.hidden.len() {
                parameters.resize(gains + n_outputs, 1.0);
                statistics.push(Statistics { means: vec![0.0; n_outputs], variances: vec![1.0; n_outputs] });
            }
            let (weights, biases, gains) = (start..biases, biases..gains, gains..parameters.len());
            layers.push(Layer { n_inputs, n_outputs, weights, biases, gains });
        }
        Network { layers, parameters, statistics }
    }

    /// Plain dense layers: (x W - mean) gain / spread + bias = x (W gain / spread) + (bias - mean gain / spread).
    pub fn freeze(&self) -> Mlp {
        let mut statistics = self.statistics.iter();
        let dense = |layer: &Layer| {
            let [mut weights, mut biases] =
                [&layer.weights, &layer.biases].map(|range| self.parameters[range.clone()].to_vec());
            if let Some(Statistics { means, variances }) = statistics.next().filter(|_| layer.is_normalised()) {
                let gains = &self.parameters[layer.gains.clone()];
                let scales: Vec<f32> = gains
                    .iter()
                    .zip(variances)
                    .map(|(gain, variance)| gain / (variance + VARIANCE_FLOOR).sqrt())
                    .collect();
                for row in weights.chunks_exact_mut(layer.n_outputs) {
                    row.iter_mut().zip(&scales).for_each(|(weight, scale)| *weight *= scale);
                }
                let centers = means.iter().zip(&scales).map(|(mean, scale)| mean * scale);
                biases.iter_mut().zip(centers).for_each(|(bias, center)| *bias -= center);
            }
            Dense::new(layer.n_inputs, &weights, &biases)
        };
        Mlp { layers: self.layers.iter().map(dense).collect() }
    }
}

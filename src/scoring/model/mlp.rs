//! The frozen multilayer perceptron: dense layers with ReLU between them and one sigmoid output, in plain Rust.
//!
//! Weights are stored `n_inputs x n_outputs`, so that a row is the sum of weight rows in input order: the compiler
//! vectorises over outputs without touching the order of any sum, which keeps the bits portable (no fused multiply-add).

use std::collections::BTreeMap;

use safetensors::Dtype;

use super::tensors::{Tensors, damaged, write};
use super::{Classifier, ScoringError};

/// One dense layer: `weights[input * n_outputs + output]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Dense {
    pub n_inputs: usize,
    pub n_outputs: usize,
    pub weights: Vec<f32>,
    pub biases: Vec<f32>,
}

/// Layers from the features to the one output.
#[derive(Debug, Clone, PartialEq)]
pub struct Mlp {
    pub layers: Vec<Dense>,
}

const MAX_LAYERS: usize = 64;

impl Dense {
    /// Each output is its bias, then one product after the other in the order of the inputs. Two to sixteen inputs in one walk
    /// over the outputs, or tiles of outputs, measured no faster: 39 to 50 microseconds a row of 434-500-256-256-1, this 40.
    fn forward(&self, input: &[f32], output: &mut Vec<f32>) {
        output.clear();
        output.extend_from_slice(&self.biases);
        for (x, weights) in input.iter().zip(self.weights.chunks_exact(self.n_outputs)) {
            // A unit that ReLU turned off adds nothing; about half of them are.
            if *x != 0.0 {
                for (y, w) in output.iter_mut().zip(weights) {
                    *y += x * w;
                }
            }
        }
    }
}

impl Mlp {
    fn logit(&self, row: &[f32], activations: &mut Vec<f32>, next: &mut Vec<f32>) -> f32 {
        activations.clear();
        activations.extend_from_slice(row);
        for (depth, layer) in self.layers.iter().enumerate() {
            layer.forward(activations, next);
            if depth + 1 < self.layers.len() {
                // `max` would turn an overflow (NaN) into a plausible 0.
                next.iter_mut().filter(|y| **y < 0.0).for_each(|y| *y = 0.0);
            }
            std::mem::swap(activations, next);
        }
        activations[0]
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let bytes = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
        let names: Vec<(String, String)> = (0..self.layers.len())
            .map(|depth| (format!("layer{depth}.weight"), format!("layer{depth}.bias")))
            .collect();
        let mut arrays = BTreeMap::new();
        for (layer, (weight, bias)) in self.layers.iter().zip(&names) {
            arrays.insert(weight.as_str(), (Dtype::F32, vec![layer.n_inputs, layer.n_outputs], bytes(&layer.weights)));
            arrays.insert(bias.as_str(), (Dtype::F32, vec![layer.n_outputs], bytes(&layer.biases)));
        }
        write(arrays)
    }

    pub fn from_bytes(n_features: usize, bytes: &[u8]) -> Result<Mlp, ScoringError> {
        let tensors = Tensors::read(bytes)?;
        let mut layers: Vec<Dense> = Vec::new();
        while layers.len() < MAX_LAYERS && tensors.has(&format!("layer{}.weight", layers.len())) {
            let depth = layers.len();
            let n_inputs = layers.last().map_or(n_features, |layer| layer.n_outputs);
            let biases = tensors.f32s(&format!("layer{depth}.bias"))?;
            let weights = tensors.f32s_shaped(&format!("layer{depth}.weight"), &[n_inputs, biases.len()])?;
            if biases.is_empty() {
                return Err(damaged("has an empty layer"));
            }
            layers.push(Dense { n_inputs, n_outputs: biases.len(), weights, biases });
        }
        if layers.last().is_none_or(|layer| layer.n_outputs != 1) {
            return Err(damaged("is not a network with one output"));
        }
        Ok(Mlp { layers })
    }
}

impl Classifier for Mlp {
    fn n_features(&self) -> usize {
        self.layers[0].n_inputs
    }

    fn score_row(&self, row: &[f32]) -> f32 {
        let (mut activations, mut next) = (Vec::new(), Vec::new());
        sigmoid(self.logit(row, &mut activations, &mut next))
    }

    fn score(&self, matrix: &crate::scoring::matrix::FeatureMatrix) -> Vec<f32> {
        let (mut activations, mut next) = (Vec::new(), Vec::new());
        matrix.rows().map(|row| sigmoid(self.logit(row, &mut activations, &mut next))).collect()
    }
}

fn sigmoid(logit: f32) -> f32 {
    (1.0 / (1.0 + libm::exp(-f64::from(logit)))) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scoring::matrix::FeatureMatrix;

    /// Weights, rows and scores that `benches/peers/mlp_fixture.py` wrote with PyTorch.
    #[test]
    fn scores_are_those_of_pytorch() {
        let bytes = include_bytes!("../../../tests/data/pytorch_mlp.safetensors");
        let tensors = Tensors::read(bytes).unwrap();
        let [n_rows, n_features] = tensors.shape("rows").unwrap()[..] else { panic!("rows of features") };
        let mlp = Mlp::from_bytes(n_features, bytes).unwrap();
        assert!(mlp.layers.len() == 4 && n_rows >= 50);
        let names: Vec<String> = (0..n_features).map(|feature| feature.to_string()).collect();
        let matrix = FeatureMatrix::new(names.into(), tensors.f32s_shaped("rows", &[n_rows, n_features]).unwrap());
        let expected = tensors.f32s("scores").unwrap();
        for (row, (found, expected)) in mlp.score(&matrix).iter().zip(&expected).enumerate() {
            assert!((found - expected).abs() < 1e-5, "row {row}: {found}, PyTorch {expected}");
            assert_eq!(found.to_bits(), mlp.score_row(matrix.row(row)).to_bits());
        }
        assert!(expected.iter().any(|score| *score < 0.1) && expected.iter().any(|score| *score > 0.9));
    }
}

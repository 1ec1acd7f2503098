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
    /// Each output is its bias, then one product after the other in the order of the inputs, whatever is done side by side.
    fn forward(&self, input: &[f32], output: &mut Vec<f32>) {
        output.clear();
        output.extend_from_slice(&self.biases);
        // A unit that ReLU turned off adds nothing; about half of them are.
        let mut terms = input.iter().zip(self.weights.chunks_exact(self.n_outputs)).filter(|(x, _)| **x != 0.0);
        loop {
            let mut some = [(0f32, &[][..]); TERMS];
            let n_terms = some.iter_mut().zip(&mut terms).map(|(place, (x, weights))| *place = (*x, weights)).count();
            if n_terms < TERMS {
                some[..n_terms].iter().for_each(|(x, weights)| add(output, *x, weights));
                return;
            }
            add_all(output, some);
        }
    }
}

/// Inputs whose products are added in one walk over the outputs, which are loaded and stored once for all of them: 2.4
/// times as fast as one by one.
const TERMS: usize = 8;

fn add(output: &mut [f32], x: f32, weights: &[f32]) {
    output.iter_mut().zip(weights).for_each(|(y, w)| *y += x * w);
}

fn add_all(output: &mut [f32], terms: [(f32, &[f32]); TERMS]) {
    let n_outputs = output.len();
    let terms = terms.map(|(x, weights)| (x, &weights[..n_outputs]));
    for (at, y) in output.iter_mut().enumerate() {
        *y = terms.iter().fold(*y, |sum, (x, weights)| sum + x * weights[at]);
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

    #[test]
    fn products_side_by_side_are_added_in_the_order_of_the_inputs() {
        for (n_inputs, n_outputs) in [(1, 1), (7, 3), (8, 5), (9, 16), (50, 33)] {
            let value = |at: usize| ((at * 7919) % 1000) as f32 / 300.0 - 1.5;
            let input: Vec<f32> = (0..n_inputs).map(|at| if at % 3 == 1 { 0.0 } else { value(at) }).collect();
            let (weights, biases): (Vec<f32>, Vec<f32>) =
                ((0..n_inputs * n_outputs).map(value).collect(), (0..n_outputs).map(value).collect());
            let layer = Dense { n_inputs, n_outputs, weights, biases };
            let mut found = Vec::new();
            layer.forward(&input, &mut found);
            for (output, found) in found.iter().enumerate() {
                let terms = input.iter().enumerate().filter(|(_, x)| **x != 0.0);
                let sum = |sum, (at, x): (usize, &f32)| sum + x * layer.weights[at * n_outputs + output];
                assert_eq!(terms.fold(layer.biases[output], sum).to_bits(), found.to_bits());
            }
        }
    }
}

//! The frozen multilayer perceptron: dense layers with ReLU between them and one sigmoid output, in plain Rust.
//!
//! In: prepared rows. Out: scores, the same bits for one row and for many, on every processor (`dense`, `forward`).

mod dense;
mod forward;

use std::cell::RefCell;
use std::collections::BTreeMap;

use safetensors::Dtype;

use super::tensors::{Tensors, damaged, write};
use super::{Classifier, ScoringError};
use crate::scoring::matrix::FeatureMatrix;
pub use dense::Dense;
use forward::{Level, Scratch, forward};

/// Layers from the features to the one output.
#[derive(Debug, Clone, PartialEq)]
pub struct Mlp {
    pub layers: Vec<Dense>,
}

const MAX_LAYERS: usize = 64;
/// Units of a layer, of all rows that go through the network together: 128 KB, a part of the second cache.
const UNITS_AT_ONCE: usize = 1 << 15;

thread_local! {
    /// So that a row asks for no memory, once a thread has scored two.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Mlp {
    /// The logits of whole rows, handed to `each` in their order.
    pub fn logits(&self, rows: &[f32], mut each: impl FnMut(f32)) {
        let (n_features, level) = (self.n_features(), Level::widest());
        let widest = self.layers.iter().map(|layer| layer.n_outputs).fold(n_features, usize::max);
        SCRATCH.with_borrow_mut(|scratch| {
            for block in rows.chunks((UNITS_AT_ONCE / widest).max(1) * n_features) {
                forward(self, level, block, scratch, &mut each);
            }
        });
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let bytes = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
        let names: Vec<(String, String)> = (0..self.layers.len())
            .map(|depth| (format!("layer{depth}.weight"), format!("layer{depth}.bias")))
            .collect();
        let mut arrays = BTreeMap::new();
        for (layer, (weight, bias)) in self.layers.iter().zip(&names) {
            let shape = vec![layer.n_inputs, layer.n_outputs];
            arrays.insert(weight.as_str(), (Dtype::F32, shape, bytes(&layer.weights())));
            arrays.insert(bias.as_str(), (Dtype::F32, vec![layer.n_outputs], bytes(layer.biases())));
        }
        write(arrays)
    }

    pub fn from_bytes(n_features: usize, bytes: &[u8]) -> Result<Mlp, ScoringError> {
        let tensors = Tensors::read(bytes)?;
        if n_features == 0 {
            return Err(damaged("is a network without features"));
        }
        let mut layers: Vec<Dense> = Vec::new();
        while layers.len() < MAX_LAYERS && tensors.has(&format!("layer{}.weight", layers.len())) {
            let depth = layers.len();
            let n_inputs = layers.last().map_or(n_features, |layer| layer.n_outputs);
            let biases = tensors.f32s(&format!("layer{depth}.bias"))?;
            let weights = tensors.f32s_shaped(&format!("layer{depth}.weight"), &[n_inputs, biases.len()])?;
            if biases.is_empty() {
                return Err(damaged("has an empty layer"));
            }
            layers.push(Dense::new(n_inputs, &weights, &biases));
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
        let mut score = f32::NAN;
        self.logits(row, |logit| score = sigmoid(logit));
        score
    }

    fn score(&self, matrix: &FeatureMatrix) -> Vec<f32> {
        let mut scores = Vec::with_capacity(matrix.n_rows());
        self.logits(matrix.values(), |logit| scores.push(sigmoid(logit)));
        scores
    }
}

/// A NaN has the same bits whatever it came from.
fn sigmoid(logit: f32) -> f32 {
    if logit.is_nan() { f32::NAN } else { (1.0 / (1.0 + libm::exp(-f64::from(logit)))) as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;

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

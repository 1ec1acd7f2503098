//! Logistic regression as plain numbers: score = sigmoid(w x + b), sums in f64 in column order.

use std::collections::BTreeMap;

use super::tensors::{Tensors, write};
use super::{Classifier, ScoringError};

/// `n_features` coefficients and an intercept.
#[derive(Debug, Clone, PartialEq)]
pub struct Logistic {
    pub coefficients: Vec<f64>,
    pub intercept: f64,
}

impl Classifier for Logistic {
    fn n_features(&self) -> usize {
        self.coefficients.len()
    }

    fn score_row(&self, row: &[f32]) -> f32 {
        let logit = self.coefficients.iter().zip(row).fold(self.intercept, |sum, (w, x)| sum + w * f64::from(*x));
        (1.0 / (1.0 + libm::exp(-logit))) as f32
    }
}

impl Logistic {
    pub fn to_bytes(&self) -> Vec<u8> {
        let f64s = |values: &[f64]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
        write(BTreeMap::from([
            ("coefficients", (safetensors::Dtype::F64, vec![self.coefficients.len()], f64s(&self.coefficients))),
            ("intercept", (safetensors::Dtype::F64, vec![1], f64s(&[self.intercept]))),
        ]))
    }

    pub fn from_bytes(n_features: usize, bytes: &[u8]) -> Result<Logistic, ScoringError> {
        let tensors = Tensors::read(bytes)?;
        let coefficients = tensors.f64s("coefficients", &[n_features])?;
        let intercept = tensors.f64s("intercept", &[1])?[0];
        Ok(Logistic { coefficients, intercept })
    }
}

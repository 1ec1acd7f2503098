//! Fit: a training set becomes a model.

pub mod preprocessor;
pub mod forest;
pub mod mlp;
pub mod logistic;

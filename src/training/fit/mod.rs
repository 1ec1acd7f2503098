//! Fit: a training set becomes a model.

pub mod preprocessor;
pub mod forest;

//! Fit: a training set becomes a model.

pub mod forest;

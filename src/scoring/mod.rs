//! What was learned, and all that is needed to score with it: no learning, no I/O but the bundle loader.
//!
//! In: a raw record or a table of raw columns. Out: features, a vector, a score. The lean runner is this module and
//! [`crate::serving`] alone; it never names `training`.

pub mod schema;
pub mod reasons;
pub mod record;
pub mod table;
pub mod features;
pub mod matrix;
pub mod packed;
pub mod preprocessor;
pub mod model;
pub mod calibration;
pub mod bundle;
pub mod scorer;
pub mod stage;
pub mod error;
pub mod input;

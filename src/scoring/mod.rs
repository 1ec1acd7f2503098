//! What was learned, and all that is needed to score with it: no learning, no I/O but the bundle loader.
//!
//! In: a raw record or a table of raw columns. Out: features, a vector, a score. The lean runner is this module and
//! [`crate::serving`] alone; it never names `training`.

pub mod bundle;
pub mod error;
pub mod matrix;
pub mod model;
pub mod preprocessor;
pub mod record;
pub mod schema;
pub mod scorer;
pub mod table;

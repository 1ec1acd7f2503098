//! What learns: from raw files to a sealed bundle. Open [`pipeline`] first; the modules stand in the order of the flow.
//!
//! Pure core, I/O at the rim (`read`, `run_dir`, `table_file`, and whoever writes the bytes that `report` and `package`
//! return). Nothing here prints.

pub mod pipeline;

pub mod config;
pub mod error;
pub mod progress;
pub mod rows;
pub mod seed;
pub mod select;

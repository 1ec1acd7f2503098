//! What learns: from raw files to a sealed bundle. Open [`pipeline`] first; the modules stand in the order of the flow.
//!
//! Pure core, I/O at the rim (`read`, `run_dir`, `table_file`, and whoever writes the bytes that `report` and `package`
//! return). Nothing here prints.

pub mod pipeline;

pub mod config;
pub mod error;
pub mod gemm;
pub mod mapped;
pub mod planted;
pub mod progress;
pub mod row_facts;
pub mod rows;
pub mod seed;
pub mod texts;

pub mod synth;

pub mod read;
pub mod explore;
pub mod split;
pub mod prepare;
pub mod resample;
pub mod resampled;
pub mod fit;
pub mod evaluate;
pub mod calibrate;
pub mod select;
pub mod freeze;
pub mod package;
pub mod predict;
pub mod report;

pub mod cells;
pub mod checks;
pub mod doctor;
pub mod outcome;
pub mod run;
pub mod run_dir;
pub mod run_store;
pub mod shards;
pub mod table_file;
pub mod timing;
pub mod tree_parts;
pub mod verify;
#[cfg(test)]
mod contract;

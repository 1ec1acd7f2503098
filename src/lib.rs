//! From raw, imbalanced transaction files to a verified serverless scoring service.
//!
//! The flow, in ten verbs: `read -> explore -> split -> prepare -> resample -> fit -> evaluate -> select -> freeze ->
//! package`, and then `serve`. What learns lives in [`training`]; what was learned lives in [`scoring`]; [`serving`]
//! answers requests with it; [`platform`] is OpenWhisk around it; [`cli`] talks to a person. Arrows, and no others:
//! `cli -> platform -> training -> scoring <- serving`, `platform -> serving`, and from `cli` and `platform` to all below.
#![deny(unsafe_code)] // and allowed where a comment says why: `mapped::map`, `gemm::multiply`, `mlp::forward`, two loops of `forest::tally`

#[cfg(all(feature = "planted-leaks", not(debug_assertions)))]
compile_error!("`planted-leaks` is for the tests of `verify leak`: release builds refuse it");

pub mod scoring;
pub mod serving;
#[cfg(feature = "train")]
pub mod training;

#[cfg(feature = "train")]
pub mod platform;

#[cfg(feature = "train")]
pub mod cli;

#[cfg(feature = "bench")]
pub mod bench;

//! The tool in a folder, as a person runs it there.
#![allow(dead_code)]

use std::path::Path;
use std::process::{Command, Output};

pub const FRAUDML: &str = env!("CARGO_BIN_EXE_fraudml");

pub fn fraudml(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(FRAUDML).args(arguments).current_dir(folder).env("NO_COLOR", "1").output().expect("fraudml runs")
}

/// Its standard output; it must succeed.
#[track_caller]
pub fn ok(folder: &Path, arguments: &[&str]) -> String {
    let output = fraudml(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

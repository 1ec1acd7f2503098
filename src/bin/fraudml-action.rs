//! The lean action runner: what runs inside the image, and as a plain process beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    fraudml::serving::run(std::env::args_os().skip(1))
}

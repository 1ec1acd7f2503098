//! What talks to a person: arguments, configuration, commands, errors in words, progress.
//!
//! `main` is the whole story: parse what was typed, set up the threads, run the command, tell what went wrong.

pub mod args;
pub mod commands;
pub mod config;
pub mod diagnostics;
pub mod log;
pub mod printer;
pub mod progress;

use std::process::ExitCode;

use clap::Parser;

use crate::training::error::Error;
use args::{Cli, GlobalArgs};
use commands::Context;
use diagnostics::Failure;
use printer::Printer;

pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return not_a_command(&error),
    };
    let printer = Printer { json: cli.global.json, quiet: cli.global.quiet };
    match run(cli, printer) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => diagnostics::report(&failure, printer),
    }
}

fn run(cli: Cli, printer: Printer) -> Result<(), Failure> {
    let GlobalArgs { no_progress, threads, log, log_format, .. } = cli.global;
    if let Some(level) = log {
        log::start(level, log_format);
    }
    if let Some(threads) = threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(usize::from(threads)).build_global();
        pool.map_err(|error| Error::failed(format!("can't start {threads} threads: {error}")))?;
    }
    commands::run(&cli.command, &Context { printer, no_progress: no_progress || log.is_some() })
}

/// Help, the version, or a usage error; the latter as a document if `--json` was typed anywhere.
fn not_a_command(error: &clap::Error) -> ExitCode {
    let json = std::env::args_os().skip(1).any(|argument| argument == "--json");
    if error.use_stderr() && json {
        return diagnostics::report(&diagnostics::usage(error), Printer { json, quiet: false });
    }
    // Fails if nobody reads any more, and then nothing is left to say.
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS }
}

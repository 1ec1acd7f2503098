//! One file per command: it reads its arguments, calls the library, and says what came of it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::args::{Command, ConfigArgs};
use super::config::{self, Loaded};
use super::diagnostics::Failure;
use super::printer::Printer;
use super::progress::Bars;
use crate::platform::credentials;
use crate::training::error::{Error, Result};
use crate::training::run::Run;

mod bench;
mod config_command;
mod demo;
mod deploy;
mod doctor;
mod eda;
mod evaluate;
mod package;
mod predict;
mod resample;
mod serve;
mod shards;
mod shell;
mod synth;
mod threshold;
mod train;
mod verify;

/// What every command may use.
pub struct Context {
    pub printer: Printer,
    pub no_progress: bool,
}

impl Context {
    /// Progress bars and Ctrl-C; for commands that take their time, once.
    pub fn progress(&self) -> Result<Bars> {
        Bars::start(self.printer, self.no_progress)
    }
}

pub fn run(command: &Command, context: &Context) -> std::result::Result<(), Failure> {
    match command {
        Command::Demo(args) => demo::run(args, context),
        Command::Synth(args) => synth::run(args, context),
        Command::Config(command) => config_command::run(command, context),
        Command::Eda(args) => eda::run(args, context),
        Command::Train(args) => train::run(args, context),
        Command::Plan(args) => shards::plan(args, context),
        Command::Cell(args) => shards::cell(args, context),
        Command::Collect(args) => shards::collect(args, context),
        Command::Submit(args) => shards::submit(args, context),
        Command::Resample(args) => resample::run(args, context),
        Command::Evaluate(args) => evaluate::run(args, context),
        Command::Threshold(args) => threshold::run(args, context),
        Command::Predict(args) => predict::run(args, context),
        Command::Package(args) => package::run(args, context),
        Command::Serve(args) => serve::run(args, context),
        Command::Deploy(args) => deploy::run(args, context),
        Command::Undeploy(args) => deploy::undo(args, context),
        Command::Bench(args) => bench::run(args, context),
        Command::Verify(command) => verify::run(command, context),
        Command::Doctor(args) => doctor::run(args, context),
        Command::Completions(args) => Ok(shell::completions(args, context)?),
        Command::Man(args) => Ok(shell::man(args, context)?),
    }
}

/// The config that the arguments name, checked.
fn load(args: &ConfigArgs) -> std::result::Result<Loaded, Failure> {
    let name = args.config.display().to_string();
    config::load(&args.config, &args.set, &args.only).map_err(|problems| Failure::Config { name, problems })
}

/// The config that a run keeps, narrowed to what it trains (the file does not tell whether the baseline was left out), and
/// its text.
fn config_of(run: &Run) -> std::result::Result<(Loaded, String), Failure> {
    let config = run.folder.join("config.yaml");
    let mut only: Vec<String> = run.cells()?.into_iter().flat_map(|cell| [cell.model, cell.case]).collect();
    only.sort();
    only.dedup();
    let text = std::fs::read_to_string(&config).map_err(|error| io_error(&config, &error))?;
    Ok((load(&ConfigArgs { config, set: Vec::new(), only })?, text))
}

/// `uuid:key` of the caller, if it is said anywhere: a file, the environment, `~/.wskprops`.
fn deploy_auth(file: Option<&Path>) -> Result<Option<String>> {
    credentials::openwhisk(file, |name| std::env::var(name).ok()).map(|found| found.auth)
}

/// A path that is written to, as an I/O error names it.
fn io_error(path: &Path, error: &std::io::Error) -> Error {
    let what = match error.kind() {
        ErrorKind::NotFound => "no such file or folder".to_owned(),
        kind => kind.to_string(),
    };
    Error::failed(format!("`{}`: {what}", path.display()))
}

/// `out` joined with the part of a layout that stands below it.
fn below(out: &Path, part: &str) -> PathBuf {
    if out == Path::new(".") { part.into() } else { out.join(part) }
}

/// Columns of a table: what the terminal shows, 120 where there is none.
fn table_width() -> usize {
    terminal_width().unwrap_or(120)
}

/// `COLUMNS`, as shells and CI set it.
fn terminal_width() -> Option<usize> {
    std::env::var("COLUMNS").ok()?.parse().ok().filter(|columns| (60..=400).contains(columns))
}

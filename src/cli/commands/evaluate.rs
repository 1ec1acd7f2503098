//! `fraudml evaluate`: the figures of a finished run.

use super::{Context, table_width};
use crate::cli::args::EvaluateArgs;
use crate::cli::diagnostics::Failure;
use crate::training::config::OutputConfig;
use crate::training::run::Run;
use crate::training::{pipeline, report};

pub fn run(args: &EvaluateArgs, context: &Context) -> Result<(), Failure> {
    let output = OutputConfig::default();
    let run = Run::find(&output, args.run.as_deref())?;
    let (folder, evaluated) = pipeline::evaluate(&run)?;
    context.printer.document(&evaluated)?;
    context.printer.result(&report::terminal(&evaluated, table_width()))?;
    context.printer.confirm(&format!("report  {}", folder.display()))?;
    Ok(())
}

//! `fraudml eda`: a profile of the data.

use super::{Context, load};
use crate::cli::args::EdaArgs;
use crate::cli::diagnostics::Failure;
use crate::training::explore;
use crate::training::pipeline;

pub fn run(args: &EdaArgs, context: &Context) -> Result<(), Failure> {
    let loaded = load(&args.config)?;
    let progress = context.progress()?;
    let (path, detail) = pipeline::explore(&loaded.config, &progress)?;
    context.printer.document(&detail)?;
    context.printer.result(&explore::terminal_table(&detail.eda))?;
    context.printer.note(&format!("wrote `{}`", path.display()));
    Ok(())
}

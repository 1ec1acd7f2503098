//! `fraudml evaluate`: the figures of a finished run.

use super::Context;
use crate::cli::args::EvaluateArgs;
use crate::cli::diagnostics::Failure;
use crate::training::error::Error;

pub fn run(args: &EvaluateArgs, context: &Context) -> Result<(), Failure> {
    let (_run, _printer) = (&args.run, context.printer);
    // CALL INTO TRAINING: the report of `run`.
    Err(Error::failed("`evaluate` is not connected").into())
}

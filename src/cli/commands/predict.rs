//! `fraudml predict`: scores for the rows of a file.

use super::Context;
use crate::cli::args::PredictArgs;
use crate::cli::diagnostics::Failure;
use crate::training::error::Error;

pub fn run(args: &PredictArgs, context: &Context) -> Result<(), Failure> {
    let _progress = context.progress()?;
    let PredictArgs { bundle: _, input: _, output: _ } = args;
    // CALL INTO TRAINING: score `input` by `bundle`; to `output`, or by `printer.data` to standard output.
    Err(Error::failed("`predict` is not connected").into())
}

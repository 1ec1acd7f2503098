//! `fraudml eda`: a profile of the data.

use super::{Context, load};
use crate::cli::args::EdaArgs;
use crate::cli::diagnostics::Failure;
use crate::training::error::Error;

pub fn run(args: &EdaArgs, context: &Context) -> Result<(), Failure> {
    let _loaded = load(&args.config)?;
    let _progress = context.progress()?;
    // CALL INTO TRAINING: read and explore by `loaded.config`.
    Err(Error::failed("`eda` is not connected").into())
}

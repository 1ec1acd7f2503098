//! `fraudml train`: the whole offline phase.

use super::{Context, load};
use crate::cli::args::TrainArgs;
use crate::cli::config::show;
use crate::cli::diagnostics::Failure;
use crate::training::error::Error;

pub fn run(args: &TrainArgs, context: &Context) -> Result<(), Failure> {
    let loaded = load(&args.config)?;
    let _resolved = show::yaml(&loaded.config, Some(&loaded.origins));
    let _progress = context.progress()?;
    // CALL INTO TRAINING: the pipeline by `loaded.config`; `resolved` is the `config.yaml` of the run.
    Err(Error::failed("`train` is not connected").into())
}

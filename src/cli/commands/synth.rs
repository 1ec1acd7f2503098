//! `fraudml synth`: look-alike data.

use super::Context;
use crate::cli::args::SynthArgs;
use crate::cli::diagnostics::Failure;
use crate::training::error::Error;

pub fn run(args: &SynthArgs, context: &Context) -> Result<(), Failure> {
    let _progress = context.progress()?;
    let SynthArgs { rows: _, seed: _, out: _ } = args;
    // CALL INTO TRAINING: write `train_transaction.csv` and `train_identity.csv` into `out`.
    Err(Error::failed("`synth` is not connected").into())
}

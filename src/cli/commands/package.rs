//! `fraudml package`: the action image of a bundle.

use super::Context;
use crate::cli::args::PackageArgs;
use crate::cli::diagnostics::Failure;
use crate::training::error::Error;

pub fn run(args: &PackageArgs, context: &Context) -> Result<(), Failure> {
    let _printer = context.printer;
    let PackageArgs { bundle: _, runner: _, image: _ } = args;
    // CALL INTO TRAINING: build the image of `bundle`.
    Err(Error::failed("`package` is not connected").into())
}

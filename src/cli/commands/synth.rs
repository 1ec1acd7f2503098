//! `fraudml synth`: look-alike data.

use std::io::BufWriter;
use std::path::Path;

use super::Context;
use crate::cli::args::SynthArgs;
use crate::cli::diagnostics::Failure;
use crate::training::error::Result;
use crate::training::progress::Progress;
use crate::training::run_dir::AtomicFile;
use crate::training::synth::{SynthConfig, SynthSummary, synth};

pub fn run(args: &SynthArgs, context: &Context) -> std::result::Result<(), Failure> {
    let progress = context.progress()?;
    let config = SynthConfig { rows: args.rows as usize, seed: args.seed };
    let summary = write(&config, &args.out, &progress)?;
    context.printer.document(&summary)?;
    let folder = args.out.display();
    context.printer.confirm(&format!(
        "wrote {} transactions ({} frauds) and {} identities to `{folder}`",
        summary.rows, summary.frauds, summary.identity_rows
    ))?;
    Ok(())
}

/// Both files appear whole or not at all.
pub(super) fn write(config: &SynthConfig, folder: &Path, progress: &dyn Progress) -> Result<SynthSummary> {
    let mut transactions = AtomicFile::create(&folder.join("train_transaction.csv"))?;
    let mut identities = AtomicFile::create(&folder.join("train_identity.csv"))?;
    let summary = {
        let mut transactions = BufWriter::with_capacity(1 << 20, transactions.writer());
        let mut identities = BufWriter::with_capacity(1 << 20, identities.writer());
        synth(config, &mut transactions, &mut identities, progress)?
    };
    transactions.publish()?;
    identities.publish()?;
    Ok(summary)
}

//! Synth: data that looks like IEEE-CIS without a row of it, for the demo, for tests and for measurements at any size.
//!
//! In: a row count and a seed. Out: two CSV files with the original's columns, order and types: `train_transaction.csv`
//! (394 columns) and `train_identity.csv` (41, for about a quarter of the rows). Same seed and row count, same bytes,
//! for any number of threads. Memory is bounded: a few blocks of rows at a time.
//!
//! Kept from the original (see `profile.json`): marginal distributions, groups that go missing together and how often
//! per product, fraud rates by product, week and hour, how telling a single column is, drift, how often cards recur.
//! Not kept: how columns depend on each other beyond groups, values that follow from other values (`D1` from dates,
//! `V` sums from amounts), names of rare devices. A score on this data says nothing about the original.

mod block;
mod cards;
mod clock;
mod columns;
#[cfg(test)]
mod figures;
mod fraud;
mod normal;
mod profile;
#[cfg(test)]
mod tests;

use std::io::Write;

use rayon::prelude::*;
use serde::Serialize;

use self::block::{Block, Generator};
use self::profile::Profile;
use super::error::{Error, Result};
use super::progress::{Progress, Unit};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SynthConfig {
    /// At least 1.
    pub rows: usize,
    pub seed: u64,
}

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct SynthSummary {
    pub rows: u64,
    pub frauds: u64,
    pub identity_rows: u64,
}

/// Writes both files, headers first.
pub fn synth(
    config: &SynthConfig,
    transactions: &mut dyn Write,
    identities: &mut dyn Write,
    progress: &dyn Progress,
) -> Result<SynthSummary> {
    if config.rows == 0 {
        return Err(Error::permanent("`rows`: expected at least 1, found 0"));
    }
    let profile = Profile::embedded()?;
    let generator = Generator::new(&profile, config)?;
    write(transactions, header(&columns::transaction()).as_bytes())?;
    write(identities, header(&columns::identity()).as_bytes())?;

    progress.begin(Unit::Rows, "synth", config.rows as u64);
    let mut summary = SynthSummary::default();
    // A wave keeps every thread busy and memory small; its size changes no byte.
    let wave = 2 * rayon::current_num_threads();
    let numbers: Vec<usize> = (0..generator.n_blocks()).collect();
    for numbers in numbers.chunks(wave) {
        if progress.interrupted() {
            return Err(Error::interrupted());
        }
        let blocks: Vec<Block> = numbers.par_iter().map(|&number| generator.block(number)).collect();
        for block in blocks {
            write(transactions, &block.transactions)?;
            write(identities, &block.identities)?;
            summary.rows += block.rows;
            summary.frauds += block.frauds;
            summary.identity_rows += block.identity_rows;
            progress.advance(Unit::Rows, block.rows);
        }
    }
    progress.end(Unit::Rows);
    Ok(summary)
}

fn header(names: &[String]) -> String {
    names.join(",") + "\n"
}

fn write(file: &mut dyn Write, bytes: &[u8]) -> Result<()> {
    file.write_all(bytes).map_err(|error| Error::failed(format!("writing look-alike rows: {error}")))
}

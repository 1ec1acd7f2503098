//! Training on the processor: blocks of a batch on all threads, then one walk over the parameters.
//!
//! In: batches. Out: their losses, and a network that has learned from them. The gradient is the sum of the blocks' parts in
//! their order: its bits are those of a CPU feature level (the kernels of `gemm`), for any number of threads.

use rayon::prelude::*;

use super::adam::Adam;
use super::batch::{Batch, ROWS_PER_BLOCK, rows_per_block};
use super::block::Block;
use super::dropout::Dropout;
use super::network::{MOMENTUM, Network, Statistics};
use crate::training::config::MlpConfig;
use crate::training::error::Result;

#[derive(Debug)]
pub(super) struct Cpu {
    network: Network,
    dropout: Vec<Dropout>,
    blocks: Vec<Block>,
    adam: Adam,
}

impl Cpu {
    pub fn new(config: &MlpConfig, network: Network, dropout: Vec<Dropout>) -> Cpu {
        Cpu { adam: Adam::new(config, network.parameters.len()), blocks: Vec::new(), network, dropout }
    }

    /// One step; the mean loss of the batch before it.
    pub fn step(&mut self, batch: &Batch, learning_rate: f64) -> f64 {
        let n_blocks = self.learn(batch);
        let blocks = &self.blocks[..n_blocks];
        let parts: Vec<&[f32]> = blocks.iter().map(|block| &block.gradient[..]).collect();
        self.adam.update(&mut self.network.parameters, &parts, learning_rate);
        for (nth, known) in self.network.statistics.iter_mut().enumerate() {
            let passed: Vec<&Statistics> = blocks.iter().flat_map(|block| &block.passed[nth]).collect();
            average(&mut known.means, passed.iter().map(|found| &found.means));
            average(&mut known.variances, passed.iter().map(|found| &found.variances));
        }
        blocks.iter().map(|block| block.loss).sum::<f64>() / batch.entries.len() as f64
    }

    /// Fills the blocks with loss and gradient; how many there are.
    pub(super) fn learn(&mut self, batch: &Batch) -> usize {
        let n_rows = rows_per_block(batch.entries.len());
        let n_blocks = batch.entries.len().div_ceil(n_rows);
        while self.blocks.len() < n_blocks {
            self.blocks.push(Block::new(&self.network, n_rows.max(ROWS_PER_BLOCK)));
        }
        let (network, dropout) = (&self.network, &self.dropout);
        let work = self.blocks.par_iter_mut().zip(batch.entries.par_chunks(n_rows)).enumerate();
        work.for_each(|(nth, (block, entries))| block.learn(network, dropout, batch, nth * n_rows, entries));
        n_blocks
    }

    #[cfg(test)]
    pub(super) fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    pub fn network(&self) -> Result<Network> {
        Ok(self.network.clone())
    }
}

/// Moves the moving average towards the mean of what passed.
fn average<'a>(known: &mut [f32], passed: impl Iterator<Item = &'a Vec<f32>> + Clone) {
    let share = MOMENTUM / passed.clone().count().max(1) as f32;
    known.iter_mut().for_each(|value| *value *= 1.0 - MOMENTUM);
    for found in passed {
        known.iter_mut().zip(found).for_each(|(value, found)| *value += share * found);
    }
}

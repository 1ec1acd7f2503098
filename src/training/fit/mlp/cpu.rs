//! Training on the processor: blocks of a batch on all threads, then one walk over the parameters.
//!
//! In: batches. Out: their losses, and a network that has learned from them. The gradient is the sum of the blocks' parts in
//! their order: its bits are those of a CPU feature level (the kernels of `gemm`), for any number of threads.

use rayon::prelude::*;

use super::adam::Adam;
use super::batch::{Batch, ROWS_AT_ONCE, ROWS_PER_BLOCK, rows_per_block};
use super::block::{Block, Piece};
use super::dropout::Dropout;
use super::network::{MOMENTUM, Network, Statistics};
use super::normal;
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
        let (n_blocks, statistics) = self.learn(batch);
        let blocks = &self.blocks[..n_blocks];
        let parts: Vec<&[f32]> = blocks.iter().map(|block| &block.gradient[..]).collect();
        self.adam.update(&mut self.network.parameters, &parts, learning_rate);
        for (known, found) in self.network.statistics.iter_mut().zip(&statistics) {
            average(&mut known.means, &found.means);
            average(&mut known.variances, &found.variances);
        }
        blocks.iter().map(|block| block.loss).sum::<f64>() / batch.entries.len() as f64
    }

    /// Fills the blocks with loss and gradient: how many there are, and the batch's statistics of normalised layers.
    pub(super) fn learn(&mut self, batch: &Batch) -> (usize, Vec<Statistics>) {
        let (network, dropout) = (&self.network, &self.dropout[..]);
        let per_block = rows_per_block(batch.entries.len());
        let is_normalised = !network.statistics.is_empty();
        let room = if is_normalised { per_block } else { per_block.min(ROWS_AT_ONCE) }.max(ROWS_PER_BLOCK);
        let piece = |start| {
            let n_rows = per_block.min(batch.entries.len() - start);
            Piece { network, dropout, batch, start, n_rows }
        };
        let pieces: Vec<Piece> = (0..batch.entries.len()).step_by(per_block.max(1)).map(piece).collect();
        while self.blocks.len() < pieces.len() {
            self.blocks.push(Block::new(network, room));
        }
        let blocks = &mut self.blocks[..pieces.len()];
        if is_normalised {
            return (pieces.len(), normal::learn(blocks, &pieces));
        }
        blocks.par_iter_mut().zip(&pieces).for_each(|(block, piece)| block.learn(piece));
        (pieces.len(), Vec::new())
    }

    #[cfg(test)]
    pub(super) fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    pub fn network(&self) -> Result<Network> {
        Ok(self.network.clone())
    }
}

/// Moves the moving average towards what was found.
fn average(known: &mut [f32], found: &[f32]) {
    known.iter_mut().zip(found).for_each(|(value, found)| *value += MOMENTUM * (found - *value));
}

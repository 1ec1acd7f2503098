//! The step of a network with batch normalisation (Ioffe & Szegedy 2015): all blocks of a batch, layer by layer.
//!
//! In: blocks and their rows. Out: losses and gradients in the blocks, and the statistics of the batch. Mean and variance
//! are those of the whole batch, in two passes; blocks leave their parts, which are summed in their order, so that bits do
//! not depend on threads. The blocks hold all rows of the batch at once.

use rayon::prelude::*;

use super::block::{Block, Piece, sum_rows};
use super::network::{Statistics, VARIANCE_FLOOR};

pub(super) fn learn(blocks: &mut [Block], pieces: &[Piece]) -> Vec<Statistics> {
    let (layers, n_rows) = (&pieces[0].network.layers, pieces[0].batch.entries.len());
    let (mut statistics, mut scales) = (Vec::new(), Vec::new());
    each(blocks, pieces, |block, piece| {
        block.begin(piece);
        block.gather(piece);
    });
    for (depth, layer) in layers.iter().enumerate() {
        each(blocks, pieces, |block, piece| block.product(piece, depth));
        if layer.is_normalised() {
            let (found, scale) = forward(blocks, pieces, depth, n_rows);
            statistics.push(found);
            scales.push(scale);
        }
        each(blocks, pieces, |block, piece| block.activate(piece, depth));
    }
    each(blocks, pieces, Block::start_back);
    for (depth, layer) in layers.iter().enumerate().rev() {
        each(blocks, pieces, |block, piece| block.back_biases(piece, depth));
        if let Some(scales) = layer.is_normalised().then(|| scales.pop()).flatten() {
            backward(blocks, pieces, depth, n_rows, &scales);
        }
        each(blocks, pieces, |block, piece| block.back(piece, depth, false));
    }
    statistics
}

fn each(blocks: &mut [Block], pieces: &[Piece], work: impl Fn(&mut Block, &Piece) + Sync) {
    blocks.par_iter_mut().zip(pieces).for_each(|(block, piece)| work(block, piece));
}

/// Parts of all blocks, summed in their order, over the rows of the batch.
fn mean(blocks: &[Block], nth: usize, n_rows: usize) -> Vec<f32> {
    let mut sums = vec![0.0; blocks[0].parts[nth].len()];
    blocks.iter().for_each(|block| sum_rows(&block.parts[nth], &mut sums));
    sums.iter_mut().for_each(|sum| *sum *= 1.0 / n_rows as f32);
    sums
}

/// Sums become gain x (sum - mean) / spread. The statistics of the batch, and one over the spread per unit.
fn forward(blocks: &mut [Block], pieces: &[Piece], depth: usize, n_rows: usize) -> (Statistics, Vec<f32>) {
    let layer = pieces[0].layer(depth);
    let (gains, width) = (&pieces[0].network.parameters[layer.gains.clone()], layer.n_outputs);
    each(blocks, pieces, |block, piece| {
        let (sums, _, [part, _]) = block.sums(piece, depth);
        restart(part, width);
        sum_rows(sums, part);
    });
    let means = mean(blocks, 0, n_rows);
    each(blocks, pieces, |block, piece| {
        let (sums, _, [part, _]) = block.sums(piece, depth);
        restart(part, width);
        for row in sums.chunks_exact_mut(width) {
            for ((value, mean), square) in row.iter_mut().zip(&means).zip(&mut *part) {
                *value -= mean;
                *square += *value * *value;
            }
        }
    });
    let variances = mean(blocks, 0, n_rows);
    let scales: Vec<f32> = variances.iter().map(|variance| 1.0 / (variance + VARIANCE_FLOOR).sqrt()).collect();
    each(blocks, pieces, |block, piece| {
        let (sums, values, _) = block.sums(piece, depth);
        for (row, values) in sums.chunks_exact_mut(width).zip(values.chunks_exact_mut(width)) {
            for (((sum, value), scale), gain) in row.iter_mut().zip(values).zip(&scales).zip(gains) {
                *value = *sum * scale;
                *sum = *value * gain;
            }
        }
    });
    // The variance of the population is estimated as in PyTorch, by n - 1.
    let unbiased = n_rows as f32 / (n_rows - 1).max(1) as f32;
    (Statistics { means, variances: variances.into_iter().map(|variance| variance * unbiased).collect() }, scales)
}

/// From the loss by normalised sums to the loss by sums, and by gains.
fn backward(blocks: &mut [Block], pieces: &[Piece], depth: usize, n_rows: usize, scales: &[f32]) {
    let layer = pieces[0].layer(depth);
    let (gains, width) = (&pieces[0].network.parameters[layer.gains.clone()], layer.n_outputs);
    each(blocks, pieces, |block, piece| {
        let (deltas, values, [sums, products]) = block.deltas(piece, depth);
        restart(sums, width);
        restart(products, width);
        sum_rows(deltas, sums);
        for (row, values) in deltas.chunks_exact(width).zip(values.chunks_exact(width)) {
            for ((delta, value), product) in row.iter().zip(values).zip(&mut *products) {
                *product += delta * value;
            }
        }
        block.gradient[layer.gains.clone()].copy_from_slice(&block.parts[1]);
    });
    let [sums, products] = [0, 1].map(|nth| mean(blocks, nth, n_rows));
    each(blocks, pieces, |block, piece| {
        let (deltas, values, _) = block.deltas(piece, depth);
        for (row, values) in deltas.chunks_exact_mut(width).zip(values.chunks_exact(width)) {
            for (unit, (delta, value)) in row.iter_mut().zip(values).enumerate() {
                *delta = gains[unit] * scales[unit] * (*delta - (sums[unit] + value * products[unit]));
            }
        }
    });
}

fn restart(part: &mut Vec<f32>, width: usize) {
    part.clear();
    part.resize(width, 0.0);
}

//! The hand-written step: a block of a batch's rows goes forward and back, and leaves its part of the gradient.
//!
//! Method: back-propagation through dense layers, optional batch normalisation, ReLU and inverted dropout, as matrix
//! products of crate `gemm` on one thread; threads share blocks. Everything a block touches (inputs, activations, deltas,
//! its gradient) is its own and is reused from step to step. A unit's activation says all that its derivative needs: it
//! is above 0 where ReLU and dropout let the unit through, so that no mask is stored.
//!
//! Batch normalisation takes its statistics from the rows that pass together (64 to 512, "ghost" batches, Hoffer et al.
//! 2017): blocks need not wait for each other, and small batches normalise better than large ones.

use super::batch::{Batch, ROWS_AT_ONCE, cross_entropy};
use super::dropout::{Dropout, draw_row};
use super::network::{Layer, Network, Statistics, VARIANCE_FLOOR};
use crate::training::gemm::{View, ViewMut, multiply};

#[derive(Debug)]
pub(super) struct Block {
    /// Per layer `n_rows x n_inputs`, and the logits.
    activations: Vec<Vec<f32>>,
    /// Per normalised layer.
    normal: Vec<Normal>,
    /// The loss by the sums of a layer, `n_rows x n_outputs`, and by those of the layer before.
    delta: Vec<f32>,
    next: Vec<f32>,
    draws: Vec<u16>,
    /// In the order of the network's parameters.
    pub gradient: Vec<f32>,
    /// Sum of the weighted losses.
    pub loss: f64,
    /// Per normalised layer, the statistics of each piece that passed.
    pub passed: Vec<Vec<Statistics>>,
}

/// What normalisation keeps for the way back.
#[derive(Debug, Default)]
struct Normal {
    values: Vec<f32>,
    /// One over the standard deviation of each unit.
    scales: Vec<f32>,
}

impl Block {
    pub fn new(network: &Network, n_rows: usize) -> Block {
        let n_rows = n_rows.min(ROWS_AT_ONCE);
        let room = |width: usize| vec![0f32; n_rows * width];
        let inputs = network.layers.iter().map(|layer| layer.n_inputs);
        let widest = network.layers.iter().map(|layer| layer.n_outputs).max().unwrap_or(1);
        let normal = network.layers.iter().filter(|layer| layer.is_normalised());
        Block {
            activations: inputs.chain([1]).map(room).collect(),
            normal: normal.map(|layer| Normal { values: room(layer.n_outputs), scales: Vec::new() }).collect(),
            delta: room(widest),
            next: room(widest),
            draws: vec![0; widest],
            gradient: vec![0.0; network.parameters.len()],
            loss: 0.0,
            passed: vec![Vec::new(); network.statistics.len()],
        }
    }

    /// Loss and gradient of the rows of `batch` from `start` on that `entries` names, divided by all rows of the batch.
    pub fn learn(&mut self, network: &Network, dropout: &[Dropout], batch: &Batch, start: usize, entries: &[u32]) {
        self.loss = 0.0;
        self.passed.iter_mut().for_each(Vec::clear);
        for (nth, piece) in entries.chunks(ROWS_AT_ONCE).enumerate() {
            self.forward(network, dropout, batch, start + nth * ROWS_AT_ONCE, piece);
            self.start_back(batch, piece);
            self.backward(network, dropout, piece.len(), nth > 0);
        }
    }

    fn forward(&mut self, network: &Network, dropout: &[Dropout], batch: &Batch, start: usize, entries: &[u32]) {
        let n_features = network.layers[0].n_inputs;
        for (&entry, row) in entries.iter().zip(self.activations[0].chunks_exact_mut(n_features)) {
            row.copy_from_slice(batch.row(entry));
        }
        let n_rows = entries.len();
        let mut normal = self.normal.iter_mut().zip(&mut self.passed);
        for (depth, layer) in network.layers.iter().enumerate() {
            let (before, after) = self.activations.split_at_mut(depth + 1);
            let input = View::row_major(&before[depth], n_rows, layer.n_inputs);
            let output = &mut after[0][..n_rows * layer.n_outputs];
            multiply(ViewMut::row_major(output, n_rows, layer.n_outputs), input, weights(network, layer), false);
            if layer.is_normalised()
                && let Some((normal, passed)) = normal.next()
            {
                passed.push(normal.forward(output, &network.parameters[layer.gains.clone()]));
            }
            let biases = &network.parameters[layer.biases.clone()];
            for (nth, row) in output.chunks_exact_mut(layer.n_outputs).enumerate() {
                row.iter_mut().zip(biases).for_each(|(y, bias)| *y += bias);
                if let Some(dropout) = dropout.get(depth) {
                    let draws = &mut self.draws[..layer.n_outputs];
                    activate(row, dropout, draws, |draws| draw_row(batch.key, depth, start + nth, draws));
                }
            }
        }
    }

    /// The loss, and its derivative by the logits.
    fn start_back(&mut self, batch: &Batch, entries: &[u32]) {
        let logits = self.activations.last().into_iter().flatten();
        let share = 1.0 / batch.entries.len() as f64;
        for ((&entry, &logit), delta) in entries.iter().zip(logits).zip(&mut self.delta) {
            let (loss, derivative) = cross_entropy(logit, batch.label(entry));
            let weight = f64::from(batch.weight(entry));
            self.loss += weight * loss;
            *delta = (weight * derivative * share) as f32;
        }
    }

    /// Adds to the gradient of the piece before, or starts it.
    fn backward(&mut self, network: &Network, dropout: &[Dropout], n_rows: usize, add: bool) {
        if !add {
            self.gradient.fill(0.0);
        }
        let mut normal = self.normal.iter().rev();
        for (depth, layer) in network.layers.iter().enumerate().rev() {
            let delta = &mut self.delta[..n_rows * layer.n_outputs];
            sum_rows(delta, &mut self.gradient[layer.biases.clone()]);
            if layer.is_normalised()
                && let Some(normal) = normal.next()
            {
                let gains = &network.parameters[layer.gains.clone()];
                normal.backward(delta, gains, &mut self.gradient[layer.gains.clone()]);
            }
            let delta = View::row_major(delta, n_rows, layer.n_outputs);
            let input = &self.activations[depth][..n_rows * layer.n_inputs];
            let gradient = &mut self.gradient[layer.weights.clone()];
            let by_weights = ViewMut::row_major(gradient, layer.n_inputs, layer.n_outputs);
            multiply(by_weights, View::row_major(input, n_rows, layer.n_inputs).transposed(), delta, add);
            if depth > 0 {
                let by_inputs = &mut self.next[..n_rows * layer.n_inputs];
                let into = ViewMut::row_major(by_inputs, n_rows, layer.n_inputs);
                multiply(into, delta, weights(network, layer).transposed(), false);
                let kept = dropout[depth - 1].kept;
                by_inputs
                    .iter_mut()
                    .zip(input)
                    .for_each(|(delta, unit)| *delta *= if *unit > 0.0 { kept } else { 0.0 });
                std::mem::swap(&mut self.delta, &mut self.next);
            }
        }
    }
}

fn weights<'a>(network: &'a Network, layer: &Layer) -> View<'a> {
    View::row_major(&network.parameters[layer.weights.clone()], layer.n_inputs, layer.n_outputs)
}

/// ReLU and dropout. `max` would turn an overflow (NaN) into a plausible 0.
fn activate(row: &mut [f32], dropout: &Dropout, draws: &mut [u16], draw: impl Fn(&mut [u16])) {
    if !dropout.drops() {
        return row.iter_mut().for_each(|y| *y = if *y < 0.0 { 0.0 } else { *y });
    }
    draw(draws);
    for (y, &draw) in row.iter_mut().zip(&*draws) {
        let factor = dropout.factor(draw);
        *y = if *y < 0.0 { 0.0 } else { *y * factor };
    }
}

/// Adds all rows to `sums`.
fn sum_rows(rows: &[f32], sums: &mut [f32]) {
    for row in rows.chunks_exact(sums.len()) {
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
}

impl Normal {
    /// Sums become gain x (sum - mean) / spread; the statistics of these rows.
    fn forward(&mut self, sums: &mut [f32], gains: &[f32]) -> Statistics {
        let (width, n_rows) = (gains.len(), sums.len() / gains.len());
        let share = 1.0 / n_rows as f32;
        let (mut means, mut squares) = (vec![0f32; width], vec![0f32; width]);
        sum_rows(sums, &mut means);
        means.iter_mut().for_each(|mean| *mean *= share);
        for row in sums.chunks_exact_mut(width) {
            for ((value, mean), square) in row.iter_mut().zip(&means).zip(&mut squares) {
                *value -= mean;
                *square += *value * *value;
            }
        }
        self.scales.clear();
        self.scales.extend(squares.iter().map(|square| 1.0 / (square * share + VARIANCE_FLOOR).sqrt()));
        for (row, values) in sums.chunks_exact_mut(width).zip(self.values.chunks_exact_mut(width)) {
            for (((sum, value), scale), gain) in row.iter_mut().zip(values).zip(&self.scales).zip(gains) {
                *value = *sum * scale;
                *sum = *value * gain;
            }
        }
        // The variance of the population is estimated as in PyTorch, by n - 1.
        let unbiased = 1.0 / (n_rows - 1).max(1) as f32;
        Statistics { means, variances: squares.into_iter().map(|square| square * unbiased).collect() }
    }

    /// From the loss by normalised sums to the loss by sums.
    fn backward(&self, delta: &mut [f32], gains: &[f32], by_gains: &mut [f32]) {
        let (width, n_rows) = (gains.len(), delta.len() / gains.len());
        let share = 1.0 / n_rows as f32;
        let (mut sums, mut products) = (vec![0f32; width], vec![0f32; width]);
        sum_rows(delta, &mut sums);
        for (row, values) in delta.chunks_exact(width).zip(self.values.chunks_exact(width)) {
            for ((delta, value), product) in row.iter().zip(values).zip(&mut products) {
                *product += delta * value;
            }
        }
        by_gains.iter_mut().zip(&products).for_each(|(by_gain, product)| *by_gain += product);
        for (row, values) in delta.chunks_exact_mut(width).zip(self.values.chunks_exact(width)) {
            for (unit, (delta, value)) in row.iter_mut().zip(values).enumerate() {
                let drift = share * (sums[unit] + value * products[unit]);
                *delta = gains[unit] * self.scales[unit] * (*delta - drift);
            }
        }
    }
}

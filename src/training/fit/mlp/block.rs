//! The hand-written step: a block of a batch's rows goes forward and back, and leaves its part of the gradient.
//!
//! Method: back-propagation through dense layers, ReLU and inverted dropout, as matrix products of crate `gemm` on one
//! thread; threads share blocks. Everything a block touches (inputs, activations, deltas, its gradient) is its own and is
//! reused from step to step. A unit's activation says all that its derivative needs: it is above 0 where ReLU and dropout
//! let the unit through, so that no mask is stored. Where layers are normalised, `normal` leads all blocks layer by layer.

use super::batch::{Batch, ROWS_AT_ONCE, cross_entropy};
use super::dropout::{Dropout, draw_row};
use super::network::{Layer, Network};
use crate::training::gemm::{View, ViewMut, multiply};

#[derive(Debug)]
pub(super) struct Block {
    /// Per layer `n_rows x n_inputs`, and the logits.
    activations: Vec<Vec<f32>>,
    /// The loss by the sums of a layer, `n_rows x n_outputs`, and by those of the layer before.
    delta: Vec<f32>,
    next: Vec<f32>,
    draws: Vec<u16>,
    /// In the order of the network's parameters.
    pub gradient: Vec<f32>,
    /// Sum of the weighted losses.
    pub loss: f64,
    /// Per layer, where it is normalised, `n_rows x n_outputs`: (sum - mean) / spread.
    pub normal: Vec<Vec<f32>>,
    /// What this block adds to two sums over the rows of a batch, per unit of the layer at hand.
    pub parts: [Vec<f32>; 2],
}

/// Rows of a batch, from `start` on, that go through a network together.
#[derive(Clone, Copy)]
pub(super) struct Piece<'a> {
    pub network: &'a Network,
    pub dropout: &'a [Dropout],
    pub batch: &'a Batch<'a>,
    pub start: usize,
    pub n_rows: usize,
}

impl<'a> Piece<'a> {
    fn entries(&self) -> &'a [u32] {
        &self.batch.entries[self.start..][..self.n_rows]
    }

    pub fn layer(&self, depth: usize) -> &'a Layer {
        &self.network.layers[depth]
    }

    /// Pieces of at most `n_rows`.
    fn cut(self, n_rows: usize) -> impl Iterator<Item = Piece<'a>> {
        let part = move |at| Piece { start: self.start + at, n_rows: n_rows.min(self.n_rows - at), ..self };
        (0..self.n_rows).step_by(n_rows).map(part)
    }

    fn weights(&self, layer: &Layer) -> View<'a> {
        View::row_major(&self.network.parameters[layer.weights.clone()], layer.n_inputs, layer.n_outputs)
    }
}

impl Block {
    /// With room for so many rows at once.
    pub fn new(network: &Network, n_rows: usize) -> Block {
        let room = |width: usize| vec![0f32; n_rows * width];
        let inputs = network.layers.iter().map(|layer| layer.n_inputs);
        let widest = network.layers.iter().map(|layer| layer.n_outputs).max().unwrap_or(1);
        // A gain per unit, or none.
        let normal = network.layers.iter().map(|layer| room(layer.gains.len()));
        Block {
            activations: inputs.chain([1]).map(room).collect(),
            delta: room(widest),
            next: room(widest),
            draws: vec![0; widest],
            gradient: vec![0.0; network.parameters.len()],
            loss: 0.0,
            normal: normal.collect(),
            parts: [Vec::new(), Vec::new()],
        }
    }

    /// Loss and gradient of a network without normalised layers, divided by all rows of the batch. What is larger than the
    /// room goes piece by piece.
    pub fn learn(&mut self, piece: &Piece) {
        for (nth, piece) in piece.cut(ROWS_AT_ONCE).enumerate() {
            if nth == 0 {
                self.begin(&piece);
            }
            self.gather(&piece);
            for depth in 0..piece.network.layers.len() {
                self.product(&piece, depth);
                self.activate(&piece, depth);
            }
            self.start_back(&piece);
            for depth in (0..piece.network.layers.len()).rev() {
                self.back_biases(&piece, depth);
                self.back(&piece, depth, nth > 0);
            }
        }
    }

    /// Forgets what it has learned. Gradients of weights are written before they are added to.
    pub fn begin(&mut self, piece: &Piece) {
        self.loss = 0.0;
        for layer in &piece.network.layers {
            self.gradient[layer.biases.clone()].fill(0.0);
            self.gradient[layer.gains.clone()].fill(0.0);
        }
    }

    pub fn gather(&mut self, piece: &Piece) {
        let rows = self.activations[0].chunks_exact_mut(piece.layer(0).n_inputs);
        piece.entries().iter().zip(rows).for_each(|(&entry, row)| row.copy_from_slice(piece.batch.row(entry)));
    }

    /// Inputs times weights.
    pub fn product(&mut self, piece: &Piece, depth: usize) {
        let (layer, n_rows) = (piece.layer(depth), piece.n_rows);
        let (before, after) = self.activations.split_at_mut(depth + 1);
        let input = View::row_major(&before[depth], n_rows, layer.n_inputs);
        multiply(ViewMut::row_major(&mut after[0], n_rows, layer.n_outputs), input, piece.weights(layer), false);
    }

    /// Biases, and between layers ReLU and dropout.
    pub fn activate(&mut self, piece: &Piece, depth: usize) {
        let layer = piece.layer(depth);
        let biases = &piece.network.parameters[layer.biases.clone()];
        let rows = self.activations[depth + 1].chunks_exact_mut(layer.n_outputs).take(piece.n_rows);
        for (nth, row) in rows.enumerate() {
            row.iter_mut().zip(biases).for_each(|(y, bias)| *y += bias);
            if let Some(dropout) = piece.dropout.get(depth) {
                let draws = &mut self.draws[..layer.n_outputs];
                activate(row, dropout, draws, |draws| draw_row(piece.batch.key, depth, piece.start + nth, draws));
            }
        }
    }

    /// The loss, and its derivative by the logits.
    pub fn start_back(&mut self, piece: &Piece) {
        let (batch, entries) = (piece.batch, piece.entries());
        let logits = self.activations.last().into_iter().flatten();
        let share = 1.0 / batch.entries.len() as f64;
        for ((&entry, &logit), delta) in entries.iter().zip(logits).zip(&mut self.delta) {
            let (loss, derivative) = cross_entropy(logit, batch.label(entry));
            let weight = f64::from(batch.weight(entry));
            self.loss += weight * loss;
            *delta = (weight * derivative * share) as f32;
        }
    }

    pub fn back_biases(&mut self, piece: &Piece, depth: usize) {
        let layer = piece.layer(depth);
        sum_rows(&self.delta[..piece.n_rows * layer.n_outputs], &mut self.gradient[layer.biases.clone()]);
    }

    /// From the loss by a layer's sums to the loss by its weights (written, or added) and by the sums of the layer before.
    pub fn back(&mut self, piece: &Piece, depth: usize, add: bool) {
        let (layer, n_rows) = (piece.layer(depth), piece.n_rows);
        let delta = View::row_major(&self.delta, n_rows, layer.n_outputs);
        let input = &self.activations[depth][..n_rows * layer.n_inputs];
        let gradient = &mut self.gradient[layer.weights.clone()];
        let by_weights = ViewMut::row_major(gradient, layer.n_inputs, layer.n_outputs);
        multiply(by_weights, View::row_major(input, n_rows, layer.n_inputs).transposed(), delta, add);
        if depth > 0 {
            let by_inputs = &mut self.next[..n_rows * layer.n_inputs];
            let into = ViewMut::row_major(by_inputs, n_rows, layer.n_inputs);
            multiply(into, delta, piece.weights(layer).transposed(), false);
            let kept = piece.dropout[depth - 1].kept;
            by_inputs.iter_mut().zip(input).for_each(|(delta, unit)| *delta *= if *unit > 0.0 { kept } else { 0.0 });
            std::mem::swap(&mut self.delta, &mut self.next);
        }
    }

    /// The sums of a layer, or the loss by them, `n_rows x n_outputs`; what is normalised of it; and this block's parts.
    pub fn sums(&mut self, piece: &Piece, depth: usize) -> (&mut [f32], &mut [f32], &mut [Vec<f32>; 2]) {
        let len = piece.n_rows * piece.layer(depth).n_outputs;
        (&mut self.activations[depth + 1][..len], &mut self.normal[depth][..len], &mut self.parts)
    }

    pub fn deltas(&mut self, piece: &Piece, depth: usize) -> (&mut [f32], &[f32], &mut [Vec<f32>; 2]) {
        let len = piece.n_rows * piece.layer(depth).n_outputs;
        (&mut self.delta[..len], &self.normal[depth][..len], &mut self.parts)
    }
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
pub(super) fn sum_rows(rows: &[f32], sums: &mut [f32]) {
    for row in rows.chunks_exact(sums.len()) {
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
}

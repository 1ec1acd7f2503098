//! The same step by burn's autodiff, on any of its backends: the way onto a GPU, and the reference of the hand-written one.
//!
//! Parameters, moments and statistics stay on the device; rows and dropout factors are made here, from the same draws, and
//! sent with each batch. So both ways train the same network up to rounding, and bits are those of the backend.

use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{Tensor, TensorData, activation};

use super::adam::{BETAS, Clock, EPSILON, Rates, clip};
use super::batch::Batch;
use super::dropout::{Dropout, draw_row};
use super::network::{Layer, MOMENTUM, Network, Statistics, VARIANCE_FLOOR};
use crate::training::config::MlpConfig;
use crate::training::error::{Error, Result};

type Inner<B, const D: usize> = Tensor<<B as AutodiffBackend>::InnerBackend, D>;

#[derive(Debug)]
pub(super) struct Graph<B: AutodiffBackend> {
    device: B::Device,
    /// Shapes; its parameters are those of the start.
    network: Network,
    parameters: Inner<B, 1>,
    moments: [Inner<B, 1>; 2],
    /// Mean and variance per normalised layer, each `1 x n_outputs`.
    statistics: Vec<[Inner<B, 2>; 2]>,
    dropout: Vec<Dropout>,
    clock: Clock,
    clip_norm: Option<f64>,
}

/// Loss by parameters, and the statistics of the batch.
type Gradient<B> = (f64, Inner<B, 1>, Vec<[Inner<B, 2>; 2]>);

impl<B: AutodiffBackend> Graph<B> {
    pub fn new(config: &MlpConfig, network: Network, dropout: Vec<Dropout>) -> Graph<B> {
        let device = B::Device::default();
        let parameters = Inner::<B, 1>::from_data(TensorData::from(&network.parameters[..]), &device);
        let row =
            |values: &[f32]| Inner::<B, 2>::from_data(TensorData::new(values.to_vec(), [1, values.len()]), &device);
        Graph {
            moments: [parameters.zeros_like(), parameters.zeros_like()],
            statistics: network.statistics.iter().map(|found| [row(&found.means), row(&found.variances)]).collect(),
            clock: Clock::new(config),
            clip_norm: config.clip_norm,
            device,
            network,
            parameters,
            dropout,
        }
    }

    /// One step; the mean loss of the batch before it.
    pub fn step(&mut self, batch: &Batch, learning_rate: f64) -> f64 {
        let (loss, gradient, statistics) = self.gradient(batch);
        let rates = self.clock.tick(learning_rate);
        self.update(gradient, rates);
        let average = |old: Inner<B, 2>, new: Inner<B, 2>| old * (1.0 - MOMENTUM) + new * MOMENTUM;
        for (known, [mean, variance]) in self.statistics.iter_mut().zip(statistics) {
            let [means, variances] = known.clone();
            *known = [average(means, mean), average(variances, variance)];
        }
        loss
    }

    /// Adam, as in `adam.rs`.
    fn update(&mut self, gradient: Inner<B, 1>, rates: Rates) {
        let gradient = match self.clip_norm {
            None => gradient,
            Some(most) => {
                let squares: f32 = gradient.clone().square().sum().into_data().iter().next().unwrap_or(0.0);
                gradient * clip(f64::from(squares).sqrt(), most)
            }
        };
        let [first, second] = self.moments.clone();
        let first = first * BETAS[0] + gradient.clone() * (1.0 - BETAS[0]);
        let second = second * BETAS[1] + gradient.square() * (1.0 - BETAS[1]);
        let step = first.clone() * rates.step / (second.clone().sqrt() * rates.root + EPSILON);
        self.parameters = self.parameters.clone() * rates.remains - step;
        self.moments = [first, second];
    }

    /// Of sum(w bce) / batch rows, with bce through log-sigmoid.
    pub(super) fn gradient(&self, batch: &Batch) -> Gradient<B> {
        let parameters = Tensor::<B, 1>::from_inner(self.parameters.clone()).require_grad();
        let (logits, statistics) = self.forward(&parameters, batch);
        let column = |label: u8| {
            let weight = |&entry: &u32| if batch.label(entry) == label { batch.weight(entry) } else { 0.0 };
            let weights: Vec<f32> = batch.entries.iter().map(weight).collect();
            Tensor::<B, 2>::from_data(TensorData::new(weights, [batch.entries.len(), 1]), &self.device)
        };
        let log_likelihood =
            column(1) * activation::log_sigmoid(logits.clone()) + column(0) * activation::log_sigmoid(logits.neg());
        let loss = log_likelihood.sum().neg() / batch.entries.len() as f32;
        let value = loss.clone().into_data().iter::<f64>().next().unwrap_or(f64::NAN);
        let gradient = parameters.grad(&loss.backward()).unwrap_or_else(|| self.parameters.zeros_like());
        (value, gradient, statistics)
    }

    /// Logits `n_rows x 1`, and the statistics of normalised layers.
    fn forward(&self, parameters: &Tensor<B, 1>, batch: &Batch) -> (Tensor<B, 2>, Vec<[Inner<B, 2>; 2]>) {
        let n_rows = batch.entries.len();
        let gathered: Vec<f32> = batch.entries.iter().flat_map(|&entry| batch.row(entry)).copied().collect();
        let n_features = self.network.layers[0].n_inputs;
        let mut units = Tensor::<B, 2>::from_data(TensorData::new(gathered, [n_rows, n_features]), &self.device);
        let mut statistics = Vec::new();
        for (depth, layer) in self.network.layers.iter().enumerate() {
            let part = |range: &std::ops::Range<usize>, n_rows: usize| {
                parameters.clone().slice(range.clone()).reshape([n_rows, range.len() / n_rows])
            };
            let mut sums = units.matmul(part(&layer.weights, layer.n_inputs));
            if layer.is_normalised() {
                let (normal, found) = normalise::<B>(sums, n_rows);
                sums = normal * part(&layer.gains, 1);
                statistics.push(found);
            }
            units = sums + part(&layer.biases, 1);
            if let Some(dropout) = self.dropout.get(depth) {
                units = activation::relu(units);
                if dropout.drops() {
                    units = units * self.factors(dropout, depth, layer, batch);
                }
            }
        }
        (units, statistics)
    }

    #[cfg(test)]
    pub(super) fn logits(&self, batch: &Batch) -> Vec<f32> {
        let parameters = Tensor::<B, 1>::from_inner(self.parameters.clone());
        self.forward(&parameters, batch).0.into_data().into_vec().expect("f32")
    }

    fn factors(&self, dropout: &Dropout, depth: usize, layer: &Layer, batch: &Batch) -> Tensor<B, 2> {
        let (n_rows, width) = (batch.entries.len(), layer.n_outputs);
        let mut draws = vec![0; n_rows * width];
        for (row, draws) in draws.chunks_exact_mut(width).enumerate() {
            draw_row(batch.key, depth, row, draws);
        }
        let factors: Vec<f32> = draws.into_iter().map(|draw| dropout.factor(draw)).collect();
        Tensor::from_data(TensorData::new(factors, [n_rows, width]), &self.device)
    }

    /// What has been learned so far.
    pub fn network(&self) -> Result<Network> {
        let floats = |data: TensorData| {
            data.into_vec::<f32>().map_err(|error| Error::failed(format!("burn gave no f32 parameters: {error:?}")))
        };
        let mut network = self.network.clone();
        network.parameters = floats(self.parameters.clone().into_data())?;
        for (known, [means, variances]) in network.statistics.iter_mut().zip(&self.statistics) {
            let [means, variances] = [means, variances].map(|found| floats(found.clone().into_data()));
            *known = Statistics { means: means?, variances: variances? };
        }
        Ok(network)
    }
}

/// (sum - mean) / spread over the batch; its mean and the estimate of the population's variance.
fn normalise<B: AutodiffBackend>(sums: Tensor<B, 2>, n_rows: usize) -> (Tensor<B, 2>, [Inner<B, 2>; 2]) {
    let mean = sums.clone().mean_dim(0);
    let centred = sums - mean.clone();
    let variance = centred.clone().square().mean_dim(0);
    let unbiased = variance.clone().inner() * (n_rows as f32 / (n_rows - 1).max(1) as f32);
    (centred / (variance + VARIANCE_FLOOR).sqrt(), [mean.inner(), unbiased])
}

//! Trains the multilayer perceptron with burn (autodiff, CPU backend `flex`) and freezes it into plain arrays.
//!
//! In: a training set without missing values. Out: an [`Mlp`] and the mean loss per epoch. Glorot uniform weights, zero
//! biases, ReLU, inverted dropout after each hidden layer, sigmoid and binary cross-entropy, sum(w bce) / batch rows,
//! Adam 0.9 / 0.999 / 1e-7; the last short batch is kept. Initial weights, shuffles and dropout masks come from our own
//! generator. Bytes are stated per CPU feature level and thread count, for the matrix products are burn's.

use burn::backend::{Autodiff, Flex, flex::FlexDevice};
use burn::module::{AutodiffModule, Module, Param};
use burn::optim::{AdamConfig, GradientsParams, Optimizer};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData, activation};
use rand::seq::SliceRandom;
use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;

use crate::scoring::model::mlp::{Dense, Mlp};
use crate::training::config::MlpConfig;
use crate::training::error::{Error, Result};
use crate::training::progress::{Progress, Unit};
use crate::training::rows::TrainingSet;
use crate::training::seed::Seed;

type Learning = Autodiff<Flex>;

#[derive(Module, Debug)]
struct Layer<B: Backend> {
    weight: Param<Tensor<B, 2>>,
    bias: Param<Tensor<B, 1>>,
}

#[derive(Module, Debug)]
struct Network<B: Backend> {
    layers: Vec<Layer<B>>,
}

impl<B: Backend> Network<B> {
    /// Glorot uniform: U(-a, a) with a = sqrt(6 / (n_inputs + n_outputs)).
    fn new(n_features: usize, hidden: &[usize], seed: Seed, device: &B::Device) -> Self {
        let widths: Vec<usize> = [n_features].iter().chain(hidden).chain(&[1]).copied().collect();
        let layer = |(depth, pair): (usize, &[usize])| {
            let (n_inputs, n_outputs) = (pair[0], pair[1]);
            let limit = (6.0 / (n_inputs + n_outputs) as f64).sqrt() as f32;
            let mut rng = seed.derive("layer", depth as u64).rng();
            let weights: Vec<f32> = (0..n_inputs * n_outputs).map(|_| rng.random_range(-limit..limit)).collect();
            Layer {
                weight: Param::from_data(TensorData::new(weights, [n_inputs, n_outputs]), device),
                bias: Param::from_data(TensorData::new(vec![0f32; n_outputs], [n_outputs]), device),
            }
        };
        Network { layers: widths.windows(2).enumerate().map(layer).collect() }
    }

    /// Logits `[batch, 1]`; `masks` holds one dropout mask per hidden layer, or is empty.
    fn forward(&self, mut activations: Tensor<B, 2>, masks: &[Tensor<B, 2>]) -> Tensor<B, 2> {
        for (depth, layer) in self.layers.iter().enumerate() {
            activations = activations.matmul(layer.weight.val()) + layer.bias.val().unsqueeze();
            if depth + 1 < self.layers.len() {
                activations = activation::relu(activations);
                if let Some(mask) = masks.get(depth) {
                    activations = activations * mask.clone();
                }
            }
        }
        activations
    }

    fn freeze(&self) -> Result<Mlp> {
        let floats = |data: TensorData| {
            data.into_vec::<f32>().map_err(|error| Error::failed(format!("burn gave no f32 weights: {error:?}")))
        };
        let dense = |layer: &Layer<B>| {
            let [n_inputs, n_outputs] = layer.weight.val().dims();
            let weights = floats(layer.weight.val().into_data())?;
            let biases = floats(layer.bias.val().into_data())?;
            Ok(Dense { n_inputs, n_outputs, weights, biases })
        };
        Ok(Mlp { layers: self.layers.iter().map(dense).collect::<Result<_>>()? })
    }
}

/// Fits the network. Errors: missing values in the set, a loss that is not finite, interruption.
pub fn train(config: &MlpConfig, set: &TrainingSet, seed: Seed, progress: &dyn Progress) -> Result<(Mlp, Vec<f64>)> {
    if set.matrix().values().iter().any(|value| value.is_nan()) {
        return Err(Error::permanent("the mlp can't learn from missing values")
            .hint("choose `preprocess.impute.numeric: median`, or leave the mlp out"));
    }
    let device = FlexDevice;
    let mut network =
        Network::<Learning>::new(set.matrix().n_features(), &config.hidden, seed.derive("weights", 0), &device);
    let mut optimizer = AdamConfig::new().with_epsilon(1e-7).init::<Learning, Network<Learning>>();
    let mut losses = Vec::with_capacity(config.epochs);
    progress.begin(Unit::Epochs, "mlp", config.epochs as u64);
    for epoch in 0..config.epochs {
        let seed = seed.derive("epoch", epoch as u64);
        let mut order: Vec<u32> = (0..set.n_entries() as u32).collect();
        order.shuffle(&mut seed.derive("shuffle", 0).rng());
        let mut masks = seed.derive("dropout", 0).rng();
        let mut total = 0.0;
        for batch in order.chunks(config.batch) {
            if progress.interrupted() {
                return Err(Error::interrupted());
            }
            let loss = step_loss(&network, config, set, batch, &mut masks, &device);
            total += f64::from(loss.clone().into_scalar()) * batch.len() as f64;
            let gradients = GradientsParams::from_grads(loss.backward(), &network);
            network = optimizer.step(config.learning_rate, network, gradients);
        }
        let mean = total / set.n_entries() as f64;
        if !mean.is_finite() {
            return Err(Error::permanent(format!("mlp: the loss of epoch {} is {mean}", epoch + 1))
                .hint("lower `models.mlp.learning_rate`, or scale the features (`preprocess.scale: standard`)"));
        }
        losses.push(mean);
        progress.advance(Unit::Epochs, 1);
    }
    progress.end(Unit::Epochs);
    Ok((network.valid().freeze()?, losses))
}

/// sum(w bce) / batch rows, with bce through log-sigmoid, which is stable for large logits.
fn step_loss(
    network: &Network<Learning>,
    config: &MlpConfig,
    set: &TrainingSet,
    batch: &[u32],
    rng: &mut ChaCha8Rng,
    device: &FlexDevice,
) -> Tensor<Learning, 1> {
    let n_rows = batch.len();
    let gathered: Vec<f32> =
        batch.iter().flat_map(|&entry| set.matrix().row(set.entries()[entry as usize] as usize)).copied().collect();
    let column = |value: &dyn Fn(usize) -> f32| {
        let values: Vec<f32> = batch.iter().map(|&entry| value(entry as usize)).collect();
        Tensor::<Learning, 2>::from_data(TensorData::new(values, [n_rows, 1]), device)
    };
    let weight_of = |entry: usize, label: u8| if set.labels()[entry] == label { set.weights()[entry] } else { 0.0 };
    let positives = column(&|entry| weight_of(entry, 1));
    let negatives = column(&|entry| weight_of(entry, 0));
    let input = Tensor::from_data(TensorData::new(gathered, [n_rows, set.matrix().n_features()]), device);
    let masks = match config.dropout > 0.0 {
        true => config.hidden.iter().map(|&width| mask(rng, config.dropout, n_rows, width, device)).collect(),
        false => Vec::new(),
    };
    let logits = network.forward(input, &masks);
    let log_likelihood =
        positives * activation::log_sigmoid(logits.clone()) + negatives * activation::log_sigmoid(logits.neg());
    log_likelihood.sum().neg() / n_rows as f32
}

/// Inverted dropout: 0 with probability `dropout` (to 1/65536), else 1 / (1 - dropout).
fn mask(rng: &mut ChaCha8Rng, dropout: f64, n_rows: usize, width: usize, device: &FlexDevice) -> Tensor<Learning, 2> {
    let mut bytes = vec![0u8; n_rows * width * 2];
    rng.fill_bytes(&mut bytes);
    let below = (dropout * 65536.0).round() as u32;
    let kept = (1.0 / (1.0 - dropout)) as f32;
    let draw = |pair: &[u8; 2]| if u32::from(u16::from_le_bytes(*pair)) < below { 0.0 } else { kept };
    let values: Vec<f32> = bytes.as_chunks().0.iter().map(draw).collect();
    Tensor::from_data(TensorData::new(values, [n_rows, width]), device)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::scoring::matrix::FeatureMatrix;
    use crate::scoring::model::Classifier;
    use crate::training::progress::Silent;

    /// y = 1 where x0 * x1 > 0: no linear model can tell.
    fn exclusive_or(n_rows: usize) -> TrainingSet {
        let mut rng = Seed::new(7).rng();
        let values: Vec<f32> = (0..n_rows * 2).map(|_| rng.random_range(-1.0f32..1.0)).collect();
        let labels = values.chunks(2).map(|row| u8::from(row[0] * row[1] > 0.0)).collect();
        let names = ["x0".to_owned(), "x1".to_owned()].into();
        TrainingSet::of_all_rows(Arc::new(FeatureMatrix::new(names, values)), labels)
    }

    fn config() -> MlpConfig {
        MlpConfig { hidden: vec![16, 8], dropout: 0.1, epochs: 60, batch: 64, learning_rate: 0.01 }
    }

    #[test]
    fn learns_what_is_not_linear_and_repeats_itself() {
        let set = exclusive_or(1000);
        let (mlp, losses) = train(&config(), &set, Seed::new(1), &Silent).unwrap();
        let scores = mlp.score(set.matrix());
        let right = scores.iter().zip(set.labels()).filter(|(score, label)| (**score >= 0.5) == (**label == 1));
        assert!(right.count() > 940, "loss {losses:?}");
        assert!(losses[59] < losses[0] / 2.0);
        assert_eq!(train(&config(), &set, Seed::new(1), &Silent).unwrap().0, mlp);
        assert_ne!(train(&config(), &set, Seed::new(2), &Silent).unwrap().0, mlp);
    }

    #[test]
    fn the_frozen_network_scores_as_burn_does() {
        let set = exclusive_or(500);
        let network = Network::<Flex>::new(2, &[32, 16], Seed::new(3), &FlexDevice);
        let input = TensorData::new(set.matrix().values().to_vec(), [500, 2]);
        let scores = activation::sigmoid(network.forward(Tensor::from_data(input, &FlexDevice), &[]));
        let expected = scores.into_data().into_vec::<f32>().unwrap();
        let frozen = network.freeze().unwrap();
        for (at, (expected, found)) in expected.iter().zip(frozen.score(set.matrix())).enumerate() {
            assert!((expected - found).abs() < 1e-5, "row {at}: {expected} {found}");
            assert_eq!(found.to_bits(), frozen.score_row(set.matrix().row(at)).to_bits());
        }
        assert_eq!(Mlp::from_bytes(2, &frozen.to_bytes()).unwrap(), frozen);
    }

    #[test]
    fn weights_are_those_of_the_loss() {
        // Doubling every weight doubles the loss.
        let set = exclusive_or(100);
        let doubled =
            TrainingSet::new(set.matrix().clone(), set.entries().to_vec(), set.labels().to_vec(), vec![2.0; 100]);
        let network = Network::<Learning>::new(2, &[4], Seed::new(3), &FlexDevice);
        let batch: Vec<u32> = (0..100).collect();
        let config = MlpConfig { hidden: vec![4], dropout: 0.0, ..config() };
        let loss = |set: &TrainingSet| {
            step_loss(&network, &config, set, &batch, &mut Seed::new(1).rng(), &FlexDevice).into_scalar()
        };
        assert!((loss(&doubled) - 2.0 * loss(&set)).abs() < 1e-5);
    }
}

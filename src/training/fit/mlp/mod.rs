//! Trains the multilayer perceptron and freezes it into plain arrays.
//!
//! In: a training set without missing values, and rows to watch where early stopping asks for them. Out: an [`Mlp`] and its
//! curves. Glorot uniform weights, zero biases, optional batch normalisation, ReLU, inverted dropout after each hidden
//! layer, sigmoid and binary cross-entropy, sum(w bce) / batch rows, Adam or AdamW; the last short batch is kept. Initial
//! weights, shuffles and dropout come from our own generators. Two ways give the same network up to rounding: the
//! hand-written step (`cpu`, `block`, `normal`), whose bits are those of a CPU feature level for any number of threads, and burn's
//! autodiff (`graph`) on its backends, whose bits are theirs. `batch` and `dropout` are shared.

mod adam;
mod batch;
mod block;
mod cpu;
mod device;
mod dropout;
mod graph;
mod network;
mod normal;
#[cfg(test)]
mod tests;
mod watch;

pub use device::check as check_device;
pub use watch::WatchedCurves;

use batch::Batch;
use device::Trainer;
use network::Network;
use rand::Rng;
use rand::seq::SliceRandom;
use watch::Watch;

use crate::scoring::model::mlp::Mlp;
use crate::training::config::{MlpConfig, Schedule};
use crate::training::error::{Error, Result};
use crate::training::progress::{Progress, Unit};
use crate::training::rows::TrainingSet;
use crate::training::seed::Seed;

/// A network and the curves of its training.
#[derive(Debug, Clone, PartialEq)]
pub struct Trained {
    pub mlp: Mlp,
    /// Mean loss per epoch, of the network as it was before each step.
    pub losses: Vec<f64>,
    pub watched: Option<WatchedCurves>,
}

/// Fits the network. Errors: missing values in the set, a loss that is not finite, no such device, interruption.
pub fn train(config: &MlpConfig, set: &TrainingSet, seed: Seed, progress: &dyn Progress) -> Result<Trained> {
    if set.matrix().values().iter().any(|value| value.is_nan()) {
        return Err(Error::permanent("the mlp can't learn from missing values")
            .hint("choose `preprocess.impute.numeric: median`, or leave the mlp out"));
    }
    let network = Network::new(set.n_features(), config, seed.derive("weights", 0));
    let mut trainer = Trainer::new(config, network)?;
    let mut watch = config.early_stopping.zip(set.watched()).map(|(stopping, rows)| Watch::new(stopping, rows));
    let mut losses = Vec::with_capacity(config.epochs);
    progress.begin(Unit::Epochs, "mlp", config.epochs as u64);
    for epoch in 0..config.epochs {
        losses.push(run_epoch(&mut trainer, config, set, (epoch, seed), progress)?);
        progress.advance(Unit::Epochs, 1);
        if let Some(watch) = &mut watch
            && watch.is_over(trainer.network()?)
        {
            break;
        }
    }
    progress.end(Unit::Epochs);
    let (best, watched) = watch.map(Watch::finish).unzip();
    let network = best.flatten().map_or_else(|| trainer.network(), Ok)?;
    Ok(Trained { mlp: network.freeze(), losses, watched })
}

/// All entries once, shuffled; the mean loss.
fn run_epoch(
    trainer: &mut Trainer,
    config: &MlpConfig,
    set: &TrainingSet,
    (epoch, seed): (usize, Seed),
    progress: &dyn Progress,
) -> Result<f64> {
    let seed = seed.derive("epoch", epoch as u64);
    // Row numbers are shuffled, rows stay where they are.
    let mut order: Vec<u32> = (0..set.n_entries() as u32).collect();
    order.shuffle(&mut seed.derive("shuffle", 0).rng());
    let mut keys = seed.derive("dropout", 0).rng();
    let n_batches = order.len().div_ceil(config.batch);
    let mut total = 0.0;
    for (nth, entries) in order.chunks(config.batch).enumerate() {
        if progress.interrupted() {
            return Err(Error::interrupted());
        }
        let done = (epoch * n_batches + nth) as f64 / (config.epochs * n_batches) as f64;
        let pos_weight = config.pos_weight.unwrap_or(1.0) as f32;
        let batch = Batch { set, entries, pos_weight, key: keys.next_u64() };
        let loss = trainer.step(&batch, config.learning_rate * remaining(config.schedule, done));
        if !loss.is_finite() {
            let message = format!("mlp: the loss of epoch {}, batch {} of {n_batches} is {loss}", epoch + 1, nth + 1);
            return Err(Error::permanent(message)
                .hint("lower `learning_rate`, set `clip_norm`, or scale the features (`preprocess.scale: standard`)"));
        }
        total += loss * entries.len() as f64;
    }
    Ok(total / set.n_entries() as f64)
}

/// What the schedule leaves of the learning rate when this share of all steps is done.
fn remaining(schedule: Schedule, done: f64) -> f64 {
    match schedule {
        Schedule::Constant => 1.0,
        Schedule::Cosine => 0.5 * (1.0 + libm::cos(std::f64::consts::PI * done)),
        Schedule::Linear => 1.0 - done,
    }
}

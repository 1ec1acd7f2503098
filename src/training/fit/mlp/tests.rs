//! The hand-written step against finite differences (f64, plain loops), burn's autodiff and itself on other threads.

use std::sync::Arc;

use burn::backend::{Autodiff, Flex};
use rand::RngExt;

use super::batch::{cross_entropy, rows_per_block};
use super::cpu::Cpu;
use super::dropout::{Dropout, draw_row};
use super::graph::Graph;
use super::network::{Network, VARIANCE_FLOOR};
use super::*;
use crate::scoring::matrix::FeatureMatrix;
use crate::scoring::model::Classifier;
use crate::scoring::model::mlp::Dense;
use crate::training::config::{Device, EarlyStopping, Optimizer, WatchBy};
use crate::training::progress::{Silent, Stopped};
use crate::training::rows::Watched;

fn matrix(n_rows: usize, n_features: usize) -> FeatureMatrix {
    let mut rng = Seed::new(7).rng();
    let names: Vec<String> = (0..n_features).map(|feature| format!("x{feature}")).collect();
    FeatureMatrix::new(names.into(), (0..n_rows * n_features).map(|_| rng.random_range(-1.0f32..1.0)).collect())
}

/// y = 1 where x0 * x1 > 0: no linear model can tell.
fn exclusive_or(n_rows: usize, n_features: usize) -> TrainingSet {
    let matrix = matrix(n_rows, n_features);
    let labels = matrix.rows().map(|row| u8::from(row[0] * row[1] > 0.0)).collect();
    TrainingSet::of_all_rows(Arc::new(matrix), labels)
}

/// The same rows with weights, some of them twice.
fn weighted(n_rows: usize, n_features: usize) -> TrainingSet {
    let set = exclusive_or(n_rows, n_features);
    let entries: Vec<u32> = (0..n_rows as u32).map(|at| if at % 7 == 3 { at - 1 } else { at }).collect();
    let labels = entries.iter().map(|&entry| set.labels()[entry as usize]).collect();
    let weights = (0..n_rows).map(|at| 0.5 + (at % 5) as f32 / 4.0).collect();
    set.with_entries(entries, labels, weights)
}

fn config() -> MlpConfig {
    MlpConfig {
        hidden: vec![16, 8],
        dropout: vec![0.1],
        epochs: 60,
        batch: 64,
        learning_rate: 0.01,
        ..MlpConfig::default()
    }
}

fn dropouts(config: &MlpConfig) -> Vec<Dropout> {
    (0..config.hidden.len()).map(|depth| Dropout::new(config.dropout_after(depth))).collect()
}

/// Loss of a batch in f64, in the plainest loops.
fn slow_loss(network: &Network, parameters: &[f64], dropout: &[Dropout], batch: &Batch) -> f64 {
    let n_rows = batch.entries.len();
    let row = |&entry: &u32| batch.row(entry).iter().map(|x| f64::from(*x)).collect();
    let mut units: Vec<Vec<f64>> = batch.entries.iter().map(row).collect();
    for (depth, layer) in network.layers.iter().enumerate() {
        let weight = |i: usize, o: usize| parameters[layer.weights.start + i * layer.n_outputs + o];
        let mut sums = vec![vec![0.0; layer.n_outputs]; n_rows];
        for (row, sums) in sums.iter_mut().enumerate() {
            for (o, sum) in sums.iter_mut().enumerate() {
                *sum = (0..layer.n_inputs).map(|i| units[row][i] * weight(i, o)).sum();
            }
        }
        for o in 0..layer.n_outputs {
            let (mut mean, mut scale) = (0.0, 1.0);
            if layer.is_normalised() {
                mean = sums.iter().map(|row| row[o]).sum::<f64>() / n_rows as f64;
                let variance = sums.iter().map(|row| (row[o] - mean).powi(2)).sum::<f64>() / n_rows as f64;
                scale = parameters[layer.gains.start + o] / (variance + f64::from(VARIANCE_FLOOR)).sqrt();
            }
            sums.iter_mut().for_each(|row| row[o] = (row[o] - mean) * scale + parameters[layer.biases.start + o]);
        }
        if let Some(dropout) = dropout.get(depth) {
            for (row, sums) in sums.iter_mut().enumerate() {
                let mut draws = vec![0; layer.n_outputs];
                draw_row(batch.key, depth, row, &mut draws);
                let kept = |draw: u16| if dropout.drops() { f64::from(dropout.factor(draw)) } else { 1.0 };
                sums.iter_mut().zip(draws).for_each(|(y, draw)| *y = y.max(0.0) * kept(draw));
            }
        }
        units = sums;
    }
    let loss = |(logit, &entry): (&Vec<f64>, &u32)| {
        let z = logit[0];
        let loss = z.max(0.0) + (-z.abs()).exp().ln_1p() - z * f64::from(batch.label(entry));
        f64::from(batch.weight(entry)) * loss
    };
    units.iter().zip(batch.entries).map(loss).sum::<f64>() / n_rows as f64
}

/// Networks of all kinds: without a hidden layer, deep, normalised, odd widths, with different dropout.
fn kinds() -> Vec<MlpConfig> {
    let of = |hidden: &[usize], dropout: &[f64], batch_norm| MlpConfig {
        hidden: hidden.to_vec(),
        dropout: dropout.to_vec(),
        batch_norm,
        ..config()
    };
    vec![
        of(&[1], &[0.0], false),
        of(&[7], &[0.3], false),
        of(&[9, 5, 4], &[0.0, 0.5, 0.2], false),
        of(&[9, 5], &[0.0], true),
        of(&[6, 11, 3], &[0.25], true),
    ]
}

/// Loss and gradient by the hand-written step.
fn by_hand(config: &MlpConfig, network: &Network, batch: &Batch) -> (f64, Vec<f32>) {
    let mut cpu = Cpu::new(config, network.clone(), dropouts(config));
    let (n_blocks, _) = cpu.learn(batch);
    let blocks = &cpu.blocks()[..n_blocks];
    let sum = |at: usize| blocks.iter().map(|block| block.gradient[at]).sum();
    let loss = blocks.iter().map(|block| block.loss).sum::<f64>() / batch.entries.len() as f64;
    (loss, (0..network.parameters.len()).map(sum).collect())
}

/// Parameters that are not those of a start: biases and gains differ.
fn some_network(config: &MlpConfig, n_features: usize) -> Network {
    let mut network = Network::new(n_features, config, Seed::new(3));
    let mut rng = Seed::new(4).rng();
    for layer in network.layers.clone() {
        for at in layer.biases.chain(layer.gains) {
            network.parameters[at] += rng.random_range(-0.3f32..0.3);
        }
    }
    network
}

#[test]
fn gradients_are_those_of_finite_differences() {
    // 300 rows are three blocks.
    let set = weighted(300, 6);
    let entries: Vec<u32> = (0..300).rev().collect();
    let batch = Batch { set: &set, entries: &entries, pos_weight: 1.5, key: 99 };
    for config in kinds() {
        let (network, dropout) = (some_network(&config, 6), dropouts(&config));
        let (loss, gradient) = by_hand(&config, &network, &batch);
        let parameters: Vec<f64> = network.parameters.iter().map(|value| f64::from(*value)).collect();
        let slow = |parameters: &[f64]| slow_loss(&network, parameters, &dropout, &batch);
        assert!((loss - slow(&parameters)).abs() < 1e-6, "{config:?}: {loss} {}", slow(&parameters));
        let largest = gradient.iter().fold(0f32, |most, value| most.max(value.abs()));
        assert!(largest > 1e-3);
        for (at, found) in gradient.iter().enumerate() {
            let moved = |by: f64| {
                let mut moved = parameters.clone();
                moved[at] += by;
                slow(&moved)
            };
            // A unit may pass the kink of ReLU within a step: the smaller one then finds it.
            let difference = |by: f64| (moved(by) - moved(-by)) / (2.0 * by);
            let error = |by: f64| (difference(by) - f64::from(*found)).abs();
            let least = error(1e-5).min(error(1e-7));
            assert!(
                least < 2e-5 * f64::from(largest).max(0.1),
                "{config:?}, parameter {at}: {found} {}",
                difference(1e-5)
            );
        }
    }
}

#[test]
fn gradients_are_those_of_burn() {
    // 1,200 rows are more than eight blocks of 128.
    let set = weighted(1200, 6);
    let entries: Vec<u32> = (0..1200).collect();
    let batch = Batch { set: &set, entries: &entries, pos_weight: 0.7, key: 5 };
    for config in kinds() {
        let network = some_network(&config, 6);
        let (loss, gradient) = by_hand(&config, &network, &batch);
        let graph = Graph::<Autodiff<Flex>>::new(&config, network, dropouts(&config));
        let (expected_loss, expected, _) = graph.gradient(&batch);
        let expected = expected.into_data().into_vec::<f32>().unwrap();
        assert!((loss - expected_loss).abs() < 1e-5, "{loss} {expected_loss}");
        for (at, (found, expected)) in gradient.iter().zip(&expected).enumerate() {
            assert!((found - expected).abs() < 1e-5, "{config:?}, parameter {at}: {found} {expected}");
        }
    }
}

#[test]
fn both_ways_train_the_same_network() {
    let set = weighted(700, 5);
    let optimizers = [
        MlpConfig { optimizer: Optimizer::AdamW { weight_decay: 0.1 }, schedule: Schedule::Cosine, ..config() },
        MlpConfig { clip_norm: Some(0.02), pos_weight: Some(2.0), schedule: Schedule::Linear, ..config() },
        MlpConfig { batch_norm: true, dropout: vec![0.3, 0.0], ..config() },
    ];
    for config in optimizers {
        let config = MlpConfig { epochs: 4, batch: 200, ..config };
        let by = |device| train(&MlpConfig { device, ..config.clone() }, &set, Seed::new(1), &Silent).unwrap();
        let (cpu, burn) = (by(Device::Cpu), by(Device::Flex));
        for (found, expected) in cpu.losses.iter().zip(&burn.losses) {
            assert!((found - expected).abs() < 1e-4, "{:?} {:?}", cpu.losses, burn.losses);
        }
        for (found, expected) in cpu.mlp.score(set.matrix()).iter().zip(burn.mlp.score(set.matrix())) {
            assert!((found - expected).abs() < 1e-3, "{config:?}: {found} {expected}");
        }
    }
}

#[test]
fn bits_do_not_depend_on_threads() {
    let set = weighted(2000, 20);
    let config =
        MlpConfig { hidden: vec![70, 33], batch_norm: true, batch: 640, epochs: 3, clip_norm: Some(0.5), ..config() };
    let on = |n_threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        pool.install(|| train(&config, &set, Seed::new(1), &Silent).unwrap())
    };
    let one = on(1);
    for n_threads in [2, 3, 5] {
        assert_eq!(on(n_threads), one, "{n_threads} threads");
    }
}

#[test]
fn learns_what_is_not_linear_and_repeats_itself() {
    let set = exclusive_or(1000, 2);
    for batch_norm in [false, true] {
        let config = MlpConfig { batch_norm, ..config() };
        let Trained { mlp, losses, watched } = train(&config, &set, Seed::new(1), &Silent).unwrap();
        let scores = mlp.score(set.matrix());
        let right = scores.iter().zip(set.labels()).filter(|(score, label)| (**score >= 0.5) == (**label == 1)).count();
        assert!(right > 930, "{right}, loss {losses:?}");
        assert!(losses[59] < losses[0] / 2.0 && watched.is_none());
        assert_eq!(train(&config, &set, Seed::new(1), &Silent).unwrap().mlp, mlp);
        assert_ne!(train(&config, &set, Seed::new(2), &Silent).unwrap().mlp, mlp);
    }
}

#[test]
fn the_frozen_network_scores_as_burn_does() {
    let set = exclusive_or(500, 2);
    let config = MlpConfig { hidden: vec![32, 16], dropout: vec![0.0], ..config() };
    let network = some_network(&config, 2);
    let entries: Vec<u32> = (0..500).collect();
    let batch = Batch { set: &set, entries: &entries, pos_weight: 1.0, key: 0 };
    let frozen = network.freeze();
    let logits = super::watch::logits(&frozen, set.matrix());
    let graph = Graph::<Autodiff<Flex>>::new(&config, network, dropouts(&config));
    let expected = graph.logits(&batch);
    for (at, ((expected, found), logit)) in expected.iter().zip(frozen.score(set.matrix())).zip(logits).enumerate() {
        let expected = 1.0 / (1.0 + (-f64::from(*expected)).exp());
        assert!((expected - f64::from(found)).abs() < 1e-5, "row {at}: {expected} {found}");
        assert!((cross_entropy(logit, 0).1 - expected).abs() < 1e-5);
        assert_eq!(found.to_bits(), frozen.score_row(set.matrix().row(at)).to_bits());
    }
    assert_eq!(Mlp::from_bytes(2, &frozen.to_bytes()).unwrap(), frozen);
}

/// Normalised layers score, once frozen, by the averages of what passed in training.
#[test]
fn a_normalised_layer_is_folded_into_a_dense_one() {
    let config = MlpConfig { hidden: vec![4], dropout: vec![0.0], batch_norm: true, ..config() };
    let mut network = some_network(&config, 3);
    let [means, variances] = [[0.3, -0.2, 0.1, 0.7], [1.5, 0.2, 3.0, 0.01]];
    network.statistics[0].means.copy_from_slice(&means);
    network.statistics[0].variances.copy_from_slice(&variances);
    let matrix = matrix(20, 3);
    let (hidden, last) = (&network.layers[0], &network.layers[1]);
    let at = |at: usize| network.parameters[at];
    for (row, found) in matrix.rows().zip(network.freeze().score(&matrix)) {
        let unit = |o: usize| {
            let sum: f32 = (0..3).map(|i| row[i] * at(hidden.weights.start + i * 4 + o)).sum();
            let normal = (sum - means[o]) / (variances[o] + VARIANCE_FLOOR).sqrt();
            (normal * at(hidden.gains.start + o) + at(hidden.biases.start + o)).max(0.0)
        };
        let logit: f32 = (0..4).map(|o| unit(o) * at(last.weights.start + o)).sum::<f32>() + at(last.biases.start);
        assert!((1.0 / (1.0 + (-logit).exp()) - found).abs() < 1e-5);
    }
}

#[test]
fn early_stopping_keeps_the_best_epoch() {
    // Labels that can't be learned: the loss of watched rows soon rises.
    let set = exclusive_or(400, 8);
    let noise = |at: std::ops::Range<usize>| at.map(|at| u8::from((at * 7919) % 11 < 5)).collect::<Vec<u8>>();
    let set = set.with_entries(set.entries().to_vec(), noise(0..400), set.weights().to_vec());
    let rows = Arc::new(Watched { matrix: matrix(300, 8), labels: noise(5..305) });
    for by in [WatchBy::Loss, WatchBy::AveragePrecision] {
        let stopping = EarlyStopping { share: 0.1, patience: 5, by };
        let config = MlpConfig { early_stopping: Some(stopping), dropout: vec![0.0], ..config() };
        let watching = set.clone().watching(Some(rows.clone()));
        let trained = train(&config, &watching, Seed::new(1), &Silent).unwrap();
        let curves = trained.watched.unwrap();
        assert_eq!(
            (curves.n_rows, curves.losses.len(), curves.average_precision.len()),
            (300, trained.losses.len(), trained.losses.len())
        );
        assert!(curves.losses.len() < config.epochs && curves.losses.len() == curves.best_epoch + 5);
        // Training for so many epochs and no more gives the same network.
        let short = MlpConfig { epochs: curves.best_epoch, early_stopping: None, ..config };
        assert_eq!(train(&short, &set, Seed::new(1), &Silent).unwrap().mlp, trained.mlp);
    }
}

#[test]
fn decay_and_clipping_do_what_they_say() {
    let set = exclusive_or(300, 4);
    let norm = |optimizer| {
        let mlp = train(&MlpConfig { optimizer, epochs: 20, ..config() }, &set, Seed::new(1), &Silent).unwrap().mlp;
        mlp.layers.iter().flat_map(Dense::weights).map(|weight| weight * weight).sum::<f32>()
    };
    assert!(norm(Optimizer::AdamW { weight_decay: 0.9 }) < 0.9 * norm(Optimizer::Adam));
    assert_eq!(norm(Optimizer::AdamW { weight_decay: 0.0 }), norm(Optimizer::Adam));
    assert_eq!((super::adam::clip(10.0, 2.5), super::adam::clip(2.0, 2.5)), (0.25, 1.0));
}

#[test]
fn a_loss_that_is_not_finite_stops() {
    let set = exclusive_or(200, 2);
    let steep = MlpConfig { learning_rate: 1e30, ..config() };
    for device in [Device::Cpu, Device::Flex] {
        let error = train(&MlpConfig { device, ..steep.clone() }, &set, Seed::new(1), &Silent).unwrap_err();
        assert!(error.message.starts_with("mlp: the loss of epoch 1, batch "), "{}", error.message);
    }
    assert_eq!(train(&config(), &set, Seed::new(1), &Stopped).unwrap_err(), Error::interrupted());
    let missing = FeatureMatrix::new(["a".to_owned()].into(), vec![1.0, f32::NAN]);
    let set = TrainingSet::of_all_rows(Arc::new(missing), vec![0, 1]);
    assert_eq!(
        train(&config(), &set, Seed::new(1), &Silent).unwrap_err().message,
        "the mlp can't learn from missing values"
    );
}

#[test]
fn schedules_end_at_nothing() {
    assert_eq!([0.0, 0.5, 1.0].map(|done| remaining(Schedule::Linear, done)), [1.0, 0.5, 0.0]);
    assert_eq!([0.0, 1.0].map(|done| remaining(Schedule::Cosine, done)), [1.0, 0.0]);
    assert!((remaining(Schedule::Cosine, 0.5) - 0.5).abs() < 1e-12 && remaining(Schedule::Constant, 0.9) == 1.0);
}

#[test]
fn a_batch_has_at_most_eight_blocks_that_fit_their_room() {
    for n_rows in [1, 127, 128, 129, 512, 1024, 1025, 2048, 10_000] {
        let per_block = rows_per_block(n_rows);
        assert!(n_rows.div_ceil(per_block) <= 8 && (n_rows > 1024 || per_block <= 128), "{n_rows}: {per_block}");
    }
}

#[test]
fn a_device_that_is_not_built_in_says_so() {
    assert!(check_device(Device::Cpu).is_ok() && check_device(Device::Flex).is_ok());
    for device in [Device::Cuda, Device::Wgpu] {
        if let Err(error) = check_device(device) {
            assert!(error.message.starts_with(&format!("device `{}`: ", device.as_str())) && error.hint.is_some());
        }
    }
}

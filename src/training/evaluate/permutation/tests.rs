//! Planted truth, an oracle in the obvious way, samples, and bytes over thread counts.

use std::sync::Arc;

use super::*;
use crate::scoring::model::forest::ForestBuilder;
use crate::scoring::model::logistic::Logistic;
use crate::training::progress::{Silent, Stopped};

const N_ROWS: usize = 2500;

/// Four columns: `signal` decides the label, `echo` helps a little, `noise` and `unused` tell nothing.
fn data() -> (FeatureMatrix, Vec<u8>) {
    use rand::RngExt;
    let mut rng = Seed::new(5).rng();
    let mut draw = || rng.random::<f32>();
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    for _ in 0..N_ROWS {
        let (signal, noise, unused) = (draw(), draw(), draw());
        labels.push(u8::from(signal > 0.8));
        values.extend([signal, noise, 0.5 * signal + draw(), unused]);
    }
    let names: Vec<String> = ["signal", "noise", "echo", "unused"].map(String::from).to_vec();
    (FeatureMatrix::new(names.into(), values), labels)
}

/// Splits on `signal`, then on `echo` and `noise`; never on `unused`.
fn forest() -> Model {
    let mut builder = ForestBuilder::new(4).unwrap();
    builder.begin_tree().unwrap();
    builder.split(0, 0.8, false).unwrap();
    builder.split(2, 0.9, false).unwrap();
    builder.leaf(0.0).unwrap();
    builder.leaf(0.1).unwrap();
    builder.split(1, 0.5, false).unwrap();
    builder.leaf(0.9).unwrap();
    builder.leaf(1.0).unwrap();
    Model::Forest(builder.build().unwrap())
}

fn measured(model: &Model, repeats: usize) -> BTreeMap<String, ColumnDrop> {
    let (matrix, labels) = data();
    let base = measure(&labels, &model.score(&matrix));
    shuffle_columns(model, &matrix, &labels, &base, repeats, Seed::new(1), &Silent).unwrap()
}

#[test]
fn what_decides_loses_most_and_what_is_not_used_nothing() {
    let found = measured(&forest(), 4);
    let mean = |name: &str| (found[name].auc.mean.unwrap(), found[name].average_precision.mean.unwrap());
    assert!(mean("signal").0 > 0.3 && mean("signal").1 > 0.5, "{found:#?}");
    assert!(mean("noise").0.abs() < 0.01 && mean("echo").0.abs() < 0.01, "{found:#?}");
    assert!(found["noise"].auc.deviation.unwrap() < 0.01 && found["signal"].auc.deviation.unwrap() > 0.0);
    assert_eq!(found["unused"], ColumnDrop::default());
    // The same columns, of which a linear model gives `unused` a weight of nothing: shuffled, and nothing lost.
    let linear = Model::Logistic(Logistic { coefficients: vec![9.0, 0.0, 1.0, 0.0], intercept: -7.0 });
    assert_eq!(measured(&linear, 2)["unused"].auc, FigureDrop { mean: Some(0.0), deviation: Some(0.0) });
}

#[test]
fn blocks_and_threads_give_what_one_loop_gives() {
    let (matrix, labels) = data();
    let model = forest();
    let base = measure(&labels, &model.score(&matrix)).auc.unwrap();
    let found = measured(&model, 3);
    for (feature, name) in matrix.names().iter().enumerate().take(3) {
        let mut drops = Vec::new();
        for repeat in 0..3 {
            let mut order: Vec<usize> = (0..N_ROWS).collect();
            order.shuffle(&mut Seed::new(1).derive(&format!("column {name}"), repeat).rng());
            let score = |row: usize| {
                let mut values = matrix.row(row).to_vec();
                values[feature] = matrix.row(order[row])[feature];
                model.score_row(&values)
            };
            let scores: Vec<f32> = (0..N_ROWS).map(score).collect();
            drops.push(base - measure(&labels, &scores).auc.unwrap());
        }
        let mean = drops.iter().sum::<f64>() / 3.0;
        let deviation = (drops.iter().map(|drop| (drop - mean).powi(2)).sum::<f64>() / 2.0).sqrt();
        let FigureDrop { mean: Some(found_mean), deviation: Some(found_deviation) } = found[name].auc else { panic!() };
        assert_eq!(found_mean, mean, "{name}");
        assert!((found_deviation - deviation).abs() < 1e-15, "{name}");
    }
    for n_threads in [1, 3, 8] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        assert_eq!(pool.install(|| measured(&model, 3)), found);
    }
}

#[test]
fn one_repeat_has_no_deviation_and_what_is_undefined_stays_so() {
    assert_eq!(measured(&forest(), 1)["signal"].auc.deviation, None);
    let (matrix, _) = data();
    let labels = vec![0; N_ROWS];
    let model = forest();
    let base = measure(&labels, &model.score(&matrix));
    let found = shuffle_columns(&model, &matrix, &labels, &base, 2, Seed::new(1), &Silent).unwrap();
    assert_eq!(found["signal"].auc, FigureDrop { mean: None, deviation: None });
    assert!(shuffle_columns(&model, &matrix, &labels, &base, 2, Seed::new(1), &Stopped).is_err());
}

#[test]
fn samples_keep_the_share_of_positives_and_at_least_one_of_each_class() {
    let labels: Vec<u8> = (0..1000).map(|row| u8::from(row % 20 == 3)).collect();
    let n_positives = |sample: &[usize]| sample.iter().filter(|&&row| labels[row] == 1).count();
    for (n_wanted, expected) in [(200, 10), (2, 1), (30, 2), (999, 50)] {
        let sample = stratified(&labels, n_wanted, Seed::new(3));
        assert_eq!((sample.len(), n_positives(&sample)), (n_wanted, expected), "{n_wanted}");
        assert!(sample.is_sorted_by(|a, b| a < b));
    }
    assert_eq!(stratified(&labels, 1000, Seed::new(3)), (0..1000).collect::<Vec<_>>());
    assert_ne!(stratified(&labels, 200, Seed::new(3)), stratified(&labels, 200, Seed::new(4)));
    let mostly_positive: Vec<u8> = (0..1000).map(|row| u8::from(row > 0)).collect();
    for labels in [vec![0; 50], vec![1; 50], mostly_positive] {
        let sample = stratified(&labels, 10, Seed::new(3));
        assert_eq!(sample.len(), 10);
        assert!(labels.len() == 50 || sample[0] == 0, "the only negative row is there");
    }
}

#[test]
fn a_frozen_fit_is_measured_on_its_test_rows() {
    use crate::scoring::packed::Packed;
    use crate::scoring::preprocessor::{FrozenColumn, Numeric, Scale, TextCase};
    use crate::scoring::table::{Cells, Table};
    use crate::training::rows::Dataset;

    let (matrix, labels) = data();
    let mut table = Table::new(N_ROWS);
    let mut columns = Vec::new();
    for (feature, name) in matrix.names().iter().enumerate() {
        let numbers: Vec<f64> = matrix.rows().map(|row| f64::from(row[feature])).collect();
        table.push(name, Cells::Numeric(Packed::of(&numbers)));
        columns.push(FrozenColumn::Numeric(Numeric {
            name: name.clone(),
            fill: Some(0.0),
            scale: Scale::NONE,
            range: None,
        }));
    }
    let preprocessor = Preprocessor {
        format: 1,
        text_case: TextCase::Upper,
        features: Vec::new(),
        columns,
        reduce: Vec::new(),
        dropped: Vec::new(),
    };
    let fit = FrozenFit { preprocessor: preprocessor.to_bytes(), model: forest().to_bytes() };
    let ids = (0..N_ROWS).map(|row| row.to_string()).collect();
    let dataset = Arc::new(Dataset { table, labels: labels.clone(), ids, times: None });
    // The second half of the rows is held out.
    let test = HeldOutRows::new(dataset, (N_ROWS as u32 / 2..N_ROWS as u32).collect());
    let from = Permuting { cell: "abc", kind: ModelKind::ExtraTrees, fit: &fit, test: &test };
    let asked = ImportanceConfig { permutation: true, rows: 500, repeats: 2 };
    let found = permutation_importance(&from, asked, Seed::new(9), &Silent).unwrap();
    assert_eq!((found.n_rows, found.cell.as_str(), found.asked), (500, "abc", asked));
    let share = test.labels().iter().filter(|&&label| label == 1).count() as f64 / test.n_rows() as f64;
    assert_eq!(found.n_positives, (share * 500.0).round() as usize);
    assert!(found.auc.unwrap() > 0.99 && found.features["signal"].auc.mean.unwrap() > 0.3);
    assert_eq!(found.features["unused"], ColumnDrop::default());
    let text = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<PermutationImportance>(&text).unwrap(), found);
    // All rows, where there are no more than asked for: the figures of the test rows themselves.
    let all = permutation_importance(&from, ImportanceConfig { rows: 10_000, ..asked }, Seed::new(9), &Silent).unwrap();
    let scores: Vec<f32> = (N_ROWS / 2..N_ROWS).map(|row| forest().score_row(matrix.row(row))).collect();
    assert_eq!(all.auc, measure(&labels[N_ROWS / 2..], &scores).auc);
}

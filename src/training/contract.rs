//! What every model and every case must hold, whatever it is: the contract of scikit-learn's `check_estimator` in our terms.
//! Runs over the whole closed sets, so that a new one is held to it without being asked.

use std::sync::Arc;

use super::config::{
    Balance, Case, Categories, ClassWeights, DataConfig, ForestConfig, MlpConfig, ModelConfig, NominalPenalty,
    PreprocessConfig, Recipe, SmoteConfig, TomekRemove, TooFew,
};
use super::error::ErrorKind;
use super::fit::Learner;
use super::mapped::Storage;
use super::prepare::{Prepared, prepare};
use super::progress::Silent;
use super::resample::{Resampled, Shared, resample};
use super::rows::{Dataset, HeldOutRows, TrainRows, TrainingSet};
use super::seed::Seed;
use super::texts::Texts;
use crate::scoring::matrix::FeatureMatrix;
use crate::scoring::model::{Classifier, Model, ModelKind};
use crate::scoring::table::{Cells, Table};

/// One of each kind, small.
fn models() -> Vec<ModelConfig> {
    let forest = ForestConfig { trees: 7, ..ForestConfig::RANDOM_FOREST };
    let models = vec![
        ModelConfig::RandomForest(forest.clone()),
        ModelConfig::ExtraTrees(ForestConfig { bootstrap: false, ..forest }),
        ModelConfig::Mlp(MlpConfig { hidden: vec![6, 4], epochs: 3, batch: 16, ..MlpConfig::default() }),
        ModelConfig::Logistic,
    ];
    let kinds: Vec<ModelKind> = models.iter().map(ModelConfig::kind).collect();
    assert!(ModelKind::ALL.iter().all(|kind| kinds.contains(kind)), "a kind is missing here");
    models
}

/// One of each kind.
fn cases() -> Vec<Case> {
    let target = Balance::TargetShare(0.4);
    let smote = |categories| SmoteConfig { target, k: 3, categories, too_few: TooFew::Refuse };
    vec![
        Case::Raw,
        Case::ClassWeights(ClassWeights::Balanced),
        Case::Oversample { target },
        Case::Smote(smote(Categories::Numeric)),
        Case::Tomek { remove: TomekRemove::Majority, categories: Categories::Numeric },
        Case::SmoteTomek { smote: smote(Categories::Nominal(NominalPenalty::Full)), remove: TomekRemove::Both },
    ]
}

const WIDTH: usize = 4;

/// Rows of four features, one of them telling, one a code of five; every fourth row is positive.
fn rows(n_rows: usize) -> (Vec<f32>, Vec<u8>) {
    let labels: Vec<u8> = (0..n_rows).map(|row| u8::from(row % 4 == 1)).collect();
    let row = |(row, &label): (usize, &u8)| {
        let noise = |prime: usize| ((row * prime) % 101) as f32 / 50.0 - 1.0;
        [noise(37) + f32::from(label), noise(53), (row % 5) as f32, noise(29) * noise(31)]
    };
    (labels.iter().enumerate().flat_map(row).collect(), labels)
}

fn set(values: Vec<f32>, labels: Vec<u8>) -> TrainingSet {
    let names: Vec<String> = (0..WIDTH).map(|at| format!("f{at}")).collect();
    let matrix = FeatureMatrix::new(names.into(), values).with_nominal([false, false, true, false].into());
    let entries = (0..labels.len() as u32).collect();
    let weights = vec![1.0; labels.len()];
    TrainingSet::new(Arc::new(matrix), entries, labels, weights)
}

/// What may be odd about a set, and whether both classes are there.
fn odd_sets() -> Vec<(&'static str, TrainingSet, bool)> {
    let (values, labels) = rows(80);
    let with = |change: fn(usize, f32) -> f32| {
        values.iter().enumerate().map(|(at, &value)| change(at, value)).collect::<Vec<f32>>()
    };
    vec![
        ("plain", set(values.clone(), labels.clone()), true),
        ("a constant column", set(with(|at, value| if at % WIDTH == 1 { 3.0 } else { value }), labels.clone()), true),
        ("nothing but constants", set(vec![1.0; 80 * WIDTH], labels.clone()), true),
        (
            "each row twice",
            set([values.clone(), values.clone()].concat(), [labels.clone(), labels.clone()].concat()),
            true,
        ),
        (
            "rows that disagree",
            set([values.clone(), values.clone()].concat(), [vec![0; 80], vec![1; 80]].concat()),
            true,
        ),
        ("huge", set(with(|at, value| if at % WIDTH == 2 { value } else { value * 1e30 }), labels.clone()), true),
        ("tiny", set(with(|at, value| if at % WIDTH == 2 { value } else { value * 1e-38 }), labels.clone()), true),
        ("one class", set(values.clone(), vec![0; 80]), false),
        ("the other class", set(values.clone(), vec![1; 80]), false),
        ("one row", set(values[..WIDTH].to_vec(), vec![1]), false),
        ("two rows", set(values[..2 * WIDTH].to_vec(), vec![0, 1]), true),
    ]
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn on_threads<T: Send>(n_threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap().install(work)
}

#[test]
fn every_model_fits_any_set_or_says_why_not() {
    for config in models() {
        let kind = config.kind();
        for (what, set, both_classes) in odd_sets() {
            let before = (bits(set.matrix().values()), set.labels().to_vec(), bits(set.weights()));
            let fitted = match config.fit(&set, Seed::new(1), &Silent) {
                Ok(fitted) => fitted,
                Err(error) => {
                    assert!(!both_classes || what == "huge", "{kind:?} on {what}: {error}");
                    assert!(
                        error.kind != ErrorKind::Interrupted && error.hint.is_some(),
                        "{kind:?} on {what}: {error}"
                    );
                    continue;
                }
            };
            assert_eq!(before, (bits(set.matrix().values()), set.labels().to_vec(), bits(set.weights())), "{what}");
            let model = fitted.model;
            let scores = model.score(set.matrix());
            assert!(scores.iter().all(|score| (0.0..=1.0).contains(score)), "{kind:?} on {what}: {scores:?}");
            let single: Vec<f32> = set.matrix().rows().map(|row| model.score_row(row)).collect();
            assert_eq!(bits(&scores), bits(&single), "{kind:?} on {what}: a row by itself");
            let bytes = model.to_bytes();
            let loaded = Model::from_bytes(kind, WIDTH, &bytes).unwrap();
            assert_eq!(bits(&scores), bits(&loaded.score(set.matrix())), "{kind:?} on {what}: loaded");
            assert_eq!(bytes, loaded.to_bytes());
            for n_threads in [1, 3] {
                let again = on_threads(n_threads, || config.fit(&set, Seed::new(1), &Silent).unwrap().model.to_bytes());
                assert!(again == bytes, "{kind:?} on {what}: other bytes on {n_threads} threads");
            }
            // Rows far from all that was learned from, and of unseen codes. (Near f32's end a network's sums overflow: the
            // service answers an error.)
            for value in [1e9, -1e9, 0.0] {
                let score = model.score_row(&[value; WIDTH]);
                assert!((0.0..=1.0).contains(&score), "{kind:?} on {what}: {value} scores {score}");
            }
        }
    }
}

#[test]
fn every_case_resamples_any_set_or_says_why_not() {
    for case in cases() {
        for (what, set, both_classes) in odd_sets() {
            let before = (bits(set.matrix().values()), set.labels().to_vec(), bits(set.weights()));
            let resampled = || resample(&case, &mut Shared::new(&set, Seed::new(1), vec![case.clone()]), &Silent);
            let made = match resampled() {
                Ok(made) => made,
                Err(error) => {
                    // Too few for neighbours, or every row next to one of the other class.
                    let few = ["two rows", "rows that disagree", "nothing but constants"].contains(&what);
                    let may_refuse = if both_classes { few && case.has_neighbors() } else { case != Case::Raw };
                    assert!(may_refuse, "{case:?} on {what}: {error}");
                    assert!(error.kind == ErrorKind::Permanent && error.hint.is_some(), "{case:?} on {what}: {error}");
                    continue;
                }
            };
            assert_eq!(before, (bits(set.matrix().values()), set.labels().to_vec(), bits(set.weights())), "{what}");
            let Resampled { set: after, report, lineage } = &made;
            assert_eq!((report.rows_after, report.positives_after), (after.n_entries(), after.n_positives()));
            assert_eq!(after.n_entries(), lineage.n_original + lineage.made.len() - lineage.removed.len());
            assert!(after.weights().iter().all(|weight| weight.is_finite() && *weight > 0.0), "{case:?} on {what}");
            assert!(after.entries().iter().all(|&entry| (entry as usize) < after.n_rows()));
            assert!(after.matrix().values().iter().all(|value| value.is_finite()), "{case:?} on {what}");
            // A resampled set is learned from like any other.
            let forest = ModelConfig::RandomForest(ForestConfig { trees: 2, ..ForestConfig::RANDOM_FOREST });
            forest.fit(after, Seed::new(2), &Silent).unwrap();
            for n_threads in [1, 3] {
                let again = on_threads(n_threads, resampled).unwrap();
                assert_eq!(bits(again.set.matrix().values()), bits(after.matrix().values()), "{case:?} on {what}");
                assert_eq!((again.set.entries(), again.set.labels()), (after.entries(), after.labels()));
                assert_eq!((bits(again.set.weights()), &again.lineage), (bits(after.weights()), lineage));
            }
        }
    }
}

/// A raw table with gaps everywhere; `order` is that of its columns.
fn table(n_rows: usize, order: [usize; 4]) -> Table {
    let number = |row: usize, prime: usize| if row % 7 == 3 { f64::NAN } else { ((row * prime) % 97) as f64 / 7.0 };
    let numbers = |prime: usize| Cells::numeric(&(0..n_rows).map(|row| number(row, prime)).collect::<Vec<f64>>());
    let codes: Vec<u32> = (0..n_rows).map(|row| (row % 6) as u32).collect();
    let levels = ["a", "b", "c", "d", "e"].map(String::from).to_vec();
    let columns = [
        ("amount", numbers(31)),
        ("card", Cells::categorical(&codes, levels)),
        ("empty", Cells::numeric(&vec![f64::NAN; n_rows])),
        ("distance", numbers(17)),
    ];
    let mut table = Table::new(n_rows);
    for at in order {
        table.push(columns[at].0, columns[at].1.clone());
    }
    table
}

fn prepared(order: [usize; 4], seen: u32) -> Prepared {
    let n_rows = 120;
    let labels = (0..n_rows).map(|row| u8::from(row % 5 == 0)).collect();
    let dataset = Dataset { table: table(n_rows, order), labels, ids: Texts::row_numbers(n_rows), times: None };
    let dataset = Arc::new(dataset);
    // Cards above `seen` are for held-out rows alone.
    let (train, held_out) = (0..n_rows as u32).partition(|row| row % 6 <= seen && row % 10 != 9);
    let config = DataConfig::of_target("y");
    let recipe = Recipe { data: &config, features: &[], preprocess: &PreprocessConfig::USUAL };
    let (train, held_out) = (TrainRows::new(dataset.clone(), train), HeldOutRows::new(dataset, held_out));
    prepare(&recipe, &train, &held_out, &Storage::in_memory(), Seed::new(3)).unwrap()
}

#[test]
fn columns_go_by_name_empty_ones_go_and_unseen_levels_score() {
    let (one, other) = (prepared([0, 1, 2, 3], 3), prepared([3, 2, 1, 0], 3));
    assert!(one.preprocessor.dropped.iter().any(|column| column.name == "empty"), "{:?}", one.preprocessor.dropped);
    for config in models() {
        let model = config.fit(&one.train, Seed::new(1), &Silent).unwrap().model;
        let scores = model.score(&one.held_out.matrix());
        assert!(scores.iter().all(|score| (0.0..=1.0).contains(score)), "{:?}: {scores:?}", config.kind());
        // The preparation of one applied to the columns of the other, which stand in another order.
        let rows: Vec<u32> = (0..120).collect();
        let by_name = |order| model.score(&one.preprocessor.apply(&table(120, order), &rows).unwrap());
        assert_eq!(bits(&by_name([0, 1, 2, 3])), bits(&by_name([3, 2, 1, 0])), "{:?}", config.kind());
    }
    let names = |prepared: &Prepared| {
        let mut names = prepared.preprocessor.feature_names().to_vec();
        names.sort();
        names
    };
    assert_eq!(names(&one), names(&other));
}

//! Prepare: a preprocessor is fitted on training rows and bound to the columns of both sides of a part.
//!
//! No value of a raw column is computed yet: learners ask for columns, bins or a matrix, and rows are scored in blocks that
//! come and go. Derived columns and components stand computed, as training rows see them and as all others do.

use std::sync::Arc;

use super::config::{ForestConfig, Recipe};
use super::error::Result;
use super::fit::forest::{SplitKind, grow};
use super::fit::preprocessor::{Fit, fit, keep_needed_features};
use super::fit::selection::bind;
use super::mapped::Storage;
use super::planted;
use super::rows::{HeldOutRows, TrainRows, TrainingSet, Watched, WatchedRows};
use super::seed::Seed;
use crate::scoring::matrix::FeatureMatrix;
use crate::scoring::preprocessor::{DroppedColumn, FrozenColumn, PreparedColumns, Preprocessor};
use crate::scoring::table::Table;

/// One part of a split, prepared: only `train` can be learned from.
#[derive(Debug)]
pub struct Prepared {
    pub preprocessor: Preprocessor,
    /// The original training rows, each once, with weight 1.
    pub train: TrainingSet,
    pub held_out: HeldOutMatrix,
    /// Derived columns as all but training rows see them.
    derived: Table,
}

/// Prepared rows that may only be scored and measured.
#[derive(Debug)]
pub struct HeldOutMatrix {
    columns: PreparedColumns,
    rows: HeldOutRows,
    pub labels: Vec<u8>,
}

impl HeldOutMatrix {
    /// All rows as a matrix, made anew at every call: scoring goes block by block instead.
    pub fn matrix(&self) -> FeatureMatrix {
        self.columns.matrix(self.rows.rows())
    }

    /// What a block of rows is prepared from.
    pub(in crate::training) fn columns(&self) -> (&PreparedColumns, &[u32]) {
        (&self.columns, self.rows.rows())
    }
}

impl Prepared {
    /// Rows that early stopping watches, prepared as all others.
    pub fn watched(&self, rows: &WatchedRows) -> Result<Arc<Watched>> {
        let matrix = bind(&self.preprocessor, rows.table(), &self.derived)?.matrix(rows.rows());
        Ok(Arc::new(Watched { matrix, labels: rows.labels() }))
    }
}

/// Fits on `train` alone; `seed` is that of the part.
pub fn prepare(
    recipe: &Recipe,
    train: &TrainRows,
    held_out: &HeldOutRows,
    storage: &Storage,
    seed: Seed,
) -> Result<Prepared> {
    let mut fitted = fit(recipe, train, storage, seed)?;
    planted::into_fit(&mut fitted, recipe, train, storage, seed)?;
    if let Some(most) = recipe.preprocess.most_important {
        keep_most_important(&mut fitted, train, storage, seed, most)?;
    }
    let Fit { preprocessor, derived, learned_from } = fitted;
    let columns = bind(&preprocessor, train.table(), &learned_from)?;
    // Views of one dataset: the columns of its rows are the same for all, where training rows see no other values.
    let of_others = bind(&preprocessor, held_out.table(), &derived)?;
    Ok(Prepared {
        train: TrainingSet::of_columns(columns, &planted::learned_from(train, held_out), storage),
        held_out: HeldOutMatrix { columns: of_others, rows: held_out.clone(), labels: held_out.labels() },
        preprocessor,
        derived,
    })
}

/// The forest that judges features: shallow trees, for it ranks what tells most, and is not kept.
const JUDGE: ForestConfig =
    ForestConfig { trees: 50, max_depth: Some(12), min_samples_leaf: 5, bins: 63, ..ForestConfig::RANDOM_FOREST };

/// Drops all columns but those of the `most` features by decrease of impurity on these training rows. Components of a
/// projection stay or go as one.
fn keep_most_important(fitted: &mut Fit, train: &TrainRows, storage: &Storage, seed: Seed, most: usize) -> Result<()> {
    let columns = bind(&fitted.preprocessor, train.table(), &fitted.learned_from)?;
    let names = columns.names().clone();
    let set = TrainingSet::of_columns(columns, train, storage);
    let seed = seed.derive("importance", 0);
    let shares = grow(&JUDGE, SplitKind::Best, &set, seed, &super::progress::Silent)?.impurity_importance;
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_by(|&a, &b| shares[b].total_cmp(&shares[a]).then(a.cmp(&b)));
    let kept: std::collections::BTreeSet<&str> = order.iter().take(most).map(|&at| names[at].as_str()).collect();
    let preprocessor = &mut fitted.preprocessor;
    preprocessor.reduce.retain(|projection| projection.outputs().any(|name| kept.contains(name.as_str())));
    let projected: Vec<String> = preprocessor.reduce.iter().flat_map(|projection| projection.inputs.clone()).collect();
    let stays = |column: &FrozenColumn| {
        column.outputs().iter().any(|name| kept.contains(name.as_str()) || projected.contains(name))
    };
    let (columns, gone): (Vec<_>, Vec<_>) = std::mem::take(&mut preprocessor.columns).into_iter().partition(stays);
    preprocessor.columns = columns;
    let reason = format!("not among the {most} most important");
    let dropped = gone.into_iter().map(|column| DroppedColumn { name: column.name().into(), reason: reason.clone() });
    preprocessor.dropped.extend(dropped);
    keep_needed_features(preprocessor);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scoring::model::Model;
    use crate::scoring::model::logistic::Logistic;
    use crate::scoring::preprocessor::TextCase;
    use crate::scoring::table::{Cells, Table};
    use crate::training::config::{DataConfig, ImputeNumeric, PreprocessConfig};
    use crate::training::fit::{score_parallel, score_set};
    use crate::training::rows::Dataset;
    use crate::training::texts::Texts;

    /// Columns, bins and scores of a set whose matrix nobody asked for are those of the matrix, wherever bins lie.
    #[test]
    fn a_set_of_columns_is_the_set_of_its_matrix() {
        let n_rows = 9000;
        let at = |row: usize, prime: usize| ((row * prime) % 997) as f64;
        let real: Vec<f64> = (0..n_rows).map(|row| at(row, 31) / 7.0).collect();
        let whole: Vec<f64> =
            (0..n_rows).map(|row| if row % 5 == 0 { f64::NAN } else { at(row, 17) % 300.0 }).collect();
        let codes: Vec<u32> = (0..n_rows).map(|row| (row % 4) as u32).collect();
        let mut table = Table::new(n_rows);
        table.push("real", Cells::numeric(&real));
        table.push("whole", Cells::numeric(&whole));
        table.push("card", Cells::categorical(&codes, ["a", "b", "c"].map(String::from).to_vec()));
        let labels = (0..n_rows).map(|row| u8::from(row % 10 == 0)).collect();
        let dataset = Arc::new(Dataset { table, labels, ids: Texts::row_numbers(n_rows), times: None });
        let (train, held_out) = (0..n_rows as u32).partition(|row| row % 7 != 3);
        let (train, held_out) = (TrainRows::new(dataset.clone(), train), HeldOutRows::new(dataset, held_out));
        let config = PreprocessConfig {
            missing_above: None,
            impute_numeric: ImputeNumeric::None,
            text_case: TextCase::Keep,
            ..PreprocessConfig::USUAL
        };
        let data = DataConfig::of_target("y");
        let recipe = Recipe { data: &data, features: &[], preprocess: &config };
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::new(Some(0), folder.path());
        let Prepared { train: set, held_out: out, preprocessor, .. } =
            prepare(&recipe, &train, &held_out, &storage, Seed::new(1)).unwrap();

        let binned = set.binned(100).unwrap();
        assert!(Arc::ptr_eq(&binned, &set.with_entries(vec![1], vec![0], vec![1.0]).binned(100).unwrap()), "bins once");
        let model = Model::Logistic(Logistic { coefficients: vec![0.5, 0.0, -1.0], intercept: 0.1 });
        let scores = score_set(&model, &set);
        assert!(set.made_matrix().is_none(), "no matrix was needed");

        let matrix = Arc::new(preprocessor.apply(train.table(), train.rows()).unwrap());
        let bits = |matrix: &FeatureMatrix| matrix.values().iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(set.matrix()), bits(&matrix));
        assert_eq!(bits(&out.matrix()), bits(&preprocessor.apply(held_out.table(), held_out.rows()).unwrap()));
        let plain = |scores: Vec<f32>| scores.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        assert_eq!(plain(scores), plain(score_parallel(&model, &matrix)));
        let of_matrix = TrainingSet::of_all_rows(matrix, train.labels());
        for feature in 0..3 {
            assert_eq!(set.is_nominal(feature), of_matrix.is_nominal(feature));
            let again = of_matrix.binned(100).unwrap();
            assert_eq!(binned.spans().of(feature), again.spans().of(feature));
            assert_eq!(binned.edges(feature), again.edges(feature));
            assert_eq!(binned.column(feature), again.column(feature));
        }
    }
}

//! Fits the frozen preparation on training rows: derived columns, drops, fills, label codes, scales, selection.
//!
//! In: [`TrainRows`] alone; held-out rows have no way here. Out: a [`Preprocessor`], and the derived columns it was fitted
//! with. Median and most-frequent as scikit-learn's `SimpleImputer` (mean of the middle two; ties by byte order), scales
//! as its `StandardScaler` (population standard deviation), `MinMaxScaler` and `RobustScaler` (quartiles interpolated
//! between order statistics), after imputation. Columns are independent and fitted in parallel; every sum runs in row
//! order, so the numbers do not depend on the thread count.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::features::Derived;
use super::selection;
use crate::scoring::features::Compute;
use crate::scoring::preprocessor::{Categorical, DroppedColumn, Encode, FrozenColumn, Numeric, Preprocessor, Scale};
use crate::scoring::table::{Cells, Table};
use crate::training::config::{
    ColumnRole, ConfigPlace, EncodeConfig, FeatureConfig, Figure, ImputeCategorical, ImputeNumeric, Make,
    MissingColumns, PreprocessConfig, Recipe, ScaleKind,
};
use crate::training::error::{Error, Result};
use crate::training::mapped::Storage;
use crate::training::rows::TrainRows;
use crate::training::seed::Seed;

/// Labels that get a column of their own when they are encoded one-hot: the most frequent ones.
const ONE_HOT_LABELS: usize = 64;
/// Of `encode: target`; a feature says its own.
const SMOOTHING: f64 = 10.0;
const TARGET_FOLDS: usize = 5;

/// A fitted preparation.
#[derive(Debug)]
pub struct Fit {
    pub preprocessor: Preprocessor,
    /// Derived columns of all rows, as everybody but training rows sees them.
    pub derived: Table,
    /// The same as training rows see them: out-of-fold values where their own label would speak.
    pub learned_from: Table,
}

/// A column that stays, and whether training rows miss it.
struct Kept {
    column: FrozenColumn,
    has_gaps: bool,
}

type Outcome = std::result::Result<Kept, DroppedColumn>;

/// Fits on these rows. Error: no column is left, a feature can't be made.
pub fn fit(recipe: &Recipe, train: &TrainRows, storage: &Storage, seed: Seed) -> Result<Fit> {
    let config = recipe.preprocess;
    let mut derived = Derived::new(train, config.text_case, storage, seed);
    derived.add(recipe.features, recipe.data.missing_columns)?;
    let (inputs, offered): (Vec<_>, Vec<_>) = train.table().columns().partition(|(name, _)| is_input(recipe, name));
    let outcomes = fit_columns(config, &offered, &derived);
    let mut outcomes = encode_by_figures(config, outcomes, &mut derived)?;
    if config.indicators {
        outcomes.extend(indicators(config, &outcomes, &mut derived)?);
    }
    let mut dropped = std::mem::take(&mut derived.left_out);
    dropped.extend(
        inputs
            .into_iter()
            .map(|(name, _)| DroppedColumn { name: name.to_owned(), reason: "read by derived columns alone".into() }),
    );
    let mut columns = Vec::new();
    for outcome in outcomes {
        match outcome {
            Ok(kept) => columns.push(kept.column),
            Err(column) => dropped.push(column),
        }
    }
    if columns.is_empty() {
        return Err(Error::permanent(format!("expected at least one usable column, dropped all {}", dropped.len()))
            .hint("columns that are constant or mostly missing are dropped: see `preprocess.drop`"));
    }
    let Derived { features, columns: all, learned_from, .. } = derived;
    let mut preprocessor = Preprocessor {
        format: Preprocessor::FORMAT,
        text_case: config.text_case,
        features,
        columns,
        reduce: Vec::new(),
        dropped,
    };
    selection::select(config, &mut preprocessor, train, &learned_from)?;
    keep_needed_features(&mut preprocessor);
    Ok(Fit { preprocessor, derived: all, learned_from })
}

/// The time, and what was declared as an input.
fn is_input(recipe: &Recipe, name: &str) -> bool {
    recipe.data.time.as_deref() == Some(name) || recipe.data.role(name) == Some(ColumnRole::Input)
}

/// All columns that the model may see: raw ones, then derived ones.
fn fit_columns(config: &PreprocessConfig, raw: &[(&str, &Cells)], derived: &Derived) -> Vec<Outcome> {
    let visible = derived.learned_from.columns().filter(|(name, _)| !derived.hidden.contains(*name));
    let columns: Vec<(&str, &Cells)> = raw.iter().copied().chain(visible).collect();
    columns.par_iter().map(|(name, cells)| column(config, name, cells, derived.train)).collect()
}

fn column(config: &PreprocessConfig, name: &str, cells: &Cells, train: &TrainRows) -> Outcome {
    let fitted = match cells {
        Cells::Numeric(numbers) => numeric(config, name, &numbers.gather(train.rows())),
        Cells::Categorical { codes, levels } => {
            let mut counts = vec![0; levels.len() + 1];
            codes.items(train.rows().iter().copied(), |code| counts[code as usize] += 1);
            categorical(config, name, &counts, levels)
        }
    };
    fitted.map_err(|reason| DroppedColumn { name: name.to_owned(), reason })
}

/// Categories that become a figure of their group: the figure is a derived column, and stands in their place.
fn encode_by_figures(config: &PreprocessConfig, outcomes: Vec<Outcome>, derived: &mut Derived) -> Result<Vec<Outcome>> {
    let (suffix, figure) = match config.encode {
        EncodeConfig::Label | EncodeConfig::OneHot => return Ok(outcomes),
        EncodeConfig::Frequency => ("frequency", Figure::Frequency),
        EncodeConfig::Target => ("target", Figure::Target { smoothing: SMOOTHING, folds: TARGET_FOLDS }),
    };
    let encoded = |name: &str| format!("{name}_{suffix}");
    let categories = outcomes.iter().filter_map(|outcome| match outcome {
        Ok(Kept { column: FrozenColumn::Categorical(column), .. }) => Some(column.name.clone()),
        _ => None,
    });
    let feature = |name: String| FeatureConfig {
        name: encoded(&name),
        make: Make::OfGroup { by: vec![name], figure: figure.clone(), unseen: None, min_rows: 1 },
        input_only: false,
        place: ConfigPlace::default(),
    };
    derived.add(&categories.map(feature).collect::<Vec<_>>(), MissingColumns::Refuse)?;
    let replace = |outcome: Outcome| match outcome {
        Ok(Kept { column: FrozenColumn::Categorical(of), .. }) => {
            let name = encoded(&of.name);
            let cells = derived.learned_from.column(&name);
            cells
                .map(|cells| column(config, &name, cells, derived.train))
                .unwrap_or_else(|| Err(DroppedColumn { name: of.name.clone(), reason: format!("encoded as `{name}`") }))
        }
        other => other,
    };
    Ok(outcomes.into_iter().map(replace).collect())
}

/// A second column for each with gaps: 1 where it is missing.
fn indicators(config: &PreprocessConfig, outcomes: &[Outcome], derived: &mut Derived) -> Result<Vec<Outcome>> {
    let with_gaps = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok()).filter(|kept| kept.has_gaps);
    let feature = |kept: &Kept| FeatureConfig {
        name: format!("{}_missing", kept.column.name()),
        make: Make::Plain(Compute::Missing { of: vec![kept.column.name().to_owned()] }),
        input_only: false,
        place: ConfigPlace::default(),
    };
    let features: Vec<FeatureConfig> = with_gaps.map(feature).collect();
    derived.add(&features, MissingColumns::Refuse)?;
    let fitted = features.iter().filter_map(|feature| {
        let cells = derived.learned_from.column(&feature.name)?;
        Some(column(config, &feature.name, cells, derived.train))
    });
    Ok(fitted.collect())
}

/// Features that no column and no other feature reads any more are not frozen.
pub fn keep_needed_features(preprocessor: &mut Preprocessor) {
    let mut needed: std::collections::BTreeSet<String> =
        preprocessor.columns.iter().map(|column| column.name().to_owned()).collect();
    for feature in preprocessor.features.iter().rev() {
        if needed.contains(&feature.name) {
            needed.extend(feature.compute.inputs().into_iter().map(String::from));
        }
    }
    preprocessor.features.retain(|feature| needed.contains(&feature.name));
}

/// Why a column with this share of missing cells goes, if it does.
fn mostly_missing(config: &PreprocessConfig, n_missing: usize, n_rows: usize) -> Option<String> {
    let share = n_missing as f64 / n_rows as f64;
    if n_missing == n_rows {
        return Some("missing in every row".into());
    }
    let limit = config.missing_above.filter(|&limit| share > limit)?;
    Some(format!("missing in {:.1} % of the rows, more than {:.1} %", share * 100.0, limit * 100.0))
}

/// `numbers`: those of the training rows, in their order.
fn numeric(config: &PreprocessConfig, name: &str, numbers: &[f64]) -> std::result::Result<Kept, String> {
    let mut present: Vec<f64> = numbers.iter().copied().filter(|number| !number.is_nan()).collect();
    let n_missing = numbers.len() - present.len();
    if let Some(reason) = mostly_missing(config, n_missing, numbers.len()) {
        return Err(reason);
    }
    let fill = match config.impute_numeric {
        ImputeNumeric::Median => Some(median(&mut present)),
        ImputeNumeric::Mean => Some(mean(present.iter().copied(), present.len())),
        ImputeNumeric::Constant(constant) => Some(constant),
        ImputeNumeric::None => None,
    };
    let filled = || numbers.iter().filter_map(|&number| if number.is_nan() { fill } else { Some(number) });
    let first = filled().next();
    let missing_tells = fill.is_none() && n_missing > 0;
    if config.drop_constant && !missing_tells && filled().all(|number| Some(number) == first) {
        return Err("constant".into());
    }
    let n_filled = if fill.is_some() { numbers.len() } else { present.len() };
    let scale = scale(config.scale, filled, n_filled);
    let extremes = present.iter().fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], &x| [low.min(x), high.max(x)]);
    let column = Numeric { name: name.to_owned(), fill, scale, range: Some(extremes) };
    Ok(Kept { column: FrozenColumn::Numeric(column), has_gaps: n_missing > 0 })
}

/// `counts`: training rows without a level, then of each level.
fn categorical(
    config: &PreprocessConfig,
    name: &str,
    counts: &[usize],
    levels: &[String],
) -> std::result::Result<Kept, String> {
    let n_rows = counts.iter().sum();
    if let Some(reason) = mostly_missing(config, counts[0], n_rows) {
        return Err(reason);
    }
    let mut by_label: BTreeMap<String, usize> = BTreeMap::new();
    for (level, &count) in levels.iter().zip(&counts[1..]).filter(|(_, count)| **count > 0) {
        *by_label.entry(config.text_case.apply(level)).or_default() += count;
    }
    let fill = match &config.impute_categorical {
        ImputeCategorical::Constant(text) => config.text_case.apply(text),
        ImputeCategorical::MostFrequent => {
            // The first maximum in byte order: `max_by_key` would take the last.
            let most = by_label.values().copied().max().unwrap_or_default();
            by_label.iter().find(|(_, count)| **count == most).map(|(label, _)| label.clone()).unwrap_or_default()
        }
    };
    if counts[0] > 0 {
        *by_label.entry(fill.clone()).or_default() += counts[0];
    }
    if config.drop_constant && by_label.len() == 1 {
        return Err("constant".into());
    }
    let encode = if config.encode == EncodeConfig::OneHot { Encode::OneHot } else { Encode::Label };
    let scale = match encode {
        Encode::OneHot => {
            keep_most_frequent(&mut by_label);
            Scale::NONE
        }
        Encode::Label => {
            let coded =
                || by_label.values().enumerate().flat_map(|(at, &count)| std::iter::repeat_n((at + 1) as f64, count));
            scale(config.scale, coded, n_rows)
        }
    };
    let labels = by_label.into_keys().collect();
    let column = Categorical { name: name.to_owned(), fill, labels, scale, encode };
    Ok(Kept { column: FrozenColumn::Categorical(column), has_gaps: counts[0] > 0 })
}

/// Ties by the order of bytes.
fn keep_most_frequent(by_label: &mut BTreeMap<String, usize>) {
    let mut counts: Vec<(usize, String)> = by_label.iter().map(|(label, count)| (*count, label.clone())).collect();
    counts.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    for (_, label) in counts.into_iter().skip(ONE_HOT_LABELS) {
        by_label.remove(&label);
    }
}

/// Mean of the middle two; `values` is not empty and is left partially ordered.
fn median(values: &mut [f64]) -> f64 {
    let n_values = values.len();
    let (below, &mut upper, _) = values.select_nth_unstable_by(n_values / 2, f64::total_cmp);
    if !n_values.is_multiple_of(2) {
        return upper;
    }
    let lower = below.iter().copied().max_by(f64::total_cmp).unwrap_or(upper);
    let sum = lower + upper;
    if sum.is_finite() { sum / 2.0 } else { lower / 2.0 + upper / 2.0 }
}

fn mean(values: impl Iterator<Item = f64>, n_values: usize) -> f64 {
    (values.sum::<f64>() / n_values.max(1) as f64).clamp(f64::MIN, f64::MAX)
}

fn scale<I: Iterator<Item = f64>>(kind: ScaleKind, values: impl Fn() -> I, n_values: usize) -> Scale {
    let (center, spread) = match kind {
        ScaleKind::None => return Scale::NONE,
        ScaleKind::Standard => {
            let center = mean(values(), n_values);
            let squares: f64 = values().map(|value| (value - center) * (value - center)).sum();
            (center, (squares / n_values.max(1) as f64).sqrt())
        }
        ScaleKind::MinMax => {
            let low = values().fold(f64::INFINITY, f64::min);
            (low, values().fold(f64::NEG_INFINITY, f64::max) - low)
        }
        ScaleKind::Robust => {
            let mut sorted: Vec<f64> = values().collect();
            sorted.sort_unstable_by(f64::total_cmp);
            (quantile(&sorted, 0.5), quantile(&sorted, 0.75) - quantile(&sorted, 0.25))
        }
    };
    // Numbers near f64's end overflow; a constant kept on request has no spread: both stay unscaled. A spread of 0 in
    // numbers that differ (most of them equal) is 1, as in scikit-learn.
    match center.is_finite() && spread.is_finite() {
        true if spread > 0.0 => Scale { center, spread },
        true if kind == ScaleKind::Robust => Scale { center, spread: 1.0 },
        _ => Scale::NONE,
    }
}

/// Linear between order statistics (NumPy's default).
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let place = q * (sorted.len().saturating_sub(1)) as f64;
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    match (sorted.get(low), sorted.get(high)) {
        (Some(&below), Some(&above)) => below + (above - below) * (place - low as f64),
        _ => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::scoring::table::Table;
    use crate::training::config::DataConfig;
    use crate::training::rows::Dataset;

    fn rows(columns: Vec<(&str, Cells)>) -> TrainRows {
        let n_rows = 4;
        let mut table = Table::new(n_rows);
        for (name, cells) in columns {
            table.push(name, cells);
        }
        let ids = crate::training::texts::Texts::row_numbers(n_rows);
        let dataset = Dataset { table, labels: vec![0, 1, 0, 1], ids, times: None };
        TrainRows::new(Arc::new(dataset), vec![0, 1, 2, 3])
    }

    fn config() -> PreprocessConfig {
        PreprocessConfig { missing_above: Some(0.6), ..PreprocessConfig::USUAL }
    }

    fn fit(config: &PreprocessConfig, train: &TrainRows) -> Result<Preprocessor> {
        let data = DataConfig::of_target("y");
        let recipe = Recipe { data: &data, features: &[], preprocess: config };
        super::fit(&recipe, train, &Storage::in_memory(), Seed::new(1)).map(|fit| fit.preprocessor)
    }

    #[test]
    fn fills_codes_and_scales_are_those_of_scikit_learn() {
        let levels = vec!["visa".to_owned(), "Amex".to_owned(), "VISA".to_owned()];
        let train = rows(vec![
            ("x", Cells::numeric(&[1.0, f64::NAN, 3.0, 8.0])),
            ("card", Cells::categorical(&[1, 0, 2, 3], levels)),
        ]);
        let fitted = fit(&config(), &train).unwrap();
        // SimpleImputer(median) gives 3; StandardScaler of [1, 3, 3, 8]: mean 3.75, variance 6.6875.
        let FrozenColumn::Numeric(x) = &fitted.columns[0] else { panic!("x is numeric") };
        assert_eq!((x.fill, x.scale), (Some(3.0), Scale { center: 3.75, spread: 6.6875f64.sqrt() }));
        // Codes: AMEX 1, VISA 2; the missing one is VISA: [2, 2, 1, 2].
        let FrozenColumn::Categorical(card) = &fitted.columns[1] else { panic!("card is categorical") };
        assert_eq!((card.fill.as_str(), &card.labels[..]), ("VISA", &["AMEX".to_owned(), "VISA".to_owned()][..]));
        assert_eq!(card.scale, Scale { center: 1.75, spread: 0.1875f64.sqrt() });
    }

    /// MinMaxScaler, RobustScaler, SimpleImputer(constant) of [1, nan, 3, 8].
    #[test]
    fn other_scales_and_fills() {
        let train = rows(vec![
            ("x", Cells::numeric(&[1.0, f64::NAN, 3.0, 8.0])),
            ("card", Cells::categorical(&[1, 0, 2, 2], vec!["a".into(), "b".into()])),
        ]);
        let numeric = |config: &PreprocessConfig| match &fit(config, &train).unwrap().columns[0] {
            FrozenColumn::Numeric(x) => (x.fill, x.scale, x.range),
            FrozenColumn::Categorical(_) => panic!("x is numeric"),
        };
        let range = Some([1.0, 8.0]);
        let min_max = PreprocessConfig { scale: ScaleKind::MinMax, impute_numeric: ImputeNumeric::Mean, ..config() };
        assert_eq!(numeric(&min_max), (Some(4.0), Scale { center: 1.0, spread: 7.0 }, range));
        let constant = ImputeNumeric::Constant(-1.0);
        let robust = PreprocessConfig { scale: ScaleKind::Robust, impute_numeric: constant, ..config() };
        // Quartiles of [-1, 1, 3, 8]: 0.5, 2, 4.25.
        assert_eq!(numeric(&robust), (Some(-1.0), Scale { center: 2.0, spread: 3.75 }, range));
        let text = ImputeCategorical::Constant("missing".into());
        let one_hot = PreprocessConfig { impute_categorical: text, encode: EncodeConfig::OneHot, ..config() };
        let fitted = fit(&PreprocessConfig { indicators: true, ..one_hot }, &train).unwrap();
        let names = fitted.feature_names();
        assert_eq!(names.join(" "), "x card=A card=B card=MISSING x_missing card_missing");
        let matrix = fitted.apply(train.table(), train.rows()).unwrap();
        assert_eq!(matrix.row(1)[1..4], [0.0, 0.0, 1.0]);
        assert!(matrix.row(1)[4] > 0.0 && matrix.row(0)[4] < 0.0, "missing in row 1 alone");
    }

    #[test]
    fn drops_say_why() {
        let train = rows(vec![
            ("kept", Cells::numeric(&[1.0, 2.0, 3.0, 4.0])),
            ("constant", Cells::numeric(&[7.0, f64::NAN, 7.0, 7.0])),
            ("rare", Cells::numeric(&[f64::NAN, f64::NAN, f64::NAN, 1.0])),
            ("empty", Cells::categorical(&[0; 4], vec![])),
        ]);
        let dropped = fit(&config(), &train).unwrap().dropped;
        let reasons: Vec<&str> = dropped.iter().map(|column| column.reason.as_str()).collect();
        assert_eq!(reasons, ["constant", "missing in 75.0 % of the rows, more than 60.0 %", "missing in every row"]);
    }

    #[test]
    fn the_median_of_an_even_count_lies_between() {
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&mut [5.0]), 5.0);
    }
}

//! Fits the frozen preparation on training rows: drops, fills, label codes, scales.
//!
//! In: [`TrainRows`] alone; held-out rows have no way here. Out: a [`Preprocessor`]. Median and most-frequent as
//! scikit-learn's `SimpleImputer` (mean of the middle two; ties by byte order), scale as its `StandardScaler`
//! (population standard deviation, after imputation). Columns are independent and fitted in parallel; every sum runs
//! in row order, so the numbers do not depend on the thread count.

use rayon::prelude::*;

use crate::scoring::preprocessor::{Categorical, DroppedColumn, FrozenColumn, Numeric, Preprocessor, Scale};
use crate::scoring::table::Cells;
use crate::training::config::{ImputeNumeric, PreprocessConfig, ScaleKind};
use crate::training::error::{Error, Result};
use crate::training::rows::TrainRows;

/// Fits on these rows. Error: no column is left.
pub fn fit(config: &PreprocessConfig, train: &TrainRows) -> Result<Preprocessor> {
    let columns: Vec<(&str, &Cells)> = train.table().columns().collect();
    let fitted: Vec<std::result::Result<FrozenColumn, DroppedColumn>> = columns
        .par_iter()
        .map(|(name, cells)| {
            let fitted = match cells {
                Cells::Numeric(numbers) => numeric(config, name, &numbers.gather(train.rows())),
                Cells::Categorical { codes, levels } => {
                    let mut counts = vec![0; levels.len() + 1];
                    codes.items(train.rows().iter().copied(), |code| counts[code as usize] += 1);
                    categorical(config, name, &counts, levels)
                }
            };
            fitted.map_err(|reason| DroppedColumn { name: (*name).to_owned(), reason })
        })
        .collect();
    let (mut columns, mut dropped) = (Vec::new(), Vec::new());
    for column in fitted {
        match column {
            Ok(column) => columns.push(column),
            Err(column) => dropped.push(column),
        }
    }
    if columns.is_empty() {
        return Err(Error::permanent(format!("expected at least one usable column, dropped all {}", dropped.len()))
            .hint("columns that are constant or mostly missing are dropped: see `preprocess.drop`"));
    }
    Ok(Preprocessor { format: Preprocessor::FORMAT, text_case: config.text_case, columns, dropped })
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
fn numeric(config: &PreprocessConfig, name: &str, numbers: &[f64]) -> std::result::Result<FrozenColumn, String> {
    let mut present: Vec<f64> = numbers.iter().copied().filter(|number| !number.is_nan()).collect();
    let n_missing = numbers.len() - present.len();
    if let Some(reason) = mostly_missing(config, n_missing, numbers.len()) {
        return Err(reason);
    }
    let fill = match config.impute_numeric {
        ImputeNumeric::Median => Some(median(&mut present)),
        ImputeNumeric::Mean => Some(mean(present.iter().copied(), present.len())),
        ImputeNumeric::None => None,
    };
    let filled = || numbers.iter().filter_map(|&number| if number.is_nan() { fill } else { Some(number) });
    let first = filled().next();
    let missing_tells = fill.is_none() && n_missing > 0;
    if config.drop_constant && !missing_tells && filled().all(|number| Some(number) == first) {
        return Err("constant".into());
    }
    let n_filled = if fill.is_some() { numbers.len() } else { present.len() };
    Ok(FrozenColumn::Numeric(Numeric { name: name.to_owned(), fill, scale: scale(config.scale, filled, n_filled) }))
}

/// `counts`: training rows without a level, then of each level.
fn categorical(
    config: &PreprocessConfig,
    name: &str,
    counts: &[usize],
    levels: &[String],
) -> std::result::Result<FrozenColumn, String> {
    let n_rows = counts.iter().sum();
    if let Some(reason) = mostly_missing(config, counts[0], n_rows) {
        return Err(reason);
    }
    let mut by_label: std::collections::BTreeMap<String, usize> = std::collections::BTreeMap::new();
    for (level, &count) in levels.iter().zip(&counts[1..]).filter(|(_, count)| **count > 0) {
        *by_label.entry(config.text_case.apply(level)).or_default() += count;
    }
    if config.drop_constant && by_label.len() == 1 {
        return Err("constant".into());
    }
    // The first maximum in byte order: `max_by_key` would take the last.
    let most = by_label.values().copied().max().unwrap_or_default();
    let fill = by_label.iter().find(|(_, count)| **count == most).map(|(label, _)| label.clone()).unwrap_or_default();
    *by_label.entry(fill.clone()).or_default() += counts[0];
    let coded = || by_label.values().enumerate().flat_map(|(at, &count)| std::iter::repeat_n((at + 1) as f64, count));
    let scale = scale(config.scale, coded, n_rows);
    Ok(FrozenColumn::Categorical(Categorical {
        name: name.to_owned(),
        fill,
        labels: by_label.into_keys().collect(),
        scale,
    }))
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
    if kind == ScaleKind::None {
        return Scale::NONE;
    }
    let center = mean(values(), n_values);
    let squares: f64 = values().map(|value| (value - center) * (value - center)).sum();
    let spread = (squares / n_values.max(1) as f64).sqrt();
    // Numbers near f64's end overflow the variance; a constant kept on request has none: both stay unscaled.
    if center.is_finite() && spread.is_finite() && spread > 0.0 { Scale { center, spread } } else { Scale::NONE }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::scoring::preprocessor::TextCase;
    use crate::scoring::table::Table;
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
        PreprocessConfig {
            missing_above: Some(0.6),
            drop_constant: true,
            impute_numeric: ImputeNumeric::Median,
            text_case: TextCase::Upper,
            scale: ScaleKind::Standard,
        }
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

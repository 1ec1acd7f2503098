//! The recipe: derived columns and the preparation, as declared. What is learned from it is in `training/fit`.

use serde::Serialize;

use super::DataConfig;
use crate::scoring::features::Compute;
use crate::scoring::preprocessor::TextCase;

/// Everything the preparation of a part follows.
#[derive(Debug, Clone, Copy)]
pub struct Recipe<'a> {
    pub data: &'a DataConfig,
    pub features: &'a [FeatureConfig],
    pub preprocess: &'a PreprocessConfig,
}

/// A derived column.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FeatureConfig {
    pub name: String,
    pub make: Make,
    /// Read by other features alone: the model does not see it.
    pub input_only: bool,
    #[serde(skip)]
    pub place: ConfigPlace,
}

/// How a derived column is made.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Make {
    /// Nothing is learned. The names of [`Compute::Missing`] may be patterns.
    Plain(Compute),
    /// A figure of the row's group among the training rows.
    OfGroup {
        by: Vec<String>,
        figure: Figure,
        /// For groups that training did not see; `None`: the figure over all training rows, 0 for counts.
        unseen: Option<f64>,
        /// Groups of fewer training rows count as unseen.
        min_rows: usize,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Figure {
    /// Share of the training rows.
    Frequency,
    /// Training rows.
    Count,
    Mean {
        of: String,
    },
    /// Over n - 1; that of all rows for fewer than two.
    Std {
        of: String,
    },
    /// The row's own number over the mean of its group.
    RatioToMean {
        of: String,
    },
    /// Smoothed share of positives: out of fold for training rows.
    Target {
        /// Rows with the overall share that are added to each group.
        smoothing: f64,
        folds: usize,
    },
}

impl Make {
    /// Names, and patterns, of the columns it reads.
    pub fn inputs(&self) -> Vec<&str> {
        match self {
            Make::Plain(compute) => compute.inputs(),
            Make::OfGroup { by, figure, .. } => {
                let of = match figure {
                    Figure::Mean { of } | Figure::Std { of } | Figure::RatioToMean { of } => Some(of.as_str()),
                    Figure::Frequency | Figure::Count | Figure::Target { .. } => None,
                };
                by.iter().map(String::as_str).chain(of).collect()
            }
        }
    }
}

/// Where in a file something was declared, for messages alone: it is no part of what was declared.
#[derive(Debug, Clone, Default)]
pub struct ConfigPlace(pub String);

impl PartialEq for ConfigPlace {
    fn eq(&self, _: &ConfigPlace) -> bool {
        true
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PreprocessConfig {
    /// Columns missing in a larger share of the fold's training rows are dropped; `None` keeps all.
    pub missing_above: Option<f64>,
    pub drop_constant: bool,
    /// Of two numeric columns whose prepared numbers correlate more (by size), the later is dropped.
    pub correlated_above: Option<f64>,
    /// Columns that agree with an earlier one in all training rows, or in all but a few, are dropped.
    pub duplicates: bool,
    /// Columns whose rates of the first month rank those of the last no better than chance are dropped.
    pub inconsistent: bool,
    /// Only the features that a forest finds most important on the fold's training rows stay; `None` keeps all.
    pub most_important: Option<usize>,
    pub impute_numeric: ImputeNumeric,
    pub impute_categorical: ImputeCategorical,
    /// Whether a column with missing cells gets a second one that says where.
    pub indicators: bool,
    pub text_case: TextCase,
    pub encode: EncodeConfig,
    pub scale: ScaleKind,
    pub reduce: Vec<Reduce>,
}

impl PreprocessConfig {
    /// Whether it rests on matrix products, whose bits are those of a level of processor features.
    pub fn multiplies(&self) -> bool {
        self.correlated_above.is_some() || !self.reduce.is_empty()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImputeNumeric {
    Median,
    Mean,
    Constant(f64),
    /// Missing values go to the model: forests only.
    None,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImputeCategorical {
    MostFrequent,
    Constant(String),
}

/// How categories become numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EncodeConfig {
    Label,
    Frequency,
    OneHot,
    Target,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScaleKind {
    Standard,
    MinMax,
    Robust,
    None,
}

/// Many columns become few.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reduce {
    /// Principal components of the prepared columns that a pattern names; those of columns that are missing together by
    /// themselves, where `by_missing` says so.
    Pca { columns: String, keep: Components, by_missing: bool },
    /// Of numeric columns that are missing together and correlate more than so, the one with most distinct values.
    Representatives { columns: String, correlated_above: f64 },
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Components {
    Number(usize),
    /// As many as explain this share of the variance.
    Variance(f64),
}

#[cfg(test)]
impl PreprocessConfig {
    /// The defaults of the config.
    pub const USUAL: PreprocessConfig = PreprocessConfig {
        missing_above: Some(0.95),
        drop_constant: true,
        correlated_above: None,
        duplicates: false,
        inconsistent: false,
        most_important: None,
        impute_numeric: ImputeNumeric::Median,
        impute_categorical: ImputeCategorical::MostFrequent,
        indicators: false,
        text_case: TextCase::Upper,
        encode: EncodeConfig::Label,
        scale: ScaleKind::Standard,
        reduce: Vec::new(),
    };
}

#[cfg(test)]
impl DataConfig {
    /// A target and nothing else.
    pub fn of_target(column: &str) -> DataConfig {
        DataConfig {
            tables: Vec::new(),
            target: super::Target { column: column.into(), positive: "1".into() },
            id: None,
            time: None,
            amount: None,
            group: None,
            missing_columns: super::MissingColumns::Refuse,
            unknown_keys: Default::default(),
            columns: Vec::new(),
        }
    }
}

/// A name with at most one `*`.
pub fn matches(pattern: &str, name: &str) -> bool {
    pattern.split_once('*').is_some_and(|(head, tail)| {
        name.len() >= head.len() + tail.len() && name.starts_with(head) && name.ends_with(tail)
    })
}

/// The names that a list of names and patterns means, in the order of `known`.
pub fn named<'k>(patterns: &[String], known: impl Iterator<Item = &'k str>) -> Vec<&'k str> {
    let means = |name: &str| patterns.iter().any(|pattern| pattern == name || matches(pattern, name));
    known.filter(|name| means(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_have_one_star() {
        assert!(matches("V*", "V12") && matches("*_01", "id_01") && matches("i*1", "id_01"));
        assert!(!matches("V*", "id_01") && !matches("V1", "V1") && !matches("ab*ba", "aba"));
    }
}

//! The sections `split` and `preprocess`.

use std::ops::Bound::{Excluded, Included};

use super::check::distinct;
use super::section::Section;
use super::values::{Refusal, choice, flag, list, nullable, number, whole};
use crate::scoring::preprocessor::TextCase;
use crate::training::config::{ImputeNumeric, PreprocessConfig, Protocol, ScaleKind, SplitConfig};

pub(super) const PROTOCOLS: [(&str, Protocol); 2] = [("random", Protocol::Random), ("temporal", Protocol::Temporal)];

pub(super) const IMPUTATIONS: [(&str, ImputeNumeric); 3] =
    [("median", ImputeNumeric::Median), ("mean", ImputeNumeric::Mean), ("none", ImputeNumeric::None)];
pub(super) const TEXT_CASES: [(&str, TextCase); 3] =
    [("upper", TextCase::Upper), ("lower", TextCase::Lower), ("keep", TextCase::Keep)];
pub(super) const SCALES: [(&str, ScaleKind); 2] = [("standard", ScaleKind::Standard), ("none", ScaleKind::None)];

pub(super) fn split(mut split: Section, has_time: bool) -> SplitConfig {
    let test_share = split.value("test_share", 0.2, number(Excluded(0.0), Excluded(1.0)));
    let folds = split.value("folds", 5, whole(2..=100));
    let usual = if has_time { vec![Protocol::Random, Protocol::Temporal] } else { vec![Protocol::Random] };
    let read = list("a list of protocols", PROTOCOLS.len(), choice(&PROTOCOLS, &[]));
    let protocols = split.value("protocols", usual, |node| {
        let protocols = read(node)?;
        if distinct(&protocols) { Ok(protocols) } else { Err(Refusal::new("a protocol is there twice")) }
    });
    split.only("keep_groups", "false");
    split.only("gap", "0");
    split.finish();
    SplitConfig { test_share, folds, protocols }
}

pub(super) fn preprocess(mut preprocess: Section) -> PreprocessConfig {
    let mut drop = preprocess.section("drop");
    let missing_above = drop.value("missing_above", Some(0.95), nullable(number(Included(0.0), Excluded(1.0))));
    let drop_constant = drop.value("constant", true, flag);
    drop.only("correlated_above", "null");
    drop.finish();

    let mut impute = preprocess.section("impute");
    let impute_numeric = impute.value("numeric", ImputeNumeric::Median, choice(&IMPUTATIONS, &["constant"]));
    impute.only("categorical", "most-frequent");
    impute.only("indicators", "false");
    impute.finish();

    let mut categorical = preprocess.section("categorical");
    let text_case = categorical.value("case", TextCase::Upper, choice(&TEXT_CASES, &[]));
    categorical.value("encode", (), choice(&[("label", ())], &["frequency", "one-hot", "target"]));
    categorical.finish();

    let scale = preprocess.value("scale", ScaleKind::Standard, choice(&SCALES, &["min-max", "robust"]));
    preprocess.only("reduce", "[]");
    preprocess.finish();
    PreprocessConfig { missing_above, drop_constant, impute_numeric, text_case, scale }
}

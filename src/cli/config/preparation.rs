//! The sections `split` and `preprocess`.

use std::ops::Bound::{Excluded, Included, Unbounded};

use super::check::distinct;
use super::section::Section;
use super::values::{Read, Refusal, choice, flag, list, nullable, number, text, whole};
use super::yaml::{Node, Value};
use crate::scoring::preprocessor::TextCase;
use crate::training::config::{
    Components, DataConfig, EncodeConfig, ImputeCategorical, ImputeNumeric, PreprocessConfig, Protocol, Reduce,
    ScaleKind, SplitConfig,
};

pub(super) const PROTOCOLS: [(&str, Protocol); 2] = [("random", Protocol::Random), ("temporal", Protocol::Temporal)];

pub(super) const IMPUTATIONS: [(&str, ImputeNumeric); 4] = [
    ("median", ImputeNumeric::Median),
    ("mean", ImputeNumeric::Mean),
    ("constant", ImputeNumeric::Constant(0.0)),
    ("none", ImputeNumeric::None),
];
/// What stands for missing text where `constant` says no more.
pub(super) const MISSING_TEXT: &str = "missing";
pub(super) const TEXT_CASES: [(&str, TextCase); 3] =
    [("upper", TextCase::Upper), ("lower", TextCase::Lower), ("keep", TextCase::Keep)];
pub(super) const ENCODINGS: [(&str, EncodeConfig); 4] = [
    ("label", EncodeConfig::Label),
    ("frequency", EncodeConfig::Frequency),
    ("one-hot", EncodeConfig::OneHot),
    ("target", EncodeConfig::Target),
];
pub(super) const SCALES: [(&str, ScaleKind); 4] = [
    ("standard", ScaleKind::Standard),
    ("min-max", ScaleKind::MinMax),
    ("robust", ScaleKind::Robust),
    ("none", ScaleKind::None),
];

pub(super) fn split(mut split: Section, data: &DataConfig) -> SplitConfig {
    let test_share = split.value("test_share", 0.2, number(Excluded(0.0), Excluded(1.0)));
    let folds = split.value("folds", 5, whole(2..=100));
    let has_time = data.time.is_some();
    let usual = if has_time { vec![Protocol::Random, Protocol::Temporal] } else { vec![Protocol::Random] };
    let read = list("a list of protocols", PROTOCOLS.len(), choice(&PROTOCOLS, &[]));
    let protocols = split.value("protocols", usual, |node| {
        let protocols = read(node)?;
        if distinct(&protocols) { Ok(protocols) } else { Err(Refusal::new("a protocol is there twice")) }
    });
    let keep = split.value("keep_groups", false, flag);
    if keep && data.group.is_none() {
        split.refuse("keep_groups", Refusal::new("needs `data.group`, which is not there").hint("name the column"));
    }
    if keep && !protocols.contains(&Protocol::Random) {
        let refusal = Refusal::new("is for protocol `random`, which is not among `split.protocols`");
        split.refuse("keep_groups", refusal.hint("under `temporal` time decides alone: leave it out"));
    }
    let gap = split.value("gap", 0.0, number(Included(0.0), Included(1e12)));
    if gap > 0.0 && !protocols.contains(&Protocol::Temporal) {
        split.refuse("gap", Refusal::new("is for protocol `temporal`, which is not among `split.protocols`"));
    }
    split.finish();
    SplitConfig { test_share, folds, protocols, keep_groups: data.group.clone().filter(|_| keep), gap }
}

pub(super) fn preprocess(mut preprocess: Section) -> PreprocessConfig {
    let mut drop = preprocess.section("drop");
    let missing_above = drop.value("missing_above", Some(0.95), nullable(number(Included(0.0), Excluded(1.0))));
    let drop_constant = drop.value("constant", true, flag);
    let correlated_above = drop.value("correlated_above", None, nullable(number(Excluded(0.0), Excluded(1.0))));
    let duplicates = drop.value("duplicates", false, flag);
    let inconsistent = drop.value("inconsistent", false, flag);
    let most_important = drop.value("all_but_most_important", None, nullable(whole(1..=100_000)));
    drop.finish();

    let mut impute = preprocess.section("impute");
    let impute_numeric = impute.value("numeric", ImputeNumeric::Median, impute_number);
    let impute_categorical = impute.value("categorical", ImputeCategorical::MostFrequent, impute_text);
    let indicators = impute.value("indicators", false, flag);
    impute.finish();

    let mut categorical = preprocess.section("categorical");
    let text_case = categorical.value("case", TextCase::Upper, choice(&TEXT_CASES, &[]));
    let encode = categorical.value("encode", EncodeConfig::Label, choice(&ENCODINGS, &[]));
    categorical.finish();

    let scale = preprocess.value("scale", ScaleKind::Standard, choice(&SCALES, &[]));
    let reduce = reduce(&mut preprocess);
    preprocess.finish();
    PreprocessConfig {
        missing_above,
        drop_constant,
        correlated_above,
        duplicates,
        inconsistent,
        most_important,
        impute_numeric,
        impute_categorical,
        indicators,
        text_case,
        encode,
        scale,
        reduce,
    }
}

/// The value of the only entry of `{ constant: .. }`.
fn constant(node: &Node) -> Option<&Node> {
    match &node.value {
        Value::Map(entries) => match &entries[..] {
            [entry] if entry.key == "constant" => Some(&entry.value),
            _ => None,
        },
        _ => None,
    }
}

fn impute_number(node: &Node) -> Read<ImputeNumeric> {
    match constant(node) {
        Some(value) => number(Unbounded, Unbounded)(value).map(ImputeNumeric::Constant),
        None => choice(&IMPUTATIONS, &[])(node)
            .map_err(|refusal| if refusal.hint.is_some() { refusal } else { refusal.hint("or `{ constant: -1 }`") }),
    }
}

fn impute_text(node: &Node) -> Read<ImputeCategorical> {
    match constant(node) {
        Some(value) => text("the text that stands for missing cells")(value).map(ImputeCategorical::Constant),
        None => {
            choice(&[("most-frequent", false), ("constant", true)], &[])(node).map(|is_constant| match is_constant {
                true => ImputeCategorical::Constant(MISSING_TEXT.to_owned()),
                false => ImputeCategorical::MostFrequent,
            })
        }
    }
}

fn reduce(preprocess: &mut Section) -> Vec<Reduce> {
    const KINDS: [&str; 2] = ["pca", "representatives"];
    let Some(entry) = preprocess.entry("reduce").filter(|entry| !entry.value.is_null()) else { return Vec::new() };
    let (report, key) = (preprocess.report, preprocess.path("reduce"));
    let Value::List(items) = &entry.value.value else {
        report.refuse(entry.value.place, &key, Refusal::expected("a list of reductions", &entry.value));
        return Vec::new();
    };
    let item = |(nth, node): (usize, &Node)| {
        let key = format!("{key}.{nth}");
        let mut section = Section::of(report, key.clone(), key, node.place, Some(node));
        let kind = KINDS.into_iter().find(|kind| section.has(kind));
        let Some(kind) = kind else {
            section.refuse_missing(KINDS[0], "`pca` or `representatives`, with the columns it is for");
            return None;
        };
        let mut settings = section.section(kind);
        let what = "a column pattern, such as `V*`";
        let columns = settings.required("columns", what, |node| {
            let pattern = text("a name or a pattern with one `*`")(node)?;
            if pattern.matches('*').count() <= 1 { Ok(pattern) } else { Err(Refusal::expected("one `*`", node)) }
        });
        let made = if kind == "pca" {
            pca(&mut settings, columns)
        } else {
            let correlated_above = settings.value("correlated_above", 0.75, number(Excluded(0.0), Excluded(1.0)));
            Reduce::Representatives { columns, correlated_above }
        };
        settings.finish();
        section.finish();
        Some(made)
    };
    items.iter().enumerate().filter_map(item).collect()
}

fn pca(settings: &mut Section, columns: String) -> Reduce {
    let number_of = settings.value("components", None, nullable(whole(1..=10_000)));
    let both = number_of.is_some() && settings.has("variance");
    let variance = settings.value("variance", 0.95, number(Excluded(0.0), Included(1.0)));
    if both {
        let refusal = Refusal::new("there are `components` too, expected one of them");
        settings.refuse("variance", refusal.hint("say how many components, or how much variance they shall explain"));
    }
    let by_missing = settings.value("by_missing", false, flag);
    Reduce::Pca { columns, keep: number_of.map_or(Components::Variance(variance), Components::Number), by_missing }
}

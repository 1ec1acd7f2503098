//! The list `imbalance`: the cases, what each does to the training rows.

use std::ops::Bound::{Excluded, Included};

use super::kinds::{Vocabulary, entries};
use super::section::Section;
use super::values::{Refusal, choice, number, whole};
use super::yaml::Value;
use crate::training::config::{
    Balance, Case, Categories, ClassWeights, NamedCase, NominalPenalty, SmoteConfig, TomekRemove, TooFew,
};

pub(super) const CASES: Vocabulary = Vocabulary {
    noun: "case",
    built: &["raw", "class-weights", "oversample", "smote", "tomek", "smote-tomek"],
    later: &["undersample", "adasyn", "borderline-smote", "smote-enn"],
    reserved: &[],
};

pub(super) const REMOVED: [(&str, TomekRemove); 2] = [("both", TomekRemove::Both), ("majority", TomekRemove::Majority)];

pub(super) const TOO_FEW: [(&str, TooFew); 2] = [("refuse", TooFew::Refuse), ("reduce", TooFew::Reduce)];
pub(super) const PENALTIES: [(&str, NominalPenalty); 2] =
    [("full", NominalPenalty::Full), ("half", NominalPenalty::Half)];

pub(super) fn check(root: &mut Section) -> Vec<NamedCase> {
    let cases = entries(root, "imbalance", &CASES).into_iter().map(|entry| {
        let mut settings = entry.settings;
        let case = match entry.kind {
            "class-weights" => class_weights(&mut settings),
            "oversample" => Case::Oversample { target: balance(&mut settings) },
            "smote" => Case::Smote(smote(&mut settings)),
            "tomek" => {
                let remove = removed(&mut settings, TomekRemove::Majority);
                Case::Tomek { remove, categories: categories(&mut settings) }
            }
            "smote-tomek" => {
                let smote = smote(&mut settings);
                Case::SmoteTomek { smote, remove: removed(&mut settings, TomekRemove::Both) }
            }
            _ => Case::Raw,
        };
        settings.finish();
        NamedCase { name: entry.name, case }
    });
    cases.collect()
}

/// No settings: balanced. `{ positive: 10 }`: ten for a fraud, one for the others.
fn class_weights(settings: &mut Section) -> Case {
    let weight = || number(Included(1e-6), Included(1e9));
    if !settings.has("positive") && !settings.has("negative") {
        settings.entry("positive");
        settings.entry("negative");
        return Case::ClassWeights(ClassWeights::Balanced);
    }
    let positive = settings.required("positive", "the weight of a positive row", weight());
    let negative = settings.value("negative", 1.0, weight());
    Case::ClassWeights(ClassWeights::Given { positive, negative })
}

fn smote(settings: &mut Section) -> SmoteConfig {
    let target = balance(settings);
    let k = settings.value("k", 5, whole(1..=1000));
    let categories = categories(settings);
    SmoteConfig { target, k, categories, too_few: settings.value("too_few", TooFew::Refuse, choice(&TOO_FEW, &[])) }
}

/// imbalanced-learn's usual: the majority's end after Tomek links alone, both ends after SMOTE.
fn removed(settings: &mut Section, usual: TomekRemove) -> TomekRemove {
    settings.value("tomek_remove", usual, choice(&REMOVED, &[]))
}

/// A penalty is for nominal categories alone.
fn categories(settings: &mut Section) -> Categories {
    let nominal = settings.value("categorical", false, choice(&[("numeric", false), ("nominal", true)], &[]));
    if nominal {
        return Categories::Nominal(settings.value("nominal_penalty", NominalPenalty::Full, choice(&PENALTIES, &[])));
    }
    if let Some(penalty) = settings.entry("nominal_penalty").filter(|penalty| !penalty.value.is_null()) {
        let refusal = Refusal::new("there is nothing to penalise where categories are numbers");
        let hint = "say `categorical: nominal`, or leave it out";
        settings.report.refuse(penalty.place, &settings.path("nominal_penalty"), refusal.hint(hint));
    }
    Categories::Numeric
}

/// One of two keys that mean different things; never both.
fn balance(settings: &mut Section) -> Balance {
    const SHARE: f64 = 0.4;
    if !settings.has("target_ratio") {
        settings.entry("target_ratio");
        return Balance::TargetShare(settings.value("target_share", SHARE, number(Excluded(0.0), Included(0.5))));
    }
    if let Some(share) =
        settings.entry("target_share").filter(|share| matches!(share.value.value, Value::Scalar { .. }))
    {
        let message = "there is a `target_ratio` too, expected one of them";
        let hint = "`target_share` is minority / all rows, `target_ratio` is minority / majority rows";
        settings.report.refuse(share.place, &settings.path("target_share"), Refusal::new(message).hint(hint));
    }
    Balance::TargetRatio(settings.value("target_ratio", 1.0, number(Excluded(0.0), Included(1.0))))
}

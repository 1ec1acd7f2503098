//! `--only random-forest,raw`: narrows the grid to the named models and the named cases.

use super::problem::{Place, did_you_mean, excerpt, one_of};
use super::section::Report;
use super::values::Refusal;
use crate::training::config::{Config, ModelConfig};

/// Keeps the named models, if a model is named, and the named cases, if a case is; the order stays that of the config.
pub(super) fn narrow(config: &mut Config, only: &[String], report: &Report) {
    let names: Vec<&str> = only.iter().flat_map(|list| list.split(',')).map(str::trim).collect();
    let known: Vec<&str> = config.models.iter().map(|model| model.name.as_str()).collect();
    let known: Vec<&str> = known.into_iter().chain(config.imbalance.iter().map(|case| case.name.as_str())).collect();
    for name in &names {
        if !known.contains(name) {
            let hint = did_you_mean(name, known.iter().copied());
            let hint = hint.unwrap_or_else(|| format!("known: {}", one_of(known.iter().copied())));
            let message = format!("no model or case is called `{}`", excerpt(name));
            report.refuse(Place::Only, "", Refusal::new(message).hint(hint));
        }
    }
    let named = |name: &str| names.contains(&name);
    if config.models.iter().any(|model| named(&model.name)) {
        config.models.retain(|model| named(&model.name));
        if config.models.iter().all(|model| matches!(model.model, ModelConfig::Logistic)) {
            let refusal = Refusal::new("only the baseline is left, which is never selected");
            report.refuse(Place::Only, "", refusal.hint("name a model beside `logistic`"));
        }
    }
    if config.imbalance.iter().any(|case| named(&case.name)) {
        config.imbalance.retain(|case| named(&case.name));
    }
}

//! The order in which declared features can be made: every input before what reads it.
//!
//! In: features in any order, the names of raw columns. Out: the same features ordered (by their depth, then as declared),
//! patterns resolved, and those that can't be made because a column of theirs is absent. Errors name a feature's place in
//! the config: an absent column, a cycle, a name that is taken, a text where numbers are needed.

use std::collections::BTreeMap;

use crate::scoring::features::Compute;
use crate::scoring::preprocessor::DroppedColumn;
use crate::scoring::schema::ColumnKind;
use crate::training::config::{FeatureConfig, Figure, Make, MissingColumns, named};
use crate::training::error::{Error, Result};
use crate::training::read::closest;

/// Features that read each other in a circle, by name, if there are any.
pub fn cycle(features: &[FeatureConfig]) -> Option<Vec<&str>> {
    let by_name: BTreeMap<&str, &FeatureConfig> =
        features.iter().map(|feature| (feature.name.as_str(), feature)).collect();
    let mut done: BTreeMap<&str, bool> = BTreeMap::new();
    fn visit<'f>(
        feature: &'f FeatureConfig,
        by_name: &BTreeMap<&'f str, &'f FeatureConfig>,
        done: &mut BTreeMap<&'f str, bool>,
        path: &mut Vec<&'f str>,
    ) -> Option<Vec<&'f str>> {
        if let Some(at) = path.iter().position(|name| *name == feature.name) {
            return Some(path[at..].to_vec());
        }
        if done.insert(&feature.name, true).is_some() {
            return None;
        }
        path.push(&feature.name);
        let inputs = feature.make.inputs().into_iter().filter_map(|name| by_name.get(name).copied());
        for input in inputs {
            if let Some(found) = visit(input, by_name, done, path) {
                return Some(found);
            }
        }
        path.pop();
        None
    }
    features.iter().find_map(|feature| visit(feature, &by_name, &mut done, &mut Vec::new()))
}

/// Features that can be made of these columns, in layers: each reads raw columns and earlier layers alone.
#[derive(Debug)]
pub struct Ordered {
    pub layers: Vec<Vec<FeatureConfig>>,
    pub left_out: Vec<DroppedColumn>,
}

/// `raw`: names and kinds of raw columns, in their order; no kind where it is not known yet.
pub fn order(
    features: &[FeatureConfig],
    raw: &[(&str, Option<ColumnKind>)],
    missing: MissingColumns,
) -> Result<Ordered> {
    if let Some(names) = cycle(features) {
        return Err(Error::permanent(format!("features read each other in a circle: {}", circle(&names))));
    }
    let mut known: BTreeMap<String, Option<ColumnKind>> =
        raw.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect();
    let mut waiting: Vec<FeatureConfig> = Vec::new();
    for feature in features {
        if known.contains_key(&feature.name) {
            let message = format!("{}: feature `{}` has the name of a column", feature.place.0, feature.name);
            return Err(Error::permanent(message).hint("give it another name"));
        }
        waiting.push(with_patterns_resolved(feature, raw, missing)?);
    }
    let mut ordered = Ordered { layers: Vec::new(), left_out: Vec::new() };
    while !waiting.is_empty() {
        let can_be_made =
            |feature: &FeatureConfig| feature.make.inputs().into_iter().all(|name| known.contains_key(name));
        let (layer, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(can_be_made);
        if layer.is_empty() {
            ordered.leave_out(rest, features, &known, missing)?;
            break;
        }
        layer.iter().try_for_each(|feature| check_kinds(feature, &known))?;
        let kind = |make: &Make| match make {
            Make::Plain(compute) => compute.kind(),
            Make::OfGroup { .. } => ColumnKind::Numeric,
        };
        known.extend(layer.iter().map(|feature| (feature.name.clone(), Some(kind(&feature.make)))));
        ordered.layers.push(layer);
        waiting = rest;
    }
    Ok(ordered)
}

/// `a -> b -> a`.
pub fn circle(names: &[&str]) -> String {
    let quoted = names.iter().chain(names.first()).map(|name| format!("`{name}`"));
    quoted.collect::<Vec<_>>().join(" -> ")
}

impl Ordered {
    fn leave_out(
        &mut self,
        rest: Vec<FeatureConfig>,
        features: &[FeatureConfig],
        known: &BTreeMap<String, Option<ColumnKind>>,
        missing: MissingColumns,
    ) -> Result<()> {
        let declared = |name: &str| features.iter().any(|feature| feature.name == name);
        for feature in &rest {
            let inputs = feature.make.inputs();
            let absent = inputs.iter().find(|name| !known.contains_key(**name) && !declared(name));
            if let Some(absent) = absent.filter(|_| missing == MissingColumns::Refuse) {
                return Err(unknown(feature, absent, known.keys().map(String::as_str)));
            }
            let name = inputs.iter().find(|name| !known.contains_key(**name)).copied().unwrap_or_default();
            let reason = format!("`{name}` is not in the data");
            self.left_out.push(DroppedColumn { name: feature.name.clone(), reason });
        }
        Ok(())
    }
}

fn unknown<'k>(feature: &FeatureConfig, name: &str, known: impl Iterator<Item = &'k str>) -> Error {
    let message = format!("{}: feature `{}` reads `{name}`, which is in no table", feature.place.0, feature.name);
    let near = closest(name, known).map(|near| format!("did you mean `{near}`?"));
    Error::permanent(message)
        .hint(near.unwrap_or_else(|| "name a column or a feature, or say `missing_columns: allow` in `data`".into()))
}

/// Only counts of missing cells know patterns.
fn with_patterns_resolved(
    feature: &FeatureConfig,
    raw: &[(&str, Option<ColumnKind>)],
    missing: MissingColumns,
) -> Result<FeatureConfig> {
    let Make::Plain(Compute::Missing { of }) = &feature.make else { return Ok(feature.clone()) };
    let names = || raw.iter().map(|(name, _)| *name);
    let unmatched =
        |pattern: &&String| pattern.contains('*') && named(std::slice::from_ref(*pattern), names()).is_empty();
    if let Some(pattern) = of.iter().find(unmatched).filter(|_| missing == MissingColumns::Refuse) {
        return Err(unknown(feature, pattern, names()));
    }
    // Names stay even if they are no raw columns: other features are meant.
    let (patterns, plain): (Vec<String>, Vec<String>) = of.iter().cloned().partition(|name| name.contains('*'));
    let mut resolved: Vec<String> = named(&patterns, names()).into_iter().map(String::from).collect();
    resolved.extend(plain.into_iter().filter(|name| !patterns.iter().any(|pattern| pattern == name)));
    resolved.dedup();
    let of = if resolved.is_empty() { of.clone() } else { resolved };
    Ok(FeatureConfig { make: Make::Plain(Compute::Missing { of }), ..feature.clone() })
}

fn check_kinds(feature: &FeatureConfig, known: &BTreeMap<String, Option<ColumnKind>>) -> Result<()> {
    let numbers: Vec<&str> = match &feature.make {
        Make::Plain(compute) if compute.needs_numbers() => compute.inputs(),
        Make::OfGroup { figure: Figure::Mean { of } | Figure::Std { of } | Figure::RatioToMean { of }, .. } => vec![of],
        _ => return Ok(()),
    };
    let wrong = numbers.into_iter().find(|name| known.get(*name) == Some(&Some(ColumnKind::Categorical)));
    wrong.map_or(Ok(()), |name| {
        let message = format!("{}: feature `{}` needs numbers, `{name}` holds text", feature.place.0, feature.name);
        Err(Error::permanent(message).hint(format!("declare `columns: {{ {name}: numeric }}` if it is meant so")))
    })
}

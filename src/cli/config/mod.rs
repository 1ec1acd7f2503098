//! YAML text -> the typed config: a tree with positions ([`yaml`]), overrides ([`overrides`]), then one pass that
//! collects all problems at once ([`check`] and a file per section).
//!
//! In: at most 1 MiB of text, `--set KEY=VALUE`s, `--only` names. Out: [`Loaded`], or every [`Problem`] in the order of
//! the file. Keys that exist in the format but are not built are refused with "not yet", never ignored.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use crate::training::config::{Config, ImputeNumeric, ModelConfig, NamedModel, Origins};

mod check;
mod data;
mod features;
mod imbalance;
mod kinds;
mod models;
mod only;
mod overrides;
mod policy;
mod preparation;
pub mod problem;
mod section;
pub mod show;
#[cfg(test)]
mod tests;
mod values;
mod yaml;

pub use problem::Problem;

use problem::Place;
use section::Report;
use values::Refusal;
use yaml::{Entry, Node, Value};

const LARGEST: u64 = 1 << 20;

/// A commented file to start from.
pub const STARTER: &str = include_str!("starter.yaml");

/// What may stand in a config, for editors: JSON Schema 2020-12. Rules between keys are the checks' alone.
pub const SCHEMA: &str = include_str!("schema.json");

/// A checked config, and where each of its values came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    pub config: Config,
    pub origins: Origins,
}

/// Reads and checks the config file at `path`.
pub fn load(path: &Path, sets: &[String], only: &[String]) -> Result<Loaded, Vec<Problem>> {
    let name = path.display().to_string();
    let refuse = |message: String, hint: Option<String>| {
        vec![Problem { source: name.clone(), line: None, column: None, key: None, message, hint }]
    };
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
    match read {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let hint = format!("`fraudml config init --out {name}` writes a commented one to start from");
            return Err(refuse("no such file".to_owned(), Some(hint)));
        }
        Err(error) => return Err(refuse(error.kind().to_string(), None)),
        Ok(_) if bytes.len() as u64 > LARGEST => {
            return Err(refuse("larger than 1 MiB, which no config is".to_owned(), None));
        }
        Ok(_) => {}
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes().iter().take(valid).filter(|&&byte| byte == b'\n').count();
        refuse(format!("line {line} is not UTF-8 text"), None)
    })?;
    parse(&text, &name, sets, only)
}

/// Checks the text of a config; `name` is what problems call it.
pub fn parse(text: &str, name: &str, sets: &[String], only: &[String]) -> Result<Loaded, Vec<Problem>> {
    let report = Report::default();
    let (root, faults) = yaml::parse(text.trim_start_matches('\u{feff}'), |line, column| Place::At { line, column });
    let unreadable = root.is_none() && !faults.is_empty();
    for fault in faults {
        report.refuse(fault.place, "", Refusal::new(fault.message));
    }
    if unreadable {
        return Err(report.problems(name, &[]));
    }
    let root = root.filter(|root| !root.is_null());
    let Some(mut root) = root.or_else(|| (!sets.is_empty()).then(|| Node::null(Place::File))) else {
        let refusal = Refusal::new("empty, expected a mapping with at least `name` and `data`");
        report.refuse(Place::File, "", refusal.hint("`fraudml config init` shows a commented one to start from"));
        return Err(report.problems(name, &[]));
    };
    add_defaults(&mut root);
    let keys = overrides::apply(&mut root, sets, &report);
    let mut config = check::config(&report, &root);
    // The baseline can't take missing values: where they are kept, it does not run.
    if config.preprocess.impute_numeric != ImputeNumeric::None {
        config.models.push(NamedModel { name: "logistic".into(), model: ModelConfig::Logistic });
    }
    only::narrow(&mut config, only, &report);
    // Where no case is left that it runs on, it is no part of the grid, nor of the run's name.
    let has_baseline = config.imbalance.iter().any(|case| case.case.has_baseline());
    config.models.retain(|model| has_baseline || model.model != ModelConfig::Logistic);
    check::grid(&report, &config);
    for feature in &mut config.features {
        feature.place.0 = format!("`{name}`, {}", feature.place.0);
    }
    let problems = report.problems(name, &keys);
    if problems.is_empty() { Ok(Loaded { config, origins: report.origins() }) } else { Err(problems) }
}

/// Puts the default lists where the file has none, so that an override can change one entry of them.
fn add_defaults(root: &mut Node) {
    if root.is_null() {
        root.value = Value::Map(Vec::new());
    }
    let (defaults, _) = yaml::parse(kinds::DEFAULTS, |_, _| Place::Default);
    let (Value::Map(entries), Some(Node { value: Value::Map(defaults), .. })) = (&mut root.value, defaults) else {
        return;
    };
    for default in defaults {
        match entries.iter_mut().find(|entry| entry.key == default.key) {
            Some(entry) if entry.value.is_null() => *entry = Entry { place: entry.place, ..default },
            Some(_) => {}
            None => entries.push(default),
        }
    }
}

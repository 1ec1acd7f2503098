//! A mapping of the config while it is checked, and the report that gathers what is found.
//!
//! A [`Section`] is asked for its keys one by one; whatever it was not asked for is an unknown key. A refused value
//! becomes the default, so that checking goes on: the resulting config is only used when the report is empty.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::problem::{Place, Problem, did_you_mean, excerpt, one_of};
use super::values::{Read, Refusal, found};
use super::yaml::{Entry, Node, Value};
use crate::training::config::Origins;

/// All findings so far, and where each resolved value stands.
#[derive(Default)]
pub(super) struct Report {
    findings: RefCell<Vec<(Place, String, Refusal)>>,
    places: RefCell<BTreeMap<String, Place>>,
}

impl Report {
    pub fn refuse(&self, place: Place, key: &str, refusal: Refusal) {
        self.findings.borrow_mut().push((refusal.place.unwrap_or(place), key.to_owned(), refusal));
    }

    /// Refuses the value of a resolved key, for rules that span several keys.
    pub fn refuse_key(&self, key: &str, refusal: Refusal) {
        let place = self.places.borrow().get(key).copied().unwrap_or(Place::File);
        self.refuse(place, key, refusal);
    }

    pub fn resolve(&self, key: String, place: Place) {
        self.places.borrow_mut().insert(key, place);
    }

    /// The problems in the order of the file, then of the command line; `set_keys` are the keys of the `--set`s.
    pub fn problems(&self, file: &str, set_keys: &[String]) -> Vec<Problem> {
        let mut findings = self.findings.take();
        findings.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        findings.dedup();
        let problem = |(place, key, refusal): (Place, String, Refusal)| {
            let (source, at) = match place {
                Place::Default | Place::File => (file.to_owned(), None),
                Place::At { line, column } => (file.to_owned(), Some((line, column))),
                Place::Set(nth) => (format!("--set {}", set_keys.get(nth).map_or("", String::as_str)), None),
                Place::Only => ("--only".to_owned(), None),
            };
            Problem {
                source,
                line: at.map(|(line, _)| line),
                column: at.map(|(_, column)| column),
                key: Some(key).filter(|key| !key.is_empty()),
                message: refusal.message,
                hint: refusal.hint,
            }
        };
        findings.into_iter().map(problem).collect()
    }

    pub fn origins(&self) -> Origins {
        let origin = |place: &Place| match place {
            Place::At { line, .. } => format!("file:{line}"),
            Place::Set(_) => "--set".to_owned(),
            Place::Default | Place::File | Place::Only => "default".to_owned(),
        };
        self.places.borrow().iter().map(|(key, place)| (key.clone(), origin(place))).collect()
    }
}

/// One mapping: its keys in the file, and the keys that were asked for.
pub(super) struct Section<'t> {
    pub report: &'t Report,
    /// Dotted key in the file; empty for the root.
    key: String,
    /// Dotted key by names (`imbalance.smote-tomek`, where `key` has `imbalance.3.smote-tomek`).
    origin: String,
    place: Place,
    entries: &'t [Entry],
    /// Refused as a whole: then nothing in it is called missing.
    refused: bool,
    asked: Vec<&'static str>,
}

impl<'t> Section<'t> {
    pub fn root(report: &'t Report, node: &'t Node) -> Section<'t> {
        Section::of(report, String::new(), String::new(), Place::File, Some(node))
    }

    /// The section that `node` holds; anything but a mapping or null is refused, and read as an empty one.
    pub fn of(report: &'t Report, key: String, origin: String, place: Place, node: Option<&'t Node>) -> Section<'t> {
        let mut refused = false;
        let entries = match node.map(|node| (node, &node.value)) {
            Some((_, Value::Map(entries))) => entries.as_slice(),
            Some((node, _)) if !node.is_null() => {
                report.refuse(node.place, &key, Refusal::expected("a mapping", node));
                refused = true;
                &[]
            }
            _ => &[],
        };
        Section { report, key, origin, place, entries, refused, asked: Vec::new() }
    }

    /// The dotted key of `key` in the file.
    pub fn path(&self, key: &str) -> String {
        dotted(&self.key, key)
    }

    /// What stands at `key`, if anything does.
    pub fn entry(&mut self, key: &'static str) -> Option<&'t Entry> {
        if self.asked.last() != Some(&key) {
            self.asked.push(key);
        }
        self.entries.iter().find(|entry| entry.key == key)
    }

    pub fn section(&mut self, key: &'static str) -> Section<'t> {
        let entry = self.entry(key);
        let place = entry.map_or(self.place, |entry| entry.place);
        let node = entry.map(|entry| &entry.value);
        let mut section = Section::of(self.report, self.path(key), dotted(&self.origin, key), place, node);
        section.refused |= self.refused;
        section
    }

    pub fn refuse_missing(&self, key: &str, what: &str) {
        if !self.refused {
            self.report.refuse(self.place, &self.path(key), Refusal::new(format!("missing, expected {what}")));
        }
    }

    /// Every entry, for sections whose keys are the user's own.
    pub fn entries(&self) -> &'t [Entry] {
        self.entries
    }

    pub fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    pub fn resolve(&self, key: &str, place: Place) {
        self.report.resolve(dotted(&self.origin, key), place);
    }

    /// Refuses the value of `key`, for rules that span several keys of this section.
    pub fn refuse(&self, key: &str, refusal: Refusal) {
        let entry = self.entries.iter().find(|entry| entry.key == key);
        self.report.refuse(entry.map_or(self.place, |entry| entry.value.place), &self.path(key), refusal);
    }

    /// The value of `key`, or its default.
    pub fn value<T>(&mut self, key: &'static str, default: T, read: impl FnOnce(&Node) -> Read<T>) -> T {
        let entry = self.entry(key);
        self.resolve(key, entry.map_or(Place::Default, |entry| entry.value.place));
        match entry.map(|entry| (entry.value.place, read(&entry.value))) {
            None => default,
            Some((_, Ok(value))) => value,
            Some((place, Err(refusal))) => {
                self.report.refuse(place, &self.path(key), refusal);
                default
            }
        }
    }

    /// The value of a key that must be there; `what` says in words what it is.
    pub fn required<T: Default>(&mut self, key: &'static str, what: &str, read: impl FnOnce(&Node) -> Read<T>) -> T {
        if !self.has(key) {
            self.refuse_missing(key, what);
        }
        self.value(key, T::default(), read)
    }

    /// A key that exists, but of which only `built` works in this version.
    pub fn only(&mut self, key: &'static str, built: &'static str) {
        let Some(entry) = self.entry(key) else { return };
        let node = &entry.value;
        let same = match (&node.value, built) {
            (Value::Scalar { .. }, _) if node.is_null() => true,
            (Value::Scalar { text, .. }, built) => text == built,
            (Value::List(items), "[]") => items.is_empty(),
            _ => false,
        };
        if !same {
            let message = match built {
                "null" | "[]" => "not yet: this version does not know it".to_owned(),
                built => format!("not yet: this version knows only `{built}`, found {}", found(node)),
            };
            self.report.refuse(node.place, &self.path(key), Refusal::new(message));
        }
    }

    /// Refuses every key that nobody asked for.
    pub fn finish(self) {
        for entry in self.entries.iter().filter(|entry| !self.asked.contains(&entry.key.as_str())) {
            let known = self.asked.iter().copied();
            let hint = did_you_mean(&entry.key, known.clone()).unwrap_or_else(|| format!("known: {}", one_of(known)));
            self.report.refuse(entry.place, &self.path(&excerpt(&entry.key)), Refusal::new("unknown key").hint(hint));
        }
    }
}

fn dotted(parent: &str, key: &str) -> String {
    if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") }
}

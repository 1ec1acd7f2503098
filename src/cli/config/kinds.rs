//! The lists of kinds, `imbalance` and `models`: which kinds stand there, with which settings, under which names.
//!
//! An entry is a word (`raw`) or a mapping of one kind to its settings (`oversample: { target_share: 0.3 }`); `models`
//! may also be one mapping of kinds. The name is the kind, unless `name:` says otherwise. Out: unique names.

use std::collections::BTreeSet;

use super::check::name;
use super::problem::{Place, did_you_mean, one_of};
use super::section::Section;
use super::values::Refusal;
use super::yaml::{Node, Value};

/// The defaults of both lists, put into the tree where the file leaves them out: `--set` can then change one entry.
pub(super) const DEFAULTS: &str = "imbalance: [raw, class-weights, oversample, smote-tomek]
models: { random-forest: null, extra-trees: null, mlp: null }";

/// The words of one list.
pub(super) struct Vocabulary {
    /// What an entry is, for messages.
    pub noun: &'static str,
    pub built: &'static [&'static str],
    pub later: &'static [&'static str],
    /// Not to be listed, and why.
    pub reserved: &'static [(&'static str, &'static str)],
}

/// One entry: its kind, its name, its settings.
pub(super) struct Entry<'t> {
    pub kind: &'static str,
    pub name: String,
    pub settings: Section<'t>,
}

/// The entries below `key`, in the order of the config.
pub(super) fn entries<'t>(parent: &mut Section<'t>, key: &'static str, words: &Vocabulary) -> Vec<Entry<'t>> {
    let Some(list) = parent.entry(key) else { return Vec::new() };
    let (report, key) = (parent.report, parent.path(key));
    let written: Vec<Written> = match &list.value.value {
        Value::List(items) => {
            let item = |(nth, node)| Written::item(parent, format!("{key}.{nth}"), node, words);
            items.iter().enumerate().filter_map(item).collect()
        }
        Value::Map(entries) => {
            let entry = |entry: &'t super::yaml::Entry| Written {
                kind: &entry.key,
                path: format!("{key}.{}", entry.key),
                place: entry.place,
                settings: Some(&entry.value),
            };
            entries.iter().map(entry).collect()
        }
        _ => {
            report.refuse(
                list.value.place,
                &key,
                Refusal::expected(&format!("a list of {}s", words.noun), &list.value),
            );
            return Vec::new();
        }
    };
    if list.value.is_empty() {
        let message = format!("expected at least one {}, found none", words.noun);
        report.refuse(list.value.place, &key, Refusal::new(message));
    }
    let mut taken = BTreeSet::new();
    written.into_iter().filter_map(|entry| entry.named(parent, &key, words, &mut taken)).collect()
}

/// An entry as it stands in the file.
struct Written<'t> {
    kind: &'t str,
    path: String,
    place: Place,
    settings: Option<&'t Node>,
}

impl<'t> Written<'t> {
    fn item(parent: &Section, path: String, node: &'t Node, words: &Vocabulary) -> Option<Written<'t>> {
        match &node.value {
            Value::Scalar { text, .. } if !node.is_null() => {
                Some(Written { kind: text, path, place: node.place, settings: None })
            }
            Value::Map(entries) if entries.len() == 1 => entries.first().map(|entry| Written {
                kind: &entry.key,
                path: format!("{path}.{}", entry.key),
                place: entry.place,
                settings: Some(&entry.value),
            }),
            _ => {
                let first = words.built.first().copied().unwrap_or_default();
                let refusal = Refusal::expected(&format!("one {}, a word or a mapping with one key", words.noun), node);
                let hint = format!("settings and `name:` stand below it: `- {first}: {{ name: .. }}`");
                parent.report.refuse(node.place, &path, refusal.hint(hint));
                None
            }
        }
    }

    fn named(
        self,
        parent: &Section<'t>,
        list: &str,
        words: &Vocabulary,
        taken: &mut BTreeSet<String>,
    ) -> Option<Entry<'t>> {
        let refuse = |refusal| parent.report.refuse(self.place, &self.path, refusal);
        let Some(kind) = words.built.iter().copied().find(|kind| *kind == self.kind) else {
            refuse(unknown(self.kind, words));
            return None;
        };
        // The name is read first: it is part of the origins' keys. The checking proper reads it once more.
        let given = self.settings.and_then(|node| match &node.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == "name"),
            _ => None,
        });
        let entry_name = given.and_then(|entry| name(&entry.value).ok()).unwrap_or_else(|| kind.to_owned());
        let other_kind = entry_name != kind && words.is_word(&entry_name);
        let twice = !taken.insert(entry_name.clone());
        if other_kind {
            refuse(Refusal::new(format!("the name `{entry_name}` is another {}'s", words.noun)));
        } else if twice && given.is_some() {
            refuse(Refusal::new(format!("the name `{entry_name}` is there twice")));
        } else if twice {
            let hint = "give it one: `name: ..`";
            refuse(Refusal::new(format!("a second `{kind}` needs a name of its own")).hint(hint));
        }
        let origin = format!("{list}.{entry_name}");
        parent.report.resolve(origin.clone(), self.place);
        let mut settings = Section::of(parent.report, self.path, origin, self.place, self.settings);
        settings.value("name", entry_name.clone(), name);
        Some(Entry { kind, name: entry_name, settings })
    }
}

impl Vocabulary {
    fn is_word(&self, word: &str) -> bool {
        let reserved = self.reserved.iter().map(|(word, _)| word);
        self.built.iter().chain(self.later).chain(reserved).any(|known| *known == word)
    }
}

fn unknown(word: &str, words: &Vocabulary) -> Refusal {
    if let Some((_, why)) = words.reserved.iter().find(|(reserved, _)| *reserved == word) {
        return Refusal::new(*why);
    }
    let built = one_of(words.built.iter().copied());
    if words.later.contains(&word) {
        return Refusal::new(format!("not yet: this version knows only {built}"));
    }
    let hint = did_you_mean(word, words.built.iter().copied()).unwrap_or_else(|| format!("known: {built}"));
    Refusal::new(format!("unknown {}", words.noun)).hint(hint)
}

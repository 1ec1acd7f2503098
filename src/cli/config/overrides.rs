//! `--set KEY=VALUE`: puts a value into the tree before it is checked, so that it is checked like one of the file.
//!
//! Steps of the key are separated by dots; below a list a step is an index or the name of an entry
//! (`imbalance.3.smote-tomek.k` is `imbalance.smote-tomek.k`). What is not there yet is made.

use super::problem::Place;
use super::section::Report;
use super::values::{Read, Refusal, found};
use super::yaml::{Entry, Node, Value, parse};

/// Applies the overrides in order; returns their keys, by which problems name them.
pub(super) fn apply(root: &mut Node, sets: &[String], report: &Report) -> Vec<String> {
    let mut keys = Vec::new();
    for (nth, set) in sets.iter().enumerate() {
        let place = Place::Set(nth);
        let (key, text) = set.split_once('=').unwrap_or((set, ""));
        keys.push(key.trim().to_owned());
        let key = key.trim();
        if key.is_empty() || !set.contains('=') {
            let refusal = Refusal::new(format!("expected `KEY=VALUE`, found `{set}`"));
            report.refuse(place, key, refusal.hint("for example `--set models.mlp.epochs=10`"));
            continue;
        }
        let (value, faults) = parse(text, |_, _| place);
        for fault in &faults {
            report.refuse(place, key, Refusal::new(fault.message.clone()));
        }
        if !faults.is_empty() {
            continue;
        }
        let steps: Vec<&str> = key.split('.').collect();
        if let Err(refusal) = put(root, "", &steps, value.unwrap_or(Node::null(place)), place) {
            report.refuse(place, key, refusal);
        }
    }
    keys
}

/// Puts `value` below `node`, which stands at the dotted key `at`.
fn put(node: &mut Node, at: &str, steps: &[&str], value: Node, place: Place) -> Read<()> {
    let Some((&step, rest)) = steps.split_first() else {
        *node = value;
        return Ok(());
    };
    if step.is_empty() {
        return Err(Refusal::new("expected a key between the dots, found nothing"));
    }
    let below = if at.is_empty() { step.to_owned() } else { format!("{at}.{step}") };
    open(node, at, step, place);
    match &mut node.value {
        Value::Map(entries) => {
            let found = entries.iter().position(|entry| entry.key == step);
            let nth = found.unwrap_or_else(|| {
                entries.push(Entry { key: step.to_owned(), place, value: Node::null(place) });
                entries.len() - 1
            });
            entries.get_mut(nth).map_or(Ok(()), |entry| put(&mut entry.value, &below, rest, value, place))
        }
        Value::List(items) => {
            let n_items = items.len();
            let refusal = || {
                let known =
                    if n_items == 0 { "an empty list".to_owned() } else { format!("an index from 0 to {n_items}") };
                Refusal::new(format!("`{at}` is a list: expected {known} or the name of an entry, found `{step}`"))
            };
            if let Ok(nth) = step.parse::<usize>() {
                if nth == n_items {
                    items.push(Node::null(place));
                }
                return items.get_mut(nth).ok_or_else(refusal).and_then(|item| put(item, &below, rest, value, place));
            }
            let (item, kind) =
                items.iter_mut().find_map(|item| kind_of(item, step).map(|kind| (item, kind))).ok_or_else(refusal)?;
            let steps: Vec<&str> = [kind.as_str()].into_iter().chain(rest.iter().copied()).collect();
            put(item, at, &steps, value, place)
        }
        Value::Scalar { .. } => Err(Refusal::new(format!("`{at}` is {}, it has no keys", found(node)))),
    }
}

/// Makes a mapping of what is short for one: nothing, a bare kind in a list, the target as a bare column.
fn open(node: &mut Node, at: &str, step: &str, place: Place) {
    let Value::Scalar { text, .. } = &node.value else { return };
    let inner = match text {
        _ if node.is_null() => None,
        _ if at == "data.target" => Some("column"),
        text if text == step => Some(step),
        _ => return,
    };
    let entries = inner.map(|key| {
        let value = if key == "column" { node.clone() } else { Node::null(node.place) };
        Entry { key: key.to_owned(), place: node.place, value }
    });
    // Without an entry of its own, the mapping is there because of this override.
    let place = if entries.is_some() { node.place } else { place };
    *node = Node { place, value: Value::Map(entries.into_iter().collect()) };
}

/// The kind of a list entry that goes by `name`.
fn kind_of(item: &Node, name: &str) -> Option<String> {
    match &item.value {
        Value::Scalar { text, .. } => Some(text.clone()).filter(|kind| kind == name),
        Value::List(_) => None,
        Value::Map(entries) => {
            let entry = entries.first()?;
            let given = match &entry.value.value {
                Value::Map(settings) => settings.iter().find(|setting| setting.key == "name"),
                _ => None,
            };
            let known = given.and_then(|setting| setting.value.plain()).unwrap_or(&entry.key);
            Some(entry.key.clone()).filter(|_| known == name)
        }
    }
}

//! Readers of single values: a node becomes a number, a flag, a word or a text, or is refused in words.
//!
//! Types are strict: a quoted `"10"` is text, `yes` is not a flag, `1.0` is not a whole number.

use std::ops::{Bound, RangeBounds, RangeInclusive};

use super::problem::{Place, did_you_mean, excerpt, one_of};
use super::yaml::{Node, Value};
use crate::scoring::record::parse_number;

/// Why a value is refused; `place` where it is not the value's own.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    pub place: Option<Place>,
    pub message: String,
    pub hint: Option<String>,
}

pub(super) type Read<T> = Result<T, Refusal>;

impl Refusal {
    pub fn new(message: impl Into<String>) -> Refusal {
        Refusal { place: None, message: message.into(), hint: None }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Refusal {
        self.hint = Some(hint.into());
        self
    }

    pub fn expected(what: &str, node: &Node) -> Refusal {
        Refusal::new(format!("expected {what}, found {}", found(node)))
    }

    fn expected_number(what: &str, node: &Node) -> Refusal {
        let refusal = Refusal::expected(what, node);
        match &node.value {
            Value::Scalar { text, plain: false } if parse_number(text).is_some() => {
                refusal.hint("take the quotes away")
            }
            _ => refusal,
        }
    }
}

/// What a node is, for a message.
pub(super) fn found(node: &Node) -> String {
    match &node.value {
        _ if node.is_null() => "nothing".to_owned(),
        Value::Scalar { text, plain: true } => format!("`{}`", excerpt(text)),
        Value::Scalar { text, plain: false } => format!("`\"{}\"`", excerpt(text)),
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a mapping".to_owned(),
    }
}

/// A whole number within `range`.
pub(super) fn whole<T: TryFrom<u64>>(range: RangeInclusive<u64>) -> impl Fn(&Node) -> Read<T> {
    move |node| {
        let digits = node.plain().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let number = digits.and_then(|text| text.parse().ok()).filter(|number| range.contains(number));
        number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| {
            let what = match (range.start(), range.end()) {
                (low, &u64::MAX) => format!("a whole number of at least {low}"),
                (low, high) => format!("a whole number from {low} to {high}"),
            };
            Refusal::expected_number(&what, node)
        })
    }
}

/// A number within bounds.
pub(super) fn number(low: Bound<f64>, high: Bound<f64>) -> impl Fn(&Node) -> Read<f64> {
    move |node| {
        let number = node.plain().and_then(parse_number).filter(|number| (low, high).contains(number));
        number.ok_or_else(|| Refusal::expected_number(&in_words(low, high), node))
    }
}

fn in_words(low: Bound<f64>, high: Bound<f64>) -> String {
    let low = match low {
        Bound::Included(low) => Some(format!("of at least {low}")),
        Bound::Excluded(low) => Some(format!("above {low}")),
        Bound::Unbounded => None,
    };
    let high = match high {
        Bound::Included(high) => Some(format!("at most {high}")),
        Bound::Excluded(high) => Some(format!("below {high}")),
        Bound::Unbounded => None,
    };
    match (low, high) {
        (Some(low), Some(high)) => format!("a number {low} and {high}"),
        (low, high) => format!("a number {}", low.or(high).unwrap_or_default()),
    }
}

pub(super) fn flag(node: &Node) -> Read<bool> {
    match node.plain() {
        Some("true" | "True" | "TRUE") => Ok(true),
        Some("false" | "False" | "FALSE") => Ok(false),
        _ => Err(Refusal::expected("`true` or `false`", node)),
    }
}

/// Text that is not empty: quoted, or plain and neither a number, a flag nor null.
pub(super) fn text(what: &'static str) -> impl Fn(&Node) -> Read<String> {
    move |node| match &node.value {
        Value::Scalar { text, plain: false } if !text.is_empty() => Ok(text.clone()),
        Value::Scalar { text, plain: true }
            if !node.is_null() && parse_number(text).is_none() && flag(node).is_err() =>
        {
            Ok(text.clone())
        }
        Value::Scalar { plain: true, .. } if !node.is_null() => {
            Err(Refusal::expected(what, node).hint("put it in quotes if it is meant as text"))
        }
        _ => Err(Refusal::expected(what, node)),
    }
}

/// One of the words of `built`; the words of `later` are known, but not built.
pub(super) fn choice<T: Copy>(built: &[(&'static str, T)], later: &[&'static str]) -> impl Fn(&Node) -> Read<T> {
    move |node| {
        let words = || built.iter().map(|&(word, _)| word);
        let Value::Scalar { text, .. } = &node.value else {
            return Err(Refusal::expected(&one_of(words()), node));
        };
        if let Some((_, value)) = built.iter().find(|(word, _)| word == text) {
            return Ok(*value);
        }
        if later.contains(&text.as_str()) {
            return Err(not_yet(&one_of(words()), node));
        }
        let mut refusal = Refusal::expected(&one_of(words()), node);
        refusal.hint = did_you_mean(text, words());
        Err(refusal)
    }
}

/// Known, but not built; `built` says what is.
pub(super) fn not_yet(built: &str, node: &Node) -> Refusal {
    Refusal::new(format!("not yet: this version knows only {built}, found {}", found(node)))
}

/// `None` for null.
pub(super) fn nullable<T>(read: impl Fn(&Node) -> Read<T>) -> impl Fn(&Node) -> Read<Option<T>> {
    move |node| if node.is_null() { Ok(None) } else { read(node).map(Some) }
}

/// A list of at least one and at most `most` values; an item is refused at its own place.
pub(super) fn list<T>(what: &str, most: usize, read: impl Fn(&Node) -> Read<T>) -> impl Fn(&Node) -> Read<Vec<T>> {
    move |node| match &node.value {
        Value::List(items) if !items.is_empty() && items.len() <= most => items
            .iter()
            .map(|item| read(item).map_err(|refusal| Refusal { place: refusal.place.or(Some(item.place)), ..refusal }))
            .collect(),
        Value::List(items) => {
            Err(Refusal::new(format!("expected {what} of 1 to {most} entries, found {}", items.len())))
        }
        _ => Err(Refusal::expected(what, node)),
    }
}

//! YAML text -> a tree of nodes that know where they stand. In: at most 1 MiB; nesting at most 32 deep.
//!
//! Duplicate keys are found, and reading goes on with the first. Anchors, aliases, tags, further documents and keys
//! that are not text are refused: a config needs none of them.

use std::collections::BTreeSet;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, StrInput};

use super::problem::{Place, excerpt};

const DEEPEST: usize = 32;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub place: Place,
    pub value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// `plain`: written without quotes, so that it may be a number, a flag or null.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub key: String,
    pub place: Place,
    pub value: Node,
}

impl Node {
    pub fn null(place: Place) -> Node {
        Node { place, value: Value::Scalar { text: String::new(), plain: true } }
    }

    /// The text of a value without quotes.
    pub fn plain(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, plain: true } => Some(text),
            _ => None,
        }
    }

    /// A list or mapping without entries.
    pub fn is_empty(&self) -> bool {
        match &self.value {
            Value::Scalar { .. } => false,
            Value::List(items) => items.is_empty(),
            Value::Map(entries) => entries.is_empty(),
        }
    }

    pub fn is_null(&self) -> bool {
        self.plain().is_some_and(|text| matches!(text, "" | "~" | "null" | "Null" | "NULL"))
    }
}

/// What makes a text no config tree.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fault {
    pub place: Place,
    pub message: String,
}

/// The tree of the only document (`None`: there is none, or it can't be read), and what is wrong with the text.
pub(super) fn parse(text: &str, place: impl Fn(usize, usize) -> Place) -> (Option<Node>, Vec<Fault>) {
    let mut reader = Reader { events: Parser::new_from_str(text), place, duplicates: Vec::new() };
    match reader.document() {
        Ok(root) => (root, reader.duplicates),
        Err(fault) => {
            let mut faults = reader.duplicates;
            faults.push(fault);
            (None, faults)
        }
    }
}

struct Reader<'t, P> {
    events: Parser<'t, StrInput<'t>>,
    place: P,
    duplicates: Vec<Fault>,
}

type Read<T> = Result<T, Fault>;

impl<'t, P: Fn(usize, usize) -> Place> Reader<'t, P> {
    fn at(&self, marker: &Marker) -> Place {
        (self.place)(marker.line(), marker.col() + 1)
    }

    fn next(&mut self) -> Read<(Event<'t>, Place)> {
        match self.events.next_event() {
            Some(Ok((event, span))) => Ok((event, self.at(&span.start))),
            Some(Err(error)) => {
                let message = format!("not valid YAML: {}", error.info());
                Err(Fault { place: self.at(error.marker()), message })
            }
            None => Ok((Event::StreamEnd, Place::File)),
        }
    }

    fn document(&mut self) -> Read<Option<Node>> {
        let mut root = None;
        loop {
            let (event, place) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(root),
                Event::DocumentStart(_) if root.is_some() => {
                    return Err(fault(place, "a second document, expected one"));
                }
                Event::DocumentStart(_) => {
                    let (event, place) = self.next()?;
                    root = Some(self.node(event, place, 0)?);
                }
                _ => {}
            }
        }
    }

    fn node(&mut self, event: Event<'t>, place: Place, depth: usize) -> Read<Node> {
        if depth > DEEPEST {
            return Err(fault(place, &format!("nested deeper than {DEEPEST}")));
        }
        let (anchor, tag) = match &event {
            Event::Alias(_) => return Err(fault(place, "an alias, which configs do not have")),
            Event::Scalar(_, _, anchor, tag) => (*anchor, tag.is_some()),
            Event::SequenceStart(anchor, tag) | Event::MappingStart(anchor, tag) => (*anchor, tag.is_some()),
            _ => return Err(fault(place, "not valid YAML: expected a value")),
        };
        if anchor != 0 {
            return Err(fault(place, "an anchor, which configs do not have"));
        }
        if tag {
            return Err(fault(place, "a tag, which configs do not have"));
        }
        let value = match event {
            Event::Scalar(text, style, ..) => {
                Value::Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain }
            }
            Event::SequenceStart(..) => self.list(depth)?,
            _ => self.map(depth)?,
        };
        Ok(Node { place, value })
    }

    fn list(&mut self, depth: usize) -> Read<Value> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::List(items)),
                (event, place) => items.push(self.node(event, place, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Read<Value> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut keys = BTreeSet::new();
        loop {
            let (event, place) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(Value::Map(entries));
            }
            let Value::Scalar { text: key, .. } = self.node(event, place, depth + 1)?.value else {
                return Err(fault(place, "expected a key, found a list or a mapping"));
            };
            let (event, value_place) = self.next()?;
            let value = self.node(event, value_place, depth + 1)?;
            if keys.insert(key.clone()) {
                entries.push(Entry { key, place, value });
            } else {
                self.duplicates.push(fault(place, &format!("the key `{}` is there twice", excerpt(&key))));
            }
        }
    }
}

fn fault(place: Place, message: &str) -> Fault {
    Fault { place, message: message.to_owned() }
}

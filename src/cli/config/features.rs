//! The list `features`: derived columns, each a mapping of its `name`, one kind, and the settings of the kind.
//!
//! Refused here: a name twice, what is no column of the data (target, id), a cycle, a target encoding without folds. What
//! needs the files (absent columns, texts where numbers are needed) is refused when they are opened, with the place that is
//! kept with each feature.

use std::ops::Bound::{Included, Unbounded};

use super::problem::{Place, did_you_mean, excerpt, one_of};
use super::section::{Report, Section};
use super::values::{Read, Refusal, flag, list, nullable, number, text, whole};
use super::yaml::{Node, Value};
use crate::scoring::features::{Compute, NumberFunction, Operand, Operator, TextFunction};
use crate::scoring::record::parse_number;
use crate::training::config::{ConfigPlace, DataConfig, FeatureConfig, Figure, Make};
use crate::training::fit::features::order::{circle, cycle};

pub(super) const OPERATORS: [(&str, Operator); 7] = [
    ("sum", Operator::Sum),
    ("difference", Operator::Difference),
    ("product", Operator::Product),
    ("ratio", Operator::Ratio),
    ("less", Operator::Less),
    ("greater", Operator::Greater),
    ("equal", Operator::Equal),
];
pub(super) const NUMBERS: [(&str, NumberFunction); 6] = [
    ("log", NumberFunction::Log),
    ("log1p", NumberFunction::Log1p),
    ("decimals", NumberFunction::Decimals),
    ("hour", NumberFunction::Hour),
    ("weekday", NumberFunction::Weekday),
    ("day", NumberFunction::Day),
];
pub(super) const TEXTS: [(&str, TextFunction); 10] = [
    ("email_provider", TextFunction::EmailProvider),
    ("email_suffix", TextFunction::EmailSuffix),
    ("device", TextFunction::Device),
    ("device_version", TextFunction::DeviceVersion),
    ("os", TextFunction::Os),
    ("os_version", TextFunction::OsVersion),
    ("browser", TextFunction::Browser),
    ("browser_version", TextFunction::BrowserVersion),
    ("screen_width", TextFunction::ScreenWidth),
    ("screen_height", TextFunction::ScreenHeight),
];
const OTHERS: [&str; 10] =
    ["first_use", "concat", "missing", "ordinal", "frequency", "count", "mean", "std", "ratio_to_mean", "target"];

const MOST: usize = 1000;
const MOST_COLUMNS: usize = 1000;

fn kinds() -> impl Iterator<Item = &'static str> {
    let names = OPERATORS.iter().map(|(name, _)| *name).chain(NUMBERS.iter().map(|(name, _)| *name));
    names.chain(TEXTS.iter().map(|(name, _)| *name)).chain(OTHERS)
}

pub(super) fn check(root: &mut Section, data: &DataConfig) -> Vec<FeatureConfig> {
    let Some(entry) = root.entry("features").filter(|entry| !entry.value.is_null()) else { return Vec::new() };
    let report = root.report;
    let Value::List(items) = &entry.value.value else {
        report.refuse(entry.value.place, "features", Refusal::expected("a list of features", &entry.value));
        return Vec::new();
    };
    if items.len() > MOST {
        let message = format!("expected at most {MOST} features, found {}", items.len());
        report.refuse(entry.value.place, "features", Refusal::new(message));
        return Vec::new();
    }
    let item = |(nth, node): (usize, &Node)| {
        let key = format!("features.{nth}");
        let feature = feature(Section::of(report, key.clone(), key.clone(), node.place, Some(node)), node.place, data)?;
        refuse_what_is_no_column(report, &feature, &key, node.place, data);
        Some((feature, key, node.place))
    };
    let features: Vec<(FeatureConfig, String, Place)> = items.iter().enumerate().filter_map(item).collect();
    for (at, (feature, key, place)) in features.iter().enumerate() {
        if features[..at].iter().any(|(other, ..)| other.name == feature.name) {
            report.refuse(*place, key, Refusal::new(format!("a feature `{}` is there already", feature.name)));
        }
    }
    let (configs, places): (Vec<FeatureConfig>, Vec<(String, Place)>) =
        features.into_iter().map(|(feature, key, place)| (feature, (key, place))).unzip();
    if let Some(names) = cycle(&configs) {
        let first = configs.iter().position(|feature| feature.name == names[0]).unwrap_or_default();
        let refusal = Refusal::new(format!("features read each other in a circle: {}", circle(&names)));
        let (key, place) = &places[first];
        report.refuse(*place, key, refusal.hint("a feature is made of columns, or of features that do not need it"));
    }
    configs
}

fn refuse_what_is_no_column(report: &Report, feature: &FeatureConfig, key: &str, place: Place, data: &DataConfig) {
    for name in feature.make.inputs() {
        let refusal = if name == data.target.column {
            let message = format!("`{name}` is the target: a feature made of it would tell what is to be found out");
            Refusal::new(message).hint("`target: <column>` encodes a column by the target, out of fold")
        } else if data.id.as_deref() == Some(name) {
            Refusal::new(format!("`{name}` is the id: it is different in every row, and tells nothing of others"))
                .hint("group by something that comes back, such as a card")
        } else {
            continue;
        };
        report.refuse(place, key, refusal);
    }
}

fn feature(mut section: Section, place: Place, data: &DataConfig) -> Option<FeatureConfig> {
    let name = section.required("name", "the name of the derived column", name);
    let written: Vec<&'static str> = kinds().filter(|kind| section.has(kind)).collect();
    let kind = match written[..] {
        [kind] => kind,
        [] => {
            let known: Vec<&str> = ["name", "by", "unseen", "min_rows", "input_only"].to_vec();
            let unknown = section.entries().iter().map(|entry| entry.key.as_str()).find(|key| !known.contains(key));
            let hint = unknown.and_then(|key| did_you_mean(key, kinds()));
            let refusal = Refusal::new("says not how it is made: expected one of its kinds");
            section.report.refuse(
                place,
                &section.path(unknown.unwrap_or("name")),
                refusal.hint(hint.unwrap_or_else(|| format!("kinds are {}", one_of(kinds())))),
            );
            return None;
        }
        [one, other, ..] => {
            let message = format!("is made in two ways, `{one}` and `{other}`: expected one");
            section.report.refuse(place, &section.path(other), Refusal::new(message));
            return None;
        }
    };
    let make = make(&mut section, kind, data)?;
    let input_only = section.value("input_only", false, flag);
    section.finish();
    let place = match place {
        Place::At { line, column } => format!("line {line}, column {column}, `{name}`"),
        _ => format!("feature `{name}`"),
    };
    Some(FeatureConfig { name, make, input_only, place: ConfigPlace(place) })
}

fn make(section: &mut Section, kind: &'static str, data: &DataConfig) -> Option<Make> {
    let column = text("the name of a column");
    if let Some((_, operator)) = OPERATORS.iter().find(|(name, _)| *name == kind) {
        let sides = section.value(kind, Vec::new(), list("a list of two columns or numbers", 2, operand));
        let [left, right] = <[Operand; 2]>::try_from(sides).ok().or_else(|| {
            section.refuse(kind, Refusal::new("expected two columns, or a column and a number"));
            None
        })?;
        return Some(Make::Plain(Compute::Operator { operator: *operator, left, right }));
    }
    if let Some((_, function)) = NUMBERS.iter().find(|(name, _)| *name == kind) {
        return Some(Make::Plain(Compute::Number {
            function: *function,
            of: section.value(kind, String::new(), column),
        }));
    }
    if let Some((_, function)) = TEXTS.iter().find(|(name, _)| *name == kind) {
        return Some(Make::Plain(Compute::Text {
            function: *function,
            of: section.value(kind, String::new(), column),
        }));
    }
    let of = |section: &mut Section| section.value(kind, String::new(), text("the name of a column"));
    let make = match kind {
        "first_use" => {
            let days = of(section);
            let time = section.value("time", data.time.clone(), nullable(column));
            let Some(time) = time else {
                section.refuse_missing("time", "the column of seconds (there is no `data.time`)");
                return None;
            };
            Make::Plain(Compute::FirstUse { days, time })
        }
        "concat" => Make::Plain(Compute::Concat { of: section.value(kind, Vec::new(), columns) }),
        "missing" => Make::Plain(Compute::Missing { of: section.value(kind, Vec::new(), columns) }),
        "ordinal" => {
            let of = of(section);
            let level = |node: &Node| match &node.value {
                Value::Scalar { text, .. } if !node.is_null() => Ok(text.clone()),
                _ => Err(Refusal::expected("a level", node)),
            };
            let order = section.required("order", "the levels, the least first", list("a list of levels", MOST, level));
            Make::Plain(Compute::Ordinal { of, order })
        }
        "frequency" | "count" | "target" => {
            let by = section.value(kind, Vec::new(), columns);
            let figure = match kind {
                "frequency" => Figure::Frequency,
                "count" => Figure::Count,
                _ => Figure::Target {
                    smoothing: section.value("smoothing", 10.0, number(Included(0.0), Included(1e9))),
                    folds: section.value("folds", 5, folds),
                },
            };
            of_group(section, by, figure)
        }
        _ => {
            let of = of(section);
            let by = section.required("by", "the columns of the key, such as `card1`", columns);
            let figure = match kind {
                "mean" => Figure::Mean { of },
                "std" => Figure::Std { of },
                _ => Figure::RatioToMean { of },
            };
            of_group(section, by, figure)
        }
    };
    Some(make)
}

fn of_group(section: &mut Section, by: Vec<String>, figure: Figure) -> Make {
    let unseen = section.value("unseen", None, nullable(number(Unbounded, Unbounded)));
    let min_rows = section.value("min_rows", 1, whole(1..=1_000_000_000));
    Make::OfGroup { by, figure, unseen, min_rows }
}

/// Out of fold, or not at all.
fn folds(node: &Node) -> Read<usize> {
    whole(2..=100)(node).map_err(|refusal| {
        refusal.hint("a training row's value comes from the other folds: with one fold it would meet its own label")
    })
}

fn operand(node: &Node) -> Read<Operand> {
    match node.plain().and_then(parse_number) {
        Some(number) => Ok(Operand::Number(number)),
        None => text("a column or a number")(node).map(Operand::Column),
    }
}

/// One name, or a list of them.
fn columns(node: &Node) -> Read<Vec<String>> {
    match &node.value {
        Value::List(_) => list("a list of columns", MOST_COLUMNS, text("the name of a column"))(node),
        _ => text("a column or a list of columns")(node).map(|name| vec![name]),
    }
}

/// Names go into files, reports and answers: no spaces, which only names made here have.
fn name(node: &Node) -> Read<String> {
    let name = text("a name of letters, digits, `_`, `-` and `.`")(node)?;
    let fits = |c: char| c.is_alphanumeric() || "_-.".contains(c);
    if name.chars().count() <= 100 && name.chars().all(fits) {
        return Ok(name);
    }
    Err(Refusal::new(format!("expected a name of letters, digits, `_`, `-` and `.`, found `{}`", excerpt(&name))))
}

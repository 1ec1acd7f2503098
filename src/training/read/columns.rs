//! What every column is: declared or inferred role, and the checks on names, labels and times.
//!
//! Inference looks at types over the whole file, never at categories or statistics: no words is a number column, no or
//! few numbers is a category, and a number column with a few words (at least 95 % numbers) is an error to be declared
//! away, for it is nearly always damage.

use std::path::Path;

use super::structure::{Structure, Tally, line_of_row};
use super::{Wanted, declared};
use crate::scoring::record;
use crate::scoring::schema::{ColumnKind, Schema};
use crate::training::config::{ColumnRole, DataConfig};
use crate::training::error::{Error, Result};

/// A name with at most one `*`.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    pattern.split_once('*').is_some_and(|(head, tail)| {
        name.len() >= head.len() + tail.len() && name.starts_with(head) && name.ends_with(tail)
    })
}

/// The known name nearest to a wrong one, if it is near at all.
pub fn closest<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let scored = known.map(|name| (strsim::jaro_winkler(&wrong.to_lowercase(), &name.to_lowercase()), name));
    scored.filter(|(score, _)| *score > 0.8).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

/// Every column the config names is there, in the table where it is needed, and no name stands in two tables.
pub(super) fn check_names(config: &DataConfig, tables: &[Structure]) -> Result<()> {
    let Some(first) = tables.first() else {
        return Err(Error::permanent("expected at least one table, found none"));
    };
    let in_first = [
        Some(("target", &config.target.column)),
        config.id.as_ref().map(|name| ("id", name)),
        config.time.as_ref().map(|name| ("time", name)),
    ];
    for (role, name) in in_first.into_iter().flatten() {
        if !first.header.contains(name) {
            return Err(absent(first, &format!("{role} column"), name));
        }
    }
    for (source, table) in config.tables.iter().zip(tables) {
        if let Some(key) = &source.join {
            for side in [first, table] {
                if !side.header.contains(key) {
                    return Err(absent(side, "join key", key));
                }
            }
        }
    }
    for (at, table) in tables.iter().enumerate() {
        let key = config.tables[at].join.as_ref();
        let twice = |name: &&String| key != Some(*name) && tables[..at].iter().any(|other| other.header.contains(name));
        if let Some(name) = table.header.iter().find(twice) {
            return Err(Error::permanent(format!(
                "`{}`: column `{name}` is already in another table",
                table.path.display()
            ))
            .hint("rename or remove one of the two columns"));
        }
    }
    let all = || tables.iter().flat_map(|table| table.header.iter().map(String::as_str));
    let others = [
        config.amount.as_ref().map(|name| ("amount column", name)),
        config.group.as_ref().map(|name| ("group column", name)),
    ];
    let named = config.columns.iter().map(|(name, _)| ("declared column", name));
    for (role, name) in others.into_iter().flatten().chain(named) {
        if !all().any(|known| known == name || matches(name, known)) {
            let found = closest(name, all()).map(|near| format!("did you mean `{near}`?"));
            let hint = found.unwrap_or_else(|| "check the spelling against the header of the file".into());
            return Err(Error::permanent(format!("{role} `{name}` is in no table")).hint(hint));
        }
    }
    Ok(())
}

fn absent(table: &Structure, role: &str, name: &str) -> Error {
    let near = closest(name, table.header.iter().map(String::as_str));
    let hint = near.map_or_else(
        || format!("its columns are {}", brief_list(&table.header)),
        |near| format!("did you mean `{near}`?"),
    );
    Error::permanent(format!("`{}`: {role} `{name}` is not in the header", table.path.display())).hint(hint)
}

pub(super) fn brief_list(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(8).map(|name| format!("`{name}`")).collect();
    let more = names.len().saturating_sub(8);
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}

/// How every column of a table is to be read.
pub(super) fn wanted(config: &DataConfig, table: &Structure) -> Result<Vec<Wanted>> {
    let is_text = |name: &str| {
        name == config.target.column
            || config.id.as_deref() == Some(name)
            || config.time.as_deref() == Some(name)
            || config.tables.iter().any(|source| source.join.as_deref() == Some(name))
    };
    let read = |(name, tally): (&String, &Tally)| {
        if is_text(name) {
            return Ok(Wanted::Text);
        }
        match declared(config, name) {
            Some(ColumnRole::Drop) => Ok(Wanted::Nothing),
            Some(ColumnRole::Categorical) => Ok(Wanted::Level),
            Some(ColumnRole::Numeric) => number(table, name, tally, None),
            None if tally.words == 0 => number(table, name, tally, None),
            None if tally.numbers >= 19 * tally.words => number(table, name, tally, Some(tally.numbers)),
            None => Ok(Wanted::Level),
        }
    };
    table.header.iter().zip(&table.tallies).map(read).collect()
}

/// How the columns of a file to score are to be read: by the schema of the bundle.
pub(super) fn wanted_by(schema: &Schema, table: &Structure) -> Result<Vec<Wanted>> {
    let wanted = |(name, tally): (&String, &Tally)| match schema.position(name).map(|at| schema.columns[at].kind) {
        Some(ColumnKind::Categorical) => Ok(Wanted::Level),
        Some(ColumnKind::Numeric) => number(table, name, tally, None),
        None if schema.id.as_ref() == Some(name) => Ok(Wanted::Text),
        None => Ok(Wanted::Nothing),
    };
    table.header.iter().zip(&table.tallies).map(wanted).collect()
}

/// A number column, or the error that names its first word.
fn number(table: &Structure, name: &str, tally: &Tally, inferred: Option<usize>) -> Result<Wanted> {
    let Some((line, word)) = &tally.first_word else {
        return Ok(if tally.unusual > 0 { Wanted::NumberFromText } else { Wanted::Number });
    };
    let shown: String = word.chars().take(40).collect();
    let hint = match inferred {
        Some(numbers) => format!(
            "{numbers} of its {} values are numbers; mend the others, or declare `columns: {{ {name}: categorical }}`",
            numbers + tally.words
        ),
        None => "the column is declared or was learned as numeric: mend the value".into(),
    };
    let place = format!("`{}`, line {line}, column `{name}`", table.path.display());
    Err(Error::permanent(format!("{place}: expected a number, found `{shown}`")).hint(hint))
}

/// 1 for the positive level, 0 for the one other level.
pub(super) fn labels(text: &[String], config: &DataConfig, path: &Path) -> Result<Vec<u8>> {
    let target = &config.target;
    let mut levels: Vec<String> = Vec::new();
    let mut labels = Vec::with_capacity(text.len());
    let place = |row: usize| {
        let line = line_of_row(path, row).unwrap_or(row as u64 + 2);
        format!("`{}`, line {line}, column `{}`", path.display(), target.column)
    };
    for (row, cell) in text.iter().enumerate() {
        let Some(level) = record::level(cell) else {
            return Err(Error::permanent(format!("{}: expected a label, found an empty field", place(row)))
                .hint("every training row needs a label: remove the rows without one"));
        };
        labels.push(u8::from(level == target.positive));
        if !levels.contains(&level) {
            levels.push(level);
            if levels.len() > 2 {
                let found = levels.iter().map(|level| format!("`{level}`")).collect::<Vec<_>>().join(", ");
                return Err(Error::permanent(format!("{}: expected two classes, found a third: {found}", place(row)))
                    .hint("fraudml scores two classes: merge the labels, or name another target"));
            }
        }
    }
    let place = format!("`{}`, column `{}`", path.display(), target.column);
    match &levels[..] {
        [only] => Err(Error::permanent(format!("{place}: expected two classes, found only `{only}`"))
            .hint("a model needs frauds and legitimate rows to learn from")),
        _ if !levels.contains(&target.positive) => {
            let found = levels.iter().map(|level| format!("`{level}`")).collect::<Vec<_>>().join(" and ");
            Err(Error::permanent(format!("{place}: expected the positive class `{}`, found {found}", target.positive))
                .hint("name it: `target: { column: .., positive: .. }`"))
        }
        _ => Ok(labels),
    }
}

/// Seconds per row; a missing or wordy one is an error with its line.
pub(super) fn times(text: &[String], column: &str, path: &Path) -> Result<Vec<f64>> {
    let parse = |(row, cell): (usize, &String)| {
        record::parse_number(cell.trim()).ok_or_else(|| {
            let line = line_of_row(path, row).unwrap_or(row as u64 + 2);
            let found = if cell.trim().is_empty() { "an empty field".to_owned() } else { format!("`{}`", cell.trim()) };
            Error::permanent(format!(
                "`{}`, line {line}, column `{column}`: expected a time in seconds, found {found}",
                path.display()
            ))
        })
    };
    text.iter().enumerate().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_have_one_star() {
        assert!(matches("V*", "V12") && matches("*_01", "id_01") && matches("i*1", "id_01"));
        assert!(!matches("V*", "id_01") && !matches("V1", "V1") && !matches("ab*ba", "aba"));
    }
}

//! What every column is: declared or inferred role, and the checks on names, labels and times.
//!
//! Inference looks at types over the whole file, never at categories or statistics: no words is a number column, no or
//! few numbers is a category, and a number column with a few words (at least 95 % numbers), or with words that are numbers
//! with a decimal comma, is an error to be declared away, for it is nearly always damage.

use std::path::Path;

use super::parquet::is_parquet;
use super::parse::{Tally, Wanted};
use super::source::{Files, Source};
use crate::scoring::record::{self, Value};
use crate::scoring::schema::{ColumnKind, Schema};
use crate::scoring::table::Cells;
use crate::training::config::{ColumnRole, DataConfig, MissingColumns, Recipe, matches};
use crate::training::error::{Error, Result};
use crate::training::fit::features::order::order;

/// The known name nearest to a wrong one, if it is near at all.
pub fn closest<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let scored = known.map(|name| (strsim::jaro_winkler(&wrong.to_lowercase(), &name.to_lowercase()), name));
    scored.filter(|(score, _)| *score > 0.8).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

/// Every column the config names is there, in the table where it is needed, and no name stands in two tables.
pub(super) fn check_names(recipe: &Recipe, tables: &[Source]) -> Result<()> {
    let config = recipe.data;
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
    let may_be_absent = config.missing_columns == MissingColumns::Allow;
    for (role, name) in others.into_iter().flatten().chain(named).filter(|_| !may_be_absent) {
        if !all().any(|known| known == name || matches(name, known)) {
            let found = closest(name, all()).map(|near| format!("did you mean `{near}`?"));
            let hint = found.unwrap_or_else(|| "check the spelling against the header of the file".into());
            return Err(Error::permanent(format!("{role} `{name}` is in no table")).hint(hint));
        }
    }
    check_features(recipe, tables)
}

/// Whether features are made of the time.
pub(super) fn reads_time(recipe: &Recipe) -> bool {
    let reads = |time: &String| recipe.features.iter().any(|feature| feature.make.inputs().contains(&time.as_str()));
    recipe.data.time.as_ref().is_some_and(reads)
}

/// Features can be made of the columns that will be read.
fn check_features(recipe: &Recipe, tables: &[Source]) -> Result<()> {
    let config = recipe.data;
    let is_key = |name: &String| {
        config.id.as_ref() == Some(name) || config.tables.iter().any(|source| source.join.as_ref() == Some(name))
    };
    let is_read =
        |name: &&String| **name != config.target.column && !is_key(name) && config.role(name) != Some(ColumnRole::Drop);
    let names = tables.iter().flat_map(|table| &table.header).filter(is_read);
    let raw: Vec<_> = names.map(|name| (name.as_str(), None)).collect();
    order(recipe.features, &raw, config.missing_columns).map(drop)
}

fn absent(table: &Source, role: &str, name: &str) -> Error {
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

/// What shall become of every column of a table.
pub(super) fn wanted(config: &DataConfig, header: &[String]) -> Vec<Wanted> {
    let is_text = |name: &String| {
        config.id.as_ref() == Some(name) || config.tables.iter().any(|source| source.join.as_ref() == Some(name))
    };
    let of = |name: &String| match config.role(name) {
        _ if is_text(name) => Wanted::Text,
        _ if *name == config.target.column => Wanted::Level,
        _ if config.time.as_ref() == Some(name) => Wanted::Any,
        Some(ColumnRole::Drop) => Wanted::Nothing,
        Some(ColumnRole::Categorical) => Wanted::Level,
        Some(ColumnRole::Numeric) => Wanted::Number,
        Some(ColumnRole::Input) | None => Wanted::Any,
    };
    header.iter().map(of).collect()
}

/// What shall become of the columns of a file to score: by the schema of the bundle.
pub(super) fn wanted_by(schema: &Schema, header: &[String]) -> Vec<Wanted> {
    let of = |name: &String| match schema.position(name).map(|at| schema.columns[at].kind) {
        Some(ColumnKind::Categorical) => Wanted::Level,
        Some(ColumnKind::Numeric) => Wanted::Number,
        None if schema.id.as_ref() == Some(name) => Wanted::Text,
        None => Wanted::Nothing,
    };
    header.iter().map(of).collect()
}

/// Words in a column of numbers are an error that names the first.
pub(super) fn check_words(path: &Path, name: &str, wanted: Wanted, tally: &Tally) -> Result<()> {
    let has_commas = 20 * tally.decimal_commas >= 19 * tally.words;
    let is_number =
        wanted == Wanted::Number || (wanted == Wanted::Any && (tally.numbers >= 19 * tally.words || has_commas));
    let Some((line, word)) = tally.first_word.as_ref().filter(|_| is_number) else { return Ok(()) };
    let shown: String = word.chars().take(40).collect();
    let hint = match wanted {
        _ if has_commas => {
            format!("numbers with a decimal comma: write a point, or declare `columns: {{ {name}: categorical }}`")
        }
        Wanted::Any => format!(
            "{} of its {} values are numbers; mend the others, or declare `columns: {{ {name}: categorical }}`",
            tally.numbers,
            tally.numbers + tally.words
        ),
        _ => "the column is declared or was learned as numeric: mend the value".into(),
    };
    let unit = if is_parquet(path) { "row" } else { "line" };
    let place = format!("`{}`, {unit} {line}, column `{name}`", path.display());
    Err(Error::permanent(format!("{place}: expected a number, found `{shown}`")).hint(hint))
}

fn place(files: &Files, row: usize, column: &str) -> String {
    format!("{}, column `{column}`", files.place(row))
}

/// 1 for the positive level, 0 for the one other level.
pub(super) fn labels(cells: &Cells, config: &DataConfig, files: &Files) -> Result<Vec<u8>> {
    let target = &config.target;
    let Cells::Categorical { codes, levels } = cells else {
        return Err(Error::failed(format!("target `{}` was not read as levels", target.column)));
    };
    // Levels are numbered as they appear: the first row of the third is the first that is wrong.
    let positive = levels.iter().position(|level| *level == target.positive).map_or(0, |at| at as u64 + 1);
    let (mut labels, mut wrong) = (Vec::with_capacity(codes.n_rows()), None);
    codes.items(0..codes.n_rows() as u32, |code| {
        if !(1..=2).contains(&code) {
            wrong.get_or_insert((labels.len(), code));
        }
        labels.push(u8::from(code == positive));
    });
    let named = |levels: &[String], between: &str| {
        levels.iter().map(|level| format!("`{level}`")).collect::<Vec<_>>().join(between)
    };
    match wrong {
        Some((row, 0)) => {
            return Err(Error::permanent(format!(
                "{}: expected a label, found an empty field",
                place(files, row, &target.column)
            ))
            .hint("every training row needs a label: remove the rows without one"));
        }
        Some((row, _)) => {
            let (place, found) = (place(files, row, &target.column), named(&levels[..3], ", "));
            return Err(Error::permanent(format!("{place}: expected two classes, found a third: {found}"))
                .hint("fraudml scores two classes: merge the labels, or name another target"));
        }
        None => {}
    }
    let place = format!("{}, column `{}`", files.names(), target.column);
    match &levels[..] {
        [only] => Err(Error::permanent(format!("{place}: expected two classes, found only `{only}`"))
            .hint("a model needs frauds and legitimate rows to learn from")),
        _ if positive == 0 => {
            let found = named(levels, " and ");
            Err(Error::permanent(format!("{place}: expected the positive class `{}`, found {found}", target.positive))
                .hint("name it: `target: { column: .., positive: .. }`"))
        }
        _ => Ok(labels),
    }
}

/// Seconds per row; a missing or wordy one is an error with its line.
pub(super) fn times(cells: &Cells, column: &str, files: &Files) -> Result<Vec<f64>> {
    let time = |row: usize| {
        let found = match cells.value(row) {
            Value::Number(number) => return Ok(number),
            Value::Missing => "an empty field".to_owned(),
            Value::Text(text) => match record::parse_number(&text) {
                Some(number) => return Ok(number),
                None => format!("`{text}`"),
            },
        };
        let place = place(files, row, column);
        Err(Error::permanent(format!("{place}: expected a time in seconds, found {found}"))
            .hint("write times as seconds from any day on, one in every row; without times: `protocols: [random]`"))
    };
    (0..cells.packed().n_rows()).map(time).collect()
}

//! The section `data`: tables, joins, the columns with a part to play, declared roles.

use std::path::PathBuf;

use super::problem::{Place, one_of};
use super::section::Section;
use super::values::{Read, Refusal, choice, nullable, text};
use super::yaml::{Node, Value};
use crate::scoring::record::level;
use crate::scoring::schema::UnknownKeys;
use crate::training::config::{ColumnRole, DataConfig, MissingColumns, TableSource, Target};
use crate::training::run_store::{check_table, is_url};

pub(super) const ROLES: [(&str, ColumnRole); 4] = [
    ("numeric", ColumnRole::Numeric),
    ("categorical", ColumnRole::Categorical),
    ("input", ColumnRole::Input),
    ("drop", ColumnRole::Drop),
];
pub(super) const UNKNOWN: [(&str, UnknownKeys); 3] =
    [("ignore", UnknownKeys::Ignore), ("count", UnknownKeys::Count), ("refuse", UnknownKeys::Refuse)];
pub(super) const MISSING: [(&str, MissingColumns); 2] =
    [("refuse", MissingColumns::Refuse), ("allow", MissingColumns::Allow)];

pub(super) fn check(mut data: Section) -> DataConfig {
    let tables = tables(&mut data);
    let target = target(&mut data);
    let column = |data: &mut Section, key| data.value(key, None, nullable(text("the name of a column")));
    let id = column(&mut data, "id");
    let time = column(&mut data, "time");
    let amount = column(&mut data, "amount");
    let group = column(&mut data, "group");
    let missing_columns = data.value("missing_columns", MissingColumns::Refuse, choice(&MISSING, &[]));
    let unknown_keys = data.value("unknown_keys", UnknownKeys::Ignore, choice(&UNKNOWN, &[]));
    for (key, name) in [("id", &id), ("time", &time), ("amount", &amount), ("group", &group)] {
        if name.as_ref().is_some_and(|name| *name == target.column) {
            let message = format!("`{}` is the target already", target.column);
            data.report.refuse_key(&data.path(key), Refusal::new(message));
        }
    }
    // A bundle knows one key to join its inputs by, and a key that is a feature too would be lost as one.
    for (nth, table) in tables.iter().enumerate() {
        if let Some(on) = table.join.as_ref().filter(|on| id.as_ref().is_some_and(|id| id != *on)) {
            let refusal = Refusal::new(format!("not yet: a join key other than `data.id`, found `{on}`"));
            let hint = format!("declare `id: {on}`, or join the tables before");
            data.report.refuse_key(&data.path(&format!("tables.{nth}.join.on")), refusal.hint(hint));
        }
    }
    let columns = columns(data.section("columns"), &target.column);
    data.finish();
    DataConfig { tables, target, id, time, amount, group, missing_columns, unknown_keys, columns }
}

fn tables(data: &mut Section) -> Vec<TableSource> {
    let what = "a list of tables, each with a `path`";
    let Some(entry) = data.entry("tables") else {
        data.refuse_missing("tables", what);
        return Vec::new();
    };
    let key = data.path("tables");
    match &entry.value.value {
        Value::List(items) if !items.is_empty() => {
            let table = |(nth, node): (usize, &Node)| {
                let key = format!("{key}.{nth}");
                table(Section::of(data.report, key.clone(), key, node.place, Some(node)), nth == 0)
            };
            items.iter().enumerate().map(table).collect()
        }
        Value::List(_) => {
            data.report.refuse(entry.value.place, &key, Refusal::new("expected at least one table, found none"));
            Vec::new()
        }
        _ => {
            data.report.refuse(entry.value.place, &key, Refusal::expected(what, &entry.value));
            Vec::new()
        }
    }
}

fn table(mut table: Section, first: bool) -> TableSource {
    let path: PathBuf = table.required("path", "the path of a CSV file", path);
    let join = match (first, table.has("join")) {
        (true, false) => None,
        (true, true) => {
            let entry = table.entry("join");
            let place = entry.map_or(Place::File, |entry| entry.place);
            let message = "the first table is the left one, it joins nothing";
            table.report.refuse(place, &table.path("join"), Refusal::new(message));
            None
        }
        (false, false) => {
            table.refuse_missing("join", "the key of the left join, such as `{ on: TransactionID }`");
            table.entry("join");
            None
        }
        (false, true) => {
            let mut join = table.section("join");
            let on: String = join.required("on", "the column that both tables share", text("the name of a column"));
            join.value("how", (), choice(&[("left", ())], &["inner", "outer", "right"]));
            join.finish();
            Some(on)
        }
    };
    table.finish();
    TableSource { path, join }
}

const ENDINGS: [&str; 5] = [".csv", ".csv.gz", ".csv.zst", ".parquet", ".pq"];

fn path(node: &Node) -> Read<PathBuf> {
    let path = text("the path of a CSV or Parquet file")(node)?;
    let lower = path.to_lowercase();
    let not_yet = |what: &str| Err(Refusal::new(format!("not yet: {what}, found `{path}`")));
    if is_url(&path) {
        check_table(&path).map_err(|error| match error.hint {
            Some(hint) => Refusal::new(error.message).hint(hint),
            None => Refusal::new(error.message),
        })?;
    }
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
    if folder.contains(['*', '?']) || name.contains('[') {
        return not_yet("a pattern is `*` and `?` in the name of a file");
    }
    if ENDINGS.iter().any(|ending| lower.ends_with(ending)) {
        return Ok(path.into());
    }
    Err(Refusal::expected(&format!("a path that ends in {}", one_of(ENDINGS)), node))
}

/// `target: isFraud` or `target: { column: isFraud, positive: 1 }`.
fn target(data: &mut Section) -> Target {
    const POSITIVE: &str = "1";
    let Some(entry) = data.entry("target") else {
        data.refuse_missing("target", "the column that says what is fraud, such as `isFraud`");
        return Target { column: String::new(), positive: POSITIVE.to_owned() };
    };
    if matches!(entry.value.value, Value::Scalar { .. }) {
        let column: String = data.value("target", String::new(), text("the name of a column"));
        data.resolve("target.column", entry.value.place);
        data.resolve("target.positive", Place::Default);
        return Target { column, positive: POSITIVE.to_owned() };
    }
    let mut target = data.section("target");
    let column = target.required("column", "the name of the target column", text("the name of a column"));
    let positive = target.value("positive", POSITIVE.to_owned(), positive);
    target.finish();
    Target { column, positive }
}

/// The level that means fraud: a number or a text, quoted or not.
fn positive(node: &Node) -> Read<String> {
    match &node.value {
        Value::Scalar { text, .. } if !node.is_null() => level(text),
        _ => None,
    }
    .ok_or_else(|| Refusal::expected("a number or a text", node))
}

fn columns(columns: Section, target: &str) -> Vec<(String, ColumnRole)> {
    let mut declared = Vec::new();
    for entry in columns.entries() {
        let key = columns.path(&entry.key);
        if entry.key == target && !target.is_empty() {
            columns.report.refuse(entry.place, &key, Refusal::new("the target is no feature, it has no role"));
        }
        if entry.key.matches('*').count() > 1 {
            columns.report.refuse(entry.place, &key, Refusal::new("expected a name or a pattern with one `*`"));
        }
        columns.resolve(&entry.key, entry.value.place);
        match choice(&ROLES, &[])(&entry.value) {
            Ok(role) => declared.push((entry.key.clone(), role)),
            Err(refusal) => columns.report.refuse(entry.value.place, &key, refusal),
        }
    }
    declared
}

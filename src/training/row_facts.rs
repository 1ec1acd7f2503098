//! Facts of rows, gathered where the data is and kept with the run, so that an evaluation needs no data.
//!
//! `experiments/<run-id>/rows/<protocol>-<part>.parquet`: one file per part, its rows in the order of the part's
//! `scores.parquet`: row id, day, amount, entity, declared attributes. A numeric attribute of more than 20 values becomes
//! quarters by its quantiles over all rows; of a categorical one the 20 most frequent levels stand, the rest is `other`.

use std::collections::BTreeMap;

use super::config::{Config, ThresholdPolicy};
use super::error::{Error, Result};
use super::evaluate::{Attribute, RowFacts};
use super::read::ReadData;
use super::run::Run;
use super::split::{Part, Split, groups_of_column};
use super::table_file::KeptRows;
use crate::scoring::record::Value;
use crate::scoring::table::Cells;

const SECONDS_PER_DAY: f64 = 86_400.0;
/// Levels of an attribute that are shown apart.
const MOST_LEVELS: usize = 20;
const OTHER: &str = "other";
const MISSING: &str = "(missing)";

/// Of all rows of the data, in their order.
fn of_all(config: &Config, data: &ReadData) -> Result<RowFacts> {
    let table = &data.dataset.table;
    let column = |name: &Option<String>| name.as_ref().and_then(|name| table.column(name));
    let numbers = |cells: &Cells| match cells {
        Cells::Numeric(packed) => Some((0..packed.n_rows()).map(|row| packed.number(row)).collect::<Vec<f64>>()),
        Cells::Categorical { .. } => None,
    };
    let attribute = |name: &String| match table.column(name) {
        Some(cells) => Ok(attribute(name, cells)),
        None => Err(Error::permanent(format!("`evaluate.subgroups`: no column `{name}` is among those read"))
            .hint("a subgroup is a column that is read: not the id, the time or the target, and not dropped")),
    };
    Ok(RowFacts {
        days: data.dataset.times.as_deref().map(days),
        amounts: column(&config.data.amount).and_then(numbers),
        groups: column(&config.data.group).map(|cells| groups_of_column(cells.packed())),
        attributes: config.evaluate.subgroups.iter().map(attribute).collect::<Result<_>>()?,
    })
}

fn days(times: &[f64]) -> Vec<u32> {
    let first = times.iter().copied().filter(|time| time.is_finite()).fold(f64::INFINITY, f64::min);
    let first_day = (first / SECONDS_PER_DAY).floor();
    // What lies beyond every calendar saturates.
    times.iter().map(|time| ((time / SECONDS_PER_DAY).floor() - first_day) as u32).collect()
}

fn attribute(name: &str, cells: &Cells) -> Attribute {
    let n_rows = cells.packed().n_rows();
    let texts: Vec<String> = match quarters(cells) {
        Some(quarters) => quarters,
        None => (0..n_rows)
            .map(|row| match cells.value(row) {
                Value::Missing => MISSING.into(),
                Value::Number(number) => number.to_string(),
                Value::Text(text) => text,
            })
            .collect(),
    };
    let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
    texts.iter().for_each(|text| *sizes.entry(text).or_default() += 1);
    let mut by_size: Vec<(&str, usize)> = sizes.into_iter().collect();
    by_size.sort_by_key(|&(_, size)| std::cmp::Reverse(size));
    let mut levels: Vec<String> = by_size.iter().take(MOST_LEVELS).map(|(level, _)| (*level).to_owned()).collect();
    let shown: BTreeMap<&str, u32> =
        by_size.iter().take(MOST_LEVELS).enumerate().map(|(at, &(level, _))| (level, at as u32)).collect();
    let other = levels.len() as u32;
    let codes = texts.iter().map(|text| shown.get(text.as_str()).copied().unwrap_or(other)).collect();
    if by_size.len() > MOST_LEVELS {
        levels.push(OTHER.into());
    }
    Attribute { name: name.to_owned(), levels, codes }
}

/// The quarter of every row of a numeric column with many values.
fn quarters(cells: &Cells) -> Option<Vec<String>> {
    let Cells::Numeric(packed) = cells else { return None };
    let numbers: Vec<f64> = (0..packed.n_rows()).map(|row| packed.number(row)).collect();
    let mut sorted: Vec<f64> = numbers.iter().copied().filter(|number| !number.is_nan()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let mut distinct = sorted.clone();
    distinct.dedup();
    if distinct.len() <= MOST_LEVELS {
        return None;
    }
    let cuts = [1, 2, 3].map(|quarter| sorted[quarter * sorted.len() / 4]);
    let name = |number: f64| match cuts.iter().filter(|&&cut| number >= cut).count() {
        _ if number.is_nan() => MISSING.to_owned(),
        0 => format!("below {}", cuts[0]),
        3 => format!("{} and above", cuts[2]),
        at => format!("{} to {}", cuts[at - 1], cuts[at]),
    };
    Some(numbers.into_iter().map(name).collect())
}

fn path(protocol: &str, part: &str) -> String {
    format!("rows/{protocol}-{part}.parquet")
}

/// Writes the facts of every part.
pub fn keep(run: &Run, config: &Config, data: &ReadData, splits: &[Split]) -> Result<()> {
    let all = of_all(config, data)?;
    if let ThresholdPolicy::Cost(_) = config.threshold {
        all.money().map_err(|reason| priceless(config, data, &all, &reason))?;
    }
    for split in splits {
        // A repeat holds the rows of the final fit out.
        for part in split.parts().filter(|part| !matches!(part, Part::Repeat(_))) {
            let (_, held_out) = split.rows(part);
            let rows = held_out.rows();
            let row_ids = rows.iter().map(|&row| data.dataset.ids.get(row as usize).into_owned()).collect();
            let kept = KeptRows { row_ids, facts: of_rows(&all, rows) };
            run.write(&path(split.protocol.as_str(), &part.to_string()), &kept.to_parquet()?)?;
        }
    }
    Ok(())
}

/// Found before the long run: amounts that no cost can be made of.
fn priceless(config: &Config, data: &ReadData, all: &RowFacts, reason: &str) -> Error {
    let wrong = |amount: &f64| !(amount.is_finite() && *amount >= 0.0);
    let row = all.amounts.as_ref().and_then(|amounts| amounts.iter().position(wrong));
    let first = row.map_or(String::new(), |row| format!(", first in the row with id `{}`", data.dataset.ids.get(row)));
    let column = config.data.amount.as_deref().unwrap_or_default();
    Error::permanent(format!(
        "`threshold.cost`, column `{column}`: expected an amount of at least 0 in every row, found that {reason}{first}"
    ))
    .hint("clean the column (refunds are no payments), or choose another policy")
}

fn of_rows(all: &RowFacts, rows: &[u32]) -> RowFacts {
    fn pick<T: Copy>(column: &[T], rows: &[u32]) -> Vec<T> {
        rows.iter().map(|&row| column[row as usize]).collect()
    }
    let attribute = |attribute: &Attribute| Attribute {
        name: attribute.name.clone(),
        levels: attribute.levels.clone(),
        codes: pick(&attribute.codes, rows),
    };
    RowFacts {
        days: all.days.as_ref().map(|column| pick(column, rows)),
        amounts: all.amounts.as_ref().map(|column| pick(column, rows)),
        groups: all.groups.as_ref().map(|column| pick(column, rows)),
        attributes: all.attributes.iter().map(attribute).collect(),
    }
}

/// Whether the run keeps facts at all: runs of earlier versions do not.
pub fn are_kept(run: &Run) -> bool {
    run.folder.join("rows").is_dir()
}

/// The facts of one part, checked against the rows of its scores. A run without them knows nothing about its rows.
pub fn read(run: &Run, protocol: &str, part: &str, row_ids: &[String]) -> Result<RowFacts> {
    let path = run.folder.join(path(protocol, part));
    if !path.is_file() {
        return Ok(RowFacts::default());
    }
    let kept = KeptRows::read(&path)?;
    if kept.row_ids != row_ids {
        return Err(Error::permanent(format!("`{}` is not about the rows of the scores beside it", path.display()))
            .hint("run `fraudml train` with the run's config again: it writes the file anew, finished fits are kept"));
    }
    Ok(kept.facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_count_from_the_first() {
        assert_eq!(days(&[86_400.0 * 3.5, 86_400.0 * 2.0, 86_399.0 * 3.0, f64::NAN]), [1, 0, 0, 0]);
    }

    #[test]
    fn attributes_have_few_levels() {
        let few = attribute("a", &Cells::numeric(&[2.0, 1.0, f64::NAN, 2.0]));
        assert_eq!((few.levels, few.codes), (["2", "(missing)", "1"].map(String::from).to_vec(), vec![0, 2, 1, 0]));
        let many: Vec<f64> = (0..100).map(f64::from).collect();
        let quarters = attribute("b", &Cells::numeric(&many));
        assert_eq!(quarters.levels, ["25 to 50", "50 to 75", "75 and above", "below 25"]);
        assert_eq!(quarters.codes[24..26], [3, 0]);
        let levels: Vec<String> = (0..30).map(|at| format!("l{at:02}")).collect();
        let codes: Vec<u32> = (1..=30).chain([30]).collect();
        let texts = attribute("c", &Cells::categorical(&codes, levels));
        assert_eq!((texts.levels.len(), texts.levels[0].as_str(), texts.levels[20].as_str()), (21, "l29", "other"));
        assert_eq!(texts.codes[29..], [0, 0]);
    }
}

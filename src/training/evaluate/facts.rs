//! What is known of rows beside label and score: their day, amount, entity and declared attributes. Plain data; in the
//! order of the scores it stands beside.

use serde::{Deserialize, Serialize};

/// One value per row in every list. What was not declared is `None`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RowFacts {
    /// Days since the first day of all rows (`data.time` in whole days of 86,400 seconds).
    pub days: Option<Vec<u32>>,
    /// Money; NaN where the cell is missing.
    pub amounts: Option<Vec<f64>>,
    /// The entity (a card), numbered over all rows; a row without one is one by itself.
    pub groups: Option<Vec<u32>>,
    pub attributes: Vec<Attribute>,
}

/// A declared attribute: rows by level.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribute {
    pub name: String,
    pub levels: Vec<String>,
    /// Place of the row's level.
    pub codes: Vec<u32>,
}

/// What is drawn with replacement: rows are independent of each other only across these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    Row,
    Day,
    Group,
}

impl Unit {
    pub fn as_str(self) -> &'static str {
        match self {
            Unit::Row => "row",
            Unit::Day => "day",
            Unit::Group => "group",
        }
    }
}

impl RowFacts {
    /// The unit of every row, if it is known.
    pub fn units(&self, unit: Unit) -> Option<&[u32]> {
        match unit {
            Unit::Row => None,
            Unit::Day => self.days.as_deref(),
            Unit::Group => self.groups.as_deref(),
        }
    }

    /// Distinct days; 1 where no time is declared and there are rows.
    pub fn n_days(&self, n_rows: usize) -> usize {
        let Some(days) = &self.days else { return n_rows.min(1) };
        let mut days = days.clone();
        days.sort_unstable();
        days.dedup();
        days.len()
    }

    /// The rows of several lists, one after the other; what one of them does not know is not known.
    pub fn joined<'a>(parts: impl Iterator<Item = &'a RowFacts> + Clone) -> RowFacts {
        fn column<'a, T: Copy + 'a>(
            parts: impl Iterator<Item = &'a RowFacts>,
            of: impl Fn(&'a RowFacts) -> Option<&'a Vec<T>>,
        ) -> Option<Vec<T>> {
            let columns = parts.map(of).collect::<Option<Vec<_>>>()?;
            Some(columns.into_iter().flatten().copied().collect())
        }
        RowFacts {
            days: column(parts.clone(), |facts| facts.days.as_ref()),
            amounts: column(parts.clone(), |facts| facts.amounts.as_ref()),
            groups: column(parts, |facts| facts.groups.as_ref()),
            attributes: Vec::new(),
        }
    }

    /// Amounts that can be summed as money, or why there are none.
    pub fn money(&self) -> Result<&[f64], String> {
        let amounts = self.amounts.as_deref().ok_or("no `data.amount` is declared")?;
        let wrong = |found: &dyn Fn(f64) -> bool| amounts.iter().filter(|&&amount| found(amount)).count();
        let negative = wrong(&|amount| amount < 0.0);
        let missing = wrong(&|amount| !amount.is_finite());
        match (negative, missing) {
            (0, 0) => Ok(amounts),
            (0, n) => Err(format!("{n} of {} rows have no amount", amounts.len())),
            (n, _) => {
                let lowest = amounts.iter().copied().fold(f64::INFINITY, f64::min);
                Err(format!("{n} of {} amounts are negative, the lowest is {lowest}", amounts.len()))
            }
        }
    }
}

/// The place of every value among the distinct ones, and how many those are; whatever the values, it takes memory for
/// the rows alone.
pub fn numbered(values: &[u32]) -> (Vec<u32>, usize) {
    let mut distinct = values.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    let place = |value: &u32| distinct.partition_point(|other| other < value) as u32;
    (values.iter().map(place).collect(), distinct.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_places() {
        assert_eq!(numbered(&[7, u32::MAX, 7, 0]), (vec![1, 2, 1, 0], 3));
        assert_eq!(numbered(&[]), (vec![], 0));
    }

    #[test]
    fn amounts_that_are_no_money_say_what_they_are() {
        let of = |amounts: &[f64]| RowFacts { amounts: Some(amounts.to_vec()), ..RowFacts::default() };
        assert_eq!(of(&[1.0, 0.0]).money(), Ok(&[1.0, 0.0][..]));
        assert_eq!(of(&[1.0, f64::NAN]).money(), Err("1 of 2 rows have no amount".into()));
        assert_eq!(of(&[1.0, -2.5]).money(), Err("1 of 2 amounts are negative, the lowest is -2.5".into()));
        assert_eq!(RowFacts::default().money(), Err("no `data.amount` is declared".into()));
    }

    #[test]
    fn parts_are_joined_where_all_know() {
        let a = RowFacts { days: Some(vec![1, 1]), amounts: Some(vec![2.0, 3.0]), ..RowFacts::default() };
        let b = RowFacts { days: Some(vec![7]), ..RowFacts::default() };
        let joined = RowFacts::joined([&a, &b].into_iter());
        assert_eq!((joined.days, joined.amounts), (Some(vec![1, 1, 7]), None));
        assert_eq!((a.n_days(2), RowFacts::default().n_days(5)), (1, 1));
    }
}

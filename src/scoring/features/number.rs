//! Functions of numbers: operators, logarithms, decimals of an amount, parts of a time in seconds.

use serde::{Deserialize, Serialize};

use super::{Cell, finite};
use crate::scoring::record::{Value, number_level};

/// Of two cells; missing where one of them is, or where the result is no finite number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operator {
    Sum,
    Difference,
    Product,
    Ratio,
    /// 1 or 0.
    Less,
    Greater,
    /// 1 or 0, of numbers or of texts; a number equals its text.
    Equal,
}

impl Operator {
    pub(super) fn apply(self, left: Cell, right: Cell) -> Value {
        if let (Operator::Equal, left, right) = (self, left, right)
            && left != Cell::Missing
            && right != Cell::Missing
        {
            return Value::Number(f64::from(u8::from(equal(left, right))));
        }
        let Some((left, right)) = left.number().zip(right.number()) else { return Value::Missing };
        let truth = |is: bool| f64::from(u8::from(is));
        finite(Some(match self {
            Operator::Sum => left + right,
            Operator::Difference => left - right,
            Operator::Product => left * right,
            Operator::Ratio => left / right,
            Operator::Less => truth(left < right),
            Operator::Greater => truth(left > right),
            Operator::Equal => truth(left == right),
        }))
    }
}

fn equal(left: Cell, right: Cell) -> bool {
    match (left, right) {
        (Cell::Number(left), Cell::Number(right)) => left == right,
        (Cell::Text(left), Cell::Text(right)) => left == right,
        (Cell::Number(number), Cell::Text(text)) | (Cell::Text(text), Cell::Number(number)) => {
            number_level(number) == text
        }
        _ => false,
    }
}

/// Of one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NumberFunction {
    /// Natural logarithm; of a number that is not above 0 missing.
    Log,
    /// Natural logarithm of 1 + x.
    Log1p,
    /// What stands behind the point, in thousandths: 950 for 68.95, 500 for 4.5. Amounts in dollars end in whole cents,
    /// converted ones do not.
    Decimals,
    /// Hour of the day, 0 to 23, of seconds.
    Hour,
    /// Day of the week, 0 to 6, of seconds; day 0 is that of second 0.
    Weekday,
    /// Whole days of seconds.
    Day,
}

const DAY: f64 = 86_400.0;

impl NumberFunction {
    pub(super) fn apply(self, x: f64) -> Option<f64> {
        match self {
            NumberFunction::Log => (x > 0.0).then(|| libm::log(x)),
            NumberFunction::Log1p => (x > -1.0).then(|| libm::log1p(x)),
            NumberFunction::Decimals => Some(((x.abs() - x.abs().floor()) * 1000.0).round() % 1000.0),
            NumberFunction::Hour => Some((x.rem_euclid(DAY) / 3600.0).floor().min(23.0)),
            NumberFunction::Weekday => Some((x / DAY).floor().rem_euclid(7.0)),
            NumberFunction::Day => Some((x / DAY).floor()),
        }
    }
}

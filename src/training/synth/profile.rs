//! The calibration file and what it becomes: per column a map from a standard normal number to the text of a cell.
//!
//! In: the embedded `profile.json` (aggregates of the IEEE-CIS training data; its `about` names origin and limits).
//! Out: [`Profile`] with one [`Column`] per name. A column reads its value off at the quantile of a normal number, so
//! the marginal distribution is the profile's whatever the number is correlated with.

use std::collections::BTreeMap;
use std::io::Write;

use serde::Deserialize;

use super::normal::probit;
use crate::training::error::{Error, Result};

/// The probabilities at which the file states amounts.
const AMOUNT_SHARES: [f64; 13] = [0.0, 0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0];
/// Where the quantiles at probability 0 and 1 lie on the normal axis.
const OUTERMOST: f64 = 4.5;
/// Columns of one group that share a part of their noise.
const SIBLINGS: usize = 6;

#[derive(Deserialize)]
struct File {
    products: Vec<ProductEntry>,
    daily_rows: Vec<f64>,
    hourly_rows: Vec<f64>,
    hourly_fraud_rate: Vec<f64>,
    top_card1: Vec<u32>,
    masks: BTreeMap<String, Vec<f64>>,
    columns: BTreeMap<String, ColumnEntry>,
}

#[derive(Deserialize)]
struct ProductEntry {
    code: String,
    fraud_rate: f64,
    identity_rate: f64,
    amount: Vec<f64>,
    weekly_rows: Vec<f64>,
    weekly_fraud_rate: Vec<f64>,
}

#[derive(Deserialize)]
struct ColumnEntry {
    mask: Option<String>,
    factor: Option<usize>,
    #[serde(default)]
    separation: f64,
    #[serde(default)]
    drift: f64,
    levels: Option<Vec<(String, f64)>>,
    /// How many levels are too rare to be listed, and their share.
    tail: Option<(usize, f64)>,
    knots: Option<(Vec<f64>, Vec<f64>)>,
    decimals: Option<i32>,
}

/// One ProductCD.
pub struct Product {
    pub code: String,
    pub fraud_rate: f64,
    pub identity_rate: f64,
    pub amount: Curve,
    pub weekly_rows: Vec<f64>,
    pub weekly_fraud_rate: Vec<f64>,
}

/// Cells that go missing together: limits on a normal number per product, and how they move over the whole span.
pub struct Mask {
    pub limits: Vec<f64>,
    pub trend: f64,
}

/// How one column is drawn.
pub struct Column {
    pub mask: Option<usize>,
    /// The latent factor it shows, and the noise it shares with its siblings.
    pub factor: Option<usize>,
    pub sibling: usize,
    /// Distance between the class means in standard deviations, as wanted for this column alone.
    pub separation: f64,
    /// Shift of its mean over the whole span.
    pub drift: f64,
    pub values: Values,
}

pub enum Values {
    Levels(Levels),
    Curve(Curve),
}

/// Texts in the order of the normal axis; `edges[i]` is where text `i` ends.
pub struct Levels {
    edges: Vec<f64>,
    texts: Vec<String>,
}

/// A quantile function: linear between knots on the normal axis, geometric where it climbs steeply (heavy tails).
pub struct Curve {
    at: Vec<f64>,
    value: Vec<f64>,
    /// Steps per unit to which values are rounded: 1 for whole numbers.
    steps: f64,
}

pub struct Profile {
    pub products: Vec<Product>,
    pub daily_rows: Vec<f64>,
    pub hourly_rows: Vec<f64>,
    pub hourly_fraud_rate: Vec<f64>,
    pub top_card1: Vec<u32>,
    pub masks: Vec<Mask>,
    pub columns: BTreeMap<String, Column>,
    pub n_siblings: usize,
}

impl Profile {
    /// The profile built into this program.
    pub fn embedded() -> Result<Profile> {
        let file: File = serde_json::from_str(include_str!("profile.json"))
            .map_err(|error| Error::failed(format!("the embedded profile does not read: {error}")))?;
        let mask_names: Vec<&String> = file.masks.keys().collect();
        let mut siblings = BTreeMap::<(Option<usize>, Option<usize>, usize), usize>::new();
        let mut seen = BTreeMap::<(Option<usize>, Option<usize>), usize>::new();
        let mut columns = BTreeMap::new();
        for (name, entry) in file.columns {
            let mask = entry.mask.as_ref().and_then(|wanted| mask_names.iter().position(|known| *known == wanted));
            let n_seen = seen.entry((mask, entry.factor)).or_default();
            let next = siblings.len();
            let sibling = *siblings.entry((mask, entry.factor, *n_seen / SIBLINGS)).or_insert(next);
            *n_seen += 1;
            let values = match (entry.levels, entry.knots) {
                (Some(levels), _) => Values::Levels(Levels::new(levels, entry.tail)),
                (None, Some((shares, values))) => {
                    Values::Curve(Curve::new(&shares, values, libm::pow(10.0, f64::from(entry.decimals.unwrap_or(0)))))
                }
                (None, None) => return Err(Error::failed(format!("the embedded profile gives `{name}` no values"))),
            };
            let ColumnEntry { factor, separation, drift, .. } = entry;
            columns.insert(name, Column { mask, factor, sibling, separation, drift, values });
        }
        let masks = file.masks.values().map(|rates| Mask::new(rates)).collect();
        let products = file.products.into_iter().map(Product::new).collect();
        let File { daily_rows, hourly_rows, hourly_fraud_rate, top_card1, .. } = file;
        let n_siblings = siblings.len();
        Ok(Profile { products, daily_rows, hourly_rows, hourly_fraud_rate, top_card1, masks, columns, n_siblings })
    }

    pub fn column(&self, name: &str) -> Result<&Column> {
        self.columns.get(name).ok_or_else(|| Error::failed(format!("the embedded profile has no column `{name}`")))
    }
}

impl Product {
    fn new(entry: ProductEntry) -> Product {
        // Shops sell at round prices, except W (cents) and C (converted from another currency).
        let steps = match entry.code.as_str() {
            "W" => 100.0,
            "C" => 1000.0,
            "S" => 0.2,
            _ => 0.04,
        };
        let amount = Curve::new(&AMOUNT_SHARES, entry.amount, steps);
        let ProductEntry { code, fraud_rate, identity_rate, weekly_rows, weekly_fraud_rate, .. } = entry;
        Product { code, fraud_rate, identity_rate, amount, weekly_rows, weekly_fraud_rate }
    }
}

impl Mask {
    /// Missing rates per product and, last, the trend.
    fn new(rates: &[f64]) -> Mask {
        let (trend, rates) = rates.split_last().unwrap_or((&0.0, &[]));
        Mask { limits: rates.iter().map(|&rate| probit(rate)).collect(), trend: *trend }
    }

    /// Whether a cell is missing, for a standard normal `draw`; `time` runs from 0 to 1.
    pub fn hides(&self, product: usize, time: f64, draw: f64) -> bool {
        draw < self.limits[product] + self.trend * (time - 0.5)
    }
}

impl Values {
    /// Appends the text of the cell at a standard normal number.
    pub fn write(&self, z: f64, out: &mut Vec<u8>) {
        match self {
            Values::Levels(levels) => out.extend_from_slice(levels.at(z).as_bytes()),
            Values::Curve(curve) => write_number(curve.at(z), out),
        }
    }
}

impl Levels {
    fn new(mut levels: Vec<(String, f64)>, tail: Option<(usize, f64)>) -> Levels {
        if let Some((n_rare, share)) = tail {
            // The names of rare levels are not known: made-up ones, Zipf-distributed, in the middle of the axis.
            let total: f64 = (1..=n_rare).map(|rank| 1.0 / rank as f64).sum();
            let rare = (1..=n_rare).map(|rank| (format!("lookalike {rank:04}"), share / (total * rank as f64)));
            let middle = levels.len() / 2;
            levels.splice(middle..middle, rare.collect::<Vec<_>>());
        }
        let total: f64 = levels.iter().map(|level| level.1).sum();
        let mut below = 0.0;
        let mut edges = Vec::with_capacity(levels.len());
        for (_, share) in &levels {
            below += share;
            edges.push(probit(below / total));
        }
        edges.pop();
        Levels { edges, texts: levels.into_iter().map(|level| level.0).collect() }
    }

    pub fn at(&self, z: f64) -> &str {
        &self.texts[self.edges.partition_point(|&edge| edge < z)]
    }
}

impl Curve {
    fn new(shares: &[f64], value: Vec<f64>, steps: f64) -> Curve {
        Curve { at: shares.iter().map(|&p| probit(p).clamp(-OUTERMOST, OUTERMOST)).collect(), value, steps }
    }

    pub fn at(&self, z: f64) -> f64 {
        let right = self.at.partition_point(|&at| at < z).clamp(1, self.at.len() - 1);
        let (a, b) = (self.at[right - 1], self.at[right]);
        let part = if b > a { ((z - a) / (b - a)).clamp(0.0, 1.0) } else { 1.0 };
        let (low, high) = (self.value[right - 1], self.value[right]);
        let steep = low > 0.0 && high > 4.0 * low;
        let value = if steep { low * libm::pow(high / low, part) } else { low + part * (high - low) };
        (value * self.steps).round() / self.steps
    }
}

/// Appends the shortest text that reads back as this number, with `.0` for whole ones, as the original files do.
pub fn write_number(number: f64, out: &mut Vec<u8>) {
    if number.fract() == 0.0 && (0.0..1e9).contains(&number) {
        write_integer(number as u64, out);
        out.extend_from_slice(b".0");
    } else {
        // Writing to a vector cannot fail.
        let _ = write!(out, "{number:?}");
    }
}

pub fn write_integer(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

//! What makes a transaction fraud: latent factors that columns show only through noise, their interactions, the card,
//! the hour, and weights that move over the half year.
//!
//! A row's log-odds are an intercept per product and week plus [`log_odds`]; [`Intercepts`] solves the intercepts so
//! that the weekly fraud rates by product are the profile's. Factors are standard normal and independent, so a factor
//! of weight w separates the classes by about w standard deviations.

use super::cards::Card;
use super::normal::{Draws, logit, sigmoid};
use super::profile::Profile;
use crate::training::seed::Seed;

pub const N_FACTORS: usize = 10;
/// Weight of each factor at the beginning and at the end of the span: some patterns fade, others come up. A positive
/// factor is always the riskier side; columns that fall with risk load on it negatively.
const WEIGHTS: [(f64, f64); N_FACTORS] = [
    (1.1, 0.7), // velocity: how often card, address, device were seen
    (0.8, 1.1), // match: do the names agree
    (0.9, 0.6), // newness: little time since earlier events
    (0.3, 0.9), // spend: sums of amounts
    (0.9, 0.5), // device
    (0.3, 0.9), // session
    (0.8, 0.5), // identity
    (0.8, 0.3), // lack of history
    (0.5, 0.9), // linkage: how many others share what this one shows
    (0.7, 0.1), // residue: what the first months' fraudsters left behind
];
const CARD_RISK: f64 = 0.7;
const COMPROMISE: f64 = 2.2;
const NOISE: f64 = 0.5;
/// Samples per product and week from which an intercept is solved.
const SAMPLES: u64 = 1024;
/// The profile's weekly rate counts like this many rows of the product's overall rate.
const PRIOR_ROWS: f64 = 300.0;

/// How far a factor of its own separates the classes on average, in standard deviations.
pub fn separation(factor: usize) -> f64 {
    let (start, end) = WEIGHTS[factor];
    0.5 * (start + end)
}

/// The latent state of one transaction.
pub struct Latents {
    pub factors: [f64; N_FACTORS],
    noise: f64,
}

impl Latents {
    pub fn draw(draws: &mut Draws) -> Latents {
        Latents { factors: std::array::from_fn(|_| draws.normal()), noise: draws.normal() }
    }

    /// Log-odds of fraud before the intercept; `time` runs from 0 to 1.
    pub fn log_odds(&self, card: &Card, product: &str, time: f64) -> f64 {
        let f = &self.factors;
        let main: f64 = WEIGHTS.iter().zip(f).map(|((start, end), f)| (start + (end - start) * time) * f).sum();
        // Many links are normal for long-standing customers and telling for new ones; a bought-in foreign card behaves
        // the other way round; spending matters where velocity is high.
        let linked_and_new = 0.45 * f[8] * f[2];
        let foreign = if product == "C" { 0.6 * f[1] - 0.5 * f[7] } else { 0.0 };
        let spree = 0.4 * f[0] * f[3];
        let compromise = if card.is_compromised(time) { COMPROMISE } else { 0.0 };
        main + linked_and_new + foreign + spree + CARD_RISK * card.risk + compromise + NOISE * self.noise
    }
}

/// Intercepts per product and week, and the effect of the hour.
pub struct Intercepts {
    by_product: Vec<Vec<f64>>,
    by_hour: Vec<f64>,
}

impl Intercepts {
    /// `draw(product, time, draws)` gives log-odds of random rows of a product at a time.
    pub fn solve(profile: &Profile, seed: Seed, draw: impl Fn(usize, f64, &mut Draws) -> f64) -> Intercepts {
        let overall = profile.products.iter().map(|p| p.fraud_rate * p.weekly_rows.iter().sum::<f64>()).sum::<f64>()
            / profile.products.iter().flat_map(|p| &p.weekly_rows).sum::<f64>();
        let by_hour: Vec<f64> = profile.hourly_fraud_rate.iter().map(|&rate| logit(rate) - logit(overall)).collect();
        let by_product = profile.products.iter().enumerate().map(|(at, product)| {
            let mut draws = Draws::new(seed.derive("product", at as u64));
            let weeks = product.weekly_rows.len();
            let week = |week: usize| {
                let rows = product.weekly_rows[week];
                let rate =
                    (product.weekly_fraud_rate[week] * rows + product.fraud_rate * PRIOR_ROWS) / (rows + PRIOR_ROWS);
                let time = (week as f64 + 0.5) / weeks as f64;
                let mut sample =
                    |_| draw(at, time, &mut draws) + by_hour[hour_of(draws.uniform(), &profile.hourly_rows)];
                let odds: Vec<f64> = (0..SAMPLES).map(&mut sample).collect();
                intercept(&odds, rate)
            };
            (0..weeks).map(week).collect()
        });
        Intercepts { by_product: by_product.collect(), by_hour }
    }

    /// The part of the log-odds that product, week and hour fix.
    pub fn at(&self, product: usize, time: f64, hour: usize) -> f64 {
        let weeks = &self.by_product[product];
        weeks[((time * weeks.len() as f64) as usize).min(weeks.len() - 1)] + self.by_hour[hour]
    }
}

/// The index whose share of `weights` holds `u` in 0..1.
pub fn hour_of(u: f64, weights: &[f64]) -> usize {
    let mut left = u * weights.iter().sum::<f64>();
    for (at, weight) in weights.iter().enumerate() {
        left -= weight;
        if left < 0.0 {
            return at;
        }
    }
    weights.len() - 1
}

/// The shift that gives these log-odds the mean probability `rate`, by bisection.
fn intercept(odds: &[f64], rate: f64) -> f64 {
    let (mut low, mut high) = (-30.0, 30.0);
    for _ in 0..32 {
        let middle = 0.5 * (low + high);
        let mean = odds.iter().map(|odds| sigmoid(odds + middle)).sum::<f64>() / odds.len() as f64;
        if mean < rate { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

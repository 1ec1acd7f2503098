//! The cards: who pays. A card keeps its `card1`..`card6` and its home `addr1`, has a risk of its own, and may be
//! compromised for some weeks.
//!
//! Popularity follows the profile: 10 cards make 15 % of the rows, 100 make 47 %, 13,553 make all. One card in eight
//! is foreign; product C is mostly bought with those. The table is drawn once from the seed.

use super::normal::Draws;
use super::profile::{Levels, Profile, Values, write_integer};
use crate::training::error::{Error, Result};
use crate::training::seed::Seed;

const N_CARDS: usize = 13_553;
const FOREIGN_EVERY: usize = 8;
/// (share of the rows, rank): how many of the most used cards make up that share.
const POPULARITY: [(f64, f64); 8] = [
    (0.0, 0.7),
    (0.0253, 1.0),
    (0.152, 10.0),
    (0.474, 100.0),
    (0.79, 678.0),
    (0.87, 1355.0),
    (0.95, 3388.0),
    (1.0, N_CARDS as f64),
];
/// Share of cards that are compromised once, and for how long (share of the whole span).
const COMPROMISED: f64 = 0.12;
const EPISODE: f64 = 0.07;
/// The most used cards stand for whole issuers: they are never compromised as one.
const ISSUERS: usize = 60;

pub struct Card {
    /// `card1,card2,card3,card4,card5,card6` as written.
    pub text: Vec<u8>,
    pub home: String,
    /// Standard normal.
    pub risk: f64,
    /// When it is compromised, on the time axis 0..1.
    pub episode: Option<(f64, f64)>,
}

impl Card {
    pub fn is_compromised(&self, time: f64) -> bool {
        self.episode.is_some_and(|(start, end)| (start..end).contains(&time))
    }
}

pub struct Cards {
    domestic: Vec<Card>,
    foreign: Vec<Card>,
}

/// The level table of a card column.
fn levels<'a>(profile: &'a Profile, name: &str) -> Result<&'a Levels> {
    match &profile.column(name)?.values {
        Values::Levels(levels) => Ok(levels),
        Values::Curve(_) => Err(Error::failed(format!("the embedded profile has no levels for `{name}`"))),
    }
}

impl Cards {
    pub fn new(profile: &Profile, seed: Seed) -> Result<Cards> {
        let mut draws = Draws::new(seed);
        let mut cards = Cards { domestic: Vec::new(), foreign: Vec::new() };
        let numbers = card_numbers(&profile.top_card1, &mut draws);
        for (rank, number) in numbers.into_iter().enumerate() {
            let foreign = rank % FOREIGN_EVERY == FOREIGN_EVERY - 1;
            let card = Card::new(profile, number, foreign, rank >= ISSUERS, &mut draws)?;
            if foreign { &mut cards.foreign } else { &mut cards.domestic }.push(card);
        }
        Ok(cards)
    }

    /// A card by its popularity.
    pub fn pick(&self, product: &str, draws: &mut Draws) -> &Card {
        let foreign = draws.uniform() < if product == "C" { 0.62 } else { 0.035 };
        let pool = if foreign { &self.foreign } else { &self.domestic };
        let rank = rank_at(draws.uniform()) * pool.len() as f64 / N_CARDS as f64;
        &pool[(rank as usize).min(pool.len() - 1)]
    }
}

impl Card {
    fn new(profile: &Profile, number: u32, foreign: bool, may_be_compromised: bool, draws: &mut Draws) -> Result<Card> {
        let risk = draws.normal();
        let hidden = |name: &str, draws: &mut Draws| -> Result<bool> {
            let mask = profile.column(name)?.mask.map(|mask| &profile.masks[mask]);
            Ok(mask.is_some_and(|mask| mask.hides(0, 0.5, draws.normal())))
        };
        let mut text = Vec::new();
        write_integer(u64::from(number), &mut text);
        let brand_hidden = hidden("card3", draws)?;
        for (name, loading) in [("card2", 0.4), ("card3", 0.0), ("card4", 0.1), ("card5", 0.4), ("card6", 0.45)] {
            let z = loading * risk + (1.0 - loading * loading).sqrt() * draws.normal();
            let missing = match name {
                "card2" | "card5" => hidden(name, draws)?,
                _ => brand_hidden,
            };
            text.push(b',');
            if !missing {
                let level = match name {
                    "card3" if foreign => "185.0",
                    "card3" if draws.uniform() < 0.97 => "150.0",
                    _ => levels(profile, name)?.at(z),
                };
                text.extend_from_slice(level.as_bytes());
            }
        }
        let start = draws.uniform();
        let compromised = may_be_compromised && draws.uniform() < COMPROMISED;
        let episode = compromised.then_some((start, start + EPISODE));
        let home = levels(profile, "addr1")?.at(draws.normal()).to_owned();
        Ok(Card { text, home, risk, episode })
    }
}

/// Distinct card numbers by rank: the known top ones, then the rest of 1000..=18396 in random order.
fn card_numbers(top: &[u32], draws: &mut Draws) -> Vec<u32> {
    let mut rest: Vec<u32> = (1000..=18396).filter(|number| !top.contains(number)).collect();
    for i in (1..rest.len()).rev() {
        rest.swap(i, draws.below(i + 1));
    }
    top.iter().copied().chain(rest).take(N_CARDS).collect()
}

/// The (fractional) rank below which a share `u` of all rows lies: linear in the logarithm of the rank.
fn rank_at(u: f64) -> f64 {
    let right = POPULARITY.partition_point(|&(share, _)| share < u).clamp(1, POPULARITY.len() - 1);
    let ((a, from), (b, to)) = (POPULARITY[right - 1], POPULARITY[right]);
    libm::exp(libm::log(from) + (u - a) / (b - a) * (libm::log(to) - libm::log(from))) - 0.7
}

//! One block of rows as CSV bytes: latent state first, then the label, then every cell off the same state.
//!
//! A block depends on the seed, its number and the total row count alone, so blocks can be made in any order.

use super::cards::{Card, Cards};
use super::clock::Clock;
use super::fraud::{self, Intercepts, Latents, index_at};
use super::normal::{Draws, sigmoid};
use super::profile::{Column, Profile, Values, write_integer, write_number};
use super::{SynthConfig, columns};
use crate::training::error::Result;
use crate::training::seed::Seed;

pub const BLOCK_ROWS: usize = 4096;
const FIRST_ID: u64 = 2_987_000;
/// Cells are coarse and log-odds saturate, so a column separates the classes less than its normal number would: by
/// this much, found by comparing single-column AUCs with the profile's.
const LOADING_GAIN: f64 = 2.5;
/// No column shows a factor better than this.
const MAX_LOADING: f64 = 0.9;
/// Of a column's noise, the part its siblings share.
const SHARED_NOISE: f64 = 0.6;
/// How much the missing groups of one row agree.
const SHARED_GAPS: f64 = 0.7;
/// How far the amount shows the spend factor (the fourth).
const SPEND_IN_AMOUNT: f64 = 0.35;
/// How often the billing address is the card's home.
const AT_HOME: f64 = 0.85;

/// A column to write, with what drawing it needs.
struct Plan<'a> {
    column: &'a Column,
    loading: f64,
    rest: f64,
}

impl<'a> Plan<'a> {
    fn new(profile: &'a Profile, name: &str) -> Result<Plan<'a>> {
        let column = profile.column(name)?;
        let full = column.factor.map_or(f64::INFINITY, fraud::separation);
        let loading = (LOADING_GAIN * column.separation / full).clamp(-MAX_LOADING, MAX_LOADING);
        Ok(Plan { column, loading, rest: (1.0 - loading * loading).sqrt() })
    }

    /// The standard normal number whose quantile is the cell.
    fn z(&self, row: &Row, draws: &mut Draws) -> f64 {
        let own = (1.0 - SHARED_NOISE * SHARED_NOISE).sqrt() * draws.rough_normal();
        let noise = SHARED_NOISE * row.siblings[self.column.sibling] + own;
        let signal = self.column.factor.map_or(0.0, |factor| self.loading * row.latents.factors[factor]);
        signal + self.rest * noise + self.column.drift * (row.time - 0.5)
    }

    fn write(&self, row: &Row, draws: &mut Draws, out: &mut Vec<u8>) {
        out.push(b',');
        if !self.column.mask.is_some_and(|mask| row.hidden[mask]) {
            self.column.values.write(self.z(row, draws), out);
        }
    }
}

/// The state of one row, from which all its cells are drawn.
struct Row<'a> {
    id: u64,
    seconds: f64,
    time: f64,
    product: usize,
    card: &'a Card,
    latents: Latents,
    siblings: Vec<f64>,
    hidden: Vec<bool>,
}

/// What one block came to.
#[derive(Default)]
pub struct Block {
    pub transactions: Vec<u8>,
    pub identities: Vec<u8>,
    pub rows: u64,
    pub frauds: u64,
    pub identity_rows: u64,
}

/// Everything that all blocks share.
pub struct Generator<'a> {
    profile: &'a Profile,
    seed: Seed,
    n_rows: usize,
    cards: Cards,
    clock: Clock,
    intercepts: Intercepts,
    address: [Plan<'a>; 2],
    transaction: Vec<Plan<'a>>,
    identity: Vec<Plan<'a>>,
}

impl<'a> Generator<'a> {
    pub fn new(profile: &'a Profile, config: &SynthConfig) -> Result<Generator<'a>> {
        let seed = Seed::new(config.seed);
        let cards = Cards::new(profile, seed.derive("cards", 0))?;
        let log_odds = |product: usize, time: f64, draws: &mut Draws| {
            let code = &profile.products[product].code;
            let card = cards.pick(code, draws);
            Latents::draw(time, draws).log_odds(card, code, time)
        };
        let intercepts = Intercepts::solve(profile, seed.derive("intercepts", 0), log_odds);
        let plans = |names: &[String]| names.iter().map(|name| Plan::new(profile, name)).collect::<Result<Vec<_>>>();
        Ok(Generator {
            profile,
            seed,
            n_rows: config.rows,
            intercepts,
            cards,
            clock: Clock::new(&profile.daily_rows, &profile.hourly_rows),
            address: [Plan::new(profile, "addr1")?, Plan::new(profile, "addr2")?],
            transaction: plans(&columns::transaction()[columns::N_TRANSACTION_KEYS..])?,
            identity: plans(&columns::identity()[1..])?,
        })
    }

    pub fn n_blocks(&self) -> usize {
        self.n_rows.div_ceil(BLOCK_ROWS)
    }

    pub fn block(&self, number: usize) -> Block {
        let mut draws = Draws::new(self.seed.derive("block", number as u64));
        let mut block = Block::default();
        // Systematic sampling: each row is fraud with its own probability, and the count per block hardly varies.
        let mut expected = draws.uniform();
        for at in number * BLOCK_ROWS..((number + 1) * BLOCK_ROWS).min(self.n_rows) {
            let row = self.row(at, &mut draws);
            let before = expected;
            expected += sigmoid(self.log_odds(&row));
            let is_fraud = expected.floor() > before.floor();
            block.rows += 1;
            block.frauds += u64::from(is_fraud);
            self.write_transaction(&row, is_fraud, &mut draws, &mut block.transactions);
            if draws.uniform() < self.profile.products[row.product].identity_rate {
                block.identity_rows += 1;
                self.write_identity(&row, &mut draws, &mut block.identities);
            }
        }
        block
    }

    fn row(&self, at: usize, draws: &mut Draws) -> Row<'_> {
        let seconds = self.clock.seconds((at as f64 + draws.uniform()) / self.n_rows as f64);
        let time = self.clock.time(seconds);
        let product = self.product(time, draws.uniform());
        let agreed = draws.normal();
        let gap = (1.0 - SHARED_GAPS * SHARED_GAPS).sqrt();
        Row {
            id: FIRST_ID + at as u64,
            seconds,
            time,
            product,
            card: self.cards.pick(&self.profile.products[product].code, draws),
            latents: Latents::draw(time, draws),
            siblings: (0..self.profile.n_siblings).map(|_| draws.rough_normal()).collect(),
            hidden: (self.profile.masks.iter())
                .map(|mask| mask.hides(product, time, SHARED_GAPS * agreed + gap * draws.normal()))
                .collect(),
        }
    }

    /// The product by its share of the week's rows.
    fn product(&self, time: f64, u: f64) -> usize {
        let n_weeks = self.profile.products[0].weekly_rows.len();
        let week = ((time * n_weeks as f64) as usize).min(n_weeks - 1);
        let rows: Vec<f64> = self.profile.products.iter().map(|product| product.weekly_rows[week]).collect();
        index_at(u, &rows)
    }

    fn log_odds(&self, row: &Row) -> f64 {
        let hour = (row.seconds / 3600.0) as usize % 24;
        let fixed = self.intercepts.at(row.product, row.time, hour);
        fixed + row.latents.log_odds(row.card, &self.profile.products[row.product].code, row.time)
    }

    fn write_transaction(&self, row: &Row, is_fraud: bool, draws: &mut Draws, out: &mut Vec<u8>) {
        let product = &self.profile.products[row.product];
        write_integer(row.id, out);
        out.extend_from_slice(if is_fraud { b",1," } else { b",0," });
        write_integer(row.seconds as u64, out);
        out.push(b',');
        write_number(self.amount(row, draws), out);
        out.push(b',');
        out.extend_from_slice(product.code.as_bytes());
        out.push(b',');
        out.extend_from_slice(&row.card.text);
        self.write_address(row, draws, out);
        for plan in &self.transaction {
            plan.write(row, draws, out);
        }
        out.push(b'\n');
    }

    /// W prices end in .95, .0 or any cents; the others are rounded by their curve.
    fn amount(&self, row: &Row, draws: &mut Draws) -> f64 {
        let product = &self.profile.products[row.product];
        let rest = (1.0 - SPEND_IN_AMOUNT * SPEND_IN_AMOUNT).sqrt();
        let amount = product.amount.at(SPEND_IN_AMOUNT * row.latents.factors[3] + rest * draws.normal());
        let style = draws.uniform();
        match product.code.as_str() {
            "W" if style < 0.4 => amount.floor() + 0.95,
            "W" if style < 0.8 => amount.round().max(1.0),
            _ => amount,
        }
    }

    fn write_address(&self, row: &Row, draws: &mut Draws, out: &mut Vec<u8>) {
        let [home, country] = &self.address;
        let at_home = draws.uniform() < AT_HOME;
        let z = draws.normal();
        out.push(b',');
        if !home.column.mask.is_some_and(|mask| row.hidden[mask]) {
            match &home.column.values {
                Values::Levels(_) if at_home => out.extend_from_slice(row.card.home.as_bytes()),
                values => values.write(z, out),
            }
        }
        country.write(row, draws, out);
    }

    fn write_identity(&self, row: &Row, draws: &mut Draws, out: &mut Vec<u8>) {
        write_integer(row.id, out);
        for plan in &self.identity {
            plan.write(row, draws, out);
        }
        out.push(b'\n');
    }
}

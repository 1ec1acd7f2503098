//! The headline figures of one model over rows that count as often as they were drawn. In: labels, scores, days and
//! entities of the rows, sorted once; then a count per row. Out: [`Figures`], in one pass per count.
//!
//! A count stands for copies of a row: the figures are those of the rows written out (property test). With a count of 1
//! each they are those of [`super::measure`].
//! * Rows of equal score are one step, as everywhere here. Neighbouring steps without a positive are joined: they change no
//!   figure, and most rows of fraud data lie in them.
//! * At k: every day's k rows of highest score are its alerts (all rows are one day where no time is declared). Of rows
//!   tied at the k-th place the expected share counts. Precision is frauds among alerts / alerts, recall frauds among
//!   alerts / frauds, over all days together.
//! * Cards at k (Dal Pozzolo et al. 2018): each day ranks cards by the highest score of their rows; a card counts as
//!   compromised if one of its rows of that day is a fraud. Here a card that was found on an earlier day stays in. A card
//!   has as many copies as its row that was drawn most often, the nth of them its rows that were drawn n times or more:
//!   counted once, its intervals were too narrow (they held the truth in 83 of 100 cases instead of 95).

use super::facts::{RowFacts, Unit, numbered};

/// The figures by name, in their order.
pub const HEADLINE: [&str; N_HEADLINE] = [
    "average_precision",
    "auc",
    "recall_at_fpr_1",
    "recall_at_fpr_5",
    "precision_at_k",
    "recall_at_k",
    "card_precision_at_k",
];
pub const N_HEADLINE: usize = 7;

/// One per name of [`HEADLINE`]; NaN where it is not defined.
pub type Figures = [f64; N_HEADLINE];

/// Rows by descending score in segments: positives, then negatives, that share a score or lie between positives.
#[derive(Debug, Default)]
struct Segments {
    rows: Vec<u32>,
    /// Where the positives of a segment end, and where it ends.
    ends: Vec<[u32; 2]>,
}

impl Segments {
    /// `ranked`: rows by descending score, positives first among equals.
    fn of(ranked: &[u32], labels: &[u8], scores: &[f32]) -> Segments {
        let mut ends: Vec<[u32; 2]> = Vec::new();
        let (mut start, mut negatives_alone) = (0u32, false);
        for tied in ranked.chunk_by(|&a, &b| scores[a as usize] == scores[b as usize]) {
            let n_positives = tied.iter().take_while(|&&row| labels[row as usize] == 1).count() as u32;
            let end = start + tied.len() as u32;
            match ends.last_mut() {
                Some(last) if n_positives == 0 && negatives_alone => last[1] = end,
                _ => ends.push([start + n_positives, end]),
            }
            negatives_alone = n_positives == 0;
            start = end;
        }
        Segments { rows: ranked.to_vec(), ends }
    }

    /// Drawn positives and negatives of each segment, highest scores first.
    fn counted<'a>(&'a self, counts: &'a [u16]) -> impl Iterator<Item = (u64, u64)> + 'a {
        let mut start = 0usize;
        self.ends.iter().map(move |&[positives_end, end]| {
            let (middle, end) = (positives_end as usize, end as usize);
            let sum = |rows: &[u32]| rows.iter().map(|&row| u32::from(counts[row as usize])).sum::<u32>();
            let found = (sum(&self.rows[start..middle]), sum(&self.rows[middle..end]));
            start = end;
            (u64::from(found.0), u64::from(found.1))
        })
    }
}

/// The cards of one day.
#[derive(Debug)]
struct DayOfCards {
    /// Rows by descending score, and where each score ends.
    rows: Vec<u32>,
    ends: Vec<u32>,
    positives: Vec<u32>,
}

/// One model's rows, sorted once for any number of draws.
#[derive(Debug)]
pub struct RankedRows<'a> {
    all: Segments,
    days: Vec<Segments>,
    cards: Vec<DayOfCards>,
    groups: Option<&'a [u32]>,
    /// Alerts a day.
    k: usize,
    /// Whether counts are those of days, each of which then counts as a whole.
    whole_days: bool,
}

/// What one thread works with: reused from draw to draw.
#[derive(Debug, Default)]
pub struct Scratch {
    cards: Vec<Copies>,
    /// Of the day that is counted now; what stands for another one counts as nothing.
    epoch: u32,
}

/// Of one card on one day.
#[derive(Debug, Default, Clone, Copy)]
struct Copies {
    epoch: u32,
    /// How many were ranked so far, and how many hold a fraud.
    ranked: u16,
    compromised: u16,
}

impl Scratch {
    fn card(&mut self, group: u32) -> &mut Copies {
        let card = &mut self.cards[group as usize];
        if card.epoch != self.epoch {
            *card = Copies { epoch: self.epoch, ..Copies::default() };
        }
        card
    }
}

impl<'a> RankedRows<'a> {
    /// `None` where a score is not a number. `k` alerts a day; `unit` is what counts will be drawn by.
    pub fn new(labels: &[u8], scores: &[f32], facts: &'a RowFacts, k: usize, unit: Unit) -> Option<RankedRows<'a>> {
        assert_eq!(labels.len(), scores.len(), "one score per label");
        if scores.iter().any(|score| score.is_nan()) {
            return None;
        }
        let mut ranked: Vec<u32> = (0..labels.len() as u32).collect();
        let key = |row: u32| (scores[row as usize], labels[row as usize]);
        ranked.sort_unstable_by(|&a, &b| {
            let (a_key, b_key) = (key(a), key(b));
            b_key.0.total_cmp(&a_key.0).then(b_key.1.cmp(&a_key.1)).then(a.cmp(&b))
        });
        let by_day = split_by_day(&ranked, facts.days.as_deref());
        let cards = |rows: &Vec<u32>| DayOfCards {
            ends: ends_of_scores(rows, scores),
            positives: rows.iter().copied().filter(|&row| labels[row as usize] == 1).collect(),
            rows: rows.clone(),
        };
        Some(RankedRows {
            all: Segments::of(&ranked, labels, scores),
            days: by_day.iter().map(|rows| Segments::of(rows, labels, scores)).collect(),
            cards: if facts.groups.is_some() { by_day.iter().map(cards).collect() } else { Vec::new() },
            groups: facts.groups.as_deref(),
            k,
            whole_days: unit == Unit::Day && facts.days.is_some(),
        })
    }

    /// The figures of rows that count so often; every row once: the figures of the rows themselves.
    pub fn figures(&self, counts: &[u16], scratch: &mut Scratch) -> Figures {
        let (n_positives, n_negatives) =
            self.all.counted(counts).fold((0, 0), |sum, found| (sum.0 + found.0, sum.1 + found.1));
        let [average_precision, auc, recall_at_fpr_1, recall_at_fpr_5] = self.ranking(counts, n_positives, n_negatives);
        let (precision_at_k, recall_at_k) = self.at_k(counts, n_positives);
        let card_precision_at_k = self.cards_at_k(counts, scratch);
        [average_precision, auc, recall_at_fpr_1, recall_at_fpr_5, precision_at_k, recall_at_k, card_precision_at_k]
    }

    fn ranking(&self, counts: &[u16], n_positives: u64, n_negatives: u64) -> [f64; 4] {
        let allowed = [0.01, 0.05].map(|max_fpr| most_within(max_fpr, n_negatives));
        let (mut tp, mut fp, mut doubled, mut precisions) = (0u64, 0u64, 0u128, 0.0);
        let mut tp_within = [0u64; 2];
        for (positives, negatives) in self.all.counted(counts) {
            doubled += u128::from(positives) * u128::from(2 * (n_negatives - fp) - negatives);
            tp += positives;
            fp += negatives;
            if positives > 0 {
                precisions += positives as f64 * (tp as f64 / (tp + fp) as f64);
            }
            for (within, allowed) in tp_within.iter_mut().zip(allowed) {
                if fp <= allowed {
                    *within = tp;
                }
            }
        }
        let (positives, negatives) = (n_positives as f64, n_negatives as f64);
        let both = n_positives > 0 && n_negatives > 0;
        let of_both = |figure: f64| if both { figure } else { f64::NAN };
        [
            if n_positives > 0 { precisions / positives } else { f64::NAN },
            of_both(doubled as f64 / (2.0 * positives * negatives)),
            of_both(tp_within[0] as f64 / positives),
            of_both(tp_within[1] as f64 / positives),
        ]
    }

    /// How often a day counts, and what its rows count: (1, as drawn), but where days were drawn (as drawn, 1).
    fn day(&self, rows: &[u32], counts: &[u16]) -> u64 {
        match (self.whole_days, rows.first()) {
            (true, Some(&row)) => u64::from(counts[row as usize]),
            _ => 1,
        }
    }

    fn at_k(&self, counts: &[u16], n_positives: u64) -> (f64, f64) {
        let (mut caught, mut alerts) = (0.0, 0u64);
        for day in &self.days {
            let times = self.day(&day.rows, counts);
            let (mut left, mut caught_today) = (self.k as u64, 0.0);
            let mut take = |(positives, negatives): (u64, u64)| {
                let (positives, negatives) = match self.whole_days {
                    true => (positives / times.max(1), negatives / times.max(1)),
                    false => (positives, negatives),
                };
                let taken = left.min(positives + negatives);
                if positives > 0 && taken > 0 {
                    caught_today += taken as f64 * positives as f64 / (positives + negatives) as f64;
                }
                left -= taken;
                left > 0
            };
            if times > 0 {
                let _ = day.counted(counts).take_while(|&found| take(found)).count();
                caught += times as f64 * caught_today;
                alerts += times * (self.k as u64 - left);
            }
        }
        let share = |whole: u64| if whole > 0 { caught / whole as f64 } else { f64::NAN };
        (share(alerts), share(n_positives))
    }

    fn cards_at_k(&self, counts: &[u16], scratch: &mut Scratch) -> f64 {
        let Some(groups) = self.groups else { return f64::NAN };
        let n_groups = groups.iter().max().map_or(0, |&last| last as usize + 1);
        if scratch.cards.len() < n_groups {
            scratch.cards.resize(n_groups, Copies::default());
        }
        let drawn = |row: u32| if self.whole_days { counts[row as usize].min(1) } else { counts[row as usize] };
        let (mut caught, mut alerts) = (0.0, 0.0);
        for day in &self.cards {
            scratch.epoch += 1;
            let times = self.day(&day.rows, counts) as f64;
            let (caught_today, cards) = if times > 0.0 { day.cards(groups, drawn, self.k, scratch) } else { (0.0, 0) };
            caught += times * caught_today;
            alerts += times * cards as f64;
        }
        if alerts > 0.0 { caught / alerts } else { f64::NAN }
    }
}

impl DayOfCards {
    /// Compromised cards among the k first of the day (the expected number where cards are tied), and how many cards that
    /// are.
    fn cards(&self, groups: &[u32], drawn: impl Fn(u32) -> u16, k: usize, scratch: &mut Scratch) -> (f64, usize) {
        let is_drawn = |row: &&u32| drawn(**row) > 0;
        for &row in self.positives.iter().filter(is_drawn) {
            let card = scratch.card(groups[row as usize]);
            card.compromised = card.compromised.max(drawn(row));
        }
        let (mut left, mut caught, mut start) = (k, 0.0, 0usize);
        for &end in &self.ends {
            let (mut cards, mut compromised) = (0usize, 0usize);
            for &row in self.rows[start..end as usize].iter().filter(is_drawn) {
                let card = scratch.card(groups[row as usize]);
                let ranked = card.ranked.max(drawn(row));
                cards += usize::from(ranked - card.ranked);
                compromised += usize::from(ranked.min(card.compromised) - card.ranked.min(card.compromised));
                card.ranked = ranked;
            }
            let taken = left.min(cards);
            if taken > 0 {
                caught += taken as f64 * compromised as f64 / cards as f64;
            }
            left -= taken;
            start = end as usize;
            if left == 0 {
                break;
            }
        }
        (caught, k - left)
    }
}

/// The most false positives whose rate is at most `max_fpr`, as [`super::ranking::Ranking`] compares.
fn most_within(max_fpr: f64, n_negatives: u64) -> u64 {
    let within = |fp: u64| fp as f64 / n_negatives as f64 <= max_fpr;
    let guess = (max_fpr * n_negatives as f64) as u64;
    (guess.saturating_sub(1)..=guess + 1).rev().find(|&fp| within(fp)).unwrap_or(0)
}

fn split_by_day(ranked: &[u32], days: Option<&[u32]>) -> Vec<Vec<u32>> {
    let Some(days) = days else { return vec![ranked.to_vec()] };
    let (days, n_days) = numbered(days);
    let mut by_day = vec![Vec::new(); n_days];
    for &row in ranked {
        by_day[days[row as usize] as usize].push(row);
    }
    by_day
}

fn ends_of_scores(ranked: &[u32], scores: &[f32]) -> Vec<u32> {
    let mut end = 0;
    let tied = ranked.chunk_by(|&a, &b| scores[a as usize] == scores[b as usize]);
    tied.map(|tied| {
        end += tied.len() as u32;
        end
    })
    .collect()
}

#[cfg(test)]
mod tests;

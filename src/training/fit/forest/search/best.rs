//! The best cut of each column where sums are counts and Gini decides: pairs in nodes of few rows, else histograms whose gains
//! are filtered in f32, and in f64 alone where a node has more draws than f32 can tell apart.

use super::{Found, FoundCut, Node, Rules, Search, keep};
use crate::training::fit::forest::bins::MISSING;
use crate::training::fit::forest::few;
use crate::training::fit::forest::gain::Gauge;
use crate::training::fit::forest::histogram::Histogram;
use crate::training::fit::forest::peaks::{Columns, NEAR};
use crate::training::fit::forest::samples::{Counts, Sample, Sum};
use crate::training::fit::forest::split::{Judge, Verdict};
use crate::training::fit::forest::tally;

impl<T: Sum> Search<T> {
    /// The best cuts of columns whose sums are counts, by Gini.
    pub(super) fn look_for_best<S: Sample<Sum = T>>(
        &mut self,
        rules: &Rules,
        features: &[u32],
        node: &Node<S>,
        best: &mut Option<Found<T>>,
    ) -> u32 {
        let n_draws = node.total.n_samples();
        let total = Counts::of_counts(node.total.counts());
        if node.n_rows() <= few::MOST_ROWS && n_draws <= few::MOST_DRAWS {
            return self.best_of_few(rules, features, node, total, best);
        }
        if n_draws > Gauge::MOST_DRAWS {
            return self.best_of_many(rules, features, node, best);
        }
        let gauge = Gauge::new(total, rules.class_weights);
        let cells = &mut *self.small;
        tally::fill(cells, &mut self.rows, node.codes, features, node.classes);
        let most_bins = features.iter().map(|&feature| rules.binned.n_bins(feature as usize)).max().unwrap_or(0);
        let columns = Columns { cells, n: features.len(), n_bins: most_bins, gauge: &gauge };
        let highest = self.peaks.find(columns);
        // No cut of a column whose peak lies below that of another can be the best, however near both were found.
        let least = gauge.floor(highest.into_iter().fold(Gauge::NONE, f32::max) * NEAR);
        let mut constant = 0;
        for (lane, &feature) in features.iter().enumerate() {
            if highest[lane] == Gauge::NONE {
                constant |= 1 << lane;
                continue;
            }
            let needed = best.as_ref().map_or(least, |best| gauge.needed(best.verdict.cost).max(least));
            if highest[lane] < needed * NEAR {
                continue;
            }
            let judge = rules.judge(total, columns.missing(lane));
            keep_cheapest(best, feature as usize, &judge, self.peaks.reach(columns, lane, needed), |code| {
                columns.next_above(lane, code)
            });
        }
        // In pieces: at once they are many enough for an instruction that takes twice as long.
        cells[..most_bins].chunks_mut(16).for_each(|cells| cells.fill(Default::default()));
        cells[usize::from(MISSING)] = Default::default();
        constant
    }

    fn best_of_few<S: Sample<Sum = T>>(
        &mut self,
        rules: &Rules,
        features: &[u32],
        node: &Node<S>,
        total: Counts,
        best: &mut Option<Found<T>>,
    ) -> u32 {
        let Self { few, rows, .. } = self;
        few.begin(node.classes);
        rows.gather(node.codes, features, node.classes);
        let gauge = Gauge::new(total, rules.class_weights);
        few.compare(rows, &gauge, features.iter().any(|&feature| rules.binned.has_missing(feature as usize)));
        let mut constant = 0;
        for (lane, &feature) in features.iter().enumerate() {
            let judge = rules.judge(total, few.missing(lane));
            let found = keep_gain(
                best,
                feature as usize,
                &gauge,
                &judge,
                few.highest(lane),
                |floor| few.cuts(rows, lane, floor),
                |code| rows.next_above(lane, code),
            );
            constant |= found << lane;
        }
        constant
    }

    /// In a node of more draws than gains can tell: the cost of every cut, in f64.
    fn best_of_many<S: Sample<Sum = T>>(
        &mut self,
        rules: &Rules,
        features: &[u32],
        node: &Node<S>,
        best: &mut Option<Found<T>>,
    ) -> u32 {
        tally::fill(&mut self.large, &mut self.rows, node.codes, features, node.classes);
        let mut constant = 0;
        for (at, &feature) in features.iter().enumerate() {
            let Histogram { bins, seen } = &mut self.histogram;
            for ((bin, seen), cells) in bins.iter_mut().zip(seen).zip(self.large.iter_mut()) {
                *bin = T::of_counts(std::mem::take(&mut cells[at]).counts());
                *seen = u8::from(!bin.is_empty());
            }
            let candidate = self.judge_filled(rules, feature as usize, node);
            constant |= keep(best, candidate) << at;
        }
        constant
    }
}

/// The same of a column whose gains are known: only cuts that may cost less than the best so far are judged.
#[inline(always)]
fn keep_gain<T: Sum, C: Iterator<Item = (u8, Counts)>>(
    best: &mut Option<Found<T>>,
    feature: usize,
    gauge: &Gauge,
    judge: &Judge<Counts>,
    highest: f32,
    cuts: impl Fn(f32) -> C,
    next_above: impl Fn(u8) -> u8,
) -> u32 {
    if highest == Gauge::NONE {
        return 1;
    }
    if best.as_ref().is_none_or(|best| highest >= gauge.needed(best.verdict.cost)) {
        keep_cheapest(best, feature, judge, cuts(gauge.floor(highest)), next_above);
    }
    0
}

/// Judges cuts, ascending or not, and takes the cheapest over if it costs less than the best so far.
fn keep_cheapest<T: Sum>(
    best: &mut Option<Found<T>>,
    feature: usize,
    judge: &Judge<Counts>,
    cuts: impl Iterator<Item = (u8, Counts)>,
    next_above: impl Fn(u8) -> u8,
) {
    let mut found: Option<(u8, Verdict<Counts>)> = None;
    for (code, left) in cuts {
        if let Some(verdict) = judge.cut(left)
            && found.as_ref().is_none_or(|(lowest, found)| (verdict.cost, code) < (found.cost, *lowest))
        {
            found = Some((code, verdict));
        }
    }
    if let Some((code, Verdict { cost, missing_left, left })) = found
        && best.as_ref().is_none_or(|best| cost < best.verdict.cost)
    {
        let verdict = Verdict { cost, missing_left, left: T::of_counts(left.counts()) };
        *best = Some(Found { feature, cut: FoundCut::Between(code, next_above(code)), verdict });
    }
}

//! Cuts at drawn thresholds, for extra trees: the span of a column's codes in a node, a number within it, and what lies on
//! either side. Codes are gathered row by row (small nodes), column by column (large ones), or stay where they are (nodes
//! that are bits).

use rand_chacha::ChaCha8Rng;

use super::{Candidate, Codes, DenseNode, Found, FoundCut, Node, Rules, Search, keep};
use crate::training::fit::forest::bins::MISSING;
use crate::training::fit::forest::gain::Gauge;
use crate::training::fit::forest::samples::{Counts, Sample, Sum, unit};
use crate::training::fit::forest::sixteen::LANES;
use crate::training::fit::forest::split::Cut;
use crate::training::fit::forest::{dense, drawn};

/// Columns whose codes are gathered at once.
pub(super) const AT_ONCE: usize = 4;
/// So many columns are as soon judged as their gains compared.
const FEW_COLUMNS: usize = 4;
/// Codes whose count fits a byte.
const COUNTED_BY_BYTE: usize = 240;

/// What drawing a threshold came to.
enum Drawn {
    Constant,
    /// Codes up to this go left.
    Last(u8),
    At(Threshold),
}

/// A threshold, and the bins above which it may cut.
#[derive(Clone, Copy, Default)]
struct Threshold {
    x: f64,
    bins: [u8; 2],
}

impl Rules<'_> {
    /// Draws a threshold uniformly over the values that a node spans: from the lowest code to below the second number.
    fn draw(&self, feature: usize, (low, high): (u8, u8), has_missing: bool, rng: &mut ChaCha8Rng) -> Drawn {
        if low == MISSING || (low + 1 == high && !has_missing) {
            return Drawn::Constant;
        }
        if low + 1 == high {
            return Drawn::Last(MISSING - 1);
        }
        let [min, max] = self.binned.spans().values(feature, low, high - 1);
        // Below the highest bin, so that a value is left for the right side.
        Drawn::At(Threshold { x: min + unit(rng) * (max - min), bins: [low, high - 2] })
    }

    /// The cut at a drawn threshold of a column whose codes have this span and sum up to `sum_up_to` of the last on the left.
    fn judge_drawn<T: Sum>(
        &self,
        feature: usize,
        total: T,
        span: (u8, u8),
        sum_up_to: impl Fn(u8) -> T,
        rng: &mut ChaCha8Rng,
    ) -> Candidate<T> {
        let missing = match self.binned.has_missing(feature) {
            true => total.minus(sum_up_to(MISSING - 1)),
            false => T::default(),
        };
        let judge = self.judge(total, missing);
        let last = match self.draw(feature, span, judge.has_missing(), rng) {
            Drawn::Constant => return Candidate::Constant,
            Drawn::Last(last) => Some(last),
            Drawn::At(Threshold { x, bins }) => {
                let spans = self.binned.spans();
                spans.last_within(feature, bins[0], spans.around(feature, bins, x), x)
            }
        };
        let cut = last.and_then(|last| Some((last, judge.cut(sum_up_to(last))?)));
        cut.map_or(Candidate::Invalid, |(last, verdict)| {
            Candidate::Valid(Found { feature, cut: FoundCut::Known(Cut::AtMost(last)), verdict })
        })
    }
}

impl<T: Sum> Search<T> {
    /// Drawn cuts of columns that lie row by row.
    pub(super) fn look_for_drawn<S: Sample<Sum = T>>(
        &mut self,
        rules: &Rules,
        features: &[u32],
        node: &Node<S>,
        rng: &mut ChaCha8Rng,
        best: &mut Option<Found<T>>,
    ) -> u32 {
        let rows = &mut self.rows;
        rows.gather(node.codes, features, node.classes);
        let (low, high) = drawn::span(rows);
        let missing = match features.iter().any(|&feature| rules.binned.has_missing(feature as usize)) {
            true => drawn::missing(rows, node.classes, node.is_unit, node.total.counts()),
            false => [[0; LANES]; 2],
        };
        // Three walks over the columns: what one reads it need not have waited for in the one before.
        let mut constant = 0;
        let mut limits: [Option<u8>; LANES] = [None; LANES];
        let mut thresholds = [(0, Threshold::default()); LANES];
        let mut n_thresholds = 0;
        for (lane, &feature) in features.iter().enumerate() {
            let has_missing = missing[0][lane] + missing[1][lane] > 0;
            match rules.draw(feature as usize, (low[lane], high[lane]), has_missing, rng) {
                Drawn::Constant => constant |= 1 << lane,
                Drawn::Last(last) => limits[lane] = Some(last),
                Drawn::At(threshold) => {
                    thresholds[n_thresholds] = (lane, threshold);
                    n_thresholds += 1;
                }
            }
        }
        let spans = rules.binned.spans();
        let thresholds = &thresholds[..n_thresholds];
        let mut around = [[0; 2]; LANES];
        for &(lane, Threshold { x, bins }) in thresholds {
            around[lane] = spans.around(features[lane] as usize, bins, x);
        }
        for &(lane, Threshold { x, bins }) in thresholds {
            limits[lane] = spans.last_within(features[lane] as usize, bins[0], around[lane], x);
        }
        let lefts = drawn::count(rows, node.classes, node.is_unit, limits.map(Option::unwrap_or_default));
        self.keep_drawn(rules, features, node.total, &limits, [lefts, missing], best);
        constant
    }

    /// Judges what goes left in each column that has a limit, beside what is missing.
    fn keep_drawn(
        &self,
        rules: &Rules,
        features: &[u32],
        total: T,
        limits: &[Option<u8>; LANES],
        [lefts, missing]: [[[u32; LANES]; 2]; 2],
        best: &mut Option<Found<T>>,
    ) {
        let use_gains = features.len() > FEW_COLUMNS && rules.gains_decide() && total.n_samples() <= Gauge::MOST_DRAWS;
        let gauge = use_gains.then(|| Gauge::new(Counts::of_counts(total.counts()), rules.class_weights));
        let gains = gauge.map_or([f32::MAX; LANES], |gauge| gauge.gains(lefts, missing));
        let highest =
            limits.iter().zip(gains).filter(|(limit, _)| limit.is_some()).fold(Gauge::NONE, |a, (_, b)| a.max(b));
        let least = gauge.map_or(f32::MIN, |gauge| gauge.floor(highest));
        for (lane, limit) in limits.iter().enumerate() {
            let needed =
                gauge.zip(best.as_ref()).map_or(least, |(gauge, best)| gauge.needed(best.verdict.cost).max(least));
            if let Some(last) = *limit
                && gains[lane] >= needed
                && let [left, missing] = [lefts, missing].map(|draws| T::of_counts(draws.map(|class| class[lane])))
                && let Some(verdict) = rules.judge(total, missing).cut(left)
            {
                let cut = FoundCut::Known(Cut::AtMost(last));
                keep(best, Candidate::Valid(Found { feature: features[lane] as usize, cut, verdict }));
            }
        }
    }

    /// Drawn cuts of columns that lie column by column.
    pub(super) fn look_for_drawn_by_column<S: Sample<Sum = T>>(
        &mut self,
        rules: &Rules,
        features: &[u32],
        node: &Node<S>,
        rng: &mut ChaCha8Rng,
        best: &mut Option<Found<T>>,
    ) -> u32 {
        let mut constant = 0;
        for (group, features) in features.chunks(AT_ONCE).enumerate() {
            gather_columns(&mut self.columns, node.codes, features, node.classes);
            for (at, &feature) in features.iter().enumerate() {
                let candidate = self.draw(at, rules, feature as usize, node, rng);
                constant |= keep(best, candidate) << (group * AT_ONCE + at);
            }
        }
        constant
    }

    /// Drawn cuts of a node that is one bit per row.
    pub fn look_at_dense(
        &mut self,
        rules: &Rules,
        features: &[u32],
        node: &DenseNode<T>,
        rng: &mut ChaCha8Rng,
        best: &mut Option<Found<T>>,
    ) -> u32 {
        let mut constant = 0;
        for (at, &feature) in features.iter().enumerate() {
            let feature = feature as usize;
            let column = rules.binned.column(feature);
            let sum_up_to = |last: u8| T::of_counts(node.planes.count_up_to(column, node.rows, last));
            let candidate = rules.judge_drawn(feature, node.total, dense::span(column, node.rows), sum_up_to, rng);
            constant |= keep(best, candidate) << at;
        }
        constant
    }

    /// The cut at a threshold drawn over the values that the node spans; its codes are gathered.
    pub(super) fn draw<S: Sample<Sum = T>>(
        &self,
        at: usize,
        rules: &Rules,
        feature: usize,
        node: &Node<S>,
        rng: &mut ChaCha8Rng,
    ) -> Candidate<T> {
        let codes = [0, 1].map(|class| &self.columns[at][class][..]);
        let [a, b] = codes.map(span);
        let sum_up_to = |last: u8| {
            if S::COUNTED && node.is_unit {
                return T::of_counts(codes.map(|codes| count_up_to(codes, last)));
            }
            let mut sum = T::default();
            for (class, codes) in codes.into_iter().enumerate() {
                for (&code, sample) in codes.iter().zip(node.classes[class]) {
                    sum = if code <= last { sum.plus(sample.sum(class)) } else { sum };
                }
            }
            sum
        };
        rules.judge_drawn(feature, node.total, (a.0.min(b.0), a.1.max(b.1)), sum_up_to, rng)
    }
}

/// The codes of some samples, column by column: waits for one overlap with waits for the others.
pub(super) fn gather_columns<S: Sample>(
    to: &mut [[Vec<u8>; 2]; AT_ONCE],
    codes: Codes,
    features: &[u32],
    classes: [&[S]; 2],
) {
    for (class, samples) in classes.into_iter().enumerate() {
        if let ([a, b, c, d], None) = (features, codes.width) {
            let columns = [a, b, c, d].map(|&feature| &codes.codes[feature as usize * codes.stride..]);
            to.iter_mut().for_each(|to| to[class].resize(samples.len(), 0));
            let [a, b, c, d] = to;
            let each = a[class].iter_mut().zip(&mut b[class]).zip(&mut c[class]).zip(&mut d[class]);
            for ((((a, b), c), d), sample) in each.zip(samples) {
                let row = sample.row();
                (*a, *b, *c, *d) = (columns[0][row], columns[1][row], columns[2][row], columns[3][row]);
            }
            continue;
        }
        for (to, &feature) in to.iter_mut().zip(features) {
            let column = codes.column(feature as usize);
            to[class].clear();
            to[class].extend(samples.iter().map(|sample| column.code(sample.row())));
        }
    }
}

/// The lowest code and one more than the highest, without missing values; (`MISSING`, 0) where there is nothing else.
fn span(codes: &[u8]) -> (u8, u8) {
    // Adding one turns the code of missing values into 0.
    codes.iter().fold((MISSING, 0), |(low, high), &code| (low.min(code), high.max(code.wrapping_add(1))))
}

/// How many codes are at most `last`.
fn count_up_to(codes: &[u8], last: u8) -> u32 {
    // Counts of one byte, so that a vector instruction compares many codes; no more than a byte can count.
    let count = |chunk: &[u8]| chunk.iter().fold(0u8, |count, &code| count.wrapping_add(u8::from(code <= last)));
    codes.chunks(COUNTED_BY_BYTE).map(|chunk| u32::from(count(chunk))).sum()
}

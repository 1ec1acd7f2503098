//! The search for one column's cut in one node: over a histogram of bins for random forests, at one drawn threshold for
//! extra trees.
//!
//! An optimal cut of two classes never lies between two bins that hold the same class alone (Fayyad & Irani 1992: cost
//! is concave along such a run), so only the others are judged. Of equal costs the lowest cut wins.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

use super::SplitKind;
use super::bins::{BinnedMatrix, MISSING};
use super::cuts::Cuts;
use super::samples::{Sample, Sum, below, unit};
use super::split::{Cut, Judge, Split, Verdict, has_bit};
use crate::training::config::{CategoricalSplits, ForestConfig};

/// Nodes of fewer samples walk over the occupied bins instead of over all of them.
const SMALL_NODE: usize = 256;
/// Codes whose count fits a byte.
const LANES: usize = 240;

/// Codes of some rows: column `n` begins at `n * stride`, and a sample's row counts from there.
#[derive(Clone, Copy)]
pub struct Codes<'a> {
    pub codes: &'a [u8],
    pub stride: usize,
}

impl<'a> Codes<'a> {
    pub fn column(self, feature: usize) -> &'a [u8] {
        &self.codes[feature * self.stride..]
    }
}

/// What the search needs to know of the forest.
pub struct Rules<'a> {
    pub config: &'a ForestConfig,
    pub kind: SplitKind,
    pub binned: &'a BinnedMatrix,
    pub class_weights: [f64; 2],
}

impl Rules<'_> {
    fn judge<T: Sum>(&self, total: T, missing: T) -> Judge<T> {
        let config = self.config;
        let min_samples_leaf = config.min_samples_leaf.max(1);
        Judge { criterion: config.criterion, class_weights: self.class_weights, min_samples_leaf, total, missing }
    }

    fn cuts_subsets(&self, feature: usize) -> bool {
        self.config.categorical_splits == CategoricalSplits::Subset && self.binned.is_nominal(feature)
    }
}

/// A node's samples by class.
#[derive(Clone, Copy)]
pub struct Node<'a, S: Sample> {
    pub codes: Codes<'a>,
    pub classes: [&'a [S]; 2],
    pub total: S::Sum,
    /// Every sample of the tree was drawn just once.
    pub is_unit: bool,
}

impl<S: Sample> Node<'_, S> {
    fn n_rows(&self) -> usize {
        self.classes[0].len() + self.classes[1].len()
    }
}

/// The best cut of one column.
#[derive(Clone, Copy)]
pub struct Found<T> {
    pub feature: usize,
    pub cut: FoundCut,
    pub verdict: Verdict<T>,
}

#[derive(Clone, Copy)]
pub enum FoundCut {
    /// Codes below this go left; which edge that is remains to be seen.
    Below(u8),
    Known(Cut),
}

/// The verdict on one column.
pub enum Candidate<T> {
    /// All samples share one bin: not a candidate here or below.
    Constant,
    /// No cut leaves enough samples on both sides.
    Invalid,
    Valid(Found<T>),
}

/// Sums per bin of one column in one node. Empty between searches.
struct Histogram<T> {
    bins: [T; 256],
    /// Whether a bin is occupied, where a node is small.
    seen: [u8; 256],
}

/// Room for the search, reused from column to column.
pub struct Search<T> {
    histograms: [Histogram<T>; 2],
    cuts: Cuts<T>,
    /// Codes of a node's samples, by class.
    gathered: [[Vec<u8>; 2]; 2],
}

impl<T: Sum> Search<T> {
    pub fn new() -> Self {
        let histogram = || Histogram { bins: [T::default(); 256], seen: [0; 256] };
        Self { histograms: [histogram(), histogram()], cuts: Cuts::new(), gathered: Default::default() }
    }

    /// Looks at two columns. Filled side by side, two histograms take half the time that they take one after the other:
    /// an addition need not wait for the one before.
    pub fn look_at_both<S: Sample<Sum = T>>(
        &mut self,
        rules: &Rules,
        features: [usize; 2],
        node: &Node<S>,
        rng: &mut ChaCha8Rng,
    ) -> [Candidate<T>; 2] {
        if rules.kind == SplitKind::Random && features.iter().any(|&feature| rules.cuts_subsets(feature)) {
            return features.map(|feature| self.look(rules, feature, node, rng));
        }
        let columns = features.map(|feature| node.codes.column(feature));
        if rules.kind == SplitKind::Random {
            let [first, second] = &mut self.gathered;
            for class in 0..2 {
                gather_both(&mut first[class], &mut second[class], columns, node.classes[class]);
            }
            return [0, 1].map(|at| self.draw(at, rules, features[at], node, rng));
        }
        let [first, second] = &mut self.histograms;
        for class in 0..2 {
            for sample in node.classes[class] {
                let (row, sum) = (sample.row(), sample.sum(class));
                first.add(columns[0][row], sum);
                second.add(columns[1][row], sum);
            }
        }
        [0, 1].map(|at| self.judge_filled(at, rules, features[at], node, rng))
    }

    /// Looks at one column.
    pub fn look<S: Sample<Sum = T>>(
        &mut self,
        rules: &Rules,
        feature: usize,
        node: &Node<S>,
        rng: &mut ChaCha8Rng,
    ) -> Candidate<T> {
        if rules.kind == SplitKind::Random && !rules.cuts_subsets(feature) {
            for class in 0..2 {
                gather(&mut self.gathered[0][class], node.codes.column(feature), node.classes[class]);
            }
            return self.draw(0, rules, feature, node, rng);
        }
        let column = node.codes.column(feature);
        for class in 0..2 {
            for sample in node.classes[class] {
                self.histograms[0].add(column[sample.row()], sample.sum(class));
            }
        }
        self.judge_filled(0, rules, feature, node, rng)
    }

    /// What a filled histogram says; empties it.
    fn judge_filled<S: Sample<Sum = T>>(
        &mut self,
        at: usize,
        rules: &Rules,
        feature: usize,
        node: &Node<S>,
        rng: &mut ChaCha8Rng,
    ) -> Candidate<T> {
        let histogram = &mut self.histograms[at];
        let missing = std::mem::take(&mut histogram.bins[usize::from(MISSING)]);
        histogram.seen[usize::from(MISSING)] = 0;
        let judge = rules.judge(node.total, missing);
        if rules.cuts_subsets(feature) {
            return self.subset(at, rules.kind, feature, &judge, rng);
        }
        let n_bins = rules.binned.n_bins(feature);
        let (n_occupied, all) = if node.n_rows() < SMALL_NODE.min(n_bins) {
            histogram.cuts_between_occupied(&mut self.cuts, judge.min_samples_leaf > 1)
        } else {
            histogram.cuts_below_all(&mut self.cuts, n_bins)
        };
        if n_occupied + u32::from(judge.has_missing()) < 2 {
            return Candidate::Constant;
        }
        self.cuts.push_if(judge.has_missing() && !all.is_empty(), MISSING, all);
        let found = self.cuts.cheapest(&judge);
        let found = found.map(|(limit, verdict)| Found { feature, cut: FoundCut::Below(limit), verdict });
        found.map_or(Candidate::Invalid, Candidate::Valid)
    }

    /// The cut at a threshold drawn uniformly over the values that the node spans; its codes are gathered.
    fn draw<S: Sample<Sum = T>>(
        &self,
        at: usize,
        rules: &Rules,
        feature: usize,
        node: &Node<S>,
        rng: &mut ChaCha8Rng,
    ) -> Candidate<T> {
        let codes = [0, 1].map(|class| &self.gathered[at][class][..]);
        let [a, b] = codes.map(span);
        let (low, high) = (a.0.min(b.0), a.1.max(b.1));
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
        let missing = match rules.binned.has_missing(feature) {
            true => node.total.minus(sum_up_to(MISSING - 1)),
            false => T::default(),
        };
        let judge = rules.judge(node.total, missing);
        if low == MISSING || (low + 1 == high && !judge.has_missing()) {
            return Candidate::Constant;
        }
        let found = |cut: Cut, verdict: Option<Verdict<T>>| {
            let found = verdict.map(|verdict| Found { feature, cut: FoundCut::Known(cut), verdict });
            found.map_or(Candidate::Invalid, Candidate::Valid)
        };
        if low + 1 == high {
            return found(Cut::AtMost(MISSING - 1), judge.cut(node.total.minus(missing)));
        }
        let bins = rules.binned.bins(feature);
        let (min, max) = (f64::from(bins.min[usize::from(low)]), f64::from(bins.max[usize::from(high) - 1]));
        // Below the highest bin, so that a value is left for the right side.
        match bins.last_bin_within(low, high - 2, min + unit(rng) * (max - min)) {
            Some(last) => found(Cut::AtMost(last), judge.cut(sum_up_to(last))),
            None => Candidate::Invalid,
        }
    }

    /// A subset of a filled histogram's bins. Missing values are a bin like the others.
    fn subset(
        &mut self,
        at: usize,
        kind: SplitKind,
        feature: usize,
        judge: &Judge<T>,
        rng: &mut ChaCha8Rng,
    ) -> Candidate<T> {
        let histogram = &mut self.histograms[at];
        let mut bins = std::mem::replace(&mut histogram.bins, [T::default(); 256]);
        histogram.seen = [0; 256];
        bins[usize::from(MISSING)] = judge.missing;
        let occupied: Vec<u8> = (0..=MISSING).filter(|&bin| !bins[usize::from(bin)].is_empty()).collect();
        if occupied.len() < 2 {
            return Candidate::Constant;
        }
        let judge = Judge { missing: T::default(), ..*judge };
        let found = match kind {
            SplitKind::Best => best_subset(&bins, &judge, occupied.clone()),
            SplitKind::Random => drawn_subset(&bins, &judge, &occupied, rng),
        };
        found.map_or(Candidate::Invalid, |(left, verdict)| {
            Candidate::Valid(settle_subset(feature, &left, &occupied, verdict))
        })
    }
}

impl<T: Sum> Histogram<T> {
    #[inline(always)]
    fn add(&mut self, code: u8, sum: T) {
        let code = usize::from(code);
        self.bins[code] = self.bins[code].plus(sum);
        self.seen[code] = 1;
    }

    /// The cuts of a small node: between its occupied bins, where they are worth it (or `every` one). Returns how many
    /// bins are occupied, and the sum of all. Empties the histogram.
    fn cuts_between_occupied(&mut self, cuts: &mut Cuts<T>, every: bool) -> (u32, T) {
        cuts.clear();
        let (mut n_occupied, mut left, mut before) = (0, T::default(), 0);
        for (word, seen) in self.seen.as_chunks_mut::<64>().0.iter_mut().enumerate() {
            let mut bits = 0;
            for (at, eight) in seen.as_chunks_mut::<8>().0.iter_mut().enumerate() {
                // The product moves the eight lowest bits together.
                bits |= (u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * at);
                *eight = [0; 8];
            }
            n_occupied += bits.count_ones();
            while bits != 0 {
                let bin = word * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let sum = std::mem::take(&mut self.bins[bin]);
                let classes = classes_of(sum);
                cuts.push_if(before != 0 && (classes != before || classes == BOTH || every), bin as u8, left);
                left = left.plus(sum);
                before = classes;
            }
        }
        (n_occupied, left)
    }

    /// The cuts below all bins, also where nothing or one class alone lies between: in a large node that costs less than
    /// to choose. Else as [`Self::cuts_between_occupied`].
    fn cuts_below_all(&mut self, cuts: &mut Cuts<T>, n_bins: usize) -> (u32, T) {
        let n_occupied = self.seen[..n_bins].iter().map(|&seen| u32::from(seen)).sum();
        let all = cuts.set_all(&self.bins[..n_bins]);
        self.bins[..n_bins].fill(T::default());
        self.seen[..n_bins].fill(0);
        (n_occupied, all)
    }
}

/// The best subset to go left: a cut of the bins sorted by their share of positives (Breiman et al. 1984, theorem 4.5).
fn best_subset<T: Sum>(bins: &[T; 256], judge: &Judge<T>, mut order: Vec<u8>) -> Option<(Vec<u8>, Verdict<T>)> {
    let share = |bin: u8| {
        let [negatives, positives] = bins[usize::from(bin)].weights(judge.class_weights);
        positives / (negatives + positives)
    };
    order.sort_by(|&a, &b| share(a).total_cmp(&share(b)).then(a.cmp(&b)));
    let mut best: Option<(usize, Verdict<T>)> = None;
    let mut left = T::default();
    for (at, &bin) in order.iter().enumerate().take(order.len() - 1) {
        left = left.plus(bins[usize::from(bin)]);
        if let Some(verdict) = judge.cut(left)
            && best.as_ref().is_none_or(|(_, best)| verdict.cost < best.cost)
        {
            best = Some((at + 1, verdict));
        }
    }
    best.map(|(n_left, verdict)| (order[..n_left].to_vec(), verdict))
}

/// Every occupied bin goes left or right by a coin; where all would go to one side, one of them changes it.
fn drawn_subset<T: Sum>(
    bins: &[T; 256],
    judge: &Judge<T>,
    occupied: &[u8],
    rng: &mut ChaCha8Rng,
) -> Option<(Vec<u8>, Verdict<T>)> {
    let mut goes_left: Vec<bool> = occupied.iter().map(|_| rng.next_u64() >> 63 == 1).collect();
    if goes_left.iter().all(|&left| left == goes_left[0]) {
        let other = below(rng, occupied.len());
        goes_left[other] = !goes_left[other];
    }
    let left: Vec<u8> = occupied.iter().zip(goes_left).filter(|(_, left)| *left).map(|(&bin, _)| bin).collect();
    let sum = left.iter().fold(T::default(), |sum, &bin| sum.plus(bins[usize::from(bin)]));
    judge.cut(sum).map(|verdict| (left, verdict))
}

/// Bins that the node does not hold go with the larger side, as missing values do that were never seen.
fn settle_subset<T>(feature: usize, left: &[u8], occupied: &[u8], mut verdict: Verdict<T>) -> Found<T> {
    let mut bits = if verdict.missing_left { [u64::MAX; 4] } else { [0; 4] };
    for &bin in occupied {
        let (word, bit) = (usize::from(bin / 64), 1 << (bin % 64));
        if left.contains(&bin) { bits[word] |= bit } else { bits[word] &= !bit }
    }
    verdict.missing_left = has_bit(&bits, MISSING);
    bits[3] &= !(1 << (MISSING % 64));
    Found { feature, cut: FoundCut::Known(Cut::Among(bits)), verdict }
}

impl<T: Sum> Found<T> {
    /// As a split of the node.
    pub fn settle<S: Sample<Sum = T>>(self, rules: &Rules, node: &Node<S>) -> Split<T> {
        let Found { feature, cut, verdict: Verdict { cost, missing_left, left } } = self;
        let cut = match cut {
            FoundCut::Known(cut) => cut,
            FoundCut::Below(MISSING) => Cut::AtMost(MISSING - 1),
            FoundCut::Below(limit) => {
                let column = node.codes.column(feature);
                let codes = node.classes.iter().flat_map(|samples| samples.iter()).map(|sample| column[sample.row()]);
                let (lower, upper) = codes.fold((0, MISSING), |(lower, upper), code| {
                    if code < limit { (lower.max(code), upper) } else { (lower, upper.min(code)) }
                });
                // No value above: all go left and the missing ones right.
                let between = || rules.binned.bins(feature).edge_between(lower, upper);
                Cut::AtMost(if upper == MISSING { MISSING - 1 } else { between() })
            }
        };
        Split { feature, cut, missing_left, cost, left, right: node.total.minus(left) }
    }
}

/// Bit 0: there are negatives, bit 1: there are positives.
const BOTH: u8 = 3;

fn classes_of(sum: impl Sum) -> u8 {
    let [negatives, positives] = sum.counts();
    u8::from(negatives > 0) | u8::from(positives > 0) << 1
}

/// The codes of some samples, side by side.
fn gather<S: Sample>(codes: &mut Vec<u8>, column: &[u8], samples: &[S]) {
    codes.clear();
    codes.extend(samples.iter().map(|sample| column[sample.row()]));
}

/// The same of two columns: waits for one overlap with waits for the other.
fn gather_both<S: Sample>(first: &mut Vec<u8>, second: &mut Vec<u8>, columns: [&[u8]; 2], samples: &[S]) {
    first.resize(samples.len(), 0);
    second.resize(samples.len(), 0);
    for ((first, second), sample) in first.iter_mut().zip(second).zip(samples) {
        *first = columns[0][sample.row()];
        *second = columns[1][sample.row()];
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
    codes.chunks(LANES).map(|chunk| u32::from(count(chunk))).sum()
}

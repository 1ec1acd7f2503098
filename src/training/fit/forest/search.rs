//! The search for a node's cut: columns are looked at in the order they were drawn, up to sixteen at once, and what costs
//! less than the best so far is kept. Of equal costs the column drawn first and in it the lowest cut wins.
//!
//! The plain search looks at one column at a time and serves everything; `best` and `drawn` find the same faster where sums
//! are counts (the tests grow trees both ways).

mod best;
mod drawn;
mod subset;

use rand_chacha::ChaCha8Rng;

use super::SplitKind;
use super::bins::{BinnedMatrix, MISSING};
use super::cuts::Cuts;
use super::dense::Planes;
use super::few::FewRows;
use super::gather::GatheredRows;
use super::histogram::Histogram;
use super::peaks::Peaks;
use super::samples::{Counts, Sample, Sum};
use super::sixteen::LANES;
use super::split::{Cut, Judge, Split, Verdict};
use super::tally::Cells;
use crate::training::config::{CategoricalSplits, Criterion, ForestConfig};
use drawn::{AT_ONCE, gather_columns};

/// Nodes of fewer samples walk over the occupied bins instead of over all of them.
const SMALL_NODE: usize = 256;

/// Codes of some rows: column `n` begins at `n * stride`, and a sample's row counts from there.
#[derive(Clone, Copy)]
pub struct Codes<'a> {
    pub codes: &'a [u8],
    pub stride: usize,
    /// Columns, where rows lie whole (and the stride is 1).
    pub width: Option<usize>,
}

impl<'a> Codes<'a> {
    pub fn column(self, feature: usize) -> Column<'a> {
        Column { codes: &self.codes[feature * self.stride..], step: self.width.unwrap_or(1) }
    }
}

/// One column of them.
#[derive(Clone, Copy)]
pub struct Column<'a> {
    codes: &'a [u8],
    step: usize,
}

impl Column<'_> {
    #[inline(always)]
    pub fn code(self, row: usize) -> u8 {
        self.codes[row * self.step]
    }
}

/// What the search needs to know of the forest.
#[derive(Clone, Copy)]
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

    /// Whether a cut that gains more (by [`super::gain`]) costs less: by Gini, where no cut is refused for its sides.
    fn gains_decide(&self) -> bool {
        self.config.criterion == Criterion::Gini && self.config.min_samples_leaf <= 1
    }

    pub fn cuts_subsets(&self, feature: usize) -> bool {
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

/// A node as one bit per row.
pub struct DenseNode<'a, T> {
    pub planes: &'a Planes,
    pub rows: &'a [u64],
    pub total: T,
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
    /// Between two occupied bins, the upper one `MISSING` if there is none.
    Between(u8, u8),
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

/// Room for the search, reused from node to node.
pub struct Search<T> {
    histogram: Histogram<T>,
    cuts: Cuts<T>,
    few: FewRows,
    small: Box<Cells<u32>>,
    large: Box<Cells<Counts>>,
    peaks: Peaks,
    /// Those of a node, row by row.
    pub rows: GatheredRows,
    /// Codes of a node's samples, by class, column by column.
    columns: [[Vec<u8>; 2]; AT_ONCE],
}

impl<T: Sum> Search<T> {
    pub fn new() -> Self {
        Self {
            histogram: Histogram { bins: [T::default(); 256], seen: [0; 256] },
            cuts: Cuts::new(),
            few: FewRows::new(),
            small: Box::new([[0; LANES]; 256]),
            large: Box::new([[Counts::default(); LANES]; 256]),
            peaks: Peaks::default(),
            rows: GatheredRows::default(),
            columns: Default::default(),
        }
    }

    /// Looks at up to [`LANES`] columns in the order they were drawn, and keeps what costs less than the best so far. A bit
    /// per column: whether it is constant.
    pub fn look_at<S: Sample<Sum = T>>(
        &mut self,
        rules: &Rules,
        features: &[u32],
        node: &Node<S>,
        rng: &mut ChaCha8Rng,
        best: &mut Option<Found<T>>,
    ) -> u32 {
        let plain = S::COUNTED && !features.iter().any(|&feature| rules.cuts_subsets(feature as usize));
        match rules.kind {
            SplitKind::Best if plain && rules.gains_decide() => self.look_for_best(rules, features, node, best),
            SplitKind::Random if plain && node.codes.width.is_some() => {
                self.look_for_drawn(rules, features, node, rng, best)
            }
            SplitKind::Random if plain => self.look_for_drawn_by_column(rules, features, node, rng, best),
            _ => {
                let mut constant = 0;
                for (at, &feature) in features.iter().enumerate() {
                    let candidate = self.look(rules, feature as usize, node, rng);
                    constant |= keep(best, candidate) << at;
                }
                constant
            }
        }
    }

    /// Looks at one column.
    fn look<S: Sample<Sum = T>>(
        &mut self,
        rules: &Rules,
        feature: usize,
        node: &Node<S>,
        rng: &mut ChaCha8Rng,
    ) -> Candidate<T> {
        if rules.kind == SplitKind::Random && !rules.cuts_subsets(feature) {
            gather_columns(&mut self.columns, node.codes, &[feature as u32], node.classes);
            return self.draw(0, rules, feature, node, rng);
        }
        let column = node.codes.column(feature);
        for class in 0..2 {
            for sample in node.classes[class] {
                self.histogram.add(column.code(sample.row()), sample.sum(class));
            }
        }
        if rules.cuts_subsets(feature) {
            let missing = std::mem::take(&mut self.histogram.bins[usize::from(MISSING)]);
            return self.subset(rules.kind, feature, &rules.judge(node.total, missing), rng);
        }
        self.judge_filled(rules, feature, node)
    }

    /// What a filled histogram says; empties it.
    fn judge_filled<S: Sample<Sum = T>>(&mut self, rules: &Rules, feature: usize, node: &Node<S>) -> Candidate<T> {
        let histogram = &mut self.histogram;
        let missing = std::mem::take(&mut histogram.bins[usize::from(MISSING)]);
        histogram.seen[usize::from(MISSING)] = 0;
        let judge = rules.judge(node.total, missing);
        let n_bins = rules.binned.n_bins(feature);
        let is_whole = node.n_rows() >= SMALL_NODE.min(n_bins);
        let (n_occupied, all) = if is_whole {
            histogram.cuts_below_all(&mut self.cuts, n_bins)
        } else {
            histogram.cuts_between_occupied(&mut self.cuts, judge.min_samples_leaf > 1)
        };
        if n_occupied + u32::from(judge.has_missing()) < 2 {
            return Candidate::Constant;
        }
        self.cuts.push_if(judge.has_missing() && !all.is_empty(), MISSING, all);
        let found = self.cuts.cheapest(&judge).map(|(limit, verdict)| {
            let cut = match is_whole {
                true => {
                    let [lower, upper] = self.cuts.around(limit, n_bins, all);
                    FoundCut::Between(lower, upper)
                }
                false => FoundCut::Below(limit),
            };
            Found { feature, cut, verdict }
        });
        found.map_or(Candidate::Invalid, Candidate::Valid)
    }
}

impl<T: Sum> Found<T> {
    /// As a split of the node.
    pub fn settle<S: Sample<Sum = T>>(self, rules: &Rules, node: &Node<S>) -> Split<T> {
        self.settle_with(rules, node.total, |feature, limit| {
            let column = node.codes.column(feature);
            let samples = node.classes.iter().flat_map(|samples| samples.iter());
            samples.map(|sample| column.code(sample.row())).fold((0, MISSING), |(lower, upper), code| {
                if code < limit { (lower.max(code), upper) } else { (lower, upper.min(code)) }
            })
        })
    }

    /// The same where codes on both sides of a limit are found by `around`.
    pub fn settle_with(self, rules: &Rules, total: T, around: impl Fn(usize, u8) -> (u8, u8)) -> Split<T> {
        let Found { feature, cut, verdict: Verdict { cost, missing_left, left } } = self;
        let between = |lower: u8, upper: u8| match upper {
            // No value above: all go left and the missing ones right.
            MISSING => Cut::AtMost(MISSING - 1),
            _ => Cut::AtMost(rules.binned.edge_between(feature, lower, upper)),
        };
        let cut = match cut {
            FoundCut::Known(cut) => cut,
            FoundCut::Between(lower, upper) => between(lower, upper),
            FoundCut::Below(limit) => {
                let (lower, upper) = around(feature, limit);
                between(lower, upper)
            }
        };
        Split { feature, cut, missing_left, cost, left, right: total.minus(left) }
    }
}

/// Takes a candidate over if it costs less than the best so far; 1 if it is constant.
fn keep<T: Sum>(best: &mut Option<Found<T>>, candidate: Candidate<T>) -> u32 {
    match candidate {
        Candidate::Constant => return 1,
        Candidate::Valid(found) if best.as_ref().is_none_or(|best| found.verdict.cost < best.verdict.cost) => {
            *best = Some(found);
        }
        _ => {}
    }
    0
}

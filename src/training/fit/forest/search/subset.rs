//! Subsets of a nominal column's codes: the best one by sorting (Breiman et al. 1984, theorem 4.5), or one drawn by coins.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

use super::{Candidate, Found, FoundCut, Search};
use crate::training::fit::forest::SplitKind;
use crate::training::fit::forest::bins::MISSING;
use crate::training::fit::forest::samples::{Sum, below};
use crate::training::fit::forest::split::{Cut, Judge, Verdict, has_bit};

impl<T: Sum> Search<T> {
    /// A subset of a filled histogram's bins. Missing values are a bin like the others.
    pub(super) fn subset(
        &mut self,
        kind: SplitKind,
        feature: usize,
        judge: &Judge<T>,
        rng: &mut ChaCha8Rng,
    ) -> Candidate<T> {
        let histogram = &mut self.histogram;
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

//! One sort for everything that depends on thresholds. In: labels and scores; out: the counts above every distinct
//! score, highest first, with equal scores in one step.

/// What the rule `score >= threshold` counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    pub threshold: f32,
    pub true_positives: u64,
    pub false_positives: u64,
}

/// Steps from the highest distinct score to the lowest; the last one counts every row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ranking {
    pub n_positives: u64,
    pub n_negatives: u64,
    pub steps: Vec<Step>,
}

impl Ranking {
    /// `None` if a score is not a number: such rows have no rank.
    pub fn of(labels: &[u8], scores: &[f32]) -> Option<Ranking> {
        assert_eq!(labels.len(), scores.len(), "one score per label");
        if scores.iter().any(|score| score.is_nan()) {
            return None;
        }
        let mut rows: Vec<(f32, u8)> = scores.iter().copied().zip(labels.iter().copied()).collect();
        rows.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));

        let mut steps: Vec<Step> = Vec::new();
        let (mut true_positives, mut false_positives) = (0, 0);
        for (threshold, label) in rows {
            if label == 1 {
                true_positives += 1
            } else {
                false_positives += 1
            }
            let step = Step { threshold, true_positives, false_positives };
            match steps.last_mut() {
                Some(last) if last.threshold == threshold => *last = step,
                _ => steps.push(step),
            }
        }
        Some(Ranking { n_positives: true_positives, n_negatives: false_positives, steps })
    }

    /// Each step with the counts of the one above it: (true positives, false positives) before, and the step.
    pub fn increments(&self) -> impl Iterator<Item = (u64, u64, &Step)> {
        let before = self.steps.iter().map(|step| (step.true_positives, step.false_positives));
        std::iter::once((0, 0)).chain(before).zip(&self.steps).map(|((tp, fp), step)| (tp, fp, step))
    }

    pub fn tpr(&self, step: &Step) -> f64 {
        step.true_positives as f64 / self.n_positives as f64
    }

    pub fn fpr(&self, step: &Step) -> f64 {
        step.false_positives as f64 / self.n_negatives as f64
    }

    /// The last step, hence the lowest threshold, whose false-positive rate is at most `max_fpr`.
    pub fn last_within(&self, max_fpr: f64) -> Option<&Step> {
        let within = self.steps.partition_point(|step| self.fpr(step) <= max_fpr);
        within.checked_sub(1).map(|last| &self.steps[last])
    }
}

impl Step {
    pub fn precision(&self) -> f64 {
        self.true_positives as f64 / (self.true_positives + self.false_positives) as f64
    }
}

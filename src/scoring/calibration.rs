//! Calibration: the frozen map from a raw score to the probability that an answer carries.
//!
//! In: a raw score (f32 in [0, 1]). Out: a probability (f32 in [0, 1]) that never falls where the score rises, computed in
//! f64 without allocation; what is not a number stays so. `none` is the identity. `prior` multiplies the odds by a factor.
//! `platt` is a logistic curve over the logit of the score (Platt 1999). `isotonic` is a broken line (Zadrozny and Elkan
//! 2002), constant before its first and after its last point.
//!
//! Monotone to the bit: `prior` and `isotonic` are made of operations that round monotonically; `platt` has a slope from
//! which on neighbouring f32 scores lie further apart than the error of `libm`. What comes from a file is checked.

use serde::{Deserialize, Serialize};

use super::error::ScoringError;

/// The ways to calibrate, by the names used in configs and results; in the order that ties are decided by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    #[default]
    None,
    Prior,
    Platt,
    Isotonic,
}

impl Method {
    pub const ALL: [Method; 4] = [Method::None, Method::Prior, Method::Platt, Method::Isotonic];

    pub fn as_str(self) -> &'static str {
        match self {
            Method::None => "none",
            Method::Prior => "prior",
            Method::Platt => "platt",
            Method::Isotonic => "isotonic",
        }
    }
}

/// How raw scores become calibrated ones.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Calibration {
    #[default]
    None,
    Prior(Prior),
    Platt(Platt),
    Isotonic(Isotonic),
}

/// odds(probability) = `odds_factor` x odds(score).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prior {
    pub odds_factor: f64,
}

/// logit(probability) = `slope` x logit(score) + `intercept`, with the score clipped to [`clip`, 1 - `clip`]: forests do
/// score exactly 0 and 1, whose logits are infinite.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Platt {
    pub slope: f64,
    pub intercept: f64,
    pub clip: f64,
}

/// The points of a broken line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Isotonic {
    /// Strictly rising, in [0, 1].
    pub scores: Vec<f32>,
    /// Never falling, in [0, 1].
    pub probabilities: Vec<f64>,
}

impl Prior {
    pub const MIN_FACTOR: f64 = 1e-9;
    pub const MAX_FACTOR: f64 = 1e9;

    /// Written so that each operation rounds monotonically and a factor of 1 gives every f32 back.
    fn apply(&self, score: f64) -> f64 {
        1.0 / (1.0 + (1.0 - score) / (self.odds_factor * score))
    }
}

impl Platt {
    /// A flatter curve tells scores apart by less than rounding does.
    pub const MIN_SLOPE: f64 = 1e-3;
    pub const MAX_SLOPE: f64 = 1e3;
    pub const MAX_INTERCEPT: f64 = 1e4;
    /// The epsilon of f32, to which the log-loss clips too.
    pub const MIN_CLIP: f64 = f32::EPSILON as f64;

    pub fn logit(score: f64, clip: f64) -> f64 {
        let score = score.clamp(clip, 1.0 - clip);
        libm::log(score / (1.0 - score))
    }

    fn apply(&self, score: f64) -> f64 {
        1.0 / (1.0 + libm::exp(-(self.slope * Self::logit(score, self.clip) + self.intercept)))
    }
}

impl Isotonic {
    /// More points than any honest fit has, and few enough to search.
    pub const MAX_POINTS: usize = 1024;

    fn apply(&self, score: f32) -> f64 {
        let point = |at: usize| Some((f64::from(*self.scores.get(at)?), *self.probabilities.get(at)?));
        let above = self.scores.partition_point(|&at| at <= score);
        match (above.checked_sub(1).and_then(point), point(above)) {
            (Some((from, low)), Some((to, high))) => {
                let line = low + (high - low) * ((f64::from(score) - from) / (to - from));
                // Rounding may carry it past its end by one unit.
                line.min(high)
            }
            (Some((_, end)), None) | (None, Some((_, end))) => end,
            (None, None) => f64::NAN,
        }
    }

    fn problem(&self) -> Option<&'static str> {
        let Isotonic { scores, probabilities } = self;
        if scores.len() != probabilities.len() || !(2..=Self::MAX_POINTS).contains(&scores.len()) {
            return Some("expected 2 to 1024 points, each with a score and a probability");
        }
        if !scores.iter().all(|score| (0.0..=1.0).contains(score)) || !scores.is_sorted_by(|a, b| a < b) {
            return Some("expected scores from 0 to 1, each above the one before");
        }
        if !probabilities.iter().all(|share| (0.0..=1.0).contains(share)) || !probabilities.is_sorted() {
            return Some("expected probabilities from 0 to 1, none below the one before");
        }
        None
    }
}

impl Calibration {
    pub fn method(&self) -> Method {
        match self {
            Calibration::None => Method::None,
            Calibration::Prior(_) => Method::Prior,
            Calibration::Platt(_) => Method::Platt,
            Calibration::Isotonic(_) => Method::Isotonic,
        }
    }

    /// The calibrated score.
    pub fn apply(&self, raw: f32) -> f32 {
        if raw.is_nan() {
            return raw;
        }
        let score = raw.clamp(0.0, 1.0);
        match self {
            Calibration::None => raw,
            Calibration::Prior(prior) => prior.apply(f64::from(score)) as f32,
            Calibration::Platt(platt) => platt.apply(f64::from(score)) as f32,
            Calibration::Isotonic(isotonic) => isotonic.apply(score) as f32,
        }
    }

    /// Whether what a file holds is a map as this module describes it.
    pub fn check(&self) -> Result<(), ScoringError> {
        let problem = match self {
            Calibration::None => None,
            Calibration::Prior(Prior { odds_factor }) => {
                let fits = (Prior::MIN_FACTOR..=Prior::MAX_FACTOR).contains(odds_factor);
                (!fits).then_some("expected an odds factor from 1e-9 to 1e9")
            }
            Calibration::Platt(Platt { slope, intercept, clip }) => {
                let fits = (Platt::MIN_SLOPE..=Platt::MAX_SLOPE).contains(slope)
                    && intercept.abs() <= Platt::MAX_INTERCEPT
                    && (Platt::MIN_CLIP..=0.25).contains(clip);
                (!fits).then_some("expected a slope from 0.001 to 1000, an intercept from -10000 to 10000 and a clip from 2^-23 to 0.25")
            }
            Calibration::Isotonic(isotonic) => isotonic.problem(),
        };
        let name = self.method().as_str();
        problem.map_or(Ok(()), |problem| Err(ScoringError::new(format!("calibration `{name}`: {problem}"))))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prior(odds_factor: f64) -> Calibration {
        Calibration::Prior(Prior { odds_factor })
    }

    fn platt(slope: f64, intercept: f64, clip: f64) -> Calibration {
        Calibration::Platt(Platt { slope, intercept, clip })
    }

    fn isotonic(points: &[(f32, f64)]) -> Calibration {
        let (scores, probabilities) = points.iter().copied().unzip();
        Calibration::Isotonic(Isotonic { scores, probabilities })
    }

    fn any_map() -> impl Strategy<Value = Calibration> {
        let points = (prop::collection::btree_set(0u32..=1000, 2..40), prop::collection::vec(0.0f64..=1.0, 40));
        prop_oneof![
            (-9.0f64..=9.0).prop_map(|log| prior(10f64.powf(log))),
            (-3.0f64..=3.0, -20.0f64..=20.0, 1.2e-7f64..=0.25).prop_map(|(log, intercept, clip)| platt(
                10f64.powf(log),
                intercept,
                clip
            )),
            points.prop_map(|(scores, mut probabilities)| {
                probabilities.sort_by(f64::total_cmp);
                let scores = scores.into_iter().map(|score| score as f32 / 1000.0);
                isotonic(&scores.zip(probabilities).collect::<Vec<_>>())
            }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        /// Neighbouring floats, where rounding would show, as well as distant ones.
        #[test]
        fn every_map_rises_within_0_and_1(map in any_map(), mut scores in prop::collection::vec(0.0f32..=1.0, 30)) {
            prop_assert_eq!(map.check(), Ok(()));
            scores.extend([0.0, f32::MIN_POSITIVE, 1e-30, 1e-7, 0.5, 1.0]);
            scores.extend(scores.clone().iter().flat_map(|score| [score.next_up(), score.next_down()]));
            scores.retain(|score| (0.0..=1.0).contains(score));
            scores.sort_by(f32::total_cmp);
            let mapped: Vec<f32> = scores.iter().map(|&score| map.apply(score)).collect();
            prop_assert!(mapped.iter().all(|share| (0.0..=1.0).contains(share)), "{mapped:?}");
            prop_assert!(mapped.is_sorted(), "{:?}", scores.iter().zip(&mapped).collect::<Vec<_>>());
        }

        #[test]
        fn a_factor_of_one_is_the_identity(score in 0.0f32..=1.0, bits in 0u32..=0x3f80_0000) {
            for score in [score, f32::from_bits(bits)] {
                prop_assert_eq!(prior(1.0).apply(score).to_bits(), score.to_bits());
            }
        }

        #[test]
        fn a_map_comes_back_from_json_to_the_bit(map in any_map()) {
            let text = serde_json::to_string(&map).unwrap();
            prop_assert_eq!(serde_json::from_str::<Calibration>(&text).unwrap(), map);
        }
    }

    #[test]
    fn known_values() {
        assert_eq!(prior(0.25).apply(0.8), 0.5, "odds of 4 become odds of 1");
        assert_eq!([prior(1e-9).apply(0.0), prior(1e-9).apply(1.0)], [0.0, 1.0]);
        assert!((platt(1.0, 0.0, Platt::MIN_CLIP).apply(0.3) - 0.3).abs() < 1e-7, "slope 1, intercept 0: the identity");
        let curve = platt(2.0, 1.0, 0.1);
        for (beyond, end) in [(0.0, 0.1), (1.0, 0.9)] {
            assert!((curve.apply(beyond) - curve.apply(end)).abs() < 1e-6, "clipped");
        }
        assert!((f64::from(curve.apply(0.5)) - 1.0 / (1.0 + (-1.0f64).exp())).abs() < 1e-7);
        let line = isotonic(&[(0.2, 0.1), (0.4, 0.1), (0.6, 0.9)]);
        for (score, expected) in [(0.0, 0.1), (0.2, 0.1), (0.3, 0.1), (0.4, 0.1), (0.5, 0.5), (0.6, 0.9), (1.0, 0.9)] {
            assert!((line.apply(score) - expected).abs() < 1e-6, "{score}: {}", line.apply(score));
        }
    }

    #[test]
    fn what_is_not_a_number_stays_so() {
        for map in [Calibration::None, prior(2.0), platt(1.0, 0.0, 0.01), isotonic(&[(0.0, 0.0), (1.0, 1.0)])] {
            assert!(map.apply(f32::NAN).is_nan());
            assert!(map.apply(2.0) > 0.98 && map.apply(-1.0) < 0.02, "{map:?}");
        }
    }

    #[test]
    fn manifests_spell_maps_so() {
        let text = |map: &Calibration| serde_json::to_string(map).unwrap();
        assert_eq!(text(&Calibration::None), r#""none""#);
        assert_eq!(text(&prior(0.5)), r#"{"prior":{"odds_factor":0.5}}"#);
        assert_eq!(text(&platt(1.5, -2.0, 0.25)), r#"{"platt":{"slope":1.5,"intercept":-2.0,"clip":0.25}}"#);
        let points = isotonic(&[(0.1, 0.0), (0.25, 0.5)]);
        assert_eq!(text(&points), r#"{"isotonic":{"scores":[0.1,0.25],"probabilities":[0.0,0.5]}}"#);
    }

    #[test]
    fn damaged_maps_are_refused() {
        let long: Vec<(f32, f64)> = (0..1025).map(|at| (at as f32 / 1024.0, 0.5)).collect();
        let mut torn = Isotonic { scores: vec![0.1, 0.2], probabilities: vec![0.1] };
        let damaged = [
            prior(0.0),
            prior(-1.0),
            prior(f64::NAN),
            prior(f64::INFINITY),
            platt(-1.0, 0.0, 0.01),
            platt(f64::NAN, 0.0, 0.01),
            platt(1.0, f64::INFINITY, 0.01),
            platt(1.0, 0.0, 0.0),
            platt(1.0, 0.0, 0.5),
            isotonic(&[]),
            isotonic(&[(0.5, 0.5)]),
            isotonic(&long),
            isotonic(&[(0.1, 0.1), (0.1, 0.2)]),
            isotonic(&[(0.2, 0.1), (0.1, 0.2)]),
            isotonic(&[(0.1, 0.2), (0.2, 0.1)]),
            isotonic(&[(-0.1, 0.1), (0.2, 0.2)]),
            isotonic(&[(0.1, 0.1), (1.5, 0.2)]),
            isotonic(&[(0.1, 0.1), (0.2, 1.5)]),
            isotonic(&[(f32::NAN, 0.1), (0.2, 0.2)]),
            isotonic(&[(0.1, f64::NAN), (0.2, 0.2)]),
            isotonic(&[(0.1, 0.1), (0.2, f64::INFINITY)]),
            Calibration::Isotonic(torn.clone()),
        ];
        for map in damaged {
            let refused = map.check().expect_err(&format!("{map:?}"));
            assert!(refused.message.starts_with(&format!("calibration `{}`: expected", map.method().as_str())));
            // And none of them panics.
            let _ = [0.0, 0.1, 0.15, 0.2, 1.0].map(|score| map.apply(score));
        }
        torn.scores.clear();
        Calibration::Isotonic(torn).apply(0.5);
        for text in
            [r#""sigmoid""#, r#"{"prior":{"odds_factor":1,"x":1}}"#, r#"{"platt":{"slope":1}}"#, r#"{"none":{}}"#]
        {
            assert!(serde_json::from_str::<Calibration>(text).is_err(), "{text}");
        }
    }
}

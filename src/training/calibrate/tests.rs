//! Planted truths are found again, no row is judged by a map it had a part in, scikit-learn's figures, and scores that can't
//! be calibrated.

use proptest::prelude::*;

use super::*;

/// A case that changed the odds by a factor.
fn resampling(odds_factor: f64) -> ResamplingReport {
    ResamplingReport { weights: [odds_factor, 1.0], ..ResamplingReport::unchanged(1000, 100) }
}

/// The same numbers in [0, 1) for ever.
fn draw(at: u64) -> f64 {
    let mut bits = at.wrapping_add(0x9E37_79B9_7F4A_7C15);
    for shift in [30, 27, 31] {
        bits = (bits ^ (bits >> shift)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    }
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// Three folds of rows whose probability is spread over the lower odds, each scored by `distort` of its probability.
fn planted<'a>(n_rows: u64, resampling: &'a ResamplingReport, distort: impl Fn(f64) -> f64) -> Vec<FoldScores<'a>> {
    let row = |at: u64| {
        let probability = draw(2 * at).powi(3);
        (u8::from(draw(2 * at + 1) < probability), distort(probability) as f32)
    };
    let fold = |fold: u64| {
        let (labels, scores) = (0..n_rows).filter(|at| at % 3 == fold).map(row).unzip();
        FoldScores { out_of_fold: OutOfFold::new(labels, scores), resampling }
    };
    (0..3).map(fold).collect()
}

fn folds<'a>(rows: &[&[(u8, f32)]], resampling: &'a ResamplingReport) -> Vec<FoldScores<'a>> {
    let fold = |rows: &&[(u8, f32)]| {
        let (labels, scores) = rows.iter().copied().unzip();
        FoldScores { out_of_fold: OutOfFold::new(labels, scores), resampling }
    };
    rows.iter().map(fold).collect()
}

fn no_test() -> TestScores {
    TestScores::new(Vec::new(), Vec::new())
}

fn auto(folds: &[FoldScores]) -> CalibrationReport {
    calibrate(CalibrateConfig::Auto, folds, folds[0].resampling, &no_test()).unwrap()
}

fn log_loss(report: &CalibrationReport, method: Method) -> f64 {
    report.candidates.iter().find(|tried| tried.method == method).unwrap().figures.unwrap().log_loss
}

/// The largest distance to the planted probability.
fn error(map: &Calibration, distort: impl Fn(f64) -> f64) -> f64 {
    let at = |step: u32| f64::from(step) / 50.0;
    (1..50).map(|step| (f64::from(map.apply(distort(at(step)) as f32)) - at(step)).abs()).fold(0.0, f64::max)
}

fn odds(probability: f64) -> f64 {
    probability / (1.0 - probability)
}

fn of_odds(odds: f64) -> f64 {
    odds / (1.0 + odds)
}

#[test]
fn a_planted_monotone_distortion_is_taken_back() {
    let raw = resampling(1.0);
    let bent = |p: f64| 0.5 + 0.45 * (6.0 * p - 3.0).tanh();
    let found = auto(&planted(60_000, &raw, bent));
    assert_eq!(found.method, Method::Isotonic);
    assert!(error(&found.map, bent) < 0.06, "{}", error(&found.map, bent));
    // logit(score) = (logit(p) + 1) / 2: slope 2, intercept -1.
    let curved = |p: f64| of_odds((odds(p) * 1f64.exp()).sqrt());
    let found = auto(&planted(60_000, &raw, curved));
    let Calibration::Platt(platt) = found.map else { panic!("{found:?}") };
    assert!((platt.slope - 2.0).abs() < 0.05 && (platt.intercept + 1.0).abs() < 0.05, "{platt:?}");
    assert!(error(&found.map, curved) < 0.01);
    assert!(found.candidates[2].figures.unwrap().ece < 0.005 && found.candidates[0].figures.unwrap().ece > 0.05);
}

#[test]
fn the_prior_is_taken_back_exactly_and_only_where_the_scores_follow_it() {
    let weighted = resampling(9.0);
    let shifted = |p: f64| of_odds(9.0 * odds(p));
    let found = calibrate(CalibrateConfig::Prior, &planted(30_000, &weighted, shifted), &weighted, &no_test()).unwrap();
    assert!(error(&found.map, shifted) < 1e-6);
    assert!(log_loss(&found, Method::Prior) < log_loss(&found, Method::None));
    // Scores that are probabilities in spite of the case (a forest grown until pure) would be corrected too far.
    let found = auto(&planted(30_000, &weighted, |p| p));
    assert_ne!(found.method, Method::Prior);
    assert!(log_loss(&found, Method::Prior) > log_loss(&found, Method::None));
    // Nothing was changed: the correction is the identity, and the earlier of equals is taken.
    let raw = resampling(1.0);
    let found = auto(&planted(30_000, &raw, |p| p));
    assert_eq!(found.candidates[0].figures, found.candidates[1].figures);
    assert_ne!(found.method, Method::Prior);
}

#[test]
fn no_label_of_a_fold_has_a_part_in_the_map_it_is_judged_by() {
    let weighted = resampling(4.0);
    let folds = planted(900, &weighted, f64::sqrt);
    for flipped in 0..3 {
        let mut changed = folds.clone();
        let scores = &folds[flipped].out_of_fold;
        let labels = scores.labels().iter().map(|label| 1 - label).collect();
        changed[flipped].out_of_fold = OutOfFold::new(labels, scores.scores().to_vec());
        for method in Method::ALL {
            let map = |folds: &[FoldScores], at| without(method, folds, at);
            assert_eq!(map(&folds, flipped), map(&changed, flipped), "{method:?}");
            let fitted = matches!(method, Method::Platt | Method::Isotonic);
            for other in (0..3).filter(|&other| other != flipped) {
                assert_eq!(
                    map(&folds, other) != map(&changed, other),
                    fitted,
                    "{method:?}: the flip is seen elsewhere"
                );
            }
        }
    }
}

#[test]
fn test_rows_decide_nothing() {
    let raw = resampling(1.0);
    let folds = planted(600, &raw, f64::sqrt);
    let with = |test| calibrate(CalibrateConfig::Auto, &folds, &raw, &test).unwrap();
    let (a, b) =
        (with(TestScores::new(vec![0, 1], vec![0.2, 0.9])), with(TestScores::new(vec![1, 0, 0], vec![0.1, 1.0, 0.5])));
    assert_eq!((&a.map, &a.candidates, &a.out_of_fold), (&b.map, &b.candidates, &b.out_of_fold));
    assert!(a.test_raw.is_some() && a.test_raw != a.test_calibrated && a.test != b.test);
    assert_eq!(with(no_test()).test_calibrated, None);
}

#[test]
fn what_cannot_be_calibrated_has_a_reason() {
    let raw = resampling(1.0);
    let good: &[(u8, f32)] = &[(0, 0.1), (1, 0.2), (0, 0.3), (1, 0.9)];
    let none: &[(u8, f32)] = &[];
    let reason = |rows: &[&[(u8, f32)]], method: Method| {
        let found = auto(&folds(rows, &raw));
        let tried = found.candidates.into_iter().find(|tried| tried.method == method).unwrap();
        tried.unavailable.unwrap_or_default()
    };
    for (rows, expected) in [
        (&[good, &[(0, 0.1), (0, 0.5)][..]][..], "without fold 1: no row is a fraud"),
        (&[good, &[(1, 0.1), (1, 0.5)]], "without fold 1: every row is a fraud"),
        (&[good, &[(1, 0.5), (0, 0.5)]], "without fold 1: all scores are equal"),
        (&[good, none], "without fold 1: there are no scores"),
        (&[good], "without fold 1: there are no scores"),
        (&[&[(1, 0.4)], &[(0, 0.2)], &[(0, 0.1)]], "without fold 1: no row is a fraud"),
        (&[good, &[(1, f32::NAN), (0, 0.5)]], "without fold 1: some scores are not numbers"),
        (&[none, none], "there are no scores, or not of numbers"),
    ] {
        for method in [Method::Platt, Method::Isotonic] {
            assert_eq!(reason(rows, method), expected);
        }
        assert_eq!(auto(&folds(rows, &raw)).method, Method::None);
    }
    // Without any fold the raw score is what there is.
    assert_eq!(calibrate(CalibrateConfig::Auto, &[], &raw, &no_test()).unwrap().method, Method::None);
    let falling: &[(u8, f32)] = &[(1, 0.1), (1, 0.2), (0, 0.8), (0, 0.9)];
    let found = calibrate(CalibrateConfig::Isotonic, &folds(&[falling, falling], &raw), &raw, &no_test()).unwrap_err();
    assert_eq!(
        found.message,
        "`calibrate: isotonic` can't be done on the winner's out-of-fold scores: the share of frauds does not rise with the \
         score"
    );
    assert!(found.hint.is_some());
    // Asked for, a method that fits on all folds is taken although one fold alone can't judge it.
    let lopsided = folds(&[good, none], &raw);
    let found = calibrate(CalibrateConfig::Platt, &lopsided, &raw, &no_test()).unwrap();
    assert_eq!((found.method, found.out_of_fold.len()), (Method::Platt, 0));
}

proptest! {
    /// Few rows, many ties, exact 0 and 1, folds of any size.
    #[test]
    fn any_scores_give_a_sound_map(
        rows in prop::collection::vec((0u8..=1, 0u8..8, 0usize..3), 0..25),
        factor in prop::sample::select(vec![0.0, 0.01, 1.0, 30.0, 1e12, f64::NAN]),
        asked in prop::sample::select(vec![CalibrateConfig::Auto, CalibrateConfig::Prior, CalibrateConfig::Platt, CalibrateConfig::Isotonic]),
    ) {
        let case = resampling(factor);
        let of = |fold| rows.iter().filter(move |row| row.2 == fold).map(|row| (row.0, f32::from(row.1) / 7.0)).collect();
        let of_folds: [Vec<(u8, f32)>; 3] = [0, 1, 2].map(of);
        let folds = folds(&[&of_folds[0][..], &of_folds[1], &of_folds[2]], &case);
        if let Ok(found) = calibrate(asked, &folds, &case, &no_test()) {
            prop_assert_eq!(found.map.check(), Ok(()));
            let mapped: Vec<f32> = (0..=100).map(|at| found.map.apply(at as f32 / 100.0)).collect();
            prop_assert!(mapped.is_sorted() && mapped.iter().all(|score| (0.0..=1.0).contains(score)));
            for tried in found.candidates {
                prop_assert!(tried.figures.is_some() || tried.unavailable.is_some());
                prop_assert!(tried.figures.is_none_or(|figures| figures.log_loss.is_finite() && figures.ece.is_finite()));
            }
        } else {
            prop_assert!(asked != CalibrateConfig::Auto);
        }
    }
}

/// scikit-learn 1.9.1: `IsotonicRegression(out_of_bounds="clip")`, and `LogisticRegression(C=inf, solver="newton-cholesky",
/// tol=1e-14)` on the clipped logit with Platt's targets as weights of doubled rows.
#[test]
fn scikit_learn_gives_the_same() {
    let scores = [
        0.0, 0.0, 0.0, 0.0, 0.05, 0.05, 0.1, 0.1, 0.15, 0.2, 0.2, 0.2, 0.3, 0.35, 0.35, 0.4, 0.5, 0.55, 0.6, 0.6, 0.7,
        0.8, 0.9, 1.0,
    ];
    let labels = [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0, 1, 0, 1, 1, 0, 1, 1, 0, 1];
    let rows = OutOfFold::new(labels.to_vec(), scores.to_vec());
    let map = |method| fit(method, &rows, &resampling(1.0)).unwrap();
    let Calibration::Platt(platt) = map(Method::Platt) else { panic!("not platt") };
    assert!((platt.slope - 0.346_451_448_662_880_63).abs() < 1e-12, "{platt:?}");
    assert!((platt.intercept + 0.005_472_331_014_628_863).abs() < 1e-12, "{platt:?}");
    let table = [
        (0.0, 1.0 / 6.0, 0.218_450_581_617_723_32),
        (0.02, 1.0 / 6.0, 0.218_450_581_617_723_32),
        (0.05, 1.0 / 6.0, 0.263_942_400_699_619_1),
        (0.12, 1.0 / 3.0, 0.332_754_590_272_943_85),
        (0.25, 1.0 / 3.0, 0.404_659_352_582_766_53),
        (0.33, 1.0 / 3.0, 0.437_620_682_798_619_76),
        (0.45, 0.5, 0.481_260_032_153_553_6),
        (0.58, 2.0 / 3.0, 0.526_563_205_439_868_2),
        (0.65, 2.0 / 3.0, 0.552_059_313_044_026),
        (0.75, 2.0 / 3.0, 0.592_701_239_326_866_5),
        (0.95, 0.833_333_333_333_333_3, 0.733_925_803_033_537_7),
        (1.0, 1.0, 0.779_675_080_060_020_6),
    ];
    let (isotonic, platt) = (map(Method::Isotonic), map(Method::Platt));
    for (score, by_isotonic, by_platt) in table {
        assert!((f64::from(isotonic.apply(score)) - by_isotonic).abs() < 1e-7, "{score}: {}", isotonic.apply(score));
        assert!((f64::from(platt.apply(score)) - by_platt).abs() < 1e-7, "{score}: {}", platt.apply(score));
    }
}

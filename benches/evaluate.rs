//! What the bootstrap takes, and whether its intervals cover the truth.
//!
//! `cargo bench --features bench --bench evaluate`: 1,000 draws over 118,000 rows for all headline figures of twelve models.
//! `.. -- coverage [DATA_SETS]`: simulated data sets with 30 to 1,000 frauds, and how often the interval of each figure
//! holds its true value (that of the same scores over millions of rows). Printed as a table; nothing is asserted.
//! `.. -- metrics FILE`: figures of rows that `benches/peers/metrics.py` compares with scikit-learn's.
#![expect(clippy::disallowed_macros, reason = "a bench prints")]

use std::time::Instant;

use fraudml::training::evaluate::{
    Bootstrap, HEADLINE, Placements, RankedRows, RowFacts, Sample, Scored, Scratch, Unit, covariance, measure,
};
use fraudml::training::seed::Seed;
use rand::RngExt;
use rayon::prelude::*;

const DAYS: u32 = 30;

/// Of each headline figure and of DeLong's AUC whether the interval holds the truth.
type Covered = ([bool; HEADLINE.len()], bool);

/// Frauds and others with scores around 1 and 0; a third of the frauds, by chance, looks like the others. Rows are dealt over days.
fn rows(n_positives: usize, n_negatives: usize, seed: Seed) -> (Vec<u8>, Vec<f32>, RowFacts) {
    let mut rng = seed.rng();
    let n_rows = n_positives + n_negatives;
    let labels: Vec<u8> = (0..n_rows).map(|row| u8::from(row < n_positives)).collect();
    let mut score = |label: u8| {
        let told = label == 1 && rng.random_range(0..3) > 0;
        let normal = (0..12).map(|_| rng.random_range(0.0f32..1.0)).sum::<f32>() - 6.0;
        normal + if told { 2.5 } else { 0.0 }
    };
    let scores: Vec<f32> = labels.iter().map(|&label| score(label)).collect();
    let mut rng = seed.derive("days", 0).rng();
    let days = (0..n_rows).map(|_| rng.random_range(0..DAYS)).collect();
    let groups = (0..n_rows as u32).collect();
    (labels, scores, RowFacts { days: Some(days), groups: Some(groups), ..RowFacts::default() })
}

fn speed() {
    let (labels, scores, facts) = rows(4_130, 113_870, Seed::new(1));
    let models: Vec<Scored> = (0..12u64)
        .map(|model| {
            let mut rng = Seed::new(2).derive("model", model).rng();
            let scores = scores.iter().map(|score| score + rng.random_range(0.0f32..1.0)).collect();
            Scored { model: format!("m{model}"), case: "raw".into(), scores }
        })
        .collect();
    for unit in [Unit::Row, Unit::Day, Unit::Group] {
        let started = Instant::now();
        let bootstrap = Bootstrap::new(&labels, facts.units(unit), unit, 1000, Seed::new(3));
        let sample = Sample { protocol: "t", labels: &labels, facts: &facts, bootstrap: &bootstrap, unit, k: 100 };
        let (headline, pairs) = sample.compare(&models);
        let took = started.elapsed().as_secs_f64();
        println!(
            "drawn by {}: 1,000 draws, {} rows, {} models, {} figures, {} pairs: {took:.2} s on {} threads",
            unit.as_str(),
            labels.len(),
            headline.len(),
            HEADLINE.len(),
            pairs.len(),
            rayon::current_num_threads()
        );
    }
}

fn figures(labels: &[u8], scores: &[f32], facts: &RowFacts, k: usize) -> [f64; HEADLINE.len()] {
    let ranked = RankedRows::new(labels, scores, facts, k, Unit::Row).expect("scores are numbers");
    ranked.figures(&vec![1; labels.len()], &mut Scratch::default())
}

fn coverage(data_sets: usize) {
    println!("share of {data_sets} data sets whose 95 % interval holds the true figure; prevalence 10 %");
    println!("frauds  {}  auc (DeLong)", HEADLINE.join("  "));
    for n_positives in [30usize, 100, 300, 1000] {
        let n_negatives = 9 * n_positives;
        // Alerts grow with the rows, so that the true figures are those of one long file.
        let k = (n_positives / 30).max(1);
        let copies = 4_000_000 / (n_positives + n_negatives);
        let truth: Vec<[f64; HEADLINE.len()]> = (0..copies.min(2000) as u64)
            .into_par_iter()
            .map(|copy| {
                let (labels, scores, facts) = rows(n_positives, n_negatives, Seed::new(7).derive("truth", copy));
                figures(&labels, &scores, &facts, k)
            })
            .collect();
        let truth: Vec<f64> = (0..HEADLINE.len())
            .map(|at| truth.iter().map(|figures| figures[at]).sum::<f64>() / truth.len() as f64)
            .collect();
        let covered: Vec<([bool; HEADLINE.len()], bool)> = (0..data_sets as u64)
            .into_par_iter()
            .map(|at| {
                let (labels, scores, facts) = rows(n_positives, n_negatives, Seed::new(8).derive("data", at));
                let bootstrap = Bootstrap::new(&labels, None, Unit::Row, 1000, Seed::new(9).derive("draws", at));
                let models = [Scored { model: "m".into(), case: "raw".into(), scores }];
                let sample =
                    Sample { protocol: "t", labels: &labels, facts: &facts, bootstrap: &bootstrap, unit: Unit::Row, k };
                let (headline, _) = sample.compare(&models);
                let within = |at: usize| {
                    let interval = headline[0].figures[HEADLINE[at]].interval;
                    interval.is_some_and(|[low, high]| low <= truth[at] && truth[at] <= high)
                };
                let mut covered = [false; HEADLINE.len()];
                (0..HEADLINE.len()).for_each(|at| covered[at] = within(at));
                let delong = measure(&labels, &models[0].scores).auc_interval;
                (covered, delong.is_some_and(|[low, high]| low <= truth[1] && truth[1] <= high))
            })
            .collect();
        let share = |of: &dyn Fn(&Covered) -> bool| {
            100.0 * covered.iter().filter(|covered| of(covered)).count() as f64 / data_sets as f64
        };
        let shares: Vec<String> = (0..HEADLINE.len())
            .map(|at| format!("{:>width$.1}", share(&|covered| covered.0[at]), width = HEADLINE[at].len()))
            .collect();
        println!("{n_positives:>6}  {}  {:.1}", shares.join("  "), share(&|covered| covered.1));
    }
}

/// DeLong over a million rows.
fn delong() {
    let (labels, scores, _) = rows(35_000, 965_000, Seed::new(4));
    let started = Instant::now();
    let placements = Placements::new(&labels, &scores).expect("both classes");
    println!(
        "DeLong's placements of 1,000,000 rows: {:.2} s, AUC {:.6}",
        started.elapsed().as_secs_f64(),
        placements.auc
    );
}

/// Labels (a byte a row), then two models' scores (f32, little endian): figures of the first, DeLong of both, as JSON.
fn metrics(path: &str) {
    let bytes = std::fs::read(path).expect("a file of rows");
    let n_rows = bytes.len() / 9;
    let labels = &bytes[..n_rows];
    let scores = |at: usize| -> Vec<f32> {
        let bytes = &bytes[n_rows * (1 + 4 * at)..][..4 * n_rows];
        bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])).collect()
    };
    let (first, second) = (scores(0), scores(1));
    let mut figures = serde_json::to_value(measure(labels, &first)).expect("figures");
    let counts = figures["confusion"].take();
    figures.as_object_mut().expect("an object").extend(counts.as_object().expect("an object").clone());
    let placed = [&first, &second].map(|scores| Placements::new(labels, scores).expect("both classes"));
    figures["delong_variance"] = covariance(labels, None, &placed[0], &placed[0]).into();
    figures["delong_covariance"] = covariance(labels, None, &placed[0], &placed[1]).into();
    println!("{figures}");
}

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    match asked.first().map(String::as_str) {
        Some("coverage") => coverage(asked.get(1).and_then(|n| n.parse().ok()).unwrap_or(1000)),
        Some("metrics") => metrics(asked.get(1).expect("`metrics FILE`")),
        _ => {
            speed();
            delong();
        }
    }
}

//! All final fits of one protocol on their common test rows: headline figures with intervals, and which differences are
//! real. In: labels, facts, raw scores per model; out: [`HeadlineRow`]s and [`Compared`] pairs, paired by draws.

use rayon::prelude::*;

use super::assessment::{Compared, Estimate, HeadlineRow};
use super::bootstrap::{Bootstrap, deviation, interval, interval_of_share, p_value};
use super::delong::{Difference, Placements, difference, holm};
use super::facts::{RowFacts, Unit};
use super::headline::{Figures, HEADLINE, RankedRows, Scratch};

/// A model's scores of the sample's rows.
pub struct Scored {
    pub model: String,
    pub case: String,
    pub scores: Vec<f32>,
}

/// Test rows and how they are drawn.
pub struct Sample<'a> {
    pub protocol: &'a str,
    pub labels: &'a [u8],
    pub facts: &'a RowFacts,
    pub bootstrap: &'a Bootstrap,
    pub unit: Unit,
    /// Alerts a day.
    pub k: usize,
}

/// One model's figures, and what the draws make of them.
struct Drawn {
    figures: Figures,
    /// Per figure, one per draw.
    draws: Vec<Vec<f64>>,
}

impl Sample<'_> {
    /// Rows in the order of the models; every pair once, the earlier model first.
    pub fn compare(&self, models: &[Scored]) -> (Vec<HeadlineRow>, Vec<Compared>) {
        let drawn = self.draw(models);
        let headline = models.iter().zip(&drawn).map(|(model, drawn)| self.headline(model, drawn.as_ref())).collect();
        (headline, self.pairs(models, &drawn))
    }

    /// `None` for a model whose scores are no numbers.
    fn draw(&self, models: &[Scored]) -> Vec<Option<Drawn>> {
        let rank = |model: &Scored| RankedRows::new(self.labels, &model.scores, self.facts, self.k, self.unit);
        let ranked: Vec<Option<RankedRows>> = models.par_iter().map(rank).collect();
        let figures = |counts: &[u16], scratch: &mut Scratch| -> Vec<Option<Figures>> {
            ranked.iter().map(|ranked| Some(ranked.as_ref()?.figures(counts, scratch))).collect()
        };
        let once = figures(&vec![1; self.labels.len()], &mut Scratch::default());
        let draws = self.bootstrap.each(figures);
        let of_model = |(at, once): (usize, Option<Figures>)| {
            let of_figure = |figure: usize| {
                draws.iter().map(|draw| draw[at].map_or(f64::NAN, |figures| figures[figure])).collect::<Vec<f64>>()
            };
            Some(Drawn { figures: once?, draws: (0..HEADLINE.len()).map(of_figure).collect() })
        };
        once.into_iter().enumerate().map(of_model).collect()
    }

    fn headline(&self, model: &Scored, drawn: Option<&Drawn>) -> HeadlineRow {
        let estimate = |figure: usize| match drawn {
            Some(drawn) if drawn.figures[figure].is_finite() => Estimate {
                value: Some(drawn.figures[figure]),
                interval: interval_of_share(drawn.figures[figure], &drawn.draws[figure]),
            },
            _ => Estimate::default(),
        };
        HeadlineRow {
            protocol: self.protocol.to_owned(),
            model: model.model.clone(),
            case: model.case.clone(),
            figures: HEADLINE.iter().enumerate().map(|(at, name)| ((*name).to_owned(), estimate(at))).collect(),
            average_precision_deviation: drawn.and_then(|drawn| deviation(drawn.draws[0].iter().copied())),
        }
    }

    fn pairs(&self, models: &[Scored], drawn: &[Option<Drawn>]) -> Vec<Compared> {
        let groups = self.facts.units(Unit::Group).filter(|_| self.unit == Unit::Group);
        let placements: Vec<Option<Placements>> =
            models.par_iter().map(|model| Placements::new(self.labels, &model.scores)).collect();
        let pairs: Vec<(usize, usize)> =
            (0..models.len()).flat_map(|a| (a + 1..models.len()).map(move |b| (a, b))).collect();
        let name = |at: usize| [models[at].model.clone(), models[at].case.clone()];
        let compared = pairs.par_iter().map(|&(a, b)| Compared {
            protocol: self.protocol.to_owned(),
            first: name(a),
            second: name(b),
            auc: placements[a].as_ref().zip(placements[b].as_ref()).map(|(a, b)| difference(self.labels, groups, a, b)),
            average_precision: drawn[a].as_ref().zip(drawn[b].as_ref()).map(|(a, b)| difference_of_precision(a, b)),
            auc_adjusted: None,
            average_precision_adjusted: None,
        });
        let mut compared: Vec<Compared> = compared.collect();
        let p = |of: fn(&Compared) -> Option<Difference>| -> Vec<Option<f64>> {
            holm(&compared.iter().map(|pair| of(pair)?.p).collect::<Vec<_>>())
        };
        let (of_auc, of_precision) = (p(|pair| pair.auc), p(|pair| pair.average_precision));
        for (pair, (auc, precision)) in compared.iter_mut().zip(of_auc.into_iter().zip(of_precision)) {
            (pair.auc_adjusted, pair.average_precision_adjusted) = (auc, precision);
        }
        compared
    }
}

fn difference_of_precision(a: &Drawn, b: &Drawn) -> Difference {
    let difference = a.figures[0] - b.figures[0];
    let draws: Vec<f64> = a.draws[0].iter().zip(&b.draws[0]).map(|(a, b)| a - b).collect();
    let interval = interval(difference, draws.iter().copied());
    Difference { difference, interval, p: interval.and_then(|_| p_value(&draws)) }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::training::seed::Seed;

    fn sample(unit: Unit, threads: usize) -> (Vec<HeadlineRow>, Vec<Compared>) {
        let mut rng = Seed::new(1).rng();
        let n_rows = 3000;
        let labels: Vec<u8> = (0..n_rows).map(|row| u8::from(row % 10 == 0)).collect();
        let mut noisy = |signal: f32| -> Vec<f32> {
            labels.iter().map(|&label| rng.random_range(0.0f32..1.0) + signal * f32::from(label)).collect()
        };
        let good = noisy(0.6);
        let as_good: Vec<f32> = good.iter().map(|score| score * 0.5).collect();
        let models = [("good", good), ("as good", as_good), ("worse", noisy(0.3)), ("broken", vec![f32::NAN; n_rows])];
        let models: Vec<Scored> =
            models.map(|(name, scores)| Scored { model: name.into(), case: "raw".into(), scores }).into();
        let facts = RowFacts {
            days: Some((0..n_rows as u32).map(|row| row / 100).collect()),
            groups: Some((0..n_rows as u32).map(|row| row % 700).collect()),
            ..RowFacts::default()
        };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let bootstrap = Bootstrap::new(&labels, facts.units(unit), unit, 1000, Seed::new(2));
            let sample =
                Sample { protocol: "temporal", labels: &labels, facts: &facts, bootstrap: &bootstrap, unit, k: 10 };
            sample.compare(&models)
        })
    }

    #[test]
    fn real_differences_are_found_and_equal_rankings_are_not_told_apart() {
        for unit in [Unit::Row, Unit::Day, Unit::Group] {
            let (headline, pairs) = sample(unit, 2);
            let figure = |model: usize, name: &str| headline[model].figures[name];
            for name in HEADLINE {
                let Estimate { value: Some(value), interval: Some([low, high]) } = figure(0, name) else {
                    panic!("{name} of {unit:?}: {:?}", figure(0, name))
                };
                assert!(low < value && value < high && high - low < 0.35, "{name}: {low} {value} {high}");
                assert_eq!(figure(3, name), Estimate::default());
            }
            let pair = |a: &str, b: &str| pairs.iter().find(|pair| pair.first[0] == a && pair.second[0] == b).unwrap();
            let equal = pair("good", "as good");
            assert_eq!(equal.auc.map(|auc| (auc.difference, auc.p)), Some((0.0, None)));
            assert_eq!(equal.average_precision.and_then(|found| found.p), None);
            let real = pair("good", "worse");
            assert!(real.auc_adjusted.unwrap() < 0.001 && real.average_precision_adjusted.unwrap() < 0.05, "{real:?}");
            assert_eq!(pair("good", "broken").auc, None);
        }
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bits() {
        let text = |threads| serde_json::to_string(&sample(Unit::Group, threads)).unwrap();
        assert_eq!(text(1), text(3));
    }
}

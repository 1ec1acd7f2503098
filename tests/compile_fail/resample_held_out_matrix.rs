// error: expected `&TrainingSet`, found `&HeldOutMatrix`
use fraudml::training::config::Case;
use fraudml::training::prepare::Prepared;
use fraudml::training::progress::Progress;
use fraudml::training::resample::{Shared, resample};
use fraudml::training::seed::Seed;

pub fn leak(case: &Case, prepared: &Prepared, seed: Seed, progress: &dyn Progress) {
    let _ = resample(case, &mut Shared::new(&prepared.held_out, seed, Vec::new()), progress);
}

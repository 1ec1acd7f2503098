// error: expected `&TrainingSet`, found `&HeldOutMatrix`
use fraudml::training::config::ModelConfig;
use fraudml::training::fit::Learner;
use fraudml::training::prepare::Prepared;
use fraudml::training::progress::Progress;
use fraudml::training::seed::Seed;

pub fn leak(model: &ModelConfig, prepared: &Prepared, seed: Seed, progress: &dyn Progress) {
    let _ = model.fit(&prepared.held_out, seed, progress);
}

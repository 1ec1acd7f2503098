// error: expected `&TrainRows`, found `&HeldOutRows`
use fraudml::training::config::Recipe;
use fraudml::training::fit::preprocessor;
use fraudml::training::mapped::Storage;
use fraudml::training::rows::HeldOutRows;
use fraudml::training::seed::Seed;

pub fn leak(recipe: &Recipe, test: &HeldOutRows, seed: Seed) {
    let _ = preprocessor::fit(recipe, test, &Storage::in_memory(), seed);
}

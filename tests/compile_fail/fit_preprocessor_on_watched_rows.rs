// error: expected `&TrainRows`, found `&WatchedRows`
use fraudml::training::config::Recipe;
use fraudml::training::fit::preprocessor;
use fraudml::training::mapped::Storage;
use fraudml::training::rows::WatchedRows;
use fraudml::training::seed::Seed;

pub fn leak(recipe: &Recipe, watched: &WatchedRows, seed: Seed) {
    let _ = preprocessor::fit(recipe, watched, &Storage::in_memory(), seed);
}

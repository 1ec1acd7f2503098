// error: expected `&TrainRows`, found `&HeldOutRows`
use fraudml::scoring::preprocessor::TextCase;
use fraudml::training::fit::features::Derived;
use fraudml::training::mapped::Storage;
use fraudml::training::rows::HeldOutRows;
use fraudml::training::seed::Seed;

pub fn leak(test: &HeldOutRows, seed: Seed) {
    let _ = Derived::new(test, TextCase::Keep, &Storage::in_memory(), seed);
}

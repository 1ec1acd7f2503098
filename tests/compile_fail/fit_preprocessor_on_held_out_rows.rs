// error: expected `&TrainRows`, found `&HeldOutRows`
use fraudml::training::config::PreprocessConfig;
use fraudml::training::fit::preprocessor;
use fraudml::training::rows::HeldOutRows;

pub fn leak(config: &PreprocessConfig, test: &HeldOutRows) {
    let _ = preprocessor::fit(config, test);
}

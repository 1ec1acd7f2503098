// error: expected `&TrainRows`, found `&WatchedRows`
use fraudml::training::config::PreprocessConfig;
use fraudml::training::fit::preprocessor;
use fraudml::training::rows::WatchedRows;

pub fn leak(config: &PreprocessConfig, watched: &WatchedRows) {
    let _ = preprocessor::fit(config, watched);
}

//! The twin of all other cases: the same calls on training rows compile.
use fraudml::scoring::calibration::{Calibration, Method};
use fraudml::scoring::preprocessor::TextCase;
use fraudml::training::calibrate;
use fraudml::training::config::*;
use fraudml::training::error::Result;
use fraudml::training::evaluate::ResamplingReport;
use fraudml::training::fit::features::Derived;
use fraudml::training::fit::{Fitted, Learner, preprocessor};
use fraudml::training::mapped::Storage;
use fraudml::training::prepare::{Prepared, prepare};
use fraudml::training::progress::Progress;
use fraudml::training::resample::{Shared, resample};
use fraudml::training::rows::{HeldOutRows, TrainRows};
use fraudml::training::seed::Seed;
use fraudml::training::select::{OutOfFold, choose_threshold};
use fraudml::training::split::set_aside;

pub fn prepared(recipe: &Recipe, train: &TrainRows, test: &HeldOutRows, seed: Seed) -> Result<Prepared> {
    let storage = Storage::in_memory();
    Derived::new(train, TextCase::Keep, &storage, seed);
    preprocessor::fit(recipe, train, &storage, seed)?;
    prepare(recipe, train, test, &storage, seed)
}

pub fn watched(protocol: Protocol, recipe: &Recipe, train: &TrainRows, test: &HeldOutRows, seed: Seed) -> Result<()> {
    let (fit, watched) = set_aside(protocol, train, 0.1, seed)?;
    prepare(recipe, &fit, test, &Storage::in_memory(), seed)?.watched(&watched)?;
    Ok(())
}

pub fn fitted(model: &ModelConfig, case: &Case, prepared: &Prepared, seed: Seed, progress: &dyn Progress) -> Result<Fitted> {
    model.fit(&resample(case, &mut Shared::new(&prepared.train, seed, Vec::new()), progress)?.set, seed, progress)
}

pub fn threshold(policy: ThresholdPolicy, out_of_fold: &OutOfFold) -> Result<f32> {
    choose_threshold(policy, out_of_fold)
}

pub fn calibration(method: Method, out_of_fold: &OutOfFold, resampling: &ResamplingReport) -> std::result::Result<Calibration, String> {
    calibrate::fit(method, out_of_fold, resampling)
}

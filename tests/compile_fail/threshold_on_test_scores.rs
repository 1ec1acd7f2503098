// error: expected `&OutOfFold`, found `&TestScores`
use fraudml::training::config::ThresholdPolicy;
use fraudml::training::select::{TestScores, choose_threshold};

pub fn leak(policy: ThresholdPolicy, test: &TestScores) {
    let _ = choose_threshold(policy, test);
}

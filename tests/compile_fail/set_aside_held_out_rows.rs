// error: expected `&TrainRows`, found `&HeldOutRows`
use fraudml::training::config::Protocol;
use fraudml::training::rows::HeldOutRows;
use fraudml::training::seed::Seed;
use fraudml::training::split::set_aside;

pub fn leak(test: &HeldOutRows) {
    let _ = set_aside(Protocol::Random, test, 0.1, Seed::new(1));
}

// error: expected `TrainRows`, found `HeldOutRows`
use fraudml::training::rows::{HeldOutRows, TrainRows};

pub fn leak(test: HeldOutRows) -> TrainRows {
    TrainRows::from(test)
}

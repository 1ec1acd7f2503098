// error: expected `&WatchedRows`, found `&HeldOutRows`
use fraudml::training::prepare::Prepared;
use fraudml::training::rows::HeldOutRows;

pub fn leak(prepared: &Prepared, test: &HeldOutRows) {
    let _ = prepared.watched(test);
}

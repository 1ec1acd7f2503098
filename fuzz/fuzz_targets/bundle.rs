//! Any bytes as preprocessor or model of a bundle: an error, or something that scores any row without a panic.
#![no_main]

use fraudml::scoring::model::{Classifier, Model, ModelKind};
use fraudml::scoring::preprocessor::Preprocessor;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((&kind, bytes)) = bytes.split_first() else { return };
    if kind % 4 == 3 {
        let _ = Preprocessor::from_bytes(bytes);
        return;
    }
    let n_features = usize::from(kind / 4);
    if let Ok(model) = Model::from_bytes(ModelKind::ALL[usize::from(kind % 4)], n_features, bytes) {
        for value in [0.0, f32::NAN, f32::MAX, f32::MIN] {
            let _ = model.score_row(&vec![value; model.n_features()]);
        }
    }
});

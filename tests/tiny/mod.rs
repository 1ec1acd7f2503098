//! A bundle small enough to read: five columns, a network of 5 x 4 x 1, a dozen golden records.
#![allow(dead_code, clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fraudml::scoring::bundle::{Bundle, GOLDEN, Golden, MANIFEST, MODEL, Manifest, PREPROCESSOR, sha256_hex};
use fraudml::scoring::calibration::Calibration;
use fraudml::scoring::model::mlp::{Dense, Mlp};
use fraudml::scoring::model::{Model, ModelKind};
use fraudml::scoring::preprocessor::{Categorical, Encode, FrozenColumn, Numeric, Preprocessor, Scale, TextCase};
use fraudml::scoring::schema::{Column, ColumnKind, Schema};
use fraudml::scoring::scorer::Scorer;
use serde_json::{Map, Value as Json, json};

/// A static arm64 program of one header, as far as a look at it tells.
#[cfg(feature = "train")]
pub fn arm64() -> fraudml::training::package::runner::Runner {
    let mut bytes = vec![0; 64 + 56];
    bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
    bytes[16..20].copy_from_slice(&[3, 0, 183, 0]);
    (bytes[24], bytes[32], bytes[54], bytes[56], bytes[64]) = (1, 64, 56, 1, 1);
    fraudml::training::package::runner::Runner::given("arm64", "test", bytes).unwrap()
}

pub fn records() -> Vec<Map<String, Json>> {
    [
        json!({ "TransactionID": 1, "amt": 59.95, "card": "visa", "dist": 12, "hour": 3.25, "device": "iOS" }),
        json!({ "TransactionID": 2, "amt": 0.1, "card": "MasterCard", "dist": null, "hour": 23 }),
        json!({ "TransactionID": "3", "amt": "1234.567", "card": " visa ", "dist": "7.5e2", "hour": "0", "device": 150.0 }),
        json!({ "TransactionID": 4, "amt": 31937.391, "card": "discover", "device": "❄ ☃ ❄" }),
        json!({ "amt": -0.0, "card": "", "dist": "nan", "hour": 1e-7 }),
        json!({ "TransactionID": 6, "amt": 1e300, "dist": -1e300 }),
        json!({ "TransactionID": 7, "amt": 100, "card": "visa", "dist": 1, "hour": 12, "device": 150, "unknown": [1, {}] }),
        json!({ "TransactionID": 8, "amt": 49.99999999999999, "card": "amex", "dist": 287.1, "hour": 5.5, "device": "ios" }),
        json!({ "amt": null }),
        json!({ "TransactionID": 10, "amt": 3.3333333333333335, "card": "straße", "hour": 17 }),
    ]
    .into_iter()
    .filter_map(|record| record.as_object().cloned())
    .collect()
}

fn numeric(name: &str, fill: f64, center: f64, spread: f64) -> FrozenColumn {
    FrozenColumn::Numeric(Numeric { name: name.into(), fill: Some(fill), scale: Scale { center, spread }, range: None })
}

fn categorical(name: &str, labels: &[&str], center: f64, spread: f64) -> FrozenColumn {
    let labels = labels.iter().map(|&label| label.to_owned()).collect();
    FrozenColumn::Categorical(Categorical {
        name: name.into(),
        fill: "VISA".into(),
        labels,
        scale: Scale { center, spread },
        encode: Encode::Label,
    })
}

/// Numbers without a pattern, the same for ever.
fn weights(n: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let mut draw = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..n).map(|_| draw()).collect()
}

/// The four files of the bundle.
pub fn files() -> BTreeMap<String, Vec<u8>> {
    files_calibrated(&Calibration::None)
}

/// The same model under a calibration.
pub fn files_calibrated(calibration: &Calibration) -> BTreeMap<String, Vec<u8>> {
    let columns = vec![
        numeric("amt", 68.769, 135.027176, 239.162522),
        categorical("card", &["AMEX", "MASTERCARD", "STRASSE", "VISA"], 2.7, 1.1),
        numeric("dist", 8.0, 118.5, 371.87),
        numeric("hour", 14.0, 13.7, 7.6),
        categorical("device", &["150", "ANDROID", "IOS", "VISA"], 2.0, 1.0),
    ];
    let preprocessor = Preprocessor {
        format: Preprocessor::FORMAT,
        text_case: TextCase::Upper,
        features: Vec::new(),
        columns,
        reduce: Vec::new(),
        dropped: Vec::new(),
    };
    let layer = |n_inputs: usize, n_outputs: usize, seed| {
        Dense::new(n_inputs, &weights(n_inputs * n_outputs, seed), &weights(n_outputs, seed + 1))
    };
    let model = Model::Mlp(Mlp { layers: vec![layer(5, 4, 1), layer(4, 1, 7)] });
    let kind = |column: &FrozenColumn| match column {
        FrozenColumn::Numeric(_) => ColumnKind::Numeric,
        FrozenColumn::Categorical(_) => ColumnKind::Categorical,
    };
    let schema_columns =
        preprocessor.columns.iter().map(|column| Column { name: column.name().into(), kind: kind(column) }).collect();
    let manifest = |golden: &[u8]| {
        let hashes = [
            (PREPROCESSOR, sha256_hex(&preprocessor.to_bytes())),
            (MODEL, sha256_hex(&model.to_bytes())),
            (GOLDEN, sha256_hex(golden)),
        ];
        Manifest {
            format: Manifest::FORMAT,
            id: String::new(),
            name: "tiny".into(),
            run: "tiny-00000000".into(),
            schema: Schema::new(Some("TransactionID".into()), Vec::clone(&schema_columns)),
            features: preprocessor.feature_names().to_vec(),
            model: ModelKind::Mlp,
            case: "raw".into(),
            protocol: "temporal".into(),
            calibration: calibration.clone(),
            threshold: 0.5,
            policy: json!({ "value": 0.5 }),
            metrics: BTreeMap::new(),
            files: hashes.map(|(name, hash)| (name.to_owned(), hash)).into(),
        }
        .seal()
    };
    let with_golden = |golden: Vec<u8>| {
        BTreeMap::from([
            (MANIFEST.to_owned(), manifest(&golden).to_bytes()),
            (PREPROCESSOR.to_owned(), preprocessor.to_bytes()),
            (MODEL.to_owned(), model.to_bytes()),
            (GOLDEN.to_owned(), golden),
        ])
    };
    let bare = with_golden(serde_json::to_vec(&Golden { records: Vec::new() }).unwrap());
    let scorer = Scorer::new(Bundle::from_files(&bare).unwrap()).unwrap();
    let golden = Golden { records: records().into_iter().map(|record| scorer.golden(record).unwrap()).collect() };
    with_golden(serde_json::to_vec_pretty(&golden).unwrap())
}

pub fn scorer() -> Scorer {
    Scorer::new(Bundle::from_files(&files()).unwrap()).unwrap()
}

/// Writes the bundle into a folder of the tests' own.
pub fn written(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    for (file, bytes) in files() {
        std::fs::write(folder.join(file), bytes).unwrap();
    }
    folder
}

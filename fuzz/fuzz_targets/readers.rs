//! Any bytes to whatever reads what others wrote: never a panic, never without an answer. `FRAUDML_FUZZ` names the reader:
//! `config`, `table`, `parquet`, `record`, `bundle`, `request` or `run`.
#![no_main]
#![allow(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use fraudml::cli::config;
use fraudml::scoring::bundle::{Bundle, FILES, MANIFEST};
use fraudml::scoring::model::{Classifier, Model, ModelKind};
use fraudml::scoring::preprocessor::Preprocessor;
use fraudml::scoring::scorer::Scorer;
use fraudml::scoring::stage::Stage;
use fraudml::serving::protocol::Action;
use fraudml::training::cells::{Cell, PlannedCell};
use fraudml::training::mapped::Storage;
use fraudml::training::progress::Silent;
use fraudml::training::read::read;
use fraudml::training::run::RunFile;
use libfuzzer_sys::fuzz_target;

static BUNDLE: LazyLock<PathBuf> =
    LazyLock::new(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/bundle_of_leaf_values"));

static READER: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    quiet_about_polars();
    match std::env::var("FRAUDML_FUZZ").as_deref() {
        Ok("config") => read_config,
        Ok("table") => read_table,
        Ok("parquet") => read_parquet,
        Ok("record") => read_record,
        Ok("bundle") => read_bundle,
        Ok("request") => read_request,
        Ok("run") => read_run,
        other => panic!("FRAUDML_FUZZ names no reader: {other:?}"),
    }
});

fuzz_target!(|bytes: &[u8]| READER(bytes));

/// polars panics on some malformed files, in its own code or in the vectors it fills, which its callers catch: only panics
/// of ours end the fuzzer.
fn quiet_about_polars() {
    let ends = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let theirs = panic.location().is_some_and(|location| location.file().contains("polars"));
        if !theirs && !std::backtrace::Backtrace::force_capture().to_string().contains("polars_parquet::") {
            ends(panic);
        }
    }));
}

/// What is taken is shown as YAML that is taken too, and means the same.
fn read_config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(loaded) = config::parse(text, "c.yaml", &[], &[]) else { return };
    let shown = config::show::yaml(&loaded.config, None);
    let only: Vec<String> = loaded.config.models.iter().map(|model| model.name.clone()).collect();
    let again = config::parse(&shown, "shown.yaml", &[], &only);
    let again = again.unwrap_or_else(|problems| panic!("{}\n{shown}", problems[0]));
    assert_eq!(again.config, loaded.config, "{shown}");
}

/// A file of these bytes as the table of a config.
fn read_file(name: &str, bytes: &[u8]) {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let folder = parent.join(format!("fraudml-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder in memory");
        folder
    });
    let path = FOLDER.join(name);
    std::fs::write(&path, bytes).expect("memory to write to");
    let text = format!(
        "name: f\ndata: {{ tables: [ {{ path: '{}' }} ], target: y, id: id, time: t, columns: {{ k: categorical }} }}\n",
        path.display()
    );
    let loaded = config::parse(&text, "c.yaml", &[], &[]).unwrap_or_else(|problems| panic!("{}", problems[0]));
    if let Ok(data) = read(&loaded.config.recipe(), &Storage::in_memory(), &Silent) {
        assert_eq!(data.dataset.labels.len(), data.dataset.ids.len());
        assert!(data.dataset.n_positives() > 0);
    }
}

/// The first byte says how it is packed.
fn read_table(bytes: &[u8]) {
    let Some((packing, bytes)) = bytes.split_first() else { return };
    read_file(["t.csv", "t.csv", "t.csv", "t.csv.gz", "t.csv.zst"][usize::from(packing % 5)], bytes);
}

fn read_parquet(bytes: &[u8]) {
    read_file("t.parquet", bytes);
}

/// One record by the reader of one pass and by the one that walks a tree: the same answer.
fn read_record(bytes: &[u8]) {
    static SCORER: LazyLock<Scorer> =
        LazyLock::new(|| Bundle::load(&BUNDLE).and_then(Scorer::new).expect("a sound bundle"));
    let Ok(serde_json::Value::Object(record)) = serde_json::from_slice(bytes) else { return };
    if let Ok(answer) = SCORER.pipeline(&record) {
        let chained = SCORER.transform(&record).and_then(|features| SCORER.encode(&features));
        let chained = chained.and_then(|vector| SCORER.predict(&vector)).expect("each stage takes what fused takes");
        assert_eq!(answer.score.to_bits(), chained.score.to_bits());
    }
}

/// Part by part, for hashes keep any change from the whole; the manifest beside sound files.
fn read_bundle(bytes: &[u8]) {
    static WHOLE: LazyLock<BTreeMap<String, Vec<u8>>> = LazyLock::new(|| {
        let read =
            |(name, _): (&str, u64)| (name.to_owned(), std::fs::read(BUNDLE.join(name)).expect("a sound bundle"));
        FILES.map(read).into()
    });
    let Some((&kind, bytes)) = bytes.split_first() else { return };
    match kind % 5 {
        3 => drop(Preprocessor::from_bytes(bytes)),
        4 => {
            let mut files: BTreeMap<String, Vec<u8>> = WHOLE.clone();
            files.insert(MANIFEST.to_owned(), bytes.to_vec());
            drop(Bundle::from_files(&files).and_then(Scorer::new));
        }
        model => {
            let n_features = usize::from(kind / 5);
            if let Ok(model) = Model::from_bytes(ModelKind::ALL[usize::from(model)], n_features, bytes) {
                for value in [0.0, f32::NAN, f32::MAX, f32::MIN] {
                    let _ = model.score_row(&vec![value; model.n_features()]);
                }
            }
        }
    }
}

/// Method and path up to a line break each, then the body, to each stage.
fn read_request(bytes: &[u8]) {
    static ACTIONS: LazyLock<Vec<Action>> = LazyLock::new(|| {
        Stage::ALL.map(|stage| Action::new(Some(stage), || Bundle::load(&BUNDLE).and_then(Scorer::new))).into()
    });
    let mut parts = bytes.splitn(3, |&byte| byte == b'\n');
    let mut text = || std::str::from_utf8(parts.next().unwrap_or_default()).unwrap_or("/").to_owned();
    let (method, path) = (text(), text());
    let body = parts.next().unwrap_or_default();
    for action in ACTIONS.iter() {
        let reply = action.reply(&method, &path, body);
        assert!(matches!(reply.status, 200 | 400 | 403..=405 | 413 | 502), "{}", reply.status);
        assert!(reply.body.len() <= 1 << 20, "{}", reply.body.len());
    }
}

/// JSON files of a run, as they are read back. (Scores are Parquet; their hash stands before their reader.)
fn read_run(bytes: &[u8]) {
    drop(serde_json::from_slice::<Cell>(bytes));
    drop(serde_json::from_slice::<Vec<PlannedCell>>(bytes));
    drop(serde_json::from_slice::<RunFile>(bytes));
}

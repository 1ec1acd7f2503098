//! Six hundred rows in which nothing leaks, and a grid of all kinds on them; what `verify leak` says of it.
#![allow(dead_code, clippy::disallowed_methods)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

pub const HEADER: &str = "id,fraud,time,amount,hour,card";

/// Frauds are every seventh row, dearer in the middle; forty cards and amounts without a pattern.
pub fn rows() -> Vec<String> {
    let mut state = 7u64;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1u32 << 31)
    };
    let brands = ["visa", "amex", "jcb", "maestro"];
    let row = |at: usize| {
        let fraud = u8::from(at % 7 == 3);
        let amount = 20.0 + 50.0 * draw() + 30.0 * f64::from(fraud);
        let card = format!("{}-{}", brands[(4.0 * draw()) as usize], (10.0 * draw()) as usize);
        let hour = if at.is_multiple_of(11) { String::new() } else { format!("{:.3}", 24.0 * draw()) };
        format!("{at},{fraud},{},{amount:.9},{hour},{card}", at * 60)
    };
    (0..600).map(row).collect()
}

const CONFIG: &str = "name: tiny
data:
  tables: [ { path: train.csv } ]
  target: fraud
  id: id
  time: time
split: { folds: 2 }
features: [ { name: card_risk, target: card } ]
imbalance: [ raw, class-weights, oversample: { target_share: 0.4 }, smote-tomek: { target_share: 0.4 } ]
models:
  random-forest: { trees: 20 }
  mlp: { hidden: [8], epochs: 3 }
";

pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().expect("folder"));
        fs::write(folder.path().join("train.csv"), format!("{HEADER}\n{}\n", rows().join("\n"))).expect("data");
        fs::write(folder.path().join("c.yaml"), CONFIG).expect("config");
        folder
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fraudml"));
        command.args(arguments).current_dir(self.path()).env("NO_COLOR", "1").env_remove("FRAUDML_PLANTED_LEAK");
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("fraudml runs")
    }

    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// The document of `verify leak`, which must end with this exit code.
    pub fn leaks(&self, planted: Option<&str>, code: i32) -> serde_json::Value {
        let mut command = self.command(&["verify", "leak", "--config", "c.yaml", "--json"]);
        if let Some(planted) = planted {
            command.env("FRAUDML_PLANTED_LEAK", planted);
        }
        let output = command.output().expect("fraudml runs");
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one document");
        assert_eq!(document["error"].is_object(), code != 0, "{document:#}");
        document
    }
}

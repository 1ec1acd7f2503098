//! A bundle: manifest, preprocessor, model and golden records, addressed by the hash of their content.
//!
//! In: a folder or named bytes, all of it hostile. Out: a [`Bundle`] whose every file matches its SHA-256, or an error
//! that names the file. Format 1. The id is the first 16 hex digits of the SHA-256 of the canonical manifest with an
//! empty id; the manifest holds the hashes of the other files. Golden answers leave the bundle's id out, for it is not
//! known before them.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use sha2::{Digest, Sha256};

use super::calibration::Calibration;
use super::error::ScoringError;
use super::model::{Classifier, Model, ModelKind};
use super::preprocessor::Preprocessor;
use super::schema::Schema;

pub const MANIFEST: &str = "manifest.json";
pub const PREPROCESSOR: &str = "preprocessor.json";
pub const MODEL: &str = "model.safetensors";
pub const GOLDEN: &str = "golden.json";
/// May stand beside them: another operating point. It is no part of the id.
pub const POLICY: &str = "policy.json";
const POLICY_BYTES: u64 = 1 << 16;

/// The files of a bundle and the bytes each may have: a bound on what a hostile folder can make us read and, for JSON,
/// blow up in memory.
pub const FILES: [(&str, u64); 4] =
    [(MANIFEST, 16 << 20), (PREPROCESSOR, 64 << 20), (MODEL, 1 << 30), (GOLDEN, 16 << 20)];

const RESTORE: &str = "restore the bundle from where it was made, or run `fraudml train` again";

/// What a bundle is: all a reader needs to know without loading the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub format: u32,
    pub id: String,
    pub name: String,
    pub run: String,
    pub schema: Schema,
    /// Feature names in the order of the vector.
    pub features: Vec<String>,
    pub model: ModelKind,
    pub case: String,
    pub protocol: String,
    pub calibration: Calibration,
    /// `is_fraud = score >= threshold`, on the calibrated score.
    pub threshold: f32,
    /// The policy that chose the threshold, as in the config.
    pub policy: Json,
    /// Test metrics of the frozen fit, by name.
    pub metrics: BTreeMap<String, Json>,
    /// SHA-256 of every other file, by name.
    pub files: BTreeMap<String, String>,
}

impl Manifest {
    pub const FORMAT: u32 = 1;

    /// Sets the id from the content; call it last.
    pub fn seal(mut self) -> Manifest {
        self.id = self.content_id();
        self
    }

    fn content_id(&self) -> String {
        let unnamed = Manifest { id: String::new(), ..self.clone() };
        sha256_hex(&unnamed.to_bytes())[..16].to_owned()
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Result<Manifest, ScoringError> {
        let format = serde_json::from_slice::<Json>(bytes).ok().and_then(|json| json.get("format")?.as_u64());
        if let Some(newer) = format.filter(|&format| format != u64::from(Self::FORMAT)) {
            return Err(ScoringError::new(format!("`{MANIFEST}` has format {newer}, this version reads format 1"))
                .hint("use the version of fraudml that wrote the bundle, or a newer one"));
        }
        let manifest: Manifest = serde_json::from_slice(bytes)
            .map_err(|error| ScoringError::new(format!("`{MANIFEST}` can't be read: {error}")).hint(RESTORE))?;
        if manifest.to_bytes() != bytes || manifest.content_id() != manifest.id {
            return Err(ScoringError::new(format!(
                "`{MANIFEST}` was changed: its content does not give its id `{}`",
                manifest.id
            ))
            .hint(RESTORE));
        }
        Ok(manifest)
    }
}

/// `policy.json`: another threshold for a bundle, without a change of anything that its id stands for. Golden records are
/// replayed with the threshold that they were frozen with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    pub format: u32,
    /// The bundle it was made for, and the SHA-256 of its model.
    pub bundle: String,
    pub model: String,
    pub threshold: f32,
    /// What chose the threshold, as in the config.
    pub policy: Json,
    /// What it does on the out-of-fold rows and on the test rows of the run.
    pub out_of_fold: Json,
    pub test: Json,
}

impl Policy {
    pub const FORMAT: u32 = 1;

    fn from_bytes(bytes: &[u8], manifest: &Manifest) -> Result<Policy, ScoringError> {
        const AGAIN: &str = "remove the file, or write it anew with `fraudml threshold`";
        let refused = |why: String| ScoringError::new(format!("`{POLICY}` {why}")).hint(AGAIN);
        if bytes.len() as u64 > POLICY_BYTES {
            return Err(refused(format!("is larger than {POLICY_BYTES} bytes")));
        }
        let policy: Policy =
            serde_json::from_slice(bytes).map_err(|error| refused(format!("can't be read: {error}")))?;
        if policy.format != Self::FORMAT {
            return Err(refused(format!("has format {}, this version reads format 1", policy.format)));
        }
        if policy.bundle != manifest.id || manifest.files.get(MODEL) != Some(&policy.model) {
            let name = |id: &str| id.chars().take(16).filter(char::is_ascii_hexdigit).collect::<String>();
            return Err(refused(format!("is for bundle `{}`, this is `{}`", name(&policy.bundle), manifest.id)));
        }
        // The first number above 1 is the threshold that no score reaches.
        if !(0.0..=1.0f32.next_up()).contains(&policy.threshold) {
            return Err(refused(format!("expected a threshold from 0 to 1, found {}", policy.threshold)));
        }
        Ok(policy)
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

/// One golden record: a raw record and what each stage answers (without the bundle's id).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldenRecord {
    pub record: Map<String, Json>,
    pub transform: Json,
    pub encode: Json,
    pub predict: Json,
}

/// `golden.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    pub records: Vec<GoldenRecord>,
}

/// A loaded, hash-checked bundle.
#[derive(Debug, Clone)]
pub struct Bundle {
    pub manifest: Manifest,
    pub preprocessor: Preprocessor,
    pub model: Model,
    pub golden: Golden,
    /// What takes the place of the manifest's threshold.
    pub policy: Option<Policy>,
}

impl Bundle {
    /// `is_fraud = score >= threshold`, on the calibrated score.
    pub fn threshold(&self) -> f32 {
        self.policy.as_ref().map_or(self.manifest.threshold, |policy| policy.threshold)
    }

    /// As it was frozen, whatever policy lies beside it.
    pub fn frozen(folder: &Path) -> Result<Bundle, ScoringError> {
        Self::read(folder, false)
    }

    /// Reads and checks a bundle folder, and the policy that may lie there. Golden records are replayed by [`super::scorer::Scorer::new`].
    pub fn load(folder: &Path) -> Result<Bundle, ScoringError> {
        Self::read(folder, true)
    }

    fn read(folder: &Path, with_policy: bool) -> Result<Bundle, ScoringError> {
        let mut files = BTreeMap::new();
        for (name, limit) in FILES {
            files.insert(name.to_owned(), read_bounded(&folder.join(name), limit)?);
        }
        // Also a link that leads nowhere is an answer to the question whether there is another threshold.
        if with_policy && folder.join(POLICY).symlink_metadata().is_ok() {
            files.insert(POLICY.to_owned(), read_bounded(&folder.join(POLICY), POLICY_BYTES)?);
        }
        let placed = |error: ScoringError| ScoringError {
            message: format!("bundle `{}`: {}", folder.display(), error.message),
            ..error
        };
        let bundle = Self::from_files(&files).map_err(placed)?;
        if bundle.golden.records.is_empty() {
            return Err(placed(ScoringError::new(format!("`{GOLDEN}` holds no record to prove the bundle with"))));
        }
        Ok(bundle)
    }

    /// Checks the named bytes of a bundle against its manifest and reads them.
    pub fn from_files(files: &BTreeMap<String, Vec<u8>>) -> Result<Bundle, ScoringError> {
        let bytes = |name: &str| {
            files.get(name).ok_or_else(|| ScoringError::new(format!("`{name}` is missing from the bundle")))
        };
        let manifest = Manifest::from_bytes(bytes(MANIFEST)?)?;
        for name in [PREPROCESSOR, MODEL, GOLDEN] {
            let found = sha256_hex(bytes(name)?);
            let expected = manifest.files.get(name).map_or("no hash", String::as_str);
            if found != expected {
                let message = format!("`{name}` was changed: expected SHA-256 {expected}, found {found}");
                return Err(ScoringError::new(message).hint(RESTORE));
            }
        }
        let preprocessor = Preprocessor::from_bytes(bytes(PREPROCESSOR)?)?;
        if *preprocessor.feature_names() != manifest.features[..] {
            return Err(ScoringError::new("`manifest.json` and `preprocessor.json` name different features"));
        }
        let model = Model::from_bytes(manifest.model, manifest.features.len(), bytes(MODEL)?)?;
        if model.n_features() != manifest.features.len() || !manifest.threshold.is_finite() {
            return Err(ScoringError::new("`manifest.json` does not fit its model"));
        }
        if manifest.model == ModelKind::Logistic {
            return Err(ScoringError::new("`manifest.json`: the logistic baseline never becomes a bundle"));
        }
        manifest.calibration.check().map_err(|error| ScoringError::new(format!("`{MANIFEST}`: {error}")))?;
        let golden = serde_json::from_slice(bytes(GOLDEN)?)
            .map_err(|error| ScoringError::new(format!("`{GOLDEN}` can't be read: {error}")))?;
        let policy = files.get(POLICY).map(|bytes| Policy::from_bytes(bytes, &manifest)).transpose()?;
        Ok(Bundle { manifest, preprocessor, model, golden, policy })
    }
}

/// Lower-case hex SHA-256.
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads a regular file of at most so many bytes: a pipe would never end, a device never stop.
fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, ScoringError> {
    let failed = |error: std::io::Error| {
        ScoringError::new(format!("`{}` can't be read: {error}", path.display()))
            .hint("name a bundle folder, or run `fraudml train` first")
    };
    let refused = |what: &str| Err(ScoringError::new(format!("`{}` {what}", path.display())).hint(RESTORE));
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return refused("is not a regular file");
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(failed)?.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return refused(&format!("is larger than {limit} bytes"));
    }
    Ok(bytes)
}

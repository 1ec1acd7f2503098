//! The typed, checked configuration. YAML becomes this in `cli::config`, and only there; here are no positions and no
//! defaults hidden from `config show`.
//!
//! Serialised, it is the resolved `config.yaml` of a run and part of every cell key.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::scoring::calibration::Method;
use crate::scoring::model::ModelKind;
use crate::scoring::schema::UnknownKeys;
use crate::training::evaluate::Unit;

mod recipe;

pub use recipe::{
    Components, ConfigPlace, EncodeConfig, FeatureConfig, Figure, ImputeCategorical, ImputeNumeric, Make,
    PreprocessConfig, Recipe, Reduce, ScaleKind, matches, named,
};

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Config {
    pub name: String,
    pub seed: u64,
    /// How often the final fits run, with seeds derived from `seed`.
    #[serde(skip_serializing_if = "is_one")]
    pub repeats: usize,
    pub data: DataConfig,
    pub split: SplitConfig,
    /// In the order of the config; names are unique.
    pub features: Vec<FeatureConfig>,
    pub preprocess: PreprocessConfig,
    /// In the order of the config; names are unique.
    pub imbalance: Vec<NamedCase>,
    /// In the order of the config, and then the logistic baseline, unless `--only` names other models.
    pub models: Vec<NamedModel>,
    pub select: SelectConfig,
    pub threshold: ThresholdPolicy,
    pub calibrate: CalibrateConfig,
    pub limits: LimitsConfig,
    pub importance: ImportanceConfig,
    pub evaluate: EvaluateConfig,
    pub output: OutputConfig,
}

/// Written only where it says something, so that runs of before it was there keep their names.
fn is_one(repeats: &usize) -> bool {
    *repeats == 1
}

impl Config {
    pub fn recipe(&self) -> Recipe<'_> {
        Recipe { data: &self.data, features: &self.features, preprocess: &self.preprocess }
    }

    /// Trains every network on this device.
    pub fn train_on(&mut self, device: Device) {
        for named in &mut self.models {
            if let ModelConfig::Mlp(mlp) = &mut named.model {
                mlp.device = device;
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DataConfig {
    /// The first is the left table; the others are joined to it in order.
    pub tables: Vec<TableSource>,
    pub target: Target,
    pub id: Option<String>,
    pub time: Option<String>,
    pub amount: Option<String>,
    pub group: Option<String>,
    /// Whether columns that the config names may be absent; what is made of them is left out then.
    pub missing_columns: MissingColumns,
    /// What scoring does with keys that the files do not have.
    pub unknown_keys: UnknownKeys,
    /// Declared roles by name or pattern with one `*`, in the order of the config.
    pub columns: Vec<(String, ColumnRole)>,
}

impl DataConfig {
    /// The role declared for a column: exact name before pattern, later pattern before earlier.
    pub fn role(&self, name: &str) -> Option<ColumnRole> {
        let exact = self.columns.iter().rev().find(|(pattern, _)| pattern == name);
        let by_pattern = || self.columns.iter().rev().find(|(pattern, _)| matches(pattern, name));
        exact.or_else(by_pattern).map(|(_, role)| *role)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MissingColumns {
    Refuse,
    Allow,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableSource {
    pub path: PathBuf,
    /// The key of the left join; `None` for the first table only.
    pub join: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Target {
    pub column: String,
    /// The level that means fraud, in canonical text (`1`).
    pub positive: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ColumnRole {
    Numeric,
    Categorical,
    /// Read for derived columns alone.
    Input,
    Drop,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    Random,
    Temporal,
}

impl Protocol {
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Random => "random",
            Protocol::Temporal => "temporal",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SplitConfig {
    /// In (0, 1).
    pub test_share: f64,
    /// At least 2.
    pub folds: usize,
    pub protocols: Vec<Protocol>,
    /// The column whose groups stay together, under `random`: `data.group`.
    pub keep_groups: Option<String>,
    /// Seconds between the last row fitted on and the first held out, under `temporal`.
    pub gap: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NamedCase {
    pub name: String,
    pub case: Case,
}

/// What is done against imbalance, inside each fold, to training rows alone.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Case {
    Raw,
    ClassWeights(ClassWeights),
    Oversample { target: Balance },
    Smote(SmoteConfig),
    Tomek { remove: TomekRemove, categories: Categories },
    SmoteTomek { smote: SmoteConfig, remove: TomekRemove },
}

impl Case {
    /// Whether the logistic baseline runs on it: on rows as they are and on weighted ones.
    pub fn has_baseline(&self) -> bool {
        matches!(self, Case::Raw | Case::ClassWeights(_))
    }

    /// How synthetic rows are made, if any are.
    pub fn smote(&self) -> Option<&SmoteConfig> {
        match self {
            Case::Smote(smote) | Case::SmoteTomek { smote, .. } => Some(smote),
            Case::Raw | Case::ClassWeights(_) | Case::Oversample { .. } | Case::Tomek { .. } => None,
        }
    }

    /// Whether it looks for neighbours, which need a value in every cell.
    pub fn has_neighbors(&self) -> bool {
        self.smote().is_some() || matches!(self, Case::Tomek { .. })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SmoteConfig {
    pub target: Balance,
    /// Minority neighbours that a synthetic row may lead to.
    pub k: usize,
    pub categories: Categories,
    pub too_few: TooFew,
}

/// What label codes are to a distance and to a synthetic row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Categories {
    /// Numbers (the paper).
    Numeric,
    /// Equal or not (SMOTE-NC).
    Nominal(NominalPenalty),
}

/// What a category that differs adds to a squared distance, in med^2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NominalPenalty {
    /// One (Chawla et al. 2002).
    Full,
    /// One half (imbalanced-learn).
    Half,
}

/// What happens where there are not more than `k` minority rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TooFew {
    Refuse,
    /// `k` becomes one less than there are, with a warning.
    Reduce,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassWeights {
    /// n / (2 n_class).
    Balanced,
    Given {
        positive: f64,
        negative: f64,
    },
}

/// How balanced the classes shall be afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Balance {
    /// Minority rows / all rows.
    TargetShare(f64),
    /// Minority rows / majority rows, imbalanced-learn's meaning.
    TargetRatio(f64),
}

impl Balance {
    /// Minority rows wanted beside `n_majority` majority rows (rounded to nearest).
    pub fn n_minority(self, n_majority: usize) -> usize {
        let ratio = match self {
            Balance::TargetShare(share) => share / (1.0 - share),
            Balance::TargetRatio(ratio) => ratio,
        };
        (ratio * n_majority as f64).round() as usize
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TomekRemove {
    Both,
    Majority,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NamedModel {
    pub name: String,
    pub model: ModelConfig,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelConfig {
    RandomForest(ForestConfig),
    ExtraTrees(ForestConfig),
    Mlp(MlpConfig),
    /// The baseline; has no settings.
    Logistic,
}

impl ModelConfig {
    pub fn kind(&self) -> ModelKind {
        match self {
            ModelConfig::RandomForest(_) => ModelKind::RandomForest,
            ModelConfig::ExtraTrees(_) => ModelKind::ExtraTrees,
            ModelConfig::Mlp(_) => ModelKind::Mlp,
            ModelConfig::Logistic => ModelKind::Logistic,
        }
    }

    /// The share of the training rows that this model sets aside to watch, if any.
    pub fn set_aside(&self) -> Option<f64> {
        match self {
            ModelConfig::Mlp(mlp) => mlp.early_stopping.map(|stopping| stopping.share),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ForestConfig {
    pub trees: usize,
    /// `None`: grown until pure.
    pub max_depth: Option<usize>,
    pub min_samples_split: usize,
    pub min_samples_leaf: usize,
    /// `None`: no limit; else the best splits first, until a tree has so many leaves.
    pub max_leaf_nodes: Option<usize>,
    pub max_features: MaxFeatures,
    pub criterion: Criterion,
    /// Quantile bins per feature, 2..=255; one more holds missing values.
    pub bins: usize,
    pub bootstrap: bool,
    /// Draws per tree where rows are bootstrapped; `None`: as many as there are.
    pub max_samples: Option<MaxSamples>,
    /// Whether every row is scored by the trees that did not draw it.
    pub oob_score: bool,
    pub categorical_splits: CategoricalSplits,
}

impl ForestConfig {
    pub const RANDOM_FOREST: ForestConfig = ForestConfig {
        trees: 100,
        max_depth: None,
        min_samples_split: 2,
        min_samples_leaf: 1,
        max_leaf_nodes: None,
        max_features: MaxFeatures::Sqrt,
        criterion: Criterion::Gini,
        bins: 255,
        bootstrap: true,
        max_samples: None,
        oob_score: false,
        categorical_splits: CategoricalSplits::Ordered,
    };
    pub const EXTRA_TREES: ForestConfig = ForestConfig { bootstrap: false, ..Self::RANDOM_FOREST };
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MaxFeatures {
    Sqrt,
    Log2,
    Share(f64),
    Number(usize),
}

impl MaxFeatures {
    /// Features looked at per split: at least one, at most all.
    pub fn of(self, n_features: usize) -> usize {
        let wanted = match self {
            MaxFeatures::Sqrt => (n_features as f64).sqrt() as usize,
            MaxFeatures::Log2 => (n_features as f64).log2() as usize,
            MaxFeatures::Share(share) => (share * n_features as f64) as usize,
            MaxFeatures::Number(number) => number,
        };
        wanted.clamp(1, n_features)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MaxSamples {
    Share(f64),
    Number(usize),
}

impl MaxSamples {
    /// Draws per tree: at least one, at most all.
    pub fn of(self, n_entries: usize) -> usize {
        let wanted = match self {
            MaxSamples::Share(share) => (share * n_entries as f64).round() as usize,
            MaxSamples::Number(number) => number,
        };
        wanted.clamp(1, n_entries.max(1))
    }
}

/// How a forest cuts label codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CategoricalSplits {
    /// As numbers: codes up to a threshold go left (scikit-learn).
    Ordered,
    /// Any subset of the codes may go left, found by sorting them by their share of positives (Breiman et al. 1984).
    /// Columns of more levels than bins are cut as numbers.
    Subset,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Criterion {
    Gini,
    Entropy,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MlpConfig {
    pub hidden: Vec<usize>,
    /// In [0, 1), after each hidden layer: one share for all of them, or one each.
    pub dropout: Vec<f64>,
    /// Whether the sums of hidden layers are normalised.
    pub batch_norm: bool,
    pub epochs: usize,
    pub batch: usize,
    pub optimizer: Optimizer,
    pub learning_rate: f64,
    pub schedule: Schedule,
    /// The largest global norm of a gradient.
    pub clip_norm: Option<f64>,
    /// What a positive row's loss is multiplied by, beside its sample weight.
    pub pos_weight: Option<f64>,
    pub early_stopping: Option<EarlyStopping>,
    pub device: Device,
}

impl Default for MlpConfig {
    fn default() -> Self {
        Self {
            hidden: vec![500, 256, 256],
            dropout: vec![0.2],
            batch_norm: false,
            epochs: 90,
            batch: 1024,
            optimizer: Optimizer::Adam,
            learning_rate: 0.001,
            schedule: Schedule::Constant,
            clip_norm: None,
            pos_weight: None,
            early_stopping: None,
            device: Device::Cpu,
        }
    }
}

impl MlpConfig {
    /// The share dropped after a hidden layer.
    pub fn dropout_after(&self, hidden: usize) -> f64 {
        self.dropout.get(hidden).or(self.dropout.first()).copied().unwrap_or(0.0)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Optimizer {
    Adam,
    /// Decay beside the gradient, times the learning rate.
    #[serde(rename = "adamw")]
    AdamW {
        weight_decay: f64,
    },
}

/// How the learning rate goes down over all steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    Constant,
    /// Half a cosine, to 0.
    Cosine,
    /// A line, to 0.
    Linear,
}

/// Rows are set aside before anything is fitted on the others; the best epoch on them is kept.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct EarlyStopping {
    /// Of the training rows, in (0, 0.5].
    pub share: f64,
    /// Epochs without a better one, after which training stops.
    pub patience: usize,
    pub by: WatchBy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WatchBy {
    AveragePrecision,
    Loss,
}

/// Where a network is trained; each has its own bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Device {
    /// The hand-written step.
    Cpu,
    /// burn on the processor: slower, the reference of the hand-written step.
    Flex,
    /// burn on CUDA (cargo feature `cuda`).
    Cuda,
    /// burn on Vulkan, Metal or DirectX (cargo feature `wgpu`).
    Wgpu,
}

impl Device {
    pub fn as_str(self) -> &'static str {
        match self {
            Device::Cpu => "cpu",
            Device::Flex => "flex",
            Device::Cuda => "cuda",
            Device::Wgpu => "wgpu",
        }
    }
}

/// The folds' validation metric that picks the winner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SelectBy {
    AveragePrecision,
    Auc,
    Recall,
    RecallAtFpr1,
    RecallAtFpr5,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelectConfig {
    pub by: SelectBy,
    pub protocol: Protocol,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThresholdPolicy {
    /// The lowest threshold whose false-positive rate on out-of-fold scores is at most this.
    MaxFpr(f64),
    /// The lowest threshold that raises at most so many alerts per day of out-of-fold rows.
    AlertsPerDay(f64),
    /// The lowest threshold whose alerts are frauds to at least this share.
    MinPrecision(f64),
    /// The threshold of the lowest cost.
    Cost(CostMatrix),
    /// The threshold of the highest F score: recall counts so many times as much as precision.
    FBeta(f64),
    /// A threshold that someone else chose.
    Value(f64),
}

impl ThresholdPolicy {
    /// Its key in the config.
    pub fn name(&self) -> &'static str {
        match self {
            ThresholdPolicy::MaxFpr(_) => "max_fpr",
            ThresholdPolicy::AlertsPerDay(_) => "alerts_per_day",
            ThresholdPolicy::MinPrecision(_) => "min_precision",
            ThresholdPolicy::Cost(_) => "cost",
            ThresholdPolicy::FBeta(_) => "f_beta",
            ThresholdPolicy::Value(_) => "value",
        }
    }
}

/// What decisions cost, in the unit of `data.amount`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CostMatrix {
    /// Of a missed fraud: this share of its amount.
    pub missed_share: f64,
    /// Of every alert: someone looks at it.
    pub review: f64,
    /// Of every false alarm besides: a customer who was turned away.
    pub friction: f64,
}

impl Default for CostMatrix {
    fn default() -> Self {
        Self { missed_share: 1.0, review: 5.0, friction: 0.0 }
    }
}

/// What an evaluation measures beside the figures of the leaderboard; changes no fit and no choice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluateConfig {
    /// Draws of the bootstrap.
    pub draws: usize,
    /// What is drawn. `None`: groups where `data.group` is declared, else rows.
    pub by: Option<Unit>,
    /// Alerts that a desk can look at per day: the k of precision and recall at k.
    pub alerts_per_day: usize,
    /// Where the policy is not `cost` with its own.
    pub costs: CostMatrix,
    /// Columns whose levels are measured apart.
    pub subgroups: Vec<String>,
    /// Raw columns shown beside the most costly errors; none unless asked.
    pub show_columns: Vec<String>,
}

impl Default for EvaluateConfig {
    fn default() -> Self {
        Self {
            draws: 1000,
            by: None,
            alerts_per_day: 100,
            costs: CostMatrix::default(),
            subgroups: Vec::new(),
            show_columns: Vec::new(),
        }
    }
}

/// How raw scores become probabilities.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CalibrateConfig {
    /// Whichever has the lowest cross-fitted log-loss on out-of-fold scores.
    Auto,
    #[default]
    None,
    Prior,
    Platt,
    Isotonic,
}

impl CalibrateConfig {
    /// `None`: whichever is best.
    pub fn method(self) -> Option<Method> {
        match self {
            CalibrateConfig::Auto => None,
            CalibrateConfig::None => Some(Method::None),
            CalibrateConfig::Prior => Some(Method::Prior),
            CalibrateConfig::Platt => Some(Method::Platt),
            CalibrateConfig::Isotonic => Some(Method::Isotonic),
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct LimitsConfig {
    /// Bytes that columns and bins may take in memory; beyond it they lie in mapped files of the run. `None`: no limit.
    pub memory_budget: Option<u64>,
    /// Largest `model.safetensors` (in 1,000,000 bytes) that selection may choose. `None`: any.
    pub max_model_mb: Option<f64>,
}

impl LimitsConfig {
    /// Whether a model of so many bytes may be selected; one of unknown size only where there is no limit.
    pub fn allow(&self, model_bytes: Option<u64>) -> bool {
        self.max_model_mb.is_none_or(|limit| model_bytes.is_some_and(|bytes| bytes as f64 <= limit * 1e6))
    }
}

/// Permutation importance of the winner: what its figures lose on held-out rows when a column is shuffled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportanceConfig {
    /// Whether it is measured.
    pub permutation: bool,
    /// Test rows at most; a stratified sample where there are more.
    pub rows: usize,
    /// Shuffles of each column.
    pub repeats: usize,
}

impl Default for ImportanceConfig {
    fn default() -> Self {
        Self { permutation: false, rows: 10_000, repeats: 3 }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputConfig {
    pub experiments: PathBuf,
    pub reports: PathBuf,
    pub artifacts: PathBuf,
}

impl Default for OutputConfig {
    fn default() -> Self {
        Self { experiments: "experiments".into(), reports: "reports".into(), artifacts: "artifacts".into() }
    }
}

/// Where a value of the resolved config came from: `default`, `file:LINE`, `--set`; by dotted key.
pub type Origins = BTreeMap<String, String>;

//! The command line as it is typed. Nothing is decided here beyond what a single argument may look like.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::serving::protocol::reasons_named;
use crate::training::config::{Device, Protocol};
use crate::training::predict::Attribution;

/// From raw, imbalanced transaction files to a verified serverless scoring service.
#[derive(Debug, Parser)]
#[command(name = "fraudml", version, disable_help_subcommand = true, max_term_width = 110)]
pub struct Cli {
    #[command(flatten)]
    pub global: GlobalArgs,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Clone, Args)]
pub struct GlobalArgs {
    /// Answer with one JSON document on standard output
    #[arg(long, global = true)]
    pub json: bool,
    /// Say nothing but results and errors
    #[arg(long, global = true)]
    pub quiet: bool,
    /// Draw no progress bars
    #[arg(long, global = true)]
    pub no_progress: bool,
    /// Worker threads [default: one per core]; results are the same for any number
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Tell on standard error what is being done, from this level on; draws no progress bars
    #[arg(long, global = true, value_name = "LEVEL", value_enum)]
    pub log: Option<LogLevel>,
    /// How lines of the log are written
    #[arg(long, global = true, value_name = "HOW", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// The whole chain on generated data: synth, eda, train, evaluate, package
    Demo(DemoArgs),
    /// Write look-alike IEEE-CIS data: train_transaction.csv and train_identity.csv
    Synth(SynthArgs),
    /// Start, check or show a config
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Profile the data: types, missing values, balance, drift in time
    Eda(EdaArgs),
    /// Train the grid of models and cases, select, freeze; continues what is unfinished
    Train(TrainArgs),
    /// List the cells of a config's grid with what each will take, for many machines to share
    Plan(PlanArgs),
    /// Do a part of a planned grid; cells that are there are left alone
    Cell(CellArgs),
    /// Select, freeze and report once all cells of a planned grid are there
    Collect(CollectArgs),
    /// Write what an engine needs to run a planned grid, and send it off with `--go`
    Submit(SubmitArgs),
    /// Show what a case does to the training rows: writes them with their origin
    Resample(ResampleArgs),
    /// Show the figures of a finished run; trains nothing
    Evaluate(EvaluateArgs),
    /// Plan another operating point for a finished run and give it to its bundle; trains nothing
    Threshold(ThresholdArgs),
    /// Score the rows of a file
    Predict(PredictArgs),
    /// Build the OpenWhisk action image of a bundle
    Package(PackageArgs),
    /// Run the packaged pipeline on this machine as OpenWhisk would: actions, sequence, REST, web action
    Serve(ServeArgs),
    /// Deploy a packaged bundle to OpenWhisk: package, actions, sequence, web export, route; may be repeated
    Deploy(DeployArgs),
    /// Take down what `deploy` made
    Undeploy(UndeployArgs),
    /// Measure response times: cold start, requests one by one (Figure 4 of the paper), then load
    Bench(BenchArgs),
    /// Prove that what must be the same is the same
    #[command(subcommand)]
    Verify(VerifyCommand),
    /// Say what is wrong here and what to do: machine, folders, runs, bundles, a config's files
    Doctor(DoctorArgs),
    /// Write completions for a shell
    Completions(CompletionsArgs),
    /// Write the manual as man pages
    Man(ManArgs),
}

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Folder for everything that is written
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub out: PathBuf,
    /// Transactions to generate
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = rows())]
    pub rows: u64,
}

#[derive(Debug, Args)]
pub struct SynthArgs {
    /// Transactions to generate
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = rows())]
    pub rows: u64,
    /// The same seed gives the same bytes
    #[arg(long, value_name = "S", default_value_t = 42)]
    pub seed: u64,
    /// Folder for the two files
    #[arg(long, value_name = "DIR", default_value = "data")]
    pub out: PathBuf,
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Write a commented config to start from
    Init(InitArgs),
    /// Show all problems of a config at once
    Check(ConfigArgs),
    /// Show the resolved config and where each value came from
    Show(ConfigArgs),
    /// Show the JSON schema of a config, for editors
    Schema,
}

#[derive(Debug, Args)]
pub struct InitArgs {
    /// The new file [default: standard output]; never overwrites one
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// A config, and what the command line changes in it.
#[derive(Debug, Clone, Args)]
pub struct ConfigArgs {
    /// The config file
    #[arg(long, short, value_name = "FILE")]
    pub config: PathBuf,
    /// Override any key, as in `models.mlp.epochs=10`; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Only these models and cases, as in `random-forest,raw`
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub only: Vec<String>,
}

#[derive(Debug, Args)]
pub struct EdaArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
}

#[derive(Debug, Args)]
pub struct TrainArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Where networks are trained [default: `models.mlp.device`, the processor]
    #[arg(long, value_name = "DEVICE", value_enum)]
    pub device: Option<DeviceArg>,
    /// Memory that columns and bins may take, as in `2GB`; the rest lies on disk [default: `limits.memory_budget`]
    #[arg(long, value_name = "SIZE")]
    pub memory_budget: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DeviceArg {
    /// The processor
    Cpu,
    /// A CUDA GPU (builds with cargo feature `cuda`)
    Cuda,
    /// A GPU through Vulkan, Metal or DirectX (builds with cargo feature `wgpu`)
    Wgpu,
    /// The processor, by burn: the slow reference
    Flex,
}

impl From<DeviceArg> for Device {
    fn from(device: DeviceArg) -> Self {
        match device {
            DeviceArg::Cpu => Device::Cpu,
            DeviceArg::Cuda => Device::Cuda,
            DeviceArg::Wgpu => Device::Wgpu,
            DeviceArg::Flex => Device::Flex,
        }
    }
}

#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Where the run shall lie: `s3://BUCKET/PREFIX`, `gs://..` or `az://..` [default: the config's output folder]
    #[arg(long, value_name = "URL")]
    pub run: Option<String>,
    /// Forests of more trees grow in parts, each a cell of its own; the result is the same
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub trees_per_cell: Option<u16>,
}

#[derive(Debug, Args)]
pub struct CellArgs {
    /// Id, unique prefix or path of a planned run, or its URL in an object store
    #[arg(long, value_name = "RUN")]
    pub run: String,
    /// Which cells: `I/N`, those whose number is I modulo N; or `N`, where the engine says which part this is
    /// (SLURM_ARRAY_TASK_ID, JOB_COMPLETION_INDEX, AWS_BATCH_JOB_ARRAY_INDEX or PBS_ARRAY_INDEX)
    #[arg(long, value_name = "[I/]N")]
    pub shard: String,
}

#[derive(Debug, Args)]
pub struct CollectArgs {
    /// Id, unique prefix or path of a planned run, or its URL in an object store
    #[arg(long, value_name = "RUN")]
    pub run: String,
    /// Wait for cells that are missing
    #[arg(long)]
    pub watch: bool,
}

#[derive(Debug, Args)]
pub struct SubmitArgs {
    /// Id, unique prefix or path of a planned run, as every machine sees it, or its URL in an object store
    #[arg(long, value_name = "RUN")]
    pub run: String,
    /// Who runs the parts
    #[arg(long, value_name = "ENGINE", value_enum)]
    pub engine: EngineArg,
    /// Parts of the grid
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub shards: u16,
    /// Parts that run at once [default: as many as the engine will; local: one]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub at_once: Option<u16>,
    /// Cores of a part
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub cores: u16,
    /// Kubernetes: an image with `fraudml` on its path
    #[arg(long, value_name = "REF", default_value = "fraudml-trainer")]
    pub image: String,
    /// Kubernetes: the claim of the volume that holds the working folder
    #[arg(long, value_name = "NAME", default_value = "fraudml")]
    pub claim: String,
    /// Kubernetes: the secret that holds an object store's credentials, as the variables of its tools
    #[arg(long, value_name = "NAME", default_value = "fraudml-store")]
    pub secret: String,
    /// Ray: the head's dashboard; a token comes from RAY_AUTH_TOKEN
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8265")]
    pub address: String,
    /// Send it off, not only write and show it
    #[arg(long)]
    pub go: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EngineArg {
    /// This machine: parts as processes
    Local,
    /// An array job, and a job that collects
    Slurm,
    /// An indexed Job, and one that collects
    Kubernetes,
    /// One job whose tasks are the parts
    Ray,
}

#[derive(Debug, Args)]
pub struct ResampleArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The case, by its name in the config
    #[arg(long, value_name = "K")]
    pub case: String,
    /// Only the rows that this fold is fitted on, from 0 [default: all training rows]
    #[arg(long, value_name = "K")]
    pub fold: Option<usize>,
    /// The protocol whose training rows are meant [default: the one that selection looks at]
    #[arg(long, value_name = "NAME", value_enum)]
    pub protocol: Option<ProtocolName>,
    /// The file to write: .parquet or .csv
    #[arg(long, value_name = "F")]
    pub out: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProtocolName {
    Random,
    Temporal,
}

impl From<ProtocolName> for Protocol {
    fn from(name: ProtocolName) -> Self {
        match name {
            ProtocolName::Random => Protocol::Random,
            ProtocolName::Temporal => Protocol::Temporal,
        }
    }
}

#[derive(Debug, Args)]
pub struct EvaluateArgs {
    /// Id, unique prefix or path of a run [default: the latest finished one]
    #[arg(value_name = "RUN", conflicts_with = "compare")]
    pub run: Option<String>,
    /// Compare runs on the same data on one page
    #[arg(long, value_name = "RUN", num_args = 2..)]
    pub compare: Vec<String>,
    /// End with exit code 3 if the winner's figure on the test rows is below this; may be given several times
    #[arg(long, value_name = "METRIC=VALUE", value_parser = gate)]
    pub fail_under: Vec<Gate>,
}

/// `average_precision=0.6`.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    pub metric: String,
    pub least: f64,
}

fn gate(text: &str) -> Result<Gate, String> {
    let expected = || "expected METRIC=VALUE, as in `average_precision=0.6`".to_owned();
    let (metric, least) = text.split_once('=').ok_or_else(expected)?;
    let least = least.trim().parse::<f64>().ok().filter(|least| least.is_finite()).ok_or_else(expected)?;
    Ok(Gate { metric: metric.trim().replace('-', "_"), least })
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("policy").required(true))]
pub struct ThresholdArgs {
    /// Id, unique prefix or path of a run [default: the latest finished one]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// The lowest threshold within this false-positive rate
    #[arg(long, value_name = "SHARE", group = "policy", value_parser = share)]
    pub max_fpr: Option<f64>,
    /// The lowest threshold that raises at most so many alerts per day
    #[arg(long, value_name = "N", group = "policy", value_parser = amount)]
    pub alerts_per_day: Option<f64>,
    /// The lowest threshold whose alerts are frauds to at least this share
    #[arg(long, value_name = "SHARE", group = "policy", value_parser = share)]
    pub min_precision: Option<f64>,
    /// The threshold of the least cost, as in `missed_share=1,review=5,friction=0` [default: the run's costs]
    #[arg(long, value_name = "COSTS", group = "policy", num_args = 0..=1, default_missing_value = "", value_parser = costs)]
    pub cost: Option<Costs>,
    /// The threshold of the highest F score; recall counts so many times as much as precision
    #[arg(long, value_name = "BETA", group = "policy", value_parser = amount)]
    pub f_beta: Option<f64>,
    /// This threshold
    #[arg(long, value_name = "SCORE", group = "policy", value_parser = share)]
    pub value: Option<f64>,
    /// Write the policy to this file instead of giving it to the bundle
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// What the command line says of the cost matrix.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Costs {
    pub missed_share: Option<f64>,
    pub review: Option<f64>,
    pub friction: Option<f64>,
}

fn costs(text: &str) -> Result<Costs, String> {
    let mut costs = Costs::default();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (key, value) = part.split_once('=').ok_or("expected KEY=VALUE, as in `review=5`")?;
        let value = Some(amount(value)?);
        match key.trim() {
            "missed_share" => costs.missed_share = value,
            "review" => costs.review = value,
            "friction" => costs.friction = value,
            other => return Err(format!("unknown cost `{other}`; known: `missed_share`, `review`, `friction`")),
        }
    }
    Ok(costs)
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "expected a share from 0 to 1".to_owned())
}

fn amount(text: &str) -> Result<f64, String> {
    let amount = text.trim().parse::<f64>().ok().filter(|amount| (0.0..=1e12).contains(amount));
    amount.ok_or_else(|| "expected a number of at least 0".to_owned())
}

#[derive(Debug, Args)]
pub struct PredictArgs {
    /// Id, unique prefix or path of a bundle [default: that of the latest finished run]
    #[arg(long, value_name = "B")]
    pub bundle: Option<String>,
    /// CSV (.zst too; further files are joined by the id column), or JSON lines; `-` is JSON lines on standard input
    #[arg(value_name = "INPUT", required = true)]
    pub input: Vec<PathBuf>,
    /// Where the scores go [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Name up to N features that raised each score most, before calibration (forests only)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub reasons: Option<u16>,
    /// How contributions are found: along the paths of the row, or as Shapley values (slow)
    #[arg(long, value_name = "HOW", value_enum, default_value_t = ReasonsBy::Path, requires = "reasons")]
    pub reasons_by: ReasonsBy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReasonsBy {
    Path,
    Shap,
}

impl From<ReasonsBy> for Attribution {
    fn from(by: ReasonsBy) -> Self {
        match by {
            ReasonsBy::Path => Attribution::Path,
            ReasonsBy::Shap => Attribution::Shap,
        }
    }
}

#[derive(Debug, Args)]
pub struct PackageArgs {
    /// Id, unique prefix or path of a bundle [default: that of the latest finished run]
    #[arg(long, value_name = "B")]
    pub bundle: Option<String>,
    /// A statically linked action binary for another architecture (`linux/arm64=PATH`); may be given several times
    #[arg(long, value_name = "ARCH=PATH", value_parser = runner)]
    pub runner: Vec<Runner>,
    /// Name of the image, without a tag
    #[arg(long, value_name = "NAME")]
    pub image: Option<String>,
    /// Push the image to `[REGISTRY/]NAME`, with the credentials that Docker has
    #[arg(long, value_name = "NAME", conflicts_with = "image")]
    pub push: Option<String>,
    /// The registry speaks plain HTTP
    #[arg(long, requires = "push")]
    pub plain_http: bool,
    /// A trigger that fires the sequence, in the files that deploy it
    #[arg(long, value_name = "NAME")]
    pub trigger: Option<String>,
}

#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Id, unique prefix or path of a bundle [default: that of the latest finished run]
    #[arg(long, value_name = "B")]
    pub bundle: Option<String>,
    /// The address to listen on
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub host: IpAddr,
    /// The port to listen on; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 3233)]
    pub port: u16,
    /// Name up to N features that raised each score most (forests only)
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = reasons)]
    pub reasons: usize,
}

/// Where something is deployed, and by whom.
#[derive(Debug, Args)]
pub struct PlaceArgs {
    /// Id, unique prefix or path of a bundle [default: that of the latest finished run]
    #[arg(long, value_name = "B")]
    pub bundle: Option<String>,
    /// The OpenWhisk API host [default: OW_APIHOST, else ~/.wskprops]
    #[arg(long, value_name = "HOST")]
    pub api_host: Option<String>,
    /// A file that holds `AUTH=uuid:key` [default: OW_AUTH, else ~/.wskprops]
    #[arg(long, value_name = "FILE")]
    pub auth_file: Option<PathBuf>,
    /// Do not look at the host's certificate
    #[arg(long)]
    pub insecure: bool,
    /// The OpenWhisk package [default: the bundle's name]
    #[arg(long, value_name = "NAME")]
    pub package: Option<String>,
    /// A trigger that fires the sequence, and the rule between them
    #[arg(long, value_name = "NAME")]
    pub trigger: Option<String>,
    /// Without a route in the API gateway
    #[arg(long)]
    pub no_route: bool,
}

#[derive(Debug, Args)]
pub struct DeployArgs {
    #[command(flatten)]
    pub place: PlaceArgs,
    /// The image by the name that the invokers find it under [default: as `package` named it]
    #[arg(long, value_name = "REF", conflicts_with = "zip")]
    pub image: Option<String>,
    /// Deploy zips to a stock runtime of this kind instead of the image
    #[arg(long, value_name = "KIND", num_args = 0..=1, default_missing_value = "rust:1.34")]
    pub zip: Option<String>,
    /// Memory of each action in MB [default: by the size of the bundle]
    #[arg(long, value_name = "MB", value_parser = clap::value_parser!(u32).range(128..=65_536))]
    pub memory: Option<u32>,
    /// Show the requests, send none
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
pub struct UndeployArgs {
    #[command(flatten)]
    pub place: PlaceArgs,
    /// Show the requests, send none
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Id, unique prefix or path of the bundle whose golden records are sent [default: that of the latest finished run]
    #[arg(long, value_name = "B")]
    pub bundle: Option<String>,
    /// An OpenWhisk API host or a running action [default: the local platform, started for this]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// An image that Docker has: one container per stage, with OpenWhisk's flags
    #[arg(long, value_name = "REF", conflicts_with = "url")]
    pub image: Option<String>,
    /// The OpenWhisk package [default: the bundle's name]
    #[arg(long, value_name = "NAME")]
    pub package: Option<String>,
    /// A file that holds `AUTH=uuid:key` [default: OW_AUTH, else ~/.wskprops]
    #[arg(long, value_name = "FILE")]
    pub auth_file: Option<PathBuf>,
    /// Individual requests per action
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    pub requests: u16,
    /// The action that load is put on
    #[arg(long, value_name = "ACTION", default_value = "pipeline")]
    pub load: String,
    /// Seconds of each load; 0 leaves it out
    #[arg(long, value_name = "S", default_value_t = 5)]
    pub seconds: u16,
    /// Connections of the load
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    pub connections: u16,
    /// Requests per second of the open load [default: half of what the closed load reached]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub rate: Option<u32>,
    /// Records per request of the batch load
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub batch: u16,
    /// Folder for bench.json and the plots
    #[arg(long, value_name = "DIR", default_value = "bench")]
    pub out: PathBuf,
}

#[derive(Debug, Subcommand)]
pub enum VerifyCommand {
    /// Rows through stages, sequence and fused action: every score must have the bits of `predict`
    Parity(ParityArgs),
    /// Nothing that is learned depends on held-out rows, and no column gives the label away
    Leak(LeakArgs),
    /// Train a finished run again in a scratch folder: every hash must be the same
    Replay(ReplayArgs),
    /// The hashes of a bundle, and its golden records
    Bundle(BundleArgs),
}

#[derive(Debug, Args)]
pub struct LeakArgs {
    /// Id, unique prefix or path of a run whose config is taken [default: the latest finished one]
    #[arg(value_name = "RUN", conflicts_with_all = ["config", "set", "only"])]
    pub run: Option<String>,
    /// A config instead; nothing needs to be trained
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Override any key of the config, as in `models.mlp.epochs=10`; may be given several times
    #[arg(long, value_name = "KEY=VALUE", requires = "config")]
    pub set: Vec<String>,
    /// Only these models and cases of the config, as in `random-forest,raw`
    #[arg(long, value_name = "NAMES", value_delimiter = ',', requires = "config")]
    pub only: Vec<String>,
    /// Share of the test rows that may have a copy among the rows learned from
    #[arg(long, value_name = "SHARE", default_value_t = 0.01, value_parser = share)]
    pub max_copies: f64,
}

#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Id, unique prefix or path of a run [default: the latest finished one]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
}

#[derive(Debug, Args)]
pub struct BundleArgs {
    /// Id, unique prefix or path of a bundle [default: that of the latest finished run]
    #[arg(value_name = "B")]
    pub bundle: Option<String>,
}

#[derive(Debug, Args)]
pub struct ParityArgs {
    /// Id, unique prefix or path of a bundle [default: that of the latest finished run]
    #[arg(long, value_name = "B")]
    pub bundle: Option<String>,
    /// An OpenWhisk API host or a running action [default: the local platform, started for this]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// CSV with raw rows (.zst too); further files are joined by the id column
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    pub data: Vec<PathBuf>,
    /// Rows to send
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    pub rows: u64,
    /// The OpenWhisk package [default: the bundle's name]
    #[arg(long, value_name = "NAME")]
    pub package: Option<String>,
    /// A file that holds `AUTH=uuid:key` [default: OW_AUTH, else ~/.wskprops]
    #[arg(long, value_name = "FILE")]
    pub auth_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// A config whose keys, files and folders are looked at too
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub struct ManArgs {
    /// Folder for a page per command [default: the first page to standard output]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

fn reasons(text: &str) -> Result<usize, String> {
    reasons_named(text)
}

/// `linux/amd64=target/.../fraudml-action`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runner {
    pub arch: String,
    pub path: PathBuf,
}

fn runner(text: &str) -> Result<Runner, String> {
    match text.strip_prefix("linux/").unwrap_or(text).split_once('=') {
        Some((arch @ ("amd64" | "arm64"), path)) if !path.is_empty() => {
            Ok(Runner { arch: arch.to_owned(), path: path.into() })
        }
        _ => Err("expected `linux/amd64=PATH` or `linux/arm64=PATH`".to_owned()),
    }
}

fn rows() -> clap::builder::RangedU64ValueParser<u64> {
    clap::value_parser!(u64).range(1..=100_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn overrides_and_narrowing_may_be_repeated() {
        let typed = "fraudml train -c a.yaml --set a=1 --set b=[1,2] --only raw,mlp --only x --threads 2 --json";
        let cli = Cli::try_parse_from(typed.split(' ')).expect("valid");
        let Command::Train(TrainArgs { config, .. }) = cli.command else { panic!("train, found {:?}", cli.command) };
        assert_eq!(config.set, ["a=1", "b=[1,2]"]);
        assert_eq!(config.only, ["raw", "mlp", "x"]);
        assert_eq!((cli.global.threads, cli.global.json), (Some(2), true));
    }

    #[test]
    fn a_runner_names_its_architecture() {
        assert_eq!(runner("linux/arm64=a=b"), runner("arm64=a=b"));
        assert_eq!(runner("arm64=a=b"), Ok(Runner { arch: "arm64".into(), path: "a=b".into() }));
        assert!(runner("mips=a").is_err() && runner("amd64=").is_err() && runner("path").is_err());
    }
}

//! `fraudml bench`: Figure 4 of the paper, then load.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value as Json, json};

use super::{Context, serve};
use crate::cli::args::BenchArgs;
use crate::cli::diagnostics::Failure;
use crate::platform::load::{Individual, Loaded, Plan, individual, load, once};
use crate::platform::local::{Platform, SCORE};
use crate::platform::target::{Access, Call, Containers, input_of, is_runner, platform_calls, runner_calls};
use crate::scoring::bundle::Bundle;
use crate::scoring::scorer::Scorer;
use crate::scoring::stage::Stage;
use crate::serving::http;
use crate::training::config::OutputConfig;
use crate::training::error::{Error, Result, io_reason};
use crate::training::package::package_name;
use crate::training::report::figure4::{Percentiles, ResponseTimes, figure4};
use crate::training::run::find_bundle;
use crate::training::run_dir::write_atomic;

/// Requests that the load takes in turn.
const N_INPUTS: usize = 64;

/// Part of the figure, call, title, what the paper measured.
const PARTS: [(&str, &str, &str, &str); 5] = [
    ("fig4a", "transform", "Action 1: transform and impute", "paper: 53 ms to 1.40 s"),
    ("fig4b", "encode", "Action 2: encode and scale", "paper: 20 ms to 3.60 s"),
    ("fig4c", "predict", "Action 3: predict", "paper: 180 ms to 4.30 s"),
    ("fig4d", SCORE, "Pipeline: the sequence of the three", "paper: about 25 s for a first request"),
    ("fused", "pipeline", "Pipeline fused into one action", "not in the paper"),
];

#[derive(Serialize)]
struct Benched {
    target: String,
    bundle: String,
    individual: Vec<Individual>,
    load: Vec<Loaded>,
}

pub fn run(args: &BenchArgs, context: &Context) -> std::result::Result<(), Failure> {
    Ok(measure(args, context)?)
}

fn measure(args: &BenchArgs, context: &Context) -> Result<()> {
    let folder = find_bundle(&OutputConfig::default(), args.bundle.as_deref())?;
    let scorer = Scorer::new(Bundle::load(&folder)?)?;
    let inputs = Inputs::new(&scorer)?;
    let target = Target::open(args, &scorer, &inputs, context)?;
    let wanted = |call: &&Call| PARTS.iter().any(|part| part.1 == call.name);
    let mut measured = Vec::new();
    for call in target.calls.iter().filter(wanted) {
        context.printer.note(&format!("{}: {} requests one by one", call.name, args.requests));
        let input = inputs.of(call.name, 1)?.swap_remove(0);
        let cold_ms = match target.cold.get(call.name) {
            Some(&ms) => ms,
            None => {
                target.local.iter().for_each(|platform| platform.cool());
                once(call, &input)?
            }
        };
        measured.push(individual(call, &input, usize::from(args.requests), Some(cold_ms))?);
    }
    let loads = loads(args, &target, &inputs, context)?;
    let benched = Benched {
        target: target.name.clone(),
        bundle: scorer.bundle().manifest.id.clone(),
        individual: measured,
        load: loads,
    };
    write(&args.out, &benched)?;
    context.printer.document(&benched)?;
    context.printer.result(&table(&benched))?;
    context.printer.confirm(&format!("wrote `{}`: bench.json, fig4a to fig4d, load", args.out.display()))?;
    Ok(())
}

/// What is measured, and how it is reached.
struct Target {
    name: String,
    calls: Vec<Call>,
    /// Cold starts that were measured when the target was opened.
    cold: BTreeMap<&'static str, f64>,
    local: Option<Arc<Platform>>,
    _containers: Containers,
}

impl Target {
    fn open(args: &BenchArgs, scorer: &Scorer, inputs: &Inputs, context: &Context) -> Result<Target> {
        let mut containers = Containers::none();
        let (mut cold, mut local) = (BTreeMap::new(), None);
        let package = args.package.clone().unwrap_or_else(|| package_name(&scorer.bundle().manifest));
        let (name, calls) = match (&args.url, &args.image) {
            (Some(url), _) if is_runner(url) => (url.clone(), runner_calls(url)),
            (Some(url), _) => {
                let auth = super::deploy_auth(args.auth_file.as_deref())?;
                (url.clone(), platform_calls(&Access { url: url.clone(), auth }, &package))
            }
            (None, Some(image)) => {
                for stage in Stage::ALL {
                    let input = inputs.of(stage.as_str(), 1)?.swap_remove(0);
                    cold.insert(stage.as_str(), containers.start(image, stage, &input)?);
                }
                // A sequence starts its containers one after another.
                let stages = ["transform", "encode", "predict"];
                cold.insert(SCORE, stages.iter().filter_map(|stage| cold.get(stage)).sum());
                (image.clone(), containers.calls())
            }
            (None, None) => {
                let (platform, package) = serve::platform(args.bundle.as_deref(), 0, context)?;
                let url = serve_beside(&platform)?;
                local = Some(platform);
                ("the local platform".to_owned(), platform_calls(&Access { url, auth: None }, &package))
            }
        };
        Ok(Target { name, calls, cold, local, _containers: containers })
    }
}

/// A platform on a free port of this machine, for as long as this process lives.
pub(super) fn serve_beside(platform: &Arc<Platform>) -> Result<String> {
    let failed = |error: std::io::Error| Error::failed(format!("can't listen: {}", io_reason(&error)));
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let (answering, ending) = (Arc::clone(platform), Arc::clone(platform));
    std::thread::spawn(move || {
        let ended = http::serve(|| Ok(listener), 32, Arc::new(move |asked| answering.reply(asked)));
        // A signal: the processes end with us, and nothing that was measured is whole.
        ending.cool();
        std::process::exit(if matches!(ended, Ok(2)) { 130 } else { 1 });
    });
    Ok(format!("http://{address}"))
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Some(platform) = &self.local {
            platform.cool();
        }
    }
}

/// The golden records as raw records and as what the stages before made of them.
struct Inputs(Vec<[Json; 3]>);

impl Inputs {
    fn new(scorer: &Scorer) -> Result<Inputs> {
        let of = |record: &serde_json::Map<String, Json>| {
            let transformed = scorer.transform(record)?;
            let encoded = scorer.encode(&transformed)?;
            let text = |written: serde_json::Result<String>| {
                let text = written.map_err(|error| Error::failed(error.to_string()))?;
                serde_json::from_str(&text).map_err(|error| Error::failed(error.to_string()))
            };
            Ok::<_, Error>([
                Json::Object(record.clone()),
                text(serde_json::to_string(&transformed))?,
                text(serde_json::to_string(&encoded))?,
            ])
        };
        let golden = &scorer.bundle().golden.records;
        golden.iter().map(|golden| of(&golden.record)).collect::<Result<_>>().map(Inputs)
    }

    /// Bodies for a call, each of so many records.
    fn of(&self, call: &str, records: usize) -> Result<Vec<Vec<u8>>> {
        let one = |at: usize| {
            let [raw, transformed, encoded] = &self.0[at % self.0.len()];
            input_of(call, raw, transformed, encoded).clone()
        };
        if self.0.is_empty() {
            return Err(Error::permanent("the bundle holds no golden record to send"));
        }
        let body = |at: usize| match records {
            1 => one(at),
            n => json!({ "records": (0..n).map(|of| one(at * n + of)).collect::<Vec<_>>() }),
        };
        Ok((0..N_INPUTS.min(self.0.len())).map(|at| body(at).to_string().into_bytes()).collect())
    }
}

/// Closed load of single records and of batches, then open load at half of what closed load reached.
fn loads(args: &BenchArgs, target: &Target, inputs: &Inputs, context: &Context) -> Result<Vec<Loaded>> {
    let Some(call) = target.calls.iter().find(|call| call.name == args.load.as_str()) else { return Ok(Vec::new()) };
    if args.seconds == 0 {
        return Ok(Vec::new());
    }
    let plan = Plan {
        connections: usize::from(args.connections),
        duration: Duration::from_secs(u64::from(args.seconds)),
        rate: None,
    };
    let mut done = Vec::new();
    let mut run = |records: usize, plan: Plan| {
        let kind = plan.rate.map_or("closed".to_owned(), |rate| format!("open, {rate:.0} requests/s"));
        context.printer.note(&format!("{}: {kind} load, {records} records a request", call.name));
        let loaded = load(call, &inputs.of(call.name, records)?, records, plan)?;
        let rate = loaded.requests_per_second;
        done.push(loaded);
        Ok::<f64, Error>(rate)
    };
    let reached = run(1, plan)?;
    run(1, Plan { rate: Some(args.rate.map_or((reached / 2.0).max(1.0), f64::from)), ..plan })?;
    if args.batch > 1 {
        run(usize::from(args.batch), plan)?;
    }
    Ok(done)
}

fn write(out: &Path, benched: &Benched) -> Result<()> {
    let bytes = serde_json::to_vec_pretty(benched).map_err(|error| Error::failed(error.to_string()))?;
    write_atomic(&out.join("bench.json"), &bytes)?;
    let part = |(name, call, title, paper): &(&'static str, &str, &str, &'static str)| {
        let times = benched.individual.iter().find(|times| times.name == *call)?;
        let (cold_ms, warm_ms) = (times.cold_ms, &times.warm_ms[..]);
        Some(ResponseTimes { name, title: (*title).to_owned(), cold_ms, warm_ms, paper })
    };
    let parts: Vec<_> = PARTS.iter().filter_map(part).collect();
    let curve = |loaded: &Loaded| Percentiles {
        label: described(loaded),
        points: loaded.percentiles_ms.iter().map(|point| (point.percentile, point.ms)).collect(),
    };
    let curves: Vec<_> = benched.load.iter().map(curve).collect();
    for (name, bytes) in figure4(&parts, &curves)? {
        write_atomic(&out.join(name), &bytes)?;
    }
    Ok(())
}

fn described(loaded: &Loaded) -> String {
    let rate = loaded.rate.map_or(String::new(), |rate| format!(" at {rate:.0} requests/s"));
    let records = loaded.records_per_request;
    format!("{} load{rate}, {} connections, {records} records a request", loaded.kind, loaded.connections)
}

fn table(benched: &Benched) -> String {
    let mut text = format!("response times in ms ({})\n", benched.target);
    text.push_str(&format!("{:<10} {:>9} {:>9} {:>9} {:>9}\n", "", "cold", "min", "mean", "max"));
    for times in &benched.individual {
        let cold = times.cold_ms.map_or("-".to_owned(), |ms| format!("{ms:.2}"));
        let (min, mean, max) = (times.min(), times.mean(), times.max());
        text.push_str(&format!("{:<10} {cold:>9} {min:>9.2} {mean:>9.2} {max:>9.2}\n", times.name));
    }
    for loaded in &benched.load {
        text.push_str(&format!("{}: {}\n", loaded.name, described(loaded)));
        let percentiles = loaded.percentiles_ms.iter().map(|point| format!("p{} {:.2}", point.percentile, point.ms));
        let percentiles = percentiles.collect::<Vec<_>>().join(", ");
        let (requests, records) = (loaded.requests_per_second, loaded.records_per_second);
        text.push_str(&format!(
            "  {requests:.0} requests/s, {records:.0} records/s; {percentiles}, max {:.2}\n",
            loaded.max_ms
        ));
        if let Some(why) = &loaded.first_failure {
            text.push_str(&format!("  {} failed: {why}\n", loaded.failed));
        }
    }
    text
}

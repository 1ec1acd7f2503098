//! `fraudml verify`: what must be the same is the same.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Context, bench, config_of, serve};
use crate::cli::args::{BundleArgs, ConfigArgs, LeakArgs, ParityArgs, ReplayArgs, VerifyCommand};
use crate::cli::diagnostics::Failure;
use crate::platform::parity::{Expected, Parity, parity, records_of_csv};
use crate::platform::target::{Access, Call, is_runner, platform_calls, runner_calls};
use crate::scoring::bundle::Bundle;
use crate::scoring::error::ScoringError;
use crate::scoring::scorer::Scorer;
use crate::training::config::OutputConfig;
use crate::training::error::{Error, ErrorKind, Result};
use crate::training::mapped::Storage;
use crate::training::package::package_name;
use crate::training::predict::predict_csv;
use crate::training::read::read;
use crate::training::run::{Run, find_bundle};
use crate::training::verify::leak::{self, Leaks, Moved, leaks};
use crate::training::verify::replay::replay;

pub fn run(command: &VerifyCommand, context: &Context) -> std::result::Result<(), Failure> {
    match command {
        VerifyCommand::Parity(args) => run_parity(args, context),
        VerifyCommand::Leak(args) => run_leak(args, context),
        VerifyCommand::Replay(args) => run_replay(args, context),
        VerifyCommand::Bundle(args) => Ok(run_bundle(args, context)?),
    }
}

fn run_leak(args: &LeakArgs, context: &Context) -> std::result::Result<(), Failure> {
    let loaded = match &args.config {
        Some(path) => {
            super::load(&ConfigArgs { config: path.clone(), set: args.set.clone(), only: args.only.clone() })?
        }
        None => config_of(&Run::find(&OutputConfig::default(), args.run.as_deref())?)?.0,
    };
    let progress = context.progress()?;
    let data = read(&loaded.config.recipe(), &Storage::in_memory(), &progress)?;
    let found = leaks(&loaded.config, &data, args.max_copies, &progress)?;
    drop(progress);
    context.printer.result(&leak_lines(&found))?;
    leak::verdict(&found).map_err(|error| Failure::found(&found, error))?;
    Ok(context.printer.document(&found)?)
}

/// Five checks, a line or a few each.
fn leak_lines(found: &Leaks) -> String {
    let chance = found.permuted.iter().filter(|score| score.is_chance()).count();
    let [low, high] =
        found.permuted.iter().fold([0.5, 0.5], |[low, high], score| [score.auc.min(low), score.auc.max(high)]);
    let unmoved =
        |moved: &Moved| format!("{} of {} fits as they were", moved.compared - moved.moved.len(), moved.compared);
    let mut lines = vec![
        format!(
            "permuted labels          {chance} of {} scores are chance, AUC {low:.3} to {high:.3}",
            found.permuted.len()
        ),
        format!("canary in held-out rows  {}", unmoved(&found.canary)),
        format!("held-out rows replaced   {}", unmoved(&found.replaced)),
        format!("radar                    {} of the data's columns are the label", found.radar.target_copies.len()),
    ];
    lines.extend(found.copies.iter().map(|copies| format!("copies                   {copies}")));
    lines.join("\n")
}

fn run_replay(args: &ReplayArgs, context: &Context) -> std::result::Result<(), Failure> {
    let run = Run::find(&OutputConfig::default(), args.run.as_deref())?;
    let (loaded, resolved) = config_of(&run)?;
    let progress = context.progress()?;
    let found = replay(&run, &loaded.config, &resolved, &progress)?;
    drop(progress);
    if found.different.is_empty() {
        context.printer.document(&found)?;
        let confirmed = format!("run `{}`: {} files, all with the same SHA-256", found.run, found.compared);
        return Ok(context.printer.confirm(&confirmed)?);
    }
    let shown = found.different.iter().take(20).map(|[file, before, now]| format!("{file}: {before}, now {now}"));
    let message = format!(
        "run `{}`: {} of {} files differ:\n{}",
        found.run,
        found.different.len(),
        found.compared,
        shown.collect::<Vec<_>>().join("\n")
    );
    let hint =
        "the run was changed, or made by another version or, for networks, on another processor: see its `run.json`";
    Err(Failure::found(&found, Error::missed(message).hint(hint)))
}

fn run_bundle(args: &BundleArgs, context: &Context) -> Result<()> {
    let folder = find_bundle(&OutputConfig::default(), args.bundle.as_deref())?;
    // A bundle that is there and can't be proved is what this command is for.
    let missed = |error: ScoringError| Error { kind: ErrorKind::Missed, ..error.into() };
    let scorer = Bundle::load(&folder).and_then(Scorer::new).map_err(missed)?;
    let Bundle { manifest, golden, .. } = scorer.bundle();
    let records = golden.records.len();
    context.printer.document(&json!({ "bundle": manifest.id, "files": manifest.files, "golden_records": records }))?;
    let n_files = manifest.files.len() + 1;
    context
        .printer
        .confirm(&format!("bundle `{}`: {n_files} files and {records} golden records are as frozen", manifest.id))
}

fn run_parity(args: &ParityArgs, context: &Context) -> std::result::Result<(), Failure> {
    let folder = find_bundle(&OutputConfig::default(), args.bundle.as_deref())?;
    let scorer = Bundle::load(&folder).and_then(Scorer::new).map_err(Error::from)?;
    let n_rows = usize::try_from(args.rows).unwrap_or(usize::MAX);
    let data: Vec<&Path> = args.data.iter().map(PathBuf::as_path).collect();
    let expected = offline(&scorer, &data, n_rows, context)?;
    let records = records_of_csv(&data, scorer.bundle().manifest.schema.id.as_deref(), n_rows)?;
    let (calls, platform) = match &args.url {
        Some(url) => (calls(url, args, &scorer)?, None),
        None => {
            let (platform, package) = serve::platform(args.bundle.as_deref(), 0, context)?;
            let access = Access { url: bench::serve_beside(&platform)?, auth: None };
            (platform_calls(&access, &package), Some(platform))
        }
    };
    let compared = parity(&calls, &records, &expected);
    if let Some(platform) = platform {
        platform.cool();
    }
    let found = compared?;
    verdict(&found).map_err(|error| Failure::found(&found, error))?;
    context.printer.document(&found)?;
    Ok(context.printer.confirm(&format!(
        "{} rows, {} answers compared ({}): all have the bits of `fraudml predict`",
        found.rows,
        found.compared,
        found.ways.join("; ")
    ))?)
}

fn verdict(found: &Parity) -> Result<()> {
    if found.rows == 0 || found.compared == 0 {
        return Err(Error::missed("nothing was compared").hint("name a file with rows"));
    }
    match found.different {
        0 => Ok(()),
        n => Err(Error::missed(format!(
            "{n} answers differ from `fraudml predict`:\n{}",
            found.first_differences.join("\n")
        ))
        .hint("deploy the bundle that `--bundle` names, all stages from one image")),
    }
}

fn calls(url: &str, args: &ParityArgs, scorer: &Scorer) -> Result<Vec<Call>> {
    if is_runner(url) {
        return Ok(runner_calls(url));
    }
    let package = args.package.clone().unwrap_or_else(|| package_name(&scorer.bundle().manifest));
    let auth = super::deploy_auth(args.auth_file.as_deref())?;
    Ok(platform_calls(&Access { url: url.to_owned(), auth }, &package))
}

fn offline(scorer: &Scorer, data: &[&Path], n_rows: usize, context: &Context) -> Result<Vec<Expected>> {
    let progress = context.progress()?;
    let rows = predict_csv(scorer, None, data, &progress)?;
    let expected =
        |row: crate::training::predict::ScoredRow| Expected { id: row.id, score: row.score, is_fraud: row.is_fraud };
    Ok(rows.into_iter().take(n_rows).map(expected).collect())
}

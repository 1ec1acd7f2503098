//! `fraudml verify`: what must be the same is the same.

use std::path::Path;

use super::{Context, bench, serve};
use crate::cli::args::{ParityArgs, VerifyCommand};
use crate::cli::diagnostics::Failure;
use crate::platform::parity::{Expected, Parity, parity, records_of_csv};
use crate::platform::target::{Access, Call, is_runner, platform_calls, runner_calls};
use crate::scoring::bundle::Bundle;
use crate::scoring::scorer::Scorer;
use crate::training::config::OutputConfig;
use crate::training::error::{Error, Result};
use crate::training::package::package_name;
use crate::training::predict::predict_csv;
use crate::training::run::find_bundle;

pub fn run(command: &VerifyCommand, context: &Context) -> std::result::Result<(), Failure> {
    match command {
        VerifyCommand::Parity(args) => Ok(run_parity(args, context)?),
    }
}

fn run_parity(args: &ParityArgs, context: &Context) -> Result<()> {
    let scorer = Scorer::new(Bundle::load(&find_bundle(&OutputConfig::default(), args.bundle.as_deref())?)?)?;
    let n_rows = usize::try_from(args.rows).unwrap_or(usize::MAX);
    let expected = offline(&scorer, &args.data, n_rows, context)?;
    let records = records_of_csv(&args.data, n_rows)?;
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
    context.printer.document(&found)?;
    verdict(&found)?;
    context.printer.confirm(&format!(
        "{} rows, {} answers compared ({}): all have the bits of `fraudml predict`",
        found.rows,
        found.compared,
        found.ways.join("; ")
    ))
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

fn offline(scorer: &Scorer, data: &Path, n_rows: usize, context: &Context) -> Result<Vec<Expected>> {
    let progress = context.progress()?;
    let rows = predict_csv(scorer, None, &[data], &progress)?;
    let expected =
        |row: crate::training::predict::ScoredRow| Expected { id: row.id, score: row.score, is_fraud: row.is_fraud };
    Ok(rows.into_iter().take(n_rows).map(expected).collect())
}

//! `fraudml package`: the action image of a bundle, and what deploys it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Context, io_error};
use crate::cli::args::{PackageArgs, Runner as Given};
use crate::cli::diagnostics::Failure;
use crate::platform::registry::Registry;
use crate::scoring::bundle::{Bundle, FILES, POLICY};
use crate::scoring::scorer::Scorer;
use crate::training::config::OutputConfig;
use crate::training::error::{Error, Result};
use crate::training::package::runner::Runner;
use crate::training::package::{PackageOptions, package};
use crate::training::run::find_bundle;
use crate::training::run_dir::write_atomic;

pub fn run(args: &PackageArgs, context: &Context) -> std::result::Result<(), Failure> {
    let bundle = find_bundle(&OutputConfig::default(), args.bundle.as_deref())?;
    let options = PackageOptions {
        repository: args.push.clone().or_else(|| args.image.clone()),
        runners: args.runner.iter().map(given).collect::<Result<_>>()?,
        created: source_date_epoch()?,
        trigger: args.trigger.clone(),
    };
    let (folder, mut image) = write(&bundle, &options)?;
    if let Some(repository) = &args.push {
        let path = folder.join("image.tar");
        let tar = std::fs::read(&path).map_err(|error| io_error(&path, &error))?;
        let variable = |name: &str| std::env::var(name).ok();
        let registry = Registry::new(repository, args.plain_http, variable)?;
        let pushed = registry.push(&tar, |what| context.printer.note(&what))?;
        image["pushed"] = serde_json::json!({ "repository": repository, "bytes": pushed });
    }
    context.printer.document(&image)?;
    context.printer.confirm(&said(&folder, &image))?;
    if let Some(repository) = &args.push {
        context.printer.confirm(&format!("pushed to {repository} with all tags"))?;
    }
    Ok(())
}

/// Writes `<bundle>/openwhisk/`; the folder and `image.json`.
pub(super) fn write(bundle: &Path, options: &PackageOptions) -> Result<(PathBuf, serde_json::Value)> {
    // A bundle that would refuse to start is refused here.
    let scorer = Scorer::new(Bundle::load(bundle)?)?;
    let mut files = BTreeMap::new();
    for (name, _) in FILES {
        let path = bundle.join(name);
        files.insert(name.to_owned(), std::fs::read(&path).map_err(|error| io_error(&path, &error))?);
    }
    // As it was checked, so that nothing slips in between.
    files.extend(scorer.bundle().policy.as_ref().map(|policy| (POLICY.to_owned(), policy.to_bytes())));
    let packed = package(&files, &scorer.bundle().manifest, options)?;
    let folder = bundle.join("openwhisk");
    for (name, bytes) in &packed {
        write_atomic(&folder.join(name), bytes)?;
    }
    let image = packed.get("image.json").and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default();
    Ok((folder, image))
}

/// Where the image is, how large, and how to load it.
pub(super) fn said(folder: &Path, image: &serde_json::Value) -> String {
    let tar = folder.join("image.tar");
    let megabytes = tar.metadata().map_or(0.0, |metadata| metadata.len() as f64 / 1e6);
    let reference = image.get("reference").and_then(serde_json::Value::as_str).unwrap_or_default();
    let zips = image["zips"].as_object().into_iter().flatten();
    let (fit, too_large): (Vec<_>, Vec<_>) = zips.partition(|(_, zip)| zip["fits"] == true);
    let without_image = match (fit.first(), too_large.is_empty()) {
        (Some((name, zip)), true) => format!(
            "zips    {} stages without an image ({name}: {:.1} MB; OpenWhisk's limit is 36 MB)",
            fit.len(),
            zip["bytes"].as_f64().unwrap_or(0.0) / 1e6
        ),
        _ => "zips    none: the bundle is above OpenWhisk's limit of 36 MB, use the image".to_owned(),
    };
    format!("image   {} ({megabytes:.1} MB, {reference}; `docker load -i` takes it)\n{without_image}", tar.display())
}

fn given(runner: &Given) -> Result<Runner> {
    let bytes = std::fs::read(&runner.path).map_err(|error| Error {
        kind: crate::training::error::ErrorKind::Permanent,
        ..io_error(&runner.path, &error)
    })?;
    Runner::given(&runner.arch, &runner.path.display().to_string(), bytes)
}

/// Seconds since 1970 that the image carries as its date; 0 where the variable is not set.
fn source_date_epoch() -> Result<u64> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Err(_) => Ok(0),
        Ok(text) => text.parse().map_err(|_| {
            Error::permanent(format!("environment variable `SOURCE_DATE_EPOCH`: expected seconds, found `{text}`"))
        }),
    }
}

//! From a sealed bundle to what OpenWhisk takes: an image and the files that deploy it. Pure: bytes in, bytes out.
//!
//! `image.tar` loads with `docker load`, `podman load` and `skopeo`; `image.json` says how it is called; `action-*.zip` run
//! without an image; `sbom.json` says what the runner is made of; `manifest.yaml`, `deploy.sh`, `serverless.yml` and
//! `kubernetes.yaml` deploy. The same bundle, runner and options give the same bytes.

pub mod elf;
mod gzip;
pub mod image;
pub mod openwhisk;
pub mod runner;
mod sbom;
pub mod zip;

use std::collections::BTreeMap;

use serde_json::json;

use crate::scoring::bundle::Manifest;
use crate::training::error::{Error, Result};
use image::{ImageSpec, image_tar};
use openwhisk::Deployment;
use runner::Runner;
use zip::{fits, stage_zips};

/// What `fraudml package` may be told.
#[derive(Debug, Clone, Default)]
pub struct PackageOptions {
    /// `[registry/]path` of the image, without a tag; default `fraudml/<name>`.
    pub repository: Option<String>,
    /// Runners beside the embedded one, one per architecture; one for its architecture replaces it.
    pub runners: Vec<Runner>,
    /// `SOURCE_DATE_EPOCH`, else 0.
    pub created: u64,
    /// A trigger that fires the sequence, in what deploys the image.
    pub trigger: Option<String>,
}

/// All files of `artifacts/<bundle-id>/openwhisk/` by name.
pub fn package(
    bundle_files: &BTreeMap<String, Vec<u8>>,
    manifest: &Manifest,
    options: &PackageOptions,
) -> Result<BTreeMap<String, Vec<u8>>> {
    let name = package_name(manifest);
    let repository = match &options.repository {
        Some(repository) => checked_repository(repository)?,
        None => format!("fraudml/{name}"),
    };
    let runners = runners(&options.runners)?;
    let labels = labels(manifest);
    let spec = ImageSpec {
        repository: &repository,
        runners: &runners,
        bundle: bundle_files,
        labels,
        created: options.created,
    };
    let image = image_tar(&spec)?;
    let mut files = BTreeMap::new();
    let mut zips = BTreeMap::new();
    for (stage, zip) in stage_zips(&runners[0].bytes, bundle_files)? {
        let (name, fits) = (format!("action-{}.zip", stage.as_str()), fits(zip.len()));
        zips.insert(name.clone(), json!({ "bytes": zip.len(), "fits": fits }));
        if fits {
            files.insert(name, zip);
        }
    }

    let bundle_bytes = bundle_files.values().map(Vec::len).sum();
    let trigger = options.trigger.as_deref().map(checked_name).transpose()?;
    let memory_mb = memory_mb(bundle_bytes);
    let deployment = Deployment { package: &name, image: &image.reference, memory_mb, trigger };
    let architectures: Vec<&str> = runners.iter().map(|runner| runner.arch.as_str()).collect();
    let about = json!({
        "format": 1,
        "reference": image.reference,
        "digest": image.digest,
        "tags": image.digests,
        "architecture": architectures[0],
        "architectures": architectures,
        "bundle": manifest.id,
        "package": name,
        "memory_mb": memory_mb,
        "zips": zips,
    });
    if options.runners.is_empty() {
        files.insert("sbom.json".into(), sbom::sbom(&runners[0]));
    }
    files.extend([
        ("deploy.sh".into(), openwhisk::deploy_sh(&deployment).into_bytes()),
        ("image.json".into(), format!("{about:#}\n").into_bytes()),
        ("kubernetes.yaml".into(), openwhisk::kubernetes_yaml(&deployment).into_bytes()),
        ("manifest.yaml".into(), openwhisk::manifest_yaml(&deployment).into_bytes()),
        ("serverless.yml".into(), openwhisk::serverless_yml(&deployment).into_bytes()),
        ("image.tar".into(), image.tar),
    ]);
    Ok(files)
}

/// The given runners, and the embedded one where none of them is for its architecture; amd64 first.
fn runners(given: &[Runner]) -> Result<Vec<Runner>> {
    let mut runners = given.to_vec();
    match Runner::embedded() {
        Ok(embedded) if given.iter().all(|runner| runner.arch != embedded.arch) => runners.push(embedded),
        Err(missing) if given.is_empty() => return Err(missing),
        _ => {}
    }
    runners.sort_by_key(|runner| runner.arch);
    match runners.windows(2).find(|pair| pair[0].arch == pair[1].arch) {
        Some(pair) => Err(Error::permanent(format!("two runners for architecture `{}`", pair[0].arch.as_str()))),
        None => Ok(runners),
    }
}

/// The OpenWhisk package of a bundle.
pub fn package_name(manifest: &Manifest) -> String {
    match path_component(&manifest.name) {
        nothing if nothing.is_empty() => "model".to_owned(),
        // OpenWhisk keeps this name for itself.
        name if name == "default" => "default-model".to_owned(),
        name => name,
    }
}

fn labels(manifest: &Manifest) -> BTreeMap<String, String> {
    let model = manifest.model.as_str();
    let schema = serde_json::to_string(&manifest.schema).unwrap_or_default();
    let metrics = serde_json::to_string(&manifest.metrics).unwrap_or_default();
    let title = format!("{}: fraud scoring by {model}", manifest.name);
    [
        ("io.fraudml.bundle", manifest.id.as_str()),
        ("io.fraudml.metrics", &metrics),
        ("io.fraudml.model", model),
        ("io.fraudml.run", &manifest.run),
        ("io.fraudml.schema", &schema),
        ("io.fraudml.version", env!("CARGO_PKG_VERSION")),
        ("org.opencontainers.image.title", &title),
        ("org.opencontainers.image.version", &manifest.id),
    ]
    .map(|(label, value)| (label.to_owned(), value.to_owned()))
    .into()
}

/// The nearest name that an OpenWhisk package and a part of an image path both take: `[a-z0-9]` with single `-`, `_` or `.` between, at most 100.
fn path_component(name: &str) -> String {
    let mut component = String::new();
    for c in name.to_lowercase().chars().take(100) {
        let wanted = if matches!(c, 'a'..='z' | '0'..='9' | '_' | '.') { c } else { '-' };
        if wanted.is_ascii_alphanumeric() || component.ends_with(|last: char| last.is_ascii_alphanumeric()) {
            component.push(wanted);
        }
    }
    component.trim_end_matches(['-', '_', '.']).to_owned()
}

/// Checks a name of an OpenWhisk entity that texts and shells take as it is.
pub fn checked_name(name: &str) -> Result<&str> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    match !name.is_empty() && name.len() <= 100 && name.chars().all(fine) && !name.starts_with(['-', '.']) {
        true => Ok(name),
        false => {
            Err(Error::permanent(format!("name `{name}`: expected letters, digits, `_`, `-` and `.`, at most 100")))
        }
    }
}

/// Checks an image name that the caller gave (the grammar of distribution references, without tag and digest).
fn checked_repository(repository: &str) -> Result<String> {
    let refused = |why: &str| Err(Error::permanent(format!("image name `{repository}`: {why}")));
    let (host, path) = match repository.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (Some(host), path),
        _ => (None, repository),
    };
    if path.contains([':', '@']) {
        return refused("expected no tag and no digest, for the tag is the image's content hash");
    }
    let component = |part: &str| !part.is_empty() && path_component(part) == part;
    if repository.len() > 200 || !path.split('/').all(component) {
        return refused("expected lower-case letters, digits and single `-`, `_` or `.` between, parts divided by `/`");
    }
    let host_ok = |host: &str| {
        let (name, port) = host.split_once(':').unwrap_or((host, "0"));
        let label = |label: &str| {
            let letters = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            !label.is_empty() && letters && !label.starts_with('-') && !label.ends_with('-')
        };
        name.split('.').all(label) && port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
    };
    if host.is_some_and(|host| !host_ok(host)) {
        return refused("expected a registry as `host` or `host:port`");
    }
    Ok(repository.to_owned())
}

/// Twice the bundle (its bytes and what is made of them) and room for requests, in steps of 128, at least the platform's
/// default. Above 512 an operator must have raised the limit.
fn memory_mb(bundle_bytes: usize) -> u32 {
    let wanted = 64 + (bundle_bytes >> 20) as u32 * 2;
    wanted.next_multiple_of(128).max(256)
}

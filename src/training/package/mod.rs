//! From a sealed bundle to what OpenWhisk takes: an image and the files that deploy it. Pure: bytes in, bytes out.
//!
//! `image.tar` loads with `docker load`, `podman load` and `skopeo`; `image.json` says how it is called; `manifest.yaml`,
//! `deploy.sh` and `serverless.yml` deploy it. The same bundle, runner and options give the same bytes.

pub mod elf;
mod gzip;
pub mod image;
pub mod openwhisk;
pub mod runner;

use std::collections::BTreeMap;

use serde_json::json;

use crate::scoring::bundle::Manifest;
use crate::training::error::{Error, Result};
use image::{ImageSpec, image_tar};
use openwhisk::Deployment;
use runner::Runner;

/// What `fraudml package` may be told.
#[derive(Debug, Clone, Default)]
pub struct PackageOptions {
    /// `[registry/]path` of the image, without a tag; default `fraudml/<name>`.
    pub repository: Option<String>,
    /// Another runner than the embedded one.
    pub runner: Option<Runner>,
    /// `SOURCE_DATE_EPOCH`, else 0.
    pub created: u64,
}

/// All files of `artifacts/<bundle-id>/openwhisk/` by name.
pub fn package(
    bundle_files: &BTreeMap<String, Vec<u8>>,
    manifest: &Manifest,
    options: &PackageOptions,
) -> Result<BTreeMap<String, Vec<u8>>> {
    let name = match path_component(&manifest.name) {
        nothing if nothing.is_empty() => "model".to_owned(),
        // OpenWhisk keeps this name for itself.
        name if name == "default" => "default-model".to_owned(),
        name => name,
    };
    let repository = match &options.repository {
        Some(repository) => checked_repository(repository)?,
        None => format!("fraudml/{name}"),
    };
    let runner = options.runner.clone().map_or_else(Runner::embedded, Ok)?;
    let labels = labels(manifest);
    let spec =
        ImageSpec { repository: &repository, runner: &runner, bundle: bundle_files, labels, created: options.created };
    let image = image_tar(&spec)?;

    let bundle_bytes = bundle_files.values().map(Vec::len).sum();
    let deployment = Deployment { package: &name, image: &image.reference, memory_mb: memory_mb(bundle_bytes) };
    let about = json!({
        "format": 1,
        "reference": image.reference,
        "digest": image.digest,
        "tags": image.digests,
        "architecture": runner.arch.as_str(),
        "bundle": manifest.id,
    });
    Ok(BTreeMap::from([
        ("deploy.sh".into(), openwhisk::deploy_sh(&deployment).into_bytes()),
        ("image.json".into(), format!("{about:#}\n").into_bytes()),
        ("manifest.yaml".into(), openwhisk::manifest_yaml(&deployment).into_bytes()),
        ("serverless.yml".into(), openwhisk::serverless_yml(&deployment).into_bytes()),
        ("image.tar".into(), image.tar),
    ]))
}

fn labels(manifest: &Manifest) -> BTreeMap<String, String> {
    let model = manifest.model.as_str();
    let title = format!("{}: fraud scoring by {model}", manifest.name);
    [
        ("io.fraudml.bundle", manifest.id.as_str()),
        ("io.fraudml.model", model),
        ("io.fraudml.run", &manifest.run),
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

//! An action image without Docker: one tar that is both an OCI layout and a docker-archive.
//!
//! In: a runner, the files of a bundle, names. Out: the same bytes for the same input, anywhere. Layers are gzipped (the
//! digest survives a push) and ordered from stable to changing: runner, preprocessor and manifest, model. One tag holds
//! all stages; one more per stage differs in its environment alone. Of several runners each tag is an index over
//! architectures; the docker-archive, which knows none, holds the first. The tag is the start of the image's own content hash,
//! never `latest`, which OpenWhisk would pull before every start of a container.
//! Source: OCI image-spec 1.1 (layout, manifest, config), the docker-archive of `docker save`.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::gzip;
use super::runner::Runner;
use crate::scoring::bundle::{MODEL, sha256_hex};
use crate::scoring::stage::Stage;
use crate::training::error::{Error, Result};

/// Hex digits of the content hash that make the tag.
const TAG_DIGITS: usize = 16;

/// No account: the image needs no user database, and the port no privilege.
const USER: &str = "65532:65532";

/// What goes into an image.
#[derive(Debug, Clone)]
pub struct ImageSpec<'a> {
    /// `[registry/]path`, without a tag.
    pub repository: &'a str,
    /// At least one, each for another architecture.
    pub runners: &'a [Runner],
    /// All files of the bundle by name.
    pub bundle: &'a BTreeMap<String, Vec<u8>>,
    pub labels: BTreeMap<String, String>,
    /// Seconds since 1970 (`SOURCE_DATE_EPOCH`), else 0; in the config only, never in a layer.
    pub created: u64,
}

/// The archive and how its images are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    pub tar: Vec<u8>,
    /// `repository:tag` of the image that holds all stages.
    pub reference: String,
    pub tag: String,
    /// `sha256:..` of its manifest: what a registry will call it.
    pub digest: String,
    /// Tag -> manifest digest, of all five images.
    pub digests: BTreeMap<String, String>,
}

/// One compressed layer.
struct Layer {
    /// Of the compressed bytes.
    sha256: String,
    size: usize,
    /// Of the tar itself.
    diff_id: String,
    made_by: &'static str,
}

/// An image for one architecture: its config and its layers.
struct Variant<'a> {
    arch: &'static str,
    config: Vec<u8>,
    layers: &'a [Layer],
}

/// Builds the archive.
pub fn image_tar(spec: &ImageSpec) -> Result<Image> {
    let mut blobs = BTreeMap::new();
    let layers = spec.runners.iter().map(|runner| layers(spec, runner, &mut blobs)).collect::<Result<Vec<_>>>()?;
    let variants = |stage: Option<Stage>| {
        let of =
            |(runner, layers): (&Runner, &'_ Vec<Layer>)| (runner.arch.as_str(), config(spec, runner, layers, stage));
        spec.runners.iter().zip(&layers).map(of).collect::<Vec<_>>()
    };
    let content: Vec<u8> = variants(None).into_iter().flat_map(|(_, config)| config).collect();
    let tag = sha256_hex(&content)[..TAG_DIGITS].to_owned();
    let mut tags = vec![(tag.clone(), None)];
    tags.extend(Stage::ALL.map(|stage| (format!("{tag}-{}", stage.as_str()), Some(stage))));

    let (mut index, mut archive, mut digests) = (Vec::new(), Vec::new(), BTreeMap::new());
    for (tag, stage) in tags {
        let reference = format!("{}:{tag}", spec.repository);
        let of = |((arch, config), layers)| Variant { arch, config, layers };
        let variants: Vec<Variant> =
            variants(stage).into_iter().zip(&layers).map(|(built, layers)| of((built, layers.as_slice()))).collect();
        let mut descriptor = described(&variants, &mut blobs);
        digests.insert(tag.clone(), descriptor["digest"].as_str().unwrap_or_default().to_owned());
        descriptor["annotations"] = json!({
            "io.containerd.image.name": full_name(&reference),
            "org.opencontainers.image.ref.name": tag,
        });
        index.push(descriptor);
        if let Some(first) = variants.first() {
            archive.push(json!({
                "Config": blob(&sha256_hex(&first.config)),
                "RepoTags": [reference],
                "Layers": first.layers.iter().map(|layer| blob(&layer.sha256)).collect::<Vec<_>>(),
            }));
        }
    }
    blobs.insert("index.json".into(), index_of(index));
    blobs.insert("manifest.json".into(), compact(&Json::Array(archive)));
    blobs.insert("oci-layout".into(), compact(&json!({ "imageLayoutVersion": "1.0.0" })));

    let files = blobs.iter().map(|(name, bytes)| (name.as_str(), Entry::File(bytes, 0o644)));
    let folders = ["blobs/", "blobs/sha256/"].map(|name| (name, Entry::Folder));
    let tar = tar_of(folders.into_iter().chain(files))?;
    let digest = digests.get(&tag).cloned().unwrap_or_default();
    Ok(Image { tar, reference: format!("{}:{tag}", spec.repository), tag, digest, digests })
}

/// Adds the manifests of a tag, and an index over them if there are several; its descriptor.
fn described(variants: &[Variant], blobs: &mut BTreeMap<String, Vec<u8>>) -> Json {
    let mut manifests = Vec::new();
    for Variant { arch, config, layers } in variants {
        let manifest = manifest(config, layers);
        let digest = sha256_hex(&manifest);
        manifests.push(json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": format!("sha256:{digest}"),
            "size": manifest.len(),
            "platform": { "architecture": arch, "os": "linux" },
        }));
        blobs.insert(blob(&sha256_hex(config)), config.clone());
        blobs.insert(blob(&digest), manifest);
    }
    if manifests.len() == 1 {
        return manifests.swap_remove(0);
    }
    let index = index_of(manifests);
    let digest = sha256_hex(&index);
    let (media_type, size) = ("application/vnd.oci.image.index.v1+json", index.len());
    blobs.insert(blob(&digest), index);
    json!({ "mediaType": media_type, "digest": format!("sha256:{digest}"), "size": size })
}

fn index_of(manifests: Vec<Json>) -> Vec<u8> {
    compact(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": manifests,
    }))
}

fn layers(spec: &ImageSpec, runner: &Runner, blobs: &mut BTreeMap<String, Vec<u8>>) -> Result<Vec<Layer>> {
    let named: Vec<(String, &[u8])> =
        spec.bundle.iter().map(|(name, bytes)| (format!("bundle/{name}"), bytes.as_slice())).collect();
    let file = |wanted: &dyn Fn(&str) -> bool| {
        let kept = named.iter().filter(|(name, _)| wanted(&name["bundle/".len()..]));
        kept.map(|(name, bytes)| (name.as_str(), Entry::File(bytes, 0o644))).collect::<Vec<_>>()
    };
    let program = vec![("fraudml-action", Entry::File(&runner.bytes, 0o755))];
    let mut preparation = vec![("bundle/", Entry::Folder)];
    preparation.extend(file(&|name| name != MODEL));
    let parts = [(program, "action runner"), (preparation, "preprocessor"), (file(&|name| name == MODEL), "model")];
    let layer = |(entries, made_by): (Vec<(&str, Entry)>, &'static str)| {
        let tar = tar_of(entries)?;
        let packed = gzip::compress(&tar);
        let sha256 = sha256_hex(&packed);
        let layer = Layer { size: packed.len(), diff_id: sha256_hex(&tar), made_by, sha256 };
        blobs.insert(blob(&layer.sha256), packed);
        Ok(layer)
    };
    parts.into_iter().map(layer).collect()
}

fn config(spec: &ImageSpec, runner: &Runner, layers: &[Layer], stage: Option<Stage>) -> Vec<u8> {
    let created = timestamp(spec.created);
    let history =
        |layer: &Layer| json!({ "created": created, "created_by": format!("fraudml package: {}", layer.made_by) });
    compact(&json!({
        "architecture": runner.arch.as_str(),
        "os": "linux",
        "created": created,
        "config": {
            "Entrypoint": ["/fraudml-action"],
            "Env": stage.map(|stage| format!("FRAUDML_STAGE={}", stage.as_str())).into_iter().collect::<Vec<_>>(),
            "ExposedPorts": { "8080/tcp": {} },
            "Labels": spec.labels,
            "User": USER,
            "WorkingDir": "/",
        },
        "rootfs": {
            "type": "layers",
            "diff_ids": layers.iter().map(|layer| format!("sha256:{}", layer.diff_id)).collect::<Vec<_>>(),
        },
        "history": layers.iter().map(history).collect::<Vec<_>>(),
    }))
}

fn manifest(config: &[u8], layers: &[Layer]) -> Vec<u8> {
    let descriptor = |kind: &str, sha256: &str, size: usize| {
        json!({
            "mediaType": format!("application/vnd.oci.image.{kind}"),
            "digest": format!("sha256:{sha256}"),
            "size": size,
        })
    };
    let layers = layers.iter().map(|layer| descriptor("layer.v1.tar+gzip", &layer.sha256, layer.size));
    compact(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("config.v1+json", &sha256_hex(config), config.len()),
        "layers": layers.collect::<Vec<_>>(),
    }))
}

enum Entry<'a> {
    File(&'a [u8], u32),
    Folder,
}

/// USTAR: root's, time 0, in the order given.
fn tar_of<'a>(entries: impl IntoIterator<Item = (&'a str, Entry<'a>)>) -> Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, entry) in entries {
        let (kind, mode, bytes) = match entry {
            Entry::File(bytes, mode) => (tar::EntryType::Regular, mode, bytes),
            Entry::Folder => (tar::EntryType::Directory, 0o755, [].as_slice()),
        };
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(bytes.len() as u64);
        let failed = |error: std::io::Error| Error::failed(format!("`{name}` does not fit into a tar: {error}"));
        tar.append_data(&mut header, name, bytes).map_err(failed)?;
    }
    tar.into_inner().map_err(|error| Error::failed(format!("the image can't be put together: {error}")))
}

/// Compact, keys sorted (serde_json keeps objects in a sorted map).
fn compact(json: &Json) -> Vec<u8> {
    json.to_string().into_bytes()
}

fn blob(sha256: &str) -> String {
    format!("blobs/sha256/{sha256}")
}

/// With Docker Hub's host spelled out where none is named: containerd knows no short names.
fn full_name(reference: &str) -> String {
    match reference.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => reference.to_owned(),
        Some(_) => format!("docker.io/{reference}"),
        None => format!("docker.io/library/{reference}"),
    }
}

/// Seconds since 1970 in RFC 3339 (civil calendar from days, Howard Hinnant's method).
fn timestamp(seconds: u64) -> String {
    let (days, second) = ((seconds / 86_400) as i64, seconds % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_civil() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_700_000_000, "2023-11-14T22:13:20Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(timestamp(seconds), text);
        }
    }

    #[test]
    fn containerd_gets_full_names() {
        assert_eq!(full_name("fraudml/a:1"), "docker.io/fraudml/a:1");
        assert_eq!(full_name("a:1"), "docker.io/library/a:1");
        assert_eq!(full_name("localhost:5000/a:1"), "localhost:5000/a:1");
    }
}

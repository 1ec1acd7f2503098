//! Packages a tiny bundle with the embedded runner; `FRAUDML_IMAGE_OUT=DIR` keeps the result for `tests/image.sh`.
#![cfg(feature = "train")]
#![allow(clippy::disallowed_methods)]

mod tiny;

use std::collections::BTreeMap;
use std::path::PathBuf;

use fraudml::scoring::bundle::{Bundle, sha256_hex};
use fraudml::training::package::{PackageOptions, package};
use serde_json::Value as Json;

fn packaged(options: &PackageOptions) -> BTreeMap<String, Vec<u8>> {
    let files = tiny::files();
    let manifest = Bundle::from_files(&files).unwrap().manifest;
    package(&files, &manifest, options).unwrap()
}

fn entries(tar: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(tar);
    let mut entries = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let header = entry.header();
        assert_eq!((header.mtime().unwrap(), header.uid().unwrap(), header.gid().unwrap()), (0, 0, 0));
        let name = entry.path().unwrap().to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
        assert!(entries.insert(name, bytes).is_none());
    }
    entries
}

fn gunzip(packed: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(packed), &mut bytes).unwrap();
    bytes
}

#[test]
fn the_archive_is_a_consistent_oci_layout_and_docker_archive() {
    let files = packaged(&PackageOptions::default());
    if let Some(out) = std::env::var_os("FRAUDML_IMAGE_OUT").map(PathBuf::from) {
        std::fs::create_dir_all(out.join("bundle")).unwrap();
        files.iter().for_each(|(name, bytes)| std::fs::write(out.join(name), bytes).unwrap());
        tiny::files().iter().for_each(|(name, bytes)| std::fs::write(out.join("bundle").join(name), bytes).unwrap());
    }
    let archive = entries(&files["image.tar"]);
    for (name, bytes) in archive.iter().filter(|(name, _)| name.starts_with("blobs/sha256/") && !name.ends_with('/')) {
        assert_eq!(name["blobs/sha256/".len()..], sha256_hex(bytes));
    }
    let read = |name: &str| serde_json::from_slice::<Json>(&archive[name]).unwrap();
    let blob = |digest: &Json| format!("blobs/sha256/{}", digest.as_str().unwrap().strip_prefix("sha256:").unwrap());
    let (index, docker) = (read("index.json"), read("manifest.json"));
    let about: Json = serde_json::from_slice(&files["image.json"]).unwrap();
    let mut layers = Vec::new();
    for (at, entry) in index["manifests"].as_array().unwrap().iter().enumerate() {
        let manifest = read(&blob(&entry["digest"]));
        let config_name = blob(&manifest["config"]["digest"]);
        let config = read(&config_name);
        let tag = entry["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap();
        assert_eq!(about["tags"][tag], entry["digest"]);
        assert_eq!(docker[at]["RepoTags"][0], format!("fraudml/tiny:{tag}"));
        assert_eq!(docker[at]["Config"], config_name);
        let diff_ids = config["rootfs"]["diff_ids"].as_array().unwrap();
        let names: Vec<String> =
            manifest["layers"].as_array().unwrap().iter().map(|layer| blob(&layer["digest"])).collect();
        assert_eq!(docker[at]["Layers"], serde_json::json!(names));
        for (name, diff_id) in names.iter().zip(diff_ids) {
            assert_eq!(format!("sha256:{}", sha256_hex(&gunzip(&archive[name]))), diff_id.as_str().unwrap());
        }
        let stage = tag.split_once('-').map(|(_, stage)| format!("FRAUDML_STAGE={stage}"));
        assert_eq!(config["config"]["Env"], serde_json::json!(Vec::from_iter(stage)));
        assert_eq!(config["config"]["User"], "65532:65532");
        assert_eq!(config["created"], "1970-01-01T00:00:00Z");
        layers.push(names);
    }
    assert!(layers.len() == 5 && layers.windows(2).all(|pair| pair[0] == pair[1]), "all tags share all layers");
    let inside: Vec<String> = layers[0].iter().flat_map(|name| entries(&gunzip(&archive[name])).into_keys()).collect();
    let bundle = ["bundle/golden.json", "bundle/manifest.json", "bundle/preprocessor.json", "bundle/model.safetensors"];
    assert_eq!(inside, [&["fraudml-action", "bundle/"], &bundle[..]].concat());
    assert_eq!(archive.len(), 2 + 3 + 3 + 5 * 2);
}

#[test]
fn the_same_input_gives_the_same_bytes_and_the_date_moves_no_layer() {
    let (one, two) = (packaged(&PackageOptions::default()), packaged(&PackageOptions::default()));
    assert_eq!(one, two);
    let dated = packaged(&PackageOptions { created: 1_700_000_000, ..PackageOptions::default() });
    let layers = |files: &BTreeMap<String, Vec<u8>>| {
        serde_json::from_slice::<Json>(&entries(&files["image.tar"])["manifest.json"]).unwrap()[0]["Layers"].clone()
    };
    assert_eq!(layers(&one), layers(&dated));
    assert_ne!(one["image.json"], dated["image.json"]);
    let all = String::from_utf8_lossy(&dated["image.tar"]).into_owned();
    assert!(all.contains("2023-11-14T22:13:20Z"));
}

#[test]
fn deployment_files_name_the_image_and_every_action() {
    let options = PackageOptions { repository: Some("localhost:5000/team/fraud".into()), ..PackageOptions::default() };
    let files = packaged(&options);
    let about: Json = serde_json::from_slice(&files["image.json"]).unwrap();
    let reference = about["reference"].as_str().unwrap();
    assert!(reference.starts_with("localhost:5000/team/fraud:"));
    for name in ["manifest.yaml", "deploy.sh", "serverless.yml"] {
        let text = String::from_utf8(files[name].clone()).unwrap();
        for word in [reference, "transform", "encode", "predict", "pipeline", "score", "tiny"] {
            assert!(text.contains(word), "{name} does not name {word}:\n{text}");
        }
    }
}

#[test]
fn image_names_are_checked() {
    let refused = ["Upper/case", "a//b", "a:tag", "a@sha256:00", "-a", "a b", "", "reg.io:x/a", "a/"];
    let files = tiny::files();
    let manifest = Bundle::from_files(&files).unwrap().manifest;
    for repository in refused {
        let options = PackageOptions { repository: Some(repository.into()), ..PackageOptions::default() };
        assert!(package(&files, &manifest, &options).is_err(), "{repository}");
    }
    for repository in ["model-x", "reg.io/a/b_c.d-e", "localhost/a", "reg.io:443/123"] {
        let options = PackageOptions { repository: Some(repository.into()), ..PackageOptions::default() };
        assert!(package(&files, &manifest, &options).is_ok(), "{repository}");
    }
}

#[test]
fn several_runners_make_an_index_over_architectures_that_share_the_bundle() {
    let files = packaged(&PackageOptions { runners: vec![tiny::arm64()], ..PackageOptions::default() });
    let archive = entries(&files["image.tar"]);
    let read = |name: &str| serde_json::from_slice::<Json>(&archive[name]).unwrap();
    let blob = |digest: &Json| format!("blobs/sha256/{}", digest.as_str().unwrap().strip_prefix("sha256:").unwrap());
    let index = read("index.json");
    let about: Json = serde_json::from_slice(&files["image.json"]).unwrap();
    assert_eq!(about["architectures"], serde_json::json!(["amd64", "arm64"]));
    for tag in index["manifests"].as_array().unwrap() {
        assert_eq!(tag["mediaType"], "application/vnd.oci.image.index.v1+json");
        let manifests = read(&blob(&tag["digest"]))["manifests"].clone();
        let arch = |at: usize| manifests[at]["platform"]["architecture"].as_str().unwrap().to_owned();
        assert_eq!([arch(0), arch(1)], ["amd64", "arm64"]);
        let inner = [0, 1].map(|at| read(&blob(&manifests[at]["digest"])));
        assert_eq!(read(&blob(&inner[1]["config"]["digest"]))["architecture"], "arm64");
        assert_ne!(inner[0]["layers"][0], inner[1]["layers"][0], "the runners differ");
        assert_eq!(inner[0]["layers"][2], inner[1]["layers"][2], "the model is one");
    }
    // Docker's own archive knows one architecture.
    let docker = read("manifest.json");
    assert_eq!(read(docker[0]["Config"].as_str().unwrap())["architecture"], "amd64");
    let twice = PackageOptions { runners: vec![tiny::arm64(), tiny::arm64()], ..PackageOptions::default() };
    let files = tiny::files();
    let manifest = Bundle::from_files(&files).unwrap().manifest;
    assert!(package(&files, &manifest, &twice).unwrap_err().message.contains("two runners"));
}

#[test]
fn labels_and_the_bill_of_materials_say_what_is_inside() {
    let files = packaged(&PackageOptions::default());
    let archive = entries(&files["image.tar"]);
    let docker: Json = serde_json::from_slice(&archive["manifest.json"]).unwrap();
    let config: Json = serde_json::from_slice(&archive[docker[0]["Config"].as_str().unwrap()]).unwrap();
    let labels = &config["config"]["Labels"];
    let schema: Json = serde_json::from_str(labels["io.fraudml.schema"].as_str().unwrap()).unwrap();
    assert_eq!(schema["columns"][1]["name"], "card");
    assert!(labels["io.fraudml.metrics"].is_string() && labels["io.fraudml.run"] == "tiny-00000000");
    let sbom: Json = serde_json::from_slice(&files["sbom.json"]).unwrap();
    let components = sbom["components"].as_array().unwrap();
    let hyper = components.iter().find(|component| component["name"] == "hyper").expect("hyper is inside");
    assert_eq!(hyper["licenses"][0]["expression"], "MIT");
    assert_eq!(hyper["hashes"][0]["content"].as_str().unwrap().len(), 64);
    assert!(components.iter().all(|component| component["name"] != "polars"), "of the runner, not of the tool");
}

#[test]
fn a_trigger_and_its_rule_are_there_if_they_are_wanted() {
    let options = PackageOptions { trigger: Some("payments".into()), ..PackageOptions::default() };
    let text = |files: &BTreeMap<String, Vec<u8>>, name: &str| String::from_utf8(files[name].clone()).unwrap();
    let (with, without) = (packaged(&options), packaged(&PackageOptions::default()));
    for name in ["manifest.yaml", "deploy.sh"] {
        assert!(text(&with, name).contains("tiny-payments") && !text(&without, name).contains("rule"), "{name}");
    }
    let odd = PackageOptions { trigger: Some("a b".into()), ..PackageOptions::default() };
    let files = tiny::files();
    let manifest = Bundle::from_files(&files).unwrap().manifest;
    assert!(package(&files, &manifest, &odd).is_err());
}

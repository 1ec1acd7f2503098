//! What the runner is made of, as CycloneDX 1.5 JSON.
//!
//! In: the crates of the lean build with licence and checksum, as the build script found them by `cargo tree` and the lock
//! file. Out: a document without a date or a serial number, so that the same build gives the same bytes.

use serde_json::{Value as Json, json};

use super::runner::Runner;
use crate::scoring::bundle::sha256_hex;

/// Lines of `name version licence checksum`, divided by tabs.
const CRATES: &str = include_str!(concat!(env!("OUT_DIR"), "/runner-crates.tsv"));

/// Of the embedded runner; nobody knows what a runner from outside was built from.
pub fn sbom(runner: &Runner) -> Vec<u8> {
    let components: Vec<Json> = CRATES.lines().filter_map(component).collect();
    let own = format!("pkg:cargo/fraudml@{}", env!("CARGO_PKG_VERSION"));
    let document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": {
            "type": "application",
            "bom-ref": own,
            "name": "fraudml-action",
            "version": env!("CARGO_PKG_VERSION"),
            "licenses": [{ "expression": env!("CARGO_PKG_LICENSE") }],
            "purl": own,
            "hashes": [{ "alg": "SHA-256", "content": sha256_hex(&runner.bytes) }],
            "properties": [{ "name": "architecture", "value": runner.arch.as_str() }],
        } },
        "components": components,
    });
    format!("{document:#}\n").into_bytes()
}

fn component(line: &str) -> Option<Json> {
    let [name, version, licence, checksum] = line.split('\t').collect::<Vec<_>>()[..] else { return None };
    let purl = format!("pkg:cargo/{name}@{version}");
    let mut component = json!({ "type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl });
    if !licence.is_empty() {
        // Crates of old write `MIT/Apache-2.0`.
        component["licenses"] = json!([{ "expression": licence.replace('/', " OR ") }]);
    }
    if !checksum.is_empty() {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    Some(component)
}

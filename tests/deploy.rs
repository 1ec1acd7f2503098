//! `fraudml deploy` and `undeploy` against the stand-in: what is made, how often it may be repeated, what each refusal says.
#![cfg(feature = "train")]
#![allow(clippy::disallowed_methods)]

mod http;
mod stand_in;
mod tiny;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value as Json, json};
use stand_in::{AUTH, Fault, StandIn};

/// A packaged tiny bundle.
fn packaged(name: &str) -> PathBuf {
    let bundle = tiny::written(name);
    let output = fraudml(&["package", "--trigger", "payments"], &bundle, &[]);
    assert!(output.status.success(), "{}", said(&output));
    bundle
}

fn fraudml(args: &[&str], bundle: &Path, env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fraudml"));
    command.args(args).arg("--bundle").arg(bundle).env_remove("OW_AUTH").env("HOME", bundle);
    command.envs(env.iter().copied()).output().unwrap()
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

struct Place {
    bundle: PathBuf,
    platform: StandIn,
}

impl Place {
    fn new(name: &str) -> Place {
        Place { bundle: packaged(name), platform: StandIn::start() }
    }

    fn run(&self, args: &[&str]) -> Output {
        fraudml(args, &self.bundle, &[("OW_AUTH", AUTH), ("OW_APIHOST", &self.platform.url)])
    }

    fn deployed(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", said(&output));
        said(&output)
    }
}

const ENTITIES: [&str; 7] = [
    "actions/tiny/encode",
    "actions/tiny/pipeline",
    "actions/tiny/predict",
    "actions/tiny/score",
    "actions/tiny/transform",
    "packages/tiny",
    "routes/tiny",
];

#[test]
fn deploying_makes_all_entities_may_be_repeated_and_is_taken_down_whole() {
    let place = Place::new("deploy_all");
    let text = place.deployed(&["deploy"]);
    assert!(text.contains("sequence tiny/score 0.0.1") && text.contains("/api/v1/web/guest/tiny/score.json"), "{text}");
    assert_eq!(place.platform.names(), ENTITIES);
    let about: Json =
        serde_json::from_slice(&std::fs::read(place.bundle.join("openwhisk/image.json")).unwrap()).unwrap();
    let predict = place.platform.entity("actions/tiny/predict");
    assert_eq!(predict["exec"], json!({ "kind": "blackbox", "image": about["reference"], "main": "predict" }));
    assert_eq!(predict["limits"], json!({ "timeout": 60_000, "memory": 256, "logs": 1, "concurrency": 1 }));
    let score = place.platform.entity("actions/tiny/score");
    assert_eq!(score["exec"]["components"], json!(["/_/tiny/transform", "/_/tiny/encode", "/_/tiny/predict"]));
    assert!(score["annotations"].as_array().unwrap().contains(&json!({ "key": "web-export", "value": true })));
    let route = place.platform.entity("routes/tiny");
    assert!(route["action"]["backendUrl"].as_str().unwrap().ends_with("/api/v1/web/guest/tiny/score.json"), "{route}");

    assert!(place.deployed(&["deploy", "--trigger", "payments"]).contains("action tiny/predict 0.0.2"));
    assert_eq!(place.platform.names().len(), ENTITIES.len() + 2);
    place.deployed(&["undeploy", "--trigger", "payments"]);
    assert_eq!(place.platform.names(), [""; 0]);
    assert!(place.deployed(&["undeploy"]).contains("package tiny: was not there"));
}

#[test]
fn a_dry_run_shows_the_requests_and_sends_none() {
    let place = Place::new("deploy_dry");
    let text = place.deployed(&["deploy", "--dry-run", "--zip", "--json"]);
    let steps: Json = serde_json::from_str(&text).unwrap();
    assert_eq!(steps["steps"].as_array().unwrap().len(), 7);
    assert!(!text.contains("secret") && text.len() < 10_000, "neither key nor code: {text}");
    assert!(place.deployed(&["undeploy", "--dry-run"]).contains("DELETE /api/v1/namespaces/_/packages/tiny"));
    assert_eq!(place.platform.n_requests(""), 0);
}

#[test]
fn zips_go_to_stock_runtimes_each_with_its_stage_inside() {
    let place = Place::new("deploy_zip");
    place.deployed(&["deploy", "--zip", "--no-route", "--package", "other"]);
    let exec = place.platform.entity("actions/other/encode")["exec"].clone();
    assert_eq!((&exec["kind"], &exec["binary"]), (&json!("rust:1.34"), &json!(true)));
    let code = base64::engine::general_purpose::STANDARD.decode(exec["code"].as_str().unwrap()).unwrap();
    assert_eq!(code, std::fs::read(place.bundle.join("openwhisk/action-encode.zip")).unwrap());
}

#[test]
fn every_refusal_says_what_to_do() {
    let place = Place::new("deploy_refused");
    let cases: [(u16, i32, &str); 6] = [
        (401, 2, "the key is not known there"),
        (403, 2, "may not do that"),
        (404, 2, "is missing"),
        (409, 2, "something else has that name"),
        (413, 2, "deploy the image"),
        (400, 2, "answered 400"),
    ];
    for (status, code, words) in cases {
        place.platform.order("PUT /api/v1/namespaces/_/actions/tiny/predict", Fault::Status(status), 1);
        let output = place.run(&["deploy"]);
        assert_eq!(output.status.code(), Some(code), "{status}: {}", said(&output));
        let text = said(&output);
        assert!(text.contains(words) && text.contains("done before that: package tiny"), "{status}: {text}");
    }
    let wrong_key = fraudml(&["deploy"], &place.bundle, &[("OW_AUTH", "a:b"), ("OW_APIHOST", &place.platform.url)]);
    assert!(wrong_key.status.code() == Some(2) && said(&wrong_key).contains("the key is not known there"));
    let none = fraudml(&["deploy"], &place.bundle, &[("OW_APIHOST", &place.platform.url)]);
    assert!(none.status.code() == Some(2) && said(&none).contains("no OpenWhisk key is known"));
    let absent = fraudml(&["deploy"], &place.bundle, &[("OW_AUTH", AUTH)]);
    assert!(absent.status.code() == Some(2) && said(&absent).contains("no API host is named"));
}

#[test]
fn busy_and_cut_hosts_are_tried_again_and_in_the_end_told_as_worth_a_retry() {
    let place = Place::new("deploy_busy");
    place.platform.order("actions/tiny/encode", Fault::Status(429), 1);
    place.platform.order("actions/tiny/predict", Fault::Cut, 1);
    place.platform.order("packages/tiny", Fault::Status(503), 1);
    place.deployed(&["deploy"]);
    assert_eq!(place.platform.names(), ENTITIES);
    assert_eq!(place.platform.n_requests("actions/tiny/encode"), 2);

    // Without patience, so that the test has an end.
    use fraudml::platform::deploy::Host;
    use fraudml::platform::target::Access;
    use fraudml::training::error::ErrorKind;
    let access = Access { url: place.platform.url.clone(), auth: Some(AUTH.into()) };
    let host = |waits: usize| {
        Host::new(access.clone(), false).with_waits(vec![Duration::ZERO; waits], Duration::from_millis(200))
    };
    place.platform.order("GET /api/v1/namespaces", Fault::Silence(Duration::from_secs(1)), 1);
    let error = host(0).namespace().unwrap_err();
    assert!(error.kind == ErrorKind::Transient && error.message.contains("no answer in time"), "{error:?}");
    place.platform.order("GET /api/v1/namespaces", Fault::Silence(Duration::from_secs(1)), 1);
    assert_eq!(host(1).namespace().unwrap(), "guest");
    place.platform.order("GET /api/v1/namespaces", Fault::Status(429), 3);
    let error = host(2).namespace().unwrap_err();
    assert!(error.kind == ErrorKind::Transient && error.hint.unwrap().contains("requests a minute"));
    let away = Access { url: "http://127.0.0.1:9".into(), auth: Some(AUTH.into()) };
    let error = Host::new(away, false).with_waits(Vec::new(), Duration::from_secs(5)).namespace().unwrap_err();
    assert!(error.kind == ErrorKind::Transient && error.message.contains("no connection"), "{error:?}");
}

#[test]
fn limits_of_host_and_namespace_are_looked_at_before_anything_is_made() {
    let place = Place::new("deploy_limits");
    let limits = [
        (
            json!({ "host": { "limits": { "max_action_memory": 134_217_728 } } }),
            "need 256 MB, the limit there is 128 MB",
        ),
        (json!({ "own": { "maxActionMemory": 128 } }), "need 256 MB"),
        (json!({ "host": { "limits": { "max_action_duration": 30_000 } } }), "60000 ms, the limit there 30000 ms"),
        (json!({ "own": { "allowedKinds": ["nodejs:20"] } }), "kind `blackbox` is not allowed"),
        (json!({ "own": { "maxSequenceLength": 2 } }), "the limit there is 2"),
    ];
    for (limits, words) in limits {
        place.platform.state.lock().unwrap().limits = limits;
        let output = place.run(&["deploy"]);
        assert!(output.status.code() == Some(2) && said(&output).contains(words), "{}", said(&output));
    }
    assert_eq!(place.platform.names(), [""; 0]);
}

/// For clients that are no Rust: `FRAUDML_STAND_IN=PORT cargo test --test deploy -- --ignored stand_in`; `tests/npm.sh`.
#[test]
#[ignore = "serves until it is ended"]
fn stand_in_for_other_clients() {
    let port: u16 = std::env::var("FRAUDML_STAND_IN").unwrap().parse().unwrap();
    let _serving = StandIn::on(std::net::TcpListener::bind(("127.0.0.1", port)).unwrap());
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

//! The local platform as a process: sequence, REST, web action, route, and what it does when an action dies.
#![cfg(feature = "train")]
#![allow(clippy::disallowed_methods)]

mod tiny;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fraudml::platform::client::{Answer, Client, Reach};
use serde_json::{Value as Json, json};

struct Serve {
    child: Child,
    url: String,
    client: Client,
}

impl Serve {
    fn start(name: &str) -> Serve {
        let bundle = tiny::written(name);
        let mut child = Command::new(env!("CARGO_BIN_EXE_fraudml"))
            .args(["serve", "--port", "0", "--bundle"])
            .arg(&bundle)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().rsplit(' ').next().unwrap().to_owned();
        assert!(line.starts_with("serving `tiny` on http://127.0.0.1:"), "{line}");
        Serve { child, url, client: Client::new(Reach::Loopback, Duration::from_secs(30)) }
    }

    fn post(&self, path: &str, body: &Json) -> Answer {
        self.client.post_json(&format!("{}{path}", self.url), body.to_string().as_bytes()).unwrap()
    }

    fn get(&self, path: &str) -> Answer {
        self.client.get(&format!("{}{path}", self.url)).unwrap()
    }

    /// Process ids of its actions.
    fn actions(&self) -> Vec<String> {
        let children = format!("/proc/{0}/task/{0}/children", self.child.id());
        let mut own = std::fs::read_to_string(children).unwrap_or_default();
        // Threads start the actions, and a child belongs to its thread.
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap().flatten() {
            own.push_str(&std::fs::read_to_string(task.path().join("children")).unwrap_or_default());
            own.push(' ');
        }
        let mut ids: Vec<String> = own.split_whitespace().map(str::to_owned).collect();
        ids.sort();
        ids.dedup();
        ids
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// An action by itself.
struct Runner {
    child: Child,
    url: String,
}

impl Runner {
    fn start(bundle: &Path) -> Runner {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(env!("CARGO_BIN_EXE_fraudml-action"))
            .args(["--host=127.0.0.1", &format!("--port={port}"), "--bundle"])
            .arg(bundle)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(Duration::from_millis(5));
        }
        Runner { child, url: format!("http://127.0.0.1:{port}") }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const INVOKE: &str = "/api/v1/namespaces/_/actions/tiny";

#[test]
fn the_sequence_is_the_fused_action_is_the_route_is_the_web_action() {
    let serve = Serve::start("platform_ways");
    let record = json!({ "TransactionID": 7, "amt": 59.95, "card": "visa" });
    let fused = serve.post(&format!("{INVOKE}/pipeline?blocking=true&result=true"), &record);
    assert_eq!(fused.status, 200, "{}", fused.text());
    for path in [
        format!("{INVOKE}/score?result=true&blocking=true"),
        "/api/v1/namespaces/guest/actions/tiny%2Fscore?blocking=true&result=true".into(),
        "/api/v1/web/guest/tiny/score.json".into(),
        "/tiny/score".into(),
    ] {
        let answer = serve.post(&path, &record);
        assert_eq!((answer.status, answer.json()), (200, fused.json()), "{path}: {}", answer.text());
        assert_eq!(answer.header("x-openwhisk-activation-id").map(str::len), Some(32));
    }
    assert_eq!(serve.actions().len(), 4, "a process per action, started when it was needed");
}

#[test]
fn records_of_activations_tell_cold_from_warm_and_what_belongs_together() {
    let serve = Serve::start("platform_records");
    let invoke = || serve.post(&format!("{INVOKE}/score?blocking=true"), &json!({ "amt": 5 })).json();
    let (cold, warm) = (invoke(), invoke());
    let annotation = |record: &Json, key: &str| {
        record["annotations"]
            .as_array()
            .unwrap()
            .iter()
            .find(|note| note["key"] == key)
            .map(|note| note["value"].clone())
    };
    assert!(annotation(&cold, "initTime").is_some() && annotation(&warm, "initTime").is_none());
    assert_eq!((&cold["response"]["status"], &cold["response"]["statusCode"]), (&json!("success"), &json!(0)));
    let ids = warm["logs"].as_array().unwrap();
    assert_eq!(ids.len(), 3);
    let component = serve.get(&format!("/api/v1/namespaces/_/activations/{}", ids[1].as_str().unwrap())).json();
    assert_eq!((&component["name"], &component["cause"]), (&json!("encode"), &warm["activationId"]));
    assert_eq!(annotation(&component, "causedBy"), Some(json!("sequence")));
    let later = serve.post(&format!("{INVOKE}/pipeline"), &json!({ "amt": 5 }));
    assert_eq!(later.status, 202);
    let path = format!("/api/v1/namespaces/_/activations/{}", later.json()["activationId"].as_str().unwrap());
    let record = (0..200).map(|_| {
        std::thread::sleep(Duration::from_millis(20));
        serve.get(&path)
    });
    let record = record.into_iter().find(|record| record.status == 200).expect("the activation ends");
    assert_eq!(record.json()["response"]["success"], true);
}

#[test]
fn refusals_are_those_of_the_platform() {
    let serve = Serve::start("platform_refusals");
    let bad = serve.post(&format!("{INVOKE}/score?blocking=true"), &json!({ "amt": "five" }));
    let record = bad.json();
    assert_eq!((bad.status, &record["response"]["status"]), (502, &json!("application error")));
    assert_eq!(record["response"]["result"]["error"]["field"], "amt");
    assert_eq!(record["logs"].as_array().unwrap().len(), 1, "the first error ends the sequence");
    assert_eq!(serve.post(&format!("{INVOKE}/nothing?blocking=true"), &json!({})).status, 404);
    assert_eq!(serve.post(&format!("{INVOKE}/score?blocking=true"), &json!([1])).status, 400);
    let large = json!({ "amt": 1, "arg": "a".repeat(1 << 20) });
    assert_eq!(serve.post(&format!("{INVOKE}/score?blocking=true"), &large).status, 413);
    let http = serve.post("/api/v1/web/guest/tiny/score", &json!({ "amt": "five" }));
    assert_eq!((http.status, &http.json()["error"]["field"]), (400, &json!("amt")), "{}", http.text());
    assert_eq!(serve.get("/api/v1/web/guest/tiny/transform.json").status, 404, "only the sequence is exported");
    assert_eq!(serve.get("/tiny/score?TransactionID=1&amt=5.5").json()["id"], "1", "a query is a record of texts");
    // An `error` in the caller's own input does not stop the sequence.
    let odd = serve.post(&format!("{INVOKE}/score?blocking=true&result=true"), &json!({ "amt": 5, "error": "x" }));
    assert!(odd.status == 200 && odd.json()["score"].is_number());
}

#[test]
fn a_killed_action_is_started_again_and_all_end_with_the_platform() {
    let serve = Serve::start("platform_killed");
    let invoke = || serve.post(&format!("{INVOKE}/pipeline?blocking=true&result=true"), &json!({ "amt": 5 }));
    let expected = invoke().json();
    for _ in 0..3 {
        let actions = serve.actions();
        assert_eq!(actions.len(), 1);
        assert!(Command::new("kill").args(["-9", &actions[0]]).status().unwrap().success());
        std::thread::sleep(Duration::from_millis(50));
        let answer = invoke();
        assert_eq!((answer.status, answer.json()), (200, expected.clone()));
    }
    let last = PathBuf::from(format!("/proc/{}", serve.actions()[0]));
    drop(serve);
    assert!(!last.exists(), "no action outlives its platform");
}

#[test]
fn parity_holds_for_the_right_bundle_and_is_missed_for_another() {
    let folder = tiny::written("platform_parity");
    let csv = "TransactionID,amt,card,dist,hour,device\n1,59.95,visa,12,3.25,iOS\n2,0.1,MasterCard,,23,\n\
               12345678901234567890,1e300,\" visa \",7.5e2,0,150.0\n4,-0.0,nan,0.30000000000000004,1e-7,straße\n";
    let data = folder.join("rows.csv");
    std::fs::write(&data, csv).unwrap();
    let verify = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fraudml"));
        command
            .args(["verify", "parity", "--data"])
            .arg(&data)
            .arg("--bundle")
            .arg(&folder)
            .args(more)
            .output()
            .unwrap()
    };
    let output = verify(&["--json"]);
    let found: Json = serde_json::from_slice(&output.stdout).unwrap();
    // Four rows, alone and in batches, through stages, sequence and fused.
    assert_eq!((&found["compared"], &found["different"]), (&json!(24), &json!(0)), "{found}");

    // The same rows in two files: those of the second stand in another order, and one has no partner.
    let [mut left, mut right] = [String::new(), String::new()];
    for line in csv.lines() {
        let cells: Vec<&str> = line.split(',').collect();
        left += &format!("{}\n", cells[..3].join(","));
        if cells[0] != "2" {
            let from = if cells[0] == "TransactionID" { right.len() } else { right.find('\n').unwrap() + 1 };
            right.insert_str(from, &format!("{},{}\n", cells[0], cells[3..].join(",")));
        }
    }
    std::fs::write(&data, left).unwrap();
    let second = folder.join("second.csv");
    std::fs::write(&second, right).unwrap();
    let output = verify(&["--json", "--data", second.to_str().unwrap()]);
    let found: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&found["compared"], &found["different"]), (&json!(24), &json!(0)), "{found}");
    std::fs::write(&data, csv).unwrap();

    // Another bundle answers there: same columns, another map of scores.
    use fraudml::scoring::calibration::{Calibration, Prior};
    let other = folder.join("other");
    std::fs::create_dir_all(&other).unwrap();
    for (name, bytes) in tiny::files_calibrated(&Calibration::Prior(Prior { odds_factor: 0.5 })) {
        std::fs::write(other.join(name), bytes).unwrap();
    }
    let runner = Runner::start(&other);
    let output = verify(&["--url", &runner.url]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("pipeline, id 1: expected score"), "{text}");
}

#[test]
fn bench_draws_figure_4_and_counts_load_of_both_kinds() {
    let folder = tiny::written("platform_bench");
    let out = folder.join("bench");
    let output = Command::new(env!("CARGO_BIN_EXE_fraudml"))
        .args(["bench", "--seconds", "1", "--connections", "2", "--batch", "3", "--json", "--out"])
        .arg(&out)
        .arg("--bundle")
        .arg(&folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Json = serde_json::from_slice(&output.stdout).unwrap();
    let names: Vec<&str> =
        found["individual"].as_array().unwrap().iter().map(|times| times["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["transform", "encode", "predict", "pipeline", "score"]);
    for times in found["individual"].as_array().unwrap() {
        assert_eq!(times["warm_ms"].as_array().unwrap().len(), 10);
        assert!(times["cold_ms"].as_f64().unwrap() > 0.0, "{times}");
        assert!(times["warm_ms"].as_array().unwrap().iter().all(|ms| ms.as_f64().unwrap() > 0.0), "{times}");
    }
    let kinds: Vec<&Json> = found["load"].as_array().unwrap().iter().map(|load| &load["kind"]).collect();
    assert_eq!(kinds, ["closed", "open", "closed"]);
    for load in found["load"].as_array().unwrap() {
        assert_eq!(load["failed"], 0, "{load}");
        assert!(load["requests"].as_u64().unwrap() > 20, "{load}");
        let times: Vec<f64> =
            load["percentiles_ms"].as_array().unwrap().iter().map(|point| point["ms"].as_f64().unwrap()).collect();
        assert!(times.is_sorted() && times[0] > 0.0, "{times:?}");
    }
    for name in ["bench.json", "fig4a.svg", "fig4b.png", "fig4c.svg", "fig4d.svg", "fused.svg", "load.svg"] {
        assert!(out.join(name).metadata().unwrap().len() > 1000, "{name}");
    }
}

/// A platform elsewhere, and a runner by itself: what each can be asked is what is measured.
#[test]
fn bench_measures_what_a_url_offers() {
    let serve = Serve::start("platform_bench_url");
    let folder = tiny::written("platform_bench_url");
    let runner = Runner::start(&folder);
    for (url, expected) in [
        (serve.url.clone(), &["transform", "encode", "predict", "pipeline", "score"][..]),
        (runner.url.clone(), &["pipeline"]),
    ] {
        let out = folder.join("bench");
        let output = Command::new(env!("CARGO_BIN_EXE_fraudml"))
            .args([
                "bench",
                "--seconds",
                "1",
                "--connections",
                "2",
                "--requests",
                "3",
                "--json",
                "--url",
                &url,
                "--out",
            ])
            .arg(&out)
            .arg("--bundle")
            .arg(&folder)
            .env_remove("OW_AUTH")
            .env("HOME", &folder)
            .output()
            .unwrap();
        assert!(output.status.success(), "{url}: {}", String::from_utf8_lossy(&output.stderr));
        let found: Json = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(found["target"], url.as_str());
        let individual = found["individual"].as_array().unwrap();
        let names: Vec<&str> = individual.iter().map(|times| times["name"].as_str().unwrap()).collect();
        assert_eq!(names, expected);
        assert!(individual.iter().all(|times| times["warm_ms"].as_array().unwrap().len() == 3));
        for load in found["load"].as_array().unwrap() {
            assert!(load["failed"] == 0 && load["requests"].as_u64().unwrap() > 20, "{load}");
        }
    }
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_fraudml"))
        .args(["bench", "--seconds", "1", "--url", &format!("http://{nobody}"), "--bundle"])
        .arg(&folder)
        .env("HOME", &folder)
        .output()
        .unwrap();
    assert!(!output.status.success() && output.stdout.is_empty(), "nobody is there");
}

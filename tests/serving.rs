//! The action against OpenWhisk's contract: first the pure protocol, then the runner's process over real sockets.
#![allow(clippy::disallowed_methods)]

mod tiny;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use fraudml::scoring::error::ScoringError;
use fraudml::serving::protocol::{Action, Reply, SENTINEL};
use fraudml::serving::stage::{MAX_RESULT_BYTES, Stage};
use serde_json::{Value as Json, json};

fn action(preset: Option<Stage>) -> Action {
    Action::new(preset, || Ok(tiny::scorer()))
}

fn post(action: &Action, path: &str, body: &Json) -> Reply {
    action.reply("POST", path, body.to_string().as_bytes())
}

fn run(action: &Action, value: Json) -> Json {
    let reply = post(action, "/run", &json!({ "value": value }));
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert!(reply.ends_activation && reply.log.is_none());
    serde_json::from_str(&reply.body).unwrap()
}

fn as_stage(main: &str) -> Action {
    let action = action(None);
    assert_eq!(post(&action, "/init", &json!({ "value": { "main": main } })).status, 200);
    action
}

#[test]
fn every_shape_of_init_is_accepted_once() {
    let no_code = r#"{"value":{"name":"predict","main":"main","binary":false,"env":{"__OW_NAMESPACE":"guest",
        "__OW_ACTION_NAME":"/guest/fraud/score","__OW_DEADLINE":"1700000060000"}}}"#;
    let bodies =
        [no_code, "{}", "", "null", r#"{"value":{"code":null,"env":null}}"#, r#"{"value":{"code":"","main":""}}"#];
    for body in bodies {
        let action = action(None);
        let first = action.reply("POST", "/init", body.as_bytes());
        assert_eq!((first.status, first.ends_activation, first.log), (200, false, None), "{body}");
        let second = action.reply("POST", "/init", body.as_bytes());
        let text = "Cannot initialize the action more than once.";
        assert_eq!((second.status, second.ends_activation), (403, false));
        assert_eq!(second.body, format!(r#"{{"error":"{text}"}}"#));
        assert_eq!(second.log.as_deref(), Some(text));
    }
    assert_eq!(action(None).reply("POST", "/init", b"[1]").status, 400);
    assert_eq!(action(None).reply("POST", "/init", b"{").status, 400);
}

#[test]
fn an_unknown_entry_point_is_refused_with_the_four_names() {
    let reply = post(&action(None), "/init", &json!({ "value": { "main": "niam" } }));
    assert_eq!(reply.status, 400);
    for stage in Stage::ALL {
        assert!(reply.body.contains(stage.as_str()), "{}", reply.body);
    }
}

/// Tells stages apart by what they answer to an empty object.
fn acts_as(action: &Action, action_name: &str) -> &'static str {
    let body = json!({ "value": {}, "action_name": action_name });
    let answer: Json = serde_json::from_str(&post(action, "/run", &body).body).unwrap();
    match answer.pointer("/error/message").and_then(Json::as_str) {
        Some(message) if message.contains("`encode`") => "encode",
        Some(message) if message.contains("`predict`") => "predict",
        Some(other) => panic!("{other}"),
        None if answer.get("features").is_some() => "transform",
        None => "pipeline",
    }
}

#[test]
fn main_beats_the_environment_beats_the_name_of_the_action() {
    let cases = [
        ("encode", Some(Stage::Predict), "/guest/fraud/transform", "encode"),
        ("main", Some(Stage::Predict), "/guest/fraud/transform", "predict"),
        ("", None, "/guest/fraud/transform", "transform"),
        ("main", None, "/guest/fraud/score", "pipeline"),
        ("pipeline", Some(Stage::Predict), "encode", "pipeline"),
    ];
    for (main, preset, name, expected) in cases {
        let action = action(preset);
        let body = json!({ "value": { "main": main, "env": { "__OW_ACTION_NAME": name } } });
        assert_eq!(post(&action, "/init", &body).status, 200);
        assert_eq!(acts_as(&action, "/guest/other"), expected, "{main} {preset:?} {name}");
    }
    assert_eq!(acts_as(&action(None), "/guest/fraud/encode"), "encode", "run before init");
    assert_eq!(acts_as(&action(None), ""), "pipeline", "run before init, no name");
}

#[test]
fn the_chain_of_three_actions_is_the_pipeline_is_the_golden_record() {
    let actions = ["transform", "encode", "predict", "pipeline"].map(as_stage);
    let text = |action: &Action, value: &str| {
        let reply = action.reply("POST", "/run", format!(r#"{{"value":{value}}}"#).as_bytes());
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.body
    };
    let golden = tiny::scorer().bundle().golden.clone();
    let mut scores = Vec::new();
    for record in &golden.records {
        let raw = Json::Object(record.record.clone()).to_string();
        let transformed = text(&actions[0], &raw);
        let encoded = text(&actions[1], &transformed);
        let predicted = text(&actions[2], &encoded);
        assert_eq!(predicted, text(&actions[3], &raw));
        for (answer, expected) in
            [(transformed, &record.transform), (encoded, &record.encode), (predicted, &record.predict)]
        {
            let mut answer: Json = serde_json::from_str(&answer).unwrap();
            assert!(answer.get("error").is_none());
            assert!(answer.as_object_mut().unwrap().remove("bundle").is_some());
            assert_eq!(&answer, expected);
        }
        scores.push(record.predict["score"].to_string());
    }
    scores.sort();
    scores.dedup();
    assert!(scores.len() > 5, "golden records must differ: {scores:?}");
}

#[test]
fn a_bad_record_is_answered_200_and_names_its_field() {
    let action = as_stage("pipeline");
    let answer = run(&action, json!({ "amt": "12,5" }));
    assert_eq!(answer["error"]["statusCode"], 400);
    assert_eq!(answer["error"]["field"], "amt");
    assert_eq!(run(&action, json!({ "amt": 1 }))["id"], Json::Null, "the next run works");
    for bad in [json!({ "amt": [1] }), json!({ "card": {} }), json!({ "TransactionID": [] })] {
        assert!(run(&action, bad)["error"]["field"].is_string());
    }
    let long = run(&as_stage("predict"), json!({ "id": 1, "vector": ["x".repeat(100_000)], "bundle": "b" }));
    assert!(long.to_string().len() < 1000, "an error carries no document back");
}

#[test]
fn a_batch_keeps_its_order_and_passes_errors_on() {
    let chain = ["transform", "encode", "predict"].map(as_stage);
    let records = json!({ "records": [{ "TransactionID": 1, "amt": 5 }, { "amt": true }, 7, { "TransactionID": 4 }], "__ow_method": "post" });
    let fused = run(&as_stage("pipeline"), records.clone());
    let chained = chain.iter().fold(records, |value, action| run(action, value));
    let ids =
        |answer: &Json| answer["results"].as_array().unwrap().iter().map(|item| item["id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&fused), [json!(1), Json::Null, Json::Null, json!(4)]);
    assert_eq!(fused, chained);
    assert_eq!(chained["results"][1]["error"]["field"], "amt");
    assert!(chained["results"][2]["error"]["message"].is_string());
    assert!(chained.get("error").is_none());
    let array = run(&as_stage("pipeline"), json!([{ "TransactionID": 1, "amt": 5 }]));
    assert_eq!(array["results"][0], fused["results"][0]);
    assert_eq!(run(&as_stage("pipeline"), json!({ "records": [] })), json!({ "results": [] }));
}

#[test]
fn stages_of_different_bundles_refuse_each_other() {
    let mut transformed = run(&as_stage("transform"), json!({ "amt": 5 }));
    transformed["bundle"] = json!("0123456789abcdef");
    assert_eq!(run(&as_stage("encode"), transformed)["error"]["field"], "bundle");
}

#[test]
fn no_answer_holds_a_number_that_is_none() {
    let bundle = tiny::scorer().bundle().manifest.id.clone();
    let predict = as_stage("predict");
    let huge = json!({ "id": 1, "vector": [3e38, 3e38, -3e38, 3e38, 3e38], "bundle": bundle });
    for vector in
        [json!([null, 1, 1, 1, 1]), json!([1]), json!([1, 2, 3, 4, 5, 6]), json!("x"), json!([1e39, 1, 1, 1, 1])]
    {
        let answer = run(&predict, json!({ "id": 1, "vector": vector, "bundle": bundle }));
        assert!(answer["error"]["message"].is_string(), "{answer}");
    }
    let answer = run(&predict, huge);
    assert!(answer["score"].is_number() || answer["error"].is_object(), "{answer}");
}

#[test]
fn what_openwhisk_sends_besides_is_tolerated() {
    let action = as_stage("pipeline");
    for deadline in [json!("1700000060000"), json!(1_700_000_060_000u64)] {
        let body = json!({ "value": { "amt": 1, "__ow_headers": { "a": "b" } }, "deadline": deadline, "api_key": "k",
            "activation_id": "a", "transaction_id": "t", "namespace": "guest", "action_name": "/guest/x", "new_field": [] });
        assert_eq!(post(&action, "/run", &body).status, 200);
    }
    for body in ["", "null", "{}", r#"{"value":null}"#, r#"{"value":{}}"#] {
        let reply = action.reply("POST", "/run", body.as_bytes());
        assert!(reply.status == 200 && reply.body.contains("score"), "{body}: {}", reply.body);
    }
    let not_an_object = post(&action, "/run", &json!({ "value": "A" }));
    assert_eq!((not_an_object.status, not_an_object.ends_activation), (404, true));
    assert_eq!(not_an_object.body, r#"{"error":"The action did not receive a dictionary or array as an argument."}"#);
    for broken in [&b"{\"value\":"[..], b"[]", b"\"x\"", b"{\"value\":{\"amt\":1}} x", b"{\"value\":{\"\xff\":1}}"] {
        let reply = action.reply("POST", "/run", broken);
        assert_eq!((reply.status, reply.ends_activation), (400, true));
    }
    let deep = format!("{{\"value\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(action.reply("POST", "/run", deep.as_bytes()).body.contains("error"));
}

#[test]
fn the_body_of_a_raw_web_request_is_unwrapped() {
    let action = as_stage("pipeline");
    let record = json!({ "TransactionID": 1, "amt": 5 });
    let expected = run(&action, record.clone());
    let encoded = base64::engine::general_purpose::STANDARD.encode(record.to_string());
    for body in [record.to_string(), encoded] {
        assert_eq!(run(&action, json!({ "__ow_body": body, "__ow_method": "post", "__ow_query": "" })), expected);
    }
    assert_eq!(run(&action, json!({ "__ow_body": "", "TransactionID": 1, "amt": 5 })), expected);
    assert_eq!(run(&action, json!({ "__ow_body": "hello" }))["error"]["field"], "__ow_body");
}

#[test]
fn a_result_above_the_limit_is_refused_by_ourselves() {
    let records: Vec<Json> = (0..20_000).map(|at| json!({ "TransactionID": at })).collect();
    let reply = post(&as_stage("pipeline"), "/run", &json!({ "value": { "records": records } }));
    assert_eq!(reply.status, 200);
    let answer: Json = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(answer["error"]["statusCode"], 413);
    assert!(reply.body.len() < 1000 && MAX_RESULT_BYTES == 1_048_576);
    let long_id = run(&as_stage("transform"), json!({ "TransactionID": "x".repeat(MAX_RESULT_BYTES) }));
    assert_eq!(long_id["error"]["statusCode"], 413);
}

#[test]
fn a_bundle_that_does_not_load_is_told_to_the_log_and_the_caller() {
    let action = Action::new(None, || Err(ScoringError::new("`model.safetensors` was changed")));
    let init = post(&action, "/init", &json!({}));
    assert_eq!((init.status, init.ends_activation), (502, false));
    assert!(init.body.contains("was changed") && init.log.unwrap().contains("was changed"));
    assert_eq!(post(&action, "/run", &json!({})).status, 502);
    assert_eq!(action.reply("GET", "/healthz", b"").status, 502);
}

#[test]
fn plain_clients_have_score_and_health() {
    let action = action(Some(Stage::Encode));
    let scored = post(&action, "/score", &json!({ "TransactionID": 1, "amt": 5 }));
    assert!(scored.status == 200 && !scored.ends_activation && scored.body.contains("\"score\":"));
    assert_eq!(post(&action, "/score", &json!({ "amt": "x" })).status, 400);
    assert_eq!(post(&action, "/score", &json!("x")).status, 400);
    assert!(action.reply("GET", "/healthz", b"").body.contains("\"status\":\"ok\""));
    assert_eq!(action.reply("GET", "/run", b"").status, 405);
    assert_eq!(action.reply("POST", "/", b"").status, 404);
}

/// The runner as a process, its streams in files.
struct Runner {
    child: Child,
    address: SocketAddr,
    folder: PathBuf,
}

impl Runner {
    fn start(name: &str) -> Runner {
        let folder = tiny::written(name);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let stream = |name: &str| Stdio::from(std::fs::File::create(folder.join(name)).unwrap());
        let child = Command::new(env!("CARGO_BIN_EXE_fraudml-action"))
            .args(["--bundle".as_ref(), folder.as_os_str(), "--host=127.0.0.1".as_ref()])
            .env("PORT", port.to_string())
            .stdout(stream("stdout"))
            .stderr(stream("stderr"))
            .spawn()
            .unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(5), "the runner must listen at once");
            std::thread::sleep(Duration::from_millis(1));
        }
        Runner { child, address, folder }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    fn post(&self, path: &str, body: &str) -> (u16, String) {
        let mut stream = self.connect();
        stream.write_all(request(path, body, "close").as_bytes()).unwrap();
        let answer = response(&mut stream);
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "closed as asked");
        answer
    }

    fn sentinels(&self) -> [usize; 2] {
        ["stdout", "stderr"].map(|name| lines(&self.folder.join(name)).iter().filter(|line| *line == SENTINEL).count())
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap().success());
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

fn request(path: &str, body: &str, connection: &str) -> String {
    let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nConnection: {connection}");
    format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Reads one response by its Content-Length, which it must have.
fn response(stream: &mut TcpStream) -> (u16, String) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    assert!(!head.contains("transfer-encoding"), "{head}");
    let length = head.split("content-length: ").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    (head[9..12].parse().unwrap(), String::from_utf8(body).unwrap())
}

const GOOD: &str = r#"{"value":{"TransactionID":1,"amt":5}}"#;
const BAD: &str = r#"{"value":{"amt":"five"}}"#;

#[test]
fn the_runner_keeps_the_contract_over_sockets() {
    let runner = Runner::start("contract");
    assert_eq!(runner.post("/init", "{}").0, 200);
    assert_eq!(runner.sentinels(), [0, 0], "none after init");
    let good = runner.post("/run", GOOD);
    assert!(good.0 == 200 && good.1.contains("\"score\""));
    assert_eq!(runner.sentinels(), [1, 1], "in the log before the answer is complete");
    assert!(runner.post("/run", BAD).1.contains("\"field\":\"amt\""));
    assert_eq!(runner.post("/run", GOOD), good, "works after a bad record");
    assert_eq!(runner.post("/run", r#"{"value":"A"}"#).0, 404);
    assert_eq!(runner.sentinels(), [4, 4]);
    assert_eq!(runner.post("/init", "{}").0, 403);
    assert_eq!(runner.sentinels(), [4, 4], "none after a refused init");
    let printed = lines(&runner.folder.join("stderr"));
    assert_eq!(
        printed.iter().filter(|line| *line != SENTINEL).collect::<Vec<_>>(),
        ["Cannot initialize the action more than once."]
    );
    assert!(lines(&runner.folder.join("stdout")).iter().all(|line| line == SENTINEL));
}

#[test]
fn requests_may_come_in_pieces_one_after_another_or_together() {
    let runner = Runner::start("pieces");
    let mut stream = runner.connect();
    for _ in 0..2 {
        for piece in request("/run", GOOD, "keep-alive").as_bytes().chunks(7) {
            stream.write_all(piece).unwrap();
            stream.flush().unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(response(&mut stream).0, 200);
    }
    let two = request("/run", GOOD, "keep-alive").repeat(2);
    stream.write_all(two.as_bytes()).unwrap();
    assert_eq!(response(&mut stream), response(&mut stream));
    let mut old = runner.connect();
    old.write_all(format!("POST /run HTTP/1.0\r\nContent-Length: {}\r\n\r\n{GOOD}", GOOD.len()).as_bytes()).unwrap();
    assert_eq!(response(&mut old).0, 200);
    let mut chunked = runner.connect();
    let head = "POST /run HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    chunked.write_all(format!("{head}{:x}\r\n{GOOD}\r\n0\r\n\r\n", GOOD.len()).as_bytes()).unwrap();
    assert_eq!(response(&mut chunked).0, 200);
    assert_eq!(runner.sentinels(), [6, 6]);
}

#[test]
fn large_bodies_pass_and_too_large_ones_are_told_so() {
    let runner = Runner::start("large");
    let (status, body) = runner.post("/run", &format!(r#"{{"value":{{"amt":1,"arg":"{}"}}}}"#, "a".repeat(1_048_561)));
    assert!(status == 200 && body.contains("score"));
    let (status, body) = runner.post("/run", &"x".repeat(5 << 20));
    assert!(status == 413 && body.contains("1 MiB"), "{body}");
    assert_eq!(runner.sentinels(), [2, 2]);
    assert_eq!(runner.post("/run", GOOD).0, 200);
}

#[test]
fn parallel_runs_have_their_own_answers_and_whole_sentinels() {
    let runner = Runner::start("parallel");
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let runner = &runner;
            scope.spawn(move || {
                for at in 0..10 {
                    let id = worker * 100 + at;
                    let (status, body) = runner.post("/run", &format!(r#"{{"value":{{"TransactionID":{id}}}}}"#));
                    assert!(status == 200 && body.contains(&format!(r#"{{"id":{id},"#)), "{body}");
                }
            });
        }
    });
    assert_eq!(runner.sentinels(), [80, 80]);
    assert_eq!(lines(&runner.folder.join("stdout")).len() + lines(&runner.folder.join("stderr")).len(), 160);
}

#[test]
fn signals_end_it_at_once() {
    for (signal, code) in [("-TERM", 0), ("-INT", 130)] {
        let mut runner = Runner::start(&format!("signal{signal}"));
        let _idle = runner.connect();
        let begun = Instant::now();
        runner.signal(signal);
        assert_eq!(runner.child.wait().unwrap().code(), Some(code));
        assert!(begun.elapsed() < Duration::from_secs(2));
    }
}

#[test]
fn usage_errors_exit_with_2() {
    for arguments in
        [&["--port", "x"][..], &["--stage", "niam"], &["--host", "localhost.invalid"], &["--what", "x"], &["--port"]]
    {
        let output = Command::new(env!("CARGO_BIN_EXE_fraudml-action")).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: "));
    }
}

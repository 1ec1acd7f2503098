//! OpenWhisk's conformance list over real sockets: the runner as a process, or an image under Docker with the invoker's
//! flags (`FRAUDML_TEST_IMAGE=REF`, an image of the tiny bundle: `tests/image.sh` makes and runs one).
//!
//! Numbers are those of the checklist that is collected from the upstream tests (`BasicActionRunnerTests` and relatives) and
//! the invoker's sources. What needs code in `/init` does not apply to an image whose model is baked in.
#![allow(clippy::disallowed_methods)]

mod container;
mod tiny;

use std::io::{Read, Write};
use std::process::Command;
use std::time::{Duration, Instant};

use container::{Container, image, request, response};
use serde_json::{Value as Json, json};

const GOOD: &str = r#"{"value":{"TransactionID":1,"amt":5}}"#;
const BAD: &str = r#"{"value":{"amt":"five"}}"#;

fn json(text: &str) -> Json {
    serde_json::from_str(text).unwrap()
}

#[test]
fn c01_c02_c12_c13_every_init_of_a_baked_image_is_answered_200() {
    let value = r#"{"value":{"name":"x","main":"main","binary":false,"code":null,"env":null}}"#;
    for (at, body) in [r#"{"value":{"code":"","main":""}}"#, "{}", value].into_iter().enumerate() {
        let container = Container::start(&format!("init{at}"), &[]);
        assert_eq!(container.post("/init", body).0, 200, "{body}");
        assert_eq!(container.sentinels(), [0, 0], "none after init");
        assert_eq!(container.post("/run", GOOD).0, 200);
    }
}

#[test]
fn c04_a_second_init_is_refused_and_logged_without_a_sentinel() {
    let container = Container::start("second_init", &[]);
    assert_eq!(container.post("/init", "{}").0, 200);
    let second = container.post("/init", "{}");
    assert_eq!(second, (403, r#"{"error":"Cannot initialize the action more than once."}"#.into()));
    assert_eq!(container.sentinels(), [0, 0]);
    assert_eq!(container.printed().concat(), ["Cannot initialize the action more than once."]);
}

#[test]
fn c09_c29_c30_context_and_unknown_fields_are_taken_and_nothing_is_printed() {
    let container = Container::start("context", &[("__OW_API_HOST", "xyz"), ("__OW_ALLOW_CONCURRENT", "true")]);
    let init = json!({ "value": { "env": { "A": "", "__OW_ACTIVATION_ID": "i" }, "other": 1 }, "more": {} });
    assert_eq!(container.post("/init", &init.to_string()).0, 200);
    for deadline in [json!("1700000060000"), json!(1_700_000_060_000_u64)] {
        let body = json!({ "value": { "amt": 1 }, "api_key": "k", "namespace": "n", "action_name": "/n/a",
            "action_version": "0.0.1", "activation_id": "i", "transaction_id": "t", "deadline": deadline, "new": [1] });
        assert_eq!(container.post("/run", &body.to_string()).0, 200);
    }
    assert_eq!((container.sentinels(), container.printed()), ([2, 2], [vec![], vec![]]));
}

#[test]
fn c10_c27_c28_large_inputs_pass_and_large_results_are_refused_by_the_action() {
    let container = Container::start("large", &[]);
    let (status, body) =
        container.post("/run", &format!(r#"{{"value":{{"amt":1,"arg":"{}"}}}}"#, "a".repeat(1_048_561)));
    assert!(status == 200 && body.contains("score"));
    let records: Vec<Json> = (0..20_000).map(|at| json!({ "TransactionID": at, "amt": 1 })).collect();
    let (status, body) = container.post("/run", &json!({ "value": { "records": records } }).to_string());
    assert!(status == 200 && json(&body)["error"]["statusCode"] == 413, "{body:.200}");
    let (status, body) = container.post("/run", &"x".repeat(5 << 20));
    // 200, for any other status would cost OpenWhisk's warm container.
    assert!(status == 200 && body.contains("\"statusCode\":413") && body.contains("4 MiB"), "{body}");
    assert_eq!(container.sentinels(), [3, 3]);
    assert_eq!(container.post("/run", GOOD).0, 200);
}

#[test]
fn c11_c15_c20_runs_need_no_init_and_each_has_its_sentinel() {
    let container = Container::start("no_init", &[]);
    let first = container.post("/run", GOOD);
    assert!(first.0 == 200 && json(&first.1)["score"].is_number());
    assert_eq!(container.sentinels(), [1, 1], "c40: in the log before the answer is complete");
    for body in ["null", "", "{}", r#"{"value":null}"#] {
        assert_eq!(container.post("/run", body).0, 200, "{body}: treated as {{}}");
    }
    assert_eq!(container.sentinels(), [5, 5]);
}

#[test]
fn c14_a_value_that_is_a_text_is_404_with_a_sentinel_and_nothing_else() {
    let container = Container::start("text", &[]);
    assert_eq!(container.post("/init", "{}").0, 200);
    let (status, body) = container.post("/run", r#"{"value":"A"}"#);
    assert_eq!(
        (status, json(&body)["error"].as_str().unwrap_or_default().contains("dictionary or array")),
        (404, true)
    );
    assert_eq!((container.sentinels(), container.printed()), ([1, 1], [vec![], vec![]]));
}

#[test]
fn c18_c19_c32_c33_arrays_are_taken_and_no_success_holds_an_error_or_a_number_that_is_none() {
    let container = Container::start("arrays", &[]);
    let (status, body) = container.post("/run", r#"{"value":[{"TransactionID":7,"amt":1},{"amt":"nan"}]}"#);
    let answer = json(&body);
    assert_eq!((status, answer["results"].as_array().unwrap().len()), (200, 2));
    assert_eq!(answer["results"][0]["id"], 7);
    assert!(answer.get("error").is_none() && !body.contains("NaN") && !body.contains("Infinity"));
}

#[test]
fn c31_a_bad_row_is_200_and_the_next_run_works() {
    let container = Container::start("bad_row", &[]);
    let good = container.post("/run", GOOD);
    let (status, body) = container.post("/run", BAD);
    assert!(status == 200 && json(&body)["error"]["field"] == "amt", "{body}");
    assert_eq!(container.post("/run", GOOD), good);
}

#[test]
fn c25_c26_c27_requests_may_come_in_pieces_one_after_another_or_together() {
    let container = Container::start("pieces", &[]);
    let mut stream = container.connect();
    for _ in 0..2 {
        for piece in request("POST", "/run", GOOD, "keep-alive").as_bytes().chunks(7) {
            stream.write_all(piece).unwrap();
            stream.flush().unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(response(&mut stream).0, 200);
    }
    let two = request("POST", "/run", GOOD, "keep-alive").repeat(2);
    stream.write_all(two.as_bytes()).unwrap();
    assert_eq!(response(&mut stream).2, response(&mut stream).2);
    let mut old = container.connect();
    old.write_all(format!("POST /run HTTP/1.0\r\nContent-Length: {}\r\n\r\n{GOOD}", GOOD.len()).as_bytes()).unwrap();
    assert_eq!(response(&mut old).0, 200);
    let mut chunked = container.connect();
    let head = "POST /run HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    chunked.write_all(format!("{head}{:x}\r\n{GOOD}\r\n0\r\n\r\n", GOOD.len()).as_bytes()).unwrap();
    assert_eq!(response(&mut chunked).0, 200);
    assert_eq!(container.sentinels(), [6, 6]);
}

#[test]
fn c35_parallel_runs_have_their_own_answers_and_whole_sentinels() {
    let container = Container::start("parallel", &[]);
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let container = &container;
            scope.spawn(move || {
                for at in 0..10 {
                    let id = worker * 100 + at;
                    let (status, body) =
                        container.post("/run", &format!(r#"{{"value":{{"TransactionID":{id},"amt":1}}}}"#));
                    assert!(status == 200 && body.contains(&format!(r#"{{"id":{id},"#)), "{body}");
                }
            });
        }
    });
    assert_eq!((container.sentinels(), container.printed()), ([80, 80], [vec![], vec![]]));
}

#[test]
fn c36_signals_end_it_at_once() {
    for (signal, code) in [("TERM", 0), ("INT", 130)] {
        let mut container = Container::start(&format!("signal{signal}"), &[]);
        let _idle = container.connect();
        let begun = Instant::now();
        container.signal(signal);
        assert_eq!(container.ended(), Some(code));
        assert!(begun.elapsed() < Duration::from_secs(2));
    }
}

#[test]
fn c38_it_works_after_a_pause() {
    let container = Container::start("paused", &[]);
    let good = container.post("/run", GOOD);
    for _ in 0..3 {
        container.pause(true);
        std::thread::sleep(Duration::from_millis(50));
        container.pause(false);
        assert_eq!(container.post("/run", GOOD), good);
    }
}

#[test]
fn c39_it_listens_within_50_ms_of_its_start() {
    let mut times: Vec<Duration> =
        (0..5).map(|at| Container::start(&format!("listens{at}"), &[]).listening_after).collect();
    times.sort();
    // Docker's own start is Docker's.
    if image().is_none() {
        assert!(times[0] < Duration::from_millis(50), "{times:?}");
    }
}

#[test]
fn plain_clients_have_score_health_metrics_and_schema() {
    let container = Container::start("plain", &[]);
    let run = container.post("/run", GOOD).1;
    assert_eq!(container.post("/score", r#"{"TransactionID":1,"amt":5}"#), (200, run));
    assert_eq!(container.post("/score", r#"{"amt":"five"}"#).0, 400);
    let (status, head, body) = container.get("/metrics");
    assert!(status == 200 && head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    assert!(body.contains("fraudml_requests_total{path=\"/score\",code=\"4xx\"} 1"), "{body}");
    assert_eq!(json(&container.get("/schema").2)["columns"][0], json!({ "name": "amt", "kind": "numeric" }));
    assert_eq!(json(&container.get("/healthz").2)["status"], "ok");
    let mut stream = container.connect();
    let body = r#"{"amt":5}"#;
    let asked = request("POST", "/score?reasons=2", body, "close").replace("Host: a", "Host: a\r\nX-Request-Id: r-7");
    stream.write_all(asked.as_bytes()).unwrap();
    // The tiny bundle is a network: the reasons are refused, the correlation id comes back.
    let (status, _, body) = response(&mut stream);
    assert!(status == 400 && json(&body)["error"]["correlation_id"] == "r-7", "{body}");
    assert_eq!(container.sentinels(), [1, 1], "of /run alone");
}

#[test]
fn half_open_sockets_and_slow_senders_keep_nobody_waiting() {
    let container = Container::start("half_open", &[]);
    let mut idle: Vec<_> = (0..200).map(|_| container.connect()).collect();
    for (at, stream) in idle.iter_mut().enumerate() {
        let started = request("POST", "/run", GOOD, "close");
        // Nothing, a part of the head, a head without a body, half a body.
        stream
            .write_all(&started.as_bytes()[..[0, 20, started.len() - GOOD.len(), started.len() - 9][at % 4]])
            .unwrap();
    }
    // Bodies of 32 requests are held at once: those that are cut off hold none of them for ever.
    drop(idle.split_off(60));
    let begun = Instant::now();
    assert_eq!(container.post("/run", GOOD).0, 200);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let mut half_closed = container.connect();
    half_closed.write_all(request("POST", "/run", GOOD, "keep-alive").as_bytes()).unwrap();
    half_closed.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(response(&mut half_closed).0, 200, "who has said all still gets the answer");
    let mut cut = container.connect();
    cut.write_all(&request("POST", "/run", GOOD, "close").as_bytes()[..90]).unwrap();
    cut.shutdown(std::net::Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    cut.read_to_end(&mut rest).unwrap();
    assert!(!String::from_utf8_lossy(&rest).contains("score"));
}

/// Ten thousand requests while the action is killed again and again: whoever was cut off asks again, as a caller would.
/// No answer is wrong, and none is missing at the end.
#[test]
fn ten_thousand_requests_with_kills_between_are_all_answered_right() {
    if image().is_some() {
        return;
    }
    const N: usize = 10_000;
    let current = std::sync::RwLock::new(Container::start("kills", &[]));
    let expected: Vec<String> = (0..50)
        .map(|amt| current.read().unwrap().post("/run", &format!(r#"{{"value":{{"TransactionID":0,"amt":{amt}}}}}"#)).1)
        .map(|body| json(&body)["score"].to_string())
        .collect();
    let (next, n_kills) = (std::sync::atomic::AtomicUsize::new(0), std::sync::atomic::AtomicUsize::new(0));
    let order = std::sync::atomic::Ordering::Relaxed;
    let ask = |at: usize| -> Option<String> {
        let address = current.read().unwrap().address;
        let mut stream = std::net::TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        let body = format!(r#"{{"value":{{"TransactionID":{at},"amt":{}}}}}"#, at % 50);
        stream.write_all(request("POST", "/run", &body, "close").as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let length: usize = head.to_lowercase().split("content-length: ").nth(1)?.lines().next()?.parse().ok()?;
        (body.len() == length).then(|| body.to_owned())
    };
    let mut answered = std::thread::scope(|scope| {
        let worker = || {
            let mut mine = Vec::new();
            loop {
                let at = next.fetch_add(1, order);
                if at >= N {
                    return mine;
                }
                let body = std::iter::repeat_with(|| ask(at)).take(2000).find_map(|answer| {
                    if answer.is_none() {
                        std::thread::sleep(Duration::from_millis(2));
                    }
                    answer
                });
                let body = json(&body.expect("answered in the end"));
                assert_eq!((&body["id"], body["score"].to_string()), (&json!(at), expected[at % 50].clone()));
                mine.push(at);
            }
        };
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(worker)).collect();
        while next.load(order) < N {
            std::thread::sleep(Duration::from_millis(100));
            current.read().unwrap().signal("KILL");
            *current.write().unwrap() = Container::start("kills", &[]);
            n_kills.fetch_add(1, order);
        }
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect::<Vec<_>>()
    });
    answered.sort_unstable();
    assert_eq!(answered, (0..N).collect::<Vec<_>>());
    assert!(n_kills.load(order) >= 3, "killed {} times", n_kills.load(order));
}

#[test]
fn usage_errors_exit_with_2() {
    for arguments in [
        &["--port", "x"][..],
        &["--stage", "niam"],
        &["--reasons", "-1"],
        &["--host", "localhost.invalid"],
        &["--what", "x"],
        &["--port"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_fraudml-action")).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: "));
    }
}

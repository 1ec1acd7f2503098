//! The action against OpenWhisk's contract, without sockets: every request and what it must be answered.

mod tiny;

use base64::Engine as _;
use fraudml::scoring::bundle::{Bundle, MANIFEST, Manifest};
use fraudml::scoring::calibration::{Calibration, Isotonic, Platt, Prior};
use fraudml::scoring::error::ScoringError;
use fraudml::scoring::scorer::Scorer;
use fraudml::serving::protocol::{Action, Reply};
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

/// Tells stages apart by what they answer to a record of one column.
fn acts_as(action: &Action, action_name: &str) -> &'static str {
    let body = json!({ "value": { "amt": 1 }, "action_name": action_name });
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
fn a_calibrated_bundle_answers_the_calibrated_score_alone_and_in_the_chain() {
    let points = Isotonic { scores: vec![0.1, 0.5, 0.500_000_1], probabilities: vec![0.01, 1.0 / 3.0, 0.9] };
    let maps = [
        Calibration::Prior(Prior { odds_factor: 0.03 }),
        Calibration::Platt(Platt { slope: 1.7, intercept: -2.3, clip: 0.01 }),
        Calibration::Isotonic(points),
    ];
    for map in maps {
        let files = tiny::files_calibrated(&map);
        let scorer = Scorer::new(Bundle::from_files(&files).unwrap()).unwrap();
        assert_eq!(scorer.bundle().manifest.calibration, map);
        let mut changed = 0;
        for record in tiny::records() {
            let raw = tiny::scorer().pipeline(&record).unwrap().score;
            let fused = scorer.pipeline(&record).unwrap();
            let chained = scorer.predict(&scorer.encode(&scorer.transform(&record).unwrap()).unwrap()).unwrap();
            assert_eq!(fused, chained);
            assert_eq!(fused.score.to_bits(), map.apply(raw).to_bits());
            assert_eq!(fused.is_fraud, fused.score >= fused.threshold, "the threshold is on the calibrated score");
            changed += u32::from(fused.score != raw);
        }
        assert!(changed > 5, "{map:?}");
    }
}

#[test]
fn a_bundle_with_a_damaged_calibration_is_refused() {
    let falling = Isotonic { scores: vec![0.1, 0.9], probabilities: vec![0.5, 0.4] };
    let files = tiny::files();
    let manifest: Manifest = serde_json::from_slice(&files[MANIFEST]).unwrap();
    for map in [Calibration::Isotonic(falling), Calibration::Prior(Prior { odds_factor: -1.0 })] {
        // Sealed again, so that no hash tells.
        let sealed = Manifest { calibration: map.clone(), ..manifest.clone() }.seal();
        let mut files = files.clone();
        files.insert(MANIFEST.to_owned(), sealed.to_bytes());
        let refused = Bundle::from_files(&files).unwrap_err();
        let expected = format!("`manifest.json`: calibration `{}`: expected", map.method().as_str());
        assert!(refused.message.starts_with(&expected), "{refused}");
    }
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
    let records = json!({ "records": [{ "TransactionID": 1, "amt": 5 }, { "amt": true }, 7, { "TransactionID": 4, "amt": 4 }], "__ow_method": "post" });
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
        // Warm and well, but a record without any known column is none.
        assert!(reply.status == 200 && reply.body.contains("none of the model's columns"), "{body}: {}", reply.body);
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
    let records: Vec<Json> = (0..20_000).map(|at| json!({ "TransactionID": at, "amt": 1 })).collect();
    let reply = post(&as_stage("pipeline"), "/run", &json!({ "value": { "records": records } }));
    assert_eq!(reply.status, 200);
    let answer: Json = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(answer["error"]["statusCode"], 413);
    assert!(reply.body.len() < 1000 && MAX_RESULT_BYTES == 1_048_576);
    let long_id = run(&as_stage("transform"), json!({ "TransactionID": "x".repeat(MAX_RESULT_BYTES), "amt": 1 }));
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

#[test]
fn the_callers_correlation_id_reaches_the_last_stage() {
    let chain = ["transform", "encode", "predict"].map(as_stage);
    let through = |value: Json| chain.iter().fold(value, |value, action| run(action, value));
    let record = json!({ "TransactionID": 1, "amt": 5, "correlation_id": "c-1" });
    let chained = through(record.clone());
    assert_eq!(chained["correlation_id"], "c-1");
    assert_eq!(chained, run(&as_stage("pipeline"), record));
    let web = json!({ "TransactionID": 1, "amt": 5, "__ow_method": "post", "__ow_headers": { "X-Request-Id": "h-1" } });
    assert_eq!(through(web)["correlation_id"], "h-1");
    let batch = json!({ "records": [{ "amt": 5 }, { "amt": true }], "correlation_id": 7 });
    assert_eq!(
        (&through(batch.clone())["correlation_id"], &through(batch)["results"][1]["error"]["field"]),
        (&json!(7), &json!("amt"))
    );
    let refused = run(&chain[0], json!({ "amt": true, "correlation_id": "c-2" }));
    assert_eq!(refused["error"]["correlation_id"], "c-2");
    for odd in [json!({}), json!(""), json!("x".repeat(1000)), json!(null), json!([1])] {
        assert!(through(json!({ "amt": 5, "correlation_id": odd })).get("correlation_id").is_none());
    }
}

/// The tiny bundle with a forest in place of its network: a split on `amt`, one on `card`.
fn forest_scorer() -> Scorer {
    use fraudml::scoring::model::Model;
    use fraudml::scoring::model::forest::ForestBuilder;
    let mut builder = ForestBuilder::new(5).unwrap();
    builder.begin_tree().unwrap();
    builder.split(0, 0.0, false).unwrap();
    builder.leaf_counts([30, 10]).unwrap();
    builder.split(1, 0.0, false).unwrap();
    builder.leaf_counts([10, 20]).unwrap();
    builder.leaf_counts([0, 30]).unwrap();
    let mut bundle = Bundle::from_files(&tiny::files()).unwrap();
    bundle.model = Model::Forest(builder.build().unwrap());
    bundle.golden.records.clear();
    Scorer::new(bundle).unwrap()
}

#[test]
fn reasons_come_if_they_are_wanted_and_the_model_has_them() {
    let forest = || Action::new(None, || Ok(forest_scorer()));
    let high = json!({ "TransactionID": 1, "amt": 9999, "card": "visa" });
    let (plain, with) = (forest(), forest());
    let init = |main: &str, reasons: &str| json!({ "value": { "main": main, "env": { "FRAUDML_REASONS": reasons } } });
    assert_eq!(post(&with, "/init", &init("pipeline", "5")).status, 200);
    let (without, answer) = (run(&plain, high.clone()), run(&with, high.clone()));
    assert!(without.get("reasons").is_none());
    let features: Vec<&str> =
        answer["reasons"].as_array().unwrap().iter().map(|reason| reason["feature"].as_str().unwrap()).collect();
    // amt: 60/100 -> 50/60, card: 50/60 -> 1.
    assert_eq!(features, ["amt", "card"]);
    let contribution = answer["reasons"][0]["contribution"].as_f64().unwrap();
    assert!((contribution - (50.0 / 60.0 - 0.6)).abs() < 1e-6, "{contribution}");
    assert_eq!(answer["score"], without["score"]);
    let batch = run(&with, json!({ "records": [high.clone(), { "amt": -9999 }] }));
    assert_eq!(batch["results"][0]["reasons"], answer["reasons"]);
    assert_eq!(batch["results"][1]["reasons"], json!([]));
    let asked = plain.reply("POST", "/score?reasons=1", high.to_string().as_bytes());
    assert_eq!(serde_json::from_str::<Json>(&asked.body).unwrap()["reasons"].as_array().unwrap().len(), 1);

    let network = post(&action(None), "/init", &init("pipeline", "3"));
    assert!(network.status == 502 && network.body.contains("reasons need a forest"), "{}", network.body);
    for odd in ["-1", "x", "101"] {
        assert_eq!(post(&forest(), "/init", &init("pipeline", odd)).status, 400, "{odd}");
        assert_eq!(plain.reply("POST", &format!("/score?reasons={odd}"), b"{}").status, 400);
    }
}

#[test]
fn forms_and_queries_of_raw_web_requests_are_records_of_texts() {
    let action = as_stage("pipeline");
    let expected = run(&action, json!({ "TransactionID": "1", "amt": "5.5", "card": "visa gold" }));
    let form = "TransactionID=1&amt=5.5&card=visa+gold";
    let headers = json!({ "content-type": "application/x-www-form-urlencoded; charset=utf-8" });
    let encoded = base64::engine::general_purpose::STANDARD.encode(form);
    for body in [form, &encoded] {
        assert_eq!(run(&action, json!({ "__ow_body": body, "__ow_headers": headers, "__ow_query": "" })), expected);
    }
    assert_eq!(run(&action, json!({ "__ow_query": form, "__ow_body": "", "__ow_method": "get" })), expected);
    assert_eq!(
        run(&action, json!({ "TransactionID": "1", "amt": "5.5", "card": "visa gold", "__ow_path": "" })),
        expected
    );
    // A web caller by the extension .http gets status and body out of the error itself.
    let refused = run(&action, json!({ "amt": "x", "__ow_method": "post" }));
    assert_eq!(
        (&refused["error"]["statusCode"], &refused["error"]["body"]["error"]["field"]),
        (&json!(400), &json!("amt"))
    );
    assert!(run(&action, json!({ "amt": "x" }))["error"].get("body").is_none());
}

#[test]
fn metrics_count_without_loading_and_the_schema_names_the_columns() {
    let action = action(None);
    let metrics = || action.reply("GET", "/metrics", b"");
    assert!(metrics().body.contains("fraudml_request_seconds_count 0") && !metrics().body.contains("bundle_info{"));
    run(&action, json!({ "records": [{ "amt": 5 }, 7] }));
    run(&action, json!({ "amt": "x" }));
    let text = metrics().body;
    assert!(text.contains("outcome=\"refused\"} 2") && text.contains("fraudml_bundle_info{bundle=\""), "{text}");
    assert!(metrics().content_type.starts_with("text/plain"));
    let schema: Json = serde_json::from_str(&action.reply("GET", "/schema", b"").body).unwrap();
    assert_eq!((&schema["id"], schema["columns"].as_array().unwrap().len()), (&json!("TransactionID"), 5));
}

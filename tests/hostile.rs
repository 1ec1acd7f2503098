//! What `fuzz/` does for as long as one likes, for a minute on the stable compiler: good requests and bundles, damaged.
#![allow(clippy::disallowed_methods)]

mod tiny;

use fraudml::scoring::bundle::{Bundle, MODEL, PREPROCESSOR};
use fraudml::scoring::model::{Classifier, Model};
use fraudml::scoring::preprocessor::Preprocessor;
use fraudml::scoring::scorer::Scorer;
use fraudml::serving::protocol::Action;
use fraudml::serving::stage::{MAX_RESULT_BYTES, Stage};
use serde_json::{Value as Json, json};

/// A generator of its own: the same damage every time.
struct Damage(u64);

impl Damage {
    fn draw(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below.max(1)
    }

    /// Cuts, repeats, replaces or inserts; often something that JSON or a length cares about.
    fn done_to(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..1 + self.draw(4) {
            let at = self.draw(bytes.len());
            match self.draw(6) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, b"{}[]\",:\\0-e.n\x00\xff"[self.draw(14)]),
                2 if at < bytes.len() => bytes[at] ^= 1 << self.draw(8),
                3 if at < bytes.len() => bytes[at] = self.draw(256) as u8,
                4 => {
                    let end = at + self.draw(bytes.len() - at + 1);
                    let piece = bytes[at..end].to_vec();
                    bytes.splice(at..at, piece);
                }
                _ => {
                    let end = at + self.draw(bytes.len() - at + 1);
                    bytes.drain(at..end);
                }
            }
            if bytes.is_empty() {
                bytes.push(b'{');
            }
        }
        bytes
    }
}

#[test]
fn damaged_requests_are_answered_with_json_and_never_with_a_panic() {
    let golden = tiny::scorer().bundle().golden.clone();
    let bundle = tiny::scorer().bundle().manifest.id.clone();
    let mut seeds =
        vec![r#"{"value":{"__ow_body":"eyJhbXQiOjF9","__ow_headers":{"content-type":"text/plain"}}}"#.to_owned()];
    for record in &golden.records {
        let mut stages = vec![json!(record.record), record.transform.clone(), record.encode.clone()];
        stages[1]["bundle"] = json!(bundle);
        stages[2]["bundle"] = json!(bundle);
        seeds.push(json!({ "value": { "records": stages.clone() }, "action_name": "/a/b" }).to_string());
        seeds.extend(stages.into_iter().map(|value| json!({ "value": value }).to_string()));
    }
    let actions = Stage::ALL.map(|stage| Action::new(Some(stage), || Ok(tiny::scorer())));
    let (mut damage, mut n_good) = (Damage(1), 0);
    for round in 0..40_000 {
        let body = damage.done_to(seeds[round % seeds.len()].as_bytes());
        let reply = actions[round / seeds.len() % 4].reply("POST", "/run", &body);
        assert!(matches!(reply.status, 200 | 400 | 404), "{}: {}", reply.status, String::from_utf8_lossy(&body));
        assert!(reply.body.len() <= MAX_RESULT_BYTES && reply.ends_activation);
        let answer: Json = serde_json::from_str(&reply.body).expect("JSON");
        n_good += u32::from(answer.get("error").is_none());
    }
    assert!(n_good > 1000, "damage must not be all that is tested: {n_good}");
}

#[test]
fn damaged_bundles_are_refused_or_score_any_row() {
    let files = tiny::files();
    let (mut damage, mut loaded) = (Damage(2), 0);
    let manifest = Bundle::from_files(&files).unwrap().manifest;
    for _ in 0..20_000 {
        let _ = Preprocessor::from_bytes(&damage.done_to(&files[PREPROCESSOR]));
        if let Ok(model) = Model::from_bytes(manifest.model, 5, &damage.done_to(&files[MODEL])) {
            loaded += 1;
            for value in [0.0, f32::NAN, f32::MAX, f32::MIN] {
                let _ = model.score_row(&vec![value; model.n_features()]);
            }
        }
    }
    assert!(loaded > 100, "weights may be any finite numbers: {loaded}");
    for _ in 0..2_000 {
        let mut files = files.clone();
        let at = damage.draw(files.len());
        if let Some(bytes) = files.values_mut().nth(at) {
            let damaged = damage.done_to(bytes);
            if damaged == *bytes {
                continue;
            }
            *bytes = damaged;
        }
        // The hash of every file stands in the manifest, the manifest's own in its id.
        assert!(Bundle::from_files(&files).and_then(Scorer::new).is_err());
    }
}

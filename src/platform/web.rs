//! Web actions: a plain HTTP request becomes an action's input, its result a plain HTTP answer.
//!
//! Source: OpenWhisk's `WebActions.scala`, for the extensions `.json` and `.http` (the default). Limit: no `.html`, `.svg`,
//! `.text`, no projection of a result's parts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value as Json, json};

use super::activation::{Outcome, Verdict};
use crate::serving::protocol::{Asked, Reply};
use crate::serving::web::pairs;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extension {
    Json,
    Http,
}

/// The input that a request makes: parameters of body over query, and what it was.
pub fn input(asked: Asked, rest: &str) -> Json {
    let (_, query) = asked.target.split_once('?').unwrap_or((asked.target, ""));
    let mut input = object_of(&pairs(query));
    let kind = asked.headers.get("content-type").unwrap_or_default();
    let text = String::from_utf8_lossy(asked.body);
    let is_form = kind.starts_with("application/x-www-form-urlencoded");
    match serde_json::from_slice::<Json>(asked.body) {
        _ if asked.body.is_empty() => {}
        _ if is_form => input.extend(object_of(&pairs(&text))),
        Ok(Json::Object(object)) if kind.starts_with("application/json") => input.extend(object),
        _ if kind.starts_with("text/") => drop(input.insert("__ow_body".into(), json!(text))),
        _ => drop(input.insert("__ow_body".into(), json!(BASE64.encode(asked.body)))),
    }
    let headers: Map<String, Json> = asked.headers.all().map(|(name, value)| (name.into(), json!(value))).collect();
    input.insert("__ow_method".into(), json!(asked.method.to_lowercase()));
    input.insert("__ow_headers".into(), Json::Object(headers));
    input.insert("__ow_path".into(), json!(rest));
    Json::Object(input)
}

fn object_of(text: &str) -> Map<String, Json> {
    serde_json::from_str(text).unwrap_or_default()
}

/// The answer that an outcome makes.
pub fn reply(outcome: &Outcome, extension: Extension) -> Reply {
    let result = match outcome.verdict {
        Verdict::Success => &outcome.result,
        Verdict::ApplicationError => &outcome.result["error"],
        Verdict::DeveloperError | Verdict::WhiskError => {
            let message = json!({ "error": "There was an error processing your request." });
            return Reply::new(400, message.to_string());
        }
    };
    if extension == Extension::Json {
        return Reply::new(200, result.to_string());
    }
    let status = |default| result["statusCode"].as_u64().map_or(default, |status| status as u16);
    match &result["body"] {
        Json::Null => Reply::new(status(204), ""),
        Json::String(text) => Reply { content_type: "text/html", ..Reply::new(status(200), text.as_str()) },
        body => Reply::new(status(200), body.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serving::protocol::Headers;

    #[test]
    fn body_beats_query_and_other_types_travel_in_base64() {
        let asked = |kind: &'static str, body: &'static [u8]| {
            let headers = hyper_headers(kind);
            let asked = Asked { method: "POST", target: "/x?a=1&b=2", headers: Headers(Some(&headers)), body };
            input(asked, "/more")
        };
        let json_body = asked("application/json", b"{\"b\":3}");
        assert_eq!((&json_body["a"], &json_body["b"]), (&json!("1"), &json!(3)));
        assert_eq!((&json_body["__ow_method"], &json_body["__ow_path"]), (&json!("post"), &json!("/more")));
        assert_eq!(asked("application/x-www-form-urlencoded", b"b=4")["b"], "4");
        assert_eq!(asked("application/json", b"[1]")["__ow_body"], "WzFd");
        assert_eq!(asked("text/plain", b"hi")["__ow_body"], "hi");
    }

    fn hyper_headers(kind: &str) -> ureq::http::HeaderMap {
        ureq::http::HeaderMap::from_iter([(ureq::http::header::CONTENT_TYPE, kind.parse().unwrap())])
    }

    #[test]
    fn an_error_says_status_and_body_itself() {
        let error = json!({ "error": { "statusCode": 400, "body": { "error": { "message": "m" } } } });
        let outcome = Outcome { verdict: Verdict::ApplicationError, result: error };
        let http = reply(&outcome, Extension::Http);
        assert_eq!((http.status, http.body.as_str()), (400, r#"{"error":{"message":"m"}}"#));
        let scored = Outcome { verdict: Verdict::Success, result: json!({ "score": 0.5 }) };
        assert_eq!(reply(&scored, Extension::Json).body, r#"{"score":0.5}"#);
        assert_eq!(reply(&scored, Extension::Http).status, 204);
    }
}

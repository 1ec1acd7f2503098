//! What a web action's request holds beside a record: headers, a query, a body in text or base64.
//!
//! In: the `value` of `/run`. Out: the value that is meant, and the caller's correlation id. OpenWhisk adds `__ow_method`,
//! `__ow_headers`, `__ow_path`; a raw action gets `__ow_body` (text, or base64 for binary types and JSON) and `__ow_query`
//! instead of parameters. Values of forms and queries are texts; the record's own rules make numbers of them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::stage::Failure;
use crate::scoring::error::ScoringError;

/// Headers that carry the caller's correlation id, the first found counts.
pub const CORRELATION_HEADERS: [&str; 2] = ["x-correlation-id", "x-request-id"];

/// A request that came through a web action.
#[derive(Debug, Default, PartialEq)]
pub struct Web {
    /// What the body or the query holds; none: the value itself is the record.
    pub value: Option<String>,
    pub correlation_id: Option<Json>,
}

#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    __ow_headers: Json,
    #[serde(default)]
    __ow_body: Json,
    #[serde(default)]
    __ow_query: Json,
}

impl Web {
    /// `None` for a request that came by no web action.
    pub fn read(value: &str) -> Result<Option<Web>, Failure> {
        if !value.trim_start().starts_with('{') || !value.contains("\"__ow_") {
            return Ok(None);
        }
        let fields: Fields = serde_json::from_str(value).map_err(|_| Failure::record("the input can't be read"))?;
        let header = |wanted: &str| {
            let headers = fields.__ow_headers.as_object()?;
            headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.clone())
        };
        let is_form = header("content-type").is_some_and(|kind| {
            kind.as_str().is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"))
        });
        let value = match (&fields.__ow_body, &fields.__ow_query) {
            (Json::String(body), _) if !body.trim().is_empty() => Some(text_of(body.trim(), is_form)?),
            (body @ (Json::Object(_) | Json::Array(_)), _) => Some(body.to_string()),
            (_, Json::String(query)) if !query.is_empty() => Some(pairs(query)),
            _ => None,
        };
        Ok(Some(Web { value, correlation_id: CORRELATION_HEADERS.iter().find_map(|name| header(name)) }))
    }
}

/// A body that is JSON or a form, or the base64 of either.
fn text_of(body: &str, is_form: bool) -> Result<String, Failure> {
    let json = |text: &str| text.starts_with(['{', '[']);
    if json(body) {
        return Ok(body.to_owned());
    }
    let decoded = || BASE64.decode(body).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    if is_form {
        // A form of texts has `=` between; base64 has it at its end alone.
        let plain = body.trim_end_matches('=').contains(['=', '&', '%']);
        return Ok(pairs(&if plain { None } else { decoded() }.unwrap_or_else(|| body.to_owned())));
    }
    let refused = || ScoringError::new("the request body is not a JSON object or array").field("__ow_body");
    let decoded = decoded().map(|text| text.trim().to_owned());
    decoded.filter(|text| json(text)).ok_or_else(|| refused().into())
}

/// `a=1&b=x+y` as a record of texts; of equal keys the last counts.
pub fn pairs(query: &str) -> String {
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (unescaped(key), Json::from(unescaped(value)))
    };
    let record: Map<String, Json> = query.split('&').filter(|part| !part.is_empty()).map(pair).collect();
    Json::Object(record).to_string()
}

fn unescaped(text: &str) -> String {
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::with_capacity(text.len()), 0);
    while at < bytes.len() {
        let hex = || u8::from_str_radix(text.get(at + 1..at + 3)?, 16).ok();
        let (byte, width) = match bytes[at] {
            b'+' => (b' ', 1),
            b'%' => hex().map_or((b'%', 1), |byte| (byte, 3)),
            byte => (byte, 1),
        };
        out.push(byte);
        at += width;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_and_queries_become_records_of_texts() {
        assert_eq!(
            pairs("amt=1.5&card=visa+gold%21&x&é=%C3%A9&amt=2"),
            r#"{"amt":"2","card":"visa gold!","x":"","é":"é"}"#
        );
        for odd in ["%", "%4", "%zz", "&&", "=", "%C3%28", "a=%e2%9"] {
            assert!(serde_json::from_str::<Json>(&pairs(odd)).is_ok_and(|json| json.is_object()), "{odd}");
        }
    }
}

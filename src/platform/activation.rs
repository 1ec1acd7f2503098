//! What a container's answer means to the platform, and the record of an activation.
//!
//! In: status and body of `/run`, or why there is none. Out: an [`Outcome`]. Source: OpenWhisk's `ActivationResult.scala`,
//! `Container.scala`, `ErrorResponse.scala`. The texts are the platform's own.

use serde_json::{Value as Json, json};

use super::client::Fault;

/// The platform's limit of a payload and of a result.
pub const MAX_PAYLOAD_BYTES: usize = 1 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Success,
    ApplicationError,
    DeveloperError,
    WhiskError,
}

impl Verdict {
    pub fn status(self) -> &'static str {
        match self {
            Verdict::Success => "success",
            Verdict::ApplicationError => "application error",
            Verdict::DeveloperError => "action developer error",
            Verdict::WhiskError => "whisk internal error",
        }
    }

    fn code(self) -> u8 {
        self as u8
    }

    /// The status of a blocking invocation.
    pub fn http_status(self) -> u16 {
        match self {
            Verdict::Success => 200,
            Verdict::ApplicationError | Verdict::DeveloperError => 502,
            Verdict::WhiskError => 500,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub verdict: Verdict,
    pub result: Json,
}

impl Outcome {
    pub fn failed(verdict: Verdict, message: impl Into<String>) -> Outcome {
        Outcome { verdict, result: json!({ "error": message.into() }) }
    }

    /// Whether a warm container may go on.
    pub fn keeps_container(&self) -> bool {
        matches!(self.verdict, Verdict::Success | Verdict::ApplicationError)
    }

    /// Whether a sequence ends here: a key `error`, whatever it holds.
    pub fn ends_sequence(&self) -> bool {
        self.verdict != Verdict::Success || self.result.get("error").is_some()
    }
}

/// An answer to `/run`.
pub fn of_run(answer: Result<(u16, &[u8]), &Fault>, limit_ms: u64) -> Outcome {
    let (status, body) = match answer {
        Ok(answer) => answer,
        Err(Fault::TimedOut) => {
            let message = format!("The action exceeded its time limits of {limit_ms} milliseconds.");
            return Outcome::failed(Verdict::DeveloperError, message);
        }
        Err(_) => {
            let message = "The action did not produce a valid response and exited unexpectedly.";
            return Outcome::failed(Verdict::DeveloperError, message);
        }
    };
    let text = || String::from_utf8_lossy(body).chars().take(1000).collect::<String>();
    if body.len() > MAX_PAYLOAD_BYTES {
        let (found, limit) = (body.len(), MAX_PAYLOAD_BYTES);
        let message = format!(
            "The action produced a response that exceeded the allowed length: {found} > {limit} bytes. The truncated response was: {}",
            text()
        );
        return Outcome::failed(Verdict::ApplicationError, message);
    }
    let invalid = || {
        let message = format!("The action did not produce a valid JSON or JSON Array response: {}", text());
        Outcome::failed(Verdict::DeveloperError, message)
    };
    match (status, serde_json::from_slice::<Json>(body)) {
        (200, Ok(Json::Object(mut object))) => match object.remove("error") {
            Some(error) => Outcome { verdict: Verdict::ApplicationError, result: json!({ "error": error }) },
            None => Outcome { verdict: Verdict::Success, result: Json::Object(object) },
        },
        (200, Ok(list @ Json::Array(_))) => Outcome { verdict: Verdict::Success, result: list },
        (200, _) => invalid(),
        (_, Ok(Json::Object(mut object))) if object.contains_key("error") => {
            let error = object.remove("error");
            Outcome { verdict: Verdict::DeveloperError, result: json!({ "error": error }) }
        }
        _ => invalid(),
    }
}

/// An activation that ended.
#[derive(Debug, Clone)]
pub struct Activation {
    pub id: String,
    /// `package/name`.
    pub action: String,
    pub start_ms: u64,
    pub end_ms: u64,
    /// Milliseconds of a cold start; none: warm.
    pub init_ms: Option<u64>,
    pub wait_ms: u64,
    /// Of a sequence.
    pub cause: Option<String>,
    /// Ids of components, of a sequence.
    pub components: Vec<String>,
    pub outcome: Outcome,
}

impl Activation {
    pub fn record(&self, namespace: &str) -> Json {
        let mut annotations = vec![
            json!({ "key": "path", "value": format!("{namespace}/{}", self.action) }),
            json!({ "key": "kind", "value": if self.components.is_empty() { "blackbox" } else { "sequence" } }),
            json!({ "key": "waitTime", "value": self.wait_ms }),
        ];
        annotations.extend(self.init_ms.map(|ms| json!({ "key": "initTime", "value": ms })));
        annotations.extend(self.cause.as_ref().map(|_| json!({ "key": "causedBy", "value": "sequence" })));
        let name = self.action.rsplit('/').next().unwrap_or_default();
        let mut record = json!({
            "activationId": self.id,
            "namespace": namespace,
            "subject": namespace,
            "name": name,
            "version": "0.0.1",
            "publish": false,
            "start": self.start_ms,
            "end": self.end_ms,
            "duration": self.end_ms.saturating_sub(self.start_ms),
            "logs": self.components,
            "annotations": annotations,
            "response": {
                "status": self.outcome.verdict.status(),
                "statusCode": self.outcome.verdict.code(),
                "success": self.outcome.verdict == Verdict::Success,
                "result": self.outcome.result,
                "size": self.outcome.result.to_string().len(),
            },
        });
        if let Some(cause) = &self.cause {
            record["cause"] = json!(cause);
        }
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_mean_what_the_platform_takes_them_for() {
        use Verdict::{ApplicationError, DeveloperError, Success};
        let cases: [(u16, &str, Verdict, &str); 9] = [
            (200, r#"{"a":1}"#, Success, r#"{"a":1}"#),
            (200, "[1]", Success, "[1]"),
            (200, r#"{"error":null,"a":1}"#, ApplicationError, r#"{"error":null}"#),
            (200, "7", DeveloperError, "valid JSON"),
            (200, "", DeveloperError, "valid JSON"),
            (200, r#"{"a":NaN}"#, DeveloperError, "valid JSON"),
            (502, r#"{"error":"x","b":1}"#, DeveloperError, r#"{"error":"x"}"#),
            (404, "no", DeveloperError, "valid JSON"),
            (500, r#"{"a":1}"#, DeveloperError, "valid JSON"),
        ];
        for (status, body, verdict, part) in cases {
            let outcome = of_run(Ok((status, body.as_bytes())), 1);
            assert_eq!(outcome.verdict, verdict, "{body}");
            assert!(outcome.result.to_string().contains(part), "{body}: {}", outcome.result);
            assert_eq!(outcome.ends_sequence(), verdict != Success);
        }
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_PAYLOAD_BYTES));
        let outcome = of_run(Ok((200, long.as_bytes())), 1);
        assert!(outcome.verdict == ApplicationError && outcome.result.to_string().len() < 2000);
        assert!(of_run(Err(&Fault::TimedOut), 60_000).result.to_string().contains("60000 milliseconds"));
        assert_eq!(of_run(Err(&Fault::Broken("x".into())), 1).verdict, DeveloperError);
    }
}

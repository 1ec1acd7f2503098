//! The HTTP client: whole bodies out and in, kept connections, a time limit, TLS for real hosts.
//!
//! In: method, URL, headers, bytes. Out: status, headers, bytes, or a [`Fault`] that says whether it is worth a retry.
//! Bodies that come back are bounded.

use std::time::Duration;

use ureq::http::{HeaderMap, Request};
use ureq::tls::TlsConfig;

/// No answer of a platform or a registry is larger.
const MAX_ANSWER_BYTES: u64 = 64 << 20;

/// Whom the client talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// This machine: no proxy of the environment.
    Loopback,
    Network,
    /// The network, without a look at certificates: many an OpenWhisk signs its own.
    Insecure,
}

#[derive(Debug, Clone)]
pub struct Client {
    agent: ureq::Agent,
}

/// An answer of any status.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("no answer in time")]
    TimedOut,
    #[error("no connection: {0}")]
    NoConnection(String),
    #[error("the connection broke: {0}")]
    Broken(String),
    #[error("{0}")]
    Unusable(String),
}

impl Fault {
    /// Whether the same request may do better later.
    pub fn is_transient(&self) -> bool {
        !matches!(self, Fault::Unusable(_))
    }
}

impl Client {
    pub fn new(reach: Reach, timeout: Duration) -> Client {
        let mut config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(timeout))
            .max_idle_connections(64)
            .max_idle_connections_per_host(64)
            .user_agent(concat!("fraudml/", env!("CARGO_PKG_VERSION")));
        if reach == Reach::Loopback {
            config = config.proxy(None);
        }
        if reach == Reach::Insecure {
            config = config.tls_config(TlsConfig::builder().disable_verification(true).build());
        }
        Client { agent: config.build().into() }
    }

    pub fn get(&self, url: &str) -> Result<Answer, Fault> {
        self.send("GET", url, &[], None)
    }

    pub fn post_json(&self, url: &str, body: &[u8]) -> Result<Answer, Fault> {
        self.send("POST", url, &[("content-type", "application/json")], Some(body))
    }

    pub fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Answer, Fault> {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let unusable = |error: &dyn std::fmt::Display| Fault::Unusable(format!("`{url}`: {error}"));
        let sent = match body {
            Some(body) => self.agent.run(request.body(body).map_err(|error| unusable(&error))?),
            None => self.agent.run(request.body(()).map_err(|error| unusable(&error))?),
        };
        let mut response = sent.map_err(fault)?;
        let body = response.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_vec().map_err(fault)?;
        Ok(Answer { status: response.status().as_u16(), headers: response.headers().clone(), body })
    }
}

fn fault(error: ureq::Error) -> Fault {
    use std::io::ErrorKind::{ConnectionRefused, NetworkUnreachable, TimedOut};
    match error {
        ureq::Error::Timeout(_) => Fault::TimedOut,
        ureq::Error::Io(error) if error.kind() == TimedOut => Fault::TimedOut,
        ureq::Error::Io(error) if matches!(error.kind(), ConnectionRefused | NetworkUnreachable) => {
            Fault::NoConnection(crate::training::error::io_reason(&error))
        }
        ureq::Error::HostNotFound => Fault::NoConnection("no such host".into()),
        ureq::Error::ConnectionFailed => Fault::NoConnection("connection failed".into()),
        ureq::Error::Io(error) => Fault::Broken(crate::training::error::io_reason(&error)),
        ureq::Error::Protocol(error) => Fault::Broken(error.to_string()),
        other => Fault::Unusable(other.to_string()),
    }
}

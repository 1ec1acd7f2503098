//! One job on a Ray cluster, by its Jobs REST API.
//!
//! In: the address of a head's dashboard, a token if it wants one, the driver, the program. Out: the id of a job whose tasks
//! are shards. Driver and program travel as one zip, named by its hash, that a head keeps: a second submission sends no bytes.
//! Source: Ray's REST API (`/api/packages/gcs/..`, `/api/jobs/`), tried with Ray 2.5x. Limits: a package of 100 MiB, which
//! is what a head takes in one request. A head without token authentication takes jobs from whoever reaches it, and a job is
//! any command: [`Head::is_open`] finds out, so that the person can be told.

use std::time::Duration;

use serde_json::json;

use super::client::{Answer, Client, Fault};
use super::target::reach_of;
use crate::scoring::bundle::sha256_hex;
use crate::training::error::{Error, Result};
use crate::training::package::zip::zip_of;

/// A package may be large and the way to the head slow.
const TIMEOUT: Duration = Duration::from_secs(300);
const MAX_PACKAGE_BYTES: usize = 100 << 20;

/// The head of a cluster.
pub struct Head {
    url: String,
    client: Client,
    token: Option<String>,
}

impl Head {
    /// `address` is that of the dashboard, such as `http://127.0.0.1:8265`.
    pub fn new(address: &str, token: Option<String>) -> Result<Head> {
        let url = address.trim_end_matches('/').to_owned();
        if !(url.starts_with("http://") || url.starts_with("https://")) || url.contains('@') {
            let message = "expected the address of a Ray dashboard, `http://HOST:8265` or https, without credentials";
            return Err(Error::permanent(message).hint("a token comes from the environment: `RAY_AUTH_TOKEN`"));
        }
        Ok(Head { client: Client::new(reach_of(&url), TIMEOUT), url, token })
    }

    /// Whether it takes jobs from whoever reaches it.
    pub fn is_open(&self) -> Result<bool> {
        let answer = self.client.get(&format!("{}/api/jobs/", self.url));
        Ok(answer.map_err(|fault| self.unreached(&fault))?.is_success())
    }

    /// Sends driver and program, and starts the driver; the job's id.
    pub fn submit(&self, entrypoint: &str, driver: &str, program: &[u8], run_id: &str) -> Result<String> {
        let package = zip_of(&[("driver.py", 0o644, driver.as_bytes()), ("fraudml", 0o755, program)])?;
        if package.len() > MAX_PACKAGE_BYTES {
            let message = format!("the program is {} bytes as a zip, a head takes {MAX_PACKAGE_BYTES}", package.len());
            return Err(Error::permanent(message).hint("strip it: `strip fraudml`"));
        }
        let name = format!("_ray_pkg_{}.zip", &sha256_hex(&package)[..32]);
        let path = format!("/api/packages/gcs/{name}");
        if !self.ask("GET", &path, None)?.is_success() {
            self.done(self.ask("PUT", &path, Some(&package))?, "the package")?;
        }
        let job = json!({
            "entrypoint": entrypoint,
            "runtime_env": { "working_dir": format!("gcs://{name}") },
            "metadata": { "fraudml_run": run_id },
        });
        let answer = self.done(self.ask("POST", "/api/jobs/", Some(job.to_string().as_bytes()))?, "the job")?.json();
        let id = answer["submission_id"].as_str().or(answer["job_id"].as_str());
        id.map(str::to_owned).ok_or_else(|| Error::failed(format!("`{}` took the job but named none", self.url)))
    }

    fn ask(&self, method: &str, path: &str, body: Option<&[u8]>) -> Result<Answer> {
        let bearer = self.token.as_ref().map(|token| format!("Bearer {token}"));
        let kind = if method == "POST" { "application/json" } else { "application/octet-stream" };
        let mut headers = vec![("content-type", kind)];
        headers.extend(bearer.as_ref().map(|bearer| ("authorization", bearer.as_str())));
        let answer = self.client.send(method, &format!("{}{path}", self.url), &headers, body);
        let answer = answer.map_err(|fault| self.unreached(&fault))?;
        match answer.status {
            401 | 403 => Err(Error::permanent(format!("`{}` wants a token, or another one", self.url))
                .hint("set `RAY_AUTH_TOKEN` to that of the cluster")),
            _ => Ok(answer),
        }
    }

    fn done(&self, answer: Answer, what: &str) -> Result<Answer> {
        if answer.is_success() {
            return Ok(answer);
        }
        let (status, text) = (answer.status, answer.text());
        let said = text.lines().last().unwrap_or_default().chars().take(200).collect::<String>();
        let message = format!("`{}` refused {what} with status {status}: {said}", self.url);
        let hint = "the log of the head's dashboard says more";
        Err(if status >= 500 { Error::transient(message) } else { Error::permanent(message) }.hint(hint))
    }

    fn unreached(&self, fault: &Fault) -> Error {
        let message = format!("`{}`: {fault}", self.url);
        let error = if fault.is_transient() { Error::transient(message) } else { Error::permanent(message) };
        error.hint("is the head's dashboard there, and can this machine reach it?")
    }
}

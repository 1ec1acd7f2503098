//! Pushes an image archive to a registry: the blobs it lacks, then manifests, then tags.
//!
//! In: `image.tar` as `package` writes it (an OCI layout). Out: the same digests in the registry. Credentials come from
//! Docker's config file (`auths`, credential helpers), tokens from where the registry says. Source: OCI distribution-spec
//! 1.1 (monolithic upload), Docker's token authentication. Limit: one attempt per request, no chunked upload.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value as Json;

use super::client::{Answer, Client, Fault};
use super::credentials;
use super::target::{basic, reach_of};
use crate::training::error::{Error, Result};

/// A layer may be large and the way to the registry slow.
const TIMEOUT: Duration = Duration::from_secs(600);

const DOCKER_HUB: &str = "registry-1.docker.io";

/// One repository of a registry.
pub struct Registry {
    /// `https://host/v2/path`.
    base: String,
    host: String,
    path: String,
    client: Client,
    /// `user:password`.
    login: Option<String>,
    /// The header that the registry last asked for.
    authorization: RefCell<Option<String>>,
}

/// The archive, read back.
struct Layout {
    blobs: BTreeMap<String, Vec<u8>>,
    /// Descriptors of the tags.
    tags: Vec<(String, Json)>,
}

impl Registry {
    /// `repository` is `[host/]path`; without a host, Docker Hub's. `variable` reads the environment.
    pub fn new(repository: &str, plain_http: bool, variable: impl Fn(&str) -> Option<String>) -> Result<Registry> {
        let (host, path) = match repository.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path.to_owned()),
            Some(_) => (DOCKER_HUB, repository.to_owned()),
            None => (DOCKER_HUB, format!("library/{repository}")),
        };
        let scheme = if plain_http { "http" } else { "https" };
        let base = format!("{scheme}://{host}/v2/{path}");
        let client = Client::new(reach_of(&base), TIMEOUT);
        let login = login(host, variable)?;
        Ok(Registry { base, host: host.to_owned(), path, client, login, authorization: RefCell::default() })
    }

    /// Pushes all tags; the bytes that went over.
    pub fn push(&self, tar: &[u8], mut tell: impl FnMut(String)) -> Result<usize> {
        let layout = Layout::read(tar)?;
        let mut sent = 0;
        for (tag, descriptor) in &layout.tags {
            tell(format!("pushing {}:{tag}", self.path));
            sent += self.push_manifest(&layout, descriptor, tag)?;
        }
        Ok(sent)
    }

    fn push_manifest(&self, layout: &Layout, descriptor: &Json, reference: &str) -> Result<usize> {
        let bytes = layout.blob(descriptor)?;
        let manifest: Json = serde_json::from_slice(bytes).map_err(|error| Error::permanent(error.to_string()))?;
        let list = |key: &str| manifest[key].as_array().cloned().unwrap_or_default();
        let mut sent = 0;
        for inner in list("manifests") {
            sent += self.push_manifest(layout, &inner, inner["digest"].as_str().unwrap_or_default())?;
        }
        for blob in list("layers").iter().chain(manifest.get("config")) {
            sent += self.push_blob(layout, blob)?;
        }
        let kind = descriptor["mediaType"].as_str().unwrap_or_default();
        let url = format!("{}/manifests/{reference}", self.base);
        let answer = self.ask("PUT", &url, kind, Some(bytes))?;
        self.expect(&answer, &[201], &format!("manifest `{reference}`"))?;
        let digest = descriptor["digest"].as_str().unwrap_or_default();
        match answer.header("docker-content-digest") {
            Some(found) if found != digest => {
                Err(Error::failed(format!("manifest `{reference}`: expected digest {digest}, found {found}")))
            }
            _ => Ok(sent),
        }
    }

    fn push_blob(&self, layout: &Layout, descriptor: &Json) -> Result<usize> {
        let bytes = layout.blob(descriptor)?;
        let digest = descriptor["digest"].as_str().unwrap_or_default();
        if self.ask("HEAD", &format!("{}/blobs/{digest}", self.base), "", None)?.status == 200 {
            return Ok(0);
        }
        let begun = self.ask("POST", &format!("{}/blobs/uploads/", self.base), "", Some(b""))?;
        self.expect(&begun, &[202], "an upload")?;
        let place = begun.header("location").ok_or_else(|| self.odd("an upload without a place"))?;
        let origin = self.base.split("/v2/").next().unwrap_or_default();
        let place = if place.starts_with('/') { format!("{origin}{place}") } else { place.to_owned() };
        let join = if place.contains('?') { '&' } else { '?' };
        let url = format!("{place}{join}digest={}", digest.replace(':', "%3A"));
        let done = self.ask("PUT", &url, "application/octet-stream", Some(bytes))?;
        self.expect(&done, &[201], "a blob")?;
        Ok(bytes.len())
    }

    /// Sends a request; if the registry wants to know who we are, tells it and sends it again.
    fn ask(&self, method: &str, url: &str, kind: &str, body: Option<&[u8]>) -> Result<Answer> {
        let send = || {
            let authorization = self.authorization.borrow().clone();
            let mut headers = Vec::new();
            if !kind.is_empty() {
                headers.push(("content-type", kind));
            }
            headers.extend(authorization.as_deref().map(|value| ("authorization", value)));
            self.client.send(method, url, &headers, body).map_err(|fault| self.fault(&fault))
        };
        let answer = send()?;
        let Some(challenge) = answer.header("www-authenticate").filter(|_| answer.status == 401) else {
            return Ok(answer);
        };
        let authorization = self.answer_challenge(challenge)?;
        self.authorization.replace(Some(authorization));
        send()
    }

    fn answer_challenge(&self, challenge: &str) -> Result<String> {
        let login = || {
            self.login.as_deref().map(basic).ok_or_else(|| {
                Error::permanent(format!("registry `{}` asks who you are", self.host))
                    .hint(format!("log in first: `docker login {}`", self.host))
            })
        };
        let Some(parameters) = challenge.strip_prefix("Bearer ") else { return login() };
        let parameter = |name: &str| {
            let (_, rest) = parameters.split_once(&format!("{name}=\""))?;
            rest.split_once('"').map(|(value, _)| value.to_owned())
        };
        let realm = parameter("realm").ok_or_else(|| self.odd("a challenge without a realm"))?;
        let service = parameter("service").map_or(String::new(), |service| format!("service={service}&"));
        let url = format!("{realm}?{service}scope=repository:{}:pull,push", self.path);
        let login = self.login.as_deref().map(basic);
        let headers: Vec<(&str, &str)> = login.as_deref().map(|value| ("authorization", value)).into_iter().collect();
        let answer = self.client.send("GET", &url, &headers, None).map_err(|fault| self.fault(&fault))?;
        self.expect(&answer, &[200], "a token")?;
        let json = answer.json();
        let token = json["token"].as_str().or(json["access_token"].as_str());
        token.map(|token| format!("Bearer {token}")).ok_or_else(|| self.odd("an answer without a token"))
    }

    fn expect(&self, answer: &Answer, statuses: &[u16], what: &str) -> Result<()> {
        if statuses.contains(&answer.status) {
            return Ok(());
        }
        let text: String = answer.text().chars().take(300).collect();
        let message = format!("registry `{}`, {what}: answered {} {}", self.host, answer.status, text.trim());
        Err(match answer.status {
            401 | 403 => Error::permanent(message).hint(format!("may you push there? `docker login {}`", self.host)),
            408 | 429 | 500.. => {
                Error::transient(message).hint("run it again: what is there already is not sent twice")
            }
            _ => Error::permanent(message),
        })
    }

    fn fault(&self, fault: &Fault) -> Error {
        let message = format!("registry `{}`: {fault}", self.host);
        match fault.is_transient() {
            true => Error::transient(message).hint("is it there? `--plain-http` is for one that speaks no TLS"),
            false => Error::permanent(message),
        }
    }

    fn odd(&self, what: &str) -> Error {
        Error::failed(format!("registry `{}`: {what}", self.host))
    }
}

impl Layout {
    fn read(tar: &[u8]) -> Result<Layout> {
        let broken = |error: &dyn std::fmt::Display| Error::permanent(format!("`image.tar` can't be read: {error}"));
        let mut blobs = BTreeMap::new();
        for entry in tar::Archive::new(tar).entries().map_err(|error| broken(&error))? {
            let mut entry = entry.map_err(|error| broken(&error))?;
            let name = entry.path().map_err(|error| broken(&error))?.to_string_lossy().into_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(|error| broken(&error))?;
            blobs.insert(name.strip_prefix("blobs/sha256/").map_or(name.clone(), |hex| format!("sha256:{hex}")), bytes);
        }
        let index = blobs.get("index.json").ok_or_else(|| broken(&"no index.json"))?;
        let index: Json = serde_json::from_slice(index).map_err(|error| broken(&error))?;
        let tag = |descriptor: &Json| {
            let tag = descriptor["annotations"]["org.opencontainers.image.ref.name"].as_str()?;
            Some((tag.to_owned(), descriptor.clone()))
        };
        let tags = index["manifests"].as_array().into_iter().flatten().filter_map(tag).collect();
        Ok(Layout { blobs, tags })
    }

    fn blob(&self, descriptor: &Json) -> Result<&[u8]> {
        let digest = descriptor["digest"].as_str().unwrap_or_default();
        let missing = || Error::permanent(format!("`image.tar` lacks {digest}"));
        self.blobs.get(digest).map(Vec::as_slice).ok_or_else(missing)
    }
}

/// `user:password` for a registry, out of Docker's config: a helper if one is named, else what is written there.
fn login(host: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Option<String>> {
    let folder =
        variable("DOCKER_CONFIG").map(Into::into).or_else(|| Some(Path::new(&variable("HOME")?).join(".docker")));
    let Some(path) = folder.map(|folder| folder.join("config.json")).filter(|path| path.is_file()) else {
        return Ok(None);
    };
    let wrong = |why: &str| Error::permanent(format!("`{}`: {why}", path.display()));
    let config: Json = serde_json::from_str(&credentials::read(&path)?).map_err(|error| wrong(&error.to_string()))?;
    let key = if host == DOCKER_HUB { "https://index.docker.io/v1/" } else { host };
    let helper = config["credHelpers"][key].as_str().or(config["credsStore"].as_str());
    if let Some(helper) = helper {
        let plain = helper.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        return if plain { Ok(ask_helper(helper, key)) } else { Err(wrong("the credential helper has no plain name")) };
    }
    let Some(auth) = config["auths"][key]["auth"].as_str() else { return Ok(None) };
    let decoded = BASE64.decode(auth).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.map(|login| Some(login.trim_end_matches('\0').to_owned())).ok_or_else(|| wrong("`auth` is not base64"))
}

/// A helper that knows nothing of the registry fails, and then we are nobody.
fn ask_helper(helper: &str, key: &str) -> Option<String> {
    let mut command = Command::new(format!("docker-credential-{helper}"));
    let mut child =
        command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    child.stdin.take()?.write_all(key.as_bytes()).ok()?;
    let output = child.wait_with_output().ok().filter(|output| output.status.success())?;
    let json: Json = serde_json::from_slice(&output.stdout).ok()?;
    Some(format!("{}:{}", json["Username"].as_str()?, json["Secret"].as_str()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_come_from_dockers_config() {
        let folder = tempfile::tempdir().unwrap();
        let config = r#"{"auths":{"reg.example":{"auth":"dTpw"},"https://index.docker.io/v1/":{"auth":"aDpo"},"bad":{"auth":"?"}}}"#;
        crate::training::run_dir::write_atomic(&folder.path().join("config.json"), config.as_bytes()).unwrap();
        let variable = |name: &str| (name == "DOCKER_CONFIG").then(|| folder.path().to_string_lossy().into_owned());
        assert_eq!(login("reg.example", variable).unwrap().as_deref(), Some("u:p"));
        assert_eq!(login(DOCKER_HUB, variable).unwrap().as_deref(), Some("h:h"));
        assert_eq!(login("other", variable).unwrap(), None);
        assert!(login("bad", variable).is_err());
        assert_eq!(login("reg.example", |_| None).unwrap(), None);
    }
}

//! `--push` against a registry that lets in nobody without a token, and that knows no manifest before its blobs: the rules
//! of the OCI distribution spec 1.1 and of Docker's token authentication, kept in this file.
#![cfg(feature = "train")]
#![allow(clippy::disallowed_methods)]

mod http;
mod tiny;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use fraudml::platform::registry::Registry;
use fraudml::scoring::bundle::{Bundle, sha256_hex};
use fraudml::training::error::ErrorKind;
use fraudml::training::package::{PackageOptions, package};
use http::{Request, read};
use serde_json::{Value as Json, json};
use tiny::arm64;

const LOGIN: &str = "someone:with a secret";

#[derive(Default)]
struct State {
    /// By digest.
    blobs: BTreeMap<String, Vec<u8>>,
    /// By tag or digest.
    manifests: BTreeMap<String, Vec<u8>>,
    /// Tokens that were given out and still count, with their scope.
    tokens: BTreeSet<String>,
    n_tokens: usize,
    /// A token is good for so many requests.
    token_lasts: Option<usize>,
    used: usize,
    requests: Vec<String>,
}

/// A registry and its token server on one port.
struct TokenRegistry {
    address: String,
    state: Arc<Mutex<State>>,
}

struct Response(u16, Vec<(&'static str, String)>, String);

impl TokenRegistry {
    fn start() -> TokenRegistry {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(Mutex::new(State::default()));
        let (shared, own) = (Arc::clone(&state), address.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (state, address) = (Arc::clone(&shared), own.clone());
                std::thread::spawn(move || while serve(&stream, &state, &address).is_some() {});
            }
        });
        TokenRegistry { address, state }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Pushes as somebody whose Docker config says so.
    fn push(&self, tar: &[u8], login: Option<&str>) -> Result<usize, fraudml::training::error::Error> {
        let folder = tempfile::tempdir().unwrap();
        let auths = login.map(|login| json!({ (self.address.as_str()): { "auth": BASE64.encode(login) } }));
        let config = json!({ "auths": auths.unwrap_or(json!({})) });
        std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        let variable = |name: &str| (name == "DOCKER_CONFIG").then(|| folder.path().to_string_lossy().into_owned());
        Registry::new(&format!("{}/team/fraud", self.address), true, variable)?.push(tar, |_| {})
    }
}

fn serve(mut stream: &TcpStream, state: &Mutex<State>, address: &str) -> Option<()> {
    let request = read(BufReader::new(stream))?;
    let Response(status, headers, body) = {
        let mut state = state.lock().unwrap();
        state.requests.push(format!("{} {}", request.method, request.target));
        answer(&request, &mut state, address)
    };
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    let body = if request.method == "HEAD" { "" } else { &body };
    stream.write_all([head.as_bytes(), body.as_bytes()].concat().as_slice()).ok()
}

fn answer(request: &Request, state: &mut State, address: &str) -> Response {
    let authorization = request.headers.get("authorization").map_or("", String::as_str);
    let refused =
        |status, code: &str| Response(status, Vec::new(), json!({ "errors": [{ "code": code }] }).to_string());
    if let Some(query) = request.target.strip_prefix("/token?") {
        if authorization != format!("Basic {}", BASE64.encode(LOGIN)) {
            return refused(401, "UNAUTHORIZED");
        }
        assert!(query.contains("service=registry.example") && query.contains("scope=repository:team/fraud:pull,push"));
        state.n_tokens += 1;
        state.used = 0;
        let token = format!("token-{}", state.n_tokens);
        state.tokens = BTreeSet::from([token.clone()]);
        return Response(200, Vec::new(), json!({ "token": token, "expires_in": 300 }).to_string());
    }
    let known = authorization.strip_prefix("Bearer ").is_some_and(|token| state.tokens.contains(token));
    state.used += 1;
    if !known || state.token_lasts.is_some_and(|lasts| state.used > lasts) {
        let challenge = format!(
            "Bearer realm=\"http://{address}/token\",service=\"registry.example\",scope=\"repository:team/fraud:push\""
        );
        let Response(status, _, body) = refused(401, "UNAUTHORIZED");
        return Response(status, vec![("WWW-Authenticate", challenge)], body);
    }
    let Some(path) = request.target.strip_prefix("/v2/team/fraud/") else { return refused(404, "NAME_UNKNOWN") };
    match (request.method.as_str(), path.split_once('/').unwrap_or((path, ""))) {
        ("HEAD", ("blobs", digest)) => match state.blobs.contains_key(digest) {
            true => Response(200, Vec::new(), String::new()),
            false => refused(404, "BLOB_UNKNOWN"),
        },
        ("POST", ("blobs", "uploads/")) => {
            Response(202, vec![("Location", "/v2/team/fraud/blobs/uploads/1?state=x".into())], String::new())
        }
        ("PUT", ("blobs", upload)) => {
            let digest = upload.split_once("digest=").unwrap().1.replace("%3A", ":");
            if digest != format!("sha256:{}", sha256_hex(&request.body)) {
                return refused(400, "DIGEST_INVALID");
            }
            state.blobs.insert(digest, request.body.clone());
            Response(201, Vec::new(), String::new())
        }
        ("PUT", ("manifests", reference)) => put_manifest(request, reference, state, &refused),
        _ => refused(404, "UNSUPPORTED"),
    }
}

/// What a manifest names must be there already, and it must be what its content type says.
fn put_manifest(
    request: &Request,
    reference: &str,
    state: &mut State,
    refused: &dyn Fn(u16, &str) -> Response,
) -> Response {
    let manifest: Json = serde_json::from_slice(&request.body).unwrap();
    let list = |key: &str| manifest[key].as_array().cloned().unwrap_or_default();
    let named = |descriptor: &Json| descriptor["digest"].as_str().unwrap_or_default().to_owned();
    let blobs = list("layers").iter().chain(manifest.get("config")).map(named).collect::<Vec<_>>();
    if blobs.iter().any(|digest| !state.blobs.contains_key(digest)) {
        return refused(400, "MANIFEST_BLOB_UNKNOWN");
    }
    if list("manifests").iter().map(named).any(|digest| !state.manifests.contains_key(&digest)) {
        return refused(400, "MANIFEST_UNKNOWN");
    }
    if manifest["mediaType"].as_str() != request.headers.get("content-type").map(String::as_str) {
        return refused(400, "MANIFEST_INVALID");
    }
    let digest = format!("sha256:{}", sha256_hex(&request.body));
    state.manifests.insert(reference.to_owned(), request.body.clone());
    state.manifests.insert(digest.clone(), request.body.clone());
    Response(201, vec![("Docker-Content-Digest", digest)], String::new())
}

/// `image.tar` of both architectures, and what `image.json` says of its tags.
fn image() -> (Vec<u8>, Json) {
    let files = tiny::files();
    let manifest = Bundle::from_files(&files).unwrap().manifest;
    let options = PackageOptions { runners: vec![arm64()], ..PackageOptions::default() };
    let files = package(&files, &manifest, &options).unwrap();
    (files["image.tar"].clone(), serde_json::from_slice(&files["image.json"]).unwrap())
}

#[test]
fn an_index_over_architectures_is_pushed_with_a_token() {
    let (registry, (tar, about)) = (TokenRegistry::start(), image());
    let sent = registry.push(&tar, Some(LOGIN)).unwrap();
    let state = registry.state();
    assert_eq!(sent, state.blobs.values().map(Vec::len).sum::<usize>(), "each blob once");
    let tags = about["tags"].as_object().unwrap();
    assert_eq!(tags.len(), 5);
    for (tag, digest) in tags {
        let index = &state.manifests[tag.as_str()];
        assert_eq!(format!("sha256:{}", sha256_hex(index)), digest.as_str().unwrap());
        let index: Json = serde_json::from_slice(index).unwrap();
        let architectures: Vec<&str> = index["manifests"]
            .as_array()
            .unwrap()
            .iter()
            .map(|manifest| manifest["platform"]["architecture"].as_str().unwrap())
            .collect();
        assert_eq!(architectures, ["amd64", "arm64"]);
    }
    assert_eq!(state.n_tokens, 1, "one token serves them all");
    drop(state);
    assert_eq!(registry.push(&tar, Some(LOGIN)).unwrap(), 0, "what is there is not sent again");
}

#[test]
fn a_token_that_runs_out_is_asked_for_again() {
    let (registry, (tar, _)) = (TokenRegistry::start(), image());
    registry.state().token_lasts = Some(7);
    registry.push(&tar, Some(LOGIN)).unwrap();
    let state = registry.state();
    assert!(state.n_tokens > 5 && state.manifests.len() > 15, "{} {}", state.n_tokens, state.manifests.len());
}

#[test]
fn who_is_not_known_gets_a_clear_answer_and_leaves_nothing() {
    let (registry, (tar, _)) = (TokenRegistry::start(), image());
    for login in [None, Some("someone:else")] {
        let error = registry.push(&tar, login).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Permanent);
        assert!(error.message.contains("a token: answered 401"), "{error}");
        assert_eq!(error.hint.unwrap(), format!("may you push there? `docker login {}`", registry.address));
    }
    assert!(registry.state().blobs.is_empty() && registry.state().manifests.is_empty());
}

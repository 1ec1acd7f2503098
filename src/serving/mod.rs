//! The action server: the same program as PID 1 of the image, as a plain process and under `fraudml serve`.
//!
//! [`stage`] answers a value ([`web`] unwraps it), [`protocol`] a request, [`http`] a connection;
//! [`stock`] is the same inside OpenWhisk's own runtimes. The socket is bound before anything is loaded,
//! because OpenWhisk polls for it; the bundle is loaded by `/init` or by the first request that needs it. Nothing is
//! printed but what an activation's log needs.

pub mod http;
pub mod metrics;
pub mod protocol;
pub mod stage;
pub mod stock;
pub mod web;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use crate::scoring::bundle::Bundle;
use crate::scoring::scorer::Scorer;
use protocol::{Action, Preset, reasons_named};
use stage::Stage;

const USAGE: &str = "\
usage: fraudml-action [--bundle DIR] [--stage STAGE] [--reasons N] [--host IP] [--port PORT]

Serves a bundle as an OpenWhisk action (POST /init, POST /run) and to plain clients (POST /score, GET /healthz,
GET /metrics, GET /schema).

  --bundle DIR   the bundle's folder                        [FRAUDML_BUNDLE, /bundle]
  --stage STAGE  transform, encode, predict or pipeline     [FRAUDML_STAGE, chosen by /init]
  --reasons N    name up to N features that raised a score  [FRAUDML_REASONS, 0; forests only]
  --host IP      the address to listen on                   [HOST, 0.0.0.0]
  --port PORT    the port to listen on; 0 takes a free one  [PORT, 8080]
";

/// Where to listen and what to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub bundle: PathBuf,
    pub preset: Preset,
    pub host: IpAddr,
    pub port: u16,
}

impl Default for Options {
    fn default() -> Self {
        Self { bundle: "/bundle".into(), preset: Preset::default(), host: Ipv4Addr::UNSPECIFIED.into(), port: 8080 }
    }
}

impl Options {
    const NAMES: [(&str, &str); 5] = [
        ("--bundle", "FRAUDML_BUNDLE"),
        ("--stage", "FRAUDML_STAGE"),
        ("--reasons", "FRAUDML_REASONS"),
        ("--host", "HOST"),
        ("--port", "PORT"),
    ];

    /// Reads the environment, then the arguments over it; an empty variable counts as unset.
    pub fn read(
        args: impl IntoIterator<Item = OsString>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Options, String> {
        let mut options = Options::default();
        for (name, from) in Self::NAMES {
            if let Some(value) = variable(from).filter(|value| !value.is_empty()) {
                options.set(name, from, value)?;
            }
        }
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let text = arg.to_string_lossy().into_owned();
            let (name, inline) =
                text.split_once('=').map_or((text.as_str(), None), |(name, value)| (name, Some(value)));
            let value = inline.map(OsString::from).or_else(|| args.next());
            options.set(name, name, value.ok_or_else(|| format!("`{name}` needs a value"))?)?;
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, from: &str, value: OsString) -> Result<(), String> {
        let text = value.to_string_lossy().into_owned();
        let expected = |what: &str| format!("`{from}`: expected {what}, found `{text}`");
        match name {
            "--bundle" => self.bundle = value.into(),
            "--stage" => {
                self.preset.stage = Stage::named(&text).map_err(|error| format!("`{from}`: {}", error.message))?;
            }
            "--reasons" => self.preset.reasons = reasons_named(&text).map_err(|why| format!("`{from}`: {why}"))?,
            "--host" => self.host = text.parse().map_err(|_| expected("an IP address"))?,
            "--port" => self.port = text.parse().map_err(|_| expected("a port number"))?,
            _ => return Err(format!("unknown argument `{name}`")),
        }
        Ok(())
    }
}

/// Runs `fraudml-action` to its end. Exit codes: 0 after SIGTERM, 130 after SIGINT, 1 for the environment, 2 for usage.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    if let Some(folder) = stock::folder(std::env::current_exe().ok()) {
        return stock::run(&folder, &args);
    }
    let is = |names: [&str; 2]| args.iter().any(|arg| names.iter().any(|name| arg == name));
    if is(["--help", "-h"]) || is(["--version", "-V"]) {
        let version = concat!("fraudml-action ", env!("CARGO_PKG_VERSION"), "\n");
        let text = if is(["--help", "-h"]) { USAGE } else { version };
        let _ = io::stdout().write_all(text.as_bytes());
        return ExitCode::SUCCESS;
    }
    match Options::read(args, |name| std::env::var_os(name)) {
        Err(message) => failed(2, &format!("{message}\n\n{USAGE}")),
        Ok(options) => match serve(&options) {
            Ok(2) => ExitCode::from(130),
            Ok(_) => ExitCode::SUCCESS,
            Err(error) => failed(1, &format!("can't serve on {}:{}: {error}\n", options.host, options.port)),
        },
    }
}

fn failed(code: u8, message: &str) -> ExitCode {
    let _ = io::stderr().write_all(format!("error: {message}").as_bytes());
    ExitCode::from(code)
}

/// Listens and serves until a signal, whose number it returns.
pub fn serve(options: &Options) -> io::Result<i32> {
    let listen = || {
        let listener = TcpListener::bind(SocketAddr::new(options.host, options.port))?;
        if io::stderr().is_terminal() {
            let _ = writeln!(io::stderr(), "listening on http://{}", listener.local_addr()?);
        }
        Ok(listener)
    };
    let n_workers = std::thread::available_parallelism().map_or(2, |n| n.get().max(2));
    let action = action(&options.bundle, options.preset);
    http::serve(listen, n_workers, Arc::new(move |asked| action.answer(asked)))
}

/// The action over a bundle folder, loaded when it is first needed.
pub fn action(bundle: &Path, preset: Preset) -> Action {
    let bundle = bundle.to_owned();
    Action::with_preset(preset, move || Bundle::load(&bundle).and_then(Scorer::new))
}

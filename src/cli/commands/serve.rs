//! `fraudml serve`: the packaged pipeline on this machine, as OpenWhisk would run it.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;

use serde_json::json;

use super::Context;
use crate::cli::args::ServeArgs;
use crate::cli::diagnostics::Failure;
use crate::platform::local::{NAMESPACE, Platform};
use crate::platform::processes::Program;
use crate::scoring::bundle::Bundle;
use crate::scoring::scorer::Scorer;
use crate::serving::http;
use crate::training::config::OutputConfig;
use crate::training::error::{Error, Result, io_reason};
use crate::training::package::package_name;
use crate::training::package::runner::Runner;
use crate::training::run::find_bundle;

/// Requests that are worked on at once; each waits for an action that works on it.
const N_WORKERS: usize = 32;

pub fn run(args: &ServeArgs, context: &Context) -> std::result::Result<(), Failure> {
    let (platform, package) = platform(args.bundle.as_deref(), args.reasons, context)?;
    let listener = listen(args.host, args.port)?;
    let address = listener.local_addr().map_err(|error| Error::failed(io_reason(&error)))?;
    context
        .printer
        .document(&json!({ "url": format!("http://{address}"), "namespace": NAMESPACE, "package": package }))?;
    context.printer.confirm(&said(&address, &package))?;
    let answering = Arc::clone(&platform);
    let ended = http::serve(|| Ok(listener), N_WORKERS, Arc::new(move |asked| answering.reply(asked)));
    platform.cool();
    match ended {
        Ok(2) => Err(Error { hint: None, ..Error::interrupted() }.into()),
        Ok(_) => Ok(()),
        Err(error) => Err(Error::failed(format!("can't serve on {address}: {}", io_reason(&error))).into()),
    }
}

/// A local platform over a bundle, and the name of its package.
pub(super) fn platform(bundle: Option<&str>, reasons: usize, context: &Context) -> Result<(Arc<Platform>, String)> {
    let folder = find_bundle(&OutputConfig::default(), bundle)?;
    // A bundle that would refuse to start is refused here, with the reason.
    let scorer = Scorer::new(Bundle::load(&folder)?)?;
    if reasons > 0 {
        scorer.reasons(&vec![0.0; scorer.bundle().manifest.features.len()], 1)?;
    }
    let package = package_name(&scorer.bundle().manifest);
    let printer = context.printer;
    let log = Arc::new(move |stage: crate::scoring::stage::Stage, line: &str| {
        printer.note(&format!("{}: {line}", stage.as_str()));
    });
    let program = Program::new(&Runner::embedded()?.bytes, &folder, reasons, log)?;
    Ok((Arc::new(Platform::new(package.clone(), program)), package))
}

fn listen(host: IpAddr, port: u16) -> Result<TcpListener> {
    TcpListener::bind(SocketAddr::new(host, port)).map_err(|error| {
        Error::failed(format!("can't listen on {host}:{port}: {}", io_reason(&error)))
            .hint("choose another with --port")
    })
}

fn said(address: &SocketAddr, package: &str) -> String {
    format!(
        "\
serving `{package}` on http://{address}
  POST /{package}/score                                                  a record or {{\"records\": [..]}}
  POST /api/v1/namespaces/_/actions/{package}/score?blocking=true&result=true   as OpenWhisk's clients invoke it
  POST /api/v1/web/{NAMESPACE}/{package}/score.json                              the web action
actions transform, encode, predict, pipeline start when they are first needed; ctrl-c ends all"
    )
}

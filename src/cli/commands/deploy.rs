//! `fraudml deploy` and `fraudml undeploy`: a packaged bundle on OpenWhisk.

use std::path::Path;

use serde_json::{Value as Json, json};

use super::{Context, io_error};
use crate::cli::args::{DeployArgs, PlaceArgs, UndeployArgs};
use crate::cli::diagnostics::Failure;
use crate::platform::credentials::{self, OpenWhisk};
use crate::platform::deploy::{Code, Deployment, Host, Step, deploy_steps, undeploy_steps};
use crate::platform::target::Access;
use crate::scoring::stage::Stage;
use crate::training::config::OutputConfig;
use crate::training::error::{Error, Result};
use crate::training::package::checked_name;
use crate::training::run::find_bundle;
use crate::training::run_dir::read_json;

pub fn run(args: &DeployArgs, context: &Context) -> std::result::Result<(), Failure> {
    let folder = find_bundle(&OutputConfig::default(), args.place.bundle.as_deref())?.join("openwhisk");
    let about = about(&folder)?;
    let deployment = deployment(args, &folder, &about)?;
    let access = access(&args.place)?;
    if args.dry_run {
        let steps = deploy_steps(&deployment, "_", &access);
        return Ok(show(&steps, context)?);
    }
    let host = Host::new(access.clone(), args.place.insecure);
    let namespace = host.namespace()?;
    host.check_limits(&deployment)?;
    let mut done = Vec::new();
    for step in deploy_steps(&deployment, &namespace, &access) {
        let version = host.put(&step).map_err(|error| progress(error, &done))?;
        let version = version.map_or(String::new(), |version| format!(" {version}"));
        context.printer.confirm(&format!("{}{version}", step.what))?;
        done.push(step.what);
    }
    let package = &deployment.package;
    let url = format!("{}/api/v1/web/{namespace}/{package}/score.json", access.url);
    context.printer.document(&json!({ "namespace": namespace, "package": package, "deployed": done, "url": url }))?;
    context.printer.confirm(&format!("try: curl -X POST {url} -H 'Content-Type: application/json' -d @record.json"))?;
    Ok(())
}

pub fn undo(args: &UndeployArgs, context: &Context) -> std::result::Result<(), Failure> {
    let package = match &args.place.package {
        Some(package) => package.clone(),
        None => {
            let folder = find_bundle(&OutputConfig::default(), args.place.bundle.as_deref())?.join("openwhisk");
            text(&about(&folder)?, "package")?
        }
    };
    let access = access(&args.place)?;
    let trigger = args.place.trigger.as_deref();
    let steps = undeploy_steps(checked_name(&package)?, trigger, !args.place.no_route, &access);
    if args.dry_run {
        return Ok(show(&steps, context)?);
    }
    let host = Host::new(access, args.place.insecure);
    host.namespace()?;
    let mut done = Vec::new();
    for step in &steps {
        let was_there = host.delete(step).map_err(|error| progress(error, &done))?;
        context.printer.confirm(&format!("{}: {}", step.what, if was_there { "gone" } else { "was not there" }))?;
        done.push(step.what.clone());
    }
    Ok(context.printer.document(&json!({ "package": package, "undeployed": done }))?)
}

fn show(steps: &[Step], context: &Context) -> Result<()> {
    let shown: Vec<Json> = steps.iter().map(Step::shown).collect();
    context.printer.document(&json!({ "steps": shown }))?;
    for step in &shown {
        let (method, path, body) = (&step["method"], &step["path"], &step["body"]);
        let text = |json: &Json| json.as_str().unwrap_or_default().to_owned();
        let body = if body.is_null() { String::new() } else { format!(" {body}") };
        context.printer.result(&format!("{} {}{body}", text(method), text(path)))?;
    }
    Ok(())
}

/// What was done before it failed is said too: it stays.
fn progress(error: Error, done: &[String]) -> Error {
    match done.is_empty() {
        true => error,
        false => Error { message: format!("{}; done before that: {}", error.message, done.join(", ")), ..error },
    }
}

/// `image.json`, as `package` wrote it.
fn about(folder: &Path) -> Result<Json> {
    let path = folder.join("image.json");
    match path.is_file() {
        true => read_json(&path),
        false => {
            Err(Error::permanent(format!("`{}` is not there", path.display())).hint("run `fraudml package` first"))
        }
    }
}

fn text(about: &Json, key: &str) -> Result<String> {
    about[key]
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| Error::permanent(format!("`image.json` holds no `{key}`")).hint("run `fraudml package` again"))
}

fn deployment(args: &DeployArgs, folder: &Path, about: &Json) -> Result<Deployment> {
    let package = args.place.package.clone().map_or_else(|| text(about, "package"), Ok)?;
    let code = match &args.zip {
        None => Code::Image(args.image.clone().map_or_else(|| text(about, "reference"), Ok)?),
        Some(kind) => {
            let zip = |stage: Stage| {
                let path = folder.join(format!("action-{}.zip", stage.as_str()));
                let bytes = std::fs::read(&path).map_err(|error| {
                    io_error(&path, &error)
                        .hint("`fraudml package` writes zips that fit the platform's limit; else use the image")
                })?;
                Ok((stage, bytes))
            };
            Code::Zips { kind: kind.clone(), zips: Stage::ALL.into_iter().map(zip).collect::<Result<_>>()? }
        }
    };
    let memory_mb =
        args.memory.or_else(|| about["memory_mb"].as_u64().and_then(|mb| u32::try_from(mb).ok())).unwrap_or(256);
    let trigger = args.place.trigger.as_deref().map(checked_name).transpose()?.map(str::to_owned);
    let with_route = !args.place.no_route;
    Ok(Deployment { package: checked_name(&package)?.to_owned(), code, memory_mb, trigger, with_route })
}

/// The API host and the key; a host without a scheme is meant to speak TLS.
fn access(place: &PlaceArgs) -> Result<Access> {
    let OpenWhisk { auth, api_host } =
        credentials::openwhisk(place.auth_file.as_deref(), |name| std::env::var(name).ok())?;
    let host = place.api_host.clone().or(api_host).ok_or_else(|| {
        Error::permanent("no API host is named").hint("--api-host, OW_APIHOST, or `wsk property set --apihost`")
    })?;
    let url = if host.contains("://") { host } else { format!("https://{host}") };
    if auth.is_none() {
        return Err(Error::permanent("no OpenWhisk key is known").hint("OW_AUTH, ~/.wskprops or --auth-file"));
    }
    Ok(Access { url: url.trim_end_matches('/').to_owned(), auth })
}

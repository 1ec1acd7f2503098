//! `fraudml doctor`: what is wrong here and what to do.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::{Context, deploy_auth, load};
use crate::cli::args::{ConfigArgs, DoctorArgs};
use crate::cli::diagnostics::Failure;
use crate::training::config::{Config, OutputConfig};
use crate::training::doctor::{Finding, State, bundles, folders, machine, runs};
use crate::training::error::{Error, Result, io_reason};
use crate::training::package::runner::Runner;
use crate::training::read::sizes;

pub fn run(args: &DoctorArgs, context: &Context) -> std::result::Result<(), Failure> {
    let mut findings = machine();
    findings.push(runner());
    findings.push(docker());
    findings.push(openwhisk());
    let output = match &args.config {
        None => OutputConfig::default(),
        Some(path) => {
            let named = ConfigArgs { config: path.clone(), set: Vec::new(), only: Vec::new() };
            of_config(&named, &mut findings)
        }
    };
    findings.extend(folders(&output));
    findings.extend(runs(&output));
    findings.extend(bundles(&output));
    context.printer.result(&lines(&findings))?;
    let wrong = findings.iter().filter(|finding| finding.state == State::Wrong).count();
    let document = serde_json::json!({ "wrong": wrong, "findings": findings });
    if wrong > 0 {
        let found = if wrong == 1 { "1 thing is wrong".to_owned() } else { format!("{wrong} things are wrong") };
        return Err(Failure::found(&document, Error::failed(found)));
    }
    Ok(context.printer.document(&document)?)
}

fn lines(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.about.chars().count()).max().unwrap_or(0);
    let line = |finding: &Finding| {
        let state = match finding.state {
            State::Ok => "ok   ",
            State::Note => "note ",
            State::Wrong => "WRONG",
        };
        let hint =
            finding.hint.as_ref().map_or(String::new(), |hint| format!("\n{:w$}  hint: {hint}", "", w = width + 7));
        format!("{state}  {:width$}  {}{hint}", finding.about, finding.found)
    };
    findings.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A config's problems and its files; the folders it names.
fn of_config(args: &ConfigArgs, findings: &mut Vec<Finding>) -> OutputConfig {
    let about = format!("config `{}`", args.config.display());
    match load(args) {
        Ok(loaded) => {
            findings.push(Finding::new(about, State::Ok, "has no problems"));
            findings.extend(files(&loaded.config));
            loaded.config.output
        }
        Err(Failure::Config { problems, .. }) => {
            findings.extend(problems.iter().map(|problem| Finding {
                hint: problem.hint.clone(),
                ..Finding::new(&about, State::Wrong, problem.to_string())
            }));
            OutputConfig::default()
        }
        Err(Failure::Error(error) | Failure::Found { error, .. }) => {
            findings.push(Finding::of_error(about, State::Wrong, error));
            OutputConfig::default()
        }
    }
}

fn files(config: &Config) -> Vec<Finding> {
    let of_path = |path: &Path| {
        let sizes = sizes(path)?;
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let all = megabytes(sizes.iter().sum());
        Ok(match sizes.iter().max() {
            Some(&largest) if sizes.len() > 1 => {
                format!("{} files, {all:.1} MB, the largest {:.1} MB", sizes.len(), megabytes(largest))
            }
            _ => format!("{all:.1} MB"),
        })
    };
    let file = |path: &Path| {
        let about = format!("file `{}`", path.display());
        match of_path(path) {
            Ok(found) => Finding::new(about, State::Ok, found),
            Err(error) => Finding::of_error(about, State::Wrong, error),
        }
    };
    config.data.tables.iter().map(|table| file(&table.path)).collect()
}

/// Starts the embedded runner: it fails where temporary files may not be run.
fn runner() -> Finding {
    let about = "action runner";
    let started = || -> Result<String> {
        let runner = Runner::embedded()?;
        let failed = |error: std::io::Error| {
            Error::failed(format!("does not start: {}", io_reason(&error)))
                .hint("`serve` and `bench` start it from the folder of TMPDIR: name one whose files may be run")
        };
        let mut file = tempfile::Builder::new().prefix("fraudml-").tempfile().map_err(failed)?;
        file.write_all(&runner.bytes).map_err(failed)?;
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o755)).map_err(failed)?;
        // Open for writing it is "busy".
        let path = file.into_temp_path();
        let output = Command::new(&path).arg("--version").output().map_err(failed)?;
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok(format!("{} for linux/{}, {:.1} MB, starts", said, runner.arch.as_str(), runner.bytes.len() as f64 / 1e6))
    };
    match started() {
        Ok(found) => Finding::new(about, State::Ok, found),
        Err(error) => Finding::of_error(about, State::Wrong, error),
    }
}

fn docker() -> Finding {
    let asked = Command::new("docker").args(["version", "--format", "{{.Server.Version}}"]).output();
    let answer = asked.ok().filter(|output| output.status.success());
    match answer {
        Some(output) => {
            Finding::new("Docker", State::Ok, format!("answers, {}", String::from_utf8_lossy(&output.stdout).trim()))
        }
        None => Finding::new("Docker", State::Note, "does not answer")
            .hint("needed for `bench --image` alone: `package` makes and pushes images without it"),
    }
}

fn openwhisk() -> Finding {
    match deploy_auth(None) {
        Ok(Some(_)) => Finding::new("OpenWhisk", State::Ok, "credentials are there"),
        Ok(None) => Finding::new("OpenWhisk", State::Note, "no credentials")
            .hint("`deploy` takes OW_AUTH, `--auth-file` or ~/.wskprops; `serve` needs none"),
        Err(error) => Finding::of_error("OpenWhisk", State::Wrong, error),
    }
}

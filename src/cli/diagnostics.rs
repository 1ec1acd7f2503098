//! What went wrong, in words for a person or as JSON, and as an exit code.
//!
//! Exit codes: 0 ok; 1 failed (environment, bug); 2 permanent (usage, config, data); 3 a proof failed; 75 worth a retry;
//! 130 interrupted.

use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use serde_json::json;

use super::config::Problem;
use super::printer::Printer;
use crate::training::error::{Error, ErrorKind};

const ERROR: Style = AnsiColor::Red.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

/// More problems than this are counted, not shown.
const MOST_SHOWN: usize = 100;

/// Why a command did not do what it should.
#[derive(Debug, Clone, PartialEq)]
pub enum Failure {
    /// All that is wrong with the config `name`.
    Config {
        name: String,
        problems: Vec<Problem>,
    },
    Error(Error),
    /// What a proof found, and what is missing in it: with `--json` one document says both.
    Found {
        document: serde_json::Value,
        error: Error,
    },
}

impl Failure {
    /// An error about what was found.
    pub fn found(document: &impl serde::Serialize, error: Error) -> Failure {
        match serde_json::to_value(document) {
            Ok(document) => Failure::Found { document, error },
            Err(_) => Failure::Error(error),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Error(error)
    }
}

/// Tells what went wrong, and says by which code the program ends.
pub fn report(failure: &Failure, printer: Printer) -> ExitCode {
    if printer.json {
        // If standard output is closed there is nobody to tell; the exit code remains.
        let _ = printer.document(&document(failure));
    } else {
        printer.complain(&text(failure));
    }
    exit_code(failure)
}

pub fn exit_code(failure: &Failure) -> ExitCode {
    ExitCode::from(match failure {
        Failure::Config { .. } => 2,
        Failure::Error(error) | Failure::Found { error, .. } => match error.kind {
            ErrorKind::Failed => 1,
            ErrorKind::Permanent => 2,
            ErrorKind::Missed => 3,
            ErrorKind::Transient => 75,
            ErrorKind::Interrupted => 130,
        },
    })
}

fn text(failure: &Failure) -> String {
    match failure {
        Failure::Error(error) | Failure::Found { error, .. } => lines(&error.message, error.hint.as_deref()),
        Failure::Config { name, problems } => {
            let mut text: String = problems
                .iter()
                .take(MOST_SHOWN)
                .map(|problem| lines(&problem.to_string(), problem.hint.as_deref()))
                .collect();
            if problems.len() > 1 {
                text.push_str(&lines(&summary(name, problems), None));
            }
            text
        }
    }
}

fn lines(message: &str, hint: Option<&str>) -> String {
    let hint = hint.map(|hint| format!("{HINT}hint{HINT:#}: {hint}\n")).unwrap_or_default();
    format!("{ERROR}error{ERROR:#}: {message}\n{hint}")
}

fn summary(name: &str, problems: &[Problem]) -> String {
    match problems {
        [problem] => problem.to_string(),
        problems if problems.len() > MOST_SHOWN => {
            format!("{} problems in `{name}`, the first {MOST_SHOWN} are shown", problems.len())
        }
        problems => format!("{} problems in `{name}`", problems.len()),
    }
}

fn document(failure: &Failure) -> serde_json::Value {
    match failure {
        Failure::Error(error) => json!({"error": {"message": error.message, "hint": error.hint}}),
        Failure::Found { document, error } => {
            let mut document = document.clone();
            document["error"] = json!({"message": error.message, "hint": error.hint});
            document
        }
        Failure::Config { name, problems } => {
            let hint = match problems.as_slice() {
                [problem] => problem.hint.clone(),
                _ => None,
            };
            json!({"error": {"message": summary(name, problems), "hint": hint, "problems": problems}})
        }
    }
}

/// A usage error of the command line as clap words it, in the shape of all others.
pub fn usage(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let (message, rest) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut failure = Error::permanent(message.trim());
    failure.hint = Some(rest.trim().to_owned()).filter(|rest| !rest.is_empty());
    Failure::Error(failure)
}

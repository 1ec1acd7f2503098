//! The only place of the command line that writes to standard output and standard error.
//!
//! Standard output is for results: with `--json` it carries one document and nothing else. Notes go to standard error,
//! unless `--quiet`. A reader that went away (`| head`) ends the writing, not the program.

use std::io::{self, ErrorKind, Write};

use serde::Serialize;

use crate::training::error::{Error, Result};

/// How to talk to the person; cheap to copy and free of state.
#[derive(Debug, Clone, Copy)]
pub struct Printer {
    pub json: bool,
    pub quiet: bool,
}

impl Printer {
    /// The result of a command, to be read by a person; with `--json` the document says it instead.
    pub fn result(&self, text: &str) -> Result<()> {
        if self.json { Ok(()) } else { self.data(with_newline(text).as_bytes()) }
    }

    /// A line that only confirms; not with `--quiet`.
    pub fn confirm(&self, text: &str) -> Result<()> {
        if self.quiet { Ok(()) } else { self.result(text) }
    }

    /// The one document of `--json`; without the option, nothing.
    pub fn document(&self, document: &impl Serialize) -> Result<()> {
        if !self.json {
            return Ok(());
        }
        let text = serde_json::to_string_pretty(document)
            .map_err(|error| Error::failed(format!("can't write the result as JSON: {error}")))?;
        self.data(with_newline(&text).as_bytes())
    }

    /// Bytes as they are, to standard output.
    pub fn data(&self, bytes: &[u8]) -> Result<()> {
        let mut out = anstream::stdout().lock();
        survive(out.write_all(bytes).and_then(|()| out.flush()), "standard output")
    }

    /// A line beside the results, to standard error; not with `--quiet`.
    pub fn note(&self, line: &str) {
        if !self.quiet {
            self.complain(line);
        }
    }

    /// A line that must be read, to standard error. If even that is closed, there is nobody left to tell.
    pub fn complain(&self, text: &str) {
        let mut err = anstream::stderr().lock();
        let _ = err.write_all(with_newline(text).as_bytes()).and_then(|()| err.flush());
    }
}

fn with_newline(text: &str) -> String {
    if text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") }
}

fn survive(written: io::Result<()>, what: &str) -> Result<()> {
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Error::failed(format!("{what}: {error}"))),
        _ => Ok(()),
    }
}

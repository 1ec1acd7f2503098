//! The same action inside OpenWhisk's stock runtimes, as the program `exec` of a zip: no image, no server of its own.
//!
//! Beside `exec` lie `bundle/` and `stage`, for such a runtime never passes `main` on. Two protocols, told apart by file
//! descriptor 3. ActionLoop (`rust:1.34`, `actionloop-base`): one process, a line of JSON per activation on standard input,
//! a line of JSON back on descriptor 3, `{"ok":true}` first if `__OW_WAIT_FOR_ACK` is set. dockerskeleton: a process per
//! activation, the value as first argument and on standard input, the answer as last line of standard output. The runtime
//! itself prints the sentinels. Sources: apache/openwhisk-runtime-go, apache/openwhisk-runtime-docker.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::protocol::{Action, MAX_BODY_BYTES, Preset, Reply, reasons_named};
use crate::scoring::stage::Stage;

/// The program's name in a zip.
pub const EXEC: &str = "exec";
/// The file that names the stage.
pub const STAGE: &str = "stage";

/// Descriptor 3, reopened: the file that this process was given, by the name the kernel has for it.
const ANSWERS: &str = "/proc/self/fd/3";

/// The folder of the zip, if this program was started out of one.
pub fn folder(program: Option<PathBuf>) -> Option<PathBuf> {
    let program = program?;
    let folder = program.parent().filter(|folder| program.ends_with(EXEC) && folder.join(STAGE).is_file());
    folder.map(Path::to_owned)
}

/// Serves until standard input ends, or one activation.
pub fn run(folder: &Path, args: &[OsString]) -> ExitCode {
    match serve(folder, args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            let _ = io::stderr().write_all(format!("error: {message}\n").as_bytes());
            ExitCode::FAILURE
        }
    }
}

fn serve(folder: &Path, args: &[OsString]) -> Result<(), String> {
    let mut stage = String::new();
    let read = File::open(folder.join(STAGE)).and_then(|file| file.take(100).read_to_string(&mut stage));
    read.map_err(|error| format!("`{STAGE}` can't be read: {error}"))?;
    let stage = Stage::named(&stage).map_err(|error| error.message)?;
    let reasons = reasons_named(&std::env::var("FRAUDML_REASONS").unwrap_or_default())?;
    let action = super::action(&folder.join("bundle"), Preset { stage, reasons });
    let is_loop =
        std::fs::metadata(ANSWERS).is_ok_and(|file| file.file_type().is_fifo() || file.file_type().is_socket());
    match is_loop {
        true => action_loop(&action),
        false => skeleton(&action, args),
    }
}

fn action_loop(action: &Action) -> Result<(), String> {
    let failed = |error: io::Error| format!("file descriptor 3: {error}");
    let mut answers = std::fs::OpenOptions::new().write(true).open(ANSWERS).map_err(failed)?;
    // Loads the bundle: whatever is wrong with it is said now, and the process does not stay.
    let init = action.reply("POST", "/init", b"{}");
    log(&init);
    if init.status != 200 {
        return Err("the action does not start".into());
    }
    if std::env::var_os("__OW_WAIT_FOR_ACK").is_some() {
        answers.write_all(b"{\"ok\":true}\n").map_err(failed)?;
    }
    let mut lines = BufReader::new(io::stdin().lock());
    while let Some(line) = next_line(&mut lines).map_err(|error| format!("standard input: {error}"))? {
        let reply = match line {
            Line::Whole(line) => action.reply("POST", "/run", &line),
            Line::TooLong => Reply::unread("/run", 413, "the request is larger than 4 MiB"),
        };
        log(&reply);
        answers.write_all(format!("{}\n", reply.body).as_bytes()).map_err(failed)?;
    }
    Ok(())
}

fn skeleton(action: &Action, args: &[OsString]) -> Result<(), String> {
    let mut value = args.first().map(|value| value.to_string_lossy().into_owned()).unwrap_or_default();
    if !value.trim_start().starts_with(['{', '[']) {
        value.clear();
        let limit = MAX_BODY_BYTES as u64 + 1;
        let read = io::stdin().lock().take(limit).read_to_string(&mut value);
        read.map_err(|error| format!("standard input: {error}"))?;
    }
    let value = if value.trim().is_empty() { "{}" } else { value.trim() };
    let reply = action.reply("POST", "/run", format!("{{\"value\":{value}}}").as_bytes());
    log(&reply);
    io::stdout().write_all(format!("{}\n", reply.body).as_bytes()).map_err(|error| format!("standard output: {error}"))
}

fn log(reply: &Reply) {
    if let Some(line) = &reply.log {
        let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
    }
}

enum Line {
    Whole(Vec<u8>),
    TooLong,
}

/// One line of at most the size of a body; a longer one is read to its end and dropped.
fn next_line(lines: &mut impl BufRead) -> io::Result<Option<Line>> {
    let mut line = Vec::new();
    let limit = MAX_BODY_BYTES as u64 + 1;
    if lines.take(limit).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    let mut too_long = false;
    while line.len() as u64 == limit && line.last() != Some(&b'\n') {
        (too_long, line) = (true, Vec::new());
        lines.take(limit).read_until(b'\n', &mut line)?;
    }
    Ok(Some(if too_long { Line::TooLong } else { Line::Whole(line) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded() {
        let text =
            [&vec![b'x'; 2 * MAX_BODY_BYTES + 5][..], b"\n{}\n", &vec![b'y'; MAX_BODY_BYTES][..], b"\nlast"].concat();
        let mut lines = BufReader::new(&text[..]);
        let mut found = Vec::new();
        while let Some(line) = next_line(&mut lines).unwrap() {
            found.push(match line {
                Line::Whole(line) => line.len(),
                Line::TooLong => 0,
            });
        }
        assert_eq!(found, [0, 3, MAX_BODY_BYTES + 1, 4]);
    }
}

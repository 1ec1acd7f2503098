//! `fraudml predict`: scores for the rows of a file.

use std::io::Read;
use std::path::Path;

use super::{Context, io_error};
use crate::cli::args::PredictArgs;
use crate::cli::diagnostics::Failure;
use crate::scoring::bundle::Bundle;
use crate::scoring::scorer::Scorer;
use crate::training::config::OutputConfig;
use crate::training::error::{Error, Result};
use crate::training::predict::{
    Answer, Explainer, ScoredRow, WantedReasons, predict_csv, predict_json_lines, to_csv, to_json_lines,
};
use crate::training::run::find_bundle;
use crate::training::run_dir::write_atomic;

/// The largest JSON lines input that is held in memory.
const MAX_JSON_LINES: u64 = 4 << 30;

pub fn run(args: &PredictArgs, context: &Context) -> std::result::Result<(), Failure> {
    let folder = find_bundle(&OutputConfig::default(), args.bundle.as_deref())?;
    let scorer = Scorer::new(Bundle::load(&folder).map_err(Error::from)?).map_err(Error::from)?;
    let wanted = args.reasons.map(|n| WantedReasons { n: usize::from(n), by: args.reasons_by.into() });
    let explainer = wanted.map(|wanted| Explainer::new(&scorer, wanted)).transpose()?;
    let progress = context.progress()?;
    let inputs: Vec<&Path> = args.input.iter().map(|path| path.as_path()).collect();
    let rows = match &inputs[..] {
        [only] if is_json_lines(only) => {
            let (text, name) = (read_text(only)?, only.display().to_string());
            Scored::Answers(predict_json_lines(&scorer, explainer.as_ref(), &text, &name)?)
        }
        files => Scored::Rows(predict_csv(&scorer, explainer.as_ref(), files, &progress)?),
    };
    // The output's name decides its format; without one, what came in.
    let as_json_lines = args.output.as_deref().map_or(matches!(rows, Scored::Answers(_)), is_json_lines);
    if args.output.is_none() && context.printer.json {
        let rows = match rows {
            Scored::Answers(answers) => answers.iter().map(ScoredRow::from).collect(),
            Scored::Rows(rows) => rows,
        };
        return Ok(context.printer.document(&serde_json::json!({ "rows": rows }))?);
    }
    let scored = match (rows, as_json_lines) {
        (Scored::Answers(answers), true) => to_json_lines(&answers),
        (Scored::Answers(answers), false) => {
            to_csv(&answers.iter().map(ScoredRow::from).collect::<Vec<_>>(), explainer.is_some())
        }
        (Scored::Rows(rows), false) => to_csv(&rows, explainer.is_some()),
        (Scored::Rows(rows), true) => to_json_lines(&rows),
    };
    match &args.output {
        Some(path) => {
            write_scores(path, scored.as_bytes())?;
            context.printer.document(&serde_json::json!({ "written": path }))?;
            context.printer.confirm(&format!("wrote `{}`", path.display()))?;
        }
        None => context.printer.data(scored.as_bytes())?,
    }
    Ok(())
}

/// A file appears whole; a pipe or a device is written as it is.
fn write_scores(path: &Path, bytes: &[u8]) -> Result<()> {
    match path.metadata() {
        Ok(special) if !special.is_file() && !special.is_dir() => std::fs::OpenOptions::new()
            .write(true)
            .open(path)
            .and_then(|mut file| std::io::Write::write_all(&mut file, bytes))
            .map_err(|error| io_error(path, &error)),
        _ => write_atomic(path, bytes),
    }
}

enum Scored {
    Rows(Vec<ScoredRow>),
    Answers(Vec<Answer>),
}

/// `-` is standard input, which carries JSON lines.
fn is_json_lines(path: &Path) -> bool {
    path == Path::new("-") || path.extension().is_some_and(|extension| extension == "jsonl" || extension == "ndjson")
}

fn read_text(path: &Path) -> Result<String> {
    let mut text = String::new();
    let read = match path == Path::new("-") {
        true => std::io::stdin().take(MAX_JSON_LINES).read_to_string(&mut text),
        false => std::fs::File::open(path).and_then(|file| file.take(MAX_JSON_LINES).read_to_string(&mut text)),
    };
    read.map_err(|error| Error { kind: crate::training::error::ErrorKind::Permanent, ..io_error(path, &error) })?;
    Ok(text)
}

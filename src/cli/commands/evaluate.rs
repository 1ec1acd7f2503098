//! `fraudml evaluate`: the figures of a finished run, of several side by side, and a gate for a pipeline.

use super::{Context, table_width};
use crate::cli::args::{EvaluateArgs, Gate};
use crate::cli::diagnostics::Failure;
use crate::training::config::OutputConfig;
use crate::training::error::{Error, Result};
use crate::training::report::RunReport;
use crate::training::run::Run;
use crate::training::{pipeline, report};

pub fn run(args: &EvaluateArgs, context: &Context) -> std::result::Result<(), Failure> {
    if !args.compare.is_empty() {
        return Ok(compare(args, context)?);
    }
    let run = Run::find(&OutputConfig::default(), args.run.as_deref())?;
    let (folder, evaluated) = pipeline::evaluate(&run)?;
    // With `--json` one document is all that is said: the figures, or the gate that was missed.
    let passed = gates(&args.fail_under, &evaluated);
    if context.printer.json {
        passed.clone()?;
    }
    context.printer.document(&evaluated)?;
    context.printer.result(&report::terminal(&evaluated, table_width()))?;
    context.printer.confirm(&format!("report  {}", folder.display()))?;
    Ok(passed?)
}

fn compare(args: &EvaluateArgs, context: &Context) -> Result<()> {
    let find = |name: &String| Run::find(&OutputConfig::default(), Some(name));
    let runs = args.compare.iter().map(find).collect::<Result<Vec<Run>>>()?;
    let (folder, evaluated) = pipeline::compare(&runs)?;
    let passed = evaluated.iter().try_for_each(|evaluated| gates(&args.fail_under, evaluated));
    if context.printer.json {
        passed.clone()?;
    }
    context.printer.document(&evaluated)?;
    context.printer.result(&report::compare_terminal(&evaluated, table_width()))?;
    context.printer.confirm(&format!("report  {}", folder.display()))?;
    passed
}

/// Every gate holds for the winner's figures on the test rows.
fn gates(gates: &[Gate], evaluated: &RunReport) -> Result<()> {
    let figures = evaluated.gated();
    let mut missed = Vec::new();
    for Gate { metric, least } in gates {
        let Some((_, found)) = figures.iter().find(|(name, _)| name == metric) else {
            let known: Vec<String> = figures.iter().map(|(name, _)| format!("`{name}`")).collect();
            return Err(Error::permanent(format!("`--fail-under`: unknown metric `{metric}`"))
                .hint(format!("known: {}", known.join(", "))));
        };
        match found {
            Some(found) if found >= least => {}
            Some(found) => missed.push(format!("`{metric}` is {found}, expected at least {least}")),
            None => missed.push(format!("`{metric}` is not defined, expected at least {least}")),
        }
    }
    if missed.is_empty() {
        return Ok(());
    }
    Err(Error::missed(format!("run `{}`: {}", evaluated.run_id, missed.join("; ")))
        .hint("the figures are those of the winner on its test rows; the report shows their intervals"))
}

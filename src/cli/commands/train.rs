//! `fraudml train`: the whole offline phase.

use serde_json::json;

use super::{Context, load, table_width};
use crate::cli::args::TrainArgs;
use crate::cli::config::show;
use crate::cli::diagnostics::Failure;
use crate::training::pipeline::{self, Trained};
use crate::training::{explore, report};

pub fn run(args: &TrainArgs, context: &Context) -> Result<(), Failure> {
    let mut config = args.config.clone();
    config.set.extend(args.memory_budget.as_ref().map(|budget| format!("limits.memory_budget={budget}")));
    let mut loaded = load(&config)?;
    if let Some(device) = args.device {
        loaded.config.train_on(device.into());
    }
    let progress = context.progress()?;
    let trained = pipeline::train(&loaded.config, &show::yaml(&loaded.config, None), &progress)?;
    say(&trained, context)
}

/// The data, the figures, and where everything lies.
pub(super) fn say(trained: &Trained, context: &Context) -> Result<(), Failure> {
    context.printer.document(&json!({
        "run": trained.run.file.run_id,
        "bundle": trained.run.file.bundle,
        "reports": trained.reports,
        "selection": trained.report.selection,
        "calibration": trained.report.calibration.method,
        "operating_point": trained.report.operating_point,
        "leaderboard": trained.report.leaderboard,
    }))?;
    context.printer.result(&explore::terminal_table(&trained.eda))?;
    context.printer.result(&report::terminal(&trained.report, table_width()))?;
    let lines = [
        ("run", trained.run.folder.display()),
        ("report", trained.reports.display()),
        ("bundle", trained.bundle.display()),
    ];
    for (what, path) in lines {
        context.printer.confirm(&format!("{what:<8}{path}"))?;
    }
    Ok(())
}

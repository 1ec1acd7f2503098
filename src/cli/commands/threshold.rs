//! `fraudml threshold`: another operating point for a finished run, as `policy.json` of its bundle.

use serde_json::json;

use super::Context;
use crate::cli::args::ThresholdArgs;
use crate::cli::diagnostics::Failure;
use crate::scoring::bundle::{Bundle, POLICY};
use crate::scoring::scorer::Scorer;
use crate::training::config::{CostMatrix, OutputConfig, ThresholdPolicy};
use crate::training::error::{Error, Result};
use crate::training::run::Run;
use crate::training::run_dir::write_atomic;
use crate::training::{pipeline, report};

pub fn run(args: &ThresholdArgs, context: &Context) -> std::result::Result<(), Failure> {
    let run = Run::find(&OutputConfig::default(), args.run.as_deref())?;
    let (bundle, policy, estimates) = pipeline::replan(&run, policy(args, &run)?)?;
    let path = args.out.clone().unwrap_or_else(|| bundle.join(POLICY));
    write_atomic(&path, &policy.to_bytes())?;
    if args.out.is_none() {
        // The bundle takes it up, or it is not left there.
        if let Err(error) = Bundle::load(&bundle).and_then(Scorer::new) {
            let _ = std::fs::remove_file(&path);
            return Err(Error::from(error).into());
        }
    }
    context.printer.document(&json!({ "policy": policy, "file": path, "test": estimates }))?;
    context.printer.result(&report::point_text(&policy, &estimates))?;
    context.printer.confirm(&format!("policy  {}", path.display()))?;
    Ok(())
}

/// The one that was given; the command line sees to it that there is one.
fn policy(args: &ThresholdArgs, run: &Run) -> Result<ThresholdPolicy> {
    let cost = args.cost.map(|given| {
        let usual = match run.file.threshold {
            ThresholdPolicy::Cost(costs) => costs,
            _ => run.file.evaluate.costs,
        };
        ThresholdPolicy::Cost(CostMatrix {
            missed_share: given.missed_share.unwrap_or(usual.missed_share),
            review: given.review.unwrap_or(usual.review),
            friction: given.friction.unwrap_or(usual.friction),
        })
    });
    let policies = [
        args.max_fpr.map(ThresholdPolicy::MaxFpr),
        args.alerts_per_day.map(ThresholdPolicy::AlertsPerDay),
        args.min_precision.map(ThresholdPolicy::MinPrecision),
        cost,
        args.f_beta.map(ThresholdPolicy::FBeta),
        args.value.map(ThresholdPolicy::Value),
    ];
    policies.into_iter().flatten().next().ok_or_else(|| Error::permanent("no policy is given"))
}

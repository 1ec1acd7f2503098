//! Every file of `reports/<run-id>/`, by name.

use std::collections::BTreeMap;

use super::{LossCurve, RunReport, plots, report_html, report_json, report_md, table1_csv, table1_json, table1_md};
use crate::training::error::Result;

pub fn files(report: &RunReport, losses: &[LossCurve]) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = plots(report, losses)?;
    let texts = [
        ("report.html", report_html(report, &files)),
        ("report.md", report_md(report)),
        ("report.json", report_json(report)?),
        ("table1.csv", table1_csv(&report.leaderboard)?),
        ("table1.md", table1_md(report)),
        ("table1.json", table1_json(&report.leaderboard)?),
    ];
    files.extend(texts.map(|(name, text)| (name.to_owned(), text.into_bytes())));
    Ok(files)
}

//! Every file of `reports/<run-id>/`, by name.

use std::collections::BTreeMap;

use super::table1::{csv_error, finish, number};
use super::{
    LossCurve, RunReport, model_card, plots, report_html, report_json, report_md, table1_csv, table1_json, table1_md,
};
use crate::training::cells::Timing;
use crate::training::error::Result;

pub fn files(report: &RunReport, losses: &[LossCurve]) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = plots(report, losses)?;
    let texts = [
        ("report.html", report_html(report, losses, &files)),
        ("report.md", report_md(report, &files)),
        ("model_card.md", model_card(report)),
        ("report.json", report_json(report)?),
        ("table1.csv", table1_csv(&report.leaderboard)?),
        ("table1.md", table1_md(report)),
        ("table1.json", table1_json(&report.leaderboard)?),
    ];
    files.extend(texts.map(|(name, text)| (name.to_owned(), text.into_bytes())));
    Ok(files)
}

/// `times.csv`: apart from the report, whose bytes are the same whenever it is made.
pub fn times_csv(timings: &[Timing]) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["cell", "seconds", "row_microseconds", "peak_mb"]).map_err(csv_error)?;
    for timing in timings {
        let figures = [Some(timing.seconds), timing.row_microseconds, timing.peak_mb].map(number);
        writer.write_record(std::iter::once(timing.cell.clone()).chain(figures)).map_err(csv_error)?;
    }
    finish(writer)
}

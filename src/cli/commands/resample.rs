//! `fraudml resample`: what a case does to the training rows, row by row.

use std::io::{BufWriter, Write};

use serde_json::json;

use super::{Context, io_error, load};
use crate::cli::args::ResampleArgs;
use crate::cli::diagnostics::Failure;
use crate::training::error::{Error, Result};
use crate::training::evaluate::ResamplingReport;
use crate::training::pipeline;
use crate::training::resampled::{ResampledRows, Wanted};
use crate::training::run_dir::AtomicFile;
use crate::training::table_file::{write_resampled_csv, write_resampled_parquet};

pub fn run(args: &ResampleArgs, context: &Context) -> std::result::Result<(), Failure> {
    let format = Format::of(args)?;
    let loaded = load(&args.config)?;
    if args.out.symlink_metadata().is_ok() {
        // It may be what is resampled.
        let exists = Error::permanent(format!("`{}` exists already", args.out.display()));
        return Err(exists.hint("name another file; nothing is overwritten").into());
    }
    // Proves that the folder can be written before the long work.
    let mut file = AtomicFile::create(&args.out)?;
    let progress = context.progress()?;
    let wanted = Wanted { case: args.case.clone(), protocol: args.protocol.map(Into::into), fold: args.fold };
    let rows = pipeline::resample(&loaded.config, &wanted, &progress)?;
    let mut writer = BufWriter::with_capacity(1 << 20, file.writer());
    match format {
        Format::Csv => write_resampled_csv(&rows, &mut writer)?,
        Format::Parquet => write_resampled_parquet(&rows, &mut writer)?,
    }
    writer.flush().map_err(|error| io_error(&args.out, &error))?;
    drop(writer);
    file.publish()?;
    let report = &rows.resampled.report;
    context.printer.document(&json!({
        "case": rows.case, "protocol": rows.protocol, "part": rows.part.to_string(),
        "resampling": report, "written": args.out,
    }))?;
    context.printer.result(&summary(&rows, report))?;
    context.printer.confirm(&format!("wrote {} rows to `{}`", rows.n_rows(), args.out.display()))?;
    Ok(())
}

enum Format {
    Csv,
    Parquet,
}

impl Format {
    fn of(args: &ResampleArgs) -> Result<Format> {
        match args.out.extension().and_then(|extension| extension.to_str()) {
            Some("csv") => Ok(Format::Csv),
            Some("parquet") => Ok(Format::Parquet),
            _ => Err(Error::permanent(format!(
                "`{}`: expected a name that ends in .parquet or .csv",
                args.out.display()
            ))
            .hint("the extension decides the format")),
        }
    }
}

fn summary(rows: &ResampledRows, report: &ResamplingReport) -> String {
    let mut lines = vec![
        format!("case {}, {} protocol, {}", rows.case, rows.protocol.as_str(), rows.part),
        format!("rows      {} -> {}", report.rows_before, report.rows_after),
        format!("minority  {:.3} % -> {:.3} %", 100.0 * report.share_before, 100.0 * report.share_after),
    ];
    if report.duplicates > 0 {
        lines.push(format!("duplicates {}", report.duplicates));
    }
    if let Some(k) = report.neighbors {
        lines.push(format!("synthetic {}, each between a row and one of its {k} nearest", report.synthetic));
    }
    if let Some(closeness) = &report.closeness {
        let [least, _, median, _] = closeness.quantiles;
        lines.push(format!(
            "nearest majority row: distance {least:.4} at least, {median:.4} in the middle; nearest of all for {:.2} %",
            100.0 * closeness.nearest_is_majority
        ));
    }
    if report.links > 0 || report.removed_majority > 0 {
        let removed = report.removed_majority + report.removed_minority;
        lines.push(format!("Tomek links {}, rows taken away {removed}", report.links));
    }
    lines.join("\n")
}

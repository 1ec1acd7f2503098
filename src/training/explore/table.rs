//! The profile as lines for a terminal: balance, the most telling columns, gaps, weeks. At most 100 columns wide.

use std::fmt::Write;

use super::{ColumnProfile, Eda, ValueProfile, WeekProfile};

const TELLING: usize = 15;
const NAME_WIDTH: usize = 24;
const BAR_WIDTH: usize = 30;
/// Upper ends of the bands of missing rates, and what they are called.
const BANDS: [(f64, &str); 6] = [
    (0.0, "none"),
    (0.05, "up to 5 %"),
    (0.25, "up to 25 %"),
    (0.5, "up to 50 %"),
    (0.95, "up to 95 %"),
    (1.0, "over 95 %"),
];

/// Summary, the most telling columns, bands of missing rates, rows and fraud rates by week.
pub fn terminal_table(eda: &Eda) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_summary(&mut out, eda);
    let _ = write_telling(&mut out, eda);
    let _ = write_bands(&mut out, eda);
    if let Some(weeks) = &eda.weeks {
        let _ = write_weeks(&mut out, weeks);
    }
    out
}

fn write_summary(out: &mut String, eda: &Eda) -> std::fmt::Result {
    let share = percent(eda.positive_share);
    writeln!(out, "{} rows, {} frauds ({share})", eda.rows, eda.positives)?;
    writeln!(
        out,
        "{} columns: {} numeric, {} categorical",
        eda.columns.len(),
        eda.numeric_columns,
        eda.categorical_columns
    )
}

fn write_telling(out: &mut String, eda: &Eda) -> std::fmt::Result {
    let distance = |column: &ColumnProfile| column.auc.map_or(-1.0, |auc| (auc - 0.5).abs());
    let mut columns: Vec<&ColumnProfile> = eda.columns.iter().filter(|column| column.auc.is_some()).collect();
    // A stable sort: equally telling columns stay in the order of the file.
    columns.sort_by(|a, b| distance(b).total_cmp(&distance(a)));
    writeln!(out, "\nmost telling columns, each alone (in-sample; levels ordered by their own fraud rate)")?;
    writeln!(
        out,
        "{:<NAME_WIDTH$} {:<11} {:>6} {:>8} {:>8} {:>14} {:>14}",
        "column", "kind", "AUC", "missing", "distinct", "fraud missing", "fraud present"
    )?;
    for column in columns.into_iter().take(TELLING) {
        let kind = match column.values {
            ValueProfile::Numeric(_) => "numeric",
            ValueProfile::Categorical(_) => "categorical",
        };
        writeln!(
            out,
            "{:<NAME_WIDTH$} {kind:<11} {:>6} {:>8} {:>8} {:>14} {:>14}",
            shortened(&column.name),
            column.auc.map_or("-".into(), |auc| format!("{auc:.3}")),
            percent(column.missing_rate),
            column.distinct,
            percent(column.fraud_rate_missing),
            percent(column.fraud_rate_present),
        )?;
    }
    Ok(())
}

fn write_bands(out: &mut String, eda: &Eda) -> std::fmt::Result {
    writeln!(out, "\nmissing values")?;
    let mut floor = -1.0;
    for (ceiling, name) in BANDS {
        let within = |column: &&ColumnProfile| column.missing_rate.is_some_and(|rate| floor < rate && rate <= ceiling);
        writeln!(out, "{name:<NAME_WIDTH$} {:>5} columns", eda.columns.iter().filter(within).count())?;
        floor = ceiling;
    }
    Ok(())
}

fn write_weeks(out: &mut String, weeks: &[WeekProfile]) -> std::fmt::Result {
    /// A year; longer spans are told by `eda.json`.
    const MOST: usize = 53;
    writeln!(out, "\n{:>6} {:>9} {:>8} {:>8}", "week", "rows", "frauds", "share")?;
    let highest = weeks.iter().filter_map(fraud_rate).fold(0.0, f64::max);
    for week in weeks.iter().take(MOST) {
        let rate = fraud_rate(week);
        let bar = rate.map_or(0.0, |rate| BAR_WIDTH as f64 * rate / highest.max(f64::MIN_POSITIVE)).round() as usize;
        let line =
            format!("{:>6} {:>9} {:>8} {:>8} {}", week.week, week.rows, week.positives, percent(rate), "#".repeat(bar));
        writeln!(out, "{}", line.trim_end())?;
    }
    if weeks.len() > MOST {
        writeln!(out, "and {} more weeks", weeks.len() - MOST)?;
    }
    Ok(())
}

fn fraud_rate(week: &WeekProfile) -> Option<f64> {
    super::share(week.positives, week.rows)
}

fn percent(share: Option<f64>) -> String {
    share.map_or("-".into(), |share| format!("{:.2} %", 100.0 * share))
}

/// The name, cut to the width of its column.
fn shortened(name: &str) -> String {
    if name.chars().count() <= NAME_WIDTH {
        return name.into();
    }
    name.chars().take(NAME_WIDTH - 2).chain("..".chars()).collect()
}

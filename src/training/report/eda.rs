//! `eda.html`: one static page about the data; no script, no network, no row of it.
//!
//! In: the profile of [`crate::training::explore`]. Out: under 2 MB for 434 columns: distributions are small drawings of
//! rectangles. Every text is escaped and cut: a level may be 10 MB long.

use std::fmt::Write as _;

use super::html::{STYLE, blocks};
use super::table::{Block, Table, count, figure, html, percent};
use crate::training::explore::{ColumnBins, ColumnProfile, CorrelationMap, Detail, Drift, ValueProfile, WeekProfile};

const LONGEST: usize = 40;
const MOST_DRIFTING: usize = 40;
const MOST_GROUPS: usize = 60;
const MOST_CARDS: usize = 1500;

/// A level or a range as it may stand on the page.
fn brief(text: &str) -> String {
    let mut shown: String = text.chars().take(LONGEST).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push_str("..");
    }
    html(&shown)
}

pub fn eda_html(name: &str, detail: &Detail) -> String {
    let sections = [
        ("balance", "Target balance", balance(detail)),
        ("time", "Rows and frauds over time", detail.eda.weeks.as_deref().map_or_else(no_time, weeks)),
        ("leaks", "Leak radar", leaks(detail)),
        ("drift", "Drift, early against late rows", detail.drift.as_ref().map_or_else(no_time, drift)),
        ("missing", "Missing cells", missing(detail)),
        ("correlation", "Correlation", correlation(detail)),
        ("columns", "Columns", columns(detail)),
    ];
    let contents: String =
        sections.iter().map(|(id, title, _)| format!("<a href=\"#{id}\">{}</a>\n", html(title))).collect();
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{title}: data</title>\n<style>{STYLE}{MORE_STYLE}</style>\n</head>\n<body>\n<main>\n\
         <header>\n<p class=\"kicker\">fraudml eda</p>\n<h1>{title}</h1>\n{}</header>\n<nav>{contents}</nav>\n",
        tiles(detail),
        title = html(name)
    );
    for (id, title, body) in sections {
        let _ = write!(page, "<section id=\"{id}\">\n<h2>{}</h2>\n{body}</section>\n", html(title));
    }
    page + "</main>\n</body>\n</html>\n"
}

fn no_time() -> String {
    text("No time column is declared (`data.time`).")
}

fn text(paragraph: &str) -> String {
    blocks(&[Block::Text(paragraph.to_owned())])
}

fn tiles(detail: &Detail) -> String {
    let eda = &detail.eda;
    let tile = |value: String, label: &str| {
        format!("<div class=\"tile\"><b>{}</b><span>{}</span></div>\n", html(&value), html(label))
    };
    let auc = detail.drift.as_ref().and_then(|drift| drift.adversarial_auc);
    format!(
        "<div class=\"tiles\">\n{}{}{}{}</div>\n",
        tile(eda.rows.to_string(), "rows"),
        tile(eda.columns.len().to_string(), &format!("columns, {} of them numeric", eda.numeric_columns)),
        tile(format!("{} %", percent(eda.positive_share)), "of the rows are fraud"),
        tile(figure(auc), "AUC of telling late rows from early ones")
    )
}

fn balance(detail: &Detail) -> String {
    let eda = &detail.eda;
    let negatives = eda.rows - eda.positives;
    text(&format!(
        "{} frauds and {negatives} other rows: {} %, one in {:.0}.",
        eda.positives,
        percent(eda.positive_share),
        eda.rows as f64 / eda.positives.max(1) as f64
    ))
}

/// Bars for rows, a line of points for rates; heights are shares of the largest.
fn bars(bins: &[(usize, Option<f64>)], width: usize, height: usize) -> String {
    let most_rows = bins.iter().map(|(rows, _)| *rows).max().unwrap_or(0).max(1) as f64;
    let most_rate = bins.iter().filter_map(|(_, rate)| *rate).fold(1e-12, f64::max);
    let step = width as f64 / bins.len().max(1) as f64;
    let mut drawing = format!("<svg viewBox=\"0 0 {width} {height}\">");
    let mut points = String::new();
    for (at, (rows, rate)) in bins.iter().enumerate() {
        let tall = *rows as f64 / most_rows * (height as f64 - 1.0);
        let (x, y) = (at as f64 * step, height as f64 - tall);
        let _ = write!(drawing, "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{tall:.1}\"/>", step * 0.8);
        if let Some(rate) = rate {
            let y = (height as f64 - 2.0) * (1.0 - rate / most_rate) + 1.0;
            let _ = write!(points, "{:.1},{y:.1} ", x + step * 0.4);
        }
    }
    let _ = write!(drawing, "<polyline points=\"{}\"/></svg>", points.trim_end());
    drawing
}

fn rate(rows: usize, positives: usize) -> Option<f64> {
    (rows > 0).then(|| positives as f64 / rows as f64)
}

fn weeks(weeks: &[WeekProfile]) -> String {
    let bins: Vec<_> = weeks.iter().take(520).map(|week| (week.rows, rate(week.rows, week.positives))).collect();
    let rates = || bins.iter().filter_map(|(_, rate)| *rate);
    let (low, high) = (rates().fold(f64::INFINITY, f64::min), rates().fold(0.0, f64::max));
    let range = format!(
        "{} weeks; the rate of fraud of a week lies between {} % and {} %. Bars: rows, line: rate.",
        weeks.len(),
        percent(Some(low).filter(|low| low.is_finite())),
        percent(Some(high))
    );
    format!("{}<div class=\"wide\">{}</div>\n", text(&range), bars(&bins, 900, 140))
}

fn leaks(detail: &Detail) -> String {
    let leaks = &detail.leaks;
    let named = |names: &[String]| match names {
        [] => "none".to_owned(),
        names => names.iter().take(50).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    };
    let mut telling = Table::new(&["column", "AUC by itself"], 1);
    telling.rows = leaks.telling.iter().map(|(name, auc)| vec![name.clone(), format!("{auc:.4}")]).collect();
    blocks(&[
        Block::List(vec![
            format!(
                "Columns that nearly are the target (AUC of 0.99 and more, 0.01 and less): {}.",
                named(&leaks.target_copies)
            ),
            format!("Columns with a value of its own in nearly every row, as ids have: {}.", named(&leaks.id_like)),
            format!(
                "Of the last {} rows, {} stand among the earlier ones, cell for cell.",
                leaks.late_rows, leaks.duplicates
            ),
        ]),
        Block::Heading("The most telling columns".into()),
        Block::Table(telling),
    ])
}

fn drift(drift: &Drift) -> String {
    let mut columns = Table::new(&["column", "PSI", "KS"], 1);
    let row = |column: &crate::training::explore::ColumnDrift| {
        vec![column.name.clone(), format!("{:.4}", column.psi), column.ks.map_or("-".into(), |ks| format!("{ks:.4}"))]
    };
    columns.rows = drift.columns.iter().take(MOST_DRIFTING).map(row).collect();
    let mut drivers = Table::new(&["column", "share"], 1);
    drivers.rows = drift.drivers.iter().map(|(name, share)| vec![name.clone(), format!("{share:.4}")]).collect();
    let shifted = drift.columns.iter().filter(|column| column.psi > 0.25).count();
    blocks(&[
        Block::Text(format!(
            "The first {} rows against the last {}. A forest tells them apart with an AUC of {} on rows it has not seen \
             (0.5: not at all). {shifted} columns have a population stability index above 0.25.",
            drift.early_rows,
            drift.late_rows,
            figure(drift.adversarial_auc)
        )),
        Block::Heading("What the forest goes by".into()),
        Block::Table(drivers),
        Block::Heading("Columns by stability index".into()),
        Block::Table(columns),
    ])
}

fn missing(detail: &Detail) -> String {
    let groups = &detail.missing_groups;
    let rows = detail.eda.rows.max(1);
    let mut body = text(&format!(
        "{} of {} columns have gaps, in {} groups that miss the very same rows.",
        groups.iter().map(|group| group.columns.len()).sum::<usize>(),
        detail.eda.columns.len(),
        groups.len()
    ));
    body += "<table class=\"map\"><tbody>\n";
    for group in groups.iter().take(MOST_GROUPS) {
        let share = group.missing as f64 / rows as f64;
        let names: Vec<String> = group.columns.iter().take(12).map(|name| brief(name)).collect();
        let more = group.columns.len().saturating_sub(12);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let _ = writeln!(
            body,
            "<tr><td class=\"n\">{:.1} %</td><td><i style=\"width:{:.0}px\"></i></td><td>{} columns: {}{more}</td></tr>",
            share * 100.0,
            share * 160.0,
            group.columns.len(),
            names.join(", ")
        );
    }
    body + "</tbody></table>\n"
}

fn correlation(detail: &Detail) -> String {
    let found = &detail.correlations;
    let mut table = Table::new(&["column", "and", "r"], 2);
    let row = |(a, b, r): &(String, String, f64)| vec![a.clone(), b.clone(), format!("{r:.4}")];
    table.rows = found.largest.iter().map(row).collect();
    let pairs = blocks(&[
        Block::Text(format!(
            "{} of {} pairs of numeric columns correlate by more than 0.95 (over {} rows; missing cells count as the mean).",
            count(found.pairs_above_95),
            count(found.pairs),
            count(found.rows)
        )),
        Block::Table(table),
    ]);
    let legend = format!(
        "The {} numeric columns that tell most by themselves, those that correlate side by side. A square is the \
         correlation of the columns whose names end its row and its column: the fuller the colour, the larger.",
        found.map.columns.len()
    );
    let key =
        "<p class=\"key\"><i class=\"p\"></i> rise together <i class=\"n\"></i> one falls as the other rises</p>\n";
    format!("{}{key}{}{pairs}", text(&legend), heat_map(&found.map))
}

/// The lower triangle, each name right of its square on the diagonal.
fn heat_map(map: &CorrelationMap) -> String {
    const SIDE: usize = 16;
    const NAME: usize = 260;
    let n = map.columns.len() * SIDE;
    let mut drawing = format!(
        "<div class=\"heat\" tabindex=\"0\" role=\"group\" aria-label=\"correlations\"><svg viewBox=\"0 0 {} {n}\">",
        n + NAME
    );
    for (row, (name, with_earlier)) in map.columns.iter().zip(&map.r).enumerate() {
        let (side, y) = (SIDE - 1, row * SIDE);
        for (column, r) in with_earlier.iter().enumerate().filter(|(_, r)| r.abs() >= 0.005) {
            let _ = write!(
                drawing,
                "<path class=\"{}\" fill-opacity=\"{:.2}\" d=\"M{} {y}h{side}v{side}h-{side}z\"><title>{}, {}: {r:.3}</title></path>",
                if *r > 0.0 { "p" } else { "n" },
                r.abs(),
                column * SIDE,
                brief(name),
                brief(&map.columns[column]),
            );
        }
        let _ = write!(drawing, "<path d=\"M{y} {y}h{side}v{side}h-{side}z\"/>");
        let _ = write!(drawing, "<text x=\"{}\" y=\"{}\">{}</text>", y + SIDE + 4, y + 12, brief(name));
    }
    drawing + "</svg></div>\n"
}

fn columns(detail: &Detail) -> String {
    let (shown, all) = (detail.eda.columns.len().min(MOST_CARDS), detail.eda.columns.len());
    let which =
        if shown < all { format!(" The first {shown} of {all} columns; `eda.json` has all.") } else { String::new() };
    let mut body =
        text(&format!("Bars: rows in bins of about equal size or by level; line: rate of fraud along them.{which}"));
    body += "<div class=\"cards\">\n";
    for (column, bins) in detail.eda.columns.iter().zip(&detail.bins).take(shown) {
        body += &card(column, bins, detail.eda.rows);
    }
    body + "</div>\n"
}

fn card(column: &ColumnProfile, bins: &ColumnBins, rows: usize) -> String {
    let facts = match &column.values {
        ValueProfile::Numeric(values) => {
            let number = |value: Option<f64>| value.map_or("-".to_owned(), short);
            format!("{} to {}, median {}", number(values.min), number(values.max), number(values.median))
        }
        ValueProfile::Categorical(values) => {
            let most = values.top.first().map_or(String::new(), |top| format!(", most often {}", brief(&top.level)));
            format!("{} levels{most}", values.levels)
        }
    };
    let missing = column.missing as f64 / rows.max(1) as f64 * 100.0;
    let drawn: Vec<_> = bins.bins.iter().map(|bin| (bin.rows, rate(bin.rows, bin.positives))).collect();
    let rates = || drawn.iter().filter_map(|(_, rate)| *rate);
    let (low, high) = (rates().fold(f64::INFINITY, f64::min), rates().fold(0.0, f64::max));
    let span =
        if low.is_finite() { format!("{:.1} to {:.1} % fraud", low * 100.0, high * 100.0) } else { String::new() };
    format!(
        "<div class=\"card\"><b>{}</b> {}<p>{facts}; {missing:.1} % missing; AUC {}; {span}</p></div>\n",
        brief(&column.name),
        bars(&drawn, 120, 34),
        figure(column.auc)
    )
}

/// Four digits are enough to look at.
fn short(number: f64) -> String {
    let plain = format!("{number}");
    if plain.len() <= 8 { plain } else { format!("{number:.3e}") }
}

const MORE_STYLE: &str = "
:root{--falls:#b3541e}@media(prefers-color-scheme:dark){:root{--falls:#f0a35e}}
.heat{overflow-x:auto}.heat svg{min-width:640px;width:100%;height:auto}.heat path{fill:var(--line)}
.heat text{fill:var(--ink);font-size:11px}.heat .p,.key .p{fill:var(--accent);background:var(--accent)}
.heat .n,.key .n{fill:var(--falls);background:var(--falls)}.key{font-size:.82rem;color:var(--soft)}
.key i{display:inline-block;width:.8rem;height:.8rem;margin:0 .3rem 0 .8rem;vertical-align:-.1rem}
svg rect{fill:var(--line)}svg polyline{fill:none;stroke:var(--accent);stroke-width:1.5}
.wide svg{width:100%;height:auto}
.map td{white-space:normal;border:0;padding:.15rem .6rem}.map i{display:block;height:.7rem;background:var(--accent)}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(210px,1fr));gap:.6rem}
.card{border:1px solid var(--line);border-radius:8px;padding:.5rem .7rem;font-size:.8rem;overflow-wrap:anywhere}
.card svg{width:100%;height:34px}.card p{margin:.3rem 0 0;color:var(--soft)}
";

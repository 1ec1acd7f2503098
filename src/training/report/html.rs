//! `report.html`: one static page with its plots inline; no script, no network, light and dark.
//!
//! In: the report and the plots of [`super::plots`]. Out: under 1 MB for the full grid. Every text is escaped.

use std::collections::BTreeMap;

use super::RunReport;
use super::calibration;
use super::importance;
use super::plots::TITLES;
use super::sections;
use super::table::{Block, Section, figure, html, percent};

/// The plot that stands in the section of the same name, not among the others.
const IMPORTANCE: &str = "importance";

pub fn report_html(report: &RunReport, plots: &BTreeMap<String, Vec<u8>>) -> String {
    let sections = [
        sections::selection(report),
        sections::table1(report),
        sections::cells(report),
        sections::optimism(report),
        calibration::section(report),
        sections::operating_point(report),
        sections::resampling(report),
        importance::section(report),
    ];
    let title = html(&report.name);
    let contents: String =
        sections.iter().map(|section| format!("<a href=\"#{}\">{}</a>\n", section.id, html(short(section)))).collect();
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{title}: fraudml report</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <header>\n<p class=\"kicker\">fraudml report</p>\n<h1>{title}</h1>\n{}{}</header>\n\
         <nav>{contents}<a href=\"#plots\">Plots</a></nav>\n",
        tiles(report),
        blocks(&sections::headline(report).blocks)
    );
    for section in &sections {
        page += &format!(
            "<section id=\"{}\">\n<h2>{}</h2>\n{}{}</section>\n",
            section.id,
            html(&section.title),
            blocks(&section.blocks),
            if section.id == IMPORTANCE { figure_of(plots, IMPORTANCE, &section.title) } else { String::new() }
        );
    }
    page + &figures(plots) + "</main>\n</body>\n</html>\n"
}

/// The title up to its first comma or colon, for the table of contents.
fn short(section: &Section) -> &str {
    section.title.split([',', ':']).next().unwrap_or(&section.title)
}

/// The four figures that a reader looks for first.
fn tiles(report: &RunReport) -> String {
    let test = report.winner().map(|row| &row.test);
    let point = &report.operating_point.test;
    let tile = |value: String, label: &str| {
        format!("<div class=\"tile\"><b>{}</b><span>{}</span></div>\n", html(&value), html(label))
    };
    let winner = format!("{}, {}", report.selection.model, report.selection.case);
    let share = |value: Option<f64>| match percent(value).as_str() {
        "-" => "-".into(),
        text => format!("{text} %"),
    };
    format!(
        "<div class=\"tiles\">\n{}{}{}{}{}</div>\n",
        tile(winner, &format!("selected, {} protocol", report.selection.protocol)),
        tile(figure(test.and_then(|test| test.auc)), "AUC of scores, test rows"),
        tile(figure(test.and_then(|test| test.average_precision)), "average precision, test rows"),
        tile(share(point.recall), "of the fraud found at the threshold"),
        tile(share(point.precision), "of the alerts are fraud")
    )
}

pub(super) fn blocks(blocks: &[Block]) -> String {
    let mut text = String::new();
    for block in blocks {
        text += &match block {
            Block::Heading(heading) => format!("<h3>{}</h3>\n", html(heading)),
            Block::Text(paragraph) => format!("<p>{}</p>\n", html(paragraph)),
            Block::List(items) => {
                let items: String = items.iter().map(|item| format!("<li>{}</li>\n", html(item))).collect();
                format!("<ul>\n{items}</ul>\n")
            }
            Block::Table(table) => table.html(),
        };
    }
    text
}

fn figures(plots: &BTreeMap<String, Vec<u8>>) -> String {
    let mut text = String::from("<section id=\"plots\">\n<h2>Plots</h2>\n<div class=\"plots\">\n");
    for (name, title) in TITLES.into_iter().filter(|(name, _)| *name != IMPORTANCE) {
        text += &figure_of(plots, name, title);
    }
    text + "</div>\n</section>\n"
}

/// A plot, if there is one of this name.
fn figure_of(plots: &BTreeMap<String, Vec<u8>>, name: &str, title: &str) -> String {
    let Some(svg) = plots.get(&format!("{name}.svg")).and_then(|bytes| std::str::from_utf8(bytes).ok()) else {
        return String::new();
    };
    let class = if name.starts_with("fig3") || name == "confusion_matrix" { "half" } else { "full" };
    format!(
        "<figure id=\"plot-{name}\" class=\"{class}\">\n<div role=\"img\" aria-label=\"{}\">{svg}</div>\n\
         <figcaption>{}</figcaption>\n</figure>\n",
        html(title),
        html(title)
    )
}

pub(super) const STYLE: &str = "
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5b6675;--line:#dfe4ea;--page:#f6f7f9;--card:#fff;--mark:#e8f1fa;--accent:#0b5ea8}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaf0;--soft:#9aa6b5;--line:#323b47;--page:#14181e;--card:#1c222a;--mark:#1f3348;--accent:#6db3f2}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.55 system-ui,-apple-system,\"Segoe UI\",\"DejaVu Sans\",sans-serif}
main{max-width:1180px;margin:0 auto;padding:2.5rem 1.25rem 4rem}
.kicker{margin:0;color:var(--soft);font-size:.8rem;letter-spacing:.08em;text-transform:uppercase}
h1{margin:.1rem 0 1.2rem;font-size:2rem;line-height:1.2;overflow-wrap:anywhere}
h2{margin:0 0 .8rem;font-size:1.25rem}
h3{margin:1.4rem 0 .5rem;font-size:.95rem;color:var(--soft);font-weight:600}
p,ul{max-width:78ch;margin:.9rem 0 1rem;overflow-wrap:anywhere}
ul{padding-left:1.2rem}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(190px,1fr));gap:.8rem;margin-bottom:1.2rem}
.tile{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:.9rem 1rem}
.tile b{display:-webkit-box;-webkit-box-orient:vertical;-webkit-line-clamp:3;overflow:hidden;font-size:1.25rem;line-height:1.3;overflow-wrap:anywhere}
.tile span{color:var(--soft);font-size:.82rem}
nav{display:flex;flex-wrap:wrap;gap:.3rem 1.1rem;padding:.7rem 0;border-top:1px solid var(--line);border-bottom:1px solid var(--line);margin:1.4rem 0;font-size:.9rem}
a{color:var(--accent);text-decoration:none}a:hover{text-decoration:underline}
section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:1.3rem 1.4rem;margin:1.2rem 0}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.86rem;font-variant-numeric:tabular-nums}
th,td{padding:.32rem .6rem;text-align:left;border-bottom:1px solid var(--line);white-space:nowrap}
th{vertical-align:bottom;color:var(--soft);font-weight:600;font-size:.78rem;white-space:normal}
.n{text-align:right}
td:not(.n){max-width:18rem;overflow:hidden;text-overflow:ellipsis}
tbody tr:hover{background:var(--page)}
tr.winner,tr.winner:hover{background:var(--mark);font-weight:600}
.plots{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:1rem}
figure{margin:0;background:#fff;border:1px solid var(--line);border-radius:8px;padding:.5rem;color:#333}
figure.full{grid-column:1/-1}
figure svg{display:block;width:100%;height:auto}
figcaption{font-size:.82rem;color:#555;padding:.2rem .5rem}
@media(max-width:760px){.plots{grid-template-columns:minmax(0,1fr)}}
@media print{section,figure{break-inside:avoid}body{background:#fff}}
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::report::{fixture, plots};

    fn page_of(report: &RunReport) -> String {
        let drawings = plots::drawings(report, &fixture::losses());
        let svg = drawings.iter().map(|(name, drawing)| (format!("{name}.svg"), drawing.svg().unwrap()));
        report_html(report, &svg.collect())
    }

    #[test]
    fn one_small_static_page() {
        let page = page_of(&fixture::full());
        assert!(page.len() < 1_000_000, "{} bytes", page.len());
        let linked = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!linked.contains("http:") && !linked.contains("https:") && !linked.contains("<script"));
        let order = [
            "headline",
            "selection",
            "table1",
            "cells",
            "optimism",
            "calibration",
            "operating-point",
            "resampling",
            "plots",
        ];
        let places: Vec<usize> = order.iter().filter_map(|id| page.find(&format!("<section id=\"{id}\""))).collect();
        assert_eq!(places.len(), order.len() - 1, "the headline is the header");
        assert!(places.is_sorted());
        assert_eq!(page.matches("<svg").count(), 10);
    }

    #[test]
    fn the_plot_of_importance_stands_in_its_section() {
        let page = page_of(&fixture::forest());
        assert!(page.len() < 1_000_000, "{} bytes", page.len());
        let (_, section) = page.split_once("<section id=\"importance\">").unwrap();
        let (section, after) = section.split_once("</section>").unwrap();
        assert!(section.contains("<figure id=\"plot-importance\"") && !after.contains("plot-importance"));
        let ids: Vec<&str> = page.split(" id=\"").skip(1).filter_map(|text| text.split('"').next()).collect();
        let mut distinct = ids.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), ids.len(), "{ids:?}");
    }

    #[test]
    fn resampling_says_how_close_synthetic_rows_came_to_the_majority() {
        let page = page_of(&fixture::full());
        let (_, section) = page.split_once("<section id=\"resampling\">").unwrap();
        let (section, _) = section.split_once("</section>").unwrap();
        let cells =
            |texts: &[&str]| texts.iter().map(|text| format!("<td class=\"n\">{text}</td>")).collect::<String>();
        let heads = ["k", "to majority least", "to majority 5 %", "to majority 50 %", "to majority 95 %"];
        let heads = heads.iter().map(|text| format!("<th class=\"n\">{text}</th>")).collect::<String>();
        assert!(section.contains(&heads), "{section}");
        let measured = cells(&["5", "0.400", "2.250", "9.500", "31.000", "1.25"]);
        let unmeasured = cells(&["-"; 6]);
        // Six fits per protocol; models that were given the same rows share a line.
        assert_eq!(section.matches(&measured).count(), 12, "{section}");
        assert_eq!(section.matches(&unmeasured).count(), 36, "{section}");
        assert!(section.contains("nearest majority row, in the prepared space"));
    }

    #[test]
    fn hostile_names_stay_text() {
        let page = page_of(&fixture::hostile());
        assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("onload=\""));
        assert!(page.contains("&lt;script&gt;alert(1)"));
    }
}

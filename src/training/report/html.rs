//! `report.html`: one static page with its plots inline; no script, no network, light and dark.
//!
//! In: the report and the plots of [`super::plots`]. Out: under 1 MB for the full grid. Every text is escaped.

use std::collections::BTreeMap;

use super::contents::sections;
use super::headline::of_winner;
use super::plots::TITLES;
use super::table::{Block, Section, Table, figure_estimate, html, percent_estimate};
use super::{LossCurve, RunReport, figures};
use crate::training::evaluate::Estimate;

pub fn report_html(report: &RunReport, losses: &[LossCurve], plots: &BTreeMap<String, Vec<u8>>) -> String {
    let figures = |name: &str| figure_of(plots, name, figures::behind(report, losses, name));
    page(&report.name, "fraudml report", &tiles(report), &sections(report), &figures)
}

/// One page of sections; `figures` draws a plot by its name.
pub(super) fn page(
    title: &str,
    kicker: &str,
    above: &str,
    sections: &[Section],
    figures: &dyn Fn(&str) -> String,
) -> String {
    let title = html(title);
    let contents: String = sections
        .iter()
        .map(|section| format!("<li><a href=\"#{}\">{}</a></li>\n", section.id, html(short(section))))
        .collect();
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{title}: {kicker}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <header>\n<p class=\"kicker\">{kicker}</p>\n<h1>{title}</h1>\n{above}</header>\n\
         <nav aria-label=\"sections\">\n<ol>\n{contents}</ol>\n</nav>\n",
    );
    for section in sections {
        page += &format!(
            "<section id=\"{}\">\n<h2>{}</h2>\n{}</section>\n",
            section.id,
            html(&section.title),
            with_figures(&section.blocks, figures)
        );
    }
    page + "</main>\n</body>\n</html>\n"
}

/// The title up to its first comma or colon, for the table of contents.
fn short(section: &Section) -> &str {
    section.title.split([',', ':']).next().unwrap_or(&section.title)
}

/// The figures that a reader looks for first.
fn tiles(report: &RunReport) -> String {
    let point = &report.assessment.point;
    let tile = |value: String, label: &str| {
        format!("<div class=\"tile\"><b>{}</b><span>{}</span></div>\n", html(&value), html(label))
    };
    let chosen = &report.selection;
    let share = |estimate| match percent_estimate(estimate).as_str() {
        "-" => "-".into(),
        text => text.replacen(" (", " % (", 1) + if text.contains('(') { "" } else { " %" },
    };
    let or = |estimate: Estimate, value: Option<f64>| Estimate { value: estimate.value.or(value), ..estimate };
    let test = report.winner().map(|row| &row.test);
    let auc = or(of_winner(report, "auc"), test.and_then(|test| test.auc));
    let precision = or(of_winner(report, "average_precision"), test.and_then(|test| test.average_precision));
    let at = &report.operating_point.test;
    format!(
        "<div class=\"tiles\">\n{}{}{}{}{}</div>\n",
        tile(format!("{}, {}", chosen.model, chosen.case), &format!("selected, {} protocol", chosen.protocol)),
        tile(figure_estimate(precision), "average precision, test rows"),
        tile(figure_estimate(auc), "AUC of scores, test rows"),
        tile(share(or(point.recall, at.recall)), "of the fraud found at the threshold"),
        tile(share(or(point.precision, at.precision)), "of the alerts are fraud")
    )
}

/// Of a page without plots.
pub(super) fn blocks(blocks: &[Block]) -> String {
    with_figures(blocks, &|_| String::new())
}

fn with_figures(blocks: &[Block], figures: &dyn Fn(&str) -> String) -> String {
    let mut text = String::new();
    let mut open = false;
    for block in blocks {
        // Neighbouring plots stand side by side where there is room.
        let is_plot = matches!(block, Block::Plot(_));
        let figure = if let Block::Plot(name) = block { figures(name) } else { String::new() };
        if is_plot && figure.is_empty() {
            continue;
        }
        if is_plot != open {
            text += if is_plot { "<div class=\"plots\">\n" } else { "</div>\n" };
            open = is_plot;
        }
        text += &match block {
            Block::Heading(heading) => format!("<h3>{}</h3>\n", html(heading)),
            Block::Text(paragraph) => format!("<p>{}</p>\n", html(paragraph)),
            Block::List(items) => {
                let items: String = items.iter().map(|item| format!("<li>{}</li>\n", html(item))).collect();
                format!("<ul>\n{items}</ul>\n")
            }
            Block::Table(table) => table.html(),
            Block::Plot(_) => figure,
        };
    }
    text + if open { "</div>\n" } else { "" }
}

/// A plot with its figures behind it, if there is one of this name.
fn figure_of(plots: &BTreeMap<String, Vec<u8>>, name: &str, behind: Option<Table>) -> String {
    let Some(svg) = plots.get(&format!("{name}.svg")).and_then(|bytes| std::str::from_utf8(bytes).ok()) else {
        return String::new();
    };
    let title = TITLES.iter().find(|(known, _)| *known == name).map_or(name, |(_, title)| title);
    let class = if name.starts_with("fig3") || name == "confusion_matrix" { "half" } else { "full" };
    let behind = behind.map_or(String::new(), |table| {
        format!("<details>\n<summary>Figures: {}</summary>\n{}</details>\n", html(title), table.html())
    });
    format!(
        "<figure id=\"plot-{name}\" class=\"{class}\">\n<div role=\"img\" aria-label=\"{}\">{svg}</div>\n\
         <figcaption>{}</figcaption>\n{behind}</figure>\n",
        html(title),
        html(title)
    )
}

pub(super) const STYLE: &str = "
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5b6675;--line:#dfe4ea;--page:#f6f7f9;--card:#fff;--mark:#e8f1fa;--accent:#0b5ea8}
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
.tile b{display:-webkit-box;-webkit-box-orient:vertical;-webkit-line-clamp:3;overflow:hidden;font-size:1.15rem;line-height:1.3;overflow-wrap:anywhere}
.tile span{color:var(--soft);font-size:.82rem}
nav{border-top:1px solid var(--line);border-bottom:1px solid var(--line);margin:1.4rem 0;font-size:.9rem}
nav ol{display:flex;flex-wrap:wrap;gap:.3rem 1.1rem;padding:.7rem 0;margin:0;list-style:none}
a{color:var(--accent)}
section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:1.3rem 1.4rem;margin:1.2rem 0}
.scroll{overflow-x:auto}
.scroll:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
table{border-collapse:collapse;width:100%;font-size:.86rem;font-variant-numeric:tabular-nums}
th,td{padding:.32rem .6rem;text-align:left;border-bottom:1px solid var(--line);white-space:nowrap}
th{vertical-align:bottom;color:var(--soft);font-weight:600;font-size:.78rem;white-space:normal}
.n{text-align:right}
td:not(.n){max-width:18rem;overflow:hidden;text-overflow:ellipsis}
tbody tr:hover{background:var(--page)}
tr.winner,tr.winner:hover{background:var(--mark);font-weight:600}
.plots{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:1rem;margin:1rem 0}
figure{margin:0;border:1px solid var(--line);border-radius:8px;padding:.5rem;min-width:0}
figure.full{grid-column:1/-1}
figure svg{display:block;width:100%;height:auto}
figcaption,summary{font-size:.82rem;color:var(--soft);padding:.2rem .5rem}
summary{cursor:pointer}
details table{font-size:.8rem}
details .scroll{max-height:24rem;overflow:auto}
@media(max-width:760px){.plots{grid-template-columns:minmax(0,1fr)}main{padding:1.2rem .7rem 2rem}section{padding:1rem .8rem}h1{font-size:1.6rem}}
@media screen and (prefers-color-scheme:dark){
:root{--ink:#e6eaf0;--soft:#a3afbd;--line:#323b47;--page:#14181e;--card:#1c222a;--mark:#1f3348;--accent:#6db3f2}
figure svg rect[fill=\"#FFFFFF\"],figure svg circle[fill=\"#FFFFFF\"]{fill:var(--card)}
figure svg polyline[stroke=\"#FFFFFF\"]{stroke:var(--card)}
figure svg [fill=\"#222222\"],figure svg [fill=\"#000000\"]{fill:var(--ink)}
figure svg [stroke=\"#222222\"],figure svg [stroke=\"#000000\"]{stroke:var(--ink)}
figure svg [fill=\"#5F5F5F\"]{fill:var(--soft)}
figure svg [stroke=\"#5F5F5F\"]{stroke:var(--soft)}
figure svg [fill=\"#DEDEDE\"]{fill:var(--line)}
figure svg [stroke=\"#DEDEDE\"]{stroke:var(--line)}
figure svg [fill=\"#0072B2\"]{fill:#3d9fdc}
figure svg [stroke=\"#0072B2\"]{stroke:#3d9fdc}
}
@media print{body{background:#fff}main{max-width:none;padding:0}section{border:0;padding:.5rem 0}figure,tr{break-inside:avoid}h2,h3{break-after:avoid}nav{display:none}.scroll{overflow:visible}th,td{white-space:normal;padding:.2rem .3rem}table{font-size:.68rem}details:not([open]){display:none}}
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::report::{fixture, plots};

    fn page_of(report: &RunReport) -> String {
        let drawings = plots::drawings(report, &fixture::losses());
        let svg = drawings.iter().map(|(name, drawing)| (format!("{name}.svg"), drawing.svg().unwrap()));
        report_html(report, &fixture::losses(), &svg.collect())
    }

    #[test]
    fn one_small_static_page_in_the_order_of_the_sections() {
        for report in [fixture::full(), fixture::forest()] {
            let page = page_of(&report);
            assert!(page.len() < 3_000_000, "{} bytes", page.len());
            let linked = page.replace("http://www.w3.org/2000/svg", "");
            assert!(!linked.contains("http:") && !linked.contains("https:") && !linked.contains("<script"));
            let order = [
                "headline",
                "table1",
                "validation",
                "operating-point",
                "money",
                "calibration",
                "statistics",
                "resampling",
                "importance",
                "subgroups",
                "provenance",
            ];
            let places: Vec<usize> =
                order.iter().filter_map(|id| page.find(&format!("<section id=\"{id}\""))).collect();
            assert_eq!(places.len(), order.len());
            assert!(places.is_sorted());
        }
    }

    #[test]
    fn every_plot_stands_once_with_its_figures_behind_it() {
        let report = fixture::forest();
        let page = page_of(&report);
        let drawn = plots::drawings(&report, &fixture::losses());
        assert_eq!(page.matches("<svg").count(), drawn.len(), "every drawing has its place");
        for (name, _) in &drawn {
            let (_, figure) =
                page.split_once(&format!("<figure id=\"plot-{name}\"")).unwrap_or_else(|| panic!("{name}"));
            let (figure, _) = figure.split_once("</figure>").unwrap();
            assert!(figure.contains("<details>") && figure.contains("<table>"), "{name}");
        }
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
        let heads = heads.iter().map(|text| format!("<th scope=\"col\" class=\"n\">{text}</th>")).collect::<String>();
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

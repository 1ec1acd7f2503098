//! `report.md`: the whole report as Markdown, plots linked by their file names.

use super::RunReport;
use super::calibration;
use super::importance;
use super::sections;
use super::table::{Block, Section, markdown};
use crate::training::evaluate::Importance;

pub fn report_md(report: &RunReport) -> String {
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
    let measured = report.importance != Importance::default();
    let mut text = section_md(&sections::headline(report), "#");
    for section in &sections {
        text += "\n";
        text += &section_md(section, "##");
    }
    text + "\n## Plots\n\n"
        + &super::plots::TITLES
            .iter()
            .filter(|(name, _)| !["losses", "watched"].contains(name) && (*name != "importance" || measured))
            .map(|(name, title)| format!("![{title}]({name}.svg)\n"))
            .collect::<String>()
}

fn section_md(section: &Section, level: &str) -> String {
    let mut text = format!("{level} {}\n", markdown(&section.title));
    for block in &section.blocks {
        text += "\n";
        text += &match block {
            Block::Heading(heading) => format!("{level}# {}\n", markdown(heading)),
            Block::Text(paragraph) => format!("{}\n", markdown(paragraph)),
            Block::List(items) => items.iter().map(|item| format!("- {}\n", markdown(item))).collect(),
            Block::Table(table) => table.markdown(),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::report::fixture;

    #[test]
    fn tables_keep_their_shape_whatever_the_names() {
        let text = report_md(&fixture::hostile());
        assert!(!text.contains("<script"), "{text}");
        let mut columns = None;
        for line in text.lines() {
            let bars = line.replace("\\|", "").matches('|').count();
            columns = (bars > 0).then(|| *columns.get_or_insert(bars));
            assert_eq!(columns.unwrap_or(0), bars, "{line}");
        }
    }

    #[test]
    fn every_section_is_there() {
        let text = report_md(&fixture::full());
        for title in ["# ieee-cis", "## Selection", "## Table I", "## All cells", "## Operating point", "(fig3a.svg)"] {
            assert!(text.contains(title), "`{title}` is missing");
        }
        // Of `smote-tomek` alone, the final fit's line: k, distances to the majority, share that is nearest to it.
        assert!(text.contains("1.00 : 1.00 | 5 | 0.400 | 2.250 | 9.500 | 31.000 | 1.25 |\n"), "{text}");
        assert!(text.contains("1.00 : 1.00 | - | - | - | - | - | - |\n") && text.contains("\nk: neighbours that"));
        assert!(text.contains("## What the model looks at\n\nNot measured") && !text.contains("importance.svg"));
        let text = report_md(&fixture::forest());
        assert!(text.contains("| V1 | ") && text.contains("(importance.svg)"), "{text}");
    }
}

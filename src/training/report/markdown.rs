//! `report.md`: the whole report as Markdown, plots linked by their file names.

use std::collections::BTreeMap;

use super::RunReport;
use super::contents::sections;
use super::plots::TITLES;
use super::table::{Block, Section, markdown};

/// `plots`: the files that were written, by name.
pub fn report_md(report: &RunReport, plots: &BTreeMap<String, Vec<u8>>) -> String {
    let mut text = format!("# {}\n", markdown(&report.name));
    for section in &sections(report) {
        text += "\n";
        text += &section_md(section, "##", plots);
    }
    text
}

pub(super) fn section_md(section: &Section, level: &str, plots: &BTreeMap<String, Vec<u8>>) -> String {
    let mut text = format!("{level} {}\n", markdown(&section.title));
    for block in &section.blocks {
        if let Block::Plot(name) = block {
            let title = TITLES.iter().find(|(known, _)| known == name).map_or(*name, |(_, title)| title);
            if plots.contains_key(&format!("{name}.svg")) {
                text += &format!("\n![{title}]({name}.svg)\n");
            }
            continue;
        }
        text += "\n";
        text += &match block {
            Block::Heading(heading) => format!("{level}# {}\n", markdown(heading)),
            Block::Text(paragraph) => format!("{}\n", markdown(paragraph)),
            Block::List(items) => items.iter().map(|item| format!("- {}\n", markdown(item))).collect(),
            Block::Table(table) => table.markdown(),
            Block::Plot(_) => String::new(),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::report::fixture;

    fn text_of(report: &RunReport) -> String {
        report_md(report, &super::super::plots(report, &[]).unwrap())
    }

    #[test]
    fn tables_keep_their_shape_whatever_the_names() {
        let text = text_of(&fixture::hostile());
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
        let text = text_of(&fixture::full());
        for title in ["# ieee-cis", "### Selection", "## Table I", "### All cells", "## Operating point", "(fig3a.svg)"]
        {
            assert!(text.contains(title), "`{title}` is missing");
        }
        // Of `smote-tomek` alone, the final fit's line: k, distances to the majority, share that is nearest to it.
        assert!(text.contains("1.00 : 1.00 | 5 | 0.400 | 2.250 | 9.500 | 31.000 | 1.25 |\n"), "{text}");
        assert!(text.contains("1.00 : 1.00 | - | - | - | - | - | - |\n") && text.contains("\nk: neighbours that"));
        assert!(text.contains("## Why: what the model looks at\n\nNot measured") && !text.contains("importance.svg"));
        let text = text_of(&fixture::forest());
        assert!(text.contains("| V1 | ") && text.contains("(importance.svg)"), "{text}");
    }
}

//! The report on a terminal: plain aligned text, no colour needed, nothing wider than `width` where names allow it.

use super::RunReport;
use super::contents::sections;
use super::table::{Block, Section, clean};

/// The winner's rows begin with `>`. Ends with a line feed.
pub fn terminal(report: &RunReport, width: usize) -> String {
    let width = width.max(40);
    let texts: Vec<String> = sections(report).iter().map(|section| section_text(section, width)).collect();
    texts.join("\n")
}

pub(super) fn section_text(section: &Section, width: usize) -> String {
    let title = clean(&section.title);
    let mut text = format!("{title}\n{}\n", "=".repeat(title.chars().count().min(width)));
    let mut after_table = false;
    for block in &section.blocks {
        if after_table && matches!(block, Block::Text(_) | Block::List(_)) {
            text.push('\n');
        }
        after_table = matches!(block, Block::Table(_));
        text += &match block {
            Block::Heading(heading) => format!("\n{}\n", clean(heading)),
            Block::Text(paragraph) => wrap(paragraph, "", width),
            Block::List(items) => items.iter().map(|item| wrap(item, "* ", width)).collect(),
            Block::Table(table) => table.text(width),
            Block::Plot(_) => String::new(),
        };
    }
    text
}

/// Breaks at spaces; a word longer than the line stands alone.
fn wrap(paragraph: &str, bullet: &str, width: usize) -> String {
    let indent = " ".repeat(bullet.len());
    let (mut text, mut line) = (String::new(), bullet.to_string());
    let mut empty = true;
    for word in clean(paragraph).split_whitespace() {
        if !empty && line.chars().count() + 1 + word.chars().count() > width {
            text += &format!("{line}\n");
            line.clone_from(&indent);
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line += word;
        empty = false;
    }
    text + &line + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::report::fixture;

    #[test]
    fn fits_120_columns_and_says_everything() {
        let text = terminal(&fixture::forest(), 120);
        for line in text.lines() {
            assert!(line.chars().count() <= 120, "{} columns: {line}", line.chars().count());
        }
        for said in [
            "All cells",
            "Why: what the model looks at",
            "Honest validation",
            "Statistics",
            "Money",
            "Subgroups",
            "Data and provenance",
            "Table I",
            "fold 5",
            "final",
            "Optimism gap",
            "Calibration",
            "Operating point",
            "Selection",
            "84.0",
        ] {
            assert!(text.contains(said), "`{said}` is missing");
        }
    }

    #[test]
    fn narrow_terminals_get_narrow_lines() {
        for line in terminal(&fixture::full(), 72).lines() {
            assert!(line.chars().count() <= 72, "{line}");
        }
    }

    #[test]
    fn undefined_figures_have_a_footnote() {
        let text = terminal(&fixture::small(), 120);
        assert!(text.contains("* `-` auc: only one class among the rows (random logistic raw)"), "{text}");
    }

    #[test]
    fn no_control_characters_reach_the_terminal() {
        let text = terminal(&fixture::hostile(), 120);
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'));
    }
}

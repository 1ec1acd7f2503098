//! What every page is made of: sections of paragraphs, tables and lists, and how a table becomes text, Markdown or HTML.
//!
//! In: strings, as they come from configs. Each renderer cleans (control and direction characters become U+FFFD) and
//! escapes them. Limit: a column is as wide as its characters are many, wide glyphs are not measured.

use crate::training::evaluate::Estimate;

pub(super) struct Section {
    /// Anchor in the HTML page.
    pub id: &'static str,
    pub title: String,
    pub blocks: Vec<Block>,
}

pub(super) enum Block {
    Heading(String),
    Text(String),
    List(Vec<String>),
    Table(Table),
    /// A plot by its name; pages draw it with its figures behind it, terminals leave it out.
    Plot(&'static str),
}

/// The first `keys` columns are names: aligned left and repeated where a table is cut to fit. A title may have two lines.
pub(super) struct Table {
    pub columns: Vec<&'static str>,
    pub keys: usize,
    pub rows: Vec<Vec<String>>,
    /// The winner's row.
    pub marked: Option<usize>,
}

impl Table {
    pub fn new(columns: &[&'static str], keys: usize) -> Self {
        Self { columns: columns.to_vec(), keys, rows: Vec::new(), marked: None }
    }

    /// Aligned text; columns that do not fit in `width` follow in further blocks under the same keys.
    pub fn text(&self, width: usize) -> String {
        let cells: Vec<Vec<String>> =
            self.rows.iter().map(|row| row.iter().map(|cell| clean(cell)).collect()).collect();
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|column| {
                let title = self.columns[column].split('\n').map(len).max().unwrap_or(0);
                cells.iter().filter_map(|row| row.get(column)).map(|cell| len(cell)).max().unwrap_or(0).max(title)
            })
            .collect();
        let gap = if fits(&widths, 2, width) { 2 } else { 1 };
        let blocks: Vec<String> =
            self.cut(&widths, gap, width).iter().map(|columns| self.block(&cells, &widths, columns, gap)).collect();
        blocks.join("\n")
    }

    /// Which columns stand together: greedily as many as fit, at least one beside the keys.
    fn cut(&self, widths: &[usize], gap: usize, width: usize) -> Vec<Vec<usize>> {
        let keys: Vec<usize> = (0..self.keys.min(widths.len())).collect();
        let mut blocks = vec![keys.clone()];
        for column in keys.len()..widths.len() {
            let mut longer = blocks.last().cloned().unwrap_or_default();
            longer.push(column);
            let used: Vec<usize> = longer.iter().map(|&column| widths[column]).collect();
            if longer.len() > keys.len() + 1 && !fits(&used, gap, width) {
                blocks.push([keys.as_slice(), &[column]].concat());
            } else if let Some(last) = blocks.last_mut() {
                *last = longer;
            }
        }
        blocks
    }

    fn block(&self, cells: &[Vec<String>], widths: &[usize], columns: &[usize], gap: usize) -> String {
        let title_line = |line: usize| -> Vec<&str> {
            let two = self.columns.iter().any(|title| title.contains('\n'));
            // One-line titles stand on the lower line, next to their figures.
            let pick = |title: &'static str| match title.split_once('\n') {
                Some((upper, lower)) => [upper, lower][line],
                None if two && line == 0 => "",
                None => title,
            };
            self.columns.iter().map(|title| pick(title)).collect()
        };
        let mut lines = Vec::new();
        let mut push = |mark: &str, row: &[&str]| {
            let padded: Vec<String> = columns
                .iter()
                .map(|&column| pad(row.get(column).copied().unwrap_or(""), widths[column], column < self.keys))
                .collect();
            lines.push(format!("{mark} {}", padded.join(&" ".repeat(gap))).trim_end().to_string());
        };
        if self.columns.iter().any(|title| title.contains('\n')) {
            push(" ", &title_line(0));
        }
        push(" ", &title_line(1));
        let rules: Vec<String> = widths.iter().map(|&width| "-".repeat(width)).collect();
        push(" ", &rules.iter().map(String::as_str).collect::<Vec<_>>());
        for (index, row) in cells.iter().enumerate() {
            let mark = if self.marked == Some(index) { ">" } else { " " };
            push(mark, &row.iter().map(String::as_str).collect::<Vec<_>>());
        }
        lines.join("\n") + "\n"
    }

    pub fn markdown(&self) -> String {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let mut text = line(self.columns.iter().map(|title| markdown(&one_line(title))).collect());
        text += &line((0..self.columns.len()).map(|at| if at < self.keys { "---" } else { "---:" }.into()).collect());
        for (index, row) in self.rows.iter().enumerate() {
            let bold = self.marked == Some(index);
            text += &line(row.iter().map(|cell| if bold { strong(cell) } else { markdown(cell) }).collect());
        }
        text
    }

    pub fn html(&self) -> String {
        let cell = |tag: &str, at: usize, text: &str| {
            let class = if at < self.keys { "" } else { " class=\"n\"" };
            let scope = if tag == "th" { " scope=\"col\"" } else { "" };
            format!("<{tag}{scope}{class}>{}</{tag}>", html(text))
        };
        let row = |tag: &str, cells: &mut dyn Iterator<Item = &str>| -> String {
            cells.enumerate().map(|(at, text)| cell(tag, at, text)).collect()
        };
        let titles: Vec<String> = self.columns.iter().map(|title| one_line(title)).collect();
        let mut text = format!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"table\"><table>\n<thead><tr>{}</tr></thead>\n<tbody>\n",
            row("th", &mut titles.iter().map(String::as_str))
        );
        for (index, cells) in self.rows.iter().enumerate() {
            let class = if self.marked == Some(index) { " class=\"winner\"" } else { "" };
            text += &format!("<tr{class}>{}</tr>\n", row("td", &mut cells.iter().map(String::as_str)));
        }
        text + "</tbody>\n</table></div>\n"
    }
}

fn fits(widths: &[usize], gap: usize, width: usize) -> bool {
    // Two columns for the winner's mark.
    2 + widths.iter().sum::<usize>() + gap * widths.len().saturating_sub(1) <= width
}

fn pad(text: &str, width: usize, left: bool) -> String {
    let space = " ".repeat(width.saturating_sub(len(text)));
    if left { format!("{text}{space}") } else { format!("{space}{text}") }
}

fn len(text: &str) -> usize {
    text.chars().count()
}

/// `over-\nfitting` as one word.
fn one_line(title: &str) -> String {
    title.replace("-\n", "").replace('\n', " ")
}

fn strong(cell: &str) -> String {
    format!("**{}**", markdown(cell))
}

/// No character that moves a cursor, ends a line, turns the direction of writing or is forbidden in XML.
pub(super) fn clean(text: &str) -> String {
    let unsafe_char = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}')
    };
    text.chars().map(|c| if unsafe_char(c) { '\u{fffd}' } else { c }).collect()
}

pub(super) fn markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in clean(text).chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '\\' | '`' | '*' | '[' | ']' | '|' => escaped.extend(['\\', c]),
            _ => escaped.push(c),
        }
    }
    escaped
}

pub(super) fn html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in clean(text).chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            _ => escaped.push(c),
        }
    }
    escaped
}

/// Three decimals, or `-`.
pub(super) fn figure(value: Option<f64>) -> String {
    decimals(value, 3)
}

/// A share as a percentage with one decimal, no sign.
pub(super) fn percent(share: Option<f64>) -> String {
    decimals(share.map(|share| share * 100.0), 1)
}

pub(super) fn decimals(value: Option<f64>, places: usize) -> String {
    match value.filter(|value| value.is_finite()) {
        Some(value) => format!("{value:.places$}"),
        None => "-".into(),
    }
}

/// Bytes as MB in five characters, three figures at least where there are as many; `-` where unknown.
pub(super) fn megabytes(bytes: Option<u64>) -> String {
    let megabytes = bytes.map(|bytes| bytes as f64 / 1e6);
    let places = match megabytes.unwrap_or_default() {
        ..9.9995 => 3,
        ..99.995 => 2,
        ..999.95 => 1,
        _ => 0,
    };
    decimals(megabytes, places)
}

pub(super) fn interval(ends: Option<[f64; 2]>) -> String {
    match ends {
        Some([low, high]) if low.is_finite() && high.is_finite() => format!("{low:.3} to {high:.3}"),
        _ => "-".into(),
    }
}

/// A share in per cent with its interval: `56.3 (51.0 to 61.2)`.
pub(super) fn percent_estimate(estimate: Estimate) -> String {
    let interval = estimate.interval.map(|ends| ends.map(|end| percent(Some(end))));
    match interval {
        Some([low, high]) => format!("{} ({low} to {high})", percent(estimate.value)),
        None => percent(estimate.value),
    }
}

/// Three decimals with the interval.
pub(super) fn figure_estimate(estimate: Estimate) -> String {
    match estimate.interval {
        Some([low, high]) => format!("{} ({low:.3} to {high:.3})", figure(estimate.value)),
        None => figure(estimate.value),
    }
}

/// Money: no decimals from 1000 on, thousands apart.
pub(super) fn money(amount: f64) -> String {
    match amount.abs() {
        size if !size.is_finite() => "-".into(),
        size if size < 1000.0 => format!("{amount:.2}"),
        size => format!("{}{}", if amount < 0.0 { "-" } else { "" }, count(size.min(1e15).round() as usize)),
    }
}

pub(super) fn money_estimate(estimate: Estimate) -> String {
    let value = estimate.value.map_or("-".into(), money);
    match estimate.interval {
        Some([low, high]) => format!("{value} ({} to {})", money(low), money(high)),
        None => value,
    }
}

/// A p-value: three decimals, or that it is below them.
pub(super) fn p_value(p: Option<f64>) -> String {
    match p {
        Some(p) if p < 0.001 => "< 0.001".into(),
        p => decimals(p, 3),
    }
}

/// `590540` as `590,540`.
pub(super) fn count(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["model", "recall\n%", "AUC"], 1);
        table.rows =
            vec![vec!["mlp".into(), "56.0".into(), "-".into()], vec!["a|b".into(), "7.0".into(), "0.912".into()]];
        table.marked = Some(1);
        table
    }

    #[test]
    fn text_is_aligned_and_marks_the_winner() {
        let expected = "         recall\n  model       %    AUC\n  -----  ------  -----\n  mlp      56.0      -\n> a|b       7.0  0.912\n";
        assert_eq!(table().text(80), expected);
    }

    #[test]
    fn a_narrow_table_is_cut_under_the_same_keys() {
        let expected = "        recall\n  model      %\n  ----- ------\n  mlp     56.0\n> a|b      7.0\n\n\n  model   AUC\n  ----- -----\n  mlp       -\n> a|b   0.912\n";
        assert_eq!(table().text(16), expected);
    }

    #[test]
    fn names_cannot_break_out() {
        assert_eq!(clean("a\u{1b}[31m\nb\u{202e}"), "a\u{fffd}[31m\u{fffd}b\u{fffd}");
        assert_eq!(markdown("a|b <i> `x` [y](z)"), "a\\|b &lt;i&gt; \\`x\\` \\[y\\](z)");
        assert_eq!(html("<script>\"&'"), "&lt;script&gt;&quot;&amp;&#39;");
        assert!(table().markdown().contains("| **a\\|b** | **7.0** | **0.912** |"));
    }

    #[test]
    fn numbers() {
        assert_eq!([count(0), count(999), count(1000), count(590_540)].join(" "), "0 999 1,000 590,540");
        assert_eq!(figure(Some(f64::NAN)), "-");
        assert_eq!(percent(Some(0.5634)), "56.3");
        assert_eq!(interval(Some([0.1, f64::INFINITY])), "-");
        let sizes = [4_310, 9_999_700, 12_345_678, 123_456_789, 1_234_567_890].map(|bytes| megabytes(Some(bytes)));
        assert_eq!(sizes.join(" "), "0.004 10.00 12.35 123.5 1235");
        assert_eq!(megabytes(None), "-");
    }
}

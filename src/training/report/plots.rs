//! All plots of a run, each as SVG and PNG of the same drawing, under stable names.
//!
//! In: the report, and the loss curves of MLPs if there are any. Out: `fig3a.svg`, `fig3a.png`, .. by name. What did not
//! run leaves a plot that says so.

use std::collections::BTreeMap;

use super::drawing::{Align, Drawing, INK, PAPER, SOFT, shorten};
use super::table::{count, percent};
use super::{LossCurve, RunReport, curves, figure3, importance, lines};
use crate::training::error::Result;

/// Name and title of every plot, in the order of a page.
pub(super) const TITLES: [(&str, &str); 17] = [
    ("fig3a", "Recall of the forests"),
    ("fig3b", "AUC of labels of the forests"),
    ("fig3c", "Recall of the MLP"),
    ("fig3d", "AUC of labels of the MLP"),
    ("fig3e", "Recall over the cases"),
    ("fig3f", "AUC of labels over the cases"),
    ("roc", "ROC curves"),
    ("precision_recall", "Precision-recall curves"),
    ("confusion_matrix", "Confusion matrix at the chosen threshold"),
    ("losses", "Training loss"),
    ("watched", "Average precision of rows set aside"),
    ("importance", "What the model looks at"),
    ("thresholds", "Precision, recall and alerts by threshold"),
    ("savings", "Saving by alerts"),
    ("reliability", "Reliability of the scores"),
    ("periods", "The winner over time"),
    ("dependence", "Partial dependence"),
];

/// Figure 3 of the paper (a to f), ROC, precision-recall, confusion matrix; the others if there is something to draw.
pub fn plots(report: &RunReport, losses: &[LossCurve]) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for (name, drawing) in drawings(report, losses) {
        files.insert(format!("{name}.svg"), drawing.svg()?);
        files.insert(format!("{name}.png"), drawing.png()?);
    }
    Ok(files)
}

pub(super) fn drawings(report: &RunReport, losses: &[LossCurve]) -> Vec<(&'static str, Drawing)> {
    let draw = |(name, title)| {
        let drawing = match name {
            "roc" => curves::roc(report, title),
            "precision_recall" => curves::precision_recall(report, title),
            "confusion_matrix" => confusion_matrix(report, title),
            "losses" if losses.is_empty() => return None,
            "losses" => curves::losses(losses, title),
            "watched" => curves::watched(losses, title)?,
            "importance" => importance::drawing(report, title)?,
            "thresholds" => lines::thresholds(report, title)?,
            "savings" => lines::savings(report, title)?,
            "reliability" => lines::reliability(report, title)?,
            "periods" => lines::periods(report, title)?,
            "dependence" => lines::dependence(report, title)?,
            _ => figure3::figure3(report, name, title),
        };
        Some((name, drawing))
    };
    TITLES.into_iter().filter_map(draw).collect()
}

pub(super) fn not_run(width: f64, height: f64, title: &str) -> Drawing {
    let mut drawing = Drawing::new(width, height);
    drawing.text([28.0, 32.0], title, 22.0, INK, Align::Left);
    drawing.text([width / 2.0, height / 2.0], "not run", 26.0, SOFT, Align::Center);
    drawing
}

/// Test rows of the winner at its threshold; shade and per cent within each true class.
fn confusion_matrix(report: &RunReport, title: &str) -> Drawing {
    let (width, height) = (800.0, 560.0);
    let counts = report.operating_point.test.confusion;
    let rows = [
        ("fraud", [counts.true_positives, counts.false_negatives]),
        ("authorised", [counts.false_positives, counts.true_negatives]),
    ];
    if rows.iter().all(|(_, counts)| *counts == [0, 0]) {
        return not_run(width, height, title);
    }
    let mut drawing = Drawing::new(width, height);
    let selection = &report.selection;
    let cell = format!(
        "{}, {}, {} protocol, threshold {}, test rows",
        selection.model, selection.case, selection.protocol, report.operating_point.threshold
    );
    drawing.text([28.0, 32.0], title, 22.0, INK, Align::Left);
    drawing.text([28.0, 64.0], &shorten(&cell, 17.0, width - 56.0), 17.0, SOFT, Align::Left);
    let (left, top, step, tall) = (190.0, 150.0, 285.0, 180.0);
    for (column, name) in ["alert: fraud", "authorised"].into_iter().enumerate() {
        drawing.text([left + step * (column as f64 + 0.5), top - 22.0], name, 18.0, INK, Align::Center);
    }
    drawing.text([left + step, top - 54.0], "predicted", 18.0, SOFT, Align::Center);
    drawing.text_upward([36.0, top + tall], "actual", 18.0, SOFT);
    for (row, (name, counts)) in rows.into_iter().enumerate() {
        let y = top + tall * row as f64;
        drawing.text([left - 14.0, y + tall / 2.0], name, 18.0, INK, Align::Right);
        let total = counts[0] + counts[1];
        for (column, number) in counts.into_iter().enumerate() {
            let share = (total > 0).then(|| number as f64 / total as f64);
            let x = left + step * column as f64;
            let depth = share.unwrap_or(0.0);
            let shade = |light: f64, dark: f64| (light + (dark - light) * depth).round() as u8;
            let fill = plotters::style::RGBColor(shade(240.0, 0.0), shade(245.0, 94.0), shade(250.0, 150.0));
            let ink = if depth > 0.7 { PAPER } else { INK };
            drawing.fill([x + 3.0, y + 3.0], [x + step - 3.0, y + tall - 3.0], fill);
            let number = count(usize::try_from(number).unwrap_or(usize::MAX));
            drawing.text([x + step / 2.0, y + tall * 0.42], &number, 32.0, ink, Align::Center);
            let part = format!("{} % of {name}", percent(share));
            drawing.text([x + step / 2.0, y + tall * 0.68], &part, 17.0, ink, Align::Center);
        }
    }
    drawing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::report::fixture;

    fn names(files: &BTreeMap<String, Vec<u8>>) -> Vec<&str> {
        files.keys().map(String::as_str).collect()
    }

    fn well_formed(files: &BTreeMap<String, Vec<u8>>) {
        for (name, bytes) in files {
            if name.ends_with(".png") {
                assert!(bytes.starts_with(b"\x89PNG\r\n\x1a\n"), "{name}");
                let mut reader = png::Decoder::new(bytes.as_slice()).read_info().unwrap();
                let mut pixels = vec![0; reader.output_buffer_size()];
                reader.next_frame(&mut pixels).unwrap();
                assert!(pixels.iter().any(|&value| value < 128), "{name} is blank");
            } else {
                let text = std::str::from_utf8(bytes).unwrap();
                assert!(text.starts_with("<svg ") && text.trim_end().ends_with("</svg>"), "{name}");
                assert_eq!(text.matches("<text").count(), text.matches("</text>").count(), "{name}");
            }
        }
    }

    #[test]
    fn stable_names_and_the_same_bytes_twice() {
        let report = fixture::full();
        let files = plots(&report, &fixture::losses()).unwrap();
        assert_eq!(files.len(), 22);
        assert_eq!(plots(&fixture::forest(), &[]).unwrap().len(), 2 * 15, "all but losses");
        let watched = plots(&report, &fixture::watched()).unwrap();
        assert_eq!(watched.len(), 24);
        assert_ne!(watched["losses.svg"], files["losses.svg"]);
        well_formed(&watched);
        assert_eq!(files, plots(&report, &fixture::losses()).unwrap());
        well_formed(&files);
        assert_eq!(names(&files)[..2], ["confusion_matrix.png", "confusion_matrix.svg"]);
    }

    #[test]
    fn what_did_not_run_says_so() {
        let files = plots(&fixture::empty(), &[]).unwrap();
        assert_eq!(files.len(), 18);
        for (name, bytes) in files.iter().filter(|(name, _)| name.ends_with(".svg")) {
            assert!(String::from_utf8_lossy(bytes).contains("not run"), "{name}");
        }
        let files = plots(&fixture::small(), &[]).unwrap();
        let says = |name: &str| String::from_utf8_lossy(&files[name]).contains("not run");
        assert!(!says("fig3a.svg") && says("fig3c.svg") && says("roc.svg"));
        well_formed(&files);
    }

    #[test]
    fn hostile_names_and_numbers_are_drawn() {
        well_formed(&plots(&fixture::hostile(), &fixture::losses()).unwrap());
        well_formed(&plots(&fixture::forest(), &[]).unwrap());
    }
}

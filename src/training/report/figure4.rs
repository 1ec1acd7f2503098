//! Figure 4 of the paper, a to d: response times of individual requests per action, and the percentiles of load.
//!
//! In: milliseconds per request, with the paper's fastest and slowest; milliseconds per percentile. Out: SVG and PNG by
//! name. Measured times are drawn from zero; the paper's are words beside them, for they are hundreds of times larger.

use std::collections::BTreeMap;

use super::axes::{Frame, ticks};
use super::drawing::{Align, Drawing, INK, SOFT, color};
use crate::training::error::Result;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 600.0;
const EM: f64 = 20.0;

/// One part of the figure.
#[derive(Debug, Clone, PartialEq)]
pub struct ResponseTimes<'a> {
    /// The file, without extension.
    pub name: &'a str,
    pub title: String,
    pub cold_ms: Option<f64>,
    pub warm_ms: &'a [f64],
    /// What the paper reports, in words.
    pub paper: &'a str,
}

/// One curve of the percentile plot: (percentile, milliseconds).
#[derive(Debug, Clone, PartialEq)]
pub struct Percentiles {
    pub label: String,
    pub points: Vec<(f64, f64)>,
}

/// All plots by file name.
pub fn figure4(parts: &[ResponseTimes], load: &[Percentiles]) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut drawings: Vec<(&str, Drawing)> = parts.iter().map(|part| (part.name, requests(part))).collect();
    if !load.is_empty() {
        drawings.push(("load", percentiles(load)));
    }
    let mut files = BTreeMap::new();
    for (name, drawing) in drawings {
        files.insert(format!("{name}.svg"), drawing.svg()?);
        files.insert(format!("{name}.png"), drawing.png()?);
    }
    Ok(files)
}

fn requests(part: &ResponseTimes) -> Drawing {
    let mut drawing = Drawing::new(WIDTH, HEIGHT);
    drawing.text([28.0, 32.0], &part.title, 24.0, INK, Align::Left);
    let n = part.warm_ms.len().max(1) as f64;
    let mean = part.warm_ms.iter().sum::<f64>() / n;
    let [low, high] =
        part.warm_ms.iter().fold([f64::INFINITY, 0.0_f64], |[low, high], &ms| [low.min(ms), high.max(ms)]);
    let cold = part.cold_ms.map_or(String::new(), |ms| format!("cold start {ms:.1} ms, "));
    let summary = format!("{cold}then min {low:.2}, mean {mean:.2}, max {high:.2} ms");
    drawing.text([28.0, 64.0], &summary, EM, SOFT, Align::Left);
    drawing.text([28.0, 92.0], part.paper, EM, SOFT, Align::Left);
    let top = if high > 0.0 { high * 1.15 } else { 1.0 };
    let frame =
        Frame { left: 112.0, top: 124.0, right: WIDTH - 28.0, bottom: HEIGHT - 76.0, x: [0.0, n], y: [0.0, top] };
    frame.y_axis(&mut drawing, &ticks(0.0, top, 5), "response time (ms)", EM);
    for (at, &ms) in part.warm_ms.iter().enumerate() {
        let (from, to) = (frame.at(at as f64 + 0.2, ms), frame.at(at as f64 + 0.8, 0.0));
        drawing.fill(from, to, color(0));
        let place = [(from[0] + to[0]) / 2.0, to[1] + EM];
        drawing.text(place, &(at + 1).to_string(), EM, SOFT, Align::Center);
    }
    let [left, right] = [frame.at(0.0, mean), frame.at(n, mean)];
    drawing.dashes(left, right, color(3), 2.0);
    drawing.text([(frame.left + frame.right) / 2.0, frame.bottom + 2.4 * EM], "request", EM, INK, Align::Center);
    frame.border(&mut drawing);
    drawing
}

/// The share of requests above, in powers of ten: 90 %, 99 %, 99.9 % are as far from each other.
fn tail(percentile: f64) -> f64 {
    -(1.0 - percentile / 100.0).max(1e-6).log10()
}

fn percentiles(load: &[Percentiles]) -> Drawing {
    let mut drawing = Drawing::new(WIDTH, HEIGHT);
    drawing.text([28.0, 32.0], "Response times under load", 24.0, INK, Align::Left);
    for (index, curve) in load.iter().enumerate() {
        let y = 64.0 + 26.0 * index as f64;
        drawing.symbol([36.0, y], index, 6.0, color(index));
        drawing.text([52.0, y], &curve.label, EM, INK, Align::Left);
    }
    let all = load.iter().flat_map(|curve| &curve.points);
    let [widest, highest] = all.fold([1.0_f64, 0.0_f64], |[x, y], point| [x.max(tail(point.0)), y.max(point.1)]);
    let top = if highest > 0.0 { highest * 1.1 } else { 1.0 };
    let upper = 84.0 + 26.0 * load.len() as f64;
    let frame =
        Frame { left: 112.0, top: upper, right: WIDTH - 28.0, bottom: HEIGHT - 76.0, x: [0.0, widest], y: [0.0, top] };
    frame.y_axis(&mut drawing, &ticks(0.0, top, 5), "response time (ms)", EM);
    let marks = [50.0, 90.0, 99.0, 99.9, 99.99].map(|percentile| (tail(percentile), format!("{percentile}")));
    let marks: Vec<_> = marks.into_iter().filter(|mark| mark.0 <= widest * 1.001).collect();
    frame.x_axis(&mut drawing, &marks, "percentile", EM);
    for (index, curve) in load.iter().enumerate() {
        let points: Vec<_> = curve.points.iter().map(|point| frame.at(tail(point.0), point.1)).collect();
        points.iter().for_each(|&at| drawing.symbol(at, index, 5.0, color(index)));
        drawing.line(points, color(index), 2.5);
    }
    frame.border(&mut drawing);
    drawing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_drawn_and_says_its_numbers() {
        let part = ResponseTimes {
            name: "fig4a",
            title: "Action 1, transform".into(),
            cold_ms: Some(12.34),
            warm_ms: &[1.0, 2.0, 4.5],
            paper: "paper: 53 ms to 1.40 s",
        };
        let load = [Percentiles { label: "closed".into(), points: vec![(50.0, 1.0), (99.9, 3.0)] }];
        let files = figure4(&[part], &load).unwrap();
        assert_eq!(files.keys().collect::<Vec<_>>(), ["fig4a.png", "fig4a.svg", "load.png", "load.svg"]);
        let svg = String::from_utf8_lossy(&files["fig4a.svg"]);
        for words in ["cold start 12.3 ms, then min 1.00, mean 2.50, max 4.50 ms", "paper: 53 ms"] {
            assert!(svg.contains(words), "{words}");
        }
        assert_eq!(svg.matches("#0072B2").count(), 3, "a bar per request");
        assert!(figure4(&[], &[]).unwrap().is_empty());
    }
}

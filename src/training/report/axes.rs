//! Axes: data coordinates to pixels, round ticks, grid lines and labels.
//!
//! In: a frame in pixels and the ranges it shows. Out: marks on a drawing.

use super::drawing::{Align, Drawing, GRID, INK, Point, SOFT, text_width};

/// A plotting area: data coordinates to pixels, and its axes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub left: f64,
    pub top: f64,
    pub right: f64,
    pub bottom: f64,
    pub x: [f64; 2],
    pub y: [f64; 2],
}

impl Frame {
    pub fn at(&self, x: f64, y: f64) -> Point {
        let share = |value: f64, [low, high]: [f64; 2]| ((value - low) / (high - low)).clamp(0.0, 1.0);
        [
            self.left + share(x, self.x) * (self.right - self.left),
            self.bottom - share(y, self.y) * (self.bottom - self.top),
        ]
    }

    /// Grid lines, tick labels and the label of the vertical axis.
    pub fn y_axis(&self, drawing: &mut Drawing, ticks: &[(f64, String)], label: &str, em: f64) {
        let mut widest: f64 = 0.0;
        for (value, text) in ticks {
            let at = self.at(self.x[0], *value);
            drawing.line(vec![[self.left, at[1]], [self.right, at[1]]], GRID, 1.0);
            drawing.text([self.left - 8.0, at[1]], text, em, SOFT, Align::Right);
            widest = widest.max(text_width(text, em));
        }
        let x = self.left - 8.0 - widest - 1.1 * em;
        drawing.text_upward([x, (self.top + self.bottom) / 2.0], label, em, INK);
    }

    /// Grid lines, tick labels and the label of the horizontal axis.
    pub fn x_axis(&self, drawing: &mut Drawing, ticks: &[(f64, String)], label: &str, em: f64) {
        for (value, text) in ticks {
            let at = self.at(*value, self.y[0]);
            drawing.line(vec![[at[0], self.top], [at[0], self.bottom]], GRID, 1.0);
            drawing.text([at[0], self.bottom + em], text, em, SOFT, Align::Center);
        }
        drawing.text([(self.left + self.right) / 2.0, self.bottom + 2.4 * em], label, em, INK, Align::Center);
    }

    /// The two axis lines, drawn last.
    pub fn border(&self, drawing: &mut Drawing) {
        let corner = [self.left, self.bottom];
        drawing.line(vec![[self.left, self.top], corner, [self.right, self.bottom]], SOFT, 1.5);
    }
}

/// Round steps (1, 2, 5 times a power of ten) that cover `low..high` with about `n` ticks.
pub(super) fn ticks(low: f64, high: f64, n: usize) -> Vec<(f64, String)> {
    let raw = (high - low) / n.max(1) as f64;
    if !(raw.is_finite() && raw > 0.0) {
        return Vec::new();
    }
    let power = 10f64.powi(raw.log10().floor() as i32);
    let step =
        [1.0, 2.0, 5.0, 10.0].into_iter().map(|round| round * power).find(|&step| step >= raw * 0.999).unwrap_or(raw);
    let places = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last.min(first + 50)).map(|index| index as f64 * step).map(|at| (at, format!("{at:.places$}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        let text = |low, high, n| ticks(low, high, n).into_iter().map(|tick| tick.1).collect::<Vec<_>>().join(" ");
        assert_eq!(text(0.0, 1.0, 5), "0.0 0.2 0.4 0.6 0.8 1.0");
        assert_eq!(text(0.0, 100.0, 5), "0 20 40 60 80 100");
        assert_eq!(text(0.013, 0.072, 4), "0.02 0.04 0.06");
        assert_eq!(text(1.0, 1.0, 4), "");
        assert_eq!(text(f64::NAN, 1.0, 4), "");
    }
}

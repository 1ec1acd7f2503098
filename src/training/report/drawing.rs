//! A drawing is a list of marks in pixels, drawn by plotters as SVG or PNG: both are the same picture.
//!
//! In: marks, origin at the upper left, text sizes in em pixels. Out: an SVG document, or a PNG at twice the pixels. The
//! embedded font stands in for system fonts (SVG names `sans-serif` first fitted with it). Same marks, same bytes.
//!
//! PNG: drawn at four times the size and averaged, because plotters' bitmap lines have hard edges.

use std::fmt::Display;

use ab_glyph::{Font, FontRef, ScaleFont};
use plotters::backend::{BitMapBackend, DrawingBackend, SVGBackend};
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Circle, PathElement, Polygon, Rectangle, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontStyle, FontTransform, IntoFont, RGBColor, TextStyle, WHITE, register_font};

use super::table::clean;
use crate::training::error::{Error, Result};

const FONT: &[u8] = include_bytes!("font/DejaVuSans-subset.ttf");
const FAMILY: &str = "sans-serif";
/// plotters writes SVG sizes as this part of its own size.
const SVG_EM: f64 = 1.24;
/// Ascent + descent of the font per em, what the bitmap backend calls size.
const FONT_HEIGHT: f64 = 1.164;
/// PNG pixels per drawing pixel, and raster pixels per PNG pixel.
const PNG_SCALE: usize = 2;
const SUPERSAMPLE: usize = 2;

pub(super) const INK: RGBColor = RGBColor(34, 34, 34);
pub(super) const SOFT: RGBColor = RGBColor(95, 95, 95);
pub(super) const GRID: RGBColor = RGBColor(222, 222, 222);
pub(super) const PAPER: RGBColor = WHITE;
/// Okabe and Ito (2008), without yellow, which vanishes on white.
pub(super) const PALETTE: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(213, 94, 0),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];

pub(super) fn color(index: usize) -> RGBColor {
    PALETTE[index % PALETTE.len()]
}

pub(super) type Point = [f64; 2];

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Align {
    Left,
    Center,
    Right,
}

enum Mark {
    Line { points: Vec<Point>, color: RGBColor, width: f64 },
    Area { points: Vec<Point>, color: RGBColor },
    Box { from: Point, to: Point, color: RGBColor },
    Disc { at: Point, radius: f64, color: RGBColor },
    Text { at: Point, text: String, em: f64, color: RGBColor, align: Align, upward: bool },
}

pub(super) struct Drawing {
    pub width: f64,
    pub height: f64,
    marks: Vec<Mark>,
}

impl Drawing {
    pub fn new(width: f64, height: f64) -> Self {
        Self { width, height, marks: Vec::new() }
    }

    pub fn line(&mut self, points: Vec<Point>, color: RGBColor, width: f64) {
        if points.len() > 1 {
            self.marks.push(Mark::Line { points, color, width });
        }
    }

    pub fn dashes(&mut self, from: Point, to: Point, color: RGBColor, width: f64) {
        let length = (to[0] - from[0]).hypot(to[1] - from[1]);
        let (dash, step) = (7.0, 12.0);
        let at = |along: f64| [0, 1].map(|axis| from[axis] + (to[axis] - from[axis]) * (along / length).min(1.0));
        let mut along = 0.0;
        while along < length {
            self.line(vec![at(along), at(along + dash)], color, width);
            along += step;
        }
    }

    pub fn fill(&mut self, from: Point, to: Point, color: RGBColor) {
        self.marks.push(Mark::Box { from, to, color });
    }

    /// Vertically centred at `at`.
    pub fn text(&mut self, at: Point, text: &str, em: f64, color: RGBColor, align: Align) {
        self.marks.push(Mark::Text { at, text: clean(text), em, color, align, upward: false });
    }

    /// Centred, reading upwards.
    pub fn text_upward(&mut self, at: Point, text: &str, em: f64, color: RGBColor) {
        self.marks.push(Mark::Text { at, text: clean(text), em, color, align: Align::Center, upward: true });
    }

    /// A symbol that tells series apart without colour: disc, square, triangle, diamond, triangle down, ring.
    pub fn symbol(&mut self, at: Point, kind: usize, radius: f64, color: RGBColor) {
        let polygon = |corners: &[Point]| Mark::Area {
            points: corners.iter().map(|corner| [at[0] + radius * corner[0], at[1] + radius * corner[1]]).collect(),
            color,
        };
        self.marks.push(match kind % 6 {
            1 => polygon(&[[-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]]),
            2 => polygon(&[[0.0, -1.2], [1.15, 0.85], [-1.15, 0.85]]),
            3 => polygon(&[[0.0, -1.35], [1.2, 0.0], [0.0, 1.35], [-1.2, 0.0]]),
            4 => polygon(&[[0.0, 1.2], [1.15, -0.85], [-1.15, -0.85]]),
            _ => Mark::Disc { at, radius, color },
        });
        if kind % 6 == 5 {
            self.marks.push(Mark::Disc { at, radius: radius * 0.5, color: PAPER });
        }
    }

    pub fn svg(&self) -> Result<Vec<u8>> {
        let mut text = String::new();
        {
            let size = (self.width.round() as u32, self.height.round() as u32);
            let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
            self.draw(&area, Scale { pixels: 1.0, em: SVG_EM, drop: 0.0 })?;
        }
        Ok(text.into_bytes())
    }

    pub fn png(&self) -> Result<Vec<u8>> {
        let factor = PNG_SCALE * SUPERSAMPLE;
        let [width, height] = [self.width, self.height].map(|side| side.round() as usize * factor);
        let mut pixels = vec![0u8; width * height * 3];
        {
            let area = BitMapBackend::with_buffer(&mut pixels, (width as u32, height as u32)).into_drawing_area();
            // The bitmap backend sets the baseline half a size below its top, too high for centred text.
            self.draw(&area, Scale { pixels: factor as f64, em: FONT_HEIGHT, drop: 0.155 })?;
        }
        encode(&average(&pixels, width, height), width / SUPERSAMPLE, height / SUPERSAMPLE)
    }

    fn draw<DB: DrawingBackend>(&self, area: &DrawingArea<DB, Shift>, scale: Scale) -> Result<()> {
        register_font(FAMILY, FontStyle::Normal, FONT).map_err(|_| Error::failed("the embedded font is damaged"))?;
        area.fill(&PAPER).map_err(plot_error)?;
        for mark in &self.marks {
            draw_mark(area, mark, scale)?;
        }
        area.present().map_err(plot_error)
    }
}

#[derive(Clone, Copy)]
struct Scale {
    pixels: f64,
    /// The backend's font size per em.
    em: f64,
    /// How far the backend sets text above its place, in em.
    drop: f64,
}

impl Scale {
    fn point(self, [x, y]: Point) -> (i32, i32) {
        ((x * self.pixels).round() as i32, (y * self.pixels).round() as i32)
    }

    fn width(self, width: f64) -> u32 {
        (width * self.pixels).round().max(1.0) as u32
    }
}

fn draw_mark<DB: DrawingBackend>(area: &DrawingArea<DB, Shift>, mark: &Mark, scale: Scale) -> Result<()> {
    let places = |points: &[Point]| -> Vec<(i32, i32)> { points.iter().map(|&point| scale.point(point)).collect() };
    match mark {
        Mark::Line { points, color, width } => {
            area.draw(&PathElement::new(places(points), color.stroke_width(scale.width(*width))))
        }
        Mark::Area { points, color } => area.draw(&Polygon::new(places(points), color.filled())),
        Mark::Box { from, to, color } => {
            area.draw(&Rectangle::new([scale.point(*from), scale.point(*to)], color.filled()))
        }
        Mark::Disc { at, radius, color } => {
            area.draw(&Circle::new(scale.point(*at), scale.width(*radius), color.filled()))
        }
        Mark::Text { at, text, em, color, align, upward } => {
            let anchor = Pos::new(
                match align {
                    Align::Left => HPos::Left,
                    Align::Center => HPos::Center,
                    Align::Right => HPos::Right,
                },
                VPos::Center,
            );
            let turn = if *upward { FontTransform::Rotate270 } else { FontTransform::None };
            let font = (FAMILY, em * scale.em * scale.pixels).into_font().transform(turn);
            let drop = em * scale.drop;
            let at = if *upward { [at[0] + drop, at[1]] } else { [at[0], at[1] + drop] };
            area.draw(&Text::new(text.as_str(), scale.point(at), TextStyle::from(font).color(color).pos(anchor)))
        }
    }
    .map_err(plot_error)
}

fn plot_error(error: impl Display) -> Error {
    Error::failed(format!("cannot draw a plot: {error}"))
}

/// Box filter over `SUPERSAMPLE` x `SUPERSAMPLE` RGB pixels.
fn average(pixels: &[u8], width: usize, height: usize) -> Vec<u8> {
    let n = SUPERSAMPLE * SUPERSAMPLE;
    let mut small = Vec::with_capacity(pixels.len() / n);
    for row in 0..height / SUPERSAMPLE {
        for column in 0..width / SUPERSAMPLE {
            for channel in 0..3 {
                let mut sum = n / 2;
                for dy in 0..SUPERSAMPLE {
                    for dx in 0..SUPERSAMPLE {
                        let at = (row * SUPERSAMPLE + dy) * width + column * SUPERSAMPLE + dx;
                        sum += usize::from(pixels[3 * at + channel]);
                    }
                }
                small.push((sum / n) as u8);
            }
        }
    }
    small
}

fn encode(pixels: &[u8], width: usize, height: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(plot_error)?;
    writer.write_image_data(pixels).map_err(plot_error)?;
    writer.finish().map_err(plot_error)?;
    Ok(bytes)
}

/// Width of a text in the embedded font.
pub(super) fn text_width(text: &str, em: f64) -> f64 {
    let Ok(font) = FontRef::try_from_slice(FONT) else {
        return 0.6 * em * text.chars().count() as f64;
    };
    let font = font.as_scaled((em * FONT_HEIGHT) as f32);
    text.chars().map(|c| f64::from(font.h_advance(font.glyph_id(c)))).sum()
}

/// At most `width` wide, cut with an ellipsis.
pub(super) fn shorten(text: &str, em: f64, width: f64) -> String {
    let text = clean(text);
    if text_width(&text, em) <= width {
        return text;
    }
    let mut short: String = text;
    while short.pop().is_some() {
        let cut = format!("{short}…");
        if text_width(&cut, em) <= width {
            return cut;
        }
    }
    "…".into()
}

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
        let x = self.left - 8.0 - widest - em;
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

    #[test]
    fn long_names_are_cut_to_the_width() {
        let short = shorten(&"m".repeat(500), 16.0, 100.0);
        assert!(short.ends_with('…') && text_width(&short, 16.0) <= 100.0 && short.chars().count() > 3);
        assert_eq!(shorten("mlp", 16.0, 100.0), "mlp");
    }

    #[test]
    fn average_is_the_mean_of_each_block() {
        let mut pixels = vec![0u8; 4 * 2 * 3];
        pixels[0] = 200;
        pixels[3] = 100;
        let small = average(&pixels, 4, 2);
        assert_eq!(small, [75, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn svg_text_is_escaped() {
        let mut drawing = Drawing::new(200.0, 50.0);
        drawing.text([10.0, 20.0], "<script>\u{0}\u{1b}&\"", 16.0, INK, Align::Left);
        let svg = String::from_utf8(drawing.svg().unwrap()).unwrap();
        assert!(svg.contains("&lt;script&gt;\u{fffd}\u{fffd}&amp;&quot;"), "{svg}");
    }
}

//! A drawing is a list of marks in pixels, drawn by plotters as SVG or PNG: both are the same picture.
//!
//! In: marks, origin at the upper left, text sizes in em pixels. Out: an SVG document, or a PNG at twice the pixels. The
//! embedded font is drawn into PNGs and measures text for both; an SVG names `sans-serif`. Same marks, same bytes.
//!
//! plotters places marks at whole pixels and its bitmap lines have hard edges: SVG is drawn four times as large and shown
//! in the asked size by its view box, PNG is drawn four times as large and averaged to twice.

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
/// SVG units per drawing pixel.
const SVG_SCALE: f64 = 4.0;
/// PNG pixels per drawing pixel, and raster pixels per PNG pixel.
const PNG_SCALE: usize = 2;
const SUPERSAMPLE: usize = 2;
/// What a long path may move when points are left out, in drawing pixels.
const TOLERANCE: f64 = 0.15;

pub(super) const INK: RGBColor = RGBColor(34, 34, 34);
/// Ink on a bar or a cell of a light colour, which no theme changes.
pub(super) const ON_LIGHT: RGBColor = RGBColor(33, 33, 33);
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
            let points = simplify(&points, TOLERANCE);
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
            let size = [self.width, self.height].map(|side| (side * SVG_SCALE).round() as u32);
            let area = SVGBackend::with_string(&mut text, size.into()).into_drawing_area();
            self.draw(&area, Scale { pixels: SVG_SCALE, em: SVG_EM, drop: 0.0 })?;
        }
        let [width, height] = [self.width, self.height].map(|side| side.round());
        let body = text.find(" viewBox=").map(|at| &text[at..]).unwrap_or_default();
        Ok(format!("<svg width=\"{width}\" height=\"{height}\"{body}").into_bytes())
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
    // Flat areas: equal bytes compress better than their differences to neighbours.
    encoder.set_compression(png::Compression::Default);
    encoder.set_filter(png::FilterType::NoFilter);
    let mut writer = encoder.write_header().map_err(plot_error)?;
    writer.write_image_data(pixels).map_err(plot_error)?;
    writer.finish().map_err(plot_error)?;
    Ok(bytes)
}

/// The points of a path that keep it within `tolerance` (Ramer 1972; Douglas and Peucker 1973).
fn simplify(path: &[Point], tolerance: f64) -> Vec<Point> {
    let mut keep = vec![false; path.len()];
    let mut open = vec![(0, path.len().saturating_sub(1))];
    while let Some((first, last)) = open.pop() {
        keep[first] = true;
        keep[last] = true;
        let far = |at: &usize| distance(path[*at], path[first], path[last]);
        let worst = (first + 1..last).max_by(|a, b| far(a).total_cmp(&far(b)));
        if let Some(at) = worst.filter(|at| far(at) > tolerance) {
            open.extend([(first, at), (at, last)]);
        }
    }
    path.iter().zip(keep).filter_map(|(&point, keep)| keep.then_some(point)).collect()
}

/// From a point to the segment between two others.
fn distance(point: Point, from: Point, to: Point) -> f64 {
    let [dx, dy] = [to[0] - from[0], to[1] - from[1]];
    let [px, py] = [point[0] - from[0], point[1] - from[1]];
    let length = dx * dx + dy * dy;
    let share = if length > 0.0 { ((px * dx + py * dy) / length).clamp(0.0, 1.0) } else { 0.0 };
    (px - share * dx).hypot(py - share * dy)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_to_the_width() {
        let short = shorten(&"m".repeat(500), 16.0, 100.0);
        assert!(short.ends_with('…') && text_width(&short, 16.0) <= 100.0 && short.chars().count() > 3);
        assert_eq!(shorten("mlp", 16.0, 100.0), "mlp");
    }

    #[test]
    fn simplified_paths_stay_close() {
        let path: Vec<Point> = (0..=2000).map(f64::from).map(|x| [x / 4.0, 500.0 * (x / 2000.0).sqrt()]).collect();
        let short = simplify(&path, TOLERANCE);
        assert!(short.len() < 100, "{}", short.len());
        for &point in &path {
            let nearest = short.windows(2).map(|ends| distance(point, ends[0], ends[1])).fold(f64::MAX, f64::min);
            assert!(nearest <= TOLERANCE + 1e-9);
        }
        assert_eq!(simplify(&[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]], TOLERANCE).len(), 3);
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

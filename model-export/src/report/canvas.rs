//! A canvas of `plotters`, measured in points, that becomes an SVG document.
//!
//! `plotters` places marks on whole units only, so a drawing has [`UNITS`] units per point.

use anyhow::{Context as _, Result};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::colours::Ink;
use super::html::escape;

/// The fonts of all letters, in order of preference.
const FONTS: &str = "Noto Sans, Helvetica, Arial, sans-serif";
/// Units of the drawing per point.
const UNITS: f64 = 4.0;
/// Height of letters in points.
pub(super) const LETTERS: f64 = 11.0;
/// Height of small letters in points.
pub(super) const SMALL: f64 = 10.0;

pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws an SVG document of this size in points.
pub(super) fn document(
    title: &str,
    [width, height]: [f64; 2],
    draw: impl FnOnce(&Area<'_>) -> Result<()>,
) -> Result<String> {
    let mut svg = String::new();
    let size = (units(width) as u32, units(height) as u32);
    let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
    draw(&area)?;
    area.present()?;
    drop(area);
    // The drawing library writes the size in its own units, and no title for readers that cannot see.
    let start = svg.find("<svg").context("the drawing is not SVG")?;
    let content = svg[start..]
        .find('>')
        .context("the drawing has no content")?;
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" width=\"{width}\" height=\"{height}\" \
         role=\"img\">\n<title>{}</title>{}",
        size.0,
        size.1,
        escape(title),
        &svg[start + content + 1..],
    ))
}

pub(super) fn units(points: f64) -> i32 {
    (points * UNITS).round() as i32
}

fn place([x, y]: [f64; 2]) -> (i32, i32) {
    (units(x), units(y))
}

pub(super) fn colour(ink: Ink) -> RGBColor {
    let [red, green, blue] = ink.rgb();
    RGBColor(red, green, blue)
}

pub(super) fn stroke(ink: Ink, width: f64) -> ShapeStyle {
    colour(ink).stroke_width(units(width) as u32)
}

/// Letters that are anchored at the middle of their height.
pub(super) fn letters(size: f64, ink: Ink, side: HPos) -> TextStyle<'static> {
    // The drawing library divides by 1.24.
    (FONTS, 1.24 * size * UNITS)
        .into_font()
        .color(&colour(ink))
        .pos(Pos::new(side, VPos::Center))
}

pub(super) fn text(area: &Area<'_>, at: [f64; 2], style: TextStyle<'_>, text: &str) -> Result<()> {
    area.draw(&Text::new(text, place(at), style))?;
    Ok(())
}

pub(super) fn rectangle(
    area: &Area<'_>,
    [x, y]: [f64; 2],
    size: [f64; 2],
    style: ShapeStyle,
) -> Result<()> {
    let corners = [place([x, y]), place([x + size[0], y + size[1]])];
    area.draw(&Rectangle::new(corners, style))?;
    Ok(())
}

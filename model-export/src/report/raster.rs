//! A drawing as PNG, on white. Letters come from Noto Sans, which is compiled in: a machine that
//! trains need not have fonts.

use anyhow::{Context, Result};
use tiny_skia::{
    FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, Rect, Stroke, StrokeDash,
    Transform,
};
use ttf_parser::{Face, OutlineBuilder};

use super::drawing::{Anchor, Drawing, Ink, Mark};

/// Pixels a point: enough for a screen of high density.
const SCALE: f32 = 2.0;

/// The drawing's PNG file.
///
/// # Errors
/// If the drawing has no area.
pub fn png(drawing: &Drawing) -> Result<Vec<u8>> {
    let size = |length: f32| (length * SCALE).ceil() as u32;
    let mut pixmap = Pixmap::new(size(drawing.width), size(drawing.height))
        .with_context(|| format!("`{}` has no area to draw on", drawing.title))?;
    pixmap.fill(tiny_skia::Color::WHITE);
    let face = Face::parse(notosans::REGULAR_TTF, 0).context("Noto Sans")?;
    for mark in &drawing.marks {
        paint(&mut pixmap, &face, mark);
    }
    Ok(pixmap.encode_png()?)
}

/// Marks without extent, such as an empty text, have no path and leave no trace.
fn paint(pixmap: &mut Pixmap, face: &Face<'_>, mark: &Mark) {
    let scale = Transform::from_scale(SCALE, SCALE);
    match mark {
        Mark::Rectangle {
            at: [x, y],
            size: [width, height],
            ink,
            opacity,
        } => {
            if let Some(rectangle) = Rect::from_xywh(*x, *y, *width, *height) {
                pixmap.fill_rect(rectangle, &colour(*ink, *opacity), scale, None);
            }
        }
        Mark::Line {
            points,
            ink,
            width,
            dashed,
        } => {
            let stroke = Stroke {
                width: *width,
                line_join: LineJoin::Round,
                dash: dashed
                    .then(|| StrokeDash::new(vec![4.0, 3.0], 0.0))
                    .flatten(),
                ..Stroke::default()
            };
            if let Some(path) = line(points) {
                pixmap.stroke_path(&path, &colour(*ink, 1.0), &stroke, scale, None);
            }
        }
        Mark::Dots {
            points,
            radius,
            ink,
        } => {
            let stroke = Stroke {
                width: 2.0 * radius,
                line_cap: LineCap::Round,
                ..Stroke::default()
            };
            for [x, y] in points {
                if let Some(path) = line(&[[*x, *y], [*x + 0.01, *y]]) {
                    pixmap.stroke_path(&path, &colour(*ink, 0.8), &stroke, scale, None);
                }
            }
        }
        Mark::Text {
            at,
            text,
            size,
            ink,
            anchor,
            upwards,
        } => {
            let (path, width) = letters(face, text);
            let zoom = size / f32::from(face.units_per_em());
            let shift = match anchor {
                Anchor::Start => 0.0,
                Anchor::Middle => -width / 2.0,
                Anchor::End => -width,
            };
            let turn = if *upwards { -90.0 } else { 0.0 };
            let place = scale
                .pre_translate(at[0], at[1])
                .pre_concat(Transform::from_rotate(turn))
                .pre_scale(zoom, -zoom)
                .pre_translate(shift, 0.0);
            if let Some(path) = path {
                pixmap.fill_path(&path, &colour(*ink, 1.0), FillRule::Winding, place, None);
            }
        }
    }
}

fn colour(ink: Ink, opacity: f32) -> Paint<'static> {
    let mut paint = Paint::default();
    let [red, green, blue] = ink.rgb();
    paint.set_color_rgba8(red, green, blue, (opacity * 255.0).round() as u8);
    paint.anti_alias = true;
    paint
}

fn line(points: &[[f32; 2]]) -> Option<Path> {
    let mut builder = PathBuilder::new();
    for (index, [x, y]) in points.iter().enumerate() {
        if index == 0 {
            builder.move_to(*x, *y);
        } else {
            builder.line_to(*x, *y);
        }
    }
    builder.finish()
}

/// The outline of a line of text from (0, 0) on, in the font's units with y upwards, and its width.
fn letters(face: &Face<'_>, text: &str) -> (Option<Path>, f32) {
    let mut pen = Pen {
        builder: PathBuilder::new(),
        at: 0.0,
    };
    for letter in text.chars() {
        let glyph = face.glyph_index(letter).unwrap_or_default();
        face.outline_glyph(glyph, &mut pen);
        pen.at += face.glyph_hor_advance(glyph).map_or(0.0, f32::from);
    }
    (pen.builder.finish(), pen.at)
}

struct Pen {
    builder: PathBuilder,
    /// Where the letter begins.
    at: f32,
}

impl OutlineBuilder for Pen {
    fn move_to(&mut self, x: f32, y: f32) {
        self.builder.move_to(self.at + x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.builder.line_to(self.at + x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        self.builder.quad_to(self.at + x1, y1, self.at + x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        self.builder
            .cubic_to(self.at + x1, y1, self.at + x2, y2, self.at + x, y);
    }

    fn close(&mut self) {
        self.builder.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dark(drawing: &Drawing, [x, y]: [u32; 2], [width, height]: [u32; 2]) -> usize {
        let pixmap = Pixmap::decode_png(&png(drawing).unwrap()).unwrap();
        let inside = (x..x + width).flat_map(|x| (y..y + height).map(move |y| (x, y)));
        inside
            .filter(|&(x, y)| pixmap.pixel(x, y).unwrap().red() < 128)
            .count()
    }

    #[test]
    fn letters_are_painted_where_the_anchor_says() {
        for (anchor, left) in [(Anchor::Start, false), (Anchor::End, true)] {
            let mut drawing = Drawing::new("", 100.0, 20.0);
            drawing.text([50.0, 15.0], 12.0, Ink::Text, anchor, "Hé−");
            let halves = [[0, 0], [100, 0]].map(|corner| dark(&drawing, corner, [100, 40]));
            assert_eq!(halves[0] > 50, left, "{halves:?}");
            assert_eq!(halves[1] > 50, !left, "{halves:?}");
        }
    }

    #[test]
    fn every_letter_of_the_figures_has_a_glyph() {
        let face = Face::parse(notosans::REGULAR_TTF, 0).unwrap();
        for letter in "azAZ09 %−–±·(),.:;/é".chars() {
            assert!(face.glyph_index(letter).is_some(), "{letter}");
        }
    }

    #[test]
    fn a_drawing_without_area_is_refused() {
        assert!(png(&Drawing::new("nothing", 0.0, 10.0)).is_err());
    }
}

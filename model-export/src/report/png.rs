//! A chart's SVG as PNG, on white. The letters come from Noto Sans, which is compiled in, because a
//! machine that trains may have no fonts.

use anyhow::{Context as _, Result};
use resvg::tiny_skia::{Color, Pixmap, Transform};
use resvg::usvg::{Options, Tree};

/// The compiled font, which charts name first.
const FONT: &str = "Noto Sans";
/// Pixels per point: enough for a high-density screen.
const SCALE: f32 = 2.0;

/// Renders an SVG document as a PNG file.
///
/// # Errors
/// If the text is not an SVG document with an area.
pub fn render(svg: &str) -> Result<Vec<u8>> {
    let mut options = Options {
        font_family: FONT.to_owned(),
        ..Options::default()
    };
    options
        .fontdb_mut()
        .load_font_data(notosans::REGULAR_TTF.to_vec());
    let tree = Tree::from_str(svg, &options).context("cannot read the chart's SVG")?;
    let pixels = |length: f32| (length * SCALE).ceil() as u32;
    let size = tree.size();
    let mut pixmap = Pixmap::new(pixels(size.width()), pixels(size.height()))
        .context("the chart has no area")?;
    pixmap.fill(Color::WHITE);
    let scale = Transform::from_scale(SCALE, SCALE);
    resvg::render(&tree, scale, &mut pixmap.as_mut());
    Ok(pixmap.encode_png()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_painted_with_the_compiled_font() {
        let svg = |text: &str| {
            format!(
                "<svg xmlns='http://www.w3.org/2000/svg' width='40' height='20'>\
                 <text x='2' y='15' font-size='12' font-family='{FONT}'>{text}</text></svg>"
            )
        };
        let dark = |text: &str| {
            let pixmap = Pixmap::decode_png(&render(&svg(text)).unwrap()).unwrap();
            let pixels = pixmap.pixels().iter();
            pixels.filter(|pixel| pixel.red() < 128).count()
        };
        assert_eq!(dark(""), 0);
        for letter in "aZ0%−–±·(é".chars() {
            assert!(dark(&letter.to_string()) > 3, "{letter}");
        }
    }

    #[test]
    fn what_is_not_an_svg_document_is_refused() {
        assert!(render("<p/>").is_err());
    }
}

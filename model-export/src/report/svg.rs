//! A drawing as SVG: attributes for readers that know no styles, classes for a page that does.

use std::fmt::Write;

use super::drawing::{Anchor, Drawing, Ink, Mark};

/// The drawing's SVG element.
#[must_use]
pub fn write(drawing: &Drawing) -> String {
    let (width, height) = (number(drawing.width), number(drawing.height));
    let title = escape(&drawing.title);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\" font-family=\"Noto Sans, Helvetica, Arial, sans-serif\">\n\
         <title>{title}</title>\n\
         <rect class=\"paper\" width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    for mark in &drawing.marks {
        text += &element(mark);
        text.push('\n');
    }
    text + "</svg>\n"
}

fn element(mark: &Mark) -> String {
    match mark {
        Mark::Rectangle {
            at: [x, y],
            size: [width, height],
            ink,
            opacity,
        } => format!(
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"{} fill-opacity=\"{}\"/>",
            number(*x),
            number(*y),
            number(*width),
            number(*height),
            fill(*ink),
            (opacity * 100.0).round() / 100.0,
        ),
        Mark::Line {
            points,
            ink,
            width,
            dashed,
        } => format!(
            "<path d=\"{}\" fill=\"none\"{} stroke-width=\"{}\" stroke-linejoin=\"round\"{}/>",
            path(points),
            stroke(*ink),
            number(*width),
            if *dashed {
                " stroke-dasharray=\"4 3\""
            } else {
                ""
            },
        ),
        // A round cap on a line of no length is a dot: ten bytes each instead of fifty.
        Mark::Dots {
            points,
            radius,
            ink,
        } => format!(
            "<path d=\"{}\" fill=\"none\"{} stroke-width=\"{}\" stroke-linecap=\"round\" \
             stroke-opacity=\"0.8\"/>",
            dots(points),
            stroke(*ink),
            number(2.0 * radius),
        ),
        Mark::Text {
            at: [x, y],
            text,
            size,
            ink,
            anchor,
            upwards,
        } => {
            let (x, y) = (number(*x), number(*y));
            let anchor = match anchor {
                Anchor::Start => "",
                Anchor::Middle => " text-anchor=\"middle\"",
                Anchor::End => " text-anchor=\"end\"",
            };
            let turned = if *upwards {
                format!(" transform=\"rotate(-90 {x} {y})\"")
            } else {
                String::new()
            };
            format!(
                "<text x=\"{x}\" y=\"{y}\" font-size=\"{}\"{}{anchor}{turned}>{}</text>",
                number(*size),
                fill(*ink),
                escape(text),
            )
        }
    }
}

fn fill(ink: Ink) -> String {
    let class = ink
        .class()
        .map_or_else(String::new, |class| format!(" class=\"{class}\""));
    format!("{class} fill=\"{}\"", colour(ink))
}

fn stroke(ink: Ink) -> String {
    let class = ink
        .class()
        .map_or_else(String::new, |class| format!(" class=\"{class}-line\""));
    format!("{class} stroke=\"{}\"", colour(ink))
}

fn colour(ink: Ink) -> String {
    let [red, green, blue] = ink.rgb();
    format!("#{red:02x}{green:02x}{blue:02x}")
}

fn path(points: &[[f32; 2]]) -> String {
    let mut text = String::new();
    for (index, [x, y]) in points.iter().enumerate() {
        let command = if index == 0 { 'M' } else { 'L' };
        let _ = write!(text, "{command}{} {}", number(*x), number(*y));
    }
    text
}

fn dots(points: &[[f32; 2]]) -> String {
    let mut text = String::new();
    for [x, y] in points {
        let _ = write!(text, "M{} {}h0", number(*x), number(*y));
    }
    text
}

/// A length to a tenth of a point.
fn number(value: f32) -> String {
    let rounded = (value * 10.0).round() / 10.0;
    format!("{rounded}")
}

/// Text as it may stand in XML.
#[must_use]
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mark_is_an_element_and_text_is_escaped() {
        let mut drawing = Drawing::new("a < b", 100.0, 50.0);
        drawing.text([1.0, 2.04], 11.0, Ink::Text, Anchor::End, "x & y");
        drawing.rule([0.0, 0.0], [10.0, 0.25], Ink::Grid);
        drawing.rectangle([1.0, 1.0], [2.0, 2.0], Ink::Colour(2), 0.5);
        drawing.marks.push(Mark::Dots {
            points: vec![[1.0, 2.0], [3.0, 4.0]],
            radius: 2.0,
            ink: Ink::Hue(3),
        });
        let svg = write(&drawing);
        let document = roxmltree::Document::parse(&svg).unwrap();
        let names: Vec<&str> = document
            .root_element()
            .children()
            .filter(roxmltree::Node::is_element)
            .map(|node| node.tag_name().name())
            .collect();
        assert_eq!(names, ["title", "rect", "text", "path", "rect", "path"]);
        assert!(svg.contains("M1 2h0M3 4h0"), "{svg}");
        assert!(svg.contains("class=\"grid-line\""), "{svg}");
        assert!(svg.contains(">x &amp; y</text>"), "{svg}");
    }
}

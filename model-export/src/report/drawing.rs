//! A drawing: marks on a rectangle, in points, with y downwards. Knows neither data nor file formats;
//! [`super::svg`] and [`super::raster`] paint the same marks.

/// What is drawn with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// Words and edges.
    Text,
    /// What stands back: tick labels, references.
    Faint,
    /// Grid lines.
    Grid,
    /// The first colours, far apart; in this order the paper's for neutral, anger, sadness, happiness.
    Colour(usize),
    /// As many colours as needed, less far apart.
    Hue(usize),
}

/// Readable on white and on black.
const COLOURS: [[u8; 3]; 8] = [
    [0xd6, 0x45, 0x3d],
    [0x2e, 0x9e, 0x5b],
    [0x3b, 0x78, 0xc9],
    [0x90, 0x56, 0xb8],
    [0xd9, 0x82, 0x1b],
    [0x1a, 0x9b, 0xa8],
    [0xc2, 0x57, 0x8f],
    [0x7d, 0x7f, 0x86],
];

impl Ink {
    /// Red, green, blue, on white paper.
    #[must_use]
    pub fn rgb(self) -> [u8; 3] {
        match self {
            Self::Text => [0x22, 0x26, 0x2b],
            Self::Faint => [0x6b, 0x72, 0x7a],
            Self::Grid => [0xd8, 0xdc, 0xe0],
            Self::Colour(number) => COLOURS[number % COLOURS.len()],
            Self::Hue(number) => hue(number),
        }
    }

    /// The class by which a page recolours it for dark paper, if it must.
    #[must_use]
    pub fn class(self) -> Option<&'static str> {
        match self {
            Self::Text => Some("ink"),
            Self::Faint => Some("faint"),
            Self::Grid => Some("grid"),
            Self::Colour(_) | Self::Hue(_) => None,
        }
    }
}

/// Hues a golden angle apart, so that any number of them differ; lightness alternates.
fn hue(number: usize) -> [u8; 3] {
    let hue = (number as f32 * 137.508) % 360.0;
    let lightness = [0.42, 0.58][number % 2];
    let chroma = 0.6 * (1.0 - (2.0 * lightness - 1.0f32).abs());
    [0.0, 8.0, 4.0].map(|shift| {
        let place = (shift + hue / 30.0) % 12.0;
        let slope = (place - 3.0).min(9.0 - place).clamp(-1.0, 1.0);
        ((lightness - 0.5 * chroma * slope) * 255.0).round() as u8
    })
}

/// To which side of its place a text lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// It begins there.
    Start,
    /// Its middle is there.
    Middle,
    /// It ends there.
    End,
}

/// One mark.
#[derive(Clone, Debug, PartialEq)]
pub enum Mark {
    /// A filled rectangle.
    Rectangle {
        /// Its upper left corner.
        at: [f32; 2],
        /// Width and height.
        size: [f32; 2],
        /// Its colour.
        ink: Ink,
        /// From 0 to 1.
        opacity: f32,
    },
    /// A line through points.
    Line {
        /// At least two.
        points: Vec<[f32; 2]>,
        /// Its colour.
        ink: Ink,
        /// Its width.
        width: f32,
        /// Whether it is dashed.
        dashed: bool,
    },
    /// Dots of one size and colour.
    Dots {
        /// Their middles.
        points: Vec<[f32; 2]>,
        /// Their radius.
        radius: f32,
        /// Their colour.
        ink: Ink,
    },
    /// A line of text.
    Text {
        /// Where its baseline is anchored.
        at: [f32; 2],
        /// The text.
        text: String,
        /// Height of the letters' square.
        size: f32,
        /// Its colour.
        ink: Ink,
        /// To which side it lies.
        anchor: Anchor,
        /// Whether it runs upwards.
        upwards: bool,
    },
}

/// Marks on a rectangle.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawing {
    /// What it shows, for those who cannot see it.
    pub title: String,
    /// Its width.
    pub width: f32,
    /// Its height.
    pub height: f32,
    /// From back to front.
    pub marks: Vec<Mark>,
}

impl Drawing {
    /// An empty one.
    #[must_use]
    pub fn new(title: &str, width: f32, height: f32) -> Self {
        Self {
            title: title.to_owned(),
            width,
            height,
            marks: Vec::new(),
        }
    }

    /// Adds a text that runs to the right.
    pub fn text(&mut self, at: [f32; 2], size: f32, ink: Ink, anchor: Anchor, text: &str) {
        self.marks.push(Mark::Text {
            at,
            text: text.to_owned(),
            size,
            ink,
            anchor,
            upwards: false,
        });
    }

    /// Adds a thin straight line.
    pub fn rule(&mut self, from: [f32; 2], to: [f32; 2], ink: Ink) {
        self.marks.push(Mark::Line {
            points: vec![from, to],
            ink,
            width: 1.0,
            dashed: false,
        });
    }

    /// Adds a rectangle.
    pub fn rectangle(&mut self, at: [f32; 2], size: [f32; 2], ink: Ink, opacity: f32) {
        self.marks.push(Mark::Rectangle {
            at,
            size,
            ink,
            opacity,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_hues_differ() {
        let distance = |a: [u8; 3], b: [u8; 3]| -> u32 {
            a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(b))).sum()
        };
        for number in 0..40 {
            let next = Ink::Hue(number + 1).rgb();
            assert!(distance(Ink::Hue(number).rgb(), next) > 60, "{number}");
        }
        // Red at hue 0.
        let [red, green, blue] = Ink::Hue(0).rgb();
        assert!(red > green && green == blue);
    }
}

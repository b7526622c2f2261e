//! The colours of the charts, readable on white and on black.

/// A colour by its purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// Titles and names.
    Text,
    /// Tick labels, axes and reference lines.
    Faint,
    /// Grid lines.
    Grid,
    /// One of eight colours that are easy to tell apart. The first four are the paper's for neutral, anger,
    /// sadness and happiness.
    Colour(usize),
    /// One of any number of colours, less easy to tell apart.
    Hue(usize),
}

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
    /// Returns red, green and blue.
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
}

/// Returns a hue. Hues are a golden angle apart, so that any number of them differ; lightness alternates.
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

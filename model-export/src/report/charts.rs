//! Charts: panels of lines, dots and bars, and confusion matrices, as drawings.

use super::drawing::{Anchor, Drawing, Ink, Mark};
use crate::evaluate::metrics::Confusion;

const LETTERS: f32 = 11.0;
const SMALL: f32 = 10.0;
/// Room around the data of a panel: left, top, right, bottom.
const MARGIN: [f32; 4] = [50.0, 28.0, 14.0, 40.0];
const LEGEND_LINE: f32 = 18.0;

/// How a series is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A line.
    Line,
    /// A line with dots at its points.
    Dotted,
    /// A dashed line.
    Dashed,
    /// Dots alone.
    Dots,
    /// Bars from 0, as wide as the points are apart.
    Bars,
}

/// Data of one colour.
#[derive(Clone, Debug)]
pub struct Series {
    /// Its name in the legend; nameless ones are not there.
    pub name: String,
    /// Its colour.
    pub ink: Ink,
    /// How it is shown.
    pub style: Style,
    /// x and y.
    pub points: Vec<[f64; 2]>,
}

/// One pair of axes.
#[derive(Clone, Debug, Default)]
pub struct Panel {
    /// Above it.
    pub title: String,
    /// Below it; without names the axes are not drawn, since their numbers mean nothing.
    pub x: String,
    /// Beside it.
    pub y: String,
    /// The range of x; that of the data if there is none.
    pub x_range: Option<[f64; 2]>,
    /// The range of y; that of the data if there is none.
    pub y_range: Option<[f64; 2]>,
    /// From back to front.
    pub series: Vec<Series>,
}

/// Panels of the same size in rows, with one legend for all.
#[must_use]
pub fn panels(title: &str, columns: usize, size: [f32; 2], panels: &[Panel]) -> Drawing {
    let rows = panels.len().div_ceil(columns.max(1));
    let width = size[0] * columns as f32;
    let mut names: Vec<(&str, Ink)> = Vec::new();
    for series in panels.iter().flat_map(|panel| &panel.series) {
        if !series.name.is_empty() && names.iter().all(|(name, _)| *name != series.name) {
            names.push((&series.name, series.ink));
        }
    }
    let height = size[1] * rows as f32;
    let lines = legend_lines(&names, width);
    let mut drawing = Drawing::new(
        title,
        width,
        height + LEGEND_LINE * lines.len() as f32 + 6.0,
    );
    for (index, panel) in panels.iter().enumerate() {
        let corner = [
            size[0] * (index % columns) as f32,
            size[1] * (index / columns) as f32,
        ];
        Frame::new(panel, corner, size).draw(&mut drawing, panel);
    }
    for (row, line) in lines.iter().enumerate() {
        let y = height + LEGEND_LINE * (row as f32 + 0.5);
        for (x, name, ink) in line {
            drawing.rectangle([*x, y - 8.0], [10.0, 10.0], *ink, 1.0);
            drawing.text([x + 15.0, y + 1.0], LETTERS, Ink::Text, Anchor::Start, name);
        }
    }
    drawing
}

/// Legend entries with their x, broken into lines.
fn legend_lines<'a>(names: &[(&'a str, Ink)], width: f32) -> Vec<Vec<(f32, &'a str, Ink)>> {
    let mut lines: Vec<Vec<(f32, &str, Ink)>> = Vec::new();
    let mut x = f32::INFINITY;
    for &(name, ink) in names {
        // Wide enough for any proportional font.
        let room = 34.0 + 6.6 * name.chars().count() as f32;
        if x + room > width {
            lines.push(Vec::new());
            x = MARGIN[0];
        }
        if let Some(line) = lines.last_mut() {
            line.push((x, name, ink));
        }
        x += room;
    }
    lines
}

/// Where a panel's data lies on the drawing.
struct Frame {
    corner: [f32; 2],
    size: [f32; 2],
    x: [f64; 2],
    y: [f64; 2],
}

impl Frame {
    fn new(panel: &Panel, [left, top]: [f32; 2], [width, height]: [f32; 2]) -> Self {
        let range = |fixed: Option<[f64; 2]>, axis: usize| {
            let values = || panel.series.iter().flat_map(|s| &s.points).map(|p| p[axis]);
            let low = values().fold(f64::INFINITY, f64::min);
            let high = values().fold(f64::NEG_INFINITY, f64::max);
            match fixed {
                Some(range) => range,
                None if low < high => [low, high],
                None if low.is_finite() => [low - 0.5, low + 0.5],
                None => [0.0, 1.0],
            }
        };
        Self {
            corner: [left + MARGIN[0], top + MARGIN[1]],
            size: [
                width - MARGIN[0] - MARGIN[2],
                height - MARGIN[1] - MARGIN[3],
            ],
            x: range(panel.x_range, 0),
            y: range(panel.y_range, 1),
        }
    }

    fn place(&self, [x, y]: [f64; 2]) -> [f32; 2] {
        let share = |value: f64, [low, high]: [f64; 2]| ((value - low) / (high - low)) as f32;
        [
            self.corner[0] + self.size[0] * share(x, self.x).clamp(0.0, 1.0),
            self.corner[1] + self.size[1] * (1.0 - share(y, self.y).clamp(0.0, 1.0)),
        ]
    }

    fn draw(&self, drawing: &mut Drawing, panel: &Panel) {
        let [left, top] = self.corner;
        let middle = left + self.size[0] / 2.0;
        let title = [middle, top - 10.0];
        drawing.text(title, LETTERS, Ink::Text, Anchor::Middle, &panel.title);
        if !panel.x.is_empty() {
            self.axes(drawing, panel);
        }
        for series in &panel.series {
            self.series(drawing, series);
        }
    }

    fn axes(&self, drawing: &mut Drawing, panel: &Panel) {
        let [left, top] = self.corner;
        let [right, bottom] = [left + self.size[0], top + self.size[1]];
        for value in ticks(self.y) {
            let y = self.place([self.x[0], value])[1];
            drawing.rule([left, y], [right, y], Ink::Grid);
            let at = [left - 6.0, y + 3.5];
            drawing.text(at, SMALL, Ink::Faint, Anchor::End, &short(value));
        }
        for value in ticks(self.x) {
            let x = self.place([value, self.y[0]])[0];
            drawing.rule([x, bottom], [x, bottom + 4.0], Ink::Faint);
            let at = [x, bottom + 15.0];
            drawing.text(at, SMALL, Ink::Faint, Anchor::Middle, &short(value));
        }
        drawing.rule([left, bottom], [right, bottom], Ink::Faint);
        let middle = [left + self.size[0] / 2.0, bottom + 31.0];
        drawing.text(middle, LETTERS, Ink::Text, Anchor::Middle, &panel.x);
        drawing.marks.push(Mark::Text {
            at: [left - 36.0, top + self.size[1] / 2.0],
            text: panel.y.clone(),
            size: LETTERS,
            ink: Ink::Text,
            anchor: Anchor::Middle,
            upwards: true,
        });
    }

    fn series(&self, drawing: &mut Drawing, series: &Series) {
        let ink = series.ink;
        let points: Vec<[f32; 2]> = series.points.iter().map(|p| self.place(*p)).collect();
        let mut line = |dashed| {
            if points.len() > 1 {
                drawing.marks.push(Mark::Line {
                    points: points.clone(),
                    ink,
                    width: 1.6,
                    dashed,
                });
            }
        };
        match series.style {
            Style::Line => line(false),
            Style::Dashed => line(true),
            Style::Dotted => {
                line(false);
                drawing.marks.push(Mark::Dots {
                    points,
                    radius: 2.6,
                    ink,
                });
            }
            Style::Dots => drawing.marks.push(Mark::Dots {
                points,
                radius: 2.2,
                ink,
            }),
            Style::Bars => {
                let width = self.size[0] / points.len().max(1) as f32;
                let floor = self.corner[1] + self.size[1];
                for (index, [_, y]) in points.iter().enumerate() {
                    let left = self.corner[0] + width * index as f32;
                    drawing.rectangle([left, *y], [width, floor - y], ink, 0.8);
                }
            }
        }
    }
}

/// Four to eight round values within a range.
fn ticks([low, high]: [f64; 2]) -> Vec<f64> {
    let rough = (high - low) / 5.0;
    let power = 10f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0];
    let step = steps
        .into_iter()
        .map(|step| step * power)
        .find(|step| (high - low) / step <= 6.0)
        .unwrap_or(rough);
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last).map(|tick| tick as f64 * step).collect()
}

/// A tick's number without noise from its multiplication.
fn short(value: f64) -> String {
    let rounded = (value * 1e4).round() / 1e4;
    format!("{rounded}").replace('-', "−")
}

/// Confusion matrices two in a row: shares of the true class, darker where larger.
#[must_use]
pub fn confusions(title: &str, labels: &[String], matrices: &[(String, &Confusion)]) -> Drawing {
    let cell = if labels.len() > 5 { 40.0 } else { 56.0 };
    let side = cell * labels.len() as f32;
    let longest = labels.iter().map(|label| label.chars().count()).max();
    let names = 20.0 + 6.6 * longest.unwrap_or(0) as f32;
    // Names of columns must fit their cells, or they stand upright.
    let upright = names - 20.0 > cell + 8.0;
    let below = if upright { names } else { 34.0 };
    let size = [names + side + 24.0, 34.0 + side + below + 18.0];
    let columns = matrices.len().clamp(1, 2);
    let rows = matrices.len().div_ceil(columns);
    let mut drawing = Drawing::new(title, size[0] * columns as f32, size[1] * rows as f32);
    for (index, (name, confusion)) in matrices.iter().enumerate() {
        let left = size[0] * (index % columns) as f32 + names;
        let top = size[1] * (index / columns) as f32 + 34.0;
        let middle = left + side / 2.0;
        drawing.text(
            [middle, top - 12.0],
            LETTERS + 1.0,
            Ink::Text,
            Anchor::Middle,
            name,
        );
        for (truth, row) in confusion.rows().enumerate() {
            let y = top + cell * truth as f32;
            let total: u64 = row.iter().sum();
            let at = [left - 8.0, y + cell / 2.0 + 4.0];
            drawing.text(at, LETTERS, Ink::Text, Anchor::End, &labels[truth]);
            for (said, count) in row.iter().enumerate() {
                let share = *count as f32 / total.max(1) as f32;
                let x = left + cell * said as f32;
                let square = [cell - 2.0, cell - 2.0];
                drawing.rectangle(
                    [x + 1.0, y + 1.0],
                    square,
                    Ink::Colour(2),
                    0.04 + 0.6 * share,
                );
                let at = [x + cell / 2.0, y + cell / 2.0 + 4.0];
                let text = format!("{:.1}", 100.0 * share);
                drawing.text(at, LETTERS, Ink::Text, Anchor::Middle, &text);
            }
        }
        for (said, label) in labels.iter().enumerate() {
            let x = left + cell * (said as f32 + 0.5);
            let bottom = top + side;
            drawing.marks.push(Mark::Text {
                at: if upright {
                    [x + 4.0, bottom + 8.0]
                } else {
                    [x, bottom + 16.0]
                },
                text: label.clone(),
                size: LETTERS,
                ink: Ink::Text,
                anchor: if upright { Anchor::End } else { Anchor::Middle },
                upwards: upright,
            });
        }
        let at = [middle, top + side + below];
        let note = "row: truth, column: heard as; per cent of the row";
        drawing.text(at, SMALL, Ink::Faint, Anchor::Middle, note);
    }
    drawing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within_the_range() {
        assert_eq!(
            ticks([0.0, 1.0]),
            [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]
        );
        assert_eq!(ticks([1.0, 40.0]), [10.0, 20.0, 30.0, 40.0]);
        for range in [[-3.0, 7.0], [0.001, 0.0012], [0.0, 12_345.0]] {
            let ticks = ticks(range);
            assert!((3..=7).contains(&ticks.len()), "{range:?}: {ticks:?}");
        }
        assert_eq!(short(3.0 * 0.2), "0.6");
        assert_eq!(short(-2.0), "−2");
    }

    #[test]
    fn panels_share_a_legend_and_keep_to_their_paper() {
        let series = |name: &str| Series {
            name: name.into(),
            ink: Ink::Colour(0),
            style: Style::Dotted,
            points: vec![[0.0, 0.0], [2.0, 5.0]],
        };
        let panel = Panel {
            x: "epoch".into(),
            series: vec![series("one"), series("two"), series("")],
            ..Panel::default()
        };
        let drawing = panels(
            "t",
            2,
            [200.0, 150.0],
            &[panel.clone(), panel, Panel::default()],
        );
        let words = |word: &str| {
            let texts = drawing.marks.iter();
            texts
                .filter(|mark| matches!(mark, Mark::Text { text, .. } if text == word))
                .count()
        };
        assert_eq!((words("one"), words("two"), words("epoch")), (1, 1, 2));
        for mark in &drawing.marks {
            let (Mark::Line { points, .. } | Mark::Dots { points, .. }) = mark else {
                continue;
            };
            for [x, y] in points {
                assert!((0.0..=drawing.width).contains(x) && (0.0..=drawing.height).contains(y));
            }
        }
    }

    #[test]
    fn matrices_show_shares_of_the_truth() {
        let confusion = Confusion::of(2, [(0, 0), (0, 1), (0, 0), (0, 0), (1, 1)]);
        let labels = ["calm".to_owned(), "anger".to_owned()];
        let drawing = confusions("t", &labels, &[("Deep TCN".into(), &confusion)]);
        let texts: Vec<&str> = drawing
            .marks
            .iter()
            .filter_map(|mark| match mark {
                Mark::Text { text, .. } => Some(text.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(
            texts[..7],
            ["Deep TCN", "calm", "75.0", "25.0", "anger", "0.0", "100.0"]
        );
    }
}

//! Confusion matrices as charts.

use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::canvas::{Area, LETTERS, SMALL, colour, document, letters, rectangle, text};
use super::colours::Ink;
use crate::evaluate::metrics::Confusion;

/// Draws confusion matrices, two in a row: per cent of the true class, darker if larger.
///
/// # Errors
/// If the drawing library fails.
pub fn confusions(
    title: &str,
    labels: &[String],
    matrices: &[(String, &Confusion)],
) -> Result<String> {
    let layout = MatrixLayout::new(labels);
    let [width, height] = layout.size();
    let columns = matrices.len().clamp(1, 2);
    let rows = matrices.len().div_ceil(columns);
    let size = [width * columns as f64, height * rows as f64];
    document(title, size, |area| {
        for (area, (name, confusion)) in area.split_evenly((rows, columns)).iter().zip(matrices) {
            layout.draw(area, labels, name, confusion)?;
        }
        Ok(())
    })
}

/// Lengths of a confusion matrix, in points.
struct MatrixLayout {
    /// Side of a cell.
    cell: f64,
    /// Side of the whole matrix.
    side: f64,
    /// Width of the rows' names.
    names: f64,
    /// Whether the columns' names are too long for a cell and run upwards.
    upright: bool,
    /// Height of the columns' names.
    below: f64,
}

/// Height above a matrix.
const ABOVE: f64 = 34.0;

impl MatrixLayout {
    fn new(labels: &[String]) -> Self {
        let cell = if labels.len() > 5 { 40.0 } else { 56.0 };
        let longest = labels.iter().map(|label| label.chars().count()).max();
        let name = 6.6 * longest.unwrap_or(0) as f64;
        let upright = name > cell + 8.0;
        Self {
            cell,
            side: cell * labels.len() as f64,
            names: name + 20.0,
            upright,
            below: if upright { name + 20.0 } else { 34.0 },
        }
    }

    fn size(&self) -> [f64; 2] {
        [
            self.names + self.side + 24.0,
            ABOVE + self.side + self.below + 18.0,
        ]
    }

    fn draw(
        &self,
        area: &Area<'_>,
        labels: &[String],
        name: &str,
        confusion: &Confusion,
    ) -> Result<()> {
        let (left, top, cell) = (self.names, ABOVE, self.cell);
        let middle = left + self.side / 2.0;
        let centred = |size, ink| letters(size, ink, HPos::Center);
        let title = centred(LETTERS + 1.0, Ink::Text);
        text(area, [middle, top - 16.0], title, name)?;
        for (truth, row) in confusion.rows().enumerate() {
            let y = top + cell * truth as f64;
            let total: u64 = row.iter().sum();
            let style = letters(LETTERS, Ink::Text, HPos::Right);
            text(area, [left - 8.0, y + cell / 2.0], style, &labels[truth])?;
            for (predicted, &count) in row.iter().enumerate() {
                let share = count as f64 / total.max(1) as f64;
                let x = left + cell * predicted as f64;
                let fill = colour(Ink::Colour(2)).mix(0.04 + 0.6 * share).filled();
                rectangle(area, [x + 1.0, y + 1.0], [cell - 2.0; 2], fill)?;
                let at = [x + cell / 2.0, y + cell / 2.0];
                let percent = format!("{:.1}", 100.0 * share);
                text(area, at, centred(LETTERS, Ink::Text), &percent)?;
            }
        }
        let bottom = top + self.side;
        for (predicted, label) in labels.iter().enumerate() {
            let x = left + cell * (predicted as f64 + 0.5);
            if self.upright {
                let style = letters(LETTERS, Ink::Text, HPos::Right);
                let style = style.transform(FontTransform::Rotate270);
                text(area, [x, bottom + 8.0], style, label)?;
            } else {
                text(area, [x, bottom + 12.0], centred(LETTERS, Ink::Text), label)?;
            }
        }
        let note = "row: true class, column: predicted; per cent of the row";
        let at = [middle, bottom + self.below - 4.0];
        text(area, at, centred(SMALL, Ink::Faint), note)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts of an SVG document, in their order.
    fn texts(svg: &str) -> Vec<String> {
        let document = roxmltree::Document::parse(svg).unwrap();
        let texts = document.descendants().filter(|n| n.has_tag_name("text"));
        texts
            .map(|n| n.text().unwrap_or("").trim().to_owned())
            .collect()
    }

    #[test]
    fn matrices_show_shares_of_the_truth() {
        let confusion = Confusion::of(2, [(0, 0), (0, 1), (0, 0), (0, 0), (1, 1)]);
        let labels = ["calm".to_owned(), "anger".to_owned()];
        let svg = confusions("t", &labels, &[("Deep TCN".into(), &confusion)]).unwrap();
        assert_eq!(
            texts(&svg)[..7],
            ["Deep TCN", "calm", "75.0", "25.0", "anger", "0.0", "100.0"]
        );
    }
}

//! Charts as SVG, drawn by `plotters`: panels of lines, dots and bars, and confusion matrices.
//!
//! Lengths in this module's interface are points. `plotters` places marks on whole units only, so
//! a chart is drawn with [`UNITS`] units per point.

use anyhow::{Context as _, Result};
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::colours::Ink;
use super::html::escape;
use crate::evaluate::metrics::Confusion;

/// The font of all letters.
pub const FONT: &str = "Noto Sans";
/// Units of the drawing per point.
const UNITS: f64 = 4.0;
/// Height of letters in points.
const LETTERS: f64 = 11.0;
/// Height of small letters in points.
const SMALL: f64 = 10.0;
/// Height of a line of the legend in points.
const LEGEND_LINE: f64 = 18.0;
/// Left edge of the legend in points.
const LEGEND_LEFT: f64 = 50.0;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// How a series is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A line.
    Line,
    /// A line with a dot at each point.
    Dotted,
    /// A dashed line.
    Dashed,
    /// A dot at each point.
    Dots,
    /// Bars from 0, of width 1 around each x.
    Bars,
}

/// Data of one colour.
#[derive(Clone, Debug)]
pub struct Series {
    /// Name in the legend; if it is empty the series is not in the legend.
    pub name: String,
    /// Its colour.
    pub ink: Ink,
    /// How it is drawn.
    pub style: Style,
    /// x and y.
    pub points: Vec<[f64; 2]>,
}

/// One pair of axes.
#[derive(Clone, Debug, Default)]
pub struct Panel {
    /// Text above it.
    pub title: String,
    /// Name of the x axis; if it is empty no axes are drawn.
    pub x: String,
    /// Name of the y axis.
    pub y: String,
    /// Range of x; by default that of the data.
    pub x_range: Option<[f64; 2]>,
    /// Range of y; by default that of the data.
    pub y_range: Option<[f64; 2]>,
    /// From back to front.
    pub series: Vec<Series>,
}

/// Draws panels of one size in rows, with one legend for all.
///
/// # Errors
/// If the drawing library fails.
pub fn panels(title: &str, columns: usize, size: [f64; 2], panels: &[Panel]) -> Result<String> {
    let columns = columns.max(1);
    let rows = panels.len().div_ceil(columns);
    let mut names: Vec<(&str, Ink)> = Vec::new();
    for series in panels.iter().flat_map(|panel| &panel.series) {
        if !series.name.is_empty() && names.iter().all(|(name, _)| *name != series.name) {
            names.push((&series.name, series.ink));
        }
    }
    let width = size[0] * columns as f64;
    let height = size[1] * rows as f64;
    let lines = legend_lines(&names, width);
    let legend_height = LEGEND_LINE * lines.len() as f64 + 6.0;
    document(title, [width, height + legend_height], |area| {
        let (charts, legend) = area.split_vertically(units(height));
        for (area, panel) in charts.split_evenly((rows, columns)).iter().zip(panels) {
            draw_panel(area, panel)?;
        }
        for (row, line) in lines.iter().enumerate() {
            let y = LEGEND_LINE * (row as f64 + 0.5);
            for &(x, name, ink) in line {
                rectangle(&legend, [x, y - 5.0], [10.0, 10.0], colour(ink).filled())?;
                let style = letters(LETTERS, Ink::Text, HPos::Left);
                text(&legend, [x + 15.0, y], style, name)?;
            }
        }
        Ok(())
    })
}

/// Draws an SVG document of this size in points.
fn document(
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

fn units(points: f64) -> i32 {
    (points * UNITS).round() as i32
}

fn place([x, y]: [f64; 2]) -> (i32, i32) {
    (units(x), units(y))
}

fn colour(ink: Ink) -> RGBColor {
    let [red, green, blue] = ink.rgb();
    RGBColor(red, green, blue)
}

fn stroke(ink: Ink, width: f64) -> ShapeStyle {
    colour(ink).stroke_width(units(width) as u32)
}

/// Letters that are anchored at the middle of their height.
fn letters(size: f64, ink: Ink, side: HPos) -> TextStyle<'static> {
    // The drawing library divides by 1.24.
    (FONT, 1.24 * size * UNITS)
        .into_font()
        .color(&colour(ink))
        .pos(Pos::new(side, VPos::Center))
}

fn text(area: &Area<'_>, at: [f64; 2], style: TextStyle<'_>, text: &str) -> Result<()> {
    area.draw(&Text::new(text, place(at), style))?;
    Ok(())
}

fn rectangle(area: &Area<'_>, [x, y]: [f64; 2], size: [f64; 2], style: ShapeStyle) -> Result<()> {
    let corners = [place([x, y]), place([x + size[0], y + size[1]])];
    area.draw(&Rectangle::new(corners, style))?;
    Ok(())
}

/// Breaks the entries of a legend into lines; each has its left edge.
fn legend_lines<'a>(names: &[(&'a str, Ink)], width: f64) -> Vec<Vec<(f64, &'a str, Ink)>> {
    let mut lines: Vec<Vec<(f64, &str, Ink)>> = Vec::new();
    let mut x = f64::INFINITY;
    for &(name, ink) in names {
        // Wide enough for any proportional font.
        let entry = 34.0 + 6.6 * name.chars().count() as f64;
        if x + entry > width {
            lines.push(Vec::new());
            x = LEGEND_LEFT;
        }
        if let Some(line) = lines.last_mut() {
            line.push((x, name, ink));
        }
        x += entry;
    }
    lines
}

fn draw_panel(area: &Area<'_>, panel: &Panel) -> Result<()> {
    let [x, y] = [(panel.x_range, 0), (panel.y_range, 1)].map(|(range, axis)| {
        let [low, high] = range.unwrap_or_else(|| data_range(panel, axis));
        low..high
    });
    let mut chart = ChartBuilder::on(area)
        .margin_top(units(6.0))
        .margin_right(units(14.0))
        .caption(&panel.title, letters(LETTERS, Ink::Text, HPos::Center))
        .x_label_area_size(units(38.0))
        .y_label_area_size(units(50.0))
        .build_cartesian_2d(x, y)?;
    if !panel.x.is_empty() {
        draw_axes(&mut chart, panel)?;
    }
    for series in &panel.series {
        draw_series(&mut chart, series)?;
    }
    Ok(())
}

/// The range of the data on an axis, never empty.
fn data_range(panel: &Panel, axis: usize) -> [f64; 2] {
    let values = || panel.series.iter().flat_map(|s| &s.points).map(|p| p[axis]);
    let low = values().fold(f64::INFINITY, f64::min);
    let high = values().fold(f64::NEG_INFINITY, f64::max);
    let bars = panel.series.iter().any(|s| s.style == Style::Bars);
    if axis == 0 && bars && low.is_finite() {
        [low - 0.5, high + 0.5]
    } else if low < high {
        [low, high]
    } else if low.is_finite() {
        [low - 0.5, low + 0.5]
    } else {
        [0.0, 1.0]
    }
}

fn draw_axes(chart: &mut Chart<'_, '_>, panel: &Panel) -> Result<()> {
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(stroke(Ink::Grid, 1.0))
        .axis_style(stroke(Ink::Faint, 1.0))
        .set_tick_mark_size(LabelAreaPosition::Bottom, units(4.0))
        .set_tick_mark_size(LabelAreaPosition::Left, units(4.0))
        .x_labels(7)
        .y_labels(7)
        .x_label_formatter(&|value| short(*value))
        .y_label_formatter(&|value| short(*value))
        .label_style(letters(SMALL, Ink::Faint, HPos::Center))
        .axis_desc_style(letters(LETTERS, Ink::Text, HPos::Center))
        .x_desc(&panel.x)
        .y_desc(&panel.y)
        .draw()?;
    Ok(())
}

fn draw_series(chart: &mut Chart<'_, '_>, series: &Series) -> Result<()> {
    let points = || series.points.iter().map(|&[x, y]| (x, y));
    let line = stroke(series.ink, 1.6);
    let dots = |radius: f64, opacity: f64| {
        let style = colour(series.ink).mix(opacity).filled();
        points().map(move |point| Circle::new(point, units(radius), style))
    };
    match series.style {
        Style::Line => {
            chart.draw_series(LineSeries::new(points(), line))?;
        }
        Style::Dashed => {
            let (dash, gap) = (units(4.0), units(3.0));
            chart.draw_series(DashedLineSeries::new(points(), dash, gap, line))?;
        }
        Style::Dotted => {
            chart.draw_series(LineSeries::new(points(), line))?;
            chart.draw_series(dots(2.6, 1.0))?;
        }
        Style::Dots => {
            chart.draw_series(dots(2.2, 0.8))?;
        }
        Style::Bars => {
            let style = colour(series.ink).mix(0.8).filled();
            let bar = |(x, y)| Rectangle::new([(x - 0.5, 0.0), (x + 0.5, y)], style);
            chart.draw_series(points().map(bar))?;
        }
    }
    Ok(())
}

/// Formats a tick label without rounding noise.
fn short(value: f64) -> String {
    // Adding 0 turns −0 into 0.
    let rounded = (value * 1e4).round() / 1e4 + 0.0;
    format!("{rounded}").replace('-', "−")
}

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
        let note = "row: true class, column: predicted class; per cent of the row";
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
    fn tick_labels_have_no_rounding_noise() {
        assert_eq!(short(3.0 * 0.2), "0.6");
        assert_eq!(short(-2.0), "−2");
        assert_eq!(short(-1e-9), "0");
    }

    #[test]
    fn panels_share_a_legend() {
        let series = |name: &str, style| Series {
            name: name.into(),
            ink: Ink::Colour(0),
            style,
            points: vec![[0.0, 0.0], [2.0, 5.0]],
        };
        let panel = Panel {
            x: "epoch".into(),
            series: vec![
                series("one", Style::Dotted),
                series("two", Style::Line),
                series("", Style::Dashed),
            ],
            ..Panel::default()
        };
        let all = [panel.clone(), panel, Panel::default()];
        let svg = panels("a < b", 2, [200.0, 150.0], &all).unwrap();
        assert!(svg.contains("<title>a &lt; b</title>"), "{svg}");
        let texts = texts(&svg);
        let count = |word: &str| texts.iter().filter(|text| *text == word).count();
        assert_eq!((count("one"), count("two"), count("epoch")), (1, 1, 2));
    }

    #[test]
    fn an_empty_range_of_data_gets_a_width() {
        let mut panel = Panel::default();
        assert_eq!(data_range(&panel, 0), [0.0, 1.0]);
        panel.series.push(Series {
            name: String::new(),
            ink: Ink::Faint,
            style: Style::Line,
            points: vec![[3.0, 1.0]],
        });
        assert_eq!(data_range(&panel, 0), [2.5, 3.5]);
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

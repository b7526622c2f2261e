//! Charts of lines, dots and bars in panels, drawn by `plotters`. Lengths are in points.

use anyhow::Result;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::canvas::{
    Area, LETTERS, SMALL, colour, document, letters, rectangle, stroke, text, units,
};
use super::colours::Ink;

/// Height of a line of the legend in points.
const LEGEND_LINE: f64 = 18.0;
/// Left edge of a panel's data and of the legend in points.
const LEFT: f64 = 50.0;
/// Space above, right of and below a panel's data in points; the axis labels are below the data.
const TOP: f64 = 28.0;
const RIGHT: f64 = 14.0;
const BOTTOM: f64 = 40.0;

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
    let legend_height = LEGEND_LINE * lines.len() as f64 + 8.0;
    document(title, [width, height + legend_height], |area| {
        let (charts, legend) = area.split_vertically(units(height));
        for (area, panel) in charts.split_evenly((rows, columns)).iter().zip(panels) {
            draw_panel(area, size[0], panel)?;
        }
        for (row, line) in lines.iter().enumerate() {
            let y = LEGEND_LINE * (row as f64 + 0.5) + 4.0;
            for &(x, name, ink) in line {
                rectangle(&legend, [x, y - 5.0], [10.0, 10.0], colour(ink).filled())?;
                let style = letters(LETTERS, Ink::Text, HPos::Left);
                text(&legend, [x + 15.0, y], style, name)?;
            }
        }
        Ok(())
    })
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
            x = LEFT;
        }
        if let Some(line) = lines.last_mut() {
            line.push((x, name, ink));
        }
        x += entry;
    }
    lines
}

fn draw_panel(area: &Area<'_>, width: f64, panel: &Panel) -> Result<()> {
    let middle = (LEFT + width - RIGHT) / 2.0;
    let title = letters(LETTERS, Ink::Text, HPos::Center);
    text(area, [middle, TOP - 14.0], title, &panel.title)?;
    let [x, y] = [(panel.x_range, 0), (panel.y_range, 1)].map(|(range, axis)| {
        let [low, high] = range.unwrap_or_else(|| data_range(panel, axis));
        low..high
    });
    let mut chart = ChartBuilder::on(area)
        .margin_top(units(TOP))
        .margin_right(units(RIGHT))
        .margin_bottom(units(4.0))
        .margin_left(units(8.0))
        .x_label_area_size(units(BOTTOM - 4.0))
        .y_label_area_size(units(LEFT - 8.0))
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
}

//! The report's charts: which data goes into which chart.

use std::collections::BTreeMap;

use anyhow::Result;

use super::ablation::{Ablation, CodebookEpoch, Epoch, SystemRuns};
use super::charts::{Panel, Series, Style, panels};
use super::colours::Ink;
use super::embedding;
use super::matrices::confusions;
use super::summary::{Summary, predictions};
use crate::evaluate::metrics::{Confusion, reliability, risk_coverage};
use crate::evaluate::systems::System;
use crate::preset::{Representation, SequenceModel};

/// Largest number of points of a line; more would not be visible.
const LINE_POINTS: usize = 100;
/// Largest number of utterances in the t-SNE chart.
const PROJECTED: usize = 1_500;
const BOTH: [(Representation, &str); 2] = [
    (Representation::Deep, "Deep"),
    (Representation::Fusion, "Fusion"),
];

/// A chart with its caption.
#[derive(Debug)]
pub struct Picture {
    /// Name of its files.
    pub name: &'static str,
    /// The caption, as plain text.
    pub caption: String,
    /// The SVG document.
    pub svg: String,
}

/// Draws all charts that the ablation has data for.
///
/// # Errors
/// If t-SNE or the drawing library fails.
pub fn draw(ablation: &Ablation, summary: &Summary) -> Result<Vec<Picture>> {
    let mut pictures = Vec::new();
    let mut add = |name, caption: &str, svg: Option<String>| {
        pictures.extend(svg.map(|svg| Picture {
            name,
            caption: caption.to_owned(),
            svg,
        }));
    };
    add(
        "confusion",
        "Confusion matrices, as the paper's Figure 5: rows are true classes, columns predicted classes, in \
         per cent of the row, over all test utterances and seeds.",
        matrices(ablation, summary)?,
    );
    add(
        "representations",
        "t-SNE of the mean representation of each utterance, as the paper's Figure 4, by emotion and by speaker: \
         Fusion TACN on the test utterances of fold 0. Distances between clusters have no meaning; the table's numbers are \
         measured in the original space.",
        representations(ablation)?,
    );
    add(
        "learning",
        "Learning curves: UA on the validation speakers, and the training loss; means over runs.",
        learning(ablation)?,
    );
    add(
        "reliability",
        "Reliability: the accuracy of predictions by their confidence. On the dashed line both are equal; below \
         it the system is overconfident.",
        reliabilities(ablation)?,
    );
    add(
        "risk-coverage",
        "Risk against coverage: the share of mistakes if only the most confident predictions are given.",
        risks(ablation)?,
    );
    add(
        "codebook",
        "The codebook: how often each code is the nearest on training speech, most frequent first, and its \
         perplexity while it was pre-trained.",
        codebook(ablation)?,
    );
    Ok(pictures)
}

fn matrices(ablation: &Ablation, summary: &Summary) -> Result<Option<String>> {
    // The chart may be seen without its page, so it states a speaker-dependent split.
    let note = if ablation.protocol.is_speaker_independent() {
        ""
    } else {
        ", speaker-DEPENDENT"
    };
    let found: Vec<(String, &Confusion)> = System::of_table_2()
        .into_iter()
        .filter_map(|system| {
            let cell = summary.cell(system)?;
            Some((format!("{system}{note}"), cell.confusion()))
        })
        .collect();
    let title = format!("Confusion matrices, {}", ablation.protocol.label());
    let drawn = !found.is_empty();
    drawn
        .then(|| confusions(&title, &ablation.labels, &found))
        .transpose()
}

fn representations(ablation: &Ablation) -> Result<Option<String>> {
    let Some(embeddings) = &ablation.embeddings else {
        return Ok(None);
    };
    let every = embeddings.points.len().div_ceil(PROJECTED).max(1);
    let points: Vec<_> = embeddings.points.iter().step_by(every).collect();
    let labels: Vec<usize> = points.iter().map(|point| point.label).collect();
    let speakers = embedding::numbered(points.iter().map(|point| point.speaker.as_str()));
    let deep: Vec<&[f32]> = points.iter().map(|point| point.deep.as_slice()).collect();
    let fusion: Vec<&[f32]> = points.iter().map(|point| point.fusion.as_slice()).collect();
    let (Some(deep), Some(fusion)) = (embedding::project(&deep)?, embedding::project(&fusion)?)
    else {
        return Ok(None);
    };
    let emotion = |label: usize| {
        let name = ablation.labels.get(label).cloned().unwrap_or_default();
        (name, Ink::Colour(label))
    };
    let speaker = |number: usize| (String::new(), Ink::Hue(number));
    let found = [
        coloured("Deep representation, by emotion", &deep, &labels, emotion),
        coloured(
            "Fusion representation, by emotion",
            &fusion,
            &labels,
            emotion,
        ),
        coloured("Deep representation, by speaker", &deep, &speakers, speaker),
        coloured(
            "Fusion representation, by speaker",
            &fusion,
            &speakers,
            speaker,
        ),
    ];
    let title = "t-SNE of the deep and the fusion representation";
    Ok(Some(panels(title, 2, [380.0, 340.0], &found)?))
}

/// Makes a panel of points, with one colour per group.
fn coloured(
    title: &str,
    places: &[[f64; 2]],
    groups: &[usize],
    look: impl Fn(usize) -> (String, Ink),
) -> Panel {
    let mut clouds: BTreeMap<usize, Vec<[f64; 2]>> = BTreeMap::new();
    for (place, group) in places.iter().zip(groups) {
        clouds.entry(*group).or_default().push(*place);
    }
    let series = clouds.into_iter().map(|(group, points)| {
        let (name, ink) = look(group);
        Series {
            name,
            ink,
            style: Style::Dots,
            points,
        }
    });
    Panel {
        title: title.to_owned(),
        series: series.collect(),
        ..Panel::default()
    }
}

fn learning(ablation: &Ablation) -> Result<Option<String>> {
    let panel =
        |title: String, y: &str, value: fn(&Epoch) -> Option<f64>, cells: &[&SystemRuns]| Panel {
            title,
            x: "epoch".into(),
            y: y.into(),
            series: cells.iter().map(|cell| mean_curve(cell, value)).collect(),
            ..Panel::default()
        };
    let mut found = Vec::new();
    for (representation, name) in BOTH {
        let cells: Vec<&SystemRuns> = ablation
            .cells
            .iter()
            .filter(|cell| cell.system.representation == representation)
            .filter(|cell| cell.curves.iter().any(|curve| !curve.is_empty()))
            .collect();
        if !cells.is_empty() {
            let title = |what: &str| format!("{name}: {what}");
            let ua = |epoch: &Epoch| epoch.validation_ua.map(|ua| 100.0 * ua);
            found.push(panel(title("validation UA"), "per cent", ua, &cells));
            found.push(panel(
                title("training loss"),
                "loss",
                |epoch| Some(epoch.loss),
                &cells,
            ));
        }
    }
    let drawn = !found.is_empty();
    drawn
        .then(|| panels("Learning curves", 2, [380.0, 250.0], &found))
        .transpose()
}

fn mean_curve(cell: &SystemRuns, value: fn(&Epoch) -> Option<f64>) -> Series {
    let mut epochs: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for epoch in cell.curves.iter().flatten() {
        if let Some(value) = value(epoch) {
            epochs.entry(epoch.epoch).or_default().push(value);
        }
    }
    let means = epochs.into_iter().map(|(epoch, values)| {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        [epoch as f64, mean]
    });
    let place = SequenceModel::ALL
        .iter()
        .position(|s| *s == cell.system.sequence);
    Series {
        name: cell.system.sequence.title().to_owned(),
        ink: Ink::Colour(place.unwrap_or(0)),
        style: Style::Line,
        points: thinned(means.collect()),
    }
}

/// Returns the systems of Table 2 that have finished runs, each with its colour.
fn of_table_2(ablation: &Ablation) -> impl Iterator<Item = (&SystemRuns, Ink)> {
    let systems = System::of_table_2().into_iter().enumerate();
    systems.filter_map(|(place, system)| Some((ablation.cell(system)?, Ink::Colour(place))))
}

fn reliabilities(ablation: &Ablation) -> Result<Option<String>> {
    let mut series: Vec<Series> = of_table_2(ablation)
        .map(|(cell, ink)| {
            let predictions = predictions(cell);
            let probabilities: Vec<_> = predictions
                .iter()
                .map(|v| v.probabilities.clone())
                .collect();
            let labels: Vec<usize> = predictions.iter().map(|v| v.label).collect();
            let bins = reliability(&probabilities, &labels);
            let points = bins.iter().filter(|bin| bin.count > 0);
            Series {
                name: cell.system.to_string(),
                ink,
                style: Style::Dotted,
                points: points.map(|bin| [bin.confidence, bin.accuracy]).collect(),
            }
        })
        .collect();
    if series.is_empty() {
        return Ok(None);
    }
    let diagonal = Series {
        name: String::new(),
        ink: Ink::Faint,
        style: Style::Dashed,
        points: vec![[0.0, 0.0], [1.0, 1.0]],
    };
    series.insert(0, diagonal);
    let panel = Panel {
        title: "Reliability".into(),
        x: "confidence".into(),
        y: "accuracy".into(),
        x_range: Some([0.0, 1.0]),
        y_range: Some([0.0, 1.0]),
        series,
    };
    panels("Reliability diagram", 1, [460.0, 360.0], &[panel]).map(Some)
}

fn risks(ablation: &Ablation) -> Result<Option<String>> {
    let series: Vec<Series> = of_table_2(ablation)
        .map(|(cell, ink)| {
            let predictions: Vec<(f32, bool)> = predictions(cell)
                .iter()
                .map(|v| (v.confidence(), v.is_right()))
                .collect();
            let curve = risk_coverage(&predictions).points;
            Series {
                name: cell.system.to_string(),
                ink,
                style: Style::Line,
                points: thinned(curve.into_iter().map(|(x, y)| [x, y]).collect()),
            }
        })
        .collect();
    let top = series
        .iter()
        .flat_map(|series| &series.points)
        .map(|point| point[1])
        .fold(0.1, f64::max);
    let panel = Panel {
        title: "Risk against coverage".into(),
        x: "coverage: share of predictions given".into(),
        y: "risk: share of mistakes".into(),
        x_range: Some([0.0, 1.0]),
        y_range: Some([0.0, top]),
        series,
    };
    let drawn = !panel.series.is_empty();
    drawn
        .then(|| panels("Risk against coverage", 1, [460.0, 320.0], &[panel]))
        .transpose()
}

fn codebook(ablation: &Ablation) -> Result<Option<String>> {
    let Some(codebook) = &ablation.codebook else {
        return Ok(None);
    };
    let mut counts = codebook.counts.clone();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let total: u64 = counts.iter().sum();
    let bars = counts.iter().enumerate().map(|(rank, count)| {
        let share = 100.0 * *count as f64 / total.max(1) as f64;
        [rank as f64 + 1.0, share]
    });
    let series = |style, points| {
        vec![Series {
            name: String::new(),
            ink: Ink::Colour(2),
            style,
            points,
        }]
    };
    let highest = counts
        .first()
        .map_or(0.0, |count| 100.0 * *count as f64 / total.max(1) as f64);
    let mut found = vec![Panel {
        title: "Use of the codes".into(),
        x: "code, by rank".into(),
        y: "per cent".into(),
        y_range: Some([0.0, highest.max(0.1)]),
        series: series(Style::Bars, bars.collect()),
        ..Panel::default()
    }];
    if !codebook.curve.is_empty() {
        let curve = |value: fn(&CodebookEpoch) -> f64| {
            let points = codebook.curve.iter();
            thinned(
                points
                    .map(|epoch| [epoch.epoch as f64, value(epoch)])
                    .collect(),
            )
        };
        for (title, y, points) in [
            (
                "Perplexity in pre-training",
                "perplexity",
                curve(|e| e.perplexity),
            ),
            (
                "Reconstruction in pre-training",
                "loss",
                curve(|e| e.reconstruction),
            ),
        ] {
            found.push(Panel {
                title: title.into(),
                x: "epoch".into(),
                y: y.into(),
                series: series(Style::Line, points),
                ..Panel::default()
            });
        }
    }
    let columns = found.len();
    panels("Codebook", columns, [300.0, 240.0], &found).map(Some)
}

/// Returns at most [`LINE_POINTS`] of a line's points, including both ends.
fn thinned(points: Vec<[f64; 2]>) -> Vec<[f64; 2]> {
    if points.len() <= LINE_POINTS {
        return points;
    }
    let step = (points.len() - 1) as f64 / (LINE_POINTS - 1) as f64;
    (0..LINE_POINTS)
        .map(|place| points[(place as f64 * step).round() as usize])
        .collect()
}

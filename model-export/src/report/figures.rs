//! The report's pictures: which data goes into which chart.

use std::collections::BTreeMap;

use anyhow::Result;

use super::ablation::{Ablation, Epoch, SystemRuns};
use super::charts::{Panel, Series, Style, confusions, panels};
use super::drawing::{Drawing, Ink};
use super::summary::{Summary, predictions};
use super::{embedding, svg};
use crate::evaluate::metrics::{Confusion, reliability, risk_coverage};
use crate::evaluate::systems::System;
use crate::preset::Representation;
use crate::preset::SequenceModel;

/// Points of a line at most: more are not seen.
const LINE_POINTS: usize = 100;
/// Utterances that t-SNE is shown at most.
const PROJECTED: usize = 1_500;
const BOTH: [(Representation, &str); 2] = [
    (Representation::Deep, "Deep"),
    (Representation::Fusion, "Fusion"),
];

/// A picture in both of its shapes.
#[derive(Debug)]
pub struct Picture {
    /// Name of its files.
    pub name: &'static str,
    /// What it shows, for below it; plain text.
    pub caption: String,
    /// As marks.
    pub drawing: Drawing,
    /// As SVG.
    pub svg: String,
}

/// All pictures that the ablation has data for.
///
/// # Errors
/// If t-SNE cannot run.
pub fn draw(ablation: &Ablation, summary: &Summary) -> Result<Vec<Picture>> {
    let mut pictures = Vec::new();
    let mut add = |name, caption: &str, drawing: Option<Drawing>| {
        pictures.extend(drawing.map(|drawing| Picture {
            name,
            caption: caption.to_owned(),
            svg: svg::write(&drawing),
            drawing,
        }));
    };
    add(
        "confusion",
        "Confusion matrices, as the paper's Figure 5: rows are the truth, columns what was heard, in per \
         cent of the row, over all test utterances and seeds.",
        matrices(ablation, summary),
    );
    add(
        "representations",
        "t-SNE of one mean representation an utterance, as the paper's Figure 4, by emotion and by speaker: \
         Fusion TACN on the test utterances of fold 0. Distances between clusters mean nothing; the table's numbers are taken in \
         the original space.",
        representations(ablation)?,
    );
    add(
        "learning",
        "Learning curves: UA on the validation speakers, and the training loss; means over runs.",
        learning(ablation),
    );
    add(
        "reliability",
        "Reliability: how often predictions of a given confidence are right. On the dashed line confidence can \
         be taken at its word; below it the system is too sure.",
        reliabilities(ablation),
    );
    add(
        "risk-coverage",
        "Risk against coverage: the share of mistakes if only the surest predictions are given.",
        risks(ablation),
    );
    add(
        "codebook",
        "The codebook: how often each code is the nearest on training speech, most frequent first, and its \
         perplexity while it was pre-trained.",
        codebook(ablation),
    );
    Ok(pictures)
}

fn matrices(ablation: &Ablation, summary: &Summary) -> Option<Drawing> {
    // The picture may be seen without its page: a split that flatters is named on it.
    let note = match ablation.protocol.is_speaker_independent() {
        true => "",
        false => ", speaker-DEPENDENT",
    };
    let found: Vec<(String, &Confusion)> = System::of_table_2()
        .into_iter()
        .filter_map(|system| {
            let cell = summary.cell(system)?;
            Some((format!("{system}{note}"), cell.confusion()))
        })
        .collect();
    let title = format!("Confusion matrices, {}", ablation.protocol.label());
    (!found.is_empty()).then(|| confusions(&title, &ablation.labels, &found))
}

fn representations(ablation: &Ablation) -> Result<Option<Drawing>> {
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
    Ok(Some(panels(title, 2, [380.0, 340.0], &found)))
}

/// A cloud of points with a colour a group.
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

fn learning(ablation: &Ablation) -> Option<Drawing> {
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
    (!found.is_empty()).then(|| panels("Learning curves", 2, [380.0, 250.0], &found))
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

/// The systems of Table 2 that are there, each with its colour.
fn of_table_2(ablation: &Ablation) -> impl Iterator<Item = (&SystemRuns, Ink)> {
    let systems = System::of_table_2().into_iter().enumerate();
    systems.filter_map(|(place, system)| Some((ablation.cell(system)?, Ink::Colour(place))))
}

fn reliabilities(ablation: &Ablation) -> Option<Drawing> {
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
        return None;
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
        y: "share right".into(),
        x_range: Some([0.0, 1.0]),
        y_range: Some([0.0, 1.0]),
        series,
    };
    Some(panels("Reliability diagram", 1, [460.0, 360.0], &[panel]))
}

fn risks(ablation: &Ablation) -> Option<Drawing> {
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
        y: "risk: share wrong".into(),
        x_range: Some([0.0, 1.0]),
        y_range: Some([0.0, top]),
        series,
    };
    let drawn = !panel.series.is_empty();
    drawn.then(|| panels("Risk against coverage", 1, [460.0, 320.0], &[panel]))
}

fn codebook(ablation: &Ablation) -> Option<Drawing> {
    let codebook = ablation.codebook.as_ref()?;
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
        let curve = |value: fn(&super::ablation::CodebookEpoch) -> f64| {
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
    Some(panels("Codebook", columns, [300.0, 240.0], &found))
}

/// At most [`LINE_POINTS`] of a line's points, with its ends.
fn thinned(points: Vec<[f64; 2]>) -> Vec<[f64; 2]> {
    if points.len() <= LINE_POINTS {
        return points;
    }
    let step = (points.len() - 1) as f64 / (LINE_POINTS - 1) as f64;
    (0..LINE_POINTS)
        .map(|place| points[(place as f64 * step).round() as usize])
        .collect()
}

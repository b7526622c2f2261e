//! `model-export telephone`: tests finished folds again on utterances that were sent over a telephone line, with
//! each handling of a narrow band.
//!
//! Decoding, resampling and the front end are the server's own. The weights, temperatures and test
//! speakers are those of the runs. Nothing is trained and nothing is chosen.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::Serialize;
use serde_json::json;
use undertone::frontend::NarrowBand;

use crate::atomic_file;
use crate::data::corpus::Utterance;
use crate::data::dataset::{Dataset, Source};
use crate::data::features::{Features, Statistics};
use crate::data::line::Line;
use crate::evaluate::figures::{Figures, SEED, by_corpus, by_speaker};
use crate::evaluate::metrics::{Confusion, Interval, paired_bootstrap};
use crate::evaluate::tested::TestPrediction;
use crate::preset::Augment;
use crate::preset::{Preset, Representation};
use crate::report::telephone::file_name;
use crate::train::autoencoder::{Autoencoder, WEIGHTS};
use crate::train::batch::{Sampler, SamplerOptions};
use crate::train::prediction::Prediction;
use crate::train::run::{OUTCOME, Outcome, PREDICTIONS, Run, STATISTICS, SavedStatistics};
use crate::train::trainer::Trainer;

/// Tests finished folds again over a telephone line.
///
/// The test utterances are classified as they are, at 8 kHz, and in 8 kHz µ-law from 300 to 3,400 Hz.
/// Above the band, the model's input is the floor or the training mean. Intervals are 95 %, from
/// resampling speakers.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  model-export telephone runs/fold* --data data --out docs/results"
)]
pub struct TelephoneArguments {
    /// Run folders of the finished folds of one preset, one seed each.
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// The labelled corpora of the runs.
    #[command(flatten)]
    pub source: Source,
    /// Folder for `telephone-PRESET.json`. Without it the table is only printed.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// A finished fold with its model.
struct FinishedFold {
    preset: Preset,
    trainer: Trainer,
    statistics: Statistics,
    temperature: f32,
    /// Its test utterances, as indices in the data set.
    tested: Vec<usize>,
    /// The protocol's label and reason.
    protocol: String,
}

/// The figures for one line and one handling of its band.
#[derive(Serialize)]
struct LineRow {
    line: &'static str,
    narrow_band: &'static str,
    figures: Figures,
    /// UA by corpus.
    corpora: Vec<(String, f64)>,
    /// Gain in UA over the floor on the same line: value and interval.
    over_floor: Option<(f64, Interval)>,
}

/// Runs the command.
///
/// # Errors
/// If a run has not finished, tested nothing, or tested an utterance that is not in the data set.
pub fn run(arguments: &TelephoneArguments) -> Result<()> {
    let data = Dataset::labelled(&arguments.source)?;
    let folds: Vec<FinishedFold> = arguments
        .runs
        .iter()
        .map(|folder| {
            FinishedFold::open(folder, &data).with_context(|| folder.display().to_string())
        })
        .collect::<Result<_>>()?;
    check(&folds, &data)?;
    let first = folds.first().context("no run is given")?;
    let mut rows = Vec::new();
    for line in Line::ALL {
        rows.extend(over(line, &folds, &data)?);
    }
    println!("{}", markdown(&first.protocol, &rows));
    if let Some(folder) = &arguments.out {
        std::fs::create_dir_all(folder)?;
        let report = json!({
            "preset": first.preset, "protocol": first.protocol, "labels": data.classes,
            "data": data.digest(), "rows": rows,
        });
        let path = folder.join(file_name(&first.preset.name));
        atomic_file::replace(&path, &serde_json::to_vec_pretty(&report)?)?;
    }
    Ok(())
}

/// Refuses folds that do not belong in one table.
fn check(folds: &[FinishedFold], data: &Dataset) -> Result<()> {
    let mut seen = vec![false; data.utterances.len()];
    for fold in folds {
        ensure!(
            fold.preset == folds[0].preset && fold.protocol == folds[0].protocol,
            "the runs have different presets, seeds or protocols; test one system at a time"
        );
        for &index in &fold.tested {
            ensure!(
                !std::mem::replace(&mut seen[index], true),
                "two runs test {}",
                data.utterances[index].name()
            );
        }
    }
    Ok(())
}

impl FinishedFold {
    fn open(folder: &Path, data: &Dataset) -> Result<Self> {
        let run = Run::open(folder)?;
        let preset = run.preset()?;
        let outcome: Outcome = run.read(OUTCOME)?;
        let labels = run.labels()?;
        ensure!(
            labels == data.classes,
            "its classes are {labels:?}, but those of the data are {:?}",
            data.classes
        );
        let names: Vec<String> = data.utterances.iter().map(Utterance::name).collect();
        let places: HashMap<&str, usize> = names.iter().map(String::as_str).zip(0..).collect();
        let predictions: Vec<Prediction> = run.read(PREDICTIONS)?;
        ensure!(
            !predictions.is_empty(),
            "it tested nothing: it was trained with --all"
        );
        let tested = predictions.iter().map(|prediction| {
            let index = places.get(prediction.path.as_str()).copied();
            index.with_context(|| format!("{} is not in the data", prediction.path))
        });
        let vqvae = match preset.representation {
            Representation::Deep => None,
            Representation::Fusion => {
                Some(Autoencoder::load(&preset.vqvae, &run.path(WEIGHTS), 0.0)?.model())
            }
        };
        Ok(Self {
            tested: tested.collect::<Result<_>>()?,
            trainer: Trainer::resume(&preset, labels.len(), vqvae, folder)?,
            statistics: run.read::<SavedStatistics>(STATISTICS)?.into(),
            temperature: outcome.temperature,
            protocol: run.protocol()?.describe(),
            preset,
        })
    }

    /// Classifies its test utterances.
    fn predictions(
        &self,
        features: &Features,
        data: &Dataset,
        narrow_band: NarrowBand,
    ) -> Result<Vec<TestPrediction>> {
        let options = SamplerOptions {
            hop: self.preset.segment_hop,
            narrow_band,
            augment: Augment::none(),
            classes: data.classes.len(),
            ..SamplerOptions::default()
        };
        let statistics = self.statistics.clone();
        let sampler = Sampler::new(
            features,
            &data.utterances,
            &self.tested,
            statistics,
            options,
        )?;
        let predictions = self
            .trainer
            .predict(&sampler, &data.utterances, &self.tested);
        Ok(predictions
            .into_iter()
            .map(|prediction| TestPrediction::of(prediction, self.temperature))
            .collect())
    }
}

/// Tests all folds on one line, with each handling of its band.
fn over(line: Line, folds: &[FinishedFold], data: &Dataset) -> Result<Vec<LineRow>> {
    let (features, kept) = Features::compute_over(&data.utterances, line)?;
    ensure!(
        kept.len() == data.utterances.len(),
        "{} utterances are too short or broken after the line",
        data.utterances.len() - kept.len()
    );
    let classes = data.classes.len();
    let narrow = kept.iter().any(|&index| features.band(index).is_narrow());
    let handlings: &[NarrowBand] = if narrow {
        &[NarrowBand::AsIs, NarrowBand::Mean]
    } else {
        &[NarrowBand::AsIs]
    };
    let mut tested = Vec::new();
    for &handling in handlings {
        let mut predictions = Vec::new();
        for fold in folds {
            predictions.extend(fold.predictions(&features, data, handling)?);
        }
        tested.push((handling, predictions));
    }
    let mut rows: Vec<LineRow> = Vec::new();
    for (handling, predictions) in &tested {
        let predictions: Vec<&TestPrediction> = predictions.iter().collect();
        let floor: Vec<&TestPrediction> = tested[0].1.iter().collect();
        let corpora = by_corpus(&predictions).into_iter().map(|(name, members)| {
            let counts = Confusion::of(classes, members.iter().map(|v| (v.label, v.predicted())));
            (name.to_owned(), counts.unweighted_accuracy())
        });
        rows.push(LineRow {
            line: line.name(),
            narrow_band: if narrow { handling.name() } else { "" },
            figures: Figures::of(classes, &predictions)?,
            corpora: corpora.collect(),
            over_floor: match handling {
                NarrowBand::AsIs => None,
                NarrowBand::Mean => Some(difference(classes, &predictions, &floor)?),
            },
        });
    }
    Ok(rows)
}

/// Computes how much higher UA is in the first predictions than in the second, on the same speakers.
fn difference(
    classes: usize,
    first: &[&TestPrediction],
    second: &[&TestPrediction],
) -> Result<(f64, Interval)> {
    let (first, second) = (by_speaker(classes, first), by_speaker(classes, second));
    let ua = Confusion::unweighted_accuracy;
    let total = |speakers: &BTreeMap<&str, Confusion>| -> Confusion { speakers.values().sum() };
    let value = ua(&total(&first)) - ua(&total(&second));
    let pairs: Vec<_> = first.into_values().zip(second.into_values()).collect();
    Ok((value, paired_bootstrap(&pairs, ua, SEED)?))
}

fn markdown(protocol: &str, rows: &[LineRow]) -> String {
    let mut text = format!(
        "{protocol}, in per cent; in brackets the 95 % interval over speakers.\n\n\
         | line | narrow band | UA | WA | chance UA / WA | UA over as-is |\n|---|---|--:|--:|--:|--:|\n"
    );
    let shown = |value: f64, Interval { low, high }: Interval| {
        let [value, low, high] = [value, low, high].map(|share| 100.0 * share);
        format!("{value:.1} ({low:.1} to {high:.1})")
    };
    for row in rows {
        let Figures {
            ua,
            wa,
            chance_ua,
            chance_wa,
            ..
        } = &row.figures;
        let more = row
            .over_floor
            .map_or_else(String::new, |(v, i)| shown(v, i));
        text += &format!(
            "| {} | {} | {} | {} | {:.1} / {:.1} | {more} |\n",
            row.line,
            row.narrow_band,
            shown(ua.value, ua.interval),
            shown(wa.value, wa.interval),
            100.0 * chance_ua,
            100.0 * chance_wa,
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four utterances of each of two speakers; the first `right` are classified correctly.
    fn predictions(right: usize) -> Vec<TestPrediction> {
        let prediction = |speaker: usize, index: usize| {
            let label = index % 2;
            let predicted = if index < right { label } else { 1 - label };
            TestPrediction {
                path: format!("{speaker}/{index}.wav"),
                corpus: "emodb".into(),
                speaker: format!("emodb/{speaker}"),
                label,
                probabilities: if predicted == 0 {
                    vec![0.8, 0.2]
                } else {
                    vec![0.2, 0.8]
                },
            }
        };
        (0..2)
            .flat_map(|speaker| (0..4).map(move |index| prediction(speaker, index)))
            .collect()
    }

    #[test]
    fn a_handling_is_compared_with_the_floor_on_the_same_speakers() {
        let (mean, floor) = (predictions(4), predictions(2));
        let (mean, floor): (Vec<_>, Vec<_>) = (mean.iter().collect(), floor.iter().collect());
        let (value, interval) = difference(2, &mean, &floor).unwrap();
        assert!((value - 0.5).abs() < 1e-12);
        // Both speakers gain the same, so no draw of them gives another value.
        assert!((interval.low - 0.5).abs() < 1e-12 && (interval.high - 0.5).abs() < 1e-12);
        let row = LineRow {
            line: Line::Linear.name(),
            narrow_band: "mean",
            figures: Figures::of(2, &mean).unwrap(),
            corpora: Vec::new(),
            over_floor: Some((value, interval)),
        };
        let table = markdown("Speaker-independent", &[row]);
        let line = "| 8 kHz linear | mean | 100.0 (100.0 to 100.0) | 100.0 (100.0 to 100.0) | 50.0 / 50.0 | 50.0 (50.0 to 50.0) |";
        assert!(table.contains(line), "{table}");
    }
}

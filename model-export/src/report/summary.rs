//! The numbers of a report: the content of `ablation.json`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::Value;

use super::ablation::{Ablation, SystemRuns};
use super::claims::{self, Claim};
use super::embedding::{Separation, Space};
use super::paper;
use crate::evaluate::figures::{Figure, Figures, SEED, Spreads, by_corpus, counts};
use crate::evaluate::metrics::{Confusion, paired_bootstrap_of_means};
use crate::evaluate::systems::System;
use crate::evaluate::tested::{TestPrediction, TestedRun};

/// Runs are listed singly up to this number, because with one fold per speaker the file would be unreadable.
const LISTED_RUNS: usize = 500;
/// Numbers are rounded to 1 / this; more decimals would be noise.
const DECIMALS: f64 = 1e5;

/// All numbers of the report.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// Name of the protocol.
    pub protocol: String,
    /// Whether no test speaker was trained on.
    pub speaker_independent: bool,
    /// Names of the classes.
    pub labels: Vec<String>,
    /// Corpora of the test utterances.
    pub corpora: Vec<String>,
    /// Test speakers.
    pub speakers: usize,
    /// Test utterances.
    pub utterances: usize,
    /// UA of a constant prediction.
    pub chance_ua: f64,
    /// WA of always predicting the most frequent class.
    pub chance_wa: f64,
    /// Seeds.
    pub seeds: BTreeSet<u64>,
    /// Folds.
    pub folds: usize,
    /// Largest number of epochs of a run.
    pub epochs: usize,
    /// Sentences that must accompany the figures.
    pub disclosures: Vec<String>,
    /// The preset of all runs, except representation, sequence model and seed.
    pub configuration: Value,
    /// Runs that have not finished.
    pub missing: Vec<String>,
    /// Slug of the system with the highest UA.
    pub best: String,
    /// The systems with a finished run.
    pub cells: Vec<SystemSummary>,
    /// The paper's claims and our answers.
    pub claims: Vec<Claim>,
    /// How well R_d and R_f separate emotions and speakers.
    pub representations: Option<Representations>,
    /// How often codes are used.
    pub codebook: Option<Usage>,
}

/// One system's numbers.
#[derive(Debug, Serialize)]
pub struct SystemSummary {
    /// Its slug.
    pub system: String,
    /// Finished runs.
    pub runs: usize,
    /// Figures over the test utterances of all runs.
    #[serde(flatten)]
    pub figures: Figures,
    /// Their spread over folds.
    pub over_folds: Spreads,
    /// Their spread over seeds.
    pub over_seeds: Spreads,
    /// Accuracies on each corpus.
    pub by_corpus: BTreeMap<String, Accuracies>,
    /// Accuracy of the paper's Table 1, in per cent.
    pub paper_table_1: f64,
    /// F1, WA and UA of its Table 2, in per cent.
    pub paper_table_2: Option<[f64; 3]>,
    /// Seconds of training over all runs.
    pub seconds: f64,
    /// Each run, unless there are too many.
    pub each: Vec<RunSummary>,
}

/// Accuracies on one corpus.
#[derive(Debug, Serialize)]
pub struct Accuracies {
    /// Its speakers.
    pub speakers: usize,
    /// Its utterances.
    pub utterances: usize,
    /// UA.
    #[serde(rename = "UA")]
    pub ua: Figure,
    /// WA.
    #[serde(rename = "WA")]
    pub wa: Figure,
    /// Macro F1.
    #[serde(rename = "F1")]
    pub f1: Figure,
}

/// One run's numbers.
#[derive(Debug, Serialize)]
pub struct RunSummary {
    /// Its seed.
    pub seed: u64,
    /// Its fold.
    pub fold: String,
    /// UA.
    #[serde(rename = "UA")]
    pub ua: f64,
    /// WA.
    #[serde(rename = "WA")]
    pub wa: f64,
    /// Macro F1.
    #[serde(rename = "F1")]
    pub f1: f64,
    /// Temperature.
    pub temperature: f32,
}

/// Both representations of the same utterances.
#[derive(Debug, Serialize)]
pub struct Representations {
    /// Utterances.
    pub utterances: usize,
    /// Of R_d.
    pub deep: Separation,
    /// Of R_f.
    pub fusion: Separation,
    /// Purity by emotion of R_f minus that of R_d; the interval is over speakers.
    pub emotion_purity_gain: Figure,
}

/// How often the codes of a codebook are used.
#[derive(Debug, Serialize)]
pub struct Usage {
    /// Number of codes.
    pub codes: usize,
    /// Codes that were the nearest at least once.
    pub used: usize,
    /// Perplexity.
    pub perplexity: f64,
}

impl Summary {
    /// Computes the numbers of an ablation.
    ///
    /// # Errors
    /// If a system has no predictions.
    pub fn of(ablation: &Ablation) -> Result<Self> {
        let listed = ablation
            .cells
            .iter()
            .map(|cell| cell.runs.len())
            .sum::<usize>()
            <= LISTED_RUNS;
        let cells: Vec<SystemSummary> = ablation
            .cells
            .iter()
            .map(|cell| SystemSummary::of(ablation, cell, listed))
            .collect::<Result<_>>()?;
        let best = cells
            .iter()
            .rev()
            .max_by(|a, b| a.figures.ua.value.total_cmp(&b.figures.ua.value))
            .context("no run has finished")?;
        // The most complete system describes the data.
        let data = cells
            .iter()
            .rev()
            .max_by_key(|cell| cell.figures.utterances)
            .unwrap_or(best);
        Ok(Self {
            protocol: ablation.protocol.to_string(),
            speaker_independent: ablation.protocol.is_speaker_independent(),
            labels: ablation.labels.clone(),
            corpora: data.by_corpus.keys().cloned().collect(),
            speakers: data.figures.speakers,
            utterances: data.figures.utterances,
            chance_ua: data.figures.chance_ua,
            chance_wa: data.figures.chance_wa,
            seeds: ablation.seeds.clone(),
            folds: ablation.folds.len(),
            epochs: ablation.epochs(),
            disclosures: TestedRun::disclosures(ablation.cells.iter().flat_map(|cell| &cell.runs)),
            configuration: toml::from_str(&ablation.preset)?,
            missing: ablation.missing.clone(),
            best: best.system.clone(),
            claims: claims::test(ablation)?,
            representations: representations(ablation)?,
            codebook: ablation.codebook.as_ref().map(|codebook| Usage {
                codes: codebook.counts.len(),
                used: codebook.counts.iter().filter(|count| **count > 0).count(),
                perplexity: codebook.perplexity,
            }),
            cells,
        })
    }

    /// One system's numbers, if it has a finished run.
    #[must_use]
    pub fn cell(&self, system: System) -> Option<&SystemSummary> {
        let slug = system.slug();
        self.cells.iter().find(|cell| cell.system == slug)
    }

    /// The text of `ablation.json`.
    ///
    /// # Errors
    /// Never: it is made of numbers and strings.
    pub fn json(&self) -> Result<Vec<u8>> {
        let mut value = serde_json::to_value(self)?;
        round(&mut value);
        let mut text = serde_json::to_vec_pretty(&value)?;
        text.push(b'\n');
        Ok(text)
    }
}

impl SystemSummary {
    fn of(ablation: &Ablation, cell: &SystemRuns, listed: bool) -> Result<Self> {
        let classes = ablation.labels.len();
        let predictions = predictions(cell);
        let mut corpora = BTreeMap::new();
        for (corpus, members) in by_corpus(&predictions) {
            let figures = Figures::of(classes, &members)?;
            let accuracies = Accuracies {
                speakers: figures.speakers,
                utterances: figures.utterances,
                ua: figures.ua,
                wa: figures.wa,
                f1: figures.f1,
            };
            corpora.insert(corpus.to_owned(), accuracies);
        }
        let each = cell.runs.iter().filter(|_| listed).map(|run| {
            let counts = counts(run);
            RunSummary {
                seed: run.seed,
                fold: run.fold.clone(),
                ua: counts.unweighted_accuracy(),
                wa: counts.weighted_accuracy(),
                f1: counts.macro_f1(),
                temperature: run.temperature,
            }
        });
        Ok(Self {
            system: cell.system.slug(),
            runs: cell.runs.len(),
            figures: Figures::of(classes, &predictions)?,
            over_folds: Spreads::over_folds(&cell.runs),
            over_seeds: Spreads::over_seeds(&cell.runs),
            by_corpus: corpora,
            paper_table_1: paper::table_1(cell.system),
            paper_table_2: paper::table_2(cell.system),
            seconds: cell.seconds(),
            each: each.collect(),
        })
    }

    /// Counts over all runs.
    #[must_use]
    pub fn confusion(&self) -> &Confusion {
        &self.figures.confusion
    }
}

/// All predictions of a cell.
#[must_use]
pub fn predictions(cell: &SystemRuns) -> Vec<&TestPrediction> {
    cell.runs.iter().flat_map(|run| &run.predictions).collect()
}

fn representations(ablation: &Ablation) -> Result<Option<Representations>> {
    let Some(embeddings) = &ablation.embeddings else {
        return Ok(None);
    };
    let points = &embeddings.points;
    let labels: Vec<usize> = points.iter().map(|point| point.label).collect();
    let speakers = super::embedding::numbered(points.iter().map(|point| point.speaker.as_str()));
    let deep: Vec<&[f32]> = points.iter().map(|point| point.deep.as_slice()).collect();
    let fusion: Vec<&[f32]> = points.iter().map(|point| point.fusion.as_slice()).collect();
    let (deep, fusion) = (Space::of(&deep), Space::of(&fusion));
    let gains = fusion
        .purities(&labels)
        .into_iter()
        .zip(deep.purities(&labels));
    let mut by_speaker: BTreeMap<usize, Vec<(f64, f64)>> = BTreeMap::new();
    for (speaker, pair) in speakers.iter().zip(gains) {
        by_speaker.entry(*speaker).or_default().push(pair);
    }
    let by_speaker: Vec<_> = by_speaker.into_values().collect();
    let (of_deep, of_fusion) = (
        deep.separation(&labels, &speakers),
        fusion.separation(&labels, &speakers),
    );
    Ok(Some(Representations {
        utterances: points.len(),
        emotion_purity_gain: Figure {
            value: of_fusion.emotion.purity - of_deep.emotion.purity,
            interval: paired_bootstrap_of_means(&by_speaker, SEED)?,
        },
        deep: of_deep,
        fusion: of_fusion,
    }))
}

fn round(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            let rounded = number
                .as_f64()
                .map(|float| (float * DECIMALS).round() / DECIMALS);
            *value = rounded.into();
        }
        Value::Array(values) => values.iter_mut().for_each(round),
        Value::Object(values) => values.values_mut().for_each(round),
        _ => {}
    }
}

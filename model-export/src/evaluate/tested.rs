//! The test predictions of a finished run, and its protocol.
//!
//! Presets are read as plain TOML, so that reports also work for runs with presets of another version.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

use crate::data::corpus::Corpus;
use crate::data::split::Protocol;
use crate::evaluate::metrics::{argmax, softmax};
use crate::preset::disclosure;
use crate::train::run::{OUTCOME, PREDICTIONS, Run};

use crate::train::prediction::Prediction;

/// The prediction on one test utterance, with its true class.
#[derive(Clone, Debug, PartialEq)]
pub struct TestPrediction {
    /// Path of the file, with the span if the utterance is a part of it.
    pub path: String,
    /// Its corpus.
    pub corpus: String,
    /// Its speaker.
    pub speaker: String,
    /// The true class.
    pub label: usize,
    /// Probabilities of the K classes, after the temperature.
    pub probabilities: Vec<f32>,
}

impl TestPrediction {
    /// Applies a temperature to a prediction.
    #[must_use]
    pub fn of(prediction: Prediction, temperature: f32) -> Self {
        Self {
            probabilities: softmax(&prediction.logits, temperature),
            path: prediction.path,
            corpus: prediction.corpus,
            speaker: prediction.speaker,
            label: prediction.label,
        }
    }

    /// Returns the most probable class.
    #[must_use]
    pub fn predicted(&self) -> usize {
        argmax(&self.probabilities)
    }

    /// Returns the probability of the predicted class.
    #[must_use]
    pub fn confidence(&self) -> f32 {
        self.probabilities
            .get(self.predicted())
            .copied()
            .unwrap_or(0.0)
    }

    /// Whether the predicted class is the true class.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.predicted() == self.label
    }
}

/// The test of a finished run.
#[derive(Clone, Debug)]
pub struct TestedRun {
    /// The preset's name.
    pub preset: String,
    /// The whole preset except the seed, as JSON. Runs of one system have the same recipe.
    pub recipe: String,
    /// Seed of weights and batches.
    pub seed: u64,
    /// The fold's name in the run's record.
    pub fold: String,
    /// How the test utterances were chosen.
    pub protocol: Protocol,
    /// Names of the K classes.
    pub labels: Vec<String>,
    /// The temperature that was fitted on its validation speakers.
    pub temperature: f32,
    /// One prediction per test utterance; at least one.
    pub predictions: Vec<TestPrediction>,
}

/// The part of a run's outcome that is used here.
#[derive(Deserialize)]
struct Calibrated {
    temperature: f32,
}

impl TestedRun {
    /// Reads a run folder.
    ///
    /// # Errors
    /// If the run has not finished or tested nothing.
    pub fn read(folder: &Path) -> Result<Self> {
        let run = Run::open(folder)?;
        let record: Value = run.read("record.json")?;
        let predictions: Vec<Prediction> = run.read(PREDICTIONS)?;
        let Calibrated { temperature } = run.read(OUTCOME)?;
        let Some(first) = predictions.first() else {
            bail!(
                "{} tested nothing: it was trained with --all",
                folder.display()
            );
        };
        let classes = first.logits.len();
        ensure!(
            predictions.iter().all(|p| p.logits.len() == classes),
            "{}: its test utterances differ in the number of classes",
            folder.display()
        );
        let labels = run.labels()?;
        ensure!(
            labels.len() == classes,
            "{} has predictions for {classes} classes but names of {}",
            folder.display(),
            labels.len()
        );
        let mut preset = preset(&run)?;
        let seed = preset["training"]["seed"].take().as_u64().unwrap_or(0);
        Ok(Self {
            preset: preset["name"].as_str().unwrap_or_default().to_owned(),
            recipe: preset.to_string(),
            seed,
            fold: record["fold"].as_str().unwrap_or_default().to_owned(),
            protocol: run.protocol()?,
            labels,
            temperature,
            predictions: predictions
                .into_iter()
                .map(|prediction| TestPrediction::of(prediction, temperature))
                .collect(),
        })
    }

    /// Returns the sentences that must accompany the figures of these runs.
    #[must_use]
    pub fn disclosures<'a>(runs: impl Iterator<Item = &'a Self> + Clone) -> Vec<String> {
        let predictions = runs.clone().flat_map(|run| &run.predictions);
        let corpora = predictions.map(|prediction| Corpus::from(prediction.corpus.as_str()));
        let corpora: BTreeSet<Corpus> = corpora.collect();
        let protocol = runs.clone().map(|run| run.protocol).next();
        let mut sentences = protocol.map_or_else(Vec::new, |p| p.disclosures(&corpora));
        let presets: BTreeSet<&str> = runs.map(|run| run.preset.as_str()).collect();
        let of_presets = presets.into_iter().filter_map(disclosure);
        sentences.extend(of_presets.map(str::to_owned));
        sentences
    }

    /// Returns the number of classes K.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.labels.len()
    }
}

fn preset(run: &Run) -> Result<Value> {
    let path = run.path("preset.toml");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let table: toml::Table = toml::from_str(&text).with_context(|| path.display().to_string())?;
    Ok(serde_json::to_value(table)?)
}

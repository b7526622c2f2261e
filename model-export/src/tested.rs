//! What a finished run said of its test utterances, and under which protocol.
//!
//! Reads run folders that [`crate::train`] left and nothing else of the run, so that reports can be
//! written of runs that another version of the presets began.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

use crate::fit::{OUTCOME, TESTED};
use crate::metrics::{argmax, softmax};
use crate::run::Run;
use crate::split::Protocol;

use crate::trainer::Prediction;

/// The word on one test utterance.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The file.
    pub path: String,
    /// Its corpus.
    pub corpus: String,
    /// Its speaker.
    pub speaker: String,
    /// The truth, a class index.
    pub label: usize,
    /// What the run held likely, after its temperature; K of them.
    pub probabilities: Vec<f32>,
}

impl Verdict {
    /// The likeliest class.
    #[must_use]
    pub fn said(&self) -> usize {
        argmax(&self.probabilities)
    }

    /// How likely the run held it.
    #[must_use]
    pub fn confidence(&self) -> f32 {
        self.probabilities.get(self.said()).copied().unwrap_or(0.0)
    }

    /// Whether it was right.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.said() == self.label
    }
}

/// A finished run's test.
#[derive(Clone, Debug)]
pub struct Tested {
    /// The preset's name.
    pub preset: String,
    /// Seed of weights and batches.
    pub seed: u64,
    /// Which fold, as the run's record names it.
    pub fold: String,
    /// How the test utterances were chosen.
    pub protocol: Protocol,
    /// Names of the K classes.
    pub labels: Vec<String>,
    /// The temperature that its validation speakers asked for.
    pub temperature: f32,
    /// One verdict a test utterance; at least one.
    pub verdicts: Vec<Verdict>,
}

/// The part of a run's outcome that is needed here.
#[derive(Deserialize)]
struct Calibrated {
    temperature: f32,
}

impl Tested {
    /// Reads a run folder.
    ///
    /// # Errors
    /// If the run has not finished or tested nothing.
    pub fn read(folder: &Path) -> Result<Self> {
        let run = Run::open(folder)?;
        let record: Value = run.read("record.json")?;
        let predictions: Vec<Prediction> = run.read(TESTED)?;
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
            "{} judges {classes} classes and names {}",
            folder.display(),
            labels.len()
        );
        let preset = preset(&run)?;
        Ok(Self {
            preset: preset["name"].as_str().unwrap_or_default().to_owned(),
            seed: preset["training"]["seed"].as_u64().unwrap_or(0),
            fold: record["fold"].as_str().unwrap_or_default().to_owned(),
            protocol: run.protocol()?,
            labels,
            temperature,
            verdicts: predictions
                .into_iter()
                .map(|prediction| Verdict {
                    probabilities: softmax(&prediction.logits, temperature),
                    path: prediction.path,
                    corpus: prediction.corpus,
                    speaker: prediction.speaker,
                    label: prediction.label,
                })
                .collect(),
        })
    }

    /// Number of classes K.
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

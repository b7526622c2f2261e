//! What a finished run said of its test utterances, and under which protocol.
//!
//! Reads run folders that [`crate::train`] left and nothing else of the run, so that reports can be
//! written of runs that another version of the presets began.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

use crate::corpus::LABELS;
use crate::metrics::{argmax, softmax};
use crate::run::Run;
use crate::train::{OUTCOME, TESTED};
use crate::trainer::Prediction;

/// How test utterances were chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol(String);

impl Protocol {
    /// What a run's record names; folds by speaker if it names none.
    ///
    /// # Errors
    /// If the name is unknown: nobody could say whether test speakers were trained on.
    pub fn of(record: &Value) -> Result<Self> {
        let name = record["protocol"].as_str().unwrap_or("speakers-5-fold");
        let folds = name
            .strip_prefix("speakers-")
            .and_then(|rest| rest.strip_suffix("-fold"))
            .is_some_and(|folds| folds.parse::<u32>().is_ok());
        match name {
            "leave-one-speaker-out" | "sessions" | "random" => {}
            _ if folds => {}
            _ => bail!("the record names an unknown protocol, `{name}`"),
        }
        Ok(Self(name.to_owned()))
    }

    /// Its name, as it stands in records.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Whether no test speaker was trained on.
    #[must_use]
    pub fn is_speaker_independent(&self) -> bool {
        self.0 != "random"
    }

    /// What every table of it must be labelled.
    #[must_use]
    pub fn label(&self) -> &'static str {
        if self.is_speaker_independent() {
            "Speaker-independent"
        } else {
            "Speaker-DEPENDENT"
        }
    }

    /// Label and reason, as the beginning of a sentence.
    #[must_use]
    pub fn describe(&self) -> String {
        let how = match self.0.as_str() {
            "random" => {
                "random split of utterances: test speakers were trained on, which flatters every figure"
            }
            "leave-one-speaker-out" => "each speaker tested by a model that never heard them",
            "sessions" => "each session's speakers tested by a model that never heard them",
            _ => "folds by speaker",
        };
        format!("{} ({how})", self.label())
    }
}

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
        let preset = preset(&run)?;
        Ok(Self {
            preset: preset["name"].as_str().unwrap_or_default().to_owned(),
            seed: preset["training"]["seed"].as_u64().unwrap_or(0),
            fold: record["fold"].as_str().unwrap_or_default().to_owned(),
            protocol: Protocol::of(&record).with_context(|| folder.display().to_string())?,
            labels: labels(&record, classes),
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

/// The record's `labels`; without them those of [`LABELS`] if there are as many, else numbers.
#[must_use]
pub fn labels(record: &Value, classes: usize) -> Vec<String> {
    let named: Vec<String> = record["labels"].as_array().map_or_else(Vec::new, |names| {
        let names = names.iter().filter_map(Value::as_str);
        names.map(str::to_owned).collect()
    });
    if named.len() == classes {
        named
    } else if LABELS.len() == classes {
        LABELS.map(str::to_owned).to_vec()
    } else {
        (0..classes).map(|class| format!("class {class}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_random_protocol_depends_on_speakers() {
        for name in [
            "speakers-5-fold",
            "leave-one-speaker-out",
            "sessions",
            "random",
        ] {
            let protocol = Protocol::of(&json!({ "protocol": name })).unwrap();
            assert_eq!(protocol.is_speaker_independent(), name != "random");
            assert_eq!(protocol.label().contains("DEPENDENT"), name == "random");
        }
        assert!(Protocol::of(&json!({})).unwrap().is_speaker_independent());
        assert!(Protocol::of(&json!({ "protocol": "speakers" })).is_err());
    }

    #[test]
    fn labels_come_from_the_record_or_are_numbers() {
        let record = json!({ "labels": ["a", "b"] });
        assert_eq!(labels(&record, 2), ["a", "b"]);
        assert_eq!(labels(&record, 4), LABELS);
        assert_eq!(labels(&json!({}), 3)[2], "class 2");
    }
}

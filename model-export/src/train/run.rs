//! A run folder: the inputs of a training run, its progress, and its results.
//!
//! - `preset.toml`, `record.json`: everything that decides the result. A run is resumed only if both
//!   are unchanged.
//! - `metrics.jsonl`: one line per epoch.
//! - `checkpoint-…`, `latest`: see [`crate::train::checkpoint`].
//! - The files that the command writes at the end: weights, statistics, predictions.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::atomic_file;
use crate::data::corpus::LABELS;
use crate::data::features::Statistics;
use crate::data::split::Protocol;
use crate::preset::Preset;

/// Name of the file with the predictions on the test speakers: a list of [`Prediction`](super::prediction::Prediction).
pub const PREDICTIONS: &str = "test.json";
/// Name of the file with the [`Outcome`] of a finished run. It is written last.
pub const OUTCOME: &str = "outcome.json";
/// Name of the file with the training set's [`SavedStatistics`].
pub const STATISTICS: &str = "statistics.json";
/// The folder of one run.
#[derive(Clone, Debug)]
pub struct Run {
    folder: PathBuf,
}

impl Run {
    /// Opens a run folder; creates it if it does not exist.
    ///
    /// # Errors
    /// If the folder holds a run with another preset or record, because two runs would be mixed.
    pub fn begin(folder: &Path, preset: &Preset, record: &Value) -> Result<Self> {
        let run = Self {
            folder: folder.to_owned(),
        };
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let preset = toml::to_string(preset)?;
        run.write_or_compare("preset.toml", &preset)?;
        run.write_or_compare("record.json", &serde_json::to_string_pretty(record)?)?;
        Ok(run)
    }

    /// Opens the folder of an existing run.
    ///
    /// # Errors
    /// If it is not a run folder.
    pub fn open(folder: &Path) -> Result<Self> {
        ensure!(
            folder.join("preset.toml").is_file(),
            "{} is not a run folder: it has no preset.toml",
            folder.display()
        );
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// Returns the path of a file of the run.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Returns the folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Reads the preset that the run was started with.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn preset(&self) -> Result<Preset> {
        Ok(Preset::load(&self.path("preset.toml").to_string_lossy())?)
    }

    /// Returns the names of the classes in the order of the logits: [`LABELS`] if the record has none.
    ///
    /// # Errors
    /// If the record cannot be read.
    pub fn labels(&self) -> Result<Vec<String>> {
        Ok(self
            .read::<Record>("record.json")?
            .labels
            .unwrap_or_else(|| LABELS.map(str::to_owned).to_vec()))
    }

    /// Returns the protocol that chose the test utterances: `speakers/5` if the record has none.
    ///
    /// # Errors
    /// If the record contains an unknown protocol.
    pub fn protocol(&self) -> Result<Protocol> {
        let name = self.read::<Record>("record.json")?.protocol;
        name.as_deref()
            .unwrap_or("speakers/5")
            .parse()
            .with_context(|| self.path("record.json").display().to_string())
    }

    /// Writes a value as JSON.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn write<T: Serialize>(&self, name: &str, value: &T) -> Result<()> {
        atomic_file::replace(&self.path(name), &serde_json::to_vec_pretty(value)?)
    }

    /// Reads what [`Run::write`] wrote.
    ///
    /// # Errors
    /// If the file is missing or has other content.
    pub fn read<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        let path = self.path(name);
        let bytes = fs::read(&path)
            .with_context(|| format!("{} is missing: has the run finished?", path.display()))?;
        serde_json::from_slice(&bytes).with_context(|| path.display().to_string())
    }

    /// Drops the learning curves after the first `epochs`, because epochs after a checkpoint are computed again.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn rewind(&self, epochs: usize) -> Result<()> {
        let path = self.path("metrics.jsonl");
        let text = fs::read_to_string(&path).unwrap_or_default();
        let kept: String = text
            .lines()
            .take(epochs)
            .flat_map(|line| [line, "\n"])
            .collect();
        atomic_file::replace(&path, kept.as_bytes())
    }

    /// Appends an epoch's line to the learning curves.
    ///
    /// Call it before the epoch's checkpoint is saved: [`Run::rewind`] drops lines without a checkpoint.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn append_epoch(&self, line: &Value) -> Result<()> {
        let mut file = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.path("metrics.jsonl"))?;
        // One write, so that a killed process cannot leave half a line.
        file.write_all(format!("{line}\n").as_bytes())?;
        Ok(())
    }

    /// Writes a file, or checks that the existing one has the same content.
    fn write_or_compare(&self, name: &str, content: &str) -> Result<()> {
        let path = self.path(name);
        if path.exists() {
            let found = fs::read_to_string(&path)?;
            ensure!(
                found == content,
                "{} holds a run with another {name}; choose another folder with --out, or remove this one",
                self.folder.display()
            );
            return Ok(());
        }
        atomic_file::replace(&path, content.as_bytes())
    }
}

/// The results of a finished run.
#[derive(Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Divisor of the pooled logits, fitted on the validation speakers.
    pub temperature: f32,
    /// UA on the validation speakers.
    pub validation_ua: f64,
    /// UA on the test speakers, if there are any.
    pub test_ua: Option<f64>,
    /// Corpora of the training utterances.
    pub corpora: Vec<String>,
    /// Number of training utterances.
    pub utterances: usize,
    /// The epoch of these weights, counted from 1, if the validation speakers chose it.
    #[serde(default)]
    pub epoch: Option<usize>,
}

/// The part of `record.json` that reports need.
#[derive(Deserialize)]
struct Record {
    labels: Option<Vec<String>>,
    protocol: Option<String>,
}

/// [`Statistics`] as they are stored in a run folder.
#[derive(Debug, Serialize, Deserialize)]
pub struct SavedStatistics {
    mean: Vec<f32>,
    deviation: Vec<f32>,
}

impl From<&Statistics> for SavedStatistics {
    fn from(statistics: &Statistics) -> Self {
        Self {
            mean: statistics.mean.clone(),
            deviation: statistics.deviation.clone(),
        }
    }
}

impl From<SavedStatistics> for Statistics {
    fn from(saved: SavedStatistics) -> Self {
        Self {
            mean: saved.mean,
            deviation: saved.deviation,
        }
    }
}

//! A run folder: what was asked for, how it went, and what came out.
//!
//! - `preset.toml`, `record.json`: everything that decides the result; a run is resumed only if
//!   both are the same.
//! - `metrics.jsonl`: one line an epoch.
//! - `checkpoint-…`, `latest`: see [`crate::checkpoint`].
//! - what the command writes at the end: weights, statistics, predictions.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::checkpoint;
use crate::corpus::LABELS;
use crate::features::Statistics;
use crate::preset::Preset;
use crate::split::Protocol;

/// A folder that belongs to one run.
#[derive(Clone, Debug)]
pub struct Run {
    folder: PathBuf,
}

impl Run {
    /// Opens a run folder, or makes it.
    ///
    /// # Errors
    /// If the folder holds a run with another preset or record: two runs would be mixed.
    pub fn begin(folder: &Path, preset: &Preset, record: &Value) -> Result<Self> {
        let run = Self {
            folder: folder.to_owned(),
        };
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let preset = toml::to_string(preset)?;
        run.claim("preset.toml", &preset)?;
        run.claim("record.json", &serde_json::to_string_pretty(record)?)?;
        Ok(run)
    }

    /// Opens the folder of a run that exists.
    ///
    /// # Errors
    /// If it is none.
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

    /// Where something of the run lies.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The preset that it was begun with.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn preset(&self) -> Result<Preset> {
        Ok(Preset::load(&self.path("preset.toml").to_string_lossy())?)
    }

    /// Names of the classes, in the order of logits; runs that name none have the four.
    ///
    /// # Errors
    /// If the record cannot be read.
    pub fn labels(&self) -> Result<Vec<String>> {
        Ok(self
            .read::<Recorded>("record.json")?
            .labels
            .unwrap_or_else(|| LABELS.map(str::to_owned).to_vec()))
    }

    /// How its test utterances were chosen; by five folds of speakers where the record does not say.
    ///
    /// # Errors
    /// If the record names no protocol that there is.
    pub fn protocol(&self) -> Result<Protocol> {
        let name = self.read::<Recorded>("record.json")?.protocol;
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
        checkpoint::replace(&self.path(name), &serde_json::to_vec_pretty(value)?)
    }

    /// Reads what [`Run::write`] wrote.
    ///
    /// # Errors
    /// If it is not there, or not that.
    pub fn read<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        let path = self.path(name);
        let bytes = fs::read(&path)
            .with_context(|| format!("{} is missing: has the run finished?", path.display()))?;
        serde_json::from_slice(&bytes).with_context(|| path.display().to_string())
    }

    /// Keeps the curves of the first epochs only: what lies behind a checkpoint is computed anew.
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
        checkpoint::replace(&path, kept.as_bytes())
    }

    /// Adds an epoch's line to the curves; before its checkpoint, behind which [`Run::rewind`] drops it.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn note(&self, line: &Value) -> Result<()> {
        let mut file = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.path("metrics.jsonl"))?;
        // In one write: a kill must not leave half a line.
        file.write_all(format!("{line}\n").as_bytes())?;
        Ok(())
    }

    fn claim(&self, name: &str, content: &str) -> Result<()> {
        let path = self.path(name);
        if path.exists() {
            let found = fs::read_to_string(&path)?;
            ensure!(
                found == content,
                "{} holds a run with another {name}; name another folder with --out, or remove it",
                self.folder.display()
            );
            return Ok(());
        }
        checkpoint::replace(&path, content.as_bytes())
    }
}

/// The part of a record that reports need.
#[derive(Deserialize)]
struct Recorded {
    labels: Option<Vec<String>>,
    protocol: Option<String>,
}

/// [`Statistics`] as a run keeps them.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
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

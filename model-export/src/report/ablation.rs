//! The folder of an ablation: its finished runs, their test results, and the missing runs.
//!
//! ```text
//! preset.toml, record.json, plan.json
//! cells/SYSTEM/seedS/foldI/    run folders, SYSTEM as System::slug
//! embeddings.json, codebook.json    optional
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::data::split::Protocol;
use crate::evaluate::systems::System;
use crate::evaluate::tested::TestedRun;
use crate::train::run::{OUTCOME, PREDICTIONS};

/// Name of the file with the seeds of the last `ablate` call.
pub const PLAN: &str = "plan.json";
/// Name of the file with the [`Embeddings`].
pub const EMBEDDINGS: &str = "embeddings.json";
/// Name of the file with the [`Codebook`].
pub const CODEBOOK: &str = "codebook.json";

/// The content of an ablation's folder.
#[derive(Debug)]
pub struct Ablation {
    /// The text of its preset.
    pub preset: String,
    /// How the test utterances were chosen, the same in all runs.
    pub protocol: Protocol,
    /// Names of the K classes.
    pub labels: Vec<String>,
    /// Seeds of finished, unfinished and planned runs.
    pub seeds: BTreeSet<u64>,
    /// Folds of finished, unfinished and planned runs.
    pub folds: BTreeSet<usize>,
    /// The systems with at least one finished run.
    pub cells: Vec<SystemRuns>,
    /// The runs that have not finished, in words.
    pub missing: Vec<String>,
    /// R_d and R_f of the test utterances.
    pub embeddings: Option<Embeddings>,
    /// How often each code is used.
    pub codebook: Option<Codebook>,
}

/// The finished runs of one system.
#[derive(Debug)]
pub struct SystemRuns {
    /// The system.
    pub system: System,
    /// Its finished runs, by seed and fold.
    pub runs: Vec<TestedRun>,
    /// The learning curve of each run.
    pub curves: Vec<Vec<Epoch>>,
}

/// A line of a run's learning curve.
#[derive(Clone, Debug, Deserialize)]
pub struct Epoch {
    /// Counted from 1.
    pub epoch: usize,
    /// Training loss.
    pub loss: f64,
    /// UA on the validation speakers, in epochs in which it was measured.
    pub validation_ua: Option<f64>,
    /// Duration.
    pub seconds: f64,
}

/// Mean representations of test utterances.
#[derive(Debug, Serialize, Deserialize)]
pub struct Embeddings {
    /// Names of the classes.
    #[serde(default)]
    pub labels: Vec<String>,
    /// One point per utterance.
    pub points: Vec<Point>,
}

/// The means of an utterance's segments, on the scale of the fusion layer's input.
#[derive(Debug, Serialize, Deserialize)]
pub struct Point {
    /// Its class.
    pub label: usize,
    /// Its speaker.
    pub speaker: String,
    /// Its corpus.
    #[serde(default)]
    pub corpus: String,
    /// Mean R_d.
    pub deep: Vec<f32>,
    /// Mean R_f.
    pub fusion: Vec<f32>,
}

/// The codebook of the VQ-VAE.
#[derive(Debug, Serialize, Deserialize)]
pub struct Codebook {
    /// How often each code was the nearest on training speech.
    pub counts: Vec<u64>,
    /// Perplexity of these counts.
    pub perplexity: f64,
    /// The learning curve of the pre-training.
    #[serde(default)]
    pub curve: Vec<CodebookEpoch>,
}

/// An epoch of the pre-training.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CodebookEpoch {
    /// Counted from 1.
    pub epoch: usize,
    /// Reconstruction loss.
    pub reconstruction: f64,
    /// Perplexity of the codes in use.
    pub perplexity: f64,
}

/// Seed and fold of a run.
type Place = (u64, usize);

impl Ablation {
    /// Reads a folder.
    ///
    /// # Errors
    /// If it is not an ablation, no run has finished, or two runs differ in protocol or labels.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("preset.toml");
        let preset = fs::read_to_string(&path)
            .with_context(|| format!("{}: is this the folder of an ablation?", path.display()))?;
        let record: Value = json(&folder.join("record.json"))?.unwrap_or_default();
        let plan: Value = json(&folder.join(PLAN))?.unwrap_or_default();
        let mut places = Vec::new();
        let mut cells = Vec::new();
        for system in System::all() {
            let cell = folder.join("cells").join(system.slug());
            let begun = begun(&cell)?;
            cells.push(SystemRuns::read(system, &cell, &begun)?);
            places.push(begun);
        }
        let first = cells.iter().flat_map(|cell| &cell.runs).next();
        let first =
            first.with_context(|| format!("no run in {} has finished", folder.display()))?;
        let (protocol, labels) = (first.protocol, first.labels.clone());
        for (cell, run) in cells
            .iter()
            .flat_map(|c| c.runs.iter().map(move |r| (c, r)))
        {
            ensure!(
                run.protocol == protocol && run.labels == labels,
                "{} differs from the other systems in protocol or labels",
                cell.system
            );
        }
        let begun = places.iter().flatten();
        let mut seeds: BTreeSet<u64> = begun.clone().map(|(seed, _)| *seed).collect();
        seeds.extend(
            plan["seeds"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_u64),
        );
        let mut folds: BTreeSet<usize> = begun.map(|(_, fold)| *fold).collect();
        folds.extend(0..record["splits"].as_array().map_or(0, Vec::len));
        Ok(Self {
            missing: missing(&cells, &seeds, &folds),
            cells: cells.into_iter().filter(|c| !c.runs.is_empty()).collect(),
            embeddings: json(&folder.join(EMBEDDINGS))?,
            codebook: json(&folder.join(CODEBOOK))?,
            preset,
            protocol,
            labels,
            seeds,
            folds,
        })
    }

    /// Returns the largest number of epochs of a run.
    #[must_use]
    pub fn epochs(&self) -> usize {
        let curves = self.cells.iter().flat_map(|cell| &cell.curves);
        let last = curves.filter_map(|curve| curve.last());
        last.map(|epoch| epoch.epoch).max().unwrap_or(0)
    }

    /// Returns the runs of a system, if any has finished.
    #[must_use]
    pub fn cell(&self, system: System) -> Option<&SystemRuns> {
        self.cells.iter().find(|cell| cell.system == system)
    }

    /// Returns the number of runs of a complete system.
    #[must_use]
    pub fn expected(&self) -> usize {
        self.seeds.len() * self.folds.len()
    }
}

impl SystemRuns {
    fn read(system: System, folder: &Path, begun: &BTreeSet<Place>) -> Result<Self> {
        let mut cell = Self {
            system,
            runs: Vec::new(),
            curves: Vec::new(),
        };
        for &(seed, fold) in begun {
            let run = folder
                .join(format!("seed{seed}"))
                .join(format!("fold{fold}"));
            // A run writes its predictions and its outcome last.
            if !run.join(PREDICTIONS).is_file() || !run.join(OUTCOME).is_file() {
                continue;
            }
            let tested = TestedRun::read(&run)?;
            // The folder identifies the run, because a record may name folds in another way.
            cell.runs.push(TestedRun {
                seed,
                fold: fold.to_string(),
                ..tested
            });
            cell.curves.push(curve(&run)?);
        }
        Ok(cell)
    }

    /// Returns the training time of all runs in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.curves
            .iter()
            .flatten()
            .map(|epoch| epoch.seconds)
            .sum()
    }

    fn has(&self, (seed, fold): Place) -> bool {
        let fold = fold.to_string();
        self.runs
            .iter()
            .any(|run| run.seed == seed && run.fold == fold)
    }
}

/// Returns the runs that have a folder.
fn begun(cell: &Path) -> Result<BTreeSet<Place>> {
    let mut places = BTreeSet::new();
    for seed in numbered(cell, "seed")? {
        for fold in numbered(&cell.join(format!("seed{seed}")), "fold")? {
            places.insert((seed, usize::try_from(fold)?));
        }
    }
    Ok(places)
}

/// Returns the numbers after `prefix` in the names of a folder's entries; none if there is no folder.
fn numbered(folder: &Path, prefix: &str) -> Result<Vec<u64>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        let number = name.strip_prefix(prefix).map(str::parse::<u64>);
        numbers.extend(number.and_then(Result::ok));
    }
    Ok(numbers)
}

fn curve(run: &Path) -> Result<Vec<Epoch>> {
    let path = run.join("metrics.jsonl");
    let text = fs::read_to_string(&path).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).with_context(|| path.display().to_string()))
        .collect()
}

/// Reads a JSON file, if it exists.
fn json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    if !path.is_file() {
        return Ok(None);
    }
    let bytes = fs::read(path).with_context(|| path.display().to_string())?;
    let value = serde_json::from_slice(&bytes).with_context(|| path.display().to_string())?;
    Ok(Some(value))
}

/// Lists, for each system, the seeds and folds without a finished run.
fn missing(cells: &[SystemRuns], seeds: &BTreeSet<u64>, folds: &BTreeSet<usize>) -> Vec<String> {
    let mut missing = Vec::new();
    for cell in cells {
        if cell.runs.is_empty() {
            missing.push(format!("{}: all runs", cell.system));
            continue;
        }
        for &seed in seeds {
            let lacks: Vec<String> = folds
                .iter()
                .filter(|&&fold| !cell.has((seed, fold)))
                .map(usize::to_string)
                .collect();
            if !lacks.is_empty() {
                missing.push(format!(
                    "{}: seed {seed}, folds {}",
                    cell.system,
                    lacks.join(", ")
                ));
            }
        }
    }
    missing
}

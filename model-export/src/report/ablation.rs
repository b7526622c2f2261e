//! An ablation's folder: which runs it has, what they said, and which are missing.
//!
//! ```text
//! preset.toml, record.json, plan.json
//! cells/SYSTEM/seedS/foldI/    run folders, SYSTEM as System::slug
//! embeddings.json, codebook.json    if they have been computed
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::ablate::PLAN;
use crate::fit::TESTED;
use crate::split::Protocol;
use crate::systems::System;
use crate::tested::Tested;

/// What an ablation's folder holds.
#[derive(Debug)]
pub struct Ablation {
    /// Text of its preset.
    pub preset: String,
    /// How the test utterances were chosen, the same in all runs.
    pub protocol: Protocol,
    /// Names of the K classes.
    pub labels: Vec<String>,
    /// Seeds that were run, or are to be.
    pub seeds: BTreeSet<u64>,
    /// Folds that were run, or are to be.
    pub folds: BTreeSet<usize>,
    /// The systems with at least one finished run.
    pub cells: Vec<Cell>,
    /// What has not finished, in words.
    pub missing: Vec<String>,
    /// R_d and R_f of test utterances.
    pub embeddings: Option<Embeddings>,
    /// How the codebook is used.
    pub codebook: Option<Codebook>,
}

/// The finished runs of one system.
#[derive(Debug)]
pub struct Cell {
    /// Which.
    pub system: System,
    /// What its runs said, by seed and fold.
    pub runs: Vec<Tested>,
    /// The learning curve of each run.
    pub curves: Vec<Vec<Epoch>>,
}

/// A line of a run's curves.
#[derive(Clone, Debug, Deserialize)]
pub struct Epoch {
    /// Counted from 1.
    pub epoch: usize,
    /// Training loss.
    pub loss: f64,
    /// UA on the validation speakers, where it was looked at.
    pub validation_ua: Option<f64>,
    /// How long it took.
    pub seconds: f64,
}

/// One mean representation for each of some test utterances.
#[derive(Debug, Deserialize)]
pub struct Embeddings {
    /// The utterances.
    pub points: Vec<Point>,
}

/// An utterance in both representations.
#[derive(Debug, Deserialize)]
pub struct Point {
    /// Its class.
    pub label: usize,
    /// Its speaker.
    pub speaker: String,
    /// Mean R_d.
    pub deep: Vec<f32>,
    /// Mean R_f.
    pub fusion: Vec<f32>,
}

/// The codebook of the VQ-VAE.
#[derive(Debug, Deserialize)]
pub struct Codebook {
    /// How often each code was the nearest on training speech.
    pub counts: Vec<u64>,
    /// Perplexity of that.
    pub perplexity: f64,
    /// How pre-training went.
    #[serde(default)]
    pub curve: Vec<CodebookEpoch>,
}

/// A line of the codebook's curve.
#[derive(Clone, Debug, Deserialize)]
pub struct CodebookEpoch {
    /// Counted from 1.
    pub epoch: usize,
    /// Reconstruction loss.
    pub reconstruction: f64,
    /// Perplexity of the codes in use.
    pub perplexity: f64,
}

/// A run's place in its cell.
type Place = (u64, usize);

impl Ablation {
    /// Reads a folder.
    ///
    /// # Errors
    /// If it is no ablation, no run has finished, or two runs differ in protocol or labels.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("preset.toml");
        let preset = fs::read_to_string(&path)
            .with_context(|| format!("{}: is this an ablation?", path.display()))?;
        let record: Value = json(&folder.join("record.json"))?.unwrap_or_default();
        let plan: Value = json(&folder.join(PLAN))?.unwrap_or_default();
        let mut places = Vec::new();
        let mut cells = Vec::new();
        for system in System::all() {
            let cell = folder.join("cells").join(system.slug());
            let begun = begun(&cell)?;
            cells.push(Cell::read(system, &cell, &begun)?);
            places.push(begun);
        }
        let first = cells.iter().flat_map(|cell| &cell.runs).next();
        let first = first.with_context(|| format!("no run in {} is done", folder.display()))?;
        let (protocol, labels) = (first.protocol, first.labels.clone());
        for (cell, run) in cells
            .iter()
            .flat_map(|c| c.runs.iter().map(move |r| (c, r)))
        {
            ensure!(
                run.protocol == protocol && run.labels == labels,
                "{} differs from other cells in its protocol or labels",
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
            embeddings: json(&folder.join("embeddings.json"))?,
            codebook: json(&folder.join("codebook.json"))?,
            preset,
            protocol,
            labels,
            seeds,
            folds,
        })
    }

    /// Most epochs that a run took.
    #[must_use]
    pub fn epochs(&self) -> usize {
        let curves = self.cells.iter().flat_map(|cell| &cell.curves);
        let last = curves.filter_map(|curve| curve.last());
        last.map(|epoch| epoch.epoch).max().unwrap_or(0)
    }

    /// A system's runs, if any has finished.
    #[must_use]
    pub fn cell(&self, system: System) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.system == system)
    }

    /// How many runs a whole cell has.
    #[must_use]
    pub fn expected(&self) -> usize {
        self.seeds.len() * self.folds.len()
    }
}

impl Cell {
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
            // The test is the last thing but one that a run writes, its outcome the last.
            if !run.join(TESTED).is_file() || !run.join(crate::fit::OUTCOME).is_file() {
                continue;
            }
            let tested = Tested::read(&run)?;
            // The folder says which run this is; a record may name folds in its own way.
            cell.runs.push(Tested {
                seed,
                fold: fold.to_string(),
                ..tested
            });
            cell.curves.push(curve(&run)?);
        }
        Ok(cell)
    }

    /// Seconds of training over all runs.
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

/// The runs that have a folder.
fn begun(cell: &Path) -> Result<BTreeSet<Place>> {
    let mut places = BTreeSet::new();
    for seed in numbered(cell, "seed")? {
        for fold in numbered(&cell.join(format!("seed{seed}")), "fold")? {
            places.insert((seed, usize::try_from(fold)?));
        }
    }
    Ok(places)
}

/// The numbers behind `prefix` in the names of a folder's entries; none if there is no folder.
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

/// A JSON file, if it is there.
fn json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    if !path.is_file() {
        return Ok(None);
    }
    let bytes = fs::read(path).with_context(|| path.display().to_string())?;
    let value = serde_json::from_slice(&bytes).with_context(|| path.display().to_string())?;
    Ok(Some(value))
}

/// What each cell lacks of the seeds and folds that any cell has.
fn missing(cells: &[Cell], seeds: &BTreeSet<u64>, folds: &BTreeSet<usize>) -> Vec<String> {
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

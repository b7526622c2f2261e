//! The corpora of a command line, as utterances with their frames in memory.
//!
//! Finds the corpora and decides whether their labels are used. [`crate::data::corpus`] reads a corpus, and
//! [`crate::data::labels`] maps its emotions to classes.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use sha2::{Digest, Sha256};

use crate::data::corpus::{self, Collection, Corpus, Utterance};
use crate::data::features::{Features, hexadecimal};
use crate::data::labels::Labels;

/// Which corpora to read, and how to map their emotions to classes.
#[derive(Args, Clone, Debug)]
pub struct Source {
    /// Folder with the corpora under their names: ravdess, banglaser, emodb, iemocap, cremad, savee,
    /// tess, esd; librispeech (or unlabelled) and emovdb for pre-training; and any CSV manifest or
    /// audformat folder.
    #[arg(long, value_name = "DIR", required_unless_present = "corpus")]
    pub data: Option<PathBuf>,
    /// A corpus elsewhere, such as `iemocap=/mnt/IEMOCAP_full_release` or `calls=calls.csv`. May be
    /// given several times.
    ///
    /// The path is a folder in the corpus' own layout, an audformat folder, or a CSV file with the
    /// columns path, speaker, label and optionally start, end, corpus, session.
    #[arg(long, value_name = "NAME=PATH")]
    pub corpus: Vec<NamedPath>,
    /// Which emotions belong to which class: `four`, `own` (the emotions of a single corpus), or a TOML
    /// file like model-export/labels/four.toml.
    #[arg(long, value_name = "MAP", default_value = "four")]
    pub labels: String,
}

/// A corpus and its path: `NAME=PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPath {
    /// The corpus' name.
    pub name: String,
    /// Its folder or manifest.
    pub path: PathBuf,
}

impl FromStr for NamedPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, path)) if !name.is_empty() && !path.is_empty() => Ok(Self {
                name: name.to_owned(),
                path: path.into(),
            }),
            _ => Err(format!(
                "`{text}` is not NAME=PATH, such as ravdess=/mnt/ravdess"
            )),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = self.corpus.iter().map(|named| &named.path);
        let places = self.data.iter().chain(named).map(|path| path.display());
        let places: Vec<String> = places.map(|place| place.to_string()).collect();
        f.write_str(&places.join(", "))
    }
}

impl Source {
    /// Returns every corpus that is given or found, in the order of [`Corpus`].
    fn places(&self) -> Result<Vec<(Corpus, PathBuf)>> {
        let mut places: Vec<(Corpus, PathBuf)> = self
            .corpus
            .iter()
            .map(|named| (corpus_of(&named.name), named.path.clone()))
            .collect();
        if let Some(data) = &self.data {
            places.extend(found(data)?);
        }
        places.sort();
        if let Some([(corpus, first), (_, second)]) =
            places.windows(2).find(|pair| pair[0].0 == pair[1].0)
        {
            bail!(
                "{corpus} is given twice: {} and {}; give one, or rename one",
                first.display(),
                second.display()
            );
        }
        // Reports identify utterances by path, so each path gets its canonical spelling. A missing path is
        // refused when it is read.
        for (_, path) in &mut places {
            if let Ok(canonical) = path.canonicalize() {
                *path = canonical;
            }
        }
        Ok(places)
    }
}

/// Finds the corpora in a data folder by the names of its entries.
fn found(data: &Path) -> Result<Vec<(Corpus, PathBuf)>> {
    let context = || format!("cannot read the data folder {}", data.display());
    let mut places = Vec::new();
    for entry in std::fs::read_dir(data).with_context(context)? {
        let path = entry.with_context(context)?.path();
        let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()) else {
            continue;
        };
        let corpus = corpus_of(stem);
        let known = path.is_dir() && !matches!(corpus, Corpus::Other(_));
        if known || corpus::has_tables(&path) {
            places.push((corpus, path));
        }
    }
    Ok(places)
}

/// Returns the corpus of a name: CREMA-D and crema_d are cremad.
fn corpus_of(name: &str) -> Corpus {
    let plain: String = name
        .chars()
        .filter(|c| !matches!(c, '-' | '_' | ' '))
        .collect();
    match Corpus::from(plain.to_lowercase().as_str()) {
        Corpus::Other(name) if &*name == "unlabelled" => Corpus::LibriSpeech,
        Corpus::Other(_) => Corpus::Other(name.into()),
        known => known,
    }
}

/// Utterances, and the frames of each at the same index.
#[derive(Debug)]
pub struct Dataset {
    /// Names of the classes, in the order of labels; empty for speech without labels.
    pub classes: Vec<String>,
    /// The utterances that could be decoded.
    pub utterances: Vec<Utterance>,
    /// Their frames.
    pub features: Features,
}

impl Dataset {
    /// Reads every corpus with labels that the label map covers.
    ///
    /// # Errors
    /// If there is no such corpus, one cannot be read, or the map does not contain a label.
    pub fn labelled(source: &Source) -> Result<Self> {
        let labels = Labels::load(&source.labels)?;
        let mut recordings = Vec::new();
        for (corpus, path) in source.places()? {
            if labels.cover(&corpus) {
                recordings.extend(read(corpus, &path)?.utterances);
            }
        }
        recordings.retain(|recording| recording.label.is_some());
        ensure!(
            !recordings.is_empty(),
            "no labelled corpus in {source}: a folder of one of these names is needed, a CSV manifest, or \
             --corpus NAME=PATH: {}",
            Corpus::KNOWN
                .iter()
                .filter(|corpus| labels.cover(corpus))
                .map(Corpus::name)
                .collect::<Vec<_>>()
                .join(", ")
        );
        let (classes, utterances) = labels.apply(recordings)?;
        Self::compute(classes, &utterances)
    }

    /// Reads every corpus without labels, and EmoV-DB without its labels.
    ///
    /// # Errors
    /// If there is no such corpus, or one cannot be read.
    pub fn unlabelled(source: &Source) -> Result<Self> {
        let mut utterances = Vec::new();
        for (corpus, path) in source.places()? {
            let collection = match corpus {
                Corpus::LibriSpeech | Corpus::EmovDb => read(corpus, &path)?,
                // Only its table shows whether it has labels.
                Corpus::Other(_) => match read(corpus, &path)? {
                    labelled if labelled.is_labelled() => continue,
                    unlabelled => unlabelled,
                },
                _ => continue,
            };
            utterances.extend(
                collection
                    .utterances
                    .into_iter()
                    .map(|recording| recording.labelled(None)),
            );
        }
        ensure!(
            !utterances.is_empty(),
            "no speech without labels in {source}: a folder `unlabelled`, `librispeech` or `emovdb` is needed, a \
             CSV manifest without labels, or --corpus librispeech=PATH"
        );
        Self::compute(Vec::new(), &utterances)
    }

    /// Returns the corpora of the utterances.
    #[must_use]
    pub fn corpora(&self) -> BTreeSet<Corpus> {
        self.utterances.iter().map(|u| u.corpus.clone()).collect()
    }

    /// Returns the SHA-256 over the audio, corpus, speaker and class of every utterance in order, in
    /// hexadecimal, for the record of a run.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hasher = Sha256::new();
        for (utterance, hash) in self.utterances.iter().zip(&self.features.hashes) {
            hasher.update(hash);
            for name in [utterance.corpus.name(), &utterance.speaker] {
                hasher.update((name.len() as u64).to_le_bytes());
                hasher.update(name);
            }
            let label = utterance.label.map_or(u64::MAX, |label| label as u64);
            hasher.update(label.to_le_bytes());
        }
        hexadecimal(&hasher.finalize())
    }

    fn compute(classes: Vec<String>, all: &[Utterance]) -> Result<Self> {
        let (features, kept) = Features::compute(all)?;
        let utterances = kept.into_iter().map(|index| all[index].clone()).collect();
        Ok(Self {
            classes,
            utterances,
            features,
        })
    }
}

/// Reads a corpus and reports the skipped files.
fn read(corpus: Corpus, path: &Path) -> Result<Collection> {
    let collection = corpus::load(corpus, path)?;
    for note in collection.notes() {
        eprintln!("{note}");
    }
    Ok(collection)
}

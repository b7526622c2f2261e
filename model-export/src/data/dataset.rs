//! The corpora that a command line names, to utterances with their frames in memory.
//!
//! Knows where corpora lie and which of them have labels to use; reading one is
//! [`crate::data::corpus`]'s, classes are [`crate::data::labels`]'.

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

/// Which corpora to read, and what their emotions are called.
#[derive(Args, Clone, Debug)]
pub struct Source {
    /// Folder that holds corpora under their names: ravdess, banglaser, emodb, iemocap, cremad,
    /// savee, tess, esd; librispeech (or unlabelled) and emovdb for pre-training; and any CSV
    /// manifest or audformat folder.
    #[arg(long, value_name = "DIR", required_unless_present = "corpus")]
    pub data: Option<PathBuf>,
    /// A corpus elsewhere, such as `iemocap=/mnt/IEMOCAP_full_release` or `calls=calls.csv`; may be
    /// given several times.
    ///
    /// The path is a folder in the corpus' own layout, an audformat folder, or a CSV file with the
    /// columns path, speaker, label and, if wanted, start, end, corpus, session.
    #[arg(long, value_name = "NAME=PATH")]
    pub corpus: Vec<NamedPath>,
    /// Which emotions make which class: `four`, `own` (those of a single corpus), or a TOML file
    /// like model-export/labels/four.toml.
    #[arg(long, value_name = "MAP", default_value = "four")]
    pub labels: String,
}

/// A corpus and where it lies: `NAME=PATH`.
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
    /// Every corpus that is named or found, in the order of [`Corpus`].
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
                "{corpus} is there twice: {} and {}; name one, or rename one",
                first.display(),
                second.display()
            );
        }
        // However a path is spelled, it names the same utterances: reports find them by it. One that
        // is not there is refused by whoever reads it.
        for (_, path) in &mut places {
            if let Ok(canonical) = path.canonicalize() {
                *path = canonical;
            }
        }
        Ok(places)
    }
}

/// The corpora in a data folder, by the names of what lies in it.
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

/// The corpus that a name means: CREMA-D and crema_d are cremad.
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
    /// Names of the classes, in the order of labels; none for speech without labels.
    pub classes: Vec<String>,
    /// Those that could be decoded.
    pub utterances: Vec<Utterance>,
    /// Their frames.
    pub features: Features,
}

impl Dataset {
    /// Every corpus with labels that the label map covers.
    ///
    /// # Errors
    /// If none is there, one cannot be read, or the map does not know a label.
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

    /// Every corpus of speech without labels, and EmoV-DB without its own.
    ///
    /// # Errors
    /// If none is there or one cannot be read.
    pub fn unlabelled(source: &Source) -> Result<Self> {
        let mut utterances = Vec::new();
        for (corpus, path) in source.places()? {
            let collection = match corpus {
                Corpus::LibriSpeech | Corpus::EmovDb => read(corpus, &path)?,
                // Only its table can tell whether it has labels.
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

    /// The corpora that its utterances are of.
    #[must_use]
    pub fn corpora(&self) -> BTreeSet<Corpus> {
        self.utterances.iter().map(|u| u.corpus.clone()).collect()
    }

    /// SHA-256 over the audio, corpus, speaker and class of every utterance in order, in
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

/// Reads a corpus and says what was passed over.
fn read(corpus: Corpus, path: &Path) -> Result<Collection> {
    let collection = corpus::load(corpus, path)?;
    for note in collection.notes() {
        eprintln!("{note}");
    }
    Ok(collection)
}

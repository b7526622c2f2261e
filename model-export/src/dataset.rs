//! A data folder with the corpora below it, to utterances with their frames in memory.

use std::path::Path;

use anyhow::{Result, ensure};

use crate::corpus::{self, Corpus, Utterance};
use crate::features::Features;

/// Labelled corpora and the folders that hold them below `--data`.
const LABELLED: [(Corpus, &str); 3] = [
    (Corpus::Ravdess, "ravdess"),
    (Corpus::BanglaSer, "banglaser"),
    (Corpus::EmoDb, "emodb"),
];
/// The folder of speech without labels.
const UNLABELLED: &str = "unlabelled";

/// Utterances, and the frames of each at the same index.
#[derive(Debug)]
pub struct Dataset {
    /// Those that could be decoded.
    pub utterances: Vec<Utterance>,
    /// Their frames.
    pub features: Features,
}

impl Dataset {
    /// Every labelled corpus that is there.
    ///
    /// # Errors
    /// If none is there or one cannot be read.
    pub fn labelled(root: &Path) -> Result<Self> {
        let mut utterances = Vec::new();
        for (corpus, folder) in LABELLED {
            let folder = root.join(folder);
            if folder.is_dir() {
                utterances.extend(corpus::load(corpus, &folder)?);
            }
        }
        ensure!(
            !utterances.is_empty(),
            "no labelled corpus in {}: one of {} is needed",
            root.display(),
            LABELLED.map(|(_, folder)| folder).join(", ")
        );
        Self::compute(&utterances)
    }

    /// The unlabelled corpus.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn unlabelled(root: &Path) -> Result<Self> {
        Self::compute(&corpus::load(Corpus::LibriSpeech, &root.join(UNLABELLED))?)
    }

    fn compute(all: &[Utterance]) -> Result<Self> {
        let (features, kept) = Features::compute(all)?;
        let utterances = kept.into_iter().map(|index| all[index].clone()).collect();
        Ok(Self {
            utterances,
            features,
        })
    }
}

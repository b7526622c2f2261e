//! The result of reading a corpus: recordings with the corpus' own labels, and the skipped files.
//!
//! Every skipped file is listed here with its reason. [`Collection::notes`] reports each reason in one line.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::utterance::{Corpus, Utterance};

/// Why a file or a row was skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The file is a Git LFS pointer, not audio.
    Pointer,
    /// Not named as the corpus names its files.
    Misnamed,
    /// Its name, folder or label file contradict each other.
    Contradictory,
    /// A file with its name was read before, in another folder.
    Duplicate,
    /// Sung, not spoken.
    Song,
    /// A label without its audio file.
    NoAudio,
    /// The raters did not agree on an emotion, or none is given.
    NoEmotion,
    /// No speaker is given, so it cannot be split by speaker.
    NoSpeaker,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pointer => {
                "Git LFS pointers, not audio; run `git lfs pull` where they were cloned"
            }
            Self::Misnamed => "not named as the corpus names its files",
            Self::Contradictory => "contradicted by their folder or label file",
            Self::Duplicate => "with the name of a file that was read before",
            Self::Song => "sung, not spoken",
            Self::NoAudio => "labelled, but without an audio file",
            Self::NoEmotion => "without an agreed emotion",
            Self::NoSpeaker => "without a speaker",
        })
    }
}

/// The recordings of one corpus.
#[derive(Clone, Debug)]
pub struct Collection {
    /// The requested corpus.
    pub corpus: Corpus,
    /// Sorted by path. Labels are the corpus' own names of emotions.
    pub utterances: Vec<Utterance<String>>,
    /// The skipped files by reason, in the order of reading.
    pub skipped: BTreeMap<Reason, Vec<PathBuf>>,
    /// Warnings about the whole copy of the corpus.
    pub warnings: Vec<String>,
}

impl Collection {
    pub(super) fn new(corpus: Corpus) -> Self {
        Self {
            corpus,
            utterances: Vec::new(),
            skipped: BTreeMap::new(),
            warnings: Vec::new(),
        }
    }

    /// Skips a file.
    pub(super) fn skip(&mut self, reason: Reason, path: PathBuf) {
        self.skipped.entry(reason).or_default().push(path);
    }

    /// Returns the number of files that were skipped for a reason.
    #[must_use]
    pub fn count(&self, reason: Reason) -> usize {
        self.skipped.get(&reason).map_or(0, Vec::len)
    }

    /// Whether any recording has an emotion. A collection without one is used for pre-training.
    #[must_use]
    pub fn is_labelled(&self) -> bool {
        self.utterances.iter().any(|u| u.label.is_some())
    }

    /// Returns messages: the warnings, and for each reason the number of skipped files.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let skipped = self.skipped.iter().filter_map(|(reason, paths)| {
            let first = paths.first()?.display();
            let (corpus, count) = (&self.corpus, paths.len());
            Some(format!(
                "{corpus}: skipped {count} {reason}; the first is {first}"
            ))
        });
        self.warnings
            .iter()
            .map(|warning| format!("{}: {warning}", self.corpus))
            .chain(skipped)
            .collect()
    }
}

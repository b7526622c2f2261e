//! What reading a corpus yields: recordings in the corpus' own words, and what was passed over.
//!
//! Nothing is dropped in silence: every file that is left out is kept here with its reason, and
//! [`Collection::notes`] says it in one line a reason.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::{Corpus, Utterance};

/// Why a file or a row was passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// A Git LFS pointer stands where audio should.
    Pointer,
    /// Not named as the corpus names its files.
    Misnamed,
    /// Two places say different things of it: name, folder, label file.
    Contradictory,
    /// Its name was met before, in another folder.
    Duplicate,
    /// Sung, not spoken.
    Song,
    /// A label without its audio file.
    NoAudio,
    /// Nobody agreed on an emotion, or none is given.
    NoEmotion,
    /// No speaker is given, so no split could tell who it is.
    NoSpeaker,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pointer => {
                "Git LFS pointers, not audio; run `git lfs pull` where they were cloned"
            }
            Self::Misnamed => "not named as the corpus names its files",
            Self::Contradictory => "said to be something else by their folder or label file",
            Self::Duplicate => "named like one that was read before",
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
    /// The corpus that was asked for.
    pub corpus: Corpus,
    /// Sorted by path; labels are the corpus' own words for emotions.
    pub utterances: Vec<Utterance<String>>,
    /// What was passed over, in the order it was met.
    pub skipped: BTreeMap<Reason, Vec<PathBuf>>,
    /// What a person should know of the copy as a whole.
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

    /// Passes a file over.
    pub(super) fn skip(&mut self, reason: Reason, path: PathBuf) {
        self.skipped.entry(reason).or_default().push(path);
    }

    /// How many were passed over for a reason.
    #[must_use]
    pub fn count(&self, reason: Reason) -> usize {
        self.skipped.get(&reason).map_or(0, Vec::len)
    }

    /// Whether any recording has an emotion; without one this is speech to pre-train on.
    #[must_use]
    pub fn is_labelled(&self) -> bool {
        self.utterances.iter().any(|u| u.label.is_some())
    }

    /// Lines for a person: warnings, and for each reason how many were passed over.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let skipped = self.skipped.iter().filter_map(|(reason, paths)| {
            let first = paths.first()?.display();
            let (corpus, count) = (&self.corpus, paths.len());
            Some(format!(
                "{corpus}: passed over {count} {reason}; the first is {first}"
            ))
        });
        self.warnings
            .iter()
            .map(|warning| format!("{}: {warning}", self.corpus))
            .chain(skipped)
            .collect()
    }
}

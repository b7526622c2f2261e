//! Protocols: the ways to split a data set that reported figures can use.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use anyhow::{Result, bail};

use super::fold::{Fold, guard, guard_audio};
use super::{random, speakers};
use crate::data::corpus::{Corpus, Utterance};

/// How utterances are divided into folds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// This many folds by speaker: `speakers/5`.
    Speakers(usize),
    /// One fold per speaker: `leave-one-speaker-out`.
    LeaveOneSpeakerOut,
    /// One fold per recording session of a single corpus: `sessions`.
    Sessions,
    /// Five folds over utterances, the paper's protocol: `random`. It trains on test speakers.
    Random,
}

impl Protocol {
    /// Computes the folds for a seed; `hashes` has one content hash for each utterance.
    ///
    /// # Errors
    /// If there are too few speakers, sessions or recordings for a fold's three parts.
    pub fn folds(
        &self,
        utterances: &[Utterance],
        hashes: &[[u8; 32]],
        seed: u64,
    ) -> Result<Vec<Fold>> {
        match *self {
            Self::Speakers(folds) => speakers::by_speaker(utterances, folds, seed),
            Self::LeaveOneSpeakerOut => speakers::leave_one_out(utterances, seed),
            Self::Sessions => speakers::by_session(utterances, seed),
            Self::Random => random::random(utterances, hashes, seed),
        }
    }

    /// Whether no test speaker is trained on.
    #[must_use]
    pub fn is_speaker_independent(&self) -> bool {
        !matches!(self, Self::Random)
    }

    /// Returns the label that every table of this protocol must have.
    #[must_use]
    pub fn label(&self) -> &'static str {
        if self.is_speaker_independent() {
            "Speaker-independent"
        } else {
            "Speaker-DEPENDENT"
        }
    }

    /// Returns the label with the reason, as the beginning of a sentence.
    #[must_use]
    pub fn describe(&self) -> String {
        let how = match self {
            Self::Speakers(_) => "folds by speaker",
            Self::LeaveOneSpeakerOut => {
                "each speaker tested by a model that was not trained on them"
            }
            Self::Sessions => {
                "each session's speakers tested by a model that was not trained on them"
            }
            Self::Random => {
                "random split of utterances: test speakers were trained on, which makes every figure too high"
            }
        };
        format!("{} ({how})", self.label())
    }

    /// Refuses a leak: the same audio in two parts of a fold, or the same speaker unless the protocol allows
    /// it.
    ///
    /// # Errors
    /// If there is a leak; the error has the speaker and the parts, or the two files.
    pub fn guard(&self, utterances: &[Utterance], fold: &Fold, hashes: &[[u8; 32]]) -> Result<()> {
        if self.is_speaker_independent() {
            guard(utterances, fold, hashes)
        } else {
            guard_audio(utterances, fold, hashes)
        }
    }

    /// Returns the sentences that must accompany figures of this protocol on these corpora.
    #[must_use]
    pub fn disclosures(&self, corpora: &BTreeSet<Corpus>) -> Vec<String> {
        let mut sentences = Vec::new();
        if !self.is_speaker_independent() {
            sentences.push(
                "Speaker-dependent: test speakers were trained on, which makes figures six to ten points too high."
                    .to_owned(),
            );
        }
        let those = |parallel: Option<bool>| {
            let names = corpora
                .iter()
                .filter(|corpus| corpus.has_parallel_text() == parallel)
                .map(Corpus::name);
            names.collect::<Vec<_>>().join(", ")
        };
        let (parallel, unknown) = (those(Some(true)), those(None));
        if !parallel.is_empty() {
            sentences.push(format!(
                "Parallel text: speakers of {parallel} say the same sentences, so test sentences were trained on, \
                 from other speakers."
            ));
        }
        if !unknown.is_empty() {
            sentences.push(format!(
                "Whether speakers of {unknown} say the same sentences is not known."
            ));
        }
        sentences
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Speakers(folds) => write!(f, "speakers/{folds}"),
            Self::LeaveOneSpeakerOut => f.write_str("leave-one-speaker-out"),
            Self::Sessions => f.write_str("sessions"),
            Self::Random => f.write_str("random"),
        }
    }
}

impl FromStr for Protocol {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let folds = text.strip_prefix("speakers/").map(str::parse);
        match (text, folds) {
            ("leave-one-speaker-out", _) => Ok(Self::LeaveOneSpeakerOut),
            ("sessions", _) => Ok(Self::Sessions),
            ("random", _) => Ok(Self::Random),
            (_, Some(Ok(folds))) if folds >= 2 => Ok(Self::Speakers(folds)),
            _ => bail!(
                "`{text}` is not a protocol; the protocols are speakers/K for K folds (at least two), \
                 leave-one-speaker-out, sessions, random"
            ),
        }
    }
}

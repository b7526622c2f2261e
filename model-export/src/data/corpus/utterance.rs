//! A recording of one speaker, and the corpus that it belongs to.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::span::Span;

/// The four classes of the default label map, in its order.
pub const LABELS: [&str; 4] = ["neutral", "anger", "sadness", "happiness"];

/// A corpus.
///
/// The order is that of the utterances in a data set. New corpora go to the end, so that runs on the older
/// ones do not change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Corpus {
    /// Acted English, 24 actors, two sentences.
    Ravdess,
    /// Acted Bangla, 34 actors, three sentences.
    BanglaSer,
    /// Acted German, 10 actors, only takes that listeners recognised.
    EmoDb,
    /// Read English books, without emotion labels.
    LibriSpeech,
    /// Acted and improvised English dialogues, 10 actors in five sessions.
    Iemocap,
    /// Acted English, 91 actors, twelve sentences.
    CremaD,
    /// Acted English, four men.
    Savee,
    /// Acted English, two women.
    Tess,
    /// Acted English and Mandarin, 20 speakers.
    Esd,
    /// Acted English, four speakers.
    EmovDb,
    /// Any other corpus, described by its tables: a CSV manifest or an audformat database.
    Other(Arc<str>),
}

impl Corpus {
    /// Every corpus with a reader of its own.
    pub const KNOWN: [Self; 10] = [
        Self::Ravdess,
        Self::BanglaSer,
        Self::EmoDb,
        Self::LibriSpeech,
        Self::Iemocap,
        Self::CremaD,
        Self::Savee,
        Self::Tess,
        Self::Esd,
        Self::EmovDb,
    ];

    /// Returns the name in file names, speakers' names and reports.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Ravdess => "ravdess",
            Self::BanglaSer => "banglaser",
            Self::EmoDb => "emodb",
            Self::LibriSpeech => "librispeech",
            Self::Iemocap => "iemocap",
            Self::CremaD => "cremad",
            Self::Savee => "savee",
            Self::Tess => "tess",
            Self::Esd => "esd",
            Self::EmovDb => "emovdb",
            Self::Other(name) => name,
        }
    }

    /// Whether its speakers say the same sentences, so that the sentences of a test speaker were also
    /// trained on, from other speakers. `None` if this is unknown.
    #[must_use]
    pub fn has_parallel_text(&self) -> Option<bool> {
        match self {
            Self::LibriSpeech => Some(false),
            Self::Other(_) => None,
            // In IEMOCAP, the scripted half.
            _ => Some(true),
        }
    }
}

impl fmt::Display for Corpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl From<&str> for Corpus {
    /// Returns the known corpus of this name, or another corpus with this name.
    fn from(name: &str) -> Self {
        let known = Self::KNOWN.into_iter().find(|corpus| corpus.name() == name);
        known.unwrap_or_else(|| Self::Other(name.into()))
    }
}

/// One recording of one speaker. The label is a class index or, before a label map, a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Utterance<L = usize> {
    /// The audio file.
    pub path: PathBuf,
    /// Its corpus.
    pub corpus: Corpus,
    /// Corpus and speaker, such as `ravdess/01`. Unique over all corpora.
    pub speaker: String,
    /// The recording session, if the corpus has sessions.
    pub session: Option<String>,
    /// The part of the file; `None` is the whole file.
    pub span: Option<Span>,
    /// Its emotion; `None` if the corpus has no labels.
    pub label: Option<L>,
}

impl<L> Utterance<L> {
    /// Creates an utterance that is a whole file, without a session.
    pub fn new(
        path: impl Into<PathBuf>,
        corpus: Corpus,
        speaker: impl Into<String>,
        label: Option<L>,
    ) -> Self {
        Self {
            path: path.into(),
            corpus,
            speaker: speaker.into(),
            session: None,
            span: None,
            label,
        }
    }

    /// Returns the file and its span. Unique over utterances.
    #[must_use]
    pub fn name(&self) -> String {
        let path = self.path.display();
        match self.span {
            None => path.to_string(),
            Some(Span { start, end: None }) => format!("{path} from {start:?}"),
            Some(Span {
                start,
                end: Some(end),
            }) => format!("{path} from {start:?} to {end:?}"),
        }
    }

    /// Returns the same recording with another label.
    #[must_use]
    pub fn labelled<M>(self, label: Option<M>) -> Utterance<M> {
        Utterance {
            path: self.path,
            corpus: self.corpus,
            speaker: self.speaker,
            session: self.session,
            span: self.span,
            label,
        }
    }
}

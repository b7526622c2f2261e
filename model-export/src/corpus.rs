//! Corpora: a folder in, a list of recordings with speaker and emotion out.
//!
//! One file a corpus, each with that corpus' own rules; the official downloads work as they are,
//! and so do copies with .flac in place of .wav. The corpus is always named by the caller: RAVDESS
//! and BanglaSER names have one shape and different codes. Emotions stay the corpus' own words;
//! [`crate::labels`] makes classes of them. Knows nothing of what is in an audio file.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, bail, ensure};

mod acted;
mod audformat;
mod banglaser;
mod collection;
mod cremad;
mod emodb;
mod emovdb;
mod esd;
mod iemocap;
mod librispeech;
mod manifest;
mod naming;
mod ravdess;
mod savee;
mod span;
mod table;
mod tess;
mod walk;

pub use collection::{Collection, Reason};
pub use span::Span;

/// The four classes of the default label map, in its order.
pub const LABELS: [&str; 4] = ["neutral", "anger", "sadness", "happiness"];

/// Where recordings come from.
///
/// The order is that of utterances in a data set; new ones go to the end, so that runs on the old
/// ones stay as they were.
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
    /// One that only its tables describe: a CSV manifest or an audformat database.
    Other(Arc<str>),
}

impl Corpus {
    /// Every corpus that has rules of its own.
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

    /// Name, as it stands in file names, speakers' names and reports.
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

    /// Its own words for emotions, in its own order; none where it has no labels or only its
    /// tables know.
    #[must_use]
    pub fn emotions(&self) -> &'static [&'static str] {
        match self {
            Self::Ravdess => ravdess::EMOTIONS,
            Self::BanglaSer => banglaser::EMOTIONS,
            Self::EmoDb => emodb::EMOTIONS,
            Self::Iemocap => iemocap::EMOTIONS,
            Self::CremaD => cremad::EMOTIONS,
            Self::Savee => savee::EMOTIONS,
            Self::Tess => tess::EMOTIONS,
            Self::Esd => esd::EMOTIONS,
            Self::EmovDb => emovdb::EMOTIONS,
            Self::LibriSpeech | Self::Other(_) => &[],
        }
    }

    /// Whether its speakers say the same sentences, so that a test speaker's words were trained
    /// on from others; `None` where nobody knows.
    #[must_use]
    pub fn has_parallel_text(&self) -> Option<bool> {
        match self {
            Self::LibriSpeech => Some(false),
            Self::Other(_) => None,
            // IEMOCAP: its scripted half.
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
    /// A known corpus by its name, or another one of that name.
    fn from(name: &str) -> Self {
        let known = Self::KNOWN.into_iter().find(|corpus| corpus.name() == name);
        known.unwrap_or_else(|| Self::Other(name.into()))
    }
}

/// One recording of one speaker, labelled by a class' index or, before a label map, by a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Utterance<L = usize> {
    /// The audio file.
    pub path: PathBuf,
    /// Where it comes from.
    pub corpus: Corpus,
    /// Corpus and speaker, such as `ravdess/01`: unique over corpora.
    pub speaker: String,
    /// The recording session, where the corpus keeps them apart.
    pub session: Option<String>,
    /// The piece of the file that it is; `None` is the whole file.
    pub span: Option<Span>,
    /// Its emotion; `None` where the corpus has no labels.
    pub label: Option<L>,
}

impl<L> Utterance<L> {
    /// A whole file outside any session.
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

    /// The file, and which span of it: unique over utterances.
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

    /// The same recording with another label.
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

/// Whether a path is described by tables of its own: a CSV manifest, or an audformat folder.
#[must_use]
pub fn has_tables(path: &Path) -> bool {
    is_manifest(path) || path.join(audformat::HEADER).is_file()
}

/// Whether a file is named like a CSV manifest.
fn is_manifest(path: &Path) -> bool {
    let csv = path
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("csv"));
    csv && !walk::stem(path).starts_with('.') && path.is_file()
}

/// Reads a corpus: a CSV manifest, an audformat folder, or the corpus' own layout at any depth
/// below `path`; sorted by path.
///
/// # Errors
/// If the path cannot be read, contradicts the corpus' rules (then it is probably another corpus),
/// holds nothing usable, or the corpus is unknown and the path has no tables.
pub fn load(corpus: Corpus, path: &Path) -> Result<Collection> {
    if is_manifest(path) {
        return manifest::load(corpus, path);
    }
    ensure!(
        path.is_dir(),
        "{corpus}: {} is neither a folder nor a CSV manifest",
        path.display()
    );
    if has_tables(path) {
        return audformat::load(corpus, path);
    }
    match &corpus {
        Corpus::Ravdess => naming::load(corpus, path, ravdess::EXAMPLE, ravdess::read),
        Corpus::BanglaSer => naming::load(corpus, path, banglaser::EXAMPLE, banglaser::read),
        Corpus::EmoDb => naming::load(corpus, path, emodb::EXAMPLE, emodb::read),
        Corpus::LibriSpeech => naming::load(corpus, path, librispeech::EXAMPLE, librispeech::read),
        Corpus::CremaD => naming::load(corpus, path, cremad::EXAMPLE, cremad::read),
        Corpus::Savee => naming::load(corpus, path, savee::EXAMPLE, savee::read),
        Corpus::Tess => naming::load(corpus, path, tess::EXAMPLE, tess::read),
        Corpus::EmovDb => naming::load(corpus, path, emovdb::EXAMPLE, emovdb::read),
        Corpus::Iemocap => iemocap::load(path),
        Corpus::Esd => esd::load(path),
        Corpus::Other(name) => bail!(
            "no rules are known for a corpus `{name}`, and {} is neither a CSV manifest nor an audformat \
             folder (with {}); known are {}",
            path.display(),
            audformat::HEADER,
            Corpus::KNOWN.each_ref().map(Corpus::name).join(", "),
        ),
    }
}

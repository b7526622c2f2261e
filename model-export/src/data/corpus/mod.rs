//! Corpora: from a folder to a list of recordings with speaker and emotion.
//!
//! Each corpus has a file with its own rules. Official downloads work unchanged, and so do copies with .flac
//! instead of .wav. The caller names the corpus, because RAVDESS and BanglaSER file names have the same form with
//! different codes. Emotions keep the corpus' own names; [`crate::data::labels`] maps them to classes. Audio is
//! not decoded here.

use std::path::Path;

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
mod utterance;
mod walk;

pub use collection::{Collection, Reason};
pub use span::Span;
pub use utterance::{Corpus, LABELS, Utterance};

impl Corpus {
    /// Returns its own names of emotions, in its own order. Empty if it has no labels, or if only its tables
    /// contain them.
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
}

/// Whether a path is a CSV manifest or an audformat folder.
#[must_use]
pub fn has_tables(path: &Path) -> bool {
    is_manifest(path) || path.join(audformat::HEADER).is_file()
}

/// Whether a path is a CSV file.
fn is_manifest(path: &Path) -> bool {
    let csv = path
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("csv"));
    csv && !walk::stem(path).starts_with('.') && path.is_file()
}

/// Reads a corpus, sorted by path: a CSV manifest, an audformat folder, or the corpus' own layout at any
/// depth below `path`.
///
/// # Errors
/// If the path cannot be read, contradicts the corpus' rules (then it is probably another corpus),
/// contains nothing usable, or the corpus is unknown and the path has no tables.
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
            "`{name}` is not a known corpus, and {} is neither a CSV manifest nor an audformat \
             folder (with {}); the known corpora are {}",
            path.display(),
            audformat::HEADER,
            Corpus::KNOWN.each_ref().map(Corpus::name).join(", "),
        ),
    }
}

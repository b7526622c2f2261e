//! Corpora whose file names say it all: the way of reading that they share.
//!
//! Each gives a function from a path to what its name says; the walk, copies, pointers and the
//! suspicion of another corpus are the same for all.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use indicatif::ProgressIterator;

use super::{Collection, Corpus, Reason, Utterance, walk};

/// What a file's name says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// As the corpus numbers or calls its speakers.
    pub speaker: String,
    /// The corpus' own word.
    pub emotion: Option<&'static str>,
    /// What makes the recording itself again when it lies in another folder.
    pub key: String,
}

impl Name {
    /// A name that is unique in its corpus.
    pub(super) fn new(speaker: &str, emotion: &'static str, key: &str) -> Self {
        Self {
            speaker: speaker.to_owned(),
            emotion: Some(emotion),
            key: key.to_owned(),
        }
    }
}

/// Reads every audio file below `dir`; `example` is what a name looks like.
pub(super) fn load(
    corpus: Corpus,
    dir: &Path,
    example: &str,
    read: impl Fn(&Path) -> Result<Name, Reason>,
) -> Result<Collection> {
    let files = walk::audio_files(dir)
        .with_context(|| format!("cannot read {corpus} from {}", dir.display()))?;
    let mut collection = Collection::new(corpus);
    let mut seen = HashSet::new();
    for path in files.iter().progress_with(walk::bar(files.len())) {
        let fault = match read(path) {
            Err(reason) => reason,
            Ok(_) if walk::is_pointer(path) => Reason::Pointer,
            Ok(Name { key, .. }) if seen.contains(&key) => Reason::Duplicate,
            Ok(name) => {
                collection.utterances.push(Utterance::new(
                    path,
                    collection.corpus.clone(),
                    format!("{}/{}", collection.corpus, name.speaker),
                    name.emotion.map(str::to_owned),
                ));
                seen.insert(name.key);
                continue;
            }
        };
        collection.skip(fault, path.clone());
    }
    judge(&collection, dir, files.len(), example)?;
    Ok(collection)
}

/// Refuses a folder that is probably another corpus, or of which nothing is left.
fn judge(collection: &Collection, dir: &Path, files: usize, example: &str) -> Result<()> {
    let corpus = &collection.corpus;
    let strangers = collection.count(Reason::Misnamed) + collection.count(Reason::Contradictory);
    let first = [Reason::Misnamed, Reason::Contradictory]
        .iter()
        .find_map(|reason| collection.skipped.get(reason)?.first());
    if let Some(first) = first {
        ensure!(
            strangers * 4 <= files,
            "{} does not look like {corpus}: {strangers} of {files} audio files are not named like {example}; \
             the first is {}",
            dir.display(),
            first.display(),
        );
    }
    if !collection.utterances.is_empty() {
        return Ok(());
    }
    let pointers = collection.count(Reason::Pointer);
    ensure!(
        pointers == 0,
        "{corpus} in {} has no audio: {pointers} of {files} files are {}",
        dir.display(),
        Reason::Pointer,
    );
    anyhow::bail!(
        "no {corpus} utterance in {}: {files} audio files (.wav, .flac); names look like {example}",
        dir.display(),
    );
}

/// Exactly `N` fields between separators.
pub(super) fn fields<const N: usize>(stem: &str, separator: char) -> Option<[&str; N]> {
    let mut parts = stem.split(separator);
    let mut fields = [""; N];
    for field in &mut fields {
        *field = parts.next()?;
    }
    parts.next().is_none().then_some(fields)
}

/// Whether a field is digits alone, and some.
pub(super) fn digits(field: &str) -> bool {
    !field.is_empty() && field.bytes().all(|b| b.is_ascii_digit())
}

/// Whether a field is a two-digit number from 1 to `last`.
pub(super) fn numbered(field: &str, last: u32) -> bool {
    field.len() == 2
        && field
            .parse::<u32>()
            .is_ok_and(|number| (1..=last).contains(&number))
}

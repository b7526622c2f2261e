//! Reading corpora with all labels in their file names.
//!
//! Each corpus provides a function that parses a path. This module walks the folder, skips copies and Git LFS
//! pointers, and refuses a folder that is probably another corpus.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use indicatif::ProgressIterator;

use super::{Collection, Corpus, Reason, Utterance, walk};

/// The labels in a file's name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// The corpus' own number or name of the speaker.
    pub speaker: String,
    /// The corpus' own name of the emotion.
    pub emotion: Option<&'static str>,
    /// Equal for copies of a recording in different folders.
    pub key: String,
}

impl Name {
    /// Creates the labels of a file.
    pub(super) fn new(speaker: &str, emotion: &'static str, key: &str) -> Self {
        Self {
            speaker: speaker.to_owned(),
            emotion: Some(emotion),
            key: key.to_owned(),
        }
    }
}

/// Reads every audio file below `dir`; `example` is a typical name, for error messages.
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
    check(&collection, dir, files.len(), example)?;
    Ok(collection)
}

/// Refuses a folder that is probably another corpus, or that has no usable file.
fn check(collection: &Collection, dir: &Path, files: usize, example: &str) -> Result<()> {
    let corpus = &collection.corpus;
    let unexpected = collection.count(Reason::Misnamed) + collection.count(Reason::Contradictory);
    let first = [Reason::Misnamed, Reason::Contradictory]
        .iter()
        .find_map(|reason| collection.skipped.get(reason)?.first());
    if let Some(first) = first {
        ensure!(
            unexpected * 4 <= files,
            "{} does not look like {corpus}: {unexpected} of {files} audio files are not named like {example}; \
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

/// Splits a name into exactly `N` fields.
pub(super) fn fields<const N: usize>(stem: &str, separator: char) -> Option<[&str; N]> {
    let mut parts = stem.split(separator);
    let mut fields = [""; N];
    for field in &mut fields {
        *field = parts.next()?;
    }
    parts.next().is_none().then_some(fields)
}

/// Whether a field is one or more digits.
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

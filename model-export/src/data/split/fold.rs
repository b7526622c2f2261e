//! A fold, and the check that nothing leaks between its parts.

use std::collections::HashMap;

use anyhow::{Result, bail, ensure};
use sha2::{Digest, Sha256};

use crate::data::corpus::Utterance;
use crate::data::features::hexadecimal;

/// A list of utterances divided into three parts, as indices into the list.
///
/// Unlabelled utterances are in no part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fold {
    /// Utterances that the weights are fitted to.
    pub train: Vec<usize>,
    /// Utterances for early stopping and calibration. Their speakers are in no other part, except with
    /// [`Protocol::Random`](super::Protocol::Random).
    pub validation: Vec<usize>,
    /// Utterances that the reported figures are measured on.
    pub test: Vec<usize>,
}

impl Fold {
    /// Returns the SHA-256 of the three parts in hexadecimal, for the record of a run.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hasher = Sha256::new();
        for (name, part) in self.parts() {
            hasher.update(name);
            hasher.update((part.len() as u64).to_le_bytes());
            for &index in part {
                hasher.update((index as u64).to_le_bytes());
            }
        }
        hexadecimal(&hasher.finalize())
    }

    /// Returns the parts with their names.
    #[must_use]
    pub fn parts(&self) -> [(&'static str, &[usize]); 3] {
        [
            ("train", &self.train),
            ("validation", &self.validation),
            ("test", &self.test),
        ]
    }
}

/// Refuses a leak: a speaker in two parts, or the same audio in two parts.
///
/// `hashes` has one content hash for each utterance, as in [`crate::data::features::Features`].
///
/// # Errors
/// If there is a leak; the error has the speaker and the parts, or the two files.
pub fn guard(utterances: &[Utterance], fold: &Fold, hashes: &[[u8; 32]]) -> Result<()> {
    guard_audio(utterances, fold, hashes)?;
    let mut speakers: HashMap<&str, &str> = HashMap::new();
    for (part, members) in fold.parts() {
        for &index in members {
            let speaker = utterances[index].speaker.as_str();
            let other = *speakers.entry(speaker).or_insert(part);
            ensure!(
                other == part,
                "speaker {speaker} is in two parts of the split, {other} and {part}",
            );
        }
    }
    Ok(())
}

/// Refuses the same audio in two parts, but allows the same speaker.
pub(super) fn guard_audio(
    utterances: &[Utterance],
    fold: &Fold,
    hashes: &[[u8; 32]],
) -> Result<()> {
    one_hash_each(utterances, hashes)?;
    let mut contents: HashMap<&[u8; 32], (&str, usize)> = HashMap::new();
    let mut indices = vec![false; utterances.len()];
    for (part, members) in fold.parts() {
        for &index in members {
            let Some(utterance) = utterances.get(index) else {
                bail!(
                    "the split's {part} part contains utterance {index}, but there are only {}",
                    utterances.len()
                );
            };
            ensure!(
                !std::mem::replace(&mut indices[index], true),
                "{} is in the split twice",
                utterance.name(),
            );
            let (other, twin) = *contents.entry(&hashes[index]).or_insert((part, index));
            ensure!(
                other == part,
                "the same audio is in two parts of the split: {} in {other} and {} in {part}",
                utterances[twin].name(),
                utterance.name(),
            );
        }
    }
    Ok(())
}

pub(super) fn one_hash_each(utterances: &[Utterance], hashes: &[[u8; 32]]) -> Result<()> {
    ensure!(
        hashes.len() == utterances.len(),
        "{} content hashes for {} utterances",
        hashes.len(),
        utterances.len(),
    );
    Ok(())
}

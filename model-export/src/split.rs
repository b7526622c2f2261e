//! Splits: utterances in, folds by speaker out.
//!
//! No speaker is ever in two parts of a fold; random folds over utterances would flatter every
//! figure by six to ten points (the paper's protocol does). Folds are stratified by corpus, so
//! each fold tests speakers of every corpus. [`guard`] checks the promise on the finished split,
//! by speaker and by content.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Result, bail, ensure};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use sha2::{Digest, Sha256};

use crate::corpus::{Corpus, Utterance};

/// One way to cut a list of utterances into parts; the numbers are indices into that list.
///
/// Unlabelled utterances are in no part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fold {
    /// What the weights are fitted to.
    pub train: Vec<usize>,
    /// What is watched while training and calibrated on: one speaker a corpus.
    pub validation: Vec<usize>,
    /// What is reported.
    pub test: Vec<usize>,
}

impl Fold {
    /// SHA-256 of the three parts, in hexadecimal, for the record of a run.
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
        crate::features::hexadecimal(&hasher.finalize())
    }

    /// The parts with their names.
    #[must_use]
    pub fn parts(&self) -> [(&'static str, &[usize]); 3] {
        [
            ("train", &self.train),
            ("validation", &self.validation),
            ("test", &self.test),
        ]
    }
}

/// Which part a speaker is in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Train,
    Validation,
    Test,
}

/// k folds: each speaker is tested exactly once, and one speaker a corpus validates.
///
/// Each corpus' speakers are shuffled by `seed` and dealt round robin; the validation speaker of
/// a fold is one that the next fold tests.
///
/// # Errors
/// If `folds` is below 2, nothing is labelled, or a corpus has too few speakers to have one in
/// each part of each fold.
pub fn by_speaker(utterances: &[Utterance], folds: usize, seed: u64) -> Result<Vec<Fold>> {
    ensure!(folds >= 2, "{folds} folds asked for; at least 2 are needed");
    let corpora = shuffled_speakers(utterances, seed)?;
    for (corpus, speakers) in &corpora {
        let tested = speakers.len().div_ceil(folds);
        ensure!(
            speakers.len() >= folds && speakers.len() >= tested + 2,
            "{corpus} has {} speakers; too few for {folds} folds with a speaker in each part",
            speakers.len(),
        );
    }
    let fold = |number: usize| {
        let mut parts = HashMap::new();
        for speakers in corpora.values() {
            for (place, &speaker) in speakers.iter().enumerate() {
                let tested = place % folds == number;
                // The first that the next fold tests is a training speaker of this one.
                let part = match (tested, place == (number + 1) % folds) {
                    (true, _) => Part::Test,
                    (false, true) => Part::Validation,
                    (false, false) => Part::Train,
                };
                parts.insert(speaker, part);
            }
        }
        deal(utterances, &parts)
    };
    Ok((0..folds).map(fold).collect())
}

/// One fold in which every speaker trains but one validation speaker a corpus; `test` is empty.
///
/// # Errors
/// If nothing is labelled or a corpus has a single speaker.
pub fn all(utterances: &[Utterance], seed: u64) -> Result<Fold> {
    let corpora = shuffled_speakers(utterances, seed)?;
    let mut parts = HashMap::new();
    for (corpus, speakers) in &corpora {
        ensure!(
            speakers.len() >= 2,
            "{corpus} has a single speaker; one must train and one validate"
        );
        for (place, &speaker) in speakers.iter().enumerate() {
            let part = if place == 0 {
                Part::Validation
            } else {
                Part::Train
            };
            parts.insert(speaker, part);
        }
    }
    Ok(deal(utterances, &parts))
}

/// Refuses a leak: a speaker in two parts, or the same audio in two parts.
///
/// `hashes` has one content hash for each utterance, as [`crate::features::Features`] gives them.
///
/// # Errors
/// Names the speaker and the parts, or the two files.
pub fn guard(utterances: &[Utterance], fold: &Fold, hashes: &[[u8; 32]]) -> Result<()> {
    ensure!(
        hashes.len() == utterances.len(),
        "{} content hashes for {} utterances",
        hashes.len(),
        utterances.len(),
    );
    let mut speakers: HashMap<&str, &str> = HashMap::new();
    let mut contents: HashMap<&[u8; 32], (&str, usize)> = HashMap::new();
    let mut indices = vec![false; utterances.len()];
    for (part, members) in fold.parts() {
        for &index in members {
            let Some(utterance) = utterances.get(index) else {
                bail!(
                    "the split's {part} part names utterance {index} of {}",
                    utterances.len()
                );
            };
            ensure!(
                !std::mem::replace(&mut indices[index], true),
                "{} is in the split twice",
                utterance.path.display(),
            );
            let other = *speakers.entry(&utterance.speaker).or_insert(part);
            ensure!(
                other == part,
                "speaker {} is in two parts of the split, {other} and {part}",
                utterance.speaker,
            );
            let (other, twin) = *contents.entry(&hashes[index]).or_insert((part, index));
            ensure!(
                other == part,
                "the same audio is in two parts of the split: {} in {other} and {} in {part}",
                utterances[twin].path.display(),
                utterance.path.display(),
            );
        }
    }
    Ok(())
}

/// Each corpus' labelled speakers in an order that only `seed` and the corpus' name decide, so
/// that adding a corpus leaves the folds of the others as they were.
fn shuffled_speakers(utterances: &[Utterance], seed: u64) -> Result<BTreeMap<&Corpus, Vec<&str>>> {
    let mut corpora: BTreeMap<&Corpus, Vec<&str>> = BTreeMap::new();
    for utterance in utterances.iter().filter(|u| u.label.is_some()) {
        corpora
            .entry(&utterance.corpus)
            .or_default()
            .push(&utterance.speaker);
    }
    ensure!(
        !corpora.is_empty(),
        "nothing to split: no utterance has a label"
    );
    for (corpus, speakers) in &mut corpora {
        speakers.sort_unstable();
        speakers.dedup();
        let digest: [u8; 32] = Sha256::new()
            .chain_update(seed.to_le_bytes())
            .chain_update(corpus.name())
            .finalize()
            .into();
        speakers.shuffle(&mut StdRng::from_seed(digest));
    }
    Ok(corpora)
}

fn deal(utterances: &[Utterance], parts: &HashMap<&str, Part>) -> Fold {
    let mut fold = Fold::default();
    for (index, utterance) in utterances.iter().enumerate() {
        if utterance.label.is_none() {
            continue;
        }
        match parts.get(utterance.speaker.as_str()) {
            Some(Part::Train) => fold.train.push(index),
            Some(Part::Validation) => fold.validation.push(index),
            Some(Part::Test) => fold.test.push(index),
            None => {}
        }
    }
    fold
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn utterance(corpus: &Corpus, speaker: usize, number: usize) -> Utterance {
        let label = (*corpus != Corpus::LibriSpeech).then_some(number % 4);
        Utterance::new(
            format!("{corpus}/{speaker}-{number}.wav"),
            corpus.clone(),
            format!("{corpus}/{speaker:02}"),
            label,
        )
    }

    fn hashes(count: usize) -> Vec<[u8; 32]> {
        (0..count)
            .map(|i| Sha256::digest(i.to_le_bytes()).into())
            .collect()
    }

    fn speakers<'a>(
        utterances: &'a [Utterance],
        part: &[usize],
        corpus: &Corpus,
    ) -> BTreeSet<&'a str> {
        part.iter()
            .map(|&i| &utterances[i])
            .filter(|u| u.corpus == *corpus)
            .map(|u| u.speaker.as_str())
            .collect()
    }

    prop_compose! {
        fn corpora()(
            folds in 2..6usize,
        )(
            folds in Just(folds),
            ravdess in prop::collection::vec(1..9usize, folds * 2..20),
            emodb in prop::collection::vec(1..9usize, folds * 2..20),
            unlabelled in 0..4usize,
        ) -> (usize, Vec<Utterance>) {
            let mut utterances = Vec::new();
            for (corpus, counts) in [(Corpus::Ravdess, ravdess), (Corpus::EmoDb, emodb)] {
                for (speaker, count) in counts.into_iter().enumerate() {
                    utterances.extend((0..count).map(|number| utterance(&corpus, speaker, number)));
                }
            }
            utterances.extend((0..unlabelled).map(|s| utterance(&Corpus::LibriSpeech, s, 0)));
            (folds, utterances)
        }
    }

    proptest! {
        #[test]
        fn every_speaker_is_tested_once_and_never_in_two_parts(
            (folds, utterances) in corpora(), seed: u64,
        ) {
            let split = by_speaker(&utterances, folds, seed).unwrap();
            prop_assert_eq!(split.len(), folds);
            let labelled: Vec<usize> =
                (0..utterances.len()).filter(|&i| utterances[i].label.is_some()).collect();
            let mut tested: Vec<usize> = split.iter().flat_map(|fold| fold.test.clone()).collect();
            tested.sort_unstable();
            prop_assert_eq!(&tested, &labelled);
            for fold in &split {
                guard(&utterances, fold, &hashes(utterances.len())).unwrap();
                let mut members = [&fold.train[..], &fold.validation, &fold.test].concat();
                members.sort_unstable();
                prop_assert_eq!(&members, &labelled);
                for corpus in [Corpus::Ravdess, Corpus::EmoDb] {
                    prop_assert_eq!(speakers(&utterances, &fold.validation, &corpus).len(), 1);
                    prop_assert!(!speakers(&utterances, &fold.train, &corpus).is_empty());
                    prop_assert!(!speakers(&utterances, &fold.test, &corpus).is_empty());
                }
            }
        }

        #[test]
        fn the_seed_alone_decides_and_another_corpus_changes_nothing(
            (folds, utterances) in corpora(), seed: u64,
        ) {
            let split = by_speaker(&utterances, folds, seed).unwrap();
            prop_assert_eq!(&split, &by_speaker(&utterances, folds, seed).unwrap());
            let only: Vec<_> = utterances.iter().filter(|u| u.corpus == Corpus::Ravdess).cloned().collect();
            let alone = by_speaker(&only, folds, seed).unwrap();
            for (a, b) in split.iter().zip(&alone) {
                prop_assert_eq!(
                    speakers(&utterances, &a.test, &Corpus::Ravdess),
                    speakers(&only, &b.test, &Corpus::Ravdess)
                );
            }
        }

        #[test]
        fn all_tests_nobody_and_validates_one_speaker_a_corpus(
            (_, utterances) in corpora(), seed: u64,
        ) {
            let fold = all(&utterances, seed).unwrap();
            guard(&utterances, &fold, &hashes(utterances.len())).unwrap();
            prop_assert!(fold.test.is_empty());
            for corpus in [Corpus::Ravdess, Corpus::EmoDb] {
                prop_assert_eq!(speakers(&utterances, &fold.validation, &corpus).len(), 1);
            }
        }

        #[test]
        fn a_moved_utterance_is_always_caught((folds, utterances) in corpora(), seed: u64) {
            let mut fold = by_speaker(&utterances, folds, seed).unwrap().remove(0);
            let index = fold.test.pop().unwrap();
            let shared = fold.test.iter().any(|&i| utterances[i].speaker == utterances[index].speaker);
            fold.train.push(index);
            let verdict = guard(&utterances, &fold, &hashes(utterances.len()));
            prop_assert_eq!(verdict.is_err(), shared);
        }
    }

    #[test]
    fn the_same_audio_in_two_parts_is_refused_with_both_files() {
        let utterances: Vec<_> = (0..3).map(|s| utterance(&Corpus::EmoDb, s, 0)).collect();
        let mut hashes = hashes(3);
        let fold = Fold {
            train: vec![0],
            validation: vec![1],
            test: vec![2],
        };
        guard(&utterances, &fold, &hashes).unwrap();
        hashes[2] = hashes[0];
        let error = guard(&utterances, &fold, &hashes).unwrap_err().to_string();
        assert_eq!(
            error,
            "the same audio is in two parts of the split: emodb/0-0.wav in train and emodb/2-0.wav in test"
        );
    }

    #[test]
    fn a_speaker_in_two_parts_is_refused_by_name() {
        let utterances = vec![
            utterance(&Corpus::EmoDb, 3, 0),
            utterance(&Corpus::EmoDb, 3, 1),
        ];
        let fold = Fold {
            train: vec![0],
            validation: Vec::new(),
            test: vec![1],
        };
        let error = guard(&utterances, &fold, &hashes(2))
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "speaker emodb/03 is in two parts of the split, train and test"
        );
    }

    #[test]
    fn impossible_splits_are_refused() {
        let utterances: Vec<_> = (0..3).map(|s| utterance(&Corpus::EmoDb, s, 0)).collect();
        for (utterances, folds) in [
            (&utterances[..], 4),
            (&utterances, 1),
            (&utterances, 2),
            (&[], 2),
        ] {
            assert!(by_speaker(utterances, folds, 0).is_err());
        }
        assert!(by_speaker(&utterances, 3, 0).is_ok());
        assert!(all(&utterances[..1], 0).is_err());
    }

    /// Utterances with the names and the order of the folders that the default preset was trained
    /// on.
    fn as_in_the_data_folder() -> Vec<Utterance> {
        let mut utterances = Vec::new();
        for (corpus, speakers) in [
            (Corpus::Ravdess, 1..=20),
            (Corpus::BanglaSer, 1..=30),
            (Corpus::EmoDb, 3..=12),
            (Corpus::LibriSpeech, 100..=103),
        ] {
            for speaker in speakers {
                utterances.extend((0..5).map(|number| utterance(&corpus, speaker, number)));
            }
        }
        utterances
    }

    #[test]
    fn folds_of_a_seed_never_change() {
        let utterances = as_in_the_data_folder();
        let mut digests = Vec::new();
        for (folds, seed) in [(5, 0), (5, 7), (3, 0)] {
            for fold in by_speaker(&utterances, folds, seed).unwrap() {
                digests.push(fold.digest()[..16].to_owned());
            }
        }
        digests.push(all(&utterances, 0).unwrap().digest()[..16].to_owned());
        // Trained runs name these folds: a change here orphans them.
        assert_eq!(
            digests,
            [
                "b41523f0da5903f8",
                "00178c3ea6033fbe",
                "b294bf264ea2f1a7",
                "85cb2bcb40f15a43",
                "b8c825bc028c720f",
                "f6d5729900c4868f",
                "85e3bc1e5b2b46e7",
                "95405d94e5965e4a",
                "b9b63673b85a3224",
                "af8a896e664db917",
                "6ea49366a2038125",
                "a93e920c5ff0300a",
                "5868b06739b9a5ca",
                "6f4948f9463e68e3",
            ]
        );
    }

    #[test]
    fn another_split_has_another_digest() {
        let fold = Fold {
            train: vec![0, 1],
            validation: vec![2],
            test: vec![],
        };
        let other = Fold {
            train: vec![0],
            validation: vec![1, 2],
            test: vec![],
        };
        assert_eq!(fold.digest().len(), 64);
        assert_ne!(fold.digest(), other.digest());
    }
}

//! Splits by speaker or by session.
//!
//! The order of a corpus' speakers depends only on the seed and the corpus' name, so that adding a corpus does not
//! change the folds of the others. Validation speakers are never test speakers of the same fold.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Result, ensure};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use sha2::{Digest, Sha256};

use super::fold::Fold;
use crate::data::corpus::{Corpus, Utterance};

/// Which part a speaker is in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Train,
    Validation,
    Test,
}

/// Computes k folds: each speaker is tested exactly once, and one speaker per corpus validates.
///
/// Each corpus' speakers are shuffled by `seed` and distributed round robin. The validation speaker of a
/// fold is a test speaker of the next fold.
///
/// # Errors
/// If `folds` is below 2, nothing is labelled, or a corpus has too few speakers to have one in
/// each part of each fold.
pub fn by_speaker(utterances: &[Utterance], folds: usize, seed: u64) -> Result<Vec<Fold>> {
    ensure!(
        folds >= 2,
        "{folds} folds were requested; at least 2 are needed"
    );
    let corpora = shuffled_speakers(utterances, seed)?;
    for (corpus, speakers) in &corpora {
        ensure!(
            fits(speakers.len(), folds),
            "{corpus} has {} speakers; {folds} folds by speaker would not leave one each to train, to validate \
             and to test: {}",
            speakers.len(),
            by_speaker_fit(utterances),
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

/// Whether a corpus with this many speakers can be divided into this many folds, each with a speaker in every part:
/// one to train and one to validate, besides the test speakers of the largest fold.
fn fits(speakers: usize, folds: usize) -> bool {
    folds >= 2 && speakers >= folds && speakers >= speakers.div_ceil(folds) + 2
}

/// Returns the numbers of folds that [`by_speaker`] can make, as the end of a sentence.
#[must_use]
pub fn by_speaker_fit(utterances: &[Utterance]) -> String {
    let mut speakers: BTreeMap<&Corpus, BTreeSet<&str>> = BTreeMap::new();
    for utterance in utterances.iter().filter(|u| u.label.is_some()) {
        let of_corpus = speakers.entry(&utterance.corpus).or_default();
        of_corpus.insert(&utterance.speaker);
    }
    let Some((smallest, fewest)) = speakers.iter().min_by_key(|(_, speakers)| speakers.len())
    else {
        return "no utterance has a label".to_owned();
    };
    let fewest = fewest.len();
    let all_fit = |folds: &usize| {
        speakers
            .values()
            .all(|speakers| fits(speakers.len(), *folds))
    };
    let fitting: Vec<usize> = (2..=fewest).filter(all_fit).collect();
    match (fitting.first(), fitting.last()) {
        (Some(least), Some(most)) if least == most => format!("`--protocol speakers/{least}` fits"),
        (Some(least), Some(most)) => {
            format!("`--protocol speakers/{least}` to `speakers/{most}` fit")
        }
        _ => format!(
            "no number of folds fits with {smallest}, which has {fewest} speakers; leave that corpus out"
        ),
    }
}

/// Computes one fold per speaker, who alone is tested. One other speaker per corpus validates.
///
/// Folds are in the order of corpora, then of speakers' names.
pub(super) fn leave_one_out(utterances: &[Utterance], seed: u64) -> Result<Vec<Fold>> {
    let corpora = shuffled_speakers(utterances, seed)?;
    for (corpus, speakers) in &corpora {
        ensure!(
            speakers.len() >= 3,
            "{corpus} has {} speakers; leaving one out needs three, to train, to validate, to test: \
             leave the corpus out",
            speakers.len(),
        );
    }
    let tested = corpora.values().flat_map(|speakers| {
        let mut sorted = speakers.clone();
        sorted.sort_unstable();
        sorted
    });
    let fold = |(number, tested): (usize, &str)| {
        let mut parts = HashMap::new();
        for speakers in corpora.values() {
            // The validation speaker follows the tested one; in other corpora it changes with the fold.
            let validates = match speakers.iter().position(|&speaker| speaker == tested) {
                Some(place) => (place + 1) % speakers.len(),
                None => number % speakers.len(),
            };
            for (place, &speaker) in speakers.iter().enumerate() {
                let part = match (speaker == tested, place == validates) {
                    (true, _) => Part::Test,
                    (false, true) => Part::Validation,
                    (false, false) => Part::Train,
                };
                parts.insert(speaker, part);
            }
        }
        deal(utterances, &parts)
    };
    Ok(tested.enumerate().map(fold).collect())
}

/// Computes one fold per session of a single corpus; one speaker of the next session validates.
pub(super) fn by_session(utterances: &[Utterance], seed: u64) -> Result<Vec<Fold>> {
    let corpora = shuffled_speakers(utterances, seed)?;
    let names: Vec<&str> = corpora.keys().map(|corpus| corpus.name()).collect();
    let [(corpus, speakers)] = Vec::from_iter(&corpora)[..] else {
        anyhow::bail!(
            "the protocol `sessions` needs a single corpus, and there are {}: {}",
            names.len(),
            names.join(", ")
        );
    };
    let mut session_of: HashMap<&str, &str> = HashMap::new();
    for utterance in utterances.iter().filter(|u| u.label.is_some()) {
        let Some(session) = &utterance.session else {
            anyhow::bail!(
                "{} has no session; IEMOCAP has sessions, and manifests with a column `session`",
                utterance.name()
            );
        };
        let other = *session_of.entry(&utterance.speaker).or_insert(session);
        ensure!(
            other == session,
            "speaker {} is in sessions {other} and {session}; only a split by speaker keeps them apart",
            utterance.speaker,
        );
    }
    let sessions: Vec<&str> = BTreeSet::from_iter(session_of.values().copied())
        .into_iter()
        .collect();
    ensure!(
        sessions.len() >= 2 && speakers.len() >= 3,
        "{corpus} has {} sessions and {} speakers; testing one session needs two and three",
        sessions.len(),
        speakers.len(),
    );
    let fold = |(number, &tested): (usize, &&str)| {
        let next = sessions[(number + 1) % sessions.len()];
        let validates = speakers.iter().find(|&&s| session_of[s] == next);
        let parts = speakers.iter().map(|speaker| {
            let part = match (session_of[speaker] == tested, Some(speaker) == validates) {
                (true, _) => Part::Test,
                (false, true) => Part::Validation,
                (false, false) => Part::Train,
            };
            (*speaker, part)
        });
        let fold = deal(utterances, &parts.collect());
        ensure!(
            !fold.train.is_empty(),
            "{corpus}: no training speaker is left when session {tested} is tested; a third session is needed"
        );
        Ok(fold)
    };
    sessions.iter().enumerate().map(fold).collect()
}

/// Computes a fold in which every speaker trains except one validation speaker per corpus; `test` is empty.
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

/// Returns each corpus' labelled speakers in an order that depends only on `seed` and the corpus' name.
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

//! The paper's split: utterances at random, four fifths for training, whoever the speaker is.
//!
//! Copies of the same audio stay in one part. Otherwise they would be trained on and tested.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Result, ensure};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use sha2::{Digest, Sha256};

use super::fold::{Fold, one_hash_each};
use crate::data::corpus::{Corpus, Utterance};

/// Number of folds: 80 % train, 20 % test.
const FOLDS: usize = 5;
/// One in this many training utterances is for validation.
const VALIDATION: usize = 10;

/// Five folds, stratified by corpus and class.
pub(super) fn random(
    utterances: &[Utterance],
    hashes: &[[u8; 32]],
    seed: u64,
) -> Result<Vec<Fold>> {
    one_hash_each(utterances, hashes)?;
    let mut folds = vec![Fold::default(); FOLDS];
    let mut dealt = 0;
    for ((corpus, label), mut copies) in strata(utterances, hashes) {
        ensure!(
            copies.len() >= FOLDS,
            "{corpus} has {} different recordings of class {label}; a random split needs {FOLDS}: leave the \
             corpus or the class out",
            copies.len(),
        );
        let digest: [u8; 32] = Sha256::new()
            .chain_update(seed.to_le_bytes())
            .chain_update(corpus.name())
            .chain_update((label as u64).to_le_bytes())
            .finalize()
            .into();
        copies.shuffle(&mut StdRng::from_seed(digest));
        for (number, fold) in folds.iter_mut().enumerate() {
            let mut trained = 0;
            for (place, members) in copies.iter().enumerate() {
                // Each stratum continues where the last one stopped, so that folds have equal sizes.
                let part = if (dealt + place) % FOLDS == number {
                    &mut fold.test
                } else {
                    trained += 1;
                    if trained % VALIDATION == 1 {
                        &mut fold.validation
                    } else {
                        &mut fold.train
                    }
                };
                part.extend_from_slice(members);
            }
        }
        dealt += copies.len();
    }
    ensure!(dealt > 0, "nothing to split: no utterance has a label");
    for fold in &mut folds {
        for part in [&mut fold.train, &mut fold.validation, &mut fold.test] {
            part.sort_unstable();
        }
    }
    Ok(folds)
}

/// Groups recordings by corpus and class. Recordings with the same audio are one group member, with the class of the first.
fn strata<'a>(
    utterances: &'a [Utterance],
    hashes: &[[u8; 32]],
) -> BTreeMap<(&'a Corpus, usize), Vec<Vec<usize>>> {
    let mut strata: BTreeMap<_, Vec<Vec<usize>>> = BTreeMap::new();
    let mut known = HashMap::new();
    for (index, utterance) in utterances.iter().enumerate() {
        let Some(label) = utterance.label else {
            continue;
        };
        let &mut (stratum, place) = known.entry(hashes[index]).or_insert_with(|| {
            let stratum = (&utterance.corpus, label);
            let copies = strata.entry(stratum).or_default();
            copies.push(Vec::new());
            (stratum, copies.len() - 1)
        });
        if let Some(copies) = strata.get_mut(&stratum) {
            copies[place].push(index);
        }
    }
    strata
}

//! Copy and paste: a training crop made of two utterances of one class, one after the other.
//!
//! The second utterance is by the same speaker if that speaker has another one, as if the call continued.
//! Otherwise it is by another speaker of the same corpus, as if somebody answered in the same mood. Each
//! gives a random stretch. Together they are no longer than a crop, so that most crops contain the seam.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use undertone::frontend::{BINS, SEGMENT_FRAMES};

use crate::data::corpus::Utterance;

/// Joins a stretch of each utterance's frames `[F, 129]`, together at most `longest` frames.
///
/// `longest` is at least two segments.
pub(super) fn paste(first: &[f32], second: &[f32], longest: usize, rng: &mut StdRng) -> Vec<f32> {
    let share = rng.random_range(SEGMENT_FRAMES..=longest - SEGMENT_FRAMES);
    let mut frames = stretch(first, share, rng).to_vec();
    frames.extend_from_slice(stretch(second, longest - share, rng));
    frames
}

/// Chooses another of the `members` with the same class and corpus, by the same speaker if there is one.
pub(super) fn partner(
    utterances: &[Utterance],
    members: impl Iterator<Item = usize>,
    utterance: usize,
    rng: &mut StdRng,
) -> Option<usize> {
    let own = &utterances[utterance];
    let alike: Vec<usize> = members
        .filter(|&other| {
            let it = &utterances[other];
            other != utterance && it.label == own.label && it.corpus == own.corpus
        })
        .collect();
    let same: Vec<usize> = alike
        .iter()
        .copied()
        .filter(|&other| utterances[other].speaker == own.speaker)
        .collect();
    same.choose(rng).or_else(|| alike.choose(rng)).copied()
}

/// Returns a random stretch of at most `most` frames.
fn stretch<'a>(frames: &'a [f32], most: usize, rng: &mut StdRng) -> &'a [f32] {
    let total = frames.len() / BINS;
    let length = most.min(total);
    let start = rng.random_range(0..=total - length);
    &frames[start * BINS..][..length * BINS]
}

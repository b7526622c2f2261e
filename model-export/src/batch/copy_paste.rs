//! Copy and paste: a training crop out of two utterances of one class, one behind the other.
//!
//! The second is by the same speaker where that speaker has another one, as if the call went on; else
//! by another speaker of the same corpus, as if somebody answered in the same mood. Each gives a
//! random stretch, together no longer than a crop, so that most crops hold the seam.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use undertone::frontend::{BINS, SEGMENT_FRAMES};

use super::Sampler;
use crate::augment::chance;

impl Sampler<'_> {
    /// Raw frames to crop from instead of the utterance's own, if this one is to be pasted.
    ///
    /// Draws no number where copy and paste is off: other runs' batches stay what they are.
    pub(super) fn pasted(&self, utterance: usize, rng: &mut StdRng) -> Option<Vec<f32>> {
        let share = self.options.copy_paste;
        if share == 0.0 || !chance(share, rng) {
            return None;
        }
        let longest = (self.options.max_steps - 1) * self.options.hop + SEGMENT_FRAMES;
        if longest < 2 * SEGMENT_FRAMES {
            return None;
        }
        let other = self.companion(utterance, rng)?;
        let first = rng.random_range(SEGMENT_FRAMES..=longest - SEGMENT_FRAMES);
        let mut frames = stretch(&self.features.frames[utterance], first, rng).to_vec();
        frames.extend_from_slice(stretch(&self.features.frames[other], longest - first, rng));
        Some(frames)
    }

    /// Another training utterance of the same class and corpus, of the same speaker if there is one.
    fn companion(&self, utterance: usize, rng: &mut StdRng) -> Option<usize> {
        let own = &self.utterances[utterance];
        let alike: Vec<usize> = self
            .cells
            .iter()
            .flat_map(|cell| &cell.members)
            .copied()
            .filter(|&other| {
                let it = &self.utterances[other];
                other != utterance && it.label == own.label && it.corpus == own.corpus
            })
            .collect();
        let same: Vec<usize> = alike
            .iter()
            .copied()
            .filter(|&other| self.utterances[other].speaker == own.speaker)
            .collect();
        same.choose(rng).or_else(|| alike.choose(rng)).copied()
    }
}

/// A random stretch of at most so many frames.
fn stretch<'a>(frames: &'a [f32], most: usize, rng: &mut StdRng) -> &'a [f32] {
    let total = frames.len() / BINS;
    let length = most.min(total);
    let start = rng.random_range(0..=total - length);
    &frames[start * BINS..][..length * BINS]
}

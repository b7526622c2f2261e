//! A minibatch.

use undertone::frontend::SEGMENT_VALUES;

/// The label of an utterance without a label; no class has this index.
pub const UNLABELLED: usize = usize::MAX;

/// Utterances of different length, padded to the longest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// `[B, T, 32, 129]` normalised; zeros after an utterance's end.
    pub segments: Vec<f32>,
    /// T, the largest length.
    pub steps: usize,
    /// `[B]` real steps of each utterance, 1 to T; the padding is at the end.
    pub lengths: Vec<usize>,
    /// `[B]` class indices, or [`UNLABELLED`].
    pub labels: Vec<usize>,
    /// `[B, K]` shares of the classes, before any smoothing: 1 for the label, unless
    /// [`SamplerOptions::mixup`](super::SamplerOptions::mixup) mixed another in; all 0 if there is no label.
    pub targets: Vec<f32>,
    /// `[B]` indices in the sampler's features.
    pub utterances: Vec<usize>,
}

impl Batch {
    /// Returns B, the number of utterances.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Whether it has no utterance.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Returns the real segments [M, 32, 129] in a row: padding must not reach a batch normalisation.
    #[must_use]
    pub fn into_real_segments(self) -> Vec<f32> {
        if self.lengths.iter().all(|&length| length == self.steps) {
            return self.segments;
        }
        self.segments
            .chunks_exact(self.steps * SEGMENT_VALUES)
            .zip(&self.lengths)
            .flat_map(|(segments, length)| &segments[..length * SEGMENT_VALUES])
            .copied()
            .collect()
    }
}

//! Sizes that the tensors of a bundle's graphs have in common.

use crate::bundle::{Manifest, Sequence};

/// Tensor sizes, as a manifest states them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Width of the features, C.
    pub features: usize,
    /// Form of the sequence, with its layers L and the size of a stream's state, H or S.
    pub sequence: Sequence,
    /// Number of labels, K.
    pub labels: usize,
    /// Codes per segment, P, if there is a codebook.
    pub codes: Option<usize>,
}

impl Sizes {
    /// Returns the sizes that a manifest states.
    #[must_use]
    pub fn of(manifest: &Manifest) -> Self {
        Self {
            features: manifest.encoder.features,
            sequence: manifest.sequence,
            labels: manifest.labels.len(),
            codes: manifest.encoder.codes,
        }
    }

    /// Returns how many values of a stream's state are an input of a chunk: H · C, or S.
    #[must_use]
    pub fn history_values(&self) -> usize {
        match self.sequence {
            Sequence::Taps { history, .. } => history * self.features,
            Sequence::Recurrent { state, .. } => state,
        }
    }

    /// Returns how many values a chunk of T steps outputs for a stream's state: L · T · C, or S.
    #[must_use]
    pub fn carried(&self, steps: usize) -> usize {
        match self.sequence {
            Sequence::Taps { layers, .. } => layers * steps * self.features,
            Sequence::Recurrent { state, .. } => state,
        }
    }

    /// Returns the hidden layers of the sequence, L.
    pub(super) fn layers(&self) -> usize {
        match self.sequence {
            Sequence::Taps { layers, .. } | Sequence::Recurrent { layers, .. } => layers,
        }
    }

    /// Returns the steps of history that a chunk of a sequence with taps needs, H; 0 for a recurrent one.
    pub(super) fn history_steps(&self) -> usize {
        match self.sequence {
            Sequence::Taps { history, .. } => history,
            Sequence::Recurrent { .. } => 0,
        }
    }
}

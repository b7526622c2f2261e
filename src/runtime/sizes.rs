//! Sizes that tie the tensors of a bundle's graphs together.

use crate::bundle::{Manifest, Sequence};

/// Sizes, as a manifest states them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Width of the features, C.
    pub features: usize,
    /// Form of the sequence, with its layers L and what a stream carries, H or S.
    pub sequence: Sequence,
    /// Labels, K.
    pub labels: usize,
    /// Codes a segment, P, if there is a codebook.
    pub codes: Option<usize>,
}

impl Sizes {
    /// The sizes that a manifest states.
    #[must_use]
    pub fn of(manifest: &Manifest) -> Self {
        Self {
            features: manifest.encoder.features,
            sequence: manifest.sequence,
            labels: manifest.labels.len(),
            codes: manifest.encoder.codes,
        }
    }

    /// Values that a stream carries into a chunk: H · C, or S.
    #[must_use]
    pub fn history_values(&self) -> usize {
        match self.sequence {
            Sequence::Taps { history, .. } => history * self.features,
            Sequence::Recurrent { state, .. } => state,
        }
    }

    /// Values that a chunk of T steps gives its stream to carry on: L · T · C, or S.
    #[must_use]
    pub fn carried(&self, steps: usize) -> usize {
        match self.sequence {
            Sequence::Taps { layers, .. } => layers * steps * self.features,
            Sequence::Recurrent { state, .. } => state,
        }
    }
}

//! The input of the sequence graph: some steps of one stream.

use crate::runtime::History;

/// The next steps of one stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    /// `[T, C]`.
    pub features: Vec<f32>,
    /// The stream's state before these steps.
    pub history: History,
}

impl Chunk {
    /// Returns the bytes that its tensors hold.
    pub(super) fn bytes(&self) -> usize {
        (self.features.len() + self.history.values().len()) * size_of::<f32>()
    }
}

//! Rows of many callers to the padded tensors of one batch, in buffers that are used again.
//!
//! Padding rows and steps are zeros. They change nothing: rows do not know each other, and the device
//! is told which steps are real.

use std::sync::Arc;

use super::core::Shape;
use super::waiter::Chunk;
use crate::frontend::SEGMENT_VALUES;
use crate::runtime::{SequenceBatch, Sizes};

/// Tensors of the batch under way.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    real: Vec<usize>,
    features: Vec<f32>,
    history: Vec<f32>,
    valid: Vec<i64>,
}

impl Buffers {
    /// `[rows, 32, 129]` out of parts of callers' runs: (segments, first, how many).
    pub(super) fn segments(
        &mut self,
        shape: Shape,
        parts: &[(Arc<[f32]>, usize, usize)],
    ) -> &[f32] {
        self.features.clear();
        for (segments, first, count) in parts {
            let part = &segments[first * SEGMENT_VALUES..][..count * SEGMENT_VALUES];
            self.features.extend_from_slice(part);
        }
        self.features.resize(shape.rows * SEGMENT_VALUES, 0.0);
        &self.features
    }

    /// A sequence batch of `shape` out of the callers' chunks.
    pub(super) fn chunks<'a>(
        &'a mut self,
        shape: Shape,
        chunks: impl Iterator<Item = &'a Chunk>,
        sizes: Sizes,
    ) -> SequenceBatch<'a> {
        let row = shape.steps * sizes.features;
        self.real.clear();
        self.features.clear();
        self.history.clear();
        self.valid.clear();
        for chunk in chunks {
            let end = self.features.len() + row;
            self.real.push(chunk.features.len() / sizes.features);
            self.features.extend_from_slice(&chunk.features);
            self.features.resize(end, 0.0);
            self.history.extend_from_slice(chunk.history.values());
            self.valid.push(chunk.history.valid());
        }
        self.real.resize(shape.rows, 0);
        self.features.resize(shape.rows * row, 0.0);
        self.history
            .resize(shape.rows * sizes.history_values(), 0.0);
        self.valid.resize(shape.rows, 0);
        SequenceBatch {
            steps: shape.steps,
            real: &self.real,
            features: &self.features,
            history: &self.history,
            valid: &self.valid,
        }
    }
}

//! Rows of many callers to the padded tensors of one batch, in buffers that are used again.
//!
//! Padding rows and steps are zeros. They change nothing: rows do not know each other, and the device
//! is told which steps are real.

use std::sync::Arc;

use super::core::Shape;
use super::waiter::Chunk;
use crate::frontend::SEGMENT_VALUES;
use crate::runtime::{SequenceBatch, Sizes};

/// A part of one caller's run of segments.
#[derive(Debug)]
pub(super) struct Part {
    /// `[N, 32, 129]`.
    pub(super) segments: Arc<Vec<f32>>,
    pub(super) first: usize,
    pub(super) count: usize,
}

impl Part {
    fn values(&self) -> &[f32] {
        &self.segments[self.first * SEGMENT_VALUES..][..self.count * SEGMENT_VALUES]
    }
}

/// Tensors of the batch under way.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    real: Vec<usize>,
    features: Vec<f32>,
    history: Vec<f32>,
    valid: Vec<i64>,
}

impl Buffers {
    /// `[rows, 32, 129]` out of parts of callers' runs. One part that fills the shape goes as it
    /// lies.
    pub(super) fn segments<'a>(&'a mut self, shape: Shape, parts: &'a [Part]) -> &'a [f32] {
        if let [part] = parts
            && part.count == shape.rows
        {
            return part.values();
        }
        self.features.clear();
        for part in parts {
            self.features.extend_from_slice(part.values());
        }
        self.features.resize(shape.rows * SEGMENT_VALUES, 0.0);
        &self.features
    }

    /// A sequence batch of `shape` out of the callers' chunks.
    pub(super) fn chunks<'a>(
        &'a mut self,
        shape: Shape,
        chunks: &[Chunk],
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

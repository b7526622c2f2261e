//! Packs rows of many callers into the padded tensors of one batch, in buffers that are reused.
//!
//! Padding rows and steps are zeros. They change no result, because rows are independent of each other and the
//! device gets the number of real steps of each row.

use std::sync::Arc;

use ndarray::{ArrayView1, ArrayView2, ArrayView3, ArrayView4, ShapeError};

use super::chunk::Chunk;
use super::core::Shape;
use crate::frontend::SEGMENT_VALUES;
use crate::runtime::{SequenceBatch, Sizes, segments_view};

/// A part of one entry's segments.
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
    /// Returns `[rows, 1, 32, 129]` from parts of entries. A single part that fills the shape is not copied.
    ///
    /// # Errors
    /// None for a batch that the core formed, because its shape has place for every member.
    pub(super) fn segments<'a>(
        &'a mut self,
        shape: Shape,
        parts: &'a [Part],
    ) -> Result<ArrayView4<'a, f32>, ShapeError> {
        if let [part] = parts
            && part.count == shape.rows
        {
            return segments_view(part.values());
        }
        self.features.clear();
        for part in parts {
            self.features.extend_from_slice(part.values());
        }
        self.features.resize(shape.rows * SEGMENT_VALUES, 0.0);
        segments_view(&self.features)
    }

    /// Returns a sequence batch of `shape` from the callers' chunks.
    ///
    /// # Errors
    /// None for a batch that the core formed, because its shape has place for every member.
    pub(super) fn chunks<'a>(
        &'a mut self,
        shape: Shape,
        chunks: &[Chunk],
        sizes: Sizes,
    ) -> Result<SequenceBatch<'a>, ShapeError> {
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
        Ok(SequenceBatch {
            real: &self.real,
            features: ArrayView3::from_shape(
                (shape.rows, shape.steps, sizes.features),
                &self.features,
            )?,
            history: ArrayView2::from_shape((shape.rows, sizes.history_values()), &self.history)?,
            valid: ArrayView1::from(&self.valid),
        })
    }
}

//! What runs batches, and the tensors that go in and come out.
//!
//! The scheduler's threads depend on the trait [`Device`] and not on ONNX Runtime.

use std::sync::Arc;

use ndarray::{Array1, Array2, Array3, ArrayView1, ArrayView2, ArrayView3, ArrayView4, ShapeError};

use super::error::RuntimeError;
use super::stopwatch::Stopwatch;
use super::values::Values;
use crate::frontend::{BINS, SEGMENT_FRAMES, SEGMENT_VALUES};

/// Features of a batch of segments.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoded {
    /// Features, `[N, C]`.
    pub features: Array2<f32>,
    /// Codes `[N, P]`, if there is a codebook.
    pub codes: Option<Array2<i64>>,
    /// Mean squared distance to the chosen codes, `[N]`, if there is a codebook.
    pub distance: Option<Array1<f32>>,
}

/// Chunks of N streams, padded at the end to the same number of steps.
#[derive(Clone, Copy, Debug)]
pub struct SequenceBatch<'a> {
    /// Steps of each chunk without its padding, `[N]`; 0 if all of the chunk is padding.
    pub real: &'a [usize],
    /// Features, `[N, T, C]`.
    pub features: ArrayView3<'a, f32>,
    /// [`History::values`](super::History::values) of each stream, one a row: `[N, H · C]` or `[N, S]`.
    pub history: ArrayView2<'a, f32>,
    /// How many earlier steps of each stream are real, `[N]`.
    pub valid: ArrayView1<'a, i64>,
}

/// One step of each of N streams.
#[derive(Clone, Copy, Debug)]
pub struct StepBatch<'a> {
    /// Features, `[N, C]`.
    pub features: ArrayView2<'a, f32>,
    /// [`History::for_step`](super::History::for_step) of each stream, one a row: `[N, L · 2 · C]` or `[N, S]`.
    pub history: ArrayView2<'a, f32>,
    /// How many earlier steps of each stream are real, `[N]`.
    pub valid: ArrayView1<'a, i64>,
}

/// The sequence's output for each step; T is 1 for a [`StepBatch`]. Values at padding are undefined.
#[derive(Debug)]
pub struct StepEvidence {
    /// Logits, `[N, T, K]`.
    pub logits: Array3<f32>,
    /// Attention scores, `[N, T]`.
    pub scores: Array2<f32>,
    /// Input of [`History::extend`](super::History::extend): the inputs of each layer `[N, L, T, C]`, or
    /// the state after the last real step `[N, S]`.
    pub carried: Values,
}

/// Views the values of N segments as the encoder's input, `[N, 1, 32, 129]`.
///
/// # Errors
/// A number of values that is no multiple of a segment's.
pub fn segments_view(values: &[f32]) -> Result<ArrayView4<'_, f32>, ShapeError> {
    let count = values.len() / SEGMENT_VALUES;
    // `from_shape` would ignore values in excess of the shape.
    ArrayView1::from(values).into_shape_with_order((count, 1, SEGMENT_FRAMES, BINS))
}

/// Stops a device's run from another thread.
pub trait StopHandle: std::fmt::Debug + Send + Sync {
    /// Makes the run under way fail when its current operator ends. Later runs fail too, until
    /// [`StopHandle::clear`].
    fn stop(&self);

    /// Lets later runs succeed again.
    fn clear(&self);
}

/// What runs batches, one at a time.
pub trait Device: Send {
    /// Returns the handle that stops this device's runs.
    fn stop_handle(&self) -> Arc<dyn StopHandle>;

    /// Starts a stopwatch that measures the cost of a run of this device.
    fn stopwatch(&self) -> Stopwatch {
        Stopwatch::of_the_wall()
    }

    /// Runs N segments, `[N, 1, 32, 129]`.
    ///
    /// # Errors
    /// [`RuntimeError::Run`]; [`RuntimeError::Output`] if an output's size does not fit N;
    /// [`RuntimeError::Shape`] if the inputs do not fit each other.
    fn encode(&mut self, segments: ArrayView4<'_, f32>) -> Result<Encoded, RuntimeError>;

    /// Runs N chunks.
    ///
    /// # Errors
    /// As [`Device::encode`].
    fn sequence(&mut self, batch: SequenceBatch<'_>) -> Result<StepEvidence, RuntimeError>;
}

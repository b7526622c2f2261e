//! What runs batches, and the tensors that go in and come out.
//!
//! The scheduler's threads depend on the trait [`Device`] and not on ONNX Runtime.

use std::sync::Arc;

use super::error::RuntimeError;
use super::stopwatch::Stopwatch;
use super::values::Values;

/// Features of a batch of segments.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoded {
    /// Features, `[N, C]`.
    pub features: Vec<f32>,
    /// Codes `[N, P]`; empty without a codebook.
    pub codes: Vec<i64>,
    /// Mean squared distance to the chosen codes, `[N]`; empty without a codebook.
    pub distance: Vec<f32>,
}

/// Chunks of N streams, padded at the end to the same number of steps.
#[derive(Clone, Copy, Debug)]
pub struct SequenceBatch<'a> {
    /// Steps of each chunk with its padding, T.
    pub steps: usize,
    /// Steps of each chunk without its padding, `[N]`; 0 if all of the chunk is padding.
    pub real: &'a [usize],
    /// Features, `[N, T, C]`.
    pub features: &'a [f32],
    /// [`History::values`](super::History::values) of each stream: `[N, H, C]` or `[N, S]`.
    pub history: &'a [f32],
    /// How many earlier steps of each stream are real, `[N]`.
    pub valid: &'a [i64],
}

/// One step of each of N streams.
#[derive(Clone, Copy, Debug)]
pub struct StepBatch<'a> {
    /// Features, `[N, C]`.
    pub features: &'a [f32],
    /// [`History::for_step`](super::History::for_step) of each stream: `[N, L, 2, C]` or `[N, S]`.
    pub history: &'a [f32],
    /// How many earlier steps of each stream are real, `[N]`.
    pub valid: &'a [i64],
}

/// The sequence's output for each step; T is 1 for a [`StepBatch`]. Values at padding are undefined.
#[derive(Debug)]
pub struct StepEvidence {
    /// Logits, `[N, T, K]`.
    pub logits: Vec<f32>,
    /// Attention scores, `[N, T]`.
    pub scores: Vec<f32>,
    /// Input of [`History::extend`](super::History::extend): the inputs of each layer `[N, L, T, C]`, or
    /// the state after the last real step `[N, S]`.
    pub carried: Values,
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
    fn stopper(&self) -> Arc<dyn StopHandle>;

    /// Starts a stopwatch that measures the cost of a run of this device.
    fn stopwatch(&self) -> Stopwatch {
        Stopwatch::of_the_wall()
    }

    /// Runs N segments, `[N, 1, 32, 129]`.
    ///
    /// # Errors
    /// [`RuntimeError::Run`], or [`RuntimeError::Output`] if an output's length does not fit N.
    fn encode(&mut self, segments: &[f32]) -> Result<Encoded, RuntimeError>;

    /// Runs N chunks.
    ///
    /// # Errors
    /// As [`Device::encode`].
    fn sequence(&mut self, batch: SequenceBatch<'_>) -> Result<StepEvidence, RuntimeError>;
}

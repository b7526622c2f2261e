//! `sequence.onnx` and `step.onnx` of any sequence model.

use super::error::OnnxError;
use super::weights::{SequenceBody, SequenceWeights};
use super::{recurrent, taps};

/// Writes the graph for chunks of T steps.
///
/// Input `features` f32 [N, T, C]; outputs `logits` f32 [N, T, K] and `scores` f32 [N, T]. In addition:
///
/// - TapLayers: inputs `history` f32 [N, H, C], H = 2 · (2^L − 1), the last 2 · 2ⁿ inputs of each layer n,
///   layer after layer, oldest first, and `valid` i64 `[N]`, how many earlier steps are real (any number
///   from 0; what `history` holds for the others makes no difference). Output `layers`
///   f32 [N, L, T, C], each layer's inputs, which are the next chunk's history.
/// - RecurrentLayers: input `state` f32 [N, S], layer after layer h and, for an LSTM, c behind it; zeros before
///   the first step. Output `state_out` f32 [N, S], the state after step T.
///
/// # Errors
/// If a weight's shape does not fit the others.
pub fn sequence(sequence: &SequenceWeights) -> Result<Vec<u8>, OnnxError> {
    match &sequence.body {
        SequenceBody::Taps(taps) => taps::sequence(sequence, taps),
        SequenceBody::Recurrent(recurrent) => recurrent::sequence(sequence, recurrent),
    }
}

/// Writes the graph for one step of a live stream. `None` for a recurrent model, because a chunk of one step
/// costs no more than a step.
///
/// Inputs: `features` f32 [N, C]; `taps` f32 [N, L, 2, C], for each layer its inputs at t − 2d and
/// t − d; `valid` i64 `[N]`, how many earlier steps are real. What `taps` holds for steps that are not real
/// makes no difference. Outputs: `logits` f32 [N, K]; `scores` f32 `[N]`; `layers` f32 [N, L, C],
/// each layer's input at t, for the rings that the next taps come from.
///
/// # Errors
/// If a weight's shape does not fit the others.
pub fn step(sequence: &SequenceWeights) -> Result<Option<Vec<u8>>, OnnxError> {
    match &sequence.body {
        SequenceBody::Taps(taps) => taps::step(sequence, taps).map(Some),
        SequenceBody::Recurrent(_) => Ok(None),
    }
}

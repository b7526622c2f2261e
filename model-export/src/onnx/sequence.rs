//! `sequence.onnx` and `step.onnx` of any sequence model, and the heads that all of them end in.
//!
//! What lies between features and heads is `taps`' or `recurrent`'s.

use super::error::OnnxError;
use super::weights::{SequenceBody, SequenceWeights};
use super::{recurrent, taps};

/// The graph for chunks of T steps.
///
/// Input `features` f32 [N, T, C]; outputs `logits` f32 [N, T, K] and `scores` f32 [N, T]. Beside them:
///
/// - TapLayers: inputs `history` f32 [N, H, C], H = 2 · (2^L − 1), the last 2 · 2ⁿ inputs of each layer n,
///   layer after layer, oldest first, and `valid` i64 `[N]`, how many earlier steps are real (any number
///   from 0; what `history` holds for the others makes no difference). Output `layers`
///   f32 [N, L, T, C], each layer's inputs, which are the next chunk's history.
/// - RecurrentLayers: input `state` f32 [N, S], layer after layer h and, for an LSTM, c behind it; zeros before
///   the first step. Output `state_out` f32 [N, S], the state after step T.
///
/// # Errors
/// A weight's shape does not fit the others.
pub fn sequence(sequence: &SequenceWeights) -> Result<Vec<u8>, OnnxError> {
    match &sequence.body {
        SequenceBody::Taps(taps) => taps::sequence(sequence, taps),
        SequenceBody::Recurrent(recurrent) => recurrent::sequence(sequence, recurrent),
    }
}

/// The graph for one step of a live stream; none for a recurrent model, whose chunk of one step needs
/// nothing more than a step would.
///
/// Inputs: `features` f32 [N, C]; `taps` f32 [N, L, 2, C], for each layer its inputs at t − 2d and
/// t − d; `valid` i64 `[N]`, how many earlier steps are real. What `taps` holds for steps that are not real
/// makes no difference. Outputs: `logits` f32 [N, K]; `scores` f32 `[N]`; `layers` f32 [N, L, C],
/// each layer's input at t, for the rings that the next taps come from.
///
/// # Errors
/// A weight's shape does not fit the others.
pub fn step(sequence: &SequenceWeights) -> Result<Option<Vec<u8>>, OnnxError> {
    match &sequence.body {
        SequenceBody::Taps(taps) => taps::step(sequence, taps).map(Some),
        SequenceBody::Recurrent(_) => Ok(None),
    }
}

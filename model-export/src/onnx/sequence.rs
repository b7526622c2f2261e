//! `sequence.onnx` and `step.onnx` of any sequence model, and the heads that all of them end in.
//!
//! What lies between features and heads is `taps`' or `recurrent`'s.

use super::fold::side_by_side;
use super::graph::{Graph, Value};
use super::{OnnxError, recurrent, taps};
use crate::weights::{Body, Sequence};

/// The graph for chunks of T steps.
///
/// Input `features` f32 [N, T, C]; outputs `logits` f32 [N, T, K] and `scores` f32 [N, T]. Beside them:
///
/// - Taps: inputs `history` f32 [N, H, C], H = 2 · (2^L − 1), the last 2 · 2ⁿ inputs of each layer n,
///   layer after layer, oldest first, and `valid` i64 `[N]`, how many earlier steps are real (any number
///   from 0; what `history` holds for the others makes no difference). Output `layers`
///   f32 [N, L, T, C], each layer's inputs, which are the next chunk's history.
/// - Recurrent: input `state` f32 [N, S], layer after layer h and, for an LSTM, c behind it; zeros before
///   the first step. Output `state_out` f32 [N, S], the state after step T.
///
/// # Errors
/// A weight's shape does not fit the others.
pub fn sequence(sequence: &Sequence) -> Result<Vec<u8>, OnnxError> {
    match &sequence.body {
        Body::Taps(taps) => taps::sequence(sequence, taps),
        Body::Recurrent(recurrent) => recurrent::sequence(sequence, recurrent),
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
pub fn step(sequence: &Sequence) -> Result<Option<Vec<u8>>, OnnxError> {
    match &sequence.body {
        Body::Taps(taps) => taps::step(sequence, taps).map(Some),
        Body::Recurrent(_) => Ok(None),
    }
}

/// y [N, T, C] to logits [N, T, K] and scores [N, T].
pub(super) fn evidence(graph: &mut Graph, sequence: &Sequence, y: &Value) -> (Value, Value) {
    let (weight, bias) = heads(graph, sequence);
    let evidence = graph.node("MatMul", &[y, &weight], []);
    let evidence = graph.node("Add", &[&evidence, &bias], []);
    split_evidence(graph, &evidence, 2, sequence.logits.bias.len())
}

/// Both heads as one matrix: [C, K + 1] and [K + 1].
pub(super) fn heads(graph: &mut Graph, sequence: &Sequence) -> (Value, Value) {
    let weight = side_by_side(&[&sequence.logits.weight, &sequence.score.weight]);
    let bias = [sequence.logits.bias.as_slice(), &sequence.score.bias].concat();
    (
        graph.floats(&weight.shape, &weight.data),
        graph.floats(&[bias.len()], &bias),
    )
}

/// Logits and scores out of the heads' joint result, side by side along `axis`.
pub(super) fn split_evidence(
    graph: &mut Graph,
    evidence: &Value,
    axis: i64,
    classes: usize,
) -> (Value, Value) {
    let parts = graph.split(evidence, axis, &[classes, 1]);
    let axes = graph.ints(&[axis]);
    let scores = graph.node("Squeeze", &[&parts[1], &axes], []);
    (parts[0].clone(), scores)
}

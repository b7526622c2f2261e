//! The two heads that every sequence model ends in: y to logits and scores, as one matrix.

use super::fold::side_by_side;
use super::graph::{Graph, Value};
use super::weights::SequenceWeights;

/// Appends the heads: y [N, T, C] to logits [N, T, K] and scores [N, T].
pub(super) fn evidence(graph: &mut Graph, sequence: &SequenceWeights, y: &Value) -> (Value, Value) {
    let (weight, bias) = heads(graph, sequence);
    let evidence = graph.node("MatMul", &[y, &weight], []);
    let evidence = graph.node("Add", &[&evidence, &bias], []);
    split_evidence(graph, &evidence, 2, sequence.logits.bias.len())
}

/// Adds both heads as one matrix: [C, K + 1] and [K + 1].
pub(super) fn heads(graph: &mut Graph, sequence: &SequenceWeights) -> (Value, Value) {
    let weight = side_by_side(&[&sequence.logits.weight, &sequence.score.weight]);
    let bias = [sequence.logits.bias.as_slice(), &sequence.score.bias].concat();
    (
        graph.floats(&weight.shape, &weight.data),
        graph.floats(&[bias.len()], &bias),
    )
}

/// Splits the heads' joint result into logits and scores along `axis`.
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

//! Graphs of layers over three taps: for chunks of T steps, and for one live step.
//!
//! Within a layer, the steps of a chunk do not depend on each other. Both graphs therefore apply a layer to M rows
//! of three taps, M = N · T or N; they differ only in where the taps come from. Taps that do not exist are set to
//! zero first, because [`Layers`] requires it.

use super::error::OnnxError;
use super::graph::{Dim, Element, Graph, Value};
use super::heads::{evidence, heads, split_evidence};
use super::layers::Layers;
use super::sizes::Sizes;
use super::weights::{SequenceWeights, TapLayers};

/// Writes [`super::sequence()`] for layers over taps.
pub(super) fn sequence(sequence: &SequenceWeights, body: &TapLayers) -> Result<Vec<u8>, OnnxError> {
    let sizes = Sizes::of(sequence, body)?;
    let Sizes {
        depth,
        width,
        classes,
        ..
    } = sizes;
    let mut graph = Graph::new("sequence");
    let (batch, steps) = (Dim::Named("N"), Dim::Named("T"));
    let channels = Dim::Fixed(width);
    let dilations: Vec<usize> = (0..depth).map(|layer| 1 << layer).collect();
    let windows: Vec<usize> = dilations.iter().map(|dilation| 2 * dilation).collect();
    let history_dims = [batch, Dim::Fixed(windows.iter().sum()), channels];

    let features = graph.input("features", Element::F32, &[batch, steps, channels]);
    let history = graph.input("history", Element::F32, &history_dims);
    let valid = graph.input("valid", Element::I64, &[batch]);
    let shape = graph.node("Shape", &[&features], []);
    let axis = graph.int(1);
    let length = graph.node("Gather", &[&shape, &axis], []);
    let (zero, one) = (graph.int(0), graph.int(1));
    let local = graph.node("Range", &[&zero, &length, &one], []);
    let valid = graph.reshape(&valid, &[-1, 1]);
    let earlier = graph.node("Add", &[&valid, &local], []);
    let earlier = graph.reshape(&earlier, &[-1, 1]);
    let real = at_least(&mut graph, &earlier, &tap_distances(depth));
    let layers = Layers::prepare(&mut graph, &body.layers, sizes, &real);

    let distances: Vec<i64> = windows.iter().flat_map(|&w| (1..=w as i64).rev()).collect();
    let real = at_least(&mut graph, &valid, &distances);
    let history = zero_unless(&mut graph, &real, &history);
    let histories = graph.split(&history, 1, &windows);

    let mut x = features;
    let mut rows = graph.reshape(&x, &[-1, width as i64]);
    let mut inputs = Vec::with_capacity(depth);
    for (index, dilation) in dilations.into_iter().enumerate() {
        let joined = graph.concat(&[&histories[index], &x], 1);
        let oldest = slice_steps(&mut graph, &joined, 0, -2 * dilation as i64);
        let middle = slice_steps(&mut graph, &joined, dilation as i64, -(dilation as i64));
        rows = layers.apply(&mut graph, index, [&oldest, &middle, &x], &rows);
        inputs.push(x);
        x = graph.node("Reshape", &[&rows, &shape], []);
    }

    let (logits, scores) = evidence(&mut graph, sequence, &x);
    let inputs = graph.concat(&inputs.iter().collect::<Vec<_>>(), 1);
    let inputs = graph.reshape(&inputs, &[0, depth as i64, -1, width as i64]);
    graph.output(
        &logits,
        "logits",
        Element::F32,
        &[batch, steps, Dim::Fixed(classes)],
    );
    graph.output(&scores, "scores", Element::F32, &[batch, steps]);
    graph.output(
        &inputs,
        "layers",
        Element::F32,
        &[batch, Dim::Fixed(depth), steps, channels],
    );
    Ok(graph.finish())
}

/// Writes [`super::step()`] for layers over taps.
pub(super) fn step(sequence: &SequenceWeights, body: &TapLayers) -> Result<Vec<u8>, OnnxError> {
    let sizes = Sizes::of(sequence, body)?;
    let Sizes {
        depth,
        width,
        classes,
        ..
    } = sizes;
    let mut graph = Graph::new("step");
    let batch = Dim::Named("N");
    let (depths, channels) = (Dim::Fixed(depth), Dim::Fixed(width));

    let features = graph.input("features", Element::F32, &[batch, channels]);
    let taps = graph.input(
        "taps",
        Element::F32,
        &[batch, depths, Dim::Fixed(2), channels],
    );
    let valid = graph.input("valid", Element::I64, &[batch]);
    let valid = graph.reshape(&valid, &[-1, 1]);
    let real = at_least(&mut graph, &valid, &tap_distances(depth));
    let layers = Layers::prepare(&mut graph, &body.layers, sizes, &real);

    let taps = graph.reshape(&taps, &[-1, 2 * depth as i64, width as i64]);
    let taps = zero_unless(&mut graph, &real, &taps);
    let taps = graph.reshape(&taps, &[-1, (2 * depth * width) as i64]);
    let earlier_taps = graph.split(&taps, 1, &vec![width; 2 * depth]);

    let mut x = features;
    let mut inputs = Vec::with_capacity(depth);
    for (index, earlier) in earlier_taps.chunks_exact(2).enumerate() {
        let taps = [&earlier[0], &earlier[1], &x];
        let next = layers.apply(&mut graph, index, taps, &x);
        inputs.push(std::mem::replace(&mut x, next));
    }

    let (weight, bias) = heads(&mut graph, sequence);
    let evidence = graph.node("Gemm", &[&x, &weight, &bias], []);
    let (logits, scores) = split_evidence(&mut graph, &evidence, 1, classes);
    let inputs = graph.concat(&inputs.iter().collect::<Vec<_>>(), 1);
    let inputs = graph.reshape(&inputs, &[-1, depth as i64, width as i64]);
    graph.output(
        &logits,
        "logits",
        Element::F32,
        &[batch, Dim::Fixed(classes)],
    );
    graph.output(&scores, "scores", Element::F32, &[batch]);
    graph.output(&inputs, "layers", Element::F32, &[batch, depths, channels]);
    Ok(graph.finish())
}

/// Appends a slice: steps `from` to `to` of [N, steps, C]; `to` counts from the end.
fn slice_steps(graph: &mut Graph, value: &Value, from: i64, to: i64) -> Value {
    let (from, to, axis) = (graph.ints(&[from]), graph.ints(&[to]), graph.ints(&[1]));
    graph.node("Slice", &[value, &from, &to, &axis], [])
}

/// Returns how many steps back the earlier taps of each layer are: `[2L]`.
fn tap_distances(depth: usize) -> Vec<i64> {
    (0..depth)
        .flat_map(|layer| [2 << layer, 1 << layer])
        .collect()
}

/// Appends a comparison of counts [M, 1] with distances D: bool [M, D], true if the count is at least the distance.
fn at_least(graph: &mut Graph, counts: &Value, distances: &[i64]) -> Value {
    let distances = graph.ints(distances);
    graph.node("GreaterOrEqual", &[counts, &distances], [])
}

/// Appends a selection: `values` [N, D, C], but zero where `real` [N, D] is false.
fn zero_unless(graph: &mut Graph, real: &Value, values: &Value) -> Value {
    let axes = graph.ints(&[-1]);
    let real = graph.node("Unsqueeze", &[real, &axes], []);
    let zero = graph.floats(&[], &[0.0]);
    graph.node("Where", &[&real, values, &zero], [])
}

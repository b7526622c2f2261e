//! `sequence.onnx` (chunks of T steps) and `step.onnx` (one live step): the same layers in two frames.
//!
//! A chunk's steps do not need each other within a layer, so both frames hand a layer M rows of three
//! taps, M = N or N · T; they differ only in where the taps come from. Taps that are not real are
//! zeros from the start, which [`Layers`] counts on.

use super::fold::side_by_side;
use super::graph::{Dim, Element, Graph, Value};
use super::layers::Layers;
use super::{OnnxError, check, check_linear, check_shape};
use crate::weights::{Sequence, SequenceLayer};

/// History doubles with each layer; more than this is a mistake.
const MOST_LAYERS: usize = 16;

/// The graph for chunks of T steps.
///
/// Inputs: `features` f32 [N, T, C]; `history` f32 [N, H, C], H = 2 · (2^L − 1), the last 2 · 2ⁿ inputs
/// of each layer n, layer after layer, oldest first; `valid` i64 `[N]`, how many earlier steps are real
/// (any number from 0). What `history` holds for steps that are not real makes no
/// difference. Outputs: `logits` f32 [N, T, K]; `scores` f32 [N, T]; `layers` f32 [N, L, T, C], each
/// layer's inputs, which are the next chunk's history.
///
/// # Errors
/// A weight's shape does not fit the others.
pub fn sequence(sequence: &Sequence) -> Result<Vec<u8>, OnnxError> {
    let sizes = Sizes::of(sequence)?;
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
    let layers = Layers::prepare(&mut graph, sequence, sizes, &real);

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
        let taps = graph.concat(&[&oldest, &middle, &x], 2);
        inputs.push(x);
        rows = layers.apply(&mut graph, index, &taps, &rows);
        x = graph.node("Reshape", &[&rows, &shape], []);
    }

    let (weight, bias) = heads(&mut graph, sequence);
    let evidence = graph.node("MatMul", &[&x, &weight], []);
    let evidence = graph.node("Add", &[&evidence, &bias], []);
    let (logits, scores) = split_evidence(&mut graph, &evidence, 2, classes);
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

/// The graph for one step of a live stream.
///
/// Inputs: `features` f32 [N, C]; `taps` f32 [N, L, 2, C], for each layer its inputs at t − 2d and
/// t − d; `valid` i64 `[N]`, how many earlier steps are real. What `taps` holds for steps that are not real
/// makes no difference. Outputs: `logits` f32 [N, K]; `scores` f32 `[N]`; `layers` f32 [N, L, C],
/// each layer's input at t, for the rings that the next taps come from.
///
/// # Errors
/// A weight's shape does not fit the others.
pub fn step(sequence: &Sequence) -> Result<Vec<u8>, OnnxError> {
    let sizes = Sizes::of(sequence)?;
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
    let layers = Layers::prepare(&mut graph, sequence, sizes, &real);

    let taps = graph.reshape(&taps, &[-1, 2 * depth as i64, width as i64]);
    let taps = zero_unless(&mut graph, &real, &taps);
    let taps = graph.reshape(&taps, &[-1, (2 * depth * width) as i64]);
    let earlier_taps = graph.split(&taps, 1, &vec![2 * width; depth]);

    let mut x = features;
    let mut inputs = Vec::with_capacity(depth);
    for (index, earlier) in earlier_taps.iter().enumerate() {
        let taps = graph.concat(&[earlier, &x], 1);
        inputs.push(x.clone());
        x = layers.apply(&mut graph, index, &taps, &x);
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

/// Steps `from` … `to` of [N, steps, C]; `to` counts from the end.
fn slice_steps(graph: &mut Graph, value: &Value, from: i64, to: i64) -> Value {
    let (from, to, axis) = (graph.ints(&[from]), graph.ints(&[to]), graph.ints(&[1]));
    graph.node("Slice", &[value, &from, &to, &axis], [])
}

/// How far back the earlier taps of each layer lie: `[2L]`.
fn tap_distances(depth: usize) -> Vec<i64> {
    (0..depth)
        .flat_map(|layer| [2 << layer, 1 << layer])
        .collect()
}

/// Which of the distances D the counts [M, 1] reach: bool [M, D].
fn at_least(graph: &mut Graph, counts: &Value, distances: &[i64]) -> Value {
    let distances = graph.ints(distances);
    graph.node("GreaterOrEqual", &[counts, &distances], [])
}

/// `values` [N, D, C] with zeros where `real` [N, D] is false, whatever stood there.
fn zero_unless(graph: &mut Graph, real: &Value, values: &Value) -> Value {
    let axes = graph.ints(&[-1]);
    let real = graph.node("Unsqueeze", &[real, &axes], []);
    let zero = graph.floats(&[], &[0.0]);
    graph.node("Where", &[&real, values, &zero], [])
}

/// Both heads as one matrix: [C, K + 1] and [K + 1].
fn heads(graph: &mut Graph, sequence: &Sequence) -> (Value, Value) {
    let weight = side_by_side(&[&sequence.logits.weight, &sequence.score.weight]);
    let bias = [sequence.logits.bias.as_slice(), &sequence.score.bias].concat();
    (
        graph.floats(&weight.shape, &weight.data),
        graph.floats(&[bias.len()], &bias),
    )
}

fn split_evidence(
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

/// Sizes that all layers share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// L.
    pub(super) depth: usize,
    /// C.
    pub(super) width: usize,
    pub(super) heads: usize,
    /// K.
    pub(super) classes: usize,
}

impl Sizes {
    /// The sizes of a sequence whose weights all fit together.
    fn of(sequence: &Sequence) -> Result<Self, OnnxError> {
        let depth = sequence.layers.len();
        let width = sequence.logits.weight.shape.first().copied().unwrap_or(0);
        let (heads, classes) = (sequence.heads, sequence.logits.bias.len());
        let wrong = |reason: String| {
            Err(OnnxError::Layer {
                layer: "sequence".into(),
                reason,
            })
        };
        if !(1..=MOST_LAYERS).contains(&depth) {
            return wrong(format!("has {depth} layers, expected 1 to {MOST_LAYERS}"));
        }
        if width == 0 || heads == 0 || !width.is_multiple_of(heads) {
            return wrong(format!("{heads} heads cannot share a width of {width}"));
        }
        check_linear("logits", &sequence.logits, width, classes)?;
        check_linear("score", &sequence.score, width, 1)?;
        for (index, layer) in sequence.layers.iter().enumerate() {
            let name = format!("layers.{index}");
            let (taps, bias) = match layer {
                SequenceLayer::Tacn(layer) => {
                    check_linear(&format!("{name}.query"), &layer.query, width, width)?;
                    check_linear(&format!("{name}.key"), &layer.key, width, width)?;
                    check_linear(&format!("{name}.value"), &layer.value, width, width)?;
                    check_linear(&format!("{name}.output"), &layer.output, width, width)?;
                    (&layer.taps, &layer.bias)
                }
                SequenceLayer::Tcn(layer) => (&layer.taps, &layer.bias),
            };
            for (tap, weight) in taps.iter().enumerate() {
                check(&format!("{name}.taps.{tap}"), weight, &[width, width])?;
            }
            check_shape(&format!("{name}.bias"), &[bias.len()], &[width])?;
        }
        Ok(Self {
            depth,
            width,
            heads,
            classes,
        })
    }
}

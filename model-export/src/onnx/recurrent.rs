//! Graphs of recurrent layers, with ONNX's own operators, for chunks of any length.
//!
//! The operators need time as the first axis and have their own order of gates. A layer's state is an input and
//! an output, so that a stream continues where its last chunk ended.

use super::error::{OnnxError, check_linear};
use super::graph::{Attribute, Dim, Element, Graph, Value};
use super::heads::evidence;
use super::weights::{Array, CellKind, RecurrentLayers, RecurrentWeights, SequenceWeights};

/// The server accepts no more layers.
const MOST_LAYERS: usize = 16;

/// Writes [`super::sequence()`] for recurrent layers.
pub(super) fn sequence(
    sequence: &SequenceWeights,
    recurrent: &RecurrentLayers,
) -> Result<Vec<u8>, OnnxError> {
    let width = check(sequence, recurrent)?;
    let (cell, channels) = (recurrent.cell, width as i64);
    let vectors = recurrent.layers.len() * cell.states();
    let (batch, steps) = (Dim::Named("N"), Dim::Named("T"));
    let state_dims = [batch, Dim::Fixed(vectors * width)];
    let mut graph = Graph::new("sequence");

    let feature_dims = [batch, steps, Dim::Fixed(width)];
    let features = graph.input("features", Element::F32, &feature_dims);
    let state = graph.input("state", Element::F32, &state_dims);
    let state = graph.reshape(&state, &[-1, vectors as i64, channels]);
    let state = graph.transpose(&state, &[1, 0, 2]);
    let before = graph.split(&state, 0, &vec![1; vectors]);

    let mut x = graph.transpose(&features, &[1, 0, 2]);
    let mut after = Vec::with_capacity(vectors);
    for (layer, before) in recurrent.layers.iter().zip(before.chunks(cell.states())) {
        let (y, state) = apply(&mut graph, cell, layer, &x, before);
        x = y;
        after.extend(state);
    }

    let y = graph.transpose(&x, &[1, 0, 2]);
    let (logits, scores) = evidence(&mut graph, sequence, &y);
    let after = graph.concat(&after.iter().collect::<Vec<_>>(), 0);
    let after = graph.transpose(&after, &[1, 0, 2]);
    let after = graph.reshape(&after, &[-1, vectors as i64 * channels]);
    let classes = Dim::Fixed(sequence.logits.bias.len());
    graph.output(&logits, "logits", Element::F32, &[batch, steps, classes]);
    graph.output(&scores, "scores", Element::F32, &[batch, steps]);
    graph.output(&after, "state_out", Element::F32, &state_dims);
    Ok(graph.finish())
}

/// Appends one layer over `x` [T, N, C] with its state `before`, each [1, N, C]; returns y [T, N, C] and the
/// state after the last step.
fn apply(
    graph: &mut Graph,
    cell: CellKind,
    layer: &RecurrentWeights,
    x: &Value,
    before: &[Value],
) -> (Value, Vec<Value>) {
    let (operator, order): (_, &[usize]) = match cell {
        CellKind::SimpleRnn => ("RNN", &[0]),
        // ONNX has z, r, h, the same order.
        CellKind::Gru => ("GRU", &[0, 1, 2]),
        // ONNX has i, o, f, c.
        CellKind::Lstm => ("LSTM", &[0, 2, 1, 3]),
    };
    let (width, gates) = (layer.state.weight.shape[0], order.len());
    let input = gate_rows(&layer.input.weight, order);
    let state = gate_rows(&layer.state.weight, order);
    let biases = [&layer.input.bias, &layer.state.bias].map(|bias| {
        let parts = order.iter().map(|gate| &bias[gate * width..][..width]);
        parts.collect::<Vec<_>>().concat()
    });
    let input = graph.floats(&[1, gates * width, width], &input);
    let state = graph.floats(&[1, gates * width, width], &state);
    let bias = graph.floats(&[1, 2 * gates * width], &biases.concat());
    let lengths = Graph::absent();

    let mut inputs = vec![x, &input, &state, &bias, &lengths];
    inputs.extend(before);
    let mut attributes = vec![Attribute::Int("hidden_size", width as i64)];
    if cell == CellKind::Gru {
        attributes.push(Attribute::Int("linear_before_reset", 1));
    }
    let mut results = graph.nodes(operator, &inputs, 1 + cell.states(), attributes);
    let after = results.split_off(1);
    // The second axis is the directions, of which there is one.
    let axes = graph.ints(&[1]);
    let y = graph.node("Squeeze", &[&results[0], &axes], []);
    (y, after)
}

/// Reorders a weight [C, G · C] for ONNX: gate after gate in `order`, each [C out, C in].
fn gate_rows(weight: &Array, order: &[usize]) -> Vec<f32> {
    let (width, columns) = (weight.shape[0], weight.shape[1]);
    order
        .iter()
        .flat_map(|gate| gate * width..(gate + 1) * width)
        .flat_map(|column| weight.data.iter().skip(column).step_by(columns))
        .copied()
        .collect()
}

/// Checks that all weights fit together; returns the width.
fn check(sequence: &SequenceWeights, recurrent: &RecurrentLayers) -> Result<usize, OnnxError> {
    let width = sequence.logits.weight.shape.first().copied().unwrap_or(0);
    let depth = recurrent.layers.len();
    if width == 0 || !(1..=MOST_LAYERS).contains(&depth) {
        return Err(OnnxError::Layer {
            layer: "sequence".into(),
            reason: format!(
                "has {depth} layers of width {width}, expected 1 to {MOST_LAYERS} of 1 or more"
            ),
        });
    }
    check_linear(
        "logits",
        &sequence.logits,
        width,
        sequence.logits.bias.len(),
    )?;
    check_linear("score", &sequence.score, width, 1)?;
    let columns = recurrent.cell.gates() * width;
    for (index, layer) in recurrent.layers.iter().enumerate() {
        check_linear(
            &format!("layers.{index}.input"),
            &layer.input,
            width,
            columns,
        )?;
        check_linear(
            &format!("layers.{index}.state"),
            &layer.state,
            width,
            columns,
        )?;
    }
    Ok(width)
}

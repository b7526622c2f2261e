//! The nodes of a causal sequence model's layers, over M rows of three taps.
//!
//! The same code serves chunks and single steps. A layer's time depends on its number of nodes, so values that
//! depend only on which taps exist are computed once for all layers, then split. It also depends on the order of
//! axes: in an attending layer, taps come before rows, because operations along a short last axis, above all
//! the softmax over three keys, take several times as long.

use super::fold::{Folded, FoldedAttention};
use super::graph::{Attribute, Graph, Value};
use super::proto::data_type;
use super::sizes::Sizes;
use super::weights::SequenceLayer;

/// Number of taps of a layer: t − 2d, t − d, t.
const TAPS: usize = 3;
/// The score of a tap that does not exist, beyond any real one.
const MASKED: f32 = -1e30;

/// The layers, and the values that depend only on which taps exist.
pub(super) struct Layers {
    sizes: Sizes,
    folded: Vec<Folded>,
    /// One per layer; empty if no layer attends.
    masks: Vec<Masks>,
}

/// What depends on the existing taps of M rows in one attending layer.
struct Masks {
    /// Added to the scores of each query and key: 0 or [`MASKED`], [9M, 1].
    pairs: Value,
    /// The convolution's bias, with the parts of existing taps: [M, C].
    bias: Value,
}

impl Layers {
    /// Prepares the layers. `real` bool [M, 2L]: whether taps 0 and 1 of each layer exist; the others are zeros.
    pub(super) fn prepare(
        graph: &mut Graph,
        layers: &[SequenceLayer],
        sizes: Sizes,
        real: &Value,
    ) -> Self {
        let folded: Vec<Folded> = layers
            .iter()
            .map(|layer| Folded::of(layer, sizes))
            .collect();
        let mut masks = Vec::new();
        if folded.iter().any(|layer| layer.attention.is_some()) {
            let real = graph.node(
                "Cast",
                &[real],
                [Attribute::Int("to", data_type::FLOAT.into())],
            );
            let pairs = pair_masks(graph, &real, sizes.depth);
            let biases = biases(graph, &real, &folded, sizes);
            let both = pairs.into_iter().zip(biases);
            masks.extend(both.map(|(pairs, bias)| Masks { pairs, bias }));
        }
        Self {
            sizes,
            folded,
            masks,
        }
    }

    /// Appends layer `index`: `taps` x_{t−2d}, x_{t−d} and x_t of M rows in one shape [.., C], `current` x_t
    /// [M, C]; the result [M, C] is x_t + ReLU(y).
    pub(super) fn apply(
        &self,
        graph: &mut Graph,
        index: usize,
        taps: [&Value; TAPS],
        current: &Value,
    ) -> Value {
        let width = self.sizes.width;
        let layer = &self.folded[index];
        let (attended, bias) = match (&layer.attention, self.masks.get(index)) {
            (Some(attention), Some(masks)) => (
                self.attend(graph, attention, taps, &masks.pairs),
                masks.bias.clone(),
            ),
            _ => (graph.concat(&taps, -1), graph.floats(&[width], &layer.bias)),
        };
        let attended = graph.reshape(&attended, &[-1, (TAPS * width) as i64]);
        let weight = graph.floats(&[TAPS * width, width], &layer.taps);
        let y = graph.node("Gemm", &[&attended, &weight, &bias], []);
        let y = graph.node("Relu", &[&y], []);
        graph.node("Add", &[current, &y], [])
    }

    /// Appends eq. 4–7 without W_o: the joined heads of each tap's query, [M, 3, C], zero for a tap that does
    /// not exist.
    ///
    /// Uses elementwise products of all pairs of taps, summed over each head by a matrix of ones. Products of
    /// 3 × C/8 matrices, one per row and head, take more than twice as long.
    fn attend(
        &self,
        graph: &mut Graph,
        attention: &FoldedAttention,
        taps: [&Value; TAPS],
        pairs: &Value,
    ) -> Value {
        let Sizes { width, heads, .. } = self.sizes;
        let (three, channels) = (TAPS as i64, width as i64);
        let rows = graph.concat(&taps, 0);
        let rows = graph.reshape(&rows, &[-1, channels]);
        let weight = graph.floats(&[width, 3 * width], &attention.weight);
        let bias = graph.floats(&[3 * width], &attention.bias);
        let projected = graph.node("Gemm", &[&rows, &weight, &bias], []);
        let projected = graph.reshape(&projected, &[1, three, -1, 3 * channels]);
        let parts = graph.split(&projected, 3, &[width; 3]);
        let (keys, values) = (&parts[1], &parts[2]);
        let queries = graph.reshape(&parts[0], &[three, 1, -1, channels]);

        let mut sum = vec![0.0; width * heads];
        let mut spread = vec![0.0; heads * width];
        for channel in 0..width {
            let head = channel / (width / heads);
            sum[channel * heads + head] = 1.0;
            spread[head * width + channel] = 1.0;
        }
        let sum = graph.floats(&[width, heads], &sum);
        let spread = graph.floats(&[heads, width], &spread);
        // [query, key, M, ..]: C products, then a score and a weight for each head.
        let products = graph.node("Mul", &[&queries, keys], []);
        let products = graph.reshape(&products, &[-1, channels]);
        let scores = graph.node("Gemm", &[&products, &sum, pairs], []);
        let scores = graph.reshape(&scores, &[three, three, -1, heads as i64]);
        let shares = softmax_over_keys(graph, &scores);
        let shares = graph.node("MatMul", &[&shares, &spread], []);
        let parts = graph.node("Mul", &[&shares, values], []);
        let attended = over_keys(graph, "ReduceSum", &parts, false);
        graph.transpose(&attended, &[1, 0, 2])
    }
}

/// Appends the softmax of [query, key, M, heads] along its second axis. The Softmax operator would move that
/// axis to the end and back, which takes longer than these nodes.
fn softmax_over_keys(graph: &mut Graph, scores: &Value) -> Value {
    let largest = over_keys(graph, "ReduceMax", scores, true);
    let scores = graph.node("Sub", &[scores, &largest], []);
    let powers = graph.node("Exp", &[&scores], []);
    let total = over_keys(graph, "ReduceSum", &powers, true);
    graph.node("Div", &[&powers, &total], [])
}

fn over_keys(graph: &mut Graph, operator: &str, value: &Value, keep: bool) -> Value {
    let axis = graph.ints(&[1]);
    let keep = Attribute::Int("keepdims", keep.into());
    graph.node(operator, &[value, &axis], [keep])
}

/// Computes each layer's [`Masks::pairs`] from flags [M, 2L].
///
/// Two taps attend to each other if both exist, that is, if the older one exists. A tap always attends to
/// itself: a tap that does not exist attends to nothing else, and its own value is zero.
fn pair_masks(graph: &mut Graph, real: &Value, depth: usize) -> Vec<Value> {
    let flags = 2 * depth;
    let pairs = depth * TAPS * TAPS;
    let mut weight = vec![0.0; pairs * flags];
    let mut offset = vec![0.0; pairs];
    for layer in 0..depth {
        for query in 0..TAPS {
            for key in (0..TAPS).filter(|&key| key != query) {
                let pair = (layer * TAPS + query) * TAPS + key;
                weight[pair * flags + 2 * layer + query.min(key)] = -MASKED;
                offset[pair] = MASKED;
            }
        }
    }
    let weight = graph.floats(&[pairs, flags], &weight);
    let offset = graph.floats(&[pairs, 1], &offset);
    let transposed = Attribute::Int("transB", 1);
    let masks = graph.node("Gemm", &[&weight, real, &offset], [transposed]);
    let masks = graph.split(&masks, 0, &vec![TAPS * TAPS; depth]);
    let column = |masks: &Value| graph.reshape(masks, &[-1, 1]);
    masks.iter().map(column).collect()
}

/// Computes each layer's [`Masks::bias`] from flags [M, 2L].
fn biases(graph: &mut Graph, real: &Value, layers: &[Folded], sizes: Sizes) -> Vec<Value> {
    let Sizes { depth, width, .. } = sizes;
    let columns = depth * width;
    let mut weight = vec![0.0; 2 * depth * columns];
    let mut offset = Vec::with_capacity(columns);
    for (index, layer) in layers.iter().enumerate() {
        for (tap, bias) in layer.tap_biases.iter().enumerate() {
            let start = (2 * index + tap) * columns + index * width;
            weight[start..start + width].copy_from_slice(bias);
        }
        offset.extend_from_slice(&layer.bias);
    }
    let weight = graph.floats(&[2 * depth, columns], &weight);
    let offset = graph.floats(&[columns], &offset);
    let biases = graph.node("Gemm", &[real, &weight, &offset], []);
    graph.split(&biases, 1, &vec![width; depth])
}

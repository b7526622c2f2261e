//! Streams through the sequence graphs, in chunks or step by step, with the history kept here.

use ort::session::Session;

use crate::runtime::{floats, ints, run};

/// Sizes of the model under test.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) depth: usize,
    pub(crate) width: usize,
    pub(crate) classes: usize,
}

/// One call's or one stream's results, flat.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Output {
    /// [.., K].
    pub(crate) logits: Vec<f32>,
    /// [..].
    pub(crate) scores: Vec<f32>,
}

/// Each layer's past inputs, as the server keeps them.
#[derive(Clone)]
pub(crate) struct Past {
    sizes: Sizes,
    /// [L][steps · C].
    layers: Vec<Vec<f32>>,
    /// The value before the first step.
    garbage: f32,
}

impl Past {
    pub(crate) fn new(sizes: Sizes, garbage: f32) -> Self {
        Self {
            sizes,
            layers: vec![Vec::new(); sizes.depth],
            garbage,
        }
    }

    pub(crate) fn valid(&self) -> i64 {
        (self.layers[0].len() / self.sizes.width) as i64
    }

    /// Returns the input of layer `layer` this many steps back (1 is the last).
    fn back(&self, layer: usize, steps: usize) -> Vec<f32> {
        let (width, past) = (self.sizes.width, &self.layers[layer]);
        match past.len().checked_sub(steps * width) {
            Some(start) => past[start..start + width].to_vec(),
            // Different at each place, because softmax ignores a common offset.
            None => (0..width)
                .map(|c| self.garbage * ((c + steps) % 5) as f32)
                .collect(),
        }
    }

    /// [H, C].
    pub(crate) fn history(&self) -> Vec<f32> {
        (0..self.sizes.depth)
            .flat_map(|layer| (1..=2usize << layer).rev().map(move |steps| (layer, steps)))
            .flat_map(|(layer, steps)| self.back(layer, steps))
            .collect()
    }

    /// [L, 2, C].
    pub(crate) fn taps(&self) -> Vec<f32> {
        (0..self.sizes.depth)
            .flat_map(|layer| [(layer, 2usize << layer), (layer, 1 << layer)])
            .flat_map(|(layer, steps)| self.back(layer, steps))
            .collect()
    }

    /// `inputs` [L, T, C].
    pub(crate) fn push(&mut self, inputs: &[f32]) {
        let each = inputs.len() / self.sizes.depth;
        for (past, inputs) in self.layers.iter_mut().zip(inputs.chunks_exact(each)) {
            past.extend_from_slice(inputs);
        }
    }
}

/// N chunks of T steps in one call; the outputs and `layers`.
pub(crate) fn chunks(
    session: &mut Session,
    sizes: Sizes,
    features: &[&[f32]],
    pasts: &[&Past],
) -> (Vec<Output>, Vec<Vec<f32>>) {
    let (batch, width) = (features.len(), sizes.width);
    let steps = features[0].len() / width;
    let history: Vec<f32> = pasts.iter().flat_map(|past| past.history()).collect();
    let valid: Vec<i64> = pasts.iter().map(|past| past.valid()).collect();
    let inputs = vec![
        floats("features", &[batch, steps, width], &features.concat()),
        floats(
            "history",
            &[batch, 2 * ((1 << sizes.depth) - 1), width],
            &history,
        ),
        ints("valid", &valid),
    ];
    let outputs = run(session, inputs, ["logits", "scores", "layers"]);
    unbatch(batch, &outputs)
}

/// N live steps in one call; the outputs and `layers`.
pub(crate) fn steps(
    session: &mut Session,
    sizes: Sizes,
    features: &[&[f32]],
    pasts: &[&Past],
) -> (Vec<Output>, Vec<Vec<f32>>) {
    let (batch, width) = (features.len(), sizes.width);
    let taps: Vec<f32> = pasts.iter().flat_map(|past| past.taps()).collect();
    let valid: Vec<i64> = pasts.iter().map(|past| past.valid()).collect();
    let inputs = vec![
        floats("features", &[batch, width], &features.concat()),
        floats("taps", &[batch, sizes.depth, 2, width], &taps),
        ints("valid", &valid),
    ];
    let outputs = run(session, inputs, ["logits", "scores", "layers"]);
    unbatch(batch, &outputs)
}

fn unbatch(batch: usize, [logits, scores, layers]: &[Vec<f32>; 3]) -> (Vec<Output>, Vec<Vec<f32>>) {
    let part = |values: &[f32], index: usize| {
        let each = values.len() / batch;
        values[index * each..(index + 1) * each].to_vec()
    };
    (0..batch)
        .map(|index| {
            let output = Output {
                logits: part(logits, index),
                scores: part(scores, index),
            };
            (output, part(layers, index))
        })
        .unzip()
}

/// A whole stream in chunks of these sizes, from the start.
pub(crate) fn in_chunks(
    session: &mut Session,
    sizes: Sizes,
    features: &[f32],
    partition: &[usize],
    garbage: f32,
) -> (Output, Past) {
    let mut past = Past::new(sizes, garbage);
    let mut all = Output::default();
    let mut rest = features;
    for &steps in partition {
        let (now, later) = rest.split_at(steps * sizes.width);
        let (outputs, layers) = chunks(session, sizes, &[now], &[&past]);
        all.logits.extend(&outputs[0].logits);
        all.scores.extend(&outputs[0].scores);
        past.push(&layers[0]);
        rest = later;
    }
    assert!(rest.is_empty(), "the partition covers the stream");
    (all, past)
}

/// A whole stream step by step, from the start.
pub(crate) fn in_steps(
    session: &mut Session,
    sizes: Sizes,
    features: &[f32],
    garbage: f32,
) -> (Output, Past) {
    let mut past = Past::new(sizes, garbage);
    let mut all = Output::default();
    for now in features.chunks_exact(sizes.width) {
        let (outputs, layers) = steps(session, sizes, &[now], &[&past]);
        all.logits.extend(&outputs[0].logits);
        all.scores.extend(&outputs[0].scores);
        past.push(&layers[0]);
    }
    (all, past)
}

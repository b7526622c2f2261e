//! The sequence graph of recurrent layers.

use ort::session::Session;
use proptest::prelude::*;

use crate::random::Random;
use crate::stream::Output;
use crate::{difference, keep, reference, runtime, widen};
use model_export::onnx;
use model_export::onnx::weights::{CellKind, SequenceBody, SequenceWeights};

const WIDTH: usize = 24;
const CLASSES: usize = 4;

/// A random model and a stream.
struct Case {
    model: SequenceWeights,
    session: Session,
    /// S.
    state: usize,
    features: Vec<f32>,
    random: Random,
}

fn case(seed: u64, cell: CellKind, depth: usize, length: usize) -> Case {
    let mut random = Random::new(seed);
    let model = random.recurrent(cell, depth, WIDTH, CLASSES);
    let graph = onnx::sequence(&model).unwrap();
    keep(&format!("sequence-{cell:?}-{depth}.onnx"), &graph);
    Case {
        model,
        session: runtime::session(&graph),
        state: depth * cell.states() * WIDTH,
        features: random.values(length * WIDTH, 2.0),
        random,
    }
}

impl Case {
    fn expected(&self) -> reference::Evidence {
        let features: Vec<Vec<f64>> = self.features.chunks_exact(WIDTH).map(widen).collect();
        reference::sequence(&self.model, &features)
    }

    /// Runs N chunks of T steps in one call, each from its state `[S]`: outputs and states after.
    fn chunks(&mut self, features: &[&[f32]], states: &[&[f32]]) -> Vec<(Output, Vec<f32>)> {
        let (batch, steps) = (features.len(), features[0].len() / WIDTH);
        let inputs = vec![
            runtime::floats("features", &[batch, steps, WIDTH], &features.concat()),
            runtime::floats("state", &[batch, self.state], &states.concat()),
        ];
        let outputs = runtime::run(&mut self.session, inputs, ["logits", "scores", "state_out"]);
        let part = |values: &Vec<f32>, index: usize| {
            let each = values.len() / batch;
            values[index * each..][..each].to_vec()
        };
        (0..batch)
            .map(|index| {
                let [logits, scores, state] = outputs.each_ref().map(|output| part(output, index));
                (Output { logits, scores }, state)
            })
            .collect()
    }

    /// Runs a stream in chunks of these sizes; returns its outputs and the last state.
    fn stream(&mut self, features: &[f32], partition: &[usize]) -> (Output, Vec<f32>) {
        let (mut all, mut state) = (Output::default(), vec![0.0; self.state]);
        let mut rest = features;
        for &steps in partition {
            let (now, later) = rest.split_at(steps * WIDTH);
            let (output, after) = self.chunks(&[now], &[&state]).remove(0);
            all.logits.extend(output.logits);
            all.scores.extend(output.scores);
            (state, rest) = (after, later);
        }
        assert!(rest.is_empty(), "the partition covers the stream");
        (all, state)
    }
}

fn cell() -> impl Strategy<Value = CellKind> {
    prop_oneof![
        Just(CellKind::SimpleRnn),
        Just(CellKind::Gru),
        Just(CellKind::Lstm)
    ]
}

proptest! {
    #![proptest_config(replay::with_cases(24))]

    #[test]
    fn any_partition_into_chunks_gives_the_whole(
        seed in any::<u64>(),
        cell in cell(),
        depth in 1..=3usize,
        partition in proptest::collection::vec(1..=17usize, 1..6),
    ) {
        let length = partition.iter().sum();
        let mut case = case(seed, cell, depth, length);
        let (expected, features) = (case.expected(), case.features.clone());
        for partition in [partition, vec![length], vec![1; length]] {
            let (output, state) = case.stream(&features, &partition);
            prop_assert!(difference(&output.logits, &expected.logits.concat()) < 1e-4);
            prop_assert!(difference(&output.scores, &expected.scores) < 1e-4);
            prop_assert!(difference(&state, &expected.state) < 1e-4);
        }
    }

    #[test]
    fn other_members_of_a_batch_change_nothing(
        seed in any::<u64>(), cell in cell(), lengths in proptest::collection::vec(0..40usize, 1..7),
    ) {
        let mut case = case(seed, cell, 2, 40);
        // Streams at different positions, each with different input.
        let states: Vec<Vec<f32>> = lengths
            .iter()
            .map(|&length| {
                let features = case.features[..length * WIDTH].to_vec();
                let partition = if length == 0 { vec![] } else { vec![length] };
                case.stream(&features, &partition).1
            })
            .collect();
        let next: Vec<Vec<f32>> =
            states.iter().map(|_| case.random.values(8 * WIDTH, 2.0)).collect();
        let states: Vec<&[f32]> = states.iter().map(Vec::as_slice).collect();
        let next: Vec<&[f32]> = next.iter().map(Vec::as_slice).collect();
        let together = case.chunks(&next, &states);
        for (index, (output, state)) in together.iter().enumerate() {
            let alone = case.chunks(&next[index..=index], &states[index..=index]);
            let (expected, expected_state) = &alone[0];
            prop_assert!(difference(&output.logits, &widen(&expected.logits)) < 1e-6);
            prop_assert!(difference(&output.scores, &widen(&expected.scores)) < 1e-6);
            prop_assert!(difference(state, &widen(expected_state)) < 1e-6);
        }
    }
}

#[test]
fn a_weight_that_does_not_fit_is_named() {
    let mut model = Random::new(0).recurrent(CellKind::Gru, 2, 8, 3);
    let SequenceBody::Recurrent(body) = &mut model.body else {
        panic!("it is recurrent")
    };
    body.layers[1].state = Random::new(0).linear(8, 32);
    assert_eq!(
        onnx::sequence(&model).unwrap_err().to_string(),
        "layers.1.state.weight has shape [8, 32], expected [8, 24]"
    );
    let SequenceBody::Recurrent(body) = &mut model.body else {
        panic!("it is recurrent")
    };
    body.layers.clear();
    let error = onnx::sequence(&model).unwrap_err().to_string();
    assert!(error.contains("has 0 layers"), "{error}");
}

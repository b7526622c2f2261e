//! The sequence graphs of layers over taps.

use ort::session::Session;
use proptest::prelude::*;

use crate::random::Random;
use crate::stream::{Output, Past, Sizes, chunks, in_chunks, in_steps, steps};
use crate::{difference, keep, reference, runtime, widen};
use model_export::onnx::weights::SequenceWeights;
use model_export::onnx::{self, OnnxError};

/// A random model in both forms, and a stream.
struct Case {
    sizes: Sizes,
    model: SequenceWeights,
    chunk: Session,
    step: Session,
    features: Vec<f32>,
    random: Random,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Tacn,
    Tcn,
    Mixed,
}

fn case(seed: u64, kind: Kind, depth: usize, length: usize) -> Case {
    let mut random = Random::new(seed);
    let sizes = Sizes {
        depth,
        width: 24,
        classes: 4,
    };
    let model = random.sequence(depth, 8, sizes.width, sizes.classes, |layer| match kind {
        Kind::Tacn => true,
        Kind::Tcn => false,
        Kind::Mixed => layer % 2 == 1,
    });
    let chunk = onnx::sequence(&model).unwrap();
    let step = onnx::step(&model).unwrap().unwrap();
    keep(&format!("sequence-{kind:?}-{depth}.onnx"), &chunk);
    keep(&format!("step-{kind:?}-{depth}.onnx"), &step);
    let features = random.values(length * sizes.width, 2.0);
    Case {
        sizes,
        model,
        chunk: runtime::session(&chunk),
        step: runtime::session(&step),
        features,
        random,
    }
}

impl Case {
    fn expected(&self) -> reference::Evidence {
        let features: Vec<Vec<f64>> = self
            .features
            .chunks_exact(self.sizes.width)
            .map(widen)
            .collect();
        reference::sequence(&self.model, &features)
    }
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![3 => Just(Kind::Tacn), 1 => Just(Kind::Tcn), 1 => Just(Kind::Mixed)]
}

fn expect(output: &Output, expected: &reference::Evidence) {
    assert!(difference(&output.logits, &expected.logits.concat()) < 1e-4);
    assert!(difference(&output.scores, &expected.scores) < 1e-4);
}

/// The stored inputs of each layer, as the history of the next chunk.
fn expect_past(past: &Past, sizes: Sizes, expected: &reference::Evidence) {
    let mut whole = Past::new(sizes, 0.0);
    let layers: Vec<f32> = expected
        .layers
        .iter()
        .flatten()
        .flatten()
        .map(|&value| value as f32)
        .collect();
    whole.push(&layers);
    assert_eq!(past.valid(), whole.valid());
    assert!(difference(&past.history(), &widen(&whole.history())) < 1e-4);
}

proptest! {
    #![proptest_config(replay::with_cases(24))]

    #[test]
    fn any_partition_into_chunks_gives_the_whole(
        seed in any::<u64>(),
        kind in kind(),
        depth in 1..=5usize,
        partition in proptest::collection::vec(1..=17usize, 1..6),
    ) {
        let mut case = case(seed, kind, depth, partition.iter().sum());
        let (output, past) =
            in_chunks(&mut case.chunk, case.sizes, &case.features, &partition, 0.0);
        expect(&output, &case.expected());
        expect_past(&past, case.sizes, &case.expected());
    }

    #[test]
    fn step_by_step_gives_the_whole(
        seed in any::<u64>(), kind in kind(), depth in 1..=5usize, length in 1..=70usize,
    ) {
        let mut case = case(seed, kind, depth, length);
        let (output, past) = in_steps(&mut case.step, case.sizes, &case.features, 0.0);
        expect(&output, &case.expected());
        expect_past(&past, case.sizes, &case.expected());
    }

    #[test]
    fn chunks_and_steps_may_alternate(
        seed in any::<u64>(), kind in kind(), depth in 1..=4usize, split in 1..=39usize,
    ) {
        let mut case = case(seed, kind, depth, 40);
        let (sizes, expected) = (case.sizes, case.expected());
        let (first, rest) = case.features.split_at(split * sizes.width);
        let (mut output, mut past) = in_chunks(&mut case.chunk, sizes, first, &[split], 0.0);
        for now in rest.chunks_exact(sizes.width) {
            let (outputs, layers) = steps(&mut case.step, sizes, &[now], &[&past]);
            output.logits.extend(&outputs[0].logits);
            output.scores.extend(&outputs[0].scores);
            past.push(&layers[0]);
        }
        expect(&output, &expected);
    }

    #[test]
    fn what_stands_before_the_start_changes_nothing(
        seed in any::<u64>(), kind in kind(), garbage in prop_oneof![-1e4f32..1e4, Just(f32::NAN), Just(f32::INFINITY)],
    ) {
        let mut case = case(seed, kind, 4, 40);
        let (sizes, features) = (case.sizes, &case.features);
        let (clean, _) = in_chunks(&mut case.chunk, sizes, features, &[3, 30, 7], 0.0);
        let (dirty, _) = in_chunks(&mut case.chunk, sizes, features, &[3, 30, 7], garbage);
        prop_assert_eq!(clean, dirty);
        let (clean, _) = in_steps(&mut case.step, sizes, features, 0.0);
        let (dirty, _) = in_steps(&mut case.step, sizes, features, garbage);
        prop_assert_eq!(clean, dirty);
    }

    #[test]
    fn later_steps_change_nothing_before_them(
        seed in any::<u64>(), kind in kind(), from in 1..=31usize, scale in 0f32..100.0,
    ) {
        let mut case = case(seed, kind, 4, 32);
        let (sizes, past) = (case.sizes, Past::new(case.sizes, 0.0));
        let (whole, _) = chunks(&mut case.chunk, sizes, &[&case.features], &[&past]);
        let mut other = case.features.clone();
        let tail = &mut other[from * sizes.width..];
        tail.copy_from_slice(&case.random.values(tail.len(), scale + f32::MIN_POSITIVE));
        let (changed, _) = chunks(&mut case.chunk, sizes, &[&other], &[&past]);
        let (shorter, _) =
            chunks(&mut case.chunk, sizes, &[&case.features[..from * sizes.width]], &[&past]);
        let before = |output: &Output| widen(&output.logits[..from * sizes.classes]);
        let expected = before(&whole[0]);
        prop_assert_eq!(&before(&changed[0]), &expected);
        prop_assert!(difference(&shorter[0].logits, &expected) < 1e-6);
    }

    #[test]
    fn other_members_of_a_batch_change_nothing(
        seed in any::<u64>(), kind in kind(), lengths in proptest::collection::vec(0..60usize, 1..7),
    ) {
        let mut case = case(seed, kind, 4, 60);
        let sizes = case.sizes;
        // Streams at different positions, each with different input.
        let pasts: Vec<Past> = lengths
            .iter()
            .map(|&length| {
                let features = &case.features[..length * sizes.width];
                let partition = if length == 0 { vec![] } else { vec![length] };
                in_chunks(&mut case.chunk, sizes, features, &partition, 7.0).1
            })
            .collect();
        let pasts: Vec<&Past> = pasts.iter().collect();
        let next: Vec<Vec<f32>> =
            pasts.iter().map(|_| case.random.values(8 * sizes.width, 2.0)).collect();
        let next: Vec<&[f32]> = next.iter().map(Vec::as_slice).collect();
        let (together, _) = chunks(&mut case.chunk, sizes, &next, &pasts);
        let first: Vec<&[f32]> = next.iter().map(|next| &next[..sizes.width]).collect();
        let (steps_together, _) = steps(&mut case.step, sizes, &first, &pasts);
        for index in 0..pasts.len() {
            let past = &pasts[index..=index];
            let (alone, _) = chunks(&mut case.chunk, sizes, &next[index..=index], past);
            prop_assert!(difference(&together[index].logits, &widen(&alone[0].logits)) < 1e-6);
            prop_assert!(difference(&together[index].scores, &widen(&alone[0].scores)) < 1e-6);
            let (alone, _) = steps(&mut case.step, sizes, &first[index..=index], past);
            prop_assert!(difference(&steps_together[index].logits, &widen(&alone[0].logits)) < 1e-6);
        }
    }
}

#[test]
fn eight_layers_agree_beyond_their_receptive_field() {
    let mut case = case(8, Kind::Tacn, 8, 600);
    let expected = case.expected();
    let sizes = case.sizes;
    let (output, _) = in_chunks(
        &mut case.chunk,
        sizes,
        &case.features,
        &[32; 18].into_iter().chain([24]).collect::<Vec<_>>(),
        3.0,
    );
    expect(&output, &expected);
    let (output, _) = in_steps(&mut case.step, sizes, &case.features, 3.0);
    expect(&output, &expected);
}

/// Their exponentials alone would be infinite, or all zero.
#[test]
fn scores_of_thousands_either_way_have_shares() {
    for seed in 0..8 {
        let mut case = case(seed, Kind::Tacn, 1, 20);
        case.features.iter_mut().for_each(|value| *value *= 30.0);
        let expected = case.expected();
        let sizes = case.sizes;
        let (output, _) = in_chunks(&mut case.chunk, sizes, &case.features, &[20], 0.0);
        expect(&output, &expected);
        let (output, _) = in_steps(&mut case.step, sizes, &case.features, 0.0);
        expect(&output, &expected);
    }
}

#[test]
fn a_weight_that_does_not_fit_is_named() {
    let mut model = Random::new(0).sequence(2, 4, 8, 3, |_| true);
    model.logits = Random::new(0).linear(6, 3);
    let error = onnx::step(&model).unwrap_err();
    assert_eq!(
        error.to_string(),
        "sequence: a width of 6 does not divide into 4 heads"
    );
    model.logits = Random::new(0).linear(12, 3);
    let error = onnx::sequence(&model).unwrap_err();
    assert_eq!(
        error.to_string(),
        "score.weight has shape [8, 1], expected [12, 1]"
    );
    model.score.bias.clear();
    model.score.weight.shape = vec![12, 1];
    assert!(matches!(
        onnx::sequence(&model),
        Err(OnnxError::Values { .. })
    ));
}

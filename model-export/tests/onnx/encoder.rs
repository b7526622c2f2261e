//! The encoder's graph.

use proptest::prelude::*;

use crate::random::Random;
use crate::runtime::floats;
use crate::{difference, keep, reference, runtime, widen};
use model_export::onnx;
use model_export::onnx::weights::{EncoderLayer, EncoderWeights, VqEncoderWeights};

const SEGMENT: usize = 32 * 129;

/// A strided dense convolution, a depthwise one, a pointwise one, a pool, a hidden layer.
fn model(random: &mut Random, codebook: bool) -> EncoderWeights {
    let cnn = vec![
        EncoderLayer::Conv2d(random.conv([6, 1, 5, 5], [2, 4], [2, 1, 1, 3], 1)),
        EncoderLayer::Relu,
        EncoderLayer::Conv2d(random.conv([6, 1, 3, 3], [2, 1], [1, 1, 1, 1], 6)),
        EncoderLayer::Conv2d(random.conv([8, 3, 1, 1], [1, 1], [0; 4], 2)),
        EncoderLayer::Relu,
        EncoderLayer::MaxPool {
            kernel: [2, 3],
            stride: [2, 3],
        },
        EncoderLayer::Flatten,
        EncoderLayer::Linear(random.linear(8 * 4 * 11, 20)),
        EncoderLayer::Relu,
    ];
    let vq = codebook.then(|| VqEncoderWeights {
        layers: vec![
            EncoderLayer::Conv2d(random.conv([4, 1, 4, 4], [4, 8], [0, 0, 0, 0], 1)),
            EncoderLayer::Relu,
            EncoderLayer::Conv2d(random.conv([5, 4, 3, 3], [2, 4], [1, 1, 1, 1], 1)),
        ],
        codebook: random.array(&[16, 5], 1.5),
    });
    let latent = if codebook { 5 * 4 * 4 } else { 0 };
    EncoderWeights {
        cnn,
        vq,
        fusion: random.linear(20 + latent, 12),
    }
}

proptest! {
    #![proptest_config(replay::with_cases(12))]

    #[test]
    fn the_graph_agrees_with_plain_loops(
        seed in any::<u64>(), batch in 1..=3usize, codebook in any::<bool>(),
    ) {
        let mut random = Random::new(seed);
        let model = model(&mut random, codebook);
        let bytes = onnx::encoder(&model).unwrap();
        keep(if codebook { "encoder-vq.onnx" } else { "encoder.onnx" }, &bytes);
        let segments = random.values(batch * SEGMENT, 2.0);
        let mut session = runtime::session(&bytes);
        let input = vec![floats("segments", &[batch, 1, 32, 129], &segments)];
        let outputs = session.run(input).unwrap();
        let read = |name: &str| outputs[name].try_extract_tensor::<f32>().unwrap().1.to_vec();
        let features = read("features");
        for (index, segment) in segments.chunks_exact(SEGMENT).enumerate() {
            let expected = reference::encoder(&model, segment);
            let width = expected.features.len();
            let found = &features[index * width..][..width];
            prop_assert!(difference(found, &expected.features) < 1e-4);
            if codebook {
                let positions = expected.codes.len();
                let (shape, codes) = outputs["codes"].try_extract_tensor::<i64>().unwrap();
                prop_assert_eq!(&shape[..], &[batch as i64, positions as i64]);
                prop_assert_eq!(&codes[index * positions..][..positions], &expected.codes[..]);
                prop_assert!(difference(&read("distance")[index..=index], &[expected.distance]) < 1e-4);
            }
        }
    }

    #[test]
    fn other_members_of_a_batch_change_nothing(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let mut session = runtime::session(&onnx::encoder(&model(&mut random, true)).unwrap());
        let segments = random.values(5 * SEGMENT, 2.0);
        let names = ["features", "distance"];
        let input = vec![floats("segments", &[5, 1, 32, 129], &segments)];
        let together = runtime::run(&mut session, input, names);
        let input = vec![floats("segments", &[1, 1, 32, 129], &segments[3 * SEGMENT..4 * SEGMENT])];
        let alone = runtime::run(&mut session, input, names);
        prop_assert!(difference(&together[0][3 * 12..4 * 12], &widen(&alone[0])) < 1e-6);
        prop_assert!(difference(&together[1][3..4], &widen(&alone[1])) < 1e-6);
    }
}

/// Any number of codes, and the first of equal ones.
#[test]
fn the_first_of_the_nearest_codes_is_chosen() {
    let mut random = Random::new(1);
    for codes in [1_usize, 2, 7, 13, 16, 24, 255, 256] {
        let mut model = model(&mut random, true);
        let vq = model.vq.as_mut().unwrap();
        let half = random.values(codes.div_ceil(2) * 5, 1.5);
        let twice = half.iter().chain(&half).take(codes * 5).copied();
        vq.codebook.data = twice.collect();
        vq.codebook.shape = vec![codes, 5];
        let segment = random.values(SEGMENT, 2.0);
        let mut session = runtime::session(&onnx::encoder(&model).unwrap());
        let input = vec![floats("segments", &[1, 1, 32, 129], &segment)];
        let outputs = session.run(input).unwrap();
        let (_, found) = outputs["codes"].try_extract_tensor::<i64>().unwrap();
        assert_eq!(
            found,
            reference::encoder(&model, &segment).codes,
            "{codes} codes"
        );
    }
}

#[test]
fn a_layer_that_does_not_fit_is_named() {
    let mut random = Random::new(0);
    let mut encoder = model(&mut random, true);
    encoder.fusion = random.linear(20, 12);
    let error = onnx::encoder(&encoder).unwrap_err();
    assert_eq!(
        error.to_string(),
        "fusion.weight has shape [20, 12], expected [100, 12]"
    );
    encoder.cnn.remove(6);
    let error = onnx::encoder(&encoder).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cnn.6: needs a flat input, but its input is a map"
    );
}

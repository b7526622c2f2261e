//! A recurrent bundle from weights to results, as the server runs it.

use ndarray::{ArrayView1, ArrayView2, ArrayView3, Axis, s};
use undertone::bundle::writer::{Parts, assemble, write};
use undertone::bundle::{self, Bundle, FORMAT, Golden, Manifest, Pooling, Precision};
use undertone::frontend::{BINS, SEGMENT_VALUES, Spec};
use undertone::runtime::{Device as _, History, Instance, Library, SequenceBatch, Sizes, golden};

use crate::random::Random;
use crate::{difference, reference, widen};
use model_export::onnx;
use model_export::onnx::weights::{CellKind, EncoderLayer, EncoderWeights, SequenceWeights};

const WIDTH: usize = 16;
const LABELS: [&str; 3] = ["neutral", "anger", "joy"];
const DEPTH: usize = 2;
const CELLS: [CellKind; 3] = [CellKind::SimpleRnn, CellKind::Gru, CellKind::Lstm];

/// A bundle of random weights, with golden vectors from the plain loops.
fn parts(cell: CellKind) -> (Parts, SequenceWeights) {
    let mut random = Random::new(7);
    let pool = EncoderLayer::MaxPool {
        kernel: [8, 16],
        stride: [8, 16],
    };
    let encoder = EncoderWeights {
        cnn: vec![pool, EncoderLayer::Flatten],
        vq: None,
        fusion: random.linear(4 * 8, WIDTH),
    };
    let sequence = random.recurrent(cell, DEPTH, WIDTH, LABELS.len());
    let segments = random.values(11 * SEGMENT_VALUES, 2.0);
    let features: Vec<Vec<f64>> = segments
        .chunks(SEGMENT_VALUES)
        .map(|segment| reference::encoder(&encoder, segment).features)
        .collect();
    let evidence = reference::sequence(&sequence, &features);
    let narrow = |values: &[f64]| values.iter().map(|&value| value as f32).collect();
    let golden = Golden {
        segments,
        features: narrow(&features.concat()),
        codes: None,
        distance: None,
        logits: narrow(&evidence.logits.concat()),
        scores: narrow(&evidence.scores),
    };
    let parts = Parts {
        manifest: manifest(DEPTH * cell.states() * WIDTH),
        golden,
        encoder: onnx::encoder(&encoder).unwrap(),
        sequence: onnx::sequence(&sequence).unwrap(),
        step: onnx::step(&sequence).unwrap(),
        card: "# Random".into(),
    };
    (parts, sequence)
}

fn manifest(state: usize) -> Manifest {
    Manifest {
        format: FORMAT,
        name: "random".into(),
        version: "1".into(),
        labels: LABELS.map(str::to_owned).to_vec(),
        context: bundle::Context::Turn,
        encoder: bundle::Encoder {
            features: WIDTH,
            codes: None,
            precisions: vec![Precision::Float32],
        },
        sequence: bundle::Sequence::Recurrent {
            layers: DEPTH,
            state,
        },
        decision: bundle::Decision {
            pooling: Pooling::Attention,
            temperature: 1.0,
            abstain_below: 0.0,
        },
        speech_gate: bundle::SpeechGate { level_dbfs: -75.0 },
        turns: None,
        training: bundle::Training {
            corpora: vec!["none".into()],
            licence: "Apache-2.0".into(),
            metrics: "none".into(),
        },
        frontend: Spec::new(16, vec![-12.0; BINS], vec![3.0; BINS]).unwrap(),
    }
}

fn instance(bundle: &Bundle) -> Instance {
    Instance::open(&Library::load(None).unwrap(), bundle).unwrap()
}

#[test]
fn a_recurrent_bundle_reproduces_its_golden_vectors_on_every_path() {
    for cell in CELLS {
        let folder = tempfile::tempdir().unwrap();
        write(&assemble(parts(cell).0).unwrap(), folder.path()).unwrap();
        let bundle = Bundle::open(folder.path()).unwrap();
        let worst = golden::verify(&mut instance(&bundle), &bundle, 1e-4).unwrap();
        assert!(worst > 0.0, "{cell:?}: nothing was compared");
    }
}

#[test]
fn golden_vectors_of_another_model_are_refused() {
    let (mut parts, _) = parts(CellKind::Gru);
    let last = parts.golden.logits.len() - 1;
    parts.golden.logits[last] += 1.0;
    let bundle = assemble(parts).unwrap();
    let error = golden::verify(&mut instance(&bundle), &bundle, 1e-3).unwrap_err();
    assert!(error.to_string().contains("logits"), "{error}");
}

#[test]
fn a_graph_of_another_form_or_state_is_refused_by_name() {
    let (mut parts, _) = parts(CellKind::Lstm);
    parts.manifest.sequence = bundle::Sequence::Recurrent {
        layers: DEPTH,
        state: DEPTH * WIDTH,
    };
    let taps = Random::new(1).sequence(DEPTH, 4, WIDTH, LABELS.len(), |_| true);
    let tapped = Parts {
        sequence: onnx::sequence(&taps).unwrap(),
        ..parts.clone()
    };
    for (parts, message) in [
        (parts, "sequence.onnx: input `state` is"),
        (tapped, "sequence.onnx: has no input `state`"),
    ] {
        let library = Library::load(None).unwrap();
        let error = Instance::open(&library, &assemble(parts).unwrap()).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[test]
fn chunks_of_different_length_answer_in_one_batch_as_alone() {
    let mixed = [[8, 8], [5, 3], [1, 8], [5, 7], [8, 2]];
    // All rows are full, which takes another path.
    let full = [[8, 8]; 5];
    for (cell, lengths) in CELLS.map(|cell| [(cell, mixed), (cell, full)]).concat() {
        let (parts, sequence) = parts(cell);
        let bundle = assemble(parts).unwrap();
        let (mut instance, sizes) = (instance(&bundle), Sizes::of(&bundle.manifest));
        let mut random = Random::new(3);
        let streams =
            lengths.map(|chunks| random.values(chunks.iter().sum::<usize>() * WIDTH, 2.0));
        let mut histories = lengths.map(|_| History::new(sizes));
        let mut answers = lengths.map(|_| Vec::new());
        for round in 0..2 {
            // The last row is only padding. Padding is not zero here, because it must not be read.
            let steps = 8;
            let mut real: Vec<usize> = lengths.iter().map(|chunks| chunks[round]).collect();
            let mut features = vec![f32::NAN; (real.len() + 1) * steps * WIDTH];
            for (row, (stream, chunks)) in streams.iter().zip(lengths).enumerate() {
                let before = chunks[..round].iter().sum::<usize>() * WIDTH;
                let values = &stream[before..][..chunks[round] * WIDTH];
                features[row * steps * WIDTH..][..values.len()].copy_from_slice(values);
            }
            let mut history: Vec<f32> = histories
                .iter()
                .flat_map(History::values)
                .copied()
                .collect();
            let mut valid: Vec<i64> = histories.iter().map(History::valid).collect();
            real.push(0);
            valid.push(0);
            history.resize(real.len() * sizes.history_values(), f32::NAN);
            let evidence = instance
                .sequence(SequenceBatch {
                    real: &real,
                    features: ArrayView3::from_shape((real.len(), steps, WIDTH), &features)
                        .unwrap(),
                    history: ArrayView2::from_shape((real.len(), sizes.history_values()), &history)
                        .unwrap(),
                    valid: ArrayView1::from(&valid),
                })
                .unwrap();
            let carried = evidence.carried.chunks(sizes.carried(steps));
            for (row, (history, carried)) in histories.iter_mut().zip(carried).enumerate() {
                history.extend(carried, steps, real[row]);
                answers[row].extend(evidence.logits.slice(s![row, ..real[row], ..]));
            }
        }
        for ((stream, history), answer) in streams.iter().zip(&histories).zip(&answers) {
            let steps = stream.len() / WIDTH;
            let alone = instance
                .sequence(SequenceBatch {
                    real: &[steps],
                    features: ArrayView3::from_shape((1, steps, WIDTH), stream).unwrap(),
                    history: ArrayView1::from(History::new(sizes).values()).insert_axis(Axis(0)),
                    valid: ArrayView1::from(&[0]),
                })
                .unwrap();
            assert!(difference(answer, &widen(alone.logits.as_slice().unwrap())) < 1e-5);
            assert!(difference(history.values(), &widen(&alone.carried)) < 1e-5);
            let features: Vec<Vec<f64>> = stream.chunks(WIDTH).map(widen).collect();
            let expected = reference::sequence(&sequence, &features);
            assert!(difference(answer, &expected.logits.concat()) < 1e-4);
        }
    }
}

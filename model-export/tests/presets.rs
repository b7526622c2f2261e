//! Every system trains a step, classifies and, if it is causal, exports graphs.

use model_export::data::corpus::{Corpus, Utterance};
use model_export::data::features::{Features, Statistics};
use model_export::onnx;
use model_export::onnx::extract;
use model_export::preset::{Learning, Pooling, Preset, Representation, SequenceModel};
use model_export::train::autoencoder::Autoencoder;
use model_export::train::batch::{Sampler, SamplerOptions};
use model_export::train::trainer::Trainer;
use undertone::frontend::BINS;

/// One utterance of each class.
fn data() -> (Features, Vec<Utterance>) {
    let features = Features {
        frames: (0..4_usize)
            .map(|u| {
                (0..(60 + 16 * u) * BINS)
                    .map(|k| -15.0 + (k * (u + 7) % 101) as f32 * 0.1)
                    .collect()
            })
            .collect(),
        hashes: vec![[0; 32]; 4],
        ..Features::default()
    };
    let utterances: Vec<Utterance> = (0..4)
        .map(|label| {
            Utterance::new(
                format!("{label}.wav"),
                Corpus::EmoDb,
                "emodb/03",
                Some(label),
            )
        })
        .collect();
    (features, utterances)
}

#[test]
fn every_system_trains_a_step_and_gives_graphs_if_it_is_causal() {
    let (features, utterances) = data();
    let indices = [0, 1, 2, 3];
    let options = SamplerOptions {
        batch: 4,
        max_steps: 4,
        mixup: 0.2,
        ..SamplerOptions::default()
    };
    let statistics = Statistics::of(&features, &indices);
    let sampler = Sampler::new(&features, &utterances, &indices, statistics, options).unwrap();

    let paper = Preset::load("paper").unwrap();
    let default = Preset::load("default").unwrap();
    let (mut mean, mut learnt) = (default.clone(), default.clone());
    mean.training.pooling = Pooling::Mean;
    learnt.vqvae.learning = Learning::Loss;
    let mut presets = vec![paper, mean, learnt];
    for representation in Representation::ALL {
        for model in SequenceModel::ALL {
            let mut preset = default.clone();
            preset.name = format!("{} {}", representation.name(), model.name());
            preset.representation = representation;
            preset.sequence.model = model;
            presets.push(preset);
        }
    }
    for preset in presets {
        let vqvae = (preset.representation == Representation::Fusion).then(|| {
            let mut autoencoder = Autoencoder::new(&preset.vqvae, 1, 1.0);
            autoencoder.step(sampler.segment_batch(1, 0, 0, 16), [1, 0, 0, 0]);
            autoencoder.model()
        });
        let mut trainer = Trainer::new(&preset, 4, vqvae);
        let step = trainer.step(sampler.batch(1, 0, 0), [1, 0, 0], 0.0);
        assert!(step.loss.is_finite() && step.seen == 4, "{}", preset.name);
        let predictions = trainer.predict(&sampler, &utterances, &indices);
        assert_eq!(predictions.len(), 4, "{}", preset.name);
        let encoder = extract::encoder(trainer.averaged(), trainer.vqvae()).unwrap();
        onnx::encoder(&encoder).unwrap();
        let sequence = extract::sequence(trainer.averaged(), preset.sequence.heads);
        if !preset.sequence.model.is_causal() {
            let reason = sequence.unwrap_err().to_string();
            assert!(reason.contains("bidirectional"), "{reason}");
            continue;
        }
        let sequence = sequence.unwrap();
        let mut scores = sequence.score.weight.data.iter();
        let scored = scores.any(|&weight| weight != 0.0);
        assert_eq!(scored, preset.training.pooling == Pooling::Attention);
        onnx::sequence(&sequence).unwrap();
        onnx::step(&sequence).unwrap();
    }
}

/// Cross-entropy is linear in its targets, so the loss of mixed targets is the mean of their losses.
#[test]
fn mixed_targets_cost_what_their_classes_cost_by_their_shares() {
    let (features, utterances) = data();
    let indices = [0, 1, 2, 3];
    let options = SamplerOptions {
        batch: 4,
        max_steps: 2,
        ..SamplerOptions::default()
    };
    let statistics = Statistics::of(&features, &indices);
    let sampler = Sampler::new(&features, &utterances, &indices, statistics, options).unwrap();
    // No randomness within a step, and the same weights for all.
    let mut preset = Preset::load("default").unwrap();
    preset.representation = Representation::Deep;
    preset.sequence.dropout = 0.0;
    preset.training.feature_dropout = 0.0;
    let folder = tempfile::tempdir().unwrap();
    Trainer::new(&preset, 4, None).save(folder.path()).unwrap();
    let loss = |targets: [[f32; 4]; 4]| {
        let mut batch = sampler.batch(1, 0, 0);
        batch.targets = targets.concat();
        let mut trainer = Trainer::resume(&preset, 4, None, folder.path()).unwrap();
        trainer.step(batch, [1, 0, 0], 0.0).loss
    };
    let first = loss([[1.0, 0.0, 0.0, 0.0]; 4]);
    let second = loss([[0.0, 1.0, 0.0, 0.0]; 4]);
    let mixed = loss([[0.7, 0.3, 0.0, 0.0]; 4]);
    assert!((first - second).abs() > 1e-3);
    assert!((mixed - (0.7 * first + 0.3 * second)).abs() < 1e-5);
}

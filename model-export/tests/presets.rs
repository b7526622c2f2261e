//! Every system trains a step, judges, and gives graphs where it is causal.

use model_export::autoencoder::Autoencoder;
use model_export::batch::{Sampler, SamplerOptions};
use model_export::corpus::{Corpus, Utterance};
use model_export::extract;
use model_export::features::{Features, Statistics};
use model_export::onnx;
use model_export::preset::{Preset, Representation, SequenceModel};
use model_export::trainer::Trainer;
use undertone::frontend::BINS;

#[test]
fn every_system_trains_a_step_and_gives_graphs_if_it_is_causal() {
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
        .map(|label| Utterance {
            path: format!("{label}.wav").into(),
            corpus: Corpus::EmoDb,
            speaker: "emodb/03".into(),
            label: Some(label),
        })
        .collect();
    let indices = [0, 1, 2, 3];
    let options = SamplerOptions {
        batch: 4,
        max_steps: 4,
        ..SamplerOptions::default()
    };
    let statistics = Statistics::of(&features, &indices);
    let sampler = Sampler::new(&features, &utterances, &indices, statistics, options).unwrap();

    let default = Preset::load("default").unwrap();
    let mut presets = vec![Preset::load("paper").unwrap()];
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
        let mut trainer = Trainer::new(&preset, vqvae);
        let step = trainer.step(sampler.batch(1, 0, 0), [1, 0, 0], 0.0);
        assert!(step.loss.is_finite() && step.seen == 4, "{}", preset.name);
        let said = trainer.predict(&sampler, &utterances, &indices);
        assert_eq!(said.len(), 4, "{}", preset.name);
        let encoder = extract::encoder(trainer.averaged(), trainer.vqvae()).unwrap();
        onnx::encoder(&encoder).unwrap();
        let sequence = extract::sequence(trainer.averaged(), preset.sequence.heads);
        assert_eq!(
            sequence.is_ok(),
            preset.sequence.model.is_causal(),
            "{}",
            preset.name
        );
        if let Ok(sequence) = sequence {
            onnx::sequence(&sequence).unwrap();
        }
    }
}

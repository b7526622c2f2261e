//! A resumed run ends with bit-identical weights.
//!
//! This test has its own process, because burn's CPU backend has one random generator per process, and dropout is on.

use model_export::data::corpus::{Corpus, Utterance};
use model_export::data::features::{Features, Statistics};
use model_export::preset::Preset;
use model_export::train::autoencoder::Autoencoder;
use model_export::train::batch::{Sampler, SamplerOptions};
use model_export::train::{prediction::Prediction, trainer::Trainer};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use undertone::frontend::BINS;

fn data() -> (Features, Vec<Utterance>) {
    let mut random = StdRng::seed_from_u64(5);
    let mut features = Features::default();
    let mut utterances = Vec::new();
    for index in 0..12_usize {
        let frames = 40 + 9 * index;
        let values = (0..frames * BINS).map(|_| random.random_range(-20.0..-5.0));
        features.frames.push(values.collect());
        features.hashes.push([index as u8; 32]);
        utterances.push(Utterance::new(
            format!("{index}.wav"),
            Corpus::EmoDb,
            format!("emodb/{}", index / 4),
            Some(index % 4),
        ));
    }
    (features, utterances)
}

#[test]
fn a_resumed_run_ends_in_the_same_weights() {
    let (features, utterances) = data();
    let indices: Vec<usize> = (0..utterances.len()).collect();
    let statistics = Statistics::of(&features, &indices);
    let options = SamplerOptions {
        batch: 6,
        max_steps: 5,
        ..SamplerOptions::default()
    };
    let sampler = Sampler::new(&features, &utterances, &indices, statistics, options).unwrap();
    let preset = Preset::load("default").unwrap();
    let mut autoencoder = Autoencoder::new(&preset.vqvae, 1, 1.0);
    for step in 0..2 {
        autoencoder.step(sampler.segment_batch(1, 0, step, 16), [1, 0, step, 0]);
    }
    let vqvae = || Some(autoencoder.model());
    let steps = |trainer: &mut Trainer, steps: std::ops::Range<u64>| {
        for step in steps {
            trainer.step(sampler.batch(1, 0, step), [1, 0, step], step as f64 / 6.0);
        }
    };
    let predictions =
        |trainer: &Trainer| -> Vec<Prediction> { trainer.predict(&sampler, &utterances, &indices) };

    let mut whole = Trainer::new(&preset, 4, vqvae());
    steps(&mut whole, 0..6);

    let folder = tempfile::tempdir().unwrap();
    let mut first = Trainer::new(&preset, 4, vqvae());
    steps(&mut first, 0..3);
    first.save(folder.path()).unwrap();
    drop(first);
    let mut second = Trainer::resume(&preset, 4, vqvae(), folder.path()).unwrap();
    steps(&mut second, 3..6);

    assert_eq!(predictions(&whole), predictions(&second));
}

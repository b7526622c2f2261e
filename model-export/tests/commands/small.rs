//! Data and a preset with which a command takes seconds: real speech in short pieces.

use std::path::Path;

use model_export::preset::{Block, CnnPreset, Convolution, Preset};
use undertone::audio::{Encoding, LaneChoice, Limits, decode};

/// Speakers of EMO-DB, each with the four emotions.
const SPEAKERS: [&str; 6] = ["03", "08", "09", "10", "11", "12"];

/// A tiny network that trains for an epoch.
pub(crate) fn preset() -> Preset {
    let mut preset = Preset::load("default").unwrap();
    preset.cnn = CnnPreset::Separable {
        stem: Convolution {
            channels: 2,
            kernel: [5, 5],
            stride: [4, 4],
        },
        blocks: vec![Block {
            channels: 4,
            stride: [2, 4],
        }],
        features: 6,
    };
    for layer in &mut preset.vqvae.convolutions {
        layer.channels = 4;
    }
    preset.vqvae.dimension = 4;
    preset.vqvae.codes = 16;
    preset.sequence.width = 8;
    preset.sequence.layers = 2;
    preset.pretraining.batch_segments = 8;
    preset.pretraining.epochs = 1;
    preset.pretraining.steps_per_epoch = 4;
    preset.pretraining.finetune_steps = 4;
    preset.training.batch_utterances = 4;
    preset.training.crop_steps = 3;
    preset.training.epochs = 1;
    preset.training.folds = 3;
    preset
}

/// Writes a data folder: pieces of speech with file names of EMO-DB and LibriSpeech.
pub(crate) fn data(folder: &Path) {
    let audio = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/audio");
    let samples_of = |name: &str| -> Vec<f32> {
        let bytes = std::fs::read(audio.join(name)).unwrap();
        let recording = decode(&bytes, Encoding::Auto, LaneChoice::Mix, &Limits::default());
        recording.unwrap().lanes.swap_remove(0)
    };
    let write = |name: &Path, samples: &[f32]| {
        std::fs::create_dir_all(name.parent().unwrap()).unwrap();
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 16_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut file = hound::WavWriter::create(name, spec).unwrap();
        for sample in samples {
            file.write_sample((sample * 32_767.0) as i16).unwrap();
        }
        file.finalize().unwrap();
    };
    let speech = [samples_of("book.flac"), samples_of("call.flac")].concat();
    let pieces = speech.chunks_exact(speech.len() / (4 * SPEAKERS.len()));
    for (number, piece) in pieces.take(4 * SPEAKERS.len()).enumerate() {
        let (speaker, emotion) = (SPEAKERS[number / 4], ["N", "W", "T", "F"][number % 4]);
        write(
            &folder.join(format!("emodb/{speaker}a01{emotion}a.wav")),
            piece,
        );
    }
    // Golden vectors need an utterance of at least 24 segments.
    write(
        &folder.join("unlabelled/103-1240-0000.wav"),
        &samples_of("book.flac"),
    );
}

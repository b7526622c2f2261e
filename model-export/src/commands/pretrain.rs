//! `model-export pretrain`: learns the VQ-VAE from speech without labels.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;
use serde_json::json;

use crate::data::dataset::{Dataset, Source};
use crate::data::features::{Statistics, hexadecimal};
use crate::preset::{self, Preset};
use crate::train::autoencoder::{Autoencoder, PRETRAINING_HASHES, WEIGHTS};
use crate::train::batch::{Sampler, SamplerOptions};
use crate::train::checkpoint;
use crate::train::progress::Progress;
use crate::train::run::Run;

/// Learns the VQ-VAE's codes from the unlabelled corpus.
///
/// To resume an interrupted run from its last epoch, start the same command again.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  model-export pretrain --data data --out runs/vq")]
pub struct PretrainArguments {
    /// `default`, `paper`, `telephone`, `smoke`, or a preset file.
    #[arg(long, default_value = "default")]
    pub preset: String,
    /// The corpora without labels.
    #[command(flatten)]
    pub source: Source,
    /// Number of epochs instead of the preset's. The run's `preset.toml` records it.
    #[arg(long, value_name = "N", value_parser = preset::epochs())]
    pub epochs: Option<usize>,
    /// Run folder. It is created if it does not exist, and resumed if it does.
    #[arg(long, value_name = "RUN")]
    pub out: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// If the corpus or the run folder cannot be used.
pub fn run(arguments: &PretrainArguments) -> Result<()> {
    let mut preset = Preset::load(&arguments.preset)?;
    if let Some(epochs) = arguments.epochs {
        preset.pretraining.epochs = epochs;
    }
    let data = Dataset::unlabelled(&arguments.source)?;
    let record = json!({
        "command": "pretrain",
        "utterances": data.utterances.len(),
        "data": data.digest(),
    });
    let run = Run::begin(&arguments.out, &preset, &record)?;
    let hashes = data.features.hashes.iter().map(|hash| hexadecimal(hash));
    run.write(PRETRAINING_HASHES, &hashes.collect::<Vec<_>>())?;
    let indices: Vec<usize> = (0..data.utterances.len()).collect();
    let statistics = Statistics::of(&data.features, &indices);
    let options = SamplerOptions {
        hop: preset.segment_hop,
        narrow_band: preset.narrow_band,
        augment: preset.augment.clone(),
        ..SamplerOptions::default()
    };
    let sampler = Sampler::new(
        &data.features,
        &data.utterances,
        &indices,
        statistics,
        options,
    )?;

    let settings = &preset.pretraining;
    let size = settings.batch_segments;
    let steps = match settings.steps_per_epoch {
        0 => data.features.total_frames() / preset.segment_hop / size,
        steps => steps,
    };
    ensure!(
        steps > 0,
        "the unlabelled corpus has less than one batch of {size} segments"
    );
    let (first, mut autoencoder) = match checkpoint::latest(run.folder())? {
        Some((epochs, folder)) => {
            eprintln!("resuming after epoch {epochs}");
            (epochs, Autoencoder::resume(&preset.vqvae, &folder, 1.0)?)
        }
        None => (0, Autoencoder::new(&preset.vqvae, settings.seed, 1.0)),
    };
    run.rewind(first)?;
    for epoch in first..settings.epochs {
        let progress = Progress::new("pretrain", epoch, settings.epochs, steps);
        for step in 0..steps {
            let (seed, epoch, step) = (settings.seed, epoch as u64, step as u64);
            let segments = sampler.segment_batch(seed, epoch, step, size);
            autoencoder.step(segments, [seed, epoch, step, 1 << 40]);
            progress.step("");
        }
        let report = autoencoder.report();
        run.append_epoch(
            &json!({ "epoch": epoch + 1, "seconds": progress.seconds(), "report": report }),
        )?;
        checkpoint::save(run.folder(), epoch + 1, |folder| autoencoder.save(folder))?;
        progress.finish(&format!(
            "reconstruction error {:.4}, perplexity {:.1} of {}",
            report.reconstruction, report.perplexity, preset.vqvae.codes
        ));
    }
    autoencoder.save(run.folder())?;
    eprintln!("done: {}", run.path(WEIGHTS).display());
    Ok(())
}

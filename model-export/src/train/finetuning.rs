//! Fine-tuning a pre-trained VQ-VAE on the training speakers of a fold.
//!
//! Input: the run folder that `pretrain` wrote, and the fold's batches. Output: frozen weights in the
//! fold's run folder. Also refuses a VQ-VAE that was pre-trained on validation or test recordings.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::data::dataset::Dataset;
use crate::data::features::hexadecimal;
use crate::data::split::Fold;
use crate::model::vqvae::VqVae;
use crate::preset::Preset;
use crate::train::autoencoder::{Autoencoder, PRETRAINING_HASHES, WEIGHTS};
use crate::train::batch::Sampler;
use crate::train::checkpoint;
use crate::train::progress::Progress;
use crate::train::run::Run;

/// Folder with the checkpoints of an unfinished fine-tuning, inside the run folder.
const FINETUNING: &str = "finetuning";
/// Steps between two checkpoints: seconds of work.
const CHECKPOINT_STEPS: usize = 25;
/// Returns what a run's record contains of a pre-trained VQ-VAE: its run folder, and the SHA-256 of its weights.
///
/// # Errors
/// If the pre-training has not finished.
pub fn pretraining_record(folder: &Path) -> Result<Value> {
    let path = folder.join(WEIGHTS);
    let weights = std::fs::read(&path)
        .with_context(|| format!("{}: has `pretrain` finished?", path.display()))?;
    Ok(json!({ "run": folder, "sha256": hexadecimal(&Sha256::digest(weights)) }))
}

/// Refuses a VQ-VAE that was pre-trained on a recording that the fold validates or tests.
///
/// # Errors
/// If there is such a recording, or the run folder has no list of its recordings.
pub fn guard_pretraining(folder: &Path, data: &Dataset, fold: &Fold) -> Result<()> {
    let pretrained: HashSet<String> = Run::open(folder)?.read(PRETRAINING_HASHES)?;
    for &index in fold.validation.iter().chain(&fold.test) {
        ensure!(
            !pretrained.contains(&hexadecimal(&data.features.hashes[index])),
            "{} is a test or validation utterance, and {} was pre-trained on it; pre-train on other speech",
            data.utterances[index].name(),
            folder.display()
        );
    }
    Ok(())
}

/// Returns the VQ-VAE of the run folder `pretrained` after fine-tuning on the training speakers.
///
/// The weights are stored in the run folder. An interrupted fine-tuning resumes from its last checkpoint.
///
/// # Errors
/// If the pre-trained weights cannot be read or belong to another preset, or the disk fails.
pub fn finetuned(
    preset: &Preset,
    pretrained: &Path,
    sampler: &Sampler<'_>,
    run: &Run,
) -> Result<VqVae> {
    let (weights, under_way) = (run.path(WEIGHTS), run.path(FINETUNING));
    if !weights.exists() {
        finetune(preset, pretrained, sampler, run)?;
    }
    // A process that was killed at this point left the folder behind.
    if under_way.exists() {
        std::fs::remove_dir_all(&under_way)?;
    }
    Ok(Autoencoder::load(&preset.vqvae, &weights, 0.0)?.model())
}

/// Fine-tunes, from the start or from the last checkpoint, and writes the weights to the run folder.
fn finetune(preset: &Preset, pretrained: &Path, sampler: &Sampler<'_>, run: &Run) -> Result<()> {
    let settings = &preset.pretraining;
    let rate = settings.finetune_rate;
    let under_way = run.path(FINETUNING);
    let (first, mut autoencoder) = match checkpoint::latest(&under_way)? {
        Some((steps, folder)) => {
            eprintln!("resuming after step {steps} of fine-tuning");
            let autoencoder = Autoencoder::resume(&preset.vqvae, &folder, rate)?;
            (steps, autoencoder)
        }
        None => {
            let weights = pretrained.join(WEIGHTS);
            let autoencoder = Autoencoder::load(&preset.vqvae, &weights, rate)
                .with_context(|| format!("{}: has `pretrain` finished?", weights.display()))?;
            (0, autoencoder)
        }
    };
    let steps = settings.finetune_steps;
    let progress = Progress::new("fine-tune", 0, 1, steps.saturating_sub(first));
    for step in first..steps {
        let (seed, step) = (settings.seed, step as u64);
        let segments = sampler.segment_batch(seed, u64::MAX, step, settings.batch_segments);
        autoencoder.step(segments, [seed, u64::MAX, step, 1 << 41]);
        progress.step("");
        let done = step as usize + 1;
        if done.is_multiple_of(CHECKPOINT_STEPS) {
            checkpoint::save(&under_way, done, |folder| autoencoder.save(folder))?;
        }
    }
    let report = autoencoder.report();
    progress.finish(&format!(
        "reconstruction error {:.4}, perplexity {:.1} of {}",
        report.reconstruction, report.perplexity, preset.vqvae.codes
    ));
    run.write("finetune.json", &report)?;
    // Renamed in one step, because a resumed run treats existing weights as finished.
    let staging = under_way.join("weights");
    std::fs::create_dir_all(&staging)?;
    autoencoder.save(&staging)?;
    std::fs::rename(staging.join(WEIGHTS), run.path(WEIGHTS))?;
    Ok(())
}

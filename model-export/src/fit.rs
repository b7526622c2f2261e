//! One run: a preset on one fold, from the first step or the last checkpoint to tested weights.
//!
//! `train` does one, `ablate` many. Validation speakers are watched, stop the training if the preset
//! says so, and calibrate the temperature; test speakers are heard once, after the last epoch.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::autoencoder::Autoencoder;
use crate::batch::{Sampler, SamplerOptions};
use crate::checkpoint;
use crate::codes::Codes;
use crate::dataset::Dataset;
use crate::features::{Statistics, hexadecimal};
use crate::metrics::{Confusion, argmax, fit_temperature};
use crate::model::vqvae::VqVae;
use crate::preset::Preset;
use crate::pretrain::{HEARD, WEIGHTS};
use crate::progress::Progress;
use crate::run::{Run, SavedStatistics};
use crate::split::Fold;
use crate::stopping::{Score, Stopping};
use crate::trainer::{Prediction, Trainer};

/// Word on the test speakers, in a finished run's folder.
pub const TESTED: &str = "test.json";
/// What a finished run knows of itself.
pub const OUTCOME: &str = "outcome.json";
/// The training set's statistics.
pub const STATISTICS: &str = "statistics.json";
/// Checkpoints of fine-tuning, in the folder of a run whose VQ-VAE is not there yet.
const FINETUNING: &str = "finetuning";
/// Steps of fine-tuning from one checkpoint to the next: seconds of work.
const CHECKPOINT_STEPS: usize = 25;
/// Validation is looked at once in so many epochs.
const VALIDATION_EPOCHS: usize = 5;

/// What is to be trained on what.
#[derive(Clone, Debug)]
pub struct Job<'a> {
    /// The system.
    pub preset: &'a Preset,
    /// All utterances.
    pub data: &'a Dataset,
    /// Which of them train, validate and test.
    pub fold: &'a Fold,
    /// Batches of the training part, made by [`sampler`].
    pub sampler: &'a Sampler<'a>,
    /// Frozen; none in "deep" systems.
    pub vqvae: Option<VqVae>,
    /// What the VQ-VAE says of the batches, where it is known already.
    pub codes: Option<Arc<Codes>>,
    /// Where everything is kept.
    pub run: &'a Run,
    /// Counts the epochs of a larger work; without it each epoch has a bar and a line of its own.
    pub bar: Option<&'a ProgressBar>,
}

/// What a finished run knows of itself.
#[derive(Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Pooled logits are divided by this; fitted on the validation speakers.
    pub temperature: f32,
    /// UA on the validation speakers.
    pub validation_ua: f64,
    /// UA on the test speakers, if there are any.
    pub test_ua: Option<f64>,
    /// Corpora that were trained on.
    pub corpora: Vec<String>,
    /// Utterances that were trained on.
    pub utterances: usize,
    /// The epoch whose weights these are, counted from 1, if the validation speakers chose it.
    #[serde(default)]
    pub epoch: Option<usize>,
}

/// Batches of a fold's training part, as a preset wants them.
///
/// # Errors
/// If the fold has nothing to train on.
pub fn sampler<'a>(
    preset: &Preset,
    data: &'a Dataset,
    fold: &Fold,
    statistics: Statistics,
) -> Result<Sampler<'a>> {
    let options = SamplerOptions {
        batch: preset.training.batch_utterances,
        max_steps: preset.training.crop_steps,
        hop: preset.segment_hop,
        narrow_band: preset.narrow_band,
        augment: preset.augment.clone(),
        balance: preset.training.balance,
        mixup: preset.training.mixup,
        copy_paste: preset.training.copy_paste,
        classes: data.classes.len(),
    };
    Sampler::new(
        &data.features,
        &data.utterances,
        &fold.train,
        statistics,
        options,
    )
}

/// What a record says of a pre-trained VQ-VAE: its run folder, and the SHA-256 of its weights.
///
/// # Errors
/// If it has not finished.
pub fn pretrained(folder: &Path) -> Result<Value> {
    let path = folder.join(WEIGHTS);
    let weights = std::fs::read(&path)
        .with_context(|| format!("{}: has `pretrain` finished?", path.display()))?;
    Ok(json!({ "run": folder, "sha256": hexadecimal(&Sha256::digest(weights)) }))
}

/// Refuses a VQ-VAE that was pre-trained on a recording that the fold validates or tests.
///
/// # Errors
/// Names the recording; or the run folder does not tell what it heard.
pub fn guard_pretraining(folder: &Path, data: &Dataset, fold: &Fold) -> Result<()> {
    let heard: HashSet<String> = Run::open(folder)?.read(HEARD)?;
    for &index in fold.validation.iter().chain(&fold.test) {
        ensure!(
            !heard.contains(&hexadecimal(&data.features.hashes[index])),
            "{} is tested or validated, and {} was pre-trained on it; pre-train on other speech",
            data.utterances[index].name(),
            folder.display()
        );
    }
    Ok(())
}

/// The VQ-VAE `pretrained` wrote, after fine-tuning on the training speakers; the run keeps it. A run that was
/// killed meanwhile goes on from its last checkpoint.
///
/// # Errors
/// If it cannot be read, belongs to another preset, or the disk fails.
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
    // A run that was killed just here left it behind as well.
    if under_way.exists() {
        std::fs::remove_dir_all(&under_way)?;
    }
    Ok(Autoencoder::load(&preset.vqvae, &weights, 0.0)?.model())
}

/// Fine-tunes, or goes on with it, up to the weights in the run's folder.
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
        let place = [settings.seed, u64::MAX, step as u64];
        let segments = sampler.segment_batch(place[0], place[1], place[2], settings.batch_segments);
        autoencoder.step(segments, [place[0], place[1], place[2], 1 << 41]);
        progress.step("");
        if (step + 1) % CHECKPOINT_STEPS == 0 {
            checkpoint::save(&under_way, step + 1, |folder| autoencoder.save(folder))?;
        }
    }
    let report = autoencoder.report();
    progress.finish(&format!(
        "rebuilt to {:.4}, perplexity {:.1} of {}",
        report.reconstruction, report.perplexity, preset.vqvae.codes
    ));
    run.write("finetune.json", &report)?;
    // Whole or not at all: their presence is what a resumed run goes by.
    let staging = under_way.join("weights");
    std::fs::create_dir_all(&staging)?;
    autoencoder.save(&staging)?;
    std::fs::rename(staging.join(WEIGHTS), run.path(WEIGHTS))?;
    Ok(())
}

impl Job<'_> {
    /// Does it, or what is left of it.
    ///
    /// # Errors
    /// If the disk fails, or a checkpoint belongs to something else.
    pub fn finish(&self) -> Result<Outcome> {
        let statistics = SavedStatistics::from(self.sampler.statistics());
        self.run.write(STATISTICS, &statistics)?;
        let (mut trainer, stopping) = self.fit()?;
        let epoch = stopping.best().map(|(score, weights)| {
            trainer.adopt(weights);
            score.epoch
        });
        self.conclude(&trainer, epoch)
    }

    fn fit(&self) -> Result<(Trainer, Stopping)> {
        let Self { preset, run, .. } = self;
        let settings = &preset.training;
        let classes = self.data.classes.len();
        let (first, trainer, mut stopping) = match checkpoint::latest(run.folder())? {
            Some((epochs, folder)) => {
                if self.bar.is_none() {
                    eprintln!("resuming after epoch {epochs}");
                }
                let trainer = Trainer::resume(preset, classes, self.vqvae.clone(), &folder)?;
                (epochs, trainer, Stopping::resume(preset, classes, &folder)?)
            }
            None => {
                let trainer = Trainer::new(preset, classes, self.vqvae.clone());
                (0, trainer, Stopping::new(settings.patience))
            }
        };
        let mut trainer = trainer.with_codes(self.codes.clone());
        run.rewind(first)?;
        if let Some(bar) = self.bar {
            bar.inc(first as u64);
        }
        let steps = self.sampler.steps_per_epoch();
        for epoch in first..settings.epochs {
            if stopping.enough(epoch) {
                if let Some(bar) = self.bar {
                    bar.inc((settings.epochs - epoch) as u64);
                }
                break;
            }
            let progress = match self.bar {
                None => Progress::new("train", epoch, settings.epochs, steps),
                Some(_) => Progress::hidden(),
            };
            let (mut loss, mut right, mut seen) = (0.0, 0, 0);
            for step in 0..steps {
                let place = [settings.seed, epoch as u64, step as u64];
                let batch = self.sampler.batch(place[0], place[1], place[2]);
                let share = (epoch * steps + step) as f64 / (settings.epochs * steps) as f64;
                let took = trainer.step(batch, place, share);
                loss += took.loss / steps as f64;
                right += took.right;
                seen += took.seen;
                progress.step(&format!("loss {:.3}", took.loss));
            }
            let last = epoch + 1 == settings.epochs;
            let look = last || settings.patience > 0 || (epoch + 1) % VALIDATION_EPOCHS == 0;
            let watched = look.then(|| {
                let said = self.predictions(&trainer, &self.fold.validation);
                let score = Score::of(epoch + 1, &said);
                stopping.watch(score, trainer.averaged());
                score.ua
            });
            let accuracy = right as f64 / seen.max(1) as f64;
            run.note(&json!({
                "epoch": epoch + 1, "loss": loss, "training_accuracy": accuracy,
                "validation_ua": watched, "seconds": progress.seconds(),
            }))?;
            checkpoint::save(run.folder(), epoch + 1, |folder| {
                trainer.save(folder)?;
                stopping.save(folder)
            })?;
            let watched = watched.map_or(String::new(), |ua| {
                format!(", validation UA {:.1}", 100.0 * ua)
            });
            progress.finish(&format!(
                "loss {loss:.4}, right {:.1} %{watched}",
                100.0 * accuracy
            ));
            if let Some(bar) = self.bar {
                bar.inc(1);
            }
        }
        Ok((trainer, stopping))
    }

    /// Calibrates, tests once, and writes what `evaluate` and `export` read.
    fn conclude(&self, trainer: &Trainer, epoch: Option<usize>) -> Result<Outcome> {
        let Self { fold, run, .. } = self;
        let validated = self.predictions(trainer, &fold.validation);
        let logits: Vec<_> = validated.iter().map(|p| p.logits.clone()).collect();
        let labels: Vec<_> = validated.iter().map(|p| p.label).collect();
        let tested = self.predictions(trainer, &fold.test);
        let mut corpora: Vec<String> = fold
            .train
            .iter()
            .map(|&index| self.data.utterances[index].corpus.to_string())
            .collect();
        corpora.sort_unstable();
        corpora.dedup();
        let outcome = Outcome {
            temperature: fit_temperature(&logits, &labels)?,
            validation_ua: ua(&validated),
            test_ua: (!tested.is_empty()).then(|| ua(&tested)),
            corpora,
            utterances: fold.train.len(),
            epoch,
        };
        trainer.save(run.folder())?;
        run.write(TESTED, &tested)?;
        run.write(OUTCOME, &outcome)?;
        Ok(outcome)
    }

    fn predictions(&self, trainer: &Trainer, indices: &[usize]) -> Vec<Prediction> {
        trainer.predict(self.sampler, &self.data.utterances, indices)
    }
}

/// Counts of what was said.
pub fn confusion(predictions: &[Prediction]) -> Confusion {
    let classes = predictions.first().map_or(0, |p| p.logits.len());
    Confusion::of(
        classes,
        predictions.iter().map(|p| (p.label, argmax(&p.logits))),
    )
}

fn ua(predictions: &[Prediction]) -> f64 {
    confusion(predictions).unweighted_accuracy()
}

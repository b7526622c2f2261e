//! One run: training and testing a preset on one fold, from the first step or the last checkpoint.
//!
//! `train` does one run, `ablate` many. The validation speakers are measured during training, stop it if the
//! preset has a `patience`, and calibrate the temperature. The test speakers are used once, after the last epoch.

use std::sync::Arc;

use anyhow::Result;
use indicatif::ProgressBar;
use serde_json::json;

use crate::data::dataset::Dataset;
use crate::data::features::Statistics;
use crate::data::split::Fold;
use crate::evaluate::metrics::fit_temperature;
use crate::model::vqvae::VqVae;
use crate::preset::Preset;
use crate::train::batch::{Sampler, SamplerOptions};
use crate::train::checkpoint;
use crate::train::codes::Codes;
use crate::train::prediction::{Prediction, unweighted_accuracy};
use crate::train::progress::Progress;
use crate::train::run::{OUTCOME, Outcome, PREDICTIONS, Run, STATISTICS, SavedStatistics};
use crate::train::stopping::{Score, Stopping};
use crate::train::trainer::Trainer;

/// The validation speakers are measured once in this many epochs.
const VALIDATION_EPOCHS: usize = 5;

/// The inputs of a run.
#[derive(Clone, Debug)]
pub struct Job<'a> {
    /// The preset.
    pub preset: &'a Preset,
    /// All utterances.
    pub data: &'a Dataset,
    /// Which utterances train, validate and test.
    pub fold: &'a Fold,
    /// Batches of the training part, made by [`sampler`].
    pub sampler: &'a Sampler<'a>,
    /// The frozen VQ-VAE; none in "deep" systems.
    pub vqvae: Option<VqVae>,
    /// The codes of the batches, if they have been computed.
    pub codes: Option<Arc<Codes>>,
    /// The run folder.
    pub run: &'a Run,
    /// Counts the epochs of several runs. Without it each epoch has its own bar and line.
    pub bar: Option<&'a ProgressBar>,
}

/// Creates the sampler of a fold's training part with a preset's options.
///
/// # Errors
/// If the fold has no training utterances.
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

impl Job<'_> {
    /// Trains and tests, from the start or from the last checkpoint.
    ///
    /// # Errors
    /// If the disk fails, or a checkpoint belongs to another preset.
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
            if stopping.stops_after(epoch) {
                if let Some(bar) = self.bar {
                    bar.inc((settings.epochs - epoch) as u64);
                }
                break;
            }
            let progress = match self.bar {
                None => Progress::new("train", epoch, settings.epochs, steps),
                Some(_) => Progress::hidden(),
            };
            let (mut loss, mut correct, mut seen) = (0.0, 0, 0);
            for step in 0..steps {
                let place = [settings.seed, epoch as u64, step as u64];
                let batch = self.sampler.batch(place[0], place[1], place[2]);
                let progress_share =
                    (epoch * steps + step) as f64 / (settings.epochs * steps) as f64;
                let result = trainer.step(batch, place, progress_share);
                loss += result.loss / steps as f64;
                correct += result.correct;
                seen += result.seen;
                progress.step(&format!("loss {:.3}", result.loss));
            }
            let last = epoch + 1 == settings.epochs;
            let validates = last || settings.patience > 0 || (epoch + 1) % VALIDATION_EPOCHS == 0;
            let watched = validates.then(|| {
                let predictions = self.predictions(&trainer, &self.fold.validation);
                let score = Score::of(epoch + 1, &predictions);
                stopping.observe(score, trainer.averaged());
                score.ua
            });
            let accuracy = correct as f64 / seen.max(1) as f64;
            run.append_epoch(&json!({
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
                "loss {loss:.4}, accuracy {:.1} %{watched}",
                100.0 * accuracy
            ));
            if let Some(bar) = self.bar {
                bar.inc(1);
            }
        }
        Ok((trainer, stopping))
    }

    /// Calibrates, tests once, and writes the files that `evaluate` and `export` read.
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
            validation_ua: unweighted_accuracy(&validated),
            test_ua: (!tested.is_empty()).then(|| unweighted_accuracy(&tested)),
            corpora,
            utterances: fold.train.len(),
            epoch,
        };
        trainer.save(run.folder())?;
        run.write(PREDICTIONS, &tested)?;
        run.write(OUTCOME, &outcome)?;
        Ok(outcome)
    }

    fn predictions(&self, trainer: &Trainer, indices: &[usize]) -> Vec<Prediction> {
        trainer.predict(self.sampler, &self.data.utterances, indices)
    }
}

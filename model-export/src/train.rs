//! `model-export train`: the whole network, on one fold or on every speaker.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::autoencoder::Autoencoder;
use crate::batch::{Sampler, SamplerOptions};
use crate::checkpoint;
use crate::dataset::Dataset;
use crate::features::Statistics;
use crate::metrics::{Confusion, argmax, fit_temperature};
use crate::model::vqvae::VqVae;
use crate::preset::{Preset, Representation};
use crate::pretrain::WEIGHTS;
use crate::progress::Progress;
use crate::run::{Run, SavedStatistics};
use crate::split::{self, Fold};
use crate::trainer::{Prediction, Trainer};

/// Word on the test speakers, in a finished run's folder.
pub const TESTED: &str = "test.json";
/// What a finished run knows of itself.
pub const OUTCOME: &str = "outcome.json";
/// The training set's statistics.
pub const STATISTICS: &str = "statistics.json";
/// Validation is looked at once in so many epochs.
const VALIDATION_EPOCHS: usize = 5;

/// Trains the network on the labelled corpora.
///
/// First fine-tunes the VQ-VAE on the training speakers and freezes it. The number of epochs is
/// fixed by the preset: validation speakers are only watched, and calibrate the temperature at the
/// end; test speakers are heard once, after the last epoch. A run that was interrupted goes on from
/// its last epoch when the same command is given again.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    model-export train --data data --vq runs/vq --fold 0/5 --out runs/fold0\n  \
    model-export train --data data --vq runs/vq --all --out runs/all")]
pub struct Arguments {
    /// `default`, `paper`, or a preset file.
    #[arg(long, default_value = "default")]
    pub preset: String,
    /// Folder that holds `ravdess/`, `banglaser/`, `emodb/`, or some of them.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Run folder of a finished `pretrain`; not needed by presets without R_l.
    #[arg(long, value_name = "RUN")]
    pub vq: Option<PathBuf>,
    /// Which fold by speaker to leave out for testing, such as `0/5`.
    #[arg(
        long,
        value_name = "I/N",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    pub fold: Option<FoldNumber>,
    /// Train on every speaker but one a corpus, which calibrates; nothing is tested.
    #[arg(long)]
    pub all: bool,
    /// Another seed than the preset's for weights and batches.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Run folder: made if it is not there, resumed if it is.
    #[arg(long, value_name = "RUN")]
    pub out: PathBuf,
}

/// Fold I of N, counted from 0.
#[derive(Clone, Copy, Debug)]
pub struct FoldNumber {
    index: usize,
    of: usize,
}

impl FromStr for FoldNumber {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(index, of)| {
            let (index, of) = (index.parse().ok()?, of.parse().ok()?);
            (index < of).then_some(Self { index, of })
        });
        parts.ok_or_else(|| format!("`{text}` is not a fold; 0/5 to 4/5 are"))
    }
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
}

/// Runs the command.
///
/// # Errors
/// If the corpora, the VQ-VAE or the run folder cannot be used.
pub fn run(arguments: &Arguments) -> Result<()> {
    let mut preset = Preset::load(&arguments.preset)?;
    if let Some(seed) = arguments.seed {
        preset.training.seed = seed;
    }
    let data = Dataset::labelled(&arguments.data)?;
    let fold = choose(&preset, &data, arguments.fold)?;
    split::guard(&data.utterances, &fold, &data.features.hashes)?;
    let run = Run::begin(&arguments.out, &preset, &record(arguments, &data, &fold))?;
    let statistics = Statistics::of(&data.features, &fold.train);
    run.write(STATISTICS, &SavedStatistics::from(&statistics))?;
    let options = SamplerOptions {
        batch: preset.training.batch_utterances,
        max_steps: preset.training.crop_steps,
        hop: preset.segment_hop,
        augment: preset.augment.clone(),
        balance: true,
    };
    let sampler = Sampler::new(
        &data.features,
        &data.utterances,
        &fold.train,
        statistics,
        options,
    )?;
    let vqvae = match preset.representation {
        Representation::Deep => None,
        Representation::Fusion => Some(finetuned(arguments, &preset, &sampler, &run)?),
    };
    let trainer = fit(&preset, vqvae, &sampler, &data, &fold, &run)?;
    conclude(&trainer, &sampler, &data, &fold, &run)
}

fn choose(preset: &Preset, data: &Dataset, number: Option<FoldNumber>) -> Result<Fold> {
    let seed = preset.training.fold_seed;
    let Some(FoldNumber { index, of }) = number else {
        return split::all(&data.utterances, seed);
    };
    ensure!(
        of == preset.training.folds,
        "preset `{}` cuts {} folds, not {of}",
        preset.name,
        preset.training.folds
    );
    Ok(split::by_speaker(&data.utterances, of, seed)?.swap_remove(index))
}

fn record(arguments: &Arguments, data: &Dataset, fold: &Fold) -> Value {
    json!({
        "command": "train",
        "fold": arguments.fold.map(|fold| format!("{}/{}", fold.index, fold.of)),
        "split": fold.digest(),
        "parts": { "train": fold.train.len(), "validation": fold.validation.len(), "test": fold.test.len() },
        "audio": data.features.digest(),
        "vq": arguments.vq,
    })
}

/// The VQ-VAE after fine-tuning on the training speakers; the run keeps it.
fn finetuned(
    arguments: &Arguments,
    preset: &Preset,
    sampler: &Sampler<'_>,
    run: &Run,
) -> Result<VqVae> {
    let path = run.path(WEIGHTS);
    if path.exists() {
        return Ok(Autoencoder::load(&preset.vqvae, &path, 0.0)?.model());
    }
    let Some(pretrained) = &arguments.vq else {
        bail!(
            "preset `{}` fuses R_l: name a pre-trained run with --vq",
            preset.name
        );
    };
    let settings = &preset.pretraining;
    let rate = settings.finetune_rate;
    let weights = pretrained.join(WEIGHTS);
    let mut autoencoder = Autoencoder::load(&preset.vqvae, &weights, rate)
        .with_context(|| format!("{}: has `pretrain` finished?", weights.display()))?;
    let progress = Progress::new("fine-tune", 0, 1, settings.finetune_steps);
    for step in 0..settings.finetune_steps as u64 {
        let segments =
            sampler.segment_batch(settings.seed, u64::MAX, step, settings.batch_segments);
        autoencoder.step(segments, [settings.seed, u64::MAX, step, 1 << 41]);
        progress.step("");
    }
    let report = autoencoder.report();
    progress.finish(&format!(
        "rebuilt to {:.4}, perplexity {:.1} of {}",
        report.reconstruction, report.perplexity, preset.vqvae.codes
    ));
    run.write("finetune.json", &report)?;
    // Whole or not at all: its presence is what a resumed run goes by.
    let staging = run.path("vqvae-staging");
    std::fs::create_dir_all(&staging)?;
    autoencoder.save(&staging)?;
    std::fs::rename(staging.join(WEIGHTS), &path)?;
    std::fs::remove_dir_all(&staging)?;
    Ok(autoencoder.model())
}

fn fit(
    preset: &Preset,
    vqvae: Option<VqVae>,
    sampler: &Sampler<'_>,
    data: &Dataset,
    fold: &Fold,
    run: &Run,
) -> Result<Trainer> {
    let settings = &preset.training;
    let (first, mut trainer) = match checkpoint::latest(run.folder())? {
        Some((epochs, folder)) => {
            eprintln!("resuming after epoch {epochs}");
            (epochs, Trainer::resume(preset, vqvae, &folder)?)
        }
        None => (0, Trainer::new(preset, vqvae)),
    };
    run.rewind(first)?;
    let steps = sampler.steps_per_epoch();
    for epoch in first..settings.epochs {
        let progress = Progress::new("train", epoch, settings.epochs, steps);
        let (mut loss, mut right, mut seen) = (0.0, 0, 0);
        for step in 0..steps {
            let place = [settings.seed, epoch as u64, step as u64];
            let batch = sampler.batch(place[0], place[1], place[2]);
            let share = (epoch * steps + step) as f64 / (settings.epochs * steps) as f64;
            let took = trainer.step(batch, place, share);
            loss += took.loss / steps as f64;
            right += took.right;
            seen += took.seen;
            progress.step(&format!("loss {:.3}", took.loss));
        }
        let last = epoch + 1 == settings.epochs;
        let watched = (last || (epoch + 1) % VALIDATION_EPOCHS == 0)
            .then(|| ua(&trainer.predict(sampler, &data.utterances, &fold.validation)));
        checkpoint::save(run.folder(), epoch + 1, |folder| trainer.save(folder))?;
        let accuracy = right as f64 / seen.max(1) as f64;
        run.note(&json!({
            "epoch": epoch + 1, "loss": loss, "training_accuracy": accuracy,
            "validation_ua": watched, "seconds": progress.seconds(),
        }))?;
        let watched = watched.map_or(String::new(), |ua| {
            format!(", validation UA {:.1}", 100.0 * ua)
        });
        progress.finish(&format!(
            "loss {loss:.4}, right {:.1} %{watched}",
            100.0 * accuracy
        ));
    }
    Ok(trainer)
}

/// Calibrates, tests once, and writes what `evaluate` and `export` read.
fn conclude(
    trainer: &Trainer,
    sampler: &Sampler<'_>,
    data: &Dataset,
    fold: &Fold,
    run: &Run,
) -> Result<()> {
    let validated = trainer.predict(sampler, &data.utterances, &fold.validation);
    let logits: Vec<_> = validated.iter().map(|p| p.logits).collect();
    let labels: Vec<_> = validated.iter().map(|p| p.label).collect();
    let tested = trainer.predict(sampler, &data.utterances, &fold.test);
    let mut corpora: Vec<String> = fold
        .train
        .iter()
        .map(|&index| data.utterances[index].corpus.to_string())
        .collect();
    corpora.sort_unstable();
    corpora.dedup();
    let outcome = Outcome {
        temperature: fit_temperature(&logits, &labels)?,
        validation_ua: ua(&validated),
        test_ua: (!tested.is_empty()).then(|| ua(&tested)),
        corpora,
        utterances: fold.train.len(),
    };
    trainer.save(run.folder())?;
    run.write(TESTED, &tested)?;
    run.write(OUTCOME, &outcome)?;
    if let Some(ua) = outcome.test_ua {
        eprintln!("test UA {:.1}\n{}", 100.0 * ua, confusion(&tested));
    }
    eprintln!("done: {}", run.folder().display());
    Ok(())
}

/// Counts of what was said.
pub fn confusion(predictions: &[Prediction]) -> Confusion {
    Confusion::of(predictions.iter().map(|p| (p.label, argmax(&p.logits))))
}

fn ua(predictions: &[Prediction]) -> f64 {
    confusion(predictions).unweighted_accuracy()
}

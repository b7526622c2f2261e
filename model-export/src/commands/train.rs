//! `model-export train`: trains the whole network, on one fold or on every speaker.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Result, bail, ensure};
use clap::Args;
use serde_json::{Value, json};

use crate::data::dataset::{Dataset, Source};
use crate::data::features::Statistics;
use crate::data::split::{self, Fold, Protocol};
use crate::preset::{self, Preset, Representation};
use crate::train::finetuning;
use crate::train::fit::{self, Job};
use crate::train::prediction::{self, Prediction};
use crate::train::run::{PREDICTIONS, Run};

/// Trains the network on the labelled corpora.
///
/// Fusion presets first fine-tune the VQ-VAE on the training speakers, then freeze it. The preset fixes
/// the number of epochs, or the validation speakers choose it (`patience`). The validation speakers
/// also calibrate the temperature at the end. Test speakers are used once, after the last epoch. To
/// resume an interrupted run, start the same command again: there is a checkpoint after every epoch
/// and every few steps of fine-tuning.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    model-export train --data data --vq runs/vq --fold 0/5 --out runs/fold0\n  \
    model-export train --data data --vq runs/vq --all --out runs/all")]
pub struct TrainArguments {
    /// `default`, `paper`, `telephone`, `smoke`, or a preset file.
    #[arg(long, default_value = "default")]
    pub preset: String,
    /// The labelled corpora.
    #[command(flatten)]
    pub source: Source,
    /// Run folder of a finished `pretrain`; not needed by presets without R_l.
    #[arg(long, value_name = "RUN")]
    pub vq: Option<PathBuf>,
    /// How test utterances are chosen: `speakers/K`, `leave-one-speaker-out`, `sessions` (one corpus
    /// only), or `random`. `random` is the paper's; it trains on test speakers. Default: the preset's
    /// number of folds by speaker.
    #[arg(long)]
    pub protocol: Option<Protocol>,
    /// The fold to test on, such as `0/5`.
    #[arg(
        long,
        value_name = "I/N",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    pub fold: Option<FoldNumber>,
    /// Train on every speaker except one per corpus, who calibrates. Nothing is tested.
    #[arg(long, conflicts_with = "protocol")]
    pub all: bool,
    /// Number of epochs instead of the preset's. The run's `preset.toml` records it.
    #[arg(long, value_name = "N", value_parser = preset::epochs())]
    pub epochs: Option<usize>,
    /// Seed of weights and batches instead of the preset's.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Run folder. It is created if it does not exist, and resumed if it does.
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
        parts.ok_or_else(|| {
            format!("`{text}` is not a fold; folds are counted from 0: five folds are 0/5 to 4/5")
        })
    }
}

/// Runs the command.
///
/// # Errors
/// If the corpora, the VQ-VAE or the run folder cannot be used.
pub fn run(arguments: &TrainArguments) -> Result<()> {
    let mut preset = Preset::load(&arguments.preset)?;
    if let Some(epochs) = arguments.epochs {
        preset.training.epochs = epochs;
    }
    if let Some(seed) = arguments.seed {
        preset.training.seed = seed;
    }
    let data = Dataset::labelled(&arguments.source)?;
    let protocol = arguments
        .protocol
        .unwrap_or(Protocol::Speakers(preset.training.folds));
    let fold = choose(protocol, &preset, &data, arguments.fold)?;
    protocol.guard(&data.utterances, &fold, &data.features.hashes)?;
    let record = record(arguments, protocol, &data, &fold)?;
    let run = Run::begin(&arguments.out, &preset, &record)?;
    let statistics = Statistics::of(&data.features, &fold.train);
    let sampler = fit::sampler(&preset, &data, &fold, statistics)?;
    let vqvae = match (preset.representation, &arguments.vq) {
        (Representation::Deep, _) => None,
        (Representation::Fusion, Some(pretrained)) => {
            finetuning::guard_pretraining(pretrained, &data, &fold)?;
            Some(finetuning::finetuned(&preset, pretrained, &sampler, &run)?)
        }
        (Representation::Fusion, None) => bail!(
            "preset `{}` needs R_l: give a pre-trained run with --vq",
            preset.name
        ),
    };
    let job = Job {
        preset: &preset,
        data: &data,
        fold: &fold,
        sampler: &sampler,
        vqvae,
        codes: None,
        run: &run,
        bar: None,
    };
    let outcome = job.finish()?;
    if let Some(ua) = outcome.test_ua {
        let tested: Vec<Prediction> = run.read(PREDICTIONS)?;
        let counts = prediction::confusion(&tested);
        eprintln!(
            "test UA {:.1}\n{}",
            100.0 * ua,
            counts.display(&data.classes)
        );
        for sentence in protocol.disclosures(&data.corpora()) {
            eprintln!("{sentence}");
        }
    }
    eprintln!("done: {}", run.folder().display());
    Ok(())
}

fn choose(
    protocol: Protocol,
    preset: &Preset,
    data: &Dataset,
    number: Option<FoldNumber>,
) -> Result<Fold> {
    let seed = preset.training.fold_seed;
    let Some(FoldNumber { index, of }) = number else {
        return split::all(&data.utterances, seed);
    };
    let mut folds = protocol.folds(&data.utterances, &data.features.hashes, seed)?;
    let cut = folds.len();
    ensure!(
        of == cut,
        "--fold {index}/{of} is one of {of} folds, but `{protocol}` makes {cut}: give 0/{cut} to {}/{cut}, or another \
         protocol ({})",
        cut - 1,
        split::by_speaker_fit(&data.utterances),
    );
    Ok(folds.swap_remove(index))
}

fn record(
    arguments: &TrainArguments,
    protocol: Protocol,
    data: &Dataset,
    fold: &Fold,
) -> Result<Value> {
    let vq = arguments
        .vq
        .as_deref()
        .map(finetuning::pretraining_record)
        .transpose()?;
    Ok(json!({
        "command": "train", "protocol": protocol.to_string(), "labels": data.classes,
        "fold": arguments.fold.map(|fold| format!("{}/{}", fold.index, fold.of)),
        "split": fold.digest(),
        "parts": { "train": fold.train.len(), "validation": fold.validation.len(), "test": fold.test.len() },
        "data": data.digest(),
        "vq": vq,
    }))
}

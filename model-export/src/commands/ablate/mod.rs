//! `model-export ablate`: every system of the paper on every fold, and the report that compares them.
//!
//! Each system, a representation and a sequence model, is trained on each fold and seed as `train`
//! would train it, in its own run folder (module `runs`). A finished run is not repeated; an interrupted run
//! resumes. Module `embeddings` adds the data of two figures.

mod embeddings;
mod runs;

use std::cmp::Reverse;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;
use serde_json::{Value, json};

use crate::data::dataset::{Dataset, Source};
use crate::data::split::{Fold, Protocol};
use crate::evaluate::systems::System;
use crate::preset::{self, Preset, Representation};
use crate::report;
use crate::report::ablation::PLAN;
use crate::train::finetuning;
use crate::train::run::Run;

use runs::{AblationRuns, Plan};

/// Trains and compares every system of the paper: 7 sequence models × Deep and Fusion.
///
/// Each is trained and tested on every fold of the protocol. You can stop the command at any moment and
/// start it again: finished runs are not repeated. A run that fails is printed and left out of the
/// report; the other runs continue.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    model-export ablate --data data --vq runs/vq --out runs/ablation\n  \
    model-export ablate --data data --vq runs/vq --out runs/small --epochs 5 --systems deep-gru,fusion-tacn")]
pub struct AblateArguments {
    /// `default`, `paper`, `telephone`, `smoke`, or a preset file. Its representation and sequence model
    /// are replaced.
    #[arg(long, default_value = "default")]
    pub preset: String,
    /// The labelled corpora.
    #[command(flatten)]
    pub source: Source,
    /// Run folder of a finished `pretrain`; not needed by Deep systems.
    #[arg(long, value_name = "RUN")]
    pub vq: Option<PathBuf>,
    /// How test utterances are chosen: `speakers/K`, `leave-one-speaker-out`, `sessions` (one corpus
    /// only), or `random`. `random` is the paper's; it trains on test speakers. Default: the preset's
    /// number of folds by speaker.
    #[arg(long)]
    pub protocol: Option<Protocol>,
    /// Number of epochs instead of the preset's. The run's `preset.toml` records it.
    #[arg(long, value_name = "N", value_parser = preset::epochs())]
    pub epochs: Option<usize>,
    /// How often each system is trained on each fold, each time with other initial weights and batches.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub seeds: u64,
    /// Train only these systems, such as `deep-tcn,fusion-tacn`. Default: all 14.
    #[arg(long, value_delimiter = ',', value_name = "SYSTEM")]
    pub systems: Vec<String>,
    /// Number of parallel runs. Default: the number of cores.
    #[arg(long)]
    pub jobs: Option<usize>,
    /// Folder of the ablation. It is created if it does not exist, and resumed if it does.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// If the corpora, the VQ-VAE or the folder cannot be used, or a run failed.
pub fn run(arguments: &AblateArguments) -> Result<()> {
    let mut preset = Preset::load(&arguments.preset)?;
    if let Some(epochs) = arguments.epochs {
        preset.training.epochs = epochs;
    }
    let systems = chosen(&arguments.systems)?;
    let data = Dataset::labelled(&arguments.source)?;
    let protocol = arguments
        .protocol
        .unwrap_or(Protocol::Speakers(preset.training.folds));
    let hashes = &data.features.hashes;
    let folds = protocol.folds(&data.utterances, hashes, preset.training.fold_seed)?;
    let fusion = |system: &System| system.representation == Representation::Fusion;
    ensure!(
        arguments.vq.is_some() || !systems.iter().any(fusion),
        "Fusion systems need R_l: give a pre-trained run with --vq, or choose Deep systems with --systems"
    );
    for fold in &folds {
        protocol.guard(&data.utterances, fold, hashes)?;
        if let Some(pretrained) = &arguments.vq {
            finetuning::guard_pretraining(pretrained, &data, fold)?;
        }
    }
    let vq = match &arguments.vq {
        Some(folder) => finetuning::pretraining_record(folder)?,
        None => Value::Null,
    };
    let record = json!({
        "command": "ablate", "protocol": protocol.to_string(), "labels": data.classes,
        "data": data.digest(), "vq": vq,
        "utterances": data.utterances.len(),
        "splits": folds.iter().map(Fold::digest).collect::<Vec<_>>(),
    });
    let run = Run::begin(&arguments.out, &preset, &record)?;
    // Not in the record, because a later call may ask for more seeds.
    run.write(
        PLAN,
        &json!({ "seeds": (0..arguments.seeds).collect::<Vec<_>>() }),
    )?;
    let runs = AblationRuns::new(Plan {
        systems,
        seeds: arguments.seeds,
        preset,
        protocol,
        data: &data,
        folds,
        pretrained: arguments.vq.as_deref(),
        vq,
        out: &arguments.out,
    })?;
    let mut failures = runs.train_all(arguments.jobs)?;
    embeddings::write(&runs)?;
    let destination = arguments.out.join("report");
    report::write(&arguments.out, &destination)?;
    eprintln!("report: {}", destination.join("ablation.html").display());
    let failed = failures.len();
    match failures.pop() {
        Some(last) => Err(last.context(format!(
            "{failed} of {} runs failed; each is printed above. The last one",
            runs.len()
        ))),
        None => Ok(()),
    }
}

fn chosen(names: &[String]) -> Result<Vec<System>> {
    // Adjacent systems share the most and differ the least.
    let mut all: Vec<System> = System::all().collect();
    all.sort_by_key(|system| Reverse(system.sequence));
    for name in names {
        ensure!(
            all.iter().any(|system| system.slug() == *name),
            "`{name}` is not a system; the systems are {}",
            all.iter().map(|s| s.slug()).collect::<Vec<_>>().join(", ")
        );
    }
    let wanted = |system: &System| names.is_empty() || names.contains(&system.slug());
    Ok(all.into_iter().filter(wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_fourteen_systems_of_which_some_can_be_chosen() {
        assert_eq!(chosen(&[]).unwrap().len(), 14);
        let names = ["deep-blstm", "fusion-tacn"].map(str::to_owned);
        assert_eq!(chosen(&names).unwrap().len(), 2);
        let error = chosen(&["deep-tacnn".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("fusion-tacn,"), "{error}");
    }
}

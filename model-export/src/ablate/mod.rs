//! `model-export ablate`: every system of the paper on every fold, and the report that compares them.
//!
//! A cell of Table 1 is a representation and a sequence model; each cell is trained on each fold and
//! seed, as `train` would, in a run folder of its own. Cells of one fold share what does not depend
//! on them: the fold, its batches, the fine-tuned VQ-VAE and its codes. Threads take runs from one
//! list; a run that is finished is left alone, one that was interrupted goes on.

mod evidence;

use std::cmp::Reverse;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, anyhow, ensure};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::batch::Sampler;
use crate::checkpoint;
use crate::codes::Codes;
use crate::dataset::{Dataset, Source};
use crate::features::Statistics;
use crate::fit::{self, Job, OUTCOME, Outcome};
use crate::model::vqvae::VqVae;
use crate::preset::{Preset, Representation};
use crate::pretrain::WEIGHTS;
use crate::report;
use crate::run::Run;
use crate::split::{Fold, Protocol};
use crate::systems::System;

/// Trains and compares every system of the paper: 7 sequence models × Deep and Fusion.
///
/// Each is trained and tested on folds by speaker. The command can be stopped at any moment and
/// given again: what is finished is not repeated.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    model-export ablate --data data --vq runs/vq --out runs/ablation\n  \
    model-export ablate --data data --vq runs/vq --out runs/small --epochs 5 --systems deep-gru,fusion-tacn")]
pub struct Arguments {
    /// `default`, `paper`, or a preset file; its representation and sequence model are replaced.
    #[arg(long, default_value = "default")]
    pub preset: String,
    /// The labelled corpora.
    #[command(flatten)]
    pub source: Source,
    /// Run folder of a finished `pretrain`.
    #[arg(long, value_name = "RUN")]
    pub vq: PathBuf,
    /// How test utterances are chosen: `speakers/K`, `leave-one-speaker-out`, `sessions` (of a single
    /// corpus), or `random`, the paper's, which trains on test speakers. The preset's folds by
    /// speaker if not given.
    #[arg(long)]
    pub protocol: Option<Protocol>,
    /// Another number of epochs than the preset's.
    #[arg(long)]
    pub epochs: Option<usize>,
    /// How often each system is trained on each fold, with other first weights and batches.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub seeds: u64,
    /// Only these, such as `deep-tcn,fusion-tacn`; all 14 if not given.
    #[arg(long, value_delimiter = ',', value_name = "SYSTEM")]
    pub systems: Vec<String>,
    /// Runs at the same time; as many as there are cores if not given.
    #[arg(long)]
    pub jobs: Option<usize>,
    /// Folder of the whole comparison: made if it is not there, resumed if it is.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// One system on one fold with one seed.
struct Task {
    system: System,
    seed: u64,
    fold: usize,
}

/// What the systems of a fold share.
struct Shared<'a> {
    sampler: Sampler<'a>,
    /// Made by the first that needs it: the VQ-VAE, and its codes for each seed.
    latent: Mutex<Option<VqVae>>,
    codes: Vec<Mutex<Option<Arc<Codes>>>>,
}

/// Everything that the threads see.
struct Ablation<'a> {
    arguments: &'a Arguments,
    preset: Preset,
    protocol: Protocol,
    data: &'a Dataset,
    folds: Vec<Fold>,
    shared: Vec<Shared<'a>>,
    bar: ProgressBar,
}

/// Runs the command.
///
/// # Errors
/// If the corpora, the VQ-VAE or the folder cannot be used.
pub fn run(arguments: &Arguments) -> Result<()> {
    let mut preset = Preset::load(&arguments.preset)?;
    if let Some(epochs) = arguments.epochs {
        ensure!(epochs > 0, "--epochs 0 trains nothing");
        preset.training.epochs = epochs;
    }
    let systems = chosen(&arguments.systems)?;
    let data = Dataset::labelled(&arguments.source)?;
    let protocol = arguments
        .protocol
        .unwrap_or(Protocol::Speakers(preset.training.folds));
    let hashes = &data.features.hashes;
    let folds = protocol.folds(&data.utterances, hashes, preset.training.fold_seed)?;
    for fold in &folds {
        protocol.guard(&data.utterances, fold, hashes)?;
    }
    let record = json!({
        "command": "ablate", "protocol": protocol.to_string(), "labels": data.classes, "audio": data.features.digest(), "vq": arguments.vq,
        "utterances": data.utterances.len(),
        "splits": folds.iter().map(Fold::digest).collect::<Vec<_>>(),
    });
    Run::begin(&arguments.out, &preset, &record)?;
    let shared = folds
        .iter()
        .map(|fold| {
            let statistics = Statistics::of(&data.features, &fold.train);
            Ok(Shared {
                sampler: fit::sampler(&preset, &data, fold, statistics)?,
                latent: Mutex::new(None),
                codes: (0..arguments.seeds).map(|_| Mutex::new(None)).collect(),
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let mut tasks = Vec::new();
    for seed in 0..arguments.seeds {
        for fold in 0..folds.len() {
            let task = |&system: &System| Task { system, seed, fold };
            tasks.extend(systems.iter().map(task));
        }
    }
    let ablation = Ablation {
        arguments,
        protocol,
        bar: bar(tasks.len() * preset.training.epochs),
        preset,
        data: &data,
        folds,
        shared,
    };
    ablation.work(&tasks)?;
    ablation.evidence(&systems)?;
    let destination = arguments.out.join("report");
    report::write(&arguments.out, &destination)?;
    eprintln!("done: {}", destination.join("ablation.html").display());
    Ok(())
}

fn chosen(names: &[String]) -> Result<Vec<System>> {
    // Those that share much and differ little side by side.
    let mut all: Vec<System> = System::all().collect();
    all.sort_by_key(|system| Reverse(system.sequence));
    for name in names {
        ensure!(
            all.iter().any(|system| system.slug() == *name),
            "no system is called `{name}`; there are {}",
            all.iter().map(|s| s.slug()).collect::<Vec<_>>().join(", ")
        );
    }
    let wanted = |system: &System| names.is_empty() || names.contains(&system.slug());
    Ok(all.into_iter().filter(wanted).collect())
}

fn bar(epochs: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} epochs {elapsed} left {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(epochs as u64).with_style(style)
}

impl Ablation<'_> {
    /// Does all tasks, several at a time; the first error stops what has not begun.
    fn work(&self, tasks: &[Task]) -> Result<()> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = self.arguments.jobs.unwrap_or(cores).clamp(1, tasks.len());
        let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
        let work = || -> Result<()> {
            while !failed.load(Ordering::Relaxed) {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(task) = tasks.get(number) else {
                    break;
                };
                if let Err(error) = self.task(task) {
                    failed.store(true, Ordering::Relaxed);
                    return Err(error.context(format!(
                        "{} on fold {}",
                        task.system.slug(),
                        task.fold
                    )));
                }
            }
            Ok(())
        };
        let result = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let mut result = Ok(());
            for worker in workers {
                let done = worker
                    .join()
                    .unwrap_or_else(|_| Err(anyhow!("a training thread panicked; see above")));
                result = result.and(done);
            }
            result
        });
        self.bar.finish_and_clear();
        result
    }

    fn task(&self, task: &Task) -> Result<()> {
        let Task { system, seed, fold } = *task;
        let mut preset = self.preset.clone();
        preset.representation = system.representation;
        preset.sequence.model = system.sequence;
        preset.training.seed += seed;
        let folder = folder(&self.arguments.out, task);
        let record = json!({
            "command": "ablate", "protocol": self.protocol.to_string(), "labels": self.data.classes,
            "system": system.slug(), "fold": format!("{fold}/{}", self.folds.len()),
            "split": self.folds[fold].digest(), "audio": self.data.features.digest(),
            "vq": self.arguments.vq,
        });
        let run = Run::begin(&folder, &preset, &record)?;
        if run.path(OUTCOME).exists() {
            self.bar.inc(preset.training.epochs as u64);
            return Ok(());
        }
        let (vqvae, codes) = match system.representation {
            Representation::Deep => (None, None),
            Representation::Fusion => {
                let vqvae = self.vqvae(fold)?;
                let own = run.path(WEIGHTS);
                if !own.exists() {
                    // `export` wants a run folder to be whole.
                    let weights = std::fs::read(self.latent_folder(fold).join(WEIGHTS))?;
                    checkpoint::replace(&own, &weights)?;
                }
                let codes = self.codes(&vqvae, task, &preset)?;
                (Some(vqvae), Some(codes))
            }
        };
        let job = Job {
            preset: &preset,
            data: self.data,
            fold: &self.folds[fold],
            sampler: &self.shared[fold].sampler,
            vqvae,
            codes,
            run: &run,
            bar: Some(&self.bar),
        };
        let Outcome { test_ua, .. } = job.finish()?;
        let ua = test_ua.context("a fold without test speakers")?;
        self.say(&format!(
            "{} fold {fold} seed {seed}: test UA {:.1}",
            system.slug(),
            100.0 * ua
        ));
        Ok(())
    }

    /// The fold's VQ-VAE, fine-tuned by the first thread that asks for it.
    fn vqvae(&self, fold: usize) -> Result<VqVae> {
        let shared = &self.shared[fold];
        let mut place = shared.latent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(vqvae) = &*place {
            return Ok(vqvae.clone());
        }
        let folder = self.latent_folder(fold);
        let record = json!({ "command": "fine-tune", "split": self.folds[fold].digest(), "vq": self.arguments.vq });
        let run = Run::begin(&folder, &self.preset, &record)?;
        let vqvae = fit::finetuned(&self.preset, &self.arguments.vq, &shared.sampler, &run)?;
        *place = Some(vqvae.clone());
        Ok(vqvae)
    }

    fn latent_folder(&self, fold: usize) -> PathBuf {
        self.arguments.out.join("folds").join(fold.to_string())
    }

    /// The codes of all that a fold's systems hear with one seed, by the first that asks for them.
    fn codes(&self, vqvae: &VqVae, task: &Task, preset: &Preset) -> Result<Arc<Codes>> {
        let Shared { sampler, codes, .. } = &self.shared[task.fold];
        let mut place = codes[task.seed as usize]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(codes) = &*place {
            return Ok(Arc::clone(codes));
        }
        let fold = &self.folds[task.fold];
        let evaluated = [fold.validation.as_slice(), &fold.test].concat();
        let plan = [preset.training.seed, preset.training.epochs as u64];
        let hidden = ProgressBar::hidden();
        let computed = Arc::new(Codes::compute(
            vqvae, sampler, plan, &evaluated, 1, &hidden,
        )?);
        *place = Some(Arc::clone(&computed));
        Ok(computed)
    }

    fn say(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }
}

/// Where a system's run on a fold lies.
fn folder(out: &Path, task: &Task) -> PathBuf {
    out.join("cells")
        .join(task.system.slug())
        .join(format!("seed{}", task.seed))
        .join(format!("fold{}", task.fold))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_fourteen_systems_of_which_some_can_be_chosen() {
        // Those that share much and differ little side by side.
        let mut all: Vec<System> = System::all().collect();
        all.sort_by_key(|system| Reverse(system.sequence));
        assert_eq!(all.len(), 14);
        let names = ["deep-blstm", "fusion-tacn"].map(str::to_owned);
        assert_eq!(chosen(&names).unwrap().len(), 2);
        let error = chosen(&["deep-tacnn".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("fusion-tacn,"), "{error}");
    }
}

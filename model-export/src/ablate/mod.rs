//! `model-export ablate`: every system of the paper on every fold, and the report that compares them.
//!
//! A cell of Table 1 is a representation and a sequence model; each cell is trained on each fold and
//! seed, as `train` would, in a run folder of its own. Cells of one fold share what does not depend
//! on them: the fold, its batches, the fine-tuned VQ-VAE and its codes. Threads take runs from one
//! list; a run that is finished is left alone, one that was interrupted goes on.

mod evidence;

use std::cmp::Reverse;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, anyhow, ensure};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::batch::Sampler;
use crate::checkpoint;
use crate::codes::Codes;
use crate::dataset::{Dataset, Source};
use crate::features::Statistics;
use crate::fit::{self, Job, OUTCOME, Outcome};
use crate::model::vqvae::VqVae;
use crate::preset::{self, Preset, Representation};
use crate::pretrain::WEIGHTS;
use crate::report;
use crate::run::Run;
use crate::split::{Fold, Protocol};
use crate::systems::System;

/// The seeds that were asked for last, in the ablation's folder.
pub const PLAN: &str = "plan.json";

/// Trains and compares every system of the paper: 7 sequence models × Deep and Fusion.
///
/// Each is trained and tested on every fold of the protocol. The command can be stopped at any moment
/// and given again: what is finished is not repeated. A run that fails is named and left out of the
/// report; the others go on.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    model-export ablate --data data --vq runs/vq --out runs/ablation\n  \
    model-export ablate --data data --vq runs/vq --out runs/small --epochs 5 --systems deep-gru,fusion-tacn")]
pub struct Arguments {
    /// `default`, `paper`, `telephone`, `smoke`, or a preset file; its representation and sequence model are
    /// replaced.
    #[arg(long, default_value = "default")]
    pub preset: String,
    /// The labelled corpora.
    #[command(flatten)]
    pub source: Source,
    /// Run folder of a finished `pretrain`; not needed by Deep systems.
    #[arg(long, value_name = "RUN")]
    pub vq: Option<PathBuf>,
    /// How test utterances are chosen: `speakers/K`, `leave-one-speaker-out`, `sessions` (of a single
    /// corpus), or `random`, the paper's, which trains on test speakers. The preset's folds by
    /// speaker if not given.
    #[arg(long)]
    pub protocol: Option<Protocol>,
    /// Another number of epochs than the preset's; the run's `preset.toml` records it.
    #[arg(long, value_name = "N", value_parser = preset::epochs())]
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
    codes: Vec<Mutex<Slot>>,
}

/// Codes of a fold and a seed, for as long as a run still wants them.
struct Slot {
    codes: Option<Arc<Codes>>,
    wanted: usize,
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
    /// What records say of the pre-trained VQ-VAE.
    vq: Value,
}

/// Runs the command.
///
/// # Errors
/// If the corpora, the VQ-VAE or the folder cannot be used, or a run failed.
pub fn run(arguments: &Arguments) -> Result<()> {
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
    let fuses = |system: &System| system.representation == Representation::Fusion;
    let fusions = systems.iter().filter(|system| fuses(system)).count();
    ensure!(
        fusions == 0 || arguments.vq.is_some(),
        "Fusion systems need R_l: name a pre-trained run with --vq, or choose Deep systems with --systems"
    );
    for fold in &folds {
        protocol.guard(&data.utterances, fold, hashes)?;
        if let Some(pretrained) = &arguments.vq {
            fit::guard_pretraining(pretrained, &data, fold)?;
        }
    }
    let vq = match &arguments.vq {
        Some(folder) => fit::pretrained(folder)?,
        None => Value::Null,
    };
    let record = json!({
        "command": "ablate", "protocol": protocol.to_string(), "labels": data.classes,
        "data": data.digest(), "vq": vq,
        "utterances": data.utterances.len(),
        "splits": folds.iter().map(Fold::digest).collect::<Vec<_>>(),
    });
    let run = Run::begin(&arguments.out, &preset, &record)?;
    // Beside the record, since more seeds may be asked for later.
    run.write(
        PLAN,
        &json!({ "seeds": (0..arguments.seeds).collect::<Vec<_>>() }),
    )?;
    let shared = folds
        .iter()
        .map(|fold| {
            let statistics = Statistics::of(&data.features, &fold.train);
            Ok(Shared {
                sampler: fit::sampler(&preset, &data, fold, statistics)?,
                latent: Mutex::new(None),
                codes: (0..arguments.seeds)
                    .map(|_| {
                        Mutex::new(Slot {
                            codes: None,
                            wanted: fusions,
                        })
                    })
                    .collect(),
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
        vq,
    };
    let mut failures = ablation.work(&tasks)?;
    ablation.evidence()?;
    let destination = arguments.out.join("report");
    report::write(&arguments.out, &destination)?;
    eprintln!("report: {}", destination.join("ablation.html").display());
    let failed = failures.len();
    match failures.pop() {
        Some(last) => Err(last.context(format!(
            "{failed} of {} runs failed, each named above; the last",
            tasks.len()
        ))),
        None => Ok(()),
    }
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
    /// Does all tasks, several at a time, and gives the errors of those that failed.
    fn work(&self, tasks: &[Task]) -> Result<Vec<anyhow::Error>> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = self.arguments.jobs.unwrap_or(cores).clamp(1, tasks.len());
        let next = AtomicUsize::new(0);
        let work = || {
            let mut failures = Vec::new();
            while let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
                let Err(error) = self.task(task) else {
                    continue;
                };
                let error = error.context(format!(
                    "{} on fold {} with seed {}",
                    task.system.slug(),
                    task.fold,
                    task.seed
                ));
                self.say(&format!("failed: {error:#}"));
                failures.push(error);
            }
            failures
        };
        let failures = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let mut failures = Vec::new();
            for worker in workers {
                let done = worker.join();
                failures
                    .extend(done.map_err(|_| anyhow!("a training thread panicked; see above"))?);
            }
            Ok(failures)
        });
        self.bar.finish_and_clear();
        failures
    }

    fn task(&self, task: &Task) -> Result<()> {
        let done = self.train(task);
        if task.system.representation == Representation::Fusion {
            let slot = &self.shared[task.fold].codes[task.seed as usize];
            let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            slot.wanted -= 1;
            if slot.wanted == 0 {
                slot.codes = None;
            }
        }
        done
    }

    fn train(&self, task: &Task) -> Result<()> {
        let Task { system, seed, fold } = *task;
        let mut preset = self.preset.clone();
        preset.representation = system.representation;
        preset.sequence.model = system.sequence;
        preset.training.seed += seed;
        let folder = folder(&self.arguments.out, task);
        let record = json!({
            "command": "ablate", "protocol": self.protocol.to_string(), "labels": self.data.classes,
            "system": system.slug(), "fold": format!("{fold}/{}", self.folds.len()),
            "split": self.folds[fold].digest(), "data": self.data.digest(), "vq": self.vq,
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
        let pretrained = self.arguments.vq.as_deref();
        let pretrained = pretrained.context("a Fusion system without a pre-trained VQ-VAE")?;
        let folder = self.latent_folder(fold);
        let record =
            json!({ "command": "fine-tune", "split": self.folds[fold].digest(), "vq": self.vq });
        let run = Run::begin(&folder, &self.preset, &record)?;
        let vqvae = fit::finetuned(&self.preset, pretrained, &shared.sampler, &run)?;
        *place = Some(vqvae.clone());
        Ok(vqvae)
    }

    fn latent_folder(&self, fold: usize) -> PathBuf {
        self.arguments.out.join("folds").join(fold.to_string())
    }

    /// The codes of all that a fold's systems hear with one seed, by the first that asks for them.
    fn codes(&self, vqvae: &VqVae, task: &Task, preset: &Preset) -> Result<Arc<Codes>> {
        let Shared { sampler, codes, .. } = &self.shared[task.fold];
        let mut slot = codes[task.seed as usize]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(codes) = &slot.codes {
            return Ok(Arc::clone(codes));
        }
        let fold = &self.folds[task.fold];
        let evaluated = [fold.validation.as_slice(), &fold.test].concat();
        let plan = [preset.training.seed, preset.training.epochs as u64];
        let computed = Arc::new(Codes::compute(vqvae, sampler, plan, &evaluated));
        slot.codes = Some(Arc::clone(&computed));
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
        assert_eq!(chosen(&[]).unwrap().len(), 14);
        let names = ["deep-blstm", "fusion-tacn"].map(str::to_owned);
        assert_eq!(chosen(&names).unwrap().len(), 2);
        let error = chosen(&["deep-tacnn".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("fusion-tacn,"), "{error}");
    }
}

//! The training runs of an ablation: every system on every fold and seed, on several threads.
//!
//! Runs of one fold share what does not depend on the system: the batches, the fine-tuned VQ-VAE and
//! its codes. Each of these is computed by the first run that needs it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, anyhow};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::atomic_file;
use crate::data::dataset::Dataset;
use crate::data::features::Statistics;
use crate::data::split::{Fold, Protocol};
use crate::evaluate::systems::System;
use crate::model::vqvae::VqVae;
use crate::preset::{Preset, Representation};
use crate::train::autoencoder::WEIGHTS;
use crate::train::batch::Sampler;
use crate::train::codes::Codes;
use crate::train::finetuning;
use crate::train::fit::{self, Job};
use crate::train::run::{OUTCOME, Outcome, Run};

/// One system on one fold with one seed.
pub(super) struct Task {
    pub(super) system: System,
    pub(super) seed: u64,
    pub(super) fold: usize,
}

/// What the systems of a fold share.
struct SharedInputs<'a> {
    sampler: Sampler<'a>,
    /// The fine-tuned VQ-VAE, once a run has needed it.
    latent: Mutex<Option<VqVae>>,
    /// Its codes, by seed.
    codes: Vec<Mutex<Slot>>,
}

/// The codes of a fold and a seed, kept until the last run that uses them has ended.
struct Slot {
    codes: Option<Arc<Codes>>,
    /// Runs that have not ended yet.
    users: usize,
}

/// What decides the runs of an ablation.
pub(super) struct Plan<'a> {
    /// The systems to train, in this order.
    pub(super) systems: Vec<System>,
    /// Seeds 0 to `seeds` − 1 are added to the preset's.
    pub(super) seeds: u64,
    pub(super) preset: Preset,
    pub(super) protocol: Protocol,
    pub(super) data: &'a Dataset,
    pub(super) folds: Vec<Fold>,
    /// Run folder of the pre-trained VQ-VAE.
    pub(super) pretrained: Option<&'a Path>,
    /// What the records contain of that VQ-VAE.
    pub(super) vq: Value,
    /// Folder of the ablation.
    pub(super) out: &'a Path,
}

/// The runs of an ablation, and what its threads share.
pub(super) struct AblationRuns<'a> {
    plan: Plan<'a>,
    shared: Vec<SharedInputs<'a>>,
    tasks: Vec<Task>,
    bar: ProgressBar,
}

impl<'a> AblationRuns<'a> {
    /// Prepares the batches of each fold.
    pub(super) fn new(plan: Plan<'a>) -> Result<Self> {
        let fusion = |system: &&System| system.representation == Representation::Fusion;
        let users = plan.systems.iter().filter(fusion).count();
        let slot = |_| Mutex::new(Slot { codes: None, users });
        let shared = plan
            .folds
            .iter()
            .map(|fold| {
                let statistics = Statistics::of(&plan.data.features, &fold.train);
                Ok(SharedInputs {
                    sampler: fit::sampler(&plan.preset, plan.data, fold, statistics)?,
                    latent: Mutex::new(None),
                    codes: (0..plan.seeds).map(slot).collect(),
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let mut tasks = Vec::new();
        for seed in 0..plan.seeds {
            for fold in 0..plan.folds.len() {
                let task = |&system: &System| Task { system, seed, fold };
                tasks.extend(plan.systems.iter().map(task));
            }
        }
        Ok(Self {
            bar: bar(tasks.len() * plan.preset.training.epochs),
            plan,
            shared,
            tasks,
        })
    }

    /// The number of runs.
    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    pub(super) fn plan(&self) -> &Plan<'a> {
        &self.plan
    }

    pub(super) fn sampler(&self, fold: usize) -> &Sampler<'a> {
        &self.shared[fold].sampler
    }

    /// Trains all systems, `jobs` runs at a time (one per core if `None`), and returns the errors of failed runs.
    ///
    /// # Errors
    /// If a training thread panicked.
    pub(super) fn train_all(&self, jobs: Option<usize>) -> Result<Vec<anyhow::Error>> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = jobs.unwrap_or(cores).clamp(1, self.tasks.len());
        let next = AtomicUsize::new(0);
        let work = || {
            let mut failures = Vec::new();
            while let Some(task) = self.tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
                let Err(error) = self.task(task) else {
                    continue;
                };
                let error = error.context(format!(
                    "{} on fold {} with seed {}",
                    task.system.slug(),
                    task.fold,
                    task.seed
                ));
                self.print(&format!("failed: {error:#}"));
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
            slot.users -= 1;
            if slot.users == 0 {
                slot.codes = None;
            }
        }
        done
    }

    fn train(&self, task: &Task) -> Result<()> {
        let Task { system, seed, fold } = *task;
        let plan = &self.plan;
        let mut preset = plan.preset.clone();
        preset.representation = system.representation;
        preset.sequence.model = system.sequence;
        preset.training.seed += seed;
        let folder = folder(plan.out, task);
        let record = json!({
            "command": "ablate", "protocol": plan.protocol.to_string(), "labels": plan.data.classes,
            "system": system.slug(), "fold": format!("{fold}/{}", plan.folds.len()),
            "split": plan.folds[fold].digest(), "data": plan.data.digest(), "vq": plan.vq,
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
                    // `export` reads the weights from the run's own folder.
                    let weights = std::fs::read(self.latent_folder(fold).join(WEIGHTS))?;
                    atomic_file::replace(&own, &weights)?;
                }
                let codes = self.codes(&vqvae, task, &preset)?;
                (Some(vqvae), Some(codes))
            }
        };
        let job = Job {
            preset: &preset,
            data: plan.data,
            fold: &plan.folds[fold],
            sampler: &self.shared[fold].sampler,
            vqvae,
            codes,
            run: &run,
            bar: Some(&self.bar),
        };
        let Outcome { test_ua, .. } = job.finish()?;
        let ua = test_ua.context("the fold has no test speakers")?;
        self.print(&format!(
            "{} fold {fold} seed {seed}: test UA {:.1}",
            system.slug(),
            100.0 * ua
        ));
        Ok(())
    }

    /// Returns the fold's VQ-VAE; the first thread that needs it fine-tunes it.
    pub(super) fn vqvae(&self, fold: usize) -> Result<VqVae> {
        let shared = &self.shared[fold];
        let mut place = shared.latent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(vqvae) = &*place {
            return Ok(vqvae.clone());
        }
        let plan = &self.plan;
        let pretrained = plan
            .pretrained
            .context("a Fusion system needs a pre-trained VQ-VAE; give its run folder with --vq")?;
        let folder = self.latent_folder(fold);
        let record =
            json!({ "command": "fine-tune", "split": plan.folds[fold].digest(), "vq": plan.vq });
        let run = Run::begin(&folder, &plan.preset, &record)?;
        let vqvae = finetuning::finetuned(&plan.preset, pretrained, &shared.sampler, &run)?;
        *place = Some(vqvae.clone());
        Ok(vqvae)
    }

    fn latent_folder(&self, fold: usize) -> PathBuf {
        self.plan.out.join("folds").join(fold.to_string())
    }

    /// Returns the codes of all batches and evaluated utterances of a fold with one seed; the first thread
    /// that needs them computes them.
    fn codes(&self, vqvae: &VqVae, task: &Task, preset: &Preset) -> Result<Arc<Codes>> {
        let SharedInputs { sampler, codes, .. } = &self.shared[task.fold];
        let mut slot = codes[task.seed as usize]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(codes) = &slot.codes {
            return Ok(Arc::clone(codes));
        }
        let fold = &self.plan.folds[task.fold];
        let evaluated = [fold.validation.as_slice(), &fold.test].concat();
        let (seed, epochs) = (preset.training.seed, preset.training.epochs as u64);
        let computed = Arc::new(Codes::compute(vqvae, sampler, seed, epochs, &evaluated));
        slot.codes = Some(Arc::clone(&computed));
        Ok(computed)
    }

    fn print(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }
}

fn bar(epochs: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} epochs {elapsed} left {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(epochs as u64).with_style(style)
}

/// Returns the run folder of a system on a fold.
pub(super) fn folder(out: &Path, task: &Task) -> PathBuf {
    out.join("cells")
        .join(task.system.slug())
        .join(format!("seed{}", task.seed))
        .join(format!("fold{}", task.fold))
}

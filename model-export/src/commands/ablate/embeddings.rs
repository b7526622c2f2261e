//! The data of two figures that predictions do not contain: representations of the test utterances,
//! and how often each code of the codebook is used.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde_json::Value;

use super::runs::{AblationRuns, Task, folder};
use crate::atomic_file;
use crate::evaluate::systems::System;
use crate::model::quantiser::perplexity;
use crate::model::values;
use crate::preset::{Representation, SequenceModel};
use crate::report::ablation::{CODEBOOK, Codebook, CodebookEpoch, EMBEDDINGS, Embeddings, Point};
use crate::train::codes::Codes;
use crate::train::run::{OUTCOME, Run};
use crate::train::trainer::Trainer;

/// The paper's own system on the first fold, which its Figure 4 shows.
const SHOWN: Task = Task {
    system: System {
        representation: Representation::Fusion,
        sequence: SequenceModel::Tacn,
    },
    seed: 0,
    fold: 0,
};

/// Writes [`EMBEDDINGS`] and [`CODEBOOK`] beside the runs. Does nothing if they exist, or if the paper's own
/// system has not been trained.
pub(super) fn write(runs: &AblationRuns<'_>) -> Result<()> {
    let plan = runs.plan();
    let Some(pretrained) = plan.pretrained else {
        return Ok(());
    };
    let folder = folder(plan.out, &SHOWN);
    if !folder.join(OUTCOME).exists() || plan.out.join(CODEBOOK).exists() {
        return Ok(());
    }
    let run = Run::open(&folder)?;
    let preset = run.preset()?;
    let vqvae = runs.vqvae(SHOWN.fold)?;
    let sampler = runs.sampler(SHOWN.fold);
    let labels = plan.data.classes.clone();
    let trainer = Trainer::resume(&preset, labels.len(), Some(vqvae.clone()), run.folder())?;
    let deep = trainer.averaged().cnn.linear.weight.dims()[1];
    let points = plan.folds[SHOWN.fold]
        .test
        .iter()
        .map(|&index| {
            let fused = trainer.fused(sampler.whole(index).segments).mean_dim(0);
            let fusion: Vec<f32> = values(fused);
            let utterance = &plan.data.utterances[index];
            Some(Point {
                label: utterance.label?,
                speaker: utterance.speaker.clone(),
                corpus: utterance.corpus.to_string(),
                deep: fusion.get(..deep)?.to_vec(),
                fusion,
            })
        })
        .collect::<Option<_>>()
        .context("a test utterance has no label")?;
    let embeddings = Embeddings { labels, points };
    write_json(&plan.out.join(EMBEDDINGS), &embeddings)?;

    let codes = Codes::compute(&vqvae, sampler, preset.training.seed, 1, &[]);
    let counts = codes.used(preset.vqvae.codes);
    let codebook = Codebook {
        perplexity: perplexity(&counts),
        counts,
        curve: curve(pretrained)?,
    };
    write_json(&plan.out.join(CODEBOOK), &codebook)
}

/// Reads the reconstruction error and perplexity of each epoch of the pre-training.
fn curve(pretrained: &Path) -> Result<Vec<CodebookEpoch>> {
    let path = pretrained.join("metrics.jsonl");
    // The weights may have been copied without their learning curves.
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    text.lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line)?;
            let figure = |name: &str| line["report"][name].as_f64();
            let epoch = line["epoch"].as_u64().and_then(|e| usize::try_from(e).ok());
            let point = epoch.zip(figure("reconstruction"));
            let ((epoch, reconstruction), perplexity) = point
                .zip(figure("perplexity"))
                .context("a line has no epoch, reconstruction or perplexity")?;
            Ok(CodebookEpoch {
                epoch,
                reconstruction,
                perplexity,
            })
        })
        .collect::<Result<_>>()
        .with_context(|| path.display().to_string())
}

fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    atomic_file::replace(path, &serde_json::to_vec(value)?)
}

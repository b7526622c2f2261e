//! What the report draws besides judgements: representations of test utterances, use of the codebook.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::Value;

use super::{Ablation, Task, folder};
use crate::checkpoint;
use crate::codes::Codes;
use crate::fit::OUTCOME;
use crate::model::quantiser::perplexity;
use crate::model::values;
use crate::preset::{Representation, SequenceModel};
use crate::run::Run;
use crate::systems::System;
use crate::trainer::Trainer;

/// The paper's own system, on the first fold: what Figure 4 shows.
const SHOWN: Task = Task {
    system: System {
        representation: Representation::Fusion,
        sequence: SequenceModel::Tacn,
    },
    seed: 0,
    fold: 0,
};

/// R_d and R_f of test utterances.
#[derive(Serialize)]
struct Embeddings {
    labels: Vec<String>,
    points: Vec<Point>,
}

/// One utterance: means over its segments, on the scale that the fusion layer sees.
#[derive(Serialize)]
struct Point {
    label: usize,
    speaker: String,
    corpus: String,
    deep: Vec<f32>,
    fusion: Vec<f32>,
}

/// How training speech uses the codes, and how pre-training went.
#[derive(Serialize)]
struct Codebook {
    counts: Vec<u64>,
    perplexity: f64,
    curve: Vec<CurvePoint>,
}

#[derive(Serialize)]
struct CurvePoint {
    epoch: u64,
    reconstruction: f64,
    perplexity: f64,
}

impl Ablation<'_> {
    /// Writes `embeddings.json` and `codebook.json` beside the cells; nothing if the paper's own
    /// system has not been trained.
    pub(super) fn evidence(&self) -> Result<()> {
        let out = &self.arguments.out;
        let Some(pretrained) = &self.arguments.vq else {
            return Ok(());
        };
        if !folder(out, &SHOWN).join(OUTCOME).exists() || out.join("codebook.json").exists() {
            return Ok(());
        }
        let run = Run::open(&folder(out, &SHOWN))?;
        let preset = run.preset()?;
        let vqvae = self.vqvae(SHOWN.fold)?;
        let sampler = &self.shared[SHOWN.fold].sampler;
        let labels = self.data.classes.clone();
        let trainer = Trainer::resume(&preset, labels.len(), Some(vqvae.clone()), run.folder())?;
        let deep = trainer.averaged().cnn.linear.weight.dims()[1];
        let points = self.folds[SHOWN.fold]
            .test
            .iter()
            .map(|&index| {
                let fused = trainer.fused(sampler.whole(index).segments).mean_dim(0);
                let fusion: Vec<f32> = values(fused);
                let utterance = &self.data.utterances[index];
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
        write(&out.join("embeddings.json"), &embeddings)?;

        let plan = [preset.training.seed, 1];
        let codes = Codes::compute(&vqvae, sampler, plan, &[]);
        let counts = codes.used(preset.vqvae.codes);
        let codebook = Codebook {
            perplexity: perplexity(&counts),
            counts,
            curve: curve(pretrained)?,
        };
        write(&out.join("codebook.json"), &codebook)
    }
}

/// How reconstruction and perplexity went while the VQ-VAE was pre-trained.
fn curve(pretrained: &Path) -> Result<Vec<CurvePoint>> {
    let path = pretrained.join("metrics.jsonl");
    // Weights may have been copied without their curves.
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    text.lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line)?;
            let figure = |name: &str| line["report"][name].as_f64();
            let point = line["epoch"].as_u64().zip(figure("reconstruction"));
            let ((epoch, reconstruction), perplexity) = point
                .zip(figure("perplexity"))
                .context("a line without epoch, reconstruction and perplexity")?;
            Ok(CurvePoint {
                epoch,
                reconstruction,
                perplexity,
            })
        })
        .collect::<Result<_>>()
        .with_context(|| path.display().to_string())
}

fn write<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    checkpoint::replace(path, &serde_json::to_vec(value)?)
}

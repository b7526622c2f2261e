//! Training steps of the whole network, and its moving average.
//!
//! A step depends only on the state and on (seed, epoch, step): the generator of dropout is seeded for
//! every step. A resumed run is therefore bit-identical to an uninterrupted one, whatever other threads train.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, ensure};
use burn::module::Module;
use burn::optim::{GradientsParams, ModuleOptimizer, OptimizerRecord};
use burn::store::ModuleRecord;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng;
use rand::rngs::StdRng;
use undertone::frontend::{BINS, SEGMENT_FRAMES, SEGMENT_VALUES};

use crate::data::corpus::Utterance;
use crate::evaluate::metrics::argmax;
use crate::model::backend;
use crate::model::cnn::Tape;
use crate::model::network::{Evidence, Network, real};
use crate::model::vqvae::VqVae;
use crate::preset::{Preset, Training};
use crate::train::adadelta::Adadelta;
use crate::train::averaging::follow;
use crate::train::batch::{Batch, Sampler};
use crate::train::codes::Codes;
use crate::train::prediction::Prediction;

/// Number of utterances in an evaluation batch.
const EVALUATION_UTTERANCES: usize = 8;
/// Held while initial weights are drawn, because burn has one random generator per process.
static FIRST_WEIGHTS: Mutex<()> = Mutex::new(());

/// A network under training.
pub struct Trainer {
    network: Network,
    average: Network,
    optimizer: ModuleOptimizer,
    /// Frozen; none in "deep" systems.
    vqvae: Option<VqVae>,
    /// Codes of segments that were computed beforehand.
    codes: Option<Arc<Codes>>,
    training: Training,
    /// Number of steps over all epochs.
    taken: u64,
}

/// The result of one step.
#[derive(Clone, Copy, Debug, Default)]
pub struct StepResult {
    /// The loss.
    pub loss: f64,
    /// Number of correctly classified utterances.
    pub correct: usize,
    /// Number of utterances.
    pub seen: usize,
}

impl Trainer {
    /// Creates a network with initial weights for this many classes, and a frozen VQ-VAE.
    pub fn new(preset: &Preset, classes: usize, vqvae: Option<VqVae>) -> Self {
        let device = backend::device().autodiff();
        // The lock protects only the order of draws, so a poisoned lock is harmless.
        let drawing = FIRST_WEIGHTS.lock().unwrap_or_else(PoisonError::into_inner);
        device.seed(preset.training.seed);
        let network = Network::new(preset, classes, &device);
        let average = network.valid();
        drop(drawing);
        let optimizer = Adadelta {
            weight_decay: preset.training.weight_decay,
            ..Adadelta::default()
        };
        Self {
            average,
            network,
            optimizer: optimizer.module(),
            vqvae,
            codes: None,
            training: preset.training.clone(),
            taken: 0,
        }
    }

    /// Uses codes that were computed beforehand, by the same VQ-VAE on the same batches.
    #[must_use]
    pub fn with_codes(mut self, codes: Option<Arc<Codes>>) -> Self {
        self.codes = codes;
        self
    }

    /// Takes one step on a batch; `progress` is the finished part of the run, from 0 to 1.
    pub fn step(&mut self, batch: Batch, seed: [u64; 3], progress: f64) -> StepResult {
        let device = backend::device().autodiff();
        let mut random = StdRng::seed_from_u64(mixed(seed));
        let labels = batch.labels.clone();
        let targets = batch.targets.clone();
        let lengths = batch.lengths.clone();
        let segments = batch.into_real_segments();
        let [_, epoch, step] = seed;
        let known = self
            .codes
            .as_ref()
            .and_then(|codes| codes.of_step(epoch, step));
        let latent = self.latent(&segments, known, &device);
        let (flat, tape) = maps(&self.network, segments, &device);
        let evidence = self
            .network
            .evidence(flat.clone(), latent, &lengths, Some(&mut random));
        let pooled = evidence.pooled(&lengths);
        let loss = self.loss(&evidence, pooled.clone(), &targets, &lengths);

        let mut gradients = loss.backward();
        let back = flat.grad_remove(&mut gradients);
        let mut gradients = GradientsParams::from_grads(gradients, &self.network);
        if let (Some(tape), Some(back)) = (tape, back) {
            tape.backward(&self.network.cnn, back, &mut gradients);
        }
        let rate = self.rate(progress);
        self.network = self.optimizer.step(rate, self.network.clone(), gradients);
        let average = self.average.clone();
        self.average = follow(
            average,
            &self.network,
            self.training.average_decay,
            self.taken,
        );
        self.taken += 1;

        let predictions = rows(pooled);
        StepResult {
            loss: loss.into_scalar::<f32>().into(),
            correct: predictions
                .iter()
                .zip(&labels)
                .filter(|(s, l)| argmax(s) == **l)
                .count(),
            seen: labels.len(),
        }
    }

    /// Computes the cross-entropy of utterances, plus that of single steps.
    fn loss(
        &self,
        evidence: &Evidence,
        pooled: Tensor<2>,
        targets: &[f32],
        lengths: &[usize],
    ) -> Tensor<1> {
        let [batch, steps, classes] = evidence.logits.dims();
        let device = pooled.device();
        let smoothing = self.training.label_smoothing as f32;
        let values: Vec<f32> = targets
            .iter()
            .map(|share| share * (1.0 - smoothing) + smoothing / classes as f32)
            .collect();
        let targets = Tensor::<2>::from_data(TensorData::new(values, [batch, classes]), &device);
        let utterances = -(log_softmax(pooled, 1) * targets.clone()).sum() / batch as f32;
        if self.training.step_loss == 0.0 {
            return utterances;
        }
        let likelihoods = log_softmax(evidence.logits.clone(), 2) * targets.unsqueeze_dim::<3>(1);
        let likelihoods = likelihoods.sum_dim(2).reshape([batch, steps]);
        let real_steps = lengths.iter().sum::<usize>() as f32;
        let single = -(likelihoods * real(lengths, steps, &device)).sum() / real_steps;
        utterances + single * self.training.step_loss
    }

    /// Returns Adadelta's rate: constant, then falling to a tenth along a cosine.
    fn rate(&self, progress: f64) -> f64 {
        let Training { rate, cooldown, .. } = self.training;
        let into =
            ((progress - (1.0 - cooldown)) / cooldown.max(f64::MIN_POSITIVE)).clamp(0.0, 1.0);
        if cooldown == 0.0 {
            return rate;
        }
        let share = f64::midpoint(1.0, (into * std::f64::consts::PI).cos());
        rate * (0.1 + 0.9 * share)
    }

    /// Classifies whole utterances with the averaged network.
    pub fn predict(
        &self,
        sampler: &Sampler<'_>,
        utterances: &[Utterance],
        indices: &[usize],
    ) -> Vec<Prediction> {
        let mut predictions = Vec::with_capacity(indices.len());
        for batch in sampler.evaluation_batches(indices, EVALUATION_UTTERANCES) {
            let (chosen, lengths) = (batch.utterances.clone(), batch.lengths.clone());
            let known = self
                .codes
                .as_ref()
                .and_then(|codes| codes.of_utterances(&chosen));
            let evidence =
                self.known_evidence(batch.into_real_segments(), &lengths, known.as_deref());
            for (index, logits) in chosen.into_iter().zip(rows(evidence.pooled(&lengths))) {
                let utterance = &utterances[index];
                predictions.push(Prediction {
                    path: utterance.name(),
                    corpus: utterance.corpus.to_string(),
                    speaker: utterance.speaker.clone(),
                    label: utterance.label.unwrap_or(usize::MAX),
                    logits,
                });
            }
        }
        predictions
    }

    /// Computes the averaged network's evidence on utterances' segments [M, 32, 129] in a row.
    pub fn evidence(&self, segments: Vec<f32>, lengths: &[usize]) -> Evidence {
        self.known_evidence(segments, lengths, None)
    }

    fn known_evidence(
        &self,
        segments: Vec<f32>,
        lengths: &[usize],
        codes: Option<&[u16]>,
    ) -> Evidence {
        let device = backend::device();
        let latent = self.latent(&segments, codes, &device);
        let flat = inferred(&self.average, segments, &device);
        self.average.evidence(flat, latent, lengths, None)
    }

    /// Computes x [M, C] with the averaged network.
    pub fn features(&self, segments: Vec<f32>) -> Tensor<2> {
        let device = backend::device();
        let latent = self.latent(&segments, None, &device);
        let flat = inferred(&self.average, segments, &device);
        self.average.features(flat, latent, None)
    }

    /// Computes R_f [M, F] with the averaged network, on one scale; R_d is the first columns.
    pub fn fused(&self, segments: Vec<f32>) -> Tensor<2> {
        let device = backend::device();
        let latent = self.latent(&segments, None, &device);
        let flat = inferred(&self.average, segments, &device);
        self.average.fused(flat, latent)
    }

    /// Returns the averaged network.
    pub fn averaged(&self) -> &Network {
        &self.average
    }

    /// Replaces the averaged network.
    pub fn adopt(&mut self, average: Network) {
        self.average = average;
    }

    /// Returns the frozen VQ-VAE.
    pub fn vqvae(&self) -> Option<&VqVae> {
        self.vqvae.as_ref()
    }

    /// Computes R_l of segments, from their codes if these are given.
    fn latent(
        &self,
        segments: &[f32],
        codes: Option<&[u16]>,
        device: &Device,
    ) -> Option<Tensor<2>> {
        let vqvae = self.vqvae.as_ref()?;
        let count = segments.len() / SEGMENT_VALUES;
        let representation = match codes {
            Some(codes) => {
                let codes: Vec<usize> = codes.iter().map(|&code| code.into()).collect();
                vqvae.representation(&codes, count)
            }
            None => vqvae.latent(segments.to_vec()).representation,
        };
        let width = representation.len() / count;
        let data = TensorData::new(representation, [count, width]);
        Some(Tensor::from_data(data, device))
    }

    /// Writes a checkpoint's files, or a finished run's.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn save(&self, folder: &Path) -> Result<()> {
        self.network
            .valid()
            .into_record()
            .save(folder.join("network.bpk"))?;
        self.average
            .clone()
            .into_record()
            .save(folder.join("average.bpk"))?;
        self.optimizer.save(folder.join("optimizer.bpk"))?;
        std::fs::write(folder.join("steps"), self.taken.to_string())?;
        Ok(())
    }

    /// Resumes from a checkpoint's files.
    ///
    /// # Errors
    /// If they cannot be read or belong to another preset.
    pub fn resume(
        preset: &Preset,
        classes: usize,
        vqvae: Option<VqVae>,
        folder: &Path,
    ) -> Result<Self> {
        let mut this = Self::new(preset, classes, vqvae);
        let load = |name: &str| ModuleRecord::load(folder.join(name));
        this.network = this.network.try_load_record(load("network.bpk")?)?;
        this.average = this.average.try_load_record(load("average.bpk")?)?;
        let record = OptimizerRecord::load(folder.join("optimizer.bpk"))?;
        this.optimizer = this.optimizer.load_record(record);
        let taken = std::fs::read_to_string(folder.join("steps"))?;
        ensure!(
            !taken.is_empty(),
            "the checkpoint in {} is empty",
            folder.display()
        );
        this.taken = taken.parse()?;
        Ok(this)
    }
}

/// Computes the CNN's flattened maps as a leaf of the gradient, with the tape of the backward pass; without a
/// tape, burn computes them.
fn maps(network: &Network, segments: Vec<f32>, device: &Device) -> (Tensor<2>, Option<Tape>) {
    match network.cnn.train_by_hand(&segments) {
        Some((flat, tape)) => (flat, Some(tape)),
        None => (network.cnn.maps(tensor(segments, device)), None),
    }
}

fn inferred(network: &Network, segments: Vec<f32>, device: &Device) -> Tensor<2> {
    match network.cnn.infer_by_hand(&segments) {
        Some(flat) => flat,
        None => network.cnn.maps(tensor(segments, device)),
    }
}

fn tensor(segments: Vec<f32>, device: &Device) -> Tensor<4> {
    let shape = [segments.len() / SEGMENT_VALUES, 1, SEGMENT_FRAMES, BINS];
    Tensor::from_data(TensorData::new(segments, shape), device)
}

/// Returns the rows of [B, K].
fn rows(logits: Tensor<2>) -> Vec<Vec<f32>> {
    let [_, classes] = logits.dims();
    crate::model::values(logits)
        .chunks_exact(classes)
        .map(<[f32]>::to_vec)
        .collect()
}

/// Mixes a place in a run into one seed (SplitMix64's finaliser, chained).
fn mixed(place: [u64; 3]) -> u64 {
    place.into_iter().fold(0, |state: u64, word| {
        let mut z = (state ^ word).wrapping_add(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    })
}

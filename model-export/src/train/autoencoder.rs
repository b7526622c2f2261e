//! Training steps of a VQ-VAE, for pre-training and fine-tuning.

use std::path::Path;

use anyhow::{Context, Result};
use burn::module::Module;
use burn::optim::{GradientsParams, ModuleOptimizer, OptimizerRecord};
use burn::store::ModuleRecord;
use burn::tensor::{Tensor, TensorData};
use rand::SeedableRng;
use rand::rngs::StdRng;
use undertone::frontend::{BINS, SEGMENT_FRAMES, SEGMENT_VALUES};

use crate::model::backend;
use crate::model::quantiser::perplexity;
use crate::model::vqvae::VqVae;
use crate::preset;
use crate::train::adadelta::Adadelta;

/// Name of the file with the weights of a VQ-VAE, in a checkpoint and in a finished run's folder.
pub const WEIGHTS: &str = "vqvae.bpk";
/// Name of the file with the content hashes of all pre-training recordings, in hexadecimal.
pub const PRETRAINING_HASHES: &str = "heard.json";

/// A VQ-VAE under training.
pub struct Autoencoder {
    model: VqVae,
    optimizer: ModuleOptimizer,
    rate: f64,
    tally: Tally,
}

/// Sums since the last report.
#[derive(Debug, PartialEq)]
struct Tally {
    /// Steps since the last report.
    steps: usize,
    /// Sum of the steps' mean squared errors.
    reconstruction: f64,
    /// How often each code was chosen.
    chosen: Vec<u64>,
}

/// Name of the file with an unfinished tally, in a checkpoint.
const TALLY: &str = "tally";

/// Means over the steps since the last report.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Report {
    /// Mean squared error of reconstructed segments; 1 is the error of the mean spectrum.
    pub reconstruction: f64,
    /// Perplexity of the codes: how many evenly used codes would be as diverse.
    pub perplexity: f64,
}

impl Autoencoder {
    /// Creates a VQ-VAE with initial weights.
    pub fn new(preset: &preset::VqVaePreset, seed: u64, rate: f64) -> Self {
        let device = backend::device().autodiff();
        device.seed(seed);
        Self::with(VqVae::new(preset, &device), preset, rate)
    }

    /// Creates a VQ-VAE with weights from a file.
    ///
    /// # Errors
    /// If they cannot be read or belong to another preset.
    pub fn load(preset: &preset::VqVaePreset, path: &Path, rate: f64) -> Result<Self> {
        let model = VqVae::new(preset, &backend::device().autodiff());
        let model = model.try_load_record(ModuleRecord::load(path)?)?;
        Ok(Self::with(model, preset, rate))
    }

    fn with(model: VqVae, preset: &preset::VqVaePreset, rate: f64) -> Self {
        Self {
            model,
            optimizer: Adadelta::default().module(),
            rate,
            tally: Tally::new(preset.codes),
        }
    }

    /// Takes one step on segments [N, 32, 129]; `seed` decides which vectors restart unused codes.
    pub fn step(&mut self, segments: Vec<f32>, seed: [u64; 4]) {
        let device = backend::device().autodiff();
        let shape = [segments.len() / SEGMENT_VALUES, 1, SEGMENT_FRAMES, BINS];
        let segments = Tensor::<4>::from_data(TensorData::new(segments, shape), &device);
        let mut bytes = [0; 32];
        for (bytes, word) in bytes.chunks_exact_mut(8).zip(seed) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        let mut random = StdRng::from_seed(bytes);
        let batch = self.model.autoencode(segments, Some(&mut random));
        let gradients = GradientsParams::from_grads(batch.loss.backward(), &self.model);
        self.model = self
            .optimizer
            .step(self.rate, self.model.clone(), gradients);
        self.tally.steps += 1;
        self.tally.reconstruction += f64::from(batch.reconstruction);
        for code in batch.codes {
            self.tally.chosen[code] += 1;
        }
    }

    /// Returns the means since the last call.
    pub fn report(&mut self) -> Report {
        let empty = Tally::new(self.tally.chosen.len());
        let tally = std::mem::replace(&mut self.tally, empty);
        Report {
            reconstruction: tally.reconstruction / tally.steps.max(1) as f64,
            perplexity: perplexity(&tally.chosen),
        }
    }

    /// Returns the model without gradients.
    pub fn model(&self) -> VqVae {
        self.model.valid()
    }

    /// Writes a checkpoint's files.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn save(&self, folder: &Path) -> Result<()> {
        self.model().into_record().save(folder.join(WEIGHTS))?;
        self.optimizer.save(folder.join("optimizer.bpk"))?;
        if self.tally.steps > 0 {
            std::fs::write(folder.join(TALLY), self.tally.text())?;
        }
        Ok(())
    }

    /// Resumes from a checkpoint's files.
    ///
    /// # Errors
    /// If they cannot be read or belong to another preset.
    pub fn resume(preset: &preset::VqVaePreset, folder: &Path, rate: f64) -> Result<Self> {
        let mut this = Self::load(preset, &folder.join(WEIGHTS), rate)?;
        let record = OptimizerRecord::load(folder.join("optimizer.bpk"))?;
        this.optimizer = this.optimizer.load_record(record);
        let path = folder.join(TALLY);
        if path.exists() {
            let text = std::fs::read_to_string(&path)?;
            let tally = Tally::parse(&text).filter(|t| t.chosen.len() == preset.codes);
            this.tally = tally.with_context(|| {
                format!(
                    "{} is not a tally; remove the run folder and start again",
                    path.display()
                )
            })?;
        }
        Ok(this)
    }
}

impl Tally {
    fn new(codes: usize) -> Self {
        Self {
            steps: 0,
            reconstruction: 0.0,
            chosen: vec![0; codes],
        }
    }

    /// Formats the tally; Rust writes decimal digits that are parsed to the same bits.
    fn text(&self) -> String {
        let chosen: Vec<String> = self.chosen.iter().map(u64::to_string).collect();
        format!(
            "{} {} {}",
            self.steps,
            self.reconstruction,
            chosen.join(" ")
        )
    }

    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split(' ');
        Some(Self {
            steps: fields.next()?.parse().ok()?,
            reconstruction: fields.next()?.parse().ok()?,
            chosen: fields
                .map(|field| field.parse().ok())
                .collect::<Option<_>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;
    use crate::model::values;
    use crate::preset::{Learning, Preset};

    /// Segments with structure: three of eight spectra, one after the other, each with a random level.
    fn segments(random: &mut StdRng, count: usize) -> Vec<f32> {
        let mut values = Vec::with_capacity(count * SEGMENT_VALUES);
        for _ in 0..count {
            let spectra =
                [(); 3].map(|()| (random.random_range(1..=8), random.random_range(0.5..2.0)));
            for frame in 0..SEGMENT_FRAMES {
                let (peaks, gain): (usize, f32) = spectra[frame * 3 / SEGMENT_FRAMES];
                values.extend((0..BINS).map(|bin| gain * ((bin * peaks) as f32 * 0.05).sin()));
            }
        }
        values
    }

    #[test]
    fn both_ways_of_learning_keep_a_quarter_of_the_codes_in_use() {
        for learning in [Learning::Ema, Learning::Loss] {
            let mut preset = Preset::load("default").unwrap().vqvae;
            preset.learning = learning;
            preset.codes = 32;
            preset.decay = 0.9;
            let mut random = StdRng::seed_from_u64(7);
            let mut autoencoder = Autoencoder::new(&preset, 1, 1.0);
            for step in 0..30 {
                autoencoder.step(segments(&mut random, 8), [1, 0, step, 0]);
            }
            autoencoder.report();
            for step in 30..40 {
                autoencoder.step(segments(&mut random, 8), [1, 0, step, 0]);
            }
            let report = autoencoder.report();
            assert!(report.perplexity >= 8.0, "{learning:?}: {report:?}");
        }
    }

    #[test]
    fn a_resumed_autoencoder_equals_an_uninterrupted_one() {
        for learning in [Learning::Ema, Learning::Loss] {
            let mut preset = Preset::load("default").unwrap().vqvae;
            preset.learning = learning;
            preset.codes = 16;
            preset.revive_below = 0.0;
            let mut random = StdRng::seed_from_u64(9);
            let batches = [(); 4].map(|()| segments(&mut random, 4));
            let steps = |autoencoder: &mut Autoencoder, from: usize| {
                for (step, batch) in (from..).zip(&batches[from..][..2]) {
                    autoencoder.step(batch.clone(), [1, 0, step as u64, 0]);
                }
                values(autoencoder.model().quantiser.codes())
            };
            let (begun, halfway) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let mut whole = Autoencoder::new(&preset, 1, 1.0);
            whole.save(begun.path()).unwrap();
            let half = steps(&mut whole, 0);
            let end = steps(&mut whole, 2);
            assert_ne!(half, end, "{learning:?}: the codes stand still");

            let mut first = Autoencoder::resume(&preset, begun.path(), 1.0).unwrap();
            steps(&mut first, 0);
            first.save(halfway.path()).unwrap();
            let mut second = Autoencoder::resume(&preset, halfway.path(), 1.0).unwrap();
            assert_eq!(steps(&mut second, 2), end, "{learning:?}");
            assert_eq!(second.tally, whole.tally, "{learning:?}");
        }
    }
}

//! What a frozen VQ-VAE says of everything that a fold's systems will hear, computed once.
//!
//! Batches are a function of (seed, epoch, step), so all systems that are trained on a fold with one
//! seed hear the same segments; their codes take 36 numbers a segment and would otherwise cost as
//! much as the rest of a step.

use std::collections::HashMap;

use crate::model::vqvae::VqVae;
use crate::train::batch::{Batch, Sampler};

/// Codes of training batches and of whole utterances.
#[derive(Debug, Default)]
pub struct Codes {
    steps: usize,
    /// Of the real segments of each batch, epoch after epoch: [M, P].
    batches: Vec<Vec<u16>>,
    /// Of each utterance's segments: [T, P].
    utterances: HashMap<usize, Vec<u16>>,
}

impl Codes {
    /// Computes those of all training batches of so many epochs, and of the `evaluated` utterances.
    pub fn compute(
        vqvae: &VqVae,
        sampler: &Sampler<'_>,
        seed: u64,
        epochs: u64,
        evaluated: &[usize],
    ) -> Self {
        let steps = sampler.steps_per_epoch();
        let places = (0..epochs).flat_map(|epoch| (0..steps as u64).map(move |step| (epoch, step)));
        Self {
            steps,
            batches: places
                .map(|(epoch, step)| codes(vqvae, sampler.batch(seed, epoch, step)))
                .collect(),
            utterances: evaluated
                .iter()
                .map(|&index| (index, codes(vqvae, sampler.whole(index))))
                .collect(),
        }
    }

    /// Of a training batch's real segments, one after the other.
    #[must_use]
    pub fn of_step(&self, epoch: u64, step: u64) -> Option<&[u16]> {
        let place = epoch as usize * self.steps + step as usize;
        self.batches.get(place).map(Vec::as_slice)
    }

    /// Of whole utterances, one after the other; none if one of them is unknown.
    #[must_use]
    pub fn of_utterances(&self, indices: &[usize]) -> Option<Vec<u16>> {
        let mut all = Vec::new();
        for index in indices {
            all.extend_from_slice(self.utterances.get(index)?);
        }
        Some(all)
    }

    /// How often each of so many codes was chosen on the training batches.
    #[must_use]
    pub fn used(&self, codes: usize) -> Vec<u64> {
        let mut counts = vec![0; codes];
        for &code in self.batches.iter().flatten() {
            if let Some(count) = counts.get_mut(usize::from(code)) {
                *count += 1;
            }
        }
        counts
    }
}

fn codes(vqvae: &VqVae, batch: Batch) -> Vec<u16> {
    let latent = vqvae.latent(batch.into_real_segments());
    // A preset has at most 65 536 codes.
    latent.codes.into_iter().map(|code| code as u16).collect()
}

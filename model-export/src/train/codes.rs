//! The codes of a frozen VQ-VAE for all batches and evaluated utterances of a fold, computed once.
//!
//! A batch depends only on (seed, epoch, step), so all systems that are trained on a fold with one seed get
//! the same segments. The codes are 36 numbers per segment. Computing them for each system would cost as
//! much as the rest of a step.

use std::collections::HashMap;

use crate::model::vqvae::VqVae;
use crate::train::batch::{Batch, Sampler};

/// Codes of training batches and of whole utterances.
#[derive(Debug, Default)]
pub struct Codes {
    steps: usize,
    /// Codes of the real segments of each batch, epoch after epoch: [M, P].
    batches: Vec<Vec<u16>>,
    /// Codes of each utterance's segments: [T, P].
    utterances: HashMap<usize, Vec<u16>>,
}

impl Codes {
    /// Computes the codes of all training batches of `epochs` epochs, and of the `evaluated` utterances.
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

    /// Returns the codes of a training batch's real segments, one after the other.
    #[must_use]
    pub fn of_step(&self, epoch: u64, step: u64) -> Option<&[u16]> {
        let place = epoch as usize * self.steps + step as usize;
        self.batches.get(place).map(Vec::as_slice)
    }

    /// Returns the codes of whole utterances, one after the other; `None` if one of them is missing.
    #[must_use]
    pub fn of_utterances(&self, indices: &[usize]) -> Option<Vec<u16>> {
        let mut all = Vec::new();
        for index in indices {
            all.extend_from_slice(self.utterances.get(index)?);
        }
        Some(all)
    }

    /// Counts how often each of `codes` codes was chosen on the training batches.
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

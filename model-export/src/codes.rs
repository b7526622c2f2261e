//! What a frozen VQ-VAE says of everything that a fold's systems will hear, computed once.
//!
//! Batches are a function of (seed, epoch, step), so all systems that are trained on a fold with one
//! seed hear the same segments; their codes take 36 numbers a segment and would otherwise cost as
//! much as the rest of a step.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, anyhow};
use indicatif::ProgressBar;

use crate::batch::{Batch, Sampler};
use crate::model::vqvae::VqVae;
use crate::trainer::unpadded;

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
    /// Computes them with so many threads; the bar moves on by one a training batch.
    ///
    /// # Errors
    /// If a thread panicked.
    pub fn compute(
        vqvae: &VqVae,
        sampler: &Sampler<'_>,
        [seed, epochs]: [u64; 2],
        evaluated: &[usize],
        threads: usize,
        bar: &ProgressBar,
    ) -> Result<Self> {
        let steps = sampler.steps_per_epoch();
        let count = epochs as usize * steps;
        let next = AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            loop {
                let place = next.fetch_add(1, Ordering::Relaxed);
                if place >= count {
                    return done;
                }
                let (epoch, step) = (place / steps, place % steps);
                let batch = sampler.batch(seed, epoch as u64, step as u64);
                done.push((place, codes(vqvae, batch)));
                bar.inc(1);
            }
        };
        let mut batches = vec![Vec::new(); count];
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
            for worker in workers {
                let done = worker
                    .join()
                    .map_err(|_| anyhow!("a thread that computes codes panicked; see above"))?;
                for (place, codes) in done {
                    batches[place] = codes;
                }
            }
            anyhow::Ok(())
        })?;
        let utterances = evaluated
            .iter()
            .map(|&index| (index, codes(vqvae, sampler.whole(index))))
            .collect();
        Ok(Self {
            steps,
            batches,
            utterances,
        })
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
    let latent = vqvae.latent(unpadded(batch));
    // A preset has at most 65 536 codes.
    latent.codes.into_iter().map(|code| code as u16).collect()
}

//! The sampler: from raw frames to batches of normalised segments.
//!
//! A batch depends only on (seed, epoch, step): no random generator is kept between calls, so a resumed
//! run gets the same batches as an uninterrupted one. Training batches are cropped, balanced and
//! augmented. Evaluation batches have the same segments as in serving.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use undertone::frontend::{
    BINS, Band, LEFTOVER_FRAMES, NarrowBand, SEGMENT_FRAMES, SEGMENT_VALUES, Spec,
};

use super::minibatch::{Batch, UNLABELLED};
use super::{copy_paste, mixup};
use crate::data::corpus::Utterance;
use crate::data::features::{Features, Statistics};
use crate::preset::Augment;
use crate::train::augment::{Noise, chance, frames_at_speed, resample};

/// How batches are made.
#[derive(Clone, Debug, PartialEq)]
pub struct SamplerOptions {
    /// Utterances in a training batch.
    pub batch: usize,
    /// Longest crop, in segments.
    pub max_steps: usize,
    /// Frames from segment to segment; 16 is 128 ms.
    pub hop: usize,
    /// Input above the band of narrow-band utterances and of telephone crops.
    pub narrow_band: NarrowBand,
    /// Augmentation of training crops.
    pub augment: Augment,
    /// Draw corpora by the root of their size and classes evenly, instead of utterances evenly.
    pub balance: bool,
    /// α of mixup's Beta(α, α), training batches only; 0 is off.
    pub mixup: f64,
    /// Probability that a training crop is joined from two utterances; 0 is off.
    pub copy_paste: f32,
    /// Number of classes K.
    pub classes: usize,
}

impl Default for SamplerOptions {
    fn default() -> Self {
        Self {
            batch: 32,
            max_steps: 20,
            hop: 16,
            narrow_band: NarrowBand::AsIs,
            augment: Augment::default(),
            balance: true,
            mixup: 0.0,
            copy_paste: 0.0,
            classes: 4,
        }
    }
}

/// Utterances with the same probability of being drawn, and their share of the draws.
struct Stratum {
    members: Vec<usize>,
    share: f64,
}

/// Makes batches from frames in memory.
pub struct Sampler<'a> {
    features: &'a Features,
    utterances: &'a [Utterance],
    statistics: Statistics,
    /// The server's normalisation.
    spec: Spec,
    options: SamplerOptions,
    /// Labelled utterances that training draws from.
    strata: Vec<Stratum>,
    /// Labelled utterances in `strata`.
    labelled: usize,
    /// (utterance, frames up to and including it) over all given utterances, labelled or not.
    cumulative: Vec<(usize, usize)>,
    noise: Noise,
}

impl std::fmt::Debug for Sampler<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sampler")
            .field("options", &self.options)
            .field("utterances", &self.cumulative.len())
            .finish_non_exhaustive()
    }
}

impl<'a> Sampler<'a> {
    /// Creates a sampler over the utterances with the given indices.
    ///
    /// `features.frames[i]` belongs to `utterances[i]`; both are indexed by `indices`. Labelled
    /// utterances feed [`Sampler::batch`], all of them [`Sampler::segment_batch`].
    ///
    /// # Errors
    /// If `indices` is empty or out of range, features and utterances differ in number, or an option is
    /// zero.
    pub fn new(
        features: &'a Features,
        utterances: &'a [Utterance],
        indices: &[usize],
        statistics: Statistics,
        options: SamplerOptions,
    ) -> Result<Self> {
        ensure!(
            features.frames.len() == utterances.len(),
            "there are features of {} utterances for a list of {}; drop utterances that could not be decoded",
            features.frames.len(),
            utterances.len(),
        );
        ensure!(!indices.is_empty(), "no utterances to draw from");
        ensure!(
            options.batch > 0 && options.max_steps > 0,
            "a batch of {} utterances of {} steps is empty; both must be at least 1",
            options.batch,
            options.max_steps,
        );
        let Statistics { mean, deviation } = statistics.clone();
        let spec = Spec {
            narrow_band: options.narrow_band,
            ..Spec::new(options.hop, mean, deviation)?
        };
        let mut cumulative = Vec::with_capacity(indices.len());
        let mut total = 0;
        for &index in indices {
            let frames = features
                .frames
                .get(index)
                .map_or(0, |frames| frames.len() / BINS);
            ensure!(
                frames >= SEGMENT_FRAMES,
                "utterance {index} has {frames} frames; a segment needs {SEGMENT_FRAMES}",
            );
            total += frames;
            cumulative.push((index, total));
        }
        let strata = strata(utterances, indices, options.balance);
        Ok(Self {
            features,
            utterances,
            statistics,
            spec,
            options,
            labelled: strata.iter().map(|stratum| stratum.members.len()).sum(),
            strata,
            cumulative,
            noise: Noise::new(),
        })
    }

    /// Returns the number of batches that draw as many utterances as there are labelled ones.
    #[must_use]
    pub fn steps_per_epoch(&self) -> usize {
        self.labelled.div_ceil(self.options.batch)
    }

    /// Returns the options.
    #[must_use]
    pub fn options(&self) -> &SamplerOptions {
        &self.options
    }

    /// Returns the training set's statistics, by which every segment is normalised.
    #[must_use]
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// Makes the training batch of a step, counted from 0 within its epoch: cropped and augmented.
    ///
    /// Within an epoch an utterance is drawn again only after all others of its corpus and class. The batch
    /// is empty if nothing is labelled.
    #[must_use]
    pub fn batch(&self, seed: u64, epoch: u64, step: u64) -> Batch {
        let drawn = self.draw(seed, epoch, step);
        let mut crops = Vec::with_capacity(drawn.len());
        for (slot, &utterance) in drawn.iter().enumerate() {
            let mut rng = generator([seed, epoch, step, 1 + slot as u64]);
            crops.push(self.crop(utterance, &mut rng));
        }
        let mut batch = self.assemble(&drawn, &crops);
        if self.options.mixup > 0.0 {
            let mut rng = generator([seed, epoch, step, 1 << 35]);
            mixup::mix(&mut batch, self.options.mixup, &mut rng);
        }
        batch
    }

    /// Makes a batch of one whole utterance, as in serving: not cropped, not augmented, B = 1.
    ///
    /// `utterance` is an index in the features; an index out of range gives an empty batch.
    #[must_use]
    pub fn whole(&self, utterance: usize) -> Batch {
        self.wholes(&[utterance])
    }

    /// Makes batches of at most `batch` whole utterances, longest first, so that utterances of similar length
    /// are together and padding is small. [`Batch::utterances`] has the order.
    pub fn evaluation_batches(
        &self,
        indices: &[usize],
        batch: usize,
    ) -> impl ExactSizeIterator<Item = Batch> + use<'_, 'a> {
        let mut order = indices.to_vec();
        order.sort_by_key(|&index| Reverse(self.features.frames.get(index).map_or(0, Vec::len)));
        let groups: Vec<Vec<usize>> = order.chunks(batch.max(1)).map(<[usize]>::to_vec).collect();
        groups.into_iter().map(|group| self.wholes(&group))
    }

    /// Draws random single segments `[size, 32, 129]`, normalised, for learning without labels. Every start
    /// frame of every utterance has the same probability. Augmented but not masked.
    #[must_use]
    pub fn segment_batch(&self, seed: u64, epoch: u64, step: u64, size: usize) -> Vec<f32> {
        let mut segments = Vec::with_capacity(size * SEGMENT_VALUES);
        let total = self.cumulative.last().map_or(0, |&(_, frames)| frames);
        for slot in 0..size {
            let mut rng = generator([seed, epoch, step, (1 << 32) + slot as u64]);
            let frame = rng.random_range(0..total.max(1));
            let place = self.cumulative.partition_point(|&(_, end)| end <= frame);
            let Some(&(utterance, _)) = self.cumulative.get(place) else {
                break;
            };
            let frames = &self.features.frames[utterance];
            let speed = self.options.augment.speed(frames.len() / BINS, &mut rng);
            let resampled = frames_at_speed(frames.len() / BINS, speed);
            let start = rng.random_range(0..=resampled - SEGMENT_FRAMES);
            let warp = self.options.augment.warp(&mut rng);
            let mut crop = resample(frames, start, SEGMENT_FRAMES, speed, warp);
            let band = self.features.band(utterance);
            let band = self
                .options
                .augment
                .colour(&mut crop, band, &self.noise, &mut rng);
            self.normalise(&mut crop, band);
            segments.append(&mut crop);
        }
        segments
    }

    /// Draws the utterances of one training batch.
    fn draw(&self, seed: u64, epoch: u64, step: u64) -> Vec<usize> {
        if self.strata.is_empty() {
            return Vec::new();
        }
        // The number of earlier draws from a stratum is this step's start in its shuffled members.
        // Replaying an epoch's counts costs microseconds.
        let mut before = vec![0usize; self.strata.len()];
        for earlier in 0..step {
            for (before, count) in before.iter_mut().zip(self.counts(seed, epoch, earlier)) {
                *before += count;
            }
        }
        let mut drawn = Vec::with_capacity(self.options.batch);
        let counts = self.counts(seed, epoch, step);
        for (number, ((stratum, &before), &count)) in
            self.strata.iter().zip(&before).zip(&counts).enumerate()
        {
            let size = stratum.members.len();
            let mut round = usize::MAX;
            let mut order = Vec::new();
            for place in before..before + count {
                if place / size != round {
                    round = place / size;
                    order.clone_from(&stratum.members);
                    let place = (1 << 33) + number as u64;
                    order.shuffle(&mut generator([seed, epoch, round as u64, place]));
                }
                drawn.push(order[place % size]);
            }
        }
        drawn.shuffle(&mut generator([seed, epoch, step, 1 << 34]));
        drawn
    }

    /// Computes how many utterances of a batch come from each stratum, by systematic sampling: every count is
    /// the expected one, rounded down or up, and classes are even within each batch.
    fn counts(&self, seed: u64, epoch: u64, step: u64) -> Vec<usize> {
        let offset: f64 = generator([seed, epoch, step, 0]).random();
        let batch = self.options.batch as f64;
        let mut reached = 0;
        let mut share = 0.0;
        let last = self.strata.len() - 1;
        self.strata
            .iter()
            .enumerate()
            .map(|(number, stratum)| {
                share += stratum.share;
                // Points lie at offset, offset + 1, …; those below share · batch are taken.
                let taken = if number == last {
                    self.options.batch
                } else {
                    ((share * batch - offset).ceil().max(0.0) as usize)
                        .clamp(reached, self.options.batch)
                };
                taken - std::mem::replace(&mut reached, taken)
            })
            .collect()
    }

    /// Draws a window of at most `max_steps` segments of an utterance: `[F, 129]` normalised, and the
    /// frames at which its segments start.
    fn crop(&self, utterance: usize, rng: &mut StdRng) -> (Vec<f32>, Vec<usize>) {
        let pasted = self.pasted(utterance, rng);
        let frames = pasted.as_ref().unwrap_or(&self.features.frames[utterance]);
        let speed = self.options.augment.speed(frames.len() / BINS, rng);
        let resampled = frames_at_speed(frames.len() / BINS, speed);
        let jitter = rng.random_range(0..self.options.hop.min(resampled - SEGMENT_FRAMES + 1));
        let mut starts = segment_starts(resampled - jitter, self.options.hop);
        let steps = starts.len().min(self.options.max_steps);
        let first = rng.random_range(0..=starts.len() - steps);
        starts.drain(..first);
        starts.truncate(steps);
        let begin = starts[0];
        for start in &mut starts {
            *start -= begin;
        }
        let length = starts[steps - 1] + SEGMENT_FRAMES;
        let warp = self.options.augment.warp(rng);
        let mut crop = resample(frames, jitter + begin, length, speed, warp);
        let band = self.features.band(utterance);
        let band = self
            .options
            .augment
            .colour(&mut crop, band, &self.noise, rng);
        self.normalise(&mut crop, band);
        self.options.augment.mask(&mut crop, rng);
        (crop, starts)
    }

    /// Returns raw frames to crop from instead of the utterance's own, if copy and paste applies to it.
    ///
    /// Draws no random number if copy and paste is off, so that batches without it stay the same.
    fn pasted(&self, utterance: usize, rng: &mut StdRng) -> Option<Vec<f32>> {
        let probability = self.options.copy_paste;
        if probability == 0.0 || !chance(probability, rng) {
            return None;
        }
        let longest = (self.options.max_steps - 1) * self.options.hop + SEGMENT_FRAMES;
        if longest < 2 * SEGMENT_FRAMES {
            return None;
        }
        let members = self.strata.iter().flat_map(|stratum| &stratum.members);
        let partner = copy_paste::partner(self.utterances, members.copied(), utterance, rng)?;
        let frames = &self.features.frames;
        Some(copy_paste::paste(
            &frames[utterance],
            &frames[partner],
            longest,
            rng,
        ))
    }

    fn wholes(&self, utterances: &[usize]) -> Batch {
        let utterances: Vec<usize> = utterances
            .iter()
            .copied()
            .filter(|&index| index < self.features.frames.len())
            .collect();
        let crops: Vec<_> = utterances
            .iter()
            .map(|&index| {
                let mut frames = self.features.frames[index].clone();
                self.normalise(&mut frames, self.features.band(index));
                let starts = segment_starts(frames.len() / BINS, self.options.hop);
                (frames, starts)
            })
            .collect();
        self.assemble(&utterances, &crops)
    }

    /// Normalises raw frames `[F, 129]` of this band as the server's front end does.
    pub(super) fn normalise(&self, frames: &mut [f32], band: Band) {
        for frame in frames.chunks_exact_mut(BINS) {
            self.spec.normalise(frame, band);
        }
    }

    /// Cuts each crop `[F, 129]` at its starts, and pads all to the longest.
    fn assemble(&self, utterances: &[usize], crops: &[(Vec<f32>, Vec<usize>)]) -> Batch {
        let steps = crops
            .iter()
            .map(|(_, starts)| starts.len())
            .max()
            .unwrap_or(0);
        let mut segments = Vec::with_capacity(crops.len() * steps * SEGMENT_VALUES);
        for (number, (frames, starts)) in crops.iter().enumerate() {
            for &start in starts {
                segments.extend_from_slice(&frames[start * BINS..][..SEGMENT_VALUES]);
            }
            segments.resize((number + 1) * steps * SEGMENT_VALUES, 0.0);
        }
        let labels: Vec<usize> = utterances
            .iter()
            .map(|&index| self.utterances[index].label.unwrap_or(UNLABELLED))
            .collect();
        let classes = self.options.classes;
        let share = |label| (0..classes).map(move |class| f32::from(u8::from(class == label)));
        Batch {
            segments,
            steps,
            lengths: crops.iter().map(|(_, starts)| starts.len()).collect(),
            targets: labels.iter().copied().flat_map(share).collect(),
            labels,
            utterances: utterances.to_vec(),
        }
    }
}

/// Groups the labelled utterances for drawing, class by class, so that systematic sampling is even over
/// classes first.
fn strata(utterances: &[Utterance], indices: &[usize], balance: bool) -> Vec<Stratum> {
    let labelled = indices
        .iter()
        .filter_map(|&index| Some((index, utterances.get(index)?.label?)));
    if !balance {
        let members: Vec<usize> = labelled.map(|(index, _)| index).collect();
        if members.is_empty() {
            return Vec::new();
        }
        let share = 1.0;
        return vec![Stratum { members, share }];
    }
    let mut groups = BTreeMap::new();
    let mut corpora = BTreeMap::new();
    for (index, label) in labelled {
        let corpus = &utterances[index].corpus;
        groups
            .entry((label, corpus))
            .or_insert_with(Vec::new)
            .push(index);
        *corpora.entry(corpus).or_insert(0usize) += 1;
    }
    let roots: f64 = corpora.values().map(|&size| (size as f64).sqrt()).sum();
    let classes = |corpus| groups.keys().filter(|&&(_, other)| other == corpus).count();
    let shares: Vec<f64> = groups
        .keys()
        .map(|&(_, corpus)| (corpora[corpus] as f64).sqrt() / roots / classes(corpus).max(1) as f64)
        .collect();
    groups
        .into_values()
        .zip(shares)
        .map(|(members, share)| Stratum { members, share })
        .collect()
}

/// Returns the start frames of an utterance's segments, as in serving: one each `hop`, and a right-aligned one
/// if 8 or more frames are left over. `frames` is at least 32.
fn segment_starts(frames: usize, hop: usize) -> Vec<usize> {
    let last = frames - SEGMENT_FRAMES;
    let mut starts: Vec<usize> = (0..=last).step_by(hop).collect();
    if last % hop >= LEFTOVER_FRAMES {
        starts.push(last);
    }
    starts
}

/// Creates a random generator for one place in a run.
fn generator(place: [u64; 4]) -> StdRng {
    let mut seed = [0; 32];
    for (bytes, number) in seed.chunks_exact_mut(8).zip(place) {
        bytes.copy_from_slice(&number.to_le_bytes());
    }
    StdRng::from_seed(seed)
}

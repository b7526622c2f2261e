//! Interleaved frames at the source's rate to lanes at 16 kHz, as they come.
//!
//! The one gate all ways in pass: rate, channels, length, memory, time and the sanity of every
//! sample are checked here, once.

use super::limits::Watch;
use super::{AudioError, Job, LaneChoice, Limits, RATES, Resampler, Sink};

/// Frames handled between two looks at the clock.
const BLOCK: usize = 4_096;

/// 120 dB above full scale. Integers written as floats stay below; what lies above would overflow
/// in the Fourier transforms that follow.
const CEILING: f32 = 1e6;

/// The lanes of one recording under way.
#[derive(Debug)]
pub(super) struct Lanes {
    origin: &'static str,
    rate: u32,
    channels: usize,
    choice: LaneChoice,
    plan: Plan,
    /// The channels changed midway.
    remixed: bool,
    limits: Limits,
    watch: Watch,
    /// One a lane.
    resamplers: Vec<Resampler>,
    /// What they gave and nobody took yet, a lane.
    samples: Vec<Vec<f32>>,
    /// One lane's part of a block.
    scratch: Vec<f32>,
    /// Frames taken at the rate now in force, and seconds before it.
    frames: u64,
    seconds_before: f64,
    /// Bytes that the frames were coded in: all of the recording, or those that came so far.
    bytes: u64,
    arriving: bool,
    /// Some sample was handed over.
    heard: bool,
}

#[derive(Clone, Copy, Debug)]
enum Plan {
    One(usize),
    Mix,
    Each,
}

impl Plan {
    /// How so many lanes are made of so many channels.
    fn of(choice: LaneChoice, channels: usize, lanes: usize) -> Self {
        match choice {
            LaneChoice::Select(lane) if usize::from(lane) < channels => {
                Self::One(usize::from(lane))
            }
            _ if channels == 1 => Self::One(0),
            _ if lanes == channels => Self::Each,
            _ => Self::Mix,
        }
    }
}

impl Lanes {
    /// Lanes for a source of this shape; `origin` names who says so in errors.
    pub(super) fn new(
        origin: &'static str,
        rate: u32,
        channels: u32,
        job: &Job,
    ) -> Result<Self, AudioError> {
        let channels = check_channels(origin, channels, job.limits.channels)?;
        check_rate(origin, rate)?;
        if let LaneChoice::Select(lane) = job.lanes
            && lane >= channels
        {
            return Err(AudioError::LaneOutOfRange { lane, channels });
        }
        let count = usize::from(job.lanes.count(channels));
        Ok(Self {
            origin,
            rate,
            channels: usize::from(channels),
            choice: job.lanes,
            plan: Plan::of(job.lanes, usize::from(channels), count),
            remixed: false,
            limits: job.limits,
            watch: job.watch.clone(),
            resamplers: (0..count)
                .map(|_| Resampler::new(rate))
                .collect::<Result<_, _>>()?,
            samples: vec![Vec::new(); count],
            scratch: Vec::with_capacity(BLOCK),
            frames: 0,
            seconds_before: 0.0,
            bytes: job.size.unwrap_or(0),
            arriving: job.size.is_none(),
            heard: false,
        })
    }

    pub(super) fn rate(&self) -> u32 {
        self.rate
    }

    pub(super) fn channels(&self) -> usize {
        self.channels
    }

    /// Seconds taken so far.
    pub(super) fn seconds(&self) -> f64 {
        self.seconds_before + self.frames as f64 / f64::from(self.rate)
    }

    /// Counts the bytes that the next frames were coded in, where not all are known beforehand.
    pub(super) fn count(&mut self, bytes: usize) {
        if self.arriving {
            self.bytes += bytes as u64;
        }
    }

    /// Refuses `frames` more if they would exceed the limit on seconds, expansion or memory.
    pub(super) fn check_length(&self, frames: u64) -> Result<(), AudioError> {
        let seconds = self.seconds() + frames as f64 / f64::from(self.rate);
        if seconds > self.limits.seconds {
            return Err(AudioError::TooLong {
                limit: self.limits.seconds,
            });
        }
        if seconds > self.limits.expansion(self.bytes) {
            return Err(AudioError::Expands {
                bytes: self.bytes,
                seconds,
                limit: self.limits.seconds_per_megabyte,
            });
        }
        let samples = seconds * f64::from(super::SAMPLE_RATE) * self.samples.len() as f64;
        if samples * size_of::<f32>() as f64 > self.limits.decoded_bytes as f64 {
            return Err(AudioError::TooMuchDecoded {
                limit: self.limits.decoded_bytes,
            });
        }
        Ok(())
    }

    /// Takes interleaved frames; a part of a frame at the end is left out.
    pub(super) fn push(&mut self, interleaved: &[f32]) -> Result<(), AudioError> {
        for block in interleaved.chunks(BLOCK * self.channels) {
            self.watch.check()?;
            let frames = block.len() / self.channels;
            self.check_length(frames as u64)?;
            self.take(&block[..frames * self.channels])?;
            self.frames += frames as u64;
        }
        Ok(())
    }

    /// Takes silence in place of frames that were lost.
    pub(super) fn push_silence(&mut self, frames: usize) -> Result<(), AudioError> {
        let zeros = [0.0; BLOCK];
        let mut samples = frames * self.channels;
        while samples > 0 {
            let now = samples.min(BLOCK / self.channels * self.channels);
            self.push(&zeros[..now])?;
            samples -= now;
        }
        Ok(())
    }

    /// Goes on at another rate: some streams change theirs midway.
    pub(super) fn change_rate(&mut self, rate: u32) -> Result<(), AudioError> {
        check_rate(self.origin, rate)?;
        self.seconds_before = self.seconds();
        self.frames = 0;
        self.rate = rate;
        for (resampler, samples) in self.resamplers.iter_mut().zip(&mut self.samples) {
            let ended = std::mem::replace(resampler, Resampler::new(rate)?);
            ended.finish(samples)?;
        }
        Ok(())
    }

    /// Goes on with other channels: some streams change theirs midway. The lanes stay those of the first
    /// frame. Each gets its channel if there are as many as before, and the mean of all otherwise.
    pub(super) fn change_channels(&mut self, channels: u32) -> Result<(), AudioError> {
        let channels = check_channels(self.origin, channels, self.limits.channels)?;
        self.channels = usize::from(channels);
        self.plan = Plan::of(self.choice, self.channels, self.resamplers.len());
        self.remixed = true;
        Ok(())
    }

    /// Whether the channels changed midway.
    pub(super) fn remixed(&self) -> bool {
        self.remixed
    }

    /// Gives what is settled to `sink`.
    pub(super) fn hand_over(&mut self, sink: Sink<'_>) -> Result<(), AudioError> {
        if self.samples.iter().all(Vec::is_empty) {
            return Ok(());
        }
        self.heard = true;
        sink(&mut self.samples)?;
        self.samples.iter_mut().for_each(Vec::clear);
        Ok(())
    }

    /// Gives the rest to `sink`, once all is pushed.
    pub(super) fn finish(mut self, sink: Sink<'_>) -> Result<(), AudioError> {
        for (resampler, samples) in self.resamplers.drain(..).zip(&mut self.samples) {
            resampler.finish(samples)?;
        }
        self.hand_over(sink)?;
        if self.heard {
            Ok(())
        } else {
            Err(AudioError::NoAudio)
        }
    }

    fn take(&mut self, block: &[f32]) -> Result<(), AudioError> {
        // Only what is used need be sane: a broken lane does not spoil the one selected.
        let used = match self.plan {
            Plan::One(channel) => channel..channel + 1,
            Plan::Mix | Plan::Each => 0..self.channels,
        };
        self.check_samples(block, used)?;
        let channels = self.channels;
        let lanes = self.resamplers.iter_mut().zip(&mut self.samples);
        for (index, (resampler, out)) in lanes.enumerate() {
            let samples = match self.plan {
                _ if channels == 1 => block,
                Plan::Mix => {
                    let share = 1.0 / channels as f32;
                    let mean = |frame: &[f32]| frame.iter().sum::<f32>() * share;
                    self.scratch.clear();
                    self.scratch.extend(block.chunks_exact(channels).map(mean));
                    &self.scratch
                }
                Plan::One(channel) => pick(block, channel, channels, &mut self.scratch),
                Plan::Each => pick(block, index, channels, &mut self.scratch),
            };
            resampler.push(samples, out)?;
        }
        Ok(())
    }

    fn check_samples(&self, block: &[f32], used: std::ops::Range<usize>) -> Result<(), AudioError> {
        // NaN fails every comparison, so this one finds it too; no branch a sample.
        if block
            .iter()
            .fold(true, |sane, x| sane & (x.abs() <= CEILING))
        {
            return Ok(());
        }
        let bad = block.iter().enumerate().find(|(i, x)| {
            let sane = x.abs() <= CEILING;
            used.contains(&(i % self.channels)) && !sane
        });
        let Some((i, &value)) = bad else {
            return Ok(());
        };
        let lane = (i % self.channels) as u16;
        let seconds = self.seconds() + (i / self.channels) as f64 / f64::from(self.rate);
        Err(if value.is_finite() {
            AudioError::OffScale {
                lane,
                seconds,
                value,
            }
        } else {
            AudioError::NotFinite { lane, seconds }
        })
    }
}

impl LaneChoice {
    /// How many lanes it makes of so many channels.
    #[must_use]
    pub fn count(self, channels: u16) -> u16 {
        match (self, channels) {
            (Self::Each, _) | (Self::Auto, 2) => channels,
            (Self::Mix | Self::Select(_) | Self::Auto, _) => 1,
        }
    }
}

fn pick<'a>(
    block: &[f32],
    channel: usize,
    channels: usize,
    scratch: &'a mut Vec<f32>,
) -> &'a [f32] {
    scratch.clear();
    scratch.extend(block.iter().skip(channel).step_by(channels));
    scratch
}

pub(super) fn check_rate(origin: &'static str, rate: u32) -> Result<(), AudioError> {
    match rate {
        0 => Err(AudioError::ZeroRate { origin }),
        rate if !RATES.contains(&rate) => Err(AudioError::RateOutOfRange { origin, rate }),
        _ => Ok(()),
    }
}

pub(super) fn check_channels(
    origin: &'static str,
    channels: u32,
    limit: u16,
) -> Result<u16, AudioError> {
    match u16::try_from(channels) {
        Ok(0) => Err(AudioError::ZeroChannels { origin }),
        Ok(count) if count <= limit => Ok(count),
        _ => Err(AudioError::TooManyChannels {
            origin,
            channels,
            limit,
        }),
    }
}

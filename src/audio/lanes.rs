//! Interleaved frames at the source's rate to lanes at 16 kHz, as they come.
//!
//! The one gate all ways in pass: rate, channels, length, memory, time and the sanity of every
//! sample are checked here, once.

use super::{AudioError, Clock, LaneChoice, Limits, RATES, Recording, Resampler, Source};

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
    plan: Plan,
    limits: Limits,
    clock: Clock,
    lanes: Vec<Lane>,
    /// One lane's part of a block.
    scratch: Vec<f32>,
    /// Frames taken at the rate now in force, and seconds before it.
    frames: u64,
    seconds_before: f64,
}

#[derive(Debug)]
struct Lane {
    resampler: Resampler,
    samples: Vec<f32>,
}

#[derive(Clone, Copy, Debug)]
enum Plan {
    One(usize),
    Mix,
    Each,
}

impl Lanes {
    pub(super) fn new(
        origin: &'static str,
        rate: u32,
        channels: u32,
        choice: LaneChoice,
        limits: &Limits,
        clock: Clock,
    ) -> Result<Self, AudioError> {
        let channels = check_channels(origin, channels, limits.channels)?;
        check_rate(origin, rate)?;
        let plan = match (choice, channels) {
            (LaneChoice::Select(lane), _) if lane >= channels => {
                return Err(AudioError::LaneOutOfRange { lane, channels });
            }
            (LaneChoice::Select(lane), _) => Plan::One(usize::from(lane)),
            (_, 1) => Plan::One(0),
            (LaneChoice::Each, _) | (LaneChoice::Auto, 2) => Plan::Each,
            (LaneChoice::Mix | LaneChoice::Auto, _) => Plan::Mix,
        };
        let count = if matches!(plan, Plan::Each) {
            channels
        } else {
            1
        };
        let lanes = (0..count)
            .map(|_| {
                Ok(Lane {
                    resampler: Resampler::new(rate)?,
                    samples: Vec::new(),
                })
            })
            .collect::<Result<_, AudioError>>()?;
        Ok(Self {
            origin,
            rate,
            channels: usize::from(channels),
            plan,
            limits: *limits,
            clock,
            lanes,
            scratch: Vec::with_capacity(BLOCK),
            frames: 0,
            seconds_before: 0.0,
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

    /// Refuses `frames` more if they would exceed the limit on seconds or memory.
    pub(super) fn check_length(&self, frames: u64) -> Result<(), AudioError> {
        let seconds = self.seconds() + frames as f64 / f64::from(self.rate);
        if seconds > self.limits.seconds {
            return Err(AudioError::TooLong {
                limit: self.limits.seconds,
            });
        }
        let samples = seconds * f64::from(super::SAMPLE_RATE) * self.lanes.len() as f64;
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
            self.clock.check()?;
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
        for lane in &mut self.lanes {
            let ended = std::mem::replace(&mut lane.resampler, Resampler::new(rate)?);
            ended.finish(&mut lane.samples)?;
        }
        Ok(())
    }

    /// The recording, once all is pushed.
    pub(super) fn finish(self, source: Source, truncated: bool) -> Result<Recording, AudioError> {
        let lanes = self
            .lanes
            .into_iter()
            .map(|mut lane| {
                lane.resampler.finish(&mut lane.samples)?;
                Ok(lane.samples)
            })
            .collect::<Result<Vec<_>, AudioError>>()?;
        if lanes.iter().all(Vec::is_empty) {
            return Err(AudioError::NoAudio);
        }
        Ok(Recording {
            lanes,
            source,
            truncated,
        })
    }

    fn take(&mut self, block: &[f32]) -> Result<(), AudioError> {
        // Only what is used need be sane: a broken lane does not spoil the one selected.
        let used = match self.plan {
            Plan::One(channel) => channel..channel + 1,
            Plan::Mix | Plan::Each => 0..self.channels,
        };
        self.check_samples(block, used)?;
        let channels = self.channels;
        for (index, lane) in self.lanes.iter_mut().enumerate() {
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
            lane.resampler.push(samples, &mut lane.samples)?;
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

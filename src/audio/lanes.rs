//! Converts interleaved frames at the source's rate to lanes at 16 kHz, as they come.
//!
//! The frames of all formats pass through here. So the rate, channels, length, memory, time and every sample
//! are checked here, whatever a reader has checked in a header before.

use super::job::{DecodeJob, LaneSink};
use super::source_checks::{check_channels, check_rate};
use super::timer::DecodeTimer;
use super::{AudioError, LaneChoice, Limits, Resampler, SAMPLE_RATE};

/// Frames converted between two checks of the time limit.
const BLOCK: usize = 4_096;

/// Largest magnitude of a sample, 120 dB above full scale. Integers written as floats stay below it. Larger
/// samples would overflow in the Fourier transforms that follow.
const MAX_MAGNITUDE: f32 = 1e6;

/// The lanes of a recording that is being decoded.
#[derive(Debug)]
pub(super) struct Lanes {
    origin: &'static str,
    rate: u32,
    channels: usize,
    choice: LaneChoice,
    plan: ChannelPlan,
    /// The number of channels changed midway.
    channels_changed: bool,
    limits: Limits,
    timer: DecodeTimer,
    /// One for each lane.
    resamplers: Vec<Resampler>,
    /// For each lane, the resampled samples that `deliver` has not passed on yet.
    samples: Vec<Vec<f32>>,
    /// One lane's samples of a block.
    scratch: Vec<f32>,
    /// Frames so far at the current rate.
    frames: u64,
    /// Seconds before the current rate began.
    seconds_before: f64,
    /// Coded bytes of the recording: all of them, or those so far if they arrive piece by piece.
    bytes: u64,
    arriving: bool,
    /// At least one sample was delivered.
    delivered: bool,
}

/// How the lanes are made from the current channels.
#[derive(Clone, Copy, Debug)]
enum ChannelPlan {
    /// The only lane is this channel.
    One(usize),
    /// Each lane is the mean of all channels.
    Mix,
    /// Each lane is one channel.
    Each,
}

impl ChannelPlan {
    /// Returns the plan for `lanes` lanes from `channels` channels.
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
    /// Creates the lanes of a source. `origin` names in errors who claims this rate (Hz) and channel count.
    pub(super) fn new(
        origin: &'static str,
        rate: u32,
        channels: u32,
        job: &DecodeJob,
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
            plan: ChannelPlan::of(job.lanes, usize::from(channels), count),
            channels_changed: false,
            limits: job.limits,
            timer: job.timer.clone(),
            resamplers: (0..count)
                .map(|_| Resampler::new(rate))
                .collect::<Result<_, _>>()?,
            samples: vec![Vec::new(); count],
            scratch: Vec::with_capacity(BLOCK),
            frames: 0,
            seconds_before: 0.0,
            bytes: job.size.unwrap_or(0),
            arriving: job.size.is_none(),
            delivered: false,
        })
    }

    pub(super) fn rate(&self) -> u32 {
        self.rate
    }

    pub(super) fn channels(&self) -> usize {
        self.channels
    }

    /// Returns the seconds of audio so far.
    pub(super) fn seconds(&self) -> f64 {
        self.seconds_before + self.frames as f64 / f64::from(self.rate)
    }

    /// Counts the coded bytes of the next frames, unless the size of the recording is known.
    pub(super) fn count_bytes(&mut self, bytes: usize) {
        if self.arriving {
            self.bytes += bytes as u64;
        }
    }

    /// Checks that `frames` more frames stay within the limits of seconds, of seconds per megabyte and of memory.
    pub(super) fn check_length(&self, frames: u64) -> Result<(), AudioError> {
        let seconds = self.seconds() + frames as f64 / f64::from(self.rate);
        if seconds > self.limits.seconds {
            return Err(AudioError::TooLong {
                limit: self.limits.seconds,
            });
        }
        if seconds > self.limits.seconds_of_bytes(self.bytes) {
            return Err(AudioError::Expands {
                bytes: self.bytes,
                seconds,
                limit: self.limits.seconds_per_megabyte,
            });
        }
        let samples = seconds * f64::from(SAMPLE_RATE) * self.samples.len() as f64;
        if samples * size_of::<f32>() as f64 > self.limits.decoded_bytes as f64 {
            return Err(AudioError::TooMuchDecoded {
                limit: self.limits.decoded_bytes,
            });
        }
        Ok(())
    }

    /// Resamples interleaved frames. Ignores an incomplete frame at the end.
    pub(super) fn push(&mut self, interleaved: &[f32]) -> Result<(), AudioError> {
        for block in interleaved.chunks(BLOCK * self.channels) {
            self.timer.check()?;
            let frames = block.len() / self.channels;
            self.check_length(frames as u64)?;
            self.resample(&block[..frames * self.channels])?;
            self.frames += frames as u64;
        }
        Ok(())
    }

    /// Adds silence in place of lost frames.
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

    /// Continues at another rate, because some streams change their rate midway.
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

    /// Continues with another number of channels, because some streams change it midway. The number of lanes
    /// stays that of the first frame. A lane gets its own channel if there are as many channels as lanes, and
    /// the mean of all channels otherwise.
    pub(super) fn change_channels(&mut self, channels: u32) -> Result<(), AudioError> {
        let channels = check_channels(self.origin, channels, self.limits.channels)?;
        self.channels = usize::from(channels);
        self.plan = ChannelPlan::of(self.choice, self.channels, self.resamplers.len());
        self.channels_changed = true;
        Ok(())
    }

    /// Returns whether the number of channels changed midway.
    pub(super) fn channels_changed(&self) -> bool {
        self.channels_changed
    }

    /// Passes the finished samples to `sink`.
    pub(super) fn deliver(&mut self, sink: LaneSink<'_>) -> Result<(), AudioError> {
        if self.samples.iter().all(Vec::is_empty) {
            return Ok(());
        }
        self.delivered = true;
        sink(&mut self.samples)?;
        self.samples.iter_mut().for_each(Vec::clear);
        Ok(())
    }

    /// Ends the lanes and passes the remaining samples to `sink`.
    pub(super) fn finish(mut self, sink: LaneSink<'_>) -> Result<(), AudioError> {
        for (resampler, samples) in self.resamplers.drain(..).zip(&mut self.samples) {
            resampler.finish(samples)?;
        }
        self.deliver(sink)?;
        if self.delivered {
            Ok(())
        } else {
            Err(AudioError::NoAudio)
        }
    }

    fn resample(&mut self, block: &[f32]) -> Result<(), AudioError> {
        // Only the channels in use are checked. Damage in another channel does not matter.
        let used = match self.plan {
            ChannelPlan::One(channel) => channel..channel + 1,
            ChannelPlan::Mix | ChannelPlan::Each => 0..self.channels,
        };
        self.check_samples(block, used)?;
        let channels = self.channels;
        let lanes = self.resamplers.iter_mut().zip(&mut self.samples);
        for (index, (resampler, out)) in lanes.enumerate() {
            let samples = match self.plan {
                _ if channels == 1 => block,
                ChannelPlan::Mix => {
                    let weight = 1.0 / channels as f32;
                    let mean = |frame: &[f32]| frame.iter().sum::<f32>() * weight;
                    self.scratch.clear();
                    self.scratch.extend(block.chunks_exact(channels).map(mean));
                    &self.scratch
                }
                ChannelPlan::One(channel) => pick(block, channel, channels, &mut self.scratch),
                ChannelPlan::Each => pick(block, index, channels, &mut self.scratch),
            };
            resampler.push(samples, out)?;
        }
        Ok(())
    }

    fn check_samples(&self, block: &[f32], used: std::ops::Range<usize>) -> Result<(), AudioError> {
        // NaN fails every comparison, so this one finds it too. The fold has no branch per sample.
        if block
            .iter()
            .fold(true, |valid, x| valid & (x.abs() <= MAX_MAGNITUDE))
        {
            return Ok(());
        }
        let bad = block.iter().enumerate().find(|(i, x)| {
            let valid = x.abs() <= MAX_MAGNITUDE;
            used.contains(&(i % self.channels)) && !valid
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

//! Audio in: bytes of a file, or raw samples, to lanes of mono f32 at 16 kHz, full scale ±1.
//!
//! `sniff` names the format, `wav`, `w64`, `au`, `container` or `pcm` yields interleaved frames at
//! the source's rate, and `lanes` picks the channels and resamples as they come, so that decoded
//! audio is never held at the source's rate. Every limit holds while decoding: headers are not
//! believed. Adding a format touches `sniff` and one file. This room knows nothing of segments,
//! models or gRPC.

mod au;
mod container;
mod error;
mod g711;
mod lanes;
mod mp4_start;
mod mpeg_end;
#[cfg(feature = "opus")]
mod opus;
mod pcm;
mod resample;
mod sniff;
mod vorbis;
mod w64;
mod wav;

use std::time::{Duration, Instant};

pub use error::AudioError;
pub use resample::Resampler;

use lanes::Lanes;
use pcm::Coding;
use sniff::Format;

/// Samples per second of every lane that leaves this module.
pub const SAMPLE_RATE: u32 = 16_000;

/// Source rates accepted, in Hz; below lies no speech, above lies no recorder.
const RATES: std::ops::RangeInclusive<u32> = 2_000..=768_000;

/// What the bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// A file in a container, told by its first bytes; names and media types are not asked.
    Auto,
    /// Interleaved samples without a header.
    Raw {
        /// How a sample is written.
        format: RawFormat,
        /// Hz.
        sample_rate: u32,
        /// Samples a frame.
        channels: u16,
    },
}

/// How a headerless sample is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RawFormat {
    /// Signed 16 bits, little endian; 32,768 is full scale.
    PcmS16Le,
    /// IEEE 754 32 bits, little endian; 1.0 is full scale.
    PcmF32Le,
    /// ITU-T G.711 µ-law.
    Mulaw,
    /// ITU-T G.711 A-law.
    Alaw,
}

/// Which lanes to make of the channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LaneChoice {
    /// One channel: that one. Two: each, for they are usually two people. More: their mix.
    #[default]
    Auto,
    /// The mean of all channels, as one lane.
    Mix,
    /// One channel, counted from 0.
    Select(u16),
    /// Every channel a lane.
    Each,
}

/// What one call to [`decode`] may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Bytes of input. Default 32 MiB.
    pub bytes: usize,
    /// Seconds of audio, counted while decoding. Default 3,600.
    pub seconds: f64,
    /// Channels of the source. Default 8.
    pub channels: u16,
    /// Bytes of decoded f32 held: all lanes at 16 kHz. Default 2 GiB.
    pub decoded_bytes: usize,
    /// Wall time of one decode. Default 60 s.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 32 << 20,
            seconds: 3_600.0,
            channels: 8,
            decoded_bytes: 2 << 30,
            time: Duration::from_secs(60),
        }
    }
}

/// A decoded recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    /// `[L, N]`: mono lanes at 16 kHz, full scale ±1 (a float source may exceed it), equally long.
    pub lanes: Vec<Vec<f32>>,
    /// What it was decoded from.
    pub source: Source,
    /// Part is missing or damaged: the bytes end before the header said, or packets could not be
    /// decoded (silence of their length stands in their place where it is known).
    pub truncated: bool,
}

impl Recording {
    /// Length in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        let samples = self.lanes.first().map_or(0, Vec::len);
        samples as f64 / f64::from(SAMPLE_RATE)
    }
}

/// What a recording was decoded from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Short name of the codec: `pcm_s16le`, `flac`, `mp3`.
    pub codec: String,
    /// Hz.
    pub sample_rate: u32,
    /// Samples a frame.
    pub channels: u16,
}

/// Decodes a whole recording.
///
/// Blocks for 0.1 to 4 ms of CPU time a second of audio: call it from a thread that may.
///
/// # Errors
/// [`AudioError`] says what is wrong with the bytes, or which limit they exceed
/// ([`AudioError::is_limit`]).
///
/// # Example
/// ```
/// use undertone::audio::{Encoding, LaneChoice, Limits, RawFormat, decode};
///
/// let phone = Encoding::Raw { format: RawFormat::Mulaw, sample_rate: 8_000, channels: 1 };
/// let recording = decode(&[0xff; 8_000], phone, LaneChoice::Auto, &Limits::default())?;
/// assert_eq!(recording.lanes.len(), 1);
/// assert_eq!(recording.seconds(), 1.0);
/// # Ok::<(), undertone::audio::AudioError>(())
/// ```
pub fn decode(
    bytes: &[u8],
    encoding: Encoding,
    lanes: LaneChoice,
    limits: &Limits,
) -> Result<Recording, AudioError> {
    if bytes.is_empty() {
        return Err(AudioError::Empty);
    }
    if bytes.len() > limits.bytes {
        return Err(AudioError::TooLarge {
            bytes: bytes.len(),
            limit: limits.bytes,
        });
    }
    let job = Job {
        lanes,
        limits,
        clock: Clock::start(limits.time),
    };
    match encoding {
        Encoding::Raw {
            format,
            sample_rate,
            channels,
        } => {
            let stream = pcm::Stream {
                coding: format.into(),
                sample_rate,
                channels,
                data: bytes,
                short: false,
                origin: "the request",
            };
            stream.decode(&job)
        }
        Encoding::Auto => match sniff::sniff(bytes)? {
            Format::Wav { offset } => wav::decode(&bytes[offset..], &job),
            Format::Wave64 { offset } => w64::decode(&bytes[offset..], &job),
            Format::Au { offset } => au::decode(&bytes[offset..], &job),
            Format::Container { offset, name } => container::decode(&bytes[offset..], name, &job),
            Format::Unmarked => container::decode_unmarked(bytes, &job),
        },
    }
}

impl From<RawFormat> for Coding {
    fn from(format: RawFormat) -> Self {
        match format {
            RawFormat::PcmS16Le => Self::S16,
            RawFormat::PcmF32Le => Self::F32,
            RawFormat::Mulaw => Self::Mulaw,
            RawFormat::Alaw => Self::Alaw,
        }
    }
}

/// What every way in needs to know of the call.
struct Job<'a> {
    lanes: LaneChoice,
    limits: &'a Limits,
    clock: Clock,
}

impl Job<'_> {
    /// Lanes for a source of this shape; `origin` names who says so in errors.
    fn lanes(&self, origin: &'static str, rate: u32, channels: u32) -> Result<Lanes, AudioError> {
        Lanes::new(origin, rate, channels, self.lanes, self.limits, self.clock)
    }
}

/// The wall time of one decode.
#[derive(Clone, Copy, Debug)]
struct Clock {
    /// None: too far away for an `Instant`.
    end: Option<Instant>,
    limit: Duration,
}

impl Clock {
    fn start(limit: Duration) -> Self {
        Self {
            end: Instant::now().checked_add(limit),
            limit,
        }
    }

    fn is_over(&self) -> bool {
        self.end.is_some_and(|end| Instant::now() >= end)
    }

    fn check(&self) -> Result<(), AudioError> {
        if self.is_over() {
            Err(AudioError::Timeout { limit: self.limit })
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod response;
#[cfg(test)]
mod tests;

//! Audio in: bytes of a file, or raw samples, to lanes of mono f32 at 16 kHz, full scale ±1.
//!
//! `input` gives the bytes, whole or as they arrive. `sniff` names the format, `wav`, `w64`, `au`, `aiff`,
//! `caf`, `container` or `pcm` yields interleaved frames at the source's rate, and `lanes` picks the channels
//! and resamples as they come, so that decoded audio is never held at the source's rate. [`decode`] and
//! [`Decoder`] take the same way and differ in where the bytes come from. Every limit holds while
//! decoding: headers are not believed. Adding a format touches `sniff` and one file. This room knows
//! nothing of segments, models or gRPC.

mod aac;
mod adts;
mod aiff;
mod au;
mod caf;
mod codecs;
mod container;
mod cut;
mod decoder;
mod disguise;
mod error;
mod estimate;
mod flac_files;
mod g711;
mod input;
mod lanes;
mod layout;
mod limits;
mod mp4_start;
mod mpeg;
mod mpeg_end;
#[cfg(feature = "opus")]
mod opus;
mod pcm;
mod pieces;
mod resample;
mod session;
mod sniff;
mod vorbis;
mod w64;
mod wav;

pub use decoder::Decoder;
pub use error::AudioError;
pub use estimate::{Estimate, estimate};
pub use limits::{Limits, Stop, StopOnDrop};
pub use resample::Resampler;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use input::Input;
use limits::Watch;
use pcm::Pcm;
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
    /// The number of channels changes midway. The lanes are those of the first channels; where there are
    /// more or fewer, each lane has the mean of all.
    pub remixed: bool,
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
    /// Hz where the recording begins; some streams change theirs midway.
    pub sample_rate: u32,
    /// Hz at which the sound was sampled before it was coded, which bounds what it can hold: where the
    /// recording begins, and less than `sample_rate` only for Opus, which is always decoded at 48 kHz
    /// and says in its header what went in (RFC 7845, 5.1).
    pub captured_rate: u32,
    /// Samples a frame where the recording begins; see [`Recording::remixed`].
    pub channels: u16,
}

/// How a recording ended that was decoded as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// What it was decoded from.
    pub source: Source,
    /// Part is missing or damaged, as in [`Recording::truncated`].
    pub truncated: bool,
    /// The number of channels changes midway, as in [`Recording::remixed`].
    pub remixed: bool,
    /// The container could be read only once all of it was there, so no sample came before the end.
    pub held: bool,
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
    decode_until(&Stop::default(), bytes, encoding, lanes, limits)
}

/// Decodes a whole recording like [`decode`], unless it is stopped.
///
/// # Errors
/// As [`decode`], and [`AudioError::Stopped`].
pub fn decode_until(
    stop: &Stop,
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
        limits: *limits,
        watch: Watch::start(limits.time, stop.clone()),
        size: Some(bytes.len() as u64),
        captured_rate: CapturedRate::default(),
    };
    let mut held = Vec::new();
    let mut hold = |lanes: &mut [Vec<f32>]| {
        held.resize_with(lanes.len(), Vec::new);
        for (held, samples) in held.iter_mut().zip(lanes) {
            held.append(samples);
        }
        Ok(())
    };
    let input = Input::whole(bytes, job.watch.clone());
    let ending = read(input, encoding, &job, &mut hold)?;
    Ok(Recording {
        lanes: held,
        source: ending.source,
        truncated: ending.truncated,
        remixed: ending.remixed,
    })
}

/// The one way of all recordings: from bytes to samples, which go to `sink`.
fn read(
    mut input: Input<'_>,
    encoding: Encoding,
    job: &Job,
    sink: Sink<'_>,
) -> Result<Ending, AudioError> {
    if let Encoding::Raw {
        format,
        sample_rate,
        channels,
    } = encoding
    {
        let samples = Pcm::raw(format, sample_rate, channels, job)?;
        return samples.read(input, u64::MAX, false, sink);
    }
    let tagged = input.skip_tags()?;
    match sniff::sniff(input.peek(sniff::HEAD)?, tagged)? {
        Format::Wav => wav::decode(input, job, sink),
        Format::Wave64 => w64::decode(input, job, sink),
        Format::Au => au::decode(input, job, sink),
        Format::Aiff => aiff::decode(input, job, sink),
        Format::Caf => caf::decode(input, job, sink),
        Format::Container { name } => container::decode(input, name, job, sink),
        Format::Unmarked => container::decode_unmarked(input, job, sink),
    }
}

/// Takes samples that are settled: lanes at 16 kHz, equally long. It may keep them.
type Sink<'a> = &'a mut dyn FnMut(&mut [Vec<f32>]) -> Result<(), AudioError>;

/// What every way in needs to know of the call.
struct Job {
    lanes: LaneChoice,
    limits: Limits,
    watch: Watch,
    /// Bytes of the recording, where they are all there.
    size: Option<u64>,
    /// Told before the first samples are handed over.
    captured_rate: CapturedRate,
}

/// [`Source::captured_rate`] of a recording that is being decoded. Clones tell of the same recording.
#[derive(Clone, Debug, Default)]
pub struct CapturedRate(Arc<AtomicU32>);

impl CapturedRate {
    fn set(&self, rate: u32) {
        self.0.store(rate, Ordering::Release);
    }

    /// Hz; known before the first samples come.
    #[must_use]
    pub fn get(&self) -> Option<u32> {
        Some(self.0.load(Ordering::Acquire)).filter(|rate| *rate > 0)
    }
}

#[cfg(test)]
mod response;
#[cfg(test)]
mod tests;

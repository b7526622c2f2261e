//! What decoding returns: the samples, and the facts about the recording they come from.

use super::rates::SAMPLE_RATE;

/// A decoded recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    /// `[L, N]`: mono lanes at 16 kHz, all of the same length. Full scale is ±1, which a float source may
    /// exceed.
    pub lanes: Vec<Vec<f32>>,
    /// The format of the recording.
    pub source: Source,
    /// A part of the recording is missing or damaged. Either the bytes end before the length in the header,
    /// or some packets could not be decoded. Silence replaces such packets if their length is known.
    pub truncated: bool,
    /// The number of channels changes midway. The lanes are those of the first channels. Where the number
    /// differs, each lane has the mean of all channels.
    pub channels_changed: bool,
}

impl Recording {
    /// Returns the length in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        let samples = self.lanes.first().map_or(0, Vec::len);
        samples as f64 / f64::from(SAMPLE_RATE)
    }
}

/// The format of a recording before it was decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Source {
    /// Short name of the codec: `pcm_s16le`, `flac`, `mp3`.
    pub codec: String,
    /// Sample rate in Hz at the start of the recording. Some streams change it midway.
    pub sample_rate: u32,
    /// Rate in Hz at which the sound was sampled before it was coded, at the start of the recording. It
    /// bounds the frequencies that the recording can contain. It is below `sample_rate` only for Opus: Opus
    /// is always decoded at 48 kHz, and its header has the rate of the encoder's input (RFC 7845, 5.1).
    pub captured_rate: u32,
    /// Samples in a frame at the start of the recording; see [`Recording::channels_changed`].
    pub channels: u16,
}

/// The result of decoding a recording piece by piece, without its samples.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ending {
    /// The format of the recording.
    pub source: Source,
    /// A part is missing or damaged, as in [`Recording::truncated`].
    pub truncated: bool,
    /// The number of channels changes midway, as in [`Recording::channels_changed`].
    pub channels_changed: bool,
    /// The container could be read only as a whole, so no sample came before the last byte.
    pub held: bool,
}

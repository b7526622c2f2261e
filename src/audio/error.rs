//! Errors of decoding, with messages for the person who sent the audio.

use std::time::Duration;

use super::limits::FREE_SECONDS;
use super::rates::SOURCE_RATES;

/// A fault in the bytes, or a limit that they exceed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AudioError {
    /// There are no bytes.
    #[error("the audio is empty: 0 bytes")]
    Empty,
    /// More bytes than [`Limits::bytes`](super::Limits::bytes).
    #[error("the audio has {bytes} bytes; at most {limit} are accepted in one request")]
    TooLarge {
        /// Bytes sent.
        bytes: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// More audio than [`Limits::seconds`](super::Limits::seconds).
    #[error("the audio is longer than {limit} s; send it in parts")]
    TooLong {
        /// Seconds allowed.
        limit: f64,
    },
    /// More lanes × samples than [`Limits::decoded_bytes`](super::Limits::decoded_bytes).
    #[error("decoded, the audio needs more than {limit} bytes; send fewer lanes or shorter parts")]
    TooMuchDecoded {
        /// Bytes of f32 allowed.
        limit: usize,
    },
    /// More audio from fewer bytes than
    /// [`Limits::seconds_per_megabyte`](super::Limits::seconds_per_megabyte) allows.
    #[error(
        "{bytes} bytes decode to {seconds:.0} s of audio or more; the limit is {limit} s per megabyte, \
         in addition to {FREE_SECONDS} s for any recording: leave out silence, or send it less compressed"
    )]
    Expands {
        /// Bytes of the recording, or those so far.
        bytes: u64,
        /// Seconds decoded from them.
        seconds: f64,
        /// Seconds allowed per megabyte.
        limit: f64,
    },
    /// More bytes to hold than [`Limits::held_bytes`](super::Limits::held_bytes).
    #[error(
        "this file can be decoded only as a whole, and it is larger than {limit} bytes; \
         stream WAV, FLAC, MP3, AAC or Ogg, or MP4 of one track with its index at the start"
    )]
    TooMuchHeld {
        /// Bytes allowed.
        limit: usize,
    },
    /// More channels than [`Limits::channels`](super::Limits::channels).
    #[error("{origin} claims {channels} channels; at most {limit} are accepted")]
    TooManyChannels {
        /// Who claims it.
        origin: &'static str,
        /// Channels claimed.
        channels: u32,
        /// Channels allowed.
        limit: u16,
    },
    /// Decoding took longer than [`Limits::time`](super::Limits::time).
    #[error("decoding was stopped after {} s; send less audio in one request", limit.as_secs_f64())]
    Timeout {
        /// Wall time allowed.
        limit: Duration,
    },
    /// [`Stop::stop`](super::Stop::stop) was called, or a decoder was used again after an error.
    #[error("decoding was stopped, because nobody waits for its result")]
    Stopped,
    /// The system cannot start a thread for decoding.
    #[error("cannot start a thread for decoding: {0}")]
    Thread(#[source] std::io::Error),
    /// The number of channels is 0.
    #[error("{origin} claims 0 channels; at least one is needed")]
    ZeroChannels {
        /// Who claims it.
        origin: &'static str,
    },
    /// The sample rate is 0.
    #[error("{origin} claims 0 Hz; a sample rate is needed")]
    ZeroRate {
        /// Who claims it.
        origin: &'static str,
    },
    /// A sample rate with which nobody records speech.
    #[error(
        "{origin} claims {rate} Hz; rates of {} to {} Hz are accepted",
        SOURCE_RATES.start(),
        SOURCE_RATES.end()
    )]
    RateOutOfRange {
        /// Who claims it.
        origin: &'static str,
        /// Hz claimed.
        rate: u32,
    },
    /// The first bytes are not those of a format that can be decoded.
    #[error(
        "unknown audio format: {looks}. WAV, FLAC, MP3, AAC, MP4, Ogg, WebM, AIFF and CAF are \
         accepted; raw samples need an encoding, a sample rate and a channel count"
    )]
    UnknownFormat {
        /// A description of the first bytes.
        looks: String,
    },
    /// The format or codec is recognised, but cannot be decoded.
    #[error("{codec} is not supported; send WAV, FLAC, MP3, AAC, Vorbis or Opus")]
    Unsupported {
        /// Its name.
        codec: String,
    },
    /// The data is recognised, but is not a recording that can be decoded.
    #[error("{what}; {cure}")]
    Refused {
        /// What the data is.
        what: String,
        /// What to send instead.
        cure: String,
    },
    /// The bytes violate their format.
    #[error("{what}{}", source.as_ref().map(|e| format!(": {e}")).unwrap_or_default())]
    Malformed {
        /// What is wrong, and where.
        what: String,
        /// The decoder's error.
        #[source]
        source: Option<symphonia::core::errors::Error>,
    },
    /// There is a header, but not one sample.
    #[error("the file has a header but no audio in it")]
    NoAudio,
    /// A float sample is NaN or infinite.
    #[error("lane {lane} has a sample that is not a finite number at {seconds:.3} s")]
    NotFinite {
        /// Channel, counted from 0.
        lane: u16,
        /// Seconds from the start.
        seconds: f64,
    },
    /// A float sample is larger than any recorder writes. Later computations would overflow.
    #[error("lane {lane} has a sample of {value:e} at {seconds:.3} s; full scale is ±1")]
    OffScale {
        /// Channel, counted from 0.
        lane: u16,
        /// Seconds from the start.
        seconds: f64,
        /// The sample.
        value: f32,
    },
    /// The selected lane does not exist.
    #[error("lane {lane} was requested, but there are {channels} (the first is 0)")]
    LaneOutOfRange {
        /// Lane requested.
        lane: u16,
        /// Channels of the recording.
        channels: u16,
    },
    /// The resampler refused a rate or a block. This is a fault of this program, not of the audio.
    #[error("cannot resample from {rate} Hz: {source}")]
    Resampler {
        /// Source rate in Hz.
        rate: u32,
        /// The resampler's error.
        source: ResamplerError,
    },
}

/// An error of the resampler.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResamplerError {
    /// It refused a rate.
    #[error(transparent)]
    Rate(#[from] rubato::ResamplerConstructionError),
    /// It refused a block of samples.
    #[error(transparent)]
    Block(#[from] rubato::ResampleError),
}

impl AudioError {
    /// Returns true if the audio may be valid but exceeds a limit, so that less of it would be accepted.
    #[must_use]
    pub fn is_limit(&self) -> bool {
        matches!(
            self,
            Self::TooLarge { .. }
                | Self::TooLong { .. }
                | Self::TooMuchDecoded { .. }
                | Self::Expands { .. }
                | Self::TooMuchHeld { .. }
                | Self::TooManyChannels { .. }
                | Self::Timeout { .. }
        )
    }

    /// Returns [`AudioError::Malformed`] without a source.
    pub(super) fn malformed(what: impl Into<String>) -> Self {
        Self::Malformed {
            what: what.into(),
            source: None,
        }
    }
}

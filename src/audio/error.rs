//! What can be wrong with audio, in words for whoever sent it.

use std::time::Duration;

use super::RATES;
use super::limits::FREE_SECONDS;

/// What is wrong with the bytes, or which limit they exceed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AudioError {
    /// No bytes at all.
    #[error("the audio is empty: 0 bytes")]
    Empty,
    /// More bytes than [`Limits::bytes`](super::Limits::bytes).
    #[error("the audio has {bytes} bytes; at most {limit} are taken in one request")]
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
        "{bytes} bytes decode to {seconds:.0} s of audio and more; a megabyte may decode to {limit} s, \
         and any recording to {FREE_SECONDS} s: leave out silence, or send it less compressed"
    )]
    Expands {
        /// Bytes of the recording, or those of it that came so far.
        bytes: u64,
        /// Seconds decoded from them.
        seconds: f64,
        /// Seconds a megabyte allowed.
        limit: f64,
    },
    /// More to hold back than [`Limits::held_bytes`](super::Limits::held_bytes).
    #[error(
        "this file can be decoded only once all of it is there, and it is larger than {limit} bytes; \
         stream WAV, FLAC, MP3, AAC or Ogg, or MP4 of one track with its index in front"
    )]
    TooMuchHeld {
        /// Bytes allowed.
        limit: usize,
    },
    /// More channels than [`Limits::channels`](super::Limits::channels).
    #[error("{origin} says {channels} channels; at most {limit} are taken")]
    TooManyChannels {
        /// Who says so.
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
    /// [`Stop::stop`](super::Stop::stop) was called, or a decoder that had failed was used again.
    #[error("decoding was stopped: nobody waits for it")]
    Stopped,
    /// The system gave no thread to decode on.
    #[error("no thread can be started to decode on: {0}")]
    Thread(#[source] std::io::Error),
    /// No channels.
    #[error("{origin} says 0 channels; at least one is needed")]
    ZeroChannels {
        /// Who says so.
        origin: &'static str,
    },
    /// No sample rate.
    #[error("{origin} says 0 Hz; a sample rate is needed")]
    ZeroRate {
        /// Who says so.
        origin: &'static str,
    },
    /// A sample rate nobody records speech with.
    #[error("{origin} says {rate} Hz; rates of {} to {} Hz are taken", RATES.start(), RATES.end())]
    RateOutOfRange {
        /// Who says so.
        origin: &'static str,
        /// Hz claimed.
        rate: u32,
    },
    /// The first bytes belong to nothing that can be decoded.
    #[error(
        "no audio format known here: {looks}. WAV, FLAC, MP3, AAC, MP4, Ogg, WebM, AIFF and CAF are \
         read; raw samples need an encoding, a sample rate and a channel count"
    )]
    UnknownFormat {
        /// What the first bytes look like.
        looks: String,
    },
    /// The format or codec is known by name, but not decoded.
    #[error("{codec} is not supported; send WAV, FLAC, MP3, AAC, Vorbis or Opus")]
    Unsupported {
        /// Its name.
        codec: String,
    },
    /// What was sent is known, but is not what can be decoded.
    #[error("{what}; {cure}")]
    Refused {
        /// What it is.
        what: String,
        /// What to send in its place.
        cure: String,
    },
    /// The bytes break the rules of their format.
    #[error("{what}{}", source.as_ref().map(|e| format!(": {e}")).unwrap_or_default())]
    Malformed {
        /// What is broken, where.
        what: String,
        /// The decoder's own words.
        #[source]
        source: Option<symphonia::core::errors::Error>,
    },
    /// A header, but not one sample.
    #[error("the file has a header but no audio in it")]
    NoAudio,
    /// NaN or infinity among float samples.
    #[error("lane {lane} has a sample that is not a finite number at {seconds:.3} s")]
    NotFinite {
        /// Channel, counted from 0.
        lane: u16,
        /// Seconds from the start.
        seconds: f64,
    },
    /// A float sample no recorder writes; arithmetic on it would overflow further on.
    #[error("lane {lane} has a sample of {value:e} at {seconds:.3} s; full scale is ±1")]
    OffScale {
        /// Channel, counted from 0.
        lane: u16,
        /// Seconds from the start.
        seconds: f64,
        /// The sample.
        value: f32,
    },
    /// A lane was selected that is not there.
    #[error("lane {lane} was asked for, but there are {channels} (the first is 0)")]
    LaneOutOfRange {
        /// Lane asked for.
        lane: u16,
        /// Channels there are.
        channels: u16,
    },
    /// The resampler refused a rate or a block: our fault, not the sender's.
    #[error("cannot resample from {rate} Hz: {detail}")]
    Resampler {
        /// Source rate in Hz.
        rate: u32,
        /// The resampler's own words.
        detail: String,
    },
}

impl AudioError {
    /// True when the audio may be sound but exceeds a limit, so that less of it would be taken.
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

    pub(super) fn malformed(what: impl Into<String>) -> Self {
        Self::Malformed {
            what: what.into(),
            source: None,
        }
    }
}

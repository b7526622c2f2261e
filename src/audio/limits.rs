//! Limits of one decode. All of them are checked while decoding, because headers may be wrong.

use std::time::Duration;

/// Seconds that any recording may last, however few its bytes. Ten minutes of a muted line have only 9 KB of FLAC,
/// and they are a legitimate recording.
pub(super) const FREE_SECONDS: f64 = 600.0;

/// What one decode may use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Bytes of input. Default 256 MiB. The default of `seconds` is one hour, and an hour of two channels of
    /// 16 bits at 16 kHz has 230 MB.
    pub bytes: usize,
    /// Seconds of audio, counted while decoding. Default 3,600.
    pub seconds: f64,
    /// Channels of the source. Default 8.
    pub channels: u16,
    /// Seconds of audio that a megabyte (10⁶ bytes) may decode to, in addition to ten minutes that every
    /// recording may have. Default 2,500, which is 3.2 kbit/s.
    ///
    /// The default is about half of the lowest bit rate at which Opus codes speech (6 kbit/s, 1,333 s), so
    /// only silence exceeds it, and a megabyte stays below an hour. A megabyte of silence alone would be
    /// 2,100 s of AAC, 7,900 s of Vorbis, 15,000 s of FLAC.
    /// [`decode`](super::decode) counts all bytes of the recording. A [`Decoder`](super::Decoder) counts only
    /// the coded bytes so far, so it needs a higher limit for a line that is muted for long at its start.
    pub seconds_per_megabyte: f64,
    /// Bytes of decoded f32 that [`decode`](super::decode) may hold: all lanes at 16 kHz. Default
    /// 2 GiB. A [`Decoder`](super::Decoder) holds none.
    pub decoded_bytes: usize,
    /// Bytes that a [`Decoder`](super::Decoder) may hold of a container that can be read only as a whole.
    /// Default 32 MiB. [`decode`](super::decode) has all bytes anyway.
    pub held_bytes: usize,
    /// Wall time of one decode, without the time spent waiting for bytes or for the receiver of the samples.
    /// Default 60 s.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 256 << 20,
            seconds: 3_600.0,
            channels: 8,
            seconds_per_megabyte: 2_500.0,
            decoded_bytes: 2 << 30,
            held_bytes: 32 << 20,
            time: Duration::from_secs(60),
        }
    }
}

impl Limits {
    /// Returns the seconds that `bytes` coded bytes may decode to.
    pub(super) fn seconds_of_bytes(&self, bytes: u64) -> f64 {
        FREE_SECONDS + self.seconds_per_megabyte * bytes as f64 / 1e6
    }
}

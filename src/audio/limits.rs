//! What one decode may take, and whether anybody still waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::AudioError;

/// Seconds that any recording may last, however few its bytes: ten minutes of a muted line are 9 KB
/// of FLAC, and no attack.
pub(super) const FREE_SECONDS: f64 = 600.0;

/// What one decode may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Bytes of input. Default 256 MiB: an hour, the default of `seconds`, of two channels of 16 bits at
    /// 16 kHz is 230 MB.
    pub bytes: usize,
    /// Seconds of audio, counted while decoding. Default 3,600.
    pub seconds: f64,
    /// Channels of the source. Default 8.
    pub channels: u16,
    /// Seconds of audio that a megabyte (10⁶ bytes) may decode to, beyond the first ten minutes.
    /// Default 2,500, which is 3.2 kbit/s: half of the least that Opus codes speech with (6 kbit/s,
    /// 1,333 s), so that only silence exceeds it, and a megabyte stays below an hour. A megabyte of
    /// silence alone would be 2,100 s of AAC, 7,900 s of Vorbis, 15,000 s of FLAC.
    /// [`decode`](super::decode) takes all bytes of the recording; a [`Decoder`](super::Decoder)
    /// knows only the coded ones that came so far, so a line that is long muted at its start needs
    /// more there.
    pub seconds_per_megabyte: f64,
    /// Bytes of decoded f32 that [`decode`](super::decode) may hold: all lanes at 16 kHz. Default
    /// 2 GiB. A [`Decoder`](super::Decoder) holds none.
    pub decoded_bytes: usize,
    /// Bytes that a [`Decoder`](super::Decoder) may hold back of a container that can be read only
    /// once all of it is there. Default 32 MiB. [`decode`](super::decode) has them anyway.
    pub held_bytes: usize,
    /// Wall time of one decode, without waiting for bytes or for whoever takes the samples. Default
    /// 60 s.
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
    /// Seconds that so many coded bytes may decode to.
    pub(super) fn expansion(&self, bytes: u64) -> f64 {
        FREE_SECONDS + self.seconds_per_megabyte * bytes as f64 / 1e6
    }
}

/// Tells a decode that nobody waits for it any more; it ends with [`AudioError::Stopped`] at its
/// next look, within a packet or 4,096 frames. Clones share one flag.
///
/// # Example
/// ```
/// use undertone::audio::{AudioError, Encoding, LaneChoice, Limits, Stop, decode_until};
///
/// let stop = Stop::default();
/// let waiting = stop.on_drop(); // kept by whoever waits for the result
/// drop(waiting);
/// let wav = b"RIFF\x26\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80>\0\0\0}\0\0\x02\0\x10\0data\x02\0\0\0\0\0";
/// let gone = decode_until(&stop, wav, Encoding::Auto, LaneChoice::Auto, &Limits::default());
/// assert!(matches!(gone, Err(AudioError::Stopped)));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Stops every decode that looks at this flag.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was stopped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// A value that stops when it is dropped, whether its owner returned, failed or was cancelled.
    #[must_use]
    pub fn on_drop(&self) -> StopOnDrop {
        StopOnDrop(self.clone())
    }
}

/// Stops a decode when dropped; see [`Stop::on_drop`].
#[derive(Debug)]
pub struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// The time that one decode has had, and whether it should go on. Clones watch the same decode.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    begun: Instant,
    limit: Duration,
    /// Nanoseconds spent waiting for others.
    idle: Arc<AtomicU64>,
    stop: Stop,
}

impl Watch {
    pub(super) fn start(limit: Duration, stop: Stop) -> Self {
        Self {
            begun: Instant::now(),
            limit,
            idle: Arc::default(),
            stop,
        }
    }

    /// Whether to go on.
    pub(super) fn check(&self) -> Result<(), AudioError> {
        if self.stop.is_stopped() {
            return Err(AudioError::Stopped);
        }
        let idle = Duration::from_nanos(self.idle.load(Ordering::Relaxed));
        if self.begun.elapsed().saturating_sub(idle) >= self.limit {
            return Err(AudioError::Timeout { limit: self.limit });
        }
        Ok(())
    }

    /// Waits for somebody else, which does not count.
    pub(super) fn idle<T>(&self, wait: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let done = wait();
        let waited = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.idle.fetch_add(waited, Ordering::Relaxed);
        done
    }
}

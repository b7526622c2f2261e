//! A flag that ends decodes whose result nobody needs any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Stops the decodes that it was passed to. They end with
/// [`AudioError::Stopped`](super::AudioError::Stopped) at their next check, which comes within one packet or
/// 4,096 frames. Clones share one flag.
///
/// # Example
/// ```
/// use undertone::audio::{AudioError, Encoding, LaneChoice, Limits, Stop, decode_until};
///
/// let stop = Stop::default();
/// let caller = stop.on_drop(); // belongs to whoever waits for the result
/// drop(caller);
/// let wav = b"RIFF\x26\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80>\0\0\0}\0\0\x02\0\x10\0data\x02\0\0\0\0\0";
/// let stopped = decode_until(&stop, wav, Encoding::Auto, LaneChoice::Auto, &Limits::default());
/// assert!(matches!(stopped, Err(AudioError::Stopped)));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Stops every decode that checks this flag.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Returns whether [`stop`](Self::stop) was called.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Returns a value that stops when it is dropped, whether its owner returned, failed or was cancelled.
    #[must_use]
    pub fn on_drop(&self) -> StopOnDrop {
        StopOnDrop(self.clone())
    }
}

/// Stops decodes when it is dropped; see [`Stop::on_drop`].
#[derive(Debug)]
pub struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

//! The time limit of one decode.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{AudioError, Stop};

/// Measures the working time of one decode and checks whether the decode may continue. Clones measure the
/// same decode.
#[derive(Clone, Debug)]
pub(super) struct DecodeTimer {
    start: Instant,
    limit: Duration,
    /// Nanoseconds spent waiting for others.
    paused: Arc<AtomicU64>,
    stop: Stop,
}

impl DecodeTimer {
    pub(super) fn start(limit: Duration, stop: Stop) -> Self {
        Self {
            start: Instant::now(),
            limit,
            paused: Arc::default(),
            stop,
        }
    }

    /// Fails if the decode was stopped or has used up its time.
    pub(super) fn check(&self) -> Result<(), AudioError> {
        if self.stop.is_stopped() {
            return Err(AudioError::Stopped);
        }
        let paused = Duration::from_nanos(self.paused.load(Ordering::Relaxed));
        if self.start.elapsed().saturating_sub(paused) >= self.limit {
            return Err(AudioError::Timeout { limit: self.limit });
        }
        Ok(())
    }

    /// Runs `wait`, which waits for another thread. This time does not count.
    pub(super) fn pause_during<T>(&self, wait: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let done = wait();
        let waited = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.paused.fetch_add(waited, Ordering::Relaxed);
        done
    }
}

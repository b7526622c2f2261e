//! The shell's clock: the system's, or one that a test drives. It also gives the processor time of the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::core::Time;

/// A clock that gives the time since it was created.
#[derive(Clone, Debug)]
pub struct Clock {
    started: Instant,
    /// The time of a clock that a test drives.
    driven: Option<Arc<Driven>>,
}

/// The time of a driven clock, in nanoseconds.
#[derive(Debug, Default)]
struct Driven {
    now: AtomicU64,
    /// The part of `now` in which the process stood still.
    stalled: AtomicU64,
}

impl Clock {
    /// Returns a clock that follows the system's.
    #[must_use]
    pub fn system() -> Self {
        Self {
            started: Instant::now(),
            driven: None,
        }
    }

    /// Returns a clock for tests. It stands still until [`Clock::advance`] is called.
    #[must_use]
    pub fn driven() -> Self {
        Self {
            driven: Some(Arc::default()),
            ..Self::system()
        }
    }

    /// Advances a driven clock. Call [`Scheduler::tick`](super::Scheduler::tick) afterwards, which wakes the workers
    /// that wait for the time.
    pub fn advance(&self, by: Duration) {
        if let Some(driven) = &self.driven {
            driven.now.fetch_add(nanos(by), Ordering::SeqCst);
        }
    }

    /// Advances a driven clock as if the process had stood still meanwhile.
    pub fn stall(&self, by: Duration) {
        if let Some(driven) = &self.driven {
            driven.stalled.fetch_add(nanos(by), Ordering::SeqCst);
            self.advance(by);
        }
    }

    /// Returns the instant of a time.
    #[must_use]
    pub fn instant(&self, time: Time) -> Instant {
        self.started + time
    }

    pub(super) fn now(&self) -> Time {
        match &self.driven {
            Some(driven) => Time::from_nanos(driven.now.load(Ordering::SeqCst)),
            None => self.started.elapsed(),
        }
    }

    /// Returns the processor time of all threads of the process, or none if the system does not give it. On a
    /// driven clock it passes as the time does, except in stalls.
    pub(super) fn processor_time(&self) -> Option<Duration> {
        match &self.driven {
            Some(driven) => {
                let stalled = Duration::from_nanos(driven.stalled.load(Ordering::SeqCst));
                Some(self.now().saturating_sub(stalled))
            }
            None => process_time(),
        }
    }

    pub(super) fn time(&self, instant: Instant) -> Time {
        instant.saturating_duration_since(self.started)
    }

    /// Returns how long to sleep until this time. Returns none on a driven clock: the sleeper waits until it is
    /// woken.
    pub(super) fn until(&self, time: Time) -> Option<Duration> {
        match self.driven {
            Some(_) => None,
            None => Some(time.saturating_sub(self.now())),
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(any(target_os = "linux", target_vendor = "apple"))]
fn process_time() -> Option<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.try_into().ok()
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
fn process_time() -> Option<Duration> {
    None
}

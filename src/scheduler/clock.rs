//! The shell's clock: the system's, or one that a test drives. Beside the time it tells the processor time
//! of the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::core::Time;

/// Time since it was made.
#[derive(Clone, Debug)]
pub struct Clock {
    started: Instant,
    /// If it stands still until it is driven.
    driven: Option<Arc<Driven>>,
}

/// Nanoseconds of a driven clock.
#[derive(Debug, Default)]
struct Driven {
    now: AtomicU64,
    /// Of them, those in which the process stood still.
    stalled: AtomicU64,
}

impl Clock {
    /// The system's.
    #[must_use]
    pub fn system() -> Self {
        Self {
            started: Instant::now(),
            driven: None,
        }
    }

    /// One that stands still until [`Clock::advance`] is called; for tests.
    #[must_use]
    pub fn driven() -> Self {
        Self {
            driven: Some(Arc::default()),
            ..Self::system()
        }
    }

    /// Moves a driven clock on. What waits for the time is woken by
    /// [`Scheduler::tick`](super::Scheduler::tick).
    pub fn advance(&self, by: Duration) {
        if let Some(driven) = &self.driven {
            driven.now.fetch_add(nanos(by), Ordering::SeqCst);
        }
    }

    /// Moves a driven clock on as if the process had stood still meanwhile.
    pub fn stall(&self, by: Duration) {
        if let Some(driven) = &self.driven {
            driven.stalled.fetch_add(nanos(by), Ordering::SeqCst);
            self.advance(by);
        }
    }

    /// The instant of a time.
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

    /// Processor time of all threads of the process, where the system tells it. On a driven clock it passes
    /// as the time does, except in stalls.
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

    /// How long to sleep until then; for ever on a driven clock, which wakes the sleeper.
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

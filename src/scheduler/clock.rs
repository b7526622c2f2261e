//! The shell's clock: the system's, or one that a test drives.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::core::Time;

/// Time since it was made.
#[derive(Clone, Debug)]
pub struct Clock {
    started: Instant,
    /// Nanoseconds, if it stands still until it is driven.
    driven: Option<Arc<AtomicU64>>,
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
            let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
            driven.fetch_add(by, Ordering::SeqCst);
        }
    }

    /// The instant of a time.
    #[must_use]
    pub fn instant(&self, time: Time) -> Instant {
        self.started + time
    }

    pub(super) fn now(&self) -> Time {
        match &self.driven {
            Some(driven) => Time::from_nanos(driven.load(Ordering::SeqCst)),
            None => self.started.elapsed(),
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

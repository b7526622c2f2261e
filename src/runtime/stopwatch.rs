//! Measures the cost of a run, which can be less than its duration.

use std::time::{Duration, Instant};

/// A stopwatch that is started before a run and read after it, on the same thread.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    begun: Instant,
    /// The thread's processor time at the start, if that is what counts.
    processor: Option<Duration>,
}

impl Stopwatch {
    /// Starts a stopwatch for runs that a GPU or several threads compute.
    #[must_use]
    pub fn of_the_wall() -> Self {
        Self {
            begun: Instant::now(),
            processor: None,
        }
    }

    /// Starts a stopwatch for runs that the calling thread computes alone. Where the system reports the
    /// thread's processor time, the cost excludes time in which other threads had the processor.
    #[must_use]
    pub fn of_this_thread() -> Self {
        Self {
            begun: Instant::now(),
            processor: processor_time(),
        }
    }

    /// Returns the time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Returns the cost since the start: the thread's processor time, or the time by the clock if the
    /// processor time is not measured or not known.
    #[must_use]
    pub fn cost(&self) -> Duration {
        let computed = |begun| processor_time()?.checked_sub(begun);
        let computed = self.processor.and_then(computed);
        // A clock that counts in ticks shows zero for a run between two ticks.
        let computed = computed.filter(|time| !time.is_zero());
        computed.unwrap_or_else(|| self.elapsed())
    }
}

/// Returns the processor time of the calling thread.
#[cfg(any(target_os = "linux", target_vendor = "apple"))]
fn processor_time() -> Option<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.try_into().ok()
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
fn processor_time() -> Option<Duration> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(any(target_os = "linux", target_vendor = "apple"))]
    #[test]
    fn a_sleeping_thread_costs_less_than_half_the_time_it_sleeps() {
        let nap = Duration::from_millis(100);
        let watches = [Stopwatch::of_this_thread(), Stopwatch::of_the_wall()];
        std::thread::sleep(nap);
        assert!(watches[0].elapsed() >= nap);
        let [own, wall] = watches.map(|watch| watch.cost());
        assert!(own < nap / 2, "{own:?}");
        assert!(wall >= nap, "{wall:?}");
    }
}

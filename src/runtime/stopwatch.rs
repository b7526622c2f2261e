//! What a run costs, told apart from how long it takes.

use std::time::{Duration, Instant};

/// Started before a run and read after it, on the same thread.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    begun: Instant,
    /// The thread's processor time at the start, if that is what counts.
    processor: Option<Duration>,
}

impl Stopwatch {
    /// For runs in which others compute: a GPU, or more threads.
    #[must_use]
    pub fn of_the_wall() -> Self {
        Self {
            begun: Instant::now(),
            processor: None,
        }
    }

    /// For runs that the calling thread computes alone. Where the system tells its processor time, time
    /// in which others had the processor is no part of the cost.
    #[must_use]
    pub fn of_this_thread() -> Self {
        Self {
            begun: Instant::now(),
            processor: processor_time(),
        }
    }

    /// Time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// What was computed since the start: the thread's processor time, or time by the clock where that is not
    /// asked for or not known.
    #[must_use]
    pub fn cost(&self) -> Duration {
        let computed = |begun| processor_time()?.checked_sub(begun);
        let computed = self.processor.and_then(computed);
        // A clock that counts in ticks says nothing of a run between two.
        let computed = computed.filter(|time| !time.is_zero());
        computed.unwrap_or_else(|| self.elapsed())
    }
}

/// Time that the calling thread has had a processor.
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
    fn a_thread_that_sleeps_costs_next_to_nothing() {
        let nap = Duration::from_millis(100);
        let watches = [Stopwatch::of_this_thread(), Stopwatch::of_the_wall()];
        std::thread::sleep(nap);
        assert!(watches[0].elapsed() >= nap);
        let [own, wall] = watches.map(|watch| watch.cost());
        assert!(own < nap / 2, "{own:?}");
        assert!(wall >= nap, "{wall:?}");
    }
}

//! How fast predicted work is really done: for the advice to refused callers when to come back.
//!
//! The estimate is the device time of the batches that were started, as predicted, divided by the time that
//! passed while enough jobs were held to keep all instances busy. Where decoding or other processes take the
//! processors, that is less than the instances could do. Both sums fade, so that an estimate from slower or
//! faster times does not stay.

use std::time::Duration;

use super::Time;

/// The sums fade to a third in so long.
const MEMORY: Duration = Duration::from_secs(2);
/// Before anything is known, the instances are taken to have worked at full speed for so long.
const PRIOR: Duration = Duration::from_millis(5);
/// Jobs for each instance that keep it busy.
const JOBS_EACH: usize = 2;

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct DrainRateEstimator {
    /// Faded sums in seconds.
    started: f64,
    busy: f64,
    at: Time,
    is_busy: bool,
}

impl DrainRateEstimator {
    /// So many jobs are held from now on.
    pub(super) fn held(&mut self, now: Time, jobs: usize, instances: usize) {
        self.pass(now);
        self.is_busy = jobs >= JOBS_EACH * instances;
    }

    /// A batch of so much predicted device time starts.
    pub(super) fn started(&mut self, now: Time, time: Duration) {
        self.pass(now);
        if self.is_busy {
            self.started += time.as_secs_f64();
        }
    }

    /// The process stood still for so long, until the next event.
    pub(super) fn stalled(&mut self, lost: Duration) {
        self.at = self.at.saturating_add(lost);
    }

    /// How many times longer than predicted work takes, at least 1.
    pub(super) fn slowdown(&self, now: Time, instances: usize) -> f64 {
        let mut estimator = *self;
        estimator.pass(now);
        let prior = PRIOR.as_secs_f64();
        let busy = prior + estimator.busy;
        let started = prior + estimator.started / instances.max(1) as f64;
        (busy / started).max(1.0)
    }

    fn pass(&mut self, now: Time) {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        let left = (-passed / MEMORY.as_secs_f64()).exp();
        self.started *= left;
        self.busy *= left;
        if self.is_busy {
            self.busy += passed;
        }
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Two instances that start a batch of 10 ms each in every `period`.
    fn after(periods: u32, period: Duration) -> (DrainRateEstimator, Time) {
        let mut estimator = DrainRateEstimator::default();
        estimator.held(Time::ZERO, 100, 2);
        for number in 1..=periods {
            estimator.started(number * period, 10 * MS);
            estimator.started(number * period, 10 * MS);
        }
        (estimator, periods * period)
    }

    #[test]
    fn work_takes_as_many_times_longer_as_instances_start_less() {
        for (period, expected) in [(10 * MS, 1.0), (5 * MS, 1.0), (30 * MS, 3.0)] {
            let (estimator, now) = after(1_000, period);
            let slowdown = estimator.slowdown(now, 2);
            assert!((slowdown - expected).abs() < 0.1, "{period:?}: {slowdown}");
        }
    }

    #[test]
    fn that_nothing_is_done_is_seen_at_once_and_forgotten_again() {
        let (mut estimator, now) = after(0, MS);
        assert_eq!(estimator.slowdown(now, 2), 1.0);
        assert!((estimator.slowdown(now + 45 * MS, 2) - 10.0).abs() < 0.01);
        estimator.held(now + 45 * MS, 0, 2);
        assert!(estimator.slowdown(now + 20_000 * MS, 2) < 1.01);
    }

    #[test]
    fn neither_idle_times_nor_stalls_count() {
        let (mut estimator, now) = after(100, 10 * MS);
        estimator.stalled(3_000 * MS);
        assert!(estimator.slowdown(now + 3_000 * MS, 2) < 1.01);
        estimator.held(now + 3_000 * MS, 3, 2);
        assert!(estimator.slowdown(now + 4_000 * MS, 2) < 1.01);
    }
}

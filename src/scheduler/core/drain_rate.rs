//! How fast predicted work is really done. The advice to refused callers when to retry depends on it.
//!
//! Where decoding or other processes use the processors, instances do less than the cost table predicts.

use std::time::Duration;

use super::time::Time;

/// The time constant of the sums: they fade to 1/e (37 %) in this time.
const MEMORY: Duration = Duration::from_secs(2);
/// Time at full speed that counts as observed from the start, so that the first observations do not decide
/// alone.
const PRIOR: Duration = Duration::from_millis(5);
/// So many jobs for each instance are enough to keep it busy.
const JOBS_EACH: usize = 2;

/// Estimates how many times longer work takes than predicted.
///
/// `busy` is the time that passed while at least [`JOBS_EACH`] jobs were held for each instance. `started` is
/// the predicted device time of the batches that were started in that time. Both sums fade, so that an estimate
/// from slower or faster times does not stay.
///
/// ```text
/// slowdown = max(1, (PRIOR + busy) / (PRIOR + started / instances))
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct DrainRateEstimator {
    /// Both sums in seconds, faded.
    started: f64,
    busy: f64,
    at: Time,
    is_busy: bool,
}

impl DrainRateEstimator {
    /// Records how many jobs are held from now on.
    pub(super) fn held(&mut self, now: Time, jobs: usize, instances: usize) {
        self.advance_to(now);
        self.is_busy = jobs >= JOBS_EACH * instances;
    }

    /// Records the start of a batch with this predicted device time.
    pub(super) fn started(&mut self, now: Time, time: Duration) {
        self.advance_to(now);
        if self.is_busy {
            self.started += time.as_secs_f64();
        }
    }

    /// Leaves out time in which the process stood still.
    pub(super) fn stalled(&mut self, lost: Duration) {
        self.at = self.at.saturating_add(lost);
    }

    /// Returns how many times longer than predicted work takes, at least 1.
    pub(super) fn slowdown(&self, now: Time, instances: usize) -> f64 {
        let mut estimator = *self;
        estimator.advance_to(now);
        let prior = PRIOR.as_secs_f64();
        let busy = prior + estimator.busy;
        let started = prior + estimator.started / instances.max(1) as f64;
        (busy / started).max(1.0)
    }

    fn advance_to(&mut self, now: Time) {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        let fade = (-passed / MEMORY.as_secs_f64()).exp();
        self.started *= fade;
        self.busy *= fade;
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

    /// Returns the estimate after two instances have each started a batch of 10 ms in every `period`.
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
    fn work_takes_as_many_times_longer_as_fewer_batches_start() {
        for (period, expected) in [(10 * MS, 1.0), (5 * MS, 1.0), (30 * MS, 3.0)] {
            let (estimator, now) = after(1_000, period);
            let slowdown = estimator.slowdown(now, 2);
            assert!((slowdown - expected).abs() < 0.1, "{period:?}: {slowdown}");
        }
    }

    #[test]
    fn a_standstill_shows_at_once_and_fades_when_the_server_is_idle() {
        let (mut estimator, now) = after(0, MS);
        assert_eq!(estimator.slowdown(now, 2), 1.0);
        assert!((estimator.slowdown(now + 45 * MS, 2) - 10.0).abs() < 0.01);
        estimator.held(now + 45 * MS, 0, 2);
        assert!(estimator.slowdown(now + 20_000 * MS, 2) < 1.01);
    }

    #[test]
    fn neither_idle_time_nor_stalls_count() {
        let (mut estimator, now) = after(100, 10 * MS);
        estimator.stalled(3_000 * MS);
        assert!(estimator.slowdown(now + 3_000 * MS, 2) < 1.01);
        estimator.held(now + 3_000 * MS, 3, 2);
        assert!(estimator.slowdown(now + 4_000 * MS, 2) < 1.01);
    }
}

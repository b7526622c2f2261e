//! How much longer answers take than the cost table and the queue predict, because decoding, answering and
//! other processes use the same processors.
//!
//! The estimate is a factor on predicted times, learned from the jobs of a class as they end. It fades with
//! time. Without fading, a factor that refuses every job would never be corrected, because only admitted jobs
//! can correct it.

use std::time::Duration;

use super::time::Time;

/// A job weighs 15/16 of the one after it.
const MEMORY: f64 = 15.0 / 16.0;
/// The largest factor on the predicted wait behind other jobs.
const MOST: f64 = 16.0;
/// The largest factor on the predicted time of a job's own work. An idle server therefore admits each job with
/// a predicted time under half of what its deadline leaves, whatever was observed.
const MOST_ALONE: f64 = 2.0;

/// A late job raises the margin by one part in this many. A job in time lowers it by a fiftieth of that.
/// Therefore the margin settles where one job in fifty is late.
const RAISE: f64 = 30.0;
const TOO_LATE: f64 = 1.0 / 50.0;
const MOST_MARGIN: f64 = 4.0;
/// The time in which half of the factor's logarithm fades while no job ends.
const HALF_LIFE: Duration = Duration::from_secs(10);

/// How long a job took, beside its prediction.
#[derive(Clone, Copy, Debug)]
pub(super) struct DelayObservation {
    /// From its admission to its end.
    pub(super) took: Duration,
    /// The same time, as predicted at its admission.
    pub(super) predicted: Duration,
    /// Whether it met its deadline, if it had one.
    pub(super) in_time: Option<bool>,
}

/// Factors learned from the jobs of one class.
///
/// With `age` as the time since the last job ended:
///
/// ```text
/// fade     = 0.5 ^ (age / HALF_LIFE)
/// slowdown = (took / predicted) ^ fade
/// factor   = max(1, slowdown) · margin ^ fade, at most MOST
/// answer   = wait behind others · factor + own work · min(factor, MOST_ALONE)
/// ```
///
/// Each job that ends changes the state:
///
/// ```text
/// took      = predicted · slowdown · MEMORY + the job's time
/// predicted = predicted · MEMORY + the job's predicted time
/// margin    = margin ^ fade · (1 + 1 / RAISE) if it was late, · (1 − TOO_LATE / RAISE) if it was in time
/// ```
#[derive(Clone, Copy, Debug)]
pub(super) struct DelayEstimator {
    /// Weighted sums in seconds. Long waits weigh most, because they decide whether a deadline is met.
    took: f64,
    predicted: f64,
    /// A further factor. Without it, a prediction that is right on average is too short for half of the jobs.
    margin: f64,
    observed_at: Time,
}

impl Default for DelayEstimator {
    fn default() -> Self {
        Self {
            took: 0.0,
            predicted: 0.0,
            margin: 1.0,
            observed_at: Time::ZERO,
        }
    }
}

impl DelayEstimator {
    /// Learns from a job that ended.
    pub(super) fn observe(&mut self, now: Time, job: DelayObservation) {
        let slowdown = self.slowdown(now);
        self.margin = self.margin(now);
        self.took = self.predicted * slowdown * MEMORY + job.took.as_secs_f64();
        self.predicted = self.predicted * MEMORY + job.predicted.as_secs_f64();
        self.observed_at = now;
        let factor = match job.in_time {
            None => return,
            Some(false) => 1.0 + 1.0 / RAISE,
            Some(true) => 1.0 - TOO_LATE / RAISE,
        };
        self.margin = (self.margin * factor).clamp(1.0, MOST_MARGIN);
    }

    /// Returns the time within which nearly all answers arrive; the margin aims at 49 of 50. The predictions are
    /// `waiting` for the work of other jobs, and then `alone` for the job's own work.
    pub(super) fn corrected(&self, now: Time, waiting: Duration, alone: Duration) -> Duration {
        let factor = (self.slowdown(now).max(1.0) * self.margin(now)).min(MOST);
        waiting.mul_f64(factor) + alone.mul_f64(factor.min(MOST_ALONE))
    }

    /// Returns observed over predicted time, faded.
    fn slowdown(&self, now: Time) -> f64 {
        if self.predicted > 0.0 {
            (self.took / self.predicted).powf(self.fade(now))
        } else {
            1.0
        }
    }

    fn margin(&self, now: Time) -> f64 {
        self.margin.powf(self.fade(now))
    }

    /// Returns the part of the factors' logarithms that is left.
    fn fade(&self, now: Time) -> f64 {
        let age = now.saturating_sub(self.observed_at).as_secs_f64();
        0.5_f64.powf(age / HALF_LIFE.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const NOW: Time = Time::ZERO;

    fn job(took: Duration, in_time: Option<bool>) -> DelayObservation {
        DelayObservation {
            took,
            predicted: SECOND,
            in_time,
        }
    }

    /// Returns the corrected wait of a second behind others.
    fn wait(estimator: &DelayEstimator, now: Time) -> Duration {
        estimator.corrected(now, SECOND, Duration::ZERO)
    }

    /// Returns the corrected time of a second of own work.
    fn alone(estimator: &DelayEstimator, now: Time) -> Duration {
        estimator.corrected(now, Duration::ZERO, SECOND)
    }

    #[test]
    fn predictions_follow_what_was_observed_and_never_fall_below_the_table() {
        let mut estimator = DelayEstimator::default();
        assert_eq!(wait(&estimator, NOW), SECOND);
        (0..200).for_each(|_| estimator.observe(NOW, job(3 * SECOND, None)));
        let seconds = wait(&estimator, NOW).as_secs_f64();
        assert!((seconds - 3.0).abs() < 1e-3, "{seconds}");
        (0..200).for_each(|_| estimator.observe(NOW, job(SECOND / 2, None)));
        assert_eq!(wait(&estimator, NOW), SECOND);
    }

    #[test]
    fn the_margin_grows_until_one_job_in_fifty_is_late_and_shrinks_again() {
        let mut estimator = DelayEstimator::default();
        let mut late = 0;
        // Answers take one to two times the prediction, uniformly distributed.
        for number in 0..10_000_u32 {
            let took = SECOND + SECOND * (number * 37 % 100) / 100;
            let in_time = took <= wait(&estimator, NOW);
            late += u32::from(!in_time && number >= 5_000);
            estimator.observe(NOW, job(took, Some(in_time)));
        }
        assert!((50..=150).contains(&late), "{late} of 5,000");
        (0..10_000).for_each(|_| estimator.observe(NOW, job(SECOND, Some(true))));
        assert_eq!(wait(&estimator, NOW), SECOND);
    }

    #[test]
    fn own_work_is_never_taken_to_need_more_than_twice_its_prediction() {
        let mut estimator = DelayEstimator::default();
        (0..1_000).for_each(|_| estimator.observe(NOW, job(300 * SECOND, Some(false))));
        assert_eq!(wait(&estimator, NOW), 16 * SECOND);
        assert_eq!(alone(&estimator, NOW), 2 * SECOND);
    }

    #[test]
    fn a_factor_that_refuses_every_job_fades() {
        let mut estimator = DelayEstimator::default();
        (0..1_000).for_each(|_| estimator.observe(NOW, job(4 * SECOND, Some(false))));
        // 4 times the prediction, with a margin of 4.
        let factors = |lives: u32| wait(&estimator, NOW + HALF_LIFE * lives).as_secs_f64();
        assert!((factors(0) - 16.0).abs() < 1e-3);
        assert!((factors(1) - 4.0).abs() < 1e-3);
        assert!((factors(2) - 2.0).abs() < 1e-3);
        assert!(factors(12) < 1.001);
    }
}

//! How much longer answers take than the table and the queue say: for decoding, other processes, and
//! whatever else the scheduler does not arrange.

use std::time::Duration;

use super::Time;

/// A job weighs 15/16 of the one after it.
const MEMORY: f64 = 15.0 / 16.0;
/// Whatever was seen, no answer is taken to need longer than this many times its prediction.
const MOST: f64 = 16.0;

/// A job that came too late raises the margin by one part in this many, one that came in time lowers it by
/// a fiftieth of that, so that it settles where one in fifty comes too late.
const RAISE: f64 = 30.0;
const TOO_LATE: f64 = 1.0 / 50.0;
/// The margin is no larger than this, and of its logarithm half is forgotten in so long: whoever is not let
/// in for its sake can teach nothing.
const MOST_MARGIN: f64 = 4.0;
const HALF_LIFE: Duration = Duration::from_secs(10);

/// How a job went.
#[derive(Clone, Copy, Debug)]
pub(super) struct Life {
    pub(super) took: Duration,
    /// How long it was to take.
    pub(super) predicted: Duration,
    /// Whether it met its deadline, if it had one.
    pub(super) in_time: Option<bool>,
}

/// What the latest jobs teach.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Sums, in seconds: long waits, which matter most to a deadline, weigh most.
    took: f64,
    predicted: f64,
    /// Factor on top, for a prediction that is right on average comes too late half of the time.
    margin: f64,
    /// When that was.
    margin_at: Time,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            took: 0.0,
            predicted: 0.0,
            margin: 1.0,
            margin_at: Time::ZERO,
        }
    }
}

impl Pace {
    /// A job ended.
    pub(super) fn observe(&mut self, now: Time, life: Life) {
        self.took = self.took * MEMORY + life.took.as_secs_f64();
        self.predicted = self.predicted * MEMORY + life.predicted.as_secs_f64();
        let factor = match life.in_time {
            None => return,
            Some(false) => 1.0 + 1.0 / RAISE,
            Some(true) => 1.0 - TOO_LATE / RAISE,
        };
        self.margin = (self.margin(now) * factor).clamp(1.0, MOST_MARGIN);
        self.margin_at = now;
    }

    /// The time in which nearly all answers come for which so much is predicted.
    pub(super) fn of(&self, now: Time, predicted: Duration) -> Duration {
        let slower = match self.predicted > 0.0 {
            true => self.took / self.predicted,
            false => 1.0,
        };
        predicted.mul_f64((slower.max(1.0) * self.margin(now)).min(MOST))
    }

    fn margin(&self, now: Time) -> f64 {
        let lives = now.saturating_sub(self.margin_at).as_secs_f64() / HALF_LIFE.as_secs_f64();
        self.margin.powf(0.5_f64.powf(lives))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const NOW: Time = Time::ZERO;

    fn life(took: Duration, in_time: Option<bool>) -> Life {
        Life {
            took,
            predicted: SECOND,
            in_time,
        }
    }

    #[test]
    fn predictions_follow_what_was_seen_and_never_fall_below_the_table() {
        let mut pace = Pace::default();
        assert_eq!(pace.of(NOW, SECOND), SECOND);
        (0..100).for_each(|_| pace.observe(NOW, life(3 * SECOND, None)));
        assert_eq!(pace.of(NOW, SECOND), 3 * SECOND);
        (0..100).for_each(|_| pace.observe(NOW, life(SECOND / 2, None)));
        assert_eq!(pace.of(NOW, SECOND), SECOND);
    }

    #[test]
    fn the_margin_grows_until_one_in_fifty_is_late_and_is_forgotten() {
        let mut pace = Pace::default();
        let mut late = 0;
        // Answers take up to twice what they should, each as long as any other.
        for job in 0..10_000_u32 {
            let took = SECOND + SECOND * (job * 37 % 100) / 100;
            let in_time = took <= pace.of(NOW, SECOND);
            late += u32::from(!in_time && job >= 5_000);
            pace.observe(NOW, life(took, Some(in_time)));
        }
        assert!((50..=150).contains(&late), "{late} of 5,000");
        (0..10_000).for_each(|_| pace.observe(NOW, life(SECOND, Some(true))));
        assert_eq!(pace.of(NOW, SECOND), SECOND);
    }

    #[test]
    fn a_margin_that_lets_nobody_in_is_forgotten_in_time() {
        let mut pace = Pace::default();
        (0..1_000).for_each(|_| pace.observe(NOW, life(SECOND, Some(false))));
        assert_eq!(pace.of(NOW, SECOND), 4 * SECOND);
        assert_eq!(pace.of(NOW + HALF_LIFE, SECOND), 2 * SECOND);
        assert!(pace.of(NOW + 10 * HALF_LIFE, SECOND) < SECOND * 1002 / 1000);
    }
}

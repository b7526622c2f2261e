//! How much longer answers take than the table and the queue say: for decoding, other processes, and
//! whatever else the scheduler does not arrange.

use std::time::Duration;

/// A job weighs 15/16 of the one after it.
const MEMORY: f64 = 15.0 / 16.0;
/// Whatever was seen, no answer is taken to need longer than this many times its prediction.
const MOST: f64 = 16.0;

/// Sums over the latest jobs, in seconds: long waits, which matter most to a deadline, weigh most.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    took: f64,
    predicted: f64,
}

impl Pace {
    /// A job ended after so long, for which so much was predicted.
    pub(super) fn observe(&mut self, took: Duration, predicted: Duration) {
        self.took = self.took * MEMORY + took.as_secs_f64();
        self.predicted = self.predicted * MEMORY + predicted.as_secs_f64();
    }

    /// What a prediction comes to.
    pub(super) fn of(&self, predicted: Duration) -> Duration {
        if self.predicted <= 0.0 {
            return predicted;
        }
        predicted.mul_f64((self.took / self.predicted).clamp(1.0, MOST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predictions_follow_what_was_seen_and_never_fall_below_the_table() {
        let second = Duration::from_secs(1);
        let mut pace = Pace::default();
        assert_eq!(pace.of(second), second);
        (0..100).for_each(|_| pace.observe(3 * second, second));
        assert_eq!(pace.of(second), 3 * second);
        (0..100).for_each(|_| pace.observe(second / 2, second));
        assert_eq!(pace.of(second), second);
    }
}

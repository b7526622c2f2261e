//! The share of device time that bulk work is sure of while it waits, however much interactive
//! work there is: in any ten batches in a row.

use std::collections::VecDeque;
use std::time::Duration;

/// Batches over which the share holds.
const WINDOW: usize = 10;

/// Device time of the latest batches that were formed while bulk work waited.
#[derive(Clone, Debug)]
pub(super) struct Share {
    share: f64,
    /// Of each batch: its time, and bulk's part in it.
    latest: VecDeque<(Duration, Duration)>,
}

impl Share {
    pub(super) fn new(share: f64) -> Self {
        Self {
            share: share.clamp(0.0, 0.9),
            latest: VecDeque::with_capacity(WINDOW),
        }
    }

    /// A batch is formed while bulk work waits.
    pub(super) fn formed(&mut self, time: Duration, bulk: Duration) {
        self.latest.push_back((time, bulk));
        if self.latest.len() == WINDOW {
            self.latest.pop_front();
        }
    }

    /// No bulk work waits: what it got before is no matter of its next wait.
    pub(super) fn nobody_waits(&mut self) {
        self.latest.clear();
    }

    /// Device time that bulk lacks if the next batch is this one; none if it has its share.
    pub(super) fn lacks(&self, time: Duration, bulk: Duration) -> Option<Duration> {
        let (mut times, mut bulks) = (time, bulk);
        for (time, bulk) in &self.latest {
            times += *time;
            bulks += *bulk;
        }
        let due = times.mul_f64(self.share);
        if bulks >= due {
            return None;
        }
        // With a batch of bulk alone in its place.
        let due = (times - time).mul_f64(self.share);
        let lack = due.saturating_sub(bulks.saturating_sub(bulk));
        Some(lack.div_f64(1.0 - self.share))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_equal_batches_one_in_ten_is_bulk() {
        let mut share = Share::new(0.1);
        let time = Duration::from_millis(3);
        let mut bulk = Vec::new();
        for batch in 0..40 {
            if share.lacks(time, Duration::ZERO).is_some() {
                bulk.push(batch);
                share.formed(time, time);
            } else {
                share.formed(time, Duration::ZERO);
            }
        }
        assert_eq!(bulk, [0, 10, 20, 30]);
    }

    #[test]
    fn a_share_of_nothing_owes_nothing() {
        let mut share = Share::new(0.0);
        share.formed(Duration::from_secs(1), Duration::ZERO);
        assert_eq!(share.lacks(Duration::from_secs(1), Duration::ZERO), None);
    }
}

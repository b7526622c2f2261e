//! The share of device time that bulk work is sure of while it waits, however much interactive work
//! there is.
//!
//! It holds over a while, not from batch to batch: what bulk gets anyhow, in moments in which nobody else
//! waits, is mostly more than its share, and a burst of interactive work should not be the longer for it.

use std::time::Duration;

/// Device time by which bulk's share may come late: of any stretch of batches that are formed while bulk
/// work waits, it gets its share of all but so much.
const LATE: Duration = Duration::from_millis(250);

/// How far bulk work is behind its share.
#[derive(Clone, Debug)]
pub(super) struct Share {
    share: f64,
    /// Seconds of device time that it has had too little, since it waits.
    behind: f64,
}

impl Share {
    pub(super) fn new(share: f64) -> Self {
        Self {
            share: share.clamp(0.0, 0.9),
            behind: 0.0,
        }
    }

    /// A batch is formed while bulk work waits.
    pub(super) fn formed(&mut self, time: Duration, bulk: Duration) {
        self.behind = self.after(time, bulk).max(0.0);
    }

    /// No bulk work waits or is under way: what it got before is no matter of its next wait.
    pub(super) fn nobody_waits(&mut self) {
        self.behind = 0.0;
    }

    /// Device time that bulk lacks if the next batch is this one; none if it has its share.
    pub(super) fn lacks(&self, time: Duration, bulk: Duration) -> Option<Duration> {
        let most = self.share * LATE.as_secs_f64();
        if self.after(time, bulk) <= most {
            return None;
        }
        // With a batch of bulk alone in its place.
        let lack = (self.behind - most).max(0.0) / (1.0 - self.share);
        Some(Duration::from_secs_f64(lack))
    }

    fn after(&self, time: Duration, bulk: Duration) -> f64 {
        self.behind + self.share * time.as_secs_f64() - bulk.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATCH: Duration = Duration::from_millis(3);

    /// The places of bulk's batches among so many that are equally long.
    fn bulk_batches(share: &mut Share, count: usize) -> Vec<usize> {
        let led = |batch| {
            let lacks = share.lacks(BATCH, Duration::ZERO).is_some();
            share.formed(BATCH, if lacks { BATCH } else { Duration::ZERO });
            lacks.then_some(batch)
        };
        (0..count).filter_map(led).collect()
    }

    #[test]
    fn of_equal_batches_one_in_ten_is_bulk_once_its_share_is_late() {
        let mut share = Share::new(0.1);
        // 83 batches take 249 ms.
        assert_eq!(bulk_batches(&mut share, 120), [83, 93, 103, 113]);
    }

    #[test]
    fn what_bulk_gets_when_nobody_else_waits_counts() {
        let mut share = Share::new(0.1);
        for _ in 0..100 {
            share.formed(BATCH, BATCH / 5);
        }
        assert_eq!(bulk_batches(&mut share, 90), [83]);
    }

    #[test]
    fn what_bulk_had_too_little_is_forgotten_when_none_waits() {
        let mut share = Share::new(0.1);
        bulk_batches(&mut share, 100);
        share.nobody_waits();
        assert_eq!(bulk_batches(&mut share, 90), [83]);
    }

    #[test]
    fn a_share_of_nothing_owes_nothing() {
        let mut share = Share::new(0.0);
        share.formed(Duration::from_secs(1), Duration::ZERO);
        assert_eq!(share.lacks(Duration::from_secs(1), Duration::ZERO), None);
    }
}

//! The share of device time that bulk work gets while it waits, however much interactive work there is.
//!
//! The share holds over time, not from batch to batch. Bulk mostly gets more than its share anyhow, whenever no
//! interactive work waits. A burst of interactive work should therefore not take longer because of it.

use std::time::Duration;

/// Device time by which bulk's share may lag. Of any sequence of batches that are formed while bulk work waits
/// and take `t` together, bulk gets at least `share · (t − LAG)`. Retries of failed batches do not count.
const LAG: Duration = Duration::from_millis(250);

/// Decides when bulk runs ahead of interactive work.
///
/// With `s` as bulk's share, each batch of device time `t` that is formed while bulk waits, of which bulk gets
/// `b`, changes the debt to bulk:
///
/// ```text
/// debt = max(0, debt + s · t − b)
/// ```
///
/// Bulk is overdue if the next batch would raise the debt above `s · LAG`. A batch of bulk alone that lasts
/// `(debt − s · LAG) / (1 − s)` then lowers the debt to that limit, because the debt grows by `s · t` while that
/// batch itself runs.
#[derive(Clone, Debug)]
pub(super) struct BulkShareController {
    share: f64,
    /// Seconds of device time that bulk lacks.
    debt: f64,
}

impl BulkShareController {
    pub(super) fn new(share: f64) -> Self {
        Self {
            share: share.clamp(0.0, 0.9),
            debt: 0.0,
        }
    }

    /// Records a batch that is formed while bulk work waits, and bulk's part of its time.
    pub(super) fn observe(&mut self, time: Duration, bulk: Duration) {
        self.debt = self.debt_after(time, bulk).max(0.0);
    }

    /// Forgets the debt: no bulk work waits or is under way. What bulk lacked before does not count when it
    /// waits again.
    pub(super) fn reset(&mut self) {
        self.debt = 0.0;
    }

    /// Returns how long a batch of bulk alone must last to repay what exceeds the limit. Returns none if bulk
    /// is not overdue, with a next batch of this time and this part for bulk.
    pub(super) fn overdue(&self, time: Duration, bulk: Duration) -> Option<Duration> {
        let limit = self.share * LAG.as_secs_f64();
        if self.debt_after(time, bulk) <= limit {
            return None;
        }
        let repayment = (self.debt - limit).max(0.0) / (1.0 - self.share);
        Some(Duration::from_secs_f64(repayment))
    }

    fn debt_after(&self, time: Duration, bulk: Duration) -> f64 {
        self.debt + self.share * time.as_secs_f64() - bulk.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATCH: Duration = Duration::from_millis(3);

    /// Returns the places of bulk's batches among so many batches of equal length.
    fn bulk_batches(controller: &mut BulkShareController, count: usize) -> Vec<usize> {
        let is_bulk = |batch| {
            let overdue = controller.overdue(BATCH, Duration::ZERO).is_some();
            controller.observe(BATCH, if overdue { BATCH } else { Duration::ZERO });
            overdue.then_some(batch)
        };
        (0..count).filter_map(is_bulk).collect()
    }

    #[test]
    fn of_equal_batches_one_in_ten_is_bulk_once_its_share_is_overdue() {
        let mut controller = BulkShareController::new(0.1);
        // 83 batches take 249 ms.
        assert_eq!(bulk_batches(&mut controller, 120), [83, 93, 103, 113]);
    }

    #[test]
    fn device_time_that_bulk_gets_without_being_overdue_counts() {
        let mut controller = BulkShareController::new(0.1);
        for _ in 0..100 {
            controller.observe(BATCH, BATCH / 5);
        }
        assert_eq!(bulk_batches(&mut controller, 90), [83]);
    }

    #[test]
    fn the_debt_is_forgotten_when_no_bulk_work_waits() {
        let mut controller = BulkShareController::new(0.1);
        bulk_batches(&mut controller, 100);
        controller.reset();
        assert_eq!(bulk_batches(&mut controller, 90), [83]);
    }

    #[test]
    fn a_share_of_zero_is_never_overdue() {
        let mut controller = BulkShareController::new(0.0);
        controller.observe(Duration::from_secs(1), Duration::ZERO);
        let overdue = controller.overdue(Duration::from_secs(1), Duration::ZERO);
        assert_eq!(overdue, None);
    }
}

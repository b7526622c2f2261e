//! The settings that the scheduler keeps to.

use std::time::Duration;

use super::class::PerClass;

/// Bounds on what the scheduler holds, waiting or under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Admitted jobs.
    pub jobs: usize,
    /// Bytes of tensors.
    pub bytes: usize,
    /// Predicted device time of each class's unfinished work, summed over all devices.
    pub backlog: PerClass<Duration>,
}

/// What a scheduler keeps to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// Instances that run batches side by side.
    pub instances: usize,
    /// What may be held.
    pub bounds: Bounds,
    /// Predicted time that no batch exceeds, so that no caller waits behind a longer one. Batches that are
    /// hardly longer than the smallest are exempt (`HARDLY_LONGER` in `costs.rs`).
    pub max_batch_time: Duration,
    /// How long an entry may wait on a free instance for other members of its batch. It waits only where the
    /// cost table predicts a gain. Zero never waits.
    pub max_queue_delay: Duration,
    /// Bulk's share of device time while bulk work waits, from 0 to 0.9. Of batches that
    /// take `t` together, bulk gets at least `bulk_share · (t − 250 ms)`.
    pub bulk_share: f64,
}

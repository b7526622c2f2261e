//! Settings of an engine.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::audio::Limits;
use crate::runtime::Provider;
use crate::scheduler::core::{Bounds, PerClass, Policy};

/// Most channels of the user's own files. With more, one block of samples would take a gigabyte.
const MOST_CHANNELS: u16 = 256;

/// Settings of an engine.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Folder of the bundle; without one, the embedded bundle.
    pub bundle: Option<PathBuf>,
    /// ONNX Runtime's shared library; without one, the usual places are searched.
    pub onnxruntime: Option<PathBuf>,
    /// Where sessions run: on the processor or a GPU.
    pub provider: Provider,
    /// Sets of sessions, each on its own thread; without a number, measured at warm-up.
    pub workers: Option<usize>,
    /// Threads inside each session; without a number, measured at warm-up.
    pub threads: Option<usize>,
    /// Most requests under way at a time.
    pub requests: usize,
    /// The other bounds of the scheduler.
    pub schedule: Schedule,
    /// Bounds of one recording.
    pub limits: Limits,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            bundle: None,
            onnxruntime: None,
            provider: Provider::default(),
            workers: None,
            threads: None,
            requests: 256,
            schedule: Schedule::default(),
            limits: Limits::default(),
        }
    }
}

impl EngineOptions {
    /// Returns settings for the user's own files: no file is too long or too large.
    #[must_use]
    pub fn for_own_files() -> Self {
        // A century: long enough for any file, and small enough that no sum of times overflows.
        let ever = Duration::from_secs(100 * 366 * 86_400);
        Self {
            schedule: Schedule {
                interactive_backlog: ever,
                bulk_backlog: ever,
                interactive_audio: ever,
                ..Schedule::default()
            },
            limits: Limits {
                bytes: usize::MAX,
                seconds: f64::INFINITY,
                channels: MOST_CHANNELS,
                seconds_per_megabyte: f64::MAX,
                decoded_bytes: usize::MAX,
                held_bytes: usize::MAX,
                time: Duration::MAX,
            },
            ..Self::default()
        }
    }

    /// Returns the scheduler's policy for a number of devices.
    pub(super) fn policy(&self, instances: usize) -> Policy {
        let schedule = &self.schedule;
        Policy {
            instances,
            bounds: Bounds {
                jobs: self.requests,
                bytes: schedule.bytes,
                backlog: PerClass {
                    interactive: schedule.interactive_backlog,
                    bulk: schedule.bulk_backlog,
                },
            },
            max_batch_time: schedule.max_batch_time,
            max_queue_delay: schedule.max_queue_delay,
            bulk_share: schedule.bulk_share,
        }
    }
}

/// Bounds of the scheduler.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// Most bytes of tensors, all requests together.
    pub bytes: usize,
    /// Most device time of admitted interactive requests, all devices together.
    pub interactive_backlog: Duration,
    /// Most device time of admitted bulk requests, all devices together.
    pub bulk_backlog: Duration,
    /// Longest predicted time of a batch.
    pub max_batch_time: Duration,
    /// Longest time that work waits for a larger batch while a device is free. It waits only where the cost
    /// table says that the larger batch costs less per item.
    pub max_queue_delay: Duration,
    /// Guaranteed share of device time for waiting bulk work; see [`Policy::bulk_share`].
    pub bulk_share: f64,
    /// Length of the longest recording that is interactive without a deadline. A longer one is bulk.
    pub interactive_audio: Duration,
    /// Weights of tenants by name. All others have the weight 1.
    pub weights: BTreeMap<String, u32>,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            bytes: 512 << 20,
            interactive_backlog: Duration::from_secs(10),
            bulk_backlog: Duration::from_secs(120),
            max_batch_time: Duration::from_millis(10),
            max_queue_delay: Duration::ZERO,
            bulk_share: 0.1,
            interactive_audio: Duration::from_secs(30),
            weights: BTreeMap::new(),
        }
    }
}

//! A limit on the processor time of one input.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Runs `work` and returns the processor time that it took on this thread. A busy machine or a suspended process
/// does not change it.
///
/// # Panics
/// If it took longer than `most`.
pub(crate) fn bounded(most: Duration, work: impl FnOnce()) -> Duration {
    let start = processor_time();
    work();
    let took = processor_time() - start;
    assert!(
        took < most,
        "one input took {took:?} of processor time; the limit is {most:?}"
    );
    took
}

fn processor_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

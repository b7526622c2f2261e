//! A bound on the work that one input may make.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Runs `work` and gives the processor time that it took on this thread, which a busy machine or a
/// suspended process does not lengthen.
///
/// # Panics
/// If it took longer than `most`.
pub(crate) fn bounded(most: Duration, work: impl FnOnce()) -> Duration {
    let begun = spent();
    work();
    let took = spent() - begun;
    assert!(
        took < most,
        "{took:?} of work for one input; at most {most:?}"
    );
    took
}

fn spent() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

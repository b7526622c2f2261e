//! Returns memory to the system after a peak.
//!
//! The allocator of the C library keeps freed memory for later allocations. glibc has several heaps, each
//! for some threads. By itself it returns only free memory at the end of a heap, beyond a threshold. The
//! threshold grows with the largest block that was ever freed: after recordings of an hour it is tens of
//! megabytes per heap. [`limit_retained_memory`] fixes the threshold, and [`IdleTrimmer`] returns the other
//! free memory when the engine is idle.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Time between two checks for calls. Memory is returned if no call began or ended between two checks, so
/// calls in shorter succession keep their memory.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Threshold in bytes. A larger block comes directly from the system and returns to it when it is freed, and
/// a heap keeps at most this much free memory at its end. An utterance needs smaller blocks, so its memory
/// stays in the heap. Larger blocks belong to recordings of minutes, where the cost of the system call is
/// negligible.
const LARGE_BLOCK: i32 = 4 << 20;
/// Environment variables with which the user sets the allocator's thresholds.
const ALLOCATOR_VARIABLES: [&str; 3] = [
    "GLIBC_TUNABLES",
    "MALLOC_MMAP_THRESHOLD_",
    "MALLOC_TRIM_THRESHOLD_",
];

/// Limits the freed memory that the program's allocator keeps, unless the environment sets a limit (see
/// mallopt(3)). Does nothing if the C library is not glibc.
pub fn limit_retained_memory() {
    if ALLOCATOR_VARIABLES
        .iter()
        .all(|name| std::env::var_os(name).is_none())
    {
        set_thresholds(LARGE_BLOCK);
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
fn set_thresholds(size: i32) {
    for parameter in [libc::M_MMAP_THRESHOLD, libc::M_TRIM_THRESHOLD] {
        // SAFETY: mallopt has two numbers as arguments and is safe in any thread, because it locks the heaps.
        let accepted = unsafe { libc::mallopt(parameter, size) } == 1;
        if !accepted {
            tracing::warn!(
                parameter,
                size,
                "the allocator refuses a threshold, so the process may keep more memory after a peak"
            );
        }
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn set_thresholds(_: i32) {}

/// The thread that returns memory when the engine is idle. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct IdleTrimmer {
    calls: Arc<Calls>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Calls {
    begun: AtomicU64,
    ended: AtomicU64,
    closed: AtomicBool,
}

/// A call under way. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct CallGuard<'a>(&'a Calls);

impl IdleTrimmer {
    /// Starts the thread.
    pub(super) fn start() -> std::io::Result<Self> {
        let calls = Arc::<Calls>::default();
        let watched = Arc::clone(&calls);
        let thread = thread::Builder::new()
            .name("memory".into())
            .spawn(move || watched.watch(release))?;
        Ok(Self {
            calls,
            thread: Some(thread),
        })
    }

    /// Begins a call.
    pub(super) fn call(&self) -> CallGuard<'_> {
        self.calls.begun.fetch_add(1, Ordering::Relaxed);
        CallGuard(&self.calls)
    }
}

impl Drop for CallGuard<'_> {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for IdleTrimmer {
    fn drop(&mut self) {
        self.calls.closed.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic of the thread is in the log already.
            let _ = thread.join();
        }
    }
}

impl Calls {
    fn watch(&self, release: impl Fn()) {
        let mut check = IdleCheck::default();
        while !self.closed.load(Ordering::Relaxed) {
            thread::park_timeout(CHECK_INTERVAL);
            let begun = self.begun.load(Ordering::Relaxed);
            if check.is_idle(begun, self.ended.load(Ordering::Relaxed)) {
                release();
            }
        }
    }
}

/// The counts at the last check.
#[derive(Default)]
struct IdleCheck {
    begun: u64,
    ended: u64,
    /// Calls that had begun when memory was last returned.
    released: u64,
}

impl IdleCheck {
    /// Returns whether no call is under way and none was since the last check. Returns it once after each
    /// series of calls.
    fn is_idle(&mut self, begun: u64, ended: u64) -> bool {
        let unchanged = (begun, ended) == (self.begun, self.ended);
        (self.begun, self.ended) = (begun, ended);
        let idle = unchanged && begun == ended && begun != self.released;
        if idle {
            self.released = begun;
        }
        idle
    }
}

/// Makes the allocator return every whole page between blocks in use. After a peak of a gigabyte it takes 1 to
/// 3 ms, in which other threads wait for memory of the same heap.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
fn release() {
    let begun = std::time::Instant::now();
    // SAFETY: malloc_trim has no pointer as argument and is safe in any thread, because it locks the heaps.
    let released = unsafe { libc::malloc_trim(0) } == 1;
    let took = begun.elapsed();
    tracing::debug!(
        released,
        ?took,
        "idle: unused memory is returned to the system"
    );
}

/// Other allocators return memory by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn release() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_returned_once_if_no_call_began_or_ended_between_two_checks() {
        let mut check = IdleCheck::default();
        for ((begun, ended), idle) in [
            ((0, 0), false), // Nothing has been done yet.
            ((1, 0), false),
            ((1, 0), false), // A long call.
            ((1, 1), false), // It has just ended.
            ((1, 1), true),
            ((1, 1), false),
            ((2, 2), false), // A short one, between two checks.
            ((3, 2), false),
            ((4, 4), false),
            ((4, 4), true),
        ] {
            assert_eq!(
                check.is_idle(begun, ended),
                idle,
                "{begun} begun, {ended} ended"
            );
        }
    }

    #[test]
    fn a_call_is_under_way_until_it_is_dropped() {
        let trimmer = IdleTrimmer::start().unwrap();
        let count = || {
            let Calls { begun, ended, .. } = &*trimmer.calls;
            (begun.load(Ordering::Relaxed), ended.load(Ordering::Relaxed))
        };
        let call = trimmer.call();
        assert_eq!(count(), (1, 0));
        drop(call);
        assert_eq!(count(), (1, 1));
    }
}

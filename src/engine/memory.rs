//! Gives memory back to the system after a peak.
//!
//! The C library's allocator keeps what is freed, for the next who asks. glibc has a heap for each of several
//! threads and gives back by itself only what lies at a heap's end, from a size on that grows with the largest
//! piece that was ever freed: after recordings of an hour, tens of megabytes a heap. So that size is fixed
//! ([`limit_retained_memory`]), and a server that has had nothing to do for a while gives back the rest as well.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Between two looks at whether anything was done. If nothing was from one to the next, memory is given back:
/// calls that come closer to each other than this find theirs as they left it.
const LOOK: Duration = Duration::from_secs(5);

/// From this size on a piece of memory comes from the system and goes back to it by itself, and so much of a heap's
/// end is kept. It is beyond what an utterance needs, which so finds its memory in the heap; larger pieces belong
/// to recordings of minutes, beside whose work the system's does not count.
const LARGE: i32 = 4 << 20;
/// Variables with which whoever starts the program chooses for himself.
const CHOSEN: [&str; 3] = [
    "GLIBC_TUNABLES",
    "MALLOC_MMAP_THRESHOLD_",
    "MALLOC_TRIM_THRESHOLD_",
];

/// Has the whole program's allocator keep little memory of what was freed, unless the environment says how much
/// (see mallopt(3)). Where the C library is not glibc it does nothing.
pub fn limit_retained_memory() {
    if CHOSEN.iter().all(|name| std::env::var_os(name).is_none()) {
        keep(LARGE);
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
fn keep(size: i32) {
    for parameter in [libc::M_MMAP_THRESHOLD, libc::M_TRIM_THRESHOLD] {
        // SAFETY: it takes two numbers, and may be called by any thread at any time: it locks what it works on.
        let taken = unsafe { libc::mallopt(parameter, size) } == 1;
        if !taken {
            tracing::warn!(parameter, size, "the allocator does not take a parameter");
        }
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn keep(_: i32) {}

/// The thread that looks; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Memory {
    calls: Arc<Calls>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Calls {
    begun: AtomicU64,
    ended: AtomicU64,
    closed: AtomicBool,
}

/// A call under way, until it is dropped.
#[derive(Debug)]
pub(super) struct UnderWay<'a>(&'a Calls);

impl Memory {
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

    /// A call begins.
    pub(super) fn call(&self) -> UnderWay<'_> {
        self.calls.begun.fetch_add(1, Ordering::Relaxed);
        UnderWay(&self.calls)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.calls.closed.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // If it panicked, it has said so.
            let _ = thread.join();
        }
    }
}

impl Calls {
    fn watch(&self, release: impl Fn()) {
        let mut look = Look::default();
        while !self.closed.load(Ordering::Relaxed) {
            thread::park_timeout(LOOK);
            let begun = self.begun.load(Ordering::Relaxed);
            if look.idle(begun, self.ended.load(Ordering::Relaxed)) {
                release();
            }
        }
    }
}

/// What was seen at the last look.
#[derive(Default)]
struct Look {
    begun: u64,
    ended: u64,
    /// Calls that had begun when memory was last given back.
    released: u64,
}

impl Look {
    /// Whether nothing is under way and nothing was since the last look, for the first time since a call.
    fn idle(&mut self, begun: u64, ended: u64) -> bool {
        let unchanged = (begun, ended) == (self.begun, self.ended);
        (self.begun, self.ended) = (begun, ended);
        let idle = unchanged && begun == ended && begun != self.released;
        if idle {
            self.released = begun;
        }
        idle
    }
}

/// Has the allocator give back every whole page between pieces in use. Takes one to three milliseconds after a peak
/// of a gigabyte, in which others wait who want memory of the same heap.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
fn release() {
    let begun = std::time::Instant::now();
    // SAFETY: it takes no pointer, and may be called by any thread at any time: it locks what it works on.
    let released = unsafe { libc::malloc_trim(0) } == 1;
    let took = begun.elapsed();
    tracing::debug!(
        released,
        ?took,
        "nothing to do: unused memory is given back"
    );
}

/// Elsewhere the allocator sees to it.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn release() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_back_once_when_nothing_was_done_between_two_looks() {
        let mut look = Look::default();
        for ((begun, ended), idle) in [
            ((0, 0), false), // Nothing has been done yet.
            ((1, 0), false),
            ((1, 0), false), // A long call.
            ((1, 1), false), // It has just ended.
            ((1, 1), true),
            ((1, 1), false),
            ((2, 2), false), // A short one, between two looks.
            ((3, 2), false),
            ((4, 4), false),
            ((4, 4), true),
        ] {
            assert_eq!(
                look.idle(begun, ended),
                idle,
                "{begun} begun, {ended} ended"
            );
        }
    }

    #[test]
    fn a_call_is_under_way_until_it_is_dropped() {
        let memory = Memory::start().unwrap();
        let count = || {
            let Calls { begun, ended, .. } = &*memory.calls;
            (begun.load(Ordering::Relaxed), ended.load(Ordering::Relaxed))
        };
        let call = memory.call();
        assert_eq!(count(), (1, 0));
        drop(call);
        assert_eq!(count(), (1, 1));
    }
}

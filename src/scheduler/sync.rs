//! The primitives under the shell. With feature `shuttle`, for tests alone, they are those of a
//! model checker, which runs through interleavings of threads.

#[cfg(not(feature = "shuttle"))]
pub(super) use std::sync::{Condvar, Mutex, MutexGuard};
#[cfg(not(feature = "shuttle"))]
pub(super) use std::thread;

#[cfg(feature = "shuttle")]
pub(super) use shuttle::sync::{Condvar, Mutex, MutexGuard};
#[cfg(feature = "shuttle")]
pub(super) use shuttle::thread;

//! The shell's locks and threads. With the feature `shuttle`, which only tests use, they are those of a model
//! checker that explores interleavings of threads.

#[cfg(not(feature = "shuttle"))]
pub(super) use std::sync::{Condvar, Mutex, MutexGuard};
#[cfg(not(feature = "shuttle"))]
pub(super) use std::thread;

#[cfg(feature = "shuttle")]
pub(super) use shuttle::sync::{Condvar, Mutex, MutexGuard};
#[cfg(feature = "shuttle")]
pub(super) use shuttle::thread;

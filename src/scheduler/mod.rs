//! Joins the work of many callers into batches.
//!
//! [`core`] decides: a pure state machine without clock, threads or I/O. [`Scheduler`] is the
//! shell around it: worker threads that each own a device, and waiters whose drop cancels. Knows
//! the runtime through [`Device`](crate::runtime::Device) alone.

pub mod core;
mod pack;
mod shell;
#[cfg(test)]
mod tests;
mod waiter;

pub use shell::{Failure, Scheduler, Spent};
pub use waiter::{Chunk, Encoding, Evidence, Waiter};

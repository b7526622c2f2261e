//! Joins the work of many callers into batches.
//!
//! [`core`] decides: a pure state machine without clock, threads or I/O. [`Scheduler`] is the
//! shell around it: worker threads that each own a device, tickets through which requests submit,
//! and waiters whose drop cancels. Knows the runtime through [`Device`](crate::runtime::Device)
//! alone.

mod clock;
pub mod core;
#[cfg(all(test, feature = "shuttle"))]
mod interleavings;
mod pack;
mod run;
mod shell;
mod stalls;
mod sync;
#[cfg(all(test, not(feature = "shuttle")))]
mod tests;
mod ticket;
mod waiter;
mod work;
mod worker;

pub use clock::Clock;
pub use shell::{Failure, Scheduler, Spent};
pub use ticket::{Terms, Ticket};
pub use waiter::{Chunk, EncoderOutput, SequenceOutput, Waiter};

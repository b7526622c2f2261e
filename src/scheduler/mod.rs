//! Joins the work of many callers into batches.
//!
//! [`core`] decides: it is a pure state machine without clock, threads or I/O. [`Scheduler`] is the shell around
//! it. It has a worker thread for each device, a [`Ticket`] for each request, through which work is submitted,
//! and a [`Waiter`] for each result, which cancels the work when it is dropped. Of the runtime it depends only on
//! [`Device`](crate::runtime::Device), and on the types of its arguments and results.

mod chunk;
mod clock;
pub mod core;
#[cfg(all(test, feature = "shuttle"))]
mod interleavings;
mod lane_task;
mod pack;
mod pending;
mod reply;
mod results;
mod shared;
mod shell;
mod stalls;
mod sync;
#[cfg(all(test, not(feature = "shuttle")))]
mod tests;
mod ticket;
mod waiter;
mod worker;

pub use chunk::Chunk;
pub use clock::Clock;
pub use results::{EncoderOutput, Failure, SequenceOutput, TimeSpent};
pub use shell::Scheduler;
pub use ticket::{Terms, Ticket};
pub use waiter::Waiter;

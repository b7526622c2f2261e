//! What operators see: metrics and probes with an HTTP listener of their own, and logs.
//!
//! Names, units, label sets and buckets of all metrics stand in [`metrics`]; [`batches`] and
//! [`requests`] are the two places that record them. Knows nothing of what it watches but the
//! words in its labels, and no label takes a value from a caller.

#[cfg(feature = "server")]
pub mod accept;
#[cfg(feature = "server")]
pub mod admin;
pub mod batches;
#[cfg(feature = "server")]
pub mod calls;
#[cfg(feature = "server")]
pub mod logs;
#[cfg(feature = "server")]
pub mod metrics;
mod names;
#[cfg(feature = "server")]
pub mod readiness;
pub mod requests;

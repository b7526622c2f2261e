//! Observability for operators: metrics, probes and logs. Metrics and probes have an HTTP listener of their own.
//!
//! [`metrics`] defines the names, units, labels and buckets of all metrics; [`batches`] and [`requests`] record them. The
//! module does not depend on the modules that it observes. No label contains a value from a caller.

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
